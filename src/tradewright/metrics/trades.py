"""Trade statistics of design §5: a trade runs from flat to flat, a win has net P&L above zero after all fees.

Every function takes the net P&L of *closed* trades, money, in the order of their exits; open trades are kept apart.
A trade that breaks even is not a win and therefore counts as a loss, so wins and losses add up to all trades.
Legend: K closed trades.
"""

import math
from collections.abc import Iterable

import numpy as np

from tradewright.metrics.history import Float, TradeRecord


def closed_pnl(trades: Iterable[TradeRecord]) -> Float:
    """Return the net P&L of the closed trades in the order of their exits (ties keep their given order).

    Args:
        trades: Round trips; open ones (``exit_ts`` None) are left out.

    Returns:
        Money, shape (K,).
    """
    ended = [(trade.exit_ts, trade.pnl) for trade in trades if trade.exit_ts is not None]
    ended.sort(key=lambda item: item[0])
    return np.array([pnl for _, pnl in ended], dtype=np.float64)


def num_open_trades(trades: Iterable[TradeRecord]) -> float:
    """Return the number of trades that had not ended at the last bar."""
    return float(sum(trade.exit_ts is None for trade in trades))


def average_holding_bars(trades: Iterable[TradeRecord]) -> float:
    """Return the mean number of bars between first and last fill of the closed trades; NaN without one."""
    held = [trade.holding_bars for trade in trades if trade.exit_ts is not None]
    return float(np.mean(held)) if held else math.nan


def num_wins(pnl_K: Float) -> float:
    """Return the number of trades with P&L above zero."""
    return float(np.sum(pnl_K > 0))


def num_losses(pnl_K: Float) -> float:
    """Return the number of trades that were not wins."""
    return float(np.sum(~(pnl_K > 0)))


def win_rate(pnl_K: Float) -> float:
    """Return ``wins / trades``, a fraction; NaN without a trade."""
    return float(np.mean(pnl_K > 0)) if len(pnl_K) else math.nan


def average_win(pnl_K: Float) -> float:
    """Return the mean P&L of the wins, money; NaN without one."""
    return _mean(pnl_K[pnl_K > 0])


def average_loss(pnl_K: Float) -> float:
    """Return the mean P&L of the losses, money <= 0; NaN without one."""
    return _mean(pnl_K[~(pnl_K > 0)])


def payoff_ratio(pnl_K: Float) -> float:
    """Return ``average_win / |average_loss|``; NaN without a win, or without money lost."""
    loss = average_loss(pnl_K)
    return average_win(pnl_K) / -loss if loss < 0 else math.nan


def profit_factor(pnl_K: Float) -> float:
    """Return gross profit over gross loss, both in cash; NaN if no money was lost."""
    lost = -float(np.sum(pnl_K[pnl_K < 0]))
    return float(np.sum(pnl_K[pnl_K > 0])) / lost if lost > 0 else math.nan


def expectancy(pnl_K: Float) -> float:
    """Return the mean P&L of a trade, money; NaN without a trade."""
    return _mean(pnl_K)


def largest_win(pnl_K: Float) -> float:
    """Return the largest P&L among the wins, money; NaN without one."""
    wins = pnl_K[pnl_K > 0]
    return float(np.max(wins)) if len(wins) else math.nan


def largest_loss(pnl_K: Float) -> float:
    """Return the smallest P&L among the losses, money <= 0; NaN without one."""
    losses = pnl_K[~(pnl_K > 0)]
    return float(np.min(losses)) if len(losses) else math.nan


def max_consecutive_wins(pnl_K: Float) -> float:
    """Return the length of the longest run of wins, 0 without one."""
    return _longest_run(pnl_K > 0)


def max_consecutive_losses(pnl_K: Float) -> float:
    """Return the length of the longest run of losses, 0 without one."""
    return _longest_run(~(pnl_K > 0))


def _mean(values: Float) -> float:
    return float(np.mean(values)) if len(values) else math.nan


def _longest_run(flags: np.ndarray) -> float:
    padded = np.concatenate(([False], flags, [False]))
    edges = np.flatnonzero(padded[1:] != padded[:-1])
    return float(np.max(edges[1::2] - edges[::2])) if len(edges) else 0.0
