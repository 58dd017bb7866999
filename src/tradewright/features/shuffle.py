"""Features in random order: inputs with the same distribution that tell nothing about their bar."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from tradewright.data.ranges import Range
from tradewright.features.features import Features


def shuffle_rows(features: Features, parts: Sequence[Range], *, seed: int) -> Features:
    """Return features whose rows are permuted within each part, alike for all instruments; other rows stay.

    Args:
        features: The features.
        parts: Disjoint ranges; rows before ``ready_from`` keep their place.
        seed: Of the permutations.
    """
    x_TNF = np.array(features.x_TNF)
    generator = np.random.default_rng(seed)
    for part in parts:
        start = max(part.start, features.ready_from)
        x_TNF[start : part.stop] = x_TNF[start : part.stop][generator.permutation(max(part.stop - start, 0))]
    return replace(features, x_TNF=x_TNF)
