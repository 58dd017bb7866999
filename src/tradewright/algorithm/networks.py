"""Networks over an observation: ``Body``, and the on-policy pair of ``Actor`` and ``Critic``.

Legend: B environments, A actions, H features of the trunk.
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
from torch import Tensor, nn
from torch.distributions import Categorical
from torchrl.modules import IndependentNormal

from tradewright.algorithm.inputs import Inputs
from tradewright.env.world import Env
from tradewright.model.mlp import orthogonal_head

ModelFactory = Callable[..., nn.Module]
"""Builds a trunk from ``in_features``; the trunk has an attribute ``out_features``."""


class Body(nn.Module):
    """Inputs and a trunk: from an observation to ``[B, H]``.

    Args:
        inputs: Shared by all networks of an agent.
        model: Trunk factory.
        extra_features: Width of one more value after those of the observation, such as an action.
    """

    def __init__(self, *, inputs: Inputs, model: ModelFactory, extra_features: int = 0) -> None:
        super().__init__()
        self.inputs = inputs
        self.has_extra = extra_features > 0
        self.trunk = model(in_features=inputs.width + extra_features)

    @property
    def in_keys(self) -> tuple[str, ...]:
        """Keys of the observation."""
        return self.inputs.in_keys

    @property
    def out_features(self) -> int:
        """H."""
        width = self.trunk.out_features
        assert isinstance(width, int)
        return width

    def forward(self, *values: Tensor) -> Tensor:
        """Map the values of ``in_keys``, and the extra one, to ``[B, H]``."""
        if self.has_extra:
            return self.trunk(torch.cat((self.inputs(*values[:-1]), values[-1]), dim=-1))
        return self.trunk(self.inputs(*values))


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
        body: Trunk over the observation.
        env: Action kind and count.
        log_deviation: Initial log of the deviation of continuous actions.
    """

    def __init__(self, *, body: Body, env: Env, log_deviation: float) -> None:
        super().__init__()
        self.body = body
        self.head = orthogonal_head(body.out_features, env.num_actions, gain=0.01)
        self.is_continuous = env.action_kind == "continuous"
        if self.is_continuous:
            self.log_deviation = nn.Parameter(torch.full((env.num_actions,), log_deviation))

    @property
    def in_keys(self) -> tuple[str, ...]:
        """Keys of the observation."""
        return self.body.in_keys

    def forward(self, *values: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        """Return ``(mean, deviation)`` or logits."""
        out_BA = self.head(self.body(*values))
        if self.is_continuous:
            return out_BA, self.log_deviation.exp().expand_as(out_BA)
        return out_BA

    def act(self, *values: Tensor, generator: torch.Generator | None) -> Choice:
        """Choose actions.

        Args:
            values: The observation, in the order of ``in_keys``.
            generator: Source of randomness; None takes the mean or the most probable action.

        """
        out = self(*values)
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
        body: Trunk over the observation.
    """

    def __init__(self, *, body: Body) -> None:
        super().__init__()
        self.body = body
        self.head = orthogonal_head(body.out_features, 1, gain=1.0)

    def forward(self, *values: Tensor) -> Tensor:
        """Return the value of each observation."""
        return self.head(self.body(*values))


def actor_module(actor: Actor) -> ProbabilisticTensorDictSequential:
    """Wrap the actor with its distribution, as TorchRL's losses expect it."""
    keys = ["loc", "scale"] if actor.is_continuous else ["logits"]
    return ProbabilisticTensorDictSequential(
        TensorDictModule(actor, list(actor.in_keys), keys),
        ProbabilisticTensorDictModule(
            in_keys=keys,
            out_keys=["action"],
            distribution_class=IndependentNormal if actor.is_continuous else Categorical,
            return_log_prob=True,
        ),
    )


def critic_module(critic: Critic) -> TensorDictModule:
    """Wrap the critic as TorchRL's losses expect it."""
    return TensorDictModule(critic, list(critic.body.in_keys), ["state_value"])
