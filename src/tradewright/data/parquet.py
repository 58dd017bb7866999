"""``data=parquet``: bars from Parquet files, one symbol per file or a symbol column; names as in ``data=csv``."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import duckdb

from tradewright.data.file_source import FileSource
from tradewright.data.staging import Staging
from tradewright.data.store import first_line, quote_text
from tradewright.data.tabular import describe_table, stage_table
from tradewright.data.validate import BarsError


@dataclass(frozen=True, kw_only=True)
class Parquet(FileSource):
    """Parquet files of bars.

    Args:
        time_format: strptime layout of stamps stored as text; None recognises the layouts that ``data=csv`` does.
    """

    kind: ClassVar[str] = "parquet"
    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")
    time_format: str | None = None

    def _parameters(self) -> dict[str, Any]:
        return {**super()._parameters(), "time_format": self.time_format}

    def _stage_file(self, staging: Staging, file: Path) -> None:
        relation = f"read_parquet({quote_text(str(file))})"
        try:
            table = describe_table(
                staging, relation, file=file.name, symbol=self._symbol(file), time_format=self.time_format
            )
            stage_table(staging, table)
        except (duckdb.InvalidInputException, duckdb.IOException) as error:
            text = f"{file.name}: cut off or no Parquet file ({first_line(error)}); fetch it again"
            raise BarsError(text, fault="truncated", file=file.name) from None
