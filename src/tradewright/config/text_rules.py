"""Rules of language models: which algorithm, model, examples, strategy and judge go together."""

import re
from collections.abc import Callable, Iterator

from tradewright.config.choice import Choice, Finding, advise
from tradewright.config.language_rules import adapter_faults

TEXT_GROUPS = ("lora", "quant", "examples", "generate")
"""Groups that only a language model reads."""
OUT_OF_RANGE = re.compile(r" must be |has no effect|cannot both be")
"""Faults of one group by itself, which no other option cures."""
READ_WITH_A_RUN = ("quant", "generate")
"""Those of them that also apply to the language model of a run directory."""
TEXT = "text"


def text_keys_have_effect(choice: Choice) -> Iterator[Finding]:
    """Warn of settings of language models from the command line where the model is none."""
    if choice.fact("model", "is_language_model") is True:
        return
    read: tuple[str, ...] = READ_WITH_A_RUN if loads_trained_model(choice) else ()
    asks_server = choice.fact("task", "asks_backend") is True and choice.fact("backend", "needs_model") is False
    read += ("generate",) if asks_server else ()
    read += ("examples",) if choice.fact("task", "reads_examples") is True else ()
    for key in choice.overridden:
        group = key.partition(".")[0]
        if group in TEXT_GROUPS and group not in read and not (key == group and choice.options.get(group) == "none"):
            given = choice.named(group) if key == group else key
            yield Finding(f"{given} has no effect: {choice.named('model')} is not a language model", is_error=False)


def loads_trained_model(choice: Choice) -> bool:
    """Whether the task was given a run directory with a trained language model."""
    key, task = choice.fact("task", "language_model_key"), choice.content.get("task")
    return isinstance(key, str) and isinstance(task, dict) and task.get(key) is not None


def adapter_fits_model(choice: Choice) -> Iterator[Finding]:
    """Refuse adapters and quantisations that do not work on the language model, before it is loaded."""
    nodes = [choice.content.get(group) for group in ("lora", "quant", "model")]
    if choice.fact("model", "is_language_model") is not True or loads_trained_model(choice):
        return
    lora, quant, model = ({} if not isinstance(node, dict) else node for node in nodes)
    learns = choice.fact("task", "learns") is True
    for fault in adapter_faults(lora, quant, model, learns=learns):
        yield Finding(fault, is_misfit=not OUT_OF_RANGE.search(fault))


def model_fits_algorithm(choice: Choice) -> Iterator[Finding]:
    """Refuse an agent's network where a language model is fitted, and the other way round."""
    if choice.fact("task", "learns") is not True:
        return
    is_text = choice.fact("algorithm", "learns_from") == TEXT
    is_language_model = choice.fact("model", "is_language_model") is True
    if is_text and not is_language_model:
        fitting = choice.fitting("model", lambda value: value is True, "is_language_model")
        message = f"{choice.named('algorithm')} fits a language model; {choice.named('model')} is none."
        yield Finding(message + advise(fitting), is_misfit=True)
    elif is_language_model and not is_text and choice.fact("algorithm", "action_kinds"):
        fitting = choice.fitting("algorithm", lambda value: value == TEXT, "learns_from")
        message = f"{choice.named('algorithm')} trains an agent; {choice.named('model')} is a language model."
        yield Finding(message + advise(fitting), is_misfit=True)


def examples_are_there(choice: Choice) -> Iterator[Finding]:
    """Refuse fitting a language model to no examples."""
    is_text = choice.fact("task", "learns") is True and choice.fact("algorithm", "learns_from") == TEXT
    if is_text and choice.fact("examples", "is_unused") is True:
        options = [option for option in choice.targets("examples") if option != "none"]
        message = f"{choice.named('examples')} leaves {choice.named('algorithm')} without anything to learn from."
        yield Finding(message + advise([f"examples={option}" for option in options]), is_misfit=True)


def pairs_are_there(choice: Choice) -> Iterator[Finding]:
    """Refuse preference training on examples that have one answer each."""
    needs_pairs = choice.fact("task", "learns") is True and choice.fact("algorithm", "learns_from_pairs") is True
    lacks_pairs = (
        choice.fact("examples", "holds_pairs") is not True and choice.fact("examples", "is_unused") is not True
    )
    if needs_pairs and lacks_pairs:
        fitting = choice.fitting("examples", lambda value: value is True, "holds_pairs")
        message = (
            f"{choice.named('examples')} has one answer per prompt; {choice.named('algorithm')} learns from pairs of a"
            " chosen and a rejected one."
        )
        yield Finding(message + advise(fitting), is_misfit=True)


def judge_and_strategy_fit_what_is_trained(choice: Choice) -> Iterator[Finding]:
    """Refuse an agent's policy for a language model, and a language model's strategy or judge for an agent."""
    if choice.fact("task", "learns") is not True or choice.fact("strategy", "is_learned") is not True:
        return
    if choice.fact("algorithm", "learns_from") == "labels":  # see label_rules
        return
    is_text = choice.fact("algorithm", "learns_from") == TEXT
    judges, decides = choice.fact("evaluate", "judges"), choice.fact("strategy", "decides_by")
    if is_text and judges == "market" and decides != "language_model":
        message = (
            f"{choice.named('algorithm')} fits a language model and {choice.named('evaluate')} judges positions;"
            f" {choice.named('strategy')} cannot take them from its words."
        )
        yield Finding(f"{message} Use strategy=language_model, or env=none to judge its answers.", is_misfit=True)
    if is_text and judges == "episodes":
        yield Finding(
            f"{choice.named('env')} needs an agent; {choice.named('algorithm')} fits a language model. Use env=none.",
            is_misfit=True,
        )
    if not is_text and judges == TEXT:
        fitting = choice.fitting("algorithm", lambda value: value == TEXT, "learns_from")
        message = f"{choice.named('evaluate')} judges answers; {choice.named('algorithm')} trains an agent."
        yield Finding(message + advise(fitting), is_misfit=True)
    elif not is_text and decides == "language_model":
        message = f"{choice.named('strategy')} needs a language model; {choice.named('algorithm')} trains an agent."
        yield Finding(f"{message} Use strategy=policy.", is_misfit=True)


TEXT_RULES: tuple[Callable[[Choice], Iterator[Finding]], ...] = (
    text_keys_have_effect,
    adapter_fits_model,
    model_fits_algorithm,
    examples_are_there,
    pairs_are_there,
    judge_and_strategy_fit_what_is_trained,
)
