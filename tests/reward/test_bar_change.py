"""What a reward is told about a bar: equal to a book kept fill by fill, and an identity of money.

Legend: T bars, B accounts, N instruments.
"""

from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from reward_book import Book

from market_cases import Case, random_case
from tradewright.env.bar_change import BarChanges, Moved
from tradewright.errors import MarketError
from tradewright.market.account import Bar, initial_state
from tradewright.market.ledger import Decided, Ledger, Quotes
from tradewright.market.rules import AccountRules, Costs
from tradewright.market.step import step
from tradewright.market.wide import run_wide
from tradewright.reward.reward import NEEDS, BarChange

CPU = torch.device("cpu")
NUM_SEEDS, NUM_MORE_SEEDS = 40, 1_500


class Told(NamedTuple):
    """The bar changes of a case, bar by bar from the second bar on, and its ledger."""

    changes: list[BarChange]
    ledger: Ledger


def tell(case: Case, needs: frozenset[str] = NEEDS) -> Told:
    """Run one account of the case with the bar step on torch."""
    quotes, decided, rules, contract = case
    num = quotes.close.shape[1]

    def give(values: Any) -> Any:
        return None if values is None else torch.as_tensor(np.asarray(values))

    state = initial_state(
        torch, rules, 1, num, mark_N=give(quotes.close[0]),
        has_stops=any(x is not None for x in decided[1:4]), has_entries=True,
    )  # fmt: skip
    facts = {f"{name}_N": give(values) for name, values in contract.items()}
    if facts["tick_N"] is not None and not facts["tick_N"].any():
        facts["tick_N"] = None
    changes = BarChanges(needs, 1, num, CPU)
    equity = peak = torch.tensor([rules.initial_cash], dtype=torch.float64)
    told = []
    for t in range(1, len(quotes.close)):
        columns = {
            f"{name}_BKN" if name.startswith("finer") else f"{name}_BN": give(column[t])
            for name, column in quotes._asdict().items()
            if name != "years" and column is not None
        }
        bar = Bar(**columns, years_B=float(quotes.years[t]))
        weights, *distances = (give(None if x is None else x[t - 1][None]) for x in decided)
        names = ("stop_loss_BN", "take_profit_BN", "trailing_BN", "limit_BN", "stop_BN")
        before = state
        state, outcome = step(
            torch, before, weights, bar, rules, **facts,
            **dict(zip(names, distances, strict=True)), detail=changes.has_detail,
        )  # fmt: skip
        peak = torch.maximum(peak, outcome.equity_B)
        told.append(changes.add(Moved(before, state, outcome, bar, equity, peak, facts["multiplier_N"])))
        equity = outcome.equity_B
    return Told(told, run_wide(quotes, decided, rules, **contract))


def compare_with_book(seed: int) -> int:
    """Compare every field of every bar with the book; return the number of trades that closed."""
    print(f"seed {seed}")
    case = random_case(seed)
    quotes, num = case.quotes, case.quotes.close.shape[1]
    told, ledger = tell(case)
    multipliers = case.contract["multiplier"] or [1.0] * num
    book = Book(multipliers)
    worth, unrealised, num_trades, cost = case.rules.initial_cash, 0.0, 0, 0.0
    for t, change in enumerate(told, start=1):
        got = {name: float(getattr(change, name)[0]) for name in NEEDS}
        for n in range(num):
            if ledger.carry_TN is not None:
                book.carry(n, ledger.carry_TN[t, n])
            if quotes.split is not None:
                book.split(n, quotes.split[t, n])
            if quotes.roll_from is not None and not np.isnan(quotes.roll_from[t, n]):
                book.roll_entry(n, quotes.roll_to[t, n] - quotes.roll_from[t, n])
        day = book.day([record for record in ledger.records if record[0] == t])
        now = book.unrealised(ledger.mark[t])
        equity = ledger.equity[t]
        scale = max(abs(worth), abs(equity), day.traded, abs(now), abs(unrealised), np.abs(ledger.shares[t]).sum())
        close = {"rel": 1e-9, "abs": 1e-9 * max(scale, 1.0)}
        assert got["realised_B"] == pytest.approx(day.realised, **close), t
        assert got["unrealised_B"] == pytest.approx(now, **close), t
        assert got["slippage_B"] == pytest.approx(day.slippage, **close), t
        unpriced = got["cost_B"] - got["slippage_B"]
        assert got["realised_B"] + got["unrealised_B"] - unrealised - unpriced == pytest.approx(equity - worth, **close)
        if worth > 0:
            assert got["turnover_B"] == pytest.approx(day.traded / worth, rel=1e-9, abs=1e-12), t
        won = [profit for profit in day.trades if profit > 0]
        assert got["closed_B"] == pytest.approx(sum(day.trades), **close), t
        assert got["num_closed_B"] == len(day.trades), t
        if all(abs(profit) > close["abs"] for profit in day.trades):
            assert got["won_B"] == pytest.approx(sum(won), **close), t
            assert got["num_won_B"] == len(won), t
        worth, unrealised, num_trades, cost = equity, now, num_trades + len(day.trades), cost + got["cost_B"]
    booked = sum(record[7] + record[8] for record in ledger.records)
    carry = ledger.borrow + ledger.funding - ledger.dividend - ledger.interest
    assert cost == pytest.approx(booked + carry, rel=1e-9, abs=1e-6)
    return num_trades


@pytest.mark.row("N24")
def test_changes_equal_a_book_kept_fill_by_fill_and_add_up_to_the_change_of_equity() -> None:
    assert sum(compare_with_book(seed) for seed in range(NUM_SEEDS)) > NUM_SEEDS


@pytest.mark.slow
@pytest.mark.row("N24")
def test_many_more_changes_equal_a_book_kept_fill_by_fill() -> None:
    for seed in range(NUM_SEEDS, NUM_SEEDS + NUM_MORE_SEEDS):
        compare_with_book(seed)


def by_hand(
    close: list[float], weights: list[float], rules: AccountRules, multiplier: float = 1.0, **events: list[float]
) -> list[dict[str, float]]:
    """Run one instrument whose bars open at the last close; return all fields of every bar."""
    prices = np.array(close)[:, None]
    open_ = np.vstack([prices[:1], prices[:-1]])
    columns = {name: np.array(values, dtype=float)[:, None] for name, values in events.items()}
    open_ = columns.pop("open", open_)
    quotes = Quotes(
        open_, np.maximum(open_, prices), np.minimum(open_, prices), prices,
        np.ones_like(prices, dtype=bool), np.full(len(close), 1 / 365), **columns,
    )  # fmt: skip
    case = Case(
        quotes, Decided(np.array(weights)[:, None]), rules, {"multiplier": [multiplier], "lot": None, "tick": None}
    )
    return [{name: float(getattr(change, name)[0]) for name in NEEDS} for change in tell(case).changes]


@pytest.mark.row("N24")
def test_a_trade_by_hand_is_split_into_realised_and_unrealised() -> None:
    """Buy 5 at 100, sell about half at 110, the rest at 90; every fill costs 0.5."""
    rules = AccountRules(initial_cash=1_000.0, costs=Costs(fixed_fee=0.5))
    bars = by_hand([100.0, 110.0, 90.0, 95.0], [0.5, 0.25, 0.0, np.nan], rules)
    first, second, third = bars
    assert (first["cost_B"], first["slippage_B"], first["realised_B"], first["unrealised_B"]) == (0.5, 0.0, 0.0, 50.0)
    equity = 1_000.0 - 0.5 + 50.0
    kept = 0.25 * equity / 110.0
    assert first["turnover_B"] == pytest.approx(0.5)
    assert second["realised_B"] == pytest.approx((5 - kept) * 10.0)
    assert second["unrealised_B"] == pytest.approx(kept * -10.0)
    assert second["turnover_B"] == pytest.approx((5 - kept) * 110.0 / equity)
    assert third["realised_B"] == pytest.approx(kept * -10.0)
    assert third["unrealised_B"] == 0.0
    profit = (5 - kept) * 10.0 - kept * 10.0 - 3 * 0.5
    assert [bar["num_closed_B"] for bar in bars] == [0.0, 0.0, 1.0]
    assert [bar["num_won_B"] for bar in bars] == [0.0, 0.0, 1.0]
    assert third["closed_B"] == third["won_B"] == pytest.approx(profit)


def test_slippage_is_in_the_prices_and_a_lost_short_is_no_win() -> None:
    """Sell 10 short at 100 less 1 %, buy them back at 110 and 1 %; the multiplier is 5."""
    rules = AccountRules(initial_cash=10_000.0, costs=Costs(slippage_bps=100.0))
    first, second = by_hand([100.0, 110.0, 110.0], [-0.5, 0.0, np.nan], rules, multiplier=5.0)
    assert first["cost_B"] == first["slippage_B"] == pytest.approx(10 * 1.0 * 5)
    assert first["unrealised_B"] == pytest.approx(10 * (99.0 - 110.0) * 5)
    assert second["realised_B"] == second["closed_B"] == pytest.approx(10 * (99.0 - 111.1) * 5)
    assert second["slippage_B"] == pytest.approx(10 * 1.1 * 5)
    assert (second["num_closed_B"], second["num_won_B"], second["won_B"]) == (1.0, 0.0, 0.0)


def test_carry_is_a_cost_and_interest_earned_lowers_it() -> None:
    costs = Costs(borrow_rate=0.365, cash_rate=0.0365)
    bars = by_hand([100.0] * 3, [-1.0, np.nan, np.nan], AccountRules(initial_cash=1_000.0, costs=costs))
    assert bars[0]["cost_B"] == pytest.approx(-1_000.0 * 0.0001)
    cash = 1_000.0 * 1.0001 * 2  # own money and what the short sale brought
    assert bars[1]["cost_B"] == pytest.approx(1_000.1 * 0.001 - cash * 0.0001)
    assert bars[1]["slippage_B"] == 0.0


def test_change_of_side_closes_one_trade_and_keeps_the_next_one_open() -> None:
    rules = AccountRules(initial_cash=1_000.0)
    bars = by_hand([100.0, 110.0, 121.0, 121.0], [1.0, -1.0, 0.0, np.nan], rules)
    assert [bar["num_closed_B"] for bar in bars] == [0.0, 1.0, 1.0]
    assert [bar["closed_B"] for bar in bars] == pytest.approx([0.0, 100.0, -110.0])
    assert [bar["won_B"] for bar in bars] == pytest.approx([0.0, 100.0, 0.0])


@pytest.mark.parametrize(
    ("events", "wanted"),
    [
        ({}, [0.10, -0.10]),
        ({"split": [1.0, 2.0, 1.0]}, [1.20, -0.10]),
        ({"dividend": [0.0, 5.0, 0.0]}, [0.15, -0.10]),
        ({"roll_from": [np.nan, 100.0, np.nan], "roll_to": [np.nan, 103.0, np.nan]}, [0.07, -0.10]),
    ],
)
def test_benchmark_holds_the_instrument_through_splits_dividends_and_rolls(
    events: dict[str, list[float]], wanted: list[float]
) -> None:
    bars = by_hand([100.0, 110.0, 99.0], [np.nan] * 3, AccountRules(), **events)
    assert [bar["benchmark_return_B"] for bar in bars] == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(5))
def test_benchmark_equals_an_account_that_holds_the_instrument_without_costs(seed: int) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    close = (100.0 * np.exp(np.cumsum(rng.normal(0.0, 0.03, 12)))).tolist()
    ratios = rng.choice([1.0, 1.0, 2.0, 0.5], 12)
    ratios[:2] = 1.0
    split = (np.array(close) / np.cumprod(ratios)).tolist()
    before = [split[0], *[price / ratio for price, ratio in zip(split[:-1], ratios[1:], strict=True)]]
    bars = by_hand(
        split, [1.0, *[np.nan] * 11], AccountRules(), split=ratios.tolist(), open=before,
    )  # fmt: skip
    for t, bar in enumerate(bars, start=1):
        assert bar["benchmark_return_B"] == pytest.approx(close[t] / close[t - 1] - 1.0, rel=1e-9), t
    worth = [100_000.0 + bar["unrealised_B"] + bar["realised_B"] for bar in bars]
    for t in range(1, len(bars)):
        assert bars[t]["benchmark_return_B"] == pytest.approx(worth[t] / worth[t - 1] - 1.0, abs=1e-9), t


def test_benchmark_of_several_instruments_is_the_mean_of_those_with_a_price() -> None:
    marks = torch.tensor([[100.0, 0.0, 50.0], [0.0, 0.0, 0.0]], dtype=torch.float64)
    after = torch.tensor([[110.0, 7.0, 40.0], [1.0, 2.0, 3.0]], dtype=torch.float64)
    state = initial_state(torch, AccountRules(), 2, 3, mark_N=marks)
    bar = Bar(after, after, after, after)
    later, outcome = step(torch, state, torch.full((2, 3), torch.nan, dtype=torch.float64), bar, AccountRules())
    needs = frozenset({"benchmark_return_B"})
    equity = torch.full((2,), 100_000.0, dtype=torch.float64)
    got = BarChanges(needs, 2, 3, CPU).add(Moved(state, later, outcome, bar, equity, equity))
    assert got.need("benchmark_return_B").tolist() == pytest.approx([(0.10 - 0.20) / 2, 0.0])


def test_only_what_is_needed_is_computed() -> None:
    case = random_case(3)
    for name in sorted(NEEDS):
        for change in tell(case, frozenset({name})).changes:
            assert {key for key in NEEDS if getattr(change, key) is not None} == {name}
    assert not BarChanges(frozenset({"unrealised_B", "benchmark_return_B"}), 1, 1, CPU).has_detail
    assert BarChanges(frozenset({"realised_B"}), 1, 1, CPU).has_detail


@pytest.mark.parametrize("seed", range(2))
def test_one_need_alone_gives_the_same_numbers_as_all_of_them(seed: int) -> None:
    case = random_case(seed)
    full = tell(case).changes
    for name in sorted(NEEDS):
        for change, every in zip(tell(case, frozenset({name})).changes, full, strict=True):
            assert torch.equal(change.need(name), every.need(name)), name


def test_a_field_nobody_asked_for_is_refused_by_name() -> None:
    change = tell(random_case(0), frozenset()).changes[0]
    with pytest.raises(MarketError, match="cost_B was not computed; name it in the reward's `needs`"):
        change.need("cost_B")
    with pytest.raises(ValueError, match=r"needs must be of benchmark_return_B, .*, was 'cost'"):
        BarChanges(frozenset({"cost"}), 1, 1, CPU)
