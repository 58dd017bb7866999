"""Planted leaks: small functions that look ahead, each in a way that occurs in practice.

``LEAKS`` holds one case per leak. A case runs the detector as a user would: features and labels as functions of bars,
normalisers as what they fitted, joins with tables, splits, strategies, prompts. Environments are in
``leak_environments``, because they need torch.

Legend: T bars, N instruments, E events.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from leak_markets import BARS_PER_SESSION, daily, ewm, filled, intraday, sessions, shifted, trailing, weeks

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range, Ranges
from tradewright.evaluate.leak_search import Check, find_leaks
from tradewright.evaluate.leak_split import check_split
from tradewright.evaluate.leak_worlds import Table
from tradewright.evaluate.leaks import check_strategy
from tradewright.market.positions import Positions

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


def _returns(panel: Panel):
    return np.diff(np.log(panel.close_TN), axis=0, prepend=np.log(panel.close_TN[:1]))


@normaliser
def mean_of_all_bars(panel: Panel) -> dict[str, Any]:
    return {"mean": _returns(panel).mean()}


@normaliser
def deviation_of_train_and_validation(panel: Panel) -> dict[str, Any]:
    return {"deviation": _returns(panel)[: TRAIN_STOP + 80].std()}


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
    return {"threshold": np.quantile(_returns(panel)[TRAIN_STOP:], 0.8)}


@normaliser
def gaussian_ranks_of_all(panel: Panel) -> dict[str, Any]:
    rank = (panel.close_TN.argsort(axis=0).argsort(axis=0) + 0.5) / panel.num_bars
    return {"x": np.log(rank / (1 - rank))}


@normaliser
def weekday_means_of_all(panel: Panel) -> dict[str, Any]:
    """Target encoding: each weekday is replaced by its mean return in the whole sample."""
    weekday = panel.ts_T.astype("datetime64[D]").astype(int) % 7
    total, count = np.bincount(weekday, _returns(panel)[:, 0], 7), np.bincount(weekday, minlength=7)
    return {"x": (total / np.maximum(count, 1))[weekday]}


@normaliser
def largest_magnitude_of_all(panel: Panel) -> dict[str, Any]:
    return {"x": (_returns(panel) / np.abs(_returns(panel)).max()).astype(np.float32)}


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


# Resampling --------------------------------------------------------------------------------------------------------


@leaking("resampling", "feature")
def weekly_close_from_monday(panel: Panel) -> dict[str, Any]:
    week = weeks(panel)
    last = np.searchsorted(week, week, side="right") - 1
    return {"x": panel.close_TN[last]}


@leaking("resampling", "feature")
def running_week_not_closed(panel: Panel) -> dict[str, Any]:
    """Buckets labelled by their start and joined on it: the running week's volume is known from its first day."""
    week = weeks(panel)
    total = np.bincount(week - week[0], panel.volume_TN[:, 0])
    return {"x": total[week - week[0]]}


@leaking("resampling", "feature", panel=intraday)
def hourly_bar_joined_on_its_open(panel: Panel) -> dict[str, Any]:
    hour = np.arange(panel.num_bars) // 4
    opens = panel.ts_T[::4]
    closes = panel.close_TN[np.minimum(4 * np.arange(hour[-1] + 1) + 3, panel.num_bars - 1), 0]
    return {"x": closes[np.searchsorted(opens, panel.ts_T, side="right") - 1]}


@leaking("resampling", "feature", panel=intraday)
def half_hour_bar_joined_on_its_open(panel: Panel) -> dict[str, Any]:
    """Two bars per bucket: every second cut falls on a bucket's end, where nothing shows."""
    pair = np.arange(panel.num_bars) // 2 * 2 + 1
    return {"x": panel.high_TN[np.minimum(pair, panel.num_bars - 1)]}


@leaking("resampling", "feature", panel=intraday)
def session_close_at_its_first_bar(panel: Panel) -> dict[str, Any]:
    day = sessions(panel)
    return {"x": panel.close_TN[np.searchsorted(day, day, side="right") - 1]}


@leaking("resampling", "feature", panel=intraday)
def partial_bucket(panel: Panel) -> dict[str, Any]:
    """The bucket at the end of the data is complete as far as the data go, so it changes when they go on."""
    bucket = np.arange(panel.num_bars) // 4
    high = np.maximum.reduceat(panel.high_TN[:, 0], np.flatnonzero(np.diff(bucket, prepend=-1)))
    return {"x": high[bucket]}


@leaking("resampling", "feature", panel=intraday)
def day_joined_one_bar_early(panel: Panel) -> dict[str, Any]:
    """The last session's close, known one bar before that session ends: an off-by-one in the join."""
    day = sessions(panel)
    closes = panel.close_TN[np.searchsorted(day, np.arange(day[-1] + 1), side="right") - 1, 0]
    is_last = np.arange(panel.num_bars) % BARS_PER_SESSION == BARS_PER_SESSION - 2
    known = np.where(is_last, day, day - 1)
    return {"x": np.where(known >= 0, closes[np.maximum(known, 0)], np.nan)}


# Joins -------------------------------------------------------------------------------------------------------------


def joining(*, panel: Callable[[int], Panel] = daily, table: Callable[[Panel], Table]):
    """Register a function of bars and one table, ``events``."""

    def register(compute):
        def find(seed: int) -> Check:
            bars = panel(seed)
            return find_leaks(
                lambda panel, tables: compute(panel, tables["events"]),
                bars,
                kind="feature",
                rng=np.random.default_rng(seed),
                warmup_bars=WARMUP,
                tables={"events": table(bars)},
            )

        LEAKS.append(Case(compute.__name__, "join", find))
        return compute

    return register


def monthly_report(panel: Panel) -> Table:
    """A figure per 20 bars, published eight bars after its period has ended."""
    ends = np.arange(19, panel.num_bars - 8, 20)
    rng = np.random.default_rng(len(ends))
    return Table(
        known_at_E=panel.known_at_T[ends + 8],
        values={"period_end": panel.known_at_T[ends], "surprise": rng.normal(size=len(ends)).cumsum()},
    )


def news(panel: Panel) -> Table:
    """About one headline per session, in its second half."""
    rows = np.arange(0, panel.num_bars, BARS_PER_SESSION) + BARS_PER_SESSION // 2
    rng = np.random.default_rng(len(rows))
    return Table(known_at_E=panel.known_at_T[rows], values={"tone": rng.normal(size=len(rows))})


def _taken(table: Table, name: str, at) -> Any:
    column = table.values[name]
    if not len(column):
        return np.full(len(at), np.nan)
    return np.where((at >= 0) & (at < len(column)), column[np.clip(at, 0, len(column) - 1)], np.nan)


@joining(table=monthly_report)
def as_of_in_forward_direction(panel: Panel, events: Table) -> dict[str, Any]:
    return {"x": _taken(events, "surprise", np.searchsorted(events.known_at_E, panel.known_at_T, side="left"))}


@joining(table=monthly_report)
def nearest_row(panel: Panel, events: Table) -> dict[str, Any]:
    gap = np.abs(panel.known_at_T[:, None] - events.known_at_E[None, :]).astype(float)
    return {"x": _taken(events, "surprise", gap.argmin(axis=1) if gap.shape[1] else np.zeros(len(gap), dtype=int))}


@joining(table=monthly_report)
def joined_on_the_period_not_its_publication(panel: Panel, events: Table) -> dict[str, Any]:
    return {
        "x": _taken(events, "surprise", np.searchsorted(events.values["period_end"], panel.known_at_T, "right") - 1)
    }


@joining(panel=intraday, table=news)
def joined_on_the_date_without_the_time(panel: Panel, events: Table) -> dict[str, Any]:
    dates = events.known_at_E.astype("datetime64[D]")
    return {"x": _taken(events, "tone", np.searchsorted(dates, panel.ts_T.astype("datetime64[D]"), "right") - 1)}


@joining(panel=intraday, table=news)
def number_of_news_of_the_day(panel: Panel, events: Table) -> dict[str, Any]:
    dates, day = events.known_at_E.astype("datetime64[D]"), panel.ts_T.astype("datetime64[D]")
    return {"x": np.searchsorted(dates, day, "right") - np.searchsorted(dates, day, "left")}


@joining(table=monthly_report)
def normalised_over_the_whole_table(panel: Panel, events: Table) -> dict[str, Any]:
    values = events.values["surprise"]
    known = np.searchsorted(events.known_at_E, panel.known_at_T, side="right") - 1
    return {
        "x": (_taken(events, "surprise", known) - values.mean()) / (values.std() or 1.0) if len(values) else known * 0.0
    }


@leaking("join", "feature", panel=several)
def universe_by_volume_of_all_bars(panel: Panel) -> dict[str, Any]:
    """Survivorship: membership is decided by who trades most in the end."""
    member = panel.volume_TN[-60:].mean(axis=0).argsort()[-2:]
    return {"x": np.isin(np.arange(5), member) * panel.close_TN}


@leaking("join", "feature", panel=gappy)
def universe_of_survivors(panel: Panel) -> dict[str, Any]:
    alive = panel.tradable_TN[-1]
    return {"x": np.where(alive, np.nan_to_num(panel.close_TN), 0.0).sum(axis=1)}


@leaking("join", "feature", panel=several)
def index_by_final_weights(panel: Panel) -> dict[str, Any]:
    weight = panel.close_TN[-1] * panel.volume_TN[-20:].mean(axis=0)
    return {"x": _returns(panel) @ (weight / weight.sum())}


@leaking("join", "feature", panel=several)
def ranked_among_later_prices(panel: Panel) -> dict[str, Any]:
    return {"x": shifted(panel.close_TN / shifted(panel.close_TN, 5), -1).argsort(axis=1).argsort(axis=1)}


# Splits ------------------------------------------------------------------------------------------------------------


def splitting(make):
    """Register a function that returns the arguments of ``check_split``."""

    def find(seed: int) -> Check:
        panel = daily(seed)
        ranges, settings = make(panel, np.random.default_rng(seed))
        return check_split(ranges, panel.ts_T, **settings)

    LEAKS.append(Case(make.__name__, "split", find))
    return make


@splitting
def shuffled_split(panel: Panel, rng: np.random.Generator):
    order = rng.permutation(panel.num_bars)
    return {"train": np.sort(order[:300]), "test": np.sort(order[300:])}, {}


@splitting
def missing_embargo(panel: Panel, rng: np.random.Generator):
    return Ranges(train=Range(0, 250), validation=Range(250, 330), test=Range(335, 420)), {"embargo_bars": 5}


@splitting
def overlapping_ranges(panel: Panel, rng: np.random.Generator):
    return Ranges(train=Range(0, 300), validation=Range(290, 340), test=Range(345, 420)), {}


@splitting
def labels_that_reach_over_the_boundary(panel: Panel, rng: np.random.Generator):
    ranges = Ranges(train=Range(0, 250), validation=Range(252, 330), test=Range(335, 420))
    return ranges, {"embargo_bars": 2, "reach_bars": 5}


@splitting
def tested_before_trained(panel: Panel, rng: np.random.Generator):
    return {"train": Range(120, 420), "test": Range(0, 110)}, {}


@splitting
def folds_without_purge(panel: Panel, rng: np.random.Generator):
    ranges = Ranges(
        train=Range(0, 420),
        validation=Range(350, 410),
        test=Range(100, 200),
        train_parts=(Range(0, 98), Range(210, 340)),
    )
    return ranges, {"reach_bars": 5, "in_order": False}


@splitting
def folds_without_embargo(panel: Panel, rng: np.random.Generator):
    return {"train": (Range(0, 90), Range(200, 420)), "test": Range(100, 200)}, {"embargo_bars": 5, "in_order": False}


# Strategies --------------------------------------------------------------------------------------------------------


class Rule:
    """A strategy made of a function that returns positions for all bars."""

    def __init__(self, decide) -> None:
        self.name = decide.__name__
        self._decide = decide

    def decide(self, panel: Panel, features, rows: Range) -> Positions:
        columns = self._decide(panel.slice(0, panel.num_bars))
        columns = columns if isinstance(columns, dict) else {"weights_TN": columns}
        return Positions(**{name: np.asarray(x, dtype=float)[rows.start : rows.stop] for name, x in columns.items()})


def deciding(*, panel: Callable[[int], Panel] = daily):
    """Register a function of bars that returns weights, or the columns of ``Positions``, for all bars."""

    def register(decide):
        def find(seed: int) -> Check:
            bars = panel(seed)
            return check_strategy(Rule(decide), bars, Range(TRAIN_STOP, bars.num_bars), seed=seed)

        LEAKS.append(Case(decide.__name__, "strategy", find))
        return decide

    return register


def orders(target):
    """Return NaN (no order) where the target is as before."""
    out = np.asarray(target, dtype=float).copy()
    out[1:][target[1:] == target[:-1]] = np.nan
    return out


@deciding()
def peeks_at_the_next_close(panel: Panel):
    return np.where(shifted(panel.close_TN, -1) > panel.close_TN, 1.0, 0.0)


@deciding()
def fills_in_the_bar_of_its_signal(panel: Panel):
    """Moved one bar up so that the fill comes at the open of the bar whose close gave the signal."""
    signal = np.where(panel.close_TN > trailing(panel.close_TN, 10, np.mean), 1.0, 0.0)
    return orders(np.vstack([signal[1:], signal[-1:]]))


@deciding()
def threshold_of_all_rows(panel: Panel):
    """Buys dips; how deep they must be is chosen by the profit over all bars."""
    returns, ahead = _returns(panel), np.nan_to_num(shifted(_returns(panel), -1))
    best = max(np.linspace(0.0, 0.02, 9), key=lambda level: (ahead * (returns < -level)).sum())
    return np.where(returns < -best, 1.0, 0.0)


@deciding()
def best_window_of_all_rows(panel: Panel):
    close, ahead = panel.close_TN, np.nan_to_num(shifted(_returns(panel), -1))
    signals = [np.where(close > trailing(close, window, np.mean), 1.0, 0.0) for window in (3, 5, 8, 13, 21, 34)]
    return orders(max(signals, key=lambda signal: (signal * ahead).sum()))


@deciding()
def oversold_by_global_quantile(panel: Panel):
    returns = _returns(panel)
    return orders(np.where(returns < np.quantile(returns, 0.05), 1.0, 0.0))


@deciding()
def leaves_before_the_crash(panel: Panel):
    """Always invested, except on the rare day before a fall of more than 2.5 %."""
    falls = shifted(_returns(panel), -1) < -0.025
    return orders(np.where(falls, 0.0, 1.0))


@deciding()
def skips_losing_entries(panel: Panel):
    """A crossing rule whose entries are dropped when the next bar falls."""
    signal = np.where(panel.close_TN > trailing(panel.close_TN, 20, np.mean), 1.0, 0.0)
    entry = (signal > 0) & (shifted(signal, 1) == 0)
    return orders(np.where(entry & (shifted(_returns(panel), -1) < 0), 0.0, signal))


@deciding()
def stop_below_the_coming_low(panel: Panel):
    coming = shifted(trailing(panel.low_TN, 10, np.min), -10)
    distance = np.where(np.isfinite(coming), 1 - coming / panel.close_TN + 0.001, 0.05)
    return {"weights_TN": np.ones(panel.close_TN.shape), "stop_loss_TN": np.maximum(distance, 0.001)}


@deciding()
def limit_at_the_coming_low(panel: Panel):
    low = np.vstack([panel.low_TN[1:], panel.low_TN[-1:] * 0.99])
    return {"weights_TN": np.ones(panel.close_TN.shape), "limit_TN": low}


@deciding()
def sells_on_the_last_bar_of_the_data(panel: Panel):
    weights = np.full(panel.close_TN.shape, np.nan)
    weights[0], weights[-1] = 1.0, 0.0
    return weights


@deciding(panel=several)
def buys_the_winner_of_next_week(panel: Panel):
    gain = shifted(panel.close_TN, -5) / panel.close_TN
    return np.where(gain == np.nanmax(np.nan_to_num(gain), axis=1, keepdims=True), 1.0, 0.0)


@deciding()
def sized_by_full_sample_volatility(panel: Panel):
    signal = np.where(panel.close_TN > trailing(panel.close_TN, 20, np.mean), 1.0, 0.0)
    return orders(signal * 0.01 / _returns(panel).std())


# Prompts -----------------------------------------------------------------------------------------------------------

prompt = leaking("prompt", "prompt")


@prompt
def tomorrow_in_the_text(panel: Panel) -> dict[str, Any]:
    close = panel.close_TN[:, 0]
    later = np.append(close[1:], np.nan)
    return {"prompt": [f"Close {a:.2f}. Tomorrow it was {b:.2f}. Buy?" for a, b in zip(close, later, strict=True)]}


@prompt
def outcome_of_the_episode_in_the_text(panel: Panel) -> dict[str, Any]:
    close = panel.close_TN[:, 0]
    total = close[-1] / close[0] - 1
    return {"prompt": [f"In a period that returned {total:+.1%}, the price is {x:.2f}. Decide." for x in close]}


@prompt
def one_word_of_the_future(panel: Panel) -> dict[str, Any]:
    close = panel.close_TN[:, 0]
    mood = np.where(np.append(close[1:] > close[:-1], False), "calm", "tense")
    return {"prompt": [f"Price {x:.2f}, mood {word}." for x, word in zip(close, mood, strict=True)]}


@prompt
def examples_from_later_days(panel: Panel) -> dict[str, Any]:
    """Few-shot: the day most like today, of all days, with what followed."""
    returns = _returns(panel)[:, 0]
    gap = np.abs(returns[:, None] - returns[None, :-1])
    np.fill_diagonal(gap, np.inf)
    like = gap.argmin(axis=1)
    return {
        "prompt": [
            f"After {returns[s]:+.4f} came {returns[s + 1]:+.4f}. Today: {x:+.4f}."
            for s, x in zip(like, returns, strict=True)
        ]
    }


@leaking("prompt", "prompt", panel=intraday)
def summary_of_the_running_session(panel: Panel) -> dict[str, Any]:
    day = sessions(panel)
    high = [panel.high_TN[day == d].max() for d in range(day[-1] + 1)]
    return {
        "prompt": [f"Session high {high[d]:.1f}, last {x:.1f}" for d, x in zip(day, panel.close_TN[:, 0], strict=True)]
    }
