"""Find run directories and read what a comparison needs of each: status, configuration, figures, provenance.

Only the small text files of design §6 are read; a run that cannot be read becomes a record that says so.
"""

import glob
import math
import os
import re
import socket
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from tradewright.errors import RunError
from tradewright.output import CONFIG, METRICS, PROVENANCE, STATUS, read_json, read_metrics

LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader is ten times faster; 1,000 configurations are read in seconds."""


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """One run as a comparison sees it.

    Args:
        path: The run directory.
        state: ``done``, ``running``, ``failed`` or ``pruned`` as the run recorded it; ``dead`` for a run that records
            itself as running on this machine but whose process is gone; ``unreadable``.
        duration_s: Seconds the run took so far, NaN if unknown.
        error: Why it failed or cannot be read, else empty.
        config: The resolved configuration as dotted keys.
        metrics: Content of ``metrics.json``.
        fingerprint: Fingerprint of its data, empty if unknown.
        calendar: Bar length in seconds and trading days per year of its data, None if unknown.
        trial: Identity of its configuration without the seed, and its data; empty if unknown.
        commit: Git commit of the code, empty if unknown.
        replay_of: Name of the run that it repeats; empty for a run of its own.
    """

    path: Path
    state: str
    duration_s: float = math.nan
    error: str = ""
    config: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)
    fingerprint: str = ""
    calendar: tuple[int, float] | None = None
    trial: str = ""
    commit: str = ""
    replay_of: str = ""


def find_runs(paths: Iterable[str | Path]) -> list[Path]:
    """Return the run directories at or below the given paths, sorted, each once.

    A folder with a ``status.json`` is a run; nothing is searched inside it, in hidden folders or behind links.

    Args:
        paths: Folders, run directories or glob patterns.

    Raises:
        RunError: A path does not exist, or no run lies below them; the message says where was looked.
    """
    given = [str(path) for path in paths]
    found: set[Path] = set()
    for pattern in given:
        matches = [pattern] if Path(pattern).exists() else sorted(glob.glob(pattern, recursive=True))
        if not matches:
            raise RunError(
                f"{pattern}: no such folder; runs lie under outputs/<experiment>/, e.g. runs=outputs/default"
            )
        for match in matches:
            found.update(_walk(Path(match)))
    if not found:
        raise RunError(
            f"{', '.join(given)}: no run found (a run is a folder with a {STATUS}); "
            "start one with `tradewright`, or name a folder above your runs"
        )
    return sorted(found)


def _walk(folder: Path) -> Iterator[Path]:
    if (folder / STATUS).is_file():
        yield folder
        return
    if not folder.is_dir():
        return
    with os.scandir(folder) as entries:
        below = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False) and entry.name[0] != "."]
    for name in below:
        yield from _walk(folder / name)


def read_run(path: Path) -> RunRecord:
    """Read one run directory; what is wrong with it is in the record, nothing is raised for it."""
    try:
        status = _mapping(path / STATUS)
        config = _read_config(path / CONFIG)
        metrics = read_metrics(path) if (path / METRICS).is_file() else {}
        provenance = _mapping(path / PROVENANCE) if (path / PROVENANCE).is_file() else {}
        state, error = _state(status), str(status.get("error") or "")
        if state == "done" and not metrics:
            state, error = "unreadable", f"{path / METRICS}: no such file, although the run is done"
        if state == "dead" and not error:
            error = f"its process {status['pid']} is gone (killed?); continue with `tradewright resume={path}`"
        duration = status.get("duration_s")
        return RunRecord(
            path=path,
            state=state,
            duration_s=math.nan if duration is None else float(duration),
            error=error,
            config=config,
            metrics=metrics,
            fingerprint=str(_nested(provenance, "data", "fingerprint")),
            calendar=_calendar(provenance),
            trial=str(provenance.get("trial") or ""),
            commit=str(_nested(provenance, "git", "sha")),
            replay_of=str(_nested(provenance, "replay_of", "run")),
        )
    except (RunError, OSError, ValueError, TypeError, AttributeError) as error:
        return RunRecord(path=path, state="unreadable", error=str(error))


def _mapping(path: Path) -> dict[str, Any]:
    content = read_json(path)
    if not isinstance(content, dict):
        raise RunError(f"{path}: expected an object, found {type(content).__name__}")
    return content


def _read_config(path: Path) -> dict[str, Any]:
    """Return a configuration as dotted keys.

    The text is cut at its root keys and each part is parsed once per process, as most runs share most parts.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise RunError(f"{path}: no such file") from None
    except UnicodeDecodeError as error:
        raise RunError(f"{path}: not valid YAML ({error})") from None
    try:
        # An anchor may be used in another part, and a tag or a directive is no root key: those are parsed as a whole.
        parts = (
            [text] if re.search(r"[&*!%]|^(---|\.\.\.)", text, re.M) else re.split(r"^(?=[^\s#-])", text, flags=re.M)
        )
        content = {key: value for part in parts for key, value in _parse(part)}
    except yaml.YAMLError as error:
        raise RunError(f"{path}: not valid YAML ({' '.join(str(error).split())})") from None
    except TypeError as error:
        raise RunError(f"{path}: {error}") from None
    if not content:
        raise RunError(f"{path}: expected keys and values, found nothing")
    return content


@lru_cache(maxsize=100_000)
def _parse(text: str) -> tuple[tuple[str, Any], ...]:
    content = yaml.load(text, Loader=LOADER)
    if content is None:  # a comment or an empty line
        return ()
    if not isinstance(content, dict):
        raise TypeError(f"expected keys and values, found {type(content).__name__}")
    return tuple(flatten(content))


def flatten(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the leaves of nested mappings under dotted keys; lists and empty mappings are leaves."""
    if isinstance(node, dict) and node:
        for key, value in node.items():
            yield from flatten(value, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, node


def _nested(content: dict[str, Any], part: str, name: str) -> Any:
    """Return ``content[part][name]``, an empty text where the run recorded none (no git, an older run)."""
    return (content.get(part) or {}).get(name) or ""


def _calendar(provenance: dict[str, Any]) -> tuple[int, float] | None:
    timeframe_s, periods = (_nested(provenance, "data", name) for name in ("timeframe_s", "periods_per_year"))
    return (int(timeframe_s), float(periods)) if timeframe_s and periods else None


def _state(status: dict[str, Any]) -> str:
    state = str(status.get("state", ""))
    if state not in ("running", "done", "failed", "pruned"):
        raise RunError(f"state must be running, done, failed or pruned, was {state!r}")
    if state == "running" and status.get("host") == socket.gethostname() and not is_alive(int(status["pid"])):
        return "dead"
    return state


def is_alive(pid: int) -> bool:
    """Return whether a process of this machine runs; a zombie, already ended but not yet collected, does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True  # no /proc on this system: the signal's answer stands
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")
