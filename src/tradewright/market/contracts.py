"""Futures contracts: the facts that turn index points into money.

Source: contract specifications of the CME (E-mini and Micro E-mini equity index futures), settled in US dollars.
"""

from dataclasses import dataclass

from tradewright.errors import suggest
from tradewright.market.instrument import Instrument


@dataclass(frozen=True, kw_only=True)
class Contract:
    """One kind of futures contract.

    Args:
        name: Root symbol, as exchanges write it.
        multiplier: Money per point of the price.
        tick: Smallest step of the price, points.
        currency: ISO code.
        calendar: Key of ``instrument.CALENDAR_PERIODS``.
    """

    name: str
    multiplier: float
    tick: float
    currency: str = "USD"
    calendar: str = "futures"

    @property
    def tick_value(self) -> float:
        """Money that one tick moves one contract."""
        return self.multiplier * self.tick

    def instrument(self, symbol: str) -> Instrument:
        """Return ``symbol`` as an instrument of this kind, traded in whole contracts."""
        return Instrument(
            symbol=symbol,
            kind="future",
            multiplier=self.multiplier,
            tick=self.tick,
            lot=1.0,
            currency=self.currency,
            calendar=self.calendar,
        )


CONTRACTS = {
    contract.name: contract
    for contract in (
        Contract(name="ES", multiplier=50.0, tick=0.25),  # E-mini S&P 500
        Contract(name="MES", multiplier=5.0, tick=0.25),  # Micro E-mini S&P 500
        Contract(name="NQ", multiplier=20.0, tick=0.25),  # E-mini Nasdaq-100
        Contract(name="MNQ", multiplier=2.0, tick=0.25),  # Micro E-mini Nasdaq-100
    )
}


def find_contract(name: str) -> Contract:
    """Return a contract by its root symbol.

    Raises:
        ValueError: The name is unknown; lists the near ones.
    """
    if name not in CONTRACTS:
        raise ValueError(f"contract {name!r} is unknown{suggest(name, CONTRACTS)}")
    return CONTRACTS[name]
