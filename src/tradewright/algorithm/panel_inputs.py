"""``PanelInputs``: what the networks of an agent see that trades all instruments from one account.

Legend: B environments (any leading dimensions), W window, N instruments, F features, P portfolio features.
"""

import torch
from torch import Tensor

from tradewright.algorithm.inputs import Bars, WindowInputs
from tradewright.env.market_tensors import gather_window
from tradewright.env.portfolio import Portfolio


class PanelInputs(WindowInputs):
    """The windows of all instruments, bar by bar, beside the state of the joint account.

    A bar has the features of the first instrument, then of the second, and so on: N·F numbers.

    Args:
        env: Window and kind of observation.
        bars: The market's features; on the networks' device when they run.
    """

    def __init__(self, *, env: Portfolio, bars: Bars) -> None:
        super().__init__(env=env, bars=bars)
        self.num_instruments = bars.market.num_instruments
        self.num_features *= self.num_instruments

    @property
    def num_windows(self) -> int:
        """R, the windows of the range: one holds all instruments."""
        return super().num_windows // self.num_instruments

    def span(self) -> Tensor:
        """Return the features of all windows of the range, ``[1, W-1+R, N·F]``."""
        return self.bars.market.joint_features[None, self.first - self.window + 1 : self.bars.rows.stop]

    def place(self, index: Tensor) -> Tensor:
        """Return which of the R windows ends at each bar."""
        return index - self.first

    def forward(self, bars: Tensor, portfolio: Tensor) -> Tensor:
        """Map bar numbers ``[B]`` or windows ``[B, W, N·F]``, and portfolio ``[B, P]``, to ``[B, W·N·F + P]``."""
        if self.is_indexed:
            bars = gather_window(self.bars.market.joint_features, bars, self.window)
        return torch.cat((bars.flatten(-2), portfolio), dim=-1)
