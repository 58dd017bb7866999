"""The formula of every term as a loop over plain floats: one account, all bars at once.

They are written differently from the terms where that is possible (sums instead of recursions, branches instead of
minima), so that they share no mistake with them.
"""

import itertools
import math

import numpy as np

Bars = dict[str, list[float]]


def log_return(bars: Bars) -> list[float]:
    return [math.log(after) - math.log(before) for before, after in zip(bars["before_B"], bars["after_B"], strict=True)]


def benchmark(bars: Bars) -> list[float]:
    return [-math.log(1.0 + earned) for earned in bars["benchmark_return_B"]]


def turnover(bars: Bars) -> list[float]:
    return [-traded for traded in bars["turnover_B"]]


def realised(bars: Bars) -> list[float]:
    return [money / bars["before_B"][0] for money in bars["realised_B"]]


def unrealised(bars: Bars) -> list[float]:
    earlier = [0.0, *bars["unrealised_B"]]
    return [(now - then) / bars["before_B"][0] for then, now in zip(earlier, bars["unrealised_B"], strict=False)]


def cost(bars: Bars) -> list[float]:
    return [
        -(paid - in_prices) / bars["before_B"][0]
        for paid, in_prices in zip(bars["cost_B"], bars["slippage_B"], strict=True)
    ]


def drawdowns(bars: Bars) -> list[float]:
    levels, peak = [], bars["before_B"][0]
    for equity in bars["after_B"]:
        peak = max(peak, equity)
        levels.append((peak - equity) / peak)
    return levels


def drawdown_level(bars: Bars) -> list[float]:
    return [-level for level in drawdowns(bars)]


def drawdown_increase(bars: Bars) -> list[float]:
    levels = drawdowns(bars)
    return [-(now - then) if now > then else 0.0 for then, now in zip([0.0, *levels], levels, strict=False)]


def max_drawdown(bars: Bars) -> list[float]:
    levels = drawdowns(bars)
    deepest = [0.0, *(max(levels[: t + 1]) for t in range(len(levels)))]
    return [then - now for then, now in itertools.pairwise(deepest)]


def returns(bars: Bars) -> list[float]:
    return [(after - before) / before for before, after in zip(bars["before_B"], bars["after_B"], strict=True)]


def sharpe(bars: Bars, eta: float = 0.05, volatility: float = 0.02, floor: float = 0.1) -> list[float]:
    """Equation 14 of the paper, with a least variance in both places where the second moment stands."""
    a, b, values, least = 0.0, volatility**2, [], (floor * volatility) ** 2
    for r in returns(bars):
        values.append(((b + least) * (r - a) - a * (r**2 - b) / 2) / (b + least - a**2) ** 1.5)
        a, b = (1 - eta) * a + eta * r, (1 - eta) * b + eta * r**2
    return values


def sortino(bars: Bars, eta: float = 0.05, volatility: float = 0.02) -> list[float]:
    """The two branches of the paper, for gains and for losses."""
    a, square, values = 0.0, volatility**2, []
    for r in returns(bars):
        deviation = math.sqrt(square)
        if r > 0:
            values.append((r - a / 2) / deviation)
        else:
            values.append((square * (r - a / 2) - a * r**2 / 2) / deviation**3)
        a, square = (1 - eta) * a + eta * r, (1 - eta) * square + eta * min(r, 0.0) ** 2
    return values


def consistency(bars: Bars, eta: float = 0.05) -> list[float]:
    values = []
    signs = [(r > 0) - (r < 0) for r in returns(bars)]
    for t in range(len(signs)):
        balance = sum(eta * (1 - eta) ** (t - s) * signs[s] for s in range(t + 1))
        values.append(balance if balance > 0 else 0.0)
    return values


def winning_streak(bars: Bars, longest: int = 3) -> list[float]:
    values, streak = [], 0
    for closed, won in zip(bars["num_closed_B"], bars["num_won_B"], strict=True):
        if won < closed:
            streak = 0
        for _ in range(int(won) if won == closed else 0):
            streak = streak + 1 if streak < longest else longest
        values.append(float(streak) if won else 0.0)
    return values


def win_rate(bars: Bars) -> list[float]:
    closed, won = np.cumsum(bars["num_closed_B"]), np.cumsum(bars["num_won_B"])
    return [won[t] / closed[t] - 0.5 if newly else 0.0 for t, newly in enumerate(bars["num_closed_B"])]


def win_loss(bars: Bars) -> list[float]:
    values = []
    num_won = num_lost = 0
    won = lost = 0.0
    for t, newly in enumerate(bars["num_closed_B"]):
        num_won += bars["num_won_B"][t]
        num_lost += newly - bars["num_won_B"][t]
        won += bars["won_B"][t]
        lost += bars["won_B"][t] - bars["closed_B"][t]
        if newly and num_won and num_lost:
            ratio = (won / num_won) / (lost / num_lost)
            values.append((ratio - 1) / (ratio + 1))
        else:
            values.append(0.0)
    return values
