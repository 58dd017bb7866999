"""``evaluate=backtest``: one strategy and the baselines on the same bars, costs and split, with what chance could do.

The validation range is scored for choosing, the test range once, at the end. With ``folds`` the strategy is fitted
once per fold and its test blocks are stitched into one out-of-sample history that is judged in the same way.
Figures go into one flat dictionary: ``test/*`` and ``validation/*`` for the strategy, ``baseline/<name>/*`` for the
baselines on the test bars.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np

from tradewright.backtest.result import BacktestResult
from tradewright.data.folds import Planner
from tradewright.data.ranges import Range
from tradewright.errors import ConfigError
from tradewright.evaluate import degenerate
from tradewright.evaluate.bench import Bench, Fit, Judgement
from tradewright.evaluate.crossval import judge_folds
from tradewright.evaluate.evidence import REFERENCE, Filtered, Trials, UpperLine
from tradewright.evaluate.random_entry import random_entry
from tradewright.evaluate.rearrange import delay
from tradewright.evaluate.significance import SignificanceTest
from tradewright.evaluate.tested import Tested
from tradewright.evaluate.universe import UniverseTest
from tradewright.market.positions import Positions
from tradewright.metrics.summary import summarise
from tradewright.strategy.strategy import Strategy

BUY_AND_HOLD = "buy_and_hold"
REQUIRED = (BUY_AND_HOLD, "equal_weight")
DELAYED, SHUFFLED = "one_bar_delayed", "shuffled_labels"
"""Names of the baselines that are made from the strategy itself."""


class BacktestEvaluation:
    """Scores a strategy beside the baselines.

    Args:
        baselines: Strategies by name; ``buy_and_hold``, the benchmark of alpha and beta, and ``equal_weight`` are
            always among them. The strategy delayed by one bar is added.
        significance: Intervals, deflated Sharpe ratio and paired tests.
        folds: Lays out a cross-validation; None: the run's own split.
        universe: Judges every instrument by itself as well; None: not.
        num_random: Random strategies with the strategy's turnover, >= 0; 0: none.
        shuffled_control: Train a second time on shuffled features: what the pipeline reaches without information.
        analytic_reference: Train the analytic gradient on the same bars at the same costs beside an agent: an upper
            line, which knows the accounting. It is in no test of significance, since nobody chooses it.
        risk_free: Annual fraction.
        seed: Of the random strategies.

    Raises:
        ValueError: A baseline is missing or a value is out of range.
    """

    judges: ClassVar[str] = "market"

    def __init__(
        self,
        *,
        baselines: dict[str, Strategy],
        significance: SignificanceTest,
        folds: Planner | None = None,
        universe: UniverseTest | None = None,
        num_random: int = 200,
        shuffled_control: bool = True,
        analytic_reference: bool = True,
        risk_free: float = 0.0,
        seed: int = 0,
    ) -> None:
        for name in REQUIRED:
            if name not in baselines:
                raise ValueError(f"baselines must contain {name}, had {', '.join(baselines) or 'none'}")
        if seed < 0:
            raise ValueError(f"seed must be >= 0, was {seed}")
        if num_random < 0:
            raise ValueError(f"num_random must be >= 0, was {num_random}")
        self.baselines = baselines
        self.significance = significance
        self.folds = folds
        self.universe = universe
        self.num_random = num_random
        self.shuffled_control = shuffled_control
        self.analytic_reference = analytic_reference
        self.risk_free = risk_free
        self.seed = seed

    def figures(self, bench: Bench, strategy: Strategy, rows: Range) -> dict[str, float]:
        """Return the figures of ``strategy`` on ``rows`` without prefix; buy-and-hold is the benchmark."""
        return self.summarise(bench, bench.run(strategy, rows), self.benchmark(bench, rows))

    def judge(self, bench: Bench, fit: Fit, trials: Trials) -> Judgement:
        """Score the strategy on validation and test, and the baselines on the test bars.

        Args:
            bench: The market.
            fit: Gives the strategy.
            trials: Of the experiment, the present one included.

        Raises:
            ConfigError: A universe is to be judged with folds of an agent, or orders would come after the last bar.
        """
        if self.universe is not None and self.folds is not None and fit.is_learned:
            raise ConfigError(
                "evaluate.universe with evaluate.folds would judge an agent on its training bars; choose one of them"
            )
        shortest = min(len(bench.ranges.validation), len(bench.ranges.test))
        delay_bars = bench.backtest.rules.delay_bars
        if delay_bars >= shortest - 1:
            raise ConfigError(
                f"backtest.delay_bars={delay_bars} leaves no bar to trade in the {shortest} bars of validation or test"
            )
        tested = self._test_split(bench, fit) if self.folds is None else judge_folds(self, bench, fit, self.folds)
        rows, result = tested.rows, tested.result
        results = {("validation", result.name): tested.validation} if tested.validation else {}
        others = self._baselines(bench, fit, tested)
        upper, line = self._upper_line(bench, fit, tested)
        results.update({("test", name): other for name, other in {result.name: result, **others, **upper}.items()})
        benchmark = self.benchmark(bench, rows)
        metrics = _prefixed("validation/", tested.validation_metrics)
        metrics |= _prefixed("test/", self.summarise(bench, result, benchmark))
        for name, other in (others | upper).items():
            metrics |= _prefixed(f"baseline/{name}/", self.summarise(bench, other, benchmark))
        evidence, more = self._evidence(bench, tested, others, trials)
        return Judgement(results, metrics | _prefixed("test/", more), evidence | line)

    def benchmark(self, bench: Bench, rows: Range) -> BacktestResult:
        """Hold without the default stops: those are for strategies, and a holder who is stopped out does not hold."""
        return _without_stops(bench).run(self.baselines[BUY_AND_HOLD], rows, BUY_AND_HOLD)

    def summarise(self, bench: Bench, result: BacktestResult, benchmark: BacktestResult) -> dict[str, float]:
        """Return the figures of a result."""
        multipliers = {instrument.symbol: instrument.multiplier for instrument in bench.panel.instruments}
        return summarise(result, benchmark, self.risk_free, multipliers=multipliers)

    def _test_split(self, bench: Bench, fit: Fit) -> Tested:
        fitted = fit()
        strategy, rows = fitted.strategy, bench.ranges.test
        validation = fitted.bench.run(strategy, bench.ranges.validation)
        benchmark = self.benchmark(bench, bench.ranges.validation)
        positions = strategy.decide(bench.panel, fitted.bench.features, rows)

        def control(fit: Fit) -> Positions:
            blind = fit(bench.ranges, name=SHUFFLED, is_shuffled=True).strategy
            return blind.decide(bench.panel, fitted.bench.features, rows)

        def reference(fit: Fit) -> Positions | str:
            found = fit.reference(bench.ranges, name=REFERENCE)
            return found if isinstance(found, str) else found.strategy.decide(bench.panel, found.bench.features, rows)

        return Tested(
            rows=rows,
            positions=positions,
            result=bench.backtest.run(bench.panel, positions, rows, name=strategy.name),
            validation=validation,
            validation_metrics=self.summarise(bench, validation, benchmark),
            strategy=strategy,
            blocked=getattr(strategy, "blocked", None),  # of the call above
            bench=fitted.bench,
            control=control,
            reference=reference,
        )

    def _baselines(self, bench: Bench, fit: Fit, tested: Tested) -> dict[str, BacktestResult]:
        """Return the backtests of the baselines on the test bars by name."""
        rows, own = tested.rows, tested.result
        held = _without_stops(bench)
        found = {}
        for name, baseline in self.baselines.items():
            title = f"{name}_baseline" if name == own.name else name
            result = (held if name in REQUIRED else bench).run(baseline, rows, title)
            if name != own.name or not np.array_equal(result.equity_T, own.equity_T):
                found[title] = replace(result, name=title)
        delayed = delay(tested.positions, 1)
        found[DELAYED] = bench.backtest.run(bench.panel, delayed, rows, name=DELAYED)
        if fit.is_learned and self.shuffled_control:
            found[SHUFFLED] = bench.backtest.run(bench.panel, tested.control(fit), rows, name=SHUFFLED)
        return found

    def _upper_line(
        self, bench: Bench, fit: Fit, tested: Tested
    ) -> tuple[dict[str, BacktestResult], dict[str, object]]:
        """Return the backtest of the analytic gradient by name, and evidence of whether there is one."""
        if not (fit.is_learned and self.analytic_reference) or tested.result.name == REFERENCE:
            return {}, {}
        found = tested.reference(fit)
        if isinstance(found, str):
            return {}, {"upper_line": UpperLine(obstacle=found)}
        result = bench.backtest.run(bench.panel, found, tested.rows, name=REFERENCE)
        return {REFERENCE: result}, {"upper_line": UpperLine(obstacle="")}

    def _evidence(
        self, bench: Bench, tested: Tested, others: Mapping[str, BacktestResult], trials: Trials
    ) -> tuple[dict[str, object], dict[str, float]]:
        """Return the evidence by kind, and the figures taken from it."""
        result = tested.result
        significance = self.significance.assess(result, others, trials, self.risk_free)
        found = degenerate.find_degenerate(result)
        evidence: dict[str, object] = {"significance": significance, "degenerate": found}
        metrics = self.significance.metrics(significance) | degenerate.metrics(found)
        if self.num_random:
            drawn = random_entry(
                bench,
                tested.positions,
                result,
                tested.rows,
                num_random=self.num_random,
                risk_free=self.risk_free,
                seed=self.seed,
            )
            metrics["random_entry_p_value"] = float("nan") if drawn is None else drawn.p_value
            evidence |= {} if drawn is None else {"random_entry": drawn}
        if tested.blocked is not None:
            evidence["filtered"] = Filtered(blocked=tested.blocked)
        if tested.folds is not None:
            evidence["folds"] = tested.folds
        if self.universe is not None:
            evidence["universe"] = self.universe.judge(self, bench, tested)
        return evidence, metrics


def _without_stops(bench: Bench) -> Bench:
    return replace(bench, backtest=bench.backtest.without_stops())


def _prefixed(prefix: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}{name}": value for name, value in figures.items()}
