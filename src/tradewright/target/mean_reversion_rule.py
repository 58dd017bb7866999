"""The mean-reversion rule: buy what is oversold and sell what is overbought, where volume confirms.

Legend: T bars.
"""

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]


def mean_reversion_side(deviation_T: Float, volume_ratio_T: Float, *, deviation: float, volume_ratio: float) -> Float:
    """Return 1 where to buy, -1 where to sell, 0 where to hold; NaN where an input is unknown.

    Buy where the deviation is below ``-deviation``, sell where it is above ``deviation``; both only where the volume
    ratio is above ``volume_ratio``.

    Args:
        deviation_T: Price over its mean, less 1.
        volume_ratio_T: Volume over its mean.
        deviation: Threshold of the deviation, >= 0.
        volume_ratio: Threshold of the volume ratio.
    """
    is_confirmed_T = volume_ratio_T > volume_ratio
    side_T = np.where(deviation_T < -deviation, 1.0, np.where(deviation_T > deviation, -1.0, 0.0))
    is_known_T = ~(np.isnan(deviation_T) | np.isnan(volume_ratio_T))
    return np.where(is_known_T, np.where(is_confirmed_T, side_T, 0.0), np.nan)
