"""``summarise``: every figure of one backtest as a flat dictionary, with the conventions of design §5.

Keys carry no prefix (``sharpe``); a run puts ``test/``, ``validation/`` or ``baseline/<name>/`` before them.
``figures.py`` says what each key means, in which unit and which direction is better.
"""

import math
from collections.abc import Mapping

import numpy as np

from tradewright.metrics import activity, calendar, drawdown, ratios, relative, returns, tails, trades
from tradewright.metrics.history import Float, History

KINDS = ("fees", "slippage", "borrow", "funding", "dividends", "interest")
"""Kinds of cost, in money; what was received is negative."""


def summarise(
    result: History,
    benchmark: History | None = None,
    risk_free: float = 0.0,
    *,
    multipliers: Mapping[str, float] | None = None,
) -> dict[str, float]:
    """Return every figure of ``result``.

    Args:
        result: The account's history over one range.
        benchmark: An account over the same bars (buy-and-hold), for alpha, beta and the like; without one they are NaN.
        risk_free: Annual fraction.
        multipliers: Money per price unit and contract by symbol, for turnover; a symbol that is absent has 1.

    Returns:
        The same keys for every result; what is undefined is NaN, never 0 or inf. A kind of cost that ``result.costs``
        lacks was not charged: 0.

    Raises:
        ValueError: ``benchmark`` does not cover the same bars.
    """
    marks, periods = calendar.annualised_marks(result.ts_T, result.timeframe_s, result.periods_per_year)
    returns_n = returns.simple_returns(result.equity_T[marks])
    benchmark_n = _benchmark_returns(result, benchmark, marks)
    years = len(returns_n) / periods
    return {
        **_growth(result, returns_n, periods, risk_free),
        **_drawdown(result),
        **_against(returns_n, benchmark_n, periods, risk_free),
        **_trades(result),
        "exposure": activity.exposure(result.weights_TN),
        "time_in_market": activity.time_in_market(result.weights_TN),
        "turnover": activity.turnover(result.fills, result.equity_T, years, multipliers),
        "num_fills": activity.num_fills(result.fills),
        "num_rejections": activity.num_rejections(result.fills),
        **{f"total_{kind}": float(result.costs.get(kind, 0.0)) for kind in KINDS},
        "final_equity": float(result.equity_T[-1]) if len(result.equity_T) else math.nan,
        "bankrupt": float(result.ended_at is not None),
        "num_bars": float(len(result.equity_T)),
    }


def _benchmark_returns(result: History, benchmark: History | None, marks: np.ndarray) -> Float | None:
    if benchmark is None:
        return None
    if not np.array_equal(result.ts_T, benchmark.ts_T):
        raise ValueError(
            f"benchmark must cover the same {len(result.ts_T)} bars as the result, covered {len(benchmark.ts_T)} bars"
            f"{'' if len(result.ts_T) != len(benchmark.ts_T) else ' at other times'}"
        )
    return returns.simple_returns(benchmark.equity_T[marks])


def _growth(result: History, returns_n: Float, periods: float, risk_free: float) -> dict[str, float]:
    total = returns.total_return(result.equity_T)
    growth = returns.cagr(total, len(returns_n), periods)
    sharpe = ratios.sharpe(returns_n, periods, risk_free)
    return {
        "total_return": total,
        "cagr": growth,
        "volatility": returns.volatility(returns_n, periods),
        "downside_deviation": returns.downside_deviation(returns_n, periods, risk_free / periods),
        "sharpe": sharpe,
        "sharpe_standard_error": ratios.sharpe_standard_error(sharpe, len(returns_n), periods),
        "sortino": ratios.sortino(returns_n, periods, risk_free),
        "calmar": ratios.calmar(growth, drawdown.max_drawdown(result.equity_T)),
        "var_95": tails.value_at_risk(returns_n),
        "cvar_95": tails.conditional_value_at_risk(returns_n),
        "skew": tails.skewness(returns_n),
        "excess_kurtosis": tails.excess_kurtosis(returns_n),
        "best_day": returns.best_return(returns_n),
        "worst_day": returns.worst_return(returns_n),
        "positive_days": returns.positive_share(returns_n),
    }


def _drawdown(result: History) -> dict[str, float]:
    return {
        "max_drawdown": drawdown.max_drawdown(result.equity_T),
        "max_drawdown_bars": drawdown.longest_drawdown_bars(result.equity_T),
        "max_drawdown_days": drawdown.longest_drawdown_days(result.ts_T, result.equity_T),
        "drawdown_ongoing": drawdown.is_under_water(result.equity_T),
    }


def _against(returns_n: Float, benchmark_n: Float | None, periods: float, risk_free: float) -> dict[str, float]:
    if benchmark_n is None:
        return dict.fromkeys(("alpha", "beta", "correlation", "tracking_error", "information_ratio"), math.nan)
    return {
        "alpha": relative.alpha(returns_n, benchmark_n, periods, risk_free),
        "beta": relative.beta(returns_n, benchmark_n),
        "correlation": relative.correlation(returns_n, benchmark_n),
        "tracking_error": relative.tracking_error(returns_n, benchmark_n, periods),
        "information_ratio": relative.information_ratio(returns_n, benchmark_n, periods),
    }


def _trades(result: History) -> dict[str, float]:
    pnl_K = trades.closed_pnl(result.trades)
    return {
        "num_trades": float(len(pnl_K)),
        "num_open_trades": trades.num_open_trades(result.trades),
        "num_wins": trades.num_wins(pnl_K),
        "num_losses": trades.num_losses(pnl_K),
        "win_rate": trades.win_rate(pnl_K),
        "average_win": trades.average_win(pnl_K),
        "average_loss": trades.average_loss(pnl_K),
        "payoff_ratio": trades.payoff_ratio(pnl_K),
        "profit_factor": trades.profit_factor(pnl_K),
        "expectancy": trades.expectancy(pnl_K),
        "largest_win": trades.largest_win(pnl_K),
        "largest_loss": trades.largest_loss(pnl_K),
        "max_consecutive_wins": trades.max_consecutive_wins(pnl_K),
        "max_consecutive_losses": trades.max_consecutive_losses(pnl_K),
        "average_holding_bars": trades.average_holding_bars(result.trades),
    }
