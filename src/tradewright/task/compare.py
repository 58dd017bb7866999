"""``task=compare``: set finished, running and failed runs beside each other; needs nothing but their directories."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from tradewright.errors import RunError
from tradewright.report.compare_text import print_comparison, write_table
from tradewright.report.comparison import compare
from tradewright.report.runs import find_runs, read_run

TABLE_FORMATS = ("csv", "json")


class Compare:
    """Compare runs: print one table and write ``compare.html`` beside them.

    Args:
        runs: Folder, run directory or glob pattern, or a list of them.
        sort: Figure the runs are ordered by, best first.
        metrics: Figures shown; one without a range (``sharpe``) means the test range.
        formats: Table files written beside the page: any of ``csv``, ``json``.
        baseline: Baseline that gets a row of its own per data set; null: none.
        html: Whether to write ``compare.html``.
        only_differing: Show only configuration keys whose values differ.
        max_rows: Runs listed on the terminal, >= 1; page and files list all.

    Raises:
        ValueError: A value is out of range or unknown.
    """

    needs_run_directory: ClassVar[bool] = False

    def __init__(
        self,
        *,
        runs: str | Sequence[str] | None,
        sort: str = "test/sharpe",
        metrics: Sequence[str] = ("test/total_return", "test/sharpe", "test/max_drawdown"),
        formats: Sequence[str] = (),
        baseline: str | None = "buy_and_hold",
        html: bool = True,
        only_differing: bool = True,
        max_rows: int = 40,
    ) -> None:
        for name in formats:
            if name not in TABLE_FORMATS:
                raise ValueError(f"formats must be of {', '.join(TABLE_FORMATS)}, was {name!r}")
        if max_rows < 1:
            raise ValueError(f"max_rows must be >= 1, was {max_rows}")
        self.runs = _as_paths(runs)
        self.sort = sort
        self.metrics = tuple(metrics)
        self.formats = tuple(formats)
        self.baseline = baseline
        self.html = html
        self.only_differing = only_differing
        self.max_rows = max_rows

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
        comparison = compare(
            [read_run(path) for path in found],
            folder=folder,
            metrics=self.metrics,
            sort=self.sort,
            baseline=self.baseline,
            only_differing=self.only_differing,
        )
        page = None
        if self.html:
            from tradewright.report.compare_page import write_page

            page = write_page(comparison, folder)
        for name in self.formats:
            write_table(comparison, folder / f"compare.{name}")
        print_comparison(comparison, max_rows=self.max_rows, page=page)


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
