"""Planted leaks of environments: simulators that show or pay what is not known yet. See ``leak_corpus``.

Legend: N instruments, B accounts, W window, F features.
"""

from collections.abc import Callable

import torch
from leak_corpus import Case, several
from leak_markets import daily

from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.market_tensors import MarketTensors, gather_window
from tradewright.env.simulator import Simulator
from tradewright.evaluate.leak_rollout import check_environment
from tradewright.evaluate.leak_search import Check
from tradewright.features.pipeline import compute_features
from tradewright.features.price_volume import PriceVolume
from tradewright.market.rules import AccountRules, Costs
from tradewright.reward.log_return import LogReturn

FEATURES = PriceVolume(short_window=5, long_window=12)
ENV = Continuous(window=4, observation="window", lowest_weight=-1.0)
RULES = AccountRules(costs=Costs(fee_bps=5.0, slippage_bps=2.0))

ENVIRONMENT_LEAKS: list[Case] = []


def environment(*, panel: Callable = daily):
    """Register a leaking simulator class; its ``of_market`` may tamper with what it is built from."""

    def register(cls: type[Simulator]) -> type[Simulator]:
        def find(seed: int) -> Check:
            return check_simulator(cls, panel(seed), seed)

        ENVIRONMENT_LEAKS.append(Case(cls.__name__, "environment", find))
        return cls

    return register


def check_simulator(cls: type[Simulator], panel, seed: int, *, env=ENV, reward=True) -> Check:
    """Run the detector on a simulator class."""
    _, scaler = compute_features(FEATURES, panel, (Range(0, panel.num_bars // 2),), None)

    def make(panel, features, rows, num_envs):
        market = MarketTensors.build(panel, features)
        tamper = getattr(cls, "of_market", None)
        return cls(
            market=tamper(market) if tamper else market,
            env=env,
            rules=RULES,
            rows=rows,
            num_envs=num_envs,
            reward=LogReturn(scale=1.0) if reward else None,
        )

    return check_environment(make, FEATURES, scaler, panel, window=env.window, seed=seed)


def later(simulator: Simulator, bars: int) -> torch.Tensor:
    """Return the flat rows ``bars`` later, as far as there are any."""
    last = simulator.instrument_B * simulator.market.num_bars + simulator.market.num_bars - 1
    return torch.minimum(simulator.row_B + bars, last)


@environment()
class ShowsTheNextBar(Simulator):
    def observe(self):
        window = gather_window(self.market.features, later(self, 1), self.env.window)
        return {"window": window, "portfolio": self.portfolio_BP(self.view())}


@environment()
class MarksAtTheNextOpen(Simulator):
    def view(self):
        account = self.account
        price_B = self.market.prices[later(self, 1), 0]
        self.account = account._replace(mark_BN=price_B[:, None])
        seen = super().view()
        self.account = account
        return seen


@environment()
class ShowsTheComingReward(Simulator):
    def observe(self):
        now, then = self.market.prices[self.row_B, 3], self.market.prices[later(self, 1), 3]
        return {**super().observe(), "last_reward": torch.log(then / now) * self.view().weight_B}


@environment()
class NormalisesOverAllBars(Simulator):
    @staticmethod
    def of_market(market):
        x = torch.nan_to_num(market.features)
        return MarketTensors(**{**vars(market), "features": (x - x.mean(0)) / x.std(0)})


@environment()
class ShowsTheOutcomeOfTheEpisode(Simulator):
    def observe(self):
        final = self.market.prices[later(self, 10**6), 3]
        return {**super().observe(), "goal": (final > self.market.prices[self.row_B, 3]).to(torch.float32)}


@environment()
class PaysForTheNextBar(Simulator):
    def step_weights(self, weight_B):
        moved = super().step_weights(weight_B)
        ahead = torch.log(self.market.prices[later(self, 1), 3] / self.market.prices[self.row_B, 3])
        return moved._replace(reward_B=moved.reward_B + ahead)


@environment(panel=several)
class ShowsTheBestInstrument(Simulator):
    def observe(self):
        gain = self.market.prices[later(self, 1), 3] / self.market.prices[self.row_B, 3]
        return {**super().observe(), "is_best": (gain == gain.max()).to(torch.int64)}


@environment()
class FillsAtTheCloseItSaw(Simulator):
    """Decides with the next bar in view: the fill comes with what the order could not know."""

    def step_weights(self, weight_B):
        ahead = self.market.prices[later(self, 2), 3] > self.market.prices[later(self, 1), 3]
        return super().step_weights(torch.where(ahead, torch.ones_like(weight_B), -torch.ones_like(weight_B)))


@environment()
class CountsTheBarsThatAreLeft(Simulator):
    """Not the episode's length, which is agreed on, but the end of the data."""

    def observe(self):
        left = self.market.num_bars - 1 - self.bar_B
        return {**super().observe(), "bars_left": left.to(torch.float32)}


CLEAN_ENVIRONMENTS = {
    "continuous": (Simulator, ENV, daily),
    "continuous_several": (Simulator, ENV, several),
    "long_only": (Simulator, Continuous(window=6, observation="window", lowest_weight=0.0), daily),
}
