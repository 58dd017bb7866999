"""How a bar of a pool is told to a language model: one template, in training, in decisions and in every report.

Everything in a prompt is a figure of ``features.swap_windows.onchain_table``, in natural units and rounded the same way
everywhere, so that what a model reads when it decides is what it read when it learned.
Legend: T bars.
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

SYSTEM = "You trade one pool. Answer with BUY, SELL or HOLD first, then give one short reason."
PERCENT, PLAIN, SECONDS = "percent", "plain", "seconds"
LINES: tuple[tuple[str, str, str], ...] = (
    ("price", "Price", PLAIN),
    ("price_change", "Change since the last swap", PERCENT),
    ("return_10", "Return over 10 swaps", PERCENT),
    ("return_50", "Return over 50 swaps", PERCENT),
    ("deviation_50", "Distance from the mean of 50 swaps", PERCENT),
    ("volatility", "Volatility per swap", PERCENT),
    ("volume_eth", "Volume", PLAIN),
    ("volume_average", "Mean volume", PLAIN),
    ("volume_ratio_50", "Volume over its mean", PLAIN),
    ("liquidity_impact", "Share of the pool's reserve", PERCENT),
    ("imbalance_50", "Bought less sold over 50 swaps", PERCENT),
    ("interval_s_10", "Time between swaps", SECONDS),
)
"""Figure, what it is called in the prompt, and how it is written; in the order of the lines."""
QUESTION = "Buy, sell or hold?"


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
        for name, _, _ in LINES:
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
    lines = [f"{label}: {write(facts[name], kind)}" for name, label, kind in LINES]
    return asked("\n".join([f"Pool {symbol}", *lines, QUESTION]))


def asked(question: str) -> Messages:
    """Return the prompt of a question in words."""
    system: Message = {"role": "system", "content": SYSTEM}
    user: Message = {"role": "user", "content": question}
    return (system, user)


def write(value: float, kind: str) -> str:
    """Return a figure as text: three decimals of a percent with sign, else four significant digits or cents."""
    if kind == PERCENT:
        return f"{value:+.3%}"
    if kind == SECONDS:
        return f"{value:.0f} s"
    return f"{value:,.2f}" if abs(value) >= 1 else f"{value:.4g}"


def completion(action: str, cause: str, facts: Mapping[str, float], names: Sequence[str]) -> str:
    """Return the answer: the word of the action, then its reason with the figures it rests on.

    Args:
        action: ``BUY``, ``SELL`` or ``HOLD``.
        cause: Rule that decided; empty: none.
        facts: Figures of the bar.
        names: Which of them are told.
    """
    known = {name: (label, kind) for name, label, kind in LINES}
    told = ", ".join(f"{known[name][0].lower()} {write(facts[name], known[name][1])}" for name in names)
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
