"""Networks of agents that learn action values: ``QValues``, ``QValue``, two of either, and the actors beside them.

Legend: B environments or transitions, A actions or components, H features of the trunk.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tradewright.algorithm.networks import Body
from tradewright.model.mlp import orthogonal_head

LOWEST_LOG_DEVIATION, HIGHEST_LOG_DEVIATION = -20.0, 2.0
"""Range of the log-deviation of a squashed normal; Haarnoja et al. 2018."""


class QValues(nn.Module):
    """Values of all discrete actions ``[B, A]``.

    Dueling: Q(s, a) = V(s) + D(s, a) - mean_a D(s, a), of Wang et al., arXiv 1511.06581.

    Args:
        body: Trunk over the observation.
        num_actions: A.
        is_dueling: Split values into that of the state and that of each action.
    """

    def __init__(self, *, body: Body, num_actions: int, is_dueling: bool = False) -> None:
        super().__init__()
        self.body = body
        self.head = orthogonal_head(body.out_features, num_actions, gain=1.0)
        self.state_head = orthogonal_head(body.out_features, 1, gain=1.0) if is_dueling else None

    def forward(self, *values: Tensor) -> Tensor:
        """Return the value of every action."""
        features_BH = self.body(*values)
        q_BA = self.head(features_BH)
        if self.state_head is None:
            return q_BA
        return q_BA - q_BA.mean(-1, keepdim=True) + self.state_head(features_BH)


class QValue(nn.Module):
    """Value of one continuous action ``[B, 1]``.

    Args:
        body: Trunk over the observation and the action (``extra_features=A``).
    """

    def __init__(self, *, body: Body) -> None:
        super().__init__()
        self.body = body
        self.head = orthogonal_head(body.out_features, 1, gain=1.0)

    def forward(self, *values: Tensor) -> Tensor:
        """Return the value of the last of ``values``, the action ``[B, A]``, after the observation."""
        return self.head(self.body(*values))


class TwinQ(nn.Module):
    """Two networks of the same kind that start apart; the lower of both values is believed.

    Args:
        make: Builds one of them.
    """

    def __init__(self, make: Callable[[], nn.Module]) -> None:
        super().__init__()
        self.first, self.second = make(), make()

    def forward(self, *values: Tensor) -> tuple[Tensor, Tensor]:
        """Return what each gives."""
        return self.first(*values), self.second(*values)

    def lower(self, *values: Tensor) -> Tensor:
        """Return the lower of both."""
        return torch.minimum(*self(*values))


class SquashedNormal:
    """Independent normals squashed into (-1, 1) by tanh, with their noise given from outside.

    log p(a) = Σ_A log N(x; μ, σ) - log(1 - tanh² x), x = μ + σ·noise.

    Args:
        loc: μ ``[B, A]``.
        scale: σ ``[B, A]``, > 0.
        noise: Standard normal numbers ``[B, A]``.
    """

    def __init__(self, loc: Tensor, scale: Tensor, noise: Tensor) -> None:
        self.scale, self.noise = scale, noise
        self.raw_BA = loc + scale * noise

    def rsample(self) -> Tensor:
        """Return the one action ``[B, A]`` that the noise gives."""
        return torch.tanh(self.raw_BA)

    def log_prob(self, action: Tensor | None = None) -> Tensor:
        """Return the log-density ``[B]`` of that action, from its value before tanh, which loses no digits."""
        normal_BA = -0.5 * self.noise * self.noise - self.scale.log() - 0.5 * math.log(2.0 * math.pi)
        squash_BA = 2.0 * (math.log(2.0) - self.raw_BA - nn.functional.softplus(-2.0 * self.raw_BA))
        return (normal_BA - squash_BA).sum(-1)


class SquashedActor(nn.Module):
    """Mean and deviation, before squashing, of continuous actions in (-1, 1).

    Args:
        body: Trunk over the observation.
        num_actions: A.
    """

    def __init__(self, *, body: Body, num_actions: int) -> None:
        super().__init__()
        self.body = body
        self.head = orthogonal_head(body.out_features, 2 * num_actions, gain=0.01)

    def forward(self, *values: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation, ``[B, A]`` each."""
        mean_BA, log_deviation_BA = self.head(self.body(*values)).chunk(2, dim=-1)
        return mean_BA, log_deviation_BA.clamp(LOWEST_LOG_DEVIATION, HIGHEST_LOG_DEVIATION).exp()

    def mean(self, *values: Tensor) -> Tensor:
        """Return the squashed mean ``[B, A]``."""
        return torch.tanh(self(*values)[0])

    def sample(self, *values: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Return the actions ``[B, A]`` that standard normal ``noise`` gives, and their log-densities ``[B]``."""
        mean_BA, deviation_BA = self(*values)
        policy = SquashedNormal(mean_BA, deviation_BA, noise)
        return policy.rsample(), policy.log_prob()


class DeterministicActor(nn.Module):
    """One action in (-1, 1) ``[B, A]``.

    Args:
        body: Trunk over the observation.
        num_actions: A.
        gain: Of the initial output layer.
    """

    def __init__(self, *, body: Body, num_actions: int, gain: float = 0.01) -> None:
        super().__init__()
        self.body = body
        self.head = orthogonal_head(body.out_features, num_actions, gain=gain)

    def forward(self, *values: Tensor) -> Tensor:
        """Return the action."""
        return torch.tanh(self.head(self.body(*values)))
