"""``data=nasdaq``: the NASDAQ Composite, daily, 1999-01-04 to 2018-12-31, 5,031 bars, shipped with the package
``arch``.

The file is found without importing ``arch`` (which imports pandas). Its column *Adj Close* equals *Close*, an index
pays no dividends. Two sessions have no volume. Source: arch.data.nasdaq (NCSA licence).
"""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from tradewright.data.files import file_states, hash_files
from tradewright.data.source import Progress, Source
from tradewright.data.timeframe import DAY_S
from tradewright.errors import DataError
from tradewright.market.instrument import Instrument

if TYPE_CHECKING:
    from tradewright.data.staging import Staging

SYMBOL = "NASDAQ"


@dataclass(frozen=True, kw_only=True)
class Nasdaq(Source):
    """The embedded real data set. ``path`` may name another copy of the file."""

    kind: ClassVar[str] = "nasdaq"
    dataset: str | None = "nasdaq"

    def _file(self) -> Path:
        if self.path is not None:
            file = Path(self.path).expanduser()
        else:
            spec = find_spec("arch")
            if spec is None or not spec.submodule_search_locations:
                raise DataError(
                    "data=nasdaq: the package arch, which ships the bars, is not installed; run `pip install arch`"
                )
            file = Path(spec.submodule_search_locations[0]) / "data" / "nasdaq" / "nasdaq.csv.gz"
        if not file.is_file():
            raise DataError(f"{file}: no such file; data=nasdaq expects the NASDAQ Composite of arch>=8")
        return file

    def _parameters(self) -> dict[str, Any]:
        return {}

    def _state(self) -> list[Any]:
        return file_states([self._file()])

    def _content(self) -> list[Any]:
        return hash_files([self._file()])

    def _stage(self, staging: "Staging", progress: Progress) -> None:
        from tradewright.data.csv import stage_csv  # not when the store is read

        progress(0, 1, SYMBOL)
        staging.timeframe_s = DAY_S
        staging.note = "An index is not itself tradable."
        staging.instruments[SYMBOL] = Instrument(symbol=SYMBOL, kind="index", calendar="equity")
        stage_csv(staging, self._file(), symbol=SYMBOL, time_format="%m/%d/%Y")
        progress(1, 1, "")
