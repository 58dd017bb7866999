"""One account, two forms: the scalar loop, the bar step on NumPy and the bar step on torch agree bit for bit.

The corpus mixes everything that an account can meet (``market_cases.random_case``); it is seeded, so a failing seed
reproduces.
"""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch

from market_cases import Case, random_case
from tradewright.market.ledger import Ledger
from tradewright.market.rules import Reason
from tradewright.market.scalar import run_account
from tradewright.market.wide import run_wide

NUM_CASES = 120
NUM_CASES_SLOW = 20_000
NUM_TORCH = 15
NUM_TORCH_SLOW = 2_000
FORMS = [
    pytest.param(run_account, 40, id="scalar"),
    pytest.param(run_wide, 12, id="step"),
    pytest.param(run_account, 800, id="scalar-800", marks=pytest.mark.slow),
    pytest.param(run_wide, 250, id="step-250", marks=pytest.mark.slow),
]
"""Both forms with the number of cases, by default few."""


def assert_same(seed: int, first: Ledger, second: Ledger) -> None:
    for name in ("equity", "cash", "shares", "mark"):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=f"{name} of seed {seed}")
    assert first.records == second.records, f"fills of seed {seed}"
    for name in ("interest", "borrow", "dividend", "funding"):
        assert getattr(first, name) == getattr(second, name), f"{name} of seed {seed}"
    carry = [np.zeros_like(ledger.shares) if ledger.carry_TN is None else ledger.carry_TN for ledger in (first, second)]
    np.testing.assert_array_equal(*carry, err_msg=f"carry of seed {seed}")
    assert first.ended_at == second.ended_at, f"end of seed {seed}"


def scalar(case: Case) -> Ledger:
    return run_account(case.quotes, case.decided, case.rules, **case.contract)


def check_corpus(seeds: range) -> Counter[str]:
    seen: Counter[str] = Counter()
    with np.errstate(all="raise", under="ignore"):
        for seed in seeds:
            case = random_case(seed, has_steps=True)
            ledger = scalar(case)
            wide = run_wide(case.quotes, case.decided, case.rules, **case.contract)
            assert_same(seed, ledger, wide)
            assert (ledger.carry_TN is None) == (wide.carry_TN is None)
            assert np.isfinite(ledger.equity).all()
            seen.update(Reason(record[3]).name for record in ledger.records)
    return seen


def test_corpus_agrees_bit_for_bit_and_meets_every_reason() -> None:
    seen = check_corpus(range(NUM_CASES))
    assert set(seen) == {reason.name for reason in Reason if reason is not Reason.NONE}


@pytest.mark.slow
def test_large_corpus_agrees_bit_for_bit() -> None:
    check_corpus(range(NUM_CASES, NUM_CASES + NUM_CASES_SLOW))


def check_torch(seeds: range) -> None:
    for seed in seeds:
        case = random_case(seed, has_steps=True)
        assert_same(seed, scalar(case), run_wide(case.quotes, case.decided, case.rules, **case.contract, xp=torch))


def test_torch_agrees_bit_for_bit() -> None:
    check_torch(range(NUM_TORCH))


@pytest.mark.slow
def test_torch_agrees_bit_for_bit_on_a_large_corpus() -> None:
    check_torch(range(NUM_CASES, NUM_CASES + NUM_TORCH_SLOW))


@pytest.mark.parametrize("num_cases", [20, pytest.param(450, marks=pytest.mark.slow)])
@pytest.mark.parametrize("num", [1, 3])
def test_full_form_equals_specialised_form(num: int, num_cases: int) -> None:
    """Leaving out unused rules changes nothing; with one instrument the leverage cap is a clip, equal to 1e-12."""
    for seed in range(1000, 1000 + num_cases):
        case = random_case(seed, num=num, has_steps=True)
        rules = case.rules if seed % 3 else type(case.rules)(allow_short=bool(seed % 2), costs=case.rules.costs)
        special = run_wide(case.quotes, case.decided, rules, **case.contract)
        full = run_wide(case.quotes, case.decided, rules, **case.contract, specialise=False)
        if num > 1:
            assert_same(seed, special, full)
        np.testing.assert_allclose(special.equity, full.equity, rtol=1e-12, atol=1e-9, err_msg=f"seed {seed}")
        assert [record[:4] for record in special.records] == [record[:4] for record in full.records], f"seed {seed}"


def with_neutral_columns(case: Case) -> Case:
    """The case with every optional column given, at the values that change nothing."""
    shape = case.quotes.close.shape
    nan, finer = np.full(shape, np.nan), np.full((shape[0], 2, shape[1]), np.nan)
    neutral = {
        "split": np.ones(shape), "dividend": np.zeros(shape), "funding": np.zeros(shape),
        "borrow": np.full(shape, case.rules.costs.borrow_rate), "capacity": np.full(shape, np.inf),
        "roll_from": nan, "roll_to": nan, "finer_open": finer, "finer_high": finer, "finer_low": finer,
    }  # fmt: skip
    quotes = {name: column for name, column in neutral.items() if getattr(case.quotes, name) is None}
    decided = {name: nan for name in ("limit", "stop") if getattr(case.decided, name) is None}
    return case._replace(quotes=case.quotes._replace(**quotes), decided=case.decided._replace(**decided))


@pytest.mark.parametrize(("form", "num_cases"), FORMS)
def test_columns_that_change_nothing_may_be_left_out(form: Callable[..., Ledger], num_cases: int) -> None:
    for seed in range(3000, 3000 + num_cases):
        case = random_case(seed, has_steps=True)
        full = with_neutral_columns(case)
        first = form(case.quotes, case.decided, case.rules, **case.contract)
        assert_same(seed, first, form(full.quotes, full.decided, full.rules, **full.contract))


@pytest.mark.parametrize(("form", "num_cases"), FORMS)
def test_pricing_every_order_by_itself_equals_one_fraction_for_all(form: Callable[..., Ledger], num_cases: int) -> None:
    """No impact or pool as a column of zeros takes the road on which each order has its own price; equal to 1e-12."""
    for seed in range(4000, 4000 + num_cases):
        case = random_case(seed, has_steps=True)
        case = case._replace(quotes=case.quotes._replace(impact=None, pool=None))
        priced = case.quotes._replace(**{("impact", "pool")[seed % 2]: np.zeros_like(case.quotes.close)})
        first = form(case.quotes, case.decided, case.rules, **case.contract)
        second = form(priced, case.decided, case.rules, **case.contract)
        np.testing.assert_allclose(first.equity, second.equity, rtol=1e-12, atol=1e-8, err_msg=f"seed {seed}")
        assert [record[:4] for record in first.records] == [record[:4] for record in second.records], f"seed {seed}"


def test_chunks_of_the_scalar_loop_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    for seed in range(2000, 2030):
        case = random_case(seed, has_steps=True)
        whole = scalar(case)
        monkeypatch.setattr("tradewright.market.scalar.CHUNK_BARS", 7)
        assert_same(seed, whole, scalar(case))
        monkeypatch.undo()
