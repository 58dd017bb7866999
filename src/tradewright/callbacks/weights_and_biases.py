"""Weights & Biases (extra ``wandb``): training curves, the configuration and the final metrics in a named project.

Offline by default: everything is written to ``wandb/`` in the run directory, and ``wandb sync`` sends it later.
"""

import importlib.util
import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import yaml
from lightning.pytorch.loggers import WandbLogger

from tradewright.callbacks.curve_logger import CurveLogger
from tradewright.config.runtime import Runtime
from tradewright.errors import ConfigError
from tradewright.output import CONFIG


class WeightsAndBiases(CurveLogger, WandbLogger):
    """Logs one run; its group is the folder above, so that the runs of a sweep stand together.

    Args:
        directory: The run directory; its resolved configuration is part of the record.
        project: Name of the project.
        entity: Account or team; null: the default of whoever is logged in.
        offline: Write files only; else upload while training, which needs an account.

    Raises:
        ConfigError: The package is not installed.
    """

    def __init__(
        self, *, directory: Runtime[Path], project: str = "tradewright", entity: str | None = None, offline: bool = True
    ) -> None:
        require_package()
        config = directory / CONFIG
        super().__init__(
            project=project,
            entity=entity,
            name="/".join(directory.absolute().parts[-2:]),
            group="/".join(directory.absolute().parts[-3:-1]),
            save_dir=str(directory),
            offline=offline,
            config=yaml.safe_load(config.read_text()) if config.is_file() else None,
        )


def require_package() -> None:
    """Refuse to start without the package.

    Raises:
        ConfigError: It is not installed.
    """
    if importlib.util.find_spec("wandb") is None:
        raise ConfigError(
            "logger.wandb: the package wandb is not installed; pip install 'tradewright[wandb]', "
            "or use logger=tensorboard"
        )


class Record:
    """Ends the record of a run with its final metrics and its true state.

    Args:
        logger: Builds the run's logger where no training has opened the record, as for a rule.
    """

    def __init__(self, logger: Any) -> None:
        self.logger = logger
        self.metrics: Mapping[str, float] = {}
        """Final metrics, set before leaving."""

    def __enter__(self) -> "Record":
        require_package()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        import wandb

        run = wandb.run or self.logger().experiment
        run.summary.update({name: value for name, value in self.metrics.items() if math.isfinite(value)})
        run.finish(exit_code=0 if kind is None else 1)
