"""``model=tcn``: causal convolutions with growing dilation over the window, then an MLP with the portfolio state.

The field is exactly the window: no bar outside the declared observation has a say, so once-per-bar encoding sees
the same numbers as per-window encoding. Layer i has ``kernel`` taps of dilation 1, 2, 4, ... as long as they fit; what
is left of the window is bridged by layers of two taps. Convolutions are not padded: each shortens the window.
Source: Bai, Kolter and Koltun, "An empirical evaluation of generic convolutional and recurrent networks for sequence
modeling", arXiv 1803.01271.
Legend: W window, F features, N instruments, R bars, C channels.
"""

import math
from typing import ClassVar

import torch
from torch import Tensor, nn

from tradewright.config.runtime import Runtime
from tradewright.model.encoder import BarModel
from tradewright.model.mlp import ACTIVATIONS, MLP


def taps_of(window: int, kernel: int) -> list[tuple[int, int]]:
    """Return (taps, dilation) of each layer; Σ (taps - 1)·dilation = window - 1."""
    layers, left, dilation = [], window - 1, 1
    while left >= (kernel - 1) * dilation:
        layers.append((kernel, dilation))
        left -= (kernel - 1) * dilation
        dilation *= 2
    while left:  # two taps no further apart than what is covered already, so that no bar is skipped
        layers.append((2, min(left, window - left)))
        left -= layers[-1][1]
    return layers


class TCN(BarModel):
    """Residual causal convolutions whose last output is the code, and an MLP behind it.

    Args:
        in_features: Width of the input; derived from the data.
        window: Bars at the front of the input, >= 2.
        num_features: Features of each.
        channels: Channels of every convolution, >= 1.
        kernel: Taps of every convolution, >= 2.
        hidden: Widths of the MLP behind the code and the portfolio state.
        activation: ``tanh``, ``relu``, ``silu`` or ``gelu``.

    Raises:
        ValueError: An argument is out of range, or the environment shows no window of bars.
    """

    needs_window: ClassVar[bool] = True
    rows_per_frame: ClassVar[float] = 8.0

    def __init__(
        self,
        *,
        in_features: Runtime[int],
        window: Runtime[int],
        num_features: Runtime[int],
        channels: int = 32,
        kernel: int = 3,
        hidden: list[int],
        activation: str = "relu",
    ) -> None:
        super().__init__(window=window, num_features=num_features)
        if window < 2:
            raise ValueError(f"env.window must be >= 2 bars for a convolution over them, was {window}")
        if channels < 1:
            raise ValueError(f"channels must be >= 1, was {channels}")
        if kernel < 2:
            raise ValueError(f"kernel must be >= 2, was {kernel}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, was {activation!r}")
        widths = [num_features] + [channels] * len(taps_of(window, kernel))
        self.convolutions = nn.ModuleList(
            _convolution(width, channels, taps, dilation)
            for width, (taps, dilation) in zip(widths, taps_of(window, kernel), strict=False)
        )
        self.activation = ACTIVATIONS[activation]()
        others = in_features - self.bar_width
        self.head = MLP(in_features=channels + others, hidden=hidden, activation=activation)
        self.out_features = self.head.out_features

    def encode(self, window: Tensor) -> Tensor:
        """Return the code of each window."""
        return self._convolve(window.reshape(-1, *window.shape[-2:]))[:, :, -1].reshape(*window.shape[:-2], -1)

    def encode_bars(self, features: Tensor) -> Tensor:
        """Convolve the whole range: one code per bar."""
        return self._convolve(features).transpose(1, 2)

    def _convolve(self, x_NTF: Tensor) -> Tensor:
        """Return ``[N, C, T-W+1]``; every layer but the first adds what it was given."""
        x = x_NTF.transpose(1, 2)
        for number, convolution in enumerate(self.convolutions):
            y = self.activation(convolution(x))
            x = y if number == 0 else y + x[:, :, -y.shape[-1] :]
        return x

    def finish(self, code: Tensor, others: Tensor) -> Tensor:
        """Run the MLP over code and others."""
        return self.head(torch.cat((code, others), dim=-1))


def _convolution(width: int, channels: int, taps: int, dilation: int) -> nn.Conv1d:
    """Return a layer with orthogonal weights of gain √2 and zero bias."""
    convolution = nn.Conv1d(width, channels, taps, dilation=dilation)
    with torch.no_grad():
        nn.init.orthogonal_(convolution.weight, math.sqrt(2.0))
        torch.nn.init.zeros_(convolution.bias)  # type: ignore[arg-type] # a bias was asked for
    return convolution
