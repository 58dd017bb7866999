"""``Walk``: the bars of a range as the bar step takes them, for whoever carries accounts through them one by one.

Legend: B accounts, T bars of the range, N instruments.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.backtest.execution import ExecutionRules
from tradewright.backtest.quotes import default_distances, quotes_of
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.market.check import check_currency, check_given, check_quotes
from tradewright.market.ledger import Decided, Quotes
from tradewright.market.rules import AccountRules
from tradewright.market.step import Array, Bar, Outcome, State, initial_state, step

Float = npt.NDArray[np.float64]

SUFFIXES = {"years": "_B", "finer_open": "_BKN", "finer_high": "_BKN", "finer_low": "_BKN"}
"""Shapes of the fields of ``Bar`` that are not ``_BN``."""

BLOCK_VALUES = 2**15
"""Numbers looked at together: a quarter of a megabyte."""


class Walk:
    """One range of a panel under given rules.

    Args:
        panel: Bars.
        rows: The judged bars.
        rules: The account's rules.
        xp: The module ``numpy`` or ``torch``.
        device: Where its arrays are.

    Raises:
        MarketError: Prices that no account can trade.
    """

    def __init__(self, panel: Panel, rows: Range, rules: AccountRules, *, xp: Any = np, device: Any = "cpu") -> None:
        self.xp, self.device = xp, device
        self.rules = ExecutionRules.of(rules)
        self.quotes = quotes_of(panel, self.rules, rows)
        if not _is_plain(self.quotes):  # the common case costs one look at each price
            check_quotes(self.quotes, panel.symbols, panel.ts_T[rows.start : rows.stop])
        ticks = [instrument.tick for instrument in panel.instruments]
        check_given(self.quotes, Decided(self.quotes.close), self.rules.account, ticks)
        check_currency(panel.instruments)
        self.num_bars, self.num_instruments = self.quotes.close.shape
        self.bars: dict[str, Any] = {name: self.give(x) for name, x in self.quotes._asdict().items()}
        if self.quotes.tradable[1:].all():
            self.bars["tradable"] = None
        self.multiplier_N = self._unless_all(1.0, [instrument.multiplier for instrument in panel.instruments])
        self.lot_N = self._unless_all(0.0, [instrument.lot for instrument in panel.instruments])
        self.tick_N = self._unless_all(0.0, ticks)
        self.distances: dict[str, Array] = {
            f"{name}_BN": self.give(x_TN) for name, x_TN in default_distances(panel, self.rules, rows).items()
        }

    @property
    def has_stops(self) -> bool:
        """Whether positions have stops or targets."""
        return bool(self.distances) or self.rules.account.has_stops

    def give(self, values: Any) -> Array | None:
        """Return values as an array of ``xp``; None stays None."""
        return None if values is None else self.xp.asarray(np.asarray(values), device=self.device)

    def start(self, num_accounts: int) -> State:
        """Return flat accounts at the close of the first bar."""
        return initial_state(
            self.xp,
            self.rules.account,
            num_accounts,
            self.num_instruments,
            mark_N=self.bars["close"][0],
            has_stops=self.has_stops,
            device=self.device,
        )

    def step(self, state: State, weights_BN: Array, t: int, *, detail: bool = True) -> tuple[State, Outcome]:
        """Carry accounts through bar t >= 1 with the decisions that reach it; ``detail``: return fills and costs."""
        decided_at = max(t - 1 - self.rules.delay_bars, 0)
        distances = {name: x_TN[decided_at][None] for name, x_TN in self.distances.items()}
        return step(
            self.xp, state, weights_BN, self._bar(t), self.rules.account,
            multiplier_N=self.multiplier_N, lot_N=self.lot_N, tick_N=self.tick_N, detail=detail, **distances,
        )  # fmt: skip

    def _bar(self, t: int) -> Bar:
        row: dict[str, Any] = {
            f"{name}{SUFFIXES.get(name, '_BN')}": None if x is None else x[t] for name, x in self.bars.items()
        }
        row["years_B"] = float(self.quotes.years[t])
        return Bar(**row)

    def _unless_all(self, neutral: float, values: list[float]) -> Array | None:
        """Return nothing where all values are neutral, so that the step leaves them out."""
        return None if set(values) == {neutral} else self.give(np.array(values))


def limits_of(x_TN: Float) -> tuple[float, float]:
    """Return the least and the largest value that is not NaN; inf and -inf without one."""
    low, high = np.inf, -np.inf
    for block in _blocks(x_TN):
        least, most = block.min(), block.max()
        if np.isnan(least):
            least, most = np.fmin.reduce(block, axis=None), np.fmax.reduce(block, axis=None)
        low, high = np.fmin(low, least), np.fmax(high, most)
    return float(low), float(high)


def _is_plain(quotes: Quotes) -> bool:
    """Return whether every bar exists, has four finite prices above zero and follows the last one, and that is all."""
    if not quotes.tradable.all() or not (quotes.years >= 0).all() or any(extra is not None for extra in quotes[6:]):
        return False
    return all(block.min() > 0 and block.max() < np.inf for prices_TN in quotes[:4] for block in _blocks(prices_TN))


def _blocks(x_TN: Float) -> Iterator[Float]:
    """Yield x in parts that fit into the cache, so that a second look at one finds it there."""
    rows = max(1, BLOCK_VALUES // max(1, x_TN.shape[1]))
    yield from (x_TN[first : first + rows] for first in range(0, len(x_TN), rows))
