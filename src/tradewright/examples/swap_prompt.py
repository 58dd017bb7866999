"""How a bar of a pool is told to a language model: one template, in training, in decisions and in every report.

Everything in a prompt is a figure of ``features.swap_windows.onchain_table``, known at its bar, in natural units and
rounded the same way everywhere, so that what a model reads when it decides is what it read when it learned. Signs are
words (below, above) and figures one significant digit in words (three tenths): a small model copies words at once and
needs far more examples to read a sign among digits. Rounding is the same for every pool and rule, so that it tells
nothing of a rule's verdict. Legend: T bars.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.errors import DataError, suggest
from tradewright.examples.example import Message, Messages
from tradewright.features.swap_windows import CORE_WINDOW, onchain_table

Float = npt.NDArray[np.float64]

SYSTEM = "You trade one pool. Moves, volatility and shares are in percent. Decide: BUY, SELL or HOLD."
PERCENT, PLAIN, EXACT = "percent", "plain", "exact"
MOVED, PLACED, TRADED = ("down", "up"), ("below", "above"), ("sold", "bought")


@dataclass(frozen=True)
class Line:
    """One line of a prompt.

    Args:
        name: Of the figure.
        label: What it is called.
        kind: How it is written: in percent, as it is, or with all its digits.
        sides: Words of negative values and of others; empty: the figure has no sign.
    """

    name: str
    label: str
    kind: str = PERCENT
    sides: tuple[str, str] | tuple[()] = ()

    def write(self, value: float) -> str:
        """Return a value in words: its side, then one significant digit."""
        if self.kind == EXACT:
            return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"
        return f"{self.sides[value >= 0]} {self.digit(value)}" if self.sides else self.digit(value)

    def digit(self, value: float) -> str:
        """Return one significant digit of a value without its sign, in words."""
        return spell(abs(value) * (100 if self.kind == PERCENT else 1))

    def told(self, value: float) -> str:
        """Return the line."""
        return f"{self.label}: {self.write(value)}"


LINES: tuple[Line, ...] = (
    Line("price", "Price", EXACT),
    Line("price_change", "Last swap", sides=MOVED),
    Line("return_10", "Ten swaps", sides=MOVED),
    Line("return_50", "Trend", sides=MOVED),
    Line("deviation_50", "Mean", sides=PLACED),
    Line("volatility", "Volatility"),
    Line("volume_eth", "Volume", PLAIN),
    Line("volume_average", "Usual volume", PLAIN),
    Line("volume_ratio_50", "Volume ratio", PLAIN),
    Line("liquidity_impact", "Share of reserve"),
    Line("imbalance_50", "Flow", sides=TRADED),
    Line("interval_s_10", "Seconds between swaps", PLAIN),
)
"""The lines of a prompt in their order; trend, mean, volume ratio and flow are those of 50 swaps."""
BY_NAME = {line.name: line for line in LINES}
QUESTION = "Buy, sell or hold?"

DIGITS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TENS = ("ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
PARTS = ("tenth", "hundredth", "thousandth")
SCALES = (
    (DIGITS, ""), (TENS, ""), (DIGITS, " hundred"), (DIGITS, " thousand"), (TENS, " thousand"),
    (DIGITS, " hundred thousand"), (DIGITS, " million"),
)  # fmt: skip
"""Words of the digit and what follows them, by the power of ten."""
NONE = "none"
"""Of less than half a thousandth."""


@dataclass(frozen=True, kw_only=True)
class SwapPrompts:
    """The figures of a panel, ready to be told.

    Args:
        symbol: The pool.
        columns: Each figure of ``LINES``, ``[T]``.
    """

    symbol: str
    columns: Mapping[str, Float]

    @classmethod
    def of(cls, panel: Panel, *, window: int = CORE_WINDOW) -> "SwapPrompts":
        """Compute the figures of all bars.

        Raises:
            DataError: The panel has no swaps.
        """
        return cls.from_table(panel.symbols[0], onchain_table(panel, window=window), panel.num_bars)

    @classmethod
    def from_table(cls, symbol: str, table: Mapping[str, Float], num_bars: int) -> "SwapPrompts":
        """Take the figures from a table ``[T, 1]`` in natural units.

        Raises:
            DataError: A figure is missing, or has another number of rows than there are bars.
        """
        columns = {}
        for name in BY_NAME:
            if name not in table:
                raise DataError(f"prompt: needs the feature '{name}', which the table lacks{suggest(name, table)}")
            if table[name].shape != (num_bars, 1):
                raise DataError(
                    f"prompt: feature '{name}' has shape {table[name].shape}, the data set has ({num_bars}, 1): bars x"
                    " pools; compute both from the same panel"
                )
            columns[name] = np.asarray(table[name][:, 0], dtype=np.float64)
        return cls(symbol=symbol, columns=columns)

    def is_defined(self, rows: npt.NDArray[np.integer] | slice) -> npt.NDArray[np.bool_]:
        """Return whether every figure of some rows is known."""
        return np.asarray(np.all([np.isfinite(x_T[rows]) for x_T in self.columns.values()], axis=0))

    def facts(self, row: int) -> dict[str, float]:
        """Return the figures of a bar."""
        return {name: float(x_T[row]) for name, x_T in self.columns.items()}

    def messages(self, row: int) -> Messages:
        """Return the prompt of a bar."""
        return render(self.symbol, self.facts(row))


def render(symbol: str, facts: Mapping[str, float]) -> Messages:
    """Return the prompt of some facts."""
    return asked("\n".join([f"Pool {symbol}", *(line.told(facts[line.name]) for line in LINES), QUESTION]))


def asked(question: str) -> Messages:
    """Return the prompt of a question in words."""
    system: Message = {"role": "system", "content": SYSTEM}
    user: Message = {"role": "user", "content": question}
    return (system, user)


def spell(value: float) -> str:
    """Return one significant digit of a number >= 0 in words.

    >>> spell(0.2998), spell(0.0051), spell(9.6), spell(17.6), spell(250.0), spell(0.0004)
    ('three tenths', 'five thousandths', 'ten', 'twenty', 'two hundred', 'none')
    """
    if value < 0.0005:
        return NONE
    mantissa, exponent = f"{value:.0e}".split("e")
    digit, power = (int(mantissa), int(exponent)) if value >= 0.001 else (1, -len(PARTS))
    if power < 0:
        return f"{DIGITS[digit - 1]} {PARTS[-power - 1]}{'s' if digit > 1 else ''}"
    if power >= len(SCALES):
        return f"{value:.0e}"
    words, scale = SCALES[power]
    return f"{words[digit - 1]}{scale}"


def completion(action: str, cause: str, facts: Mapping[str, float], names: Sequence[str]) -> str:
    """Return the answer: the word of the action, then its reason with the figures it rests on.

    Args:
        action: ``BUY``, ``SELL`` or ``HOLD``.
        cause: Rule that decided; empty: none.
        facts: Figures of the bar.
        names: Which of them are told.
    """
    told = ", ".join(f"{BY_NAME[name].label.lower()} {BY_NAME[name].write(facts[name])}" for name in names)
    return f"{action}: {REASONS[(cause, action)]}; {told}."


REASONS = {
    ("mean_reversion", "BUY"): "oversold, and volume confirms",
    ("mean_reversion", "SELL"): "overbought, and volume confirms",
    ("breakout", "BUY"): "rising with volatility and volume",
    ("breakout", "SELL"): "falling with volatility and volume",
    ("", "BUY"): "the price rises after it",
    ("", "SELL"): "the price falls after it",
    ("", "HOLD"): "no rule acts",
}
TOLD = {
    "mean_reversion": ("deviation_50", "volume_ratio_50"),
    "breakout": ("return_50", "volatility", "volume_ratio_50"),
    "": ("deviation_50", "return_50"),
}
"""Figures that a reason names, by the rule that decided."""
