"""The shipped tree: every option of every group composes and passes the check, alone and in random combinations.

A random combination either passes or names the bad key; it never ends in another kind of error.
"""

import random
import re
from collections.abc import Iterator
from functools import cache
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.types import RunMode
from omegaconf import OmegaConf

from tradewright import paths
from tradewright.config.check import check
from tradewright.config.compose import Composer, open_hydra
from tradewright.config.help_page import default_options, first_comment
from tradewright.config.locate import class_attribute
from tradewright.config.rules import MARKET_GROUPS, apply_rules, describe
from tradewright.errors import ConfigError

CONF, EXPERIMENTS = paths.shipped("conf"), paths.shipped("experiments")
FILES = sorted(CONF.glob("*/*.yaml"))
OPTIONS = [(path.parent.name, path.stem) for path in FILES]


@pytest.fixture(scope="module")
def shipped() -> Composer:
    return open_hydra()


def faults(composer: Composer, overrides: list[str]) -> dict[str, bool]:
    """Return what a user would see, warnings apart, and whether a rule says that two options do not fit together."""
    try:
        cfg = composer.compose(overrides)
    except ConfigError as error:
        return dict.fromkeys(str(error).splitlines(), False)
    findings = apply_rules(describe(cfg, cfg.hydra))
    return dict.fromkeys(check(cfg), False) | {one.message: one.is_misfit for one in findings if one.is_error}


def _faults_with_what_must_be_given(composer: Composer, overrides: list[str]) -> dict[str, bool]:
    """Return the faults once every value that only a user can give (a run, a file) is given."""
    found = faults(composer, overrides)
    needed = [re.match(r"([a-z]+\.\w+): (must be given, it is|cannot resolve '\$\{runs\}')", line) for line in found]
    keys = [match.group(1) for match in needed if match]
    given = [LIMIT if LIMIT.startswith(key) else f"{key}=outputs" for key in keys]
    return faults(composer, [*overrides, *given]) if given else found


LIMIT = "launcher.timeout_min=60"
"""What ``launcher=slurm`` has no default for."""
WITHOUT_MARKET = {*((group, "none") for group in MARKET_GROUPS), ("evaluate", "episodes")}
"""What an environment without a market brings along."""


OF_ANSWERS = {("env", "none"), ("evaluate", "language"), ("strategy", "none")}
"""What a language model brings along whose answers are judged."""


def _is_language_model(group: str, option: str) -> bool:
    return (
        group == "model" and class_attribute(_target_of(CONF / "model" / f"{option}.yaml"), "is_language_model") is True
    )


def _with_its_task(group: str, option: str) -> list[str]:
    """Return the option, with the task that takes such a strategy."""
    if group == "task" and option == "backtest":
        return ["task=backtest", "strategy=momentum"]
    if (group, option) in WITHOUT_MARKET:
        return ["env=cartpole", f"{group}={option}"]
    if (group, option) == ("strategy", "language_model"):
        return ["experiment=rook", "strategy=language_model"]
    if (group, option) in OF_ANSWERS or option.startswith("sft") or _is_language_model(group, option):
        return ["experiment=trading_llm", f"{group}={option}"]
    if group == "algorithm" and option.startswith("dpo"):
        return ["experiment=trading_llm_dpo", f"algorithm={option}"]
    if (group, option) in (("algorithm", "multitask"), ("strategy", "forecast")):
        return ["algorithm=multitask", "strategy=forecast"]
    if group == "strategy" and option != "policy":
        return [f"strategy={option}", "task=backtest"]
    return [f"{group}={option}"]


LANES = ({"algorithm", "examples"}, {"task", "features"}, {"env", "trainer"}, {"evaluate", "model"})
"""Groups whose options do not all go with those of groups in other lanes; all other groups go with the first lane."""


def _rounds() -> Iterator[list[tuple[str, str]]]:
    """Yield all options, together with those of other groups that need the same to go with them."""
    alike: dict[tuple[int, ...] | tuple[str, ...], dict[str, list[str]]] = {}
    for group, option in OPTIONS:
        needs = tuple(word for word in _with_its_task(group, option) if word != f"{group}={option}")
        lane = next((number for number, groups in enumerate(LANES) if group in groups), 0)
        alike.setdefault(needs or (lane,), {}).setdefault(group, []).append(option)
    for groups in alike.values():
        for number in range(max(map(len, groups.values()))):
            yield [(group, options[number]) for group, options in groups.items() if number < len(options)]


def test_every_option_composes_and_passes_the_check(shipped: Composer) -> None:
    """Options of different groups are tried together; where such a round fails, each of them must pass alone."""
    num_passed = 0
    for together in _rounds():
        words = list(dict.fromkeys(word for group, option in together for word in _with_its_task(group, option)))
        if len(together) == 1 or _faults_with_what_must_be_given(shipped, words):
            for group, option in together:
                assert _faults_with_what_must_be_given(shipped, _with_its_task(group, option)) == {}, (
                    f"{group}={option}"
                )
        num_passed += len(together)
    assert num_passed == len(list(CONF.glob("**/*.yaml"))) - 1 > 40  # config.yaml is no option


def test_every_option_is_offered_by_its_group(shipped: Composer) -> None:
    loader = shipped.hydra.config_loader
    offered = {(group, option) for group in loader.list_groups("") for option in loader.get_group_options(group)}
    assert set(OPTIONS) <= offered


DEBUG = sorted(path.stem for path in CONF.glob("debug/*.yaml"))


@pytest.mark.parametrize("num_debug", [1, pytest.param(len(DEBUG), marks=pytest.mark.slow)])
def test_every_experiment_composes_passes_the_check_and_carries_its_name(shipped: Composer, num_debug: int) -> None:
    """By default with one option of ``debug`` each, in turn."""
    names = sorted(path.stem for path in EXPERIMENTS.glob("*.yaml"))
    assert len(names) > 0
    assert set(names) <= set(shipped.experiments.bodies)
    for place, name in enumerate(names):
        plain = shipped.compose([f"experiment={name}"])
        assert plain.name == name
        for debug in (DEBUG * 2)[place % len(DEBUG) :][:num_debug]:
            found = faults(shipped, [f"experiment={name}", f"debug={debug}"])
            is_without_bars = debug == "overfit" and plain.data.get("split") is None
            assert list(found) == (["data.split: Unused takes no 'split'"] if is_without_bars else []), name


def test_sweep_over_every_option_of_a_group_composes(shipped: Composer) -> None:
    cfg = shipped.compose(["reward=glob(*)", "experiment=glob(*)"], mode=RunMode.MULTIRUN)
    assert cfg.hydra.mode is None


def test_every_option_starts_with_a_comment_and_a_command() -> None:
    for path in [*FILES, *EXPERIMENTS.glob("*.yaml")]:
        comments = [line for line in path.read_text().splitlines()[:4] if line.startswith("# ") and "@" not in line[:3]]
        assert first_comment(path), f"{path}: the first line says what the option is"
        assert any(line.startswith("# tradewright") for line in comments), f"{path}: the second line is a command"


def test_every_default_exists() -> None:
    defaults = default_options(CONF)
    defaults.pop("experiment")
    assert {(group, option) for group, option in defaults.items()} <= set(OPTIONS)


def test_every_target_of_ours_is_checked_and_not_skipped() -> None:
    """A signature of ours that the reader cannot settle would be a hole in the check."""
    from tradewright.config.locate import locate
    from tradewright.config.signatures import signature

    targets = {target for path in FILES for target in _targets(yaml.safe_load(path.read_text()))}
    ours = {target for target in targets if target.startswith("tradewright.")}
    assert len(ours) > 20
    for target in ours:
        located = locate(target)
        assert located is not None
        found = signature(located)
        assert found is not None, target
        assert not found.may_take_others(), target


def test_lora_and_quantization_options_carry_the_same_keys() -> None:
    for group in ("lora", "quant"):
        keys = [yaml.safe_load(path.read_text()).keys() for path in CONF.glob(f"{group}/*.yaml")]
        assert len(keys) >= 3
        assert all(other == keys[0] for other in keys)


@pytest.mark.parametrize(("option", "r", "alpha", "dropout"), [("r16", 16, 32, 0.1), ("r32", 32, 64, 0.05)])
def test_lora_options_build_adapter_configurations(
    shipped: Composer, option: str, r: int, alpha: int, dropout: float
) -> None:
    from tradewright.config.build import build

    built = build(shipped.compose([f"lora={option}"]).lora, key="lora")
    assert (built.r, built.lora_alpha, built.lora_dropout) == (r, alpha, dropout)
    assert str(built.task_type) in {"CAUSAL_LM", "TaskType.CAUSAL_LM"}
    assert type(built.target_modules) is not object


def test_inert_options_build_without_their_libraries(shipped: Composer) -> None:
    from tradewright.config.build import build
    from tradewright.config.inert import NoLora, NoQuantization

    cfg = shipped.compose([])
    assert isinstance(build(cfg.lora, key="lora"), NoLora)
    assert isinstance(build(cfg.quant, key="quant"), NoQuantization)


def _targets(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if isinstance(node.get("_target_"), str):
            yield node["_target_"]
        for value in node.values():
            yield from _targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from _targets(value)


def _leaves(node: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Yield key and value of every leaf that an override can set."""
    for key, value in node.items() if isinstance(node, dict) else ():
        if not str(key).startswith("_") and key != "defaults" and "." not in str(key):
            if isinstance(value, dict) and value:
                yield from _leaves(value, f"{path}.{key}")
            else:
                yield f"{path}.{key}", value


@cache
def _content(group: str, option: str) -> Any:
    """Return an option as Hydra reads it: OmegaConf takes ``3e-4`` for a number, plain YAML for a text."""
    content: Any = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{option}.yaml"), resolve=False)
    is_global = group in content  # an option that overrides other groups
    return content[group] if is_global else content


def _text(value: Any) -> str:
    """Return a value in the grammar of overrides."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(_text(item) for item in value)}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_text(item)}" for key, item in value.items()) + "}"
    return f"'{value}'" if isinstance(value, str) else str(value)


def _changed(value: Any) -> Any:
    """Return another value of the same type."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    return f"{value}_other" if isinstance(value, str) else value


@pytest.mark.row("T14")
def test_every_key_of_every_option_can_be_overridden_on_the_command_line(shipped: Composer) -> None:
    """One option of every group at a time: whether options go together is asked after they are composed."""
    groups = {group: [o for g, o in OPTIONS if g == group] for group, _ in OPTIONS if group not in {"debug", "task"}}
    num_keys, num_options = 0, 0
    for chosen in zip_longest(*([(group, option) for option in options] for group, options in groups.items())):
        choices = [choice for choice in chosen if choice is not None]
        leaves = [leaf for group, option in choices for leaf in _leaves(_content(group, option), group)]
        given = {key: _changed(value) for key, value in leaves if "${" not in str(value)}
        words = [f"{group}={option}" for group, option in choices]
        cfg = shipped.compose([*words, *(f"{key}={_text(value)}" for key, value in given.items())])
        for key, value in given.items():
            found = OmegaConf.select(cfg, key)
            assert (OmegaConf.to_container(found) if OmegaConf.is_config(found) else found) == value, (key, words)
        num_keys += len(given)
        num_options += len(choices)
    assert num_keys > 200
    assert num_options == sum(map(len, groups.values()))


def _arbitrary(rng: random.Random) -> Any:
    return rng.choice(
        [None, True, 0, -1, 3, 0.5, 1e9, "", "abc", "1e-3", [], [1, "a"], {"a": 1}, "${seed}", "${absent}"]
    )


def _composition(rng: random.Random) -> tuple[list[str], list[str], list[str]]:
    """Return options, overrides that must be accepted, and overrides that may be faulty."""
    groups = sorted({group for group, _ in OPTIONS if group != "task"})
    chosen = {g: rng.choice([o for group, o in OPTIONS if group == g]) for g in rng.sample(groups, rng.randint(0, 5))}
    if rng.random() < 0.3:
        chosen["experiment"] = rng.choice([path.stem for path in sorted(EXPERIMENTS.glob("*.yaml"))])
    options = default_options(CONF)
    if chosen.get("env") in {"cartpole", "pendulum", "gym"}:
        options |= dict(WITHOUT_MARKET)
    leaves = [
        leaf
        for group, option in {**options, **chosen}.items()
        if group not in {"experiment", "debug", "task"} and (group in chosen or "experiment" not in chosen)
        for leaf in _leaves(_content(group, option), group)
    ]
    same = rng.sample(leaves, min(len(leaves), rng.randint(0, 3)))
    risky = [f"{key}={_text(_arbitrary(rng))}" for key, _ in rng.sample(leaves, min(len(leaves), rng.randint(0, 2)))]
    if rng.random() < 0.3:
        group = rng.choice(["reward", "lora", "trainer", "algorithm", "features"])
        risky.append(f"{rng.choice(['', '+', '++'])}{group}.{rng.choice(['nonsense', 'sed', 'lrr'])}=1")
    if rng.random() < 0.15:
        risky.append(rng.choice(["seeed=3", "+seeed=3", "seed=abc", "seed=-1", "algorithm=nonsense", "nonsense=1"]))
    options = [f"{group}={option}" for group, option in chosen.items()]
    options += [LIMIT] if chosen.get("launcher") == "slurm" else []
    options += ["model.name=outputs"] if chosen.get("model") == "local" else []
    return options, [f"{key}={_text(value)}" for key, value in same if not str(value).startswith("$")], risky


def _compose_at_random(composer: Composer, num_compositions: int, seed: int) -> int:
    """Run random compositions; return how many were refused."""
    rng = random.Random(seed)
    num_refused = 0
    for number in range(num_compositions):
        options, same, risky = _composition(rng)
        overrides = [*options, *same, *risky]
        hint = f"seed {seed}, composition {number}: {' '.join(overrides)}"
        found = faults(composer, overrides)
        touched = [text.lstrip("+").partition("=")[0] for text in risky]
        if not risky:
            assert [line for line, is_misfit in found.items() if not (is_misfit or _is_misfit(line))] == [], hint
        for line in found:
            assert "\n" not in line, hint
            assert "Traceback" not in line, hint
        if found and risky and not all(is_misfit or _is_misfit(line) for line, is_misfit in found.items()):
            assert any(line.startswith((key, key.rpartition(".")[0])) for line in found for key in touched if key), (
                hint,
                found,
            )
        num_refused += bool(found)
    return num_refused


def _is_misfit(line: str) -> bool:
    """Whether a fault is a rule between two options, such as an algorithm that cannot act in an environment.

    The experiments of agents set keys of their networks, which a language model in their place does not have.
    """
    words = r"\bneeds an? |=\w+ has none\b|: (Unused|(Tiny)?LanguageModel) takes no |cannot train the memory of"
    return re.search(words, line) is not None


@pytest.mark.parametrize("seed", [1, 2])
def test_random_compositions_pass_or_name_the_bad_key(shipped: Composer, seed: int) -> None:
    print(f"seed {seed}")
    assert 4 < _compose_at_random(shipped, 24, seed) < 22  # both outcomes occur


@pytest.mark.slow
def test_many_random_compositions_pass_or_name_the_bad_key(shipped: Composer) -> None:
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}")
    assert 1000 < _compose_at_random(shipped, 5000, seed) < 4500


def test_facts_of_shipped_classes_are_readable_without_imports() -> None:
    kinds = {
        option: class_attribute(_target_of(CONF / "env" / f"{option}.yaml"), "action_kind")
        for _, option in OPTIONS
        if (CONF / "env" / f"{option}.yaml").is_file()
    }
    assert kinds["discrete9"] == "discrete"
    assert kinds["continuous"] == "continuous"
    assert kinds["auto"] is None
    for task in ("compare", "doctor", "ingest", "inspect"):
        assert class_attribute(_target_of(CONF / "task" / f"{task}.yaml"), "needs_run_directory") is False
    assert class_attribute(_target_of(CONF / "task" / "train.yaml"), "needs_run_directory") is not False


def _target_of(path: Path) -> str:
    content = yaml.safe_load(path.read_text())
    return content.get(path.parent.name, content)["_target_"]
