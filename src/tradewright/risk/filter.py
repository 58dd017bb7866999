"""``RiskFilter``: which decisions on a pool become orders, how large, and why the others do not.

In this order: confidence, market hours, volatility, liquidity impact, position size, slippage. Everything is known at
the close at which the decision is made. Sizes are per entry: buys add to the target position and sells take from it,
between zero (minus the limit where shorts are allowed) and ``max_position_size``.
Legend: T bars, R decided bars.
"""

import math
import re
from dataclasses import dataclass
from datetime import time
from typing import NamedTuple
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

from tradewright.config.inert import Unused
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.features.swap_windows import core_features, sampled, swaps_of
from tradewright.market.positions import Positions
from tradewright.risk.decisions import Blocked, Decisions

Float = npt.NDArray[np.float64]
DUST = 1e-12
"""Part of the equity below which nothing is left of a position or of the room for one."""


class _Bars(NamedTuple):
    """What the filters read, one value per decided bar."""

    volatility_R: Float
    impact_R: Float
    reserve_R: Float
    price_R: Float
    is_open_R: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class RiskFilter:
    """Limits; None: no such limit.

    Args:
        max_position_size: Largest fraction of equity held, in (0, 1].
        min_volatility, max_volatility: Of the price changes between swaps, fractions.
        max_liquidity_impact: Most that the last swap took of the pool's reserve, a fraction.
        hours: Times of day ``HH:MM-HH:MM`` between which is traded, the last one excluded; over midnight if the first
            is later.
        timezone: Zone of ``hours``.
        max_slippage_bps: Most that an order may lose to its own price impact, basis points.
        confidence_threshold: Least confidence, in [0, 1].
        window: Swaps of the volatility, >= 2.
        capital: Equity for which slippage is simulated, > 0, in quote tokens.
        allow_short: Whether sells may go below zero.

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    max_position_size: float = 0.1
    min_volatility: float | None = None
    max_volatility: float | None = None
    max_liquidity_impact: float | None = None
    hours: str | None = None
    timezone: str = "UTC"
    max_slippage_bps: float | None = 50.0
    confidence_threshold: float | None = 0.6
    window: int = 50
    capital: float = 100_000.0
    allow_short: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.max_position_size <= 1:
            raise ValueError(f"max_position_size must be in (0, 1], was {self.max_position_size}")
        for name in ("min_volatility", "max_volatility", "max_liquidity_impact", "max_slippage_bps"):
            value = getattr(self, name)
            if value is not None and not value >= 0:
                raise ValueError(f"{name} must be >= 0 or null, was {value}")
        if self.max_volatility is not None and not (self.min_volatility or 0.0) <= self.max_volatility:
            raise ValueError(f"max_volatility must be >= min_volatility, was {self.max_volatility}")
        if self.confidence_threshold is not None and not 0 <= self.confidence_threshold <= 1:
            raise ValueError(f"confidence_threshold must be in [0, 1] or null, was {self.confidence_threshold}")
        if self.window < 2:
            raise ValueError(f"window must be >= 2, was {self.window}")
        if not self.capital > 0:
            raise ValueError(f"capital must be > 0, was {self.capital}")
        if self.hours is not None:
            parse_hours(self.hours)
        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError):
            raise ValueError(f"timezone must be a zone such as America/New_York, was {self.timezone!r}") from None

    def apply(self, decisions: Decisions, panel: Panel, rows: Range) -> tuple[Positions, tuple[Blocked, ...]]:
        """Return the orders of one account that starts flat, and what was blocked or cut.

        Orders that enter or add to a position on their side carry their confidence. Others have none to be judged by:
        a report holds a confidence against the side that is held, and neither a hold nor a sale of a part says that
        this side is right.

        Args:
            decisions: One per bar of ``rows``.
            panel: Bars with the swaps of one pool.
            rows: The decided bars.

        Raises:
            DataError: The panel has no swaps, or the number of decisions differs from that of the bars.
        """
        if len(decisions.side_R) != len(rows):
            raise DataError(f"decisions: {len(decisions.side_R)} for {len(rows)} bars, expected one per bar")
        bars = self._bars(panel, rows)
        weight_R, confidence_R = np.full((2, len(rows)), np.nan)
        blocked: list[Blocked] = []
        held = 0.0
        for r in np.flatnonzero(np.abs(np.nan_to_num(decisions.side_R)) == 1).tolist():
            side, size = float(decisions.side_R[r]), float(decisions.size_R[r])
            found = self._refused(bars, r, float(decisions.confidence_R[r]))
            allowed = 0.0
            if found is None:
                allowed, found = self._sized(bars, r, side, size, held)
            if found is not None:
                reason, value, limit = found
                blocked.append(
                    Blocked(
                        bar=rows.start + r,
                        ts=panel.ts_T[rows.start + r],
                        action="BUY" if side > 0 else "SELL",
                        size=size,
                        allowed=allowed,
                        reason=reason,
                        value=value,
                        limit=limit,
                    )
                )
            if allowed > 0:
                held += side * allowed
                held = 0.0 if abs(held) < DUST else held
                weight_R[r] = held
                if side * held > 0:
                    confidence_R[r] = decisions.confidence_R[r]
        positions = Positions(
            weights_TN=weight_R[:, None],
            confidence_TN=None if np.isnan(decisions.confidence_R).all() else confidence_R[:, None],
        )
        return positions, tuple(blocked)

    def _bars(self, panel: Panel, rows: Range) -> _Bars:
        tape = swaps_of(panel)
        core = core_features(tape, self.window)
        read = {name: core[name] for name in ("volatility", "liquidity_impact", "price")}
        table = sampled(panel, {**read, "reserve": tape.reserve_K})
        cut = slice(rows.start, rows.stop)
        is_open_R = np.ones(len(rows), dtype=bool)
        if self.hours is not None:
            is_open_R = is_within(panel.known_at_T[cut], self.hours, self.timezone)
        return _Bars(
            volatility_R=table["volatility"][cut, 0],
            impact_R=table["liquidity_impact"][cut, 0],
            reserve_R=table["reserve"][cut, 0],
            price_R=table["price"][cut, 0],
            is_open_R=is_open_R,
        )

    def _refused(self, bars: _Bars, r: int, confidence: float) -> tuple[str, float, float] | None:
        """Return reason, value and limit of the first filter that refuses a decision whatever its size."""
        volatility, impact = float(bars.volatility_R[r]), float(bars.impact_R[r])
        if self.confidence_threshold is not None and confidence < self.confidence_threshold:
            return "confidence", confidence, self.confidence_threshold
        if not bars.is_open_R[r]:
            return "hours", math.nan, math.nan
        if self.min_volatility is not None and not volatility >= self.min_volatility:  # unknown is no pass
            return "min_volatility", volatility, self.min_volatility
        if self.max_volatility is not None and not volatility <= self.max_volatility:
            return "max_volatility", volatility, self.max_volatility
        if self.max_liquidity_impact is not None and impact > self.max_liquidity_impact:
            return "liquidity_impact", impact, self.max_liquidity_impact
        return None

    def _sized(
        self, bars: _Bars, r: int, side: float, size: float, held: float
    ) -> tuple[float, tuple[str, float, float] | None]:
        """Return the allowed part of an entry, and why it is less than decided."""
        if side > 0:
            room, reason, limit = self.max_position_size - held, "position_limit", self.max_position_size
        elif self.allow_short:
            room, reason, limit = self.max_position_size + held, "position_limit", -self.max_position_size
        else:
            room, reason, limit = held, "nothing_held", 0.0
        allowed = min(size, room) if room > DUST else 0.0
        found = (reason, held + side * size, limit) if allowed < size - DUST else None
        if allowed > 0 and self.max_slippage_bps is not None:
            quantity = side * allowed * self.capital / float(bars.price_R[r])
            slippage_bps = simulated_slippage(quantity, float(bars.reserve_R[r])) * 1e4
            if slippage_bps > self.max_slippage_bps:
                return 0.0, ("slippage", slippage_bps, self.max_slippage_bps)
        if found is not None and reason == "nothing_held" and allowed > 0:
            found = None  # a sale of all that is left is what was meant
        return allowed, found


def require_filter(risk: RiskFilter) -> None:
    """Refuse that there is no filter: nothing would turn decisions into orders.

    Raises:
        ValueError: It is ``risk=none``.
    """
    if isinstance(risk, Unused):
        raise ValueError("risk must be a filter such as risk=swaps, or risk=open without limits, was none")


def simulated_slippage(quantity: float, reserve: float) -> float:
    """Return how far an order's average price lies from the pool's, a fraction of it; infinite where it holds too few.

    |1 / (1 - q / x) - 1| for q base tokens (> 0: bought) of the x that the pool holds: the law of ``market.pricing``.
    """
    left = 1.0 - quantity / reserve
    return abs(1.0 / left - 1.0) if left > 0 else math.inf


def parse_hours(hours: str) -> tuple[time, time]:
    """Return the two times of ``HH:MM-HH:MM``.

    Raises:
        ValueError: They are no times of day, or equal.
    """
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)", hours)
    first = time(int(match[1]), int(match[2])) if match else time(0)
    last = time(int(match[3]), int(match[4])) if match else time(0)
    if match is None or first == last:
        raise ValueError(f"hours must be two different times of day such as 08:00-22:00, was {hours!r}")
    return first, last


def is_within(known_at_R: npt.NDArray[np.datetime64], hours: str, timezone: str) -> npt.NDArray[np.bool_]:
    """Return whether instants (naive UTC) lie within hours of a zone."""
    first, last = parse_hours(hours)
    zone, utc = ZoneInfo(timezone), ZoneInfo("UTC")
    inside = []
    for instant in known_at_R.astype("datetime64[us]").tolist():
        local = instant.replace(tzinfo=utc).astimezone(zone).time()
        inside.append(first <= local < last if first < last else local >= first or local < last)
    return np.array(inside, dtype=bool)
