"""Networks over an observation: ``Body``, and the on-policy pair of ``Actor`` and ``Critic``.

Legend: B environments, A actions, H features of the trunk.
"""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

import torch
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
from torch import Tensor, nn
from torch.distributions import Categorical
from torchrl.modules import IndependentNormal

from tradewright.algorithm.gather import gather_rows
from tradewright.algorithm.inputs import Inputs, WindowInputs
from tradewright.env.world import Env
from tradewright.model.encoder import BarModel, RecurrentModel
from tradewright.model.mlp import orthogonal_head

ModelFactory = Callable[..., BarModel]
"""Builds a trunk from ``in_features``, ``window`` and ``num_features``."""


class Body(nn.Module):
    """Inputs and a trunk: from an observation to ``[B, H]``.

    Where windows are named by their last bar (index observations), what the trunk makes of bars is computed once per
    bar of the range instead of once per window, as soon as that is cheaper.

    Args:
        inputs: Shared by all networks of an agent.
        model: Trunk factory.
        extra_features: Width of one more value after those of the observation, such as an action.
        name: Of its memory, if the trunk is recurrent.
    """

    trunk: BarModel

    def __init__(self, *, inputs: Inputs, model: ModelFactory, extra_features: int = 0, name: str = "body") -> None:
        super().__init__()
        self.inputs = inputs
        self.name = name
        self.has_extra = extra_features > 0
        self.trunk = model(
            in_features=inputs.width + extra_features, window=inputs.window, num_features=inputs.num_features
        )
        self._codes: Tensor | None = None

    @property
    def is_recurrent(self) -> bool:
        """Whether the trunk remembers earlier steps."""
        return self.trunk.is_recurrent

    @property
    def in_keys(self) -> tuple[str, ...]:
        """Keys of the observation; a recurrent trunk also needs where episodes begin and the memory before them."""
        return (*self.inputs.in_keys, "is_first", f"{self.name}_memory") if self.is_recurrent else self.inputs.in_keys

    @property
    def out_features(self) -> int:
        """H."""
        return self.trunk.out_features

    def forward(self, *values: Tensor) -> Tensor:
        """Map the values of ``in_keys``, and the extra one, to ``[B, H]``; a memory takes and gives ``[B, S, ..]``."""
        if not self.is_recurrent:
            return self._frames(values)
        *observed, is_first_BS, memory_BH = values
        assert isinstance(self.trunk, RecurrentModel)
        return self.trunk.remember(self._frames(tuple(observed)), is_first_BS, memory_BH)

    def step(self, *values: Tensor) -> Tensor:
        """Like ``forward`` for one step of a recurrent trunk: no dimension S; the result is also the next memory."""
        *observed, is_first_B, memory_BH = values
        x_BD = self._frames(tuple(observed))
        assert isinstance(self.trunk, RecurrentModel)
        return self.trunk.remember(x_BD[:, None], is_first_B[:, None], memory_BH)[:, 0]

    def memory(self, num_envs: int, device: torch.device) -> Tensor:
        """Return the memory before any step, ``[B, H]``."""
        return torch.zeros(num_envs, self.out_features, device=device)

    @contextmanager
    def encoded(self, num_frames: int | None = None) -> Iterator[None]:
        """Keep what is encoded inside the context, in which no weight changes.

        Args:
            num_frames: Frames that follow; None: each window of the range once.
        """
        if num_frames is None and isinstance(self.inputs, WindowInputs):
            num_frames = self.inputs.num_windows
        if num_frames is None or not self._is_cheaper_at_once(num_frames):
            yield
            return
        self._codes = self._encode_range()
        try:
            yield
        finally:
            self._codes = None

    def _frames(self, values: tuple[Tensor, ...]) -> Tensor:
        """Run everything but the memory, frame by frame."""
        if self._codes is None and not self._is_cheaper_at_once(values[0].numel()):
            if self.has_extra:
                return self.trunk(torch.cat((self.inputs(*values[:-1]), values[-1]), dim=-1))
            return self.trunk(self.inputs(*values))
        assert isinstance(self.inputs, WindowInputs)
        codes_RE = self._encode_range() if self._codes is None else self._codes
        code = gather_rows(codes_RE, self.inputs.place(values[0]))
        return self.trunk.finish(code, torch.cat(values[1:], dim=-1) if len(values) > 2 else values[1])

    def _is_cheaper_at_once(self, num_frames: int) -> bool:
        inputs = self.inputs
        if not isinstance(inputs, WindowInputs) or not inputs.is_indexed:
            return False
        return inputs.num_windows <= self.trunk.rows_per_frame * num_frames

    def _encode_range(self) -> Tensor:
        assert isinstance(self.inputs, WindowInputs)
        return self.trunk.encode_bars(self.inputs.span()).flatten(0, 1)


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


Parameters = Tensor | tuple[Tensor, Tensor]
"""Of a distribution over actions: logits ``[.., A]``, or mean and deviation ``[.., A]`` of independent normals."""


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
            self.log_deviation = nn.Parameter(torch.full((env.num_actions,), float(log_deviation)))

    @property
    def in_keys(self) -> tuple[str, ...]:
        """Keys of the observation."""
        return self.body.in_keys

    def forward(self, *values: Tensor) -> Parameters:
        """Return ``(mean, deviation)`` or logits."""
        return self.parameters_of(self.body(*values))

    def parameters_of(self, features: Tensor) -> Parameters:
        """Map the body's features ``[.., H]`` to ``(mean, deviation)`` or logits."""
        out = self.head(features)
        return (out, self.log_deviation.exp().expand_as(out)) if self.is_continuous else out

    def noise(self, *shape: int, generator: torch.Generator) -> Tensor:
        """Return ``[*shape, A]`` random numbers, all that ``pick`` needs: normal, or Gumbel for discrete actions."""
        size, device = (*shape, self.head.out_features), self.head.weight.device
        if self.is_continuous:
            return torch.randn(size, generator=generator, device=device)
        return torch.empty(size, device=device).exponential_(generator=generator).log_().neg_()

    def pick(self, parameters: Parameters, noise: Tensor | None) -> Tensor:
        """Return actions ``[.., A]`` or ``[..]``; without noise the mean or the most probable ones.

        The largest of logits plus Gumbel noise is a draw from the categorical distribution (Gumbel 1954).
        """
        if isinstance(parameters, tuple):
            mean, deviation = parameters
            return mean if noise is None else mean + deviation * noise
        return (parameters if noise is None else parameters + noise).argmax(-1)

    def log_prob(self, parameters: Parameters, action: Tensor) -> Tensor:
        """Return the log-probability (or log-density) of actions, ``[..]``."""
        if isinstance(parameters, tuple):
            return _normal_log_prob(action, *parameters)
        return parameters.log_softmax(-1).gather(-1, action[..., None])[..., 0]

    def act(self, *values: Tensor, generator: torch.Generator | None) -> Choice:
        """Choose actions.

        Args:
            values: The observation, in the order of ``in_keys``.
            generator: Source of randomness; None takes the mean or the most probable action.

        """
        return self.chosen(self(*values), generator)

    def chosen(self, parameters: Parameters, generator: torch.Generator | None) -> Choice:
        """Choose actions by the parameters ``[B, A]`` of their distribution."""
        first = parameters[0] if isinstance(parameters, tuple) else parameters
        noise = None if generator is None else self.noise(first.shape[0], generator=generator)
        action = self.pick(parameters, noise)
        log_prob_BA = None if isinstance(parameters, tuple) else parameters.log_softmax(-1)
        return Choice(action, self.log_prob(parameters, action), log_prob_BA)


def _normal_log_prob(x: Tensor, mean: Tensor, deviation: Tensor) -> Tensor:
    """Log-density of independent normals, summed over components."""
    z = (x - mean) / deviation
    return (-0.5 * z * z - deviation.log() - 0.5 * math.log(2.0 * math.pi)).sum(-1)


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
