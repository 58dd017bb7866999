"""Published figures of the NASDAQ Composite against the S&P 500, 1999-2018: 5,030 daily returns."""

import numpy as np
import pytest
from arch.data import nasdaq, sp500

from tradewright.metrics import drawdown, ratios, relative, returns, tails

PERIODS = 252.0


@pytest.fixture(scope="module")
def series() -> tuple[np.ndarray, np.ndarray]:
    """Adjusted closes of the two indices on the same days."""
    left, right = nasdaq.load()["Adj Close"], sp500.load()["Adj Close"]
    assert left.index.equals(right.index)
    return left.to_numpy(dtype=np.float64), right.to_numpy(dtype=np.float64)


@pytest.mark.row("L36")
@pytest.mark.row("L38")
@pytest.mark.row("L40")
@pytest.mark.row("B33")
def test_nasdaq_figures_equal_the_published_ones(series: tuple[np.ndarray, np.ndarray]) -> None:
    equity, index = series
    r, b = returns.simple_returns(equity), returns.simple_returns(index)
    growth = returns.cagr(returns.total_return(equity), len(r), PERIODS)
    worst = drawdown.max_drawdown(equity)
    figures = {
        "cagr": growth,
        "volatility": returns.volatility(r, PERIODS),
        "sharpe": ratios.sharpe(r, PERIODS),
        "sortino": ratios.sortino(r, PERIODS),
        "calmar": ratios.calmar(growth, worst),
        "var_95": tails.value_at_risk(r),
        "cvar_95": tails.conditional_value_at_risk(r),
        "alpha": relative.alpha(r, b, PERIODS),
        "information_ratio": relative.information_ratio(r, b, PERIODS),
        "max_drawdown": worst,
    }
    assert len(r) == 5030
    assert {key: round(value, 6) for key, value in figures.items()} == {
        "cagr": 0.056672,
        "volatility": 0.253081,
        "sharpe": 0.344215,
        "sortino": 0.491138,
        "calmar": 0.072719,
        "var_95": -0.026250,
        "cvar_95": -0.037411,
        "alpha": 0.023921,
        "information_ratio": 0.272451,
        "max_drawdown": 0.779324,
    }
