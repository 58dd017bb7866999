"""``MarketTensors``: a panel and its features as flat tensors that thousands of accounts gather from.

Legend: T bars, N instruments, F features, W window, B accounts. Row ``n * T + t`` is bar t of instrument n.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from tradewright.data.panel import Panel
from tradewright.features.features import Features

SECONDS_PER_YEAR = 365.0 * 86_400.0


@dataclass(frozen=True)
class MarketTensors:
    """Everything an environment reads about the market.

    Args:
        prices: Open, high, low, close, float64 ``[N*T, 4]``; NaN where no bar exists.
        tradable: bool ``[N*T]``.
        features: float32 ``[N*T, F]``.
        years_T: Elapsed fraction of a 365-day year since the previous bar, float64; 0 for the first.
        num_bars: T.
        num_instruments: N.
        ready_from: First bar whose features are defined.
        panel: The panel, for what only some rules of execution need of it.
    """

    prices: Tensor
    tradable: Tensor
    features: Tensor
    years_T: Tensor
    num_bars: int
    num_instruments: int
    ready_from: int
    panel: Panel

    @classmethod
    def build(cls, panel: Panel, features: Features, device: torch.device | str = "cpu") -> "MarketTensors":
        """Copy a panel and its features to ``device``."""
        stacked_NT4 = np.stack([panel.open_TN, panel.high_TN, panel.low_TN, panel.close_TN], axis=-1).swapaxes(0, 1)
        years_T = np.zeros(panel.num_bars)
        years_T[1:] = np.diff(panel.ts_T) / np.timedelta64(1, "s") / SECONDS_PER_YEAR
        num_features = len(features.names_F)
        x_NTF = np.ascontiguousarray(np.asarray(features.x_TNF).swapaxes(0, 1))

        def tensor(array: np.ndarray) -> Tensor:
            return torch.from_numpy(np.ascontiguousarray(array)).to(device)

        return cls(
            prices=tensor(stacked_NT4.reshape(-1, 4)),
            tradable=tensor(panel.tradable_TN.T.reshape(-1).copy()),
            features=tensor(x_NTF.reshape(-1, num_features).copy()),
            years_T=tensor(years_T),
            num_bars=panel.num_bars,
            num_instruments=len(panel.instruments),
            ready_from=features.ready_from,
            panel=panel,
        )

    @cached_property
    def joint_features(self) -> Tensor:
        """Features of all instruments by bar, ``[T, N*F]``, those of the first instrument first."""
        return self.features.unflatten(0, (self.num_instruments, self.num_bars)).transpose(0, 1).flatten(1)


def gather_window(features: Tensor, index_B: Tensor, window: int) -> Tensor:
    """Return the last ``window`` feature rows up to and including each index, oldest first.

    Args:
        features: ``[N*T, F]``.
        index_B: Flat rows, int64, any dimensions, at least ``window - 1`` rows after the instrument's first.
        window: W.

    Returns:
        ``[B, W, F]``.
    """
    num_rows, num_features = features.shape
    if not features.is_contiguous():
        features = features.contiguous()
    # Row i of this view is the window that begins there: windows overlap in memory, so each is one copy of W·F numbers.
    windows = features.as_strided((num_rows - window + 1, window * num_features), (num_features, 1))
    return windows.index_select(0, index_B.reshape(-1) - (window - 1)).view(*index_B.shape, window, num_features)
