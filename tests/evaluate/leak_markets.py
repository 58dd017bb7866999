"""Panels for the leak corpora: daily and intraday, one and several instruments, with late listings and delistings.

Legend: T bars, N instruments.
"""

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.market.instrument import Instrument

Float = npt.NDArray[np.float64]

BARS_PER_SESSION = 16


def daily(seed: int, num_bars: int = 420, num_symbols: int = 1, *, gaps: bool = False) -> Panel:
    """Return weekday bars; with ``gaps`` some bars are missing, one symbol is listed late and one delisted."""
    days = np.arange(np.datetime64("2001-01-01"), np.datetime64("2001-01-01") + 2 * num_bars)
    ts_T = days[np.is_busday(days)][:num_bars].astype("datetime64[us]")
    return _panel(ts_T, 86_400, num_symbols, seed, gaps=gaps)


def intraday(seed: int, num_sessions: int = 25, num_symbols: int = 1) -> Panel:
    """Return sessions of sixteen quarter-hours from 14:30 on weekdays."""
    days = np.arange(np.datetime64("2001-01-01"), np.datetime64("2001-01-01") + 2 * num_sessions)
    opens = days[np.is_busday(days)][:num_sessions].astype("datetime64[us]") + np.timedelta64(870, "m")
    ts_T = (opens[:, None] + np.arange(BARS_PER_SESSION) * np.timedelta64(15, "m")).ravel()
    return _panel(ts_T, 900, num_symbols, seed, gaps=False)


def _panel(ts_T: npt.NDArray[np.datetime64], length_s: int, num_symbols: int, seed: int, *, gaps: bool) -> Panel:
    rng = np.random.default_rng([seed, len(ts_T), num_symbols])
    shape = (len(ts_T), num_symbols)
    close = 50.0 * np.exp(np.cumsum(rng.normal(0.0, 0.012, shape), axis=0) + rng.normal(0.0, 0.5, num_symbols))
    open_ = np.vstack([close[:1], close[:-1]]) * np.exp(rng.normal(0.0, 0.004, shape))
    high = np.maximum(open_, close) * np.exp(np.abs(rng.normal(0.0, 0.004, shape)))
    low = np.minimum(open_, close) * np.exp(-np.abs(rng.normal(0.0, 0.004, shape)))
    exists = np.ones(shape, dtype=bool)
    if gaps:
        exists = rng.random(shape) > 0.08
        exists[:60, 0] = False
        exists[-80:, -1] = False
        exists[~exists.any(axis=1), num_symbols // 2] = True
    prices = {
        f"{name}_TN": np.where(exists, x, np.nan) for name, x in zip(NAMES, (open_, high, low, close), strict=True)
    }
    return Panel(
        dataset="corpus",
        instruments=tuple(Instrument(symbol=f"S{n}") for n in range(num_symbols)),
        timeframe_s=length_s,
        ts_T=ts_T,
        known_at_T=ts_T + np.timedelta64(length_s, "s"),
        volume_TN=np.where(exists, np.rint(rng.lognormal(10.0, 0.4, shape)), 0.0),
        tradable_TN=exists,
        fingerprint=f"corpus-{seed}-{shape}-{gaps}",
        is_synthetic=True,
        **prices,
    )


NAMES = ("open", "high", "low", "close")


def sessions(panel: Panel) -> npt.NDArray[np.int64]:
    """Return the number of each bar's session."""
    return np.unique(panel.ts_T.astype("datetime64[D]"), return_inverse=True)[1]


def weeks(panel: Panel) -> npt.NDArray[np.int64]:
    """Return the number of each bar's week, Monday to Sunday."""
    return (panel.ts_T.astype("datetime64[D]").astype(int) + 3) // 7


def filled(x_TN: Float) -> Float:
    """Return x with gaps filled by the last value; leading gaps stay."""
    rows_TN = np.maximum.accumulate(np.where(np.isnan(x_TN), 0, np.arange(len(x_TN))[:, None]), axis=0)
    return np.take_along_axis(x_TN, rows_TN, axis=0)


def shifted(x_TN: Float, bars: int) -> Float:
    """Return x ``bars`` rows earlier (> 0) or later (< 0: the future); NaN at the end that is unknown."""
    out_TN = np.full(x_TN.shape, np.nan)
    if bars >= 0:
        out_TN[bars:] = x_TN[: max(len(x_TN) - bars, 0)]
    else:
        out_TN[:bars] = x_TN[-bars:]
    return out_TN


def ewm(x_TN: Float, alpha: float) -> Float:
    """Return the recursive average that starts at the first value; gaps keep it."""
    out_TN = np.empty(x_TN.shape)
    last_N = np.full(x_TN.shape[1], np.nan)
    for t, x_N in enumerate(x_TN):
        started_N = np.where(np.isnan(last_N), x_N, last_N + alpha * (x_N - last_N))
        last_N = np.where(np.isnan(x_N), last_N, started_N)
        out_TN[t] = last_N
    return out_TN


def trailing(x_TN: Float, window: int, reduce) -> Float:
    """Return ``reduce`` over the last ``window`` rows; NaN before there are that many."""
    out_TN = np.full(x_TN.shape, np.nan)
    if len(x_TN) >= window:
        windows = np.lib.stride_tricks.sliding_window_view(x_TN, window, axis=0)
        out_TN[window - 1 :] = reduce(windows, axis=-1)
    return out_TN
