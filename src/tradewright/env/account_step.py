"""``AccountStep``: carries the accounts of a simulator through one bar by the leanest form of the accounting that fits.

Plain accounts on a gapless market take ``market.lean``, as long as none of them is in trouble: should one reach its
margin line, the whole bar is done again by ``market.step`` from the state before it. Both give the same numbers.
Legend: B accounts.
"""

from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor

from tradewright.config.compilers import require_cpp_compiler
from tradewright.env.cost_factors import CostFactors
from tradewright.env.execution_tensors import ExecutionTensors
from tradewright.market.lean import Held, is_plain, step_plainly
from tradewright.market.rules import AccountRules
from tradewright.market.step import Bar, Outcome, State, step


class Stepped(NamedTuple):
    """The accounts after a bar, what happened in it, the bar, and the accounts' multipliers ``[B, 1]`` (None: 1).

    ``is_fresh`` says that money, shares and prices of the accounts were made in this step and are nobody else's.
    """

    account: State
    outcome: Outcome
    bar: Bar
    multiplier_BN: Tensor | None
    is_fresh: bool = False


class AccountStep:
    """One bar of B accounts.

    Args:
        execution: The market.
        rules: Account rules.
        costs: Factors on the costs of each account; None: those of ``rules``.
        specialise: Take the lean form where it fits; False always takes the other (tests compare the two).
        compile: Compile the lean form for this number of accounts: three times faster after half a minute.

    Raises:
        ConfigError: There is no C++ compiler.
    """

    def __init__(
        self,
        execution: ExecutionTensors,
        rules: AccountRules,
        costs: CostFactors | None,
        *,
        specialise: bool = True,
        compile: bool = False,
    ) -> None:
        self.execution, self.costs = execution, costs
        self._configured = rules
        self.rules = rules if costs is None else costs.largest(rules)
        self._has_rates = rules.costs.cash_rate != 0 or rules.costs.borrow_rate != 0
        is_simple = execution.is_gapless and not execution.events and not execution.distances
        has_steps = "lot_N" in execution.contract or "tick_N" in execution.contract
        self._is_lean = specialise and is_simple and not has_steps and is_plain(self.rules)
        self._lean = partial(step_plainly, torch, self.rules)
        if compile:
            require_cpp_compiler("env.compile_step")
        self._compiled_lean = torch.compile(self._lean, dynamic=False) if compile and self._is_lean else self._lean
        self._known: tuple[Tensor, Tensor, bool] | None = None

    def is_sound(self, account: State) -> bool:
        """Return whether no account has ended or has a margin call; asks the device only about flags not seen yet."""
        if not self.rules.can_break and not self.execution.events:
            return True
        known = self._known
        if known is None or known[0] is not account.ended_B or known[1] is not account.margin_call_B:
            is_sound = not bool((account.ended_B | account.margin_call_B).any())
            known = self._known = (account.ended_B, account.margin_call_B, is_sound)
        return known[2]

    def __call__(
        self, account: State, due: dict[str, Any], row_B: Tensor, instrument_B: Tensor | None, *, has_detail: bool
    ) -> Stepped:
        """Carry the accounts through their bars.

        Args:
            account: The accounts.
            due: ``weights_BN``, and the distances that come with the orders, ``[B, 1]``.
            row_B: Flat rows of the bars.
            instrument_B: The accounts' instruments; None where all contracts are neutral.
            has_detail: Return fills, costs and reasons.
        """
        contract: dict[str, Any] = {} if instrument_B is None else self.execution.contract_of(instrument_B)
        if self._is_lean and not has_detail and self.is_sound(account):
            stepped = self._plainly(account, due["weights_BN"][:, 0], row_B, contract.get("multiplier_N"))
            if stepped is not None:
                return stepped
        bar = self.execution.bar(row_B, has_stops=account.blocked_BN is not None)
        terms = None
        if self.costs is not None:
            terms = self.costs.terms(self._configured, is_column=True)
            if bar.impact_BN is not None:
                bar = bar._replace(impact_BN=bar.impact_BN * self.costs.factor_B[:, None])
            if bar.pool_BN is not None:
                bar = bar._replace(pool_BN=bar.pool_BN * self.costs.factor_B[:, None])
        account, outcome = step(
            torch, account, due.pop("weights_BN"), bar, self.rules, detail=has_detail, terms=terms, **due, **contract
        )
        return Stepped(account, outcome, bar, contract.get("multiplier_N"))

    def _plainly(self, account: State, weight_B: Tensor, row_B: Tensor, multiplier_BN: Tensor | None) -> Stepped | None:
        """Take the lean form; None where an account is in trouble."""
        execution, entry_BN = self.execution, account.entry_BN
        assert entry_BN is not None
        open_B, close_B = (execution.prices[name].index_select(0, row_B) for name in ("open", "close"))
        years_B = execution.years.index_select(0, row_B) if self._has_rates else None
        # What a gradient passes through is not compiled: it would be compiled twice, for little.
        lean = self._lean if weight_B.requires_grad or account.cash_B.requires_grad else self._compiled_lean
        after = lean(
            self.rules.terms if self.costs is None else self.costs.terms(self._configured, is_column=False),
            Held(account.cash_B, account.shares_BN[:, 0], account.mark_BN[:, 0], entry_BN[:, 0]),
            weight_B,
            open_B,
            close_B,
            years_B,
            None if multiplier_BN is None else multiplier_BN[:, 0],
        )
        if after.margin_B is not None and not bool(after.margin_B.amin() > 0):
            return None
        held = after.held
        account = account._replace(
            cash_B=held.cash_B,
            shares_BN=held.shares_B[:, None],
            mark_BN=held.mark_B[:, None],
            entry_BN=held.entry_B[:, None],
        )
        bar = Bar(open_B[:, None], None, None, held.mark_B[:, None])
        is_fresh = not after.equity_B.requires_grad
        return Stepped(account, Outcome(after.equity_B), bar, multiplier_BN, is_fresh)
