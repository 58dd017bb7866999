"""Other futures of the same past: what the leak detector hands to the functions it checks.

``Worlds.truncated(k)`` ends the data with bar k. ``Worlds.perturbed(k)`` keeps bars up to k and continues with two
other valid markets that mirror each other: where one jumps above all earlier prices, turns volatile and trades much
volume, the other does the opposite, so that a leak that shows only as a sign changes in one of them. Both worlds carry
fingerprints of their own, because functions may cache under it, and read-only arrays, so that a function which writes
into its input fails instead of spoiling the comparison.

Legend: T bars, M bars after the cut, N instruments, E rows of a joined table.
"""

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.data.swap_tape import COLUMNS
from tradewright.evaluate.leak_events import other_events, other_finer, other_swaps

Float = npt.NDArray[np.float64]
Signs = npt.NDArray[np.int64]

FIELDS = tuple(entry.name for entry in fields(Panel))
FALLBACK_SIGMA = 0.01
"""Volatility per bar of an instrument with fewer than three closes."""
CALM, WILD = 1 / 3, 3.0
"""Factors on an instrument's own volatility after the cut."""
JUMP = (0.1, 0.5)
"""Log distance by which the new level lies beyond all earlier closes."""
VOLUME = (1.0, 3.0)
"""Log factor on volumes after the cut."""
MAX_SPREAD = 1.0
"""Largest log range of a new path: prices of a million bars neither overflow nor vanish."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows from elsewhere that a function joins to the bars: news, fundamentals, another timeframe.

    Args:
        known_at_E: ``datetime64``, in ascending order: when each row became known.
        values: Arrays of length E by name; numbers, texts or times.
    """

    known_at_E: npt.NDArray[np.datetime64]
    values: Mapping[str, npt.NDArray[Any]]


Tables = Mapping[str, Table]
World = tuple[Panel, Tables]


class Worlds:
    """Pasts and futures of one market.

    Args:
        panel: The bars.
        tables: What the checked function joins to them.
        rng: Draws the futures.
    """

    def __init__(self, panel: Panel, tables: Tables, rng: np.random.Generator) -> None:
        self.panel = _frozen(panel)
        self.tables = {name: _frozen_table(table) for name, table in tables.items()}
        self.rng = rng
        self._sigma_N = _volatility(panel)

    @property
    def whole(self) -> World:
        """The data as they are."""
        return self.panel, self.tables

    def truncated(self, k: int) -> World:
        """Return what is known at the close of bar k."""
        panel = replace(self.panel.slice(0, k + 1), fingerprint=self._fingerprint(k, 0))
        now = self.panel.known_at_T[k]
        tables = {}
        for name, table in self.tables.items():
            known = table.known_at_E <= now
            values = {key: column[known] for key, column in table.values.items()}
            tables[name] = _frozen_table(Table(known_at_E=table.known_at_E[known], values=values))
        return panel, tables

    def perturbed(self, k: int) -> Iterator[World]:
        """Yield two markets that are equal up to bar k and opposite afterwards."""
        num = len(self.panel.instruments)
        share = self.rng.random()  # a common direction moves averages over instruments, mixed ones their ranks
        direction_N = np.where(self.rng.random(num) < share, 1, -1)
        for sign in (1, -1):
            panel = self._continued(k, sign, sign * direction_N)
            panel = _frozen(replace(panel, fingerprint=self._fingerprint(k, sign)))
            tables = {
                name: self._other_rows(table, self.panel.known_at_T[k], sign) for name, table in self.tables.items()
            }
            yield panel, tables

    def _fingerprint(self, k: int, sign: int) -> str:
        """Return one that tells nobody that he is being checked."""
        original = self.panel.fingerprint
        return hashlib.sha256(f"{original} {k} {sign}".encode()).hexdigest()[: len(original) or None]

    def _continued(self, k: int, sign: int, direction_N: Signs) -> Panel:
        panel, rng = self.panel, self.rng
        shape = (panel.num_bars - k - 1, len(direction_N))
        sigma_N = self._sigma_N * np.where(direction_N > 0, WILD, CALM)
        close_MN = self._path(k, direction_N, sigma_N)
        last_N = np.log(_last_closes(panel, k))
        before_MN = np.vstack([(last_N + close_MN[0]) / 2, close_MN[:-1]])  # half of the jump falls into the first gap
        open_MN = before_MN + 0.3 * sigma_N * rng.standard_normal(shape)
        high_MN = np.maximum(open_MN, close_MN) + 0.5 * sigma_N * np.abs(rng.standard_normal(shape))
        low_MN = np.minimum(open_MN, close_MN) - 0.5 * sigma_N * np.abs(rng.standard_normal(shape))
        factor_N = np.exp(direction_N * rng.uniform(*VOLUME, len(direction_N)))
        volume_MN = rng.permutation(panel.volume_TN, axis=0)[: shape[0]] * factor_N
        exists_MN = self._existing(k)
        arrays: dict[str, npt.NDArray[Any]] = {"tradable_TN": exists_MN}
        arrays["volume_TN"] = np.where(exists_MN, volume_MN, 0.0)
        for name, log_MN in (("open", open_MN), ("high", high_MN), ("low", low_MN), ("close", close_MN)):
            arrays[f"{name}_TN"] = np.where(exists_MN, np.exp(log_MN), np.nan)
        events = other_events(panel, k, arrays["close_TN"], sign, rng)
        bars: dict[str, Any] = {name: np.concatenate([getattr(panel, name)[: k + 1], x]) for name, x in arrays.items()}
        changed: dict[str, Any] = {**bars, **events, "finer": other_finer(panel, k, bars)}
        changed["swaps"] = other_swaps(panel, k, bars, sign, rng)
        return replace(panel, **changed)

    def _path(self, k: int, direction_N: Signs, sigma_N: Float) -> Float:
        """Return log closes ``[M, N]`` that start beyond all closes up to bar k."""
        past_TN = np.log(self.panel.close_TN[: k + 1])
        last_N = np.log(_last_closes(self.panel, k))
        highest_N = np.fmax.reduce(past_TN, axis=0, initial=-np.inf)
        lowest_N = np.fmin.reduce(past_TN, axis=0, initial=np.inf)
        bound_N = np.where(direction_N > 0, np.fmax(highest_N, last_N), np.fmin(lowest_N, last_N))
        level_N = bound_N + direction_N * self.rng.uniform(*JUMP, len(direction_N))
        walk_MN = np.cumsum(sigma_N * self.rng.standard_normal((self.panel.num_bars - k - 1, len(sigma_N))), axis=0)
        walk_MN -= walk_MN[0]
        return level_N + walk_MN * np.minimum(1.0, MAX_SPREAD / np.maximum(np.ptp(walk_MN, axis=0), 1e-12))

    def _existing(self, k: int) -> npt.NDArray[np.bool_]:
        """Return which bars exist after the cut: some instruments vanish, return or skip bars, if any ever do."""
        exists_MN = self.panel.tradable_TN[k + 1 :].copy()
        if self.panel.tradable_TN.all():
            return exists_MN
        num_bars, num = exists_MN.shape
        for n in range(num):
            fate = self.rng.integers(4)
            if fate == 0:
                exists_MN[:, n] = True
            elif fate == 1:
                exists_MN[self.rng.integers(num_bars) :, n] = False
            elif fate == 2:
                exists_MN[:, n] = self.rng.random(num_bars) > 0.2
        empty = np.flatnonzero(~exists_MN.any(axis=1))
        exists_MN[empty, self.rng.integers(num, size=len(empty))] = True  # a bar without any instrument is no bar
        return exists_MN

    def _other_rows(self, table: Table, now: np.datetime64, sign: int) -> Table:
        """Return the table with the rows that are known after ``now`` replaced."""
        later = table.known_at_E > now
        values = {}
        for name, column in table.values.items():
            fresh = column.astype(object) if column.dtype.kind == "U" else column.copy()  # texts may become longer
            fresh[later] = _other_values(column, later, sign, self.rng)
            values[name] = fresh.astype(str) if column.dtype.kind == "U" else fresh
        return _frozen_table(Table(known_at_E=table.known_at_E, values=values))


def _other_values(
    column: npt.NDArray[Any], later: npt.NDArray[np.bool_], sign: int, rng: np.random.Generator
) -> npt.NDArray[Any]:
    """Return other values of the later rows: numbers beyond all others, texts marked, anything else shuffled."""
    drawn = rng.permutation(column)[: int(later.sum())]
    if column.dtype.kind in "fi":
        finite = column[np.isfinite(column)]
        spread = np.ptp(finite) if len(finite) else 0
        return drawn + sign * 2 * (spread or 1)
    if column.dtype.kind in "UO":
        return np.array([f"{text} ({sign:+d})" for text in drawn], dtype=object)
    return drawn


def _last_closes(panel: Panel, k: int) -> Float:
    """Return each instrument's last close up to bar k, else its first one after, else 1."""
    order_TN = np.concatenate([panel.close_TN[k::-1], panel.close_TN[k + 1 :]])
    first_N = np.argmax(np.isfinite(order_TN), axis=0)
    found_N = order_TN[first_N, np.arange(order_TN.shape[1])]
    return np.where(np.isfinite(found_N), found_N, 1.0)


def _volatility(panel: Panel) -> Float:
    """Return the standard deviation ``[N]`` of log changes between the closes that exist."""
    sigma_N = np.full(len(panel.instruments), FALLBACK_SIGMA)
    for n in range(len(sigma_N)):
        closes = panel.close_TN[panel.tradable_TN[:, n], n]
        if len(closes) > 2:
            sigma_N[n] = np.diff(np.log(closes)).std() or FALLBACK_SIGMA
    return sigma_N


def _frozen(panel: Panel) -> Panel:
    held = {name: value for name, value in vars(panel).items() if isinstance(value, np.ndarray) and name in FIELDS}
    changed: dict[str, Any] = {name: _read_only(array) for name, array in held.items()}
    changed["finer"] = _frozen(panel.finer) if panel.finer else None
    if panel.swaps is not None:
        columns: dict[str, Any] = {name: _read_only(getattr(panel.swaps, name)) for name in COLUMNS}
        changed["swaps"] = replace(panel.swaps, **columns)
    return replace(panel, **changed)


def _frozen_table(table: Table) -> Table:
    values = {name: _read_only(column) for name, column in table.values.items()}
    return Table(known_at_E=_read_only(table.known_at_E), values=values)


def _read_only(array: npt.NDArray[Any]) -> npt.NDArray[Any]:
    view = array.view()
    view.flags.writeable = False
    return view
