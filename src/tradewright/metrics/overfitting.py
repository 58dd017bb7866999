"""Probability of backtest overfitting: how often the best in one half of the time is below the median in the other.

Combinatorially symmetric cross-validation cuts time into blocks and takes every half of the blocks as the range to
choose on and the other half as the range to be judged on. The figure is the Sharpe ratio, which needs only the sums of
each block, so 12,870 splits of thousands of strategies are a few matrix products.
Legend: S strategies, n returns, B blocks, P splits (C of one chunk).

Source: Bailey, Borwein, López de Prado and Zhu (2016), The Probability of Backtest Overfitting, Journal of
Computational Finance 20(4).
"""

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import numpy.typing as npt

from tradewright.metrics.history import Float
from tradewright.metrics.returns import NOISE

NUM_BLOCKS = 16
MIN_STRATEGIES = 2
CHUNK = 2_000_000
"""Ratios held at once (16 MB)."""


@dataclass(frozen=True, kw_only=True)
class Overfitting:
    """What choosing the best in sample led to out of sample.

    Args:
        probability: PBO: share of splits whose chosen strategy was at or below the median out of sample.
        loss_probability: Share of splits whose chosen strategy had a Sharpe ratio below 0 out of sample.
        rank_P: Relative rank out of sample of the strategy chosen in each split, in (0, 1); 0.5 is the median.
    """

    probability: float
    loss_probability: float
    rank_P: Float


UNDEFINED = Overfitting(probability=math.nan, loss_probability=math.nan, rank_P=np.zeros(0))


def backtest_overfitting(returns_Sn: Float, num_blocks: int = NUM_BLOCKS) -> Overfitting:
    """Return the probability of backtest overfitting of choosing among S strategies by their Sharpe ratio.

    Args:
        returns_Sn: Simple returns over the same periods, fractions.
        num_blocks: B, even, >= 2; blocks are as equal in length as n allows.

    Returns:
        The evidence; NaN with fewer than two strategies, fewer than two returns per block, or an undefined return. A
        strategy without dispersion in a range ranks there as a Sharpe ratio of 0.

    Raises:
        ValueError: ``num_blocks`` is odd or below 2.
    """
    if num_blocks < 2 or num_blocks % 2:
        raise ValueError(f"num_blocks must be even and >= 2, was {num_blocks}")
    num_strategies, num = returns_Sn.shape
    if num_strategies < MIN_STRATEGIES or num < 2 * num_blocks or not np.all(np.isfinite(returns_Sn)):
        return UNDEFINED
    starts = (np.arange(num_blocks) * num) // num_blocks
    lengths_B = np.diff(np.append(starts, num)).astype(np.float64)
    centred = returns_Sn - np.mean(returns_Sn, axis=1, keepdims=True)
    sums_BS = np.add.reduceat(centred, starts, axis=1).T
    squares_BS = np.add.reduceat(centred**2, starts, axis=1).T
    chosen_PB = _halves(num_blocks)
    rows = max(1, CHUNK // num_strategies)
    ranks, ratios = [], []
    for first in range(0, len(chosen_PB), rows):
        inside_CB = chosen_PB[first : first + rows]
        parts = [
            _sharpe(half @ sums_BS, half @ squares_BS, half @ lengths_B, np.mean(returns_Sn, axis=1))
            for half in (inside_CB, 1.0 - inside_CB)
        ]
        rank_C, ratio_C = _judge_best(*parts)
        ranks.append(rank_C)
        ratios.append(ratio_C)
    rank_P = np.concatenate(ranks)
    return Overfitting(
        probability=float(np.mean(rank_P <= 0.5)),
        loss_probability=float(np.mean(np.concatenate(ratios) < 0)),
        rank_P=rank_P,
    )


def _halves(num_blocks: int) -> Float:
    """Return every choice of half of the blocks as rows of zeros and ones, shape (P, B)."""
    picks = np.array(list(combinations(range(num_blocks), num_blocks // 2)))
    halves_PB = np.zeros((len(picks), num_blocks))
    np.put_along_axis(halves_PB, picks, 1.0, axis=1)
    return halves_PB


def _sharpe(sum_CS: Float, square_CS: Float, length_C: Float, mean_S: Float) -> Float:
    """Return Sharpe ratios per period from sums of returns centred on ``mean_S``; 0 without dispersion."""
    length_C1 = length_C[:, None]
    centre_CS = sum_CS / length_C1
    variance_CS = np.maximum(square_CS - sum_CS * centre_CS, 0.0) / (length_C1 - 1.0)
    deviation_CS = np.sqrt(variance_CS)
    ratio_CS = np.zeros_like(sum_CS)
    np.divide(centre_CS + mean_S, deviation_CS, out=ratio_CS, where=deviation_CS > NOISE)
    return ratio_CS


def _judge_best(inside_CS: Float, outside_CS: Float) -> tuple[Float, Float]:
    """Return the relative rank and the ratio out of sample of the best in sample; ties share the middle rank."""
    rows: npt.NDArray[np.int64] = np.arange(len(inside_CS))
    judged_C = outside_CS[rows, np.argmax(inside_CS, axis=1)]
    below_C = np.sum(outside_CS < judged_C[:, None], axis=1)
    equal_C = np.sum(outside_CS == judged_C[:, None], axis=1)
    return (below_C + 0.5 * (equal_C + 1.0)) / (inside_CS.shape[1] + 1.0), judged_C
