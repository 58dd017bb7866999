"""``task=label``: label a pool's bars and write the files of the labelled data set; no run directory is involved."""

from pathlib import Path
from typing import Any, ClassVar

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from tradewright.config.build import build
from tradewright.data.source import Source
from tradewright.examples.swap_artefacts import SET_FILES, write_artefacts
from tradewright.metrics.figures import DASH
from tradewright.target.labels import ACTIONS, Target, require_target


class Label:
    """Writes features, conditions, labels, the three sets, their scaling and where they come from.

    Args:
        target: Labels the bars.
        folder: Where the files go.
        window: Swaps of the core's averages, >= 2.

    Raises:
        ValueError: A value is out of range.
    """

    needs_run_directory: ClassVar[bool] = False
    needs_market: ClassVar[bool] = True

    def __init__(self, *, target: Target, folder: str = "labels", window: int = 50) -> None:
        require_target(target)
        if window < 2:
            raise ValueError(f"window must be >= 2, was {window}")
        self.target = target
        self.folder = folder
        self.window = window

    def execute(self, cfg: DictConfig) -> None:
        """Write the files and print how often each action occurs.

        Raises:
            DataError: The data have no swaps, or a range no labelled bar.
            ConfigError: The target looks further ahead than the embargo.
        """
        source: Source = build(cfg.data, key="data")
        panel = source.panel()
        folder = Path(self.folder)
        embargo_bars = int(cfg.data.split.embargo_bars)
        metadata = write_artefacts(
            folder, panel, source.ranges(panel), self.target, window=self.window, embargo_bars=embargo_bars
        )
        console = Console()
        console.print(label_table(metadata["ranges"]))
        if panel.note:
            console.print(f"[yellow]note:[/] {panel.note}")
        names = ", ".join(("core_features.csv", "core_conditions.csv", "labeled_dataset.csv", *SET_FILES.values()))
        console.print(f"{folder}: {names}, normalization.json, metadata.json", soft_wrap=True)


def label_table(ranges: dict[str, Any]) -> Table:
    """Return a table of the share of each action by range, with the majority class beside it.

    Args:
        ranges: ``num_rows`` and ``distribution`` by name of the range.
    """
    table = Table(title="Labels", title_justify="left", title_style="bold", box=None, pad_edge=False)
    table.add_column("range")
    for title in ("rows", *ACTIONS, "majority"):
        table.add_column(title, justify="right")
    for name, part in ranges.items():
        shares = part["distribution"]
        texts = [DASH if shares[action] != shares[action] else f"{shares[action]:.1%}" for action in ACTIONS]
        known = [share for share in shares.values() if share == share]
        table.add_row(name, f"{part['num_rows']:,}", *texts, f"{max(known):.1%}" if known else DASH)
    return table
