"""Actor and critic over a trading observation: the window of features, flattened, beside the portfolio state.

Legend: B accounts, W window, F features, P portfolio features, A actions. Under index observations the window is
gathered here, from the market's feature tensor, so that rollouts store one integer per step instead of W·F numbers.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tradewright.env.market_tensors import gather_window
from tradewright.env.simulator import PORTFOLIO
from tradewright.env.trading import TradingEnv
from tradewright.model.mlp import orthogonal_head

ModelFactory = Callable[..., nn.Module]
"""Builds a trunk from ``in_features``; the trunk has an attribute ``out_features``."""


def _width(trunk: nn.Module) -> int:
    width = trunk.out_features
    assert isinstance(width, int)
    return width


class WindowInput(nn.Module):
    """Turns an observation into one row per account.

    Args:
        features: ``[N*T, F]`` float32; not part of the state, so a checkpoint holds no market data.
        window: W.
        is_indexed: Whether observations are bar indices (else windows).
    """

    features: Tensor

    def __init__(self, *, features: Tensor, window: int, is_indexed: bool) -> None:
        super().__init__()
        self.register_buffer("features", features, persistent=False)
        self.window = window
        self.is_indexed = is_indexed

    @property
    def width(self) -> int:
        """W·F + P."""
        return self.window * self.features.shape[-1] + len(PORTFOLIO)

    def forward(self, bars: Tensor, portfolio: Tensor) -> Tensor:
        """Map indices ``[B]`` or windows ``[B, W, F]``, and portfolio ``[B, P]``, to ``[B, W·F + P]``."""
        window_BWF = gather_window(self.features, bars, self.window) if self.is_indexed else bars
        return torch.cat((window_BWF.flatten(-2), portfolio), dim=-1)


class Choice(NamedTuple):
    """What an actor chose.

    Args:
        action: ``[B, A]`` float32 or ``[B]`` int64.
        log_prob_B: Log-probability (or log-density) of the action.
        log_prob_BA: Of every discrete action; None where actions are continuous.
    """

    action: Tensor
    log_prob_B: Tensor
    log_prob_BA: Tensor | None


class Actor(nn.Module):
    """Distribution parameters of the next action.

    Continuous: mean ``[B, A]`` and a state-independent deviation (log-deviation starts at ``log_deviation``);
    discrete: logits ``[B, A]``.

    Args:
        inputs: Observation input shared with the critic (it has no weights).
        model: Trunk factory.
        env: Action kind and count.
        log_deviation: Initial log of the deviation of continuous actions.
    """

    def __init__(self, *, inputs: WindowInput, model: ModelFactory, env: TradingEnv, log_deviation: float) -> None:
        super().__init__()
        self.inputs = inputs
        self.trunk = model(in_features=inputs.width)
        self.head = orthogonal_head(_width(self.trunk), env.num_actions, gain=0.01)
        self.is_continuous = env.action_kind == "continuous"
        if self.is_continuous:
            self.log_deviation = nn.Parameter(torch.full((env.num_actions,), log_deviation))

    def forward(self, bars: Tensor, portfolio: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return ``(mean, deviation)`` or logits."""
        out_BA = self.head(self.trunk(self.inputs(bars, portfolio)))
        if self.is_continuous:
            return out_BA, self.log_deviation.exp().expand_as(out_BA)
        return out_BA

    def act(self, bars: Tensor, portfolio: Tensor, generator: torch.Generator | None) -> Choice:
        """Choose actions.

        Args:
            generator: Source of randomness; None takes the mean or the most probable action.

        """
        out = self(bars, portfolio)
        if isinstance(out, tuple):
            mean_BA, deviation_BA = out
            if generator is None:
                return Choice(mean_BA, _normal_log_prob(mean_BA, mean_BA, deviation_BA), None)
            noise_BA = torch.randn(mean_BA.shape, generator=generator, device=mean_BA.device)
            action_BA = mean_BA + deviation_BA * noise_BA
            return Choice(action_BA, _normal_log_prob(action_BA, mean_BA, deviation_BA), None)
        log_prob_BA = out.log_softmax(-1)
        if generator is None:
            action_B = out.argmax(-1)
        else:
            action_B = torch.multinomial(log_prob_BA.exp(), 1, generator=generator)[:, 0]
        return Choice(action_B, log_prob_BA.gather(-1, action_B[:, None])[:, 0], log_prob_BA)


def _normal_log_prob(x_BA: Tensor, mean_BA: Tensor, deviation_BA: Tensor) -> Tensor:
    """Log-density of independent normals, summed over components."""
    z_BA = (x_BA - mean_BA) / deviation_BA
    return (-0.5 * z_BA * z_BA - deviation_BA.log() - 0.5 * math.log(2.0 * math.pi)).sum(-1)


class Critic(nn.Module):
    """State value ``[B, 1]``.

    Args:
        inputs: Observation input shared with the actor.
        model: Trunk factory.
    """

    def __init__(self, *, inputs: WindowInput, model: ModelFactory) -> None:
        super().__init__()
        self.inputs = inputs
        self.trunk = model(in_features=inputs.width)
        self.head = orthogonal_head(_width(self.trunk), 1, gain=1.0)

    def forward(self, bars: Tensor, portfolio: Tensor) -> Tensor:
        """Return the value of each observation."""
        return self.head(self.trunk(self.inputs(bars, portfolio)))
