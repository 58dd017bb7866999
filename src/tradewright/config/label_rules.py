"""Rules of networks that learn labels: which model, target, strategy and judge go with ``algorithm=multitask``."""

from collections.abc import Callable, Iterator

from tradewright.config.choice import Choice, Finding, advise

LABELS = "labels"
FORECAST = "forecast"


def model_fits_labels(choice: Choice) -> Iterator[Finding]:
    """Refuse a language model, and a memory that an agent carries from step to step."""
    if not _learns_labels(choice):
        return
    algorithm, model = choice.named("algorithm"), choice.named("model")
    fitting = choice.fitting("model", lambda value: value is False, "is_recurrent")
    if choice.fact("model", "is_language_model") is True:
        message = f"{algorithm} trains a network over windows of features; {model} is a language model."
        yield Finding(message + advise(fitting), is_misfit=True)
    elif choice.fact("model", "is_recurrent") is True:
        message = f"{algorithm} learns from single windows and cannot train the memory between steps of {model}."
        yield Finding(message + advise(fitting), is_misfit=True)


def labels_are_there(choice: Choice) -> Iterator[Finding]:
    """Refuse learning labels that nothing gives."""
    if not _learns_labels(choice):
        return
    if choice.fact("env", "is_market") is False:
        message = f"{choice.named('algorithm')} learns labels of bars; {choice.named('env')} has none."
        yield Finding(f"{message} Use env=auto.", is_misfit=True)
    is_decided = choice.fact("strategy", "decides_by") == FORECAST  # strategy=forecast brings a target, say only that
    if is_decided and choice.fact("target", "is_unused") is True:
        options = [f"target={option}" for option in choice.targets("target") if option != "none"]
        message = f"{choice.named('target')} leaves {choice.named('algorithm')} without anything to learn."
        yield Finding(message + advise(options), is_misfit=True)


def forecasts_are_decided_and_judged(choice: Choice) -> Iterator[Finding]:
    """Refuse another strategy for a network on labels, and its strategy for what forecasts nothing."""
    if choice.fact("task", "learns") is not True or choice.fact("strategy", "is_learned") is not True:
        return
    algorithm, strategy = choice.named("algorithm"), choice.named("strategy")
    decides_by_forecast = choice.fact("strategy", "decides_by") == FORECAST
    if not _learns_labels(choice):
        if decides_by_forecast:
            fitting = choice.fitting("algorithm", lambda value: value == LABELS, "learns_from")
            message = f"{strategy} needs a network that learns labels; {algorithm} does not."
            yield Finding(message + advise(fitting), is_misfit=True)
        return
    if not decides_by_forecast:
        message = f"{algorithm} forecasts side, size and return; {strategy} cannot decide by them."
        yield Finding(f"{message} Use strategy=forecast.", is_misfit=True)
    if choice.fact("evaluate", "judges") == "text":
        message = f"{choice.named('evaluate')} judges written answers; {algorithm} writes none."
        yield Finding(f"{message} Use evaluate=backtest.", is_misfit=True)


def _learns_labels(choice: Choice) -> bool:
    return choice.fact("task", "learns") is True and choice.fact("algorithm", "learns_from") == LABELS


LABEL_RULES: tuple[Callable[[Choice], Iterator[Finding]], ...] = (
    model_fits_labels,
    labels_are_there,
    forecasts_are_decided_and_judged,
)
