"""``model=mlp``: a multilayer perceptron over the flattened window of features and the portfolio state."""

import math

import torch
from torch import Tensor, nn

from tradewright.config.runtime import Runtime

ACTIVATIONS: dict[str, type[nn.Module]] = {"tanh": nn.Tanh, "relu": nn.ReLU, "silu": nn.SiLU, "gelu": nn.GELU}


class MLP(nn.Module):
    """Fully connected layers, each followed by the activation; the last hidden layer is the output.

    Weights are orthogonal with gain √2 and biases zero, the convention of CleanRL and Stable-Baselines3.

    Args:
        in_features: Width of the input; derived from the data.
        hidden: Widths of the hidden layers, at least one.
        activation: ``tanh``, ``relu``, ``silu`` or ``gelu``.

    Raises:
        ValueError: No layer, a width below 1, or an unknown activation.
    """

    def __init__(self, *, in_features: Runtime[int], hidden: list[int], activation: str = "tanh") -> None:
        super().__init__()
        if not hidden or min(hidden) < 1:
            raise ValueError(f"hidden must list at least one width >= 1, was {list(hidden)}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, was {activation!r}")
        layers: list[nn.Module] = []
        width = in_features
        for out in hidden:
            layer = nn.Linear(width, out)
            nn.init.orthogonal_(layer.weight, math.sqrt(2.0))
            nn.init.zeros_(layer.bias)
            layers += [layer, ACTIVATIONS[activation]()]
            width = out
        self.layers = nn.Sequential(*layers)
        self.out_features = width

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
