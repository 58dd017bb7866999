"""Money is conserved, and both forms agree, for shared cash over many instruments under random rules and events."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from market_cases import random_panel, random_weights
from tradewright.backtest import vectorized
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.market.instrument import Instrument
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs

NUM_SEEDS = 40
NUM_MORE_SEEDS = 2_000


def random_market(rng: np.random.Generator) -> Panel:
    """Return instruments with their own ticks, lots and multipliers, gaps, volumes and events."""
    num, num_bars = int(rng.choice([1, 2, 4, 30])), int(rng.integers(5, 60))
    panel = random_panel(
        int(rng.integers(1 << 30)), num_bars, num, missing=float(rng.choice([0.0, 0.15])), volatility=0.04
    )
    shape = panel.close_TN.shape
    instruments = tuple(
        Instrument(symbol=f"S{n}", multiplier=float(rng.choice([1, 50])), tick=0.25, lot=float(rng.choice([0, 1, 0.1])))
        for n in range(num)
    )

    def sometimes(values: Any) -> Any:
        return np.asarray(values, dtype=np.float64) if rng.random() < 0.4 else None

    roll_from = sometimes(np.where(rng.random(shape) < 0.1, rng.uniform(80, 120, shape), np.nan))
    return replace(
        panel,
        instruments=instruments,
        volume_TN=np.where(panel.tradable_TN, rng.lognormal(10.0, 0.5, shape), 0.0),
        split_TN=sometimes(rng.choice([1.0] * 8 + [2.0, 0.5], shape)),
        dividend_TN=sometimes(rng.choice([0.0, 0.0, 0.3], shape)),
        borrow_TN=sometimes(rng.choice([np.nan, 0.02, 0.5], shape)),
        funding_TN=sometimes(rng.choice([0.0, 1e-3, -1e-3], shape)),
        roll_from_TN=roll_from,
        roll_to_TN=None if roll_from is None else roll_from * rng.uniform(0.95, 1.05),
    )


def random_positions(rng: np.random.Generator, panel: Panel) -> Positions:
    shape = panel.close_TN.shape
    near_TN = np.nan_to_num(panel.close_TN, nan=100.0) * rng.uniform(0.95, 1.05, shape)
    kind_TN = rng.random(shape)
    has_entries = rng.random() < 0.5
    return Positions(
        weights_TN=random_weights(rng, shape, 1.5 / shape[1]),
        stop_loss_TN=np.where(rng.random(shape) < 0.5, np.nan, 0.05) if rng.random() < 0.5 else None,
        limit_TN=np.where(kind_TN < 0.3, near_TN, np.nan) if has_entries else None,
        stop_TN=np.where(kind_TN > 0.7, near_TN, np.nan) if has_entries else None,
    )


def check_identity(seed: int, patch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(seed)
    panel = random_market(rng)
    positions, rows = random_positions(rng, panel), Range(0, panel.num_bars)
    costs = Costs(
        fee_bps=float(rng.choice([0, 5])), fixed_fee=float(rng.choice([0, 1])), slippage_bps=float(rng.choice([0, 3])),
        slippage_ticks=float(rng.choice([0, 1])), impact=float(rng.choice([0, 0.2])),
        borrow_rate=float(rng.choice([0, 0.1])), cash_rate=float(rng.choice([0, 0.04])),
    )  # fmt: skip
    backtest = Vectorized(
        leverage=float(rng.choice([1, 3])), allow_short=bool(rng.random() < 0.7), trailing=rng.choice([None, 0.08]),
        sizing=str(rng.choice(["fill", "decision"])), delay_bars=int(rng.choice([0, 1])),
        min_notional=float(rng.choice([0, 200])), max_participation=rng.choice([None, 0.005]), costs=costs,
        initial_cash=1e5,
    )  # fmt: skip
    results = []
    for wide_from in (1, 1_000):
        patch.setattr(vectorized, "WIDE_FROM", wide_from)
        results.append(backtest.run(panel, positions, rows, name="x"))
    wide, result = results
    np.testing.assert_array_equal(wide.equity_T, result.equity_T, err_msg=f"seed {seed}")
    assert (wide.fills, wide.trades, wide.costs) == (result.fills, result.trades, result.costs), f"seed {seed}"
    scale = max(1e5, float(np.abs(result.equity_T).max()), float(np.abs(result.cash_T).max()))
    earned = sum(trade.pnl for trade in result.trades) - result.costs["interest"]
    assert earned == pytest.approx(result.equity_T[-1] - 1e5, abs=1e-9 * scale), f"seed {seed}"
    for kind in ("fees", "slippage", "borrow", "funding", "dividends"):
        total = sum(getattr(trade, kind) for trade in result.trades) * (-1 if kind == "dividends" else 1)
        assert total == pytest.approx(result.costs[kind], rel=1e-9, abs=1e-9 * scale), f"{kind}, seed {seed}"
    held_T = (result.weights_TN * result.equity_T[:, None]).sum(axis=1)
    np.testing.assert_allclose(result.cash_T + held_T, result.equity_T, rtol=1e-12, atol=1e-9 * scale)
    for trade in result.trades:
        assert trade.pnl == pytest.approx(trade.gross_pnl - trade.costs, abs=1e-9 * scale)
        assert trade.mae >= 0 <= trade.mfe
        assert trade.holding_bars >= 0


@pytest.mark.row("L39")
@pytest.mark.row("B29")
def test_money_is_conserved_and_both_forms_agree_in_random_markets(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(NUM_SEEDS):
        check_identity(seed, monkeypatch)


@pytest.mark.slow
def test_money_is_conserved_in_many_random_markets(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(NUM_SEEDS, NUM_SEEDS + NUM_MORE_SEEDS):
        check_identity(seed, monkeypatch)
