"""Parameters that vary only under a condition: branches, descriptions, and conditions that could never hold."""

from typing import Any

import pytest

from tradewright.errors import ConfigError
from tradewright.sweep.space import parse_space

CONDITIONAL: list[dict[str, Any]] = [
    {"when": {"algorithm": "sac"}, "params": {"algorithm.tau": "tag(log,interval(1e-3,1e-1))"}},
    {"when": {"algorithm": "sac", "twice": True}, "params": {"algorithm.n_step": [1, 3]}},
]


def test_branches_use_every_key_once() -> None:
    space = parse_space(["algorithm=ppo,sac", "twice=false,true", "name=x"], conditional=CONDITIONAL)
    assert list(space.branches()) == [
        ["name=x", "algorithm=ppo", "twice=false"],
        ["name=x", "algorithm=sac", "twice=false", "algorithm.tau=0.001"],
        ["name=x", "algorithm=sac", "twice=true", "algorithm.n_step=1"],
    ]
    assert space.keys == ("algorithm", "twice", "algorithm.tau", "algorithm.n_step")


def test_descriptions_differ_where_spaces_do() -> None:
    def describe(*words: str, conditional: list[dict[str, Any]] = CONDITIONAL) -> dict[str, str]:
        return parse_space(["twice=false,true", *words], conditional=conditional).describe()

    base = describe("algorithm=ppo,sac")
    assert base == describe("algorithm=choice(ppo,sac)", "name=other")
    assert base["algorithm.tau if algorithm=sac"] == "floats 0.001 to 0.1, logarithmic"
    for words in (["algorithm=sac,ppo"], ["algorithm=ppo,sac,td3"], ["algorithm=ppo,sac", "lr=interval(0,1)"]):
        assert base != describe(*words)
    changed = [CONDITIONAL[0], {**CONDITIONAL[1], "params": {"algorithm.n_step": [1, 5]}}]
    assert base != describe("algorithm=ppo,sac", conditional=changed)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"when": {"a": 1}}, r"^space.conditional\[0\]: expected the keys when and params, was when"),
        ({"when": {"a": 1}, "params": {"b": [1, 2]}, "x": 1}, "expected the keys when and params, was when, params, x"),
        ({"when": {"a": 1}, "params": {"b": 3}}, r"^space.conditional\[0\]: b=3 does not vary"),
        ({"when": {"aa": 1}, "params": {"b": [1, 2]}}, r"^space.conditional\[0\].when: aa neither varies .*mean 'a'\?"),
        ({"when": {"a": 7}, "params": {"b": [1, 2]}}, r"^space.conditional\[0\].when: a is never 7; it is one of 1, 2"),
        ({"when": {"a": 1}, "params": {"sweep.seed": [1, 2]}}, "^sweep.seed: says how a sweep runs"),
    ],
)
def test_condition_that_could_never_hold_is_refused(entry: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_space(["a=1,2"], conditional=[entry])


def test_value_of_the_command_line_settles_a_condition() -> None:
    """A ready space is used with one of its parameters fixed."""
    params = {"flag": [False, True], "x": [1, 2]}
    conditional = [{"when": {"flag": True}, "params": {"y": [3, 4], "z": [5, 6]}}]
    assert parse_space(["flag=False"], params=params, conditional=conditional).keys == ("x",)
    assert parse_space(["flag=True"], params=params, conditional=conditional).keys == ("x", "y", "z")
    assert parse_space(["y=3"], params=params, conditional=conditional).keys == ("flag", "x", "z")
