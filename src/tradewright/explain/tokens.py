"""Cuts a text into the tokens that claims are read from: indicators, numbers, relations, directions, words, actions.

Every kind is one letter, so that a sentence is also a string that patterns can be matched on: T indicator, N number,
R relation, D direction, H span of time, Q word with a condition, S sign, A action, X negation, U forecast, B between,
d date, k weekday, h clock, i id; ``f`` from, ``t`` to, ``&`` and, ``|`` end of a clause, ``w`` any other word. Idioms
and stop words leave no token.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

from tradewright.explain.lexicon import content

UNITS = "day|session|bar|week|hour|minute|month|quarter|year|period"
WINDOW = rf"(?P<w>\d+)[ -](?P<u>{UNITS})s?"
AMOUNT = r"(?<![\w.])[-+]?\$?(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?(?![\w]*\d)"
NUMBER = rf"{AMOUNT}(?:\s?(?:%|percent\b|per cent\b|bps\b|basis points\b|x\b|times\b|points?\b|pts\b))?(?![\w%])"
AVERAGE_TIMES = (
    r"(?: (?:its|the|their) (?:(?P<w>\d+)[ -](?:day|bar|session|week|hour) )?(?:average|mean|norm)(?: volume)?)"
)
MONTHS = "january|february|march|april|may|june|july|august|september|october|november|december"
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
DATE = (
    rf"\d{{4}}-\d{{2}}-\d{{2}}|(?:{MONTHS}) \d{{1,2}}(?:st|nd|rd|th)?,? \d{{4}}"
    rf"|\d{{1,2}}(?:st|nd|rd|th)? (?:of )?(?:{MONTHS})(?:,? \d{{4}})?|(?:{MONTHS}) \d{{1,2}}\b"
)
SPAN = (
    rf"(?:(?:over|in|during|for|across|within|on|of) )?(?:(?:the|a|its) )?"
    rf"(?:(?:past|last|previous|prior|latest) )?{WINDOW}"
    rf"|(?:(?:over|in|during|for|on|across) )?(?:the|a|this|one|its)(?: (?:past|last|previous|prior))? (?P<v>{UNITS})\b"
    r"|today|on the day|weekly|monthly|quarterly|daily"
)
PLAIN = {
    "today": "day",
    "on the day": "day",
    "daily": "day",
    "weekly": "week",
    "monthly": "month",
    "quarterly": "quarter",
}
TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SMALL = (
    "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
SPELLED = re.compile(
    rf"\b(?:({'|'.join(TENS)})(?:[- ]({'|'.join(SMALL[:9])}))?|({'|'.join(SMALL)})"
    rf"(?=[ -](?:{UNITS}|percent|times|point)))\b( hundred)?",
    re.IGNORECASE,
)
SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\b[A-Z]\.)[\"')\]]*\s+|\n+")
LIST_MARK = re.compile(r"^[ \t]*(?:\d{1,2}[.)]\s+|[-*•#>]+\s*)", re.MULTILINE)
PLAIN_SIGNS = str.maketrans(
    {
        "\N{MINUS SIGN}": "-",
        "\N{EN DASH}": "-",
        "\N{EM DASH}": ";",
        "\N{NON-BREAKING HYPHEN}": "-",
        "\N{HYPHEN}": "-",
        "\N{RIGHT SINGLE QUOTATION MARK}": "'",
        "\N{LEFT SINGLE QUOTATION MARK}": "'",
        "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
        "\N{LEFT DOUBLE QUOTATION MARK}": '"',
        "\N{MULTIPLICATION SIGN}": "x",
        "\N{RIGHTWARDS ARROW}": " to ",
    }
)
LOOK_AHEAD = re.compile(r"\(\?[=!](?:[^()]|\((?:[^()]|\([^()]*\))*\))*\)")
OPTIONAL = re.compile(r"\(\?:[^()]*\)\?|\(\?[=!][^()]*\)")
KINDS = "idMNHTQDRSBAXUkh"
"""M is a number with the average that it multiplies; it becomes N."""


@dataclass(frozen=True)
class Token:
    """A piece of a sentence.

    Args:
        kind: Its letter.
        text: As it stands there.
        start: First character.
        data: What was read from it.
    """

    kind: str
    text: str
    start: int
    data: Mapping[str, Any] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """Character after the last."""
        return self.start + len(self.text)


def plain_text(text: str) -> str:
    """Return the text with plain signs and spaces, numbers in digits, and no list marks or emphasis."""
    text = unicodedata.normalize("NFKC", text).translate(PLAIN_SIGNS)
    text = LIST_MARK.sub("", text).replace("->", " to ").replace("**", "").replace("__", "").replace("`", "")
    return re.sub(r"[ \t\u00a0]+", " ", SPELLED.sub(_digits, text))


def _digits(match: re.Match[str]) -> str:
    tens, ones, small, hundred = match.groups()
    value = (
        (TENS.index(tens.lower()) + 2) * 10 + (SMALL.index(ones.lower()) + 1 if ones else 0)
        if tens
        else SMALL.index(small.lower()) + 1
    )
    return str(value * 100 if hundred else value)


def sentences(text: str) -> list[str]:
    """Return the sentences of a plain text."""
    return [part for part in (part.strip() for part in SENTENCE_END.split(text)) if part]


@dataclass(frozen=True)
class _Grammar:
    combined: Mapping[str, re.Pattern[str]]
    single: Mapping[str, tuple[tuple[re.Pattern[str], Mapping[str, Any]], ...]]


@cache
def _grammar() -> _Grammar:
    """Compile the lexicon: one pattern per kind finds, single ones tell which entry it was."""
    lexicon = content()
    entries: dict[str, list[tuple[str, Mapping[str, Any]]]] = {kind: [] for kind in (*KINDS, "-", "|")}
    for term in lexicon["terms"]:
        entries["T"] += [(pattern.replace("{w}", WINDOW), term) for pattern in term["patterns"]]
    for name, word in lexicon["words"].items():
        entries["Q"] += [(pattern, {"word": name}) for pattern in word["patterns"]]
    for kind, group in (("D", "directions"), ("R", "relations"), ("S", "signs")):
        for side, patterns in lexicon[group].items():
            entries[kind] += [(pattern, {"side": side}) for pattern in patterns]
    for action, patterns in lexicon["actions"].items():
        entries["A"] += [(pattern, {"action": action}) for pattern in patterns]
    for kind, group in (
        ("B", "between"),
        ("X", "negations"),
        ("U", "forecasts"),
        ("-", "idioms"),
        ("|", "stop_breaks"),
    ):
        entries[kind] += [(pattern, {}) for pattern in lexicon[group]]
    entries["M"] = [(rf"{AMOUNT}\s?(?:x|times){AVERAGE_TIMES}", {"is_times": True})]
    entries["N"] = [(NUMBER, {})]
    entries["H"], entries["d"] = [(SPAN, {})], [(DATE, {})]
    entries["k"] = [("|".join(WEEKDAYS), {})]
    entries["h"] = [(r"\d{1,2}:\d{2}(?: utc)?", {})]
    entries["i"] = [(r"[a-z0-9._^=/&]+-\d{8}(?:t\d{6})?", {})]
    combined, single = {}, {}
    for kind, found in entries.items():
        ordered = sorted(found, key=lambda entry: -len(OPTIONAL.sub("", entry[0])))
        bare = "|".join(re.sub(r"\(\?P<\w+>", "(?:", pattern) for pattern, _ in ordered)
        before = "" if kind in "NMX" else r"(?<![\w%.-])"
        combined[kind] = re.compile(f"{before}(?:{bare})" + ("" if kind == "N" else r"(?![\w])"))
        single[kind] = tuple((re.compile(LOOK_AHEAD.sub("", pattern)), data) for pattern, data in ordered)
    return _Grammar(combined, single)


@lru_cache(maxsize=8192)
def _entry(kind: str, text: str) -> Mapping[str, Any]:
    """Return what a matched piece is; what follows it has been looked at when it was found."""
    for pattern, data in _grammar().single[kind]:
        match = pattern.fullmatch(text)
        if match is not None:
            groups = {name: value for name, value in match.groupdict().items() if value is not None}
            return {**data, **groups}
    return {}


def tokens_of(sentence: str, symbols: Iterable[str] = ()) -> list[Token]:
    """Return the tokens of one plain sentence.

    Args:
        sentence: From ``sentences``.
        symbols: Names of instruments, matched with their case.
    """
    low = sentence.lower()
    found = [
        (match.start(), -len(match[0]), order, kind, match[0])
        for order, (kind, pattern) in enumerate(_grammar().combined.items())
        for match in pattern.finditer(low)
        if match[0]
    ]
    for symbol in symbols:
        pattern = rf"(?<![\w.-]){re.escape(symbol)}(?![\w]|-\d)"
        found += [(match.start(), -len(symbol) - 1, 0, "s", symbol) for match in re.finditer(pattern, sentence)]
    tokens: list[Token] = []
    at = 0
    for start, kind, text in _chosen(found):
        tokens += _rest(low, at, start)
        tokens += _typed(kind, text, start)
        at = start + len(text)
    return tokens + _rest(low, at, len(low))


def _chosen(found: list[tuple[int, int, int, str, str]]) -> list[tuple[int, str, str]]:
    """Return the first and longest matches that do not overlap; spans of time only where nothing else is."""
    chosen: list[tuple[int, str, str]] = []
    at = 0
    for start, _, _, kind, text in sorted(entry for entry in found if entry[3] not in "HN"):
        if start >= at:
            chosen.append((start, kind, text))
            at = start + len(text)
    for late in "HN":
        for start, _, _, kind, text in sorted(entry for entry in found if entry[3] == late):
            end = start + len(text)
            if not any(start < other + len(words) and other < end for other, _, words in chosen):
                chosen.append((start, kind, text))
    return sorted(chosen)


def _typed(kind: str, text: str, start: int) -> list[Token]:
    if kind == "-":
        return []
    if kind == "s":
        return [Token("T", text, start, {"indicator": "close", "symbol": text})]
    return [Token("N" if kind == "M" else kind, text, start, _entry(kind, text))]


OTHER = re.compile(r"[a-z%&][\w'%&.-]*[\w%]|[a-z]|[\w.]*\d[\w.,%-]*|[,;:()]|&")


def _rest(low: str, start: int, stop: int) -> list[Token]:
    """Return the tokens between known ones; what holds a digit that nothing explains is a number without meaning."""
    found = []
    for match in OTHER.finditer(low, start, stop):
        text = match[0]
        if text in ",;:()":
            found.append(Token("|" if text != ":" else "w", text, match.start(), {"is_sign": True}))
        elif text in ("and", "&"):
            found.append(Token("&", text, match.start()))
        elif text in ("from", "to"):
            found.append(Token(text[0], text, match.start()))
        elif any(character.isdigit() for character in text):
            found.append(Token("N", text, match.start(), {"is_strange": True}))
        elif text.endswith("n't"):
            found.append(Token("X", text, match.start()))
        elif text not in _stops():
            found.append(Token("w", text, match.start()))
    return found


@cache
def _stops() -> frozenset[str]:
    return frozenset(word for word in content()["stops"] if isinstance(word, str) and word not in ("from", "to"))
