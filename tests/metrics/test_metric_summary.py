"""``summarise`` as a whole: stable keys, intraday resampling, bankruptcy, and how figures are shown."""

import dataclasses
import math

import numpy as np
import pytest

from tradewright.backtest.result import BacktestResult, Fill, Trade
from tradewright.metrics.figures import DASH, FIGURES, describe, show
from tradewright.metrics.summary import summarise


def account(equity: np.ndarray, ts: np.ndarray | None = None, **changes: object) -> BacktestResult:
    days = np.busday_offset("2020-01-01", np.arange(len(equity)), roll="forward").astype("datetime64[us]")
    result = BacktestResult(
        name="x",
        ts_T=days if ts is None else ts,
        timeframe_s=86_400,
        periods_per_year=252.0,
        symbols=("A",),
        initial_cash=float(equity[0]) if len(equity) else 1.0,
        equity_T=np.asarray(equity, dtype=np.float64),
        weights_TN=np.ones((len(equity), 1)),
        cash_T=np.zeros(len(equity)),
        fills=(),
        trades=(),
        costs={"fees": 3.0, "slippage": 2.0, "borrow": 1.0, "interest": -0.5},
    )
    return dataclasses.replace(result, **changes)


def random_walk(length: int = 300, seed: int = 0) -> np.ndarray:
    return 1000 * np.exp(np.concatenate(([0.0], np.cumsum(np.random.default_rng(seed).normal(0, 0.01, length - 1)))))


def test_every_figure_is_in_the_catalogue_and_the_other_way_round() -> None:
    assert set(summarise(account(random_walk()))) == set(FIGURES)


@pytest.mark.parametrize("length", [0, 1, 2, 3])
def test_short_history_has_the_same_keys_and_no_infinite_value(length: int) -> None:
    figures = summarise(account(random_walk(5)[:length]))
    assert set(figures) == set(FIGURES)
    assert not any(math.isinf(value) for value in figures.values())


def test_without_benchmark_relative_figures_are_undefined() -> None:
    figures = summarise(account(random_walk()))
    assert all(
        math.isnan(figures[key]) for key in ("alpha", "beta", "correlation", "tracking_error", "information_ratio")
    )


def test_benchmark_over_other_bars_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^benchmark must cover the same 300 bars as the result, covered 200 bars$"):
        summarise(account(random_walk(300)), account(random_walk(200)))
    shifted = account(random_walk(300)).ts_T + np.timedelta64(1, "D")
    with pytest.raises(ValueError, match=r"at other times$"):
        summarise(account(random_walk(300)), account(random_walk(300), shifted))


def test_bankrupt_account_has_undefined_ratios_and_defined_losses() -> None:
    equity = np.concatenate((random_walk(50), np.full(50, -200.0)))
    fill = Fill(
        bar=50,
        ts=np.datetime64("2020-03-01", "us"),
        symbol="A",
        quantity=-1.0,
        price=1.0,
        fee=0.0,
        slippage=0.0,
        reason="bankrupt",
    )
    figures = summarise(account(equity, fills=(fill,), ended_at=50), account(random_walk(100)))
    assert figures["bankrupt"] == 1.0
    assert figures["total_return"] == pytest.approx(-1.2)
    assert figures["max_drawdown"] > 1.0
    assert figures["drawdown_ongoing"] == 1.0
    assert figures["final_equity"] == -200.0
    undefined = (
        "cagr",
        "volatility",
        "sharpe",
        "sortino",
        "calmar",
        "var_95",
        "cvar_95",
        "skew",
        "best_day",
        "alpha",
        "beta",
    )
    assert {key for key in undefined if not math.isnan(figures[key])} == set()


def test_constant_equity_has_undefined_ratios_and_zero_growth() -> None:
    figures = summarise(account(np.full(100, 500.0)))
    assert figures["total_return"] == figures["cagr"] == figures["volatility"] == figures["max_drawdown"] == 0.0
    assert all(
        math.isnan(figures[key]) for key in ("sharpe", "sortino", "calmar", "skew", "excess_kurtosis", "win_rate")
    )


def test_intraday_equity_gives_the_daily_figures_of_its_day_ends() -> None:
    daily = random_walk(60, seed=3)
    days = np.busday_offset("2020-01-01", np.arange(59), roll="forward").astype("datetime64[us]")
    opens = np.timedelta64(570, "m") + np.arange(4) * np.timedelta64(1, "m")
    ts = (days[:, None] + opens).ravel()
    ends = daily[1:]
    inside = np.repeat(ends, 4).reshape(-1, 4) * np.array([0.99, 1.01, 0.995, 1.0])
    equity = inside.ravel()
    equity[0] = daily[0]
    intraday = summarise(account(equity, ts, timeframe_s=60, weights_TN=np.ones((len(equity), 1))))
    want = summarise(account(daily))
    same = (
        "total_return",
        "cagr",
        "volatility",
        "sharpe",
        "sortino",
        "var_95",
        "cvar_95",
        "skew",
        "best_day",
        "worst_day",
    )
    assert {key: intraday[key] for key in same} == pytest.approx({key: want[key] for key in same}, rel=1e-12)
    assert intraday["max_drawdown"] >= want["max_drawdown"]


def test_scaling_the_account_scales_only_money() -> None:
    equity = random_walk()
    trade = Trade(
        symbol="A",
        side="long",
        quantity=1.0,
        entry_bar=1,
        entry_ts=np.datetime64("2020-01-02", "us"),
        entry_price=10.0,
        exit_bar=5,
        exit_ts=np.datetime64("2020-01-09", "us"),
        exit_price=12.0,
        pnl=2.0,
        costs=0.1,
        return_fraction=0.2,
        holding_bars=4,
        exit_reason="order",
    )
    one = summarise(account(equity, trades=(trade,)))
    two = summarise(account(equity * 4, trades=(dataclasses.replace(trade, pnl=8.0, quantity=4.0),)))
    for key, value in one.items():
        factor = 4.0 if describe(key).unit == "money" and not key.startswith("total_") else 1.0
        assert two[key] == pytest.approx(factor * value, nan_ok=True), key


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("sharpe", 0.34421, "0.344"),
        ("test/cagr", -0.0567, "-5.67%"),
        ("baseline/buy_and_hold/total_fees", 1234.5, "1,234.50"),
        ("num_trades", 1234.0, "1,234"),
        ("max_drawdown_days", 41.5, "42"),
        ("bankrupt", 1.0, "yes"),
        ("bankrupt", 0.0, "no"),
        ("sharpe", -0.0001, "0.000"),
        ("alpha", -1e-17, "0.00%"),
        ("sharpe", math.nan, DASH),
        ("profit_factor", math.inf, DASH),
        ("test/accuracy_of_something", 0.5, "0.500"),
        ("payoff_ratio", 2.5e7, "2.5e+07"),
        ("test/num_generated", 50.0, "50"),
        ("test/recall_buy", 0.25, "25.00%"),
        ("test/tokens_per_decision", 6.25, "6.250"),
        ("train/drafts_kept_share", 0.482, "48.20%"),
        ("train/drafts_untrue", 150.0, "150"),
    ],
)
def test_figures_are_shown_in_their_unit(key: str, value: float, text: str) -> None:
    assert show(key, value) == text


def test_unknown_figure_is_named_by_its_key() -> None:
    assert describe("test/token_accuracy").label == "token accuracy"
    assert describe("test/token_accuracy").better == 0


def test_recalls_are_named_by_their_label() -> None:
    assert describe("test/recall_hold").label == "Recall of HOLD"
