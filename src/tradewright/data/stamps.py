"""SQL expressions that read a stamp column, whatever its type: text in several layouts, epochs, dates, timestamps.

An expression pair gives the naive stamp (or the instant in UTC) and the offset in seconds it was written with (NULL for
naive wall time). A stamp that cannot be read is NULL. An epoch counts from 1970 UTC, hence carries offset 0.
"""

import re

from tradewright.data.store import quote_text

_ISO = r"^\d{4}[-/]\d{1,2}[-/]\d{1,2}([ T]\d{1,2}:\d{2}(:\d{2}([.,]\d+)?)?)?$"
_ZONE = r" ?(Z|z|UTC|GMT|[+-]\d{2}(:?\d{2})?)$"
_COMPACT = (
    (r"^\d{8}$", "%Y%m%d"),
    (r"^\d{8}[ T]\d{6}$", "%Y%m%d %H%M%S"),
    (r"^\d{8} \d{1,2}:\d{2}$", "%Y%m%d %H:%M"),
    (r"^\d{8} \d{1,2}:\d{2}:\d{2}$", "%Y%m%d %H:%M:%S"),
    (r"^\d{4}\.\d{2}\.\d{2}$", "%Y.%m.%d"),
    (r"^\d{4}\.\d{2}\.\d{2} \d{1,2}:\d{2}$", "%Y.%m.%d %H:%M"),
    (r"^\d{4}\.\d{2}\.\d{2} \d{1,2}:\d{2}:\d{2}$", "%Y.%m.%d %H:%M:%S"),
)
_EPOCHS = (
    (r"^\d{9,10}(\.\d+)?$", 1e6),
    (r"^\d{12,13}$", 1e3),
    (r"^\d{15,16}$", 1.0),
    (r"^\d{18,19}$", 1e-3),
)
"""Digits of an epoch in s, ms, us and ns (1973 to 2286) and its factor to microseconds."""


def text_stamp(column: str, *, sample: str, time_format: str | None) -> tuple[str, str]:
    """Return ``(stamp, offset_s)`` expressions for a text column.

    Args:
        column: SQL of the text.
        sample: The first value, which decides on the layout; every other row must follow it.
        time_format: strptime layout, or None to recognise ISO 8601, compact dates and epochs.
    """
    if time_format is not None:
        parsed = f"try_strptime({column}, {quote_text(time_format)})"
        if "%z" in time_format:
            return f"timezone('UTC', {parsed}::TIMESTAMPTZ)", f"CASE WHEN {parsed} IS NOT NULL THEN 0 END"
        return f"{parsed}::TIMESTAMP", "NULL"
    sample = sample.strip()
    for pattern, layout in _COMPACT:
        if re.match(pattern, sample):
            text = f"replace({column}, 'T', ' ')"
            return f"try_strptime(trim({text}), '{layout}')", "NULL"
    for pattern, factor in _EPOCHS:
        if re.match(pattern, sample):
            return _epoch(column, factor)
    naive = f"regexp_matches({column}, '{_ISO}')"
    instant = f"TRY_CAST({column} AS TIMESTAMPTZ)"
    wall = f"TRY_CAST(regexp_replace({column}, '{_ZONE}', '') AS TIMESTAMP)"
    stamp = f"CASE WHEN {naive} THEN TRY_CAST({column} AS TIMESTAMP) ELSE timezone('UTC', {instant}) END"
    offset = f"CASE WHEN NOT {naive} THEN date_diff('second', timezone('UTC', {instant}), {wall})::INTEGER END"
    return stamp, offset


def typed_stamp(column: str, *, kind: str, sample: object, time_format: str | None) -> tuple[str, str] | None:
    """Return ``(stamp, offset_s)`` expressions for a column of SQL type ``kind``, or None if it holds no stamps."""
    if kind in ("TIMESTAMP WITH TIME ZONE", "TIMESTAMPTZ"):
        return f"timezone('UTC', {column}::TIMESTAMPTZ)", f"CASE WHEN {column} IS NOT NULL THEN 0 END"
    if kind == "DATE" or kind.startswith("TIMESTAMP"):
        return f"{column}::TIMESTAMP", "NULL"
    if kind == "VARCHAR":
        return text_stamp(column, sample=str(sample), time_format=time_format)
    if (
        kind.endswith("INT")
        or kind in ("INTEGER", "UINTEGER", "HUGEINT", "DOUBLE", "FLOAT")
        or kind.startswith("DECIMAL")
    ):
        if sample == "":
            return "NULL::TIMESTAMP", "NULL"  # no stamp at all: every row, if there is one, lacks it
        text = f"{float(str(sample)):.0f}"
        if re.match(r"^(19|20)\d{6}$", text):
            return f"try_strptime({column}::BIGINT::VARCHAR, '%Y%m%d')", "NULL"
        for pattern, factor in _EPOCHS:
            if re.match(pattern, text):
                return _epoch(column, factor)
    return None


def _epoch(column: str, factor: float) -> tuple[str, str]:
    if factor >= 1:
        micros = f"TRY_CAST(TRY_CAST({column} AS DECIMAL(28, 6)) * {factor:.0f} AS BIGINT)"
    else:
        micros = f"TRY_CAST({column} AS BIGINT) // {1 / factor:.0f}"
    return f"make_timestamp({micros})", f"CASE WHEN {micros} IS NOT NULL THEN 0 END"
