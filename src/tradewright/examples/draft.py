"""Chain of draft: an answer that first notes a few words per step and then states its word behind a separator.

    Mean: below three tenths
    Volume ratio: two
    #### BUY

A draft is checked mechanically against the figures that its prompt shows: every step must name a figure and say of it
what is so: its side, its one significant digit, or both. What the checker cannot read, it refuses.
Source: Xu et al. (2025), Chain of Draft: Thinking Faster by Writing Less, arXiv 2502.18600.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from tradewright.examples.swap_prompt import BY_NAME, DIGITS, NONE, PARTS, TENS, spell
from tradewright.target.labels import ACTIONS

SEPARATOR = "####"
MAX_WORDS = 5
"""Of a step, as the paper asks for."""
CONDITIONS = ("deviation_50", "return_50", "volatility", "volume_ratio_50")
"""Figures that the rules compare: what a draft of the rules states."""
INSTRUCTIONS = (
    "You trade one pool. Moves, volatility and shares are in percent; trend, mean, volume ratio and flow are those of"
    " 50 swaps. Think step by step, but only keep a minimum draft: one line per step, five words at most, each naming"
    " one figure and repeating its words, such as 'Mean: below three tenths' or 'Volume ratio: two'. State nothing that"
    " the figures do not show. Then write #### and one word: BUY, SELL or HOLD."
)
"""System message for a model that was not trained to write drafts."""

Refusal = Literal["", "no_separator", "no_answer", "wrong_answer", "no_step", "long_step", "unreadable", "untrue"]
"""Why a draft is refused; empty: it is kept."""
REFUSALS: tuple[Refusal, ...] = (
    "no_separator", "no_answer", "wrong_answer", "no_step", "long_step", "unreadable", "untrue",
)  # fmt: skip

ALIASES: tuple[tuple[str, str], ...] = (
    ("volume ratio", "volume_ratio_50"),
    ("relative volume", "volume_ratio_50"),
    ("usual volume", "volume_average"),
    ("mean volume", "volume_average"),
    ("average volume", "volume_average"),
    ("share of reserve", "liquidity_impact"),
    ("seconds between swaps", "interval_s_10"),
    ("last swap", "price_change"),
    ("ten swaps", "return_10"),
    ("price change", "price_change"),
    ("liquidity impact", "liquidity_impact"),
    ("mean", "deviation_50"),
    ("deviation", "deviation_50"),
    ("trend", "return_50"),
    ("momentum", "return_50"),
    ("volatility", "volatility"),
    ("flow", "imbalance_50"),
    ("imbalance", "imbalance_50"),
    ("reserve", "liquidity_impact"),
    ("interval", "interval_s_10"),
    ("volume", "volume_eth"),
)
"""What a figure may be called; the first that occurs in a step is its subject."""
SIDES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "down up": (
        frozenset({"down", "falling", "falls", "fell", "negative"}),
        frozenset({"up", "rising", "rises", "rose", "positive"}),
    ),
    "below above": (frozenset({"below", "under"}), frozenset({"above", "over"})),
    "sold bought": (frozenset({"sold", "selling"}), frozenset({"bought", "buying"})),
}
"""Words for negative and other values, by the two that prompts use."""
NUMERALS = frozenset({*DIGITS, *TENS, *PARTS, *(f"{part}s" for part in PARTS), NONE, "hundred", "thousand", "million"})
NUMBER = r"[+-]?\d+(?:,\d{3})*(?:\.\d+)?"
FILLERS = frozenset({"price", "is", "the", "its", "a", "at", "by", "of", "in", "percent", "seconds", "eth"})


def write_draft(steps: Sequence[str], word: str) -> str:
    """Return an answer of its steps and its word."""
    return "\n".join([*steps, f"{SEPARATOR} {word}"])


def rule_draft(facts: Mapping[str, float], word: str) -> str:
    """Return the draft of the rules: the figures that their conditions compare, then the word."""
    return write_draft([BY_NAME[name].told(facts[name]) for name in CONDITIONS], word)


def split_draft(text: str) -> tuple[tuple[str, ...], str | None]:
    """Return the steps of an answer and what stands behind its separator; None: it has none."""
    draft, mark, rest = text.partition(SEPARATOR)
    steps = (step.strip(" \t-*•.") for step in re.split(r"[\n;]", draft))
    return tuple(step for step in steps if step), rest.strip() if mark else None


def check_draft(text: str, facts: Mapping[str, float], label: str, *, max_words: int = MAX_WORDS) -> Refusal:
    """Return why an answer is refused; empty where every step is true and its word is the label.

    Args:
        text: The answer.
        facts: Figures of the prompt.
        label: The right word.
        max_words: Most words of a step.
    """
    steps, answer = split_draft(text)
    if answer is None:
        return "no_separator"
    word = answer.strip(".!*").upper()
    if word not in ACTIONS:
        return "no_answer"
    if word != label:
        return "wrong_answer"
    if not steps:
        return "no_step"
    return next(_refused(steps, facts, max_words), "")


def _refused(steps: Sequence[str], facts: Mapping[str, float], max_words: int) -> Iterator[Refusal]:
    for step in steps:
        if len(step.split()) > max_words:
            yield "long_step"
        found = _check_step(step, facts)
        if found:
            yield found


def _check_step(step: str, facts: Mapping[str, float]) -> Refusal:
    text = " ".join(re.findall(rf"[a-z]+|{NUMBER}", step.lower()))
    alias, name = next((one for one in ALIASES if re.search(rf"\b{one[0]}\b", text)), ("", ""))
    if not name:
        return "unreadable"
    negative, other = _side_words(name)
    is_negative = facts[name] < (1 if name == "volume_ratio_50" else 0)
    numeral: list[str] = []
    is_said = False
    for word in re.sub(rf"\b{alias}\b", " ", text, count=1).split():
        if word in NUMERALS:
            numeral.append(word)
        elif word[-1].isdigit():
            if word[0] in "+-" and (word[0] == "-") != (facts[name] < 0):
                return "untrue"
            numeral += spell(abs(float(word.replace(",", "")))).split()
        elif word in negative | other:
            is_said = True
            if (word in negative) != is_negative:
                return "untrue"
        elif word not in FILLERS:
            return "unreadable"
    if numeral and " ".join(numeral) != BY_NAME[name].digit(facts[name]):
        return "untrue"
    return "" if numeral or is_said else "unreadable"


def _side_words(name: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the words for negative and other values of a figure; volume over its mean lies below or above one."""
    sides = "below above" if name == "volume_ratio_50" else " ".join(BY_NAME[name].sides)
    return SIDES.get(sides, (frozenset(), frozenset()))
