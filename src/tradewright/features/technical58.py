"""``features=technical58``: 58 causal indicators, all free of the price's scale, so that instruments can share a model.

Every indicator looks at a finite window, also those that are recursions in the textbook: exponential and Wilder's
averages remember ``memory_bars`` bars (see ``windows.exponential_mean``). So a value does not depend on where the data
begin, and a backtest over years shows what a live feed of ``warmup_bars`` bars shows.
Formulas and sources stand in the family modules. Legend: T bars, N instruments.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.features.filled_bars import FilledBars
from tradewright.features.technical_momentum import momentum_indicators
from tradewright.features.technical_pattern import calendar_indicators, pattern_indicators
from tradewright.features.technical_trend import trend_indicators
from tradewright.features.technical_volatility import volatility_indicators
from tradewright.features.technical_volume import volume_indicators

Float = npt.NDArray[np.float64]

INDICATORS = {
    "momentum": (
        "return_1", "return_5", "return_10", "return_20", "return_60", "rsi_7", "rsi_14", "stochastic_rsi_14",
        "stochastic_k_14", "stochastic_d_14", "cci_20", "cmo_14", "tsi_25_13", "ultimate_7_14_28",
    ),
    "trend": (
        "sma_distance_10", "sma_distance_20", "sma_distance_50", "ema_distance_12", "ema_distance_26", "macd_12_26",
        "macd_histogram_9", "di_plus_14", "di_minus_14", "adx_14", "aroon_25", "slope_20", "r_squared_20", "vortex_14",
        "efficiency_10",
    ),
    "volatility": (
        "volatility_10", "volatility_20", "volatility_60", "downside_20", "atr_14", "parkinson_20", "garman_klass_20",
        "bollinger_place_20", "bollinger_width_20", "keltner_20", "donchian_20", "ulcer_14",
    ),
    "volume": (
        "volume_change_1", "volume_ratio_20", "obv_20", "money_flow_14", "chaikin_20", "force_13", "vwap_distance_20",
    ),
    "pattern": ("gap", "body", "upper_shadow", "lower_shadow", "close_location", "engulfing"),
    "calendar": ("time_of_day_sin", "time_of_day_cos", "weekday_sin", "weekday_cos"),
}  # fmt: skip
"""The 58 by family, in the order of the columns; numbers in a name are its windows in bars."""
FAMILIES = {
    "momentum": momentum_indicators,
    "trend": trend_indicators,
    "volatility": volatility_indicators,
    "volume": volume_indicators,
    "pattern": pattern_indicators,
    "calendar": calendar_indicators,
}
LONGEST_WINDOW = 60
"""Bars before the current one that the longest plain window needs: the return over 60 bars."""
BLOCK_VALUES = 16_384
"""Bars x instruments computed at a time: few enough that the intermediate arrays stay inside the cache."""


class Technical58:
    """58 indicators of momentum, trend, volatility, volume, price pattern and calendar; see ``INDICATORS``.

    Args:
        memory_bars: Bars that exponential averages remember, >= 2. What the textbook's endless recursion gives to older
            bars is ``(1 - alpha)^memory_bars``: at 128 below 1e-4 for the slowest average here (27 bars).
        normalise: ``zscore`` (mean and deviation of the training range) or ``none``.

    Raises:
        ValueError: ``memory_bars`` is too small, or ``normalise`` is unknown.
    """

    def __init__(self, *, memory_bars: int = 128, normalise: str = "zscore") -> None:
        if memory_bars < 2:
            raise ValueError(f"memory_bars must be >= 2, was {memory_bars}")
        if normalise not in ("zscore", "none"):
            raise ValueError(f"normalise must be 'zscore' or 'none', was {normalise!r}")
        self.memory_bars = memory_bars
        self.normalise = normalise

    @property
    def parameters(self) -> dict[str, Any]:
        """What decides the raw values; part of the cache key."""
        return {"memory_bars": self.memory_bars}

    @property
    def warmup_bars(self) -> int:
        """Bars an instrument needs before all its features are defined (not counted: the current one).

        The longest chain is an average of an average of a difference (adx, tsi): 2 (memory_bars - 1) + 1.
        """
        return max(LONGEST_WINDOW, 2 * self.memory_bars - 1)

    def compute(self, panel: Panel) -> dict[str, Float]:
        """Return each indicator as ``[T, N]`` float64, NaN where not enough bars exist yet.

        Bars are worked through in blocks, each with the warm-up before it, which every window fits into.
        """
        bars = FilledBars.of(panel, self.memory_bars)
        names = [name for family in INDICATORS.values() for name in family]
        table = {name: np.empty_like(bars.close_TN) for name in names}
        num_rows = max(BLOCK_VALUES // max(bars.close_TN.shape[1], 1), 4 * self.warmup_bars)
        for start in range(0, panel.num_bars, num_rows):
            stop, first = min(start + num_rows, panel.num_bars), max(start - self.warmup_bars, 0)
            block = indicators(bars.slice(first, stop))
            for name, x_TN in table.items():
                x_TN[start:stop] = block[name][start - first :]
        return table


def indicators(bars: FilledBars) -> dict[str, Float]:
    """Return the 58 indicators by name for all bars at once; what is not finite is named by the pipeline."""
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        return {name: x_TN for family in FAMILIES.values() for name, x_TN in family(bars).items()}
