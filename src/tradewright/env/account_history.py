"""``AccountHistory``: what has become of each account since its episode began, in memory that does not grow.

The part of the portfolio features that the account's present state does not tell: how its equity moved, what its
closed trades brought, how much it traded. Trades run from flat to flat, as in the journal and in ``market.tally``.
No gradient passes through these features. Legend: B accounts, N instruments.
"""

import torch
from torch import Tensor

from tradewright.env.bar_change import BarChanges, Moved

HISTORY = ("volatility", "num_trades", "win_rate", "last_trade_return", "turnover", "bars_since_peak")
"""In column order, all 0 at the start of an episode:

* ``volatility``: exponentially weighted root mean square of the account's bar returns (decay 0.94), fraction per bar;
* ``num_trades``: ln(1 + closed trades);
* ``win_rate``: share of the closed trades with net P&L > 0; 0 until there is one, which ``num_trades`` > 0 tells;
* ``last_trade_return``: net P&L of the trades that closed last over the equity before that bar; 0 until there is one;
* ``turnover``: mean of traded notional / equity per bar of the episode;
* ``bars_since_peak``: bars since the highest equity of the episode, in units of 100 bars.
"""
NEEDS = frozenset({"turnover_B", "closed_B", "num_closed_B", "num_won_B"})
BAR_UNIT = 100.0
DECAY = 0.94
"""For daily returns; source: J.P. Morgan/Reuters (1996), RiskMetrics Technical Document, 4th ed., section 5.3.2."""


class AccountHistory:
    """Keeps the history of B accounts.

    Args:
        num_accounts: B.
        num_instruments: N.
        device: Where the accounts live.
    """

    def __init__(self, num_accounts: int, num_instruments: int, device: torch.device) -> None:
        self._changes = BarChanges(NEEDS, num_accounts, num_instruments, device)
        self._num, self._device = num_accounts, device
        self._so_far: dict[str, Tensor] = {}
        self.reset()

    def reset(self) -> None:
        """Begin the episodes of all accounts."""
        self._changes.reset()
        zero_B = torch.zeros(self._num, dtype=torch.float64, device=self._device)
        self._so_far = dict.fromkeys(_SUMS, zero_B)

    def restart(self, done_B: Tensor) -> None:
        """Begin the episodes of ``done_B`` (bool) anew."""
        self._changes.restart(done_B)
        self._so_far = {name: x_B.masked_fill(done_B, 0.0) for name, x_B in self._so_far.items()}

    @torch.no_grad()
    def add(self, moved: Moved) -> None:
        """Add one bar; of accounts that ended nothing is added that their lack of equity would distort."""
        change, old = self._changes.add(moved).without_ended(), self._so_far
        closed_B, num_closed_B = change.need("closed_B"), change.need("num_closed_B")
        self._so_far = {
            "bars": old["bars"] + 1.0,
            "squares": DECAY * old["squares"] + (1.0 - DECAY) * change.return_B.square(),
            "trades": old["trades"] + num_closed_B,
            "wins": old["wins"] + change.need("num_won_B"),
            "last": torch.where(num_closed_B > 0, closed_B / change.before_B, old["last"]),
            "turnover": old["turnover"] + change.need("turnover_B"),
            "since_peak": torch.where(change.after_B < change.peak_B, old["since_peak"] + 1.0, 0.0),
        }

    def columns(self) -> tuple[Tensor, ...]:
        """Return the features ``[B]`` in the order of ``HISTORY``, float64."""
        now = self._so_far
        bars_B = now["bars"]
        has_begun_B = bars_B > 0
        weight_B = torch.where(has_begun_B, 1.0 - DECAY**bars_B, 1.0)  # as if the first return had no past
        return (
            torch.sqrt(now["squares"] / weight_B),
            torch.log1p(now["trades"]),
            now["wins"] / now["trades"].clamp_min(1.0),
            now["last"],
            now["turnover"] / bars_B.clamp_min(1.0),
            now["since_peak"] / BAR_UNIT,
        )

    def state_dict(self) -> dict[str, Tensor]:
        """Return what a bit-exact continuation needs."""
        return {**self._changes.state_dict(), **self._so_far}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a saved state."""
        self._changes.load_state_dict(state)
        self._so_far = {name: state[name].to(self._device) for name in _SUMS}


_SUMS = ("bars", "squares", "trades", "wins", "last", "turnover", "since_peak")
