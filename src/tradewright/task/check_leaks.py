"""``task=check_leaks``: does anything look ahead? Ranges, features, scaler, environment, policy or rule, and the drift
of features with their warm-up. Nothing is trained: a leak does not depend on the weights.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tradewright.config.build import build
from tradewright.config.locate import class_attribute
from tradewright.evaluate.bench import Bench
from tradewright.evaluate.evidence import Leaks
from tradewright.evaluate.leak_cuts import check_num_cuts
from tradewright.evaluate.leak_drift import warmup_drift
from tradewright.evaluate.leak_run import rule_checks, training_checks
from tradewright.evaluate.leak_search import Check
from tradewright.evaluate.leaks import check_features, require_clean, thin, verdict
from tradewright.provenance import run_origin
from tradewright.strategy.strategy import fit_rule
from tradewright.task.bars_text import count_of, day_or_minute
from tradewright.task.context import Context, read_market

DRIFT_TO_SHOW = 1e-6
"""Smaller relative drifts are rounding."""


class CheckLeaks:
    """Runs the leak detector on what a configuration would train or judge.

    Args:
        num_cuts: Random cuts of each check, >= 8.
        seed: Of cuts and futures.
        max_values: Most bars x instruments looked at; None: all.
        warmups: Bars before the end from which features are computed again; None: see ``usual_warmups``.
        max_rows: Entries per table, >= 1.

    Raises:
        ValueError: A value is out of range.
    """

    needs_run_directory: ClassVar[bool] = False
    needs_market: ClassVar[bool] = True

    def __init__(
        self,
        *,
        num_cuts: int = 8,
        seed: int = 0,
        max_values: int | None = 100_000,
        warmups: list[int] | None = None,
        max_rows: int = 20,
    ) -> None:
        check_num_cuts(num_cuts)
        if seed < 0:
            raise ValueError(f"seed must be >= 0, was {seed}")
        if max_values is not None and max_values < 1:
            raise ValueError(f"max_values must be >= 1 or null, was {max_values}")
        self.warmups = warmups
        if any(bars < 1 for bars in warmups or ()):
            raise ValueError(f"warmups must be >= 1 each, was {warmups}")
        if max_rows < 1:
            raise ValueError(f"max_rows must be >= 1, was {max_rows}")
        self.num_cuts, self.seed, self.max_values, self.max_rows = num_cuts, seed, max_values, max_rows

    def execute(self, cfg: DictConfig) -> dict[str, float]:
        """Check, print what was checked and found, and return the number of checks.

        Raises:
            RunError: There is a leak, or something cannot be checked; names the first culprit and its bar.
        """
        feature_set = build(cfg.features, key="features")
        bench = read_market(cfg, with_features=True)
        is_learned = class_attribute(str(cfg.strategy._target_), "is_learned") is True
        checks = (
            self._policy_checks(cfg, bench, feature_set) if is_learned else self._rule_checks(cfg, bench, feature_set)
        )
        panel = thin(bench.panel, self.max_values, np.random.default_rng(self.seed))
        found = verdict(checks, self.num_cuts, warmup_drift(feature_set, panel, self.warmups))
        console = Console()
        self._print_checks(console, bench, checks)
        self._print_leaks(console, found, bench.panel.timeframe_s)
        self._print_drift(console, found.drift)
        require_clean(found)
        return {"leaks/checks": float(len(checks))}

    def _rule_checks(self, cfg: DictConfig, bench: Bench, feature_set: Any) -> list[Check]:
        strategy = fit_rule(build(cfg.strategy, key="strategy"), bench.panel, bench.ranges.training)
        embargo = int(cfg.data.split.embargo_bars)
        settings: dict[str, Any] = {"num_cuts": self.num_cuts, "seed": self.seed, "max_values": self.max_values}
        return [
            *check_features(feature_set, bench.panel, **settings),
            *rule_checks(strategy, bench, embargo_bars=embargo, **settings),
        ]

    def _policy_checks(self, cfg: DictConfig, bench: Bench, feature_set: Any) -> list[Check]:
        from tradewright.env.trading import MarketEnv
        from tradewright.evaluate.leak_rollout import check_policy
        from tradewright.task.agent_learner import build_algorithm

        origin = run_origin(Path(cfg.output_dir))
        evaluation = build(cfg.evaluate, key="evaluate")
        context = Context(
            cfg=cfg, directory=Path(cfg.output_dir), resume=False, origin=origin, bench=bench, evaluation=evaluation
        )
        algorithm = build_algorithm(context)
        policy = build(cfg.strategy, key="strategy", agent=algorithm, name=context.strategy_name)
        assert bench.scaler is not None
        assert isinstance(algorithm.env, MarketEnv)
        embargo = int(cfg.data.split.embargo_bars)
        return [
            *training_checks(bench, feature_set, algorithm, self.num_cuts, self.seed, self.max_values, embargo),
            check_policy(
                policy,
                feature_set,
                bench.scaler,
                bench.panel,
                window=algorithm.env.window,
                num_cuts=self.num_cuts,
                seed=self.seed,
            ),
        ]

    def _print_checks(self, console: Console, bench: Bench, checks: list[Check]) -> None:
        console.print(
            f"[bold]{bench.panel.dataset}[/]: {count_of(bench.panel.num_bars, 'bar')} of "
            f"{count_of(len(bench.panel.symbols), 'symbol')}; bars after each cut were taken away, and replaced by "
            f"other markets (task.seed={self.seed})",
            soft_wrap=True,
        )
        table = _table("Checks", "checked", "values", "cuts", "result")
        for check in checks:
            result = "[green]no leak[/]"
            if check.leaks:
                result = f"[bold red]{count_of(len(check.leaks), 'leak')}[/]"
            elif check.faults:
                result = "[bold red]no verdict[/]"
            table.add_row(escape(check.subject), str(check.num_values), str(len(check.cuts) or "-"), result)
        console.print(table)

    def _print_leaks(self, console: Console, found: Leaks, timeframe_s: int) -> None:
        for fault in found.faults:
            console.print(f"[bold red]no verdict:[/] {escape(fault)}", soft_wrap=True)
        if not found.leaks:
            return
        table = _table("Leaks", "kind", "culprit", "symbol", "bar", "known until", "ahead", "was", "became")
        for leak in found.leaks[: self.max_rows]:
            bar, cut = (day_or_minute(stamp, timeframe_s) for stamp in (leak.ts, leak.cut_ts))
            values = (value if isinstance(value, str) else f"{value:.6g}" for value in (leak.before, leak.after))
            ahead = f">= {leak.reach_bars:,}" if leak.reach_bars else "-"
            table.add_row(leak.kind, escape(leak.name), leak.symbol, bar, cut, ahead, *map(escape, values))
        console.print(table)
        if len(found.leaks) > self.max_rows:
            console.print(f"… and {count_of(len(found.leaks) - self.max_rows, 'more leak')} (task.max_rows shows more)")

    def _print_drift(self, console: Console, drift: Mapping[str, Mapping[int, float]]) -> None:
        moved = {name: by for name, by in drift.items() if any(not value <= DRIFT_TO_SHOW for value in by.values())}
        if not moved:
            console.print("\nWarm-up: the last values are the same however far back the bars begin.")
            return
        widths = sorted({bars for by in moved.values() for bars in by})
        titles = (f"{bars:,} bars" for bars in widths)
        table = _table("Warm-up: drift of the last value when bars begin that late, worst first", "feature", *titles)
        for name, by in list(moved.items())[: self.max_rows]:
            table.add_row(escape(name), *(_percent(by.get(bars, math.nan)) for bars in widths))
        console.print(table)
        if len(moved) > self.max_rows:
            console.print(f"… and {count_of(len(moved) - self.max_rows, 'more feature')} (task.max_rows shows more)")


def _percent(value: float) -> str:
    return "undefined" if math.isnan(value) else f"{value:.4%}"


def _table(title: str, *columns: str) -> Table:
    left = {"checked", "result", "kind", "culprit", "symbol", "bar", "known until", "feature"}
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for column in columns:
        table.add_column(column, justify="left" if column in left else "right")
    return table
