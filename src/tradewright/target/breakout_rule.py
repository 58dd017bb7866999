"""The breakout rule: follow a move that comes with volatility and volume.

Legend: T bars.
"""

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]


def breakout_side(
    momentum_T: Float,
    volatility_T: Float,
    volume_ratio_T: Float,
    *,
    momentum: float,
    volatility: float,
    volume_ratio: float,
) -> Float:
    """Return 1 where to buy, -1 where to sell, 0 where to hold; NaN where an input is unknown.

    Buy where the momentum is above ``momentum``, sell where it is below ``-momentum``; both only where volatility and
    volume ratio are above their thresholds.

    Args:
        momentum_T: Return of the window, a fraction.
        volatility_T: Standard deviation of price changes in the window.
        volume_ratio_T: Volume over its mean.
        momentum, volatility, volume_ratio: Thresholds; that of the momentum >= 0.
    """
    is_confirmed_T = (volatility_T > volatility) & (volume_ratio_T > volume_ratio)
    side_T = np.where(momentum_T > momentum, 1.0, np.where(momentum_T < -momentum, -1.0, 0.0))
    is_known_T = ~(np.isnan(momentum_T) | np.isnan(volatility_T) | np.isnan(volume_ratio_T))
    return np.where(is_known_T, np.where(is_confirmed_T, side_T, 0.0), np.nan)
