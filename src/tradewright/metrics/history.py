"""``History``: the account history that metrics read, as structure only, so that this floor imports no backtester.

``backtest.result.BacktestResult`` satisfies it; so does anything else with these read-only attributes.
Legend: T bars of the judged range, N instruments. Money is float64 in the account's currency.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]
Time = npt.NDArray[np.datetime64]


class TradeRecord(Protocol):
    """One round trip, flat to flat; ``exit_ts`` is None while it is open."""

    @property
    def exit_ts(self) -> np.datetime64 | None: ...
    @property
    def pnl(self) -> float: ...
    @property
    def holding_bars(self) -> int: ...


class FillRecord(Protocol):
    """One executed or rejected order; a rejection has ``quantity`` 0."""

    @property
    def bar(self) -> int: ...
    @property
    def symbol(self) -> str: ...
    @property
    def quantity(self) -> float: ...
    @property
    def price(self) -> float: ...


class History(Protocol):
    """The account over one range; the fields mean what ``backtest.result.BacktestResult`` documents."""

    @property
    def ts_T(self) -> Time: ...
    @property
    def timeframe_s(self) -> int: ...
    @property
    def periods_per_year(self) -> float: ...
    @property
    def equity_T(self) -> Float: ...
    @property
    def weights_TN(self) -> Float: ...
    @property
    def fills(self) -> Sequence[FillRecord]: ...
    @property
    def trades(self) -> Sequence[TradeRecord]: ...
    @property
    def costs(self) -> Mapping[str, float]: ...
    @property
    def ended_at(self) -> int | None: ...
