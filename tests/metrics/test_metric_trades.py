"""Trade statistics on a hand-computed list, and activity figures."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from tradewright.metrics import activity, trades

PNL = np.array([100.0, -50.0, -30.0, 0.0, 20.0, 10.0, -5.0])
NONE = np.zeros(0)


@dataclass(frozen=True)
class Round:
    exit_ts: np.datetime64 | None
    pnl: float
    holding_bars: int = 1


@dataclass(frozen=True)
class Order:
    bar: int
    quantity: float
    price: float
    symbol: str = "A"


@pytest.mark.row("L37")
@pytest.mark.row("L40")
@pytest.mark.row("B33")
def test_hand_computed_trades_give_every_figure() -> None:
    assert trades.num_wins(PNL) == 3
    assert trades.num_losses(PNL) == 4
    assert trades.win_rate(PNL) == pytest.approx(3 / 7)
    assert trades.average_win(PNL) == pytest.approx(130 / 3)
    assert trades.average_loss(PNL) == pytest.approx(-85 / 4)
    assert trades.payoff_ratio(PNL) == pytest.approx((130 / 3) / (85 / 4))
    assert trades.profit_factor(PNL) == pytest.approx(130 / 85)
    assert trades.expectancy(PNL) == pytest.approx(45 / 7)
    assert trades.largest_win(PNL) == 100
    assert trades.largest_loss(PNL) == -50
    assert trades.max_consecutive_wins(PNL) == 2
    assert trades.max_consecutive_losses(PNL) == 3  # the break-even trade is not a win


@pytest.mark.row("L37")
def test_without_trades_counts_are_zero_and_ratios_undefined() -> None:
    assert trades.num_wins(NONE) == trades.num_losses(NONE) == 0
    assert trades.max_consecutive_wins(NONE) == trades.max_consecutive_losses(NONE) == 0
    for figure in (
        trades.win_rate,
        trades.average_win,
        trades.average_loss,
        trades.payoff_ratio,
        trades.profit_factor,
        trades.expectancy,
        trades.largest_win,
        trades.largest_loss,
    ):
        assert math.isnan(figure(NONE)), figure.__name__
    assert math.isnan(trades.average_holding_bars([Round(None, 1.0)]))


@pytest.mark.row("L37")
@pytest.mark.parametrize("pnl", [np.array([5.0, 3.0]), np.array([5.0, 0.0])])
def test_without_money_lost_profit_factor_and_payoff_are_undefined(pnl: np.ndarray) -> None:
    assert math.isnan(trades.profit_factor(pnl))
    assert math.isnan(trades.payoff_ratio(pnl))


def test_open_trades_are_counted_apart_and_exits_are_ordered() -> None:
    day = np.datetime64("2020-01-01", "D")
    rounds = [Round(day + 3, 1.0, 4), Round(None, 99.0, 50), Round(day + 1, -2.0, 2)]
    assert trades.closed_pnl(rounds).tolist() == [-2.0, 1.0]
    assert trades.num_open_trades(rounds) == 1
    assert trades.average_holding_bars(rounds) == 3.0


@pytest.mark.row("L39")
@pytest.mark.parametrize("seed", range(5))
def test_wins_and_losses_add_up_to_trades(seed: int) -> None:
    pnl = np.random.default_rng(seed).integers(-2, 3, 50).astype(np.float64)
    assert trades.num_wins(pnl) + trades.num_losses(pnl) == len(pnl)
    assert trades.expectancy(pnl) * len(pnl) == pytest.approx(pnl.sum())


def test_turnover_of_one_switch_into_and_out_of_the_market_is_two() -> None:
    equity = np.array([100.0, 110.0, 120.0, 130.0])
    orders = [Order(1, 10.0, 10.0), Order(2, 0.0, 11.0), Order(3, -10.0, 12.0)]
    assert activity.turnover(orders, equity, 1.0) == pytest.approx(100 / 100 + 120 / 120)
    assert activity.turnover(orders, equity, 0.5) == pytest.approx(4.0)
    assert activity.turnover(orders, equity, 1.0, {"A": 50.0}) == pytest.approx(100.0)
    assert activity.num_fills(orders) == 2
    assert activity.num_rejections(orders) == 1


def test_turnover_without_time_or_equity_is_undefined() -> None:
    assert math.isnan(activity.turnover([], np.array([1.0]), 0.0))
    assert math.isnan(activity.turnover([Order(1, 1.0, 1.0)], np.array([0.0, 0.0]), 1.0))
    assert activity.turnover([], np.array([1.0, 2.0]), 1.0) == 0.0


def test_exposure_is_the_mean_gross_weight() -> None:
    weights = np.array([[0.0, 0.0], [0.5, -1.0], [1.0, 0.0], [0.0, 0.0]])
    assert activity.exposure(weights) == pytest.approx(2.5 / 4)
    assert activity.time_in_market(weights) == 0.5
    assert math.isnan(activity.exposure(np.zeros((0, 2))))
    assert math.isnan(activity.time_in_market(np.zeros((0, 2))))
