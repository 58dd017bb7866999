"""Bar lengths: the words users write (``1m``, ``5m``, ``1h``, ``1d``, ``1w``) and the seconds that everything else
uses.

A bar length divides one day, or is one day or one week; nothing else has a fixed clock (a month has none).
"""

import re

DAY_S = 86_400
_UNITS_S = {"s": 1, "m": 60, "h": 3_600, "d": DAY_S, "w": 7 * DAY_S}


def parse_timeframe(text: str) -> int:
    """Return the length of ``text`` in seconds, e.g. ``parse_timeframe("5m") == 300``.

    Raises:
        ValueError: ``text`` is no bar length; the message starts with ``timeframe``.
    """
    match = re.fullmatch(r"(\d+)([smhdw])", text)
    seconds = int(match[1]) * _UNITS_S[match[2]] if match else 0
    if not is_bar_length(seconds):
        raise ValueError(f"timeframe must be a bar length such as 1m, 5m, 15m, 1h, 1d or 1w, was {text!r}")
    return seconds


def is_bar_length(seconds: int) -> bool:
    """Return whether bars of this length tile the day or the week."""
    if seconds <= 0:
        return False
    return DAY_S % seconds == 0 or seconds == 7 * DAY_S


def format_timeframe(seconds: int) -> str:
    """Return the shortest word for ``seconds``, e.g. ``format_timeframe(86400) == "1d"``."""
    for unit in ("w", "d", "h", "m"):
        if seconds % _UNITS_S[unit] == 0:
            return f"{seconds // _UNITS_S[unit]}{unit}"
    return f"{seconds}s"
