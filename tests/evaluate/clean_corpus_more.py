"""More functions that use no later bar: instruments, sessions, joins, labels, fits, splits, rules, prompts, and all
features and rules that ship. See ``clean_corpus``.

Legend: T bars, N instruments, E events.
"""

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
from clean_corpus import CLEAN, MARKETS, add, log_returns
from leak_corpus import TRAIN_STOP, WARMUP
from leak_corpus_decisions import Rule, orders
from leak_corpus_joins import monthly_report, news
from leak_markets import daily, ewm, filled, intraday, sessions, shifted, trailing, weeks
from omegaconf import OmegaConf

from swap_cases import random_swap_panel
from tradewright import paths
from tradewright.config.build import build
from tradewright.config.locate import class_attribute
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range, Ranges
from tradewright.data.resample import align, resample
from tradewright.data.split import Split
from tradewright.evaluate.leak_search import Check, find_leaks
from tradewright.evaluate.leak_split import check_split
from tradewright.evaluate.leak_worlds import Table
from tradewright.evaluate.leaks import check_features, check_strategy
from tradewright.features.onchain import Onchain
from tradewright.features.price_volume import PriceVolume
from tradewright.features.technical58 import Technical58
from tradewright.strategy.momentum import Momentum
from tradewright.strategy.sma_cross import SmaCross

# Several instruments, sessions, longer timeframes ---------------------------------------------------------------------


def momentum_rank(panel: Panel):
    gain = filled(panel.close_TN) / shifted(filled(panel.close_TN), 10)
    return {"x": np.where(np.isnan(gain), -1, np.nan_to_num(gain, nan=-np.inf).argsort(axis=1).argsort(axis=1))}


def beta_to_the_mean(panel: Panel):
    returns = np.nan_to_num(log_returns(panel))
    market = returns.mean(axis=1, keepdims=True)
    return {"x": trailing(returns * market, 30, np.mean) / np.maximum(trailing(market**2, 30, np.mean), 1e-12)}


def members_by_past_volume(panel: Panel):
    past = trailing(panel.volume_TN, 20, np.mean)
    return {"x": np.nan_to_num(past).argsort(axis=1).argsort(axis=1) >= 3}


def number_of_instruments(panel: Panel):
    return {"x": panel.tradable_TN.sum(axis=1)}


def bars_since_listing(panel: Panel):
    return {"x": np.cumsum(panel.tradable_TN, axis=0)}


def staleness(panel: Panel):
    rows = np.arange(panel.num_bars)[:, None]
    return {"x": rows - np.maximum.accumulate(np.where(panel.tradable_TN, rows, -1), axis=0)}


def spread_of_a_pair(panel: Panel):
    close = filled(panel.close_TN)
    return {"x": np.log(close[:, 0] / close[:, 1])}


for compute_, market_ in product((momentum_rank, beta_to_the_mean, members_by_past_volume), ("several", "gappy")):
    add(compute_.__name__, compute_, market_)
for compute_ in (number_of_instruments, bars_since_listing, staleness, spread_of_a_pair):
    add(compute_.__name__, compute_, "gappy")


def session_high_so_far(panel: Panel):
    day = sessions(panel)
    return {"x": np.concatenate([np.maximum.accumulate(panel.high_TN[day == d]) for d in range(day[-1] + 1)])}


def session_vwap_so_far(panel: Panel):
    day = sessions(panel)
    start = np.searchsorted(day, day)
    money, volume = (np.cumsum(x[:, 0]) for x in (panel.close_TN * panel.volume_TN, panel.volume_TN))
    before = np.where(start > 0, start - 1, 0)
    return {
        "x": (money - np.where(start > 0, money[before], 0.0)) / (volume - np.where(start > 0, volume[before], 0.0)),
    }


def last_session_close(panel: Panel):
    day = sessions(panel)
    start = np.searchsorted(day, day)
    return {"x": np.where(start > 0, panel.close_TN[start - 1, 0], np.nan)}


def bar_of_the_session(panel: Panel):
    return {"x": np.arange(panel.num_bars) - np.searchsorted(sessions(panel), sessions(panel))}


def opening_range_breakout(panel: Panel):
    day = sessions(panel)
    start = np.searchsorted(day, day)
    first_hour = np.array([panel.high_TN[s : s + 4].max() for s in start])
    is_over = np.arange(panel.num_bars) - start >= 4
    return {"x": is_over & (panel.close_TN[:, 0] > first_hour)}


for compute_ in (
    session_high_so_far,
    session_vwap_so_far,
    last_session_close,
    bar_of_the_session,
    opening_range_breakout,
):
    add(compute_.__name__, compute_, "intraday")


def short_intraday(seed: int) -> Panel:
    return intraday(seed, num_sessions=8)


def closed_hourly_bar(panel: Panel):
    hourly = resample(panel, "1h")
    at = align(panel, hourly)
    return {"x": np.where((at >= 0)[:, None], hourly.close_TN[np.maximum(at, 0)], np.nan)}


def closed_week(panel: Panel):
    """The close of the last week that is over; the running week is left out."""
    week = weeks(panel)
    start = np.searchsorted(week, week)
    return {"x": np.where(start > 0, panel.close_TN[start - 1, 0], np.nan)}


def running_week_so_far(panel: Panel):
    week = weeks(panel)
    start = np.searchsorted(week, week)
    total = np.cumsum(panel.volume_TN[:, 0])
    return {"x": total - np.where(start > 0, total[start - 1], 0.0), "open": panel.open_TN[start]}


MARKETS["short_intraday"] = short_intraday
add("closed_hourly_bar", closed_hourly_bar, "short_intraday", max_events=0)
add("closed_week", closed_week)
add("running_week_so_far", running_week_so_far)


# Joins ----------------------------------------------------------------------------------------------------------------


def add_join(name: str, compute, market: str, table: Callable[[Panel], Table]) -> None:
    def find(seed: int) -> list[Check]:
        panel = MARKETS[market](seed)
        rng = np.random.default_rng(seed)
        tables = {"events": table(panel)}
        return [find_leaks(compute, panel, kind="feature", rng=rng, warmup_bars=WARMUP, tables=tables)]

    CLEAN.append((f"{name}/{market}", find))


def as_of_publication(panel: Panel, tables):
    events = tables["events"]
    at = np.searchsorted(events.known_at_E, panel.known_at_T, side="right") - 1
    column = next(x for x in events.values.values() if x.dtype.kind == "f")
    padded = np.append(column, np.nan)
    return {"x": padded[np.where(at >= 0, at, len(column))], "count": at + 1}


def age_of_the_newest(panel: Panel, tables):
    known = tables["events"].known_at_E
    at = np.searchsorted(known, panel.known_at_T, side="right") - 1
    stamps = np.append(known, np.datetime64("1970-01-01", "us"))
    return {"x": (panel.known_at_T - stamps[np.where(at >= 0, at, len(known))]) / np.timedelta64(1, "h")}


for join in (as_of_publication, age_of_the_newest):
    add_join(join.__name__, join, "daily", monthly_report)
    add_join(join.__name__, join, "intraday", news)


# Labels with their true reach, fits on the training range, splits ---------------------------------------------

for reach in (1, 5, 20):
    add(
        f"direction_{reach}_ahead",
        lambda p, r=reach: {"y": np.sign(shifted(p.close_TN, -r) - p.close_TN)},
        kind="target",
        reach_bars=reach,
    )
    add(
        f"return_{reach}_ahead",
        lambda p, r=reach: {"y": np.log(shifted(p.close_TN, -r)) - np.log(p.close_TN)},
        "several",
        kind="target",
        reach_bars=reach,
    )


def barriers_within_ten_bars(panel: Panel):
    close = panel.close_TN[:, 0]
    label = np.full(len(close), np.nan)
    for t in range(len(close) - 10):
        touched = np.flatnonzero(np.abs(close[t + 1 : t + 11] / close[t] - 1) > 0.03)
        label[t] = np.sign(close[t + 1 + touched[0]] - close[t]) if len(touched) else 0.0
    return {"y": label}


def lowest_of_the_next_ten(panel: Panel):
    return {"y": shifted(trailing(panel.low_TN, 10, np.min), -10) / panel.close_TN}


for compute_ in (barriers_within_ten_bars, lowest_of_the_next_ten):
    add(compute_.__name__, compute_, kind="target", reach_bars=10)

AFTER_TRAINING = Range(TRAIN_STOP - 1, 418)


def fitted_mean_and_deviation(panel: Panel):
    returns = np.nan_to_num(log_returns(panel))
    mean, deviation = returns[:TRAIN_STOP].mean(), returns[:TRAIN_STOP].std()
    return {"x": ((returns - mean) / deviation).astype(np.float32), "mean": mean, "deviation": deviation}


def fitted_quantiles(panel: Panel):
    edges = np.quantile(panel.volume_TN[:TRAIN_STOP], [0.2, 0.4, 0.6, 0.8])
    return {"x": np.digitize(panel.volume_TN, edges)}


def fitted_components(panel: Panel):
    returns = np.nan_to_num(log_returns(panel))
    first = np.linalg.svd(returns[:TRAIN_STOP], full_matrices=False)[2][0]
    return {"x": returns @ (first * np.sign(first.sum()))}


add("fitted_mean_and_deviation", fitted_mean_and_deviation, kind="scaler", rows=AFTER_TRAINING)
add("fitted_quantiles", fitted_quantiles, kind="scaler", rows=AFTER_TRAINING)
add("fitted_components", fitted_components, "several", kind="scaler", rows=AFTER_TRAINING)


def add_split(name: str, make, **settings: Any) -> None:
    def find(seed: int) -> list[Check]:
        panel = daily(seed)
        return [check_split(make(panel), panel.ts_T, **settings)]

    CLEAN.append((f"{name}/split", find))


add_split("default_split", Split().ranges, embargo_bars=5, reach_bars=5)
add_split("split_without_embargo", Split(embargo_bars=0).ranges)
add_split(
    "purged_folds",
    lambda panel: {"train": (Range(0, 90), Range(110, 300)), "test": Range(95, 105)},
    reach_bars=5,
    in_order=False,
)
add_split(
    "fold_ranges",
    lambda panel: Ranges(
        train=Range(0, 330),
        validation=Range(335, 400),
        test=Range(100, 200),
        train_parts=(Range(0, 95), Range(210, 330)),
    ),
    reach_bars=5,
    in_order=False,
)


# Strategies ---------------------------------------------------------------------------------------------------


def shipped(group: str) -> dict[str, Any]:
    """Build every option of a group that ships, is whole in its own file and needs no training, with its values.

    ``features=multi_timeframe``, which takes another option in, is checked on minute bars in its own tests.
    """
    nodes = {path.stem: OmegaConf.load(path) for path in sorted((paths.shipped("conf") / group).glob("*.yaml"))}
    targets = {name: node for name, node in nodes.items() if "_target_" in node and "defaults" not in node}
    targets.pop("none", None)
    return {
        name: build(node, key=group)
        for name, node in targets.items()
        if class_attribute(node._target_, "is_learned") is not True
    }


def add_rule(name: str, strategy, market: str) -> None:
    def find(seed: int) -> list[Check]:
        panel = MARKETS[market](seed)
        return [check_strategy(strategy, panel, Range(TRAIN_STOP, panel.num_bars), seed=seed)]

    CLEAN.append((f"{name}/{market}", find))


RULES = {
    "sma_cross_fast": SmaCross(fast=2, slow=7, side="long_short"),
    "momentum_skip": Momentum(lookback=60, skip=10, side="long_short"),
    **shipped("strategy"),
}
for (name_, rule), market_ in product(RULES.items(), ("daily", "gappy")):
    add_rule(name_, rule, market_)


def dip_buyer(panel: Panel):
    returns = np.nan_to_num(log_returns(panel))
    return np.where(returns < -0.015, 1.0, 0.0)


def with_stops(panel: Panel):
    spread = ewm(panel.high_TN / panel.low_TN - 1, 0.1)
    return {
        "weights_TN": np.where(panel.close_TN > panel.open_TN, 1.0, np.nan),
        "stop_loss_TN": 2 * spread,
        "take_profit_TN": 3 * spread,
    }


def with_limits(panel: Panel):
    return {"weights_TN": np.ones(panel.close_TN.shape), "limit_TN": 0.99 * panel.close_TN}


def threshold_of_past_rows(panel: Panel):
    """Chosen anew every twenty bars from the bars until then."""
    returns = np.nan_to_num(log_returns(panel))[:, 0]
    level = np.array([np.quantile(returns[: t // 20 * 20 + 1], 0.1) for t in range(0, len(returns), 20)]).repeat(20)
    level = level[: len(returns)]
    return orders(np.where(returns < level, 1.0, 0.0)[:, None])


def monthly_rebalancing(panel: Panel):
    month = panel.ts_T.astype("datetime64[M]").astype(int)
    is_new = np.diff(month, prepend=month[0]) != 0
    return np.where(is_new[:, None], 1.0 / panel.close_TN.shape[1], np.nan) * np.ones(panel.close_TN.shape)


for rule_ in (dip_buyer, with_stops, with_limits, threshold_of_past_rows, monthly_rebalancing):
    add_rule(rule_.__name__, Rule(rule_), "daily")


# Prompts, and what ships ---------------------------------------------


def last_closes_as_text(panel: Panel):
    close = panel.close_TN[:, 0]
    return {
        "prompt": [f"Closes: {', '.join(f'{x:.2f}' for x in close[max(t - 4, 0) : t + 1])}" for t in range(len(close))]
    }


def examples_from_earlier_days(panel: Panel):
    returns = np.nan_to_num(log_returns(panel))[:, 0]
    texts = ["no example"]
    for t in range(1, len(returns)):
        like = int(np.abs(returns[:t] - returns[t]).argmin())
        texts.append(f"After {returns[like]:+.4f} came {returns[like + 1]:+.4f}.")
    return {"prompt": texts}


for compute_ in (last_closes_as_text, examples_from_earlier_days):
    add(compute_.__name__, compute_, kind="prompt")

SHIPPED = {
    "price_volume_short": PriceVolume(short_window=3, long_window=9),
    "price_volume_raw": PriceVolume(short_window=10, long_window=30, normalise="none"),
    "technical58_short": Technical58(memory_bars=30),
    **{name: set_ for name, set_ in shipped("features").items() if set_.warmup_bars < TRAIN_STOP / 2},
}


def add_features(name: str, feature_set, market: str) -> None:
    CLEAN.append(
        (
            f"{name}/{market}",
            lambda seed: list(check_features(feature_set, MARKETS[market](seed), seed=seed)),
        )
    )


MARKETS["pool"] = lambda seed: random_swap_panel(700, seed=seed)
ON_POOLS = {"onchain": Onchain(window=10, windows=[5, 10])}

for (name_, set_), market_ in product(SHIPPED.items(), ("daily", "gappy", "intraday")):
    if name_ not in ON_POOLS:
        add_features(name_, set_, market_)
for name_, set_ in ON_POOLS.items():
    add_features(name_, set_, "pool")
