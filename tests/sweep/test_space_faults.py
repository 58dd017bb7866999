"""What cannot be searched is refused in one line that starts with its key."""

import re
from collections.abc import Callable
from typing import Any

import pytest

from tradewright.config.compose import open_hydra
from tradewright.errors import ConfigError
from tradewright.sweep.dimensions import Number
from tradewright.sweep.space import parse_space


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a=choice(null,1)"], r"^a: choice\(null,1\): mismatch type argument args"),  # trap 11
        (["a=choice()"], r"^a: choice\(\): empty choice is not legal"),
        (["a=interval(2,1)"], r"^a: interval\(2,1\): the interval is empty; give the lower bound first"),
        (["a=interval(1,1)"], "the interval is empty"),
        (["a=int(interval(1.2,1.4))"], r"^a: int\(interval\(1.2,1.4\)\): the interval is empty; int leaves 1 to 1"),
        (["a=interval(0,inf)"], "has no bound; both must be finite"),
        (["a=interval(0,nan)"], "has no bound; both must be finite"),
        (["a=interval(1)"], r"^a: interval\(1\): missing a required argument: 'end'"),
        (["a=tag(log,interval(0,1))"], r"^a: tag\(log,interval\(0,1\)\): a logarithmic interval must begin above 0"),
        (["a=tag(lgo,interval(1,2))"], r"^a: tag\(lgo,interval\(1,2\)\): unknown tag lgo; the only one is log"),
        (["a=tag(lgo,range(1,9))"], "^a: .*: unknown tag lgo; the only one is log"),
        (["a=tag(log,range(1,9,2))"], "^a: .*: a logarithmic range has step 1, was 2; use a list of values"),
        (["a=tag(log,range(0,9))"], "^a: .*: a logarithmic range must begin above 0, was 0"),
        (["a=tag(log,choice(1,2))"], "^a: .*: a tag is for an interval or a range"),
        (["a=shuffle(1,2,3)"], r"^a: shuffle\(1,2,3\): every worker needs the same order"),
        (["a=shuffle(range(9))"], "every worker needs the same order"),
        (["a=sort(3,x)"], r"^a: sort\(3,x\): '<' not supported"),
        (["a=sort(interval(1,2))"], r"^a: sort\(interval\(1,2\)\): mismatch type argument"),
        (["a=1,2,1"], "^a: 1,2,1: a value stands twice"),
        (["a=int(1.2,1.4)"], r"^a: int\(1.2,1.4\): a value stands twice"),
        (["a=int(choice(x,y))"], r"^a: int\(choice\(x,y\)\): invalid literal for int"),
        (["a=range(5,10,0)"], r"^a: range\(5,10,0\): the step must not be 0$"),
        (["a=range(1.0,2.0,0.0)"], r"^a: range\(1.0,2.0,0.0\): the step must not be 0$"),
        (["a=int(range(0.5,3,0.5))"], r"^a: .*: the step must not be 0 \(int cuts the fraction off\)"),
        (["a=range(3,3)"], r"^a: range\(3,3\): there is no value to choose; start and stop are equal"),
        (["a=range(5,10,-1)"], r"^a: range\(5,10,-1\): there is no value to choose; a step of -1 leads away"),
        (["a=range(10,5)"], r"^a: range\(10,5\): there is no value to choose; a step of 1 leads away"),
        (["a=range(1,inf)"], r"^a: range\(1,inf\): start, stop and step must be finite"),
        (["a=range(1,10,nan)"], r"^a: range\(1,10,nan\): start, stop and step must be finite"),
        (["a=range(b,c)"], r"^a: range\(b,c\): mismatch type argument start"),
        (["a=foo(1,2)"], r"^a: foo\(1,2\): Unknown function 'foo'; available: bool,choice"),
        (["a=1,2", "a=3,4"], "^a: varied twice; give its values once"),
        (["a=1,2", "++a=3,4"], "^a: varied twice"),
        (["a=1,2", "a=3"], "^a: given one value and several; give it once"),
        (["~a=1,2"], "^a: a deletion cannot be varied"),
        (["sweep=grid,tpe"], "^sweep: says how a sweep runs and cannot be varied by it"),
        (["sweep.num_trials=1,2"], "^sweep.num_trials: says how a sweep runs"),
        (["pruner=none,median"], "^pruner: says how a sweep runs"),
        (["launcher=process,ray"], "^launcher: says how a sweep runs"),
        (["space=ppo,sac"], "^space: says how a sweep runs"),
        (["hydra.run.dir=a,b"], "^hydra.run.dir: says how a sweep runs"),
        (["output_dir=a,b"], "^output_dir: says how a sweep runs"),
    ],
)
def test_what_cannot_be_varied_is_refused_in_one_line_by_its_key(words: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        parse_space(words)
    assert "\n" not in str(caught.value)


def test_glob_without_a_match_is_refused_by_its_key() -> None:
    loader = open_hydra().hydra.config_loader
    with pytest.raises(
        ConfigError, match=r"^model: glob\(zz\*\): there is no value to choose; no option of this group"
    ):
        parse_space(["model=glob(zz*)"], loader=loader)


def test_long_range_of_a_sampler_is_not_counted_one_by_one() -> None:
    (dimension,) = parse_space(["lr=range(0.0,1.0,1e-9)"]).dimensions
    assert isinstance(dimension, Number)
    assert dimension.num == 1_000_000_000


def test_empty_list_of_yaml_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^a\.b: there is no value to choose, the list is empty"):
        parse_space([], params={"a.b": []})


def test_grid_refuses_what_has_no_end() -> None:
    with pytest.raises(ConfigError, match=r"^lr: floats 0.1 to 0.2 has no grid; use sweep=tpe .* lr=range"):
        parse_space(["lr=interval(0.1,0.2)"]).grid()
    with pytest.raises(ConfigError, match=r"^lr: 1,000,000,000 values, a grid takes 100,000; use sweep=tpe"):
        parse_space(["lr=range(0.0,1.0,1e-9)"]).grid()
    with pytest.raises(ConfigError, match=r"^sweep=grid: 1,000,000 combinations, at most 100,000"):
        parse_space(["a=range(1000)", "b=range(1000)"]).grid()
    conditional = [{"when": {"a": 1}, "params": {"b": [1, 2]}}]
    with pytest.raises(ConfigError, match=r"^sweep=grid: a conditional parameter has no place in a grid"):
        parse_space(["a=1,2"], conditional=conditional).grid()
    assert parse_space([]).grid() == [{}]


def test_unreadable_words_start_with_their_key() -> None:
    for word in ("a=[1,2", "a=1,,2", "+a={x"):
        with pytest.raises(ConfigError, match=rf"^a: {re.escape(word.partition('=')[2])} is no value; if it is a text"):
            parse_space([word])
    with pytest.raises(ConfigError, match=r"^'a' is not key=value"):
        parse_space(["a"])


def test_choice_refuses_a_value_that_it_does_not_have() -> None:
    (dimension,) = parse_space(["k=1,2"]).dimensions
    check: Callable[[Any], str] = dimension.text
    for value in (3, True, "1", 1.0):
        with pytest.raises(ConfigError, match=r"^k: .* is not one of 1, 2"):
            check(value)
