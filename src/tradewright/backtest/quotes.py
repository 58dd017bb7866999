"""From a panel and the rules of execution to what the accounting is given: ``Quotes`` and ``Decided``.

Legend: T bars of the range, N instruments, K finer bars inside a bar.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.backtest.checks import check_events, check_positions
from tradewright.backtest.execution import DISTANCES, ExecutionRules
from tradewright.backtest.own_bars import liquidity, relative_true_range
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.data.timeframe import parse_timeframe
from tradewright.errors import MarketError
from tradewright.market.ledger import Decided, Quotes
from tradewright.market.positions import Positions

Float = npt.NDArray[np.float64]

YEAR = np.timedelta64(365, "D")
POOL_SHARE = 0.1
"""Largest part of a pool's reserve in the present tick range that one order may move: it moves the price by a fifth,
far beyond any tick range, and says nothing about what the pool holds there."""


def quotes_of(panel: Panel, rules: ExecutionRules, rows: Range) -> Quotes:
    """Return the bars of the range with everything that the rules need of them.

    Raises:
        MarketError: The range lies outside the panel, an event is impossible, or the rules need ticks, volumes or finer
            bars that the panel lacks.
    """
    if not 0 <= rows.start < rows.stop <= panel.num_bars:
        raise MarketError(f"rows {rows.start}..{rows.stop} must lie within the {panel.num_bars} bars and not be empty")
    cut = slice(rows.start, rows.stop)
    _check_ticks(panel, rules)
    check_events(panel, cut)
    years_T = np.zeros(len(rows))
    years_T[1:] = np.diff(panel.ts_T[cut]) / YEAR
    impact_TN, capacity_TN = _market_depth(panel, rules, cut)
    pool_TN = None
    if rules.pool_slippage:
        pool_TN, reserve_TN = _pool_depth(panel, cut)
        largest_TN = POOL_SHARE * reserve_TN
        capacity_TN = largest_TN if capacity_TN is None else np.minimum(capacity_TN, largest_TN)
    finer_TKN = _finer(panel, rules, rows)

    def events(values_TN: Float | None) -> Float | None:
        return None if values_TN is None else values_TN[cut]

    borrow_TN = events(panel.borrow_TN)
    if borrow_TN is not None:
        borrow_TN = np.where(np.isnan(borrow_TN), rules.costs.borrow_rate, borrow_TN)
    return Quotes(
        open=panel.open_TN[cut],
        high=panel.high_TN[cut],
        low=panel.low_TN[cut],
        close=panel.close_TN[cut],
        tradable=panel.tradable_TN[cut],
        years=years_T,
        split=events(panel.split_TN),
        dividend=events(panel.dividend_TN),
        borrow=borrow_TN,
        funding=events(panel.funding_TN),
        roll_from=events(panel.roll_from_TN),
        roll_to=events(panel.roll_to_TN),
        impact=impact_TN,
        capacity=capacity_TN,
        pool=pool_TN,
        finer_open=finer_TKN[0],
        finer_high=finer_TKN[1],
        finer_low=finer_TKN[2],
    )


def decided_of(panel: Panel, positions: Positions, rules: ExecutionRules, rows: Range) -> Decided:
    """Return the decisions as they reach the market: with distances in true ranges as fractions, and delayed.

    Raises:
        MarketError: An entry price is impossible.
    """
    check_positions(positions, panel.symbols)
    given = {name: getattr(positions, f"{name}_TN") for name in DISTANCES}
    distances: dict[str, Float | None] = {**given, **default_distances(panel, rules, rows)}
    for name, default_TN in distances.items():
        own_TN = given[name]
        if own_TN is not None and default_TN is not None and default_TN is not own_TN:
            distances[name] = np.where(np.isnan(own_TN), default_TN, own_TN)
    decided = Decided(weights=positions.weights_TN, **distances, limit=positions.limit_TN, stop=positions.stop_TN)
    if not rules.delay_bars:
        return decided
    fields = decided._asdict().items()
    late: dict[str, Any] = {name: x_TN if x_TN is None else delayed(x_TN, rules.delay_bars) for name, x_TN in fields}
    return Decided(**late)


def default_distances(panel: Panel, rules: ExecutionRules, rows: Range) -> dict[str, Float | None]:
    """Return the default distances that are given in true ranges, as fractions of the price at each decision."""
    if not rules.atr_multiples:
        return {}
    range_TN = relative_true_range(panel, rules.atr_bars)[rows.start : rows.stop]
    return {name: multiple * range_TN for name, multiple in rules.atr_multiples.items()}


def delayed(x_TN: Float, num_bars: int) -> Float:
    """Return the decisions ``num_bars`` later, NaN (none) before."""
    late_TN = np.full_like(x_TN, np.nan)
    late_TN[num_bars:] = x_TN[: max(len(x_TN) - num_bars, 0)]
    return late_TN


def _check_ticks(panel: Panel, rules: ExecutionRules) -> None:
    if not rules.costs.slippage_ticks:
        return
    for instrument in panel.instruments:
        if not instrument.tick > 0:
            raise MarketError(
                f"{instrument.symbol}: has no tick, which backtest.costs.slippage_ticks needs; set data.contract, or "
                f"slippage_bps instead"
            )


def _market_depth(panel: Panel, rules: ExecutionRules, cut: slice) -> tuple[Float | None, Float | None]:
    """Return slippage per square root of a share, and the most shares of an order; None: not asked for.

    Where nothing was traded lately, nothing can be traded, so there the capacity is zero.
    """
    impact, participation = rules.costs.impact, rules.max_participation
    if not impact and participation is None:
        return None, None
    has_volume_N = (panel.volume_TN > 0).any(axis=0)
    if not has_volume_N.all():
        symbol = panel.symbols[int(np.argmin(has_volume_N))]
        key = "backtest.costs.impact" if impact else "backtest.max_participation"
        raise MarketError(
            f"{symbol}: has no volume in the data, which {key} needs; set it to its default or add volumes"
        )
    depth = liquidity(panel, rules.impact_bars)
    volume_TN, volatility_TN = depth.volume_TN[cut], depth.volatility_TN[cut]
    is_traded_TN = volume_TN > 0
    impact_TN = None
    if impact:
        impact_TN = np.zeros_like(volume_TN)
        np.divide(impact * volatility_TN, np.sqrt(volume_TN), out=impact_TN, where=is_traded_TN)
    largest_TN = np.inf if participation is None else participation * volume_TN
    return impact_TN, np.where(is_traded_TN, largest_TN, 0.0)


def _pool_depth(panel: Panel, cut: slice) -> tuple[Float, Float]:
    """Return the inverse liquidity and the base tokens held, as known at the close before each bar, ``[T, 1]``.

    Nothing is known before the first bar, in which nothing can be traded either: no slippage, and nothing to move.
    """
    swaps = panel.swaps
    if swaps is None:
        raise MarketError(
            f"backtest.pool_slippage needs the swaps of a pool, '{panel.dataset}' has bars only; use data=swaps or"
            " data=synthetic_swaps, or set it to false"
        )
    last_T = swaps.last_of_bars(panel.known_at_T)[:-1]
    inverse_T1 = np.concatenate([[0.0], 1.0 / swaps.liquidity_K[last_T]])[:, None]
    reserve_T1 = np.concatenate([[0.0], swaps.reserve_K[last_T]])[:, None]
    return inverse_T1[cut], reserve_T1[cut]


def _finer(panel: Panel, rules: ExecutionRules, rows: Range) -> Sequence[Float | None]:
    """Return open, high and low of the finer bars, ``[T, K, N]`` padded with NaN; None where none are used."""
    if rules.finer_timeframe is None:
        return None, None, None
    finer = panel.finer
    if finer is None or finer.timeframe_s != parse_timeframe(rules.finer_timeframe) or finer.symbols != panel.symbols:
        raise MarketError(
            f"backtest.finer_timeframe={rules.finer_timeframe}: the panel of '{panel.dataset}' carries no bars of this "
            f"length; store them (data.timeframe makes the longer ones) or set it to null"
        )
    bar_F = np.searchsorted(panel.ts_T[rows.start : rows.stop], finer.ts_T, side="right") - 1
    inside = np.flatnonzero((bar_F >= 0) & (finer.ts_T < panel.known_at_T[rows.start + np.maximum(bar_F, 0)]))
    bar_F = bar_F[inside]
    first_F = np.searchsorted(bar_F, bar_F, side="left")
    place_F = np.arange(len(bar_F)) - first_F
    shape = (len(rows), int(place_F.max(initial=0)) + 1, len(panel.instruments))
    out = []
    for prices_FN in (finer.open_TN, finer.high_TN, finer.low_TN):
        dense_TKN = np.full(shape, np.nan)
        dense_TKN[bar_F, place_F] = prices_FN[inside]
        out.append(dense_TKN)
    return out
