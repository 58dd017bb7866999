"""Networks of agents that learn action values: ``QValues``, ``QValue``, and the actors beside them.

Legend: B environments or transitions, A actions or components, H features of the trunk.
"""

import math
from typing import Any

import torch
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
from torch import Tensor, nn

from tradewright.algorithm.networks import Body
from tradewright.model.mlp import orthogonal_head

NOISE = "noise"
"""Standard normal numbers of a transition, drawn with the batch: a gradient step itself draws nothing."""
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

    @property
    def in_keys(self) -> tuple[str, ...]:
        """Keys of the observation."""
        return self.body.in_keys

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

    def rsample(self, sample_shape: torch.Size = torch.Size()) -> Tensor:
        """Return the one action ``[B, A]`` that the noise gives."""
        assert not sample_shape
        return torch.tanh(self.raw_BA)

    def log_prob(self, action: Tensor) -> Tensor:
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

    @property
    def in_keys(self) -> tuple[str, ...]:
        """Keys of the observation."""
        return self.body.in_keys

    def forward(self, *values: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and deviation, ``[B, A]`` each."""
        mean_BA, log_deviation_BA = self.head(self.body(*values)).chunk(2, dim=-1)
        return mean_BA, log_deviation_BA.clamp(LOWEST_LOG_DEVIATION, HIGHEST_LOG_DEVIATION).exp()

    def module(self) -> ProbabilisticTensorDictSequential:
        """Wrap with its distribution, as TorchRL's losses expect it; the noise is read from the transition."""
        return ProbabilisticTensorDictSequential(
            TensorDictModule(self, list(self.in_keys), ["loc", "scale"]),
            ProbabilisticTensorDictModule(
                in_keys=["loc", "scale", NOISE],
                out_keys=["action"],
                distribution_class=SquashedNormal,
                return_log_prob=True,
            ),
        )


class DeterministicActor(nn.Module):
    """One action in (-1, 1) ``[B, A]``.

    Args:
        body: Trunk over the observation.
        num_actions: A.
    """

    def __init__(self, *, body: Body, num_actions: int) -> None:
        super().__init__()
        self.body = body
        self.head = orthogonal_head(body.out_features, num_actions, gain=0.01)

    @property
    def in_keys(self) -> tuple[str, ...]:
        """Keys of the observation."""
        return self.body.in_keys

    def forward(self, *values: Tensor) -> Tensor:
        """Return the action."""
        return torch.tanh(self.head(self.body(*values)))


def target_pairs(loss: Any) -> tuple[list[Tensor], list[Tensor]]:
    """Return the target parameters of a TorchRL loss and the trained ones they follow, in the same order."""
    targets: list[Tensor] = []
    sources: list[Tensor] = []
    for name in ("value_network", "qvalue_network", "actor_network"):
        target, source = getattr(loss, f"target_{name}_params", None), getattr(loss, f"{name}_params", None)
        if target is None or not getattr(loss, f"delay_{name.removesuffix('_network')}", False):
            continue
        followed = source.flatten_keys()
        for key, value in target.flatten_keys().items():
            targets.append(value.data)
            sources.append(followed[key].data)
    return targets, sources
