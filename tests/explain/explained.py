"""Decisions on random walks, and texts with errors of known kinds put into true ones.

The mutators know nothing of the lexicon: they replace digits and words by tables of their own.
"""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.explain.state import State, states_of
from tradewright.market.positions import Positions


def random_positions(num_bars: int, num_symbols: int, seed: int = 0, *, has_confidence: bool = True) -> Positions:
    """Return decisions that buy, sell and hold, half of them without an order."""
    rng = np.random.default_rng(seed)
    weights_TN = np.round(rng.random((num_bars, num_symbols)), 2)
    weights_TN[rng.random(weights_TN.shape) < 0.4] = np.nan
    confidence_TN = rng.random(weights_TN.shape) if has_confidence else None
    return Positions(weights_TN=weights_TN, confidence_TN=confidence_TN)


def decided(panel: Panel, first: int = 260, seed: int = 0, **facts: Any) -> tuple[State, ...]:
    """Return the states of random decisions from bar ``first`` on."""
    rows = Range(first, panel.num_bars)
    return states_of(panel, random_positions(len(rows), len(panel.symbols), seed, **facts), rows)


NUMBER = re.compile(r"(?<![\w.-])-?\d[\d,]*(?:\.\d+)?")
ACTIONS = [
    ("BUY", "SELL"), ("buys", "sells"), ("buying", "selling"), ("to buy", "to sell"), ("HOLD", "BUY"),
    ("holds", "buys"), ("holding", "selling"), ("to hold", "to sell"), ("SELL", "HOLD"),
]  # fmt: skip
SIDES = [
    ("above", "below"),
    ("rose", "fell"),
    ("gained", "lost"),
    ("climbed", "dropped"),
    ("is positive", "is negative"),
]
WORDS = [
    ("oversold", "overbought"), ("uptrend", "downtrend"), ("bullish", "bearish"), ("heavy volume", "light volume"),
    ("elevated volatility", "low volatility"), ("golden cross", "death cross"), ("upper band", "lower band"),
    ("deep drawdown", "shallow drawdown"), ("positive momentum", "negative momentum"),
    ("normal volatility", "high volatility"), ("in neutral territory", "oversold"),
]  # fmt: skip
LEVELS = (
    "Support sits at {}.", "Resistance is seen near {}.", "A stop at {} would protect the trade.",
    "The pivot of {} matters here.", "Analysts see a fair value of {}.", "The next price target is {}.",
    "Its dividend yield is {}.", "Open interest rose to {}.", "A Fibonacci level lies at {}.",
)  # fmt: skip


def change_number(text: str, rng: np.random.Generator) -> str | None:
    """Move one number by at least two units of its last digit."""
    found = list(NUMBER.finditer(text))
    if not found:
        return None
    match = found[int(rng.integers(len(found)))]
    digits = match[0].replace(",", "")
    decimals = len(digits.partition(".")[2])
    value = float(digits) + int(rng.integers(2, 60)) * 10.0**-decimals
    is_date = re.match(r"\d{4}-\d{2}", text[match.start() : match.start() + 7]) is not None
    new = f"{value:.{decimals}f}" if is_date else f"{value:,.{decimals}f}"
    return text[: match.start()] + new + text[match.end() :]


def invent_level(text: str, rng: np.random.Generator) -> str | None:
    """Add a sentence with a number that the state does not hold."""
    number = f"{rng.uniform(20, 9000):,.{int(rng.integers(0, 3))}f}"
    return f"{text} {LEVELS[int(rng.integers(len(LEVELS)))].format(number)}"


def swap(table: list[tuple[str, str]]) -> Callable[[str, np.random.Generator], str | None]:
    """Return a mutator that puts one word of a pair where the other stands."""

    def mutate(text: str, rng: np.random.Generator) -> str | None:
        pairs = [(a, b) for pair in table for a, b in (pair, pair[::-1])]
        places = [
            (match, b)
            for a, b in pairs
            for match in re.finditer(rf"(?<![\w-]){re.escape(a)}(?![\w-])", text)
            if not re.search(r"\b(?:neither|nor|uptrend) $", text[: match.start()])  # "the uptrend holds" is no action
        ]
        if not places:
            return None
        match, new = places[int(rng.integers(len(places)))]
        return text[: match.start()] + new + text[match.end() :]

    return mutate


MUTATORS: dict[str, Callable[[str, np.random.Generator], str | None]] = {
    "number": change_number,
    "invented level": invent_level,
    "action": swap(ACTIONS),
    "direction": swap(SIDES),
    "word": swap(WORDS),
}
