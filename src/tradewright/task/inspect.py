"""``task=inspect``: show what is in a data set: symbols, spans, gaps, suspicious bars, actions, first rows, ranges.

Examples are shown with ``examples=``, alone where they bring their own data; with ``run=`` a trained language model is.
"""

from pathlib import Path
from typing import ClassVar

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from tradewright.config.build import build
from tradewright.config.inert import Unused
from tradewright.config.locate import class_attribute
from tradewright.data.panel import Panel
from tradewright.data.quality import LARGE_MOVE, STALE_RUN, Quality, inspect_panel
from tradewright.data.ranges import Range
from tradewright.data.source import Source
from tradewright.data.timeframe import format_timeframe
from tradewright.errors import DataError
from tradewright.examples.source import ExampleSource, Market
from tradewright.features.swap_windows import onchain_table
from tradewright.target.labels import Target
from tradewright.task.bars_text import count_of, day_or_minute
from tradewright.task.examples_text import show_examples, show_model
from tradewright.task.label import label_table


class Inspect:
    """Prints tables about ``cfg.data``, which is loaded first if the store does not hold it.

    Args:
        rows: First bars shown per symbol, >= 0.
        max_rows: Entries per table, >= 1.
        target: Labels the bars of a pool, whose shares are shown; None: they are not.
        run: Run directory of a trained language model, which is shown instead of data; None: the data.
        num_samples: First training examples shown, >= 0.

    Raises:
        ValueError: A value is out of range.
    """

    needs_run_directory: ClassVar[bool] = False
    needs_market: ClassVar[bool] = True
    language_model_key: ClassVar[str] = "run"
    reads_examples: ClassVar[bool] = True

    def __init__(
        self,
        *,
        rows: int = 5,
        max_rows: int = 20,
        target: Target | None = None,
        run: str | None = None,
        num_samples: int = 3,
    ) -> None:
        for name, value, least in (("rows", rows, 0), ("max_rows", max_rows, 1), ("num_samples", num_samples, 0)):
            if value < least:
                raise ValueError(f"{name} must be >= {least}, was {value}")
        self.rows = rows
        self.max_rows = max_rows
        self.target = target
        self.run = run
        self.num_samples = num_samples

    def execute(self, cfg: DictConfig) -> None:
        """Print the tables.

        Raises:
            DataError: The input is missing or malformed.
            RunError: ``run`` holds no language model.
        """
        console = Console()
        if self.run is not None:
            from tradewright.task.author import cutoff_of
            from tradewright.task.language_model import load_model

            loaded = load_model(cfg, self.run)
            show_model(console, {**loaded.facts, "knowledge_cutoff": cutoff_of(loaded, Path(self.run))})
            return
        kind = str(cfg.examples.get("_target_", ""))
        has_examples = class_attribute(kind, "is_unused") is not True
        if has_examples and class_attribute(kind, "needs_market") is not True:
            from tradewright.task.texts import read_texts

            show_examples(console, read_texts(cfg).sets, num_samples=self.num_samples)
            return
        source: Source = build(cfg.data, key="data")
        panel = source.panel()
        self._bars(console, source, panel)
        if has_examples:
            examples: ExampleSource = build(cfg.examples, key="examples")
            sets = examples.read(Market(panel, source.ranges(panel)))
            show_examples(console, sets, num_samples=self.num_samples)

    def _bars(self, console: Console, source: Source, panel: Panel) -> None:
        findings = inspect_panel(panel)
        self._head(console, panel)
        self._symbols(console, panel, findings)
        self._suspicious(console, findings)
        self._gaps(console, panel, findings)
        self._actions(console, source, panel)
        self._first_rows(console, panel)
        self._ranges(console, source, panel)
        self._swaps(console, source, panel)

    def _head(self, console: Console, panel: Panel) -> None:
        first, last = (day_or_minute(stamp, panel.timeframe_s) for stamp in (panel.ts_T[0], panel.ts_T[-1]))
        console.print(
            f"[bold]{panel.dataset}[/]: {count_of(len(panel.symbols), 'symbol')}, {count_of(panel.num_bars, 'bar')} of "
            f"{format_timeframe(panel.timeframe_s)}, {first} to {last} UTC, fingerprint {panel.fingerprint}",
            soft_wrap=True,
        )
        if panel.note:
            console.print(f"[yellow]note:[/] {panel.note}")

    def _symbols(self, console: Console, panel: Panel, findings: tuple[Quality, ...]) -> None:
        table = _table("Symbols", "symbol", "kind", "currency", "lot", "first", "last", "bars", "missing", "gaps")
        for instrument, found in list(zip(panel.instruments, findings, strict=True))[: self.max_rows]:
            first, last = (day_or_minute(stamp, panel.timeframe_s) for stamp in (found.first, found.last))
            facts = (found.symbol, instrument.kind, instrument.currency, f"{instrument.lot:g}", first, last)
            table.add_row(*facts, *(f"{count:,}" for count in (found.num_bars, found.num_missing, len(found.gaps))))
        console.print(table)
        _more(console, len(findings) - self.max_rows, "symbol")

    def _suspicious(self, console: Console, findings: tuple[Quality, ...]) -> None:
        titles = ("symbol", "stale", "in a row", "no volume", "flat", "repeated", f"> {LARGE_MOVE:.0%}")
        table = _table(
            f"Suspicious bars (stale: opens at the previous close; > {LARGE_MOVE:.0%}: close to close)",
            *titles,
            "largest",
            "on",
        )
        odd = [found for found in findings if _is_odd(found)]
        for found in odd[: self.max_rows]:
            counts = (found.num_stale_opens, found.longest_stale_run, found.num_zero_volume, found.num_flat)
            more = (found.num_repeated, found.num_large_moves)
            day = str(found.largest_move_at.astype("datetime64[D]"))
            table.add_row(found.symbol, *(f"{n:,}" for n in (*counts, *more)), f"{found.largest_move:+.1%}", day)
        if odd:
            console.print(table)
            _more(console, len(odd) - self.max_rows, "symbol")
        else:
            console.print("\nNo suspicious bars: opens move, volume is there, no change above 25 %.")
        console.print("Duplicates: none (refused when loading).")

    def _gaps(self, console: Console, panel: Panel, findings: tuple[Quality, ...]) -> None:
        gaps = sorted((gap for found in findings for gap in found.gaps), key=lambda gap: -gap.days)
        if not gaps:
            console.print("Gaps: none longer than the calendar explains.")
            return
        table = _table("Longest gaps", "symbol", "after", "before", "days")
        for gap in gaps[: self.max_rows]:
            after, before = (day_or_minute(stamp, panel.timeframe_s) for stamp in (gap.after, gap.before))
            table.add_row(gap.symbol, after, before, f"{gap.days:,.2f}".rstrip("0").rstrip("."))
        console.print(table)
        _more(console, len(gaps) - self.max_rows, "gap")

    def _actions(self, console: Console, source: Source, panel: Panel) -> None:
        actions = [action for action in source.actions() if action.symbol in panel.symbols]
        if not actions:
            return
        table = _table("Splits and dividends (latest first)", "symbol", "ex-date", "kind", "factor before", "cash")
        for action in sorted(actions, key=lambda action: action.ex_ts, reverse=True)[: self.max_rows]:
            day = day_or_minute(action.ex_ts, panel.timeframe_s)
            table.add_row(action.symbol, day, action.kind, f"{action.ratio:.6g}", f"{action.cash:.4g}")
        console.print(table)
        _more(console, len(actions) - self.max_rows, "action")

    def _first_rows(self, console: Console, panel: Panel) -> None:
        if self.rows == 0:
            return
        names = ("open", "high", "low", "close", "volume")
        table = _table("First bars", "symbol", "ts (UTC)", *names)
        for column, symbol in list(enumerate(panel.symbols))[: self.max_rows]:
            for t in np.flatnonzero(panel.tradable_TN[:, column])[: self.rows]:
                values = [f"{getattr(panel, f'{name}_TN')[t, column]:,.8g}" for name in names[:4]]
                values.append(f"{panel.volume_TN[t, column]:,.10g}")
                table.add_row(symbol, day_or_minute(panel.ts_T[t], panel.timeframe_s), *values)
        console.print(table)

    def _ranges(self, console: Console, source: Source, panel: Panel) -> None:
        try:
            ranges = source.ranges(panel)
        except DataError as error:
            console.print(f"[yellow]note:[/] {error}")
            return
        table = _table("Ranges", "range", "bars", "first", "last")
        for name in ("train", "validation", "test"):
            part: Range = getattr(ranges, name)
            stamps = (panel.ts_T[part.start], panel.ts_T[part.stop - 1])
            table.add_row(name, f"{len(part):,}", *(day_or_minute(stamp, panel.timeframe_s) for stamp in stamps))
        console.print(table)

    def _swaps(self, console: Console, source: Source, panel: Panel) -> None:
        tape = panel.swaps
        if tape is None:
            return
        console.print(
            f"[bold]Swaps[/]: {tape.num_swaps:,} in {panel.num_bars:,} bars, fee {tape.fee_bps:g} bps; shape of the"
            f" features {panel.num_bars:,} bars x {len(panel.symbols)} pool",
            soft_wrap=True,
        )
        table = _table("Columns (at the last swap of a bar)", "column", "known", "1 %", "median", "99 %")
        for name, x_T1 in onchain_table(panel).items():
            known = x_T1[np.isfinite(x_T1)]
            quantiles = np.quantile(known, (0.01, 0.5, 0.99)) if len(known) else (np.nan,) * 3
            table.add_row(name, f"{len(known):,}", *(f"{value:,.4g}" for value in quantiles))
        console.print(table)
        if self.target is None or isinstance(self.target, Unused):
            return
        try:
            ranges = source.ranges(panel)
        except DataError:
            return  # the table of ranges has said why
        labels = self.target.fit(panel, ranges.training).label(panel)
        parts: dict[str, Range] = {name: getattr(ranges, name) for name in ("train", "validation", "test")}
        console.print(
            label_table(
                {
                    name: {
                        "num_rows": int((~np.isnan(labels.side_TN[part.start : part.stop])).sum()),
                        "distribution": labels.distribution(part),
                    }
                    for name, part in parts.items()
                }
            )
        )


def _is_odd(found: Quality) -> bool:
    counts = (found.num_zero_volume, found.num_flat, found.num_repeated, found.num_large_moves)
    return any(counts) or found.longest_stale_run >= STALE_RUN


def _table(title: str, *columns: str) -> Table:
    """Return an empty table; columns of numbers are right-aligned."""
    left = {
        "symbol",
        "kind",
        "currency",
        "first",
        "last",
        "on",
        "after",
        "before",
        "ex-date",
        "range",
        "ts (UTC)",
        "column",
    }
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right")
    return table


def _more(console: Console, count: int, what: str) -> None:
    if count > 0:
        console.print(f"… and {count_of(count, 'more ' + what)} (task.max_rows shows more)")
