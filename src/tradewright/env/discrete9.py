"""``env=discrete9``: hold, buy 25/50/75/100 % of the available cash, sell 25/50/75/100 % of the position; long-only."""

from typing import ClassVar

import torch
from torch import Tensor

from tradewright.env.trading import TradingEnv
from tradewright.env.view import AccountView

ACTIONS = ("hold", "buy_25", "buy_50", "buy_75", "buy_100", "sell_25", "sell_50", "sell_75", "sell_100")
BUY_FRACTION = (0.0, 0.25, 0.5, 0.75, 1.0, 0.0, 0.0, 0.0, 0.0)
SELL_FRACTION = (0.0, 0.0, 0.0, 0.0, 0.0, 0.25, 0.5, 0.75, 1.0)
DUST = 1e-9
"""Cash or position below this fraction of equity counts as none; it is what rounding leaves."""


class Discrete9(TradingEnv):
    """Nine actions in the order of ``ACTIONS``.

    Buying a fraction f of the cash targets weight + f · cash / equity; selling a fraction f of the position targets
    (1 - f) · weight. Buying without cash and selling without a position are no order; but after a stop, selling targets
    zero, which allows the next entry. Weights span 0 to 1;
    ``lowest_weight`` and ``highest_weight`` are carried so that overrides compose with every environment.
    """

    action_kind: ClassVar[str] = "discrete"

    @property
    def num_actions(self) -> int:
        """Nine."""
        return len(ACTIONS)

    def weights(self, action: Tensor, view: AccountView) -> Tensor:
        """Map ``[B]`` action numbers to weights ``[B]``."""
        fractions = torch.tensor((BUY_FRACTION, SELL_FRACTION), dtype=torch.float64, device=action.device)
        buy_B, sell_B = fractions[0][action], fractions[1][action]
        is_buy_B = (buy_B > 0) & (view.cash_fraction_B > DUST)
        is_held_B = view.weight_B > DUST
        is_lift_B = (sell_B > 0) & ~is_held_B & (view.blocked_B != 0)
        is_sell_B = (sell_B > 0) & is_held_B
        target_B = torch.where(is_buy_B, view.weight_B + buy_B * view.cash_fraction_B, (1.0 - sell_B) * view.weight_B)
        return torch.where(is_lift_B, 0.0, torch.where(is_buy_B | is_sell_B, target_B, torch.nan))
