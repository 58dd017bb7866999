"""The lean form of the bar step gives the numbers of the full one, whatever the accounts do and pay.

Legend: B accounts.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.account_step import AccountStep
from tradewright.env.continuous import Continuous
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.simulator import Simulator
from tradewright.errors import ConfigError
from tradewright.features.features import Features
from tradewright.market.rules import AccountRules, Costs
from tradewright.reward.log_return import LogReturn

NUM_ACCOUNTS = 64
NUM_STEPS = 120


def wild(panel: Panel, factor: float) -> Panel:
    """The panel with moves ``factor`` times as large, which brings accounts to their margin lines and below zero."""
    names = ("open_TN", "high_TN", "low_TN", "close_TN")
    return replace(panel, **{name: 100.0 * (getattr(panel, name) / 100.0) ** factor for name in names})


def simulator_on(panel: Panel, rules: AccountRules, *, specialise: bool, seed: int = 0, **keys: Any) -> Simulator:
    x_TNF = np.zeros((*panel.close_TN.shape, 1), dtype=np.float32)
    simulator = Simulator(
        market=MarketTensors.build(panel, Features(x_TNF=x_TNF, names_F=("zero",), ready_from=0)),
        env=Continuous(window=1, episode_bars=40, lowest_weight=-3.0, highest_weight=3.0, **keys),
        rules=rules,
        rows=Range(0, panel.num_bars),
        num_envs=NUM_ACCOUNTS,
        reward=LogReturn(),
        generator=torch.Generator().manual_seed(seed),
    )
    rules, costs = simulator.rules.account, simulator.costs
    simulator._step = AccountStep(simulator._execution, rules, costs, specialise=specialise)
    return simulator


def assert_same(lean: Simulator, full: Simulator, context: str) -> None:
    """Compare everything about the accounts with ``==``; NaN equals NaN."""
    for name, value in lean.account._asdict().items():
        other = getattr(full.account, name)
        assert (value is None) == (other is None), (name, context)
        if value is not None:
            np.testing.assert_array_equal(value, other, err_msg=f"{name} {context}")
    for name in ("row_B", "equity_B", "peak_B", "holding_B"):
        np.testing.assert_array_equal(getattr(lean, name), getattr(full, name), err_msg=f"{name} {context}")


def random_rules(rng: np.random.Generator) -> AccountRules:
    """Return rules that the lean form takes."""

    def sometimes(value: float) -> float:
        return value if rng.random() < 0.6 else 0.0

    return AccountRules(
        initial_cash=float(rng.choice([1e3, 1e6])),
        leverage=float(rng.choice([0.5, 1.0, 1.0, 3.0])),
        allow_short=bool(rng.random() < 0.7),
        maintenance_margin=float(rng.choice([0.0, 0.25, 0.5])),
        costs=Costs(
            fee_bps=sometimes(7.0),
            slippage_bps=sometimes(4.0),
            borrow_rate=sometimes(0.1),
            cash_rate=sometimes(float(rng.choice([0.03, -0.02]))),
        ),
    )


def random_weights(rng: np.random.Generator) -> torch.Tensor:
    """Return targets of every kind: none, flat, tiny changes, beyond the leverage cap."""
    weights_B = rng.uniform(-3.5, 3.5, NUM_ACCOUNTS)
    kind_B = rng.random(NUM_ACCOUNTS)
    weights_B[kind_B < 0.2] = np.nan
    weights_B[(kind_B > 0.2) & (kind_B < 0.3)] = 0.0
    weights_B[(kind_B > 0.3) & (kind_B < 0.4)] = 1.0
    return torch.from_numpy(weights_B)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("factor", [1.0, 25.0])
@pytest.mark.parametrize("keys", [{}, {"cost_range": (0.0, 3.0)}])
def test_lean_form_equals_the_full_one(
    panel_of: Callable[..., Panel], seed: int, factor: float, keys: dict[str, Any]
) -> None:
    rng = np.random.default_rng([seed, int(factor)])
    rules = random_rules(rng)
    panel = wild(panel_of(200, 3, seed=seed), factor)
    if seed % 3 == 0:
        instruments = tuple(replace(i, multiplier=m) for i, m in zip(panel.instruments, (1.0, 5.0, 50.0), strict=True))
        panel = replace(panel, instruments=instruments)
    lean, full = (simulator_on(panel, rules, specialise=x, seed=seed, **keys) for x in (True, False))
    assert lean._step._is_lean
    assert not full._step._is_lean
    for number in range(NUM_STEPS):
        weights_B = random_weights(rng)
        moved, expected = lean.step_weights(weights_B), full.step_weights(weights_B)
        context = f"step {number}, seed {seed}: {rules}"
        for name in ("reward_B", "terminated_B", "truncated_B"):
            np.testing.assert_array_equal(getattr(moved, name), getattr(expected, name), err_msg=f"{name} {context}")
        assert_same(lean, full, context)
        for simulator in (lean, full):
            simulator.restart(moved.terminated_B | moved.truncated_B)
        assert_same(lean, full, context)


def test_the_wild_markets_of_this_test_end_accounts(panel_of: Callable[..., Panel]) -> None:
    """Else the comparison above would say nothing of the way back to the full form."""
    simulator = simulator_on(wild(panel_of(200), 25.0), AccountRules(leverage=3.0), specialise=True)
    rng, num_ended, num_calls = np.random.default_rng(0), 0, 0
    for _ in range(NUM_STEPS):
        moved = simulator.step_weights(random_weights(rng))
        num_ended += int(moved.terminated_B.sum())
        num_calls += int(simulator.account.margin_call_B.sum())
        simulator.restart(moved.terminated_B | moved.truncated_B)
    assert num_ended > 5
    assert num_calls > 20


def test_gradient_of_the_lean_form_equals_that_of_the_full_one(panel_of: Callable[..., Panel]) -> None:
    rules = AccountRules(costs=Costs(fee_bps=7.0, slippage_bps=4.0))
    gradients = []
    for specialise in (True, False):
        simulator = simulator_on(panel_of(200), rules, specialise=specialise)
        weights_SB = torch.linspace(-0.9, 0.9, 5 * NUM_ACCOUNTS, dtype=torch.float64).view(5, -1).requires_grad_()
        for weights_B in weights_SB:
            simulator.step_weights(weights_B)
        simulator.equity_B.sum().backward()
        gradients.append(weights_SB.grad)
    assert float(gradients[0].abs().min()) > 0
    torch.testing.assert_close(*gradients, rtol=1e-9, atol=1e-9)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, when its compiler is imported
def test_compiled_form_equals_the_lean_one(panel_of: Callable[..., Panel]) -> None:
    """Slow because the compiler takes half a minute."""
    rng, rules = np.random.default_rng(0), AccountRules(costs=Costs(fee_bps=7.0, slippage_bps=4.0))
    panel = panel_of(200, 3)
    compiled, lean = (simulator_on(panel, rules, specialise=True) for _ in range(2))
    compiled._step = AccountStep(compiled._execution, rules, None, compile=True)
    for number in range(NUM_STEPS):
        weights_B = random_weights(rng)
        moved = [simulator.step_weights(weights_B) for simulator in (compiled, lean)]
        assert_same(compiled, lean, f"step {number}")
        for simulator in (compiled, lean):
            simulator.restart(moved[1].terminated_B | moved[1].truncated_B)


def test_compiling_without_a_compiler_is_refused(
    panel_of: Callable[..., Panel], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(ConfigError, match=r"^env\.compile_step needs a C\+\+ compiler, found none of no-such-compiler"):
        simulator_on(panel_of(100), AccountRules(), specialise=True, compile_step=True)


def test_restarted_accounts_are_as_fresh_ones(panel_of: Callable[..., Panel]) -> None:
    """Whether an account is in trouble decides how others are restarted; both ways lead to ``initial_state``."""
    panel = wild(panel_of(200), 25.0)
    for number in range(40):
        simulator = simulator_on(panel, AccountRules(leverage=3.0), specialise=True, seed=number)
        rng = np.random.default_rng(number)
        for _ in range(4):
            simulator.step_weights(random_weights(rng))
        restarted_B = torch.arange(NUM_ACCOUNTS) < 20
        old = simulator.account
        simulator.restart(restarted_B)
        fresh = simulator._fresh_accounts(simulator.row_B)
        for name, value in simulator.account._asdict().items():
            if value is not None:
                np.testing.assert_array_equal(value[:20], getattr(fresh, name)[:20], err_msg=name)
                np.testing.assert_array_equal(value[20:], getattr(old, name)[20:], err_msg=name)
