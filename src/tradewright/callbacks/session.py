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
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.tensor_shape_pb2 import TensorShapeProto
from tensorboard.compat.proto.types_pb2 import DT_FLOAT
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo

from tradewright.callbacks.events import EventFile

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
EMPTY_TENSOR = TensorProto(dtype=DT_FLOAT, tensor_shape=TensorShapeProto(dim=[TensorShapeProto.Dim(size=0)]))
METRICS = (
    "test/cagr",
    "test/max_drawdown",
    "test/num_trades",
    "test/sharpe",
    "test/total_return",
    "validation/sharpe",
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
        info = SessionStartInfo(group_name=self.group, start_time_secs=time.time())
        for key, value in self.parameters.items():
            if isinstance(value, bool):
                info.hparams[key].bool_value = value
            elif isinstance(value, int | float):
                info.hparams[key].number_value = value
            else:
                info.hparams[key].string_value = str(value)
        self._record(START_TAG, HParamsPluginData(session_start_info=info))
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        values = [
            Summary.Value(tag=tag, simple_value=self.metrics[tag])
            for tag in METRICS
            if math.isfinite(self.metrics.get(tag, math.nan))
        ]
        if values:
            self._events.write(Event(wall_time=time.time(), step=0, summary=Summary(value=values)))
        status = Status.STATUS_SUCCESS if kind is None else Status.STATUS_FAILURE
        end = SessionEndInfo(status=status, end_time_secs=time.time())
        self._record(END_TAG, HParamsPluginData(session_end_info=end))

    def _record(self, tag: str, data: HParamsPluginData) -> None:
        plugin = SummaryMetadata.PluginData(plugin_name=PLUGIN, content=data.SerializeToString())
        value = Summary.Value(tag=tag, metadata=SummaryMetadata(plugin_data=plugin), tensor=EMPTY_TENSOR)
        self._events.write(Event(wall_time=time.time(), summary=Summary(value=[value])))
