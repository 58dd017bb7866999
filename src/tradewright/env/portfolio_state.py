"""The portfolio features: what an agent sees of its own account, beside the market; ``basic`` or ``full``.

Legend: B accounts, P portfolio features.
"""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tradewright.env.account_history import HISTORY
from tradewright.env.view import AccountView

if TYPE_CHECKING:
    from tradewright.env.simulator import Simulator

PORTFOLIO = ("weight", "cash_fraction", "unrealised_return", "holding_bars", "drawdown", "episode_return", "blocked")
"""The seven basic features, in column order:

* ``weight``: signed value of the position / equity;
* ``cash_fraction``: cash / equity;
* ``unrealised_return``: unrealised profit / equity;
* ``holding_bars``: bars since the position was opened or changed its side, in units of 100 bars;
* ``drawdown``: loss from the highest equity of the episode, fraction of it;
* ``episode_return``: log return since the start of the episode;
* ``blocked``: side that may not be entered again after a stop until a target of zero or of the other side: -1, 1, or
  0 for none.
"""
PORTFOLIO_FULL = (*PORTFOLIO, "realised_return", "side", *HISTORY)
"""The fifteen: the basic ones, those of ``account_history.HISTORY``, and

* ``realised_return``: profit that is no longer at risk, after all costs, over the initial capital:
  (equity - unrealised profit) / initial capital - 1;
* ``side``: sign of the position, -1, 0 or 1.
"""
PORTFOLIOS = {"basic": PORTFOLIO, "full": PORTFOLIO_FULL}
"""Names of the features by the value of the key ``portfolio``."""
HOLDING_UNIT = 100.0


def portfolio_columns(simulator: "Simulator", view: AccountView) -> tuple[Tensor, ...]:
    """Return the features by column, each ``[B]``, in the order of their names; any number for ended accounts.

    Differences are taken in float64; the logarithm is that of single precision, whose argument is near zero.
    """
    equity_B = simulator.equity_B
    unrealised_B = simulator.unrealised_B
    basic = (
        view.weight_B,
        view.cash_fraction_B,
        unrealised_B / equity_B,
        simulator.holding_B * (1.0 / HOLDING_UNIT),
        1.0 - equity_B / simulator.peak_B,
        torch.log1p((equity_B * (1.0 / simulator.rules.initial_cash) - 1.0).to(torch.float32)),
        view.blocked_B,
    )
    if simulator.history is None:
        return basic
    realised_B = (equity_B - unrealised_B) / simulator.rules.initial_cash - 1.0
    return (*basic, realised_B, torch.sign(view.weight_B), *simulator.history.columns())


def portfolio_state(simulator: "Simulator", view: AccountView) -> Tensor:
    """Return the portfolio features ``[B, P]``, float32; 0 for ended accounts."""
    columns = portfolio_columns(simulator, view)
    if simulator.equity_B.requires_grad:  # an analytic gradient passes back through what the policy saw
        state_PB = torch.stack([column_B.to(torch.float32) for column_B in columns])
    else:
        state_PB = torch.empty((len(columns), simulator.num_envs), dtype=torch.float32, device=simulator.device)
        for row_B, column_B in zip(state_PB, columns, strict=True):
            row_B.copy_(column_B)
    if simulator.can_end:
        state_PB = state_PB.masked_fill(simulator.account.ended_B, 0.0)
    return state_PB.T
