"""An account book kept fill by fill in plain Python: the oracle of what a reward is told about a bar.

It starts from the fills that the scalar journal records and knows average-cost booking and nothing of the bar step.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from tradewright.market.rules import Reason
from tradewright.market.scalar_book import Record


@dataclass
class Position:
    """One instrument's open position: quantity, average entry price, money that its trade has brought so far."""

    quantity: float = 0.0
    entry: float = 0.0
    flow: float = 0.0


@dataclass
class Day:
    """What the book says of one bar."""

    realised: float = 0.0
    fees: float = 0.0
    slippage: float = 0.0
    traded: float = 0.0
    trades: list[float] = field(default_factory=list)


class Book:
    """Positions in instruments with the given money per price unit."""

    def __init__(self, multipliers: Sequence[float]) -> None:
        self.multipliers = list(multipliers)
        self.positions = [Position() for _ in multipliers]

    def split(self, n: int, ratio: float) -> None:
        self.positions[n].quantity *= ratio
        self.positions[n].entry /= ratio

    def carry(self, n: int, paid: float) -> None:
        self.positions[n].flow -= paid

    def roll_entry(self, n: int, shift: float) -> None:
        if self.positions[n].quantity:
            self.positions[n].entry += shift

    def day(self, records: Sequence[Record]) -> Day:
        day = Day()
        for _, _, n, reason, quantity, after, price, fee, slippage in records:
            if quantity == 0:
                continue
            day.fees += fee
            day.slippage += slippage
            day.traded += abs(quantity) * price * self.multipliers[n]
            if reason == Reason.ROLL:
                day.realised -= slippage
                self.positions[n].flow -= quantity * price * self.multipliers[n] + fee
            else:
                self._trade(n, quantity, price, fee, after, day)
        return day

    def _trade(self, n: int, quantity: float, price: float, fee: float, after: float, day: Day) -> None:
        position, money = self.positions[n], self.multipliers[n]
        held = position.quantity
        if held == 0 or held * quantity > 0:
            position.entry = (position.entry * held + price * quantity) / (held + quantity)
            position.flow -= quantity * price * money + fee
            position.quantity = after
            return
        closed = min(abs(quantity), abs(held))
        direction = 1.0 if held > 0 else -1.0
        day.realised += direction * closed * (price - position.entry) * money
        share = closed / abs(quantity)
        position.flow += direction * closed * price * money - fee * share
        position.quantity = after
        if after == 0 or after * held < 0:
            day.trades.append(position.flow)
            position.flow = -after * price * money - fee * (1.0 - share)
            position.entry = price if after else 0.0

    def unrealised(self, marks: Sequence[float]) -> float:
        return sum(
            position.quantity * (mark - position.entry) * money
            for position, mark, money in zip(self.positions, marks, self.multipliers, strict=True)
        )
