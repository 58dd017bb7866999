"""``Features``: causal float32 inputs of models, one row per bar.

Legend: T bars, N instruments, F features. Row t uses only what is known at the close of bar t.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, kw_only=True)
class Features:
    """Model inputs for every bar of a panel.

    Args:
        x_TNF: float32, possibly memory-mapped read-only; finite from row ``ready_from`` on.
        names_F: One unique name per feature.
        ready_from: First row at which every feature is defined; earlier rows are NaN.
    """

    x_TNF: npt.NDArray[np.float32]
    names_F: tuple[str, ...]
    ready_from: int
