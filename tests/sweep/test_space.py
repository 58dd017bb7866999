"""What a sweep varies: Hydra's sweep grammar and typed YAML, against Hydra's own parser and its own grid."""

import itertools
import math
import random
from typing import Any

import numpy as np
import optuna
import pytest
from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
from hydra.core.override_parser.overrides_parser import OverridesParser
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from tradewright.config.compose import open_hydra
from tradewright.errors import ConfigError
from tradewright.sweep.dimensions import Choice, Number
from tradewright.sweep.space import is_same, is_setting, parse_space

PARSER = OverridesParser.create()
NASTY = [
    "a,b",
    "c d",
    " pad ",
    "",
    "null",
    "true",
    "1",
    "1e-3",
    "x=y",
    "a:b",
    "{k:1}",
    "[1,2]",
    "it's",
    'say "hi"',
    "é",
    "(",
    "#",
    "nan",
]
"""Texts that lose something if their quotes are lost: trap 12."""


def value_of(override: str) -> tuple[str, Any]:
    """Return key and value of a single override as Hydra reads them."""
    parsed = PARSER.parse_override(override)
    assert not parsed.is_sweep_override(), override
    return parsed.get_key_element(), parsed.value()


def equal(one: Any, other: Any) -> bool:
    """Whether two values are the same and of one type; floats up to the errors of adding steps."""
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(one) and math.isnan(other))
    return type(one) is type(other) and one == other


def keeps_quotes(words: list[str]) -> bool:
    """Whether Hydra itself loses no quote: inside of functions its own grid does."""
    return not any("(" in word and ("'" in word or '"' in word) for word in words)


def hydras_grid(words: list[str]) -> list[dict[str, Any]]:
    """Return Hydra's own jobs, values by key."""
    (batch,) = BasicSweeper.split_arguments(PARSER.parse_overrides(words), max_batch_size=None)
    return [dict(value_of(override) for override in job) for job in batch]


def our_grid(words: list[str]) -> list[dict[str, Any]]:
    space = parse_space(words)
    return [dict(value_of(override) for override in space.overrides(point)) for point in space.grid()]


def random_values(rng: random.Random) -> str:
    """Return the right side of a random override of Hydra's grammar, of one or of several values."""
    number = [str(rng.randint(-20, 20)), f"{rng.uniform(-2, 2):.3f}", f"{rng.randint(1, 9)}e-{rng.randint(1, 6)}"]
    word = [
        "abc",
        "sac",
        "x_1",
        "true",
        "false",
        "null",
        "'a,b'",
        '"c d"',
        "'it\\'s'",
        "[1,2]",
        "{a:1,b:x}",
        "a/b",
        "1.5s",
        "''",
    ]
    some = rng.sample([*number, *word], rng.randint(1, 4))
    start, step = rng.randint(-5, 5), rng.randint(1, 4)
    kinds = [
        ",".join(some),
        f"choice({','.join(one for one in some if one not in ('null',)) or 'x'})",
        f"range({start},{start + rng.randint(1, 12)},{step})",
        f"range({start}.5,{start + rng.randint(1, 4)}.9,0.{rng.randint(1, 9)})",
        f"range({start},{start - rng.randint(1, 9)},-{step})",
        f"float(range({rng.randint(1, 6)}))",
        "sort(3,1,2)",
        "sort(3,1,2,reverse=true)",
        "tag(log,range(1,5))",
        "int(choice(1.5,2.5))",
        some[0],
    ]
    return rng.choice(kinds)


def has_repeats(words: list[str]) -> bool:
    """Whether some key has one value twice, which Hydra would run twice."""
    for word in words:
        parsed = PARSER.parse_override(word)
        texts = list(parsed.sweep_string_iterator()) if parsed.is_sweep_override() else []
        values = [value_of(f"k={text}")[1] for text in texts]
        if any(equal(a, b) for a, b in itertools.combinations(values, 2)):
            return True
    return False


@pytest.mark.parametrize("seed", range(150))
def test_grid_is_hydras_own_in_order_and_values(seed: int) -> None:
    rng = random.Random(seed)
    words = [
        f"{rng.choice(['', '', '+', '++'])}key_{number}.sub={random_values(rng)}" for number in range(rng.randint(1, 4))
    ]
    print(f"seed {seed}: {words}")
    if not keeps_quotes(words):
        words = [
            word.replace("'it\\'s'", "its").replace("'a,b'", "ab").replace('"c d"', "cd").replace("''", "e")
            for word in words
        ]
    if has_repeats(words):
        with pytest.raises(ConfigError, match="a value stands twice"):
            parse_space(words)
        return
    ours, theirs = our_grid(words), hydras_grid(words)
    assert len(ours) == len(theirs)
    for own, their in zip(ours, theirs, strict=True):
        assert own.keys() == their.keys()
        assert all(equal(own[key], their[key]) for key in own)


def test_last_dimension_varies_fastest_and_fixed_values_are_in_every_job() -> None:
    space = parse_space(["name=x", "a=1,2", "b=u,v,w"])
    jobs = [space.overrides(point) for point in space.grid()]
    assert jobs == [["name=x", f"a={a}", f"b={b}"] for a, b in itertools.product("12", "uvw")]


@pytest.mark.parametrize(
    ("text", "distribution", "description"),
    [
        ("interval(1e-5,1e-2)", FloatDistribution(1e-5, 1e-2), "floats 1e-05 to 0.01"),
        ("interval(1,10)", FloatDistribution(1.0, 10.0), "floats 1.0 to 10.0"),  # trap 11: integers need int()
        ("int(interval(1,10))", IntDistribution(1, 10), "integers 1 to 10"),
        ("tag(log,interval(1e-5,1e-2))", FloatDistribution(1e-5, 1e-2, log=True), "floats 1e-05 to 0.01, logarithmic"),
        ("int(tag(log,interval(1,64)))", IntDistribution(1, 64, log=True), "integers 1 to 64, logarithmic"),
        ("tag(log,int(interval(1,64)))", IntDistribution(1, 64, log=True), "integers 1 to 64, logarithmic"),
        ("range(8,33,8)", IntDistribution(8, 32, step=8), "integers 8 to 32, step 8"),
        ("range(0,1,0.3)", FloatDistribution(0.0, 0.9, step=0.3), "floats 0.0 to 0.9, step 0.3"),
        ("range(0.1,0.75,0.1)", FloatDistribution(0.1, 0.7, step=0.1), "floats 0.1 to 0.7, step 0.1"),
        ("ppo,sac", CategoricalDistribution(("ppo", "sac")), "choice(ppo, sac)"),
        ("choice(8,16)", CategoricalDistribution((8, 16)), "choice(8, 16)"),
        ("null,1.5,true", CategoricalDistribution((None, 1.5, True)), "choice(null, 1.5, true)"),
        ("range(5,0,-2)", CategoricalDistribution((5, 3, 1)), "choice(5, 3, 1)"),
        ("1,1.0,true", CategoricalDistribution(("1", "1.0", "true")), "choice(1, 1.0, true)"),  # equal to Optuna
        ("[1,2],[3]", CategoricalDistribution(("[1,2]", "[3]")), "choice([1,2], [3])"),
        ("nan,1", CategoricalDistribution(("nan", 1)), "choice(nan, 1)"),  # trap 9: nan is no category
    ],
)
def test_text_becomes_its_typed_distribution(text: str, distribution: Any, description: str) -> None:
    (dimension,) = parse_space([f"key={text}"]).dimensions
    assert dimension.distribution() == distribution
    assert dimension.describe() == description


TYPED: dict[str, list[Any]] = {
    "numbers": [1, 2.5, -3],
    "flags": [True, False, None],
    "texts": list(NASTY),
    "lists": [[64, 64], [128], ["a b", None]],
    "maps": [{"x": 1}, {"x": "y z"}],
}


@pytest.mark.parametrize("name", TYPED)
def test_lists_of_yaml_keep_their_types_and_every_character(name: str) -> None:
    wanted = TYPED[name]
    (dimension,) = parse_space([], params={"some.key": wanted}).dimensions
    assert isinstance(dimension, Choice)
    found = [value_of(dimension.override(value)) for value in dimension.values]
    assert [key for key, _ in found] == ["some.key"] * len(wanted)
    assert [value for _, value in found] == wanted
    assert [type(value) for _, value in found] == [type(value) for value in wanted]
    if name != "lists" and name != "maps":
        assert list(dimension.values) == wanted  # Optuna sees the values, not their spelling


def test_random_texts_of_yaml_come_back_unchanged() -> None:
    rng = random.Random(0)
    alphabet = "ab1 ,='\"\\{}[]():$#!@\u00e9\u4e2d.-+\t"
    for _ in range(150):
        texts = list({"".join(rng.choices(alphabet, k=rng.randint(0, 8))) for _ in range(3)})
        if any("${" in text for text in texts):
            continue
        (dimension,) = parse_space([], params={"k": [*texts, 0]}).dimensions
        assert isinstance(dimension, Choice)
        assert [value_of(dimension.override(value))[1] for value in dimension.values] == [*texts, 0], f"seed 0: {texts}"


def test_cast_to_text_stays_a_text() -> None:
    """Hydra's own grid makes numbers of ``str(choice(1,2))``."""
    (dimension,) = parse_space(["k=str(choice(1,true))"]).dimensions
    assert [value_of(f"k={text}")[1] for text in dimension.texts or ()] == ["1", "true"]


@pytest.mark.parametrize("form", ["{}", "choice({})", "sort({})"])
def test_quoted_words_stay_what_they_are_also_inside_of_functions(form: str) -> None:
    """Trap 12: Hydra's own grid makes None of ``choice('null',x)`` and two values of ``choice('a,b',x)``."""
    texts = ["a,b", "c d", "it's", "null", "true", "1", "x=y", "back\\slash", "plain"]
    quoted = ["'" + text.replace("'", "\\'") + "'" for text in texts]
    (dimension,) = parse_space([f"k={form.format(','.join(quoted))}"]).dimensions
    assert dimension.texts is not None
    assert sorted(value_of(f"k={text}")[1] for text in dimension.texts) == sorted(texts)


def test_single_values_of_yaml_are_fixed_and_texts_are_grammar() -> None:
    space = parse_space([], params={"a": 3, "b": "x", "c": True, "d": "interval(0,1)", "e": [7], "f": {"k": 1}})
    assert space.fixed == ("a=3", "b=x", "c=true", "e=7", "f={k:1}")
    assert space.keys == ("d",)


def test_command_line_wins_over_yaml() -> None:
    params = {"a": [1, 2], "b": [3, 4], "c": [5, 6]}
    space = parse_space(["a=9", "+b=7,8"], params=params)
    assert space.fixed == ("a=9",)
    assert [one.override(value) for one in space.dimensions for value in one.values] == [  # type: ignore[attr-defined]
        "c=5",
        "c=6",
        "+b=7",
        "+b=8",
    ]


@pytest.mark.parametrize(
    "text",
    [
        "interval(1e-9,3)",
        "tag(log,interval(1e-9,3))",
        "int(interval(-5,5))",
        "range(0,1,0.1)",
        "range(1,9,3)",
        "a,'b c',1,null,2.5",
    ],
)
def test_every_sampled_value_survives_the_way_through_its_text(text: str) -> None:
    (dimension,) = parse_space([f"k={text}"]).dimensions
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    allowed = None if dimension.texts is None else [value_of(f"k={one}")[1] for one in dimension.texts]
    for _ in range(50):
        trial = study.ask({"k": dimension.distribution()})
        value = trial.params["k"]
        read = value_of(dimension.override(value))[1]
        assert read == value
        assert type(read) is type(value)
        if isinstance(dimension, Number):
            assert dimension.low <= read <= dimension.high
        assert allowed is None or any(equal(read, one) for one in allowed)


def test_range_is_sampled_up_to_its_last_value_and_not_past_it() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        start, step, num = int(rng.integers(-5, 5)), int(rng.integers(1, 10)) / 10, int(rng.integers(2, 9))
        text = f"range({start},{start + step * (num - 0.5):.6f},{step})"
        (dimension,) = parse_space([f"k={text}"]).dimensions
        distribution = dimension.distribution()
        assert isinstance(distribution, FloatDistribution)
        assert dimension.texts is not None
        assert len(dimension.texts) == num
        assert distribution.high == pytest.approx(start + step * (num - 1)), text


def test_glob_is_expanded_by_the_options_of_the_group() -> None:
    """Trap 13."""
    loader = open_hydra().hydra.config_loader
    (dimension,) = parse_space(["report=glob(*)"], loader=loader).dimensions
    assert dimension.texts == ("html", "markdown", "none")
    (dimension,) = parse_space([], params={"report": "glob(*,exclude=h*)"}, loader=loader).dimensions
    assert dimension.texts == ("markdown", "none")


def test_settings_of_the_sweep_reach_no_job() -> None:
    settings = ["sweep=tpe", "sweep.seed=3", "pruner=median", "launcher=inline", "space=ppo", "hydra.sweep.dir=x"]
    space = parse_space(["algorithm=ppo", *settings, "seed=1,2", "+sweeper=4"])
    assert space.fixed == ("algorithm=ppo", "+sweeper=4")
    assert all(is_setting(text) for text in settings)
    assert not any(is_setting(text) for text in ("algorithm=ppo", "+sweeper=4", "hydra.job.chdir=true", "spaces=1"))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("true", "True", True),
        ("1e-3", "0.001", True),
        ("'a b'", '"a b"', True),
        ("ppo", "'ppo'", True),
        ("1", "'1'", False),
        ("1", "true", False),
        ("null", "'null'", False),
        ("a", "b", False),
    ],
)
def test_values_are_compared_as_hydra_reads_them(one: str, other: str, expected: bool) -> None:
    assert is_same(one, other) is expected
    assert is_same(other, one) is expected
