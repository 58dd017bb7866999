"""The leak detector on what a run is made of: features, their scaler, rules, and (in ``leak_rollout``) environments.

``find_leaks`` in ``leak_search`` is the test itself and takes any function of bars: targets (``reach_bars``), prompts
(texts), joins (``tables``). Neither torch nor Lightning is imported here, so a rule's backtest can afford the check.

Legend: T bars, N instruments, F features.
"""

import copy
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import RunError
from tradewright.evaluate.evidence import Leak, Leaks
from tradewright.evaluate.leak_cuts import cut_range
from tradewright.evaluate.leak_search import Check, find_leaks
from tradewright.features.features import Features
from tradewright.features.pipeline import FeatureSet, compute_features
from tradewright.strategy.strategy import Strategy

FEATURE, SCALER, OBSERVATION, STRATEGY = "feature", "scaler", "observation", "strategy"
MAX_VALUES = 10_000
"""Bars x instruments that a check of a run looks at; all of twenty years of two instruments' daily bars."""
TRAINED_SHARE = 0.6
"""Share of the bars on which the scaler is fitted when it is checked."""


def check_features(
    feature_set: FeatureSet, panel: Panel, *, num_cuts: int = 8, seed: int = 0, max_values: int | None = None
) -> tuple[Check, Check]:
    """Check the features, and the scaler that is fitted on the first bars and applied to all.

    Args:
        feature_set: What to check; every call works on a fresh copy, so that nothing fitted before helps.
        panel: All bars.
        num_cuts: Cuts per check, >= 8.
        seed: Of cuts and futures.
        max_values: Most bars x instruments looked at; None: all.

    Returns:
        One check of the raw features, one of the scaled ones with the scaler's numbers.
    """
    rng = np.random.default_rng([seed, 1])
    panel = thin(panel, max_values, rng)
    warmup = feature_set.warmup_bars
    settings: dict[str, Any] = {"rng": rng, "num_cuts": num_cuts}
    raw = find_leaks(
        lambda panel: copy.deepcopy(feature_set).compute(panel.for_signals()),
        panel,
        kind=FEATURE,
        subject="features",
        warmup_bars=warmup,
        **settings,
    )
    available = cut_range(panel.num_bars, warmup, num_cuts, "features")
    stop = min(max(int(TRAINED_SHARE * panel.num_bars), warmup + 2), available.stop - num_cuts + 1)
    scaled = find_leaks(
        lambda panel: _scaled(copy.deepcopy(feature_set), panel, Range(0, stop)),
        panel,
        kind=SCALER,
        subject="scaled features",
        rows=Range(stop - 1, panel.num_bars - 1),
        **settings,
    )
    return raw, scaled


def _scaled(feature_set: FeatureSet, panel: Panel, train: Range) -> dict[str, Any]:
    x_TNF, scaler = compute_features(feature_set, panel, (train,), None)
    values: dict[str, Any] = {}
    for f, name in enumerate(scaler.names_F):
        values[name] = x_TNF[..., f]
        values[f"mean of {name}"], values[f"deviation of {name}"] = scaler.mean_F[f], scaler.deviation_F[f]
    return values


def check_strategy(
    strategy: Strategy,
    panel: Panel,
    rows: Range,
    *,
    features_of: Callable[[Panel], Features] | None = None,
    num_cuts: int = 8,
    seed: int = 0,
    max_values: int | None = None,
) -> Check:
    """Check what a strategy decides: weights, stops, targets, entry prices.

    Args:
        strategy: What to check; every call works on a fresh copy.
        panel: All bars.
        rows: Bars it decides on, as in ``Strategy.decide``; earlier ones are its warm-up.
        features_of: Computes the features that the strategy reads; None: it reads none.
        num_cuts: Cuts, >= 8.
        seed: Of cuts and futures.
        max_values: Most bars x instruments looked at; None: all.
    """
    rng = np.random.default_rng([seed, 2])
    kept = thin(panel.slice(0, rows.stop), max_values, rng)
    first = max(rows.start - (rows.stop - kept.num_bars), 0)

    def decided(panel: Panel) -> dict[str, Any]:
        features = features_of(panel) if features_of else None
        positions = _fresh(strategy).decide(panel, features, Range(first, panel.num_bars))
        return {
            entry.name.removesuffix("_TN"): _padded(getattr(positions, entry.name), first)
            for entry in fields(positions)
            if getattr(positions, entry.name) is not None
        }

    available = cut_range(kept.num_bars - first, 1, num_cuts, strategy.name)  # an agent decides on two bars at least
    cut_rows = Range(first + available.start, first + available.stop)
    return find_leaks(decided, kept, kind=STRATEGY, subject=strategy.name, rng=rng, num_cuts=num_cuts, rows=cut_rows)


def _fresh(strategy: Strategy) -> Strategy:
    """Return a copy of a rule; an agent's networks stay as they are, because nothing about them is fitted here."""
    return strategy if hasattr(strategy, "agent") else copy.deepcopy(strategy)


def _padded(x_TN: npt.NDArray[Any], num_rows: int) -> npt.NDArray[Any]:
    return np.concatenate([np.full((num_rows, *x_TN.shape[1:]), np.nan), x_TN])


def thin(panel: Panel, max_values: int | None, rng: np.random.Generator) -> Panel:
    """Return the newest bars of some instruments, ``max_values`` in all; None: everything.

    The instrument with the most bars stays; the others are drawn from those with at least half as many.
    """
    num = len(panel.instruments)
    if max_values is None or panel.num_bars * num <= max_values:
        return panel
    kept = panel.slice(max(panel.num_bars - max_values, 0), panel.num_bars)
    count_N = kept.tradable_TN.sum(axis=0)
    best = int(np.argmax(count_N))
    others = [n for n in range(num) if n != best and 2 * count_N[n] >= count_N[best]]
    size = min(max(max_values // kept.num_bars, 1), len(others) + 1)
    return select(kept, sorted([best, *rng.permutation(others)[: size - 1].astype(int).tolist()]))


def select(panel: Panel, columns: list[int]) -> Panel:
    """Return some instruments of a panel, in the order given."""
    changed: dict[str, Any] = {"instruments": tuple(panel.instruments[n] for n in columns)}
    for entry in fields(panel):
        value = getattr(panel, entry.name)
        if isinstance(value, np.ndarray) and value.ndim == 2:
            changed[entry.name] = value[:, columns]
        elif isinstance(value, Panel):
            changed[entry.name] = select(value, columns)
    return replace(panel, **changed)


def verdict(checks: Iterable[Check], num_cuts: int, drift: Mapping[str, Mapping[int, float]] | None = None) -> Leaks:
    """Return the evidence of some checks."""
    checks = tuple(checks)
    return Leaks(
        checked=tuple(check.subject for check in checks),
        num_cuts=num_cuts,
        leaks=tuple(leak for check in checks for leak in check.leaks),
        faults=tuple(fault for check in checks for fault in check.faults),
        drift=drift or {},
    )


def require_clean(found: Leaks) -> None:
    """Refuse to go on with leaks, or without a verdict.

    Raises:
        RunError: The first leak or fault in one line, and how many more there are.
    """
    lines = [*(f"leak: {describe(leak)}" for leak in found.leaks), *(f"leak check: {fault}" for fault in found.faults)]
    if lines:
        more = f"; {len(lines) - 1} more: `tradewright check_leaks` lists them" if len(lines) > 1 else ""
        raise RunError(f"{lines[0]}{more}")


def describe(leak: Leak) -> str:
    """Return one sentence that names the culprit, the bar and what changed."""
    of = f" of {leak.symbol}" if leak.symbol else ""
    if leak.method == "ranges":
        return f"split '{leak.name}': {leak.before}, {leak.after} (at {_stamp(leak.ts)})"
    how = "the later bars are taken away" if leak.method == "truncation" else "only the later bars change"
    ahead = f"{leak.reach_bars} bar{'' if leak.reach_bars == 1 else 's'}"
    return (
        f"{leak.kind} '{leak.name}'{of} at {_stamp(leak.ts)} uses bars after {_stamp(leak.cut_ts)} (at least {ahead}"
        f" ahead): it is {_text(leak.before)}, but {_text(leak.after)} when {how}"
    )


def _text(value: float | str) -> str:
    return repr(value) if isinstance(value, str) else f"{value:.6g}"


def _stamp(ts: np.datetime64) -> str:
    """Return a day, or a minute where the bar does not open at midnight."""
    return np.datetime_as_string(ts, unit="m").removesuffix("T00:00").replace("T", " ")
