"""What the swaps of a pool say, transaction by transaction, in natural units: prices, ETH, seconds and fractions.

Every value belongs to a swap and uses it and earlier ones only, over windows that count swaps, not time: a window of 50
swaps is minutes in a storm and hours in a calm. ``sampled`` reads them at the last swap of each bar.
Legend: K swaps, T bars, W window.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from tradewright.data.panel import Panel
from tradewright.data.swap_tape import SwapTape
from tradewright.errors import DataError
from tradewright.features.windows import lag, ratio, window_mean, window_std, window_sum

Float = npt.NDArray[np.float64]

WINDOWS = (10, 50, 100)
CORE_WINDOW = 50
CORE = ("price", "price_change", "volatility", "volume_eth", "volume_average", "liquidity_impact")
CONDITIONS = ("return", "deviation", "volatility", "volume_ratio", "imbalance", "interval_s", "size_rank")
"""Of each window: trend (two), volatility, volume pattern, and three of the microstructure."""
ROWS_AT_ONCE = 32_768


def swaps_of(panel: Panel) -> SwapTape:
    """Return the swaps of a panel.

    Raises:
        DataError: It has none.
    """
    if panel.swaps is None or panel.swaps.num_swaps == 0:
        raise DataError(
            f"'{panel.dataset}' has bars without swaps, which this needs; use data=swaps or data=synthetic_swaps"
        )
    return panel.swaps


def core_features(tape: SwapTape, window: int = CORE_WINDOW) -> dict[str, Float]:
    """Return the core features ``[K]`` by name; NaN where not enough swaps exist yet.

    * ``price``: after the swap, quote tokens per base token;
    * ``price_change``: against the swap before, a fraction: p_k / p_{k-1} - 1;
    * ``volatility``: standard deviation (ddof 0) of the last W price changes;
    * ``volume_eth``: base tokens of the swap; ``volume_average``: their mean over the last W swaps;
    * ``liquidity_impact``: volume over the base tokens that the pool holds in the present tick range, a fraction.
    """
    price_K1, volume_K1 = tape.price_K[:, None], tape.volume_K[:, None]
    change_K1 = price_K1 / lag(price_K1, 1) - 1.0
    columns = {
        "price": price_K1,
        "price_change": change_K1,
        "volatility": window_std(change_K1, window),
        "volume_eth": volume_K1,
        "volume_average": window_mean(volume_K1, window),
        "liquidity_impact": volume_K1 / tape.reserve_K[:, None],
    }
    return {name: columns[name][:, 0] for name in CORE}


def condition_features(tape: SwapTape, windows: Sequence[int] = WINDOWS) -> dict[str, Float]:
    """Return the conditions of each window ``[K]``, named like ``return_10``.

    * ``return``: p_k / p_{k-W} - 1; ``deviation``: p_k over the mean price of the window, less 1;
    * ``volatility``: standard deviation (ddof 0) of the W price changes;
    * ``volume_ratio``: volume of the swap over the mean of the window;
    * ``imbalance``: bought less sold over traded base tokens, -1 to 1, 0 without volume;
    * ``interval_s``: mean seconds between the W + 1 newest swaps;
    * ``size_rank``: share of the window's swaps that are not larger than this one, 1/W to 1.
    """
    price_K1, volume_K1, amount_K1 = tape.price_K[:, None], tape.volume_K[:, None], tape.amount_K[:, None]
    change_K1 = price_K1 / lag(price_K1, 1) - 1.0
    time_K1 = ((tape.ts_K - tape.ts_K[:1]) / np.timedelta64(1, "s"))[:, None]
    columns: dict[str, Float] = {}
    for window in windows:
        total_K1 = window_sum(volume_K1, window)
        found = {
            "return": price_K1 / lag(price_K1, window) - 1.0,
            "deviation": price_K1 / window_mean(price_K1, window) - 1.0,
            "volatility": window_std(change_K1, window),
            "volume_ratio": ratio(volume_K1, total_K1 / window, 1.0),
            "imbalance": ratio(window_sum(amount_K1, window), total_K1, 0.0),
            "interval_s": (time_K1 - lag(time_K1, window)) / window,
            "size_rank": _rank(tape.volume_K, window)[:, None],
        }
        columns |= {f"{name}_{window}": found[name][:, 0] for name in CONDITIONS}
    return columns


def sampled(panel: Panel, columns: Mapping[str, Float]) -> dict[str, Float]:
    """Return values of swaps ``[K]`` as they stand at the last swap of each bar, ``[T, 1]``."""
    last_T = swaps_of(panel).last_of_bars(panel.known_at_T)
    if len(last_T) and last_T[0] < 0:
        raise DataError(f"'{panel.dataset}': the bar at {panel.ts_T[0]} has no swap; load the data again")
    return {name: column_K[last_T][:, None] for name, column_K in columns.items()}


def onchain_table(panel: Panel, *, window: int = CORE_WINDOW, windows: Sequence[int] = WINDOWS) -> dict[str, Float]:
    """Return core features and conditions of every bar in natural units, ``[T, 1]`` by name.

    Args:
        panel: Bars with their swaps.
        window: Swaps of the core's averages.
        windows: Swaps of each set of conditions.

    Raises:
        DataError: The panel has no swaps.
    """
    tape = swaps_of(panel)
    return sampled(panel, core_features(tape, window) | condition_features(tape, windows))


def _rank(volume_K: Float, window: int) -> Float:
    """Return the share of the window that is not larger than its newest value; NaN in the first W - 1 rows."""
    rank_K = np.full(len(volume_K), np.nan)
    if len(volume_K) < window:
        return rank_K
    views = np.lib.stride_tricks.sliding_window_view(volume_K, window)
    for start in range(0, len(views), ROWS_AT_ONCE):
        part = views[start : start + ROWS_AT_ONCE]
        rank_K[start + window - 1 : start + window - 1 + len(part)] = (part <= part[:, -1:]).mean(axis=1)
    return rank_K
