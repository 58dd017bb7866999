"""``AccountView``: what an action map may look at when it turns an action into a target weight."""

from typing import NamedTuple

from torch import Tensor


class AccountView(NamedTuple):
    """The accounts at the close of the decision bar; float64 ``[B]``."""

    weight_B: Tensor
    """Signed position value / equity."""
    cash_fraction_B: Tensor
    """Cash / equity."""
    blocked_B: Tensor
    """Side (-1 or 1) that a stop closed and that may not be entered again yet; 0: none. A target of zero lifts it."""


class JointView(NamedTuple):
    """The same of accounts that trade N instruments from shared cash."""

    weight_BN: Tensor
    """Signed position values / equity."""
    cash_fraction_B: Tensor
    """Cash / equity."""
    blocked_BN: Tensor
    """Side of each instrument that may not be entered again yet after a stop; 0: none."""
