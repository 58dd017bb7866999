"""``ReportContent``: everything a report shows, gathered once and rendered as HTML, Markdown or text.

The figures are those of ``metrics.json``, under the same keys, so a report never computes a number that a comparison or
a sweep would not see. Legend: K points of a learning curve.
"""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from tradewright.backtest.result import BacktestResult
from tradewright.evaluate.evidence import REFERENCE

BUY_AND_HOLD = "buy_and_hold"
"""Name of the baseline that every verdict is passed against."""

E = TypeVar("E")
Curve = tuple[npt.ArrayLike, npt.ArrayLike]
Span = tuple[np.datetime64, np.datetime64]


@dataclass(frozen=True, kw_only=True)
class ReportContent:
    """What one run leaves to be read by a person.

    Args:
        title: Headline, e.g. "ppo on nasdaq".
        experiment: Name of the experiment.
        run: Name of the run directory.
        command: The command line that started the run.
        config_yaml: The resolved configuration as YAML text.
        provenance: Content of ``provenance.json``.
        results: Backtests on the test range: the strategy first, then the baselines.
        metrics: Content of ``metrics.json``: ``test/*`` belongs to the strategy, ``baseline/<name>/*`` to the baselines
            (both on the test range), ``validation/*`` and ``train/*`` to the strategy on the other ranges.
        notes: Sentences that must not be missed, e.g. that the data are synthetic.
        validation: The strategy's backtest on the validation range, or None.
        curves: Learning curves by name: steps and values, K each.
        periods: First and last time of each range by its name (``train``, ``validation``, ``test``).
        risk_free: Annual fraction used in the figures.
        currency: Currency of the account.
        evidence: What judging left besides figures, by name: the values of ``evaluate.evidence``.

    Raises:
        ValueError: There is no result, or two have the same name.
    """

    title: str
    experiment: str
    run: str
    command: str
    config_yaml: str
    provenance: Mapping[str, Any]
    results: tuple[BacktestResult, ...]
    metrics: Mapping[str, float]
    notes: tuple[str, ...] = ()
    validation: BacktestResult | None = None
    curves: Mapping[str, Curve] = field(default_factory=dict)
    periods: Mapping[str, Span] = field(default_factory=dict)
    risk_free: float = 0.0
    currency: str = "USD"
    evidence: Mapping[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.results:
            raise ValueError("results must hold the strategy's backtest, was empty")
        repeated = [name for name, count in Counter(result.name for result in self.results).items() if count > 1]
        if repeated:
            raise ValueError(f"results must have distinct names, {repeated[0]!r} occurs more than once")

    @property
    def strategy(self) -> BacktestResult:
        """The judged strategy on the test range."""
        return self.results[0]

    @cached_property
    def twins(self) -> dict[str, str]:
        """Baselines whose equity is that of another one, by name the name of the other; buy-and-hold is none."""
        kept: list[BacktestResult] = []
        found = {}
        for result in sorted(self.results[1:], key=lambda result: result.name != BUY_AND_HOLD):
            twin = next((other for other in kept if _are_equal(result, other)), None)
            if twin is None:
                kept.append(result)
            else:
                found[result.name] = twin.name
        return found

    @property
    def twin_notes(self) -> tuple[str, ...]:
        """One sentence per twin, so that nobody misses a baseline that is neither drawn nor listed."""
        end = " with one instrument" if len(self.strategy.symbols) == 1 else ""
        return tuple(
            f"{readable(name).capitalize()} is identical to {readable(twin)}{end}; it is shown once."
            for name, twin in self.twins.items()
        )

    @property
    def shown(self) -> tuple[BacktestResult, ...]:
        """The strategy and the baselines without twins, in column order."""
        return tuple(result for result in self.results if result.name not in self.twins)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of what is shown, in column order."""
        return tuple(result.name for result in self.shown)

    def label(self, name: str) -> str:
        """Return the name of a result as tables and charts print it."""
        return readable(name) if name == self.strategy.name else baseline_label(name)

    def figures(self, name: str) -> dict[str, float]:
        """Return the test figures of one result, keys without prefix.

        Args:
            name: Name of a result: the strategy's or a baseline's.
        """
        prefix = "test/" if name == self.strategy.name else f"baseline/{name}/"
        return figures_under(self.metrics, prefix)

    def figures_of_range(self, name: str) -> dict[str, float]:
        """Return the strategy's figures on a range (``train``, ``validation``, ``test``), keys without prefix."""
        return figures_under(self.metrics, f"{name}/")

    def find(self, key: str, kind: type[E]) -> E | None:
        """Return the evidence under ``key``, or None if the run has none.

        Raises:
            TypeError: It is of another kind.
        """
        found = self.evidence.get(key)
        if found is not None and not isinstance(found, kind):
            raise TypeError(f"evidence[{key!r}] must be {kind.__name__}, was {type(found).__name__}")
        return found

    def rejections(self) -> dict[str, int]:
        """Return the number of the strategy's rejected orders by reason, most frequent first."""
        return dict(Counter(fill.reason for fill in self.strategy.fills if fill.quantity == 0).most_common())

    def fills_by_reason(self) -> dict[str, int]:
        """Return the number of the strategy's executed orders by reason, most frequent first."""
        return dict(Counter(fill.reason for fill in self.strategy.fills if fill.quantity != 0).most_common())


def _are_equal(one: BacktestResult, other: BacktestResult) -> bool:
    return np.array_equal(one.ts_T, other.ts_T) and np.array_equal(one.equity_T, other.equity_T, equal_nan=True)


def figures_under(metrics: Mapping[str, float], prefix: str) -> dict[str, float]:
    """Return the entries whose key is ``prefix`` and one more name; None (a null of JSON) becomes NaN."""
    return {
        key[len(prefix) :]: math.nan if value is None else value
        for key, value in metrics.items()
        if key.startswith(prefix) and "/" not in key[len(prefix) :]
    }


def baseline_label(name: str) -> str:
    """Return the name of a baseline as tables and charts print it."""
    return f"{readable(name)} (upper line)" if name == REFERENCE else readable(name)


def readable(name: str) -> str:
    """Return a name as a person reads it: ``buy_and_hold`` becomes ``buy and hold``."""
    return name.replace("_", " ")
