"""One line of JSON per request, flushed at once, so that what was asked and answered can be looked up by its id."""

import json
import threading
from pathlib import Path
from typing import Any, TextIO

from tradewright.errors import RunError


class RequestLog:
    """Appends to a file.

    Args:
        path: The file; its folder is created. None: nothing is kept.

    Raises:
        RunError: It cannot be written.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._file: TextIO | None = None
        if path is not None:
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                self._file = path.open("a", encoding="utf-8")
            except OSError as error:
                raise RunError(f"task.log: {path} cannot be written ({error.strerror})") from error

    def write(self, record: dict[str, Any]) -> None:
        """Append one record."""
        if self._file is not None:
            line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode(errors="replace").decode()
            with self._lock:
                self._file.write(line + "\n")
                self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
