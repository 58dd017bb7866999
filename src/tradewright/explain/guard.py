"""Input validation: what may be asked, which tools may be called with what, and what data may say in a prompt.

Three walls, each enough by itself against a class of attacks: (1) tools are called by code that has read the question,
never by a language model, from a closed list, with arguments checked against a schema; (2) text that tries to give
orders - to ignore instructions, change roles, reveal prompts, run commands, call tools - is refused before it is
answered, also when it is hidden by look-alike letters, invisible characters, spacing, base64, hex or rot13; (3) data
that goes into a prompt is a value of a narrow form, or quoted with its control marks removed.
"""

import base64
import binascii
import codecs
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from tradewright.errors import DataError
from tradewright.explain.lexicon import indicators

PATH = Path(__file__).with_name("guard.yaml")
MAX_LENGTH = 2_000
"""Characters of a question."""
MAX_DECODINGS = 3
"""Layers of encoding that are looked through."""
SYMBOL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/=^:-]{0,31}")
DECISION_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/=^:-]{0,31}-\d{8}(?:T\d{6})?")
DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
RANGES = ("train", "validation", "test")


class ToolError(DataError):
    """A tool was asked for that is not offered, or with arguments that it does not take."""


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A call that was made, for the record of an answer."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What the guard says of a text.

    Args:
        is_refused: Whether it must not be answered.
        reasons: Which rules it breaks.
    """

    is_refused: bool
    reasons: tuple[str, ...] = ()


def _is_day(value: Any) -> bool:
    return isinstance(value, str) and DAY.fullmatch(value) is not None


def _is_symbol(value: Any) -> bool:
    return isinstance(value, str) and SYMBOL.fullmatch(value) is not None


def _is_decision(value: Any) -> bool:
    return isinstance(value, str) and DECISION_ID.fullmatch(value) is not None


def _is_indicator(value: Any) -> bool:
    return isinstance(value, str) and value in indicators()


def _is_range(value: Any) -> bool:
    return value in RANGES


TOOLS: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    "find_decision": {"day": _is_day, "symbol": _is_symbol},
    "explain_decision": {"id": _is_decision},
    "indicator": {"name": _is_indicator, "id": _is_decision},
    "market": {"day": _is_day},
    "performance": {"range": _is_range},
    "activity": {"symbol": _is_symbol},
}
"""The tools, all of which only read the log, and what each argument may be. Nothing else can be called."""


def validate_call(name: str, arguments: Mapping[str, Any]) -> ToolCall:
    """Return the call where it keeps to the list.

    Raises:
        ToolError: The tool is unknown, or an argument is missing, unknown or of another form.
    """
    schema = TOOLS.get(name)
    if schema is None:
        raise ToolError(f"tool {str(name)[:40]!r} is not offered; offered are {', '.join(TOOLS)}")
    for argument in arguments:
        if argument not in schema:
            raise ToolError(f"{name} takes no {str(argument)[:40]!r}; it takes {', '.join(schema)}")
    for argument, accepts in schema.items():
        if argument not in arguments:
            raise ToolError(f"{name} needs {argument}")
        if not accepts(arguments[argument]):
            raise ToolError(
                f"{name}: {argument} has another form than it must have, was {str(arguments[argument])[:40]!r}"
            )
    return ToolCall(name=name, arguments=dict(arguments))


def inspect(text: str) -> Verdict:
    """Judge a question before it is answered."""
    reasons: list[str] = []
    if len(text) > MAX_LENGTH:
        reasons.append(f"longer than {MAX_LENGTH} characters")
    if not text.strip():
        reasons.append("empty")
    invisible = sum(1 for character in text if _is_invisible(character))
    if invisible:
        reasons.append("invisible characters")
    for form in _forms(text[:MAX_LENGTH]):
        reasons += [name for name, pattern in _rules() if pattern.search(form)]
    return Verdict(is_refused=bool(reasons), reasons=tuple(dict.fromkeys(reasons)))


def neutralise(text: str, *, most: int = 200) -> str:
    """Return a text from data as it may stand in a prompt: one line, quoted, no control or markup characters.

    A text that tries to give orders is replaced by a mark that says so.
    """
    plain = "".join(character for character in unicodedata.normalize("NFKC", text) if not _is_invisible(character))
    plain = re.sub(r"\s+", " ", plain).strip()
    if inspect(plain or " x").is_refused:
        return '"[removed: the text gave instructions]"'
    return '"' + re.sub(r"[<>{}\[\]|`\"\\]", "", plain)[:most] + '"'


def check_symbol(symbol: str) -> str:
    """Return a symbol that may stand in a prompt.

    Raises:
        DataError: It has another form, so that it could carry instructions.
    """
    if SYMBOL.fullmatch(symbol) is None:
        raise DataError(
            f"symbol {symbol[:40]!r}: expected up to 32 letters, digits and ._/=^:- ; rename it in the data"
        )
    return symbol


def _is_invisible(character: str) -> bool:
    """Whether a character shows nothing: formats, tags, controls, private use; line ends and tabs are fine."""
    return character not in "\n\r\t" and unicodedata.category(character) in ("Cf", "Cc", "Co", "Cn", "Cs")


@cache
def _content() -> Mapping[str, Any]:
    found = yaml.load(PATH.read_text(encoding="utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    assert isinstance(found, dict)
    return found


@cache
def _rules() -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple(
        (name, re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.IGNORECASE))
        for name, patterns in _content()["rules"].items()
    )


@cache
def _look_alikes() -> dict[int, str]:
    return {ord(character): plain for plain, alike in _content()["look_alikes"].items() for character in alike}


def _forms(text: str) -> Sequence[str]:
    """Return the text, and what it says once disguises are taken off."""
    found: list[str] = []
    layer = [text]
    for _ in range(MAX_DECODINGS):
        layer = [form for one in layer for form in (_visible(one), _plain(one), *_decoded(one)) if form not in found]
        found += layer
    return list(dict.fromkeys(found))


def _visible(text: str) -> str:
    return unicodedata.normalize("NFKC", "".join(character for character in text if not _is_invisible(character)))


def _plain(text: str) -> str:
    """Return the text in Latin letters without accents, as far as letters have a look-alike there."""
    folded = _visible(text).translate(_look_alikes())
    bare = "".join(c for c in unicodedata.normalize("NFD", folded) if unicodedata.category(c) != "Mn")
    return unicodedata.normalize("NFC", bare)


def _decoded(text: str) -> list[str]:
    """Return what encoded parts say, letters put together again, digits read as letters, and the text backwards."""
    plain = _plain(text)
    found = []
    for match in re.finditer(r"[A-Za-z0-9+/_-]{16,}={0,2}", plain):
        found += _from_base64(match[0])
    for match in re.finditer(r"(?:(?:0x|\\x|%)?[0-9A-Fa-f]{2}[\s,]?){8,}", plain):
        digits = re.sub(r"0x|\\x|[%\s,]", "", match[0])
        found += _as_text(bytes.fromhex(digits[: len(digits) // 2 * 2]))
    if re.search(r"(?:\b\w[\s._*-]+){6,}", plain):
        found.append(re.sub(r"(?<=\b\w)[\s._*-](?=\w\b)", "", re.sub(r"\s{2,}", "  ", plain)))
        found.append(re.sub(r"[\s._*-]+", "", plain))
    found.append(plain.translate(str.maketrans("013457@$", "oieastas")))
    found.append(re.sub(r"(?<=\w)[-_.*|/](?=\w)", "", plain))
    found += [codecs.encode(plain, "rot13"), plain[::-1], " ".join(word[::-1] for word in plain.split())]
    return found


def _from_base64(text: str) -> list[str]:
    padded = text.replace("-", "+").replace("_", "/")
    padded += "=" * (-len(padded.rstrip("=")) % 4) if not padded.endswith("=") else ""
    try:
        return _as_text(base64.b64decode(padded, validate=True))
    except (binascii.Error, ValueError):
        return []


def _as_text(data: bytes) -> list[str]:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return []
    return [text] if len(text) >= 6 and sum(c.isprintable() or c.isspace() for c in text) / len(text) > 0.9 else []
