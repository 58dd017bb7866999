"""What a decision is explained by: indicators in the units in which people read them, from the features' own formulas.

Every value is causal and looks at a finite window of at most 252 bars (exponential means remember ``MEMORY_BARS``), so
the values of a bar are the same however many bars follow it. Prices are those that were traded: averages over a split
or a roll are restated in the money of their own bar.
Legend: T bars, N instruments; C is the close.
"""

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.features.filled_bars import FilledBars
from tradewright.features.technical_momentum import log_return, place_in_range, relative_strength
from tradewright.features.technical_trend import convergence
from tradewright.features.technical_volatility import average_true_range, bollinger
from tradewright.features.windows import ratio, window_max, window_mean, window_min, window_std

Float = npt.NDArray[np.float64]

MEMORY_BARS = 128
"""As in ``features=technical58``: what older bars would weigh in the slowest average here is below 1e-4."""
YEAR_BARS = 252
AVERAGES = (20, 50, 200)
RETURNS = (1, 5, 20, 60)
PRICES = (
    "sma_20", "sma_50", "sma_200", "macd", "macd_signal", "macd_histogram", "bollinger_upper", "bollinger_lower",
    "high_252", "low_252",
)  # fmt: skip
"""Indicators in units of the price."""


def indicators_of(panel: Panel) -> dict[str, Float]:
    """Return every indicator as ``[T, N]``, NaN where not enough bars exist yet.

    Units: ``rsi_14`` 0 to 100; ``sma_*``, ``macd*``, bands, ``high_252`` and ``low_252`` (of the closes) prices;
    ``*_distance``, ``return_*``, ``atr_14`` (of the close), ``bollinger_width``, ``volatility_20`` (deviation of the
    bars' log returns) and ``drawdown_252`` (>= 0, below the highest close) percent; ``bollinger_place`` 0 at the lower
    and 1 at the upper band; ``range_252`` percent, 0 at the lowest and 100 at the highest close; ``volume_ratio`` the
    bar's volume over the mean of 20; ``volatility_ratio`` the deviation of 20 bars over that of 252.
    """
    bars = FilledBars.of(panel.for_signals(), MEMORY_BARS)
    factor_TN = panel.signal_factor_TN
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        table = {**_trend(bars), **_oscillators(bars), **_swings(bars)}
        if factor_TN is not None:
            table |= {name: table[name] / factor_TN for name in PRICES}
    return {name: np.where(np.isfinite(x_TN), x_TN, np.nan) for name, x_TN in table.items()}


def _trend(bars: FilledBars) -> dict[str, Float]:
    close_TN = bars.close_TN
    table = {f"return_{n}": 100.0 * np.expm1(log_return(bars, n)) for n in RETURNS}
    for window in AVERAGES:
        mean_TN = window_mean(close_TN, window)
        table[f"sma_{window}"] = mean_TN
        table[f"sma_{window}_distance"] = 100.0 * (close_TN / mean_TN - 1.0)
    macd_TN, histogram_TN = (x_TN * close_TN for x_TN in convergence(bars, 12, 26, 9))
    return {**table, "macd": macd_TN, "macd_signal": macd_TN - histogram_TN, "macd_histogram": histogram_TN}


def _oscillators(bars: FilledBars) -> dict[str, Float]:
    place_TN, width_TN = bollinger(bars, 20)
    mean_TN, middle_TN = window_mean(bars.volume_TN, 20), window_mean(bars.close_TN, 20)
    return {
        "rsi_14": 100.0 * relative_strength(bars, 14),
        "bollinger_place": place_TN,
        "bollinger_width": 100.0 * width_TN,
        "bollinger_upper": middle_TN * (1.0 + width_TN / 2.0),
        "bollinger_lower": middle_TN * (1.0 - width_TN / 2.0),
        "volume_ratio": np.where(mean_TN > 0, bars.volume_TN / np.where(mean_TN > 0, mean_TN, 1.0), np.nan),
    }


def _swings(bars: FilledBars) -> dict[str, Float]:
    close_TN = bars.close_TN
    high_TN, low_TN = window_max(close_TN, YEAR_BARS), window_min(close_TN, YEAR_BARS)
    recent_TN = window_std(bars.return_TN, 20)
    return {
        "atr_14": 100.0 * average_true_range(bars, 14) / close_TN,
        "volatility_20": 100.0 * recent_TN,
        "volatility_ratio": ratio(recent_TN, window_std(bars.return_TN, YEAR_BARS), np.nan),
        "high_252": high_TN,
        "low_252": low_TN,
        "drawdown_252": 100.0 * (1.0 - close_TN / high_TN),
        "range_252": 100.0 * place_in_range(close_TN, close_TN, close_TN, YEAR_BARS),
    }
