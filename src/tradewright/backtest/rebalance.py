"""One account over many instruments that follows weights: equity, weights held and costs, without a journal.

Common bars are carried in a form of their own (``calm.py``), all others by the bar step, and so is every bar under
rules that this form does not know; tests prove the two equal. It is for portfolios whose trades nobody reads, and for
sweeps over them; ``Vectorized.run`` gives the journal.
Legend: T bars of the range, N instruments.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from tradewright.backtest.calm import Calm, is_known
from tradewright.backtest.walk import Walk, limits_of
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.market.check import MAX_WEIGHT, check_weights
from tradewright.market.rules import AccountRules
from tradewright.market.step import Outcome, State

Float = npt.NDArray[np.float64]


class Held(NamedTuple):
    """What an account held.

    Args:
        equity_T: Equity at the close.
        cash_T: Cash at the close.
        weights_TN: Signed fraction of equity held at each close; NaN where equity is zero.
        traded_T: Notional of all fills at each bar, money, at the prices with slippage.
        costs: Money over the range: ``fees``, ``slippage``, ``borrow``, ``funding``, ``dividends`` and ``interest``
            (received is negative).
        num_stepped: Bars that were carried by the bar step.
        ended_at: Bar at which the account went bankrupt, or None.
    """

    equity_T: Float
    cash_T: Float
    weights_TN: Float
    traded_T: Float
    costs: dict[str, float]
    num_stepped: int
    ended_at: int | None


def rebalance(panel: Panel, rows: Range, rules: AccountRules, weights_TN: Float) -> Held:
    """Return what an account holds that starts flat at the close of ``rows.start`` and follows the weights.

    Args:
        panel: Bars.
        rows: The judged bars.
        rules: The account's rules.
        weights_TN: Decided at each close, as in ``Positions``; NaN: no order.

    Raises:
        MarketError: Prices or weights that no account can trade.
    """
    walk = Walk(panel, rows, rules)
    shape = walk.quotes.close.shape
    least, most = limits_of(weights_TN) if weights_TN.shape == shape else (np.inf, -np.inf)
    if not -MAX_WEIGHT <= least <= most <= MAX_WEIGHT or weights_TN.dtype != np.float64:
        check_weights(weights_TN, panel.symbols, shape)
    if least < 0 and not walk.rules.allow_short:
        weights_TN, least = np.maximum(weights_TN, 0.0), 0.0
    calm = Calm(walk, is_long_only=not least < 0) if is_known(walk) else None
    state, delay, book = walk.start(1), walk.rules.delay_bars, _Book(walk)
    no_order = np.full(walk.num_instruments, np.nan)
    for t in range(1, walk.num_bars):
        wanted = weights_TN[t - 1 - delay] if t > delay else no_order
        if calm is not None:
            if calm.carry(t, wanted, book.held_TN[t]):
                book.keep_calm(t, calm)
                continue
            state = calm.state(state)
        state, outcome = walk.step(state, wanted[None], t)
        book.keep_step(t, state, outcome)
        if calm is not None:
            calm.resume(state)
    return book.close()


class _Book:
    """What the account left behind so far."""

    def __init__(self, walk: Walk) -> None:
        self.walk = walk
        self.equity_T = np.full(walk.num_bars, walk.rules.initial_cash)
        self.cash_T = self.equity_T.copy()
        self.traded_T = np.zeros(walk.num_bars)
        self.held_TN = np.empty((walk.num_bars, walk.num_instruments))
        self.held_TN[0] = 0.0
        self.costs = dict.fromkeys(("fees", "slippage", "borrow", "funding", "dividends", "interest"), 0.0)
        self.num_stepped = 0
        self.ended_at: int | None = None

    def keep_calm(self, t: int, calm: Calm) -> None:
        """Keep the figures of a bar of the common form, whose weights are stored already."""
        self.equity_T[t], self.cash_T[t] = calm.equity, calm.cash
        terms = calm.terms
        self.traded_T[t] = at_fill = calm.traded + calm.net * terms.slippage
        self.costs["fees"] += at_fill * terms.fee
        self.costs["slippage"] += calm.traded * terms.slippage
        self.costs["borrow"] += calm.borrow
        self.costs["interest"] -= calm.interest

    def keep_step(self, t: int, state: State, outcome: Outcome) -> None:
        """Keep the figures of a bar of the bar step."""
        multiplier = 1.0 if self.walk.multiplier_N is None else self.walk.multiplier_N
        self.num_stepped += 1
        for fills in (outcome.leave, outcome.join, outcome.open, outcome.entry, outcome.stop, outcome.close):
            if fills is not None:
                price_BN = np.where(fills.quantity_BN != 0, fills.price_BN, 0.0) * multiplier
                self.traded_T[t] += float(abs(fills.quantity_BN * price_BN).sum())
                self.costs["fees"] += float(fills.fee_BN.sum())
                self.costs["slippage"] += float(fills.slippage_BN.sum())
        for name, value in (("borrow", outcome.borrow_B), ("funding", outcome.funding_B)):
            self.costs[name] += _money(value)
        for name, value in (("dividends", outcome.dividend_B), ("interest", outcome.interest_B)):
            self.costs[name] -= _money(value)
        value = state.shares_BN[0] * state.mark_BN[0] * multiplier
        equity = self.equity_T[t] = float(outcome.equity_B[0])
        self.cash_T[t] = float(state.cash_B[0])
        self.held_TN[t] = np.where(value == 0, 0.0, value / (equity if equity else np.nan))
        if self.ended_at is None and bool(state.ended_B[0]):
            self.ended_at = t

    def close(self) -> Held:
        """Return what was kept."""
        return Held(
            self.equity_T, self.cash_T, self.held_TN, self.traded_T, self.costs, self.num_stepped, self.ended_at
        )


def _money(value: Float | float) -> float:
    return value if isinstance(value, float) else float(value[0])
