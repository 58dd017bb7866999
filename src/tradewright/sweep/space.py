"""``Space``: what a sweep varies: Hydra's sweep syntax and typed values from YAML, as grid points or distributions.

    algorithm.lr=tag(log,interval(1e-5,1e-2))   a float on a logarithmic scale
    lora.r=int(interval(4,64))                  an integer; interval(4,64) alone is a float
    lora.r=range(8,33,8)                        8, 16, 24, 32
    algorithm=ppo,sac                           one of them; choice(ppo,sac) is the same

In YAML (group ``space``, or ``hydra.sweeper.params``) a value is such a text or a list. A parameter under
``conditional`` exists only where other parameters have given values.
"""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, Glob, IntervalSweep, Override, Quote, QuotedString, RangeSweep
from hydra.errors import HydraException

from tradewright.config.grammar import explain_grammar
from tradewright.errors import ConfigError, suggest
from tradewright.sweep.dimensions import Choice, Dimension, Number, Value, first_value
from tradewright.sweep.faults import count_range, fault, require_interval

SETTINGS = ("sweep", "launcher", "pruner", "space")
"""Groups that say how a sweep runs; they never reach a job, so that they are part of no trial."""
NOT_SWEPT = (*SETTINGS, "hydra", "output_dir", "store", "resume", "name")
BARE_WORD = re.compile(r"[A-Za-z_]\w*")
READ_AS_OTHERS = ("null", "true", "false", "nan", "inf")
"""Words that are no texts without quotes."""
MAX_GRID = 100_000
"""Points of a grid; a mistyped range should not fill the disk."""


@dataclass(frozen=True)
class Condition:
    """Parameters that exist only where other keys have given values.

    Args:
        when: Texts by key; all must agree.
        dimensions: The parameters.
    """

    when: Mapping[str, str]
    dimensions: tuple[Dimension, ...]


@dataclass(frozen=True)
class Space:
    """Everything that the jobs of a sweep are made of.

    Args:
        fixed: ``key=value`` texts that every job has.
        dimensions: What varies, in the order of the command line: the last varies fastest in a grid.
        conditions: Further parameters, in order.
    """

    fixed: tuple[str, ...] = ()
    dimensions: tuple[Dimension, ...] = ()
    conditions: tuple[Condition, ...] = field(default=())

    @property
    def all_dimensions(self) -> tuple[Dimension, ...]:
        """Those under a condition too."""
        return (*self.dimensions, *(one for condition in self.conditions for one in condition.dimensions))

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of everything that varies, each once."""
        return tuple(dict.fromkeys(one.name for one in self.all_dimensions))

    def grid(self) -> list[dict[str, str]]:
        """Return every combination, texts by name, the last dimension varying fastest.

        Raises:
            ConfigError: A dimension has no end of values, there is a condition, or there are too many points.
        """
        if self.conditions:
            raise ConfigError("sweep=grid: a conditional parameter has no place in a grid; use sweep=tpe or random")
        columns: list[list[tuple[str, str]]] = []
        for one in self.dimensions:
            if isinstance(one, Number) and one.step is not None and one.num > MAX_GRID:
                raise ConfigError(f"{one.name}: {one.num:,} values, a grid takes {MAX_GRID:,}; use sweep=tpe or random")
            texts = one.texts
            if texts is None:
                raise ConfigError(
                    f"{one.name}: {one.describe()} has no grid; use sweep=tpe (or another sampler), or"
                    f" {one.name}=range(...) or a list of values"
                )
            columns.append([(one.name, text) for text in texts])
        num = math.prod(len(column) for column in columns)
        if num > MAX_GRID:
            raise ConfigError(f"sweep=grid: {num:,} combinations, at most {MAX_GRID:,}; use sweep=tpe or random")
        return [dict(point) for point in itertools.product(*columns)]

    def branches(self) -> Iterator[list[str]]:
        """Yield overrides that together use every key once, to be composed before anything starts."""
        first = {one.name: one.text(first_value(one)) for one in self.dimensions}
        yield self.overrides(first)
        for condition in self.conditions:
            point = {**first, **{key: text for key, text in condition.when.items() if key in first}}
            extra = [one.override(first_value(one)) for one in condition.dimensions]
            yield [*self.overrides(point), *extra]

    def overrides(self, point: Mapping[str, str]) -> list[str]:
        """Return the command line of one job.

        Args:
            point: Texts by name, of the unconditional dimensions and of those whose condition holds.
        """
        varied = [f"{one.key}={point[one.name]}" for one in self.all_dimensions if one.name in point]
        return [*self.fixed, *dict.fromkeys(varied)]

    def describe(self) -> dict[str, str]:
        """Return every dimension in one line, by name; equal descriptions mean equal spaces."""
        lines = {one.name: one.describe() for one in self.dimensions}
        for condition in self.conditions:
            where = ", ".join(f"{key}={text}" for key, text in sorted(condition.when.items()))
            lines |= {f"{one.name} if {where}": one.describe() for one in condition.dimensions}
        return lines


def is_setting(text: str) -> bool:
    """Return whether an override says how the sweep runs, not what a job is."""
    head = text.lstrip("+~").partition("=")[0]
    own = head.partition(".")[0]
    return own in SETTINGS or head in ("hydra/sweeper", "hydra/launcher", "hydra.mode") or own_hydra(head)


def own_hydra(key: str) -> bool:
    """Return whether a key of Hydra's belongs to the sweep as a whole."""
    return key.startswith(("hydra.sweep.", "hydra.sweeper.", "hydra.launcher.", "hydra.run."))


def parse_space(
    words: Sequence[str],
    *,
    params: Mapping[str, Any] | None = None,
    conditional: Sequence[Mapping[str, Any]] | None = None,
    loader: ConfigLoader | None = None,
) -> Space:
    """Return the space of a command line and of what YAML adds to it.

    Args:
        words: ``key=value`` texts of the command line, settings of the sweep among them.
        params: Further parameters by key; the command line wins.
        conditional: ``{when: {key: value}, params: {key: values}}`` each.
        loader: Knows the options of groups, for ``glob(*)``.

    Raises:
        ConfigError: A text is not in Hydra's grammar, or a key cannot be swept.
    """
    own = [_parse(word, loader) for word in words]
    named = {one.key_or_group for one in own}
    ready = [_parse(_text(key, value), loader) for key, value in (params or {}).items()]
    fixed, dimensions = [], []
    for one in (*(entry for entry in ready if entry.key_or_group not in named), *own):
        text = str(one.input_line)
        if one.is_sweep_override():
            _require_sweepable(one)
            dimensions.append(_dimension(one))
        elif not is_setting(text):
            fixed.append(text)
    _require_once([one.name for one in dimensions], [_head(text) for text in fixed])
    parsed = [_condition(entry, number, named, loader) for number, entry in enumerate(conditional or ())]
    space = Space(tuple(fixed), tuple(dimensions), tuple(parsed))
    possible = [one for number, one in enumerate(parsed) if _is_possible(one, number, space) and one.dimensions]
    return replace(space, conditions=tuple(possible))


def is_same(text: str, other: str) -> bool:
    """Return whether two texts are one value to Hydra, such as ``true`` and ``True``, ``1e-3`` and ``0.001``.

    >>> is_same("True", "true"), is_same("'a b'", '"a b"'), is_same("1", "'1'"), is_same("1", "true")
    (True, True, False, False)
    """
    value, known = (OverridesParser.create().parse_override(f"key={one}").value() for one in (text, other))
    return bool(value == known) and isinstance(value, bool) == isinstance(known, bool)


def _head(text: str) -> str:
    return text.lstrip("+~").partition("=")[0]


def _parse(text: str, loader: ConfigLoader | None) -> Override:
    try:
        return OverridesParser.create(config_loader=loader).parse_overrides([text])[0]
    except HydraException as error:
        raise ConfigError(explain_grammar(text, str(error))) from error


def _text(key: str, value: Any) -> str:
    """Return ``key=value`` for a value of YAML: a text in Hydra's syntax, a list of values, or one value."""
    if isinstance(value, str):
        return f"{key}={value}"
    if isinstance(value, list | tuple):
        if not value:
            raise ConfigError(f"{key}: there is no value to choose, the list is empty")
        return f"{key}=" + ",".join(_element(entry) for entry in value)
    return f"{key}={_element(value)}"


def _element(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        is_plain = BARE_WORD.fullmatch(value) and value.lower() not in READ_AS_OTHERS
        return value if is_plain else QuotedString(value, Quote.double).with_quotes()
    if isinstance(value, list | tuple):
        return "[" + ",".join(_element(entry) for entry in value) + "]"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_element(entry)}" for key, entry in value.items()) + "}"
    return repr(value)


def _require_sweepable(one: Override) -> None:
    own = one.key_or_group.partition(".")[0].partition("/")[0]
    if own in NOT_SWEPT and not (one.key_or_group == "name"):
        raise ConfigError(f"{one.key_or_group}: says how a sweep runs and cannot be varied by it; give it one value")
    if one.is_delete():
        raise ConfigError(f"{one.key_or_group}: a deletion cannot be varied")


def _require_once(names: Sequence[str], fixed: Sequence[str]) -> None:
    for name in dict.fromkeys(names):
        if names.count(name) > 1:
            raise ConfigError(f"{name}: varied twice; give its values once")
        if name in fixed:
            raise ConfigError(f"{name}: given one value and several; give it once")


def _is_possible(condition: Condition, number: int, space: Space) -> bool:
    """Return whether a condition can hold; not if the command line gives one of its keys another value.

    Raises:
        ConfigError: It never could: the key is not known, or does not take the value.
    """
    place = f"space.conditional[{number}].when"
    fixed = {_head(text): text.partition("=")[2] for text in space.fixed}
    for key, text in condition.when.items():
        if key in fixed:
            if not is_same(text, fixed[key]):
                return False
            continue
        known = [one for one in space.all_dimensions if one.name == key]
        if not known:
            hint = suggest(key, [*space.keys, *fixed])
            raise ConfigError(f"{place}: {key} neither varies nor is given a value{hint}")
        texts = [word for one in known for word in one.texts or (text,)]
        if not any(is_same(text, word) for word in texts):
            raise ConfigError(f"{place}: {key} is never {text}; it is one of {', '.join(texts)}")
    return True


def _dimension(one: Override) -> Dimension:
    key, swept = one.get_key_element(), one._value
    if isinstance(swept, IntervalSweep):
        require_interval(one, swept)
        return _interval(key, swept)
    if isinstance(swept, ChoiceSweep | RangeSweep) and swept.shuffle:
        raise fault(one, "every worker needs the same order; list the values without shuffle")
    if isinstance(swept, RangeSweep):
        num = count_range(one, swept)
        if num > 1 and swept.step > 0:
            return _range(key, swept, num)
    elif isinstance(swept, ChoiceSweep) and swept.tags:
        raise fault(one, "a tag is for an interval or a range; a choice has no scale")
    words = tuple(one.sweep_string_iterator())
    if not words:
        hint = "; no option of this group matches" if isinstance(swept, Glob) else ""
        raise fault(one, f"there is no value to choose{hint}")
    elements = _elements(one)
    words = tuple(_word(value, word) for value, word in zip(elements, words, strict=True))
    values = tuple(_scalar(value, word) for value, word in zip(elements, words, strict=True))
    if len({(type(value), value) for value in values}) < len(values):
        raise fault(one, "a value stands twice")
    # Optuna tells categories apart by ==, to which 1, 1.0 and true are one
    return Choice(key, words, values if len(set(values)) == len(values) else words)


def _elements(one: Override) -> list[Any]:
    return [Override._convert_value(value) for value in one.sweep_iterator()]


def _word(value: Any, word: str) -> str:
    """Return Hydra's text of a value, or ours where it would be read as another one: ``choice('null','a, b')``."""
    if isinstance(value, bool):
        return _element(value)
    try:
        read = OverridesParser.create().parse_override(f"key={word}")
        is_kept = (
            not read.is_sweep_override() and type(read.value()) is type(value) and repr(read.value()) == repr(value)
        )
    except HydraException:
        is_kept = False
    return word if is_kept else _element(value)


def _scalar(value: Any, word: str) -> Value:
    """Return what Optuna takes as a category: a scalar, or the text of anything else."""
    if isinstance(value, float):
        return value if math.isfinite(value) else word
    return value if value is None or isinstance(value, bool | int | str) else word


def _range(key: str, swept: RangeSweep, num: int) -> Number:
    """Return a range of ``num`` values, its last one without the errors of repeated addition."""
    low, step = Decimal(str(swept.start)), Decimal(str(swept.step))
    is_int = isinstance(swept.start, int) and isinstance(swept.step, int)
    return Number(key, float(low), float(low + (num - 1) * step), is_int, "log" in swept.tags, float(step))


def _interval(key: str, swept: IntervalSweep) -> Number:
    assert swept.start is not None
    assert swept.end is not None
    is_int = isinstance(swept.start, int) and isinstance(swept.end, int)
    return Number(key, float(swept.start), float(swept.end), is_int, "log" in swept.tags)


def _condition(entry: Mapping[str, Any], number: int, named: Set[str], loader: ConfigLoader | None) -> Condition:
    """Return a condition; parameters that the command line names are its affair."""
    place = f"space.conditional[{number}]"
    if set(entry) != {"when", "params"}:
        raise ConfigError(f"{place}: expected the keys when and params, was {', '.join(map(str, entry)) or 'nothing'}")
    parsed = [_parse(_text(key, value), loader) for key, value in entry["params"].items()]
    for one in parsed:
        if not one.is_sweep_override():
            raise ConfigError(f"{place}: {one.input_line} does not vary; give several values or an interval")
        _require_sweepable(one)
    when = {str(key): value if isinstance(value, str) else _element(value) for key, value in entry["when"].items()}
    return Condition(when, tuple(_dimension(one) for one in parsed if one.key_or_group not in named))
