"""The trades of ``long_flat.py`` one after another, in plain Python that ``numba`` compiles to the same bits.

Only numbers, arrays and loops, so that one source serves both; without ``numba`` nothing uses it but the tests.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

from tradewright.errors import ConfigError


def walk_trades(
    entry_K: Any,
    exit_K: Any,
    bounds: Any,
    start_cash: float,
    buy_T: Any,
    sell_T1: Any,
    close_T: Any,
    marked_n1: Any,
    interval_T1: Any,
    sums_3n1: Any,
    target: float,
    high: Any,
    low: Any,
    fall: Any,
    level: Any,
    out_7b: Any,
) -> None:
    """Fill ``out_7b`` with final equity, the three sums, the worst fall, closed trades and wins of every account.

    Args:
        entry_K, exit_K, bounds: ``signal_trades.Trades``.
        start_cash, buy_T, sell_T1, close_T, marked_n1, interval_T1, sums_3n1, target: ``long_flat.Tables``.
        high, low, fall, level: ``segments.Segments``.
        out_7b: ``[7, b]``, written.
    """
    num, num_returns = len(close_T), len(marked_n1) - 1
    neutral = min(0.0 - target, 0.0) * min(0.0 - target, 0.0)
    for row in range(len(bounds) - 1):
        cash = peak = start_cash
        first_sum = square_sum = short_sum = wins = closed = 0.0
        worst = 1.0
        marked, interval = cash, 0  # equity at the mark before, and number, of the return that trades have touched
        for k in range(bounds[row], bounds[row + 1]):
            bought, sold = entry_K[k], exit_K[k]
            begin, end = interval_T1[bought], interval_T1[sold]
            if begin != interval:
                if interval > 0:
                    change = cash / marked - 1.0
                    below = min(change - target, 0.0)
                    first_sum += change
                    square_sum += change * change
                    short_sum += below * below - neutral
                marked, interval = cash, begin
            shares = cash / buy_T[bought]
            if end != interval:
                change = shares * marked_n1[interval] / marked - 1.0
                below = min(change - target, 0.0)
                first_sum += change + (sums_3n1[0, end - 1] - sums_3n1[0, interval])
                square_sum += change * change + (sums_3n1[1, end - 1] - sums_3n1[1, interval])
                short_sum += below * below - neutral + (sums_3n1[2, end - 1] - sums_3n1[2, interval])
                marked, interval = shares * marked_n1[end - 1], (end if end <= num_returns else 0)
            after = shares * sell_T1[sold]
            left = level[bought ^ (sold - 1)] + bought
            right = level[bought ^ (sold - 1)] + sold - 1
            worst = min(worst, fall[left], fall[right], low[right] / high[left])
            worst = min(worst, min(low[left], low[right]) * shares / peak)
            peak = max(peak, max(high[left], high[right]) * shares)
            worst = min(worst, after / peak)
            peak = max(peak, after)
            if sold < num:
                closed += 1.0
                if sell_T1[sold] > buy_T[bought]:
                    wins += 1.0
            cash = after
        if interval > 0:
            change = cash / marked - 1.0
            below = min(change - target, 0.0)
            first_sum += change
            square_sum += change * change
            short_sum += below * below - neutral
        out_7b[0, row], out_7b[1, row], out_7b[2, row], out_7b[3, row] = cash, first_sum, square_sum, short_sum
        out_7b[4, row], out_7b[5, row], out_7b[6, row] = worst, closed, wins


@cache
def compile_walk() -> Callable[..., None]:
    """Return ``walk_trades`` compiled by ``numba``, once per process (about a second).

    Raises:
        ConfigError: ``numba`` is not installed.
    """
    try:
        from numba import njit
    except ImportError:
        raise ConfigError("compiled=True needs numba: pip install 'tradewright[numba]', or leave it out") from None
    return njit(error_model="numpy")(walk_trades)
