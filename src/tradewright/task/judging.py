"""Judges the strategy of a run by what its context is: backtests on a market, episodes without one, or answers."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from tradewright.backtest.result import BacktestResult
from tradewright.evaluate.evidence import Trials
from tradewright.evaluate.forecasts import FORECASTS, ForecastJudgement
from tradewright.evaluate.language import ANSWERS, TextJudgement
from tradewright.report.report import Report
from tradewright.task.context import BaseContext, Context
from tradewright.task.fitting import Fitting
from tradewright.task.record import record
from tradewright.task.task import Task


@dataclass(frozen=True)
class Judged:
    """What the spine needs of a judged run.

    Args:
        metrics: All figures.
        record: Writes what the run leaves behind; takes its provenance and the report.
        results: Backtests by range and name; none without a market.
    """

    metrics: dict[str, float]
    record: Callable[[dict[str, Any], Report], None]
    results: Mapping[tuple[str, str], BacktestResult] = field(default_factory=dict)


def judge(task: Task, context: BaseContext, trials: Trials) -> Judged:
    """Obtain the strategy and judge it.

    Args:
        task: Gives the strategy.
        context: The run.
        trials: Of the experiment, the present one included.
    """
    if isinstance(context, Context):
        judgement = context.evaluation.judge(context.bench, Fitting(task, context), trials)
        for kind in (ANSWERS, FORECASTS):  # of a model whose words or forecasts are traded
            said = task.evidence.get(kind)
            if isinstance(said, TextJudgement | ForecastJudgement):
                judgement = replace(judgement, metrics={**judgement.metrics, **said.metrics})
        write = partial(_record, record, context, judgement, task)
        return Judged(judgement.metrics, write, judgement.results)
    from tradewright.task.episodes import EpisodeContext, judge_episodes, record_episodes
    from tradewright.task.texts import TextContext, judge_texts, record_texts

    if isinstance(context, TextContext):
        answered = judge_texts(context, task)
        return Judged(answered.metrics, partial(_record, record_texts, context, answered, task))
    assert isinstance(context, EpisodeContext)
    played = judge_episodes(context, task)
    return Judged(played.metrics, partial(_record, record_episodes, context, played, task))


def _record(
    write: Callable[..., None], context: BaseContext, judgement: Any, task: Task, provenance: Any, report: Report
) -> None:
    write(context, judgement, provenance, task, report)
