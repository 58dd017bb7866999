"""The short forms of the command line, rewritten into Hydra's overrides.

``tradewright compare runs=outputs/a`` becomes ``task=compare task.runs=outputs/a``: a leading bare word is the task,
and after a named task a key that is neither a root key nor a group belongs to it. ``resume=<run>`` is taken out, and
``from=<file>`` stands for the overrides that the file lists, as a sweep's ``best.yaml`` does.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tradewright.errors import ConfigError, suggest

GLOBAL = "# @package _global_"


@dataclass(frozen=True)
class Overrides:
    """Overrides in Hydra's grammar, and the run directory to resume, if any."""

    texts: tuple[str, ...]
    resume: str | None = None
    is_listed: bool = False
    """Whether a file gave some of them: they are of one run, also where an experiment among them carries a sweep."""


def options(folders: Sequence[Path], group: str) -> dict[str, Path]:
    """Return option -> file of a group; earlier folders win."""
    found = {path.stem: path for folder in reversed(folders) for path in (folder / group).glob("*.yaml")}
    return dict(sorted(found.items()))


def groups(folders: Sequence[Path]) -> list[str]:
    """Return the names of the groups that have options."""
    return sorted({path.parent.name for folder in folders for path in folder.glob("*/*.yaml")})


def expand(texts: Sequence[str], folders: Sequence[Path]) -> Overrides:
    """Return the overrides that the short forms stand for.

    Args:
        texts: The words of the command line without its flags, as typed.
        folders: Configuration folders, for the names of tasks, groups and a task's keys.

    Raises:
        ConfigError: The word is no task, ``resume`` is given twice or without a directory, or a file has no overrides.
    """
    files = [text for text in texts if text.startswith("from=")]
    texts = [text for text in texts if not text.startswith("from=")]
    first = texts[0] if texts else ""
    word = first if first and first[0] not in "+~" and "=" not in first else None
    texts = texts[1:] if word else texts
    resumes = [text.partition("=")[2].strip("'\"") for text in texts if text.startswith("resume=")]
    if word == "resume" or resumes:
        if len(resumes) != 1 or not resumes[0]:
            raise ConfigError("resume: give one run directory, as in tradewright resume=outputs/default/<run>")
        if word not in {"resume", None}:
            raise ConfigError(f"resume: a run continues with its own task, not with {word!r}")
        return Overrides(tuple(text for text in texts if not text.startswith("resume=")), resumes[0])
    if word is not None:
        tasks = options(folders, "task")
        if word not in tasks:
            near = suggest(word, tasks)
            hint = near if near.startswith("; did you mean") else ""
            raise ConfigError(f"{word!r} is no task{hint}; tasks: {', '.join(tasks)}")
        texts = [f"task={word}", *texts]
    listed = [word for file in files for word in _listed(file[5:])]
    if any(text.startswith("task=") for text in texts):
        listed = [word for word in listed if not word.startswith("task=")]
    texts = [*listed, *texts]  # the command line wins
    named = [text.partition("=")[2] for text in texts if text.startswith("task=")]
    keys = _task_keys(options(folders, "task").get(named[-1])) if named else set()
    return Overrides(tuple(_belongs_to_task(text, keys, folders) for text in texts), is_listed=bool(files))


def _listed(name: str) -> list[str]:
    """Return the overrides of a file."""
    import yaml

    path = Path(name.strip("'\""))
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"from={path}: cannot be read ({' '.join(str(error).split())})") from error
    listed = content.get("overrides") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not all(isinstance(word, str) for word in listed):
        raise ConfigError(f"from={path}: expected a key 'overrides' with a list of texts like algorithm.lr=1e-3")
    return listed


def _belongs_to_task(text: str, keys: set[str], folders: Sequence[Path]) -> str:
    head = re.match(r"([A-Za-z_]\w*)[.=]", text)
    if head is None or head.group(1) not in keys:
        return text
    from tradewright.config.root import root_keys  # imports Hydra, which the help page does without

    return text if head.group(1) in {*root_keys(), *groups(folders), "hydra"} else f"task.{text}"


def _task_keys(path: Path | None) -> set[str]:
    """Return the top-level keys of a task's file, of one that chooses other groups too those below ``task``."""
    lines = path.read_text(encoding="utf-8").splitlines() if path is not None else []
    if GLOBAL in lines and "task:" in lines:
        lines = [line[2:] for line in lines[lines.index("task:") + 1 :] if line.startswith("  ")]
    return {found.group(1) for line in lines if (found := re.match(r"([A-Za-z]\w*):", line))}
