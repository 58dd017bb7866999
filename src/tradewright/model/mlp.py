"""``model=mlp``: a multilayer perceptron over the flattened window of features and the portfolio state.

Its first layer is linear, so the part of it that sees bars is a convolution over them: W·[window; others] =
W_bars·window + W_others·others, and the first term can be computed once per bar.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from tradewright.config.runtime import Runtime
from tradewright.model.encoder import BarModel, windows_of


class Tanh(nn.Module):
    """tanh(x) = 2 σ(2x) - 1, within 2e-7 of it; torch's σ is five times as fast as its tanh on a CPU."""

    def forward(self, x: Tensor) -> Tensor:
        """Map any shape to (-1, 1)."""
        return torch.sigmoid(x + x) * 2.0 - 1.0


ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": Tanh, "relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}
INITS = ("orthogonal", "uniform")


class MLP(BarModel):
    """Fully connected layers, each followed by the activation; the last hidden layer is the output.

    Initially weights are orthogonal with gain √2 and biases zero, the convention of CleanRL and Stable-Baselines3 for
    on-policy algorithms; or all of them uniform in ±1/√inputs, theirs for off-policy ones and torch's own. Where inputs
    are few, zero biases leave every bend of a ReLU network at the origin, and values take longer to learn.

    Args:
        in_features: Width of the input; derived from the data.
        window: Bars at the front of the input; 0: none.
        num_features: Features of each.
        hidden: Widths of the hidden layers, at least one.
        activation: ``tanh``, ``relu``, ``silu`` or ``gelu``.
        init: Initial weights, ``orthogonal`` or ``uniform``.

    Raises:
        ValueError: No layer, a width below 1, or an unknown activation or initialisation.
    """

    rows_per_frame: ClassVar[float] = 0.75

    def __init__(
        self,
        *,
        in_features: Runtime[int],
        window: Runtime[int] = 0,
        num_features: Runtime[int] = 0,
        hidden: list[int],
        activation: str = "tanh",
        init: str = "orthogonal",
    ) -> None:
        super().__init__(window=window, num_features=num_features)
        if not hidden or min(hidden) < 1:
            raise ValueError(f"hidden must list at least one width >= 1, was {list(hidden)}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, was {activation!r}")
        if init not in INITS:
            raise ValueError(f"init must be one of {', '.join(INITS)}, was {init!r}")
        layers: list[nn.Module] = []
        width = in_features
        for out in hidden:
            layer = nn.Linear(width, out)
            if init == "orthogonal":
                nn.init.orthogonal_(layer.weight, math.sqrt(2.0))
                nn.init.zeros_(layer.bias)
            layers += [layer, ACTIVATIONS[activation]()]
            width = out
        self.layers = nn.Sequential(*layers)
        self.out_features = width

    @property
    def _first(self) -> nn.Linear:
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        return first

    def encode(self, window: Tensor) -> Tensor:
        """Return the window's part of the first layer, before bias and activation."""
        return functional.linear(window.flatten(-2), self._first.weight[:, : self.bar_width])

    def encode_bars(self, features: Tensor) -> Tensor:
        """Return ``encode`` of every window of the bars."""
        return functional.linear(windows_of(features, self.window), self._first.weight[:, : self.bar_width])

    def finish(self, code: Tensor, others: Tensor) -> Tensor:
        """Add the others' part of the first layer, then run the rest."""
        x = code + functional.linear(others, self._first.weight[:, self.bar_width :], self._first.bias)
        return self.layers[1:](x)

    def forward(self, x: Tensor) -> Tensor:
        """Map ``[..., in_features]`` to ``[..., out_features]``."""
        return self.layers(x)


def orthogonal_head(in_features: int, out_features: int, gain: float) -> nn.Linear:
    """Return a linear output layer with orthogonal weights of the given gain and zero bias."""
    head = nn.Linear(in_features, out_features)
    with torch.no_grad():
        nn.init.orthogonal_(head.weight, gain)
        nn.init.zeros_(head.bias)
    return head
