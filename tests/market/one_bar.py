"""One bar of one account: what the tests of the bar step are written with."""

from typing import Any

import numpy as np

from tradewright.market.rules import AccountRules, Costs, Reason
from tradewright.market.step import Bar, Outcome, State, initial_state, step

NAN = float("nan")


def rules(**changes: Any) -> AccountRules:
    costs = Costs(**{name: changes.pop(name) for name in list(changes) if name in Costs.__dataclass_fields__})
    return AccountRules(**{"initial_cash": 1_000.0, "costs": costs, **changes})


def bar(*ohlc: float, **facts: Any) -> Bar:
    """A bar of one instrument, or of several when prices are tuples."""
    open_, high, low, close = (np.atleast_1d(np.asarray(price, dtype=float)) for price in ohlc)
    return Bar(open_, high, low, close, **facts)


def flat(account: AccountRules, mark: Any = 100.0, **options: Any) -> State:
    marks = np.atleast_1d(np.asarray(mark, dtype=float))
    return initial_state(np, account, 1, len(marks), mark_N=marks, has_entries=True, **options)


def trade(account: AccountRules, state: State, weights: Any, one_bar: Bar, **options: Any) -> tuple[State, Outcome]:
    weights_BN = np.atleast_1d(np.asarray(weights, dtype=float))[None]
    options = {name: np.asarray(value, dtype=float) for name, value in options.items()}
    return step(np, state, weights_BN, one_bar, account, **options)


def reason(outcome: Outcome, n: int = 0, phase: str = "open") -> Reason:
    return Reason(int(getattr(outcome, phase).reason_BN[0, n]))
