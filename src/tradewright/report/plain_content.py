"""``PlainContent``: what every report shows of a run that is not judged by a backtest: episodes, or texts.

Its subclasses say in which sections; all formats render them alike.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tradewright.metrics.figures import describe, show
from tradewright.report.content import Curve, figures_under
from tradewright.report.sections.section import Section


@dataclass(frozen=True, kw_only=True)
class PlainContent(ABC):
    """What such a report shows.

    Args:
        title: Heading.
        experiment: Name of the experiment.
        run: Name of the run directory.
        command: How the run was started.
        config_yaml: Its configuration.
        provenance: Content of ``provenance.json``.
        metrics: Content of ``metrics.json``.
        notes: Sentences that must be shown.
        curves: Learning curves.
    """

    title: str
    experiment: str
    run: str
    command: str
    config_yaml: str
    provenance: Mapping[str, Any]
    metrics: Mapping[str, float]
    notes: tuple[str, ...]
    curves: Mapping[str, Curve]

    @property
    @abstractmethod
    def headline(self) -> str:
        """The result in one sentence."""

    @property
    @abstractmethod
    def rows(self) -> tuple[str, ...]:
        """Keys of the figures in the summary, without prefix."""

    @abstractmethod
    def sections(self) -> tuple[Section, ...]:
        """Return the sections in reading order."""

    def summary_rows(self) -> tuple[tuple[str, str, str], ...]:
        """Return label, test and validation value of every figure in the summary that there is."""
        test, validation = (figures_under(self.metrics, prefix) for prefix in ("test/", "validation/"))
        return tuple(
            (
                describe(key).label,
                show(key, test[key]) if key in test else "",
                show(key, validation[key]) if key in validation else "",
            )
            for key in self.rows
            if key in test or key in validation
        )
