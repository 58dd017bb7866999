"""``env=discrete5``: flat, enter long, exit long, enter short, exit short.

What an action does depends on the side that the account is on at the decision:

| account is          | flat  | enter_long | exit_long | enter_short | exit_short |
|---------------------|-------|------------|-----------|-------------|------------|
| flat                | hold  | enter      | illegal   | enter       | illegal    |
| long                | exit  | hold       | exit      | illegal     | illegal    |
| short               | exit  | illegal    | illegal   | hold        | exit       |
| stopped out of long | lift  | enter      | lift      | enter       | illegal    |
| stopped out of short| lift  | enter      | illegal   | enter       | lift       |

*Enter* targets ``highest_weight`` (long) or ``lowest_weight`` (short), *exit* targets zero; *hold* and *illegal* are no
order: shares are kept, nothing is paid. A position is reversed in two decisions, exit and then enter, so that every
order either opens or closes. After a stop the side that was stopped may not be entered again (the accounting refuses
the order) until a target of zero, *lift*, or of the other side; see ``market.stops``.
Source: the five actions and their rule of validity are those of FreqAI's ``Base5ActionRLEnv`` (freqtrade), whose first
action, Neutral, holds; here it does what its name says, and a position is held by its own *enter*.
Legend: B accounts, A actions.
"""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from tradewright.env.discrete9 import DUST
from tradewright.env.trading import TradingEnv
from tradewright.env.view import AccountView

ACTIONS = ("flat", "enter_long", "exit_long", "enter_short", "exit_short")
Effect = Literal["hold", "illegal", "long", "short", "zero"]
EFFECTS: tuple[Effect, ...] = ("hold", "illegal", "long", "short", "zero")
"""No order; no order, and not meant; target ``highest_weight``; target ``lowest_weight``; target zero."""
LEGALITY: dict[str, tuple[Effect, ...]] = {
    "flat": ("hold", "long", "illegal", "short", "illegal"),
    "long": ("zero", "hold", "zero", "illegal", "illegal"),
    "short": ("zero", "illegal", "illegal", "hold", "zero"),
    "stopped_long": ("zero", "long", "zero", "short", "illegal"),
    "stopped_short": ("zero", "long", "illegal", "short", "zero"),
}
"""Effect of every action, in the order of ``ACTIONS``, by the state of the account."""
STATES = tuple(LEGALITY)


class Discrete5(TradingEnv):
    """Five actions in the order of ``ACTIONS``; ``LEGALITY`` says what they do.

    An environment without shorts (``lowest_weight`` >= 0) or without longs (``highest_weight`` <= 0) makes entering
    that side illegal.
    """

    action_kind: ClassVar[str] = "discrete"

    @property
    def num_actions(self) -> int:
        """Five."""
        return len(ACTIONS)

    def weights(self, action: Tensor, view: AccountView) -> Tensor:
        """Map ``[B]`` action numbers to weights ``[B]``."""
        targets = (torch.nan, torch.nan, self.highest_weight, self.lowest_weight, 0.0)
        target_E = torch.tensor(targets, dtype=torch.float64, device=action.device)
        effect_BA = self._effect_BA(view)
        return target_E[effect_BA.gather(1, action[:, None])[:, 0]]

    def action_mask(self, view: AccountView) -> Tensor:
        """Return which actions are legal, bool ``[B, A]``; choosing another one is no order and no error."""
        return self._effect_BA(view) != EFFECTS.index("illegal")

    def _effect_BA(self, view: AccountView) -> Tensor:
        """Return the number in ``EFFECTS`` of every action, ``[B, A]``."""
        exists = {"long": self.highest_weight > 0, "short": self.lowest_weight < 0}
        missing = [side for side, is_there in exists.items() if not is_there]
        rows = LEGALITY.values()
        numbers = [[EFFECTS.index("illegal" if effect in missing else effect) for effect in row] for row in rows]
        table_SA = torch.tensor(numbers, device=view.weight_B.device)
        side_B = _side_number(view.weight_B, "long", "short")
        return table_SA[torch.where(side_B == 0, _side_number(view.blocked_B, "stopped_long", "stopped_short"), side_B)]


def _side_number(signed_B: Tensor, positive: str, negative: str) -> Tensor:
    """Return the number of a state by the sign of a value, that of ``flat`` (0) where it is none."""
    number_B = torch.where(signed_B > DUST, STATES.index(positive), STATES.index("flat"))
    return torch.where(signed_B < -DUST, STATES.index(negative), number_B)
