"""What the rules share: which sides a signal may take, and how it becomes weights.

Legend: T bars, N instruments.
"""

from typing import Literal, get_args

import numpy as np

from tradewright.strategy.orders import Float

Side = Literal["long", "long_short"]


def check_rule(side: str, exposure: float) -> None:
    """Refuse an unknown side and an exposure that is not positive.

    Raises:
        ValueError: The message starts with the argument's name.
    """
    if side not in get_args(Side):
        raise ValueError(f"side must be one of {', '.join(get_args(Side))}, was {side!r}")
    if not exposure > 0:
        raise ValueError(f"exposure must be > 0, was {exposure}")


def weights_of(signal_TN: Float, side: Side, exposure: float) -> Float:
    """Return weights of a signal in -1, 0, 1 (NaN: unknown), an equal part of the exposure for each instrument."""
    if side == "long":
        signal_TN = np.maximum(signal_TN, 0.0)
    return signal_TN * (exposure / signal_TN.shape[1])
