"""What the tests of ``backtest.many`` share: panels of any timeframe, weights, the figures of one account by one.

Legend: B accounts, T bars, N instruments.
"""

from dataclasses import replace
from typing import Any

import numpy as np

from market_cases import random_panel
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs
from tradewright.market.tally import FIGURES
from tradewright.metrics.summary import summarise

RISK_FREE = 0.02

WELL_CONDITIONED = ("final_equity", "total_return", "volatility", "downside_deviation", "max_drawdown")


def every(panel: Panel, timeframe_s: int) -> Panel:
    """The panel with bars of another length, one after the other."""
    step = np.timedelta64(timeframe_s, "s")
    ts_T = np.datetime64("2020-01-01T00:00:00", "us") + np.arange(panel.num_bars) * step
    return replace(panel, ts_T=ts_T, known_at_T=ts_T + step, timeframe_s=timeframe_s)


def random_market(rng: np.random.Generator, num_bars: int, num: int) -> Panel:
    """Panels of quiet and wild, whole and patchy, daily and intraday instruments, some of them futures."""
    panel = random_panel(
        int(rng.integers(2**31)),
        num_bars,
        num,
        volatility=float(rng.choice([0.001, 0.02, 0.1])),
        missing=float(rng.choice([0.0, 0.1])),
    )
    facts = {"multiplier": float(rng.choice([1.0, 5.0])), "lot": float(rng.choice([0.0, 0.0, 1.0])), "tick": 0.25}
    panel = replace(panel, instruments=tuple(replace(instrument, **facts) for instrument in panel.instruments))
    return every(with_events(rng, panel), int(rng.choice([25_200, 86_400, 86_400])))


def with_events(rng: np.random.Generator, panel: Panel) -> Panel:
    """The panel with volumes and, sometimes, splits, dividends, rates and rolls."""
    shape = panel.close_TN.shape

    def sometimes(values: Any) -> Any:
        return np.asarray(values, dtype=np.float64) if rng.random() < 0.3 else None

    roll_from_TN = sometimes(np.where(rng.random(shape) < 0.1, rng.uniform(80, 120, shape), np.nan))
    return replace(
        panel,
        volume_TN=rng.lognormal(10.0, 0.5, shape),
        split_TN=sometimes(rng.choice([1.0] * 8 + [2.0, 0.5], shape)),
        dividend_TN=sometimes(rng.choice([0.0, 0.0, 0.3], shape)),
        borrow_TN=sometimes(rng.choice([np.nan, 0.02, 0.5], shape)),
        funding_TN=sometimes(rng.choice([0.0, 1e-3, -1e-3], shape)),
        roll_from_TN=roll_from_TN,
        roll_to_TN=None if roll_from_TN is None else roll_from_TN * rng.uniform(0.95, 1.05),
    )


def random_backtester(rng: np.random.Generator) -> Vectorized:
    """Backtesters with any account rules."""

    def sometimes(value: Any, otherwise: Any, chance: float = 0.4) -> Any:
        return value if rng.random() < chance else otherwise

    return Vectorized(
        leverage=sometimes(2.0, 1.0),
        allow_short=bool(rng.random() < 0.6),
        maintenance_margin=sometimes(0.5, 0.25),
        stop_loss=sometimes(0.05, None),
        take_profit=sometimes(0.1, None),
        trailing=sometimes(0.08, None),
        stop_unit=sometimes("atr", "fraction"),
        atr_bars=3,
        min_notional=sometimes(200.0, 0.0),
        max_participation=sometimes(0.005, None),
        sizing=sometimes("decision", "fill"),
        delay_bars=sometimes(1, 0),
        costs=Costs(
            fee_bps=5.0,
            slippage_bps=sometimes(5.0, 0.0),
            slippage_ticks=sometimes(1.0, 0.0),
            impact=sometimes(0.2, 0.0),
            fixed_fee=sometimes(1.0, 0.0),
            borrow_rate=sometimes(0.1, 0.0),
            cash_rate=sometimes(0.03, 0.0),
        ),
    )


def one_by_one(
    backtester: Vectorized, panel: Panel, rows: Range, weights_BTN: np.ndarray, risk_free: float = RISK_FREE
) -> dict[str, np.ndarray]:
    """The figures of a backtest with journal per account."""
    results = (backtester.run(panel, Positions(weights_TN=weights_TN), rows, name="one") for weights_TN in weights_BTN)
    summaries = [summarise(result, risk_free=risk_free) for result in results]
    return {key: np.array([summary[key] for summary in summaries]) for key in FIGURES}


def orders_of(signal_bT: np.ndarray) -> np.ndarray:
    """Weights ``[b, T, 1]`` that order all or nothing at the first bar and where a signal changes."""
    is_order_bT = np.ones_like(signal_bT)
    is_order_bT[:, 1:] = signal_bT[:, 1:] != signal_bT[:, :-1]
    return np.where(is_order_bT, signal_bT, np.nan)[:, :, None]


def assert_equal(got: dict[str, Any], wanted: dict[str, np.ndarray], *, strict: float = 1e-9) -> None:
    """Compare all figures; NaN equals NaN.

    ``strict`` holds for money, dispersion and depth; annual fractions have an error of some 1e-14. Ratios of two of
    these lose digits where one is a small difference of large ones, so they are held to 1e-9; counts are exact.
    """
    assert set(got) == set(wanted) == set(FIGURES)
    for key in FIGURES:
        if key in ("num_trades", "num_wins", "win_rate"):
            np.testing.assert_array_equal(np.asarray(got[key]), wanted[key], err_msg=key)
        else:
            tolerance = (
                {"rtol": strict, "atol": strict / 10} if key in WELL_CONDITIONED else {"rtol": 1e-9, "atol": 1e-10}
            )
            np.testing.assert_allclose(np.asarray(got[key]), wanted[key], **tolerance, err_msg=key)
