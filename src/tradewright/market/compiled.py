"""The scalar loop compiled by ``numba``: the same source, the same bits, arrays in place of lists.

Every function of the loop's modules is compiled from its own code, with names that lead to the compiled others. Without
``numba`` nothing of the program needs this module. Compiled code is kept in ``cache_folder()``, a folder named after
the sources and versions, so that it can never be older than they are.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import astuple, fields
from functools import cache
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.errors import ConfigError
from tradewright.market import (
    form,
    pricing,
    scalar_book,
    scalar_carry,
    scalar_entries,
    scalar_fills,
    scalar_idle,
    scalar_loop,
    scalar_orders,
    scalar_reasons,
    scalar_stops,
)
from tradewright.market.scalar import Machine
from tradewright.market.scalar_book import Book, Position, Record

LOOP = (
    scalar_book, scalar_fills, scalar_carry, scalar_reasons, scalar_orders, scalar_stops, scalar_entries, scalar_idle,
    scalar_loop,
)  # fmt: skip
"""The modules that are compiled."""

CONSTANTS = (form, pricing)
"""Modules of which the loop uses constants."""


@cache
def compiled_machine() -> Machine:
    """Return the compiled loop; the first account of each kind takes some seconds, unless another process did it.

    Raises:
        ConfigError: ``numba`` is not installed.
    """
    try:
        import numba
    except ImportError:
        raise ConfigError("compiled=True needs numba: pip install 'tradewright[numba]', or leave it out") from None
    kinds = [numba.int64] * 4 + [numba.float64] * 5
    record = numba.types.Tuple(kinds)

    def new_records() -> Any:
        return numba.typed.List.empty_list(record)

    functions = _compile_functions(numba)
    unpack = numba.njit(_unpack)

    def read_records(records: Any) -> list[Record]:
        whole_R4, parts_R5 = unpack(records)
        rows = zip(whole_R4.tolist(), parts_R5.tolist(), strict=True)
        return [(*whole, *parts) for whole, parts in rows]

    return Machine(functions["run_bars"], _fresh, _as_records, new_records, read_records)


def cache_folder() -> Path:
    """Return where compiled code is kept: below ``$NUMBA_CACHE_DIR``, else the user's cache folder."""
    import numba

    digest = hashlib.sha256(f"numba {numba.__version__} numpy {np.__version__}".encode())
    for module in (*CONSTANTS, *LOOP):
        digest.update(Path(str(module.__file__)).read_bytes())
    user = os.environ.get("NUMBA_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "tradewright"
    return Path(user).expanduser() / f"market-{digest.hexdigest()[:16]}"


def _compile_functions(numba: ModuleType) -> dict[str, Callable[..., Any]]:
    """Return every function of the loop compiled, by name."""
    scopes = [dict(vars(module)) for module in LOOP]
    compiled: dict[FunctionType, Callable[..., Any]] = {}
    before, numba.config.CACHE_DIR = numba.config.CACHE_DIR, str(cache_folder())
    try:
        for module, scope in zip(LOOP, scopes, strict=True):
            for name, function in vars(module).items():
                if _is_own(function, module):
                    twin = FunctionType(function.__code__, scope, name)
                    twin.__module__ = module.__name__
                    compiled[function] = numba.njit(cache=True)(twin)
    finally:
        numba.config.CACHE_DIR = before
    for scope in scopes:
        scope.update({name: compiled[value] for name, value in scope.items() if _is_in(value, compiled)})
    return {function.__name__: machine for function, machine in compiled.items()}


def _is_own(value: Any, module: ModuleType) -> bool:
    return isinstance(value, FunctionType) and value.__module__ == module.__name__


def _is_in(value: Any, compiled: dict[FunctionType, Callable[..., Any]]) -> bool:
    return isinstance(value, FunctionType) and value in compiled


def _fresh(array: npt.NDArray[Any]) -> Any:
    return np.array(array, order="C")


def _as_records(book: Book) -> Any:
    """Return a book as a structured array with a field for each of a position's."""
    names = [(field.name, np.bool_ if isinstance(field.default, bool) else np.float64) for field in fields(Position)]
    return np.array([astuple(position) for position in book], np.dtype(names, align=True))


def _unpack(records: Any) -> Any:
    """Return the whole numbers and the fractions of fills as arrays; compiled, since a typed list is slow to read."""
    whole_R4 = np.zeros((len(records), 4), np.int64)
    parts_R5 = np.zeros((len(records), 5))
    for i in range(len(records)):
        bar, phase, n, reason, quantity, after, price, fee, slippage = records[i]
        whole_R4[i, 0], whole_R4[i, 1], whole_R4[i, 2], whole_R4[i, 3] = bar, phase, n, reason
        parts_R5[i, 0], parts_R5[i, 1], parts_R5[i, 2] = quantity, after, price
        parts_R5[i, 3], parts_R5[i, 4] = fee, slippage
    return whole_R4, parts_R5
