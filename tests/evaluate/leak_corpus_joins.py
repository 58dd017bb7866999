"""Planted leaks of time: longer timeframes, joins, universes and splits. See ``leak_corpus``.

Legend: T bars, N instruments, E events.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from leak_corpus import LEAKS, WARMUP, Case, gappy, leaking, log_returns, several
from leak_markets import BARS_PER_SESSION, daily, intraday, sessions, shifted, weeks

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range, Ranges
from tradewright.evaluate.leak_search import Check, find_leaks
from tradewright.evaluate.leak_split import check_split
from tradewright.evaluate.leak_worlds import Table

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
    return {"x": log_returns(panel) @ (weight / weight.sum())}


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
