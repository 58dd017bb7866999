"""Warm-up stability: how much the last value of a feature depends on how far back the bars begin.

A recursive feature (an EMA, Wilder's averages) never forgets its start entirely. If the last value moves when the bars
begin 50, 100, 200 or 400 bars earlier (more for features that need more to be defined), then live values differ from
those of the backtest, which began years earlier. This is no leak, but the same recomputation shows it.
"""

import copy
import math
from collections.abc import Sequence

import numpy as np

from tradewright.data.panel import Panel
from tradewright.features.pipeline import FeatureSet

WARMUPS = (50, 100, 200, 400)
"""Bars from the start of the data to the value that is compared, for features that 100 bars define."""


def usual_warmups(feature_set: FeatureSet) -> list[int]:
    """Return ``WARMUPS``, in whole multiples where the features need more than 100 bars to be defined."""
    multiple = max(1, -(-feature_set.warmup_bars // WARMUPS[1]))
    return [multiple * bars for bars in WARMUPS]


def warmup_drift(
    feature_set: FeatureSet, panel: Panel, warmups: Sequence[int] | None = None
) -> dict[str, dict[int, float]]:
    """Return, by feature and warm-up bars, the drift of the last value, the worst first.

    drift = max over instruments of |x_w - x| / max(|x|, deviation), with x the last value from all bars, x_w that from
    the last w bars, and the feature's own standard deviation, so that a value near zero does not inflate it.

    Args:
        feature_set: The features.
        panel: All bars; instruments without a bar at the end are left out.
        warmups: Numbers of bars, >= 1; those that the panel does not exceed are left out. None: ``usual_warmups``.

    Returns:
        Fractions; NaN where w bars do not define the feature. Features whose drift at the longest warm-up is largest
        come first, undefined ones before them.
    """
    panel = panel.for_signals()
    alive_N = panel.tradable_TN[-1]
    whole = copy.deepcopy(feature_set).compute(panel)
    drift: dict[str, dict[int, float]] = {name: {} for name in whole}
    for bars in usual_warmups(feature_set) if warmups is None else warmups:
        if bars >= panel.num_bars:
            continue
        short = copy.deepcopy(feature_set).compute(panel.slice(panel.num_bars - bars, panel.num_bars))
        for name, x_TN in whole.items():
            last_N, deviation_N = x_TN[-1], np.nanstd(x_TN[:, alive_N])
            scale_N = np.maximum(np.abs(last_N), deviation_N)
            moved_N = np.abs(short[name][-1] - last_N)
            size_N = np.where(moved_N == 0, 0.0, moved_N / np.where(scale_N > 0, scale_N, 1.0))[alive_N]
            drift[name][bars] = float(size_N.max()) if np.isfinite(size_N).all() else math.nan
    return dict(sorted(drift.items(), key=lambda entry: _rank(entry[1])))


def _rank(by_bars: dict[int, float]) -> tuple[bool, float]:
    worst = by_bars[max(by_bars)] if by_bars else 0.0
    return (not math.isnan(worst), -worst)
