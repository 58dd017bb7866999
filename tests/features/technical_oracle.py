"""The 58 indicators once more, at one bar, by plain loops over Python lists: what the textbooks say.

``o, h, l, c, v`` are the bars up to and including the current one. Nothing of the code under test is used. The
exponential averages are weighted sums over the last ``memory`` values, written out.
"""

import math
from datetime import datetime
from itertools import pairwise

Series = list[float]


def weighted(x: Series, alpha: float, memory: int) -> float:
    """Return the exponentially weighted mean of the last ``memory`` values."""
    weights = [(1 - alpha) ** age for age in range(memory)]
    return sum(w * x[-1 - age] for age, w in enumerate(weights)) / sum(weights)


def running(x: Series, alpha: float, memory: int) -> Series:
    """Return the weighted mean at every bar that has ``memory`` values before it."""
    return [weighted(x[: stop + 1], alpha, memory) for stop in range(memory - 1, len(x))]


def mean(x: Series) -> float:
    return sum(x) / len(x)


def deviation(x: Series) -> float:
    return math.sqrt(sum((value - mean(x)) ** 2 for value in x) / len(x))


def share(x: float, low: float, high: float) -> float:
    return (x - low) / (high - low)


def expected(when: datetime, bars: tuple[Series, ...], memory: int) -> dict[str, float]:
    """Return the value of every indicator at the last bar."""
    o, h, low, c, v = bars
    table: dict[str, float] = {}
    for family in (_momentum, _trend, _volatility, _volume, _pattern):
        table |= family(o, h, low, c, v, memory)
    second, weekday = when.hour * 3600 + when.minute * 60 + when.second, when.weekday()
    for name, angle in (("time_of_day", second / 86_400), ("weekday", weekday / 7)):
        table[f"{name}_sin"], table[f"{name}_cos"] = math.sin(2 * math.pi * angle), math.cos(2 * math.pi * angle)
    return table


def _changes(c: Series) -> Series:
    return [b - a for a, b in pairwise(c)]


def _true_ranges(h: Series, low: Series, c: Series) -> Series:
    return [max(h[t] - low[t], abs(h[t] - c[t - 1]), abs(low[t] - c[t - 1])) for t in range(1, len(c))]


def _rsi(c: Series, n: int, memory: int) -> Series:
    ups, downs = [max(x, 0) for x in _changes(c)], [max(-x, 0) for x in _changes(c)]
    pairs = zip(running(ups, 1 / n, memory), running(downs, 1 / n, memory), strict=True)
    return [1 - 1 / (1 + up / down) for up, down in pairs]


def _momentum(o: Series, h: Series, low: Series, c: Series, v: Series, memory: int) -> dict[str, float]:
    table = {f"return_{n}": math.log(c[-1] / c[-1 - n]) for n in (1, 5, 10, 20, 60)}
    rsi = _rsi(c, 14, memory)
    table["rsi_7"], table["rsi_14"] = _rsi(c, 7, memory)[-1], rsi[-1]
    table["stochastic_rsi_14"] = share(rsi[-1], min(rsi[-14:]), max(rsi[-14:]))
    k = [share(c[t], min(low[t - 13 : t + 1]), max(h[t - 13 : t + 1])) for t in range(len(c) - 3, len(c))]
    table["stochastic_k_14"], table["stochastic_d_14"] = k[-1], mean(k)
    typical = [(h[t] + low[t] + c[t]) / 3 for t in range(len(c) - 20, len(c))]
    spread = mean([abs(x - mean(typical)) for x in typical])
    table["cci_20"] = (typical[-1] - mean(typical)) / (0.015 * spread) / 100
    moves = _changes(c)[-14:]
    ups, downs = sum(x for x in moves if x > 0), -sum(x for x in moves if x < 0)
    table["cmo_14"] = (ups - downs) / (ups + downs)
    net = running(_changes(c), 2 / 26, memory)
    gross = running([abs(x) for x in _changes(c)], 2 / 26, memory)
    table["tsi_25_13"] = weighted(net, 2 / 14, memory) / weighted(gross, 2 / 14, memory)
    pressure = [c[t] - min(low[t], c[t - 1]) for t in range(1, len(c))]
    ranges = _true_ranges(h, low, c)
    a7, a14, a28 = (sum(pressure[-n:]) / sum(ranges[-n:]) for n in (7, 14, 28))
    table["ultimate_7_14_28"] = (4 * a7 + 2 * a14 + a28) / 7
    return table


def _trend(o: Series, h: Series, low: Series, c: Series, v: Series, memory: int) -> dict[str, float]:
    table = {f"sma_distance_{n}": math.log(c[-1] / mean(c[-n:])) for n in (10, 20, 50)}
    for span in (12, 26):
        table[f"ema_distance_{span}"] = math.log(c[-1] / weighted(c, 2 / (span + 1), memory))
    fast, slow = running(c, 2 / 13, memory), running(c, 2 / 27, memory)
    macd = [a - b for a, b in zip(fast, slow, strict=True)]
    table["macd_12_26"] = macd[-1] / c[-1]
    table["macd_histogram_9"] = (macd[-1] - weighted(macd, 2 / 10, memory)) / c[-1]
    plus, minus = [], []
    for t in range(1, len(c)):
        up, down = h[t] - h[t - 1], low[t - 1] - low[t]
        plus.append(up if up > down and up > 0 else 0.0)
        minus.append(down if down > up and down > 0 else 0.0)
    atr = running(_true_ranges(h, low, c), 1 / 14, memory)
    di_plus = [100 * x / r for x, r in zip(running(plus, 1 / 14, memory), atr, strict=True)]
    di_minus = [100 * x / r for x, r in zip(running(minus, 1 / 14, memory), atr, strict=True)]
    dx = [abs(a - b) / (a + b) for a, b in zip(di_plus, di_minus, strict=True)]
    table["di_plus_14"], table["di_minus_14"] = di_plus[-1] / 100, di_minus[-1] / 100
    table["adx_14"] = weighted(dx, 1 / 14, memory)
    highs, lows = h[-26:][::-1], low[-26:][::-1]
    aroon_up, aroon_down = 25 - highs.index(max(highs)), 25 - lows.index(min(lows))
    table["aroon_25"] = (aroon_up - aroon_down) / 25
    y, x = [math.log(value) for value in c[-20:]], list(range(20))
    covariance = sum((a - mean(x)) * (b - mean(y)) for a, b in zip(x, y, strict=True))
    spread_x, spread_y = (sum((value - mean(z)) ** 2 for value in z) for z in (x, y))
    table["slope_20"] = covariance / spread_x
    table["r_squared_20"] = covariance**2 / (spread_x * spread_y)
    last = range(len(c) - 14, len(c))
    up_sum, down_sum = sum(abs(h[t] - low[t - 1]) for t in last), sum(abs(low[t] - h[t - 1]) for t in last)
    table["vortex_14"] = (up_sum - down_sum) / sum(_true_ranges(h, low, c)[-14:])
    table["efficiency_10"] = abs(c[-1] - c[-11]) / sum(abs(x) for x in _changes(c)[-10:])
    return table


def _volatility(o: Series, h: Series, low: Series, c: Series, v: Series, memory: int) -> dict[str, float]:
    r = [math.log(b / a) for a, b in pairwise(c)]
    table = {f"volatility_{n}": deviation(r[-n:]) for n in (10, 20, 60)}
    table["downside_20"] = math.sqrt(sum(x**2 for x in r[-20:] if x < 0) / 20)
    atr = weighted(_true_ranges(h, low, c), 1 / 14, memory)
    table["atr_14"] = atr / c[-1]
    ranges = [math.log(a / b) for a, b in zip(h, low, strict=True)][-20:]
    bodies = [math.log(a / b) for a, b in zip(c, o, strict=True)][-20:]
    table["parkinson_20"] = math.sqrt(sum(x**2 for x in ranges) / (20 * 4 * math.log(2)))
    table["garman_klass_20"] = math.sqrt(
        mean([0.5 * a**2 - (2 * math.log(2) - 1) * b**2 for a, b in zip(ranges, bodies, strict=True)])
    )
    middle, sigma = mean(c[-20:]), deviation(c[-20:])
    table["bollinger_place_20"] = share(c[-1], middle - 2 * sigma, middle + 2 * sigma)
    table["bollinger_width_20"] = 4 * sigma / middle
    table["keltner_20"] = (c[-1] - weighted(c, 2 / 21, memory)) / (2 * atr)
    table["donchian_20"] = share(c[-1], min(low[-20:]), max(h[-20:]))
    falls = [c[t] / max(c[t - 13 : t + 1]) - 1 for t in range(len(c) - 14, len(c))]
    table["ulcer_14"] = math.sqrt(mean([x**2 for x in falls]))
    return table


def _volume(o: Series, h: Series, low: Series, c: Series, v: Series, memory: int) -> dict[str, float]:
    table = {"volume_change_1": math.log((1 + v[-1]) / (1 + v[-2]))}
    table["volume_ratio_20"] = math.log((1 + v[-1]) / (1 + mean(v[-20:])))
    last = range(len(c) - 20, len(c))
    signs = [(c[t] > c[t - 1]) - (c[t] < c[t - 1]) for t in last]
    table["obv_20"] = sum(s * v[t] for s, t in zip(signs, last, strict=True)) / sum(v[-20:])
    typical = [(h[t] + low[t] + c[t]) / 3 for t in range(len(c))]
    flow = {
        sign: sum(typical[t] * v[t] for t in range(len(c) - 14, len(c)) if sign * (typical[t] - typical[t - 1]) > 0)
        for sign in (1, -1)
    }
    table["money_flow_14"] = 1 - 1 / (1 + flow[1] / flow[-1])
    places = [((c[t] - low[t]) - (h[t] - c[t])) / (h[t] - low[t]) if h[t] > low[t] else 0.0 for t in last]
    table["chaikin_20"] = sum(p * v[t] for p, t in zip(places, last, strict=True)) / sum(v[-20:])
    pushes = [math.log(c[t] / c[t - 1]) * v[t] for t in range(1, len(c))]
    table["force_13"] = weighted(pushes, 2 / 14, memory) / weighted(v, 2 / 14, memory)
    table["vwap_distance_20"] = math.log(c[-1] / (sum(typical[t] * v[t] for t in last) / sum(v[-20:])))
    return table


def _pattern(o: Series, h: Series, low: Series, c: Series, v: Series, memory: int) -> dict[str, float]:
    top, bottom = max(o[-1], c[-1]), min(o[-1], c[-1])
    was, now = ((c[t] > o[t]) - (c[t] < o[t]) for t in (-2, -1))
    covers = bottom <= min(o[-2], c[-2]) and top >= max(o[-2], c[-2])
    return {
        "gap": math.log(o[-1] / c[-2]),
        "body": math.log(c[-1] / o[-1]),
        "upper_shadow": math.log(h[-1] / top),
        "lower_shadow": math.log(bottom / low[-1]),
        "close_location": 2 * share(c[-1], low[-1], h[-1]) - 1 if h[-1] > low[-1] else 0.0,
        "engulfing": float(now if covers and was == -now else 0),
    }


def recursion(x: Series, alpha: float) -> float:
    """Return the textbook's exponential average, which starts at the first value and never forgets it."""
    y = x[0]
    for value in x[1:]:
        y += alpha * (value - y)
    return y
