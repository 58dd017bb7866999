"""Numbers, spans of time and lists of jobs as the terminal shows them."""

from collections.abc import Iterable

MAX_NUMBERS = 20


def short(text: str) -> str:
    """Return a number with three digits, anything else as it is."""
    try:
        return text if text.lstrip("-").isdigit() else f"{float(text):.3g}"
    except ValueError:
        return text


def duration(seconds: float) -> str:
    """Return a span of time in the unit that suits it."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def numbers(slots: Iterable[int]) -> str:
    """Return numbers of jobs in order, the first ones of many.

    >>> numbers([7, 3])
    '3, 7'
    """
    found = sorted(slots)
    text = ", ".join(map(str, found[:MAX_NUMBERS]))
    return text if len(found) <= MAX_NUMBERS else f"{text} and {len(found) - MAX_NUMBERS} more"
