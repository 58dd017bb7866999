"""Stops, targets and trailing stops inside one bar, and what may follow them. Numbers are worked by hand."""

import pytest
from one_bar import NAN, bar, flat, reason, rules, trade

from tradewright.market.rules import Reason


@pytest.mark.parametrize(
    ("name", "ohlc", "price", "why"),
    [
        ("stop inside the bar", (100, 101, 94, 96), 95.0, Reason.STOP_LOSS),
        ("gap below the stop fills at the open", (90, 92, 88, 91), 90.0, Reason.STOP_LOSS),
        ("stop touched exactly", (100, 101, 95, 96), 95.0, Reason.STOP_LOSS),
        ("target inside the bar", (100, 112, 99, 111), 110.0, Reason.TAKE_PROFIT),
        ("gap above the target fills at the open", (115, 116, 114, 115), 115.0, Reason.TAKE_PROFIT),
        ("both: the stop comes first", (100, 112, 94, 111), 95.0, Reason.STOP_LOSS),
        ("neither", (100, 109, 96, 105), None, Reason.NONE),
    ],
)
def test_stop_and_target_of_a_long(name: str, ohlc: tuple[float, ...], price: float | None, why: Reason) -> None:
    account = rules(stop_loss=0.05, take_profit=0.10, slippage_bps=0)
    state, _ = trade(account, flat(account), 1.0, bar(100, 100, 100, 100))
    state, outcome = trade(account, state, NAN, bar(*ohlc))
    assert reason(outcome, phase="stop") is why, name
    if price is not None:
        assert outcome.stop is not None
        assert outcome.stop.price_BN[0, 0] == pytest.approx(price, rel=1e-15)
        assert state.shares_BN[0, 0] == 0.0


@pytest.mark.parametrize(
    ("ohlc", "price", "why"),
    [
        ((100, 106, 99, 104), 105.0, Reason.STOP_LOSS),
        ((110, 112, 108, 111), 110.0, Reason.STOP_LOSS),
        ((100, 101, 88, 89), 90.0, Reason.TAKE_PROFIT),
        ((85, 86, 84, 85), 85.0, Reason.TAKE_PROFIT),
        ((100, 106, 88, 89), 105.0, Reason.STOP_LOSS),
    ],
)
def test_stop_and_target_of_a_short_are_mirrored(ohlc: tuple[float, ...], price: float, why: Reason) -> None:
    account = rules(stop_loss=0.05, take_profit=0.10)
    state, _ = trade(account, flat(account), -1.0, bar(100, 100, 100, 100))
    _, outcome = trade(account, state, NAN, bar(*ohlc))
    assert outcome.stop is not None
    assert outcome.stop.price_BN[0, 0] == pytest.approx(price, rel=1e-15)
    assert reason(outcome, phase="stop") is why


def test_stop_pays_slippage_and_target_does_not() -> None:
    account = rules(stop_loss=0.05, take_profit=0.10, slippage_bps=100)
    bought, _ = trade(account, flat(account), 0.5, bar(100, 100, 100, 100))
    _, stopped = trade(account, bought, NAN, bar(100, 100, 80, 80))
    _, taken = trade(account, bought, NAN, bar(100, 120, 100, 120))
    assert stopped.stop is not None
    assert taken.stop is not None
    assert stopped.stop.price_BN[0, 0] == pytest.approx(101 * 0.95 * 0.99)
    assert taken.stop.price_BN[0, 0] == pytest.approx(101 * 1.10)
    assert taken.stop.slippage_BN[0, 0] == 0.0


def test_position_opened_in_this_bar_can_be_stopped_in_it() -> None:
    account = rules(stop_loss=0.05)
    state, outcome = trade(account, flat(account), 1.0, bar(100, 100, 90, 99))
    assert reason(outcome, phase="stop") is Reason.STOP_LOSS
    assert outcome.equity_B[0] == 950.0
    assert state.blocked_BN is not None
    assert state.blocked_BN[0, 0] == 1.0


def test_trailing_anchor_rises_only_after_the_check() -> None:
    account = rules(trailing=0.10)
    state, _ = trade(account, flat(account), 1.0, bar(100, 100, 100, 100))
    state, outcome = trade(account, state, NAN, bar(100, 120, 95, 110))
    assert reason(outcome, phase="stop") is Reason.NONE
    _, outcome = trade(account, state, NAN, bar(110, 111, 107, 109))
    assert outcome.stop is not None
    assert outcome.stop.price_BN[0, 0] == pytest.approx(108.0)
    assert reason(outcome, phase="stop") is Reason.TRAILING_STOP


def test_entry_price_is_the_average_over_increases() -> None:
    account = rules(initial_cash=4_000.0)
    state, _ = trade(account, flat(account), 0.25, bar(100, 100, 100, 100))
    state, _ = trade(account, state, 0.5, bar(200, 200, 200, 200))
    assert state.shares_BN[0, 0] == 12.5
    assert state.entry_BN is not None
    assert state.entry_BN[0, 0] == pytest.approx((10 * 100 + 2.5 * 200) / 12.5)
    before = state.entry_BN[0, 0]
    state, _ = trade(account, state, 0.1, bar(150, 150, 150, 150))
    assert state.entry_BN is not None
    assert state.entry_BN[0, 0] == before


def test_no_reentry_after_a_stop_until_the_target_changes_its_sign() -> None:
    account = rules(stop_loss=0.05)
    state, _ = trade(account, flat(account), 1.0, bar(100, 100, 90, 99))
    steady = bar(99, 99, 99, 99)
    state, outcome = trade(account, state, 0.5, steady)
    assert reason(outcome) is Reason.WAITING_AFTER_STOP
    state, _ = trade(account, state, NAN, steady)
    state, outcome = trade(account, state, 1.0, steady)
    assert reason(outcome) is Reason.WAITING_AFTER_STOP
    for other in (0.0, -0.3):
        cleared, _ = trade(account, state, other, steady)
        _, outcome = trade(account, cleared, 1.0, steady)
        assert reason(outcome) in (Reason.ORDER, Reason.SCALED_BUYING_POWER)


def test_distances_come_with_orders_and_nan_means_the_default() -> None:
    account = rules(stop_loss=0.05)
    state = flat(account)
    state, _ = trade(account, state, 0.5, bar(100, 100, 100, 100), stop_loss_BN=[[0.2]])
    state, outcome = trade(account, state, NAN, bar(90, 90, 85, 85), stop_loss_BN=[[0.01]])
    assert reason(outcome, phase="stop") is Reason.NONE
    assert state.stop_loss_BN is not None
    state, _ = trade(account, state, 0.5, bar(90, 90, 90, 90), stop_loss_BN=[[NAN]])
    assert state.stop_loss_BN is not None
    assert state.stop_loss_BN[0, 0] == 0.05
