"""Adjusts prices for splits and dividends when they are read; the store keeps prices as they were traded.

A price at time t is multiplied by the product of ``ratio`` over all actions with ``ex_ts > t`` (backward adjustment,
the last bars keep their traded price); volume is divided by the product over splits. Every stored action counts, also
one after the last bar that is read, as in LEAN.
Source: the factor files of QuantConnect/Lean (Common/Data/Auxiliary/CorporateFactorProvider.cs).
"""

from dataclasses import dataclass
from itertools import groupby
from typing import Any

import duckdb
import numpy as np

from tradewright.data.store import insert_columns

_BEFORE_ALL = np.datetime64("0001-01-01", "us")
_KINDS = {"all": ("split", "dividend"), "splits": ("split",), "none": ()}


@dataclass(frozen=True, kw_only=True)
class Action:
    """A corporate action; prices before ``ex_ts`` are multiplied by ``ratio`` to be comparable with those after.

    Args:
        symbol: The instrument.
        ex_ts: First instant at which the price is without the split or dividend (naive UTC).
        kind: ``split`` or ``dividend``.
        ratio: 0.25 for a split 4:1; 1 - dividend/price for a dividend.
        cash: Dividend per share in the instrument's currency; 0 for a split.
    """

    symbol: str
    ex_ts: np.datetime64
    kind: str
    ratio: float
    cash: float = 0.0


def adjusted_query(connection: duckdb.DuckDBPyConnection, bars: str, adjust: str) -> str:
    """Return a query like ``bars`` with adjusted prices and volumes.

    Args:
        connection: An open store; a temporary table of factors is created if there are actions.
        bars: Query with columns symbol, ts, open, high, low, close, volume.
        adjust: ``all``, ``splits`` or ``none``.
    """
    rows = connection.execute("SELECT symbol, ex_ts, kind, ratio FROM actions ORDER BY symbol, ex_ts").fetchall()
    factors = [
        factor
        for symbol, actions in groupby((row for row in rows if row[2] in _KINDS[adjust]), key=lambda row: row[0])
        for factor in _factors(symbol, list(actions))
    ]
    if not factors:
        return bars
    connection.execute("CREATE TEMP TABLE factors(symbol VARCHAR, from_ts TIMESTAMP, price DOUBLE, split DOUBLE)")
    insert_columns(
        connection,
        "factors",
        dict(zip(("symbol", "from_ts", "price", "split"), zip(*factors, strict=True), strict=True)),
    )
    return (
        "SELECT symbol, ts, open * price AS open, high * price AS high, low * price AS low, close * price AS close, "
        "volume / split AS volume FROM (SELECT bars.*, coalesce(factors.price, 1) AS price, "
        "coalesce(factors.split, 1) AS split "
        f"FROM ({bars}) AS bars ASOF LEFT JOIN factors ON bars.symbol = factors.symbol AND bars.ts >= factors.from_ts)"
    )


def _factors(symbol: str, actions: list[tuple[Any, ...]]) -> list[tuple[str, np.datetime64, float, float]]:
    """Return ``(symbol, from_ts, price factor, split factor)``, each valid until the next one's ``from_ts``."""
    price = split = 1.0
    factors = []
    for ex_ts, same in groupby(reversed(actions), key=lambda action: action[1]):
        factors.append((symbol, np.datetime64(ex_ts, "us"), price, split))
        for _, _, kind, ratio in same:
            price *= ratio
            split *= ratio if kind == "split" else 1.0
    factors.append((symbol, _BEFORE_ALL, price, split))
    return factors
