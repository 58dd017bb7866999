"""The typed root of every configuration and the one custom resolver, ``${run_id:}``.

Global keys have types; a group's content is whatever its YAML option says, so groups are ``Any``. Because the root is
structured, Hydra itself rejects a stray root key and names the experiment file that brought it.
Assumes that ``conf/config.yaml`` lists ``root`` first in its defaults.
"""

import os
import secrets
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

SWEEPER = {"_target_": "hydra_plugins.tradewright.StudySweeper", "params": {}}
"""Option ``hydra/sweeper=study``, the one that every sweep runs through."""
RUN_ID_VARIABLE = "TRADEWRIGHT_RUN_ID"
"""Environment variable that fixes the run id, so that the processes of one distributed run agree on a directory."""


@dataclass
class Root:
    """Every key that may stand at the root of a configuration.

    Args:
        name: Name of the experiment; the run directory is ``output_dir/name/<run id>``.
        seed: Seed of every generator of the run, >= 0.
        output_dir: Folder of the run directories.
        store: Folder of ingested bars and cached features.
        resume: A run directory; the command line continues it with its own configuration.
        allow: Further packages whose classes a ``_target_`` may name.
    """

    name: str = "default"
    seed: int = 0
    output_dir: str = "outputs"
    store: str = ".tradewright"
    resume: str | None = None
    allow: list[str] = field(default_factory=list)

    task: Any = None
    data: Any = None
    features: Any = None
    target: Any = None
    examples: Any = None
    model: Any = None
    lora: Any = None
    quant: Any = None
    env: Any = None
    reward: Any = None
    algorithm: Any = None
    strategy: Any = None
    risk: Any = None
    generate: Any = None
    backend: Any = None
    backtest: Any = None
    evaluate: Any = None
    trainer: Any = None
    callbacks: Any = None
    logger: Any = None
    report: Any = None
    sweep: Any = None
    pruner: Any = None
    space: Any = None
    launcher: Any = None


def root_keys() -> tuple[str, ...]:
    """Return the names of all root keys, groups included."""
    return tuple(entry.name for entry in fields(Root))


def new_run_id() -> str:
    """Return ``yyyymmdd-hhmmss-6hex`` in local time, or the value of ``TRADEWRIGHT_RUN_ID``.

    Two runs that start in the same second differ in the six random hex digits.
    """
    return os.environ.get(RUN_ID_VARIABLE) or f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"


def register_root() -> None:
    """Register the root schema, the sweeper and the resolver; calling it again changes nothing."""
    ConfigStore.instance().store(name="root", node=Root)
    ConfigStore.instance().store(group="hydra/sweeper", name="study", node=SWEEPER)
    OmegaConf.register_new_resolver("run_id", new_run_id, use_cache=True, replace=True)
