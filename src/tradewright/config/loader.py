"""Hydra's loader, with mappings whose keys are data: given on the command line, they replace those of a file.

Hydra merges a mapping of the command line into the one that is there, and refuses keys that it lacks. That is right
for settings. In ``sweep.objective`` and ``sweep.constraints`` the keys are metrics that the user chooses; merged, those
of an experiment could never be taken away. ``+key={...}`` still adds to what is there.
"""

import copy
from functools import partial
from pathlib import Path
from typing import Any

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra._internal.config_repository import ConfigRepository
from hydra._internal.core_plugins.file_config_source import FileConfigSource
from hydra.core.config_search_path import ConfigSearchPath
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import OverrideType
from hydra.errors import HydraException
from hydra.plugins.config_source import ConfigResult
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from tradewright.config.kept import kept

REPLACED = ("sweep.objective", "sweep.constraints")
"""Keys whose mappings are chosen as a whole."""


class _Files(FileConfigSource):
    """A folder whose files are kept as they were read, see ``kept``."""

    def load_config(self, config_path: str) -> ConfigResult:
        """Return a file's content, which the caller may change."""
        path = Path(self.path, self._normalize_file_name(config_path))
        if not path.is_file():
            return super().load_config(config_path)  # which says so
        return kept(self.provider, path, partial(super().load_config, config_path))


class _Repository(ConfigRepository):
    """Reads folders by ``_Files``."""

    def initialize_sources(self, config_search_path: ConfigSearchPath) -> None:
        """See ``ConfigRepository``."""
        super().initialize_sources(config_search_path)
        self.sources = [
            _Files(source.provider, source.path) if source.scheme() == _Files.scheme() else source
            for source in self.sources  # Hydra imports its plugins again, so their classes are others than those here
        ]

    def __deepcopy__(self, memo: dict[int, Any]) -> "_Repository":
        """Return one that can be given other sources; Hydra copies all options of its store to that end."""
        return copy.copy(self)


class Loader(ConfigLoaderImpl):
    """Loads as Hydra does, after emptying what a mapping of the command line replaces."""

    def __init__(self, config_search_path: ConfigSearchPath) -> None:
        super().__init__(config_search_path)
        self.repository = _Repository(config_search_path)

    def load_configuration(
        self,
        config_name: str | None,
        overrides: list[str],
        run_mode: RunMode,
        from_shell: bool = True,
        validate_sweep_overrides: bool = True,
    ) -> DictConfig:
        """Return the configuration; see ``ConfigLoader.load_configuration``."""
        words = [word for text in overrides for word in (*_emptying(text), text)]
        cfg = super().load_configuration(config_name, words, run_mode, from_shell, validate_sweep_overrides)
        listed: Any = OmegaConf.to_container(cfg.hydra.overrides.task, resolve=False)  # the words, not what they mean
        inserted = {place for place, text in enumerate(listed[1:]) if listed[place] in _emptying(text)}
        with open_dict(cfg.hydra.overrides):
            cfg.hydra.overrides.task = [text for place, text in enumerate(listed) if place not in inserted]
        return cfg


def _emptying(text: str) -> list[str]:
    """Return the override that empties what another one replaces; none where it replaces nothing.

    >>> _emptying("sweep.objective={validation/sharpe: maximize}"), _emptying("+sweep.objective={a: b}")
    (['sweep.objective=null'], [])
    """
    return [f"{key}=null" for key in REPLACED if text.startswith(f"{key}=") and _is_mapping(text)]


def _is_mapping(text: str) -> bool:
    """Whether an override changes a key to a mapping; what cannot be read is Hydra's to refuse."""
    try:
        parsed = OverridesParser.create().parse_override(text)
    except HydraException:
        return False
    return parsed.type is OverrideType.CHANGE and isinstance(parsed.value(), dict)
