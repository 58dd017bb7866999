"""Ticks, market impact, capacity and least notional: how orders are priced and cut. Numbers are worked by hand."""

import numpy as np
import pytest
from one_bar import NAN, bar, flat, reason, rules, trade

from tradewright.errors import MarketError
from tradewright.market.rules import Reason

STEADY = (100, 100, 100, 100)


@pytest.mark.parametrize(
    ("weight", "open_", "price"),
    [
        (0.5, 100.0, 100.0),
        (0.5, 100.01, 100.25),
        (-0.5, 100.24, 100.0),
        (-0.5, 100.0, 100.0),
        (0.5, 100.25 + 1e-9, 100.25),
        (-0.5, 100.25 - 1e-9, 100.25),
    ],
)
def test_fills_round_to_the_worse_tick(weight: float, open_: float, price: float) -> None:
    account = rules()
    _, outcome = trade(account, flat(account), weight, bar(open_, 110, 90, 100), tick_N=[0.25])
    assert outcome.open is not None
    assert outcome.open.price_BN[0, 0] == price


@pytest.mark.parametrize(("weight", "price"), [(0.5, 100.75), (-0.5, 99.25)])
def test_slippage_in_ticks_comes_on_top_of_basis_points_before_rounding(weight: float, price: float) -> None:
    """100 * (1 ± 0.001) = 100.10, two ticks 0.50: 100.60, rounded up to 100.75; sells mirrored."""
    account = rules(slippage_bps=10, slippage_ticks=2)
    state, outcome = trade(account, flat(account), weight, bar(*STEADY), tick_N=[0.25])
    assert outcome.open is not None
    assert outcome.open.price_BN[0, 0] == price
    shares = state.shares_BN[0, 0]
    assert abs(shares) == 5.0
    assert outcome.open.slippage_BN[0, 0] == pytest.approx(5 * 0.75)
    assert state.cash_B[0] == pytest.approx(1_000 - shares * price)


def test_instruments_without_a_tick_are_not_rounded() -> None:
    account = rules(slippage_bps=10)
    _, outcome = trade(account, flat(account, (100.0, 100.0)), (0.3, 0.3), bar(*[(100.0, 100.0)] * 4), tick_N=[0, 0.25])
    assert outcome.open is not None
    np.testing.assert_allclose(outcome.open.price_BN[0], [100.1, 100.25])


@pytest.mark.parametrize(
    ("weight", "ohlc", "price", "why"),
    [
        (0.5, (100, 100, 94, 95), 94.75, Reason.STOP_LOSS),
        (0.5, (100, 112, 100, 110), 110.25, Reason.TAKE_PROFIT),
        (-0.5, (100, 106, 100, 105), 105.0, Reason.STOP_LOSS),
        (-0.5, (100, 100, 89, 90), 90.0, Reason.TAKE_PROFIT),
    ],
)
def test_stops_slip_by_ticks_and_targets_only_round(
    weight: float, ohlc: tuple[float, ...], price: float, why: Reason
) -> None:
    """Long entry 100.25: stop 95.2375, a tick lower 94.9875, target 110.275; short entry 99.75: 104.9875 and 89.775."""
    account = rules(stop_loss=0.05, take_profit=0.1, slippage_ticks=1)
    state, _ = trade(account, flat(account), weight, bar(*STEADY), tick_N=[0.25])
    _, outcome = trade(account, state, NAN, bar(*ohlc), tick_N=[0.25])
    assert outcome.stop is not None
    assert outcome.stop.reason_BN[0, 0] == why
    assert outcome.stop.price_BN[0, 0] == price


def test_impact_grows_with_the_root_of_the_order() -> None:
    """25 shares with 0.002 per root: 1 % on top of 1 %; price 102."""
    account = rules(initial_cash=10_000.0, slippage_bps=100, fee_bps=100)
    state, outcome = trade(account, flat(account), 0.25, bar(*STEADY, impact_BN=np.array([0.002])))
    assert outcome.open is not None
    assert outcome.open.price_BN[0, 0] == pytest.approx(102.0)
    assert outcome.open.slippage_BN[0, 0] == pytest.approx(50.0)
    assert outcome.open.fee_BN[0, 0] == pytest.approx(25.5)
    assert state.cash_B[0] == pytest.approx(10_000 - 2_550 - 25.5)


def test_buying_power_reckons_with_the_impact_of_the_order_wanted() -> None:
    """All in: 100 shares wanted slip by 10 %, so 1,000 buy 1,000 / 110 shares, which slip less; cash is left."""
    account = rules(initial_cash=10_000.0, allow_short=False)
    state, outcome = trade(account, flat(account), 1.0, bar(*STEADY, impact_BN=np.array([0.01])))
    shares = 10_000 / 110
    assert state.shares_BN[0, 0] == pytest.approx(shares)
    assert outcome.open is not None
    assert outcome.open.price_BN[0, 0] == pytest.approx(100 * (1 + 0.01 * np.sqrt(shares)))
    assert state.cash_B[0] == pytest.approx(10_000 - shares * 100 * (1 + 0.01 * np.sqrt(shares)))
    assert state.cash_B[0] > 0
    assert reason(outcome) is Reason.SCALED_BUYING_POWER


def test_stops_move_the_market_and_targets_do_not() -> None:
    account = rules(initial_cash=10_000.0, stop_loss=0.05, take_profit=0.1)
    state, _ = trade(account, flat(account), 0.25, bar(*STEADY))
    slip = np.array([0.002])
    _, stopped = trade(account, state, NAN, bar(100, 100, 90, 90, impact_BN=slip))
    _, taken = trade(account, state, NAN, bar(100, 120, 100, 120, impact_BN=slip))
    assert stopped.stop is not None
    assert taken.stop is not None
    assert stopped.stop.price_BN[0, 0] == pytest.approx(95 * 0.99)
    assert taken.stop.price_BN[0, 0] == pytest.approx(110.0)


def test_slippage_larger_than_the_price_is_refused() -> None:
    account = rules(slippage_ticks=5)
    with pytest.raises(MarketError, match="slippage of an order was larger than its price"):
        trade(account, flat(account, 1.0), -0.5, bar(1, 1, 1, 1), tick_N=[0.25])


@pytest.mark.parametrize(
    ("start", "weight", "capacity", "shares", "why"),
    [
        (0.0, 0.8, 3.0, 3.0, Reason.SCALED_CAPACITY),
        (0.0, 0.8, 8.0, 8.0, Reason.ORDER),
        (0.0, -0.8, 3.0, -3.0, Reason.SCALED_CAPACITY),
        (0.8, 0.0, 3.0, 5.0, Reason.SCALED_CAPACITY),
        (0.8, -0.8, 10.0, -2.0, Reason.SCALED_CAPACITY),
        (0.0, 0.8, 0.0, 0.0, Reason.SCALED_CAPACITY),
        (0.0, 0.8, np.inf, 8.0, Reason.ORDER),
    ],
)
def test_capacity_caps_what_an_order_moves(
    start: float, weight: float, capacity: float, shares: float, why: Reason
) -> None:
    account = rules()
    state = flat(account)
    if start:
        state, _ = trade(account, state, start, bar(*STEADY))
    state, outcome = trade(account, state, weight, bar(*STEADY, capacity_BN=np.array([capacity])))
    assert state.shares_BN[0, 0] == pytest.approx(shares)
    assert reason(outcome) is why


def test_capacity_below_a_lot_is_rejected_and_stops_are_not_capped() -> None:
    account = rules(stop_loss=0.05)
    cap = np.array([0.5])
    state, outcome = trade(account, flat(account), 0.5, bar(*STEADY, capacity_BN=cap), lot_N=[1.0])
    assert reason(outcome) is Reason.BELOW_LOT
    state, _ = trade(account, state, 0.5, bar(*STEADY), lot_N=[1.0])
    state, outcome = trade(account, state, NAN, bar(100, 100, 90, 90, capacity_BN=cap), lot_N=[1.0])
    assert state.shares_BN[0, 0] == 0.0


@pytest.mark.parametrize(
    ("start", "weight", "shares", "why"),
    [
        (0.0, 0.19, 0.0, Reason.BELOW_MIN_NOTIONAL),
        (0.0, 0.2, 2.0, Reason.ORDER),
        (0.0, -0.19, 0.0, Reason.BELOW_MIN_NOTIONAL),
        (0.5, 0.4, 5.0, Reason.BELOW_MIN_NOTIONAL),
        (0.5, 0.3, 3.0, Reason.ORDER),
        (0.25, 0.1, 2.5, Reason.BELOW_MIN_NOTIONAL),
    ],
)
def test_orders_below_the_least_notional_are_rejected(start: float, weight: float, shares: float, why: Reason) -> None:
    account = rules(min_notional=200.0)
    state = flat(account)
    if start:
        state, _ = trade(account, state, start, bar(*STEADY))
    state, outcome = trade(account, state, weight, bar(*STEADY))
    assert state.shares_BN[0, 0] == pytest.approx(shares)
    assert reason(outcome) is why


def test_full_closings_are_exempt_from_the_least_notional() -> None:
    account = rules(min_notional=200.0)
    state, _ = trade(account, flat(account), 0.25, bar(*STEADY))
    state, outcome = trade(account, state, 0.0, bar(50, 50, 50, 50))
    assert state.shares_BN[0, 0] == 0.0
    assert reason(outcome) is Reason.ORDER


def test_order_scaled_below_the_least_notional_is_rejected() -> None:
    """80 % held in the first; fees of half the notional leave 66 for the second, of 200 wanted."""
    account = rules(min_notional=100.0)
    prices = (100.0, 100.0)
    state, _ = trade(account, flat(account, prices), (0.8, NAN), bar(*[prices] * 4))
    dear = rules(min_notional=100.0, per_share_fee=200.0)
    _, outcome = trade(dear, state, (NAN, 0.2), bar(*[prices] * 4))
    assert reason(outcome, 1) is Reason.BELOW_MIN_NOTIONAL
    assert outcome.equity_B[0] == 1_000.0
    free = rules(min_notional=50.0, per_share_fee=200.0)
    _, outcome = trade(free, state, (NAN, 0.2), bar(*[prices] * 4))
    assert reason(outcome, 1) is Reason.SCALED_BUYING_POWER
