"""Figures of the episodes while they run: what the report would say of each account at its current bar.

Streaming statistics (``market.tally``) beside the accounts of a ``Simulator``, so that nothing of an episode is kept.
Legend: B accounts, T bars.
"""

from typing import Any

import torch
from torch import Tensor

from tradewright.data.panel import Panel
from tradewright.market.account import Outcome
from tradewright.market.tally import FIGURES, Moments, Tally, add_bar, choose_tally, figures_of, mark, start_tally
from tradewright.metrics.calendar import annualised_marks


class EpisodeFigures:
    """The figures of ``market.tally.FIGURES`` for the episodes of one simulator.

    Args:
        panel: The simulator's panel: its calendar says where returns begin and end.
        risk_free: Annual fraction, as in ``evaluate.risk_free``.
    """

    def __init__(self, panel: Panel, *, risk_free: float = 0.0) -> None:
        marks, self.periods_per_year = annualised_marks(panel.ts_T, panel.timeframe_s, panel.periods_per_year)
        self.risk_free = risk_free
        self.is_mark_T = torch.zeros(panel.num_bars, dtype=torch.bool)
        self.is_mark_T[torch.from_numpy(marks)] = True
        self._tally: Tally | None = None
        self._is_marked_B = torch.zeros(0, dtype=torch.bool)

    @property
    def keys(self) -> tuple[str, ...]:
        """The names of the figures."""
        return FIGURES

    def start(self, equity_B: Tensor) -> None:
        """Begin the episodes of all accounts, which are flat."""
        self.is_mark_T = self.is_mark_T.to(equity_B.device)
        self._tally = start_tally(torch, equity_B, 1)
        self._is_marked_B = torch.ones_like(equity_B, dtype=torch.bool)

    def restart(self, done_B: Tensor, equity_B: Tensor) -> None:
        """Begin the episodes of ``done_B`` anew."""
        self._tally = choose_tally(torch, done_B, start_tally(torch, equity_B, 1), self._started)
        self._is_marked_B = self._is_marked_B | done_B

    def add(self, outcome: Outcome, bar_B: Tensor, multiplier_BN: Tensor | None) -> None:
        """Add the bar that was stepped, numbered ``bar_B``; ``outcome`` has details."""
        self._is_marked_B = self.is_mark_T[bar_B]
        self._tally = add_bar(
            torch, self._started, outcome,
            is_mark=self._is_marked_B, target=self._target, multiplier_N=multiplier_BN,
        )  # fmt: skip

    def now(self) -> dict[str, Tensor]:
        """Return the figures of the episodes up to now, ``[B]`` float64 by name; what is undefined is NaN.

        A day that is not over counts up to now, as in the report of a range that ends here.
        """
        tally = mark(torch, self._started, self._target, ~self._is_marked_B)
        return figures_of(torch, tally.moments, self.periods_per_year, self.risk_free)

    def state_dict(self) -> dict[str, Tensor]:
        """Return what a bit-exact continuation needs."""
        tally = self._started
        fields = {**tally.moments._asdict(), **tally._asdict(), "is_marked_B": self._is_marked_B}
        return {name: value for name, value in fields.items() if isinstance(value, Tensor)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a saved state."""
        values: dict[str, Any] = {name: value.to(self.is_mark_T.device) for name, value in state.items()}
        moments = Moments(**{name: values[name] for name in Moments._fields})
        rest = {name: values[name] for name in Tally._fields if name != "moments"}
        self._tally, self._is_marked_B = Tally(moments=moments, **rest), values["is_marked_B"]

    @property
    def _started(self) -> Tally:
        assert self._tally is not None, "start() comes first"
        return self._tally

    @property
    def _target(self) -> float:
        return self.risk_free / self.periods_per_year
