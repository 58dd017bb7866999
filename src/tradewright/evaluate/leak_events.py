"""Other corporate actions, rates, rolls and finer bars for the futures of ``leak_worlds``.

What happened after the cut is dealt out again over the bars after the cut, at the new prices; finer bars keep their
shape and move with the bar they lie in. Legend: T bars, M bars after the cut, N instruments, K finer bars.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel

Float = npt.NDArray[np.float64]
Array = npt.NDArray[Any]


def other_events(panel: Panel, k: int, close_MN: Float, sign: int, rng: np.random.Generator) -> dict[str, Array]:
    """Return the event arrays ``[T, N]`` that the panel has, equal up to bar k and others afterwards.

    Args:
        panel: The bars as they are.
        k: The last bar that stays.
        close_MN: New closes after bar k; NaN where no bar exists.
        sign: 1 or -1: rates move that way.
        rng: Deals the events out.
    """
    later, order = slice(k + 1, None), rng.permutation(len(close_MN))
    base_MN = np.where(np.isfinite(close_MN), close_MN, 1.0)
    exists_MN = np.isfinite(close_MN)
    fresh: dict[str, Array] = {}
    if panel.split_TN is not None:
        fresh["split_TN"] = np.where(exists_MN, panel.split_TN[later][order], 1.0)
    if panel.dividend_TN is not None:
        old_MN = panel.close_TN[later]
        share_MN = np.where(np.isfinite(old_MN), panel.dividend_TN[later] / old_MN, 0.0)
        fresh["dividend_TN"] = np.where(exists_MN, share_MN[order] * base_MN, 0.0)
    for name in ("borrow_TN", "funding_TN"):
        rate_TN = getattr(panel, name)
        if rate_TN is not None:
            moved_MN = np.abs(rate_TN[later][order]) * np.exp(sign) + (0.0 if name == "borrow_TN" else sign * 1e-4)
            fresh[name] = moved_MN
    if panel.roll_from_TN is not None and panel.roll_to_TN is not None:
        ratio_MN = (panel.roll_to_TN[later] / panel.roll_from_TN[later])[order]
        is_roll_MN = exists_MN & np.isfinite(ratio_MN)
        fresh["roll_from_TN"] = np.where(is_roll_MN, base_MN, np.nan)
        fresh["roll_to_TN"] = np.where(is_roll_MN, base_MN * ratio_MN, np.nan)
    return {name: np.concatenate([getattr(panel, name)[: k + 1], x_MN]) for name, x_MN in fresh.items()}


def other_finer(panel: Panel, k: int, bars: dict[str, Array]) -> Panel | None:
    """Return the finer bars, those inside bars after k moved with them and kept between their low and high.

    Args:
        panel: The bars as they are.
        k: The last bar that stays.
        bars: The new bars of the panel by field name, ``[T, N]``.
    """
    finer = panel.finer
    if finer is None:
        return None
    row_K = np.clip(np.searchsorted(panel.ts_T, finer.ts_T, side="right") - 1, 0, panel.num_bars - 1)
    first = int(np.searchsorted(row_K, k, side="right"))
    row_L = row_K[first:]
    factor_LN = (bars["close_TN"] / panel.close_TN)[row_L]
    low_LN, high_LN = bars["low_TN"][row_L], bars["high_TN"][row_L]
    moved: dict[str, Any] = {}
    exists_LN = finer.tradable_TN[first:]
    for name in ("open_TN", "high_TN", "low_TN", "close_TN"):
        price_LN = np.clip(getattr(finer, name)[first:] * factor_LN, low_LN, high_LN)
        moved[name] = price_LN
        exists_LN = exists_LN & np.isfinite(price_LN)
    moved = {name: np.where(exists_LN, price_LN, np.nan) for name, price_LN in moved.items()}
    moved["volume_TN"] = np.where(exists_LN, finer.volume_TN[first:], 0.0)
    moved["tradable_TN"] = exists_LN
    joined: dict[str, Any] = {
        name: np.concatenate([getattr(finer, name)[:first], fresh]) for name, fresh in moved.items()
    }
    return replace(finer, **joined)
