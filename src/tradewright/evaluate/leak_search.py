"""``find_leaks``: does a function of bars use what was not known yet? Two tests, each at eight or more random cuts.

* Truncation: the bars after the cut are taken away.
* Perturbation: they are replaced by other valid markets.

Values at bars up to the cut must stay the same. Values are compared, not trades: a comparison of trades passes leaks
that move no trade and blames what moved one for another reason. Nothing is assumed about the function except that it
returns the same for the same bars; where it does not, or fails on shorter data, that is said instead of a verdict.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.evaluate.evidence import Leak
from tradewright.evaluate.leak_cuts import MAX_EVENTS, check_num_cuts, choose_cuts, cut_range
from tradewright.evaluate.leak_values import Change, MalformedError, Values, as_values, compare
from tradewright.evaluate.leak_worlds import Table, World, Worlds

TRUNCATION, PERTURBATION = "truncation", "perturbation"

Compute = Callable[..., Any]
"""``compute(panel)``, or ``compute(panel, tables)`` where tables are given, returns values by name: ``[T]``,
``[T, N]``, ``[T, N, K]``, T texts, or one number that was fitted. T is the number of bars it is given."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """What one check found.

    Args:
        kind: Kind of the leaks.
        subject: What was checked, for tables and messages.
        num_values: Names checked.
        cuts: Bars at which the data were cut.
        leaks: One per culprit, in the order of the values.
        faults: Why there is no verdict: sentences, empty when there is one.
    """

    kind: str
    subject: str
    num_values: int = 0
    cuts: tuple[int, ...] = ()
    leaks: tuple[Leak, ...] = ()
    faults: tuple[str, ...] = ()

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found and the check could be made."""
        return not self.leaks and not self.faults


@dataclass
class _Suspects:
    """The worst change per name over all cuts."""

    worst: dict[str, tuple[Change, int, str]] = field(default_factory=dict)
    first: dict[str, int] = field(default_factory=dict)
    reach: dict[str, int] = field(default_factory=dict)

    def add(self, name: str, change: Change, cut: int, method: str) -> None:
        known = self.worst.get(name)
        if known is None or change.size > known[0].size:
            self.worst[name] = change, cut, method
        self.first[name] = min(self.first.get(name, change.first_row), change.first_row)
        self.reach[name] = max(self.reach.get(name, 0), cut + 1 - change.first_row)


def find_leaks(
    compute: Compute,
    panel: Panel,
    *,
    kind: str,
    rng: np.random.Generator,
    subject: str = "",
    num_cuts: int = 8,
    reach_bars: int = 0,
    warmup_bars: int = 0,
    rows: Range | None = None,
    tables: Mapping[str, Table] | None = None,
    max_events: int = MAX_EVENTS,
) -> Check:
    """Check one function.

    Args:
        compute: The function. It must keep no state between calls: hand in one that builds what it needs anew.
        panel: The bars.
        kind: Kind of the leaks, see ``Leak``.
        rng: Draws cuts and futures.
        subject: What is checked, for messages; by default the kind.
        num_cuts: Random cuts, >= 8; where values change rarely, cuts at their changes are added. Each costs three calls
            of ``compute``; two more compare the whole data with itself.
        reach_bars: Bars ahead that the values may use: labels. Row t then may depend on bars up to t + ``reach_bars``.
        warmup_bars: Bars at either end that are not cut at.
        rows: Bars that may be cut at instead.
        tables: Further data with times of their own that ``compute`` joins to the bars.
        max_events: Most changes of rare values that are cut at, twice each; 0: none.

    Returns:
        Leaks by culprit, or the faults that prevented a verdict.

    Raises:
        ValueError: ``num_cuts`` is below 8.
        DataError: Too few bars for the cuts.
        Exception: What ``compute`` raises for the data as they are.
    """
    check_num_cuts(num_cuts)
    subject = subject or kind
    rows = rows or cut_range(panel.num_bars, warmup_bars + reach_bars, num_cuts, subject)
    worlds = Worlds(panel, tables or {}, rng)
    run = _Runner(compute, with_tables=tables is not None)
    check = Check(kind=kind, subject=subject)
    try:
        whole = _kept(run(worlds.whole))
    except MalformedError as error:
        return replace(check, faults=(f"{subject}: {error}",))
    cuts = choose_cuts(whole, rows, num_cuts, rng, max_events=max_events)
    check = replace(check, num_values=len(whole), cuts=tuple(cuts))
    suspects, faults = _Suspects(), []
    for cut in cuts:
        faults += _try_cut(run, worlds, whole, cut, reach_bars, suspects)
    unstable = _difference(whole, run(worlds.whole))
    if unstable:
        return replace(check, faults=(f"{subject} is not deterministic: {unstable} on the same bars",))
    found = tuple(_leak(name, kind, panel, whole, suspects) for name in whole if name in suspects.worst)
    return replace(check, leaks=found, faults=tuple(f"{subject} cannot be checked: {fault}" for fault in faults[:1]))


class _Runner:
    def __init__(self, compute: Compute, *, with_tables: bool) -> None:
        self.compute, self.with_tables = compute, with_tables

    def __call__(self, world: World) -> Values:
        panel, tables = world
        return as_values(self.compute(panel, tables) if self.with_tables else self.compute(panel), panel.num_bars)


def _kept(values: Values) -> Values:
    """Copy what was returned: a function may write its next result into the same array. Fitted numbers stay as are."""
    return {name: array if array.strides[0] == 0 else array.copy() for name, array in values.items()}


def _try_cut(run: _Runner, worlds: Worlds, whole: Values, cut: int, reach_bars: int, suspects: _Suspects) -> list[str]:
    """Compare at one cut; return why that failed, empty if it did not. The other futures are compared all the same."""
    faults = []
    futures = [(TRUNCATION, worlds.truncated(cut)), *((PERTURBATION, world) for world in worlds.perturbed(cut))]
    for method, world in futures:
        where = f"the bars up to {worlds.panel.ts_T[cut]}" + (" and others after" if method == PERTURBATION else "")
        try:
            other = run(world)
            if other.keys() != whole.keys():
                faults.append(
                    f"{', '.join(sorted(other.keys() ^ whole.keys()))} not in all results; missing on {where}"
                )
            for name in whole.keys() & other.keys():
                change = compare(whole[name], other[name], cut + 1 - reach_bars)
                if change is not None:
                    suspects.add(name, change, cut, method)
        except Exception as error:  # noqa: BLE001 - whatever the checked function does is the finding
            faults.append(f"{type(error).__name__} on {where} ({' '.join(str(error).split())})")
    return faults


def _difference(values: Values, again: Values) -> str:
    """Return the first name whose values differ between two runs, with how; "" where none does."""
    if values.keys() != again.keys():
        return "it returns other names"
    for name, array in values.items():
        change = compare(array, again[name], len(array))
        if change is not None:
            return f"'{name}' is {change.before} and then {change.after}"
    return ""


def _leak(name: str, kind: str, panel: Panel, whole: Values, suspects: _Suspects) -> Leak:
    change, cut, method = suspects.worst[name]
    array, num = whole[name], len(panel.instruments)
    has_symbols = array.ndim > 1 and array.shape[1] == num
    symbol = panel.symbols[change.column // math.prod(array.shape[2:])] if has_symbols else ""
    is_one_number = array.strides[0] == 0  # a fitted number has no bar; it was known at the cut
    return Leak(
        kind=kind,
        name=name,
        symbol=symbol,
        ts=panel.ts_T[cut if is_one_number else change.row],
        first_ts=panel.ts_T[cut if is_one_number else suspects.first[name]],
        cut_ts=panel.ts_T[cut],
        reach_bars=suspects.reach[name],
        method=method,
        before=change.before,
        after=change.after,
    )
