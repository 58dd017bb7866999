"""``Positions``: what a strategy decides, the input of every backtest.

Legend: T bars, N instruments. Row t is decided at the close of bar t and filled at the open of bar t+1.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Positions:
    """Target positions of one account.

    Args:
        weights_TN: Signed target fraction of equity. **NaN means no order**: shares are kept, nothing is paid.
        stop_loss_TN: Distance of the stop from the average entry price, as a fraction of it (> 0); NaN or None: none.
            A row with an order (weight not NaN) replaces the distances of its instrument; so do the two below.
        take_profit_TN: Distance of the target from the average entry price, as a fraction of it.
        trailing_TN: Distance of the trailing stop from the best price since entry, as a fraction of it.
        limit_TN: Limit price of the order, good for the next bar only; NaN or None: at the open.
        stop_TN: Stop price at which the order becomes a market order in the next bar; at most one of the two.
        confidence_TN: Confidence in the decision, in [0, 1], for reports only; NaN: unknown.
    """

    weights_TN: Float
    stop_loss_TN: Float | None = None
    take_profit_TN: Float | None = None
    trailing_TN: Float | None = None
    limit_TN: Float | None = None
    stop_TN: Float | None = None
    confidence_TN: Float | None = None
