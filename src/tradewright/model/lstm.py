"""``model=lstm``: a memory that reads the window from its oldest bar to its newest, then layers over what it kept.

code = h_W of an LSTM over the window, from zero. The memory lives within the window: unlike ``model=gru`` nothing is
carried from step to step, so that every algorithm can train it, and it sees no bar outside the declared observation.
Source: Hochreiter and Schmidhuber, "Long short-term memory", Neural Computation 9(8), 1997.
Legend: W window, F features, N instruments, R bars, H width of the memory.
"""

from typing import ClassVar

import torch
from torch import Tensor, nn

from tradewright.config.runtime import Runtime
from tradewright.model.encoder import BarModel
from tradewright.model.mlp import ACTIVATIONS, MLP


class LSTM(BarModel):
    """Long short-term memory over the window, and an MLP behind its last state.

    Args:
        in_features: Width of the input; derived from the data.
        window: Bars at the front of the input, >= 2.
        num_features: Features of each.
        memory: H, >= 1.
        layers: Memories on top of each other, >= 1.
        hidden: Widths of the MLP behind the last state and the portfolio state.
        activation: Of the MLP: ``tanh``, ``relu``, ``silu`` or ``gelu``.

    Raises:
        ValueError: An argument is out of range, or no window of bars is shown.
    """

    needs_window: ClassVar[bool] = True
    rows_per_frame: ClassVar[float] = 1.0  # windows share nothing: each one costs the same either way

    def __init__(
        self,
        *,
        in_features: Runtime[int],
        window: Runtime[int],
        num_features: Runtime[int],
        memory: int = 64,
        layers: int = 1,
        hidden: list[int],
        activation: str = "relu",
    ) -> None:
        super().__init__(window=window, num_features=num_features)
        if window < 2:
            raise ValueError(f"env.window must be >= 2 bars for a memory over them, was {window}")
        for name, number in (("memory", memory), ("layers", layers)):
            if number < 1:
                raise ValueError(f"{name} must be >= 1, was {number}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, was {activation!r}")
        self.memory = nn.LSTM(num_features, memory, num_layers=layers, batch_first=True)
        others = in_features - self.bar_width
        self.head = MLP(in_features=memory + others, hidden=hidden, activation=activation)
        self.out_features = self.head.out_features

    def encode(self, window: Tensor) -> Tensor:
        """Return the last state of each window, ``[.., H]``."""
        states_BWH, _ = self.memory(window.reshape(-1, *window.shape[-2:]))
        return states_BWH[:, -1].reshape(*window.shape[:-2], -1)

    def encode_bars(self, features: Tensor) -> Tensor:
        """Read the window of every bar anew."""
        return self.encode(features.unfold(1, self.window, 1).transpose(-1, -2))

    def finish(self, code: Tensor, others: Tensor) -> Tensor:
        """Run the MLP over state and others."""
        return self.head(torch.cat((code, others), dim=-1))
