"""``task=decide``: BUY, SELL or HOLD with calibrated confidence from a trained language model, for bars or a question.

Bars are decided as the run's strategy does: the same template, threshold and filters, from a flat account. A free
question has no bars, so only the threshold stands between its answer and an order. Words are scored, never parsed, so
every answer is one of the three.
"""

import csv
import io
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from omegaconf import DictConfig
from rich.console import Console
from rich.table import Table

from tradewright.config.build import build
from tradewright.config.locate import class_attribute
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import ConfigError, RunError
from tradewright.examples.swap_prompt import asked
from tradewright.explain.guard import check_symbol
from tradewright.market.positions import Positions
from tradewright.metrics.temperature import tempered
from tradewright.output import write_text
from tradewright.provenance import run_origin
from tradewright.risk.decisions import count_reasons
from tradewright.strategy.language_model import LanguageModelStrategy, Scorer
from tradewright.target.labels import ACTIONS
from tradewright.task.context import read_market
from tradewright.task.language_model import load_model, read_temperature
from tradewright.task.learner import learns_from_text
from tradewright.task.trained import TrainedRun

if TYPE_CHECKING:
    from tradewright.model.loaded_model import LoadedModel

FILE = "decisions.csv"
COLUMNS = ("ts", "symbol", "action", "confidence", "size", "blocked")
SHOWN = 10


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One line of the file.

    Args:
        ts: Open of the bar; empty for a question.
        symbol: Instrument; empty for a question.
        action: ``BUY``, ``SELL`` or ``HOLD``.
        confidence: Calibrated probability of the action, in [0, 1].
        size: Fraction of equity of the order; 0: none.
        blocked: Which filter refused or cut the order; empty: none.
    """

    ts: str
    symbol: str
    action: str
    confidence: float
    size: float
    blocked: str


class Decide:
    """Writes ``decisions.csv`` into the run directory.

    Args:
        run: A run directory with a language model that was trained to decide.
        prompt: A question in words, answered instead of bars; None: the bars.
        num_bars: Newest bars to decide on, >= 1; None starts where the test range does. The account starts flat there.
        every_bars: Bars between two decisions, >= 1; None: as the run's strategy.
        confidence_threshold: Least confidence of an order, in [0, 1]; None: as the run's filter.

    Raises:
        ValueError: A value is out of range.
    """

    needs_run_directory: ClassVar[bool] = False
    needs_market: ClassVar[bool] = False
    language_model_key: ClassVar[str] = "run"

    def __init__(
        self,
        *,
        run: str,
        prompt: str | None = None,
        num_bars: int | None = None,
        every_bars: int | None = None,
        confidence_threshold: float | None = None,
    ) -> None:
        for name, value in (("num_bars", num_bars), ("every_bars", every_bars)):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be >= 1 or null, was {value}")
        if confidence_threshold is not None and not 0 <= confidence_threshold <= 1:
            raise ValueError(f"confidence_threshold must be in [0, 1] or null, was {confidence_threshold}")
        if prompt is not None and not prompt.strip():
            raise ValueError(f"prompt must be a question or null, was {prompt!r}")
        if prompt is not None and (num_bars is not None or every_bars is not None):
            raise ValueError("prompt must be null where bars are chosen: a question has none")
        self.trained = TrainedRun(Path(run))
        self.prompt, self.num_bars = prompt, num_bars
        self.every_bars, self.confidence_threshold = every_bars, confidence_threshold

    def execute(self, cfg: DictConfig) -> dict[str, float]:
        """Decide and write; return how often each action occurs and how many orders were blocked or cut.

        Raises:
            RunError: The run holds no language model that decides.
            ConfigError: ``num_bars`` is more than the data have.
        """
        merged = self.trained.configured(cfg, run_origin(Path(cfg.output_dir)))
        strategy = self._strategy(cfg, merged)
        decisions = self._bars(merged, strategy) if self.prompt is None else (self._answer(strategy, self.prompt),)
        path = self.trained.directory / FILE
        write_text(path, _csv(decisions))
        self._show(decisions, strategy)
        Console().print(f"{len(decisions):,} decisions: {path}", soft_wrap=True, highlight=False)
        counts = Counter(one.action for one in decisions)
        return {
            **{f"decide/num_{action.lower()}": float(counts[action]) for action in ACTIONS},
            "decide/num_blocked": float(sum(bool(one.blocked) for one in decisions)),
        }

    def _strategy(self, cfg: DictConfig, merged: DictConfig) -> LanguageModelStrategy:
        directory = self.trained.directory
        decides = class_attribute(str(merged.strategy.get("_target_", "")), "decides_by") == "language_model"
        if not decides or not learns_from_text(self.trained.cfg):
            raise RunError(
                f"{directory}: holds no language model that decides; train one with `tradewright experiment=rook`, and"
                " ask agents with `tradewright predict`"
            )
        temperature = read_temperature(directory)
        loaded = load_model(cfg, str(directory))
        strategy: LanguageModelStrategy = build(
            merged.strategy,
            key="strategy",
            scorer=self._scorer(loaded),
            temperature=temperature,
            name=directory.name,
        )
        if self.every_bars is not None:
            strategy.every_bars = self.every_bars
        if self.confidence_threshold is not None:
            strategy.risk = replace(strategy.risk, confidence_threshold=self.confidence_threshold)
        return strategy

    def _scorer(self, loaded: "LoadedModel") -> Scorer:
        """Return what scores the words: behind a draft where the run learned to write one."""
        from tradewright.generate.drafted import DraftScorer
        from tradewright.generate.labels import LabelScorer

        examples = self.trained.cfg.examples
        if class_attribute(str(examples.get("_target_", "")), "drafts") is True:
            return DraftScorer(loaded, ACTIONS, max_draft_tokens=int(examples.max_draft_tokens)).probabilities
        return LabelScorer(loaded, ACTIONS).probabilities

    def _bars(self, merged: DictConfig, strategy: LanguageModelStrategy) -> tuple[Decision, ...]:
        bench = read_market(merged, with_features=False)
        panel, count = bench.panel, bench.panel.num_bars
        for symbol in panel.symbols:
            check_symbol(symbol)
        if self.num_bars is not None and self.num_bars > count:
            raise ConfigError(f"task.num_bars must be <= {count}, the bars of '{panel.dataset}', was {self.num_bars}")
        rows = Range(bench.ranges.test.start if self.num_bars is None else count - self.num_bars, count)
        return decisions_of(panel, strategy, strategy.decide(panel, None, rows), rows)

    def _answer(self, strategy: LanguageModelStrategy, prompt: str) -> Decision:
        (probabilities_L,) = tempered(strategy.scorer([asked(prompt)]), strategy.temperature)
        action, confidence = ACTIONS[int(np.argmax(probabilities_L))], float(np.max(probabilities_L))
        threshold = strategy.risk.confidence_threshold
        is_order = action != "HOLD"
        is_unsure = threshold is not None and confidence < threshold
        size = min(strategy.size, strategy.risk.max_position_size) if is_order and not is_unsure else 0.0
        blocked = "confidence" if is_order and is_unsure else ""
        return Decision(ts="", symbol="", action=action, confidence=confidence, size=size, blocked=blocked)

    def _show(self, decisions: tuple[Decision, ...], strategy: LanguageModelStrategy) -> None:
        threshold = strategy.risk.confidence_threshold
        is_any = "any confidence" if threshold is None else f"confidence from {threshold:g}"
        table = Table(
            title=f"Newest decisions; orders at {is_any}, calibrated by temperature {strategy.temperature:.3g}"
        )
        for name in COLUMNS:
            table.add_column(name, justify="right" if name in ("confidence", "size") else "left")
        for one in decisions[-SHOWN:]:
            table.add_row(one.ts, one.symbol, one.action, f"{one.confidence:.1%}", f"{one.size:.1%}", one.blocked)
        console = Console()
        console.print(table)
        if self.prompt is None:
            reasons = ", ".join(f"{name} {count}" for name, count in count_reasons(strategy.blocked).items())
            console.print(
                f"{strategy.num_asked:,} bars asked about, {strategy.num_undefined:,} left out for unknown figures,"
                f" {strategy.num_unanswered:,} without an answer; blocked or cut: {reasons or 'none'}",
                soft_wrap=True,
                highlight=False,
            )


def decisions_of(
    panel: Panel, strategy: LanguageModelStrategy, positions: Positions, rows: Range
) -> tuple[Decision, ...]:
    """Return what a strategy decided in its last call, in time order; bars without an answer have none.

    Args:
        panel: The bars.
        strategy: It has just decided.
        positions: What it returned.
        rows: The decided bars.
    """
    reasons = {one.bar: one.reason for one in strategy.blocked}
    found, held = [], 0.0
    for row, probabilities_L in zip(strategy.answers.row_B.tolist(), strategy.answers.probabilities_BL, strict=True):
        if np.isnan(probabilities_L).any():
            continue
        weight = float(positions.weights_TN[row - rows.start, 0])
        size = 0.0 if np.isnan(weight) else abs(weight - held)
        held = held if np.isnan(weight) else weight
        found.append(
            Decision(
                ts=str(panel.ts_T[row]),
                symbol=panel.symbols[0],
                action=ACTIONS[int(np.argmax(probabilities_L))],
                confidence=float(np.max(probabilities_L)),
                size=size,
                blocked=reasons.get(row, ""),
            )
        )
    return tuple(found)


def _csv(decisions: tuple[Decision, ...]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for one in decisions:
        writer.writerow([one.ts, one.symbol, one.action, f"{one.confidence:.6f}", f"{one.size:.6g}", one.blocked])
    return buffer.getvalue()
