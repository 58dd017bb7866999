"""What a strategy did with its bars: the action of every bar, its profit per action, and when it traded.

Every bar but the first has exactly one action, and the bar's whole change of equity belongs to it, so that profit per
action adds up to the change of equity. A bar in which a decided order was executed is a ``buy`` or a ``sell`` by the
net quantity of each instrument (``rebalance``: some instruments were bought, others sold), whatever else happened in
it; else a forced exit names it; else it is ``hold`` or ``flat``. Rolls are no decisions.
Legend: T bars, n = T - 1 bars that have an action, N instruments, K labels of a calendar unit.
"""

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from tradewright.metrics.history import FillRecord, Float, History, Time

Int = npt.NDArray[np.int64]
Unit = Literal["month", "weekday", "hour"]

ACTIONS = ("buy", "sell", "rebalance", "hold", "flat", "stop", "target", "margin_call")
"""Names of the actions; arrays hold the place in this tuple."""

DECIDED = ("buy", "sell", "rebalance")
"""Actions in which an order of the strategy was executed."""

TRADED = (*DECIDED, "stop", "target", "margin_call")
"""Actions in which anything was executed."""

SIDES = ("long", "short", "flat")

FORCED = {
    "stop_loss": "stop",
    "trailing_stop": "stop",
    "take_profit": "target",
    "margin_call": "margin_call",
    "bankrupt": "margin_call",
}
"""Action by the reason of an execution that the strategy did not decide in this bar."""

ROLL = "roll"

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
THURSDAY = 3
"""Weekday of 1970-01-01, counted from Monday."""

DAY_S = 86_400


class ReasonedFill(FillRecord, Protocol):
    """A fill that says why; ``reason`` is the name of a ``market.rules.Reason`` in lower case."""

    @property
    def reason(self) -> str: ...


class DecidedHistory(History, Protocol):
    """A history whose fills have reasons."""

    @property
    def fills(self) -> Sequence[ReasonedFill]: ...


@dataclass(frozen=True)
class Tally:
    """The bars of one action or side: how many, their profit (money), and how many of them gained."""

    name: str
    num_bars: int
    pnl: float
    num_gains: int


def bar_actions(result: DecidedHistory) -> Int:
    """Return the action of every bar after the first.

    Returns:
        Places in ``ACTIONS``, shape (n,); element i is bar i + 1.
    """
    num_bars = len(result.ts_T)
    has_bought, has_sold = np.zeros(num_bars, dtype=bool), np.zeros(num_bars, dtype=bool)
    forced_T = np.full(num_bars, -1, dtype=np.int64)
    net: defaultdict[tuple[int, str], float] = defaultdict(float)
    for fill in result.fills:
        if fill.quantity == 0 or fill.reason == ROLL:
            continue
        forced = FORCED.get(fill.reason)
        if forced is None:
            net[fill.bar, fill.symbol] += fill.quantity
        else:
            forced_T[fill.bar] = max(forced_T[fill.bar], ACTIONS.index(forced))
    for (bar, _), quantity in net.items():
        has_bought[bar] |= quantity > 0
        has_sold[bar] |= quantity < 0
    is_held = np.any(result.weights_TN != 0, axis=1)
    has_position = is_held[1:] | is_held[:-1]
    return np.select(
        [has_bought[1:] & has_sold[1:], has_bought[1:], has_sold[1:], forced_T[1:] >= 0, has_position],
        [ACTIONS.index("rebalance"), ACTIONS.index("buy"), ACTIONS.index("sell"), forced_T[1:], ACTIONS.index("hold")],
        default=ACTIONS.index("flat"),
    ).astype(np.int64)


def by_action(actions_n: Int, equity_T: Float) -> tuple[Tally, ...]:
    """Return the bars of every action that occurred; their profits add up to the change of equity.

    Args:
        actions_n: Of every bar after the first, from ``bar_actions``.
        equity_T: Equity at the close, money.
    """
    return _tally(ACTIONS, actions_n, equity_T)


def by_side(weights_TN: Float, equity_T: Float) -> tuple[Tally, ...]:
    """Return the bars by the net side of the book: at the close, or at the close before if that left it flat.

    The profits add up to the change of equity.

    Args:
        weights_TN: Signed fraction of equity held at each close.
        equity_T: Equity at the close, money.
    """
    net_T = np.sign(np.sum(weights_TN, axis=1))
    net_n = np.where(net_T[1:] != 0, net_T[1:], net_T[:-1])
    return _tally(SIDES, np.select([net_n > 0, net_n < 0], [0, 1], default=2), equity_T)


def _tally(names: Sequence[str], places_n: Int, equity_T: Float) -> tuple[Tally, ...]:
    change_n = np.diff(equity_T)
    rows = []
    for place, name in enumerate(names):
        own = change_n[places_n == place]
        if len(own):
            rows.append(Tally(name, len(own), math.fsum(own), int(np.sum(own > 0))))
    return tuple(rows)


@dataclass(frozen=True)
class Frequency:
    """Bars in which something was executed, by the labels of a calendar unit and by action.

    Args:
        labels: One per month, weekday or hour, in order, none left out between the first and the last.
        counts: Number of bars by action, K each; actions that never occurred are absent.
    """

    labels: tuple[str, ...]
    counts: dict[str, Int]


def frequency(actions_n: Int, ts_n: Time, unit: Unit) -> Frequency:
    """Return how often the account traded in every month, on every weekday or in every hour of the day (UTC).

    Weekdays and hours without a bar are left out at both ends; months run from the first bar's to the last bar's.

    Args:
        actions_n: Of every bar after the first, from ``bar_actions``.
        ts_n: Opens of the same bars.
        unit: Calendar unit.
    """
    if len(ts_n) == 0:
        return Frequency((), {})
    if unit == "month":
        months_n = ts_n.astype("datetime64[M]")
        places_n = (months_n - months_n[0]).astype(np.int64)
        labels = tuple(str(month) for month in np.arange(months_n[0], months_n[-1] + 1))
    elif unit == "weekday":
        places_n = (ts_n.astype("datetime64[D]").astype(np.int64) + THURSDAY) % 7
        labels = WEEKDAYS
    else:
        places_n = ts_n.astype("datetime64[h]").astype(np.int64) % 24
        labels = tuple(f"{hour:02d}" for hour in range(24))
    first, last = (0, len(labels) - 1) if unit == "month" else (int(places_n.min()), int(places_n.max()))
    counts = {
        name: np.bincount(places_n[actions_n == ACTIONS.index(name)], minlength=len(labels))[first : last + 1]
        for name in TRADED
    }
    return Frequency(labels[first : last + 1], {name: values for name, values in counts.items() if values.any()})
