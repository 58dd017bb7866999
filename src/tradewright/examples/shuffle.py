"""Answers in random order: the control of a language model, whose prompts then tell nothing of what is right."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tradewright.examples.example import Example, ExampleSets


def shuffled(sets: ExampleSets, *, seed: int) -> ExampleSets:
    """Return the sets with the answers of training and validation given to other prompts of the same set.

    Args:
        sets: The examples; the test set stays as it is.
        seed: Of the order.
    """
    rng = np.random.default_rng(seed)
    return replace(sets, train=_mixed(sets.train, rng), validation=_mixed(sets.validation, rng))


def _mixed(examples: Sequence[Example], rng: np.random.Generator) -> tuple[Example, ...]:
    order = rng.permutation(len(examples)).tolist()
    return tuple(
        replace(one, completion=examples[place].completion, label=examples[place].label)
        for one, place in zip(examples, order, strict=True)
    )
