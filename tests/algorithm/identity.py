"""Identity environments: the right action is the state that is shown, so whoever cannot learn them cannot learn.

Legend: B environments.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import lightning
import torch
from torch import Tensor

from tradewright.algorithm.agent import AgentModule
from tradewright.algorithm.data_module import AgentDataModule
from tradewright.algorithm.setting import Setting
from tradewright.env.classic import ClassicEnv, uniform
from tradewright.model.mlp import MLP

NUM_STATES = 3
STRIDE = 0.37
"""Of the continuous state, in an interval of length 2: it visits everything and repeats nothing soon."""
MODEL = partial(MLP, hidden=[32])


class Identity(ClassicEnv):
    """Base: episodes of four steps through states that follow each other whatever one does."""

    gym_id: ClassVar[str] = "identity"

    def __init__(self) -> None:
        super().__init__(max_steps=4)

    def make(self) -> gymnasium.Env[Any, Any]:
        """There is no Gymnasium environment of it."""
        raise AssertionError("an identity environment has no Gymnasium twin")


class DiscreteIdentity(Identity):
    """Reward 1 if the action is the number shown (one-hot), else 0."""

    action_kind: ClassVar[str] = "discrete"
    num_actions = NUM_STATES
    state_size = NUM_STATES

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """Return numbers, as float64."""
        return torch.randint(NUM_STATES, (num, 1), generator=generator).double()

    def advance(self, state_BP: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pay, and go on to the next number."""
        reward_B = (action == state_BP[:, 0].long()).double()
        return (state_BP + 1) % NUM_STATES, reward_B, torch.zeros(len(state_BP), dtype=torch.bool)

    def show(self, state_BP: Tensor) -> Tensor:
        """Return the number as one-hot."""
        return torch.nn.functional.one_hot(state_BP[:, 0].long(), NUM_STATES).float()


class ContinuousIdentity(Identity):
    """Reward -(a - s)², a clamped to [-1, 1]."""

    action_kind: ClassVar[str] = "continuous"
    num_actions = 1
    state_size = 1

    def draw(self, num: int, generator: torch.Generator) -> Tensor:
        """Return numbers in [-1, 1)."""
        return uniform(num, (1.0,), generator)

    def advance(self, state_BP: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Pay, and stride on."""
        reward_B = -torch.square(action[:, 0].double().clamp(-1, 1) - state_BP[:, 0])
        following_BP = torch.remainder(state_BP + 1 + STRIDE, 2.0) - 1
        return following_BP, reward_B, torch.zeros(len(state_BP), dtype=torch.bool)

    def show(self, state_BP: Tensor) -> Tensor:
        """Return the number."""
        return state_BP.float()


def greedy_reward(agent: AgentModule) -> float:
    """Return the mean reward of one greedy step from 512 states."""
    assert isinstance(agent.env, Identity)
    state_BP = agent.env.draw(512, torch.Generator().manual_seed(99))
    with torch.no_grad():
        action = agent.act({"state": agent.env.show(state_BP)}, None, None).action
    return float(agent.env.advance(state_BP, action)[1].mean())


def train_identity(algorithm: Callable[..., AgentModule], env: Identity, folder: Path, **keys: Any) -> float:
    """Train on an identity environment and return the greedy reward; the best is 1 (discrete) or 0."""
    torch.set_num_threads(1)
    lightning.seed_everything(0, verbose=False)
    setting = Setting(env=env, stage=None, reward_name="none", validate=lambda _: {}, seed=0)
    agent = algorithm(setting=setting, model=MODEL, **keys)
    before = greedy_reward(agent)
    trainer = lightning.Trainer(
        max_epochs=agent.max_epochs,
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
        num_sanity_val_steps=0,
        gradient_clip_val=0.5,
    )
    trainer.fit(agent, AgentDataModule(agent))
    after = greedy_reward(agent)
    print(f"{type(agent).__name__} on {type(env).__name__}: greedy reward {before:.4f} before, {after:.4f} after")
    return after
