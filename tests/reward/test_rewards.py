"""Every option of group ``reward``: its formula, its logged terms, bankrupt accounts, refusals.

Legend: T bars, B accounts.
"""

import itertools
import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import reward_formulas as formulas
import torch
from omegaconf import OmegaConf
from reward_cases import FOLDER, OPTIONS, option
from reward_paths import CPU, Course, changes_of, random_course

from tradewright.errors import ConfigError, MarketError
from tradewright.reward.composite import TERMS, Composite
from tradewright.reward.differential_sharpe import DifferentialSharpe
from tradewright.reward.drawdown import Drawdown
from tradewright.reward.futures import Futures
from tradewright.reward.log_return import LogReturn
from tradewright.reward.reward import NEEDS, Reward, needs_of, require_finite
from tradewright.reward.term import BANKRUPT
from tradewright.reward.trading_bot import TradingBot
from tradewright.reward.turnover import Turnover

RATE = {"adaptation_rate": 0.05, "initial_volatility": 0.02}
EVERY_TERM = {name: {"weight": 0.1 + 0.1 * place} for place, name in enumerate(TERMS)}


def bars_of(course: Course, b: int) -> formulas.Bars:
    return {name: x_TB[:, b].tolist() for name, x_TB in course.items()}


def run(reward: Reward, course: Course, ended_TB: np.ndarray | None = None) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return the rewards and their terms over a course, ``[T, B]``."""
    state = reward.initial(course["after_B"].shape[1], CPU)
    rewards, terms = [], []
    for change in changes_of(course, ended_TB):
        reward_B, state, terms_B = reward(state, change)
        rewards.append(reward_B.numpy())
        terms.append({name: term_B.numpy() for name, term_B in terms_B.items()})
    return np.array(rewards), {name: np.array([term[name] for term in terms]) for name in terms[0]}


def test_log_returns_sum_to_the_growth_of_the_account() -> None:
    course = random_course(0)
    rewards_TB, terms = run(LogReturn(scale=10.0), course)
    growth_B = np.log(course["after_B"][-1] / course["before_B"][0])
    np.testing.assert_allclose(rewards_TB.sum(0), 10.0 * growth_B, rtol=1e-12)
    assert terms == {}


SUMS: dict[str, tuple[dict[str, Any], float, dict[str, Any]]] = {
    "log_return": ({}, 100.0, {"log_return": 1.0}),
    "differential_sharpe": (RATE, 1.0, {"sharpe": 1.0}),
    "differential_sortino": ({**RATE, "floor": 0.0}, 1.0, {"sortino": 1.0}),
    "drawdown": ({"penalty": 0.3}, 100.0, {"log_return": 1.0, "drawdown_increase": 0.3}),
    "turnover": ({"penalty": 0.02}, 100.0, {"log_return": 1.0, "turnover": 0.02}),
    "benchmark": ({"weight": 0.8}, 100.0, {"log_return": 1.0, "benchmark": 0.8}),
    "trading_bot": (
        {**RATE, "sharpe_weight": 0.2, "drawdown_penalty": 0.3, "consistency_bonus": 0.4},
        100.0,
        {"log_return": 1.0, "sharpe": 0.2, "drawdown_increase": 0.3, "consistency": 0.4},
    ),
    "futures": (
        {
            **RATE, "realised_weight": 1.1, "unrealised_weight": 1.2, "cost_weight": 1.3, "drawdown_penalty": 0.4,
            "max_drawdown_penalty": 0.5, "streak_bonus": 0.6, "longest_streak": 3, "sharpe_weight": 0.7,
            "win_rate_weight": 0.8, "win_loss_weight": 0.9,
        },
        100.0,
        {
            "realised": 1.1, "unrealised": 1.2, "cost": 1.3, "drawdown_level": 0.4, "max_drawdown": 0.5,
            "winning_streak": 0.6, "sharpe": 0.7, "win_rate": 0.8, "win_loss": 0.9,
        },
    ),
    "composite": (
        {"terms": {"turnover": {"weight": 3.0}, "drawdown": {"weight": 2.0, "measure": "level"}}},
        100.0,
        {"log_return": 1.0, "drawdown_level": 2.0, "turnover": 3.0},
    ),
}  # fmt: skip


@pytest.mark.row("B16")
@pytest.mark.row("B18")
@pytest.mark.row("N23")
@pytest.mark.row("N24")
@pytest.mark.row("N25")
@pytest.mark.row("N27")
@pytest.mark.parametrize("name", OPTIONS)
def test_reward_and_its_logged_terms_equal_the_formulas(name: str) -> None:
    keys, scale, weights = SUMS[name]
    course = random_course(1)
    rewards_TB, terms = run(option(name, **keys), course)
    for b in range(rewards_TB.shape[1]):
        bars = bars_of(course, b)
        wanted = {key: scale * weight * np.array(getattr(formulas, key)(bars)) for key, weight in weights.items()}
        np.testing.assert_allclose(rewards_TB[:, b], sum(wanted.values()), rtol=1e-9, atol=1e-10)
        logged = {key: term_TB[:, b] for key, term_TB in terms.items() if key != BANKRUPT}
        if logged:
            for (key, got_T), wanted_T in zip(logged.items(), wanted.values(), strict=True):
                np.testing.assert_allclose(got_T, wanted_T, rtol=1e-9, atol=1e-10, err_msg=key)


def test_every_option_is_compared_with_its_formula() -> None:
    assert sorted(SUMS) == OPTIONS


@pytest.mark.row("B18")
@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("seed", range(3))
def test_logged_terms_add_up_to_the_reward_also_where_accounts_end(name: str, seed: int) -> None:
    course = random_course(seed)
    keys = {"terms": EVERY_TERM} if name == "composite" else {}
    ended_TB = np.cumsum(np.random.default_rng(seed).random(course["after_B"].shape) < 0.02, axis=0) > 0
    course["after_B"] = np.where(ended_TB, -50.0, course["after_B"])
    course["before_B"][1:] = course["after_B"][:-1]
    rewards_TB, terms = run(option(name, bankrupt_reward=-7.0, **keys), course, ended_TB)
    assert np.isfinite(rewards_TB).all()
    assert ended_TB.any()
    assert (rewards_TB[ended_TB] == -7.0).all()
    if terms:
        np.testing.assert_allclose(sum(terms.values()), rewards_TB, rtol=1e-12, atol=1e-12)
        assert not any(term_TB[ended_TB].any() for key, term_TB in terms.items() if key != BANKRUPT)


@pytest.mark.parametrize("name", OPTIONS)
def test_leaving_out_what_ended_accounts_need_changes_nothing(name: str) -> None:
    reward, course = option(name), random_course(2)
    states = [reward.initial(3, CPU) for _ in range(2)]
    for change in changes_of(course):
        both = [reward(state, replace(change, can_end=flag)) for state, flag in zip(states, (True, False), strict=True)]
        assert torch.equal(both[0].reward_B, both[1].reward_B)
        assert list(both[0].terms) == list(both[1].terms)
        states = [rewarded.state for rewarded in both]


@pytest.mark.parametrize("name", OPTIONS)
def test_end_of_one_account_leaves_the_others_alone(name: str) -> None:
    course = random_course(2)
    calm_TB, _ = run(option(name), course)
    ended_TB = np.zeros(calm_TB.shape, dtype=bool)
    ended_TB[10:, 0] = True
    with_end = {key: x_TB.copy() for key, x_TB in course.items()}
    with_end["after_B"][10:, 0] = -1.0
    rewards_TB, _ = run(option(name), with_end, ended_TB)
    np.testing.assert_array_equal(rewards_TB[:, 1:], calm_TB[:, 1:])
    np.testing.assert_array_equal(rewards_TB[:10], calm_TB[:10])


@pytest.mark.parametrize("name", OPTIONS)
def test_options_share_their_keys_and_ask_only_for_what_exists(name: str) -> None:
    text = (FOLDER / f"{name}.yaml").read_text()
    assert text.startswith("# ")
    assert {"scale", "bankrupt_reward"} <= set(OmegaConf.create(text))
    reward = option(name)
    assert reward.needs <= NEEDS
    course = {key: x_TB for key, x_TB in random_course(3).items() if key not in NEEDS - reward.needs}
    rewards_TB, _ = run(reward, course)
    assert np.isfinite(rewards_TB).all()


def test_scale_multiplies_all_terms_but_not_the_reward_of_bankruptcy() -> None:
    course = random_course(4)
    ended_TB = np.zeros(course["after_B"].shape, dtype=bool)
    ended_TB[-1] = True
    for name in OPTIONS:
        one, other = (run(option(name, scale=scale, bankrupt_reward=-3.0), course, ended_TB)[0] for scale in (1.0, 8.0))
        np.testing.assert_allclose(other[:-1], 8.0 * one[:-1], rtol=1e-12)
        assert (one[-1] == -3.0).all()
        assert (other[-1] == -3.0).all()


def test_a_weight_of_zero_leaves_a_term_out_and_what_only_it_needed() -> None:
    plain = Futures(streak_bonus=0.0, win_rate_weight=0.0, win_loss_weight=0.0, sharpe_weight=0.0)
    assert plain.needs == {"realised_B", "unrealised_B", "cost_B", "slippage_B"}
    _, terms = run(plain, random_course(5))
    assert list(terms) == ["realised", "unrealised", "cost", "drawdown", "max_drawdown", BANKRUPT]
    assert Composite(terms={"log_return": {}, "turnover": None, "cost": {"weight": 0}}).needs == set()


def test_rewards_are_differentiable_in_equity() -> None:
    """Gradients are finite too where an account ended: nothing undefined is computed and thrown away."""
    course = random_course(6)
    ended_TB = np.zeros(course["after_B"].shape, dtype=bool)
    ended_TB[1, 0] = True
    course["after_B"][1, 0] = -5.0
    for name in OPTIONS:
        reward = option(name)
        state = reward.initial(3, CPU)
        total = torch.zeros((), dtype=torch.float64)
        start = torch.ones(3, dtype=torch.float64, requires_grad=True)
        for change in itertools.islice(changes_of(course, ended_TB), 2):
            object.__setattr__(change, "after_B", change.after_B * start)
            reward_B, state, _ = reward(state, change)
            total = total + reward_B.sum()
        total.backward()
        assert torch.isfinite(start.grad).all(), name


def test_non_finite_rewards_raise_and_name_reward_and_term() -> None:
    with pytest.raises(MarketError, match=r"^reward=log_return: 2 of 3 rewards are not finite numbers$"):
        require_finite(torch.tensor([1.0, math.nan, math.inf]), "log_return")
    means = {"log_return": 0.1, "turnover": math.nan, "cost": -math.inf}
    with pytest.raises(MarketError, match=r"reward=mine \(term turnover, cost\): 1 of 1 rewards are not"):
        require_finite(torch.tensor([math.nan]), "mine", lambda: means)
    require_finite(torch.tensor([1.0]), "mine", lambda: pytest.fail("terms are read only for the error"))


@pytest.mark.parametrize("name", OPTIONS)
def test_a_wrong_number_is_passed_on_and_never_mended(name: str) -> None:
    course = random_course(8)
    course["after_B"][5, 1] = math.nan
    rewards_TB, terms = run(option(name), course)
    assert math.isnan(rewards_TB[5, 1])
    assert np.isfinite(rewards_TB[:, [0, 2]]).all()
    assert not terms or any(math.isnan(term_TB[5, 1]) for term_TB in terms.values())


@pytest.mark.parametrize("need", sorted(NEEDS))
def test_no_wrong_input_gets_lost(need: str) -> None:
    course = random_course(9)
    course[need][-1] = math.nan
    course["num_closed_B"][-1] = math.nan if need == "num_closed_B" else 1.0
    rewards_TB, _ = run(option("composite", terms=EVERY_TERM), course)
    assert np.isnan(rewards_TB[-1]).all()


@pytest.mark.parametrize(
    ("build_it", "message"),
    [
        (lambda: LogReturn(scale=0), "scale must be > 0, was 0"),
        (lambda: Drawdown(scale=-1), "scale must be > 0, was -1"),
        (lambda: LogReturn(bankrupt_reward=1), "bankrupt_reward must be <= 0, was 1"),
        (lambda: Futures(bankrupt_reward=1), "bankrupt_reward must be <= 0, was 1"),
        (lambda: DifferentialSharpe(adaptation_rate=1), r"adaptation_rate must be in \(0, 1\), was 1"),
        (lambda: Drawdown(penalty=-1), "penalty must be >= 0, was -1"),
        (lambda: Turnover(penalty=math.nan), "penalty must be >= 0, was nan"),
        (lambda: TradingBot(consistency_bonus=-1), "consistency_bonus must be >= 0, was -1"),
        (lambda: Futures(win_loss_weight=math.inf), "weight of win_loss must be a finite number, was inf"),
        (lambda: Composite(terms={"log_return": {"weight": 0}}), "a weight must be other than 0, were all 0"),
        (lambda: Composite(terms={"log_retrun": {}}), "terms has no 'log_retrun'; did you mean 'log_return'"),
        (lambda: Composite(terms={"cost": {"wieght": 1}}), "terms.cost has no key 'wieght'; did you mean 'weight'"),
        (lambda: Composite(terms={"cost": {"weight": -1}}), "terms.cost.weight must be >= 0, was -1"),
        (lambda: Composite(terms={"sortino": {"floor": -1}}), "terms.sortino.floor must be >= 0, was -1"),
    ],
)
def test_bad_arguments_are_refused(build_it: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_it()


def test_refusals_of_the_configuration_start_with_the_key() -> None:
    with pytest.raises(ConfigError, match=r"^reward.penalty must be >= 0, was -1"):
        option("drawdown", penalty=-1)
    with pytest.raises(ConfigError, match=r"^reward.*terms.turnover.weight must be >= 0, was -2"):
        option("composite", terms={"turnover": {"weight": -2}})


def test_a_reward_of_ones_own_that_does_not_say_what_it_needs_is_told_how() -> None:
    class Mine:
        """Forgets ``needs``."""

    with pytest.raises(MarketError, match="Mine must say what it needs beyond equity; write `needs = frozenset"):
        needs_of(Mine())
    assert needs_of(None) == frozenset()
