"""What has changed between the start of a run and now: code, versions, machine, data; each a candidate for a number
that differs.

What a run did not record (it is older, or lay in no repository) is no change: nobody can tell.
"""

import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tradewright.surroundings import DIFF, code_digests, git_state, machine, package_versions

Part = Literal["code", "versions", "machine", "data"]
PARTS: tuple[Part, ...] = ("code", "versions", "machine", "data")
SHA = 12
"""Digits of a commit that are shown."""
UNKNOWN = object()
NONE = "none"


@dataclass(frozen=True)
class Change:
    """One thing that is not what it was.

    Args:
        part: What kind it is.
        name: What it is.
        then: How it was at the start of the run, for people.
        now: How it is.
    """

    part: Part
    name: str
    then: str
    now: str


def find_changes(directory: Path, record: Mapping[str, Any], allow: Sequence[str]) -> list[Change]:
    """Return what has changed of code, versions and machine.

    Args:
        directory: The run directory, for its uncommitted changes.
        record: Its ``provenance.json``.
        allow: Packages besides ours that the run may use.
    """
    state, diff = git_state()
    path = directory / DIFF
    before = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    return [
        *_git_changes(record.get("git", UNKNOWN), state, before, diff),
        *_changed("code", "source of ", record.get("code"), code_digests(list(allow))),
        *_changed("versions", "", _python(record), {"Python": platform.python_version()}),
        *_changed("versions", "", record.get("packages"), package_versions()),
        *_changed("machine", "", record.get("machine"), machine()),
    ]


def _python(record: Mapping[str, Any]) -> dict[str, Any]:
    return {"Python": record["python"]} if "python" in record else {}


def data_changes(record: Mapping[str, Any], facts: Mapping[str, Any]) -> list[Change]:
    """Return what has changed of the data; nothing where their fingerprint is the same.

    Args:
        record: The run's ``provenance.json``.
        facts: What is known of the data now; ``fingerprint`` at least.
    """
    then = dict(record.get("data") or {})
    if then.get("fingerprint") == facts["fingerprint"]:
        return []
    return list(_changed("data", "", then, facts))


def candidates(changes: Sequence[Change]) -> str:
    """Return what may have changed a number, in one line."""
    named = []
    for part in PARTS:
        names = [change.name for change in changes if change.part == part]
        if names:
            named.append(f"{part} ({', '.join(names)})")
    if named:
        return f"candidates: {', '.join(named)}"
    return (
        "code, versions, machine and data are equal, so the run itself does not repeat (a GPU, or several threads);"
        " task.rtol=1e-6 accepts small differences"
    )


def _git_changes(then: Any, now: Mapping[str, Any] | None, before: str, after: str) -> Iterator[Change]:
    """Yield another commit and other uncommitted changes; a run in no repository has neither."""
    if then is UNKNOWN:
        return
    commits = [state["sha"][:SHA] if state else "no repository" for state in (then, now)]
    if commits[0] != commits[1]:
        yield Change("code", "git commit", *commits)
    if then and now and before != after:
        yield Change("code", "uncommitted changes", _describe(before), _describe(after))


def _describe(diff: str) -> str:
    """Return a diff in a few words: its lines and files."""
    if not diff:
        return NONE
    files = re.findall(r"^diff --git a/(.+) b/", diff, re.MULTILINE)
    added = len(re.findall(r"^\+(?!\+\+)", diff, re.MULTILINE))
    removed = len(re.findall(r"^-(?!--)", diff, re.MULTILINE))
    others = f" and {len(files) - 2} more" if len(files) > 2 else ""
    return f"+{added} -{removed} lines in {', '.join(files[:2])}{others}"


def _changed(part: Part, prefix: str, then: Any, now: Mapping[str, Any]) -> Iterator[Change]:
    """Yield every entry that was recorded then and is another one now."""
    for name, value in (then or {}).items():
        if value != now.get(name):
            shown = name.replace("_", " ") if part in ("machine", "data") else name
            yield Change(part, f"{prefix}{shown}", _text(value), _text(now.get(name)))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value)) or NONE
    return NONE if value is None else str(value)
