"""``Staging``: the temporary table into which every source puts its rows, before they are checked and become bars.

Rows keep the file and the row number they came from, so that a fault can be named. ``ts`` is the stamp as written:
naive wall time (``offset_s`` NULL) or an instant in UTC with the offset it was written with. NULL means that a value
is missing or could not be read.

Legend: T bars, N instruments.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import numpy as np
import numpy.typing as npt

from tradewright.data.adjust import Action
from tradewright.data.swap_tape import SwapTape
from tradewright.market.instrument import Instrument

Float = npt.NDArray[np.float64]
RawValue = Callable[[int, str], str | None]
"""Returns the text of one column in one data row (from 1), as the file has it."""

INCOMING = "symbol, ts, offset_s, open, high, low, close, volume"
"""Columns that an INSERT into ``incoming`` fills behind ``file, row``."""

_TABLE = """
CREATE TEMP TABLE incoming(file INTEGER, row BIGINT, symbol VARCHAR, ts TIMESTAMP, offset_s INTEGER, open DOUBLE,
                           high DOUBLE, low DOUBLE, close DOUBLE, volume DOUBLE)
"""


@dataclass
class Staging:
    """Rows on their way into a store, and what is known about them.

    Args:
        connection: The new store; the table ``incoming`` is created in it.
        scratch: Path prefix for scratch files; whatever starts with it is removed at the end.
        files: Names of the files read, indexed by column ``file``.
        raw_values: Per file, how to look a value up for a message.
        instruments: Facts of the symbols; a symbol without an entry is an equity of the source's calendar.
        actions: Splits and dividends.
        remarks: What the user should know, e.g. columns that were not used.
        timeframe_s: Bar length in seconds; None: to be found from the spacing.
        zone: Zone of naive stamps that are not session dates.
        keeps_session_dates: Whether daily stamps at 00:00 stay as they are (see ``clock``).
        has_order: Whether rows come in an order that is to be checked.
        is_synthetic: Whether the bars are generated.
        note: One sentence for reports; may be empty.
        swaps: The swaps that the bars are made of, of one pool; None: the bars are all there is.
        origin_s: Seconds after the natural origin at which bars that are made of these begin.
    """

    connection: duckdb.DuckDBPyConnection
    scratch: Path
    files: list[str] = field(default_factory=list)
    raw_values: dict[int, RawValue] = field(default_factory=dict)
    instruments: dict[str, Instrument] = field(default_factory=dict)
    actions: list[Action] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    timeframe_s: int | None = None
    zone: str = "UTC"
    keeps_session_dates: bool = True
    has_order: bool = True
    is_synthetic: bool = False
    note: str = ""
    swaps: SwapTape | None = None
    origin_s: int = 0

    def __post_init__(self) -> None:
        self.connection.execute(_TABLE)

    def add_file(self, name: str, raw_value: RawValue | None = None) -> int:
        """Register a file and return its number."""
        self.files.append(name)
        if raw_value is not None:
            self.raw_values[len(self.files) - 1] = raw_value
        return len(self.files) - 1

    def insert(self, query: str) -> None:
        """Run ``INSERT INTO incoming <query>``; the query yields ``file, row`` and then ``INCOMING``."""
        self.connection.execute(f"INSERT INTO incoming(file, row, {INCOMING}) {query}")

    def add_arrays(
        self, name: str, *, symbols_N: tuple[str, ...], ts_T: npt.NDArray[np.datetime64], bars_5TN: tuple[Float, ...]
    ) -> None:
        """Add dense arrays; a bar whose close is NaN does not exist.

        Args:
            name: Name in messages.
            symbols_N: Column names.
            ts_T: Bar opens, naive UTC.
            bars_5TN: Open, high, low, close, volume, each ``[T, N]``.
        """
        file = self.add_file(name)
        num_bars, num_symbols = bars_5TN[3].shape
        exists = ~np.isnan(bars_5TN[3].T.ravel())
        columns = dict(zip(("open", "high", "low", "close", "volume"), bars_5TN, strict=True))
        self.connection.register(
            "arrays",
            {
                "code": np.repeat(np.arange(num_symbols, dtype=np.int32), num_bars)[exists],
                "row": np.tile(np.arange(1, num_bars + 1), num_symbols)[exists],
                "ts": np.tile(ts_T.astype("datetime64[us]"), num_symbols)[exists],
                **{key: array.T.ravel()[exists] for key, array in columns.items()},
            },
        )
        self.connection.register(
            "names", {"code": np.arange(num_symbols, dtype=np.int32), "symbol": np.array(symbols_N, dtype=object)}
        )
        self.insert(
            f"SELECT {file}, row, symbol, ts, NULL, open, high, low, close, volume FROM arrays JOIN names USING (code)"
        )
        self.connection.unregister("arrays")
        self.connection.unregister("names")
