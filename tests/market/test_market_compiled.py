"""The compiled loop gives the bits of the plain one; without ``numba`` the error says how to get it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from market_cases import random_case
from tradewright.errors import ConfigError, MarketError
from tradewright.market.compiled import LOOP, cache_folder, compiled_machine
from tradewright.market.ledger import Ledger
from tradewright.market.rules import AccountRules, Costs
from tradewright.market.scalar import run_account

NUM_CASES = 3_000
NO_NUMBA = "numba is an optional extra"


@pytest.fixture(scope="module")
def _own_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A machine compiled for these tests alone, kept in a folder of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NUMBA_CACHE_DIR", str(tmp_path_factory.mktemp("numba")))
        compiled_machine.cache_clear()
        yield
        compiled_machine.cache_clear()


def test_without_numba_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "numba", None)
    compiled_machine.cache_clear()
    case = random_case(0)
    with pytest.raises(ConfigError, match=r"compiled=True needs numba: pip install 'tradewright\[numba\]'"):
        run_account(case.quotes, case.decided, case.rules, **case.contract, compiled=True)


def test_compiled_code_is_kept_by_source_and_never_outlives_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    pytest.importorskip("numba", reason=NO_NUMBA)
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    first = cache_folder()
    assert first.parent == tmp_path
    changed = tmp_path / "scalar_loop.py"
    changed.write_bytes(Path(str(LOOP[-1].__file__)).read_bytes() + b"\n# changed\n")
    monkeypatch.setattr(LOOP[-1], "__file__", str(changed))
    assert cache_folder() != first


def bits(ledger: Ledger) -> list[object]:
    """Everything a ledger holds, floats as their bits; a zero has no sign here."""
    columns = [ledger.equity, ledger.cash, ledger.shares, ledger.mark, np.zeros(1), ledger.carry_TN]
    arrays = [None if column is None else (column + 0.0).tobytes() for column in columns]
    totals = (ledger.interest, ledger.borrow, ledger.dividend, ledger.funding, ledger.ended_at)
    return [*arrays, totals, ledger.records]


@pytest.mark.slow
@pytest.mark.usefixtures("_own_machine")
def test_compiled_loop_gives_the_bits_of_the_plain_one() -> None:
    pytest.importorskip("numba", reason=NO_NUMBA)
    for seed in range(NUM_CASES):
        case = random_case(seed, has_steps=True)
        plain = run_account(case.quotes, case.decided, case.rules, **case.contract)
        compiled = run_account(case.quotes, case.decided, case.rules, **case.contract, compiled=True)
        assert bits(plain) == bits(compiled), f"seed {seed}"
        assert type(compiled.records) is list
        assert all(type(value) in (int, float) for record in compiled.records for value in record)


@pytest.mark.slow
@pytest.mark.usefixtures("_own_machine")
def test_compiled_loop_refuses_prices_below_zero_as_the_plain_one() -> None:
    pytest.importorskip("numba", reason=NO_NUMBA)
    case = random_case(3, num=1)
    quotes = case.quotes._replace(impact=np.full_like(case.quotes.close, 1e3))
    rules = AccountRules(initial_cash=10_000.0, costs=Costs())
    messages = []
    for compiled in (False, True):
        with pytest.raises(MarketError, match=r"instrument number 0: an order of .* would fill at -") as error:
            run_account(quotes, case.decided._replace(limit=None, stop=None), rules, compiled=compiled)
        messages.append(str(error.value))
    assert messages[0] == messages[1]
