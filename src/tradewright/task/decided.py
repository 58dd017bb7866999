"""The decisions of a trained run as states: of its policy over its own three ranges, and what it earned."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from tradewright.config.build import build
from tradewright.data.ranges import Range
from tradewright.errors import DataError, RunError
from tradewright.evaluate.bench import Bench
from tradewright.explain.answers import Performance
from tradewright.explain.decision_log import FILE, write_decisions
from tradewright.explain.guard import check_symbol
from tradewright.explain.state import State, states_of
from tradewright.metrics.figures import describe, show
from tradewright.output import METRICS, read_metrics
from tradewright.provenance import run_origin
from tradewright.strategy.strategy import Strategy
from tradewright.task.trained import TrainedRun

RANGES = ("train", "validation", "test")
FIGURES = ("total_return", "sharpe", "max_drawdown")
NO_MODEL = "no language model (templates)"
UNKNOWN_CUTOFF = "unknown: its configuration names none (model.knowledge_cutoff)"


@dataclass(frozen=True)
class DecidedRun:
    """A trained run with the states of its decisions.

    Args:
        trained: The run.
        cfg: Its configuration with the command line's changes.
        bench: Its market.
        strategy: Its policy.
        states_by_range: In each range the account starts flat.
    """

    trained: TrainedRun
    cfg: DictConfig
    bench: Bench
    strategy: Strategy
    states_by_range: Mapping[str, tuple[State, ...]]

    @property
    def states(self) -> tuple[State, ...]:
        """All states, in time order."""
        return tuple(state for name in RANGES for state in self.states_by_range[name])

    @property
    def name(self) -> str:
        """Of the policy in tables."""
        return self.strategy.name

    @cached_property
    def performance(self) -> dict[str, Performance]:
        """Equity of the policy and the baselines by range."""
        return {name: self._performance(getattr(self.bench.ranges, name)) for name in RANGES}

    def _performance(self, rows: Range) -> Performance:
        evaluation = build(self.cfg.evaluate, key="evaluate")
        held = evaluation.benchmark(self.bench, rows)
        results = [self.bench.run(self.strategy, rows), held]
        results += [
            self.bench.run(rule, rows, name) for name, rule in evaluation.baselines.items() if name != held.name
        ]
        curves = {result.name: result.equity_T for result in results}
        return Performance(ts_T=results[0].ts_T, equity_by_name=curves)

    def write_log(self, folder: Path) -> Path:
        """Write ``decisions.jsonl`` and return its path."""
        path = folder / FILE
        write_decisions(path, self.states)
        return path


def decided_run(trained: TrainedRun, cfg: DictConfig) -> DecidedRun:
    """Let a trained run decide on its own bars, or on those of the command line.

    Raises:
        RunError: The run has no market, or is judged by something else than backtests.
        DataError: A symbol could carry instructions into prompts.
    """
    return decide(trained, trained.configured(cfg, run_origin(Path(cfg.output_dir))))


def decide(trained: TrainedRun, merged: DictConfig) -> DecidedRun:
    """Let a trained run decide in all ranges of a market; see ``decided_run``.

    Args:
        trained: The run.
        merged: Its own configuration, or that with changes.
    """
    bench = trained.market(merged)
    for symbol in bench.panel.symbols:
        check_symbol(symbol)
    strategy = trained.strategy(merged, bench)
    states = {}
    for name in RANGES:
        rows: Range = getattr(bench.ranges, name)
        states[name] = states_of(bench.panel, strategy.decide(bench.panel, bench.features, rows), rows)
    return DecidedRun(trained, merged, bench, strategy, states)


def states_of_run(run: str | Path, cfg: DictConfig) -> tuple[State, ...]:
    """Return the states of all decisions of a run directory; see ``decided_run``."""
    return decided_run(TrainedRun(Path(run)), cfg).states


def results_lines(decided: DecidedRun, cutoff: str) -> list[str]:
    """Return the figures of the run's test range beside buy-and-hold and the rules, and the knowledge cut-off.

    Raises:
        RunError: The run holds no figures.
    """
    metrics = read_metrics(decided.trained.directory)
    names = sorted({key.split("/")[1] for key in metrics if key.startswith("baseline/")})
    if not names:
        raise RunError(
            f"{decided.trained.directory / METRICS}: no figures of baselines; expected a run that was judged"
        )
    panel, rows = decided.bench.panel, decided.bench.ranges.test
    first, last = (str(panel.ts_T[t].astype("datetime64[D]")) for t in (rows.start, rows.stop - 1))
    rules = [name for name in names if name not in ("buy_and_hold", "shuffled_labels")]
    columns = {decided.name: "test", "buy_and_hold": "baseline/buy_and_hold"}
    columns |= {name: f"baseline/{name}" for name in rules}
    lines = [f"Test window: {first} to {last}, {panel.dataset}" + (" (synthetic)" if panel.is_synthetic else "")]
    lines.append(f"Knowledge cut-off of the language model: {cutoff}")
    for name, prefix in columns.items():
        figures = (f"{describe(key).title} {show(key, metrics[f'{prefix}/{key}'])}" for key in FIGURES)
        lines.append(f"  {name}: {', '.join(figures)}")
    if panel.note:
        lines.append(f"Note: {panel.note}")
    return lines


def print_results(decided: DecidedRun, cutoff: str) -> None:
    """Print what ``results_lines`` returns."""
    for line in results_lines(decided, cutoff):
        Console().print(line, soft_wrap=True, markup=False, highlight=False)


def print_means(title: str, means: Mapping[str, float], total: str = "mean") -> None:
    """Print scores from 1 to 5, one row each."""
    table = Table(title=title)
    table.add_column("criterion")
    table.add_column("mean", justify="right")
    for name, value in means.items():
        table.add_row(name.replace("_", " "), f"{value:.2f}", style="bold" if name == total else "")
    Console().print(table)


def require_states(states: tuple[State, ...], num: int, what: str) -> None:
    """Refuse a range with too few decisions.

    Raises:
        DataError: There are fewer than asked for.
    """
    if len(states) < num:
        raise DataError(f"{what} must be <= {len(states)}, the decisions of the test range, was {num}")
