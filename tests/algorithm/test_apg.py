"""The analytic policy gradient: equal to finite differences through fees, slippage and shorts; resuming.

That it learns is shown in ``test_planted_signal.py``.
"""

from dataclasses import replace
from functools import partial
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from test_ppo import trainer_of
from torch import nn

from tradewright.algorithm.analytic_stream import AnalyticStream, Unrolled
from tradewright.algorithm.apg import APG, find_jumps, objective_of
from tradewright.algorithm.data_module import AgentDataModule
from tradewright.backtest.vectorized import Vectorized
from tradewright.callbacks.checkpoints import BestCheckpoint, LastCheckpoint, newest_checkpoint
from tradewright.callbacks.curves import Curves
from tradewright.env.continuous import Continuous
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.simulator import Simulator
from tradewright.errors import ConfigError, MarketError
from tradewright.market.instrument import Instrument
from tradewright.market.rules import Costs
from tradewright.model.mlp import MLP

MODEL = partial(MLP, hidden=[16])
DEAR = Costs(fee_bps=20.0, slippage_bps=10.0, per_share_fee=0.02, borrow_rate=0.2, cash_rate=0.05)


def apg_of(setting, **keys) -> APG:
    known = {"total_frames": 512, "num_envs": 8, "horizon_bars": 16, "iterations_per_epoch": 1}
    return APG(setting=setting, model=MODEL, **{**known, **keys})


class Watched(Simulator):
    """Accounts that show float64 numbers, so that finite differences are not lost in the rounding of observations."""

    def observe(self) -> dict[str, torch.Tensor]:
        view = self.view()
        window_BWF = self.market.features[self.row_B].to(torch.float64)
        account_BP = torch.stack((view.weight_B, view.cash_fraction_B, 1.0 - self.equity_B / self.peak_B), dim=-1)
        return {"x": torch.cat((window_BWF, account_BP), dim=-1)}


def stream_of(setting, *, rules: dict, env: Continuous, horizon_bars: int = 12, gamma: float = 1.0, **market):
    """A stream of watched accounts and its policy of 30 weights in float64."""
    torch.manual_seed(0)
    stage = setting.stage
    width = stage.features.x_TNF.shape[-1] + 3
    policy = nn.Sequential(nn.Linear(width, 3), nn.Tanh(), nn.Linear(3, 1), nn.Tanh()).double()
    world = Watched(
        market=MarketTensors.build(stage.panel, stage.features),
        env=env,
        rules=Vectorized(**{"costs": DEAR, **rules}).rules,
        rows=stage.rows,
        num_envs=6,
        generator=torch.Generator().manual_seed(3),
    )
    return AnalyticStream(
        world=world,
        policy=lambda observation: policy(observation["x"]),
        horizon_bars=horizon_bars,
        num_iterations=1,
        gamma=gamma,
        generator=torch.Generator(),
    ), policy


@pytest.mark.parametrize("objective", ["sharpe", "log_return"])
@pytest.mark.parametrize(
    ("rules", "env"),
    [
        ({}, Continuous(window=1, episode_bars=64)),
        ({}, Continuous(window=1, episode_bars=5)),
        ({"leverage": 2.0, "delay_bars": 2}, Continuous(window=1, lowest_weight=-2.0, highest_weight=2.0)),
        ({"allow_short": False}, Continuous(window=1, lowest_weight=-0.3)),
        ({"sizing": "decision", "cash_buffer": 0.02}, Continuous(window=1)),
        ({}, Continuous(window=1, rebalance_threshold=0.2)),
    ],
    ids=["plain", "restarts", "levered and delayed", "shorts cut", "sized at the decision", "no orders"],
)
def test_gradient_equals_finite_differences(setting_of, objective: str, rules: dict, env: Continuous) -> None:
    """Through fees, slippage, borrow and interest, shorts and episodes that restart inside the chunk."""
    stream, policy = stream_of(setting_of(), rules=rules, env=env)
    start = stream.world.state_dict()

    def value() -> torch.Tensor:
        stream.world.load_state_dict(start)
        return objective_of(stream.unroll(), objective)

    weights = list(policy.parameters())
    with torch.no_grad():
        for weight in weights:
            weight.mul_(3.0)  # so that positions change from bar to bar
    gradient = torch.cat([g.flatten() for g in torch.autograd.grad(value(), weights)])
    assert torch.isfinite(gradient).all()
    flat = torch.nn.utils.parameters_to_vector(weights).detach()
    step, found = 1e-7, []
    with torch.no_grad():
        for i in range(len(flat)):
            ends = []
            for sign in (1.0, -1.0):
                moved = flat.clone()
                moved[i] += sign * step
                torch.nn.utils.vector_to_parameters(moved, weights)
                ends.append(float(value()))
            found.append((ends[0] - ends[1]) / (2 * step))
    assert float(gradient.norm()) > 1e-3
    np.testing.assert_allclose(gradient.numpy(), found, rtol=2e-4, atol=2e-6 * float(gradient.abs().max()) + 1e-7)


def test_gradient_of_a_discount_counts_later_effects_less(setting_of) -> None:
    """With gamma near zero only the bar that an action trades in passes back: the gradient of one-bar chunks."""
    env = Continuous(window=1, episode_bars=64)

    def gradient(horizon: int, gamma: float) -> torch.Tensor:
        stream, policy = stream_of(setting_of(), rules={}, env=env, horizon_bars=horizon, gamma=gamma)
        total = [stream.unroll().return_SB.sum() for _ in range(12 // horizon)]
        return torch.cat([g.flatten() for g in torch.autograd.grad(sum(total), list(policy.parameters()))])

    np.testing.assert_allclose(gradient(12, 1e-12), gradient(1, 1.0), rtol=1e-6, atol=1e-10)
    assert not torch.allclose(gradient(12, 1.0), gradient(1, 1.0), rtol=1e-3)


def test_discount_changes_the_gradient_and_not_the_equity(setting_of) -> None:
    env = Continuous(window=1, episode_bars=8)
    exact, faded = (stream_of(setting_of(), rules={}, env=env, gamma=g)[0].unroll().return_SB for g in (1.0, 0.7))
    assert torch.equal(exact, faded)


def test_objectives_equal_their_formulas() -> None:
    rng = np.random.default_rng(0)
    returns = rng.normal(0.001, 0.02, (16, 5))
    ended = np.zeros((16, 5), dtype=bool)
    returns[3, 1], ended[3, 1] = -1.2, True
    chunk = Unrolled(torch.tensor(returns), torch.tensor(ended))
    assert float(objective_of(chunk, "sharpe")) == pytest.approx(returns.mean() / returns.std(ddof=1), rel=1e-12)
    growth = [r if gone else np.log(1 + r) for r, gone in zip(returns.ravel(), ended.ravel(), strict=True)]
    assert float(objective_of(chunk, "log_return")) == pytest.approx(100 * np.mean(growth), rel=1e-12)
    assert np.isnan(float(objective_of(Unrolled(torch.zeros(4, 2), torch.zeros(4, 2, dtype=torch.bool)), "sharpe")))


def test_bankrupt_account_passes_back_numbers() -> None:
    return_SB = torch.tensor([[0.01], [-1.5], [-1.0]], dtype=torch.float64, requires_grad=True)
    objective_of(Unrolled(return_SB, torch.tensor([[False], [True], [True]])), "log_return").backward()
    np.testing.assert_allclose(return_SB.grad.ravel(), [100 / 3 / 1.01, 100 / 3, 100 / 3])


def test_policy_that_holds_nothing_has_no_sharpe_ratio_and_keeps_its_weights(setting_of, tmp_path: Path) -> None:
    lightning.seed_everything(0, verbose=False)
    agent = apg_of(setting_of(env=Continuous(window=2, episode_bars=64, lowest_weight=0.0)))
    with torch.no_grad():
        agent.actor.head.bias.fill_(-50.0)
    before = nn.utils.parameters_to_vector(agent.parameters()).detach().clone()
    trainer = trainer_of(tmp_path, 1)
    trainer.fit(agent, AgentDataModule(agent))
    assert torch.equal(before, nn.utils.parameters_to_vector(agent.parameters()))
    assert np.isnan(float(trainer.callback_metrics["train/sharpe"]))


def test_gradient_that_is_no_number_is_refused(setting_of) -> None:
    agent = apg_of(setting_of())
    agent.actor.head.bias.grad = torch.tensor([torch.nan])
    with pytest.raises(MarketError, match=r"the gradient of actor.head.bias is not finite"):
        agent.on_after_backward()


def test_accounts_go_on_from_chunk_to_chunk_and_only_the_graph_is_cut(setting_of) -> None:
    stream = apg_of(setting_of()).stream()
    stream.unroll()
    bar_B, equity_B = stream.world.bar_B.clone(), stream.world.equity_B.clone()
    assert not any(value.requires_grad for value in stream.world.state_dict()["account"].values())
    second = stream.unroll()
    assert stream.frames == 2 * 16 * 8
    assert torch.equal(stream.world.bar_B, bar_B + 16)
    growth_B = torch.prod(1.0 + second.return_SB, dim=0)
    np.testing.assert_allclose((equity_B * growth_B).detach(), stream.world.equity_B, rtol=1e-12)
    second.return_SB.sum().backward()  # would fail on a graph that reaches back into the first chunk


def test_training_orders_every_change_and_judging_keeps_the_threshold(setting_of) -> None:
    agent = apg_of(setting_of(env=Continuous(window=2, episode_bars=64, rebalance_threshold=0.3)))
    assert agent.env.rebalance_threshold == 0.3
    assert agent.stream().world.env.rebalance_threshold == 0.0


def test_same_seed_twice_is_equal_and_another_seed_differs(setting_of, tmp_path: Path) -> None:
    def weights(seed: int) -> torch.Tensor:
        lightning.seed_everything(seed, verbose=False)
        agent = apg_of(setting_of(seed=seed))
        trainer_of(tmp_path, 2).fit(agent, AgentDataModule(agent))
        return nn.utils.parameters_to_vector(agent.parameters()).detach()

    first = weights(1)
    assert torch.equal(first, weights(1))
    assert not torch.equal(first, weights(2))


@pytest.mark.row("B46")
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(setting_of, tmp_path: Path) -> None:
    def fit(folder: Path, epochs: int, resume: bool = False) -> tuple[APG, Curves]:
        lightning.seed_everything(0, verbose=False)
        agent = apg_of(setting_of())
        curves = Curves()
        callbacks = [BestCheckpoint(directory=folder), LastCheckpoint(directory=folder), curves]
        checkpoint = newest_checkpoint(folder) if resume else None
        trainer_of(folder, epochs, callbacks).fit(
            agent, AgentDataModule(agent), ckpt_path=checkpoint, weights_only=True
        )
        return agent, curves

    whole, whole_curves = fit(tmp_path / "whole", 4)
    fit(tmp_path / "parts", 2)
    parts, parts_curves = fit(tmp_path / "parts", 4, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name
    assert whole_curves.curves == parts_curves.curves
    streams = [torch.load(tmp_path / f / "last.ckpt", weights_only=True)["AgentDataModule"] for f in ("whole", "parts")]
    assert str(streams[0]) == str(streams[1])


def test_accounting_that_jumps_is_refused_by_name(setting_of) -> None:
    setting = setting_of(rules=Vectorized(stop_loss=0.05, costs=Costs(fixed_fee=1.0)).rules)
    with pytest.raises(ConfigError, match=r"backtest.stop_loss must be off, was 0.05; backtest.costs.fixed_fee must"):
        apg_of(setting)
    stage = setting_of().stage
    panel = replace(stage.panel, instruments=(Instrument(symbol="ES", lot=1.0),))
    env = Continuous(entry_signal=True)
    assert find_jumps(env, replace(stage, panel=panel)) == [
        "env.entry_signal must be off, was True",
        "ES can only be traded in whole lots",
    ]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"lr": 0.0}, "lr must be > 0, was 0"),
        ({"horizon_bars": 0}, "horizon_bars must be > 0, was 0"),
        ({"objective": "profit"}, "objective must be one of sharpe, log_return, was 'profit'"),
        ({"gamma": 0.0}, r"gamma must be in \(0, 1\], was 0"),
    ],
)
def test_bad_arguments_are_refused(setting_of, keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        apg_of(setting_of(), **keys)
