"""``FileSource``: what the options that read tables from files have in common."""

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from tradewright.data.files import file_states, find_files, hash_files
from tradewright.data.source import Progress, Source
from tradewright.data.staging import Staging


@dataclass(frozen=True, kw_only=True)
class FileSource(Source):
    """One table per file; files without a symbol column hold the symbol that their name says (``SPY.csv``)."""

    suffixes: ClassVar[tuple[str, ...]]

    @abstractmethod
    def _stage_file(self, staging: Staging, file: Path) -> None:
        """Add the rows of one file to ``staging``."""

    def _files(self) -> list[Path]:
        return find_files(self.path, self.suffixes)

    def _parameters(self) -> dict[str, Any]:
        return {"timezone": self.timezone}

    def _state(self) -> list[Any]:
        return file_states(self._files())

    def _content(self) -> list[Any]:
        return hash_files(self._files())

    def _stage(self, staging: Staging, progress: Progress) -> None:
        staging.zone = self.timezone
        files = self._files()
        for number, file in enumerate(files):
            progress(number, len(files), file.name)
            self._stage_file(staging, file)
        progress(len(files), len(files), "")

    def _symbol(self, file: Path) -> str:
        name = file.name
        for suffix in sorted(self.suffixes, key=len, reverse=True):
            if name.lower().endswith(suffix):
                return name[: -len(suffix)]
        return file.stem
