"""Experiments: every ``experiments/*.yaml``, shipped or in the user's own folder, as an option of group ``experiment``.

They are registered in Hydra's ``ConfigStore`` with package ``_global_``, because ``hydra.searchpath`` finds no jobs for
``-m 'experiment=glob(*)'`` on Hydra 1.3. Each sets ``name`` to its file's stem, so that its runs share a folder.
A broken file is left out and is an error only for the command that chooses it.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from tradewright import paths
from tradewright.config.kept import kept

GROUP = "experiment"


@dataclass(frozen=True)
class Experiments:
    """What the experiment folders hold.

    Args:
        files: Option -> file, of every file found, broken ones too.
        bodies: Option -> content, of the files that could be read.
        broken: Option -> why it cannot be used, in one line that starts with the file.
    """

    files: dict[str, Path] = field(default_factory=dict)
    bodies: dict[str, DictConfig] = field(default_factory=dict)
    broken: dict[str, str] = field(default_factory=dict)

    def origin(self, group: str, option: str) -> str | None:
        """Return the file of the experiment whose defaults choose ``option`` of ``group``, or None."""
        for name, body in self.bodies.items():
            for entry in _defaults(body):
                if isinstance(entry, DictConfig):
                    chosen = {str(key).split()[-1].lstrip("/"): value for key, value in entry.items()}
                    if chosen.get(group) == option:
                        return show(self.files[name])
                elif group == GROUP and str(entry).rpartition("/")[2] == option:
                    return show(self.files[name])
        return None


def folders() -> list[Path]:
    """Return the shipped experiment folder and the user's own; a file of the latter wins over a shipped one."""
    return list(dict.fromkeys((paths.shipped("experiments").resolve(), Path("experiments").resolve())))


def find_experiments() -> Experiments:
    """Read every experiment file."""
    found = Experiments()
    for folder in folders():
        for path in sorted(folder.glob("*.yaml")):
            name = path.stem
            found.files[name] = path
            found.bodies.pop(name, None)
            found.broken.pop(name, None)
            try:
                found.bodies[name] = kept("experiment", path, partial(_read, path))
            except (ValueError, OSError, YAMLError, OmegaConfBaseException) as error:
                found.broken[name] = f"{show(path)}: {explain_yaml(error)}"
    return found


def register_experiments(found: Experiments) -> None:
    """Make the readable experiments options of group ``experiment``, in place of those registered before."""
    store = ConfigStore.instance()
    store.repo[GROUP] = {}
    for name, body in found.bodies.items():
        store.store(group=GROUP, name=name, node=body, package="_global_", provider="experiments")


def show(path: Path) -> str:
    """Return the path as messages print it: relative where it lies below the current folder."""
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def explain_yaml(error: Exception) -> str:
    """Return a reading error in one line, with the line number where YAML gives one."""
    mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
    if mark is not None and problem:
        return f"line {mark.line + 1}: {problem}"
    return " ".join(str(error).split())


def _read(path: Path) -> DictConfig:
    content = OmegaConf.load(path)
    if not isinstance(content, DictConfig):
        raise ValueError("expected keys and values, found a list")
    body = OmegaConf.create({"name": path.stem})
    body.merge_with(content)
    _require_self_last(body)
    return body


def _defaults(body: DictConfig) -> list[Any]:
    listed = body._get_node("defaults")
    return list(listed) if isinstance(listed, ListConfig) else []


def _require_self_last(body: DictConfig) -> None:
    """Refuse an inherited experiment after ``_self_``: it would take over the name and every key of this one."""
    entries = _defaults(body)
    if "_self_" not in entries:
        return
    for entry in entries[entries.index("_self_") + 1 :]:
        keys = [str(key) for key in entry] if isinstance(entry, DictConfig) else [str(entry)]
        if not all(key.startswith("override ") for key in keys):
            raise ValueError(f"defaults: {keys[0]!r} must stand before _self_")
