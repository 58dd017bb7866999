"""Functions that use no later bar, and look as if they might: what the leak detector must not blame.

``CLEAN`` holds (name, checks of a seed). Here: windows, recursive filters that never forget, float32, warm-ups and
transforms over all rows that only round differently. ``clean_corpus_more`` adds instruments, sessions, joins on
publication, labels with their true reach, fits on the training range, and all features and rules that ship.

Legend: T bars, N instruments, E events.
"""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Any

import numpy as np
from leak_corpus import WARMUP, gappy, several
from leak_markets import daily, ewm, filled, intraday, shifted, trailing

from tradewright.data.panel import Panel
from tradewright.evaluate.leak_search import Check, find_leaks

Compute = Callable[[Panel], dict[str, Any]]
CLEAN: list[tuple[str, Callable[[int], list[Check]]]] = []
MARKETS = {"daily": daily, "several": several, "gappy": gappy, "intraday": intraday}


def add(name: str, compute: Compute, market: str = "daily", **settings: Any) -> None:
    """Add one function of bars."""

    def find(seed: int) -> list[Check]:
        rng = np.random.default_rng(seed)
        settings_ = {"kind": "feature", "warmup_bars": WARMUP, **settings}
        return [find_leaks(compute, MARKETS[market](seed), rng=rng, **settings_)]

    CLEAN.append((f"{name}/{market}", find))


def log_returns(panel: Panel):
    return np.diff(np.log(filled(panel.close_TN)), axis=0, prepend=np.nan)


# Windows: fifteen statistics in several lengths, on gapless and on broken bars ---------------------------------------

STATISTICS: dict[str, Callable[[Panel, int], Any]] = {
    "mean": lambda p, w: trailing(filled(p.close_TN), w, np.mean),
    "deviation": lambda p, w: trailing(log_returns(p), w, np.std),
    "median": lambda p, w: trailing(p.volume_TN, w, np.median),
    "highest": lambda p, w: trailing(filled(p.high_TN), w, np.max),
    "quantile": lambda p, w: trailing(log_returns(p), w, partial(np.quantile, q=0.9)),
    "rank": lambda p, w: trailing(filled(p.close_TN), w, lambda x, axis: (x <= x[..., -1:]).mean(axis)),
    "z_score": lambda p, w: (
        (p.close_TN - trailing(filled(p.close_TN), w, np.mean)) / trailing(filled(p.close_TN), w, np.std)
    ),
    "return": lambda p, w: np.log(filled(p.close_TN)) - np.log(shifted(filled(p.close_TN), w)),
    "ewm": lambda p, w: ewm(p.close_TN, 2 / (w + 1)),
    "wilder_atr": lambda p, w: ewm(p.high_TN - p.low_TN, 1 / w),
    "rsi": lambda p, w: _rsi(p, w),
    "breakout": lambda p, w: p.close_TN > shifted(trailing(filled(p.high_TN), w, np.max), 1),
    "float32_mean": lambda p, w: trailing(filled(p.close_TN).astype(np.float32), w, np.mean).astype(np.float32),
    "running_sum_mean": lambda p, w: _mean_by_running_sum(p.volume_TN, w),
}


def _rsi(panel: Panel, window: int):
    change = np.diff(filled(panel.close_TN), axis=0, prepend=np.nan)
    up, down = (ewm(np.maximum(sign * change, 0.0), 1 / window) for sign in (1, -1))
    return 100 * up / np.where(up + down > 0, up + down, 1.0)


def _mean_by_running_sum(x_TN, window: int):
    total = np.cumsum(x_TN, axis=0)
    out = np.full(x_TN.shape, np.nan)
    out[window:] = (total[window:] - total[:-window]) / window
    return out


for (statistic, function), window_, market_ in product(STATISTICS.items(), (5, 21), ("daily", "gappy")):
    add(f"{statistic}_{window_}", lambda p, f=function, w=window_: {"x": f(p, w)}, market_)


# Recursions, expanding statistics, transforms over all rows -----------------------------------------------------------


def macd(panel: Panel):
    line = ewm(panel.close_TN, 2 / 13) - ewm(panel.close_TN, 2 / 27)
    return {"line": line, "histogram": line - ewm(line, 0.2)}


def expanding_z_score(panel: Panel):
    count = np.arange(1, panel.num_bars + 1)[:, None]
    mean = np.cumsum(panel.close_TN, axis=0) / count
    variance = np.cumsum(panel.close_TN**2, axis=0) / count - mean**2
    return {"x": np.where(variance > 1e-9, (panel.close_TN - mean) / np.sqrt(np.maximum(variance, 1e-9)), np.nan)}


def expanding_rank(panel: Panel):
    close = panel.close_TN[:, 0]
    return {"x": np.array([(close[: t + 1] <= close[t]).mean() for t in range(len(close))])}


def on_balance_volume(panel: Panel):
    return {"x": np.cumsum(np.sign(np.nan_to_num(log_returns(panel))) * panel.volume_TN, axis=0)}


def adaptive_average(panel: Panel):
    close, out = panel.close_TN[:, 0], np.full(panel.num_bars, np.nan)
    out[9] = close[9]
    for t in range(10, len(close)):
        noise = np.abs(np.diff(close[t - 10 : t + 1])).sum()
        speed = (abs(close[t] - close[t - 10]) / noise * (2 / 3 - 2 / 31) + 2 / 31) ** 2
        out[t] = out[t - 1] + speed * (close[t] - out[t - 1])
    return {"x": out}


def trend_with_memory(panel: Panel):
    """Flips when the price crosses a trailing band: a state that lasts."""
    close, band = panel.close_TN[:, 0], 3 * ewm(panel.high_TN - panel.low_TN, 0.1)[:, 0]
    side, stop, out = 1.0, close[0] - band[0], np.empty(panel.num_bars)
    for t, price in enumerate(close):
        stop = max(stop, price - band[t]) if side > 0 else min(stop, price + band[t])
        if side * (price - stop) < 0:
            side, stop = -side, price + side * band[t]
        out[t] = side
    return {"x": out}


def confirmed_swing_high(panel: Panel):
    """The pivot of two bars ago, at the bar that confirms it."""
    high = panel.high_TN
    middle = shifted(high, 2)
    others = np.maximum(np.maximum(shifted(high, 4), shifted(high, 3)), np.maximum(shifted(high, 1), high))
    return {"x": middle > others}


def confirmed_zigzag(panel: Panel):
    close, out, extreme, side = panel.close_TN[:, 0], np.zeros(panel.num_bars), 0, 1
    for t, price in enumerate(close):
        if side * (price - close[extreme]) > 0:
            extreme = t
        elif side * (price / close[extreme] - 1) < -0.04:
            out[t], extreme, side = side, t, -side
    return {"x": out}


def causal_filter_by_fourier(panel: Panel):
    """A one-sided filter computed by a transform of all rows: nothing leaks but rounding."""
    size = 4 * panel.num_bars
    weights = 0.9 ** np.arange(panel.num_bars)
    product_ = np.fft.rfft(panel.close_TN, size, axis=0) * np.fft.rfft(weights, size)[:, None]
    return {"x": np.fft.irfft(product_, size, axis=0)[: panel.num_bars]}


def trailing_mean_by_matrix(panel: Panel):
    rows = np.arange(panel.num_bars)
    lags = rows[:, None] - rows
    return {"x": ((lags >= 0) & (lags < 10)).astype(float) @ panel.close_TN}


def float32_matrix(panel: Panel):
    rows = np.arange(panel.num_bars)
    lags = rows[:, None] - rows
    weights = np.where(lags >= 0, 0.9 ** np.maximum(lags, 0), 0.0).astype(np.float32)
    return {"x": weights @ panel.close_TN.astype(np.float32)}


def causal_smoothing(panel: Panel):
    """The last point of a quadratic over five points."""
    weights = np.array([3, -5, -3, 9, 31]) / 35
    return {"x": np.convolve(panel.close_TN[:, 0], weights[::-1])[: panel.num_bars]}


def rolling_regression(panel: Panel):
    windows = np.lib.stride_tricks.sliding_window_view(np.log(panel.close_TN[:, 0]), 20)
    slope = windows @ (np.arange(20) - 9.5) / ((np.arange(20) - 9.5) ** 2).sum()
    return {"x": np.concatenate([np.full(19, np.nan), slope])}


def half_precision(panel: Panel):
    return {"x": np.nan_to_num(log_returns(panel)).astype(np.float16)}


def integers_and_flags(panel: Panel):
    return {"up": panel.close_TN > panel.open_TN, "count": np.cumsum(panel.close_TN > panel.open_TN, axis=0)}


def random_features_of_fixed_weights(panel: Panel):
    weights = np.random.default_rng(7).normal(size=(3, 8))
    x = np.concatenate([panel.high_TN, panel.low_TN, panel.close_TN], axis=1) if panel.close_TN.shape[1] == 1 else None
    return {"x": np.tanh((x / 50.0) @ weights)}


def many_numbers_per_instrument(panel: Panel):
    return {"lags": np.stack([shifted(panel.close_TN, k) for k in range(5)], axis=-1)}


def constant(panel: Panel):
    return {"x": np.full(panel.num_bars, 3.0), "nothing": np.full(panel.num_bars, np.nan)}


def calendar(panel: Panel):
    day = panel.ts_T.astype("datetime64[D]").astype(int)
    return {"weekday": (day + 3) % 7, "month": panel.ts_T.astype("datetime64[M]").astype(int) % 12}


def drawdown(panel: Panel):
    return {"x": panel.close_TN / np.maximum.accumulate(panel.close_TN, axis=0) - 1}


for compute_ in (
    macd,
    expanding_z_score,
    expanding_rank,
    on_balance_volume,
    adaptive_average,
    trend_with_memory,
    confirmed_swing_high,
    confirmed_zigzag,
    causal_filter_by_fourier,
    trailing_mean_by_matrix,
    float32_matrix,
    causal_smoothing,
    rolling_regression,
    half_precision,
    integers_and_flags,
    random_features_of_fixed_weights,
    many_numbers_per_instrument,
    constant,
    calendar,
    drawdown,
):
    add(compute_.__name__, compute_)
