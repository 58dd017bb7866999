"""Finds the bar length of staged rows and turns their stamps into naive UTC bar opens.

Intraday stamps become instants in UTC. **Daily bars keep their session date**, stamped 00:00: a bar of session D is
then known at D+1 00:00 UTC, which never leaks as long as the session has closed by then. That holds for every
exchange whose regular session ends before 00:00 UTC of the next day (New York at 21:00, London, Tokyo, and markets
that count days in UTC). Daily bars of a market that closes later must carry their true opening instant
(``keeps_session_dates=False``, or stamps other than 00:00). Weekly bars likewise.
"""

import duckdb

from tradewright.data.staging import Staging
from tradewright.data.store import quote_text
from tradewright.data.timeframe import DAY_S, format_timeframe, is_bar_length
from tradewright.data.validate import BarsError, fault_at
from tradewright.errors import DataError

HOUR_S = 3_600
"""A zone changes its offset by one hour in a year; wider differences mean that exports of two zones were mixed."""


def check_zones(staging: Staging) -> None:
    """Check that all stamps are naive, or all carry offsets of one zone.

    Raises:
        BarsError: The first row whose zone differs from that of the first row.
    """
    found = staging.connection.sql(
        f"SELECT file, row, offset_s, first FROM (SELECT *, first_value(offset_s) OVER (ORDER BY file, row) AS first "
        f"FROM incoming) WHERE (offset_s IS NULL) <> (first IS NULL) OR abs(offset_s - first) > {HOUR_S} "
        "ORDER BY file, row LIMIT 1"
    ).fetchall()
    if found:
        file, row, offset_s, first_s = found[0]
        text = (
            f"the stamp is {_zone_name(offset_s)}, that of the first row {_zone_name(first_s)}; stamps must share one "
            f"zone, so export them in UTC"
        )
        raise fault_at(staging, "mixed_zones", file, row, text)


def _zone_name(offset_s: int | None) -> str:
    return "without zone" if offset_s is None else f"{offset_s / HOUR_S:+g} h from UTC"


def settle_clock(staging: Staging) -> int:
    """Replace every staged stamp by the bar's open in naive UTC and return the bar length in seconds.

    Raises:
        DataError: A local time does not exist, bars overlap, or the bar length cannot be found.
    """
    length_s = staging.timeframe_s or _bar_length(staging)
    _check_spacing(staging, length_s)
    keeps_dates = staging.keeps_session_dates and length_s >= DAY_S
    if staging.zone == "UTC":
        return length_s
    local = f"timezone({quote_text(staging.zone)}, timezone('UTC', ts))"
    instant = f"timezone('UTC', timezone({quote_text(staging.zone)}, ts))"
    is_aware = bool(staging.connection.sql("SELECT offset_s IS NOT NULL FROM incoming LIMIT 1").fetchall()[0][0])
    try:
        if is_aware:
            if keeps_dates and _all_at_midnight(staging, local):
                staging.connection.execute(f"UPDATE incoming SET ts = {local}")
        elif not (keeps_dates and _all_at_midnight(staging, "ts")):
            _check_exists(staging, instant)
            staging.connection.execute(f"UPDATE incoming SET ts = {instant}")
    except duckdb.Error as error:
        if "TimeZone" not in str(error):
            raise
        raise DataError(f"data.timezone must be a zone such as UTC or America/New_York, was {staging.zone!r}") from None
    return length_s


_STEPS = "SELECT *, date_diff('second', lag(ts) OVER (PARTITION BY symbol ORDER BY ts), ts) AS step FROM incoming"


def _bar_length(staging: Staging) -> int:
    """Return the most frequent spacing of bars."""
    found = staging.connection.sql(
        f"SELECT step FROM ({_STEPS}) WHERE step IS NOT NULL GROUP BY step ORDER BY count(*) DESC, step LIMIT 1"
    ).fetchall()
    name = staging.files[0]
    if not found:
        raise BarsError(
            f"{name}: one bar per symbol does not tell the bar length; expected at least two",
            fault="spacing",
            file=name,
        )
    length_s = int(found[0][0])
    if not is_bar_length(length_s):
        raise BarsError(
            f"{name}: bars are mostly {length_s} s apart, expected a length that divides a day, one day or one week",
            fault="spacing",
            file=name,
        )
    return length_s


def _check_spacing(staging: Staging, length_s: int) -> None:
    """Refuse bars that overlap; a daily bar may be an hour short, where clocks go forward."""
    least_s = length_s - HOUR_S if length_s >= DAY_S else length_s
    found = staging.connection.sql(
        f"SELECT file, row, symbol, step FROM ({_STEPS}) WHERE step < {least_s} ORDER BY file, row LIMIT 1"
    ).fetchall()
    if found:
        file, row, symbol, step = found[0]
        text = (
            f"{symbol} starts {step} s after its previous bar, but bars of this data set are "
            f"{format_timeframe(length_s)} long; load bars of different lengths as separate data sets"
        )
        raise fault_at(staging, "spacing", file, row, text)


def _all_at_midnight(staging: Staging, stamp: str) -> bool:
    return not staging.connection.sql(
        f"SELECT 1 FROM incoming WHERE {stamp}::TIME <> TIME '00:00:00' LIMIT 1"
    ).fetchall()


def _check_exists(staging: Staging, instant: str) -> None:
    """Refuse local times that clocks skipped: converted there and back they are another time."""
    back = f"timezone({quote_text(staging.zone)}, timezone('UTC', {instant}))"
    found = staging.connection.sql(
        f"SELECT file, row, symbol, ts FROM incoming WHERE {back} <> ts ORDER BY file, row LIMIT 1"
    ).fetchall()
    if found:
        file, row, symbol, ts = found[0]
        text = (
            f"{symbol} {ts} does not exist in {staging.zone} (clocks go forward); set the data.timezone of the export"
        )
        raise fault_at(staging, "mixed_zones", file, row, text)
