"""Puts what happens between bars on the clock of a panel: splits, dividends, funding, borrow rates and rolls.

An event belongs to the first bar that opens at or after it. A split or roll inside a bar is refused, because that bar's
prices are in two units; a dividend or funding inside a bar is paid before the next one opens. Events before the second
bar concern nobody who trades the panel.
Legend: T bars, N instruments.
"""

import hashlib
import math
from dataclasses import replace
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt

from tradewright.data.panel import EVENTS, Panel
from tradewright.data.timeframe import format_timeframe
from tradewright.errors import DataError

Float = npt.NDArray[np.float64]

STILL_TO_COME = {"all": (), "splits": ("dividend",), "none": ("split", "dividend")}
"""Kinds of actions that are not in the prices, by ``adjust``."""


def rolled_contracts(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Return the contracts that a root is made of; a panel shows the root instead."""
    if not _has_table(connection, "rolls"):
        return set()
    return {
        row[0] for row in connection.sql("SELECT from_symbol FROM rolls UNION SELECT to_symbol FROM rolls").fetchall()
    }


def with_events(panel: Panel, connection: duckdb.DuckDBPyConnection, adjust: str) -> Panel:
    """Return a panel with the stored events of its instruments that are not in its prices.

    Raises:
        DataError: A split or roll lies inside a bar.
    """
    given = {**_actions(panel, connection, adjust), **_rates(panel, connection), **_rolls(panel, connection)}
    if not given:
        return panel
    digest = hashlib.blake2b(panel.fingerprint.encode(), digest_size=16)
    for name in EVENTS:
        if name in given:
            digest.update(name.encode() + np.ascontiguousarray(given[name]).view(np.uint8).data)
    return replace(panel, **given, fingerprint=digest.hexdigest())


def _actions(panel: Panel, connection: duckdb.DuckDBPyConnection, adjust: str) -> dict[str, Any]:
    """Return splits as new shares per old one, and dividends per share as it was before the split of its bar."""
    kinds = STILL_TO_COME[adjust]
    if not kinds:
        return {}
    rows = connection.execute("SELECT symbol, ex_ts, kind, ratio, cash FROM actions ORDER BY symbol, ex_ts").fetchall()
    place = _Clock(panel)
    split_TN, dividend_TN = np.ones(panel.close_TN.shape), np.zeros(panel.close_TN.shape)
    later: dict[str, float] = {}
    for symbol, ex_ts, kind, ratio, cash in reversed(rows):
        if kind == "split":
            later[symbol] = later.get(symbol, 1.0) * ratio
            if "split" in kinds:
                place.refuse_inside(symbol, ex_ts, "split", "set data.adjust to all or splits")
        at = place.find(symbol, ex_ts)
        if at is None or kind not in kinds:
            continue
        if kind == "split":
            split_TN[at] /= ratio
        else:
            dividend_TN[at] += cash * (later.get(symbol, 1.0) if adjust == "splits" else 1.0)
    given = {"split_TN": (split_TN, 1.0), "dividend_TN": (dividend_TN, 0.0)}
    return {name: values_TN for name, (values_TN, neutral) in given.items() if (values_TN != neutral).any()}


def _rates(panel: Panel, connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return the funding paid before each bar, and the borrow rate in force since the bar before it."""
    if not _has_table(connection, "rates"):
        return {}
    rows = connection.sql("SELECT symbol, ts, funding, borrow FROM rates ORDER BY symbol, ts").fetchall()
    place = _Clock(panel)
    funding_TN, borrow_TN = np.zeros(panel.close_TN.shape), np.full(panel.close_TN.shape, np.nan)
    for symbol, ts, funding, borrow in rows:
        if symbol not in place.columns:
            continue
        at = place.find(symbol, ts)
        if at is not None and funding is not None:
            funding_TN[at] += funding
        if borrow is not None:
            borrow_TN[place.row(ts) + 1 :, place.columns[symbol]] = borrow
    given = {"funding_TN": (funding_TN, funding_TN != 0), "borrow_TN": (borrow_TN, ~np.isnan(borrow_TN))}
    return {name: values_TN for name, (values_TN, is_given_TN) in given.items() if is_given_TN.any()}


def _rolls(panel: Panel, connection: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return the prices of the contract left and of the one entered."""
    if not _has_table(connection, "rolls"):
        return {}
    rows = connection.sql("SELECT root, ts, from_price, to_price FROM rolls ORDER BY root, ts").fetchall()
    place = _Clock(panel)
    prices_2TN = np.full((2, *panel.close_TN.shape), np.nan)
    for root, ts, from_price, to_price in rows:
        place.refuse_inside(root, ts, "roll", "roll where a bar opens, or use shorter bars")
        at = place.find(root, ts)
        if at is None:
            continue
        if not np.isnan(prices_2TN[0][at]):
            raise DataError(f"{root}: rolls twice before the bar at {panel.ts_T[at[0]]}; use shorter bars")
        prices_2TN[:, at[0], at[1]] = from_price, to_price
    if np.isnan(prices_2TN).all():
        return {}
    return {"roll_from_TN": prices_2TN[0], "roll_to_TN": prices_2TN[1]}


def carried_events(fine: Panel, coarse: Panel) -> dict[str, Any]:
    """Return the events of ``fine`` on the clock of ``coarse``, made of the same bars.

    Raises:
        DataError: A split or roll lies inside a bar of ``coarse``.
    """
    place = _Clock(coarse)
    given: dict[str, Any] = {}
    for name, neutral, kind in (
        ("split_TN", 1.0, "split"),
        ("dividend_TN", 0.0, ""),
        ("funding_TN", 0.0, ""),
        ("roll_from_TN", math.nan, "roll"),
        ("roll_to_TN", math.nan, "roll"),
    ):
        values_TN = getattr(fine, name)
        if values_TN is None:
            continue
        given[name] = np.full(coarse.close_TN.shape, neutral)
        is_neutral_TN = np.isnan(values_TN) if math.isnan(neutral) else values_TN == neutral
        for t, n in np.argwhere(~is_neutral_TN):
            symbol, ts = fine.symbols[n], fine.ts_T[t]
            if kind:
                place.refuse_inside(symbol, ts, kind, "keep bars that do not reach over it")
            at = place.find(symbol, ts)
            if at is None:
                continue
            if kind == "split":
                given[name][at] *= values_TN[t, n]
            elif kind == "roll":
                given[name][at] = values_TN[t, n]
            else:
                given[name][at] += values_TN[t, n]
    if fine.borrow_TN is not None:
        first_T = np.searchsorted(fine.ts_T, coarse.ts_T, side="left") + 1
        rows_T = np.minimum(np.concatenate([[0], first_T[:-1]]), fine.num_bars - 1)
        given["borrow_TN"] = fine.borrow_TN[rows_T]
    return given


class _Clock:
    """Finds the row of an event."""

    def __init__(self, panel: Panel) -> None:
        self.panel = panel
        self.columns = {symbol: n for n, symbol in enumerate(panel.symbols)}

    def row(self, ts: Any) -> int:
        """Return the first row that opens at or after ``ts``; T if none does."""
        return int(np.searchsorted(self.panel.ts_T, np.datetime64(ts, "us"), side="left"))

    def find(self, symbol: str, ts: Any) -> tuple[int, int] | None:
        """Return row and column; None where the event concerns nobody who trades the panel."""
        if symbol not in self.columns:
            return None
        row = self.row(ts)
        return (row, self.columns[symbol]) if 0 < row < self.panel.num_bars else None

    def refuse_inside(self, symbol: str, ts: Any, kind: str, advice: str) -> None:
        """Refuse an event inside a bar, whose prices would be in two units."""
        if symbol not in self.columns:
            return
        row = self.row(ts) - 1
        if row < 0 or not self.panel.tradable_TN[row, self.columns[symbol]]:
            return
        if self.panel.known_at_T[row] > np.datetime64(ts, "us"):
            length = format_timeframe(self.panel.timeframe_s)
            raise DataError(
                f"{symbol}: the {kind} of {ts} lies inside its {length} bar of {self.panel.ts_T[row]}; {advice}"
            )


def _has_table(connection: duckdb.DuckDBPyConnection, name: str) -> bool:
    """Return whether a store has a table; those written before there were rates and rolls lack them."""
    found = connection.execute("SELECT 1 FROM information_schema.tables WHERE table_name = ?", [name]).fetchall()
    return bool(found)
