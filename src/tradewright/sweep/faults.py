"""What cannot be searched: ranges, intervals and tags that Hydra's grammar takes but that hold no values.

Every fault starts with its key and shows the word as it was typed.
"""

import math

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep

from tradewright.errors import ConfigError

TAG = "log"
"""The one that is known: a logarithmic scale."""
COUNTED = 100_000
"""Values of a range of floats that are counted one by one."""


def fault(one: Override, text: str) -> ConfigError:
    """Return the error of an override: its key, its value as typed, and what is wrong."""
    return ConfigError(f"{one.key_or_group}: {str(one.input_line).partition('=')[2]}: {text}")


def count_range(one: Override, swept: RangeSweep) -> int:
    """Return the number of values of a range.

    Args:
        one: The override.
        swept: Its value.

    Raises:
        ConfigError: It has none, or no end of them.
    """
    _require_tags(one, swept.tags)
    start, stop, step = (0 if value is None else value for value in (swept.start, swept.stop, swept.step))
    if not all(math.isfinite(value) for value in (start, stop, step)):
        raise fault(one, "start, stop and step must be finite")
    if step == 0:
        was = " (int cuts the fraction off)" if "int(" in str(one.input_line) else ""
        raise fault(one, f"the step must not be 0{was}")
    if (stop - start) / step <= 0:
        way = f"; a step of {step} leads away from the stop" if start != stop else "; start and stop are equal"
        raise fault(one, f"there is no value to choose{way}")
    if TAG in swept.tags and step != 1:
        raise fault(one, f"a logarithmic range has step 1, was {step}; use a list of values")
    if TAG in swept.tags and not start > 0:
        raise fault(one, f"a logarithmic range must begin above 0, was {start}")
    values = swept.range()
    if isinstance(values, range):
        return len(values)
    num = math.ceil((stop - start) / step)
    return sum(1 for _ in values) if num <= COUNTED else num  # Hydra adds steps: its rounding decides on the last value


def require_interval(one: Override, swept: IntervalSweep) -> None:
    """Refuse an interval that holds no numbers.

    Args:
        one: The override.
        swept: Its value.

    Raises:
        ConfigError: A bound is missing, they stand the wrong way round, or the scale does not fit.
    """
    assert swept.start is not None
    assert swept.end is not None
    _require_tags(one, swept.tags)
    if not (math.isfinite(swept.start) and math.isfinite(swept.end)):
        raise fault(one, "has no bound; both must be finite")
    if not swept.start < swept.end:
        is_cut = "int(" in str(one.input_line) and swept.start == swept.end
        hint = f"int leaves {swept.start} to {swept.end}" if is_cut else "give the lower bound first"
        raise fault(one, f"the interval is empty; {hint}")
    if TAG in swept.tags and not swept.start > 0:
        raise fault(one, f"a logarithmic interval must begin above 0, was {swept.start}")


def _require_tags(one: Override, tags: set[str]) -> None:
    if unknown := tags - {TAG}:
        raise fault(one, f"unknown tag {', '.join(sorted(unknown))}; the only one is {TAG}")
