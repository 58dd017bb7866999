"""Stitches contracts to a root: the bars of the first contract until the first roll, then those of the next, and so on.

Nothing is adjusted: the root's prices are those that were traded, and every roll is stored with both prices, so that an
account is moved from one contract to the next and signals read a series without the jump (``Panel.for_signals``).
"""

from collections.abc import Sequence
from dataclasses import replace
from itertools import groupby

import numpy as np

from tradewright.data.side_table import Roll
from tradewright.data.staging import Staging
from tradewright.data.store import quote_text
from tradewright.errors import DataError
from tradewright.market.instrument import Instrument

FIRST = np.datetime64("0001-01-01", "us")
LAST = np.datetime64("9999-01-01", "us")


def stitch(staging: Staging, rolls: Sequence[Roll], length_s: int) -> None:
    """Add the bars and the facts of every root; call it when the contracts' bars are stored.

    Args:
        staging: The store that is being filled.
        rolls: By root and time.
        length_s: Bar length, seconds.

    Raises:
        DataError: A roll lies inside a bar, or a contract has no bar while the root holds it.
    """
    for root, group in groupby(rolls, key=lambda roll: roll.root):
        own = list(group)
        contracts = [own[0].from_symbol, *(roll.to_symbol for roll in own)]
        bounds = [FIRST, *(roll.ts for roll in own), LAST]
        for roll in own:
            _check_boundary(staging, roll, length_s)
        for contract, start, stop in zip(contracts, bounds, bounds[1:], strict=False):
            held = f"symbol = {quote_text(contract)} AND ts >= TIMESTAMP '{start}' AND ts < TIMESTAMP '{stop}'"
            added = staging.connection.execute(
                f"INSERT INTO bars SELECT {quote_text(root)}, timeframe_s, ts, open, high, low, close, volume "
                f"FROM bars WHERE {held} ORDER BY ts"
            ).fetchall()
            if not added[0][0]:
                raise DataError(f"data.rolls: {root} holds '{contract}' from {start} to {stop}, which has no bar there")
        facts = staging.instruments.get(
            contracts[0], Instrument(symbol=contracts[0], kind="future", calendar="futures")
        )
        staging.instruments[root] = replace(facts, symbol=root)


def _check_boundary(staging: Staging, roll: Roll, length_s: int) -> None:
    """Refuse a roll inside a bar: the bar would be part of both contracts."""
    found = staging.connection.execute(
        "SELECT symbol, ts FROM bars WHERE symbol IN (?, ?) AND ts < ? AND ts + to_seconds(?) > ? LIMIT 1",
        [roll.from_symbol, roll.to_symbol, roll.ts.item(), length_s, roll.ts.item()],
    ).fetchall()
    if found:
        raise DataError(
            f"data.rolls: the roll of {roll.root} at {roll.ts} lies inside the bar of {found[0][0]} at {found[0][1]}; "
            f"roll at the open of a bar"
        )
