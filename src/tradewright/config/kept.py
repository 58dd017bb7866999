"""What was read from a file, kept by the process until the file's time or size changes.

Reading YAML is a fifth of a composition, and a sweep composes for every job; a copy costs a sixth of reading.
"""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

Content = TypeVar("Content")

_KEPT: dict[tuple[str, str, int, int], Any] = {}


def kept(what: str, path: Path, read: Callable[[], Content]) -> Content:
    """Return what ``read`` returns for a file, a copy that the caller may change.

    Args:
        what: Distinguishes readers of the same file.
        path: The file.
        read: Reads it; what it raises is not kept.

    Raises:
        OSError: There is no such file.
    """
    state = os.stat(path)
    key = (what, os.path.abspath(path), state.st_mtime_ns, state.st_size)
    if key not in _KEPT:
        _KEPT[key] = read()
    found: Content = copy.deepcopy(_KEPT[key])
    return found
