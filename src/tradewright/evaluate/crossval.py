"""Judges a cross-validation: one fit per fold, test blocks stitched into paths, each path one account."""

from typing import TYPE_CHECKING

import numpy as np

from tradewright.backtest.result import BacktestResult
from tradewright.data.folds import FoldPlan, Plan, Planner
from tradewright.data.ranges import Range
from tradewright.evaluate.bench import Bench, Fit, Fitted
from tradewright.evaluate.evidence import REFERENCE, Fold, Folds, Span
from tradewright.evaluate.rearrange import stitch
from tradewright.evaluate.tested import Tested
from tradewright.market.positions import Positions

if TYPE_CHECKING:
    from tradewright.evaluate.backtest import BacktestEvaluation


def judge_folds(evaluation: "BacktestEvaluation", bench: Bench, fit: Fit, planner: Planner) -> Tested:
    """Fit every fold, stitch the paths, and report the path with the median Sharpe ratio.

    Args:
        evaluation: Summarises results.
        bench: The market.
        fit: Gives the strategy of a fold.
        planner: Lays out the folds over the bars from which features are known, for rules and agents alike.
    """
    plan = planner.plan(Range(bench.ready_from, bench.panel.num_bars))
    decided: dict[tuple[int, Range], Positions] = {}
    folds, validations, fitted_benches = [], [], []
    for i, fold in enumerate(plan.folds):
        fitted = fit(fold.ranges, name=fold.name)
        for block in fold.tests:
            decided[i, block] = fitted.strategy.decide(bench.panel, fitted.bench.features, block)
        judged, validation = _judge_fold(evaluation, bench, fitted, fold, [decided[i, block] for block in fold.tests])
        folds.append(judged)
        fitted_benches.append(fitted.bench)
        validations.append(validation)
    paths = [_run_path(bench, plan, path, decided, fitted.strategy.name) for path in plan.paths]
    benchmark = evaluation.benchmark(bench, plan.rows)
    metrics = tuple(evaluation.summarise(bench, result, benchmark) for _, result in paths)
    chosen = _median([figures["sharpe"] for figures in metrics])

    def control(fit: Fit) -> Positions:
        blind = {
            i: fit(plan.folds[i].ranges, name=f"{plan.folds[i].name}_shuffled", is_shuffled=True).strategy
            for i in dict.fromkeys(i for i, _ in plan.paths[chosen])
        }
        return stitch(
            [blind[i].decide(bench.panel, fitted_benches[i].features, block) for i, block in plan.paths[chosen]]
        )

    def reference(fit: Fit) -> Positions | str:
        best = {}
        for i in dict.fromkeys(i for i, _ in plan.paths[chosen]):
            found = fit.reference(plan.folds[i].ranges, name=f"{plan.folds[i].name}_{REFERENCE}")
            if isinstance(found, str):
                return found
            best[i] = found
        return stitch(
            [best[i].strategy.decide(bench.panel, best[i].bench.features, block) for i, block in plan.paths[chosen]]
        )

    return Tested(
        rows=plan.rows,
        positions=paths[chosen][0],
        result=paths[chosen][1],
        validation=None,
        validation_metrics=_means(validations),
        strategy=fitted.strategy,
        bench=fitted.bench,
        control=control,
        reference=reference,
        folds=Folds(
            kind=plan.kind,
            folds=tuple(folds),
            paths=tuple(result for _, result in paths),
            path_metrics=metrics,
            chosen=chosen,
        ),
    )


def _judge_fold(
    evaluation: "BacktestEvaluation", bench: Bench, fitted: Fitted, fold: FoldPlan, decided: list[Positions]
) -> tuple[Fold, dict[str, float]]:
    """Return the fold with its figures, means over its test blocks, and the figures of its validation."""
    validation = evaluation.figures(fitted.bench, fitted.strategy, fold.ranges.validation)
    found = []
    for block, positions in zip(fold.tests, decided, strict=True):
        result = bench.backtest.run(bench.panel, positions, block, name=fold.name)
        found.append(evaluation.summarise(bench, result, evaluation.benchmark(bench, block)))
    metrics = _means(found)
    ts_T = bench.panel.ts_T

    def span(rows: Range) -> Span:
        return ts_T[rows.start], ts_T[rows.stop - 1]

    judged = Fold(
        name=fold.name,
        train=tuple(span(part) for part in fold.ranges.training),
        validation=span(fold.ranges.validation),
        test=tuple(span(block) for block in fold.tests),
        metrics={**metrics, **{f"validation_{key}": value for key, value in validation.items()}},
    )
    return judged, validation


def _run_path(
    bench: Bench,
    plan: Plan,
    path: tuple[tuple[int, Range], ...],
    decided: dict[tuple[int, Range], Positions],
    name: str,
) -> tuple[Positions, BacktestResult]:
    positions = stitch([decided[step] for step in path])
    return positions, bench.backtest.run(bench.panel, positions, plan.rows, name=name)


def _means(figures: list[dict[str, float]]) -> dict[str, float]:
    """Return the mean of every figure; NaN where one is undefined."""
    return {key: float(np.mean([one[key] for one in figures])) for key in figures[0]}


def _median(values: list[float]) -> int:
    """Return the index of the (lower) median; undefined values come last."""
    order = np.argsort(np.array(values), kind="stable")
    defined = int(np.sum(~np.isnan(values)))
    return int(order[max(defined - 1, 0) // 2])
