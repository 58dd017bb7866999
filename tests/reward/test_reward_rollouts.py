"""Every reward in every kind of trading environment: finite, equal for one account and for many, resumed bit for bit.

Legend: T bars, B accounts, N instruments.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from reward_cases import OPTIONS, option

from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.discrete5 import Discrete5
from tradewright.env.discrete9 import Discrete9
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.portfolio import Portfolio
from tradewright.env.simulator import Simulator
from tradewright.env.world import Env, Stage, World
from tradewright.errors import MarketError
from tradewright.features.pipeline import build_features
from tradewright.features.price_volume import PriceVolume
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs
from tradewright.market.step import unrealised
from tradewright.reward.futures import Futures
from tradewright.reward.growth import LogReturnTerm
from tradewright.reward.reward import BarChange, Reward, RewardState, require_finite
from tradewright.reward.term import SumOfTerms, Term

COSTS = Costs(fee_bps=5.0, fixed_fee=1.0, slippage_bps=3.0, borrow_rate=0.1, cash_rate=0.02)
KEYS = {"window": 3, "episode_bars": 25}
ENVS: dict[str, Env] = {
    "continuous": Continuous(**KEYS),
    "discrete5": Discrete5(**KEYS),
    "discrete9": Discrete9(**KEYS),
    "portfolio": Portfolio(**{**KEYS, "lowest_weight": -1.0}),
}
BACKTEST = Vectorized(
    costs=COSTS, leverage=2.0, stop_loss=0.02, take_profit=0.03, trailing=0.025, maintenance_margin=0.3
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("features")


def stage_of(panel: Panel, cache: Path, reward: Reward, backtest: Vectorized = BACKTEST) -> Stage:
    rows = Range(0, panel.num_bars)
    features, _ = build_features(PriceVolume(short_window=5, long_window=12), panel, rows, cache)
    return Stage(panel=panel, features=features, rows=(rows,), rules=backtest.rules, reward=reward)


def world_of(env: Env, stage: Stage, num_envs: int = 4, seed: int = 0) -> World:
    market = MarketTensors.build(stage.panel, stage.features)
    generator = torch.Generator().manual_seed(seed)
    return env.on(stage).world(num_envs=num_envs, generator=generator, stage=stage, market=market)


def random_actions(env: Env, stage: Stage, shape: tuple[int, int], seed: int = 1) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    num = env.on(stage).num_actions
    if env.action_kind == "discrete":
        return torch.randint(num, shape, generator=generator)
    return 2.0 * torch.rand(*shape, num, generator=generator) - 1.0


def roll(world: World, actions: torch.Tensor) -> torch.Tensor:
    """Return the rewards ``[T, B]``; accounts that are done are restarted."""
    rewards = []
    for action in actions:
        moved = world.step(action)
        rewards.append(moved.reward_B)
        done_B = moved.terminated_B | moved.truncated_B
        if bool(done_B.any()):
            world.restart(done_B)
    return torch.stack(rewards)


@pytest.mark.row("B18")
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("kind", ENVS)
def test_every_reward_is_finite_logged_and_resumed_bit_for_bit_in_every_environment(
    panel_of: Callable[..., Panel], cache: Path, kind: str, name: str
) -> None:
    env = ENVS[kind]
    stage = stage_of(panel_of(120, 3, 5, missing=0.03), cache, option(name))
    one, other = world_of(env, stage), world_of(env, stage, seed=9)
    actions = random_actions(env, stage, (60, 4))
    first = roll(one, actions[:33])
    assert bool(torch.isfinite(first).all())
    assert first.abs().sum() > 0
    terms = one.drain_terms()
    if terms:
        assert sum(terms.values()) == pytest.approx(float(first.mean()), rel=1e-9, abs=1e-12)
    other.load_state_dict(one.state_dict())
    assert torch.equal(roll(other, actions[33:]), roll(one, actions[33:]))
    assert other.drain_terms() == one.drain_terms()


def only(panel: Panel, n: int) -> Panel:
    """The panel of one instrument."""
    names = ("open_TN", "high_TN", "low_TN", "close_TN", "volume_TN", "tradable_TN")
    columns = {name: getattr(panel, name)[:, [n]] for name in names}
    return replace(
        panel, instruments=panel.instruments[n : n + 1], fingerprint=f"{panel.fingerprint}-{n}", **columns
    )  # fmt: skip


def simulator_of(stage: Stage, num_envs: int) -> Simulator:
    return Simulator(
        market=MarketTensors.build(stage.panel, stage.features), env=Continuous(window=3, episode_bars=None),
        rules=stage.rules, rows=stage.rows[0], num_envs=num_envs, reward=stage.reward,
    )  # fmt: skip


@pytest.mark.parametrize("name", OPTIONS)
def test_a_batch_pays_what_each_account_alone_is_paid(panel_of: Callable[..., Panel], cache: Path, name: str) -> None:
    panel, reward = panel_of(60, 3, 6), option(name)
    together = simulator_of(stage_of(panel, cache, reward), 3)
    alone = [simulator_of(stage_of(only(panel, n), cache, reward), 1) for n in range(3)]
    weights_TB = random_weights(40)
    for weight_B in weights_TB:
        paid_B = together.step_weights(weight_B).reward_B
        assert torch.equal(paid_B, torch.cat([alone[n].step_weights(weight_B[[n]]).reward_B for n in range(3)]))


def random_weights(num_bars: int, num: int = 3) -> torch.Tensor:
    rng = np.random.default_rng(3)
    shape = (num_bars, num)
    return torch.from_numpy(np.where(rng.random(shape) < 0.4, np.nan, rng.choice([-1.0, 0.0, 0.5, 1.5], shape)))


@pytest.mark.parametrize("name", OPTIONS)
def test_a_restarted_episode_pays_like_a_first_one(panel_of: Callable[..., Panel], cache: Path, name: str) -> None:
    """Streaks, moments, capital and open trades belong to the episode; only the accounts that are done begin anew."""
    stage = stage_of(panel_of(60, 1, 6), cache, option(name))
    tried, fresh = simulator_of(stage, 2), simulator_of(stage, 2)
    for weight_B in random_weights(20, 2):
        tried.step_weights(weight_B)
    kept = {key: x_B[1].clone() for key, x_B in tried.reward_state.items()}
    tried.restart(torch.tensor([True, False]))
    for key, start_B in stage.reward.initial(2, torch.device("cpu")).items():
        assert torch.equal(tried.reward_state[key][0], start_B[0]), key
        assert torch.equal(tried.reward_state[key][1], kept[key]), key
    for weight_B in random_weights(20, 2):
        assert tried.step_weights(weight_B).reward_B[0] == fresh.step_weights(weight_B).reward_B[0]


@pytest.mark.row("N23")
@pytest.mark.row("N24")
def test_money_terms_of_futures_add_up_to_the_return_on_the_capital(
    panel_of: Callable[..., Panel], cache: Path
) -> None:
    others = ("drawdown_penalty", "max_drawdown_penalty", "streak_bonus", "sharpe_weight", "win_rate_weight")
    weights = dict.fromkeys((*others, "win_loss_weight"), 0.0)
    simulator = simulator_of(stage_of(panel_of(60, 3, 6), cache, Futures(scale=1.0, **weights)), 3)
    total_B, num_bars, cash = torch.zeros(3, dtype=torch.float64), 36, simulator.rules.initial_cash
    for weight_B in random_weights(num_bars):
        total_B += simulator.step_weights(weight_B).reward_B
    assert torch.allclose(total_B, simulator.equity_B / cash - 1.0, rtol=0, atol=1e-12)
    terms = simulator.drain_terms()
    open_B = unrealised(simulator.account)[:, 0]
    assert bool((open_B != 0).any())
    assert terms["unrealised"] * num_bars == pytest.approx(float(open_B.mean()) / cash, rel=1e-9)
    assert terms["realised"] < 0 > terms["cost"]


@pytest.mark.row("N27")
def test_closed_trades_are_those_of_the_journal(panel_of: Callable[..., Panel], cache: Path) -> None:
    """Counts and money of the trades that the reward is told of equal the backtester's own list of trades."""

    class Told:
        """Keeps what it is told."""

        needs = frozenset({"num_closed_B", "num_won_B", "closed_B", "won_B"})

        def __init__(self) -> None:
            self.total: dict[str, float] = dict.fromkeys(self.needs, 0.0)

        def initial(self, num_accounts: int, device: torch.device) -> dict[str, torch.Tensor]:
            return {}

        def __call__(self, state: Any, change: Any) -> Any:
            for name in self.needs:
                self.total[name] += float(change.need(name).sum())
            return torch.zeros_like(change.after_B), state, {}

    panel, told = panel_of(80, 1, 6), Told()
    simulator = simulator_of(stage_of(panel, cache, told), 1)
    weights_T = np.full(panel.num_bars, np.nan)
    num = panel.num_bars - 1 - simulator.first
    weights_T[simulator.first : -1] = random_weights(num, 1)[:, 0]
    for weight in weights_T[simulator.first : -1]:
        simulator.step_weights(torch.tensor([weight]))
    rows = Range(simulator.first, panel.num_bars)
    positions = Positions(weights_TN=weights_T[simulator.first :, None])
    closed = [trade.pnl for trade in BACKTEST.run(panel, positions, rows, name="journal").trades if trade.exit_ts]
    assert len(closed) > 10
    assert told.total["num_closed_B"] == len(closed)
    assert told.total["num_won_B"] == sum(pnl > 0 for pnl in closed)
    assert told.total["closed_B"] == pytest.approx(sum(closed), rel=1e-9)
    assert told.total["won_B"] == pytest.approx(sum(pnl for pnl in closed if pnl > 0), rel=1e-9)


@pytest.mark.parametrize("name", OPTIONS)
def test_bankrupt_account_is_paid_the_agreed_reward(panel_of: Callable[..., Panel], cache: Path, name: str) -> None:
    """A short at six times the equity in a market that doubles overnight."""
    panel = panel_of(60, 1, 6)
    jump = np.where(np.arange(60) > 40, 2.0, 1.0)[:, None]
    prices = {key: getattr(panel, key) * jump for key in ("open_TN", "high_TN", "low_TN", "close_TN")}
    panel = replace(panel, fingerprint="jump", **prices)
    backtest = Vectorized(costs=COSTS, leverage=6.0, maintenance_margin=0.0)
    simulator = simulator_of(stage_of(panel, cache, option(name, bankrupt_reward=-7.0), backtest), 1)
    rewards = []
    while not bool(simulator.account.ended_B):
        rewards.append(float(simulator.step_weights(torch.tensor([-6.0], dtype=torch.float64)).reward_B))
    assert rewards[-1] == -7.0
    assert float(simulator.equity_B) < 0
    assert np.isfinite(rewards).all()
    after = simulator.step_weights(torch.tensor([1.0], dtype=torch.float64))
    assert float(after.reward_B) == -7.0


class Broken(Term):
    """A term with a mistake: it divides by a position that may be none."""

    needs = frozenset({"unrealised_B"})

    def __call__(self, state: RewardState, change: BarChange) -> tuple[torch.Tensor, RewardState]:
        unrealised_B = change.need("unrealised_B")
        return unrealised_B / unrealised_B, state


def test_a_broken_reward_of_ones_own_is_named_with_its_term(panel_of: Callable[..., Panel], cache: Path) -> None:
    """Ten lines make a reward; where it goes wrong, the error says in which term."""
    terms = {"log_return": (LogReturnTerm(), 1.0), "broken": (Broken(), 1.0)}
    reward = SumOfTerms(scale=1.0, bankrupt_reward=0.0, terms=terms)
    stage = stage_of(panel_of(60, 1, 6), cache, reward, Vectorized(costs=COSTS))
    world = world_of(ENVS["continuous"], stage)
    rewards = roll(world, torch.full((5, 4, 1), 0.5))
    require_finite(rewards, "mine", world.drain_terms)
    rewards = roll(world, torch.full((5, 4, 1), 0.0))
    with pytest.raises(MarketError, match=r"reward=mine \(term broken\): [1-9][0-9]* of 20 rewards are not finite"):
        require_finite(rewards, "mine", world.drain_terms)
