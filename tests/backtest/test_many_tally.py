"""Streaming statistics: they equal those of the whole history, whatever the rules; edge cases by hand.

Legend: B accounts, T bars, N instruments.
"""

import math
from typing import Any

import numpy as np
import pytest
import torch
from many_cases import RISK_FREE, assert_equal, one_by_one, random_backtester, random_market

from market_cases import make_panel, random_weights
from tradewright.backtest.many import score
from tradewright.data.ranges import Range
from tradewright.market.account import Fills, Outcome
from tradewright.market.rules import AccountRules, Costs, Reason
from tradewright.market.tally import Tally, add_bar, choose_tally, figures_of, start_tally

NUM_SEEDS, NUM_MORE_SEEDS = 12, 2_000


def outcome(equity: float, *fills: tuple[float, float, float, float]) -> Outcome:
    """A bar of one account and instrument with fills (quantity, shares after, price, fee) at the open, then a stop."""
    phases = [
        Fills(*(np.array([[value]]) for value in (*fill, 0.0, int(Reason.ORDER)))) for fill in fills
    ]  # fmt: skip
    return Outcome(np.array([equity]), **dict(zip(("open", "stop"), phases, strict=False)))


def tally_of(*bars: Outcome, start: float = 100.0, **options: Any) -> Tally:
    tally = start_tally(np, np.array([start]), 1)
    for bar in bars:
        tally = add_bar(np, tally, bar, **options)
    return tally


def figures(tally: Tally, periods: float = 252.0, risk_free: float = 0.0) -> dict[str, float]:
    return {key: float(value[0]) for key, value in figures_of(np, tally.moments, periods, risk_free).items()}


def compare_with_history(seed: int, modules: tuple[Any, ...]) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    num_bars, num = int(rng.choice([1, 2, 3, 40, 60])), int(rng.choice([1, 2, 3]))
    panel, backtester, rows = random_market(rng, num_bars, num), random_backtester(rng), Range(0, num_bars)
    weights_BTN = np.stack([random_weights(rng, (num_bars, num), 0.7) for _ in range(3)])
    wanted = one_by_one(backtester, panel, rows, weights_BTN)
    for xp in modules:
        chunks = [xp.asarray(weights_BTN[:1]), xp.asarray(weights_BTN[1:])]
        assert_equal(score(panel, rows, backtester.rules, chunks, risk_free=RISK_FREE, xp=xp), wanted)


@pytest.mark.parametrize("seed", range(NUM_SEEDS))
def test_streamed_figures_equal_those_of_the_whole_history(seed: int) -> None:
    compare_with_history(seed, modules=(np, torch))


@pytest.mark.slow
def test_streamed_figures_equal_those_of_the_whole_history_in_many_markets() -> None:
    for seed in range(NUM_SEEDS, NUM_SEEDS + NUM_MORE_SEEDS):
        compare_with_history(seed, modules=(np,))


def test_figures_follow_from_returns_by_their_formulas() -> None:
    equity = np.array([100.0, 102.0, 99.0, 101.0, 101.0])
    rate, periods = 0.05, 12.0
    got = figures(tally_of(*map(outcome, equity[1:]), target=rate / periods), periods, rate)
    returns = np.diff(equity) / equity[:-1]
    excess = returns - rate / periods
    downside = math.sqrt(np.mean(np.minimum(excess, 0.0) ** 2))
    assert got["sharpe"] == pytest.approx(excess.mean() / returns.std(ddof=1) * math.sqrt(12), rel=1e-12)
    assert got["sortino"] == pytest.approx(excess.mean() / downside * math.sqrt(12), rel=1e-12)
    assert got["volatility"] == pytest.approx(returns.std(ddof=1) * math.sqrt(12), rel=1e-12)
    assert got["downside_deviation"] == pytest.approx(downside * math.sqrt(12), rel=1e-12)
    assert got["max_drawdown"] == pytest.approx(3 / 102, rel=1e-12)
    assert got["cagr"] == pytest.approx(1.01 ** (12 / 4) - 1, rel=1e-12)
    assert got["calmar"] == pytest.approx((1.01**3 - 1) / (3 / 102), rel=1e-12)
    assert got["final_equity"] == 101.0
    assert got["total_return"] == pytest.approx(0.01, rel=1e-12)


def test_only_marks_make_returns_while_every_bar_makes_drawdown() -> None:
    tally = start_tally(np, np.array([100.0]), 1)
    for equity, is_mark in ((90.0, False), (110.0, True), (50.0, False), (121.0, True)):
        tally = add_bar(np, tally, outcome(equity), is_mark=is_mark)
    assert tally.moments.num_B[0] == 2
    assert tally.moments.mean_B[0] == pytest.approx(0.1)
    assert tally.moments.drawdown_B[0] == pytest.approx(1 - 50 / 110)


def test_accounts_may_be_marked_at_different_bars() -> None:
    tally = start_tally(np, np.array([100.0, 100.0]), 1)
    bar = Outcome(np.array([110.0, 110.0]))
    tally = add_bar(np, tally, bar, is_mark=np.array([True, False]))
    np.testing.assert_array_equal(tally.moments.num_B, [1.0, 0.0])
    np.testing.assert_array_equal(tally.marked_B, [110.0, 100.0])


@pytest.mark.parametrize(("growth", "key"), [(1.01, "sharpe"), (1.01, "sortino"), (1.0, "calmar"), (1.0, "sharpe")])
def test_growth_without_dispersion_or_loss_leaves_ratios_undefined(growth: float, key: str) -> None:
    bars = [outcome(100.0 * growth**t) for t in range(1, 2_000)]
    assert math.isnan(figures(tally_of(*bars))[key])


def test_figures_without_a_return_are_undefined() -> None:
    got = figures(tally_of())
    assert got["total_return"] == 0.0
    assert got["max_drawdown"] == 0.0
    assert got["num_trades"] == 0.0
    for key in ("cagr", "volatility", "downside_deviation", "sharpe", "sortino", "calmar", "win_rate"):
        assert math.isnan(got[key]), key


def test_debt_leaves_growth_and_later_returns_undefined() -> None:
    got = figures(tally_of(outcome(-50.0), outcome(-50.0)))
    assert got["max_drawdown"] == pytest.approx(1.5)
    for key in ("cagr", "calmar", "sharpe", "sortino", "volatility"):
        assert math.isnan(got[key]), key


def test_total_loss_is_a_growth_of_minus_one() -> None:
    assert figures(tally_of(outcome(0.0)))["cagr"] == -1.0


def test_growth_beyond_a_float_is_undefined() -> None:
    assert math.isnan(figures(tally_of(outcome(1e9)), periods=1e6)["cagr"])


def test_trade_ends_flat_and_wins_after_both_fees() -> None:
    # Bought 1 at 10 for a fee of 1, sold at 11.5 for 1: lost 0.5. Bought 1 at 10, sold at 12.5: won 0.5.
    tally = tally_of(
        outcome(100.0, (1.0, 1.0, 10.0, 1.0)), outcome(100.0, (-1.0, 0.0, 11.5, 1.0)),
        outcome(100.0, (1.0, 1.0, 10.0, 1.0)), outcome(100.0, (-1.0, 0.0, 12.5, 1.0)),
        outcome(100.0, (1.0, 1.0, 10.0, 1.0)),
    )  # fmt: skip
    assert (tally.moments.trades_B[0], tally.moments.wins_B[0]) == (2.0, 1.0)


def test_trade_that_breaks_even_is_no_win() -> None:
    tally = tally_of(outcome(100.0, (3.0, 3.0, 10.0, 0.0)), outcome(100.0, (-3.0, 0.0, 10.0, 0.0)))
    assert (tally.moments.trades_B[0], tally.moments.wins_B[0]) == (1.0, 0.0)


def test_partial_sale_does_not_end_a_trade() -> None:
    tally = tally_of(outcome(100.0, (4.0, 4.0, 10.0, 0.0)), outcome(100.0, (-3.0, 1.0, 12.0, 0.0)))
    assert tally.moments.trades_B[0] == 0.0
    tally = add_bar(np, tally, outcome(100.0, (-1.0, 0.0, 5.0, 0.0)))  # -40 + 36 + 5
    assert (tally.moments.trades_B[0], tally.moments.wins_B[0]) == (1.0, 1.0)


def test_reversal_splits_its_fee_by_quantity() -> None:
    # Long 1 at 10, then sold 4 at 11 for a fee of 4.4: a quarter of it, 1.1, makes the first trade a loss (at 11.2 it
    # is a win). The short of 3 at 11 keeps 3.3: bought back at 9.95 it loses 0.15, at 9.85 it wins.
    entry = outcome(100.0, (1.0, 1.0, 10.0, 0.0))
    assert tally_of(entry, outcome(100.0, (-4.0, -3.0, 11.2, 4.4))).moments.wins_B[0] == 1.0
    tally = tally_of(entry, outcome(100.0, (-4.0, -3.0, 11.0, 4.4)))
    assert (tally.moments.trades_B[0], tally.moments.wins_B[0]) == (1.0, 0.0)
    for price, wins in ((9.95, 0.0), (9.85, 1.0)):
        after = add_bar(np, tally, outcome(100.0, (3.0, 0.0, price, 0.0)))
        assert (after.moments.trades_B[0], after.moments.wins_B[0]) == (2.0, wins)


def test_trade_may_open_and_be_stopped_in_one_bar() -> None:
    tally = tally_of(outcome(100.0, (2.0, 2.0, 10.0, 0.0), (-2.0, 0.0, 9.0, 0.0)))
    assert (tally.moments.trades_B[0], tally.moments.wins_B[0]) == (1.0, 0.0)


def test_holding_costs_belong_to_the_trade() -> None:
    sold = outcome(100.0, (-1.0, 0.0, 10.5, 0.0))
    for carry, wins in ((0.4, 1.0), (0.6, 0.0), (-1.0, 1.0)):
        bars = outcome(100.0, (1.0, 1.0, 10.0, 0.0)), sold._replace(carry_BN=np.array([[carry]]))
        assert tally_of(*bars).moments.wins_B[0] == wins


def test_multiplier_scales_prices_but_not_fees() -> None:
    bars = outcome(100.0, (1.0, 1.0, 10.0, 2.0)), outcome(100.0, (-1.0, 0.0, 11.0, 2.0))
    assert tally_of(*bars).moments.wins_B[0] == 0.0
    assert tally_of(*bars, multiplier_N=np.array([50.0])).moments.wins_B[0] == 1.0


def test_roll_does_not_end_a_trade() -> None:
    leave, join = (outcome(100.0, fill).open for fill in ((-1.0, 0.0, 20.0, 0.0), (1.0, 1.0, 25.0, 0.0)))
    assert leave is not None
    assert join is not None
    reason = np.array([[int(Reason.ROLL)]])
    rolled = Outcome(np.array([100.0]), leave=leave._replace(reason_BN=reason), join=join._replace(reason_BN=reason))
    tally = tally_of(outcome(100.0, (1.0, 1.0, 10.0, 0.0)), rolled)
    assert tally.moments.trades_B[0] == 0.0
    tally = add_bar(np, tally, outcome(100.0, (-1.0, 0.0, 16.0, 0.0)))  # -10 + 20 - 25 + 16: won 1
    assert (tally.moments.trades_B[0], tally.moments.wins_B[0]) == (1.0, 1.0)


@pytest.mark.parametrize("xp", [np, torch])
def test_restarted_accounts_begin_anew(xp: Any) -> None:
    start_B = xp.asarray(np.array([100.0, 100.0]))
    fresh = start_tally(xp, start_B, 1)
    tally = add_bar(xp, fresh, Outcome(xp.asarray(np.array([90.0, 120.0]))))
    chosen = choose_tally(xp, xp.asarray(np.array([True, False])), fresh, tally)
    assert [float(x) for x in chosen.moments.drawdown_B] == [0.0, 0.0]
    assert [float(x) for x in chosen.moments.num_B] == [0.0, 1.0]
    assert [float(x) for x in chosen.peak_B] == [100.0, 120.0]


def test_bankrupt_account_is_scored_like_its_report() -> None:
    panel = make_panel([[100.0], [100.0], [400.0], [100.0]])
    rules = AccountRules(leverage=2.0, costs=Costs())
    weights_BTN = np.array([[[-1.0], [np.nan], [np.nan], [np.nan]]])
    got = score(panel, Range(0, 4), rules, [weights_BTN])
    assert got["final_equity"][0] < 0
    assert math.isnan(got["sharpe"][0])
    assert (got["num_trades"][0], got["num_wins"][0]) == (1.0, 0.0)
