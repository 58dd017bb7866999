"""``evaluate=backtest``: one strategy and the baselines on the same bars, costs and split.

The validation range is scored for choosing, the test range once, at the end. Figures go into one flat dictionary:
``test/*`` and ``validation/*`` for the strategy, ``baseline/<name>/*`` for the baselines on the test range.
"""

from collections.abc import Mapping
from dataclasses import replace

from tradewright.backtest.result import BacktestResult
from tradewright.data.ranges import Range
from tradewright.evaluate.bench import Bench, Judgement
from tradewright.metrics.summary import summarise
from tradewright.strategy.strategy import Strategy

BUY_AND_HOLD = "buy_and_hold"


class BacktestEvaluation:
    """Scores a strategy beside the baselines.

    Args:
        baselines: Strategies by name; ``buy_and_hold`` is always among them and is the benchmark of alpha and beta.
        risk_free: Annual fraction.

    Raises:
        ValueError: ``buy_and_hold`` is missing.
    """

    def __init__(self, *, baselines: dict[str, Strategy], risk_free: float = 0.0) -> None:
        if BUY_AND_HOLD not in baselines:
            raise ValueError(f"baselines must contain {BUY_AND_HOLD}, had {', '.join(baselines) or 'none'}")
        self.baselines = baselines
        self.risk_free = risk_free

    def figures(self, bench: Bench, strategy: Strategy, rows: Range) -> dict[str, float]:
        """Return the figures of ``strategy`` on ``rows`` without prefix; buy-and-hold is the benchmark."""
        benchmark = self._benchmark(bench, rows)
        return self._summarise(bench, bench.run(strategy, rows), benchmark)

    def judge(self, bench: Bench, strategy: Strategy) -> Judgement:
        """Score the strategy on validation and test, and the baselines on test."""
        results: dict[tuple[str, str], BacktestResult] = {}
        metrics: dict[str, float] = {}
        for span in ("validation", "test"):
            rows: Range = getattr(bench.ranges, span)
            benchmark = self._benchmark(bench, rows)
            result = bench.run(strategy, rows)
            results[span, result.name] = result
            metrics.update(_prefixed(f"{span}/", self._summarise(bench, result, benchmark)))
            if span == "test":
                for name, baseline in self.baselines.items():
                    other = benchmark if name == BUY_AND_HOLD else bench.run(baseline, rows, name)
                    if name != result.name:
                        results[span, name] = other
                    metrics.update(_prefixed(f"baseline/{name}/", self._summarise(bench, other, benchmark)))
        return Judgement(results, metrics)

    def _benchmark(self, bench: Bench, rows: Range) -> BacktestResult:
        """Hold without the default stops: those are for strategies, and a holder who is stopped out does not hold."""
        held = replace(bench, backtest=bench.backtest.without_stops())
        return held.run(self.baselines[BUY_AND_HOLD], rows, BUY_AND_HOLD)

    def _summarise(self, bench: Bench, result: BacktestResult, benchmark: BacktestResult) -> dict[str, float]:
        multipliers = {instrument.symbol: instrument.multiplier for instrument in bench.panel.instruments}
        return summarise(result, benchmark, self.risk_free, multipliers=multipliers)


def _prefixed(prefix: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{prefix}{name}": value for name, value in figures.items()}
