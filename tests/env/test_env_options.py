"""The options of group ``env`` that trade: the same keys in all, and impossible pairs with an algorithm are refused."""

import inspect
from pathlib import Path

import pytest
import yaml

from tradewright import paths
from tradewright.config.build import build
from tradewright.config.compose import Composer, open_hydra
from tradewright.config.locate import class_attribute
from tradewright.config.rules import apply_rules, describe
from tradewright.env.auto import Auto
from tradewright.env.continuous import Continuous
from tradewright.env.discrete5 import Discrete5
from tradewright.env.discrete9 import Discrete9
from tradewright.env.portfolio import Portfolio
from tradewright.env.trading import TradingEnv, TradingKeys

OPTIONS = {
    "auto": Auto, "continuous": Continuous, "discrete5": Discrete5, "discrete9": Discrete9, "portfolio": Portfolio,
}  # fmt: skip
CONTINUOUS, DISCRETE = {"continuous", "portfolio"}, {"discrete5", "discrete9"}


@pytest.fixture(scope="module")
def shipped() -> Composer:
    return open_hydra()


def read(option: str) -> dict:
    return yaml.safe_load(Path(paths.shipped("conf") / "env" / f"{option}.yaml").read_text())


@pytest.mark.row("X2")
@pytest.mark.parametrize("option", OPTIONS)
def test_every_trading_option_carries_the_same_keys_so_that_overrides_compose(shipped: Composer, option: str) -> None:
    expected = ["_target_", *inspect.signature(TradingKeys.__init__).parameters]
    expected.remove("self")
    assert list(read(option)) == expected
    cfg = shipped.compose([f"env={option}", "env.entry_signal=true", "env.lowest_weight=-0.5", "env.window=7"])
    env = build(cfg.env, key="env")
    assert type(env) is OPTIONS[option]
    assert (env.window, env.lowest_weight, env.entry_signal) == (7, -0.5, True)


@pytest.mark.row("X2")
def test_one_environment_has_three_action_spaces_as_options() -> None:
    spaces = {option: OPTIONS[option]() for option in ("continuous", "discrete5", "discrete9")}
    assert {option: env.num_actions for option, env in spaces.items()} == {
        "continuous": 1,
        "discrete5": 5,
        "discrete9": 9,
    }
    assert all(isinstance(env, TradingEnv) and env.accounts.__func__ is TradingEnv.accounts for env in spaces.values())


def actions_of(option: str) -> str | None:
    return class_attribute(read(option)["_target_"], "action_kind")


def test_kind_of_actions_is_known_without_importing_anything() -> None:
    assert {option for option in OPTIONS if actions_of(option) == "continuous"} == CONTINUOUS
    assert {option for option in OPTIONS if actions_of(option) == "discrete"} == DISCRETE
    assert class_attribute(read("portfolio")["_target_"], "is_joint") is True
    assert class_attribute(read("continuous")["_target_"], "is_joint") is False


@pytest.mark.parametrize(
    ("algorithm", "option", "fitting"), [("apg", "discrete5", CONTINUOUS), ("dqn", "portfolio", DISCRETE)]
)
def test_algorithm_that_does_not_fit_is_refused_with_both_keys_and_what_fits(
    shipped: Composer, algorithm: str, option: str, fitting: set[str]
) -> None:
    cfg = shipped.compose([f"algorithm={algorithm}", f"env={option}"])
    found = [finding.message for finding in apply_rules(describe(cfg, cfg.hydra)) if finding.is_error]
    kind, other = actions_of(option), "continuous" if actions_of(option) == "discrete" else "discrete"
    assert len(found) == 1
    assert found[0].startswith(f"algorithm={algorithm} needs a {other} env; env={option} is {kind}. Use ")
    assert all(f"env={name}" in found[0] for name in fitting)
    assert not any(f"env={name} " in found[0].partition("Use")[2] for name in (CONTINUOUS | DISCRETE) - fitting)
