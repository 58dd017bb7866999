"""Compose configurations: the shipped option files, the experiments and command-line overrides, by Hydra's rules.

``open_hydra`` is the one place that sets Hydra up; the command line runs jobs with what it returns, ``compose`` gives
tests and replays the same configuration without a job.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from hydra import version
from hydra._internal.hydra import Hydra
from hydra._internal.utils import create_config_search_path
from hydra.core.config_search_path import SearchPathQuery
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, open_dict

from tradewright import paths
from tradewright.config.experiments import Experiments, find_experiments, register_experiments
from tradewright.config.explain import HYDRA_ERRORS, explain
from tradewright.config.loader import Loader
from tradewright.config.root import register_root
from tradewright.errors import ConfigError

CONFIG_NAME = "config"


@dataclass(frozen=True)
class Composer:
    """Hydra, set up for one configuration tree and the experiments around it.

    Args:
        hydra: Composes.
        experiments: The experiment files.
        conf: Main configuration folder.
        extra: Further folder of options; None: none.
    """

    hydra: Hydra
    experiments: Experiments
    conf: str
    extra: str | None

    def compose(self, overrides: list[str], *, mode: RunMode = RunMode.RUN) -> DictConfig:
        """Return the configuration for the overrides, with Hydra's own node under ``hydra``.

        Raises:
            ConfigError: An override, an option or a file does not fit; one line that names it.
        """
        register_experiments(self.experiments)  # Hydra's store is global; another composer may have filled it since
        try:
            return self.hydra.compose_config(config_name=CONFIG_NAME, overrides=list(overrides), run_mode=mode)
        except HYDRA_ERRORS as error:
            raise self.explain(error, overrides) from error

    def explain(self, error: Exception, overrides: list[str]) -> ConfigError:
        """Return the error of a composition as one that a user can act on."""

        def partial(kept: list[str]) -> DictConfig | None:
            try:
                return self.hydra.compose_config(config_name=CONFIG_NAME, overrides=kept, run_mode=RunMode.RUN)
            except HYDRA_ERRORS:
                return None

        return explain(error, overrides=overrides, experiments=self.experiments, compose=partial)


def open_hydra(*, conf: str | os.PathLike[str] | None = None, extra: str | os.PathLike[str] | None = None) -> Composer:
    """Register root, resolver and experiments, and open the configuration tree.

    Args:
        conf: Main configuration folder; None: the shipped one.
        extra: Further folder of options, searched after the main one (``--config-dir``).

    Raises:
        ConfigError: ``extra`` is not a folder.
    """
    version.setbase("1.3")
    register_root()
    experiments = find_experiments()
    register_experiments(experiments)
    main = str(Path(conf or paths.shipped("conf")).resolve())
    search_path = create_config_search_path(main)
    if extra is not None:
        folder = Path(extra).resolve()
        if not folder.is_dir():
            raise ConfigError(f"--config-dir: no folder {extra}")
        search_path.prepend(provider="command-line", path=f"file://{folder}", anchor=SearchPathQuery(provider="schema"))
    further = None if extra is None else str(Path(extra).resolve())
    return Composer(Hydra("tradewright", Loader(search_path)), experiments, main, further)


def compose(overrides: list[str]) -> DictConfig:
    """Return the configuration that ``tradewright <overrides>`` would run, without Hydra's own node.

    Raises:
        ConfigError: An override, an option or a file does not fit.
    """
    cfg = open_hydra().compose(overrides)
    with open_dict(cfg):
        del cfg["hydra"]
    return cfg


def choices() -> dict[str, str]:
    """Return the option chosen for each group by the current job; empty outside a job."""
    if not HydraConfig.initialized():
        return {}
    chosen = HydraConfig.get().runtime.choices
    return {str(group): str(option) for group, option in chosen.items() if not str(group).startswith("hydra/")}
