"""The differing settings of compared runs as numbers or words."""

import math
from collections.abc import Sequence

WIDE_RATIO = 50.0
"""Largest over smallest value from which a positive setting is seen on a logarithmic scale."""


def numbers_of(texts: Sequence[str]) -> list[float]:
    """Return the texts as numbers; none if one of them is no finite number."""
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        return []
    return numbers if all(math.isfinite(number) for number in numbers) else []


def is_wide(numbers: Sequence[float]) -> bool:
    """Return whether positive numbers span so much that a logarithmic scale shows them better."""
    return min(numbers) > 0 and max(numbers) / min(numbers) >= WIDE_RATIO
