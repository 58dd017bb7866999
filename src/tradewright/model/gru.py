"""``model=gru``: a memory that is carried from step to step, and forgets where an episode begins.

h_t = GRU(f([window; portfolio]_t), (1 - first_t)·h_{t-1}), f an MLP. The memory sees what a window
does not: what happened before it, and what the agent did.
Source: Cho et al., "Learning phrase representations using RNN encoder-decoder", arXiv 1406.1078.
Legend: B environments, S steps in order, D width of f, H width of the memory.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from tradewright.config.runtime import Runtime
from tradewright.model.encoder import RecurrentModel
from tradewright.model.mlp import MLP


class GRU(RecurrentModel):
    """Gated recurrent unit behind layers over the observation.

    Args:
        in_features: Width of the input; derived from the data.
        window: Bars at the front of the input; 0: none.
        num_features: Features of each.
        hidden: Widths of the layers before the memory, at least one; D is the last.
        memory: H, width of the memory, >= 1.
        activation: Of the layers before the memory: ``tanh``, ``relu``, ``silu`` or ``gelu``.

    Raises:
        ValueError: An argument is out of range.
    """

    rows_per_frame: ClassVar[float] = MLP.rows_per_frame

    def __init__(
        self,
        *,
        in_features: Runtime[int],
        window: Runtime[int] = 0,
        num_features: Runtime[int] = 0,
        hidden: list[int],
        memory: int = 64,
        activation: str = "tanh",
    ) -> None:
        super().__init__(window=window, num_features=num_features)
        if memory < 1:
            raise ValueError(f"memory must be >= 1, was {memory}")
        self.before = MLP(
            in_features=in_features, window=window, num_features=num_features, hidden=hidden, activation=activation
        )
        self.cell = nn.GRUCell(self.before.out_features, memory)
        for weight in (self.cell.weight_ih, self.cell.weight_hh):
            for gate in weight.chunk(3):
                nn.init.orthogonal_(gate)
        nn.init.zeros_(self.cell.bias_ih)
        nn.init.zeros_(self.cell.bias_hh)
        self.out_features = memory

    def encode(self, window: Tensor) -> Tensor:
        """Return the window's part of the first layer."""
        return self.before.encode(window)

    def encode_bars(self, features: Tensor) -> Tensor:
        """Return ``encode`` of every window of the bars."""
        return self.before.encode_bars(features)

    def finish(self, code: Tensor, others: Tensor) -> Tensor:
        """Return what enters the memory, ``[.., D]``."""
        return self.before.finish(code, others)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[.., W·F + P]`` to what enters the memory, ``[.., D]``."""
        return self.before(x)

    def remember(self, x_BSD: Tensor, is_first_BS: Tensor, memory_BH: Tensor) -> Tensor:
        """Run the cell step by step."""
        kept_BS1 = torch.where(is_first_BS, 0.0, 1.0)[..., None].to(memory_BH.dtype)
        memories = []
        for x_BD, kept_B1 in zip(x_BSD.unbind(1), kept_BS1.unbind(1), strict=True):
            memory_BH = self.cell(x_BD, memory_BH * kept_B1)
            memories.append(memory_BH)
        return torch.stack(memories, dim=1)
