"""From a panel to scaled model inputs, cached on disk under a fingerprint of data, feature configuration and range.

Legend: T bars, N instruments, F features. The cache holds raw float32 features as ``.npy`` and is memory-mapped, so
many workers of a sweep share one copy; scaling is fitted per training range and cached beside it.
"""

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.features.features import Features
from tradewright.features.scaler import Scaler
from tradewright.output import write_with

VERSION = 1
"""Raise when the meaning of any feature changes; cached files of another version are not read."""


class FeatureSet(Protocol):
    """A named set of causal features: the config node of group ``features``."""

    normalise: str

    @property
    def parameters(self) -> dict[str, Any]: ...

    @property
    def warmup_bars(self) -> int: ...

    def compute(self, panel: Panel) -> dict[str, npt.NDArray[np.float64]]: ...


def build_features(
    feature_set: FeatureSet,
    panel: Panel,
    train: Range | Sequence[Range],
    cache: Path,
    *,
    fitted: Scaler | None = None,
) -> tuple[Features, Scaler]:
    """Compute (or read from the cache) the scaled features of a panel.

    Args:
        feature_set: What to compute.
        panel: All bars.
        train: The range, or the parts, on which the scaler is fitted.
        cache: Folder of cached features.
        fitted: A scaler of an earlier run to use instead of fitting one, as its model expects.

    Returns:
        Features whose rows before ``ready_from`` are NaN and whose later rows are finite, and the fitted scaler.
        An instrument that does not have ``warmup_bars`` bars yet reads 0 (the training mean).

    Raises:
        DataError: A value is not finite although its bars exist; named by feature, symbol and time.
    """
    parts = (train,) if isinstance(train, Range) else tuple(train)
    key = _key(feature_set, panel, parts, fitted)
    path, scaler_path = cache / f"{key}.npy", cache / f"{key}.json"
    if not (path.is_file() and scaler_path.is_file()):
        x_TNF, scaler = compute_features(feature_set, panel, parts, fitted)
        scaler.save(scaler_path)
        write_with(path, lambda part: _save(part, x_TNF))
    scaler = Scaler.load(scaler_path)
    features = Features(
        x_TNF=np.load(path, mmap_mode="r"),
        names_F=scaler.names_F,
        ready_from=min(feature_set.warmup_bars, panel.num_bars),
    )
    return features, scaler


def _save(path: Path, x_TNF: npt.NDArray[np.float32]) -> None:
    with path.open("wb") as file:
        np.save(file, x_TNF)


def _key(feature_set: FeatureSet, panel: Panel, train: tuple[Range, ...], fitted: Scaler | None) -> str:
    scaled_by = (
        [[part.start, part.stop] for part in train]
        if fitted is None
        else [fitted.mean_F.tolist(), fitted.deviation_F.tolist()]
    )
    facts = {
        "version": VERSION,
        "data": panel.fingerprint,
        "bars": [panel.num_bars, str(panel.ts_T[0]), str(panel.ts_T[-1])],
        "class": f"{type(feature_set).__module__}.{type(feature_set).__qualname__}",
        "parameters": feature_set.parameters,
        "normalise": feature_set.normalise,
        "train": scaled_by,
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:20]


def compute_features(
    feature_set: FeatureSet, panel: Panel, train: tuple[Range, ...], fitted: Scaler | None
) -> tuple[npt.NDArray[np.float32], Scaler]:
    """Return scaled features ``[T, N, F]`` and their scaler without any cache; see ``build_features``."""
    table = feature_set.compute(panel.for_signals())
    names_F = tuple(table)
    x_TNF = np.stack(list(table.values()), axis=-1)
    age_TN = np.cumsum(panel.tradable_TN, axis=0) - 1
    is_ready_TN = age_TN >= feature_set.warmup_bars
    _require_finite(x_TNF, is_ready_TN, names_F, panel)
    x_TNF = np.where(is_ready_TN[..., None], x_TNF, np.nan)
    scaler = fitted or _fit(feature_set, np.concatenate([x_TNF[part.start : part.stop] for part in train]), names_F)
    if scaler.names_F != names_F:
        raise DataError(f"features: the saved scaler has {', '.join(scaler.names_F)}; computed {', '.join(names_F)}")
    scaled_TNF = scaler.transform(x_TNF)
    ready = np.arange(panel.num_bars)[:, None, None] >= feature_set.warmup_bars
    scaled_TNF = np.where(ready & ~is_ready_TN[..., None], 0.0, scaled_TNF)
    return scaled_TNF.astype(np.float32), scaler


def _fit(feature_set: FeatureSet, x_TNF: npt.NDArray, names_F: tuple[str, ...]) -> Scaler:
    return Scaler.fit(x_TNF, names_F) if feature_set.normalise == "zscore" else Scaler.identity(names_F)


def _require_finite(x_TNF: npt.NDArray, is_ready_TN: npt.NDArray, names_F: tuple[str, ...], panel: Panel) -> None:
    bad_TNF = is_ready_TN[..., None] & ~np.isfinite(x_TNF)
    if bad_TNF.any():
        t, n, f = (int(index[0]) for index in np.nonzero(bad_TNF))
        raise DataError(
            f"features.{names_F[f]}: {x_TNF[t, n, f]} at row {t} ({panel.ts_T[t]}) of {panel.symbols[n]}, expected a"
            f" finite number; {int(bad_TNF.sum())} such values. Look at the bar with `tradewright inspect`"
        )
