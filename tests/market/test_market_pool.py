"""The exact price impact of a constant-product pool, in every form of the accounting. Numbers are worked by hand."""

from fractions import Fraction

import numpy as np
import pytest
import torch

from market_cases import Case, random_case
from swap_cases import make_tape, panel_of_tape
from tradewright.backtest.execution import ExecutionRules
from tradewright.backtest.quotes import POOL_SHARE, quotes_of
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.pool_math import Pair, swap_in
from tradewright.data.ranges import Range
from tradewright.errors import MarketError
from tradewright.market.ledger import Decided, Quotes
from tradewright.market.positions import Positions
from tradewright.market.rules import AccountRules, Costs, Reason
from tradewright.market.scalar import run_account
from tradewright.market.wide import run_wide

NAN = np.nan
FORMS = [run_account, run_wide, lambda *given, **contract: run_wide(*given, **contract, xp=torch)]
WAYS = ["scalar", "step", "torch"]


def account(weights: list[float], pool: float, *, price: float = 100.0, **rules) -> Case:
    """One instrument at a constant price."""
    num = len(weights)
    flat = np.full((num, 1), price)
    quotes = Quotes(flat, flat, flat, flat, np.ones((num, 1), dtype=bool), np.zeros(num), pool=np.full((num, 1), pool))
    decided = Decided(np.array(weights)[:, None])
    given = {"initial_cash": 10_000.0, **rules}
    return Case(quotes, decided, AccountRules(**given), {"multiplier": None, "lot": None, "tick": None})


@pytest.mark.parametrize("form", FORMS, ids=WAYS)
def test_buy_and_sell_pay_what_the_reserves_ask(form) -> None:
    """L = 10,000 at 100: 1,000 shares, 100,000 money. 50 shares cost 100,000 * 50 / 950; sold back they bring
    100,000 * 50 / 1,050, since the pool of the next bar is the quoted one."""
    case = account([0.5, 0.0, NAN], 1e-4)
    ledger = form(case.quotes, case.decided, case.rules)
    buy, sell = ledger.records
    assert buy[4] == pytest.approx(50.0)
    assert buy[6] == pytest.approx(2_000 / 19)
    assert buy[8] == pytest.approx(100_000 * 50 / 950 - 5_000)
    assert sell[6] == pytest.approx(100 / 1.05)
    assert ledger.cash[-1] == pytest.approx(10_000 - 100_000 * 50 / 950 + 100_000 * 50 / 1_050)


def test_the_fill_is_that_of_the_chains_integers_to_nine_digits() -> None:
    """An order for what a swap of the pool's own integers pays out fills at the price of that swap."""
    pair, liquidity = Pair(token0_decimals=6, token1_decimals=18, base="token1"), 4 * 10**18
    before = 1_771_595_571_142_957_102_961_017_161_607_260  # 2,000 USDC per WETH
    paid = 250_000 * 10**6
    after, out = swap_in(before, liquidity, paid, is_token0=True, fee=0)
    price, quantity = pair.price(before), out / 10**18
    expected = float(Fraction(paid, 10**6) / Fraction(out, 10**18))
    case = account([quantity * price / 1e6, NAN], 1.0 / pair.liquidity(liquidity), price=price, initial_cash=1e6)
    fill = run_account(case.quotes, case.decided, case.rules).records[0]
    assert fill[4] == pytest.approx(quantity, rel=1e-12)
    assert fill[6] == pytest.approx(expected, rel=1e-9)
    assert pair.price(after) > expected > price


@pytest.mark.parametrize("form", FORMS, ids=WAYS)
def test_an_order_for_more_than_the_pool_holds_is_refused(form) -> None:
    case = account([1.0, NAN], 2e-3)  # 50 shares in the pool, 100 wanted
    with pytest.raises(MarketError, match="pool"):
        form(case.quotes, case.decided, case.rules)


@pytest.mark.parametrize("form", FORMS, ids=WAYS)
def test_cash_never_falls_short_and_the_rest_is_scaled(form) -> None:
    case = account([1.0, NAN], 1e-3, allow_short=False, costs=Costs(fee_bps=5.0))
    ledger = form(case.quotes._replace(pool=case.quotes.pool / 2), case.decided, case.rules)
    assert Reason(ledger.records[0][3]) is Reason.SCALED_BUYING_POWER
    assert ledger.cash[-1] >= 0


@pytest.mark.parametrize("form", FORMS, ids=WAYS)
def test_stops_move_the_pool_and_targets_do_not(form) -> None:
    case = account([0.05, NAN, NAN], 1e-4, stop_loss=0.05, take_profit=0.1)
    entry = 100 / (1 - 5 / 1_000)
    low = case.quotes.low.copy()
    low[2] = 80.0
    stopped = form(case.quotes._replace(low=low), case.decided, case.rules).records[-1]
    reference = entry * 0.95
    assert Reason(stopped[3]) is Reason.STOP_LOSS
    assert stopped[6] == pytest.approx(reference / (1 + 5 * np.sqrt(reference) / 1e4))
    high = case.quotes.high.copy()
    high[2] = 130.0
    taken = form(case.quotes._replace(high=high), case.decided, case.rules).records[-1]
    assert Reason(taken[3]) is Reason.TAKE_PROFIT
    assert taken[6] == pytest.approx(entry * 1.1)


def test_random_cases_use_pools() -> None:
    assert sum(random_case(seed).quotes.pool is not None for seed in range(100)) > 15


def test_quotes_take_the_liquidity_before_the_bar() -> None:
    tape = make_tape([100.0, 121.0, 144.0], liquidity=1_000.0)
    object.__setattr__(tape, "liquidity_K", np.array([1_000.0, 2_000.0, 4_000.0]))
    panel = panel_of_tape(tape)
    quotes = quotes_of(panel, ExecutionRules(pool_slippage=True), Range(0, 3))
    np.testing.assert_allclose(quotes.pool[:, 0], [0.0, 1e-3, 5e-4])
    np.testing.assert_allclose(quotes.capacity[:, 0], np.array([0.0, 1_000 / 10, 2_000 / 11]) * POOL_SHARE)
    cut = quotes_of(panel, ExecutionRules(pool_slippage=True), Range(1, 3))
    np.testing.assert_array_equal(cut.pool, quotes.pool[1:])
    assert quotes_of(panel, ExecutionRules(), Range(0, 3)).pool is None


def test_a_backtest_on_a_pool_charges_its_impact_and_needs_swaps(panel_of) -> None:
    panel = panel_of_tape(make_tape([100.0] * 4, liquidity=1e5))
    positions = Positions(weights_TN=np.array([[0.5], [NAN], [NAN], [NAN]]))
    plain = Vectorized(costs=Costs()).run(panel, positions, Range(0, 4), name="x")
    pooled = Vectorized(costs=Costs(), pool_slippage=True).run(panel, positions, Range(0, 4), name="x")
    assert plain.costs["slippage"] == 0.0
    fill = pooled.fills[0]
    assert fill.quantity == pytest.approx(500.0)
    assert fill.price == pytest.approx(100 / (1 - 500 / 10_000))
    with pytest.raises(MarketError, match=r"backtest\.pool_slippage needs the swaps of a pool"):
        Vectorized(costs=Costs(), pool_slippage=True).run(panel_of(10), positions, Range(0, 4), name="x")


def test_larger_orders_than_a_tenth_of_the_reserve_are_cut() -> None:
    panel = panel_of_tape(make_tape([100.0] * 3, liquidity=1e4))
    positions = Positions(weights_TN=np.array([[1.0], [NAN], [NAN]]))
    result = Vectorized(costs=Costs(), pool_slippage=True).run(panel, positions, Range(0, 3), name="x")
    assert (result.fills[0].reason, result.fills[0].quantity) == ("scaled_capacity", pytest.approx(100.0))


@pytest.mark.slow
def test_compiled_loop_knows_the_pool() -> None:
    pytest.importorskip("numba", reason="numba is an optional extra")
    case = account([0.5, 0.2, NAN, 0.0], 1e-4, costs=Costs(fee_bps=5.0, fixed_fee=1.0))
    plain = run_account(case.quotes, case.decided, case.rules)
    compiled = run_account(case.quotes, case.decided, case.rules, compiled=True)
    assert plain.records == compiled.records
    np.testing.assert_array_equal(plain.equity, compiled.equity)
    with pytest.raises(MarketError, match="pool"):
        run_account(case.quotes._replace(pool=case.quotes.pool * 100), case.decided, case.rules, compiled=True)
