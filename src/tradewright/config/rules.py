"""Facts that involve several groups, checked after the signatures and before anything heavy is imported.

A rule is a pure function of a ``Choice``; it yields findings, each starting with a key. Facts of a class that a rule
needs (``action_kind``, ``is_language_model``) are class attributes, read from source.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from tradewright.config.check import plain
from tradewright.config.choice import Choice as Choice
from tradewright.config.choice import Finding, advise
from tradewright.config.label_rules import LABEL_RULES
from tradewright.config.root import root_keys
from tradewright.config.text_rules import TEXT_RULES
from tradewright.paths import shipped

JUDGED_BY_VALIDATION = "validation/"
TRAINED_BY = "algorithm.objective"
"""What an algorithm maximises over the training bars; not what a run is chosen by."""
OPTIONAL_KEYS = ("resume", "sweep", "pruner", "space", "launcher")
LARGEST_SEED = 2**32 - 1
"""NumPy's and Lightning's largest."""
FORKING = "ddp_fork"
"""Lightning's strategy that starts its processes from the run itself; others start the command line once more."""
MARKET_GROUPS = ("data", "features", "reward", "backtest")
"""Groups that an environment without a market switches off."""


def describe(cfg: DictConfig, hydra: Any) -> Choice:
    """Return the choice behind a configuration; ``hydra`` is Hydra's own node, as composing and jobs give it."""
    # unresolved: the text of an override may itself hold an interpolation
    texts: Any = OmegaConf.to_container(hydra.overrides.task, resolve=False)
    return Choice(
        content=plain(cfg, []),
        options={str(group): str(option) for group, option in hydra.runtime.choices.items()},
        overridden=tuple(override.key_or_group for override in OverridesParser.create().parse_overrides(texts)),
        folders=tuple(Path(source.path) for source in hydra.runtime.config_sources if source.schema == "file"),
    )


def apply_rules(choice: Choice) -> list[Finding]:
    """Return the findings of all rules, errors first."""
    findings = [finding for rule in RULES for finding in rule(choice)]
    return sorted(findings, key=lambda finding: (not finding.is_error, finding.message))


def nothing_needed_is_deleted(choice: Choice) -> Iterator[Finding]:
    """Refuse ``~reward``: a run needs every group and global key, though some options are ``none``."""
    for key in choice.overridden:
        if key in root_keys() and key not in OPTIONAL_KEYS and choice.content.get(key) is None:
            yield Finding(f"{key}: must be given, it was deleted")


def algorithm_fits_environment(choice: Choice) -> Iterator[Finding]:
    """Refuse an environment whose actions the algorithm cannot choose, or without the market that it learns from."""
    kinds, kind = choice.fact("algorithm", "action_kinds"), choice.fact("env", "action_kind")
    is_other_kind = bool(kinds) and bool(kind) and kind not in kinds
    lacks_market = choice.fact("algorithm", "needs_market") is True and choice.fact("env", "is_market") is False
    if not (is_other_kind or lacks_market):
        return
    needs, has = f"a {' or '.join(kinds)} env" if is_other_kind else "an env", [f"is {kind}"] * is_other_kind
    if lacks_market:
        needs, has = f"{needs} that trades a market", [*has, "does not"]
        fitting = choice.fitting("env", lambda other: other is True, "is_market", "algorithm_fits_environment")
    else:
        fitting = choice.fitting("env", lambda other: other in kinds, "action_kind", "algorithm_fits_environment")
    fitting += choice.fitting(
        "algorithm", lambda others: kind is None or kind in others, "action_kinds", "algorithm_fits_environment"
    )
    message = f"{choice.named('algorithm')} needs {needs}; {choice.named('env')} {' and '.join(has)}."
    yield Finding(message + advise(fitting), is_misfit=True)


def environment_fits_task_and_judge(choice: Choice) -> Iterator[Finding]:
    """Refuse backtests without a market, and episodes of an environment that trades one."""
    is_market, judges = choice.fact("env", "is_market"), choice.fact("evaluate", "judges")
    env, task = choice.named("env"), choice.named("task")
    if is_market is False and choice.fact("task", "needs_market") is True:
        fitting = choice.fitting("task", lambda needs: needs is False, "needs_market")
        message = f"{task} needs a market; {env} has none.{advise(fitting)}"
        yield Finding(message, is_misfit=True)
    elif is_market is False and judges == "market":
        fitting = choice.fitting("evaluate", lambda other: other == "episodes", "judges")
        message = f"{choice.named('evaluate')} needs a market; {env} has none.{advise(fitting)}"
        yield Finding(message, is_misfit=True)
    elif is_market is True and judges == "episodes" and choice.fact("task", "learns") is True:
        fitting = choice.fitting("env", lambda other: other is False, "is_market")
        fitting += choice.fitting("evaluate", lambda other: other == "market", "judges")
        message = f"{choice.named('evaluate')} needs an env without a market; {env} trades one.{advise(fitting)}"
        yield Finding(message, is_misfit=True)


def market_is_there_or_has_no_effect(choice: Choice) -> Iterator[Finding]:
    """Refuse a market without data or accounting; warn of those given where there is no market."""
    is_market = choice.fact("env", "is_market")
    for group in MARKET_GROUPS:
        is_unused = choice.fact(group, "is_unused") is True
        if is_market is True and is_unused:
            fitting = choice.fitting("env", lambda other: other is False, "is_market")
            message = (
                f"{choice.named(group)} leaves {choice.named('env')} without a market, which it needs a {group} option"
                f" for. Use {' or '.join(fitting)}, or another option of {group}."
            )
            yield Finding(message, is_misfit=True)
        for key in choice.overridden if is_market is False and not is_unused else ():
            if key.partition(".")[0] == group:
                given = choice.named(group) if key == group else key
                yield Finding(f"{given} has no effect: {choice.named('env')} has no market", is_error=False)


def accounting_suits_algorithm(choice: Choice) -> Iterator[Finding]:
    """Refuse what makes the accounting jump under an algorithm that differentiates it."""
    for key in choice.fact("algorithm", "must_be_off") or ():
        value: Any = choice.content
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        if value:
            yield Finding(
                f"{key} must be off, was {value}: {choice.named('algorithm')} follows the gradient of the"
                " accounting, which must neither jump nor move prices. Use another algorithm or other rules."
            )


def reward_has_effect(choice: Choice) -> Iterator[Finding]:
    """Warn of a reward from the command line where the algorithm does not learn from rewards."""
    if choice.fact("algorithm", "learns_from_reward") is False:
        for key in choice.overridden:
            if key.partition(".")[0] == "reward":
                yield Finding(
                    f"{key} is only logged: {choice.named('algorithm')} does not learn from rewards", is_error=False
                )


def memory_fits_algorithm(choice: Choice) -> Iterator[Finding]:
    """Refuse a memory under an algorithm that learns from single steps."""
    is_agent = bool(choice.fact("algorithm", "action_kinds"))
    carries_memory = choice.fact("algorithm", "carries_memory") is True
    if is_agent and choice.fact("model", "is_recurrent") is True and not carries_memory:
        fitting = choice.fitting("algorithm", lambda value: value is True, "carries_memory", "memory_fits_algorithm")
        fitting += choice.fitting("model", lambda value: value is False, "is_recurrent", "memory_fits_algorithm")
        message = f"{choice.named('algorithm')} learns from single steps and cannot train the memory of"
        yield Finding(f"{message} {choice.named('model')}.{advise(fitting)}")


def encoder_has_bars(choice: Choice) -> Iterator[Finding]:
    """Refuse an encoder of bars where there are none."""
    is_agent = bool(choice.fact("algorithm", "action_kinds"))
    if is_agent and choice.fact("model", "needs_window") is True and choice.fact("env", "is_market") is False:
        fitting = choice.fitting("model", lambda value: value is False, "needs_window", "encoder_has_bars")
        yield Finding(f"{choice.named('model')} encodes bars and {choice.named('env')} has none.{advise(fitting)}")


def choices_are_made_on_validation(choice: Choice) -> Iterator[Finding]:
    """Refuse an objective outside the validation range, and a checkpoint or early stop that watches the test range."""
    for path, key, value in _leaves(choice.content, ""):
        for name in _names(value):
            is_chosen_by = key in {"objective", "objectives"} and path != TRAINED_BY
            if is_chosen_by and not name.startswith(JUDGED_BY_VALIDATION):
                yield Finding(f"{path}: must be a validation/* metric, was {name!r}; the test range is scored once")
            if key == "monitor" and name.startswith("test/"):
                yield Finding(f"{path}: must not watch the test range, was {name!r}; use a validation/* metric")


def seed_suits_every_generator(choice: Choice) -> Iterator[Finding]:
    """Refuse a seed that some generator does not take."""
    seed = choice.content.get("seed")
    if isinstance(seed, int) and not 0 <= seed <= LARGEST_SEED:
        yield Finding(f"seed must be {'>= 0' if seed < 0 else f'<= {LARGEST_SEED}'}, was {seed}")


def name_stays_in_the_output_folder(choice: Choice) -> Iterator[Finding]:
    """Refuse an experiment name that leads out of ``output_dir``."""
    name = choice.content.get("name")
    if isinstance(name, str) and (Path(name).is_absolute() or ".." in Path(name).parts or not name.strip()):
        yield Finding(f"name must be a folder below output_dir, was {name!r}")


def strategy_fits_task(choice: Choice) -> Iterator[Finding]:
    """Refuse training for a rule, and judging a policy as if it were one, before anything is trained."""
    wanted, is_learned = choice.fact("task", "strategy_kind"), choice.fact("strategy", "is_learned") is True
    if wanted == "learned" and not is_learned:
        yield Finding(
            f"{choice.named('strategy')} is a rule and needs a task that judges rules, such as task=backtest;"
            f" {choice.named('task')} trains"
        )
    if wanted == "rule" and is_learned:
        fitting = choice.fitting("strategy", lambda value: value is False, "is_learned")
        yield Finding(
            f"{choice.named('strategy')} needs a task that trains it, such as task=train; for"
            f" {choice.named('task')} choose a rule: {', '.join(fitting)}"
        )


def several_processes_suit_the_algorithm(choice: Choice) -> Iterator[Finding]:
    """Refuse several devices for an algorithm that trains in one process, or started in a way that loses the run."""
    devices, strategy = choice.fact("trainer", "devices"), choice.fact("trainer", "strategy")
    is_several = (isinstance(devices, int) and devices > 1) or (isinstance(devices, list) and len(devices) > 1)
    if not is_several or not choice.fact("algorithm", "action_kinds") or choice.fact("task", "learns") is not True:
        return
    if choice.fact("algorithm", "trains_in_parallel") is not True:
        fitting = choice.fitting(
            "algorithm", lambda value: value is True, "trains_in_parallel", "several_processes_suit_the_algorithm"
        )
        advice = f"; with several use {' or '.join(fitting)}" if fitting else ""
        yield Finding(
            f"trainer.devices must be 1, was {devices}: {choice.named('algorithm')} trains in one process{advice}"
        )
    elif isinstance(strategy, str) and not strategy.startswith(FORKING):
        yield Finding(f"trainer.strategy must be {FORKING} with {devices} devices, was {strategy}; use trainer=ddp")


RULES: tuple[Callable[[Choice], Iterator[Finding]], ...] = (
    nothing_needed_is_deleted,
    algorithm_fits_environment,
    memory_fits_algorithm,
    encoder_has_bars,
    environment_fits_task_and_judge,
    market_is_there_or_has_no_effect,
    accounting_suits_algorithm,
    reward_has_effect,
    choices_are_made_on_validation,
    seed_suits_every_generator,
    name_stays_in_the_output_folder,
    strategy_fits_task,
    several_processes_suit_the_algorithm,
    *TEXT_RULES,
    *LABEL_RULES,
)

COMBINATIONS = (
    algorithm_fits_environment,
    memory_fits_algorithm,
    encoder_has_bars,
    accounting_suits_algorithm,
    several_processes_suit_the_algorithm,
)
"""The rules that advice must keep to. Those of a market are not among them: an environment without one switches the
groups of the market off by itself."""


def fitting_algorithms(action_kind: str, *, is_market: bool) -> str:
    """Return ``" Use algorithm=a or algorithm=b."``, the shipped ones that learn in an environment built by now."""
    env = {"action_kind": action_kind, "is_market": is_market}
    choice = Choice({"env": env}, folders=(shipped("conf"),))
    return advise(choice.fitting("algorithm", lambda kinds: action_kind in kinds, "action_kinds"))


def shipped_option(group: str, target: str) -> str:
    """Return the shipped option that names a class, or the class where none does."""
    options = Choice({}, folders=(shipped("conf"),)).targets(group)
    return next((option for option, named in options.items() if named == target), target)


def _leaves(value: Any, path: str) -> Iterator[tuple[str, str, Any]]:
    """Yield path, last key and value of every dict entry below a value."""
    if isinstance(value, dict):
        for key, inner in value.items():
            below = f"{path}.{key}" if path else str(key)
            yield below, str(key), inner
            yield from _leaves(inner, below)
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]")


def _names(value: Any) -> list[str]:
    """Return the metric names of an objective: one name, a list of names, or name -> direction."""
    if isinstance(value, str):
        return [value]
    return [name for name in value if isinstance(name, str)] if isinstance(value, list | dict) else []
