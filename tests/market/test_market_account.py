"""The values of the bar step: fresh accounts, chosen accounts, unrealised profit; torch keeps float64 and gradients."""

import numpy as np
import pytest
import torch

from tradewright.market.ledger import Quotes, last_marks
from tradewright.market.rules import AccountRules, Costs
from tradewright.market.step import Bar, choose, initial_state, step, unrealised


@pytest.mark.parametrize("xp", [np, torch], ids=["numpy", "torch"])
def test_fresh_accounts_are_flat_with_the_initial_cash(xp: object) -> None:
    marks = xp.asarray(np.array([10.0, np.nan]))
    state = initial_state(xp, AccountRules(initial_cash=5.0, stop_loss=0.1), 3, 2, mark_N=marks)
    assert state.cash_B.tolist() == [5.0] * 3
    assert state.mark_BN.tolist() == [[10.0, 0.0]] * 3
    assert state.stop_loss_BN.tolist() == [[0.1, 0.1]] * 3
    assert bool(xp.isnan(state.trailing_BN).all())
    assert not bool(state.ended_B.any() | state.margin_call_B.any())
    for name, column in state._asdict().items():
        assert column.dtype in (xp.float64, xp.bool), name


def test_unused_fields_are_left_out() -> None:
    state = initial_state(np, AccountRules(), 1, 1)
    assert [name for name, column in state._asdict().items() if column is None] == [
        "entry_BN", "anchor_BN", "stop_loss_BN", "take_profit_BN", "trailing_BN", "blocked_BN",
    ]  # fmt: skip
    assert initial_state(np, AccountRules(), 1, 1, has_entries=True).entry_BN is not None
    assert initial_state(np, AccountRules(), 1, 1, has_stops=True).anchor_BN is not None


@pytest.mark.parametrize("xp", [np, torch], ids=["numpy", "torch"])
def test_chosen_accounts_start_anew_and_others_go_on(xp: object) -> None:
    rules = AccountRules(initial_cash=1_000.0, trailing=0.5)
    fresh = initial_state(xp, rules, 2, 1, mark_N=xp.asarray(np.array([50.0])))
    price = xp.asarray(np.array([50.0]))
    old, _ = step(xp, fresh, xp.asarray(np.array([[0.5], [0.5]])), Bar(price, price, price, price), rules)
    mixed = choose(xp, xp.asarray(np.array([True, False])), fresh, old)
    assert mixed.shares_BN.tolist() == [[0.0], [10.0]]
    assert mixed.cash_B.tolist() == [1_000.0, 500.0]
    assert mixed.anchor_BN.tolist() == [[0.0], [50.0]]


def test_unrealised_profit_is_signed_and_scaled_by_the_multiplier() -> None:
    rules = AccountRules(initial_cash=10_000.0)
    state = initial_state(np, rules, 1, 2, has_entries=True)
    prices = np.array([50.0, 100.0])
    bar = Bar(prices, None, None, np.array([60.0, 110.0]))
    state, _ = step(np, state, np.array([[0.2, -0.3]]), bar, rules, multiplier_N=np.array([2.0, 1.0]))
    np.testing.assert_allclose(unrealised(state, np.array([2.0, 1.0])), [[20 * 10 * 2, -30 * 10]])


def test_gradients_flow_through_the_step() -> None:
    """Analytic gradients equal numerical ones: an agent may learn through the simulator."""
    rules = AccountRules(costs=Costs(fee_bps=5, slippage_bps=5))
    generator = torch.Generator().manual_seed(0)
    steps = torch.randn(6, 3, 1, generator=generator, dtype=torch.float64)
    price = 100 * torch.exp(torch.cumsum(0.01 * steps, 0))
    with torch.inference_mode():
        step(torch, initial_state(torch, rules, 3, 1), price[0] * 0, Bar(price[0], None, None, price[0]), rules)

    def final_equity(weights: torch.Tensor) -> torch.Tensor:
        state = initial_state(torch, rules, 3, 1, has_entries=True)
        for t in range(6):
            bar = Bar(price[t] * 1.001, None, None, price[t])
            state, outcome = step(torch, state, weights[t], bar, rules, detail=False)
        return outcome.equity_B.sum() / 1e5

    weights = (torch.rand(6, 3, 1, generator=generator, dtype=torch.float64) * 1.6 - 0.8).requires_grad_()
    assert torch.autograd.gradcheck(final_equity, (weights,), eps=1e-6, atol=1e-6)


def test_last_marks_carry_prices_over_missing_bars_and_splits() -> None:
    close = np.array([[np.nan, 8.0], [10.0, np.nan], [np.nan, 9.0], [np.nan, np.nan]])
    tradable = ~np.isnan(close)
    quotes = Quotes(close, close, close, close, tradable, np.zeros(4))
    np.testing.assert_array_equal(last_marks(quotes), [[0, 8], [10, 8], [10, 9], [10, 9]])
    split = np.array([[1.0, 1.0], [1.0, 2.0], [1.0, 1.0], [5.0, 1.0]])
    np.testing.assert_array_equal(last_marks(quotes._replace(split=split)), [[0, 8], [10, 4], [10, 9], [2, 9]])
