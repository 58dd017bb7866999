"""Random entry: the strategy's own positions at random times, so that only timing separates them."""

from dataclasses import replace

import numpy as np
import pytest

from tradewright.backtest.vectorized import Vectorized
from tradewright.data.ranges import Range
from tradewright.evaluate.random_entry import ROTATION, SPELLS, _draw, random_entry
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs

ALL = {"num_random": 99, "risk_free": 0.0, "seed": 0}


def decide(bench, rows: Range, weights_TN: np.ndarray):
    positions = Positions(weights_TN=weights_TN)
    result = bench.backtest.run(bench.panel, positions, rows, name="own")
    return positions, result


def changes(target_T: np.ndarray) -> np.ndarray:
    """Return orders where a 0/1 target changes."""
    is_new = np.diff(target_T, prepend=np.nan) != 0
    return np.where(is_new, target_T, np.nan)[:, None]


def test_perfect_foresight_beats_every_random_entry(bench_of) -> None:
    bench = bench_of()
    rows = Range(0, 600)
    open_T = bench.panel.open_TN[:, 0]
    target = np.zeros(600)
    target[:-2] = open_T[2:] > open_T[1:-1] * 1.005
    positions, result = decide(bench, rows, changes(target))
    found = random_entry(bench, positions, result, rows, **ALL)
    assert found is not None
    assert found.method == SPELLS
    assert found.p_value == pytest.approx(0.01)
    assert found.sharpe > found.sharpe_R.max()


def test_random_timing_gives_uniform_p_values(bench_of) -> None:
    bench = bench_of(400)
    rows = Range(0, 400)
    p_values = []
    for seed in range(60):
        target = np.repeat(np.random.default_rng(seed).integers(0, 2, 40), 10).astype(float)
        positions, result = decide(bench, rows, changes(target))
        found = random_entry(bench, positions, result, rows, num_random=99, risk_free=0.0, seed=1000 + seed)
        assert found is not None
        p_values.append(found.p_value)
    print(f"mean p-value {np.mean(p_values):.3f}")
    assert abs(np.mean(p_values) - 0.5) < 4 * np.sqrt(1 / 12 / 60)
    assert 0 <= np.mean(np.array(p_values) <= 0.1) <= 0.25


def test_turnover_and_exposure_stay_those_of_the_strategy(bench_of, monkeypatch) -> None:
    bench = bench_of(400)
    rows = Range(0, 400)
    target = np.repeat(np.random.default_rng(3).integers(0, 2, 40), 10).astype(float)
    target[-1] = 0.0
    positions, result = decide(bench, rows, changes(target))
    drawn = []
    keep = type(bench.backtest).run_many

    def record(self, panel, weights_BTN, rows):
        drawn.append(weights_BTN)
        return keep(self, panel, weights_BTN, rows)

    monkeypatch.setattr(type(bench.backtest), "run_many", record)
    random_entry(bench, positions, result, rows, **ALL)
    for weights_TN in np.concatenate(drawn):
        moved = bench.backtest.run(bench.panel, Positions(weights_TN=weights_TN), rows, name="moved")
        assert abs(len(moved.fills) - len(result.fills)) <= 1  # a last exit may fall behind the end
        held, own = moved.weights_TN[:, 0] != 0, result.weights_TN[:, 0] != 0
        assert abs(int(held.sum()) - int(own.sum())) <= 1


def test_always_invested_strategies_are_rotated(bench_of) -> None:
    bench = bench_of(300, 3)
    rows = Range(0, 300)
    weights = np.random.default_rng(0).dirichlet(np.ones(3), 300)
    positions, result = decide(bench, rows, weights)
    found = random_entry(bench, positions, result, rows, **ALL)
    assert found is not None
    assert found.method == ROTATION
    assert np.isfinite(found.sharpe_R).all()
    assert np.std(found.sharpe_R) > 0


def test_rotation_carries_the_position_around_the_end(bench_of) -> None:
    """Buy at row 250 and hold to the end: rotated, the position is held from the first row, and closed at the wrap."""
    bench = bench_of(300)
    rows = Range(0, 300)
    weights = np.full((300, 1), np.nan)
    weights[10] = 1.0
    positions, result = decide(bench, rows, weights)
    found = random_entry(bench, positions, result, rows, num_random=30, risk_free=0.0, seed=0)
    assert found is not None
    assert found.method == ROTATION
    assert len(np.unique(found.total_return_R.round(12))) > 20


def test_rotated_strategies_keep_the_position_that_is_in_force_at_the_seam(bench_of) -> None:
    """Always long but for two bars: rotated, the account is long from its first row on."""
    bench = bench_of(200)
    rows = Range(0, 200)
    weights = np.full((200, 1), np.nan)
    weights[0], weights[100], weights[102] = 1.0, 0.0, 1.0
    moved = [_draw(Positions(weights_TN=weights), bench.panel.close_TN, np.random.default_rng(s))[0] for s in range(9)]
    for positions in moved:
        held = bench.backtest.run(bench.panel, positions, rows, name="moved").weights_TN[:, 0] != 0
        assert 195 <= held.sum() <= 199


def test_ties_count_against_the_strategy(bench_of) -> None:
    """A market that never moves: every random strategy earns exactly what the strategy earned, or is undefined."""
    bench = bench_of(200)
    flat = {name: np.full((200, 1), 100.0) for name in ("open_TN", "high_TN", "low_TN", "close_TN")}
    still = replace(bench, panel=replace(bench.panel, **flat), backtest=Vectorized(costs=Costs(fee_bps=1.0)))
    rows = Range(0, 200)
    weights = np.full((200, 1), np.nan)
    weights[50], weights[60] = 1.0, 0.0
    positions, result = decide(still, rows, weights)
    found = random_entry(still, positions, result, rows, **ALL)
    assert found is not None
    assert found.p_value == 1.0


@pytest.mark.parametrize("column", ["trailing_TN", "stop_loss_TN", "limit_TN"])
def test_random_strategies_trade_by_the_same_orders(bench_of, column: str) -> None:
    bench = bench_of(300)
    rows = Range(0, 300)
    target = np.repeat(np.random.default_rng(3).integers(0, 2, 30), 10).astype(float)
    values = {"trailing_TN": 0.01, "stop_loss_TN": 0.01, "limit_TN": bench.panel.close_TN * 0.5}
    column_TN = np.where(target[:, None] > 0, values[column], np.nan)
    positions = Positions(weights_TN=changes(target), **{column: column_TN})
    result = bench.backtest.run(bench.panel, positions, rows, name="own")
    found = random_entry(bench, positions, result, rows, **ALL)
    plain = random_entry(bench, Positions(weights_TN=positions.weights_TN), result, rows, **ALL)
    assert found is not None
    assert plain is not None
    if column == "limit_TN":  # half the price is never reached, at any time
        assert not found.total_return_R.any()
    assert (found.total_return_R != plain.total_return_R).any()


def test_strategy_without_a_position_has_no_random_twin(bench_of) -> None:
    bench = bench_of(200)
    rows = Range(0, 200)
    positions, result = decide(bench, rows, np.full((200, 1), np.nan))
    assert random_entry(bench, positions, result, rows, **ALL) is None
