"""``task=compare``: set finished, running and failed runs beside each other; needs nothing but their directories."""

import math
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

from tradewright.errors import RunError
from tradewright.metrics.figures import describe
from tradewright.metrics.multiple import CORRECTIONS, Correction
from tradewright.report.candidates import find_candidates
from tradewright.report.compare_charts import labels
from tradewright.report.compare_files import FORMATS, write_table
from tradewright.report.compare_pareto import default_pair
from tradewright.report.compare_significance import significance_section
from tradewright.report.compare_text import print_comparison, write_text_report
from tradewright.report.comparison import Comparison, compare, full_key, hint
from tradewright.report.recommendation import recommend
from tradewright.report.runs import RunRecord, find_runs, read_run
from tradewright.report.standings import Standings, rank_runs

SORT = "test/sharpe"
EPISODES = ("test/mean_return", "test/mean_return_low", "test/mean_return_high", "test/std_return")
"""Figures of runs without a market, shown where every run is one."""
TEXT_REPORT = "model_comparison.txt"


class Compare:
    """Compare runs: print one table and write ``compare.html`` and ``model_comparison.txt`` beside them.

    Args:
        runs: Folder, run directory or glob pattern, or a list of them.
        sort: Figure the runs are ordered by, best first; the mean return where all runs were judged by episodes.
        metrics: Figures shown; one without a range (``sharpe``) means the test range.
        formats: Table files written beside the page: any of ``csv``, ``json``, ``parquet``, ``markdown``.
        baseline: Baseline that gets a row of its own per data set; null: none.
        pareto: Two figures whose trade-off is drawn, e.g. ``[total_return, max_drawdown]``; null: the sort figure and
            the drawdown of its range.
        differences: Figures of the test range that are also shown minus that baseline's on the same bars.
        html: Whether to write ``compare.html``.
        only_differing: Show only configuration keys whose values differ.
        max_rows: Runs listed on the terminal, >= 1; page and files list all.
        num_resamples: Of every bootstrap behind the significance page, 0 (no such page) or >= 100.
        confidence: Level of its intervals and of the recommendation, in (0.5, 1).
        correction: ``romano_wolf``, ``holm`` or ``none``: how p-values are corrected for the number of comparisons.

    Raises:
        ValueError: A value is out of range or unknown.
    """

    needs_run_directory: ClassVar[bool] = False

    def __init__(
        self,
        *,
        runs: str | Sequence[str] | None,
        sort: str = SORT,
        metrics: Sequence[str] = ("test/total_return", "test/sharpe", "test/max_drawdown"),
        formats: Sequence[str] = (),
        baseline: str | None = "buy_and_hold",
        differences: Sequence[str] = ("total_return", "sharpe"),
        pareto: Sequence[str] | None = None,
        html: bool = True,
        only_differing: bool = True,
        max_rows: int = 40,
        num_resamples: int = 1000,
        confidence: float = 0.95,
        correction: Literal["romano_wolf", "holm", "none"] = "romano_wolf",
    ) -> None:
        for name in formats:
            if name not in FORMATS:
                raise ValueError(f"formats must be of {', '.join(FORMATS)}, was {name!r}")
        if pareto is not None and (len(pareto) != 2 or len(set(pareto)) != 2):
            raise ValueError(f"pareto must be two different figures or null, was {list(pareto)}")
        if max_rows < 1:
            raise ValueError(f"max_rows must be >= 1, was {max_rows}")
        if num_resamples != 0 and num_resamples < 100:
            raise ValueError(f"num_resamples must be 0 or >= 100, was {num_resamples}")
        if not 0.5 < confidence < 1:
            raise ValueError(f"confidence must be in (0.5, 1), was {confidence}")
        if correction not in CORRECTIONS:
            raise ValueError(f"correction must be one of {', '.join(CORRECTIONS)}, was {correction!r}")
        self.runs = _as_paths(runs)
        self.sort = sort
        self.metrics = tuple(metrics)
        self.formats = tuple(formats)
        self.baseline = baseline
        self.differences = tuple(differences)
        self.pareto = pareto
        self.html = html
        self.only_differing = only_differing
        self.max_rows = max_rows
        self.num_resamples = num_resamples
        self.confidence = confidence
        self.correction: Correction = correction

    def execute(self, cfg: Any) -> None:
        """Read the runs, print the table, write the page.

        Args:
            cfg: The whole configuration; not needed here.

        Raises:
            RunError: No run was named or found, or a figure is in none of them.
        """
        if not self.runs:
            raise RunError("runs: name a folder of runs, e.g. `tradewright compare runs=outputs/default`")
        found = find_runs(self.runs)
        folder = page_folder(self.runs, found)
        everything = [read_run(path) for path in found]
        records = self._without_replays(everything)
        sort, metrics = self._figures(records)
        comparison = compare(
            records,
            folder=folder,
            metrics=metrics,
            sort=sort,
            baseline=self.baseline,
            differences=self.differences if sort == self.sort else (),
            trade_off=self._trade_off(records, sort),
            only_differing=self.only_differing,
        )
        standings = self._rank(comparison) if self.num_resamples else None
        section = significance_section(standings, recommend(standings, sort)) if self.num_resamples else None
        page = None
        if self.html:
            from tradewright.report.compare_page import write_page

            page = write_page(comparison, folder, section, standings.noise_ceiling if standings else math.nan)
        for name in self.formats:
            write_table(comparison, folder / f"compare.{FORMATS[name]}", section)
        if section is not None:
            write_text_report(comparison, section, folder / TEXT_REPORT)
        print_comparison(comparison, max_rows=self.max_rows, page=page, section=section)
        if num := len(everything) - len(records):
            print(f"Left out: {num} replay{'s' if num > 1 else ''} of these runs; name one in task.runs to compare it.")

    def _without_replays(self, records: Sequence[RunRecord]) -> list[RunRecord]:
        """Return the runs without repetitions, which would count a seed twice; one that was named stays."""
        named = {Path(path).absolute() for path in self.runs}
        kept = [record for record in records if not record.replay_of or record.path.absolute() in named]
        return kept or list(records)

    def _figures(self, records: Sequence[RunRecord]) -> tuple[str, tuple[str, ...]]:
        """Return the figure to sort by and those to show: of episodes where every run was judged by episodes."""
        judged = [record.metrics for record in records if record.metrics]
        if self.sort == SORT and judged and all(SORT not in figures and EPISODES[0] in figures for figures in judged):
            return EPISODES[0], EPISODES
        return self.sort, self.metrics

    def _trade_off(self, records: Sequence[RunRecord], sort: str) -> tuple[str, str] | None:
        """Return the figures whose Pareto front is drawn, None for a default that the runs do not have.

        Raises:
            RunError: A figure that was asked for is in no run, or is neither better high nor low.
        """
        known = {key for record in records for key in record.metrics}
        if self.pareto is None:
            pair = default_pair(full_key(sort))
            return pair if set(pair) <= known else None
        first, second = (full_key(key) for key in self.pareto)
        for key in (first, second):
            if known and key not in known:
                raise RunError(f"pareto: no run has the figure {hint(key, known)}")
            if describe(key).better == 0:
                raise RunError(f"pareto: {key} is neither better high nor low; use for example total_return")
        return first, second

    def _rank(self, comparison: Comparison) -> Standings | None:
        """Return what can be said about the comparable runs, None if there is none."""
        candidates = find_candidates(comparison.records, labels(comparison))
        if candidates is None:
            return None
        return rank_runs(
            candidates,
            sort=comparison.sort,
            num_resamples=self.num_resamples,
            confidence=self.confidence,
            correction=self.correction,
        )


def page_folder(paths: Sequence[str], runs: Iterable[Path]) -> Path:
    """Return the folder of the page: the one that was named, else the lowest one above all runs."""
    found = list(runs)
    if len(paths) == 1 and Path(paths[0]).is_dir() and Path(paths[0]) not in found:
        return Path(paths[0])
    return Path(os.path.commonpath([run.absolute().parent for run in found]))


def _as_paths(runs: str | Sequence[str] | None) -> tuple[str, ...]:
    if runs is None:
        return ()
    return (str(runs),) if isinstance(runs, str | Path) else tuple(str(path) for path in runs)
