"""What distinguishes the configurations of several runs: only the differing keys, in the shortest readable form."""

import json
import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

IGNORED = ("output_dir", "store", "resume", "run", "runs", "allow", "report", "logger", "data.store")
"""Keys, and everything below them, that say where a run goes but not what it is."""

SEED = "seed"
TARGET = "_target_"
ABSENT = "n/a"
"""Shown where a run's configuration lacks a key."""

Config = Mapping[str, Any]


def differing_keys(configs: Sequence[Config]) -> list[str]:
    """Return the keys whose values differ, in the order they first occur.

    Where a node's ``_target_`` differs (another algorithm), its other keys differ by nature; such a key is returned
    only if it differs among runs with the same target. Of keys with the same values in every run (interpolations) only
    the one nearest to the root is returned.

    Args:
        configs: Flat configurations with dotted keys.
    """
    order = list(dict.fromkeys(key for config in configs for key in config))
    varied = [key for key in order if not _is_ignored(key) and _num_values(configs, key) > 1]
    switched = {key.removesuffix(f".{TARGET}") for key in varied if key.endswith(f".{TARGET}")}
    chosen = [key for key in varied if key not in switched and _is_own_choice(configs, key, switched)]
    nearest: dict[tuple[str, ...], str] = {}
    for key in sorted(chosen, key=lambda name: name.count(".")):
        nearest.setdefault(tuple(repr(config.get(key, ABSENT)) for config in configs), key)
    return [key for key in chosen if key in nearest.values()]


def _is_own_choice(configs: Sequence[Config], key: str, switched: set[str]) -> bool:
    """Return whether ``key`` differs other than because a node above it was exchanged."""
    parts = key.split(".")
    above = [".".join(parts[:length]) for length in range(1, len(parts))]
    exchanged = [node for node in above if node in switched]
    if key.endswith(f".{TARGET}"):
        exchanged = [node for node in exchanged if node != key.removesuffix(f".{TARGET}")]
    if not exchanged:
        return True
    alike: dict[tuple[str, ...], list[Config]] = defaultdict(list)
    for config in configs:
        alike[tuple(str(config.get(f"{node}.{TARGET}")) for node in exchanged)].append(config)
    return any(_num_values(group, key) > 1 for group in alike.values())


def _num_values(configs: Sequence[Config], key: str) -> int:
    return len({repr(config.get(key, ABSENT)) for config in configs})


@cache
def _is_ignored(key: str) -> bool:
    return any(key == name or key.startswith(f"{name}.") for name in IGNORED)


def group_by_seed(configs: Sequence[Config], fingerprints: Sequence[str], trials: Sequence[str]) -> list[list[int]]:
    """Return the indices of runs that are equal but for the seed, groups in order of first occurrence.

    Runs of one trial are: its identity is the configuration without the seed, and the data. Of runs that did not record
    it the configurations are compared, without the root key ``seed``.

    Args:
        configs: Flat configurations with dotted keys.
        fingerprints: Of the data of each; runs on different data are never one group.
        trials: Identity of the trial of each, or an empty text.
    """
    groups: dict[str, list[int]] = defaultdict(list)
    for index, config in enumerate(configs):
        groups[trials[index] or _identity(config, fingerprints[index])].append(index)
    return list(groups.values())


def _identity(config: Config, fingerprint: str) -> str:
    rest = sorted((key, value) for key, value in config.items() if key != SEED and not _is_ignored(key))
    return repr((rest, fingerprint))


def show_key(key: str) -> str:
    """Return a key as a column title: ``algorithm._target_`` becomes ``algorithm``."""
    return key.removesuffix(f".{TARGET}")


def show_value(key: str, value: Any) -> str:
    """Return a value as a cell: a class of ours by its module (``ppo``), numbers short, lists as JSON."""
    if key.endswith(TARGET) and isinstance(value, str):
        parts = value.split(".")
        return parts[-2] if parts[0] == "tradewright" and len(parts) > 1 else parts[-1]
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.6g}" if math.isfinite(value) else str(value)
        case list() | dict():
            return json.dumps(value, default=str)
        case _:
            return str(value)
