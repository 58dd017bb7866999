"""What the second accounting (``independent.py``) stands on: holdings, orders, the data of a bar, prices of fills.

Legend: t bar, n instrument.
"""

import math
from dataclasses import dataclass, field
from decimal import Decimal, localcontext
from typing import Any

NAN = math.nan
DUST = 1e-9
TICK_NOISE = 1e-6
LOT_NOISE = 1e-9


@dataclass
class Holding:
    """A position in one instrument and what belongs to it."""

    shares: float = 0.0
    mark: float = 0.0
    entry: float = 0.0
    best: float = 0.0
    stop_loss: float | None = None
    take_profit: float | None = None
    trailing: float | None = None
    blocked: int = 0
    entered_at: float | None = None
    was_increased: bool = False

    def close(self) -> None:
        self.shares = self.entry = self.best = 0.0


@dataclass
class Order:
    """An order of one bar, from decision to fill."""

    n: int
    weight: float
    wanted: float | None
    limit: float | None
    stop: float | None
    distances: list[float | None]
    price: float = 0.0
    target: float = 0.0
    is_market: bool = True
    executed: float = 0.0

    @property
    def waits(self) -> bool:
        return self.limit is not None or self.stop is not None


@dataclass
class Exchange:
    """One account's data, prices and cash; ``case`` is a ``market_cases.Case``."""

    case: Any
    cash: float = 0.0
    holdings: list[Holding] = field(default_factory=list)
    num_fills: int = 0

    def open_account(self) -> None:
        """Start flat at the first close."""
        quotes, rules, contract = self.case.quotes, self.case.rules, self.case.contract
        num = quotes.close.shape[1]
        self.multiplier = contract["multiplier"] or [1.0] * num
        self.lot = contract["lot"] or [0.0] * num
        self.tick = contract["tick"] or [0.0] * num
        self.cash = rules.initial_cash
        for n in range(num):
            first = float(quotes.close[0, n])
            distances = (rules.stop_loss, rules.take_profit, rules.trailing)
            self.holdings.append(Holding(0.0, 0.0 if math.isnan(first) else first, 0.0, 0.0, *distances))

    def at(self, name: str, t: int, n: int, default: float) -> float:
        column = getattr(self.case.quotes, name)
        return default if column is None else float(column[t, n])

    def decision(self, name: str, t: int, n: int) -> float | None:
        column = getattr(self.case.decided, name)
        return None if column is None or math.isnan(column[t, n]) else float(column[t, n])

    def has_bar(self, t: int, n: int) -> bool:
        return bool(self.case.quotes.tradable[t, n])

    def money(self, n: int, price: float) -> float:
        return price * self.multiplier[n]

    def value(self, prices: list[float]) -> float:
        return sum(h.shares * self.money(n, prices[n]) for n, h in enumerate(self.holdings))

    def fill_price(self, t: int, n: int, quantity: float, reference: float, is_market: bool) -> float:
        costs, tick = self.case.rules.costs, self.tick[n]
        price = reference
        if quantity == 0:
            return price
        if is_market:
            slip = costs.slippage_bps / 10_000 + self.at("impact", t, n, 0.0) * math.sqrt(abs(quantity))
            price = reference * (1 + slip) if quantity > 0 else reference * (1 - slip)
            price *= self.pool_factor(self.at("pool", t, n, 0.0), reference, quantity)
            price += costs.slippage_ticks * tick if quantity > 0 else -costs.slippage_ticks * tick
        if tick > 0:
            ticks = price / tick
            price = tick * (math.ceil(ticks - TICK_NOISE) if quantity > 0 else math.floor(ticks + TICK_NOISE))
        return price

    @staticmethod
    def pool_factor(inverse_liquidity: float, price: float, quantity: float) -> float:
        """What a pool with x y = L^2 asks per share, over its price: money in for shares out, by its two reserves."""
        if inverse_liquidity == 0:
            return 1.0
        with localcontext() as digits:
            digits.prec = 60  # money before and after differ by little
            liquidity, root = 1 / Decimal(inverse_liquidity), Decimal(price).sqrt()
            after = liquidity * liquidity / (liquidity / root - Decimal(quantity))
            return float((after - liquidity * root) / Decimal(quantity) / Decimal(price))

    def costs_of(self, t: int, n: int, quantity: float, reference: float, priced_as: float, is_market: bool) -> float:
        """Slippage and fees without the fixed one, at the price of an order of ``priced_as`` shares."""
        costs = self.case.rules.costs
        price = self.fill_price(t, n, priced_as, reference, is_market)
        slippage = abs(quantity) * self.money(n, abs(price - reference))
        return slippage + abs(quantity) * (self.money(n, price) * costs.fee_bps / 10_000 + costs.per_share_fee)

    def fill(self, t: int, n: int, quantity: float, reference: float, is_market: bool) -> float:
        costs = self.case.rules.costs
        price = self.fill_price(t, n, quantity, reference, is_market)
        fee = abs(quantity) * (self.money(n, price) * costs.fee_bps / 10_000 + costs.per_share_fee) + costs.fixed_fee
        self.cash -= quantity * self.money(n, price) + fee
        self.num_fills += 1
        return price
