"""Refuse events and decisions that no account can trade, by symbol and bar or row; prices are checked in ``market``.

Legend: T bars of the range, N instruments.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from tradewright.backtest.execution import DISTANCES
from tradewright.data.panel import BARS, EVENTS, Panel
from tradewright.errors import MarketError
from tradewright.market.positions import Positions

Float = npt.NDArray[np.float64]
Rule = tuple[Callable[[Float], npt.NDArray[np.bool_]], str]

EVENT_RULES: dict[str, Rule] = {
    "split_TN": (lambda x: np.isfinite(x) & (x > 0), "new shares per old one, > 0"),
    "dividend_TN": (lambda x: np.isfinite(x) & (x >= 0), "money per share, >= 0"),
    "borrow_TN": (lambda x: np.isnan(x) | (np.isfinite(x) & (x >= 0)), "an annual rate >= 0, or NaN: the rules' one"),
    "funding_TN": (lambda x: np.abs(x) < 1, "a fraction in (-1, 1)"),
    "roll_from_TN": (lambda x: np.isnan(x) | (np.isfinite(x) & (x > 0)), "a price > 0, or NaN for no roll"),
    "roll_to_TN": (lambda x: np.isnan(x) | (np.isfinite(x) & (x > 0)), "a price > 0, or NaN for no roll"),
}
POSITION_RULES: dict[str, Rule] = {
    "limit_TN": (lambda x: np.isnan(x) | (np.isfinite(x) & (x > 0)), "a price > 0, or NaN"),
    "stop_TN": (lambda x: np.isnan(x) | (np.isfinite(x) & (x > 0)), "a price > 0, or NaN"),
    "confidence_TN": (lambda x: np.isnan(x) | ((x >= 0) & (x <= 1)), "in [0, 1], or NaN"),
}


def check_events(panel: Panel, rows: slice) -> None:
    """Refuse arrays of another shape, impossible events of the bars in ``rows``, and clocks that do not rise.

    Raises:
        MarketError: Names the array, the symbol and the bar.
    """
    ts_T = panel.ts_T[rows]
    if not (np.diff(ts_T) > np.timedelta64(0, "s")).all():
        t = int(np.argmin(np.diff(ts_T) > np.timedelta64(0, "s")))
        raise MarketError(f"'{panel.dataset}': the bar at {ts_T[t + 1]} comes after {ts_T[t]}; bars must rise in time")
    shape = (len(panel.ts_T), len(panel.instruments))
    for name in (*BARS, *EVENTS):
        values_TN = getattr(panel, name)
        if values_TN is None:
            continue
        if values_TN.shape != shape:
            raise MarketError(f"{name} must have the shape {shape} (bars x instruments), was {values_TN.shape}")
        if name not in EVENT_RULES:
            continue
        is_fine, expected = EVENT_RULES[name]
        where = np.argwhere(~is_fine(values_TN[rows]))
        if len(where):
            t, n = where[0]
            value = values_TN[rows][t, n]
            raise MarketError(f"{panel.symbols[n]}: {name} of the bar at {ts_T[t]} is {value}, expected {expected}")
    _check_rolls(panel, rows)


def _check_rolls(panel: Panel, rows: slice) -> None:
    if panel.roll_from_TN is None and panel.roll_to_TN is None:
        return
    if panel.roll_from_TN is None or panel.roll_to_TN is None:
        raise MarketError("roll_from_TN and roll_to_TN belong together, one was None")
    where = np.argwhere(np.isnan(panel.roll_from_TN[rows]) != np.isnan(panel.roll_to_TN[rows]))
    if len(where):
        t, n = where[0]
        raise MarketError(f"{panel.symbols[n]}: the roll at {panel.ts_T[rows][t]} has one price, expected two or none")


def check_positions(positions: Positions, symbols: tuple[str, ...]) -> None:
    """Refuse entry prices and confidences of another shape, and impossible ones.

    Raises:
        MarketError: Names the column, the symbol and the row.
    """
    shape = positions.weights_TN.shape
    for name in DISTANCES:
        values_TN = getattr(positions, f"{name}_TN")
        if values_TN is not None and values_TN.shape != shape:
            raise MarketError(f"{name} must have the shape of the weights {shape}, was {values_TN.shape}")
    for name, (is_fine, expected) in POSITION_RULES.items():
        values_TN = getattr(positions, name)
        if values_TN is None:
            continue
        if values_TN.shape != shape:
            raise MarketError(f"{name} must have the shape of the weights {shape}, was {values_TN.shape}")
        where = np.argwhere(~is_fine(values_TN))
        if len(where):
            t, n = where[0]
            raise MarketError(f"{symbols[n]}: {name} of row {t} is {values_TN[t, n]}, expected {expected}")
