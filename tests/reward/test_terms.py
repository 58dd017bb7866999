"""Every term equals its formula: loops over plain floats beside it, and figures worked out by hand.

Legend: T bars, B accounts.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import reward_formulas as formulas
import torch
from reward_formulas import Bars
from reward_paths import CPU, Course, random_course, values_of

from tradewright.reward.growth import (
    BenchmarkTerm,
    CostTerm,
    LogReturnTerm,
    RealisedTerm,
    TurnoverTerm,
    UnrealisedTerm,
)
from tradewright.reward.reward import BarChange
from tradewright.reward.risk import ConsistencyTerm, DrawdownTerm, MaxDrawdownTerm, SharpeTerm, SortinoTerm
from tradewright.reward.term import Term
from tradewright.reward.trades import WinLossTerm, WinningStreakTerm, WinRateTerm

MOMENTS = {"adaptation_rate": 0.05, "initial_volatility": 0.02}
CASES: list[tuple[Term, Callable[[Bars], list[float]]]] = [
    (LogReturnTerm(), formulas.log_return),
    (BenchmarkTerm(), formulas.benchmark),
    (TurnoverTerm(), formulas.turnover),
    (RealisedTerm(), formulas.realised),
    (UnrealisedTerm(), formulas.unrealised),
    (CostTerm(), formulas.cost),
    (DrawdownTerm(measure="level"), formulas.drawdown_level),
    (DrawdownTerm(), formulas.drawdown_increase),
    (MaxDrawdownTerm(), formulas.max_drawdown),
    (SharpeTerm(**MOMENTS), formulas.sharpe),
    (SharpeTerm(**MOMENTS, floor=0.0), partial(formulas.sharpe, floor=0.0)),
    (SortinoTerm(**MOMENTS, floor=0.0), formulas.sortino),
    (ConsistencyTerm(adaptation_rate=0.05), formulas.consistency),
    (WinningStreakTerm(longest=3), formulas.winning_streak),
    (WinRateTerm(), formulas.win_rate),
    (WinLossTerm(), formulas.win_loss),
]


@pytest.mark.row("B16")
@pytest.mark.row("B18")
@pytest.mark.row("N23")
@pytest.mark.row("N25")
@pytest.mark.row("N27")
@pytest.mark.parametrize(("term", "formula"), CASES, ids=lambda x: getattr(x, "__name__", ""))
def test_term_equals_its_formula_for_every_account(term: Term, formula: Callable[[Bars], list[float]]) -> None:
    largest = 0.0
    for seed in range(3):
        course = random_course(seed)
        got_TB = values_of(term, course)
        for b in range(got_TB.shape[1]):
            wanted = formula({name: x_TB[:, b].tolist() for name, x_TB in course.items()})
            np.testing.assert_allclose(got_TB[:, b], wanted, rtol=1e-9, atol=1e-12)
            largest = max(largest, *map(abs, wanted))
    assert largest > 0


@pytest.mark.parametrize(("term", "formula"), CASES, ids=lambda x: getattr(x, "__name__", ""))
def test_each_account_is_on_its_own(term: Term, formula: Callable[[Bars], list[float]]) -> None:
    course = random_course(7)
    together_TB = values_of(term, course)
    for b in range(together_TB.shape[1]):
        alone: Course = {name: x_TB[:, [b]] for name, x_TB in course.items()}
        np.testing.assert_array_equal(together_TB[:, [b]], values_of(term, alone))


def slope(term: Term, state: dict[str, float], r: float, ratio: Callable[[dict[str, float]], float]) -> None:
    """Check D_t against the change of the ratio itself for a very small η."""
    tensors = {name: torch.tensor([x], dtype=torch.float64) for name, x in state.items()}
    one = torch.ones(1, dtype=torch.float64)
    got, moved = term(tensors, BarChange(one, one + r, one + max(r, 0.0), torch.tensor([False])))
    after = {name: float(x) for name, x in moved.items()}
    assert (ratio(after) - ratio(state)) / 1e-7 == pytest.approx(float(got), rel=1e-4)


@pytest.mark.row("B16")
@pytest.mark.parametrize("floor", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("r", [0.012, -0.008, 0.0])
def test_differential_sharpe_is_the_slope_of_the_exponential_sharpe_ratio(r: float, floor: float) -> None:
    """S_t(η) - S_{t-1}(η) ≈ η D_t for small η (Moody and Saffell, eq. 13)."""
    state = {"mean": 0.0005, "variance": 1.3e-4}
    slope(
        SharpeTerm(adaptation_rate=1e-7, initial_volatility=0.02, floor=floor), state, r,
        lambda x: x["mean"] / math.sqrt(x["variance"] + (floor * 0.02) ** 2),
    )  # fmt: skip


@pytest.mark.parametrize("floor", [0.0, 0.1, 0.7])
@pytest.mark.parametrize("r", [0.012, -0.008, 0.0])
def test_differential_sortino_is_the_slope_of_the_exponential_ratio_with_its_floor(r: float, floor: float) -> None:
    state = {"mean": 0.0005, "downside": 0.9e-4}
    slope(
        SortinoTerm(adaptation_rate=1e-7, initial_volatility=0.02, floor=floor), state, r,
        lambda x: x["mean"] / math.sqrt(x["downside"] + (floor * 0.02) ** 2),
    )  # fmt: skip


def after_equal_returns(term: Term, steady: float, num_bars: int, last: float) -> float:
    """Return the reward of one last return after many equal ones."""
    growth = np.append(np.full(num_bars, 1.0 + steady), 1.0 + last)[:, None]
    equity = np.vstack([[[1.0]], np.cumprod(growth, axis=0)])
    return float(values_of(term, {"before_B": equity[:-1], "after_B": equity[1:], "peak_B": equity[1:]})[-1, 0])


def test_floor_bounds_the_sortino_ratio_of_an_account_that_did_not_lose_for_long() -> None:
    assert after_equal_returns(SortinoTerm(), 0.0, 5_000, 0.01) == pytest.approx(10.0, rel=1e-6)
    assert after_equal_returns(SortinoTerm(floor=0.0), 0.0, 5_000, 0.01) > 1e9


@pytest.mark.parametrize(("rate", "num_bars"), [(0.01, 2_500), (0.1, 7_500)])
def test_floor_bounds_the_sharpe_ratio_of_an_account_that_stayed_flat_for_long(rate: float, num_bars: int) -> None:
    """A = V = 0, so that D = R / f = 0.01 / 0.001."""
    assert after_equal_returns(SharpeTerm(adaptation_rate=rate), 0.0, num_bars, 0.01) == pytest.approx(10.0, rel=1e-6)


@pytest.mark.parametrize("steady", [3e-4, -3e-4, 0.003, 1e-3])
@pytest.mark.parametrize("last", [0.01, -0.01])
def test_floor_bounds_the_sharpe_ratio_after_equal_returns(steady: float, last: float) -> None:
    """A = R and V = 0, so that D = ΔA / f - ½ A ΔA² / f³ with ΔA = last - R and f = 0.001."""
    change = last - steady
    wanted = change / 1e-3 - 0.5 * steady * change**2 / 1e-9
    got = after_equal_returns(SharpeTerm(adaptation_rate=0.1), steady, 3_000, last)
    assert got == pytest.approx(wanted, rel=1e-6)


@pytest.mark.row("B18")
@pytest.mark.row("N25")
def test_drawdowns_by_hand() -> None:
    equity = np.array([[100.0], [90.0], [95.0], [80.0], [110.0], [99.0]])
    course = {"before_B": equity[:-1], "after_B": equity[1:], "peak_B": np.maximum.accumulate(equity)[1:]}
    levels = values_of(DrawdownTerm(measure="level"), course)[:, 0]
    assert levels == pytest.approx([-0.10, -0.05, -0.20, 0.0, -0.10])
    assert values_of(DrawdownTerm(), course)[:, 0] == pytest.approx([-0.10, 0.0, -0.15, 0.0, -0.10])
    assert values_of(MaxDrawdownTerm(), course)[:, 0] == pytest.approx([-0.10, 0.0, -0.10, 0.0, 0.0])


@pytest.mark.row("B18")
def test_consistency_by_hand_pays_winners_and_never_costs() -> None:
    equity = np.cumprod([[1.0], [1.1], [1.0], [0.9], [0.9], [1.1]], axis=0)
    course = {"before_B": equity[:-1], "after_B": equity[1:], "peak_B": equity[1:]}
    got = values_of(ConsistencyTerm(adaptation_rate=0.5), course)[:, 0]
    assert got == pytest.approx([0.5, 0.25, 0.0, 0.0, 0.1875 - 0.03125])


def trades(*bars: tuple[float, float, float, float]) -> Course:
    """Bars of (closed trades, won trades, net P&L, P&L of the won ones)."""
    names = ("num_closed_B", "num_won_B", "closed_B", "won_B")
    columns = {name: np.array([[bar[i]] for bar in bars], dtype=float) for i, name in enumerate(names)}
    flat = np.ones((len(bars), 1))
    return {"before_B": flat, "after_B": flat, "peak_B": flat, **columns}


@pytest.mark.row("N23")
def test_winning_streak_by_hand_grows_to_its_longest_and_ends_with_a_loss() -> None:
    win, loss, none = (1, 1, 5.0, 5.0), (1, 0, -3.0, 0.0), (0, 0, 0.0, 0.0)
    bars = (win, none, win, win, loss, win, (1, 0, 0.0, 0.0), win, (2, 2, 8.0, 8.0), (2, 1, 1.0, 4.0), win)
    got = values_of(WinningStreakTerm(longest=2), trades(*bars))[:, 0]
    assert got.tolist() == [1, 0, 2, 2, 0, 1, 0, 1, 2, 0, 1]


@pytest.mark.row("N27")
def test_win_rate_and_win_against_loss_by_hand() -> None:
    """Before a trade, and before there was one of each, the figures are undefined and the terms 0."""
    bars = ((0, 0, 0.0, 0.0), (1, 1, 6.0, 6.0), (0, 0, 0.0, 0.0), (1, 0, -2.0, 0.0), (2, 1, -2.0, 4.0))
    rates = values_of(WinRateTerm(), trades(*bars))[:, 0]
    assert rates == pytest.approx([0.0, 0.5, 0.0, 0.0, 0.0])
    rates = values_of(WinRateTerm(), trades(*bars, (1, 0, -1.0, 0.0)))[-1, 0]
    assert rates == pytest.approx(2 / 5 - 0.5)
    balance = values_of(WinLossTerm(), trades(*bars))[:, 0]
    assert balance == pytest.approx([0.0, 0.0, 0.0, (6 - 2) / (6 + 2), (5 - 4) / (5 + 4)])


def test_states_are_one_number_per_account() -> None:
    for term, _ in CASES:
        for value_B in term.initial(4, CPU).values():
            assert value_B.shape == (4,)
            assert value_B.dtype == torch.float64


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SharpeTerm(adaptation_rate=1), r"adaptation_rate must be in \(0, 1\), was 1"),
        (lambda: SharpeTerm(initial_volatility=0), "initial_volatility must be > 0, was 0"),
        (lambda: SharpeTerm(floor=-1), "floor must be >= 0, was -1"),
        (lambda: SortinoTerm(floor=-1), "floor must be >= 0, was -1"),
        (lambda: ConsistencyTerm(adaptation_rate=0), r"adaptation_rate must be in \(0, 1\), was 0"),
        (lambda: DrawdownTerm(measure="depth"), "measure must be one of increase, level, was 'depth'"),
        (lambda: WinningStreakTerm(longest=0), "longest must be >= 1, was 0"),
    ],
)
def test_bad_arguments_are_refused(build: Callable[[], Term], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()
