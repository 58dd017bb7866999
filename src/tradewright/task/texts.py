"""A run whose language model is judged by its answers: its context, its judgement and what it leaves behind."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from omegaconf import DictConfig

from tradewright.config.build import build
from tradewright.evaluate.changed_answers import START, change_metrics, find_changes, with_control
from tradewright.evaluate.language import Answerer, LanguageEvaluation, TextBench, TextJudgement
from tradewright.examples.example import ExampleSets
from tradewright.output import CHECKPOINTS, CONFIG, METRICS, write_curves, write_json, write_manifest, write_text
from tradewright.report.plain_terminal import summarise_plain
from tradewright.report.report import Report
from tradewright.report.texts import TextContent
from tradewright.task.context import BaseContext
from tradewright.task.trained import TrainedRun

ANSWERS = "answers.jsonl"


@dataclass(frozen=True, kw_only=True)
class TextContext(BaseContext):
    """A run on prompts and answers.

    Args:
        bench: The examples.
        evaluation: Judges answers.
    """

    bench: TextBench
    evaluation: LanguageEvaluation

    @property
    def facts(self) -> dict[str, Any]:
        """The examples'."""
        return example_facts(self.bench.sets)

    def validate(self, strategy: Answerer) -> dict[str, float]:
        """Return the figures of the validation examples."""
        return self.evaluation.validate(strategy, self.bench)


def example_facts(sets: ExampleSets) -> dict[str, Any]:
    """Return what the provenance of a run says of its examples."""
    return {
        "dataset": sets.name,
        "fingerprint": sets.fingerprint,
        "num_train": len(sets.train),
        "num_validation": len(sets.validation),
        "num_test": len(sets.test),
        "is_synthetic": sets.is_synthetic,
    }


class Writer(Protocol):
    """A task that can judge answers."""

    curves: dict[str, tuple[list[int], list[float]]]
    notes: list[str]
    evidence: dict[str, object]

    def strategy(self, context: TextContext) -> Any:
        """Return the model."""
        ...


def read_texts(cfg: DictConfig) -> TextBench:
    """Return the examples that a configuration names, and their grader."""
    source = build(cfg.examples, key="examples")
    run = getattr(source, "agent_run", None)
    hooks = (source.grade, getattr(source, "render", None), getattr(source, "stated", None))
    if run is None:
        return TextBench(source.read(None), *hooks)
    from tradewright.task.decided import decide

    trained = TrainedRun(Path(run))
    decided = decide(trained, trained.cfg)
    panel = decided.bench.panel
    sets = source.sets(decided.states, name=f"decisions on {panel.dataset}", is_synthetic=panel.is_synthetic)
    return TextBench(sets, *hooks)


def judge_texts(context: TextContext, task: Writer) -> TextJudgement:
    """Obtain the model and judge its answers, beside those of the model that a preference training began with."""
    evaluation = context.evaluation
    judgement = evaluation.judge(task.strategy(context), context.bench)
    start = task.evidence.get(START)
    if not isinstance(start, tuple) or not start:
        return judgement
    changes = find_changes(
        with_control(start, context.bench.grade),
        with_control(judgement.answers, context.bench.grade),
        num_resamples=evaluation.num_resamples,
        confidence=evaluation.confidence,
        seed=evaluation.seed,
    )
    return replace(judgement, metrics={**judgement.metrics, **change_metrics(changes)}, changes=changes)


def record_texts(
    context: TextContext, judgement: TextJudgement, provenance: dict[str, Any], task: Writer, report: Report
) -> None:
    """Write answers, report, figures and manifest; print the summary."""
    directory, sets = context.directory, context.bench.sets
    lines = [
        {
            "id": one.example.id,
            "kind": one.example.kind,
            "prompt": list(one.example.prompt),
            "expected": one.expected,
            "written": one.text,
            "drawn": one.drawn,
            "grades": dict(one.grades),
        }
        for one in judgement.answers
    ]
    write_text(directory / ANSWERS, "".join(json.dumps(line, default=str) + "\n" for line in lines))
    content = TextContent(
        title=f"{judgement.name} on {sets.name}",
        experiment=context.cfg.name,
        run=directory.name,
        command=" ".join(provenance["command_line"]),
        config_yaml=(directory / CONFIG).read_text(),
        provenance=provenance,
        metrics=judgement.metrics,
        notes=(*([sets.note] if sets.note else []), *task.notes),
        curves=task.curves,
        confusion=judgement.confusion,
        answers=judgement.answers,
        changes=judgement.changes,
        sizes=(len(sets.train), len(sets.validation), len(sets.test)),
    )
    write_curves(directory, task.curves)
    path = report.write_plain(directory, content)
    write_json(directory / METRICS, judgement.metrics)
    summarise_plain(directory, content, report=path)
    write_manifest(directory, {"checkpoints": CHECKPOINTS, "report": path.name if path else ""})
