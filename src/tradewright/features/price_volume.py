"""``features=price_volume``: fifteen causal features of price and volume, scale-free: instruments can share a model.

Legend: T bars, N instruments, F features. A missing bar is read as the last close with no volume.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.features.windows import forward_fill, lag, ratio, window_max, window_mean, window_std, window_sum

Float = npt.NDArray[np.float64]

FIXED_WINDOW = 5
"""Bars of ``return_5``, which no key changes."""


class PriceVolume:
    """Returns, ranges, volatility, volume and distances from averages.

    Args:
        short_window: Bars of the short averages, >= 2.
        long_window: Bars of the long averages, > ``short_window``; also the warm-up.
        normalise: ``zscore`` (mean and deviation of the training range) or ``none``.

    Raises:
        ValueError: A window is too short, or ``normalise`` is unknown.
    """

    def __init__(self, *, short_window: int = 20, long_window: int = 60, normalise: str = "zscore") -> None:
        if short_window < 2:
            raise ValueError(f"short_window must be >= 2, was {short_window}")
        if long_window <= short_window:
            raise ValueError(f"long_window must be > short_window ({short_window}), was {long_window}")
        if normalise not in ("zscore", "none"):
            raise ValueError(f"normalise must be 'zscore' or 'none', was {normalise!r}")
        self.short_window = short_window
        self.long_window = long_window
        self.normalise = normalise

    @property
    def parameters(self) -> dict[str, Any]:
        """What decides the raw values; part of the cache key."""
        return {"short_window": self.short_window, "long_window": self.long_window}

    @property
    def warmup_bars(self) -> int:
        """Bars an instrument needs before all its features are defined (not counted: the current one)."""
        return max(self.long_window, FIXED_WINDOW)

    def compute(self, panel: Panel) -> dict[str, Float]:
        """Return each feature as ``[T, N]`` float64, NaN where not enough bars exist yet."""
        close_TN = forward_fill(panel.close_TN)
        open_TN, high_TN, low_TN = (
            np.where(panel.tradable_TN, x_TN, close_TN) for x_TN in (panel.open_TN, panel.high_TN, panel.low_TN)
        )
        log_close_TN = np.log(close_TN)
        return_TN = log_close_TN - lag(log_close_TN, 1)
        return {
            "return_1": return_TN,
            "return_5": log_close_TN - lag(log_close_TN, 5),
            "return_short": log_close_TN - lag(log_close_TN, self.short_window),
            "return_long": log_close_TN - lag(log_close_TN, self.long_window),
            "gap": np.log(open_TN) - lag(log_close_TN, 1),
            "body": log_close_TN - np.log(open_TN),
            "range": np.log(high_TN) - np.log(low_TN),
            "close_in_range": _close_in_range(high_TN, low_TN, close_TN),
            "volatility_short": window_std(return_TN, self.short_window),
            "volatility_long": window_std(return_TN, self.long_window),
            "distance_average_short": log_close_TN - np.log(window_mean(close_TN, self.short_window)),
            "distance_average_long": log_close_TN - np.log(window_mean(close_TN, self.long_window)),
            "drawdown_long": log_close_TN - np.log(window_max(close_TN, self.long_window)),
            "volume_ratio": _volume_ratio(panel.volume_TN, self.short_window),
            "distance_vwap": _distance_vwap(panel.volume_TN, high_TN, low_TN, close_TN, self.short_window),
        }


def _close_in_range(high_TN: Float, low_TN: Float, close_TN: Float) -> Float:
    """Position of the close between low (0) and high (1); the middle where the bar has no range."""
    return ratio(close_TN - low_TN, high_TN - low_TN, 0.5)


def _volume_ratio(volume_TN: Float, window: int) -> Float:
    """log((1 + volume) / (1 + mean volume of the window)); 0 for instruments without volume."""
    return np.log1p(volume_TN) - np.log1p(window_mean(volume_TN, window))


def _distance_vwap(volume_TN: Float, high_TN: Float, low_TN: Float, close_TN: Float, window: int) -> Float:
    """log(close / volume-weighted typical price of the window); 0 where the window has no volume."""
    typical_TN = (high_TN + low_TN + close_TN) / 3.0
    total_TN = window_sum(volume_TN, window)
    has_volume_TN = ~(total_TN <= 0)
    money_TN = window_sum(volume_TN * typical_TN, window)
    vwap_TN = np.where(has_volume_TN, money_TN / np.where(has_volume_TN, total_TN, 1.0), close_TN)
    return np.log(close_TN) - np.log(vwap_TN)
