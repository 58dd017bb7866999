"""The sweeper as Hydra finds it: Hydra takes plugins from ``hydra_plugins`` only, which must have no ``__init__.py``.

Hydra executes this module at every start, so it imports nothing but Hydra's own base class.
"""

from typing import Any

from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class StudySweeper(Sweeper):
    """Hands the words of the command line to the task function's ``sweep``, which knows how to run them.

    Args:
        params: Further parameters by key, as Hydra's own sweeper takes them: ``hydra.sweeper.params`` in YAML.
    """

    def __init__(self, params: dict[str, Any] | None = None) -> None:
        self.params = dict(params or {})
        self.task_function: Any = None

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Keep what the sweep needs."""
        self.task_function, self.config, self.hydra_context = task_function, config, hydra_context

    def sweep(self, arguments: list[str]) -> Any:
        """Run the sweep.

        Args:
            arguments: Words of the command line, without Hydra's own.
        """
        return self.task_function.sweep(self.config, arguments, self.params)
