"""The session record of a run that TensorBoard's HParams view compares; needs neither torch nor Lightning.

The session (start, true end) and the final metrics go to the sub-run ``result`` without an Experiment record:
TensorBoard then takes the union of all keys and lists only final metrics. Keys are few, flat and present in every run
(``n/a`` where one does not apply), because a run that lacks a key disappears from the parallel coordinates.
"""

import hashlib
import json
import math
import shutil
import struct
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import Container, DictConfig, OmegaConf

from tradewright.callbacks.events import EventFile, Field, Float32, message
from tradewright.errors import PrunedError

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
SWEEP_GROUPS = ("sweep", "pruner", "space", "launcher", "hydra")
"""They say how a sweep searches, not what a run is."""
EMPTY_TENSOR = message((1, 1), (2, message((2, message((1, 0))))))
"""TensorProto of dtype DT_FLOAT and shape [0]: TensorBoard wants a tensor beside the metadata."""
TEXT_METADATA = message((1, message((1, "text"))), (4, 2))
"""SummaryMetadata: plugin ``text``, data class TENSOR."""
UNKNOWN, SUCCESS, FAILURE = 0, 1, 2
"""hparams Status; a pruned run is neither a success nor a failure."""
OUTCOME = "outcome"
"""Tag of a text: how the run ended, and why."""
COMPLETED = "completed"
"""Metric that marks a run: 1 where it is done, 0 where it failed or was pruned; over seeds the share that is done."""
METRICS = (
    "test/max_drawdown",
    "test/num_trades",
    "test/sharpe",
    "test/total_return",
    "validation/sharpe",
    "test/mean_return",
    "validation/mean_return",
)
"""Final metrics shown; TensorBoard ticks the first five with ``completed``. ``metrics.json`` has all there are."""


def session_parameters(
    cfg: DictConfig, choices: Mapping[str, str], overrides: Sequence[str], swept: Sequence[str] = ()
) -> dict[str, Any]:
    """Return what the sweep varies, and up to ``LIMIT`` keys: group choices, the essentials, then overridden keys.

    Every run of a sweep has the same keys, whatever its own overrides; one that does not apply to it reads ``n/a``.

    Args:
        cfg: The resolved configuration.
        choices: Chosen option by group.
        overrides: ``key=value`` texts of the command line.
        swept: Names of every key that the run's sweep varies, also those that this run lacks.
    """
    given = [override.partition("=")[0].lstrip("+~") for override in overrides]
    own = [] if swept else [key for key in given if key not in choices]  # of a sweep some jobs override a key, some not
    varied = [key.lstrip("+~") for key in swept]
    wanted = dict.fromkeys((GROUPS[0], *varied, *GROUPS, *KEYS, *own))
    compared = [key for key in wanted if key not in NOT_COMPARED and key.partition(".")[0] not in SWEEP_GROUPS]
    num = max(LIMIT, len({GROUPS[0], *varied} & set(compared)))
    return {key: _parameter(cfg, choices, key) for key in compared[:num]}


def _parameter(cfg: DictConfig, choices: Mapping[str, str], key: str) -> Any:
    """Return the option of a group, else the value of a key where its group is on."""
    if key in choices or key in GROUPS:
        return choices.get(key, ABSENT)
    is_off = choices.get(key.partition(".")[0]) == "none"
    return ABSENT if is_off else _plain(OmegaConf.select(cfg, key))


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
        self.pictures: Mapping[str, bytes] = {}
        """PNG files by tag, set before leaving."""

    def __enter__(self) -> "Session":
        if self.directory.is_dir():
            shutil.rmtree(self.directory)
        self._events = EventFile(self.directory)
        keys = (message((1, key), (2, _value(value))) for key, value in self.parameters.items())
        start = message(*((1, key) for key in keys), (4, self.group), (5, time.time()))
        self._record(START_TAG, (3, start))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        status, text = _outcome(error)
        figures = {COMPLETED: float(status == SUCCESS), **{tag: self.metrics.get(tag, math.nan) for tag in METRICS}}
        values = [message((1, tag), (2, Float32(value))) for tag, value in figures.items() if math.isfinite(value)]
        values += [message((1, tag), (4, _image(png))) for tag, png in self.pictures.items()]
        values.append(message((1, OUTCOME), (8, _text_tensor(text)), (9, TEXT_METADATA)))
        self._events.write_values(*values)
        end = message((1, status), (2, time.time()))
        self._record(END_TAG, (4, end))

    def _record(self, tag: str, content: tuple[int, Field]) -> None:
        """Write one field of ``HParamsPluginData`` (3: session start, 4: session end) as a summary's metadata."""
        plugin = message((1, PLUGIN), (2, message(content)))
        metadata = message((1, plugin))
        self._events.write_values(message((1, tag), (8, EMPTY_TENSOR), (9, metadata)))


def _outcome(error: BaseException | None) -> tuple[int, str]:
    """Return the status and the text of a run that ended with ``error``, or well."""
    match error:
        case None:
            return SUCCESS, "done"
        case PrunedError():
            return UNKNOWN, f"pruned: {error}"
        case KeyboardInterrupt():
            return FAILURE, "failed: interrupted"
        case _:
            return FAILURE, f"failed: {type(error).__name__}: {error}"


def _image(png: bytes) -> bytes:
    """Encode a ``Summary.Image`` of RGB; width and height are in the file's header."""
    width, height = struct.unpack(">II", png[16:24])
    return message((1, height), (2, width), (3, 3), (4, png))


def _text_tensor(text: str) -> bytes:
    """Encode a ``TensorProto`` of dtype DT_STRING and no dimension."""
    return message((1, 7), (2, b""), (8, text))


def _value(value: Any) -> bytes:
    """Encode a ``google.protobuf.Value``."""
    if isinstance(value, bool):
        return message((4, value))
    return message((2, float(value))) if isinstance(value, int | float) else message((3, str(value)))
