"""``State``: what was known at one decision, and the decision itself; all that an explanation may speak of.

The action is the change of the target weight, by one rule everywhere: a rise by at least ``MIN_CHANGE`` of equity is
BUY, a fall SELL, anything else HOLD; opening a short is SELL, covering it BUY.
Legend: T bars, N instruments.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.data.timeframe import DAY_S
from tradewright.errors import DataError
from tradewright.explain.indicators import indicators_of
from tradewright.market.positions import Positions

Action = Literal["BUY", "SELL", "HOLD"]
ACTIONS: tuple[Action, ...] = ("BUY", "SELL", "HOLD")
MIN_CHANGE = 0.01
"""Fraction of equity; what an agent with continuous actions moves from bar to bar without meaning it is below."""


@dataclass(frozen=True, kw_only=True)
class State:
    """One decision and what was known at it.

    Args:
        id: Unique and stable: symbol and open of the bar, e.g. ``NASDAQ-20160104``.
        symbol: The instrument.
        ts: Open of the bar, naive UTC; of daily bars the session date.
        known_at: Close of the bar, when the decision was made.
        timeframe_s: Bar length in seconds.
        close: Price.
        indicators: Value by name, units as in ``explain.indicators``; what is not defined yet is absent.
        position: Target fraction of equity before the decision, signed.
        target: After it.
        action: What the change of target means.
        confidence: In [0, 1], or None where the strategy gives none.
    """

    id: str
    symbol: str
    ts: np.datetime64
    known_at: np.datetime64
    timeframe_s: int
    close: float
    indicators: Mapping[str, float]
    position: float
    target: float
    action: Action
    confidence: float | None = None

    def value(self, name: str) -> float | None:
        """Return an indicator, the close, or position, target (percent of equity) and confidence (percent)."""
        if name == "close":
            return self.close
        if name in ("position", "target"):
            return 100.0 * float(getattr(self, name))
        if name == "confidence":
            return None if self.confidence is None else 100.0 * self.confidence
        return self.indicators.get(name)

    @property
    def day(self) -> str:
        """Date of the bar, ISO."""
        return str(self.ts.astype("datetime64[D]"))


def action_of(before: float, after: float) -> Action:
    """Return what moving the target from ``before`` to ``after`` (fractions of equity) is called."""
    change = after - before
    if abs(change) < MIN_CHANGE - 1e-12:
        return "HOLD"
    return "BUY" if change > 0 else "SELL"


def state_id(symbol: str, ts: np.datetime64, timeframe_s: int) -> str:
    """Return ``SYMBOL-yyyymmdd``, with the time of day where bars are shorter than a day."""
    text = str(ts.astype("datetime64[s]")).replace("-", "").replace(":", "")
    day, _, clock = text.partition("T")
    return f"{symbol}-{day}" if timeframe_s % DAY_S == 0 else f"{symbol}-{day}T{clock}"


def states_of(panel: Panel, positions: Positions, rows: Range) -> tuple[State, ...]:
    """Return the states of all decisions on ``rows``, in time order; where an instrument has no bar there is none.

    The account starts flat; no order keeps the target.

    Args:
        panel: All bars; those before ``rows`` are the indicators' warm-up, later ones are not read.
        positions: Decisions, first axis ``len(rows)``.
        rows: The bars that were decided on.

    Raises:
        DataError: The decisions do not fit the bars.
    """
    shape = (len(rows), len(panel.symbols))
    if positions.weights_TN.shape != shape:
        raise DataError(f"decisions must have shape {shape} for these bars, had {positions.weights_TN.shape}")
    known = panel.slice(0, rows.stop)
    table = indicators_of(known)
    target_TN = _carried(positions.weights_TN)
    before_TN = np.vstack([np.zeros((1, shape[1])), target_TN[:-1]])
    return tuple(
        _state(known, table, positions, n, rows.start + i, i, float(before_TN[i, n]), float(target_TN[i, n]))
        for i in range(len(rows))
        for n in range(shape[1])
        if known.tradable_TN[rows.start + i, n]
    )


def _carried(weights_TN: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return the targets in force: the last order, 0 before the first."""
    with_start = np.vstack([np.zeros((1, weights_TN.shape[1])), weights_TN])
    row_TN = np.where(np.isnan(with_start), 0, np.arange(len(with_start))[:, None])
    return np.take_along_axis(with_start, np.maximum.accumulate(row_TN, axis=0), axis=0)[1:]


def _state(
    panel: Panel,
    table: Mapping[str, npt.NDArray[np.float64]],
    positions: Positions,
    n: int,
    t: int,
    i: int,
    before: float,
    target: float,
) -> State:
    values = {name: float(x_TN[t, n]) for name, x_TN in table.items()}
    confidence = None if positions.confidence_TN is None else float(positions.confidence_TN[i, n])
    return State(
        id=state_id(panel.symbols[n], panel.ts_T[t], panel.timeframe_s),
        symbol=panel.symbols[n],
        ts=panel.ts_T[t],
        known_at=panel.known_at_T[t],
        timeframe_s=panel.timeframe_s,
        close=float(panel.close_TN[t, n]),
        indicators={name: value for name, value in values.items() if not math.isnan(value)},
        position=before,
        target=target,
        action=action_of(before, target),
        confidence=None if confidence is None or math.isnan(confidence) else confidence,
    )


def to_json(state: State) -> dict[str, Any]:
    """Return a state as JSON values; floats keep every bit."""
    return {
        "id": state.id,
        "symbol": state.symbol,
        "ts": str(state.ts.astype("datetime64[us]")),
        "known_at": str(state.known_at.astype("datetime64[us]")),
        "timeframe_s": state.timeframe_s,
        "close": state.close,
        "position": state.position,
        "target": state.target,
        "action": state.action,
        "confidence": state.confidence,
        "indicators": dict(state.indicators),
    }


def from_json(row: Any, place: str) -> State:
    """Return the state that ``to_json`` wrote.

    Args:
        row: What a line of the file held.
        place: File and row, which errors start with.

    Raises:
        DataError: A key is missing or has another type, or the action is not what the targets say.
    """
    names: Sequence[str] = ("id", "symbol", "ts", "known_at", "timeframe_s", "close", "position", "target", "action")
    if not isinstance(row, Mapping):
        raise DataError(f"{place}: expected an object of a decision, was {type(row).__name__}")
    missing = [name for name in (*names, "indicators") if name not in row]
    if missing:
        raise DataError(f"{place}: no {missing[0]!r}; expected {', '.join(names)}, indicators")
    try:
        state = State(
            id=str(row["id"]),
            symbol=str(row["symbol"]),
            ts=np.datetime64(row["ts"], "us"),
            known_at=np.datetime64(row["known_at"], "us"),
            timeframe_s=int(row["timeframe_s"]),
            close=float(row["close"]),
            indicators={str(name): float(value) for name, value in row["indicators"].items()},
            position=float(row["position"]),
            target=float(row["target"]),
            action=row["action"],
            confidence=None if row.get("confidence") is None else float(row["confidence"]),
        )
    except (TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{place}: {' '.join(str(error).split())}; expected what task=generate_data wrote") from None
    expected = action_of(state.position, state.target)
    if state.action != expected:
        raise DataError(f"{place}: action {state.action!r} disagrees with its targets, which mean {expected}")
    return state
