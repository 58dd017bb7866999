"""``BarModel``: the contract of group ``model`` for agents and forecasters: a window of bars becomes features.

No action moves a price, so what a network makes of a window does not depend on what the agent did. Its part that sees
only bars (``encode``) therefore runs over a whole range of bars at once (``encode_bars``): one row per bar, each equal
to ``encode`` of the window that ends there, for all the steps that look at that bar. What else an observation holds
(the portfolio state, an action) joins afterwards (``finish``).
Legend: W window, F features per bar, P other numbers, N instruments, R bars, E code, H output, B environments, S steps,
D numbers that enter a memory.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

from torch import Tensor, nn


class BarModel(nn.Module, ABC):
    """Base of the networks over windows; built with ``in_features`` = W·F + P, ``window`` = W, ``num_features`` = F.

    Args:
        window: W; 0 where an observation has no bars.
        num_features: F.
    """

    needs_window: ClassVar[bool] = False
    """Whether it cannot do without bars."""
    is_recurrent: ClassVar[bool] = False
    """Whether it remembers earlier steps (``RecurrentModel``)."""
    rows_per_frame: ClassVar[float]
    """Encoding a range at once is cheaper up to so many bars of the range per frame looked at (measured)."""
    out_features: int

    def __init__(self, *, window: int, num_features: int) -> None:
        super().__init__()
        self.window, self.num_features = window, num_features
        self.bar_width = window * num_features

    @abstractmethod
    def encode(self, window: Tensor) -> Tensor:
        """Map windows ``[.., W, F]`` to codes ``[.., E]``."""

    @abstractmethod
    def encode_bars(self, features: Tensor) -> Tensor:
        """Map ``[N, W-1+R, F]`` to the codes ``[N, R, E]`` of the windows that end at each of the last R bars."""

    @abstractmethod
    def finish(self, code: Tensor, others: Tensor) -> Tensor:
        """Map codes ``[.., E]`` and the other numbers ``[.., P]`` to features ``[.., H]``."""

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[.., W·F + P]``, the flattened window first, to ``[.., H]``."""
        window = x[..., : self.bar_width].unflatten(-1, (self.window, self.num_features))
        return self.finish(self.encode(window), x[..., self.bar_width :])


class RecurrentModel(BarModel):
    """Base of the networks that remember earlier steps: ``forward`` and ``finish`` give what enters the memory."""

    is_recurrent: ClassVar[bool] = True

    @abstractmethod
    def remember(self, x_BSD: Tensor, is_first_BS: Tensor, memory_BH: Tensor) -> Tensor:
        """Carry the memory through S steps in order; where a step is the first of an episode, from zero.

        Args:
            x_BSD: What enters it.
            is_first_BS: bool.
            memory_BH: The memory before the first step.

        Returns:
            The memory after every step, ``[B, S, H]``: the features of the step.
        """


def windows_of(features: Tensor, window: int) -> Tensor:
    """Return every window of ``[N, W-1+R, F]``, flattened: ``[N, R, W·F]``, oldest bar first."""
    return features.unfold(1, window, 1).transpose(-1, -2).flatten(-2)
