"""``AgentModule``: what every reinforcement-learning algorithm shares under Lightning.

One Lightning batch is one gradient step; one Lightning epoch is a whole number of collect-and-update iterations,
followed by a validation. The module owns the networks and the loss; the environments, their random generators, replay
and the frame counter live in the data module, whose state makes a resumed run equal to the bit.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import lightning
import torch
from torch import Tensor
from torch.optim import Optimizer

from tradewright.algorithm.deciding import Decider
from tradewright.algorithm.inputs import WindowInputs, make_inputs
from tradewright.algorithm.setting import Setting
from tradewright.algorithm.stream import Stream
from tradewright.config.compilers import require_cpp_compiler
from tradewright.config.rules import fitting_algorithms, shipped_option
from tradewright.data.ranges import Range
from tradewright.distributed import from_first, mean_of_all, rank
from tradewright.env.auto import Auto
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.world import Env, World
from tradewright.errors import MisfitError
from tradewright.strategy.policy import Acted

TRAIN_STREAM, NETWORK_STREAM = 1, 2
"""Independent random streams are seeded with ``seed * SEED_STRIDE + stream``."""
SEED_STRIDE = 1_000
RANK_STRIDE = 10
"""Between the streams of two processes that train together, of which there may be 100."""


class AgentModule(lightning.LightningModule, ABC):
    """Base of the config nodes of group ``algorithm`` that learn to act.

    Args:
        setting: World and goal.
        total_frames: Environment steps of the whole training, >= 1.
        episodes: Whole episodes of the training instead, >= 1: ``total_frames`` is then that many times the longest
            episode. None: ``total_frames``.
        num_envs: Parallel environments in training, >= 1.
        iterations_per_epoch: Iterations of collecting and updating between two validations, >= 1.
        lr: Learning rate, > 0.
        gamma: Discount per step, in (0, 1].
        compile: Compile the loss with ``torch.compile``: faster steps after up to a minute; needs a C++ compiler.

    Raises:
        ValueError: An argument is out of range.
        MisfitError: The environment takes other actions.
    """

    action_kinds: ClassVar[tuple[str, ...]]
    unit: ClassVar[str] = "frames"
    """What ``frames`` counts: environment steps."""
    trains_in_parallel: ClassVar[bool] = False
    """Whether several processes can train one agent."""

    def __init__(
        self,
        *,
        setting: Setting,
        total_frames: int,
        episodes: int | None,
        num_envs: int,
        iterations_per_epoch: int,
        lr: float,
        gamma: float,
        compile: bool = False,
    ) -> None:
        super().__init__()
        require_positive(total_frames=total_frames, num_envs=num_envs, iterations_per_epoch=iterations_per_epoch, lr=lr)
        if episodes is not None:
            require_positive(episodes=episodes)
        if not 0 < gamma <= 1:
            raise ValueError(f"gamma must be in (0, 1], was {gamma}")
        self.setting = setting
        env = setting.env.choose(self.action_kinds) if isinstance(setting.env, Auto) else setting.env
        if env.action_kind not in self.action_kinds:  # the rules cannot know it of env=gym
            own, needs = f"{type(self).__module__}.{type(self).__name__}", " or ".join(self.action_kinds)
            raise MisfitError(
                f"algorithm={shipped_option('algorithm', own)} needs a {needs} env; {env.label} is {env.action_kind}."
                f"{fitting_algorithms(env.action_kind, is_market=env.is_market)}"
            )
        self.env: Env = env.on(setting.stage)
        self.training_env: Env = self.env
        """Where it learns; an algorithm may learn under other keys than those it is judged by."""
        self.total_frames = total_frames if episodes is None else episodes * self.env.episode_steps(setting.stage)
        self.num_envs, self.iterations_per_epoch, self.lr, self.gamma = num_envs, iterations_per_epoch, lr, gamma
        self.is_compiled = compile
        self.num_processes = 1
        """Processes that train together, each with ``num_envs`` environments; set before the training starts."""
        self.rules = setting.stage.rules if setting.stage else None
        self.inputs = make_inputs(self.env, setting.stage)

    @property
    @abstractmethod
    def frames_per_iteration(self) -> int:
        """Environment steps of one iteration."""

    @property
    def warm_up_frames(self) -> int:
        """Environment steps of one process before the first update, on top of its iterations."""
        return 0

    @property
    def frames_per_epoch(self) -> int:
        """Environment steps of one Lightning epoch, those of all processes."""
        return self.frames_per_iteration * self.iterations_per_epoch * self.num_processes

    @property
    def max_epochs(self) -> int:
        """Epochs that reach ``total_frames``, at least one."""
        return max(1, -(-self.total_frames // self.frames_per_epoch))

    @property
    def frames(self) -> int:
        """Environment steps so far, those of all processes; the x-axis of every curve."""
        return self.stream_in_use.frames * self.num_processes

    @property
    def stream_in_use(self) -> Stream:
        """The stream of the data module that the trainer uses."""
        stream: Stream = self.trainer.datamodule.stream  # type: ignore[attr-defined] # Lightning sets it in fit()
        return stream

    def generator(self, stream: int) -> torch.Generator:
        """Return a fresh generator of the given random stream; every process has its own."""
        seed = self.setting.seed * SEED_STRIDE + rank() * RANK_STRIDE + stream
        return torch.Generator(device=self.device).manual_seed(seed)

    def world(self) -> World:
        """Return the training environments, on the networks' device."""
        stage, market = self.setting.stage, None
        if stage is not None:
            market = MarketTensors.build(stage.panel, stage.features, self.device)
            if isinstance(self.inputs, WindowInputs):
                self.inputs.bars.market = market
        return self.training_env.world(
            num_envs=self.num_envs, generator=self.generator(TRAIN_STREAM), stage=stage, market=market
        )

    def act(
        self, observation: dict[str, Tensor], market: MarketTensors | None, generator: torch.Generator | None
    ) -> Acted:
        """Return the action of every environment, on any market of the same features; see ``strategy.policy.Agent``."""
        with self.inputs.reading(market):
            return self.choose(observation, generator)

    @contextmanager
    def deciding(self, market: MarketTensors | None, rows: Range | None = None) -> Iterator[Decider]:
        """Give what decides step after step, on ``rows`` (None: all) of any market of the same features."""
        with self.inputs.reading(market, rows):
            yield Decider(self.choose)

    @abstractmethod
    def choose(self, observation: dict[str, Tensor], generator: torch.Generator | None) -> Acted:
        """Return the action of every environment; ``generator`` None means the best or most probable one."""

    @abstractmethod
    def stream(self) -> Stream:
        """Return the training stream; called once, when the networks are on their device."""

    def compiled(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, compiled for fixed shapes where ``compile`` asks for it.

        Raises:
            ConfigError: There is no C++ compiler.
        """
        if not self.is_compiled:
            return function
        require_cpp_compiler("algorithm.compile")
        return torch.compile(function, dynamic=False)

    def configure_optimizers(self) -> Optimizer:
        """Adam over all parameters, epsilon 1e-5 as in the PPO reference implementation."""
        return torch.optim.Adam(self.parameters(), lr=self.lr, eps=1e-5, fused=self.is_fused)

    @property
    def is_fused(self) -> bool:
        """Whether the optimizer is one kernel: Lightning cannot clip such a one's gradients under mixed precision."""
        return self._trainer is not None and str(self.trainer.precision) == "32-true"

    def log_terms(self, terms: Mapping[str, Tensor | float], batch: Any, batch_idx: int) -> None:
        """Log the terms of the last gradient step of an iteration, the learning rate and the stream's figures.

        Loggers get one point per iteration, at the frames so far; ``callback_metrics`` keeps the newest.

        Args:
            terms: By name, without the prefix ``train/``.
            batch: The minibatch; its length is the batch size.
            batch_idx: Number of the gradient step in the epoch.
        """
        stream = self.stream_in_use
        if (batch_idx + 1) % stream.batches_per_iteration:
            return
        named = {**terms, **stream.newest, "lr": self.trainer.optimizers[0].param_groups[0]["lr"]}
        values = [torch.as_tensor(x).detach().to(self.device, torch.float32).reshape(()) for x in named.values()]
        means = mean_of_all(torch.stack(values).tolist(), self.device)
        logged = {f"train/{name}": mean for name, mean in zip(named, means, strict=True)}
        # Lightning would send its loggers what it keeps again at every gradient step until the epoch ends.
        self.log_dict(logged, batch_size=len(batch), logger=False)
        for logger in self.trainer.loggers:
            logger.log_metrics(logged, step=self.frames)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Judge the agent as the strategy that will be tested, on the validation range, and log every figure."""
        figures = from_first(self.setting.validate(self) if rank() == 0 else None)
        # All processes log the same numbers, so that they choose the same checkpoints; the maximum of equals is exact.
        is_shared = self.num_processes > 1
        logged = {f"validation/{name}": value for name, value in figures.items()}
        self.log_dict(logged, batch_size=1, sync_dist=is_shared, reduce_fx="max" if is_shared else "mean")


def require_positive(**values: float) -> None:
    """Check that keys are counts or rates.

    Raises:
        ValueError: One is not above zero.
    """
    for name, value in values.items():
        if not value > 0:
            raise ValueError(f"{name} must be > 0, was {value}")
