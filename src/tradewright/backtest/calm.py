"""The common bar of one account over many instruments, in money instead of shares.

Wanted less held is traded at the open; the orders of a long-only account are scaled to the leverage cap, its purchases
to the cash that is there. ``Calm`` carries an account only through bars on which nothing else happens; it refuses, and
leaves the account as it was, where a short would have to be scaled, a margin line is met, or equity is gone. Such a bar
is the bar step's.
Legend: T bars, N instruments; arrays without a suffix are ``[N]``.
"""

import numpy as np
import numpy.typing as npt

from tradewright.backtest.execution import ExecutionRules
from tradewright.backtest.walk import Walk
from tradewright.market.form import DUST
from tradewright.market.rules import Costs
from tradewright.market.step import State

Float = npt.NDArray[np.float64]
Bool = npt.NDArray[np.bool_]

MAX_SAFE_MARGIN = 0.99
"""Up to this maintenance margin an account without debt and shorts is never called."""


def is_known(walk: Walk) -> bool:
    """Return whether these bars and rules have nothing that only the bar step knows."""
    rules, costs = walk.rules, walk.rules.costs
    plain = ExecutionRules(
        initial_cash=rules.initial_cash,
        leverage=rules.leverage,
        allow_short=rules.allow_short,
        maintenance_margin=rules.maintenance_margin,
        delay_bars=rules.delay_bars,
        costs=Costs(
            fee_bps=costs.fee_bps,
            slippage_bps=costs.slippage_bps,
            borrow_rate=costs.borrow_rate,
            cash_rate=costs.cash_rate,
        ),
    )
    is_plain_market = walk.lot_N is None and walk.tick_N is None and all(extra is None for extra in walk.quotes[6:])
    return rules == plain and is_plain_market and walk.num_instruments > 1


class Calm:
    """An account between two bars, and the buffers of one bar.

    Args:
        walk: The bars and rules, which ``is_known``.
        is_long_only: No weight is below zero.

    Attributes:
        cash, equity: Money after the last bar.
        traded, net: Notional and signed notional of its fills, before slippage.
        interest, borrow: Money earned and paid before its open.
    """

    def __init__(self, walk: Walk, *, is_long_only: bool) -> None:
        rules = walk.rules
        self.walk, self.rules, self.terms = walk, rules, rules.terms
        self.is_long_only = is_long_only
        has_debt = rules.leverage > 1 or rules.costs.cash_rate < 0 or self.terms.rate >= 1
        self.is_safe = is_long_only and not has_debt and rules.maintenance_margin <= MAX_SAFE_MARGIN
        self.is_whole_T: list[bool] = np.all(walk.quotes.tradable, axis=1).tolist()
        self.cash = self.equity = rules.initial_cash
        self.traded = self.net = self.interest = self.borrow = self.short = 0.0
        self.is_halted = False
        close = walk.quotes.close[0]
        self.mark: Float = np.where(np.isnan(close), 0.0, close)
        self.shares, self.new_shares, self.value, self.target, self.change, self.size = np.zeros((6, len(close)))
        self.is_order: Bool = np.zeros(len(close), dtype=bool)

    def carry(self, t: int, wanted: Float, held: Float) -> bool:
        """Carry the account through bar t, unless something uncommon happens in it.

        Args:
            t: Bar, >= 1.
            wanted: Target fractions of equity; NaN: no order.
            held: Receives the fractions held at the close.

        Returns:
            Whether the bar was carried; if not, nothing has changed.
        """
        if self.is_halted:
            return False
        costs, quotes = self.rules.costs, self.walk.quotes
        interest = self.cash * (costs.cash_rate * float(quotes.years[t])) if costs.cash_rate else 0.0
        borrow = self.short * (costs.borrow_rate * float(quotes.years[t])) if costs.borrow_rate else 0.0
        cash = self.cash + interest - borrow
        reference, mark = quotes.open[t], quotes.close[t]
        if not self.is_whole_T[t]:
            reference = np.where(quotes.tradable[t], reference, self.mark)
            reference[reference == 0] = 1.0  # no price yet: nothing is held and nothing is ordered
            mark = np.where(quotes.tradable[t], mark, self.mark)
        if not self._trade(t, wanted, reference, cash):
            return False
        traded, net = self.traded, self.net
        cash -= net + traded * self.terms.rate + net * self.terms.skew
        np.multiply(self.new_shares, self._money(mark), out=held)
        value = float(np.add.reduce(held))
        equity = cash + value
        short = 0.0 if self.is_long_only else (float(np.add.reduce(np.abs(held, out=self.size))) - value) / 2.0
        if not self.is_safe and equity <= (value + 2.0 * short) * self.rules.maintenance_margin:
            return False
        np.multiply(held, 1.0 / equity, out=held)
        self.shares, self.new_shares = self.new_shares, self.shares
        self.cash, self.equity, self.mark, self.short = cash, equity, mark, short
        self.interest, self.borrow = interest, borrow
        return True

    def _trade(self, t: int, wanted: Float, reference: Float, cash: float) -> bool:
        """Work out the shares after the open, ``traded`` and ``net``; return False where the bar step is needed."""
        price, terms, leverage = self._money(reference), self.terms, self.rules.leverage
        value, target, change, size = self.value, self.target, self.change, self.size
        np.multiply(self.shares, price, out=value)
        held = float(np.add.reduce(value))
        equity = cash + held
        if not equity > 0:
            return False
        np.multiply(wanted, equity, out=target)
        gross, is_kept = self._gross(target), None
        if gross != gross or not self.is_whole_T[t]:  # NaN: some are not ordered
            is_kept = np.isnan(target) | ~self.walk.quotes.tradable[t]
            np.copyto(target, value, where=is_kept)
            gross = self._gross(target)
        if gross > leverage * equity * (1.0 + DUST):
            if not self._cap(gross, leverage * equity, is_kept):
                return False
            gross = self._gross(target)
        np.subtract(target, value, out=change)
        np.abs(change, out=size)
        np.greater_equal(size, DUST * equity, out=self.is_order)
        is_all = bool(self.is_order.all())
        if not is_all:
            is_dust = ~self.is_order
            np.copyto(change, 0.0, where=is_dust)
            np.copyto(size, 0.0, where=is_dust)
        traded, net = float(np.add.reduce(size)), float(np.add.reduce(change))
        room = leverage * (equity - traded * terms.rate - net * terms.skew)
        if not self.is_long_only and room < gross + len(value) * DUST * equity:
            return False
        is_scaled = self.is_long_only and room < held + net
        if is_scaled:
            bought = float(np.add.reduce(np.maximum(change, 0.0, out=size)))
            sold = bought - net
            room = leverage * (equity - sold * (terms.rate - terms.skew)) - (held - sold)
            scale = room / (bought * (terms.need_rate + terms.need_skew)) if bought else 1.0
            if not scale > 0.0:
                return False
            scale = min(scale, 1.0)
            np.add(change, np.multiply(size, scale - 1.0, out=size), out=change)
            traded, net = sold + bought * scale, bought * scale - sold
        if is_scaled or not is_all:
            np.add(value, change, out=target)
        np.divide(target, price, out=self.new_shares)
        if not is_all:
            np.copyto(self.new_shares, self.shares, where=is_dust)
        self.traded, self.net = traded, net
        return True

    def _cap(self, gross: float, limit: float, is_kept: Bool | None) -> bool:
        """Scale what is ordered, so that with what is kept it stays below the limit; return whether it can be done."""
        kept = 0.0 if is_kept is None else float(self.value[is_kept].sum())
        if not self.is_long_only or not gross > kept:
            return False
        np.multiply(self.target, max(limit - kept, 0.0) / (gross - kept), out=self.target)
        if is_kept is not None:
            np.copyto(self.target, self.value, where=is_kept)
        return True

    def state(self, state: State) -> State:
        """Return the account as the bar step knows it; ``state`` gives what this form does not touch."""
        if self.is_halted:
            return state
        return state._replace(
            cash_B=np.array([self.cash]), shares_BN=self.shares[None].copy(), mark_BN=self.mark[None].copy()
        )

    def resume(self, state: State) -> None:
        """Take the account over from the bar step."""
        self.is_halted = bool(state.margin_call_B[0] | state.ended_B[0])
        self.cash = float(state.cash_B[0])
        self.shares, self.mark = state.shares_BN[0].copy(), state.mark_BN[0].copy()
        self.short = float(np.maximum(-self.shares * self._money(self.mark), 0.0).sum())

    def _gross(self, target: Float) -> float:
        return float(np.add.reduce(target if self.is_long_only else np.abs(target, out=self.size)))

    def _money(self, price: Float) -> Float:
        multiplier_N = self.walk.multiplier_N
        return price if multiplier_N is None else price * np.asarray(multiplier_N)
