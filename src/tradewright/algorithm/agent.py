"""``AgentModule``: what every reinforcement-learning algorithm shares under Lightning.

One Lightning batch is one gradient minibatch; one Lightning epoch is a whole number of collect-and-update iterations,
followed by a backtest on the validation range. The module owns the networks and the loss; the environment, its random
generators and the frame counter live in the data module, whose state makes a resumed run equal to the bit.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import lightning
import torch
from torch import Tensor
from torch.optim import Optimizer

from tradewright.algorithm.setting import Setting
from tradewright.env.auto import Auto
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.simulator import Simulator
from tradewright.market.rules import AccountRules
from tradewright.strategy.policy import Acted

TRAIN_STREAM, NETWORK_STREAM = 1, 2
"""Independent random streams are seeded with ``seed * SEED_STRIDE + stream``."""
SEED_STRIDE = 1_000


class AgentModule(lightning.LightningModule, ABC):
    """Base of the config nodes of group ``algorithm`` that learn to act.

    Args:
        setting: Market, rules and goal.
        num_envs: Parallel accounts in training, >= 1.
        lr: Learning rate of Adam, > 0.
        total_frames: Environment steps of the whole training, >= one epoch.

    Raises:
        ValueError: An argument is out of range.
    """

    action_kinds: ClassVar[tuple[str, ...]]

    def __init__(self, *, setting: Setting, num_envs: int, lr: float, total_frames: int) -> None:
        super().__init__()
        for name, value in (("num_envs", num_envs), ("lr", lr), ("total_frames", total_frames)):
            if not value > 0:
                raise ValueError(f"{name} must be > 0, was {value}")
        self.setting = setting
        self.num_envs, self.lr, self.total_frames = num_envs, lr, total_frames
        self.env = setting.env.choose(self.action_kinds) if isinstance(setting.env, Auto) else setting.env
        self.rules: AccountRules = setting.backtest.rules

    @property
    @abstractmethod
    def frames_per_epoch(self) -> int:
        """Environment steps of one Lightning epoch."""

    @property
    def max_epochs(self) -> int:
        """Epochs that reach ``total_frames``, at least one."""
        return max(1, -(-self.total_frames // self.frames_per_epoch))

    @property
    def frames(self) -> int:
        """Environment steps so far; the x-axis of every curve."""
        return int(self.stream_in_use.frames)

    @property
    def stream_in_use(self) -> Any:
        """The stream of the data module that the trainer uses."""
        return self.trainer.datamodule.stream  # type: ignore[attr-defined] # Lightning sets it in fit()

    def generator(self, stream: int) -> torch.Generator:
        """Return a fresh generator of the given random stream."""
        return torch.Generator(device=self.device).manual_seed(self.setting.seed * SEED_STRIDE + stream)

    def simulator(self) -> Simulator:
        """Return the training accounts, on the networks' device."""
        return Simulator(
            market=MarketTensors.build(self.setting.panel, self.setting.features, self.device),
            env=self.env,
            rules=self.rules,
            rows=self.setting.ranges.training,
            num_accounts=self.num_envs,
            reward=self.setting.reward,
            generator=self.generator(TRAIN_STREAM),
        )

    @abstractmethod
    def act(self, observation: dict[str, Tensor], market: MarketTensors, generator: torch.Generator | None) -> Acted:
        """Return the action of every account, see ``strategy.policy.Agent``."""

    @abstractmethod
    def stream(self) -> Any:
        """Return the sized training stream; called once, when the networks are on their device."""

    def configure_optimizers(self) -> Optimizer:
        """Adam over all parameters, epsilon 1e-5 as in the PPO reference implementation."""
        return torch.optim.Adam(self.parameters(), lr=self.lr, eps=1e-5)

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Backtest the agent as the strategy that will be judged on the validation range and log every figure."""
        figures = self.setting.judge(self.setting.as_strategy(self), self.setting.ranges.validation)
        self.log_dict({f"validation/{name}": value for name, value in figures.items()}, batch_size=1)
