"""Properties that the accounting owes to everybody: money is conserved, nothing looks ahead, order and scale of the
instruments do not matter, accounts do not touch each other.

Legend: B accounts, T bars, N instruments.
"""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from market_cases import Case, random_case, random_prices, random_weights
from tradewright.market.ledger import Decided, Ledger, Quotes
from tradewright.market.rules import AccountRules, Costs
from tradewright.market.scalar import run_account
from tradewright.market.scalar_book import OPEN
from tradewright.market.step import Bar, State, initial_state, step, unrealised
from tradewright.market.wide import run_wide

seeds = st.integers(0, 2**32 - 1)
corpus = settings(max_examples=150, deadline=None, derandomize=True)


def run(case: Case) -> Ledger:
    return run_account(case.quotes, case.decided, case.rules, **case.contract)


def multiplier_of(case: Case) -> np.ndarray:
    return np.array(case.contract["multiplier"] or [1.0] * case.quotes.close.shape[1])


def without(case: Case, *columns: str) -> Case:
    """The case without some columns of its quotes."""
    return case._replace(quotes=case.quotes._replace(**dict.fromkeys(columns)))


ACTIONS = ("split", "dividend")
ROLLS = ("roll_from", "roll_to")
FINER = ("finer_open", "finer_high", "finer_low")
RATES = ("borrow", "funding")


def plain(case: Case, **costs: float) -> Case:
    """The case with fractional shares and proportional costs only."""
    rules = AccountRules(
        **{
            **{name: getattr(case.rules, name) for name in AccountRules.__dataclass_fields__ if name != "costs"},
            "costs": Costs(fee_bps=case.rules.costs.fee_bps, slippage_bps=case.rules.costs.slippage_bps, **costs),
        }
    )
    return case._replace(rules=rules, contract={**case.contract, "lot": None})


@pytest.mark.row("B28")
@corpus
@given(seeds)
def test_cash_and_positions_make_equity_and_every_change_of_cash_has_its_fill(seed: int) -> None:
    case = without(random_case(seed), *ACTIONS, *RATES)
    costs = Costs(**{**case.rules.costs.__dict__, "borrow_rate": 0.0, "cash_rate": 0.0})
    case = case._replace(rules=AccountRules(leverage=case.rules.leverage, costs=costs))
    ledger, multiplier_N = run(case), multiplier_of(case)
    scale = np.abs(ledger.equity).max() + np.abs(ledger.cash).max()
    value_T = (ledger.shares * ledger.mark * multiplier_N).sum(axis=1)
    np.testing.assert_allclose(ledger.cash + value_T, ledger.equity, rtol=0, atol=1e-12 * scale)
    cash_T = np.zeros_like(ledger.cash)
    shares_TN = np.zeros_like(ledger.shares)
    for t, _, n, _, quantity, _, price, fee, _ in ledger.records:
        cash_T[t] -= quantity * price * multiplier_N[n] + fee
        shares_TN[t, n] += quantity
    np.testing.assert_allclose(np.diff(ledger.cash), cash_T[1:], rtol=0, atol=1e-10 * scale)
    size = np.abs(ledger.shares).max() + 1.0
    np.testing.assert_allclose(np.diff(ledger.shares, axis=0), shares_TN[1:], rtol=0, atol=1e-12 * size)


@corpus
@given(seeds)
def test_all_money_is_accounted_for_with_carry_and_dividends(seed: int) -> None:
    case = random_case(seed)
    ledger, multiplier_N = run(case), multiplier_of(case)
    traded = sum(-r[4] * r[6] * multiplier_N[r[2]] - r[7] for r in ledger.records)
    carried = ledger.interest - ledger.borrow - ledger.funding + ledger.dividend
    scale = sum(abs(r[4] * r[6] * multiplier_N[r[2]]) for r in ledger.records) + case.rules.initial_cash
    assert ledger.cash[-1] - ledger.cash[0] == pytest.approx(traded + carried, abs=1e-11 * scale)


@corpus
@given(seeds, st.integers(2, 40))
def test_truncated_data_give_the_same_past(seed: int, num_bars: int) -> None:
    case = random_case(seed)
    short = case._replace(
        quotes=Quotes(*(None if column is None else column[:num_bars] for column in case.quotes)),
        decided=Decided(*(None if column is None else column[:num_bars] for column in case.decided)),
    )
    whole, part = run(case), run(short)
    num_bars = len(part.equity)
    for name in ("equity", "cash", "shares", "mark"):
        np.testing.assert_array_equal(getattr(whole, name)[:num_bars], getattr(part, name))
    assert [record for record in whole.records if record[0] < num_bars] == part.records


@corpus
@given(seeds, st.sampled_from([2.0**-8, 0.25, 4.0, 1024.0]))
def test_price_scale_does_not_matter_for_fractional_shares(seed: int, factor: float) -> None:
    """A power of four scales every product and root exactly, so the equity is the same number."""
    case = plain(random_case(seed))
    powers = dict.fromkeys(("open", "high", "low", "close", "dividend", *ROLLS, *FINER, "limit", "stop"), 1.0)
    powers |= {"impact": 0.5, "capacity": -1.0, "pool": 0.5}

    def scaled(columns: dict[str, np.ndarray | None]) -> dict[str, np.ndarray | None]:
        return {name: c if c is None else c * factor ** powers.get(name, 0.0) for name, c in columns.items()}

    tick = case.contract["tick"]
    other = Case(
        Quotes(**{**scaled(case.quotes._asdict()), "tradable": case.quotes.tradable}),
        Decided(**scaled(case.decided._asdict())),
        case.rules,
        {**case.contract, "tick": None if tick is None else [step * factor for step in tick]},
    )
    first, second = run(case), run(other)
    np.testing.assert_array_equal(first.equity, second.equity)
    np.testing.assert_array_equal(first.shares, second.shares * factor)


@corpus
@given(seeds)
def test_order_of_instruments_does_not_matter(seed: int) -> None:
    case = random_case(seed, num=4)
    order = np.random.default_rng(seed).permutation(4)
    quotes = Quotes(*(c if c is None or c.ndim == 1 else c[..., order] for c in case.quotes))
    decided = Decided(*(None if column is None else column[:, order] for column in case.decided))
    contract = {name: None if v is None else [v[n] for n in order] for name, v in case.contract.items()}
    first, second = run(case), run(Case(quotes, decided, case.rules, contract))
    scale = np.abs(first.equity).max()
    np.testing.assert_allclose(first.equity, second.equity, rtol=0, atol=1e-9 * scale)
    np.testing.assert_allclose(first.shares[:, order], second.shares, rtol=1e-6, atol=1e-9 * scale)


def batch(seed: int, num_accounts: int, num: int) -> tuple[Quotes, np.ndarray]:
    rng = np.random.default_rng(seed)
    prices = random_prices(rng, 25, num, 0.08)
    tradable = rng.random((25, num)) < 0.9
    quotes = Quotes(*(np.where(tradable, p, np.nan) for p in prices), tradable, np.full(25, 1 / 365))
    return quotes, np.stack([random_weights(rng, (25, num), 1.5) for _ in range(num_accounts)])


def carry(xp: object, rules: AccountRules, quotes: Quotes, weights_BTN: np.ndarray) -> tuple[np.ndarray, State]:
    """Equity ``[B, T]`` and final state of a batch."""
    give = torch.from_numpy if xp is torch else np.asarray
    columns = [give(column) for column in quotes[:5]]
    state = initial_state(xp, rules, len(weights_BTN), quotes.close.shape[1], has_entries=True)
    equity = [np.full(len(weights_BTN), rules.initial_cash)]
    for t in range(1, len(quotes.close)):
        bar = Bar(*(column[t] for column in columns), years_B=float(quotes.years[t]))
        state, outcome = step(xp, state, give(weights_BTN[:, t - 1].copy()), bar, rules, detail=t % 2 == 0)
        equity.append(np.asarray(outcome.equity_B))
    return np.stack(equity, axis=1), state


BATCH_RULES = [
    AccountRules(allow_short=False, costs=Costs(fee_bps=1, slippage_bps=1)),
    AccountRules(leverage=3.0, costs=Costs(fee_bps=5, borrow_rate=0.1, cash_rate=0.03)),
    AccountRules(leverage=2.0, stop_loss=0.05, trailing=0.1, take_profit=0.2, costs=Costs(fixed_fee=1)),
]


@pytest.mark.parametrize("rules", BATCH_RULES)
@pytest.mark.parametrize("num", [1, 3])
def test_batch_gives_every_account_its_own_history(rules: AccountRules, num: int) -> None:
    quotes, weights_BTN = batch(11, 40, num)
    equity_BT, _ = carry(np, rules, quotes, weights_BTN)
    for number, weights_TN in enumerate(weights_BTN):
        alone = run_account(quotes, Decided(weights_TN), rules)
        np.testing.assert_array_equal(equity_BT[number], alone.equity)


@pytest.mark.parametrize("rules", BATCH_RULES)
@pytest.mark.parametrize("num", [1, 3])
def test_torch_batch_equals_numpy_batch_bit_for_bit(rules: AccountRules, num: int) -> None:
    quotes, weights_BTN = batch(12, 40, num)
    first, state = carry(np, rules, quotes, weights_BTN)
    second, torch_state = carry(torch, rules, quotes, weights_BTN)
    np.testing.assert_array_equal(first, second)
    for name, column in state._asdict().items():
        if column is not None:
            other = getattr(torch_state, name)
            assert other.dtype in (torch.float64, torch.bool), name
            np.testing.assert_array_equal(column, np.asarray(other), err_msg=name)


def test_accounts_may_stand_at_different_bars() -> None:
    """Bars ``[B, N]``: account b runs through the bars shifted by b."""
    rules = AccountRules(leverage=2.0, costs=Costs(fee_bps=5))
    rng = np.random.default_rng(5)
    open_, high, low, close = random_prices(rng, 30, 1, 0.05)
    weights = random_weights(rng, (30, 1))
    at = np.arange(4)
    state = initial_state(np, rules, 4, 1)
    for t in range(1, 20):
        bar = Bar(open_[at + t], high[at + t], low[at + t], close[at + t])
        state, outcome = step(np, state, weights[at + t - 1], bar, rules)
    for b in range(4):
        cut = slice(b, b + 20)
        quotes = Quotes(open_[cut], high[cut], low[cut], close[cut], np.ones((20, 1), bool), np.zeros(20))
        assert run_account(quotes, Decided(weights[cut]), rules).equity[-1] == outcome.equity_B[b]


@corpus
@given(seeds)
def test_zero_weights_keep_equity_flat(seed: int) -> None:
    case = plain(random_case(seed))
    ledger = run(case._replace(decided=Decided(np.zeros_like(case.decided.weights))))
    assert (ledger.equity == case.rules.initial_cash).all()
    assert ledger.records == []


@corpus
@given(seeds, st.sampled_from(["fee_bps", "slippage_bps", "fixed_fee", "per_share_fee", "borrow_rate"]))
def test_higher_costs_never_raise_equity_when_the_fills_stay(seed: int, name: str) -> None:
    rng = np.random.default_rng(seed)
    prices = random_prices(rng, 20, 2, 0.03)
    quotes = Quotes(*prices, np.ones((20, 2), bool), np.full(20, 1 / 365))
    weights = np.full((20, 2), np.nan)
    weights[0] = rng.choice([-0.3, 0.2, 0.3], 2)
    weights[10] = 0.0
    ledgers = [
        run_account(quotes, Decided(weights), AccountRules(initial_cash=1e6, costs=Costs(**{name: cost})))
        for cost in (0.0, 0.01, 0.1)
    ]
    quantities = [[record[4] for record in ledger.records] for ledger in ledgers]
    np.testing.assert_allclose(quantities[0], quantities[1])
    np.testing.assert_allclose(quantities[0], quantities[2])
    assert (ledgers[0].equity >= ledgers[1].equity).all()
    assert (ledgers[1].equity >= ledgers[2].equity).all()


@corpus
@given(seeds)
def test_openings_never_exceed_the_leverage_cap(seed: int) -> None:
    """Right after the open phase gross exposure is at most leverage times equity, if anything was opened."""
    case = without(random_case(seed), *ACTIONS, *ROLLS)
    quotes, multiplier_N = case.quotes, multiplier_of(case)
    ledger = run(case)
    for t in {record[0] for record in ledger.records if record[1] == OPEN and record[4] != 0}:
        fills = {record[2]: record for record in ledger.records if record[0] == t and record[1] == OPEN}
        held_N = ledger.shares[t - 1].copy()
        is_opening = False
        reference_N = np.where(quotes.tradable[t], quotes.open[t], ledger.mark[t - 1])
        for n, record in fills.items():
            is_opening |= abs(record[5]) > abs(held_N[n]) or record[5] * held_N[n] < 0
            held_N[n] = record[5]
        gross = np.abs(held_N * reference_N * multiplier_N).sum()
        # Money between the open phase and the close: entries, stops and liquidations at the close.
        later = sum(r[4] * r[6] * multiplier_N[r[2]] + r[7] for r in ledger.records if r[0] == t and r[1] != OPEN)
        equity = ledger.cash[t] + later + (held_N * reference_N * multiplier_N).sum()
        if is_opening:
            assert gross <= case.rules.leverage * equity * (1 + 1e-8), (seed, t)


@corpus
@given(seeds)
def test_cash_of_a_long_only_unlevered_account_never_goes_negative(seed: int) -> None:
    case = without(random_case(seed), *ROLLS, "funding")
    ticks = case.rules.costs.slippage_ticks
    costs = Costs(fee_bps=20, slippage_bps=10, slippage_ticks=ticks, cash_rate=0.02)
    rules = AccountRules(allow_short=False, min_notional=case.rules.min_notional, costs=costs)
    ledger = run(case._replace(rules=rules))
    assert ledger.cash.min() >= -1e-9 * ledger.equity.max()
    assert ledger.ended_at is None


@pytest.mark.row("N24")
@settings(max_examples=60, deadline=None, derandomize=True)
@given(seeds)
def test_realised_and_unrealised_profit_make_the_change_of_equity(seed: int) -> None:
    """Realised profit is booked fill by fill at average cost, in ten lines of its own."""
    case = without(random_case(seed), *ACTIONS, *ROLLS)
    ledger, multiplier_N = run(case), multiplier_of(case)
    num = len(multiplier_N)
    position, average, realised = np.zeros(num), np.zeros(num), 0.0
    for _, _, n, _, quantity, after, price, fee, _ in ledger.records:
        closing = -np.sign(position[n]) * min(abs(quantity), abs(position[n])) if position[n] * quantity < 0 else 0.0
        realised += -closing * (price - average[n]) * multiplier_N[n] - fee
        if after == 0 or position[n] * after < 0:
            average[n] = price
        elif abs(after) > abs(position[n]):
            average[n] = (abs(position[n]) * average[n] + abs(quantity - closing) * price) / abs(after)
        position[n] = after
    state = final_state(case)
    assert state.entry_BN is not None
    held = position != 0
    np.testing.assert_allclose(state.entry_BN[0][held], average[held], rtol=1e-9)
    open_profit = float(unrealised(state, multiplier_N).sum())
    carried = ledger.interest - ledger.borrow - ledger.funding
    change = ledger.equity[-1] - ledger.equity[0]
    scale = np.abs(ledger.equity).max() + sum(abs(r[4] * r[6] * multiplier_N[r[2]]) for r in ledger.records)
    assert change == pytest.approx(realised + open_profit + carried, abs=1e-10 * scale)


def final_state(case: Case) -> State:
    """The state after the last bar, from the bar step."""
    captured: list[State] = []
    original = step

    def capture(*arguments: object, **options: object) -> object:
        result = original(*arguments, **options)
        captured.append(result[0])
        return result

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("tradewright.market.wide.step", capture)
        run_wide(case.quotes, case.decided, case.rules, **case.contract)
    return captured[-1]


def test_prices_of_missing_bars_never_leak_into_money() -> None:
    """Whatever stands in the place of a missing bar, the account is the same."""
    for seed in range(20):
        case = random_case(seed)
        first = run(case)
        quotes = case.quotes
        for garbage in (-1.0, 0.0, 1e300):
            columns = {
                name: np.where(quotes.tradable, getattr(quotes, name), garbage)
                for name in ("open", "high", "low", "close")
            }
            columns["close"][0] = quotes.close[0]
            for form in (run_account, run_wide):
                second = form(quotes._replace(**columns), case.decided, case.rules, **case.contract)
                np.testing.assert_array_equal(first.equity, second.equity)
