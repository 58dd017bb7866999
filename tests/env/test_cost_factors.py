"""Costs of training episodes: drawn per episode, grown by the curriculum, never seen by an evaluation."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import distributed

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.portfolio import Portfolio
from tradewright.env.simulator import Simulator
from tradewright.env.trading import MarketEnv
from tradewright.env.world import Stage
from tradewright.errors import ConfigError
from tradewright.features.features import Features
from tradewright.market.rules import AccountRules, Costs
from tradewright.reward.log_return import LogReturn

PROPORTIONAL = Costs(fee_bps=20.0, slippage_bps=10.0, cash_rate=0.03, borrow_rate=0.05)
EVERY = Costs(fee_bps=20.0, fixed_fee=2.0, per_share_fee=0.01, slippage_bps=10.0, impact=0.5)
NUM_ENVS = 32


def simulator_of(panel: Panel, costs: Costs, *, num: int = NUM_ENVS, seed: int | None = 0, **keys: Any) -> Simulator:
    x_TNF = np.zeros((*panel.close_TN.shape, 1), dtype=np.float32)
    return Simulator(
        market=MarketTensors.build(panel, Features(x_TNF=x_TNF, names_F=("zero",), ready_from=0)),
        env=Continuous(**{"window": 1, "episode_bars": 20, **keys}),
        rules=AccountRules(costs=costs),
        rows=Range(0, panel.num_bars),
        num_envs=num,
        reward=LogReturn(),
        generator=None if seed is None else torch.Generator().manual_seed(seed),
    )


@pytest.mark.parametrize("costs", [PROPORTIONAL, EVERY], ids=["lean", "full"])
@pytest.mark.parametrize("factor", [0.0, 0.5, 3.0])
def test_factor_is_the_same_as_that_many_times_the_costs(
    panel_of: Callable[..., Panel], costs: Costs, factor: float
) -> None:
    """The oracle is an account whose configured costs are multiplied by hand."""
    names = ("fee_bps", "fixed_fee", "per_share_fee", "slippage_bps", "slippage_ticks", "impact")
    rates = {"cash_rate": costs.cash_rate, "borrow_rate": costs.borrow_rate}
    by_hand = Costs(**{name: factor * getattr(costs, name) for name in names}, **rates)
    panel = panel_of(200)
    drawn, expected = simulator_of(panel, costs, cost_range=(factor, factor)), simulator_of(panel, by_hand)
    expected.load_state_dict({name: x for name, x in drawn.state_dict().items() if name != "costs"})
    generator = torch.Generator().manual_seed(1)
    for _ in range(19):
        weights_B = torch.rand(NUM_ENVS, generator=generator, dtype=torch.float64) * 2 - 1
        drawn.step_weights(weights_B)
        expected.step_weights(weights_B)
    torch.testing.assert_close(drawn.equity_B, expected.equity_B, rtol=1e-12, atol=0)
    assert drawn.equity_B.std() > 0


def test_every_episode_draws_its_own_factor_uniformly(panel_of: Callable[..., Panel]) -> None:
    simulator = simulator_of(panel_of(200), PROPORTIONAL, num=20_000, cost_range=(0.5, 2.0))
    factor_B = simulator.costs.factor_B
    assert 0.5 <= float(factor_B.min()) < 0.51
    assert 1.99 < float(factor_B.max()) <= 2.0
    assert float(factor_B.mean()) == pytest.approx(1.25, abs=0.02)
    restarted = torch.arange(20_000) % 2 == 0
    before = factor_B.clone()
    simulator.restart(restarted)
    after = simulator.costs.factor_B
    assert torch.equal(after[~restarted], before[~restarted])
    assert float((after[restarted] == before[restarted]).double().mean()) < 0.01


@pytest.mark.parametrize("cost_range", [None, (0.2, 3.0)])
def test_curriculum_grows_the_highest_factor_from_nothing(
    panel_of: Callable[..., Panel], cost_range: tuple[float, float] | None
) -> None:
    high = 1.0 if cost_range is None else cost_range[1]
    simulator = simulator_of(
        panel_of(200), PROPORTIONAL, num=1_000, cost_range=cost_range, cost_curriculum_frames=10_000
    )
    assert float(simulator.costs.factor_B.max()) == 0.0
    everyone = torch.ones(1_000, dtype=torch.bool)
    for number in range(1, 16):
        simulator.step_weights(torch.ones(1_000, dtype=torch.float64))
        simulator.restart(everyone)
        highest = high * min(1.0, number / 10)
        assert float(simulator.costs.factor_B.max()) == pytest.approx(highest, rel=0.02)
        assert float(simulator.costs.factor_B.max()) <= highest + 1e-12
        if cost_range is None:
            assert float(simulator.costs.factor_B.min()) == pytest.approx(highest, rel=1e-12)
    assert float(simulator.costs.factor_B.min()) >= (1.0 if cost_range is None else 0.2) - 1e-12


def _step_in_process(rank: int, panel: Panel, folder: Path) -> None:
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    simulator = simulator_of(panel, PROPORTIONAL, num=100, seed=rank, cost_curriculum_frames=1_000)
    simulator.step_weights(torch.ones(100, dtype=torch.float64))
    simulator.restart(torch.ones(100, dtype=torch.bool))
    torch.save(simulator.costs.factor_B, folder / f"{rank}.pt")
    distributed.destroy_process_group()


def test_curriculum_counts_the_frames_of_all_processes(panel_of: Callable[..., Panel], tmp_path: Path) -> None:
    """Two processes of 100 accounts are a fifth of the way to 1,000 frames after one step."""
    torch.multiprocessing.start_processes(
        _step_in_process, args=(panel_of(50), tmp_path), nprocs=2, start_method="fork"
    )
    for rank in range(2):
        torch.testing.assert_close(torch.load(tmp_path / f"{rank}.pt"), torch.full((100,), 0.2, dtype=torch.float64))


def test_evaluation_pays_the_configured_costs(panel_of: Callable[..., Panel]) -> None:
    panel = panel_of(200)
    keys = {"cost_range": (5.0, 5.0), "cost_curriculum_frames": 1_000}
    judged, plain = (simulator_of(panel, PROPORTIONAL, seed=None, num=1, **x) for x in (keys, {}))
    assert judged.costs is None
    for number in range(50):
        weights_B = torch.tensor([(-1.0) ** number], dtype=torch.float64)
        judged.step_weights(weights_B)
        plain.step_weights(weights_B)
    assert torch.equal(judged.equity_B, plain.equity_B)


def test_drawn_costs_continue_bit_for_bit(panel_of: Callable[..., Panel]) -> None:
    panel = panel_of(200)
    keys = {"cost_range": (0.0, 2.0), "cost_curriculum_frames": 2_000}
    one, other = (simulator_of(panel, PROPORTIONAL, seed=seed, **keys) for seed in (0, 1))

    def advance(simulator: Simulator, num: int) -> list[float]:
        out: list[float] = []
        for number in range(num):
            moved = simulator.step(torch.full((NUM_ENVS, 1), (-1.0) ** number))
            simulator.restart(moved.terminated_B | moved.truncated_B)
            out += simulator.equity_B.tolist() + simulator.costs.factor_B.tolist()
        return out

    advance(one, 33)
    other.load_state_dict(one.state_dict())
    assert advance(one, 60) == advance(other, 60)


@pytest.mark.parametrize("given", [(1.0,), (-0.1, 1.0), (2.0, 1.0)])
def test_impossible_range_is_refused(given: Any) -> None:
    with pytest.raises(ValueError, match=r"^cost_range must be null or \[low, high\] with 0 <= low <= high, was \["):
        Continuous(cost_range=given)


def test_negative_curriculum_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^cost_curriculum_frames must be >= 0, was -1"):
        Continuous(cost_curriculum_frames=-1)


REFUSAL = r"^env.cost_range must leave .*, was 1000 there: slippage_bps must be < 10000, was 10000.*; lower it or "


def test_factor_that_brings_slippage_to_the_price_is_refused(panel_of: Callable[..., Panel]) -> None:
    with pytest.raises(ConfigError, match=REFUSAL):
        simulator_of(panel_of(100), Costs(slippage_bps=10.0), cost_range=(1.0, 1_000.0))


@pytest.mark.parametrize("kind", [Continuous, Portfolio])
def test_impossible_factor_is_refused_before_anything_trains(
    panel_of: Callable[..., Panel], kind: type[MarketEnv]
) -> None:
    panel = panel_of(30)
    x_TNF = np.zeros((*panel.close_TN.shape, 1), dtype=np.float32)
    stage = Stage(
        panel=panel,
        features=Features(x_TNF=x_TNF, names_F=("zero",), ready_from=0),
        rows=(Range(0, 30),),
        rules=AccountRules(costs=Costs(slippage_bps=10.0)),
        reward=LogReturn(),
    )
    with pytest.raises(ConfigError, match=REFUSAL):
        kind(cost_range=(1.0, 1_000.0)).on(stage)
    assert kind(cost_range=(1.0, 999.0)).on(stage).cost_range == (1.0, 999.0)
