"""What is traded: the contract facts that turn a quantity and a price into money."""

from dataclasses import dataclass

CALENDAR_PERIODS = {"equity": 252.0, "crypto": 365.0, "forex": 260.0, "futures": 252.0}
"""Trading days per year by calendar; used to annualise daily returns."""


@dataclass(frozen=True, kw_only=True)
class Instrument:
    """One tradable instrument.

    Args:
        symbol: Name, unique within a data set.
        kind: ``equity``, ``index``, ``crypto``, ``forex``, ``future`` or ``synthetic``.
        multiplier: Money per price unit and contract (1 for shares, 50 for ES).
        tick: Smallest price step, in price units; 0 means continuous.
        lot: Smallest quantity step, in shares or contracts; 0 means fractional.
        currency: ISO code of the settlement currency.
        calendar: Key of ``CALENDAR_PERIODS``.
    """

    symbol: str
    kind: str = "equity"
    multiplier: float = 1.0
    tick: float = 0.0
    lot: float = 0.0
    currency: str = "USD"
    calendar: str = "equity"
