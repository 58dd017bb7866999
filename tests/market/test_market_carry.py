"""Borrow, funding, dividends, splits and rolls before the open, and their order. Numbers are worked by hand."""

import numpy as np
import pytest
from one_bar import NAN, bar, flat, reason, rules, trade

from tradewright.market.ledger import Decided, Quotes
from tradewright.market.rules import AccountRules, Costs, Reason
from tradewright.market.scalar import run_account
from tradewright.market.scalar_book import JOIN, LEAVE
from tradewright.market.step import State

STEADY = (50, 50, 50, 50)


def held(weight: float, **changes: object) -> tuple[AccountRules, State]:
    """An account that went long or short at 50 with 1,000 of money."""
    account = rules(**changes)
    state, _ = trade(account, flat(account), weight, bar(*STEADY))
    return account, state


def test_borrow_array_replaces_the_rate_of_the_rules() -> None:
    """10 shares short at 50, 20 % a year for 73 days: 500 * 0.2 * 0.2 = 20."""
    account, state = held(-0.5, borrow_rate=5.0)
    after, outcome = trade(account, state, NAN, bar(*STEADY, years_B=0.2, borrow_BN=np.array([0.2])))
    assert outcome.borrow_B[0] == pytest.approx(20.0)
    assert after.cash_B[0] == pytest.approx(1_500 - 20)
    assert outcome.carry_BN is not None
    assert outcome.carry_BN[0, 0] == pytest.approx(20.0)


def test_longs_pay_no_borrow() -> None:
    account, state = held(0.5)
    _, outcome = trade(account, state, NAN, bar(*STEADY, years_B=0.2, borrow_BN=np.array([0.2])))
    assert outcome.borrow_B[0] == 0.0
    assert outcome.equity_B[0] == 1_000.0


@pytest.mark.parametrize(("weight", "paid"), [(0.5, 5.0), (-0.5, -5.0)])
def test_funding_is_paid_by_longs_and_received_by_shorts_at_the_previous_mark(weight: float, paid: float) -> None:
    """10 shares marked at 50 and 1 % of funding; the open at 80 does not matter."""
    account, state = held(weight)
    after, outcome = trade(account, state, NAN, bar(80, 80, 80, 80, funding_BN=np.array([0.01])))
    assert outcome.funding_B[0] == pytest.approx(paid)
    assert after.cash_B[0] == pytest.approx(state.cash_B[0] - paid)
    assert outcome.carry_BN is not None
    assert outcome.carry_BN[0, 0] == pytest.approx(paid)


def test_funding_can_take_a_long_only_account_to_its_end() -> None:
    account = rules(allow_short=False)
    state, _ = trade(account, flat(account), 1.0, bar(*STEADY))
    state, outcome = trade(account, state, NAN, bar(50, 50, 50, 50, funding_BN=np.array([1.0])))
    assert bool(state.ended_B[0])
    assert reason(outcome) is Reason.BANKRUPT
    assert outcome.equity_B[0] == 0.0


def test_ended_accounts_pay_no_funding() -> None:
    """Broke at an open without a bar for the second instrument: that position stays, its rates stop."""
    account = rules(leverage=4.0)
    prices = (100.0, 100.0)
    state, _ = trade(account, flat(account, prices), (2.0, 2.0), bar(*[prices] * 4))
    gap = bar(*[(1.0, NAN)] * 4, tradable_BN=np.array([True, False]), funding_BN=np.zeros(2))
    state, _ = trade(account, state, (NAN, NAN), gap)
    assert bool(state.ended_B[0])
    assert state.shares_BN[0, 1] == 20.0
    later = bar(*[(1.0, NAN)] * 4, tradable_BN=np.array([True, False]), funding_BN=np.full(2, 0.01))
    _, outcome = trade(account, state, (NAN, NAN), later)
    assert outcome.funding_B[0] == 0.0


def test_carry_is_attributed_to_instruments() -> None:
    """Short 5 at 100: borrow 500 * 0.1; dividend 2 paid by the short, 1 received by 10 longs at 50."""
    account = rules()
    prices = (100.0, 50.0)
    state, _ = trade(account, flat(account, prices), (-0.5, 0.5), bar(*[prices] * 4))
    facts = {"borrow_BN": np.full(2, 0.1), "dividend_BN": np.array([2.0, 1.0]), "funding_BN": np.array([0.0, 0.02])}
    _, outcome = trade(account, state, (NAN, NAN), bar(*[prices] * 4, years_B=1.0, **facts))
    assert outcome.carry_BN is not None
    np.testing.assert_allclose(outcome.carry_BN[0], [50 + 10, -10 + 10])
    assert outcome.equity_B[0] == pytest.approx(1_000 - 60)


def test_dividend_is_per_old_share_and_the_split_comes_after_it() -> None:
    """10 old shares get 3 each, then become 20 at half the price."""
    account, state = held(0.5)
    facts = {"split_BN": np.array([2.0]), "dividend_BN": np.array([3.0])}
    after, outcome = trade(account, state, NAN, bar(25, 25, 25, 25, **facts))
    assert outcome.dividend_B[0] == 30.0
    assert after.shares_BN[0, 0] == 20.0
    assert outcome.equity_B[0] == 1_030.0


ES = {"multiplier_N": [50.0], "tick_N": [0.25], "lot_N": [1.0]}
MES = {"multiplier_N": [5.0], "tick_N": [0.25], "lot_N": [1.0]}


@pytest.mark.parametrize(("contract", "contracts"), [(ES, 2.0), (MES, 20.0)])
def test_futures_contracts_are_worth_their_multiplier_and_move_in_ticks(
    contract: dict[str, list[float]], contracts: float
) -> None:
    """500,000 of money at 5,000.10: the buy pays the next tick 5,000.25; a 10-point rise earns 10 * multiplier each."""
    account = rules(initial_cash=500_000.0, leverage=10.0, per_share_fee=2.0)
    state, outcome = trade(account, flat(account, 5_000.0), 1.01, bar(5_000.10, 5_020, 4_990, 5_010.25), **contract)
    assert state.shares_BN[0, 0] == contracts
    assert outcome.open is not None
    assert outcome.open.price_BN[0, 0] == 5_000.25
    points = contracts * contract["multiplier_N"][0]
    assert outcome.open.slippage_BN[0, 0] == pytest.approx(0.15 * points)
    assert outcome.equity_B[0] == pytest.approx(500_000 + 10 * points - 2 * contracts)


def test_roll_keeps_contracts_and_shifts_prices_so_that_equity_changes_by_costs_alone() -> None:
    """2 ES from 5,000 to 5,040: each leg 2 * 50 * 5,000 or 5,040 at 1 bp, and 3 per contract."""
    account = rules(initial_cash=1_000_000.0, fee_bps=1.0, per_share_fee=3.0, stop_loss=0.02)
    contract = {"multiplier_N": [50.0], "lot_N": [1.0]}
    state, _ = trade(account, flat(account, 5_000.0), 0.51, bar(5_000, 5_000, 5_000, 5_000), **contract)
    before = 1_000_000 - 2 * 250_000 * 1e-4 - 6
    rolled = {"roll_from_BN": np.array([5_000.0]), "roll_to_BN": np.array([5_040.0])}
    after, outcome = trade(account, state, NAN, bar(5_040, 5_040, 5_040, 5_040, **rolled), **contract)
    costs = (500_000 + 504_000) * 1e-4 + 2 * 6
    assert outcome.equity_B[0] == pytest.approx(before - costs, abs=1e-9)
    assert after.shares_BN[0, 0] == 2.0
    assert after.cash_B[0] == pytest.approx(before - 500_000 - 4_000 - costs, abs=1e-6)
    assert after.entry_BN is not None
    assert after.anchor_BN is not None
    assert (after.entry_BN[0, 0], after.anchor_BN[0, 0]) == (5_040.0, 5_040.0)
    for fills, quantity, price, shares in ((outcome.leave, -2.0, 5_000.0, 0.0), (outcome.join, 2.0, 5_040.0, 2.0)):
        assert fills is not None
        assert (fills.quantity_BN[0, 0], fills.price_BN[0, 0], fills.shares_BN[0, 0]) == (quantity, price, shares)
        assert fills.fee_BN[0, 0] == pytest.approx(2 * 50 * price * 1e-4 + 6)
        assert fills.reason_BN[0, 0] == Reason.ROLL


def test_roll_of_a_short_buys_the_leaving_contract_and_pays_slippage_twice() -> None:
    """Short 10 at 50; buy back at 50 * 1.01, sell the next at 45 * 0.99."""
    account, state = held(-0.5, slippage_bps=100)
    rolled = {"roll_from_BN": np.array([50.0]), "roll_to_BN": np.array([45.0])}
    after, outcome = trade(account, state, NAN, bar(45, 45, 45, 45, **rolled))
    assert after.cash_B[0] == pytest.approx(state.cash_B[0] - 10 * 50.5 + 10 * 44.55)
    assert outcome.leave is not None
    assert outcome.join is not None
    assert (outcome.leave.price_BN[0, 0], outcome.join.price_BN[0, 0]) == pytest.approx((50.5, 44.55))
    assert outcome.leave.slippage_BN[0, 0] == pytest.approx(5.0)
    assert outcome.join.slippage_BN[0, 0] == pytest.approx(4.5)


def test_funding_and_split_come_before_the_roll() -> None:
    """10 shares at 50: funding on 500; the split makes 20 at 25; these roll from 25 to 26."""
    account, state = held(0.5)
    facts = {
        "funding_BN": np.array([0.1]),
        "split_BN": np.array([2.0]),
        "roll_from_BN": np.array([25.0]),
        "roll_to_BN": np.array([26.0]),
    }
    after, outcome = trade(account, state, NAN, bar(26, 26, 26, 26, **facts))
    assert outcome.funding_B[0] == 50.0
    assert after.cash_B[0] == 500 - 50 - 20 * 1
    assert outcome.equity_B[0] == 950.0


def test_roll_without_a_bar_moves_the_last_mark() -> None:
    account, state = held(0.5)
    facts = {"tradable_BN": np.array([False]), "roll_from_BN": np.array([51.0]), "roll_to_BN": np.array([53.0])}
    after, outcome = trade(account, state, NAN, bar(NAN, NAN, NAN, NAN, **facts))
    assert after.mark_BN[0, 0] == 52.0
    assert outcome.equity_B[0] == 1_000.0


def test_ledger_of_a_roll_books_two_fills_before_the_open_and_carries_marks() -> None:
    close = np.array([[50.0], [50.0], [NAN], [56.0]])
    tradable = ~np.isnan(close)
    roll_from, roll_to = np.full((4, 1), NAN), np.full((4, 1), NAN)
    roll_from[2], roll_to[2] = 50.0, 55.0
    quotes = Quotes(close, close, close, close, tradable, np.zeros(4), roll_from=roll_from, roll_to=roll_to)
    weights = np.array([[0.5], [NAN], [NAN], [NAN]])
    ledger = run_account(quotes, Decided(weights), AccountRules(initial_cash=1_000.0, costs=Costs(fixed_fee=1.0)))
    assert [record[:4] for record in ledger.records[1:]] == [(2, LEAVE, 0, Reason.ROLL), (2, JOIN, 0, Reason.ROLL)]
    np.testing.assert_array_equal(ledger.mark[:, 0], [50, 50, 55, 56])
    np.testing.assert_allclose(ledger.equity, [1_000, 999, 997, 1_007])
