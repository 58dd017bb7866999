"""A run without a market: its context, its judgement and what it leaves behind."""

import csv
import io
from dataclasses import dataclass
from typing import Any, Protocol

from omegaconf import DictConfig

from tradewright.config.build import build
from tradewright.evaluate.episodes import EpisodeBench, EpisodeEvaluation, EpisodeJudgement
from tradewright.output import CHECKPOINTS, CONFIG, METRICS, write_curves, write_json, write_manifest, write_text
from tradewright.report.episodes import EpisodeContent
from tradewright.report.plain_terminal import summarise_plain
from tradewright.report.report import Report
from tradewright.strategy.policy import Policy
from tradewright.task.context import BaseContext

EPISODES = "episodes.csv"


@dataclass(frozen=True, kw_only=True)
class EpisodeContext(BaseContext):
    """A run on an environment without a market.

    Args:
        bench: The environment that judges.
        evaluation: Plays the episodes.
    """

    bench: EpisodeBench
    evaluation: EpisodeEvaluation

    @property
    def facts(self) -> dict[str, Any]:
        """The environment's."""
        return self.bench.facts

    def validate(self, strategy: Policy) -> dict[str, float]:
        """Return the figures of the validation episodes."""
        return self.evaluation.validate(strategy, self.bench)


class Player(Protocol):
    """A task that can judge episodes."""

    curves: dict[str, tuple[list[int], list[float]]]
    notes: list[str]

    def strategy(self, context: EpisodeContext) -> Any:
        """Return the policy."""
        ...


def read_bench(cfg: DictConfig) -> EpisodeBench:
    """Return the environment that a configuration names."""
    return EpisodeBench(build(cfg.env, key="env"))


def judge_episodes(context: EpisodeContext, task: Player) -> EpisodeJudgement:
    """Obtain the policy and play its episodes."""
    return context.evaluation.judge(task.strategy(context), context.bench)


def record_episodes(
    context: EpisodeContext, judgement: EpisodeJudgement, provenance: dict[str, Any], task: Player, report: Report
) -> None:
    """Write episodes, report, figures and manifest; print the summary."""
    directory, test = context.directory, judgement.test
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(("range", "seed", "return", "length"))
    for name, played in (("validation", judgement.validation), ("test", test)):
        writer.writerows((name, *row) for row in zip(played.seeds, played.return_E, played.length_E, strict=True))
    write_text(directory / EPISODES, buffer.getvalue())
    content = EpisodeContent(
        title=f"{judgement.name} on {context.bench.env.name}",
        experiment=context.cfg.name,
        run=directory.name,
        command=" ".join(provenance["command_line"]),
        config_yaml=(directory / CONFIG).read_text(),
        provenance=provenance,
        metrics=judgement.metrics,
        seeds=test.seeds,
        return_E=test.return_E,
        length_E=test.length_E,
        confidence=context.evaluation.confidence,
        notes=tuple(task.notes),
        curves=task.curves,
    )
    write_curves(directory, task.curves)
    path = report.write_plain(directory, content)
    write_json(directory / METRICS, judgement.metrics)
    summarise_plain(directory, content, report=path)
    write_manifest(directory, {"checkpoints": CHECKPOINTS, "report": path.name if path else ""})
