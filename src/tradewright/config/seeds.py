"""Five seeds where learning algorithms are compared: one training each says little about which of them is better."""

from collections.abc import Sequence

from hydra.core.override_parser.overrides_parser import OverridesParser

NUM_SEEDS = 5
"""Source: Henderson et al., "Deep reinforcement learning that matters", AAAI 2018: five seeds as the least."""


def seeds_of_comparison(overrides: Sequence[str]) -> list[str]:
    """Return the override that repeats every algorithm of a sweep; [] where nothing is to be added.

    Args:
        overrides: The command line of a sweep. It compares algorithms where ``algorithm`` has several values, and
            chooses its own seeds where it names ``seed``.
    """
    parsed = OverridesParser.create().parse_overrides(list(overrides))
    compares = any(one.key_or_group == "algorithm" and one.is_sweep_override() for one in parsed)
    has_seeds = any(one.key_or_group == "seed" for one in parsed)
    return [f"seed={','.join(str(seed) for seed in range(NUM_SEEDS))}"] if compares and not has_seeds else []
