"""``Starts``: the (instrument, bar) pairs at which a training episode may begin, and where each would end.

Legend: S admissible pairs, T bars, N instruments. Row ``n * T + t`` is bar t of instrument n.
"""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from tradewright.data.ranges import Range
from tradewright.env.market_tensors import MarketTensors
from tradewright.errors import DataError


class Starts(NamedTuple):
    """Flat rows int64 ``[S]``, and the flat row of the last bar of the episode that begins there, int64 ``[S]``."""

    row_S: Tensor
    end_S: Tensor

    def draw(self, num: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Return ``num`` rows and their ends, each pair equally likely."""
        pick = torch.randint(len(self.row_S), (num,), generator=generator, device=self.row_S.device)
        return self.row_S.index_select(0, pick), self.end_S.index_select(0, pick)


def find_span(market: MarketTensors, parts: Sequence[Range], window: int, *, is_drawn: bool) -> tuple[int, int]:
    """Return the first bar with a window of defined features, and the last bar, where every episode ends at the latest.

    Args:
        market: From where features are defined.
        parts: The bars; one part unless starts are drawn. Windows may reach back before them.
        window: Bars of features that an observation needs.
        is_drawn: Starts are drawn; ``find_starts`` says which there are.

    Raises:
        DataError: Nothing is drawn and there is no step.
    """
    first, last = max(parts[0].start, market.ready_from + window - 1), parts[-1].stop - 1
    if not is_drawn:
        assert len(parts) == 1, "several parts need a generator"
        if last <= first:
            raise DataError(
                f"env.window: {len(parts[0])} bars from bar {parts[0].start} leave no step after a warm-up of"
                f" {market.ready_from} and a window of {window} bars; use more data or a shorter window"
            )
    return first, last


def first_episode(part: Range, ready_from: int, window: int, episode_bars: int | None) -> tuple[int, int]:
    """Return the first bar at which an episode may begin, and the steps of every episode of the part; below 1: none.

    Args:
        part: Training bars; a window does not reach back before them.
        ready_from: First bar whose features are defined.
        window: Bars of features that an observation needs.
        episode_bars: Steps of an episode where there are so many; None: all there are.
    """
    first = max(part.start, ready_from) + window - 1
    room = part.stop - 1 - first
    return first, room if episode_bars is None else min(episode_bars, room)


def find_starts(market: MarketTensors, parts: Sequence[Range], window: int, episode_bars: int | None) -> Starts:
    """Return every start that is tradable, has its window inside its part, and leaves room for a whole episode.

    An episode is ``episode_bars`` long, or as long as its part; parts too short for one step are left out.

    Args:
        market: Where bars exist, and from where features do.
        parts: The training bars, disjoint.
        window: Bars of features that an observation needs.
        episode_bars: Steps of an episode; None: all of the part.

    Raises:
        DataError: Nothing is left.
    """
    tradable_NT = market.tradable.reshape(market.num_instruments, market.num_bars)
    rows, ends = [], []
    for part in parts:
        first, length = first_episode(part, market.ready_from, window, episode_bars)
        if length < 1:
            continue
        last = part.stop - 1
        column, offset = torch.nonzero(tradable_NT[:, first : last - length + 1], as_tuple=True)
        rows.append(column * market.num_bars + first + offset)
        ends.append(rows[-1] + length)
    if not sum(len(found) for found in rows):
        bars = ", ".join(f"{part.start}..{part.stop}" for part in parts)
        raise DataError(
            f"env.window: the training bars {bars} leave no episode after a warm-up of {market.ready_from} and a window"
            f" of {window} bars; use more data, a shorter window or shorter episodes"
        )
    return Starts(torch.cat(rows), torch.cat(ends))
