"""The semantics of one bar, figure by figure: order of events, sizes, prices, reasons. Numbers are worked by hand."""

import numpy as np
import pytest
from one_bar import NAN, bar, flat, reason, rules, trade

from tradewright.market.rules import Reason


def test_order_fills_at_the_open_and_is_marked_at_the_close() -> None:
    account = rules(allow_short=False)
    state, outcome = trade(account, flat(account), 0.5, bar(50, 60, 40, 55))
    assert state.shares_BN[0, 0] == 10.0
    assert state.cash_B[0] == 500.0
    assert outcome.equity_B[0] == 500.0 + 10 * 55
    assert outcome.open is not None
    assert outcome.open.price_BN[0, 0] == 50.0
    assert reason(outcome) is Reason.ORDER


def test_nan_weight_is_no_order_and_costs_nothing() -> None:
    account = rules(fee_bps=10)
    state, _ = trade(account, flat(account), 0.5, bar(50, 50, 50, 50))
    after, outcome = trade(account, state, NAN, bar(80, 90, 70, 85))
    assert after.shares_BN[0, 0] == state.shares_BN[0, 0]
    assert after.cash_B[0] == state.cash_B[0]
    assert reason(outcome) is Reason.NONE


def test_all_in_spends_exactly_the_cash() -> None:
    """Size = (cash - fixed) / (price * (1 + fee)), price with slippage."""
    account = rules(fee_bps=10, slippage_bps=5, fixed_fee=2)
    state, outcome = trade(account, flat(account), 1.0, bar(100, 100, 100, 100))
    assert state.shares_BN[0, 0] == pytest.approx((1_000 - 2) / (100 * 1.0005 * 1.001), rel=1e-14)
    assert state.cash_B[0] == pytest.approx(0.0, abs=1e-12)
    assert reason(outcome) is Reason.SCALED_BUYING_POWER


def test_fee_is_charged_on_the_slipped_price() -> None:
    account = rules(fee_bps=100, slippage_bps=200)
    state, outcome = trade(account, flat(account), 0.5, bar(50, 50, 50, 50))
    assert outcome.open is not None
    assert outcome.open.price_BN[0, 0] == 51.0
    assert outcome.open.fee_BN[0, 0] == pytest.approx(10 * 51 * 0.01)
    assert outcome.open.slippage_BN[0, 0] == pytest.approx(10 * 1.0)
    assert state.cash_B[0] == pytest.approx(1_000 - 510 - 5.1)


def test_zero_weight_closes_exactly_to_zero_shares() -> None:
    account = rules(fee_bps=10)
    state, _ = trade(account, flat(account), 0.37, bar(33, 33, 33, 33))
    state, _ = trade(account, state, 0.0, bar(29, 29, 29, 31.7))
    assert state.shares_BN[0, 0] == 0.0
    assert state.entry_BN is not None
    assert state.entry_BN[0, 0] == 0.0


def test_reversal_is_one_fill_with_one_fixed_fee() -> None:
    account = rules(fixed_fee=5)
    state, _ = trade(account, flat(account), 0.5, bar(50, 50, 50, 50))
    state, outcome = trade(account, state, -0.5, bar(50, 50, 50, 50))
    assert outcome.open is not None
    assert outcome.open.fee_BN[0, 0] == 5.0
    assert outcome.open.quantity_BN[0, 0] == pytest.approx(-10 - 0.5 * 995 / 50)
    assert state.entry_BN is not None
    assert state.entry_BN[0, 0] == 50.0


def test_short_gains_when_the_price_falls() -> None:
    account = rules()
    state, outcome = trade(account, flat(account), -1.0, bar(100, 100, 90, 90))
    assert state.shares_BN[0, 0] == -10.0
    assert outcome.equity_B[0] == 1_100.0


def test_short_is_cut_to_flat_when_not_allowed() -> None:
    account = rules(allow_short=False)
    state, _ = trade(account, flat(account), 0.5, bar(50, 50, 50, 50))
    state, outcome = trade(account, state, -0.5, bar(50, 50, 50, 50))
    assert state.shares_BN[0, 0] == 0.0
    assert reason(outcome) is Reason.SHORT_NOT_ALLOWED
    _, outcome = trade(account, state, -0.5, bar(50, 50, 50, 50))
    assert outcome.open is not None
    assert outcome.open.quantity_BN[0, 0] == 0.0
    assert reason(outcome) is Reason.SHORT_NOT_ALLOWED


def test_leverage_cap_scales_ordered_targets_pro_rata() -> None:
    account = rules(leverage=2.0)
    state, outcome = trade(account, flat(account, (10.0, 20.0)), (3.0, -1.0), bar(*[(10.0, 20.0)] * 4))
    np.testing.assert_allclose(state.shares_BN[0], [1_500 / 10, -500 / 20])
    assert reason(outcome, 0) is reason(outcome, 1) is Reason.SCALED_LEVERAGE


def test_positions_without_an_order_count_against_the_cap() -> None:
    account = rules()
    state, _ = trade(account, flat(account, (10.0, 20.0)), (0.6, NAN), bar(*[(10.0, 20.0)] * 4))
    state, outcome = trade(account, state, (NAN, 1.0), bar(*[(10.0, 20.0)] * 4))
    np.testing.assert_allclose(state.shares_BN[0], [60, 20])
    assert reason(outcome, 1) is Reason.SCALED_LEVERAGE


def test_sales_pay_for_purchases_of_the_same_open() -> None:
    account = rules(fee_bps=10)
    state, _ = trade(account, flat(account, (10.0, 20.0)), (1.0, 0.0), bar(*[(10.0, 20.0)] * 4))
    state, _ = trade(account, state, (0.0, 1.0), bar(*[(10.0, 20.0)] * 4))
    assert state.shares_BN[0, 0] == 0.0
    expected = 1_000 / 1.001 * 0.999 / 1.001 / 20
    assert state.shares_BN[0, 1] == pytest.approx(expected, rel=1e-13)


def test_purchases_are_scaled_alike_to_the_cash() -> None:
    """Both want half; fees of 1 % leave 1000 / 1.01 for both together."""
    account = rules(fee_bps=100)
    state, outcome = trade(account, flat(account, (10.0, 20.0)), (0.5, 0.5), bar(*[(10.0, 20.0)] * 4))
    np.testing.assert_allclose(state.shares_BN[0] * [10, 20], 500 / 1.01)
    assert reason(outcome, 0) is reason(outcome, 1) is Reason.SCALED_BUYING_POWER


def test_opening_shorts_come_before_longs() -> None:
    """With 10 % fees the short is filled in full and the long takes what buying power is left."""
    account = rules(fee_bps=1_000)
    state, outcome = trade(account, flat(account, (10.0, 20.0)), (0.5, -0.5), bar(*[(10.0, 20.0)] * 4))
    assert state.shares_BN[0, 1] == -25.0
    room = (1_000 - 50) - 500
    assert state.shares_BN[0, 0] == pytest.approx(room / 1.1 / 10)
    assert reason(outcome, 1) is Reason.ORDER
    assert reason(outcome, 0) is Reason.SCALED_BUYING_POWER


def test_nothing_left_is_rejected() -> None:
    account = rules(fixed_fee=2_000)
    state, outcome = trade(account, flat(account), 0.5, bar(50, 50, 50, 50))
    assert state.cash_B[0] == 1_000.0
    assert reason(outcome) is Reason.NO_BUYING_POWER


@pytest.mark.parametrize(("weight", "shares"), [(0.5, 3.0), (0.3, 2.0), (0.3 * (1 - 1e-10), 2.0), (-0.5, -3.0)])
def test_quantity_is_cut_toward_zero_to_lots(weight: float, shares: float) -> None:
    account = rules()
    state, _ = trade(account, flat(account), weight, bar(150, 150, 150, 150), lot_N=[1.0])
    assert state.shares_BN[0, 0] == shares


def test_less_than_one_lot_is_rejected() -> None:
    account = rules()
    state, outcome = trade(account, flat(account), 0.1, bar(150, 150, 150, 150), lot_N=[1.0])
    assert state.shares_BN[0, 0] == 0.0
    assert reason(outcome) is Reason.BELOW_LOT


def test_odd_remainder_of_a_lot_is_closed_whole() -> None:
    account = rules()
    state, _ = trade(account, flat(account), 0.5, bar(50, 50, 50, 50), lot_N=[1.0])
    state, _ = trade(account, state, NAN, bar(40, 40, 40, 40, split_BN=np.array([0.25])), lot_N=[1.0])
    assert state.shares_BN[0, 0] == 2.5
    state, _ = trade(account, state, 0.0, bar(200, 200, 200, 200), lot_N=[1.0])
    assert state.shares_BN[0, 0] == 0.0


def test_multiplier_scales_money_not_quantity() -> None:
    account = rules(initial_cash=1_000_000.0)
    state, outcome = trade(account, flat(account, 4_000.0), 0.5, bar(4_000, 4_010, 3_990, 4_010), multiplier_N=[50.0])
    assert state.shares_BN[0, 0] == 2.5
    assert outcome.equity_B[0] == 1_000_000 + 2.5 * 10 * 50


def test_rounding_noise_is_no_order() -> None:
    account = rules(fixed_fee=1)
    state, _ = trade(account, flat(account), 0.5, bar(50, 50, 50, 50))
    held = state.shares_BN[0, 0] * 50 / state.cash_B[0]
    weight = held / (1 + held) * (1 + 1e-12)
    after, outcome = trade(account, state, weight, bar(50, 50, 50, 50))
    assert after.cash_B[0] == state.cash_B[0]
    assert reason(outcome) is Reason.NONE


def test_order_without_a_bar_is_rejected_and_marked_at_the_last_close() -> None:
    account = rules()
    state, _ = trade(account, flat(account), 0.5, bar(50, 50, 50, 60))
    missing = bar(NAN, NAN, NAN, NAN, tradable_BN=np.array([False]))
    after, outcome = trade(account, state, 0.0, missing)
    assert after.shares_BN[0, 0] == 10.0
    assert outcome.equity_B[0] == 500 + 10 * 60
    assert reason(outcome) is Reason.NO_BAR


def test_borrow_and_interest_are_charged_for_elapsed_time_at_the_previous_mark() -> None:
    account = rules(borrow_rate=0.10, cash_rate=0.05)
    state, _ = trade(account, flat(account), -0.5, bar(50, 50, 50, 60))
    after, outcome = trade(account, state, NAN, bar(70, 70, 70, 70, years_B=3 / 365))
    borrow, interest = 10 * 60 * 0.10 * 3 / 365, 1_500 * 0.05 * 3 / 365
    assert outcome.borrow_B[0] == pytest.approx(borrow)
    assert outcome.interest_B[0] == pytest.approx(interest)
    assert after.cash_B[0] == pytest.approx(1_500 + interest - borrow)


def test_split_changes_nothing_in_money() -> None:
    account = rules(stop_loss=0.5)
    state, _ = trade(account, flat(account), 0.5, bar(50, 50, 50, 50))
    after, outcome = trade(account, state, NAN, bar(25, 25, 25, 25, split_BN=np.array([2.0])))
    assert outcome.equity_B[0] == 1_000.0
    assert after.shares_BN[0, 0] == 20.0
    assert after.entry_BN is not None
    assert after.entry_BN[0, 0] == 25.0


def test_dividend_goes_to_holders_and_is_paid_by_shorts() -> None:
    account = rules()
    for weight, money in ((0.5, 20.0), (-0.5, -20.0)):
        state, _ = trade(account, flat(account), weight, bar(50, 50, 50, 50))
        _, outcome = trade(account, state, NAN, bar(50, 50, 50, 50, dividend_BN=np.array([2.0])))
        assert outcome.dividend_B[0] == money
        assert outcome.equity_B[0] == 1_000 + money


def test_decision_sizing_uses_the_close_before_and_fills_at_the_open() -> None:
    account = rules(sizing="decision", cash_buffer=0.1)
    state, _ = trade(account, flat(account, 80.0), 0.5, bar(60, 60, 60, 60))
    assert state.shares_BN[0, 0] == 0.5 * 900 / 80
    assert state.cash_B[0] == 1_000 - 0.5 * 900 / 80 * 60


def test_maintenance_breach_liquidates_at_the_next_open() -> None:
    account = rules(leverage=4.0, maintenance_margin=0.25, fee_bps=10)
    state, _ = trade(account, flat(account), 3.5, bar(100, 100, 90, 90))
    assert bool(state.margin_call_B[0])
    state, outcome = trade(account, state, 1.0, bar(95, 95, 95, 95))
    assert state.shares_BN[0, 0] == 0.0
    assert not bool(state.margin_call_B[0])
    assert reason(outcome) is Reason.MARGIN_CALL
    assert outcome.equity_B[0] == pytest.approx(1_000 - 35 * 5 - 3_500 * 0.001 - 35 * 95 * 0.001)


def test_gap_below_zero_is_booked_as_it_is_and_ends_the_account() -> None:
    account = rules(cash_rate=0.05)
    state, _ = trade(account, flat(account), -1.0, bar(100, 100, 100, 100))
    state, outcome = trade(account, state, 0.5, bar(300, 300, 300, 300))
    assert outcome.equity_B[0] == -1_000.0
    assert reason(outcome) is Reason.BANKRUPT
    assert bool(state.ended_B[0])
    for weight, why in ((1.0, Reason.ACCOUNT_ENDED), (NAN, Reason.NONE)):
        state, outcome = trade(account, state, weight, bar(100, 100, 100, 100, years_B=1.0))
        assert outcome.equity_B[0] == -1_000.0
        assert reason(outcome) is why


def test_bankruptcy_at_the_close_liquidates_at_the_close() -> None:
    account = rules(slippage_bps=100)
    state, _ = trade(account, flat(account), -0.9, bar(100, 100, 100, 100))
    shares, cash = state.shares_BN[0, 0], state.cash_B[0]
    state, outcome = trade(account, state, NAN, bar(100, 260, 100, 250))
    assert outcome.close is not None
    assert reason(outcome, phase="close") is Reason.BANKRUPT
    assert outcome.close.price_BN[0, 0] == pytest.approx(250 * 1.01)
    assert outcome.equity_B[0] == pytest.approx(cash + shares * 250 * 1.01)
    assert outcome.equity_B[0] == state.cash_B[0] < 0


def test_liquidation_waits_for_the_next_bar_of_an_instrument() -> None:
    account = rules(leverage=4.0)
    prices = (100.0, 100.0)
    state, _ = trade(account, flat(account, prices), (1.9, 1.9), bar(prices, prices, prices, (90.0, 90.0)))
    assert bool(state.margin_call_B[0])
    half = bar((90.0, NAN), (90.0, NAN), (90.0, NAN), (90.0, NAN), tradable_BN=np.array([True, False]))
    state, outcome = trade(account, state, (NAN, NAN), half)
    np.testing.assert_array_equal(state.shares_BN[0], [0.0, 19.0])
    assert bool(state.margin_call_B[0])
    state, outcome = trade(account, state, (0.5, NAN), bar(*[(90.0, 95.0)] * 4))
    np.testing.assert_array_equal(state.shares_BN[0], [0.0, 0.0])
    assert reason(outcome, 0) is reason(outcome, 1) is Reason.MARGIN_CALL
    assert not bool(state.margin_call_B[0])
    assert outcome.equity_B[0] == 1_000 - 19 * 10 - 19 * 5
