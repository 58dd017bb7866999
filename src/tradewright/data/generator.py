"""Pieces of artificial markets: a trading clock, regimes, GARCH volatility, jumps, consistent bars, volume.

Everything is drawn from a generator that the caller passes (PCG64), in a fixed order, so a seed fixes every number.

Legend: T bars, N instruments. Returns are logarithmic.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import numpy.typing as npt

from tradewright.data.timeframe import DAY_S

Float = npt.NDArray[np.float64]

FIRST_DAY = np.datetime64("2000-01-03", "D")
SESSION_START_S = 52_200
"""Exchange sessions run from 14:30 to 21:00 UTC (New York in winter)."""
SESSION_S = 23_400
CONTINUOUS = ("crypto", "forex")

GARCH_ALPHA, GARCH_BETA = 0.08, 0.90
"""Weights of the last squared shock and of the last variance: typical estimates for daily equity indices."""
CALM_BARS, STORMY_BARS = 250.0, 60.0
"""Expected lengths of the two regimes."""
CALM_VOLATILITY = 0.8
JUMP_PROBABILITY, JUMP_SIZE = 0.003, 4.0
"""Jumps per bar and their standard deviation in units of the bar's volatility."""
GAP_SHARE, CONTINUOUS_GAP_SHARE = 0.25, 0.02
"""Share of a bar's variance that falls between the previous close and its open, at session starts and elsewhere."""


@dataclass(frozen=True, kw_only=True)
class Clock:
    """When bars open.

    Args:
        ts_T: Bar opens, naive UTC, ``datetime64[us]``.
        is_session_start_T: Whether the market was closed before the bar.
        bars_per_year: Bars in a trading year.
    """

    ts_T: npt.NDArray[np.datetime64]
    is_session_start_T: npt.NDArray[np.bool_]
    bars_per_year: float


def trading_clock(num_bars: int, length_s: int, calendar: str, days_per_year: float) -> Clock:
    """Return ``num_bars`` opens from 2000-01-03 on.

    Daily bars are stamped 00:00 of business days (crypto: of all days), weekly ones on Mondays. Intraday bars of an
    exchange cover its session of 6.5 hours (hourly ones begin at 14:00, so the first is half empty, as in LEAN), those
    of crypto all hours, those of forex all hours of business days.
    """
    index = np.arange(num_bars)
    every_day = calendar == "crypto"
    if length_s >= DAY_S:
        weeks = length_s // DAY_S > 1
        if weeks:
            days = FIRST_DAY + index * np.timedelta64(7, "D")
        else:
            days = FIRST_DAY + index if every_day else np.busday_offset(FIRST_DAY, index)
        starts = np.ones(num_bars, dtype=np.bool_)
        return Clock(
            ts_T=days.astype("datetime64[us]"),
            is_session_start_T=starts,
            bars_per_year=52.0 if weeks else days_per_year,
        )
    open_s, close_s = (0, DAY_S) if calendar in CONTINUOUS else (SESSION_START_S, SESSION_START_S + SESSION_S)
    first_s = open_s // length_s * length_s
    per_day = -((first_s - close_s) // length_s)
    day, slot = index // per_day, index % per_day
    dates = FIRST_DAY + day if every_day else np.busday_offset(FIRST_DAY, day)
    seconds = first_s + slot * length_s
    return Clock(
        ts_T=dates.astype("datetime64[us]") + seconds.astype("timedelta64[s]"),
        is_session_start_T=(slot == 0) & (calendar != "crypto"),
        bars_per_year=days_per_year * per_day,
    )


def regimes(num_bars: int, rng: np.random.Generator) -> Float:
    """Return the volatility multiplier ``[T]`` of a calm and a stormy regime that alternate; its mean square is 1.

    Lengths are geometric; the chain starts in either regime with its share of the time.
    """
    calm_share = CALM_BARS / (CALM_BARS + STORMY_BARS)
    stormy = np.sqrt((1 - calm_share * CALM_VOLATILITY**2) / (1 - calm_share))
    is_calm = rng.random() < calm_share
    pieces, total = [], 0
    while total < num_bars:
        length = int(rng.geometric(1 / (CALM_BARS if is_calm else STORMY_BARS)))
        pieces.append(np.full(length, CALM_VOLATILITY if is_calm else stormy))
        total += length
        is_calm = not is_calm
    return np.concatenate(pieces)[:num_bars]


def garch(shocks_T: Float) -> Float:
    """Return the volatility ``[T]`` of a GARCH(1,1) with unit long-run variance, driven by standardised shocks.

    h_t = (1 - alpha - beta) + (alpha * z_{t-1}^2 + beta) * h_{t-1}, h_0 = 1; the volatility is sqrt(h_t).

    Source: Bollerslev, Generalized autoregressive conditional heteroskedasticity, J. Econometrics 31 (1986).
    """
    base = 1 - GARCH_ALPHA - GARCH_BETA
    factors = (GARCH_ALPHA * shocks_T[:-1] ** 2 + GARCH_BETA).tolist()
    return np.sqrt(np.array(list(accumulate(factors, lambda h, factor: base + factor * h, initial=1.0))))


def autoregressive(noise_T: Float, strength: float) -> Float:
    """Return a stationary AR(1) ``[T]`` with unit variance and autocorrelation ``strength``, from unit noise."""
    if strength == 0:
        return noise_T
    scaled = (noise_T[1:] * np.sqrt(1 - strength**2)).tolist()
    start = float(noise_T[0])
    return np.array(list(accumulate(scaled, lambda last, shock: strength * last + shock, initial=start)))


def jumps(shape: tuple[int, ...], rng: np.random.Generator) -> Float:
    """Return rare jumps in units of the bar's volatility, 0 elsewhere."""
    happens = rng.random(shape) < JUMP_PROBABILITY
    return np.where(happens, rng.normal(0.0, JUMP_SIZE, shape), 0.0)


def gap_share(clock: Clock) -> Float:
    """Return the share ``[T]`` of each bar's variance that falls before its open."""
    return np.where(clock.is_session_start_T, GAP_SHARE, CONTINUOUS_GAP_SHARE)


def prices(
    gap_TN: Float, move_TN: Float, sigma_TN: Float, start_price: Float | float, rng: np.random.Generator
) -> tuple[Float, Float, Float, Float]:
    """Return open, high, low, close from log gaps (close to open) and log moves (open to close).

    High and low are the maximum and minimum of a Brownian bridge between open and close:
    max = (o + c + sqrt((c - o)^2 - 2 sigma^2 ln U)) / 2 in logs, so they never lie inside [open, close].

    Args:
        gap_TN, move_TN: Log returns.
        sigma_TN: Standard deviation of the move.
        start_price: Close before the first bar, ``[N]`` or scalar.
        rng: Source of the two uniforms.

    Source: Glasserman, Monte Carlo Methods in Financial Engineering (2003), §6.4 (maximum of a Brownian bridge).
    """
    close = np.log(start_price) + np.cumsum(gap_TN + move_TN, axis=0)
    open_ = close - move_TN
    spreads: Sequence[Float] = [
        np.sqrt(move_TN**2 - 2 * sigma_TN**2 * np.log(1 - rng.random(move_TN.shape))) for _ in range(2)
    ]
    high = (open_ + close + spreads[0]) / 2
    low = (open_ + close - spreads[1]) / 2
    o, c = np.exp(open_), np.exp(close)
    return o, np.maximum(np.exp(high), np.maximum(o, c)), np.minimum(np.exp(low), np.minimum(o, c)), c


def volumes(shocks_TN: Float, level_TN: Float, rng: np.random.Generator, *, mean: float = 1e6) -> Float:
    """Return whole-number volumes that rise with the size of the move and the level of volatility."""
    log_volume = np.log(mean) + 0.3 * np.abs(shocks_TN) + 0.5 * np.log(level_TN) + rng.normal(0.0, 0.3, shocks_TN.shape)
    return np.maximum(np.rint(np.exp(log_volume)), 1.0)
