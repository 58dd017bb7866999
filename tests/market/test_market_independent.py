"""The accounting equals a second one, written from the rules alone (``independent.py``), on random markets and orders.

Every case may use any feature: contracts, costs, carry, actions, rolls, entries, stops, finer bars, margin calls, ends.
"""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from independent import Simulation

from market_cases import random_case
from tradewright.market.scalar import run_account
from tradewright.market.wide import run_wide

TOLERANCE = 1e-9
NUM_EXAMPLES = 300
NUM_EXAMPLES_SLOW = 12_000
seeds = st.integers(0, 2**63 - 1)


def check(seed: int, *, is_wide: bool = False) -> None:
    """Compare equity, cash, shares, the number of fills and the end; relative to the largest equity so far."""
    case = random_case(seed)
    form = run_wide if is_wide else run_account
    ledger = form(case.quotes, case.decided, case.rules, **case.contract)
    simulation = Simulation(case)
    equity = np.array(simulation.run())
    scale = np.maximum.accumulate(np.maximum(np.abs(ledger.equity), case.rules.initial_cash))
    np.testing.assert_array_less(np.abs(equity - ledger.equity), TOLERANCE * scale, err_msg=f"seed {seed}")
    assert abs(simulation.cash - ledger.cash[-1]) < TOLERANCE * (scale[-1] + np.abs(ledger.cash).max())
    shares = [holding.shares for holding in simulation.holdings]
    np.testing.assert_allclose(shares, ledger.shares[-1], rtol=1e-9, atol=1e-12 * np.abs(ledger.shares).max())
    assert simulation.num_fills == sum(record[4] != 0 for record in ledger.records), f"seed {seed}"
    assert simulation.ended_at == ledger.ended_at, f"seed {seed}"


@pytest.mark.row("B28")
@settings(max_examples=NUM_EXAMPLES, deadline=None, derandomize=True)
@given(seeds)
def test_accounting_equals_an_independent_simulation(seed: int) -> None:
    check(seed)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(seeds)
def test_bar_step_equals_an_independent_simulation(seed: int) -> None:
    check(seed, is_wide=True)


@pytest.mark.slow
@settings(max_examples=NUM_EXAMPLES_SLOW, deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
@given(seeds)
def test_accounting_equals_an_independent_simulation_over_many_markets(seed: int) -> None:
    check(seed)
