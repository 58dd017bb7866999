"""On-policy collection and minibatches; advantages are computed once per rollout.

Only what the next step needs is computed step by step: the actor, the environment. Random numbers are drawn before the
rollout, log-probabilities and values are computed after it, all steps at once.
Legend: S steps of a rollout, B environments, K steps of it at whose end an episode ended, A actions, H memory.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from tensordict import TensorDict
from torch import Tensor
from torchrl.objectives.value.functional import generalized_advantage_estimate

from tradewright.algorithm.networks import Actor, Critic, Parameters
from tradewright.algorithm.stream import Stream
from tradewright.env.world import World
from tradewright.reward.reward import require_finite

FRAMES_AT_ONCE = 16_384
"""Values are computed for so many frames at a time, which bounds the memory of gathered windows."""


@dataclass
class Steps:
    """What a rollout leaves behind, one entry per step; ``finals`` has one per step that ended an episode somewhere."""

    observed: list[dict[str, Tensor]] = field(default_factory=list)
    parameters: list[Parameters] = field(default_factory=list)
    action: list[Tensor] = field(default_factory=list)
    reward: list[Tensor] = field(default_factory=list)
    terminated: list[Tensor] = field(default_factory=list)
    truncated: list[Tensor] = field(default_factory=list)
    is_first: list[Tensor] = field(default_factory=list)
    finals: list[tuple[int, dict[str, Tensor]]] = field(default_factory=list)
    """Step number, and the observation of all environments after it, before any restart."""


class OnPolicyStream(Stream):
    """Collects a rollout, then yields its shuffled minibatches, ``num_iterations`` times.

    A minibatch is a part of the S·B frames; for networks with a memory it is a part of the B environments with their S
    steps in order, and the memory before the first of them.

    Args:
        world: B environments with their own generator.
        actor, critic: Current networks; read, never changed.
        num_steps: S, steps per environment and rollout.
        num_passes: Passes over each rollout.
        num_minibatches: Minibatches per pass; must divide S·B, or B where networks remember.
        num_iterations: Rollouts per Lightning epoch.
        gamma: Discount per step.
        gae_lambda: λ of generalised advantage estimation.
        generator: Draws actions and shuffles.
        reward_name: Named when a reward is not finite.
    """

    def __init__(
        self,
        *,
        world: World,
        actor: Actor,
        critic: Critic,
        num_steps: int,
        num_passes: int,
        num_minibatches: int,
        num_iterations: int,
        gamma: float,
        gae_lambda: float,
        generator: torch.Generator,
        reward_name: str,
    ) -> None:
        super().__init__(
            world=world,
            generator=generator,
            num_iterations=num_iterations,
            batches_per_iteration=num_passes * num_minibatches,
        )
        self.actor, self.critic = actor, critic
        self.num_steps, self.num_passes, self.num_minibatches = num_steps, num_passes, num_minibatches
        self.gamma, self.gae_lambda, self.reward_name = gamma, gae_lambda, reward_name
        self.is_recurrent = actor.body.is_recurrent
        self.is_first_B = torch.ones(world.num_envs, dtype=torch.bool, device=world.device)
        """Whether the next step is the first of an episode."""
        bodies = (actor.body, critic.body) if self.is_recurrent else ()
        self.memories = {body.name: body.memory(world.num_envs, world.device) for body in bodies}
        """Before the next step, by the network's name; a first step starts from zero instead."""
        self.is_stopped = False
        """Set by the algorithm to have the rest of the iteration skipped."""

    def iteration(self) -> Iterator[TensorDict]:
        """Collect one rollout and yield its minibatches."""
        self.is_stopped = False
        data = self.collect()
        size = len(data) // self.num_minibatches
        for _ in range(self.num_passes):
            shuffled = data
            if self.num_minibatches > 1 and not self.is_stopped:
                shuffled = data[torch.randperm(len(data), generator=self.generator, device=data.device)]
            yield from shuffled.split(size)

    @torch.no_grad()
    def collect(self) -> TensorDict:
        """Roll the environments S steps forward; return ``[S·B]`` frames, or ``[B]`` sequences of S for a memory."""
        memories = dict(self.memories)
        num_frames = self.num_steps * self.world.num_envs
        with self._encoded(num_frames):
            steps, last = self._roll()
            data_SB = {
                name: torch.stack(getattr(steps, name)) for name in ("action", "reward", "terminated", "truncated")
            }
            require_finite(data_SB["reward"], self.reward_name, self.world.drain_terms)
            observed_SB = {key: torch.stack([row[key] for row in steps.observed]) for key in last}
            is_first_SB = torch.stack(steps.is_first)
            value_SB, next_value_SB = self._values(observed_SB, is_first_SB, steps.finals, last)
        self.frames += num_frames
        advantage_SB, target_SB = advantages(
            value_SB=value_SB,
            next_value_SB=next_value_SB,
            reward_SB=data_SB["reward"],
            terminated_SB=data_SB["terminated"],
            truncated_SB=data_SB["truncated"],
            gamma=self.gamma,
            gae_lambda=self.gae_lambda,
        )
        self.describe(float(data_SB["reward"].mean()))
        self.newest["explained_variance"] = explained_variance(value_SB, target_SB)
        parameters = _stacked(steps.parameters)
        frames = {
            **observed_SB,
            "action": data_SB["action"],
            "action_log_prob": self.actor.log_prob(parameters, data_SB["action"]),
            "advantage": advantage_SB[..., None],
            "value_target": target_SB[..., None],
            "state_value": value_SB[..., None],
        }
        if not self.is_recurrent:
            return TensorDict({name: x.flatten(0, 1) for name, x in frames.items()}, batch_size=[num_frames])
        sequences = {name: x.transpose(0, 1) for name, x in {**frames, "is_first": is_first_SB}.items()}
        before = {f"{name}_memory": memory for name, memory in memories.items()}
        return TensorDict({**sequences, **before}, batch_size=[self.world.num_envs])

    @contextmanager
    def _encoded(self, num_frames: int) -> Iterator[None]:
        with self.actor.body.encoded(num_frames), self.critic.body.encoded(num_frames):
            yield

    def _roll(self) -> tuple[Steps, dict[str, Tensor]]:
        """Take S steps; return them and the observation that follows."""
        steps, observed = Steps(), self.world.observe()
        noise_SBA = self.actor.noise(self.num_steps, self.world.num_envs, generator=self.generator)
        for number, noise_BA in enumerate(noise_SBA.unbind()):
            parameters = self._decide(observed)
            action = self.actor.pick(parameters, noise_BA)
            moved = self.world.step(action)
            done_B = moved.terminated_B | moved.truncated_B
            has_done = bool(done_B.any())
            self.episodes.add(moved, done_B, has_done=has_done)
            steps.observed.append(observed)
            steps.parameters.append(parameters)
            steps.action.append(action)
            steps.reward.append(moved.reward_B)
            steps.terminated.append(moved.terminated_B)
            steps.truncated.append(moved.truncated_B)
            steps.is_first.append(self.is_first_B)
            if has_done:
                steps.finals.append((number, self.world.observe()))
                self.world.restart(done_B)
            self.is_first_B = done_B
            observed = self.world.observe()
        return steps, observed

    def _decide(self, observed: dict[str, Tensor]) -> Parameters:
        """Return the parameters of the next actions and carry the actor's memory."""
        body = self.actor.body
        values = [observed[key] for key in body.inputs.in_keys]
        if not self.is_recurrent:
            return self.actor(*values)
        self.memories[body.name] = features_BH = body.step(*values, self.is_first_B, self.memories[body.name])
        return self.actor.parameters_of(features_BH)

    def _values(
        self,
        observed_SB: dict[str, Tensor],
        is_first_SB: Tensor,
        finals: list[tuple[int, dict[str, Tensor]]],
        last: dict[str, Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Return the value of every step's observation and of the one after it, ``[S, B]``, carrying the memory.

        The observation after a step is the next step's, but for environments that were restarted in between: theirs is
        the last one of the episode that ended.
        """
        after = [*finals, (self.num_steps - 1, last)]
        after_KB = {key: torch.stack([row[key] for _, row in after]) for key in last}
        if self.is_recurrent:
            value_SB, after_value_KB = self._remembered_values(
                observed_SB, is_first_SB, [s for s, _ in after], after_KB
            )
        else:
            value_SB, after_value_KB = self._value(observed_SB), self._value(after_KB)
        next_value_SB = torch.cat((value_SB[1:], after_value_KB[-1:]))
        is_first_after_SB = torch.cat((is_first_SB[1:], self.is_first_B[None]))
        for (number, _), value_B in zip(finals, after_value_KB, strict=False):
            next_value_SB[number] = torch.where(is_first_after_SB[number], value_B, next_value_SB[number])
        return value_SB, next_value_SB

    def _value(self, observed: dict[str, Tensor]) -> Tensor:
        """Return the critic's value of observations with any two leading dimensions."""
        values = [observed[key].flatten(0, 1) for key in self.critic.body.in_keys]
        parts = zip(*(x.split(FRAMES_AT_ONCE) for x in values), strict=True)
        shape = observed[self.critic.body.in_keys[0]].shape[:2]
        return torch.cat([self.critic(*part) for part in parts])[:, 0].unflatten(0, shape)

    def _remembered_values(
        self, observed_SB: dict[str, Tensor], is_first_SB: Tensor, numbers_K: list[int], after_KB: dict[str, Tensor]
    ) -> tuple[Tensor, Tensor]:
        """Return the values ``[S, B]``, and ``[K, B]`` of what followed the given steps; each sees its own past."""
        body, critic = self.critic.body, self.critic
        keys = body.inputs.in_keys
        sequences = [observed_SB[key].transpose(0, 1) for key in keys]
        memory_BSH = body(*sequences, is_first_SB.T, self.memories[body.name])
        self.memories[body.name] = memory_BSH[:, -1].clone()
        memory_KBH = memory_BSH.transpose(0, 1)[torch.tensor(numbers_K, device=memory_BSH.device)]
        is_first_KB = torch.zeros(memory_KBH.shape[:2], dtype=torch.bool, device=memory_BSH.device)
        after = body.step(
            *(after_KB[key].flatten(0, 1) for key in keys), is_first_KB.flatten(), memory_KBH.flatten(0, 1)
        )
        return critic.head(memory_BSH)[..., 0].T, critic.head(after)[:, 0].unflatten(0, is_first_KB.shape)

    def state_dict(self) -> dict[str, Any]:
        """Return the state between two iterations, memories included."""
        return {**super().state_dict(), "is_first_B": self.is_first_B, "memories": dict(self.memories)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from a saved state."""
        super().load_state_dict(state)
        self.is_first_B = state["is_first_B"].to(self.world.device)
        if state["world"].get("begins_anew"):  # a memory of episodes that are gone
            self.is_first_B = torch.ones_like(self.is_first_B)
        self.memories = {name: memory.to(self.world.device) for name, memory in state["memories"].items()}


def _stacked(parameters: list[Parameters]) -> Parameters:
    """Stack the parameters of S steps."""
    if isinstance(parameters[0], tuple):
        mean_SBA, deviation_SBA = (torch.stack(column) for column in zip(*parameters, strict=True))
        return mean_SBA, deviation_SBA
    return torch.stack([x for x in parameters if isinstance(x, Tensor)])


def explained_variance(value_SB: Tensor, target_SB: Tensor) -> float:
    """Return 1 - Var(target - value) / Var(target); NaN where all targets are equal."""
    spread = target_SB.var()
    return float(1.0 - (target_SB - value_SB).var() / spread) if spread > 0 else float("nan")


def advantages(
    *,
    value_SB: Tensor,
    next_value_SB: Tensor,
    reward_SB: Tensor,
    terminated_SB: Tensor,
    truncated_SB: Tensor,
    gamma: float,
    gae_lambda: float,
) -> tuple[Tensor, Tensor]:
    """Return generalised advantage estimates and value targets ``[S, B]``.

    A_s = δ_s + γ λ (1 - done_s) A_{s+1}, δ_s = r_s + γ (1 - terminated_s) V(next_s) - V(s), target = A + V: truncated
    episodes bootstrap, terminated ones do not.
    Source: Schulman et al., "High-dimensional continuous control using generalized advantage estimation", eq. 16.
    """

    def columns(x_SB: Tensor) -> Tensor:
        return x_SB.T[..., None]

    advantage_BS1, target_BS1 = generalized_advantage_estimate(
        gamma,
        gae_lambda,
        columns(value_SB),
        columns(next_value_SB),
        columns(reward_SB.to(torch.float32)),
        columns(terminated_SB | truncated_SB),
        columns(terminated_SB),
    )
    return advantage_BS1[..., 0].T, target_BS1[..., 0].T
