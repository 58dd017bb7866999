"""``BacktestResult``: what a backtest leaves behind, the input of metrics, reports and comparisons.

Legend: T bars of the judged range, N instruments. Money is float64 in the account's currency.
"""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Fill:
    """One executed, forced or rejected order.

    ``bar`` counts from the first bar of the judged range. ``quantity`` is signed (buy > 0) and 0 for a rejection;
    ``price`` includes slippage (of a rejection: the open, or the last mark); ``fee`` and ``slippage`` are money, both
    >= 0; ``reason`` is the name of a ``market.rules.Reason`` in lower case.
    """

    bar: int
    ts: np.datetime64
    symbol: str
    quantity: float
    price: float
    fee: float
    slippage: float
    reason: str


@dataclass(frozen=True, kw_only=True)
class Trade:
    """One round trip, flat to flat; ``exit_*`` are None while it is open, and it is marked at the last close.

    Quantities and prices before a split are restated in the shares of the trade's end. A roll does not end a trade: its
    prices are those that were traded, whichever contract that was, and what lies between two contracts is no profit.
    Bars count from the first bar of the judged range. ``pnl == gross_pnl - costs`` and
    ``costs == fees + slippage + borrow + funding - dividends``; over all trades, open ones included,
    ``sum(pnl) - interest paid`` is the change of equity.

    Args:
        symbol: The instrument.
        side: ``long`` or ``short``.
        quantity: Largest signed position reached.
        entry_price, exit_price: Quantity-weighted averages of the fills, slippage included.
        pnl: Money, net of all costs below.
        gross_pnl: Money that the moves of the price made, at prices without slippage.
        costs: Money that all costs of the trade took.
        fees, slippage: Money paid at the fills, >= 0 (those of a reversing fill are split by quantity).
        borrow, funding: Money paid while the position was held; funding received is negative.
        dividends: Money received while it was held; paid by a short it is negative.
        return_fraction: ``pnl`` over the largest position's value at the entry price.
        holding_bars: Bars from the first to the last fill (to the last bar of an open trade).
        holding_days: Days between the opens of these bars.
        mae: Maximum adverse excursion: how far the price moved against the average entry price, as a fraction of it,
            >= 0, by the lows (of shorts: highs) from the bar of the first fill to the bar of the last, both included;
            of an open trade to the last bar.
        mfe: Maximum favourable excursion, likewise by the highs (of shorts: lows).
        entry_reason, exit_reason: Names of the first and last fill's ``market.rules.Reason``; ``open`` while open.
    """

    symbol: str
    side: str
    quantity: float
    entry_bar: int
    entry_ts: np.datetime64
    entry_price: float
    exit_bar: int | None
    exit_ts: np.datetime64 | None
    exit_price: float | None
    pnl: float
    costs: float
    return_fraction: float
    holding_bars: int
    exit_reason: str
    entry_reason: str = "order"
    holding_days: float = math.nan
    gross_pnl: float = math.nan
    fees: float = math.nan
    slippage: float = math.nan
    borrow: float = math.nan
    funding: float = math.nan
    dividends: float = math.nan
    mae: float = math.nan
    mfe: float = math.nan


@dataclass(frozen=True, kw_only=True)
class BacktestResult:
    """The account's history over one range.

    Args:
        name: Strategy name as tables print it.
        ts_T: Bar opens; equity is marked at each bar's close.
        equity_T: Equity at the close; ``equity_T[0]`` is the initial cash (the first decision is made there).
        weights_TN: Signed fraction of equity actually held at each close.
        cash_T: Cash at the close; ``cash_T + positions' value == equity_T``.
        fills: Every fill and rejection, in time order.
        trades: Closed trades, then open ones (``exit_ts`` None).
        costs: Money by kind over the range: ``fees``, ``slippage``, ``borrow``, ``funding``, ``dividends`` and
            ``interest`` (what is received is negative).
        ended_at: Bar at which the account went bankrupt, or None.
        confidence_TN: How sure the strategy was of what it decided at each close, in [0, 1]; NaN unknown; None: it
            never says. Only reports read it.
        mark_TN: Price at which each close was marked, NaN before an instrument's first bar; None: not kept.
    """

    name: str
    ts_T: npt.NDArray[np.datetime64]
    timeframe_s: int
    periods_per_year: float
    symbols: tuple[str, ...]
    initial_cash: float
    equity_T: Float
    weights_TN: Float
    cash_T: Float
    fills: tuple[Fill, ...]
    trades: tuple[Trade, ...]
    costs: dict[str, float]
    ended_at: int | None = None
    confidence_TN: Float | None = None
    mark_TN: Float | None = None
