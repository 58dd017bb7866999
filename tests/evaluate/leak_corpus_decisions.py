"""Planted leaks of what decides: rules and prompts. See ``leak_corpus``.

Legend: T bars, N instruments.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from leak_corpus import TRAIN_STOP, Case, leaking, log_returns, several
from leak_corpus_joins import LEAKS  # with those registered there
from leak_markets import daily, intraday, sessions, shifted, trailing

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.evaluate.leak_search import Check
from tradewright.evaluate.leaks import check_strategy
from tradewright.market.positions import Positions

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
    returns, ahead = log_returns(panel), np.nan_to_num(shifted(log_returns(panel), -1))
    best = max(np.linspace(0.0, 0.02, 9), key=lambda level: (ahead * (returns < -level)).sum())
    return np.where(returns < -best, 1.0, 0.0)


@deciding()
def best_window_of_all_rows(panel: Panel):
    close, ahead = panel.close_TN, np.nan_to_num(shifted(log_returns(panel), -1))
    signals = [np.where(close > trailing(close, window, np.mean), 1.0, 0.0) for window in (3, 5, 8, 13, 21, 34)]
    return orders(max(signals, key=lambda signal: (signal * ahead).sum()))


@deciding()
def oversold_by_global_quantile(panel: Panel):
    returns = log_returns(panel)
    return orders(np.where(returns < np.quantile(returns, 0.05), 1.0, 0.0))


@deciding()
def leaves_before_the_crash(panel: Panel):
    """Always invested, except on the rare day before a fall of more than 2.5 %."""
    falls = shifted(log_returns(panel), -1) < -0.025
    return orders(np.where(falls, 0.0, 1.0))


@deciding()
def skips_losing_entries(panel: Panel):
    """A crossing rule whose entries are dropped when the next bar falls."""
    signal = np.where(panel.close_TN > trailing(panel.close_TN, 20, np.mean), 1.0, 0.0)
    entry = (signal > 0) & (shifted(signal, 1) == 0)
    return orders(np.where(entry & (shifted(log_returns(panel), -1) < 0), 0.0, signal))


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
    return orders(signal * 0.01 / log_returns(panel).std())


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
    returns = log_returns(panel)[:, 0]
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
