"""``data=duckdb``: a data set that is in the store already, or a table of any DuckDB file.

With ``path: null`` the option reads the data set ``dataset`` of the store, whatever it was loaded from; nothing is
loaded. With a path the table is checked and copied into the store like any other input. A table has no order, so its
rows are sorted.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import duckdb

from tradewright.data.files import file_states, find_files, hash_files
from tradewright.data.source import Progress, Source, no_progress
from tradewright.data.staging import Staging
from tradewright.data.store import first_line, quote_name, quote_text
from tradewright.data.summary import IngestSummary
from tradewright.data.tabular import describe_table, stage_table
from tradewright.errors import DataError, suggest


@dataclass(frozen=True, kw_only=True)
class DuckDB(Source):
    """Bars from DuckDB.

    Args:
        table: Table or view to read when ``path`` is set; without a symbol column its name is the symbol.
        time_format: strptime layout of stamps stored as text; None recognises the layouts that ``data=csv`` does.
    """

    kind: ClassVar[str] = "duckdb"
    table: str = "bars"
    time_format: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.path is None and self.dataset is None:
            raise ValueError("dataset must name a data set of the store, or path a DuckDB file; both were null")
        for name in ("rates", "rolls"):
            if self.path is None and getattr(self, name) is not None:
                raise ValueError(f"{name} needs path: a data set of the store has brought its own")

    def ingest(self, *, force: bool = False, progress: Progress = no_progress) -> IngestSummary:
        """Load the table, or describe the stored data set if ``path`` is None."""
        if self.path is not None:
            return super().ingest(force=force, progress=progress)
        return self._summary(self._store(), is_changed=False)

    def fingerprint(self) -> str:
        """Return the digest of the input that the data set was loaded from."""
        if self.path is not None:
            return super().fingerprint()
        return self._summary(self._store(), is_changed=False).fingerprint

    def _is_current(self, meta: dict[str, str]) -> bool:
        return self.path is None or super()._is_current(meta)

    def _parameters(self) -> dict[str, Any]:
        return {"timezone": self.timezone, "table": self.table, "time_format": self.time_format}

    def _state(self) -> list[Any]:
        return file_states(self._files())

    def _content(self) -> list[Any]:
        return hash_files(self._files())

    def _files(self) -> list[Path]:
        return find_files(self.path, (".duckdb", ".db"))

    def _stage(self, staging: Staging, progress: Progress) -> None:
        files = self._files()
        staging.zone = self.timezone
        staging.has_order = False
        for number, file in enumerate(files):
            progress(number, len(files), file.name)
            self._stage_file(staging, file, f"input{number}")
        progress(len(files), len(files), "")

    def _stage_file(self, staging: Staging, file: Path, name: str) -> None:
        """Attach ``file`` as ``name`` (until the connection closes, so that messages can quote it) and add its rows."""
        connection = staging.connection
        try:
            connection.execute(f"ATTACH {quote_text(str(file))} AS {name} (READ_ONLY)")
        except duckdb.Error as error:
            raise DataError(
                f"{file}: cannot be opened ({first_line(error)}); close other programs that use it"
            ) from None
        known = connection.execute(
            "SELECT table_name FROM information_schema.tables WHERE table_catalog = ? ORDER BY table_name", [name]
        ).fetchall()
        tables = [row[0] for row in known]
        if self.table not in tables:
            raise DataError(f"{file}: data.table: no table '{self.table}'{suggest(self.table, tables)}")
        relation = f"{name}.{quote_name(self.table)}"
        table = describe_table(
            staging, relation, file=f"{file.name}:{self.table}", symbol=self.table, time_format=self.time_format
        )
        stage_table(staging, table)
