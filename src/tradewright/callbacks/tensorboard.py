"""TensorBoard logger: curves over environment frames, and a session record that its HParams view can compare.

The run's curves and texts go to the run directory; the session (start, true end) and the final metrics go to the sub-run
``result``, without an Experiment record: TensorBoard then takes the union of all keys and lists only final metrics.
Keys are few, flat and present in every run (``n/a`` where one does not apply), because a run that lacks a key disappears
from the parallel coordinates.
"""

import math
import shutil
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import TensorBoardLogger
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData, SessionEndInfo, SessionStartInfo
from torch.utils.tensorboard import SummaryWriter

from tradewright.config.runtime import Runtime

RESULT = "result"


class TensorBoard(TensorBoardLogger):
    """Writes events into the run directory itself.

    Args:
        directory: The run directory.
        flush_secs: Seconds between two writes to disk.
    """

    def __init__(self, *, directory: Runtime[Path], flush_secs: int = 10) -> None:
        super().__init__(
            save_dir=str(directory), name="", version="", default_hp_metric=False, flush_secs=flush_secs
        )
        self._directory = Path(directory)
        self._result: SummaryWriter | None = None
        self.step_of: Callable[[], int] | None = None
        """Gives the x-axis of Lightning's metrics; environment frames for agents. None: Lightning's gradient step."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        """Log curves at the current frame; what is not a number leaves a gap, as TensorBoard cannot draw it."""
        finite = {name: float(value) for name, value in metrics.items() if math.isfinite(float(value))}
        finite.pop("epoch", None)
        super().log_metrics(finite, step=self.step_of() if self.step_of is not None else step)

    def log_text(self, name: str, text: str) -> None:
        """Show ``text`` in the Text tab, as a code block."""
        self.experiment.add_text(name, "    " + text.replace("\n", "\n    "))

    def save(self) -> None:
        """Lightning would write an empty ``hparams.yaml`` here; ``config.yaml`` is the record."""

    def start_session(self, parameters: Mapping[str, Any], group: str) -> None:
        """Open the session of this run; an earlier one (a resumed run) is replaced.

        Args:
            parameters: Flat; numbers, booleans and texts.
            group: Runs of one group (equal but for the seed) are averaged into one row.
        """
        shutil.rmtree(self._directory / RESULT, ignore_errors=True)
        self._result = SummaryWriter(str(self._directory / RESULT))
        info = SessionStartInfo(group_name=group, start_time_secs=time.time())
        for key, value in parameters.items():
            if isinstance(value, bool):
                info.hparams[key].bool_value = value
            elif isinstance(value, int | float):
                info.hparams[key].number_value = value
            else:
                info.hparams[key].string_value = str(value)
        self._write(metadata.SESSION_START_INFO_TAG, HParamsPluginData(session_start_info=info))

    def end_session(self, metrics: Mapping[str, float], *, is_success: bool) -> None:
        """Write the final metrics and the true status."""
        if self._result is None:
            return
        for name, value in metrics.items():
            if math.isfinite(value):
                self._result.add_scalar(name, value, 0)
        status = Status.STATUS_SUCCESS if is_success else Status.STATUS_FAILURE
        end = SessionEndInfo(status=status, end_time_secs=time.time())
        self._write(metadata.SESSION_END_INFO_TAG, HParamsPluginData(session_end_info=end))
        self._result.close()
        self._result = None

    def _write(self, tag: str, data: HParamsPluginData) -> None:
        assert self._result is not None
        summary = Summary()
        summary.value.add(tag=tag, metadata=metadata.create_summary_metadata(data), tensor=metadata.NULL_TENSOR)
        self._result.file_writer.add_summary(summary)
        self._result.flush()
