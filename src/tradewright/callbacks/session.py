"""The session record of a run that TensorBoard's HParams view compares; needs neither torch nor Lightning.

The session (start, true end) and the final metrics go to the sub-run ``result`` without an Experiment record:
TensorBoard then takes the union of all keys and lists only final metrics. Keys are few, flat and present in every run
(``n/a`` where one does not apply), because a run that lacks a key disappears from the parallel coordinates.
"""

import hashlib
import json
import math
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import Container, DictConfig, OmegaConf

from tradewright.callbacks.events import EventFile, Field, Float32, message

RESULT = "result"
PLUGIN = "hparams"
START_TAG, END_TAG = "_hparams_/session_start_info", "_hparams_/session_end_info"
ABSENT = "n/a"
GROUPS = ("algorithm", "data", "env", "features", "model", "reward", "strategy")
KEYS = ("algorithm.lr", "lora.r")
LIMIT = 12
"""TensorBoard ticks only a few columns; more keys than this make its view useless."""
NOT_COMPARED = ("seed",)
"""Runs that differ only in these are averaged into one row, where a single value would mislead."""
EMPTY_TENSOR = message((1, 1), (2, message((2, message((1, 0))))))
"""TensorProto of dtype DT_FLOAT and shape [0]: TensorBoard wants a tensor beside the metadata."""
SUCCESS, FAILURE = 1, 2
"""hparams Status."""
METRICS = (
    "test/cagr",
    "test/max_drawdown",
    "test/num_trades",
    "test/sharpe",
    "test/total_return",
    "validation/sharpe",
    "test/mean_return",
    "validation/mean_return",
)
"""Final metrics shown; TensorBoard ticks the first five. All of them are in ``metrics.json``."""


def session_parameters(cfg: DictConfig, choices: Mapping[str, str], overrides: list[str]) -> dict[str, Any]:
    """Return at most ``LIMIT`` keys: group choices, the essentials, then the overridden keys in their order.

    Args:
        cfg: The resolved configuration.
        choices: Chosen option by group.
        overrides: ``key=value`` texts of the command line.
    """
    keys: dict[str, Any] = {group: choices.get(group, ABSENT) for group in GROUPS}
    swept = [override.partition("=")[0].lstrip("+~") for override in overrides]
    for key in (*KEYS, *(key for key in swept if key not in choices and key not in NOT_COMPARED)):
        if key not in keys and len(keys) < LIMIT:
            is_off = choices.get(key.partition(".")[0]) == "none"
            keys[key] = ABSENT if is_off else _plain(OmegaConf.select(cfg, key))
    return keys


def _plain(value: Any) -> Any:
    """Return a number or a text; what is absent reads ``n/a``."""
    if value is None:
        return ABSENT
    if isinstance(value, Container):
        return json.dumps(OmegaConf.to_container(value, resolve=True), default=str)
    return value if isinstance(value, bool | int | float) else str(value)


def session_group(trial: str, data_fingerprint: str) -> str:
    """Return the name under which runs that differ only in their seed are averaged into one row."""
    return hashlib.sha256(f"{trial} {data_fingerprint}".encode()).hexdigest()[:12]


class Session:
    """Opens the record when entered and closes it with the true status when left.

    An earlier record of the same run (it was resumed) is replaced, because TensorBoard keeps the first status it reads.

    Args:
        directory: The run directory.
        parameters: Flat: numbers, booleans and texts.
        group: From ``session_group``.
    """

    def __init__(self, directory: Path, parameters: Mapping[str, Any], group: str) -> None:
        self.directory = directory / RESULT
        self.parameters = parameters
        self.group = group
        self.metrics: Mapping[str, float] = {}
        """Final metrics, set before leaving; those of ``METRICS`` are shown."""

    def __enter__(self) -> "Session":
        if self.directory.is_dir():
            shutil.rmtree(self.directory)
        self._events = EventFile(self.directory)
        keys = (message((1, key), (2, _value(value))) for key, value in self.parameters.items())
        start = message(*((1, key) for key in keys), (4, self.group), (5, time.time()))
        self._record(START_TAG, (3, start))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        values = [
            message((1, tag), (2, Float32(self.metrics[tag])))
            for tag in METRICS
            if math.isfinite(self.metrics.get(tag, math.nan))
        ]
        if values:
            self._events.write_values(*values)
        end = message((1, SUCCESS if kind is None else FAILURE), (2, time.time()))
        self._record(END_TAG, (4, end))

    def _record(self, tag: str, content: tuple[int, Field]) -> None:
        """Write one field of ``HParamsPluginData`` (3: session start, 4: session end) as a summary's metadata."""
        plugin = message((1, PLUGIN), (2, message(content)))
        metadata = message((1, plugin))
        self._events.write_values(message((1, tag), (8, EMPTY_TENSOR), (9, metadata)))


def _value(value: Any) -> bytes:
    """Encode a ``google.protobuf.Value``."""
    if isinstance(value, bool):
        return message((4, value))
    return message((2, float(value))) if isinstance(value, int | float) else message((3, str(value)))
