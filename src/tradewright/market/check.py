"""Refuse numbers that no account can trade, before any accounting: the step itself checks nothing in its hot path.

Legend: T bars, N instruments, B accounts.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.errors import MarketError
from tradewright.market.instrument import Instrument
from tradewright.market.ledger import Decided, Float, Quotes
from tradewright.market.rules import AccountRules
from tradewright.market.scalar_book import Record

MAX_WEIGHT = 1e6
"""Weights beyond a million times the equity are a defect of the strategy, not a decision."""


def check_weights(weights: Any, symbols: Sequence[str], shape: tuple[int, ...], *, xp: Any = np) -> None:
    """Refuse weights of another shape and those no account can hold; NaN is fine, it means no order.

    Args:
        weights: ``[T, N]`` or ``[B, T, N]``, an array of ``xp``.
        symbols: N symbols.
        shape: What the shape must be.
        xp: The module ``numpy`` or ``torch``.

    Raises:
        MarketError: Names the symbol and the row.
    """
    if tuple(weights.shape) != shape:
        raise MarketError(f"weights must have shape {shape} (bars of the range x instruments), was {weights.shape}")
    if weights.dtype != xp.float64:
        raise MarketError(f"weights must be float64, was {weights.dtype}; money is never kept in less")
    where = xp.argwhere(abs(weights) > MAX_WEIGHT)
    if len(where):
        at = tuple(int(index) for index in where[0])
        raise MarketError(
            f"{symbols[at[-1]]}: weight of row {at[-2]} is {float(weights[at])},"
            f" expected NaN or a fraction of equity of at most {MAX_WEIGHT:g}"
        )


def check_given(quotes: Quotes, decided: Decided, rules: AccountRules, tick: Sequence[float]) -> None:
    """Refuse columns without their counterpart and costs without the column they need: nothing given is ignored.

    Raises:
        MarketError: Names the column or the key.
    """
    for names in (ROLL, FINER):
        missing = [name for name in names if getattr(quotes, name) is None]
        if 0 < len(missing) < len(names):
            raise MarketError(f"{missing[0]} is missing: {', '.join(names)} belong together")
    if rules.costs.impact > 0 and quotes.impact is None:
        raise MarketError("costs.impact needs the volatility and volume of the bars (Quotes.impact), none were given")
    if rules.costs.slippage_ticks > 0 and not min(tick) > 0:
        n = next(n for n, step in enumerate(tick) if not step > 0)
        raise MarketError(
            f"costs.slippage_ticks needs a tick of every instrument, number {n} has none; use slippage_bps"
        )


def no_price(record: Record) -> MarketError:
    """Return the error of a fill at a price of zero or less: ticks or impact were larger than the price."""
    bar, _, n, _, quantity, _, price, _, _ = record
    return MarketError(
        f"instrument number {n}: an order of {quantity:g} shares in bar {bar} would fill at {price:g};"
        " lower costs.slippage_ticks or costs.impact, or cap the size of orders (a pool has no more than it holds)"
    )


def check_distances(decided: Decided, symbols: Sequence[str]) -> None:
    """Refuse distances and entry prices that are not positive; NaN is fine, it means the default or the open.

    Raises:
        MarketError: Names the column, the symbol and the row.
    """
    for name, values in zip(Decided._fields[1:], decided[1:], strict=True):
        if values is None:
            continue
        _check_shape(name, values, decided.weights.shape)
        where = np.argwhere(~(np.isnan(values) | ((values > 0) & np.isfinite(values))))
        if len(where):
            t, n = where[0]
            what = "a price" if name in ("limit", "stop") else "a fraction"
            raise MarketError(f"{symbols[n]}: {name} of row {t} is {values[t, n]}, expected {what} > 0 or NaN")
    if decided.limit is not None and decided.stop is not None:
        where = np.argwhere(~np.isnan(decided.limit) & ~np.isnan(decided.stop))
        if len(where):
            t, n = where[0]
            raise MarketError(f"{symbols[n]}: the order of row {t} has a limit and a stop price, expected at most one")


def check_quotes(quotes: Quotes, symbols: Sequence[str], ts_T: npt.NDArray[np.datetime64]) -> None:
    """Refuse prices of existing bars that are not positive numbers, and impossible events, rates and finer bars.

    Of bar 0 only the prices matter, since nothing happens in it.

    Raises:
        MarketError: Names the symbol, the bar and the value.
    """
    for name in ("open", "high", "low", "close"):
        prices = getattr(quotes, name)
        where = np.argwhere(quotes.tradable & ~((prices > 0) & np.isfinite(prices)))
        if len(where):
            t, n = where[0]
            raise MarketError(
                f"{symbols[n]}: {name} of the bar at {ts_T[t]} is {prices[t, n]}, expected a price > 0; "
                "a bar that does not exist must not be tradable"
            )
    if not (quotes.years[1:] >= 0).all():
        t = 1 + int(np.argmin(quotes.years[1:] >= 0))
        raise MarketError(f"years of the bar at {ts_T[t]} is {quotes.years[t]}, expected the time since the last one")
    with np.errstate(invalid="ignore"):
        for name, (is_right, expected) in _OPTIONAL.items():
            values = getattr(quotes, name)
            if values is None:
                continue
            shape = quotes.close.shape
            if name in FINER:
                num_finer = values.shape[1] if values.ndim == 3 else 0
                shape = (shape[0], num_finer, shape[1])
            _check_shape(name, values, shape)
            where = np.argwhere(~is_right(values[1:]))
            if len(where):
                t, n = where[0][0] + 1, where[0][-1]
                value = values[1:][tuple(where[0])]
                raise MarketError(f"{symbols[n]}: {name} of the bar at {ts_T[t]} is {value}, expected {expected}")
    for names in (ROLL, FINER):
        _check_together(quotes, names, symbols, ts_T)


def _check_shape(name: str, values: Float, shape: tuple[int, ...]) -> None:
    if values.shape != shape or values.dtype != np.float64:
        raise MarketError(f"{name} must be float64 of shape {shape}, was {values.dtype} of shape {values.shape}")


def _check_together(
    quotes: Quotes, names: tuple[str, ...], symbols: Sequence[str], ts_T: npt.NDArray[np.datetime64]
) -> None:
    """Refuse columns that belong together where only some of them have a value."""
    columns = [getattr(quotes, name) for name in names]
    if any(column is None for column in columns):
        return  # ``check_given`` names the missing one
    for name, column in zip(names[1:], columns[1:], strict=True):
        if column.shape != columns[0].shape:
            raise MarketError(f"{name} must have the shape of {names[0]} {columns[0].shape}, was {column.shape}")
        where = np.argwhere(np.isnan(column[1:]) != np.isnan(columns[0][1:]))
        if len(where):
            t, n = where[0][0] + 1, where[0][-1]
            raise MarketError(f"{symbols[n]}: {names[0]} and {name} of the bar at {ts_T[t]} must both be NaN or prices")


def _is_price_or_nan(values: Float) -> npt.NDArray[np.bool_]:
    return np.isnan(values) | ((values > 0) & np.isfinite(values))


def _is_cost(values: Float) -> npt.NDArray[np.bool_]:
    return (values >= 0) & np.isfinite(values)


ROLL = ("roll_from", "roll_to")
FINER = ("finer_open", "finer_high", "finer_low")

_OPTIONAL: dict[str, tuple[Callable[[Float], npt.NDArray[np.bool_]], str]] = {
    "split": (lambda values: (values > 0) & np.isfinite(values), "new shares per old share > 0, 1 for none"),
    "dividend": (_is_cost, "money per share >= 0"),
    "borrow": (_is_cost, "an annual rate >= 0"),
    "funding": (np.isfinite, "a fraction, 0 for none"),
    "impact": (_is_cost, "a fraction >= 0, also where there is no bar"),
    "pool": (_is_cost, "an inverse liquidity >= 0, also where there is no bar"),
    "capacity": (lambda values: values >= 0, "shares >= 0, inf for no cap"),
    **dict.fromkeys((*ROLL, *FINER), (_is_price_or_nan, "a price > 0, or NaN for none")),
}
"""What the optional columns of ``Quotes`` may hold."""


def check_currency(instruments: Sequence[Instrument]) -> None:
    """Refuse instruments of several currencies: one account has one, and no exchange rates are given.

    Raises:
        MarketError: Names a symbol of each of two currencies.
    """
    first = instruments[0]
    for other in instruments[1:]:
        if other.currency != first.currency:
            raise MarketError(
                f"{other.symbol} settles in {other.currency} but {first.symbol} in {first.currency}; "
                "backtest instruments of one currency at a time"
            )
