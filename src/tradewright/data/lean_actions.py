"""Reads LEAN factor files: splits and dividends as the ratios of consecutive factors.

Row ``date,price_factor,split_factor,reference_price``: prices up to and including ``date`` are multiplied by both
factors of the first row whose date is not before them. So an action lies between two rows and takes effect the day
after the earlier one; its ratio is the quotient of their factors, and ratios multiply back to LEAN's factors.
Source: QuantConnect/Lean, Common/Data/Auxiliary/CorporateFactorProvider.cs, CorporateFactorRow.cs.
"""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from tradewright.data.adjust import Action
from tradewright.errors import DataError


def read_factors(file: Path, symbol: str) -> list[Action]:
    """Return the splits and dividends of a factor file; ``ex_ts`` is the local midnight that begins the ex-date.

    Raises:
        DataError: A row is malformed; named by file and line.
    """
    rows: list[tuple[datetime, float, float, float]] = []
    for number, line in enumerate(file.read_text().split(), start=1):
        fields = line.split(",")
        try:
            day = datetime.strptime(fields[0], "%Y%m%d")
            price, split = float(fields[1]), float(fields[2])
            reference = float(fields[3]) if len(fields) > 3 else 0.0
        except (ValueError, IndexError):
            raise DataError(f"{file} row {number}: expected 'yyyymmdd,factor,factor,price', was '{line}'") from None
        if not (price > 0 and split > 0):
            raise DataError(f"{file} row {number}: factors must be > 0, was '{line}'")
        rows.append((day, price, split, reference))
    actions = []
    after = [(row[1], row[2]) for row in rows[1:]] + [(1.0, 1.0)]
    for (day, price, split, reference), (next_price, next_split) in zip(rows, after, strict=True):
        ex_ts = np.datetime64(day + timedelta(days=1), "us")
        if split != next_split:
            actions.append(Action(symbol=symbol, ex_ts=ex_ts, kind="split", ratio=split / next_split))
        if price != next_price:
            ratio = price / next_price
            actions.append(
                Action(symbol=symbol, ex_ts=ex_ts, kind="dividend", ratio=ratio, cash=reference * (1 - ratio))
            )
    return actions
