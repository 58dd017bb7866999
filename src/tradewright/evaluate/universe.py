"""Judging a universe: how often the strategy has the direction right, and what each instrument alone would have earned.

Accuracy stands beside the base rate (what always guessing the more frequent direction reaches) because markets drift.
Legend: T bars, N instruments.
"""

from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.errors import DataError
from tradewright.evaluate.bench import Bench
from tradewright.evaluate.evidence import Universe
from tradewright.evaluate.rearrange import targets
from tradewright.evaluate.tested import Tested

if TYPE_CHECKING:
    from tradewright.evaluate.backtest import BacktestEvaluation

Float = npt.NDArray[np.float64]


class UniverseTest:
    """Judges instruments by themselves.

    Args:
        num_accuracy: Instruments whose directional accuracy is measured, >= 1.
        num_backtest: Instruments that are also backtested alone, in [0, num_accuracy].

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    def __init__(self, *, num_accuracy: int = 50, num_backtest: int = 10) -> None:
        if num_accuracy < 1:
            raise ValueError(f"num_accuracy must be >= 1, was {num_accuracy}")
        if not 0 <= num_backtest <= num_accuracy:
            raise ValueError(f"num_backtest must be in [0, num_accuracy = {num_accuracy}], was {num_backtest}")
        self.num_accuracy = num_accuracy
        self.num_backtest = num_backtest

    def judge(self, evaluation: "BacktestEvaluation", bench: Bench, tested: Tested) -> Universe:
        """Return accuracy and separate backtests of the first instruments of the panel.

        Raises:
            DataError: The panel has fewer instruments than are asked for.
        """
        panel, rows = bench.panel, tested.rows
        if len(panel.symbols) < self.num_accuracy:
            raise DataError(
                f"evaluate.universe.num_accuracy={self.num_accuracy} but '{panel.dataset}' has {len(panel.symbols)}"
                " instruments; lower it (and num_backtest) or add symbols"
            )
        side_TN = np.sign(targets(tested.positions.weights_TN))
        returns_TN = next_returns(panel)[rows.start : rows.stop]
        accuracy, base_rate, num_decided, metrics = {}, {}, {}, {}
        for n, symbol in enumerate(panel.symbols[: self.num_accuracy]):
            accuracy[symbol], base_rate[symbol] = hit_rates(side_TN[:, n], returns_TN[:, n])
            num_decided[symbol] = int(is_counted(side_TN[:, n], returns_TN[:, n]).sum())
        for n, symbol in enumerate(panel.symbols[: self.num_backtest]):
            metrics[symbol] = evaluation.figures(alone(tested.bench, n), tested.strategy, rows)
        return Universe(accuracy=accuracy, base_rate=base_rate, metrics=metrics, num_decided=num_decided)


def next_returns(panel: Panel) -> Float:
    """Return close-to-close returns of the bar after each bar, ``[T, N]``; NaN where either close is missing."""
    returns_TN = np.full_like(panel.close_TN, np.nan)
    returns_TN[:-1] = panel.close_TN[1:] / panel.close_TN[:-1] - 1.0
    return returns_TN


def hit_rates(side_T: Float, returns_T: Float) -> tuple[float, float]:
    """Return the share of decided bars whose next return has the position's sign, and the base rate there.

    Args:
        side_T: Sign of the target in force; 0: no position.
        returns_T: Next returns; NaN and 0 have no direction and are left out.
    """
    counted_T = is_counted(side_T, returns_T)
    if not counted_T.any():
        return float("nan"), float("nan")
    is_up_T = returns_T[counted_T] > 0
    share_up = float(is_up_T.mean())
    return float(((side_T[counted_T] > 0) == is_up_T).mean()), max(share_up, 1.0 - share_up)


def is_counted(side_T: Float, returns_T: Float) -> npt.NDArray[np.bool_]:
    """Return the bars with a position whose next return has a direction."""
    return (side_T != 0) & ~np.isnan(returns_T) & (returns_T != 0)


def alone(bench: Bench, n: int) -> Bench:
    """Return the bench with instrument ``n`` alone."""
    panel = _column(bench.panel, n)
    if panel.finer is not None:
        panel = replace(panel, finer=_column(panel.finer, n))
    features = bench.features
    if features is not None:
        features = replace(features, x_TNF=features.x_TNF[:, [n]])
    return replace(bench, panel=panel, features=features)


def _column(panel: Panel, n: int) -> Panel:
    columns: dict[str, Any] = {
        entry.name: getattr(panel, entry.name)[:, [n]]
        for entry in fields(panel)
        if entry.name.endswith("_TN") and getattr(panel, entry.name) is not None
    }
    instruments = (panel.instruments[n],)
    return replace(panel, instruments=instruments, fingerprint=f"{panel.fingerprint}:{n}", **columns)
