"""Planted leaks: small functions that look ahead, each in a way that occurs in practice.

``LEAKS`` holds one case per leak, filled by this module (features, normalisers, labels), ``leak_corpus_joins``
(timeframes, joins, splits) and ``leak_corpus_decisions`` (strategies, prompts). A case runs the detector as a user
would. Environments are in ``leak_environments``, because they need torch.

Legend: T bars, N instruments, E events.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from leak_markets import daily, ewm, filled, intraday, sessions, shifted, trailing

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.evaluate.leak_search import Check, find_leaks

WARMUP = 30
TRAIN_STOP = 250


@dataclass(frozen=True)
class Case:
    """One planted leak and how it is looked for."""

    name: str
    family: str
    find: Callable[[int], Check]


LEAKS: list[Case] = []


def leaking(family: str, kind: str, *, panel: Callable[[int], Panel] = daily, reach: int = 0, fitted: bool = False):
    """Register a function of bars. ``fitted``: its result may depend on bars before ``TRAIN_STOP`` only."""

    def register(compute):
        def find(seed: int) -> Check:
            bars = panel(seed)
            rows = Range(TRAIN_STOP - 1, bars.num_bars - 1) if fitted else None
            return find_leaks(
                compute,
                bars,
                kind=kind,
                rng=np.random.default_rng(seed),
                warmup_bars=WARMUP,
                reach_bars=reach,
                rows=rows,
            )

        LEAKS.append(Case(compute.__name__, family, find))
        return compute

    return register


def several(seed: int) -> Panel:
    return daily(seed, num_symbols=5)


def gappy(seed: int) -> Panel:
    return daily(seed, num_symbols=5, gaps=True)


feature = leaking("feature", "feature")
feature_of_several = leaking("feature", "feature", panel=several)
feature_of_gappy = leaking("feature", "feature", panel=gappy)
feature_intraday = leaking("feature", "feature", panel=intraday)


# Features ----------------------------------------------------------------------------------------------------------


@feature
def next_return(panel: Panel) -> dict[str, Any]:
    return {"x": shifted(np.log(panel.close_TN), -1) - np.log(panel.close_TN)}


@feature
def centred_mean(panel: Panel) -> dict[str, Any]:
    return {"x": shifted(trailing(panel.close_TN, 5, np.mean), -2)}


@feature
def half_window_shift(panel: Panel) -> dict[str, Any]:
    return {"x": panel.close_TN - shifted(trailing(panel.close_TN, 21, np.mean), -10)}


@feature_of_gappy
def gaps_filled_from_the_future(panel: Panel) -> dict[str, Any]:
    return {"x": filled(panel.close_TN[::-1])[::-1]}


@feature_of_gappy
def gaps_interpolated(panel: Panel) -> dict[str, Any]:
    out = panel.close_TN.copy()
    rows = np.arange(len(out))
    for n in range(out.shape[1]):
        has = panel.tradable_TN[:, n]
        out[:, n] = np.interp(rows, rows[has], out[has, n]) if has.any() else np.nan
    return {"x": out}


@feature
def swing_high_at_its_own_bar(panel: Panel) -> dict[str, Any]:
    """A pivot is known only two bars later."""
    high = panel.high_TN
    later = [shifted(high, -1), shifted(high, -2)]
    return {"x": (high > shifted(high, 1)) & (high > shifted(high, 2)) & (high > later[0]) & (high > later[1])}


@feature
def zigzag(panel: Panel) -> dict[str, Any]:
    """Marks the extreme of a leg, once a reversal of 4 % has confirmed it, at the extreme itself."""
    close = panel.close_TN[:, 0]
    marks, extreme, side = np.zeros(len(close)), 0, 1
    for t, price in enumerate(close):
        if side * (price - close[extreme]) > 0:
            extreme = t
        elif side * (price / close[extreme] - 1) < -0.04:
            marks[extreme], extreme, side = side, t, -side
    return {"x": marks}


@feature
def full_sample_z_score(panel: Panel) -> dict[str, Any]:
    close = panel.close_TN
    return {"x": (close - close.mean(axis=0)) / close.std(axis=0)}


@feature
def above_global_quantile(panel: Panel) -> dict[str, Any]:
    return {"x": panel.volume_TN > np.quantile(panel.volume_TN, 0.9, axis=0)}


@feature
def global_rank(panel: Panel) -> dict[str, Any]:
    return {"x": panel.close_TN.argsort(axis=0).argsort(axis=0) / panel.num_bars}


@feature
def global_min_max(panel: Panel) -> dict[str, Any]:
    close = panel.close_TN
    return {"x": (close - close.min(axis=0)) / np.ptp(close, axis=0)}


@feature
def global_winsorising(panel: Panel) -> dict[str, Any]:
    returns = np.diff(np.log(panel.close_TN), axis=0, prepend=np.nan)
    return {"x": np.clip(returns, *np.nanquantile(returns, [0.02, 0.98], axis=0))}


@feature
def relative_to_median_volume(panel: Panel) -> dict[str, Any]:
    return {"x": panel.volume_TN / np.median(panel.volume_TN, axis=0)}


@feature
def relative_to_last_price(panel: Panel) -> dict[str, Any]:
    return {"x": panel.close_TN / panel.close_TN[-1]}


@feature
def symmetric_smoothing(panel: Panel) -> dict[str, Any]:
    """Savitzky-Golay: quadratic over five points, evaluated in the middle."""
    weights = np.array([-3, 12, 17, 12, -3]) / 35
    return {"x": np.convolve(panel.close_TN[:, 0], weights, mode="same")}


@feature
def gaussian_kernel(panel: Panel) -> dict[str, Any]:
    rows = np.arange(panel.num_bars)
    weights = np.exp(-0.5 * ((rows[:, None] - rows) / 3.0) ** 2)
    return {"x": weights @ panel.close_TN / weights.sum(axis=1, keepdims=True)}


@feature
def forward_and_backward_filter(panel: Panel) -> dict[str, Any]:
    return {"x": ewm(ewm(panel.close_TN, 0.2)[::-1], 0.2)[::-1]}


@feature
def spectral_low_pass(panel: Panel) -> dict[str, Any]:
    spectrum = np.fft.rfft(panel.close_TN, axis=0)
    spectrum[len(spectrum) // 8 :] = 0
    return {"x": np.fft.irfft(spectrum, n=panel.num_bars, axis=0)}


@feature
def full_sample_trend_removed(panel: Panel) -> dict[str, Any]:
    rows = np.arange(panel.num_bars)
    log = np.log(panel.close_TN[:, 0])
    return {"x": log - np.polyval(np.polyfit(rows, log, 1), rows)}


@feature
def true_range_with_next_high(panel: Panel) -> dict[str, Any]:
    spread = np.maximum(panel.high_TN, shifted(panel.high_TN, -1)) - panel.low_TN
    return {"atr": trailing(spread, 14, np.mean)}


@feature
def largest_gain_ahead(panel: Panel) -> dict[str, Any]:
    ahead = np.maximum.accumulate(panel.high_TN[::-1], axis=0)[::-1]
    return {"x": ahead / panel.close_TN - 1}


@feature
def rolled_backward(panel: Panel) -> dict[str, Any]:
    """np.roll wraps around: only the last bar of the data is spared."""
    return {"x": np.roll(panel.close_TN, -1, axis=0) > panel.close_TN}


@feature
def rolled_forward(panel: Panel) -> dict[str, Any]:
    """The lag that is right everywhere but in the first row, which holds the last price."""
    return {"x": np.roll(panel.close_TN, 1, axis=0)}


@feature
def rising_next_day(panel: Panel) -> dict[str, Any]:
    close = panel.close_TN
    return {"x": np.vstack([close[1:] > close[:-1], np.zeros((1, close.shape[1]), dtype=bool)])}


@feature
def rare_warning(panel: Panel) -> dict[str, Any]:
    """A flag at one bar in twenty: quiet volume before a large move."""
    move = np.abs(shifted(np.log(panel.close_TN), -1) - np.log(panel.close_TN))
    quiet = panel.volume_TN < trailing(panel.volume_TN, 20, np.median)
    return {"x": np.where(quiet & (move > 0.018), 1.0, 0.0)}


@feature_of_several
def full_sample_factor(panel: Panel) -> dict[str, Any]:
    returns = np.diff(np.log(panel.close_TN), axis=0, prepend=np.log(panel.close_TN[:1]))
    first = np.linalg.svd(returns - returns.mean(axis=0), full_matrices=False)[2][0]
    return {"x": returns @ (first * np.sign(first.sum()))}


@feature_of_several
def correlation_over_all_bars(panel: Panel) -> dict[str, Any]:
    returns = np.diff(np.log(panel.close_TN), axis=0, prepend=np.log(panel.close_TN[:1]))
    return {"x": returns * np.corrcoef(returns.T)[0]}


@feature_intraday
def high_of_the_day_at_the_open(panel: Panel) -> dict[str, Any]:
    by_day = panel.high_TN[:, 0].copy()
    for day in range(sessions(panel)[-1] + 1):
        by_day[sessions(panel) == day] = panel.high_TN[sessions(panel) == day].max()
    return {"x": by_day}


@feature_intraday
def average_price_of_the_whole_session(panel: Panel) -> dict[str, Any]:
    day = sessions(panel)
    money, volume = (np.bincount(day, x[:, 0]) for x in (panel.close_TN * panel.volume_TN, panel.volume_TN))
    return {"x": (money / volume)[day]}


@feature_intraday
def bars_left_in_the_session(panel: Panel) -> dict[str, Any]:
    """Counted from the data: a session that was cut short is known at its open."""
    day = sessions(panel)
    count = np.bincount(day)[day]
    place = np.arange(len(day)) - np.searchsorted(day, day)
    return {"x": count - place}


@leaking("feature", "feature", panel=gappy)
def next_gap_known(panel: Panel) -> dict[str, Any]:
    """A bar that will be missing (a halt, a delisting) is known on the day before."""
    missing = ~panel.tradable_TN
    return {"x": np.vstack([missing[1:], np.zeros((1, missing.shape[1]), dtype=bool)])}


# Normalisers -------------------------------------------------------------------------------------------------------

normaliser = leaking("normaliser", "scaler", fitted=True)
normaliser_of_several = leaking("normaliser", "scaler", panel=several, fitted=True)


def log_returns(panel: Panel):
    return np.diff(np.log(panel.close_TN), axis=0, prepend=np.log(panel.close_TN[:1]))


@normaliser
def mean_of_all_bars(panel: Panel) -> dict[str, Any]:
    return {"mean": log_returns(panel).mean()}


@normaliser
def deviation_of_train_and_validation(panel: Panel) -> dict[str, Any]:
    return {"deviation": log_returns(panel)[: TRAIN_STOP + 80].std()}


@normaliser
def smallest_and_largest_of_all(panel: Panel) -> dict[str, Any]:
    return {"low": panel.close_TN.min(), "high": panel.close_TN.max()}


@normaliser_of_several
def mean_per_symbol_of_all_bars(panel: Panel) -> dict[str, Any]:
    return {"x": panel.close_TN - panel.close_TN.mean(axis=0)}


@normaliser
def median_and_range_of_all(panel: Panel) -> dict[str, Any]:
    low, middle, high = np.quantile(panel.volume_TN, [0.25, 0.5, 0.75])
    return {"x": (panel.volume_TN - middle) / (high - low)}


@normaliser
def threshold_fitted_on_the_test_range(panel: Panel) -> dict[str, Any]:
    return {"threshold": np.quantile(log_returns(panel)[TRAIN_STOP:], 0.8)}


@normaliser
def gaussian_ranks_of_all(panel: Panel) -> dict[str, Any]:
    rank = (panel.close_TN.argsort(axis=0).argsort(axis=0) + 0.5) / panel.num_bars
    return {"x": np.log(rank / (1 - rank))}


@normaliser
def weekday_means_of_all(panel: Panel) -> dict[str, Any]:
    """Target encoding: each weekday is replaced by its mean return in the whole sample."""
    weekday = panel.ts_T.astype("datetime64[D]").astype(int) % 7
    total, count = np.bincount(weekday, log_returns(panel)[:, 0], 7), np.bincount(weekday, minlength=7)
    return {"x": (total / np.maximum(count, 1))[weekday]}


@normaliser
def largest_magnitude_of_all(panel: Panel) -> dict[str, Any]:
    return {"x": (log_returns(panel) / np.abs(log_returns(panel)).max()).astype(np.float32)}


# Labels ------------------------------------------------------------------------------------------------------------


@leaking("label", "feature")
def label_as_feature(panel: Panel) -> dict[str, Any]:
    return {
        "sma": trailing(panel.close_TN, 5, np.mean),
        "direction": np.sign(shifted(panel.close_TN, -1) - panel.close_TN),
    }


@leaking("label", "target", reach=3)
def reach_of_five_declared_as_three(panel: Panel) -> dict[str, Any]:
    return {"y": shifted(panel.close_TN, -5) / panel.close_TN - 1}


@leaking("label", "target", reach=4)
def reach_of_five_declared_as_four(panel: Panel) -> dict[str, Any]:
    return {"y": np.sign(shifted(panel.close_TN, -5) - panel.close_TN)}


@leaking("label", "target", reach=10)
def barriers_without_horizon(panel: Panel) -> dict[str, Any]:
    """Which of two barriers is touched first, however long it takes."""
    close = panel.close_TN[:, 0]
    label = np.zeros(len(close))
    for t, price in enumerate(close):
        touched = np.flatnonzero(np.abs(close[t + 1 :] / price - 1) > 0.06)
        label[t] = np.sign(close[t + 1 + touched[0]] - price) if len(touched) else 0.0
    return {"y": label}


@leaking("label", "target", reach=5)
def label_scaled_by_all_bars(panel: Panel) -> dict[str, Any]:
    ahead = shifted(np.log(panel.close_TN), -5) - np.log(panel.close_TN)
    return {"y": ahead / np.nanstd(ahead)}


@leaking("label", "target", reach=1)
def classes_balanced_over_all_bars(panel: Panel) -> dict[str, Any]:
    ahead = shifted(np.log(panel.close_TN), -1) - np.log(panel.close_TN)
    return {"y": np.digitize(ahead, np.nanquantile(ahead, [1 / 3, 2 / 3]))}
