"""Limit and stop entries inside a bar, with gaps, stops in the same bar, and shared buying power. Worked by hand."""

from typing import Any

import numpy as np
import pytest
from one_bar import NAN, bar, flat, reason, rules, trade

from tradewright.market.rules import Reason

STEADY = (100, 100, 100, 100)


def entry(outcome: Any, n: int = 0) -> tuple[Reason, float, float]:
    """Reason, quantity and price of an entry."""
    return reason(outcome, n, "entry"), outcome.entry.quantity_BN[0, n], outcome.entry.price_BN[0, n]


@pytest.mark.parametrize(
    ("name", "kind", "weight", "level", "ohlc", "price"),
    [
        ("limit buy inside the bar", "limit", 0.5, 95, (100, 101, 94, 99), 95.0),
        ("limit buy touched exactly", "limit", 0.5, 95, (100, 101, 95, 99), 95.0),
        ("limit buy: the open is better", "limit", 0.5, 95, (90, 101, 89, 99), 90.0),
        ("limit buy not reached", "limit", 0.5, 95, (100, 101, 95.01, 99), None),
        ("limit sell inside the bar", "limit", -0.5, 105, (100, 106, 99, 100), 105.0),
        ("limit sell: the open is better", "limit", -0.5, 105, (110, 111, 99, 100), 110.0),
        ("limit sell not reached", "limit", -0.5, 105, (100, 104.99, 99, 100), None),
        ("stop buy inside the bar", "stop", 0.5, 105, (100, 106, 99, 105), 105 * 1.01),
        ("stop buy touched exactly", "stop", 0.5, 105, (100, 105, 99, 105), 105 * 1.01),
        ("stop buy: the open is worse", "stop", 0.5, 105, (110, 111, 99, 105), 110 * 1.01),
        ("stop buy not reached", "stop", 0.5, 105, (100, 104.99, 99, 100), None),
        ("stop sell inside the bar", "stop", -0.5, 95, (100, 101, 94, 96), 95 * 0.99),
        ("stop sell: the open is worse", "stop", -0.5, 95, (90, 101, 89, 96), 90 * 0.99),
        ("stop sell not reached", "stop", -0.5, 95, (100, 101, 95.01, 96), None),
    ],
)
def test_entry_fills_where_its_price_is_touched(
    name: str, kind: str, weight: float, level: float, ohlc: tuple[float, ...], price: float | None
) -> None:
    account = rules(slippage_bps=100)
    state, outcome = trade(account, flat(account), weight, bar(*ohlc), **{f"{kind}_BN": [[level]]})
    why, quantity, paid = entry(outcome)
    assert reason(outcome) is Reason.NONE, name
    if price is None:
        assert why is Reason.NOT_REACHED, name
        assert state.shares_BN[0, 0] == 0.0
        assert state.cash_B[0] == 1_000.0
        return
    assert why is (Reason.LIMIT_ENTRY if kind == "limit" else Reason.STOP_ENTRY), name
    assert paid == pytest.approx(price, rel=1e-14)
    reference = price if kind == "limit" else price / (1 + np.sign(weight) * 0.01)
    assert quantity == pytest.approx(weight * 1_000 / reference)
    assert state.cash_B[0] == pytest.approx(1_000 - quantity * price)


def test_limit_pays_the_fee_but_no_slippage() -> None:
    account = rules(slippage_bps=100, fee_bps=100, fixed_fee=1)
    _, outcome = trade(account, flat(account), 0.475, bar(100, 101, 94, 95), limit_BN=[[95]])
    assert outcome.entry is not None
    assert outcome.entry.slippage_BN[0, 0] == 0.0
    assert outcome.entry.fee_BN[0, 0] == pytest.approx(5 * 95 * 0.01 + 1)
    assert outcome.equity_B[0] == pytest.approx(1_000 - 5.75)


def test_limit_rounds_against_the_account() -> None:
    account = rules()
    _, outcome = trade(account, flat(account), 0.5, bar(100, 101, 94, 99), limit_BN=[[95.1]], tick_N=[0.25])
    assert outcome.entry is not None
    assert outcome.entry.price_BN[0, 0] == 95.25


def test_entry_without_a_price_fills_at_the_open() -> None:
    account = rules()
    state, outcome = trade(account, flat(account), 0.5, bar(50, 60, 40, 55), limit_BN=[[NAN]], stop_BN=[[NAN]])
    assert reason(outcome) is Reason.ORDER
    assert state.shares_BN[0, 0] == 10.0


def test_order_is_good_for_one_bar() -> None:
    account = rules()
    state, _ = trade(account, flat(account), 0.5, bar(*STEADY), limit_BN=[[90]])
    state, outcome = trade(account, state, NAN, bar(80, 80, 80, 80), limit_BN=[[NAN]])
    assert state.shares_BN[0, 0] == 0.0
    assert reason(outcome, phase="entry") is Reason.NONE


def test_position_entered_in_the_bar_is_stopped_in_it_but_its_target_waits() -> None:
    """Entry at 95; stop 90.25 is inside the bar, at its price: the open at 100 and the high at 120 came before."""
    account = rules(stop_loss=0.05, take_profit=0.10)
    _, outcome = trade(account, flat(account), 0.5, bar(100, 120, 90, 119), limit_BN=[[95]])
    assert reason(outcome, phase="stop") is Reason.STOP_LOSS
    assert outcome.stop is not None
    assert outcome.stop.price_BN[0, 0] == pytest.approx(90.25)
    state, outcome = trade(account, flat(account), 0.5, bar(100, 120, 91, 119), limit_BN=[[95]])
    assert reason(outcome, phase="stop") is Reason.NONE
    assert state.shares_BN[0, 0] == pytest.approx(500 / 95)
    _, outcome = trade(account, state, NAN, bar(119, 119, 119, 119))
    assert reason(outcome, phase="stop") is Reason.TAKE_PROFIT


def test_stop_after_a_stop_entry_fills_at_its_price_and_not_at_an_open_before_the_entry() -> None:
    account = rules(stop_loss=0.05)
    _, outcome = trade(account, flat(account), 0.5, bar(90, 101, 89, 99), stop_BN=[[100]])
    assert outcome.stop is not None
    assert outcome.stop.price_BN[0, 0] == pytest.approx(95.0)


def test_trailing_anchor_of_an_entry_is_the_entry_price() -> None:
    account = rules(trailing=0.10)
    state, _ = trade(account, flat(account), 0.5, bar(100, 130, 94, 99), limit_BN=[[95]])
    assert state.anchor_BN is not None
    assert state.anchor_BN[0, 0] == 95.0


def test_entries_are_sized_with_equity_at_the_open() -> None:
    """Long 5 at 100; at the open of 120 equity is 1,100; the second instrument takes half of it at 50."""
    account = rules()
    state, _ = trade(account, flat(account, (100.0, 60.0)), (0.5, NAN), bar(*[(100.0, 60.0)] * 4))
    second = bar((120.0, 60.0), (120.0, 60.0), (90.0, 50.0), (90.0, 55.0))
    state, outcome = trade(account, state, (NAN, 0.4), second, limit_BN=[[NAN, 50.0]])
    assert state.shares_BN[0, 1] == pytest.approx(0.4 * 1_100 / 50)
    assert entry(outcome, 1)[0] is Reason.LIMIT_ENTRY


def test_entries_share_the_buying_power_that_the_open_left() -> None:
    """400 go at the open; two entries want 400 each and get 600 together."""
    account = rules()
    prices = (100.0, 100.0, 100.0)
    bars = bar(prices, prices, (90.0, 90.0, 90.0), prices)
    levels = [[NAN, 95.0, 90.0]]
    state, outcome = trade(account, flat(account, prices), (0.4, 0.4, 0.4), bars, limit_BN=levels)
    np.testing.assert_allclose(state.shares_BN[0] * [100, 95, 90], [400, 300, 300])
    assert reason(outcome, 0) is Reason.ORDER
    assert entry(outcome, 1)[0] is entry(outcome, 2)[0] is Reason.SCALED_BUYING_POWER
    assert state.cash_B[0] == pytest.approx(0.0, abs=1e-9)


def test_a_sale_inside_the_bar_pays_for_no_purchase_inside_it() -> None:
    """All in the first; it is sold at 105, but whether before the second fell to 95 is unknown."""
    account = rules()
    prices = (100.0, 100.0)
    state, _ = trade(account, flat(account, prices), (1.0, NAN), bar(*[prices] * 4))
    wide = bar(prices, (106.0, 106.0), (94.0, 94.0), prices)
    state, outcome = trade(account, state, (0.0, 1.0), wide, limit_BN=[[105.0, 95.0]])
    np.testing.assert_array_equal(state.shares_BN[0], [0.0, 0.0])
    assert entry(outcome, 0)[0] is Reason.LIMIT_ENTRY
    assert entry(outcome, 1)[0] is Reason.NO_BUYING_POWER
    assert state.cash_B[0] == 1_050.0


@pytest.mark.parametrize(
    ("name", "low", "limit", "sold", "why"),
    [
        ("the limit is nearer than the target", 99, 104, 104.0, Reason.LIMIT_ENTRY),
        ("the target is nearer than the limit", 99, 108, 105.0, Reason.NOT_REACHED),
        ("the stop was touched too", 94, 104, 95.0, Reason.NOT_REACHED),
    ],
)
def test_limit_that_reduces_gives_way_to_what_the_position_would_do_first(
    name: str, low: float, limit: float, sold: float, why: Reason
) -> None:
    """Long 5 at 100 with a stop at 95 and a target at 105; the bar rises to 109."""
    account = rules(stop_loss=0.05, take_profit=0.05)
    state, _ = trade(account, flat(account), 0.5, bar(*STEADY))
    state, outcome = trade(account, state, 0.0, bar(100, 109, low, 100), limit_BN=[[limit]])
    assert entry(outcome)[0] is why, name
    assert state.shares_BN[0, 0] == 0.0
    assert state.cash_B[0] == pytest.approx(500 + 5 * sold)


def test_stop_sell_can_reverse_a_long() -> None:
    account = rules()
    state, _ = trade(account, flat(account), 0.5, bar(*STEADY))
    state, outcome = trade(account, state, -0.5, bar(100, 100, 90, 92), stop_BN=[[96]])
    shares = -0.5 * 1_000 / 96
    assert entry(outcome) == (Reason.STOP_ENTRY, pytest.approx(shares - 5), 96.0)
    assert outcome.equity_B[0] == pytest.approx(1_000 - 5 * 4 - 4 * shares)


def test_reaching_replaces_the_distances_and_missing_keeps_them() -> None:
    account = rules(stop_loss=0.05)
    state, _ = trade(account, flat(account), 0.5, bar(*STEADY), stop_loss_BN=[[0.2]])
    for low, distance in ((96, 0.2), (94, 0.3)):
        after, _ = trade(account, state, 0.8, bar(100, 100, low, 99), limit_BN=[[95]], stop_loss_BN=[[0.3]])
        assert after.stop_loss_BN is not None
        assert after.stop_loss_BN[0, 0] == distance


@pytest.mark.parametrize("weight", [-0.5, 0.0])
def test_short_entry_is_refused_when_not_allowed_and_zero_of_a_flat_account_is_no_order(weight: float) -> None:
    account = rules(allow_short=False)
    state, outcome = trade(account, flat(account), weight, bar(100, 110, 90, 100), limit_BN=[[105]])
    assert reason(outcome, phase="entry") is (Reason.SHORT_NOT_ALLOWED if weight else Reason.NONE)
    assert state.shares_BN[0, 0] == 0.0


def test_entries_keep_lots_capacity_and_least_notional() -> None:
    account = rules(min_notional=250.0)
    half = {"limit_BN": [[99.0]], "lot_N": [1.0]}
    low = (100, 100, 99, 100)
    state, outcome = trade(account, flat(account), 0.56, bar(*low, capacity_BN=np.array([3.5])), **half)
    assert state.shares_BN[0, 0] == 3.0
    assert entry(outcome)[0] is Reason.SCALED_CAPACITY
    _, outcome = trade(account, flat(account), 0.25, bar(*low), **half)
    assert entry(outcome)[0] is Reason.BELOW_MIN_NOTIONAL


def test_decided_size_does_not_depend_on_the_entry_price() -> None:
    account = rules(sizing="decision")
    state, _ = trade(account, flat(account, 100.0), 0.5, bar(100, 100, 80, 90), limit_BN=[[80]])
    assert state.shares_BN[0, 0] == 5.0


def test_refused_entries_are_told_at_the_open() -> None:
    account = rules(stop_loss=0.05)
    state, _ = trade(account, flat(account), 1.0, bar(100, 100, 90, 99))
    state, outcome = trade(account, state, 0.5, bar(99, 99, 90, 99), limit_BN=[[95]])
    assert reason(outcome) is Reason.WAITING_AFTER_STOP
    assert reason(outcome, phase="entry") is Reason.NONE
    missing = bar(NAN, NAN, NAN, NAN, tradable_BN=np.array([False]))
    _, outcome = trade(rules(), flat(rules()), 0.5, missing, limit_BN=[[95]])
    assert reason(outcome) is Reason.NO_BAR
