"""``data=lean``: bars from a LEAN data folder (zips of text, equity prices in deci-cents, factor and map files).

Files are stamped in the market's data zone. Intraday bars become UTC. Daily bars keep their session date, stamped
00:00, and are known one day later: that never leaks where the regular session ends before 00:00 UTC of the next day,
which is checked here against the market-hours database; for a market that closes later (FXCM counts days in UTC-05)
daily bars carry the instant at which their day begins instead. Equity minute bars are limited to regular hours, as in
LEAN. Forex bars are the middle of bid and ask, without volume.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import duckdb
import numpy as np

from tradewright.data.files import file_states, hash_files
from tradewright.data.lean_actions import read_factors
from tradewright.data.lean_layout import IS_QUOTED, LeanFile, LeanFolder
from tradewright.data.lean_market import MarketHours, read_instrument, read_market_hours
from tradewright.data.lean_text import stage_lean
from tradewright.data.source import Progress, Source
from tradewright.data.staging import Staging
from tradewright.data.store import quote_text
from tradewright.data.timeframe import DAY_S, parse_timeframe
from tradewright.errors import DataError

MARKETS = {"equity": "usa", "forex": "oanda", "crypto": "coinbase"}
RESOLUTIONS = {"daily": DAY_S, "hour": 3_600, "minute": 60}


@dataclass(frozen=True, kw_only=True)
class Lean(Source):
    """Bars in LEAN's layout.

    ``path`` is the data folder; ``timeframe`` chooses the resolution that is read (daily, hour or minute) and is
    aggregated from it; ``symbols`` also limits what is loaded, because minute folders are large.

    Args:
        security: ``equity``, ``forex`` or ``crypto``.
        market: Folder below the security; None: ``usa``, ``oanda``, ``coinbase``.
        has_extended_hours: Keep equity minute bars outside regular hours.
    """

    kind: ClassVar[str] = "lean"
    timeframe: str | None = "1d"
    security: Literal["equity", "forex", "crypto"] = "equity"
    market: str | None = None
    has_extended_hours: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.security not in MARKETS:
            raise ValueError(f"security must be equity, forex or crypto, was {self.security!r}")

    def _folder(self) -> LeanFolder:
        if self.path is None:
            raise DataError("data.path must be set to a LEAN data folder (it holds equity/, market-hours/, …)")
        length_s = parse_timeframe(self.timeframe or "1d")
        resolution = next(name for name, seconds in RESOLUTIONS.items() if length_s % seconds == 0 or seconds == 60)
        return LeanFolder(
            root=Path(self.path).expanduser(),
            security=self.security,
            market=self.market or MARKETS[self.security],
            resolution=resolution,
        )

    def _files(self, folder: LeanFolder) -> list[LeanFile]:
        return folder.files(self.symbols)

    def _inputs(self) -> list[Path]:
        """Return every file that has a say in the bars."""
        folder = self._folder()
        files = self._files(folder)
        factors = [folder.factor_file(symbol) for symbol in {file.symbol for file in files}]
        shared = [
            folder.root / "market-hours" / "market-hours-database.json",
            folder.root / "symbol-properties" / "symbol-properties-database.csv",
        ]
        maps = folder.map_files().values()
        return sorted({*(file.path for file in files), *(f for f in (*factors, *shared) if f.is_file()), *maps})

    def _parameters(self) -> dict[str, Any]:
        folder = self._folder()
        return {
            "security": folder.security,
            "market": folder.market,
            "resolution": folder.resolution,
            "symbols": sorted(symbol.upper() for symbol in self.symbols) if self.symbols is not None else None,
            "has_extended_hours": self.has_extended_hours,
        }

    def _state(self) -> list[Any]:
        return file_states(self._inputs())

    def _content(self) -> list[Any]:
        return hash_files(self._inputs(), root=self._folder().root)

    def _stage(self, staging: Staging, progress: Progress) -> None:
        folder = self._folder()
        files = self._files(folder)
        hours = read_market_hours(folder.root, folder.security, folder.market)
        staging.timeframe_s = RESOLUTIONS[folder.resolution]
        staging.zone = hours.zone
        staging.keeps_session_dates = _closes_in_time(staging.connection, hours)
        filtered = folder.security == "equity" and folder.resolution == "minute" and not self.has_extended_hours
        stage_lean(
            staging,
            files,
            is_quoted=IS_QUOTED[folder.security],
            scale=10_000 if folder.security == "equity" else 1,
            condition=hours.regular_condition("ts") if filtered else "TRUE",
            progress=progress,
        )
        for symbol in sorted({file.symbol for file in files}):
            staging.instruments[symbol] = read_instrument(folder.root, symbol, folder.security, folder.market)
        if folder.security == "equity":
            _stage_actions(staging, folder, sorted({file.symbol for file in files}))


def _closes_in_time(connection: duckdb.DuckDBPyConnection, hours: MarketHours) -> bool:
    """Return whether the latest regular close of a session's day lies at or before 00:00 UTC of the next day."""
    latest_s = max(
        connection.sql(
            f"SELECT epoch(timezone('UTC', timezone({quote_text(hours.zone)}, TIMESTAMP '{day}'))) - "
            f"epoch(TIMESTAMP '{day}') + {hours.latest_close_s}"
        ).fetchall()[0][0]
        for day in ("2020-01-15", "2020-07-15")
    )
    return bool(latest_s <= DAY_S)


def _stage_actions(staging: Staging, folder: LeanFolder, symbols: Sequence[str]) -> None:
    """Read the factor files; the ex-date begins at local midnight, so it moves with the stamps of the bars."""
    without = [symbol for symbol in symbols if not folder.factor_file(symbol).is_file()]
    if without:
        staging.remarks.append(f"no factor file, prices are as traded: {', '.join(without)}")
    actions = [
        action
        for symbol in symbols
        if symbol not in without
        for action in read_factors(folder.factor_file(symbol), symbol)
    ]
    if staging.keeps_session_dates and folder.resolution == "daily":
        staging.actions += actions
        return
    for action in actions:
        instant = staging.connection.sql(
            f"SELECT timezone('UTC', timezone({quote_text(staging.zone)}, TIMESTAMP '{action.ex_ts}'))"
        ).fetchall()[0][0]
        staging.actions.append(replace(action, ex_ts=np.datetime64(instant, "us")))
