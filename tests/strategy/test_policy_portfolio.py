"""A joint agent as a strategy: it trades the panel as it is judged, so its rollout is the backtest."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import lightning
import numpy as np
import pytest
import torch

from tradewright.algorithm.data_module import AgentDataModule
from tradewright.algorithm.inputs import Bars
from tradewright.algorithm.networks import Body
from tradewright.algorithm.panel_inputs import PanelInputs
from tradewright.algorithm.ppo import PPO
from tradewright.algorithm.setting import Setting
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.portfolio import Portfolio
from tradewright.env.world import Stage
from tradewright.errors import DataError
from tradewright.evaluate.leak_rollout import check_environment, check_policy, trading_simulator
from tradewright.features.features import Features
from tradewright.features.pipeline import build_features, compute_features
from tradewright.features.price_volume import PriceVolume
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs
from tradewright.model.mlp import MLP
from tradewright.model.tcn import TCN
from tradewright.reward.log_return import LogReturn
from tradewright.strategy.equal_weight import EqualWeight
from tradewright.strategy.policy import Acted, Policy

FEATURES = PriceVolume(short_window=5, long_window=12)
BACKTEST = Vectorized(stop_loss=0.03, costs=Costs(fee_bps=5.0, slippage_bps=2.0, borrow_rate=0.03))


class Scripted:
    """An agent without networks: subclasses say how it acts."""

    rules, device = BACKTEST.rules, torch.device("cpu")

    def act(self, observation: dict[str, torch.Tensor], market: MarketTensors, generator: Any) -> Acted:
        raise AssertionError("a scripted agent says how it acts")

    @contextmanager
    def deciding(self, market: MarketTensors, rows: Range | None = None) -> Iterator[Any]:
        yield lambda observation, generator: self.act(observation, market, generator)


def agent_of(panel: Panel, features: Features, **keys: Any) -> PPO:
    stage = Stage(panel=panel, features=features, rows=(Range(0, 100),), rules=BACKTEST.rules, reward=LogReturn())
    env = Portfolio(**{"window": 4, "episode_bars": 20, "lowest_weight": -1.0, **keys})
    setting = Setting(env=env, stage=stage, reward_name="log_return", validate=lambda _: {}, seed=0)
    torch.manual_seed(1)
    agent = PPO(setting=setting, model=partial(MLP, hidden=[16]), total_frames=64, num_envs=4, rollout_steps=16)
    with torch.no_grad():  # an untrained head hardly moves
        agent.actor.head.weight.mul_(50.0)
    return agent


@pytest.fixture(scope="module")
def panel(panel_of) -> Panel:
    return panel_of(160, 3, 5, missing=0.1)


@pytest.fixture(scope="module")
def features(panel, tmp_path_factory) -> Features:
    return build_features(FEATURES, panel, Range(0, 100), tmp_path_factory.mktemp("features"))[0]


@pytest.mark.row("N32")
def test_rollout_of_a_joint_agent_has_the_equity_of_its_backtest(panel, features) -> None:
    agent, rows = agent_of(panel, features), Range(100, 160)
    positions = Policy(agent=agent).decide(panel, features, rows)
    assert positions.weights_TN.shape == (60, 3)
    assert np.nanstd(positions.weights_TN, axis=0).min() > 0.01
    assert np.nansum(np.abs(positions.weights_TN), axis=1).max() <= 1.0 + 1e-12
    market = MarketTensors.build(panel, features)
    accounts = agent.env.accounts(market=market, rules=BACKTEST.rules, rows=rows, num_envs=1)
    equity = [float(accounts.equity_B)]
    with torch.no_grad():
        for _ in range(59):
            accounts.step(agent.act(accounts.observe(), market, None).action)
            equity.append(float(accounts.equity_B))
    result = BACKTEST.run(panel, positions, rows, name="policy")
    np.testing.assert_allclose(equity, result.equity_T, rtol=1e-12)
    assert len(result.fills) > 20


@torch.no_grad()
def test_indices_and_windows_give_the_networks_the_same_numbers(panel, features) -> None:
    by_index, by_window = (agent_of(panel, features, observation=kind) for kind in ("index", "window"))
    assert isinstance(by_index.inputs, PanelInputs)
    assert by_index.inputs.width == 4 * 3 * len(features.names_F) + 3 * 3 + 3
    seen = [agent.world().observe() for agent in (by_index, by_window)]
    numbers = [
        agent.inputs(*(values[key] for key in agent.inputs.in_keys))
        for agent, values in zip((by_index, by_window), seen, strict=True)
    ]
    assert numbers[0].shape == (4, by_index.inputs.width)
    assert torch.equal(*numbers)
    bar = int(seen[0]["index"][0])
    by_hand = np.asarray(features.x_TNF)[bar - 3 : bar + 1].reshape(-1)
    np.testing.assert_array_equal(numbers[0][0, : len(by_hand)], by_hand)


@torch.no_grad()
def test_bars_of_all_instruments_encoded_once_equal_windows_encoded_one_by_one(panel, features) -> None:
    torch.manual_seed(0)
    inputs = PanelInputs(env=Portfolio(window=4), bars=Bars(MarketTensors.build(panel, features), Range(60, 90)))
    body = Body(inputs=inputs, model=partial(TCN, channels=4, hidden=[8]))
    bar, portfolio = torch.arange(60, 90), torch.randn(30, inputs.num_portfolio)
    one_by_one = torch.cat([body(bar[i : i + 1], portfolio[i : i + 1]) for i in range(30)])
    with body.encoded(10_000):
        assert body._codes is not None
        assert len(body._codes) == inputs.num_windows == 30
        np.testing.assert_allclose(body(bar, portfolio), one_by_one, atol=1e-5)


def test_joint_agent_learns_to_trade_every_instrument_by_its_own_signal(panel_of, tmp_path) -> None:
    """Each instrument's next return follows from its last one, so long-short weights earn what equal ones cannot."""
    panel, rows, test = panel_of(1_500, 3, 7, signal=0.4), Range(0, 1_000), Range(1_000, 1_500)
    features, _ = build_features(PriceVolume(short_window=5, long_window=12), panel, rows, tmp_path)
    backtest = Vectorized(costs=Costs(fee_bps=1.0, slippage_bps=1.0))
    stage = Stage(panel=panel, features=features, rows=(rows,), rules=backtest.rules, reward=LogReturn())
    env = Portfolio(window=1, episode_bars=64, lowest_weight=-1.0)
    torch.manual_seed(0)
    agent = PPO(
        setting=Setting(env=env, stage=stage, reward_name="log_return", validate=lambda _: {}, seed=0),
        model=partial(MLP, hidden=[32]),
        total_frames=40_000,
        rollout_steps=32,
        num_minibatches=4,
        lr=2e-3,
    )
    trainer = lightning.Trainer(
        max_epochs=agent.max_epochs,
        accelerator="cpu",
        default_root_dir=tmp_path,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        limit_val_batches=0,
    )
    trainer.fit(agent, AgentDataModule(agent))

    def sharpe(weights: Positions) -> float:
        equity_T = backtest.run(panel, weights, test, name="judged").equity_T
        return_T = equity_T[1:] / equity_T[:-1] - 1.0
        return float(return_T.mean() / return_T.std(ddof=1) * 252**0.5)

    assert sharpe(EqualWeight().decide(panel, None, test)) < 1.0
    assert sharpe(Policy(agent=agent).decide(panel, features, test)) > 5.0  # 8.7 and 7.8 with seeds 0 and 1


def test_joint_agent_on_another_number_of_instruments_is_refused(panel, features, panel_of, tmp_path) -> None:
    other = panel_of(160, 2, 5)
    others, _ = build_features(FEATURES, other, Range(0, 100), tmp_path)
    with pytest.raises(DataError, match=r"^env=portfolio: was set on 3 instruments, the data have 2; "):
        Policy(agent=agent_of(panel, features)).decide(other, others, Range(100, 160))


def test_joint_environment_passes_the_leak_detector_on_every_named_number(panel_of) -> None:
    panel = panel_of(200, 6)
    _, scaler = compute_features(FEATURES, panel, (Range(0, 100),), None)
    env = Portfolio(window=3, lowest_weight=-1.0)
    check = check_environment(
        trading_simulator(env, BACKTEST.rules, LogReturn()), FEATURES, scaler, panel, window=env.window
    )
    assert check.is_clean, (check.leaks, check.faults)
    num = 4  # as many of the instruments as the detector looks at
    assert check.num_values == num * len(scaler.names_F) + 3 * num + 3 + 1


def test_joint_agent_that_sees_the_next_bar_of_one_instrument_is_found(panel_of) -> None:
    class Linear(Scripted):
        """Weighs the newest features; ``ahead`` reads the bar after the decision of the last instrument."""

        def __init__(self, ahead: int) -> None:
            self.env, self.ahead = Portfolio(window=4), ahead

        def act(self, observation: dict[str, torch.Tensor], market: MarketTensors, generator: Any) -> Acted:
            features = market.joint_features.unflatten(1, (market.num_instruments, -1))
            seen_BN = features[observation["index"]].sum(-1)
            ahead_B = torch.clamp(observation["index"] + self.ahead, max=market.num_bars - 1)
            seen_BN[:, -1] = features[ahead_B, -1].sum(-1)
            return Acted(torch.tanh(seen_BN + observation["portfolio"].sum(-1, keepdim=True)), None)

    panel = panel_of(200, 6)
    _, scaler = compute_features(FEATURES, panel, (Range(0, 100),), None)
    for ahead, is_clean in ((0, True), (1, False)):
        check = check_policy(Policy(agent=Linear(ahead), name="linear"), FEATURES, scaler, panel, window=4)
        assert check.is_clean is is_clean, check.faults
    assert check.leaks[0].name == "weights"


def test_accounts_of_one_instrument_each_put_in_their_part_of_the_capital(panel, features) -> None:
    class Holder(Scripted):
        """Wants all of every account in its instrument."""

        env = Continuous(window=2)

        def act(self, observation: dict[str, torch.Tensor], market: MarketTensors, generator: Any) -> Acted:
            return Acted(torch.ones(len(observation["index"]), 1), None)

    weights_TN = Policy(agent=Holder()).decide(panel, features, Range(100, 120)).weights_TN
    np.testing.assert_array_equal(weights_TN, np.full((20, 3), 1.0 / 3.0))
