"""Other corporate actions, rates, rolls, finer bars and swaps for the futures of ``leak_worlds``.

What happened after the cut is dealt out again over the bars after the cut, at the new prices; finer bars keep their
shape and move with the bar they lie in. Legend: T bars, M bars after the cut, N instruments, K finer bars or swaps.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.data.swap_tape import COLUMNS, SwapTape

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


MAX_SWAPS = 3
"""Swaps of a new bar, so that what counts them sees other numbers after the cut."""


def other_swaps(panel: Panel, k: int, bars: dict[str, Array], sign: int, rng: np.random.Generator) -> SwapTape | None:
    """Return the swaps up to bar k and others afterwards that make the new bars; None where the panel has none.

    The prices of a bar's swaps run from its open to its close, their sizes add up to its volume, and liquidity is
    another one; when in their bar swaps come is drawn from when they came in others.

    Args:
        panel: The bars as they are.
        k: The last bar that stays.
        bars: The new bars of the panel by field name, ``[T, 1]``.
        sign: 1 or -1: liquidity and the side of most swaps move that way.
        rng: Draws them.
    """
    tape = panel.swaps
    if tape is None:
        return None
    kept = tape.between(panel.ts_T[0], panel.known_at_T[k])
    row_M = k + 1 + np.flatnonzero(bars["tradable_TN"][k + 1 :, 0])
    row_K = np.repeat(row_M, rng.integers(1, MAX_SWAPS + 1, len(row_M)))
    num = len(row_K)
    bar_of_tape = np.searchsorted(panel.ts_T, tape.ts_K, side="right") - 1
    delay_K = rng.choice((tape.ts_K - panel.ts_T[bar_of_tape]).astype(np.int64), num)
    order_K = np.lexsort((delay_K, row_K))
    ts_K = panel.ts_T[row_K] + delay_K[order_K].astype("timedelta64[us]")
    is_last_K = np.append(row_K[1:] != row_K[:-1], True) if num else np.zeros(0, dtype=bool)
    is_first_K = np.append(True, row_K[1:] != row_K[:-1]) if num else np.zeros(0, dtype=bool)
    low_K, high_K, open_K, close_K = (bars[f"{name}_TN"][row_K, 0] for name in ("low", "high", "open", "close"))
    price_K = low_K + (high_K - low_K) * rng.random(num)
    price_K = np.where(is_last_K, close_K, np.where(is_first_K, open_K, price_K))
    part_K = rng.uniform(0.5, 1.5, num)
    total_K = np.bincount(row_K, part_K, minlength=panel.num_bars)[row_K]
    side_K = np.where(rng.random(num) < 0.5 + 0.4 * sign, 1.0, -1.0)
    fresh = {
        "ts_K": ts_K,
        "block_K": np.arange(num) // 2 + (kept.block_K[-1] if kept.num_swaps else 0) + 1,
        "price_K": price_K,
        "amount_K": side_K * part_K / total_K * bars["volume_TN"][row_K, 0],
        "liquidity_K": rng.choice(tape.liquidity_K, num) * np.exp(sign * rng.uniform(0.5, 1.5, num)),
    }
    joined: dict[str, Any] = {name: np.concatenate([getattr(kept, name), fresh[name]]) for name in COLUMNS}
    return replace(kept, **joined)
