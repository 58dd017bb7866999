"""``Choice``: a composed configuration as rules see it, and ``Finding``: what a rule says of it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from yaml import YAMLError

from tradewright.config.locate import class_attribute


@dataclass(frozen=True)
class Finding:
    """What a rule found: an error stops the run, a warning is printed.

    Args:
        message: Starts with a key.
        is_error: Whether the run cannot start.
        is_misfit: Whether two options, each right by itself, do not fit together; a sweep leaves such a job out.
    """

    message: str
    is_error: bool = True
    is_misfit: bool = False


@dataclass(frozen=True)
class Choice:
    """A composed configuration and how it came about.

    Args:
        content: Plain dicts, lists and scalars, resolved.
        options: Group -> chosen option.
        overridden: Keys and groups given on the command line.
        folders: Configuration folders, for the options that would have fitted.
    """

    content: dict[str, Any]
    options: dict[str, str] = field(default_factory=dict)
    overridden: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()

    def fact(self, group: str, name: str) -> Any:
        """Return a key of a group's node or else the class attribute of its target; None where neither exists."""
        node = self.content.get(group)
        if not isinstance(node, dict):
            return None
        return node[name] if name in node else class_attribute(str(node.get("_target_", "")), name)

    def named(self, group: str) -> str:
        """Return ``group=option`` as one would type it."""
        return f"{group}={self.options.get(group, '?')}"

    def targets(self, group: str) -> dict[str, str]:
        """Return the class that each option of a group names, by option; options that extend another have none."""
        files = {path.stem: path for folder in self.folders for path in (folder / group).glob("*.yaml")}
        return {option: target for option, path in sorted(files.items()) if (target := _target(path, group))}

    def fitting(self, group: str, accepts: Callable[[Any], bool], name: str, cures: str = "") -> list[str]:
        """Return ``group=option`` for every option that would do.

        Args:
            group: Whose options.
            accepts: Whether the class attribute ``name`` of an option is acceptable.
            name: Of the attribute.
            cures: The rule that must accept it then; no other one may refuse it that refuses nothing yet.
        """
        targets = self.targets(group)
        allowed = _faults(self) - {cures} if targets else set()
        found = []
        for option, target in targets.items():
            value = class_attribute(target, name)
            if value is not None and accepts(value) and _faults(self.with_option(group, option, target)) <= allowed:
                found.append(f"{group}={option}")
        return found

    def with_option(self, group: str, option: str, target: str) -> "Choice":
        """Return the choice with another option of a group; it gives no advice of its own."""
        content = {**self.content, group: {"_target_": target}}
        return Choice(content, {**self.options, group: option}, self.overridden)


def _faults(choice: Choice) -> set[str]:
    """Return the names of the rules for combinations that refuse a choice."""
    from tradewright.config.rules import COMBINATIONS  # the rules are made of choices

    return {rule.__name__ for rule in COMBINATIONS if any(rule(replace(choice, folders=())))}


def advise(fitting: list[str]) -> str:
    """Return the advice that ends a message."""
    return f" Use {' or '.join(fitting)}." if fitting else ""


@cache
def _target(path: Path, group: str) -> str:
    """Return the class that an option names, at the top of its file or, in a ``_global_`` one, under its group."""
    try:
        content = OmegaConf.load(path)
    except (YAMLError, OSError, ValueError):
        return ""  # choosing that option will say what is wrong with it
    if not isinstance(content, DictConfig):
        return ""
    node = content if "_target_" in content else content.get(group)
    return str(node.get("_target_", "")) if isinstance(node, DictConfig) else ""
