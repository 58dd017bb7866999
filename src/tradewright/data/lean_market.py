"""Exchange facts in a LEAN data folder: the time zone of the files, regular hours and contract sizes.

Source: QuantConnect/Lean, Data/market-hours/market-hours-database.json and Data/symbol-properties.
"""

import csv
import json
import re
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

from tradewright.errors import DataError
from tradewright.market.instrument import Instrument

DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


@dataclass(frozen=True, kw_only=True)
class MarketHours:
    """When a market is open, in seconds of the local day.

    Args:
        zone: Zone of the stamps in the files.
        regular: Per ISO weekday (1 = Monday) the regular sessions as ``(start_s, stop_s)``.
        early_closes: Second of the day at which a date closes early.
    """

    zone: str
    regular: dict[int, tuple[tuple[int, int], ...]]
    early_closes: dict[date, int]

    @property
    def latest_close_s(self) -> int:
        """Second of the local day at which the latest regular session of the week ends (86,400 is midnight)."""
        return max((stop for sessions in self.regular.values() for _, stop in sessions), default=86_400)

    def regular_condition(self, stamp: str) -> str:
        """Return the SQL condition that a local ``stamp`` lies in regular hours."""
        second = f"date_diff('second', {stamp}::DATE::TIMESTAMP, {stamp})"
        open_ = [
            f"(isodow({stamp}) = {day} AND {second} >= {start} AND {second} < {stop})"
            for day, sessions in self.regular.items()
            for start, stop in sessions
        ]
        early = " ".join(f"WHEN DATE '{day}' THEN {stop}" for day, stop in self.early_closes.items())
        closes = f" AND {second} < CASE {stamp}::DATE {early} ELSE 86400 END" if early else ""
        return f"({' OR '.join(open_) or 'FALSE'}){closes}"


def read_market_hours(root: Path, security: str, market: str) -> MarketHours:
    """Read the entry that holds for all symbols of a market.

    Raises:
        DataError: The database is missing or malformed, or has no entry for the market.
    """
    file = root / "market-hours" / "market-hours-database.json"
    key = f"{security.capitalize()}-{market}-[*]"
    try:
        entry: dict[str, Any] = json.loads(file.read_text())["entries"][key]
    except FileNotFoundError:
        raise DataError(f"{file}: missing; data.path must be a LEAN data folder with market-hours/") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: no valid JSON ({error}); fetch it again") from None
    except KeyError:
        raise DataError(f"{file}: no entry '{key}'; set data.market to a market of this folder") from None
    regular = {
        day: tuple((_second(s["start"]), _second(s["end"])) for s in entry.get(name, []) if s["state"] == "market")
        for day, name in enumerate(DAYS, start=1)
    }
    early = {
        datetime.strptime(day, "%m/%d/%Y").date(): _second(time) for day, time in entry.get("earlyCloses", {}).items()
    }
    return MarketHours(zone=_zone(entry["dataTimeZone"]), regular=regular, early_closes=early)


def read_instrument(root: Path, symbol: str, security: str, market: str) -> Instrument:
    """Return the contract facts of a symbol; without a properties database, those of a plain share or pair."""
    default = Instrument(symbol=symbol, kind=security, calendar=security)
    file = root / "symbol-properties" / "symbol-properties-database.csv"
    if not file.is_file():
        return default
    best: Instrument | None = None
    with file.open(newline="") as stream:
        for row in csv.reader(stream):
            if len(row) < 8 or row[0] != market or row[2] != security or row[1] not in (symbol, "[*]"):
                continue
            found = Instrument(
                symbol=symbol,
                kind=security,
                multiplier=float(row[5]),
                tick=float(row[6]),
                lot=float(row[7]),
                currency=row[4],
                calendar=security,
            )
            best = found if row[1] == symbol or best is None else best
    return best or default


def _second(text: str) -> int:
    """Return the second of the day of ``16:00:00`` or, for midnight, ``1.00:00:00``."""
    days, _, clock = text.rpartition(".")
    hours, minutes, seconds = (int(part) for part in clock.split(":"))
    return int(days or 0) * 86_400 + hours * 3_600 + minutes * 60 + seconds


def _zone(name: str) -> str:
    """Return an IANA zone; LEAN also writes fixed offsets as ``UTC-05``, whose IANA name carries the opposite sign."""
    fixed = re.fullmatch(r"UTC([+-])(\d{2})", name)
    return f"Etc/GMT{'-' if fixed[1] == '+' else '+'}{int(fixed[2])}" if fixed else name
