"""From a table of swap events to checked swaps in whole tokens; every malformed row is named by its file and number.

Numbers of up to 320 bits are read as text and computed with as Python integers; no column passes through a float.
Legend: K swaps.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from tradewright.data.columns import plain_name
from tradewright.data.csv import csv_error, csv_relation
from tradewright.data.pool_math import MAX_SQRT_PRICE, MIN_SQRT_PRICE, Pair, tick_of
from tradewright.data.stamps import typed_stamp
from tradewright.data.store import first_line, quote_name, quote_text
from tradewright.data.swap_tape import SwapTape
from tradewright.data.validate import BarsError, Fault

NEEDED = {
    "block": ("blocknumber", "block"),
    "ts": ("blocktimestamp", "timestamp", "ts", "evtblocktime", "blocktime"),
    "amount0": ("amount0",),
    "amount1": ("amount1",),
    "sqrt_price": ("sqrtpricex96", "sqrtprice"),
    "liquidity": ("liquidity",),
}
"""Accepted names by role, best first, as they read after ``plain_name``."""
OPTIONAL = {
    "log_index": ("logindex", "evtindex"),
    "tick": ("tick",),
    "transaction": ("transactionhash", "txhash", "evttxhash"),
}
WHOLE = ("block", "amount0", "amount1", "sqrt_price", "liquidity")
LOSSY = ("DOUBLE", "FLOAT", "REAL")
ROWS_AT_ONCE = 20_000


@dataclass(frozen=True, slots=True)
class Swap:
    """One event as the chain has it, and where it was read."""

    file: str
    row: int
    ts: datetime
    block: int
    log_index: int
    amount0: int
    amount1: int
    sqrt_price: int
    liquidity: int
    transaction: str


def read_swaps(files: Sequence[Path], *, sort: bool, time_format: str | None) -> list[Swap]:
    """Return the swaps of one pool from CSV or Parquet files, which continue each other, in the order of the chain.

    Args:
        files: Tables of events.
        sort: Put swaps in the order of block and log index; else rows out of order are refused.
        time_format: strptime layout of stamps stored as text, or None to recognise it.

    Raises:
        BarsError: A column is missing or a row is malformed, doubled or out of order.
    """
    swaps = [swap for file in files for swap in _read_file(file, time_format)]
    if not swaps:
        name = files[0].name if len(files) == 1 else f"{len(files)} files"
        raise BarsError(f"{name}: no swaps in it; expected at least one data row", fault="empty", file=name)
    if sort:
        swaps.sort(key=lambda swap: (swap.block, swap.log_index))
    _check_order(swaps)
    return swaps


def to_tape(swaps: Sequence[Swap], pair: Pair, fee_bps: float) -> SwapTape:
    """Return the swaps in whole tokens."""
    return SwapTape(
        ts_K=np.array([swap.ts for swap in swaps], dtype="datetime64[us]"),
        block_K=np.array([swap.block for swap in swaps], dtype=np.int64),
        price_K=np.array([pair.price(swap.sqrt_price) for swap in swaps]),
        amount_K=np.array([pair.bought(swap.amount0, swap.amount1) for swap in swaps]),
        liquidity_K=np.array([pair.liquidity(swap.liquidity) for swap in swaps]),
        fee_bps=fee_bps,
    )


def check_blocks(swaps: Sequence[Swap], block_s: int) -> None:
    """Refuse blocks that come sooner after each other than blocks last: their bars would overlap.

    Raises:
        BarsError: The first swap of such a block.
    """
    for before, swap in pairwise(swaps):
        step = (swap.ts - before.ts).total_seconds()
        if swap.block != before.block and step < block_s:
            raise _fault(
                swap, "spacing", f"block {swap.block} comes {step:g} s after the one before; set data.block_s to the"
                f" time between blocks, was {block_s}",
            )  # fmt: skip


def _read_file(file: Path, time_format: str | None) -> Iterator[Swap]:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        try:
            yield from _rows(connection, file, time_format)
        except (duckdb.InvalidInputException, duckdb.IOException) as error:
            if file.suffix.lower() in (".parquet", ".pq"):
                text = f"{file.name}: cut off or no Parquet file ({first_line(error)}); fetch it again"
                raise BarsError(text, fault="truncated", file=file.name) from None
            raise csv_error(file, error) from None


def _rows(connection: duckdb.DuckDBPyConnection, file: Path, time_format: str | None) -> Iterator[Swap]:
    if file.suffix.lower() in (".parquet", ".pq"):
        relation = f"read_parquet({quote_text(str(file))})"
        shape = connection.sql(f"SELECT * FROM {relation} LIMIT 0")
        names, columns = shape.columns, [quote_name(name) for name in shape.columns]
        kinds = [str(kind) for kind in shape.types]
    else:
        relation, names, columns = csv_relation(file)
        kinds = ["VARCHAR"] * len(names)
    at = _match(file.name, names)
    for role in ("amount0", "amount1", "sqrt_price", "liquidity"):
        if kinds[at[role]] in LOSSY:
            raise BarsError(
                f"{file.name}: column '{names[at[role]]}' holds {kinds[at[role]]}, which keeps 16 digits only; export"
                " it as text or DECIMAL(38, 0)",
                fault="unparsable",
                file=file.name,
            )
    stamp, kind = columns[at["ts"]], kinds[at["ts"]]
    first = connection.sql(f"SELECT ({stamp})::VARCHAR FROM {relation} WHERE {stamp} IS NOT NULL LIMIT 1").fetchall()
    found = typed_stamp(stamp, kind=kind, sample=first[0][0] if first else "", time_format=time_format)
    if found is None:
        text = f"{file.name}: column '{names[at['ts']]}' of type {kind} holds no date and time; expected seconds or ISO"
        raise BarsError(text, fault="unparsable", file=file.name)
    texts = [f"({columns[position]})::VARCHAR" for position in at.values()]
    result = connection.execute(f"SELECT {found[0]}, {', '.join(texts)} FROM {relation}")
    number = 0
    while rows := result.fetchmany(ROWS_AT_ONCE):
        for ts, *cells in rows:
            number += 1
            yield _swap(file.name, number, ts, dict(zip(at, cells, strict=True)))


def _match(file: str, names: Sequence[str]) -> dict[str, int]:
    plain = [plain_name(name) for name in names]
    at: dict[str, int] = {}
    for role, aliases in (NEEDED | OPTIONAL).items():
        position = next((plain.index(alias) for alias in aliases if alias in plain), None)
        if position is not None:
            at[role] = position
        elif role in NEEDED:
            raise BarsError(
                f"{file}: no column '{aliases[0]}' in the header; found {', '.join(names)}; accepted names:"
                f" {', '.join(aliases)}, with or without underscores",
                fault="missing_column",
                file=file,
            )
    return at


def _swap(file: str, row: int, ts: Any, cells: dict[str, str | None]) -> Swap:
    """Check one row on its own."""
    place = f"{file} row {row}"

    def refuse(fault: Fault, text: str) -> BarsError:
        return BarsError(f"{place}: {text}", fault=fault, file=file, row=row)

    if not isinstance(ts, datetime):
        fault: Fault = "unparsable" if cells["ts"] else "missing_value"
        raise refuse(fault, f"block_timestamp must be seconds or an ISO date and time, was {cells['ts']!r}")
    numbers = {}
    for name in (*WHOLE, "log_index", "tick"):
        if name not in cells:
            continue
        text = (cells[name] or "").strip()
        match = re.fullmatch(r"([+-]?\d+)(\.0*)?", text)
        if match is None:
            hint = "; it has lost digits, export it as text" if re.fullmatch(r"[-+.\d]+[eE][+-]?\d+", text) else ""
            raise refuse(
                "unparsable" if text else "missing_value", f"{name} must be a whole number, was {text!r}{hint}"
            )
        numbers[name] = int(match[1])
    sqrt_price, liquidity = numbers["sqrt_price"], numbers["liquidity"]
    if not MIN_SQRT_PRICE <= sqrt_price < MAX_SQRT_PRICE:
        raise refuse("outside_range", f"sqrt_price_x96 must be in [{MIN_SQRT_PRICE}, 2^160), was {sqrt_price}")
    if liquidity <= 0:
        raise refuse("not_positive", f"liquidity must be > 0, was {liquidity}; remove the row")
    if numbers["block"] < 0:
        raise refuse("outside_range", f"block_number must be >= 0, was {numbers['block']}")
    if numbers["amount0"] * numbers["amount1"] > 0:
        raise refuse("outside_range", "amount0 and amount1 must have opposite signs: one token comes in, one goes out")
    if "tick" in numbers and abs(numbers["tick"] - tick_of(sqrt_price)) > 1:
        expected = tick_of(sqrt_price)
        raise refuse("outside_range", f"tick {numbers['tick']} is not that of sqrt_price_x96, which is {expected}")
    return Swap(
        file, row, ts, numbers["block"], numbers.get("log_index", 0), numbers["amount0"], numbers["amount1"],
        sqrt_price, liquidity, (cells.get("transaction") or "").strip(),
    )  # fmt: skip


def _check_order(swaps: Sequence[Swap]) -> None:
    """Check that blocks rise, with their times, and that no event is there twice."""
    has_index = any(swap.log_index for swap in swaps)
    seen: set[Swap | tuple[Any, ...]] = set()
    for before, swap in pairwise(swaps):
        here, there = (swap.block, swap.log_index), (before.block, before.log_index)
        if here < there:
            raise _fault(
                swap, "unsorted", f"block {swap.block} log {swap.log_index} comes after block {before.block} log"
                f" {before.log_index}; swaps must be in the order of the chain (data.sort=true has them sorted)",
            )  # fmt: skip
        if swap.block != before.block:
            seen.clear()
        is_same_time = swap.ts == before.ts
        if (swap.block == before.block) != is_same_time or swap.ts < before.ts:
            raise _fault(
                swap, "outside_range", f"block {swap.block} has the time {swap.ts}, block {before.block} before it"
                f" {before.ts}; a block has one time and a later one than the block before",
            )  # fmt: skip
        content = (swap.transaction, swap.amount0, swap.amount1, swap.sqrt_price, swap.liquidity)
        seen.add((before.transaction, before.amount0, before.amount1, before.sqrt_price, before.liquidity))
        if (has_index and here == there) or (not has_index and is_same_time and content in seen):
            raise _fault(swap, "duplicate", f"the swap of block {swap.block} was there before; keep one of them")


def _fault(swap: Swap, fault: Fault, text: str) -> BarsError:
    return BarsError(f"{swap.file} row {swap.row}: {text}", fault=fault, file=swap.file, row=swap.row)
