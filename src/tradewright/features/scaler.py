"""Z-score normalisation fitted on the training range only and saved with the run.

Legend: T bars, N instruments, F features. A feature that is constant on the training range has deviation 1, so it
becomes 0 there and no NaN or warning arises.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from tradewright.errors import DataError
from tradewright.output import read_json, write_json

Float = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Scaler:
    """``(x - mean) / deviation`` per feature, pooled over instruments.

    Args:
        names_F: Feature names.
        mean_F: Means over the training range.
        deviation_F: Standard deviations (ddof 0) over the training range; 1 where that is 0.
    """

    names_F: tuple[str, ...]
    mean_F: Float
    deviation_F: Float

    @classmethod
    def fit(cls, x_TNF: npt.NDArray, names_F: tuple[str, ...]) -> "Scaler":
        """Fit on training rows; NaN (instruments without enough history) are left out.

        Raises:
            DataError: A feature has no defined value in the training range.
        """
        x_MF = np.asarray(x_TNF, dtype=np.float64).reshape(-1, len(names_F))
        defined_MF = ~np.isnan(x_MF)
        count_F = defined_MF.sum(0)
        for name, count in zip(names_F, count_F, strict=True):
            if count == 0:
                raise DataError(f"features.{name}: no defined value in the training range; use more bars")
        mean_F = np.where(defined_MF, x_MF, 0.0).sum(0) / count_F
        variance_F = np.where(defined_MF, (x_MF - mean_F) ** 2, 0.0).sum(0) / count_F
        deviation_F = np.sqrt(variance_F)
        is_constant_F = deviation_F <= 1e-12 * np.maximum(np.abs(mean_F), 1e-12)
        return cls(names_F=names_F, mean_F=mean_F, deviation_F=np.where(is_constant_F, 1.0, deviation_F))

    @classmethod
    def identity(cls, names_F: tuple[str, ...]) -> "Scaler":
        """The scaler that changes nothing (``normalise: none``)."""
        return cls(names_F=names_F, mean_F=np.zeros(len(names_F)), deviation_F=np.ones(len(names_F)))

    def transform(self, x_TNF: npt.NDArray) -> npt.NDArray:
        """Return the scaled values; NaN stay NaN."""
        return (x_TNF - self.mean_F) / self.deviation_F

    def save(self, path: Path) -> None:
        """Write the scaler as JSON."""
        rows = zip(self.names_F, self.mean_F.tolist(), self.deviation_F.tolist(), strict=True)
        write_json(path, {name: {"mean": mean, "deviation": deviation} for name, mean, deviation in rows})

    @classmethod
    def load(cls, path: Path) -> "Scaler":
        """Read a scaler that ``save`` wrote; values are equal to the bit."""
        table = read_json(path)
        mean_F = np.array([row["mean"] for row in table.values()])
        deviation_F = np.array([row["deviation"] for row in table.values()])
        return cls(names_F=tuple(table), mean_F=mean_F, deviation_F=deviation_F)
