"""Continue a run: load the configuration it saved and run it again in its own directory.

Nothing is composed: option and experiment files may have changed since. Only values of existing keys can be overridden.
"""

import os
from pathlib import Path
from typing import Any

from hydra.conf import HydraConf
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from tradewright.config.compose import Composer
from tradewright.config.experiments import explain_yaml
from tradewright.config.root import Root
from tradewright.errors import ConfigError, RunError, suggest
from tradewright.jobs import current, drop_settings, run_in_directory, tell, verify, without_hydra

CONFIG_FILE = "config.yaml"
CHANGEABLE = ("callbacks", "logger", "report", "task", "trainer")
"""Groups whose keys may change when a run is resumed; others would judge another trial under the old one's name."""
HYDRA_FILE = Path(".hydra") / "hydra.yaml"


def resume(composer: Composer, directory: Path, overrides: list[str]) -> None:
    """Continue the run of a directory.

    Raises:
        RunError: The directory is no run directory.
        ConfigError: An override names no key of the run, or the configuration no longer passes the check.
    """
    cfg = load_run(directory)
    drop_settings(cfg)
    override(cfg, overrides)
    _return_to_start(Path(cfg.hydra.runtime.cwd))
    with current(cfg):
        warnings = verify(without_hydra(cfg))
        tell(warnings)
    run_in_directory(composer, cfg, lambda _: warnings, resume=True)


def _return_to_start(folder: Path) -> None:
    """Go where the run was started: its store, outputs and data may be given relative to there."""
    if folder != Path.cwd() and folder.is_dir():
        os.chdir(folder)


def load_run(directory: Path) -> DictConfig:
    """Return the configuration that a run saved, with Hydra's node set to continue in the same directory."""
    if not directory.is_dir():
        raise RunError(f"{directory}: no such run directory")
    if not (directory / CONFIG_FILE).is_file():
        jobs = [path.parent for path in sorted(directory.glob(f"*/{CONFIG_FILE}"))]
        hint = f"; it holds {len(jobs)} runs, resume one of them, e.g. resume={jobs[0]}" if jobs else ""
        raise RunError(f"{directory}: no {CONFIG_FILE}, so there is nothing to resume{hint}")
    cfg: Any = _read(directory / CONFIG_FILE, OmegaConf.structured(Root))
    schema = OmegaConf.create({"hydra": OmegaConf.structured(HydraConf)})
    OmegaConf.set_struct(schema.hydra, False)  # Hydra itself adds keys that its schema lacks, such as env
    hydra: Any = _read(directory / HYDRA_FILE, schema).hydra
    with open_dict(hydra):
        hydra.mode = RunMode.RUN
        hydra.run.dir = str(directory.absolute())
        hydra.output_subdir = None  # what was chosen at the start stays as it is
        hydra.runtime.output_dir = str(directory.resolve())
    with open_dict(cfg):
        cfg.hydra = hydra
    OmegaConf.set_struct(cfg, True)
    return cfg


def _read(path: Path, schema: DictConfig) -> Any:
    try:
        return OmegaConf.merge(schema, OmegaConf.load(path))
    except (OSError, YAMLError, OmegaConfBaseException, ValueError) as error:
        raise RunError(f"{path}: {explain_yaml(error)}") from error


def override(cfg: DictConfig, texts: list[str]) -> None:
    """Set values of existing keys; Hydra's own keys, which a launcher may add, stay as they are.

    Raises:
        ConfigError: The text is no ``key=value``, names no key or replaces a whole group.
    """
    for text in texts:
        try:
            parsed = OverridesParser.create().parse_override(text)
        except HydraException as error:
            raise ConfigError(f"{text!r} is not key=value") from error
        key = parsed.key_or_group
        if key.startswith("hydra."):
            continue
        if parsed.is_add() or parsed.is_force_add() or parsed.is_delete() or parsed.is_sweep_override():
            raise ConfigError(f"{text}: a resumed run takes only key=value for keys that it has")
        parent, _, name = key.rpartition(".")
        owner = OmegaConf.select(cfg, parent) if parent else cfg
        if not isinstance(owner, DictConfig) or name not in owner:
            known = [str(entry) for entry in owner if entry != "hydra"] if isinstance(owner, DictConfig) else []
            raise ConfigError(f"{key}: no such key{suggest(name, known)}")
        if isinstance(owner[name], DictConfig):
            raise ConfigError(f"{key}: a resumed run keeps its options; override single keys of {key}")
        try:
            OmegaConf.update(cfg, key, parsed.value())
        except OmegaConfBaseException as error:
            raise ConfigError(f"{key}: {str(error).splitlines()[0]}") from error
        if key != "algorithm.total_frames" and key.partition(".")[0] not in CHANGEABLE:
            raise ConfigError(
                f"{key}: a resumed run stays the same trial; only {', '.join(CHANGEABLE)} and algorithm.total_frames"
                " can be changed, start a new run for the rest"
            )
