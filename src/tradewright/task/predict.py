"""``task=predict``: the decisions of a trained run, bar by bar, up to the newest one."""

import csv
import io
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import ConfigError
from tradewright.output import write_text
from tradewright.provenance import run_origin
from tradewright.task.trained import TrainedRun

FILE = "predictions.csv"
SHOWN = 5


class Predict:
    """Writes ``predictions.csv`` (``ts, symbol, weight``; no weight means no order) into the run directory.

    Args:
        run: A run directory with a trained agent.
        num_bars: Newest bars to decide on, >= 2; null starts where the run's test range does. The agent starts flat at
            the first of them.

    Raises:
        ValueError: ``num_bars`` is below 2.
    """

    needs_run_directory: ClassVar[bool] = False

    def __init__(self, *, run: str, num_bars: int | None = None) -> None:
        if num_bars is not None and num_bars < 2:
            raise ValueError(f"num_bars must be >= 2 or null, was {num_bars}")
        self.trained = TrainedRun(Path(run))
        self.num_bars = num_bars

    def execute(self, cfg: DictConfig) -> None:
        """Decide and write.

        Raises:
            ConfigError: ``num_bars`` is more than the data have.
        """
        merged = self.trained.configured(cfg, run_origin(Path(cfg.output_dir)))
        bench = self.trained.market(merged)
        panel, count = bench.panel, bench.panel.num_bars
        if self.num_bars is not None and self.num_bars > count:
            raise ConfigError(f"task.num_bars must be <= {count}, the bars of '{panel.dataset}', was {self.num_bars}")
        rows = Range(bench.ranges.test.start if self.num_bars is None else count - self.num_bars, count)
        strategy = self.trained.strategy(merged, bench)
        table = _rows(panel, rows, strategy.decide(panel, bench.features, rows).weights_TN)
        path = self.trained.directory / FILE
        buffer = io.StringIO()
        csv.writer(buffer, lineterminator="\n").writerows([("ts", "symbol", "weight"), *table])
        write_text(path, buffer.getvalue())
        self._show(table, len(panel.symbols))
        Console().print(f"{len(table):,} decisions: {path}", soft_wrap=True)

    def _show(self, table: list[tuple[str, str, str]], num_symbols: int) -> None:
        shown = Table(title=f"Newest decisions of {self.trained.checkpoint.name}, filled at the next open")
        for column in ("ts", "symbol", "target weight"):
            shown.add_column(column, justify="left" if column != "target weight" else "right")
        for ts, symbol, weight in table[-SHOWN * num_symbols :]:
            shown.add_row(ts, symbol, f"{float(weight):+.3f}" if weight else "no order")
        Console().print(shown)


def _rows(panel: Panel, rows: Range, weights_TN: npt.NDArray[np.float64]) -> list[tuple[str, str, str]]:
    """Return ``(ts, symbol, weight)`` of every decision; the weight of no order is empty."""

    def text(weight: float) -> str:
        return "" if np.isnan(weight) else repr(float(weight))

    return [
        (str(panel.ts_T[rows.start + t]), symbol, text(weights_TN[t, n]))
        for t in range(len(rows))
        for n, symbol in enumerate(panel.symbols)
    ]
