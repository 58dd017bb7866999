"""What a sweep rests on besides its configuration: the code of one's own packages, and the bars.

A rule that was corrected and bars that were delivered anew make another sweep, for the old results say nothing about
them. The bars are known by the content of their files, or by what the store has of them; a file that was only touched
or lies in another place is the same.
"""

from collections.abc import Callable, Sequence
from typing import Any

from omegaconf import DictConfig

from tradewright.config.build import build
from tradewright.config.targets import open_own_folder
from tradewright.surroundings import own_code_digests
from tradewright.sweep.dimensions import first_value
from tradewright.sweep.space import Space

INPUTS = ("data", "experiment", "data.path", "data.dataset", "data.rates", "data.rolls")
"""Keys whose values lead to other bars, each of which is looked at where they vary."""
LENGTH = 16
"""Digits of a fingerprint that are kept; shorter differences are easier to read."""


def code_of(cfg: DictConfig) -> dict[str, str]:
    """Return a digest of every package that the configuration allows besides ours, by name."""
    allow = [str(entry) for entry in cfg.get("allow") or []]
    open_own_folder(allow)
    return {name: f"source {digest}" for name, digest in own_code_digests(allow).items()}


def bars_of(branches: Sequence[DictConfig], space: Space, compose: Callable[[list[str]], DictConfig]) -> dict[str, str]:
    """Return the identity of all bars that the jobs see, by the name of the data set or the kind of its source.

    Args:
        branches: One job per branch of the space, composed.
        space: What varies.
        compose: Composes the overrides of a job.

    Raises:
        ConfigError: The node ``data`` cannot be built.
        DataError: The files are missing.
    """
    first = {one.name: one.text(first_value(one)) for one in space.dimensions}
    others = [
        compose(space.overrides({**first, one.name: text}))
        for one in space.dimensions
        if one.name in INPUTS
        for text in one.texts or ()
        if text != first[one.name]
    ]
    nodes = [cfg.data for cfg in (*branches, *others) if isinstance(cfg.get("data"), DictConfig)]
    found: dict[str, set[str]] = {}
    for node in {str(node): node for node in nodes}.values():
        source: Any = build(node, key="data")
        if hasattr(source, "identity"):  # none in a world without a market
            found.setdefault(source.dataset or source.kind, set()).add(source.identity()[:LENGTH])
    return {name: f"content {', '.join(sorted(digests))}" for name, digests in found.items()}
