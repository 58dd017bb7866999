"""``ExecutionRules``: the account's rules and how decisions reach the market, shared by backtests and environments.

The accounting (``market/``) knows fractions, prices and quantities of one bar. What needs the bars before it (the range
that a stop is measured in, the volume that an order may take) is worked out from the panel in ``quotes.py``.
"""

from dataclasses import dataclass, fields
from functools import cached_property
from typing import Literal

from tradewright.data.timeframe import parse_timeframe
from tradewright.market.rules import AccountRules

DISTANCES = ("stop_loss", "take_profit", "trailing")


@dataclass(frozen=True, kw_only=True)
class ExecutionRules(AccountRules):
    """Account rules, and the way from a decision to its fill.

    Args:
        stop_unit: Unit of the default distances ``stop_loss``, ``take_profit`` and ``trailing``: ``fraction`` of the
            entry price, or ``atr``, multiples of the average true range at the decision (none before it is known).
        atr_bars: Bars of Wilder's average true range, >= 1.
        delay_bars: Bars by which every decision is executed later than at the next open, >= 0.
        max_participation: Largest fraction of the average volume per bar that one order may take, > 0; None: any.
        pool_slippage: Orders move the price of the pool that is traded, by its liquidity at the decision: exactly what
            a swap of that size does within one tick range.
        impact_bars: Bars of the averages of volume and volatility behind participation and market impact, >= 1.
        finer_timeframe: Length of the stored bars that tell whether a stop or a target was reached first inside a bar;
            None: the stop is assumed.

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    stop_unit: Literal["fraction", "atr"] = "fraction"
    atr_bars: int = 14
    delay_bars: int = 0
    max_participation: float | None = None
    pool_slippage: bool = False
    impact_bars: int = 20
    finer_timeframe: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.stop_unit not in ("fraction", "atr"):
            raise ValueError(f"stop_unit must be 'fraction' or 'atr', was {self.stop_unit!r}")
        for name, least in (("atr_bars", 1), ("delay_bars", 0), ("impact_bars", 1)):
            if not getattr(self, name) >= least:
                raise ValueError(f"{name} must be >= {least}, was {getattr(self, name)}")
        if self.max_participation is not None and not self.max_participation > 0:
            raise ValueError(f"max_participation must be > 0 or null, was {self.max_participation}")
        if self.finer_timeframe is not None:
            try:
                parse_timeframe(self.finer_timeframe)
            except ValueError as error:
                raise ValueError(f"finer_{error}") from None

    @classmethod
    def of(cls, rules: AccountRules) -> "ExecutionRules":
        """Return account rules with the plain way to the market: decided at a close, filled at the next open."""
        if isinstance(rules, ExecutionRules):
            return rules
        return cls(**{field.name: getattr(rules, field.name) for field in fields(rules)})

    @cached_property
    def account(self) -> AccountRules:
        """The rules as the accounting takes them: distances in true ranges come with the decisions instead."""
        values = {field.name: getattr(self, field.name) for field in fields(AccountRules)}
        if self.stop_unit == "atr":
            values.update(dict.fromkeys(DISTANCES))
        return AccountRules(**values)

    @property
    def atr_multiples(self) -> dict[str, float]:
        """Default distances in average true ranges by name; empty where they are fractions or none is set."""
        if self.stop_unit == "fraction":
            return {}
        given = ((name, getattr(self, name)) for name in DISTANCES)
        return {name: value for name, value in given if value is not None}
