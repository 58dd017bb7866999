"""``build``: plain containers, runtime arguments, the allow-list, and constructor refusals with their key."""

from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import OmegaConf

from tradewright.config.build import build
from tradewright.config.compose import Composer
from tradewright.data.ranges import Range
from tradewright.errors import ConfigError, DataError


def node(**content: Any) -> Any:
    """Return a node of a configuration that allows package ``mini``."""
    return OmegaConf.create({"allow": ["mini"], "part": content}).part


def test_nested_nodes_and_plain_containers_arrive(composer: Composer) -> None:
    built = build(composer.compose(["backtest.costs.kinds=[a,b]"]).backtest, key="backtest")
    assert type(built.costs).__name__ == "Costs"
    assert type(built.costs.kinds) is list
    assert built.costs.kinds == ["a", "b"]
    assert built.cash == 5


def test_interpolations_are_resolved_within_the_whole_configuration(composer: Composer) -> None:
    assert build(composer.compose(["seed=7", "backtest.cash=${seed}"]).backtest, key="backtest").cash == 7


def test_runtime_arguments_pass_unchanged_even_dataclasses(mini: Path) -> None:
    for value in (Range(1, 2), np.arange(3), OrderedDict(a=1), [Range(0, 1)], {"_target_": "os.getcwd"}):
        built = build(node(_target_="mini.Model", hidden=[1]), key="model", num_features=value)
        assert built.num_features is value


def test_partial_node_gives_a_callable_that_takes_the_rest(mini: Path) -> None:
    factory = build(node(_target_="mini.Model", _partial_=True, hidden=[1]), key="model")
    assert factory(num_features=3).num_features == 3
    bound = build(node(_target_="mini.Model", _partial_=True, hidden=[1]), key="model", num_features=4)
    assert bound().num_features == 4
    assert bound(name="z").name == "z"


def test_partial_node_refuses_under_its_own_key_not_its_callers(mini: Path) -> None:
    """A model is made inside the algorithm: model.hidden=[] was reported as a key of the algorithm."""
    factory = build(node(_target_="mini.Adapter", _partial_=True, alpha=2.0), key="model")
    holder = OmegaConf.create({"allow": ["mini"], "part": {"_target_": "mini.Holder"}}).part
    with pytest.raises(ConfigError, match=r"^model\.r must be >= 1, was 0$"):
        build(holder, key="algorithm", make=factory)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"_target_": "mini.Adapter", "r": -4}, "part.r must be >= 1, was -4"),
        (
            {"_target_": "mini.Backtest", "costs": {"_target_": "mini.Costs", "fee_bps": -1}},
            "part.costs.fee_bps must be >= 0, was -1",
        ),
        (
            {"_target_": "mini.Backtest", "costs": [{"_target_": "mini.Costs", "fee_bps": -1}]},
            "part.costs[0].fee_bps must be >= 0, was -1",
        ),
        ({"_target_": "mini.Broken", "how": "type"}, "part: went wrong"),
        ({"_target_": "mini.Broken", "how": "import"}, "part: went wrong"),
        ({"_target_": "mini.Adapter", "q": 1}, "part: Adapter.__init__() got an unexpected keyword argument 'q'"),
        ({"_target_": "mini.Absent"}, "part: Error loading 'mini.Absent'"),
    ],
)
def test_refusal_of_a_constructor_starts_with_the_key(mini: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as raised:
        build(node(**content), key="part")
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_own_errors_pass_through(mini: Path) -> None:
    with pytest.raises(DataError, match=r"^bars\.csv row 3: high < low$"):
        build(node(_target_="mini.Broken", how="data"), key="data")
    with pytest.raises(DataError, match=r"^bars\.csv row 3: high < low$"):
        build(node(_target_="mini.Backtest", costs={"_target_": "mini.Broken", "how": "data"}), key="backtest")


def test_defect_keeps_its_type_and_gets_a_note(mini: Path) -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        build(node(_target_="mini.Backtest", costs={"_target_": "mini.Broken", "how": "zero"}), key="backtest")
    assert raised.value.__notes__ == ["while building backtest.costs"]


@pytest.mark.parametrize("target", ["os.getcwd", "builtins.print", "tradewrightx.Y", "subprocess.run", "torch"])
def test_target_outside_the_allowed_packages_is_refused(target: str) -> None:
    with pytest.raises(ConfigError, match=rf"^part\.a\[0\]\._target_: '{target}' is outside the allowed packages"):
        build({"_target_": "tradewright.config.inert.NoLora", "a": [{"_target_": target}]}, key="part")


def test_allow_permits_a_package_and_no_other_with_the_same_prefix(mini: Path) -> None:
    cfg = OmegaConf.create({"allow": ["min"], "part": {"_target_": "mini.Ppo"}})
    with pytest.raises(ConfigError, match=r"add allow=\[mini\] to permit it"):
        build(cfg.part, key="part")


@pytest.mark.parametrize("value", [None, 3, {"r": 1}, [1]])
def test_node_without_target_is_an_error(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"^part: expected a node with _target_"):
        build(value, key="part")
