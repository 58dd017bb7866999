"""Finds the files of a LEAN data folder: which zip holds which days of which symbol.

An equity is named by its map file, which lists the tickers it had: row ``date,ticker`` holds up to and including that
date, the first row is the listing. So GOOGL comes from ``goog.zip`` until 2014-04-02 and from ``googl.zip`` after.
Source: QuantConnect/Lean, Common/Data/Auxiliary/MapFile.cs, Common/Util/LeanData.cs.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from tradewright.errors import DataError, suggest

FIRST_DAY = date(1900, 1, 1)
LAST_DAY = date(2100, 1, 1)
IS_QUOTED = {"equity": False, "crypto": False, "forex": True}
"""Forex has no trades: its bars are the middle of bid and ask."""


@dataclass(frozen=True, kw_only=True)
class LeanFile:
    """One zip with one text file.

    Args:
        symbol: Symbol that its rows belong to.
        path: The zip.
        first, last: Days of the file that belong to the symbol, inclusive.
        day: Day of all rows where stamps are milliseconds since midnight; None where they are dates.
    """

    symbol: str
    path: Path
    first: date
    last: date
    day: date | None


@dataclass(frozen=True, kw_only=True)
class LeanFolder:
    """One market and resolution of a LEAN data folder.

    Args:
        root: The data folder.
        security: ``equity``, ``forex`` or ``crypto``.
        market: ``usa``, ``oanda``, ``coinbase``, …
        resolution: ``daily``, ``hour`` or ``minute``.
    """

    root: Path
    security: str
    market: str
    resolution: str

    @property
    def base(self) -> Path:
        """Folder of the market."""
        return self.root / self.security / self.market

    def files(self, symbols: Sequence[str] | None) -> list[LeanFile]:
        """Return the files of the symbols (None: of all), in order of symbol and time.

        Raises:
            DataError: The folder or a symbol is missing.
        """
        if not (self.base / self.resolution).is_dir():
            raise DataError(
                f"{self.base / self.resolution}: no such folder; data.path must be a LEAN data folder (it holds "
                f"equity/, market-hours/, …) and data.security, data.market, data.timeframe must be among what it has"
            )
        maps = self.map_files()
        tickers = self._tickers()
        known = {**{name.upper(): name for name in tickers}, **{name.upper(): name for name in maps}}
        if symbols is None:
            mapped = {ticker for file in maps.values() for ticker, _, _ in read_map(file)}
            names = sorted({*maps, *(tickers - mapped)})
        else:
            for symbol in symbols:
                if symbol.upper() not in known:
                    raise DataError(f"data.symbols: {self.base} has no '{symbol}'{suggest(symbol.upper(), known)}")
            names = [known[symbol.upper()] for symbol in symbols]
        found: list[LeanFile] = []
        for name in names:
            periods = read_map(maps[name]) if name in maps else [(name, FIRST_DAY, LAST_DAY)]
            for ticker, first, last in periods:
                found += self._ticker_files(name.upper(), ticker, first, last)
        if not found:
            raise DataError(f"{self.base / self.resolution}: no zip files of {self.security} bars in it")
        return found

    def map_files(self) -> dict[str, Path]:
        """Return name -> map file; only equities have them."""
        folder = self.base / "map_files"
        return {file.stem: file for file in sorted(folder.glob("*.csv"))} if self.security == "equity" else {}

    def factor_file(self, symbol: str) -> Path:
        """Return where a symbol's factor file would be."""
        return self.base / "factor_files" / f"{symbol.lower()}.csv"

    def _suffix(self) -> str:
        if self.resolution == "minute":
            return "_quote.zip" if IS_QUOTED[self.security] else "_trade.zip"
        return "_trade.zip" if self.security == "crypto" else ".zip"

    def _tickers(self) -> set[str]:
        folder = self.base / self.resolution
        if self.resolution == "minute":
            return {place.name for place in folder.iterdir() if place.is_dir()}
        suffix = self._suffix()
        return {file.name[: -len(suffix)] for file in folder.iterdir() if file.name.endswith(suffix)}

    def _ticker_files(self, symbol: str, ticker: str, first: date, last: date) -> list[LeanFile]:
        folder = self.base / self.resolution
        if self.resolution != "minute":
            file = folder / f"{ticker}{self._suffix()}"
            exists = file.is_file()
            return [LeanFile(symbol=symbol, path=file, first=first, last=last, day=None)] if exists else []
        found = []
        for file in sorted((folder / ticker).glob(f"*{self._suffix()}")):
            match = re.match(r"(\d{8})_", file.name)
            day = _day(match[1]) if match else None
            if day is not None and first <= day <= last:
                found.append(LeanFile(symbol=symbol, path=file, first=first, last=last, day=day))
        return found


def read_map(file: Path) -> list[tuple[str, date, date]]:
    """Return ``(ticker, first day, last day)`` for each name a company had, in time order.

    Raises:
        DataError: A row is malformed; named by file and line.
    """
    periods: list[tuple[str, date, date]] = []
    first: date | None = None
    for number, line in enumerate(file.read_text().split(), start=1):
        fields = line.split(",")
        day = _day(fields[0])
        if len(fields) < 2 or day is None:
            raise DataError(f"{file} row {number}: expected 'yyyymmdd,ticker,…', was '{line}'")
        if first is not None and day >= first:
            periods.append((fields[1].lower(), first, day))
        first = day if first is None else day + timedelta(days=1)
    return periods


def _day(text: str) -> date | None:
    try:
        return datetime.strptime(text, "%Y%m%d").date()
    except ValueError:
        return None
