"""``Source``: where bars come from; the base of every option of config group ``data``.

A source knows its raw input, loads it once into a ``BarStore`` and hands out panels from there. Whether the stored rows
still match the raw input is decided by a cheap state (paths, sizes, times, parameters), and by the content's
fingerprint when that state has changed. By default prices are adjusted for splits and dividends when read, so signals
and trades share one adjusted series; LEAN does the same. (Levels before an action therefore depend on it; returns do
not.) With ``adjust: none`` prices are traded as they were, and the actions come with the panel.
"""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import duckdb

from tradewright.data.adjust import Action
from tradewright.data.dates import parse_start, parse_stop
from tradewright.data.files import file_states, hash_files
from tradewright.data.panel import Panel
from tradewright.data.ranges import Ranges
from tradewright.data.read import Selection, read_panel
from tradewright.data.split import Split
from tradewright.data.store import BarStore, first_line, read_meta, write_meta
from tradewright.data.summary import IngestSummary, read_actions, read_summary
from tradewright.data.timeframe import format_timeframe, parse_timeframe
from tradewright.errors import DataError, suggest
from tradewright.market.contracts import find_contract
from tradewright.market.instrument import CALENDAR_PERIODS

if TYPE_CHECKING:
    from tradewright.data.staging import Staging

Progress = Callable[[int, int, str], None]
"""Called with files done, files in all and the name of the present one."""


def no_progress(done: int, total: int, name: str) -> None:
    """Report nothing."""


@dataclass(frozen=True, kw_only=True)
class Source(ABC):
    """Keys that all data options share; where a key does not apply it is inert.

    Args:
        dataset: Name in the store; None: a name made of the kind and a hash of the input's place and parameters.
        store: Folder of all stores.
        path: File, folder or glob pattern of the raw input.
        symbols: Columns of the panel in this order; None: all, in alphabetical order.
        timeframe: Bar length of the panel, e.g. ``1d``; finer stored bars are aggregated. None: as stored.
        start: First bar (ISO date or instant, UTC, inclusive).
        end: Last bar (ISO date, whole day, or instant; inclusive).
        calendar: Trading calendar, a key of ``CALENDAR_PERIODS``; None: what the source knows.
        timezone: Zone of naive intraday stamps and of session dates.
        session_start: Time of day (UTC, ``HH:MM``) at which a day begins when intraday bars are aggregated to days.
        adjust: Which actions are worked into the prices: ``all`` (splits and dividends), ``splits`` or ``none``. The
            others come with the panel, and an account is paid or split by them.
        contract: Futures contract that every symbol is, a name of ``market.contracts``; None: what the source knows.
        rates: File with funding and borrow rates beside the bars, see ``side_table``; None: none.
        rolls: File that says which contract follows which, see ``side_table``; None: none.
        sort: Accept rows that are not in time order.
        split: Train, validation and test.

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    kind: ClassVar[str]

    dataset: str | None = None
    store: str = ".tradewright"
    path: str | None = None
    symbols: list[str] | None = None
    timeframe: str | None = None
    start: str | None = None
    end: str | None = None
    calendar: str | None = None
    timezone: str = "UTC"
    session_start: str = "00:00"
    adjust: Literal["all", "splits", "none"] = "all"
    contract: str | None = None
    rates: str | None = None
    rolls: str | None = None
    sort: bool = False
    split: Split = field(default_factory=Split)

    def __post_init__(self) -> None:
        if self.adjust not in ("all", "splits", "none"):
            raise ValueError(f"adjust must be all, splits or none, was {self.adjust!r}")
        if self.calendar is not None and self.calendar not in CALENDAR_PERIODS:
            raise ValueError(f"calendar {self.calendar!r} is unknown{suggest(self.calendar, CALENDAR_PERIODS)}")
        if self.contract is not None:
            find_contract(self.contract)
        if self.symbols is not None and (not self.symbols or len(set(self.symbols)) < len(self.symbols)):
            raise ValueError(f"symbols must name each symbol once, was {self.symbols}")
        self._selection()
        if self.dataset is not None:
            BarStore(root=self.store, dataset=self.dataset)

    @abstractmethod
    def _parameters(self) -> dict[str, Any]:
        """Return the parameters that change the stored rows."""

    @abstractmethod
    def _state(self) -> list[Any]:
        """Return what tells cheaply that the raw input is unchanged. Raises DataError if the input is missing."""

    @abstractmethod
    def _content(self) -> list[Any]:
        """Return digests of the raw input's content, independent of where it lies."""

    @abstractmethod
    def _stage(self, staging: "Staging", progress: Progress) -> None:
        """Put all rows, and what is known about them, into ``staging``."""

    @property
    def name(self) -> str:
        """Name of the data set in the store."""
        if self.dataset is not None:
            return self.dataset
        beside = [str(file.absolute()) for file in self._beside()]
        return f"{self.kind}-{digest([self.kind, self._parameters(), self.path and self._place(), *beside])[:8]}"

    def _place(self) -> str:
        """Return the absolute place of the raw input, part of an automatic name."""
        return str(Path(self.path or "").expanduser().absolute())

    def fingerprint(self) -> str:
        """Return a hex digest of the raw input's content and of the parameters that change the stored rows."""
        return digest([self.kind, self._parameters(), self._content(), *hash_files(self._beside())])

    def identity(self) -> str:
        """Return the fingerprint of the raw input as it is now, from the store where that has it already.

        A file that was only touched keeps it, also in another place; nothing is loaded.

        Raises:
            DataError: The input is missing.
        """
        store = self._store()
        meta = store.meta() if store.path.is_file() else None
        return meta["fingerprint"] if meta and self._is_current(meta) else self.fingerprint()

    def _beside(self) -> list[Path]:
        """Return the files of the tables beside the bars.

        Raises:
            DataError: One is missing.
        """
        files = []
        for key in ("rates", "rolls"):
            path = getattr(self, key)
            if path is not None:
                file = Path(path).expanduser()
                if not file.is_file():
                    raise DataError(f"data.{key}={path}: no such file")
                files.append(file)
        return files

    def ingest(self, *, force: bool = False, progress: Progress = no_progress) -> IngestSummary:
        """Load the raw input into the store unless it is there already.

        Args:
            force: Load even if nothing has changed.
            progress: Called per file.

        Raises:
            DataError: The input is missing or malformed; the store is as it was.
        """
        # Reading a warm store, the usual case, must not pay for importing what loading needs.
        from tradewright.data.commit import commit
        from tradewright.data.staging import Staging

        store, state = self._store(), self._state_key()
        with store.writing():
            meta = None if force else store.meta()  # force also replaces a damaged file
            if meta and self._is_current(meta):
                return self._summary(store, is_changed=False)
            fingerprint = self.fingerprint()
            if meta and meta["fingerprint"] == fingerprint:
                store.rewrite_meta({"state": state})
                return self._summary(store, is_changed=False)

            def fill(connection: duckdb.DuckDBPyConnection, scratch: Path) -> None:
                staging = Staging(connection, scratch)
                self._stage(staging, progress)
                facts = commit(staging, sort=self.sort, rates=self.rates, rolls=self.rolls)
                write_meta(connection, {"kind": self.kind, "fingerprint": fingerprint, "state": state, **facts})

            try:
                store.replace(fill)
            except duckdb.IOException as error:
                raise DataError(f"{store.path}: cannot be written ({first_line(error)})") from None
            return self._summary(store, is_changed=True)

    def panel(self, *, timeframe: str | None = None) -> Panel:
        """Return the bars, loading the raw input first if the store does not hold it as it is now.

        Args:
            timeframe: Another bar length than the configured one.

        Raises:
            DataError: No bars match the selection; the message says what there is.
        """
        store, selection = self._store(), self._selection(timeframe)
        if store.path.is_file():
            with store.reading() as connection:
                if self._is_current(read_meta(connection, store.path)):
                    return read_panel(connection, store.dataset, selection)
        self.ingest()
        with store.reading() as connection:
            if not self._is_current(read_meta(connection, store.path)):
                raise DataError(
                    f"{store.path}: was replaced from another input at the same moment; give each input its own "
                    f"data.dataset"
                )
            return read_panel(connection, store.dataset, selection)

    def with_finer(self, panel: Panel, timeframe: str | None) -> Panel:
        """Return ``panel`` with the shorter bars of its instruments beside it; as it is for None.

        Raises:
            DataError: The stored bars are longer than ``timeframe``, or it does not divide the panel's bars.
        """
        if timeframe is None:
            return panel
        finer_s = parse_timeframe(timeframe)
        if finer_s >= panel.timeframe_s or panel.timeframe_s % finer_s:
            raise DataError(
                f"backtest.finer_timeframe={timeframe} must be shorter than the bars of "
                f"{format_timeframe(panel.timeframe_s)} and divide them"
            )
        try:
            finer = replace(self, symbols=list(panel.symbols)).panel(timeframe=timeframe)
        except DataError as error:
            raise DataError(
                f"backtest.finer_timeframe={timeframe}: {error}; it needs finer bars in the store, of which"
                f" data.timeframe={format_timeframe(panel.timeframe_s)} are made"
            ) from None
        return replace(panel, finer=finer)

    def actions(self) -> tuple[Action, ...]:
        """Return the stored splits and dividends, by symbol and time."""
        with self._store().reading() as connection:
            return read_actions(connection)

    def ranges(self, panel: Panel) -> Ranges:
        """Return train, validation and test of ``panel``."""
        return self.split.ranges(panel)

    def _store(self) -> BarStore:
        return BarStore(root=self.store, dataset=self.name)

    def _state_key(self) -> str:
        return digest([self.kind, self._parameters(), self._state(), *file_states(self._beside())])

    def _is_current(self, meta: dict[str, str]) -> bool:
        """Return whether a data set with these facts holds the raw input as it is now."""
        return meta["state"] == self._state_key()

    def _summary(self, store: BarStore, *, is_changed: bool) -> IngestSummary:
        with store.reading() as connection:
            return read_summary(connection, store.dataset, store.path, is_changed=is_changed)

    def _selection(self, timeframe: str | None = None) -> Selection:
        wanted = timeframe or self.timeframe
        hours, _, minutes = self.session_start.partition(":")
        if not (hours.isdigit() and minutes.isdigit() and int(hours) < 24 and int(minutes) < 60):
            raise ValueError(f"session_start must be a time of day such as 22:00, was {self.session_start!r}")
        selection = Selection(
            symbols=tuple(self.symbols) if self.symbols is not None else None,
            timeframe_s=parse_timeframe(wanted) if wanted is not None else None,
            start=parse_start("start", self.start) if self.start is not None else None,
            stop=parse_stop("end", self.end) if self.end is not None else None,
            adjust=self.adjust,
            calendar=self.calendar,
            contract=self.contract,
            session_start_s=int(hours) * 3600 + int(minutes) * 60,
        )
        if selection.start is not None and selection.stop is not None and selection.start >= selection.stop:
            raise ValueError(f"end must not lie before start {self.start}, was {self.end}")
        return selection


def digest(value: object) -> str:
    """Return a hex digest of a value that JSON can express."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
