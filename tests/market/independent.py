"""A second accounting, written from the rules' text alone: slow, plain, one object per order, no market code at all.

It exists to disagree with ``tradewright.market``: prices of longs and shorts are spelled out instead of mirrored, costs
come from fill prices instead of rates, and every fill moves the cash by itself.
Legend: t bar, n instrument, k finer bar.
"""

import math
from dataclasses import dataclass

from independent_exchange import DUST, LOT_NOISE, NAN, Exchange, Order


@dataclass
class Simulation(Exchange):
    """One account through all bars."""

    is_called: bool = False
    is_ended: bool = False
    ended_at: int | None = None

    def run(self) -> list[float]:
        """Return the equity at every close."""
        self.open_account()
        equity = [self.cash]
        for t in range(1, len(self.case.quotes.close)):
            orders = self.decide(t - 1)
            self.pay_carry(t)
            self.apply_splits(t, orders)
            self.apply_rolls(t)
            self.trade(t, orders)
            self.check_exits(t)
            equity.append(self.mark(t))
        return equity

    # Deciding.

    def decide(self, t: int) -> list[Order]:
        rules = self.case.rules
        invested = self.cash + self.value([h.mark for h in self.holdings])
        invested *= 1.0 - rules.cash_buffer
        orders = []
        for n, holding in enumerate(self.holdings):
            weight = self.decision("weights", t, n)
            if weight is None:
                continue
            wanted = None
            if rules.sizing == "decision":
                wanted = weight * invested / self.money(n, holding.mark) if holding.mark > 0 else NAN
            distances = [self.decision(name, t, n) for name in ("stop_loss", "take_profit", "trailing")]
            limit, stop = self.decision("limit", t, n), self.decision("stop", t, n)
            orders.append(Order(n, weight, wanted, limit, stop, distances))
        return orders

    # Before the open.

    def pay_carry(self, t: int) -> None:
        rules, years = self.case.rules, float(self.case.quotes.years[t])
        start = self.cash
        for n, holding in enumerate(self.holdings):
            notional = holding.shares * self.money(n, holding.mark)
            self.cash += holding.shares * self.money(n, self.at("dividend", t, n, 0.0))
            if self.is_ended:
                continue
            if holding.shares < 0 and rules.allow_short:
                self.cash -= -notional * self.at("borrow", t, n, rules.costs.borrow_rate) * years
            self.cash -= notional * self.at("funding", t, n, 0.0)
        if not self.is_ended:
            self.cash += start * rules.costs.cash_rate * years

    def apply_splits(self, t: int, orders: list[Order]) -> None:
        for n, holding in enumerate(self.holdings):
            ratio = self.at("split", t, n, 1.0)
            holding.shares *= ratio
            holding.mark, holding.entry, holding.best = (
                holding.mark / ratio,
                holding.entry / ratio,
                holding.best / ratio,
            )
            for order in orders:
                if order.n == n and order.wanted is not None:
                    order.wanted *= ratio

    def apply_rolls(self, t: int) -> None:
        for n, holding in enumerate(self.holdings):
            leaving, coming = self.at("roll_from", t, n, NAN), self.at("roll_to", t, n, NAN)
            if math.isnan(leaving):
                continue
            shares = holding.shares
            if shares != 0:
                self.fill(t, n, -shares, leaving, is_market=True)
                self.fill(t, n, shares, coming, is_market=True)
                holding.entry += coming - leaving
                holding.best += coming - leaving
            if holding.mark > 0:
                holding.mark += coming - leaving

    # The open and the inside of the bar.

    def trade(self, t: int, orders: list[Order]) -> None:
        quotes = self.case.quotes
        prices = []
        for n, holding in enumerate(self.holdings):
            prices.append(float(quotes.open[t, n]) if self.has_bar(t, n) else holding.mark)
            holding.entered_at, holding.was_increased = None, False
        equity = self.cash + self.value(prices)
        if equity <= 0:
            self.is_ended = True
        is_forced = self.is_ended or self.is_called
        accepted = [order for order in orders if self.accepts(t, order) and not is_forced]
        now = [order for order in accepted if not order.waits]
        for order in now:
            order.price = prices[order.n]
            self.replace_distances(order)
            self.set_target(order, equity)
        self.cap_leverage(now, prices, equity)
        if is_forced:
            now = [Order(n, 0.0, None, None, None, []) for n in range(len(self.holdings)) if self.has_bar(t, n)]
            for order in now:
                order.price = prices[order.n]
        else:
            now = [order for order in now if self.cut(t, order, equity)]
        self.execute(t, now, prices, is_inside=False)
        touched = [order for order in accepted if order.waits and self.touches(t, order, equity)]
        for order in touched:
            self.replace_distances(order)
        inside = [order for order in touched if self.cut(t, order, equity)]
        for order in touched:
            prices[order.n] = order.price
        self.execute(t, inside, prices, is_inside=True)

    def accepts(self, t: int, order: Order) -> bool:
        holding = self.holdings[order.n]
        side = (order.weight > 0) - (order.weight < 0)
        if holding.blocked and side != holding.blocked:
            holding.blocked = 0
        is_sized = order.wanted is None or not math.isnan(order.wanted)
        return not holding.blocked and self.has_bar(t, order.n) and is_sized

    def replace_distances(self, order: Order) -> None:
        holding, rules = self.holdings[order.n], self.case.rules
        given = order.distances
        holding.stop_loss = rules.stop_loss if given[0] is None else given[0]
        holding.take_profit = rules.take_profit if given[1] is None else given[1]
        holding.trailing = rules.trailing if given[2] is None else given[2]

    def target_at(self, order: Order, price: float, equity: float) -> float:
        target = order.weight * equity / self.money(order.n, price) if order.wanted is None else order.wanted
        return target if self.case.rules.allow_short else max(target, 0.0)

    def set_target(self, order: Order, equity: float) -> None:
        order.target = self.target_at(order, order.price, equity)

    def cap_leverage(self, orders: list[Order], prices: list[float], equity: float) -> None:
        ordered = sum(abs(order.target) * self.money(order.n, order.price) for order in orders)
        busy = {order.n for order in orders}
        held = sum(
            abs(holding.shares) * self.money(n, prices[n]) for n, holding in enumerate(self.holdings) if n not in busy
        )
        limit = self.case.rules.leverage * equity
        if ordered + held > limit * (1 + DUST) and ordered > 0:
            for order in orders:
                order.target *= max(limit - held, 0.0) / ordered

    def cut(self, t: int, order: Order, equity: float) -> bool:
        """Cut an order to capacity and lots; return False where it is none."""
        shares, unit = self.holdings[order.n].shares, self.money(order.n, order.price)
        change = order.target - shares
        if abs(change) < DUST * equity / unit:
            return False
        capacity = self.at("capacity", t, order.n, math.inf)
        if abs(change) > capacity:
            change = math.copysign(capacity, change)
            order.target = shares + change
        lot = self.lot[order.n]
        if lot > 0 and order.target != 0:
            whole = self.whole_lots(order.n, change)
            if whole != change:
                order.target = shares + whole
                if abs(order.target) < LOT_NOISE * lot:
                    order.target = 0.0
            change = whole
        if change == 0:
            return False
        return order.target == 0 or abs(change) * unit >= self.case.rules.min_notional * (1 - DUST)

    def whole_lots(self, n: int, quantity: float) -> float:
        lot = self.lot[n]
        if lot <= 0:
            return quantity
        number = math.floor(abs(quantity) / lot + LOT_NOISE)
        return math.copysign(number * lot, quantity)

    def touches(self, t: int, order: Order, equity: float) -> bool:
        """Whether the bar reaches an entry; sets its price and target."""
        quotes, n = self.case.quotes, order.n
        open_, high, low = (float(getattr(quotes, name)[t, n]) for name in ("open", "high", "low"))
        level = order.limit if order.limit is not None else order.stop
        assert level is not None
        shares = self.holdings[n].shares
        change = self.target_at(order, level, equity) - shares
        if abs(change) < DUST * equity / self.money(n, level):
            return False
        is_buy = change > 0
        if order.limit is not None:
            order.is_market = False
            is_reached = low <= level if is_buy else high >= level
            order.price = min(open_, level) if is_buy else max(open_, level)
            if is_reached and (shares < 0 if is_buy else shares > 0) and self.leaves_first(n, level, high, low):
                return False
        else:
            is_reached = high >= level if is_buy else low <= level
            order.price = max(open_, level) if is_buy else min(open_, level)
        if not is_reached:
            return False
        self.set_target(order, equity)
        if (order.target > shares) != is_buy:
            order.target = shares
        return True

    def leaves_first(self, n: int, level: float, high: float, low: float) -> bool:
        """Whether a position would leave by its stop, or by a target nearer than a limit that reduces it."""
        stop, target, _ = self.exits(n)
        if self.holdings[n].shares > 0:
            return (stop is not None and low <= stop) or (target is not None and level > target)
        return (stop is not None and high >= stop) or (target is not None and level < target)

    def execute(self, t: int, orders: list[Order], prices: list[float], is_inside: bool) -> None:
        """Reduce in full, then open shorts, then longs, each pro rata to the buying power left; book the fills."""
        rules = self.case.rules
        equity = self.cash + self.value(prices)
        busy = {order.n: order for order in orders}
        gross = 0.0
        opening: dict[int, float] = {}
        reducing: dict[int, float] = {}
        for n, holding in enumerate(self.holdings):
            kept = holding.shares
            if n in busy:
                target = busy[n].target
                if target * holding.shares <= 0:
                    kept = 0.0
                elif abs(target) < abs(kept):
                    kept = target
                if holding.shares == 0:
                    kept = 0.0
                opening[n], reducing[n] = target - kept, kept - holding.shares
                equity -= self.cost_of_part(t, busy[n], reducing[n], is_first=True)
            frees_power = not is_inside or opening.get(n, 0.0) != 0
            gross += abs(kept if frees_power else holding.shares) * self.money(n, prices[n])
        opened: dict[int, float] = {}
        for side in (-1, 1):
            group = {n: wanted for n, wanted in opening.items() if wanted * side > 0}
            fixed = sum(rules.costs.fixed_fee for n in group if reducing[n] == 0)
            need = 0.0
            for n, wanted in group.items():
                order = busy[n]
                whole = order.target - self.holdings[n].shares
                costs = self.costs_of(t, n, wanted, order.price, whole, order.is_market)
                need += abs(wanted) * self.money(n, order.price) + rules.leverage * costs
            room = rules.leverage * (equity - fixed) - gross
            scale = 1.0 if need == 0 else min(max(room / need, 0.0), 1.0)
            scale = 0.0 if scale < DUST else scale
            for n, wanted in group.items():
                part = wanted * scale
                if scale < 1:
                    part = self.whole_lots(n, part)
                    worth = abs(part + reducing[n]) * self.money(n, busy[n].price)
                    part = 0.0 if worth < rules.min_notional * (1 - DUST) else part
                opened[n] = part
                equity -= self.cost_of_part(t, busy[n], part, is_first=reducing[n] == 0)
                gross += abs(part) * self.money(n, busy[n].price)
        for n, order in busy.items():
            order.executed = reducing[n] + opened.get(n, 0.0)
            if order.executed != 0:
                self.book(t, order, reducing[n], opened.get(n, 0.0), is_inside)

    def cost_of_part(self, t: int, order: Order, part: float, is_first: bool) -> float:
        """Costs of a part of an order, at the price of the whole order wanted."""
        if part == 0:
            return 0.0
        whole = order.target - self.holdings[order.n].shares
        fixed = self.case.rules.costs.fixed_fee if is_first else 0.0
        return self.costs_of(t, order.n, part, order.price, whole, order.is_market) + fixed

    def book(self, t: int, order: Order, reduced: float, opened: float, is_inside: bool) -> None:
        holding = self.holdings[order.n]
        price = self.fill(t, order.n, order.executed, order.price, order.is_market)
        kept = holding.shares + reduced
        if kept == 0:
            holding.entry = holding.best = price if opened else 0.0
        elif opened:
            holding.entry = (abs(kept) * holding.entry + abs(opened) * price) / (abs(kept) + abs(opened))
        holding.shares = kept + opened
        if is_inside and opened:
            holding.was_increased = True
            holding.entered_at = order.price if kept == 0 else None

    # Exits.

    def exits(self, n: int) -> tuple[float | None, float | None, bool]:
        """Stop, target and whether the stop is needed at all, as prices."""
        h = self.holdings[n]
        away = 1 if h.shares > 0 else -1
        stops = []
        if h.stop_loss is not None:
            stops.append(h.entry * (1 - away * h.stop_loss))
        if h.trailing is not None:
            stops.append(h.best * (1 - away * h.trailing))
        stop = None if not stops else max(stops) if away > 0 else min(stops)
        target = None if h.take_profit is None else h.entry * (1 + away * h.take_profit)
        return stop, target, bool(stops)

    def check_exits(self, t: int) -> None:
        if not self.has_exits():
            return
        quotes = self.case.quotes
        for n, holding in enumerate(self.holdings):
            if holding.shares == 0 or not self.has_bar(t, n):
                continue
            is_long = holding.shares > 0
            open_, high, low = (float(getattr(quotes, name)[t, n]) for name in ("open", "high", "low"))
            stop, target, _ = self.exits(n)
            what, start = self.first_exit(is_long, stop, target, [(open_, high, low)], holding.was_increased)
            if holding.entered_at is not None:
                start = holding.entered_at
            if what and not holding.was_increased:
                finer = self.finer_bars(t, n)
                closer, at = self.first_exit(is_long, stop, target, finer, skips_target=False)
                what, start = (closer, at) if closer else (what, start)
            if not what:
                if holding.entered_at is None:
                    holding.best = max(holding.best, high) if is_long else min(holding.best, low)
                continue
            level = stop if what == "stop" else target
            assert level is not None
            is_low = is_long == (what == "stop")
            reference = min(start, level) if is_low else max(start, level)
            self.fill(t, n, -holding.shares, reference, is_market=what == "stop")
            holding.blocked = 1 if is_long else -1
            holding.close()

    def has_exits(self) -> bool:
        rules, decided = self.case.rules, self.case.decided
        given = (rules.stop_loss, rules.take_profit, rules.trailing)
        return any(x is not None for x in (*given, decided.stop_loss, decided.take_profit, decided.trailing))

    @staticmethod
    def first_exit(
        is_long: bool, stop: float | None, target: float | None, bars: list[tuple[float, float, float]],
        skips_target: bool,
    ) -> tuple[str, float]:  # fmt: skip
        for open_, high, low in bars:
            if stop is not None and (low <= stop if is_long else high >= stop):
                return "stop", open_
            if target is not None and not skips_target and (high >= target if is_long else low <= target):
                return "target", open_
        return "", NAN

    def finer_bars(self, t: int, n: int) -> list[tuple[float, float, float]]:
        quotes = self.case.quotes
        if quotes.finer_open is None:
            return []
        columns = (quotes.finer_open, quotes.finer_high, quotes.finer_low)
        rows = [tuple(float(column[t, k, n]) for column in columns) for k in range(quotes.finer_open.shape[1])]
        return [row for row in rows if not math.isnan(row[0])]

    # The close.

    def mark(self, t: int) -> float:
        rules = self.case.rules
        for n, holding in enumerate(self.holdings):
            if self.has_bar(t, n):
                holding.mark = float(self.case.quotes.close[t, n])
        marks = [holding.mark for holding in self.holdings]
        equity = self.cash + self.value(marks)
        gross = sum(abs(h.shares) * self.money(n, h.mark) for n, h in enumerate(self.holdings))
        is_breach = equity < rules.maintenance_margin * gross
        self.is_called = equity > 0 and not self.is_ended and (is_breach or (self.is_called and gross > 0))
        if equity <= 0 and not self.is_ended:
            self.is_ended = True
            for n, holding in enumerate(self.holdings):
                if holding.shares != 0 and self.has_bar(t, n):
                    self.fill(t, n, -holding.shares, holding.mark, is_market=True)
                    holding.close()
            equity = self.cash + self.value(marks)
        if self.is_ended and self.ended_at is None:
            self.ended_at = t
        return equity
