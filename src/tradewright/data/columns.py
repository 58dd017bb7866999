"""Recognises the columns of a user's table by name, ignoring case, spaces, ``<>`` (MetaTrader) and ``1.`` prefixes."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from tradewright.data.validate import BarsError

ALIASES: dict[str, tuple[str, ...]] = {
    "ts": ("datetime", "timestamp", "ts", "opentime", "date", "time", "bar"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "volume": ("volume", "vol", "v"),
    "symbol": ("symbol", "ticker", "sym", "instrument", "asset"),
}
"""Accepted names, best first, as they read after ``plain_name``."""


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Positions of the columns in a table.

    Args:
        positions: Position by role; ``volume`` and ``symbol`` may be missing.
        time: Position of a time-of-day column beside a date column, or None.
        unused: Names of columns that are not read.
    """

    positions: dict[str, int]
    time: int | None
    unused: tuple[str, ...]


def match_columns(file: str, names: Sequence[str]) -> Columns:
    """Match a table's column names.

    Raises:
        BarsError: A needed column is missing; the message lists what was found and which names are accepted.
    """
    plain = [plain_name(name) for name in names]
    positions: dict[str, int] = {}
    for role, aliases in ALIASES.items():
        for alias in aliases:
            if alias in plain:
                positions[role] = plain.index(alias)
                break
    missing = [role for role in ALIASES if role not in positions and role not in ("volume", "symbol")]
    if missing:
        role = missing[0]
        is_data = sum(any(letter.isdigit() for letter in name) for name in names) > len(names) / 2
        hint = "the first line must be a header" if is_data else f"accepted names: {', '.join(ALIASES[role])}"
        raise BarsError(
            f"{file}: no column '{role}' in the header; found {', '.join(names)}; {hint}",
            fault="missing_column",
            file=file,
        )
    is_date = plain[positions["ts"]] == "date"
    time = plain.index("time") if is_date and "time" in plain else None
    used = {*positions.values(), time}
    unused = tuple(name for index, name in enumerate(names) if index not in used)
    return Columns(positions=positions, time=time, unused=unused)


def plain_name(name: str) -> str:
    """Reduce a header to letters: ``"<DATE>"``, ``" Date "`` and ``"1. date"`` all read ``"date"``."""
    return re.sub(r"^\d+\.|[\s_<>\"']", "", name.strip().lower())
