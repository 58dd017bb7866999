"""``OffPolicyModule``: what the algorithms share that learn action values from a replay.

The losses are TorchRL's, number for number (the tests hold each against ``torchrl.objectives``), written on plain
modules: its loss modules copy and swap parameters and dictionaries at every call, which takes two thirds of a gradient
step of a small network (double DQN, 2x64, batch 64, one thread: 0.97 ms with TorchRL's, 0.31 ms here).
Legend: B environments, M transitions of a batch, A actions or components.
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.optim import Optimizer

from tradewright.algorithm.agent import NETWORK_STREAM, require_positive
from tradewright.algorithm.networks import ModelFactory
from tradewright.algorithm.off_policy_stream import OffPolicyStream
from tradewright.algorithm.setting import Setting
from tradewright.algorithm.transitions import LOSS, Batch, TransitionModule

ERROR = "td_error"
"""Name of the temporal-difference error [M] among the terms of a gradient step."""

HOOK_NAME = "_current_fx_name"
"""Set forty times per gradient step by Lightning 2.6: a tenth of a small network's time through ``nn.Module``."""


class OffPolicyModule(TransitionModule):
    """Base of the algorithms that learn from a replay.

    Args:
        setting: World and goal.
        model: Trunk factory.
        total_frames: Environment steps of the whole training, those of ``learning_starts`` included.
        episodes: Whole episodes of the training instead; None: ``total_frames``.
        num_envs: Parallel environments.
        steps_per_iteration: Steps per environment between updates.
        updates_per_iteration: Gradient steps between collections.
        iterations_per_epoch: Iterations between two validations.
        batch_size: Transitions per gradient step.
        buffer_size: Transitions kept; the oldest go first.
        learning_starts: Frames of random actions before the first update, in [0, ``total_frames``); rounded up to
            whole steps of all environments.
        lr: Learning rate of Adam.
        gamma: Discount per step, in (0, 1].
        n_step: Rewards summed before a value is bootstrapped, >= 1.
        tau: Share of the trained weights that moves into the targets after each gradient step, in (0, 1].
        is_prioritised: Replay transitions by their temporal-difference error.
        priority_alpha: How much the error matters, in [0, 1].
        priority_beta: How much of the resulting bias is corrected at first, in [0, 1]; grows to 1 with the frames.
        compile: Compile the losses.

    Raises:
        ValueError: An argument is out of range, or the model is recurrent.
    """

    trains_in_parallel: ClassVar[bool] = True

    def __init__(
        self,
        *,
        setting: Setting,
        model: ModelFactory,
        total_frames: int,
        episodes: int | None,
        num_envs: int,
        steps_per_iteration: int,
        updates_per_iteration: int,
        iterations_per_epoch: int,
        batch_size: int,
        buffer_size: int,
        learning_starts: int,
        lr: float,
        gamma: float,
        n_step: int,
        tau: float,
        is_prioritised: bool,
        priority_alpha: float,
        priority_beta: float,
        compile: bool,
    ) -> None:
        super().__init__(
            setting=setting,
            model=model,
            total_frames=total_frames,
            episodes=episodes,
            num_envs=num_envs,
            iterations_per_epoch=iterations_per_epoch,
            updates_per_iteration=updates_per_iteration,
            batch_size=batch_size,
            lr=lr,
            gamma=gamma,
            tau=tau,
            compile=compile,
        )
        require_positive(steps_per_iteration=steps_per_iteration, n_step=n_step)
        if buffer_size < num_envs * n_step:
            raise ValueError(f"buffer_size must be >= num_envs * n_step = {num_envs * n_step}, was {buffer_size}")
        if not 0 <= learning_starts < self.total_frames:
            raise ValueError(
                f"learning_starts must be in [0, total_frames) = [0, {self.total_frames}), was {learning_starts}"
            )
        for name, value in (("priority_alpha", priority_alpha), ("priority_beta", priority_beta)):
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must be in [0, 1], was {value}")
        self.steps_per_iteration, self.n_step = steps_per_iteration, n_step
        self.buffer_size, self.learning_starts = buffer_size, learning_starts
        self.is_prioritised, self.priority_alpha, self.priority_beta = is_prioritised, priority_alpha, priority_beta
        self.reward_name = setting.reward_name
        self._terms: Callable[[Batch], dict[str, Tensor]] | None = None

    @property
    def frames_per_iteration(self) -> int:
        """Environment steps of one iteration, those of the warm-up aside."""
        return self.num_envs * self.steps_per_iteration

    @property
    def warm_up_frames(self) -> int:
        """Frames of random actions, in whole steps of all environments."""
        return -(-self.learning_starts // self.num_envs) * self.num_envs

    @property
    def max_epochs(self) -> int:
        """Epochs that reach ``total_frames`` after the warm-up, at least one."""
        frames = self.total_frames - self.warm_up_frames * self.num_processes
        return max(1, -(-frames // self.frames_per_epoch))

    def stream(self) -> OffPolicyStream:
        """Return the replayed batches of one epoch."""
        return OffPolicyStream(agent=self, world=self.world(), generator=self.generator(NETWORK_STREAM))

    def priority_beta_at(self, frames: int) -> float:
        """Return β, which grows linearly to 1 at ``total_frames``."""
        return self.priority_beta + (1.0 - self.priority_beta) * min(1.0, frames / self.total_frames)

    def random_action(self, num: int, generator: torch.Generator) -> Tensor:
        """Return uniformly random actions, ``[num]`` or ``[num, A]`` in [-1, 1)."""
        if self.env.action_kind == "discrete":
            return torch.randint(self.env.num_actions, (num,), generator=generator, device=self.device)
        return 2.0 * torch.rand(num, self.env.num_actions, generator=generator, device=self.device) - 1.0

    def __setattr__(self, name: str, value: Any) -> None:
        """Set an attribute; Lightning notes the name of every hook, which is none of a module's slow business."""
        if name == HOOK_NAME:
            self.__dict__[name] = value
        else:
            super().__setattr__(name, value)

    @abstractmethod
    def explore(self, observation: dict[str, Tensor], frames: int, generator: torch.Generator) -> Tensor:
        """Return the actions to collect with after so many frames of all processes."""

    @abstractmethod
    def terms(self, batch: Batch) -> dict[str, Tensor]:
        """Return ``loss``, ``td_error`` [M] and what is to be logged, by name."""

    def compiled_terms(self) -> Callable[[Batch], dict[str, Tensor]]:
        """Return ``terms``, compiled where asked for; a compiled function must not read what each step changes."""
        return self.compiled(self.terms)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """Return the loss of one batch; the terms of the last batch of an iteration are logged."""
        if self._terms is None:
            self._terms = self.compiled_terms()
        terms = self._terms(batch)
        stream = self.stream_in_use
        assert isinstance(stream, OffPolicyStream)
        stream.learned(batch, terms[ERROR])
        if (batch_idx + 1) % self.updates_per_iteration == 0:
            logged = {name: term for name, term in terms.items() if name != ERROR}
            self.log_terms({**logged, "buffer": float(len(stream.replay))}, batch["reward"], batch_idx)
        return terms[LOSS]

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Return what Adam trains, in groups."""
        return [{"params": [parameter for parameter in self.parameters() if parameter.requires_grad]}]

    def configure_optimizers(self) -> Optimizer:
        """Adam, all groups in one optimizer: one step of Lightning is one step of every network."""
        return torch.optim.Adam(self.parameter_groups(), lr=self.lr, fused=self.is_fused)

    def on_fit_start(self) -> None:
        """Look weights up and compile again: they may have moved to another device."""
        super().on_fit_start()
        self._terms = None
