"""What the tokens of a sentence name: the indicator of a term, the return over a span of time."""

import re
from dataclasses import replace

from tradewright.explain.lexicon import bars_in
from tradewright.explain.tokens import PLAIN, Token

RETURN, UNKNOWN = "return", "unknown"
"""A return whose span stands elsewhere in the sentence, and a name that states know nothing of."""


def subject_of(token: Token, timeframe_s: int) -> str:
    """Return the indicator that a term names; ``unknown`` where its window is none that states have."""
    data = token.data
    if "indicator" in data:
        return str(data["indicator"])
    windows = {str(key): name for key, name in data.get("windows", {}).items()}
    if "w" not in data and "n" not in data:
        return str(data.get("default", UNKNOWN))
    if "n" in data:
        return str(windows.get(data["n"], UNKNOWN))
    count, unit = data["w"], data["u"]
    if f"{count}{unit[0]}" in windows:
        return str(windows[f"{count}{unit[0]}"])
    bars = int(count) if unit == "period" else bars_in(int(count), unit, timeframe_s)
    return str(windows.get(str(bars), UNKNOWN))


def return_over(token: Token, timeframe_s: int) -> str:
    """Return the return over a span of time; ``unknown`` where bars do not divide it."""
    data = token.data
    unit = str(data.get("u") or data.get("v") or PLAIN.get(token.text, UNKNOWN))
    bars = bars_in(int(data.get("w", 1)), unit, timeframe_s)
    return UNKNOWN if bars is None else f"return_{bars}"


def with_averages(tokens: list[Token]) -> list[Token]:
    """Read ``its 20-day and 50-day averages`` as two averages."""
    found = list(tokens)
    for at in range(len(found) - 3, -1, -1):
        span, joint, term = found[at : at + 3]
        is_bare = span.kind == "H" and re.match(r"(?:the |its )?\d+-", span.text) is not None
        is_joined = joint.text in ("and", "or", ",", "&")
        if (
            is_bare
            and is_joined
            and term.kind == "T"
            and "w" in term.data
            and "sma_20" in str(term.data.get("windows"))
        ):
            found[at] = replace(span, kind="T", data={**term.data, **{key: span.data[key] for key in ("w", "u")}})
    return found
