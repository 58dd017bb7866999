"""How the tests of on-policy agents train them: a small network, a quiet Trainer."""

from functools import partial
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint

from tradewright.algorithm.a2c import A2C
from tradewright.algorithm.agent import AgentModule
from tradewright.algorithm.data_module import AgentDataModule
from tradewright.algorithm.ppo import PPO
from tradewright.callbacks.checkpoints import AtomicCheckpointIO
from tradewright.model.mlp import MLP

SMALL = partial(MLP, hidden=[16])


class StopAfter(lightning.Callback):
    """Ends a training early, as an interruption would: its schedules are those of the whole."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def on_validation_end(self, trainer: lightning.Trainer, module: Any) -> None:
        trainer.should_stop = trainer.current_epoch + 1 >= self.epochs


def ppo_of(setting, model=SMALL, **keys: Any) -> PPO:
    """Eight environments of 16 steps, four minibatches."""
    known = {"total_frames": 512, "num_envs": 8, "rollout_steps": 16, "num_minibatches": 4, "iterations_per_epoch": 1}
    return PPO(setting=setting, model=model, **{**known, **keys})


def a2c_of(setting, model=SMALL, **keys: Any) -> A2C:
    """Eight environments of 16 steps."""
    known = {"total_frames": 512, "num_envs": 8, "rollout_steps": 16, "iterations_per_epoch": 2}
    return A2C(setting=setting, model=model, **{**known, **keys})


def trainer_of(directory: Path, epochs: int, callbacks=(), **keys: Any) -> lightning.Trainer:
    """A Trainer that prints nothing and keeps no checkpoints of its own."""
    return lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        default_root_dir=directory,
        callbacks=list(callbacks),
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        num_sanity_val_steps=0,
        **keys,
    )


def fit(agent: AgentModule, directory: Path, epochs: int | None = None, callbacks=(), **keys: Any) -> AgentDataModule:
    """Train the agent and return its data module."""
    data = AgentDataModule(agent)
    trainer_of(directory, epochs or agent.max_epochs, callbacks, **keys).fit(agent, data)
    return data
