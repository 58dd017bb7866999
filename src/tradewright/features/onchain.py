"""``features=onchain``: what the swaps of a pool say at each bar's last swap: core features and conditions.

Twenty-six columns with the default windows, the values of ``swap_windows``, made free of the scale of price and pool:
the price itself is left out, sizes and seconds are logarithms. Natural units, for prompts and rules, are those of
``swap_windows.onchain_table``. Legend: T bars.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.features.swap_windows import CORE_WINDOW, WINDOWS, onchain_table

Float = npt.NDArray[np.float64]

LOGARITHMIC = ("volume_eth", "volume_average", "volume_ratio", "interval_s")
"""Heavy-tailed, >= 0: read as ln(1 + x)."""
LEFT_OUT = ("price",)


class Onchain:
    """Trend, volatility, volume pattern and microstructure of a pool over windows that count swaps.

    Args:
        window: Swaps of the core's volatility and volume average, >= 2.
        windows: Swaps of the conditions, each >= 2, rising.
        normalise: ``zscore`` (mean and deviation of the training range) or ``none``.

    Raises:
        ValueError: A window is too short, or ``normalise`` is unknown.
    """

    def __init__(
        self, *, window: int = CORE_WINDOW, windows: Sequence[int] = WINDOWS, normalise: str = "zscore"
    ) -> None:
        if window < 2:
            raise ValueError(f"window must be >= 2, was {window}")
        if not windows or list(windows) != sorted(set(windows)) or windows[0] < 2:
            raise ValueError(f"windows must rise from 2 on, such as [10, 50, 100], was {list(windows)}")
        if normalise not in ("zscore", "none"):
            raise ValueError(f"normalise must be 'zscore' or 'none', was {normalise!r}")
        self.window = window
        self.windows = tuple(windows)
        self.normalise = normalise

    @property
    def parameters(self) -> dict[str, Any]:
        """What decides the raw values; part of the cache key."""
        return {"window": self.window, "windows": list(self.windows)}

    @property
    def warmup_bars(self) -> int:
        """Bars before all features are defined: a bar has a swap at least, and W changes need W swaps before."""
        return max(self.window, *self.windows)

    def compute(self, panel: Panel) -> dict[str, Float]:
        """Return each feature as ``[T, 1]`` float64, NaN where not enough swaps exist yet.

        Raises:
            DataError: The panel has no swaps.
        """
        table = onchain_table(panel, window=self.window, windows=self.windows)
        return {name: _scaled(name, x_T1) for name, x_T1 in table.items() if name not in LEFT_OUT}


def _scaled(name: str, x_T1: Float) -> Float:
    is_heavy = any(name == stem or name.startswith(f"{stem}_") for stem in LOGARITHMIC)
    return np.log1p(x_T1) if is_heavy else x_T1
