"""``tradewright --help``: usage, tasks, and every group with its options and the first comment line of each file.

Reads folders and first lines only; Hydra, which would compose every option, is not imported.
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import yaml
from rich.console import Console, Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from tradewright.config.arguments import groups, options

WIDTH = 120
"""Columns where the output is no terminal."""

EXAMPLES = (
    ("tradewright", "the default experiment: train, judge, report"),
    ("tradewright algorithm.lr=1e-3 env=discrete9", "override a key, choose an option"),
    ("tradewright -m algorithm.lr=1e-4,1e-3 seed=0,1", "one run per combination"),
    ("tradewright experiment=<name>", "a file of experiments/, shipped or your own"),
    ("tradewright compare runs=outputs/default", "a leading word is the task"),
    ("tradewright resume=outputs/default/<run>", "continue a killed run in its directory"),
    ("tensorboard --logdir outputs", "compare runs"),
)
FLAGS = (
    ("-m, --multirun", "run every combination of comma-separated values"),
    ("--cfg job", "print the configuration and stop (also: hydra, all)"),
    ("--resolve", "with --cfg: replace interpolations by their values"),
    ("-p, --package KEY", "with --cfg: print only that part"),
    ("--info defaults", "print where each part comes from (also: config, defaults-tree, plugins, searchpath)"),
    ("-cd, --config-dir DIR", "a folder with further options, DIR/<group>/<option>.yaml"),
    ("-sc install=bash", 'shell completion: eval "$(tradewright -sc install=bash)" (also: zsh, fish)'),
    ("--hydra-help", "every flag of Hydra"),
    ("--version", "print the version"),
)


def print_help(folders: Sequence[Path], experiments: Sequence[Path]) -> None:
    """Print the page.

    Args:
        folders: Configuration folders, the main one first.
        experiments: Experiment folders, the shipped one first.
    """
    defaults = default_options(folders[0])
    order = [group for group in defaults if group not in {"task", "experiment"}]
    others = [group for group in groups(folders) if group not in {*order, "task", "hydra"}]
    found = {path.stem: path for folder in experiments for path in sorted(folder.glob("*.yaml"))}
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH)
    console.print(Group(Text("usage: tradewright [task] [key=value | group=option ...] [flags]"), Text()))
    _section(console, "Examples", EXAMPLES)
    _section(console, "Tasks", _described(options(folders, "task"), defaults.get("task")))
    for group in [*order, *others]:
        _section(console, f"{group}=", _described(options(folders, group), defaults.get(group)))
    _section(console, "experiment=", _described(found, defaults.get("experiment")))
    _section(console, "Flags", FLAGS)
    console.print("* is used unless overridden. Keys of an option: tradewright --cfg job -p <group>")


def default_options(folder: Path) -> dict[str, str]:
    """Return group -> option of the main configuration, in its order."""
    content = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8")) or {}
    listed = [entry for entry in content.get("defaults", []) if isinstance(entry, dict)]
    pairs = [(str(group), str(option)) for entry in listed for group, option in entry.items()]
    return {group: option for group, option in pairs if not group.startswith("override ")}


def first_comment(path: Path) -> str:
    """Return the text of the first comment line that is not a Hydra directive; empty where there is none."""
    for line in path.read_text(encoding="utf-8").splitlines():
        text = line.strip()
        if text and not text.startswith("#"):
            break
        comment = text.lstrip("#").strip()
        if comment and not comment.startswith("@"):
            return comment
    return ""


def _described(files: dict[str, Path], default: str | None) -> list[tuple[str, str]]:
    return [(f"{name}{' *' if name == default else ''}", first_comment(path)) for name, path in files.items()]


def _section(console: Console, title: str, rows: Sequence[tuple[str, str]]) -> None:
    if not rows:
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows:
        table.add_row(f"  [cyan]{escape(name)}[/cyan]", escape(text))
    console.print(f"[bold]{escape(title)}[/bold]")
    console.print(table)
    console.print()
