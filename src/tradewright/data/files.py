"""Finds the input files of a source and tells whether they changed: cheaply by size and time, surely by content."""

import glob
import hashlib
from collections.abc import Iterable
from pathlib import Path

from tradewright.errors import DataError

_CHUNK_BYTES = 1 << 20


def find_files(path: str | None, suffixes: tuple[str, ...], key: str = "data.path") -> list[Path]:
    """Return the files that ``path`` names, sorted by name.

    Args:
        path: A file, a folder (all files in it with one of the suffixes) or a glob pattern.
        suffixes: Lower-case endings of the files of interest in a folder, e.g. ``(".csv", ".csv.gz")``.
        key: Config key for messages.

    Raises:
        DataError: Nothing is found; the message says what was looked for.
    """
    if not path:
        raise DataError(f"{key} must be set to a file, a folder or a glob pattern ({', '.join(suffixes)})")
    place = Path(path).expanduser()
    if place.is_file():
        return [place]
    if place.is_dir():
        found = [file for file in place.iterdir() if file.is_file() and file.name.lower().endswith(suffixes)]
        if not found:
            raise DataError(f"{key}={path}: no file ending in {', '.join(suffixes)} in this folder")
        return sorted(found)
    found = [Path(name) for name in glob.glob(str(place), recursive=True) if Path(name).is_file()]
    if not found:
        raise DataError(f"{key}={path}: no such file or folder, and no file matches it as a pattern")
    return sorted(found)


def file_states(files: Iterable[Path]) -> list[list[str | int]]:
    """Return absolute path, size and modification time of each file: what tells cheaply that nothing has changed."""
    states: list[list[str | int]] = []
    for file in files:
        state = file.stat()
        states.append([str(file.absolute()), state.st_size, state.st_mtime_ns])
    return states


def hash_files(files: Iterable[Path], root: Path | None = None) -> list[list[str]]:
    """Return the name (relative to ``root``, if given) and the content's digest of each file."""
    digests = []
    for file in files:
        digest = hashlib.blake2b(digest_size=16)
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
        name = file.relative_to(root).as_posix() if root else file.name
        digests.append([name, digest.hexdigest()])
    return digests
