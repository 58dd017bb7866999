"""``Tested``: a strategy's decisions and backtest on the test bars, from one fit or stitched from several."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tradewright.backtest.result import BacktestResult
from tradewright.data.ranges import Range
from tradewright.evaluate.bench import Bench, Fit
from tradewright.evaluate.evidence import Folds
from tradewright.market.positions import Positions
from tradewright.risk.decisions import Blocked
from tradewright.strategy.strategy import Strategy


@dataclass(frozen=True, kw_only=True)
class Tested:
    """What a strategy did on the test bars.

    Args:
        rows: The test bars.
        positions: What it decided there.
        result: Its backtest.
        validation: Its backtest on the validation range; None with folds, which have one each.
        validation_metrics: Figures that choose: those of ``validation``, or their means over the folds.
        strategy: The strategy, or the one of the last fold.
        bench: What that strategy was fitted on.
        control: Gives the decisions of the same training on shuffled features.
        reference: Gives the decisions of the analytic gradient, or why there are none.
        folds: The cross-validation, if there was one.
        blocked: Its decisions on the test bars that a filter of risk blocked; None: it has no filters, or folds.
    """

    rows: Range
    positions: Positions
    result: BacktestResult
    validation: BacktestResult | None
    validation_metrics: Mapping[str, float]
    strategy: Strategy
    bench: Bench
    control: Callable[[Fit], Positions]
    reference: Callable[[Fit], Positions | str]
    folds: Folds | None = None
    blocked: tuple[Blocked, ...] | None = None
