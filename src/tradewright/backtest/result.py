"""``BacktestResult``: what a backtest leaves behind, the input of metrics, reports and comparisons.

Legend: T bars of the judged range, N instruments. Money is float64 in the account's currency.
"""

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
    """One round trip, flat to flat; ``exit_*`` are None while it is open.

    ``quantity`` is the largest signed position reached; ``entry_price`` and ``exit_price`` are quantity-weighted
    averages; bars count from the first bar of the judged range; ``pnl`` is money net of ``costs`` (fees; slippage is
    inside the prices; borrow is not attributed to trades); ``holding_bars`` counts bars from the first to the last
    fill. For an open trade ``pnl`` is marked at the last close and ``exit_reason`` is ``open``.
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
        costs: Money by kind over the range: ``fees``, ``slippage``, ``borrow``, ``interest`` (earned is negative).
        ended_at: Bar at which the account went bankrupt, or None.
        confidence_TN: How sure the strategy was of what it decided at each close, in [0, 1]; NaN unknown; None: it never
            says. Only reports read it.
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
