"""Two processes train one agent: own environments, equal weights, one validation, and a resume equal to the bit."""

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from tradewright.algorithm.a2c import A2C
from tradewright.algorithm.agent import AgentModule
from tradewright.algorithm.data_module import AgentDataModule
from tradewright.algorithm.discrete_sac import DiscreteSAC
from tradewright.algorithm.dqn import DQN
from tradewright.algorithm.ppo import PPO
from tradewright.algorithm.sac import SAC
from tradewright.algorithm.setting import Setting
from tradewright.algorithm.td3 import TD3
from tradewright.callbacks.checkpoints import AtomicCheckpointIO, BestCheckpoint, LastCheckpoint, newest_checkpoint
from tradewright.distributed import gathered
from tradewright.env.cartpole import CartPole
from tradewright.env.pendulum import Pendulum
from tradewright.errors import RunError
from tradewright.model.mlp import MLP

NUM_ENVS, STEPS = 4, 8
ON = {"rollout_steps": STEPS}
OFF = {"steps_per_iteration": STEPS, "updates_per_iteration": 3, "batch_size": 16, "learning_starts": 16}
CASES = [
    pytest.param(PPO, CartPole, {**ON, "num_minibatches": 2, "num_passes": 2}, id="ppo"),
    pytest.param(A2C, CartPole, ON, id="a2c", marks=pytest.mark.slow),
    pytest.param(DQN, CartPole, OFF, id="dqn", marks=pytest.mark.slow),
    pytest.param(DiscreteSAC, CartPole, OFF, id="discrete_sac", marks=pytest.mark.slow),
    pytest.param(SAC, Pendulum, OFF, id="sac", marks=pytest.mark.slow),
    pytest.param(TD3, Pendulum, OFF, id="td3", marks=pytest.mark.slow),
]
QUIET = pytest.mark.filterwarnings(
    "ignore:.*LeafSpec.* is deprecated:FutureWarning", "ignore:Checkpoint directory .* exists and is not empty"
)


class Witness(Callback):
    """Writes what each process has at the end, and how often it was validated."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def validate(self, agent: AgentModule) -> dict[str, float]:
        """Return a figure that differs from process to process."""
        with (self.folder / "validated.txt").open("a") as file:
            file.write(f"{os.getpid()}\n")
        return {"mean_return": os.getpid() + 1.0 / 3.0}

    def on_fit_end(self, trainer: lightning.Trainer, module: Any) -> None:
        weights = torch.nn.utils.parameters_to_vector(module.parameters()).detach()
        found = (weights, float(trainer.callback_metrics["validation/mean_return"]), module.frames)
        everywhere = gathered(found)
        if trainer.is_global_zero:
            torch.save(everywhere, self.folder / "witness.pt")


def fit(
    algorithm: Callable[..., AgentModule], env: Any, keys: dict, folder: Path, *, epochs: int, resume: bool, devices=2
) -> None:
    folder.mkdir(exist_ok=True)
    torch.set_num_threads(1)
    lightning.seed_everything(0, verbose=False)
    witness = Witness(folder)
    setting = Setting(env=env(max_steps=20), stage=None, reward_name="none", validate=witness.validate, seed=3)
    known = {"total_frames": 4096, "num_envs": NUM_ENVS, "iterations_per_epoch": 2}
    agent = algorithm(setting=setting, model=partial(MLP, hidden=[8]), **{**known, **keys})
    trainer = lightning.Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        devices=devices,
        strategy=("ddp_fork_find_unused_parameters_true" if algorithm is TD3 else "ddp_fork")
        if devices > 1
        else "auto",
        default_root_dir=folder,
        callbacks=[
            BestCheckpoint(directory=folder, monitor="validation/mean_return"),
            LastCheckpoint(directory=folder),
            witness,
        ],
        plugins=[AtomicCheckpointIO()],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    agent.num_processes = trainer.world_size
    checkpoint = newest_checkpoint(folder) if resume else None
    trainer.fit(agent, AgentDataModule(agent), ckpt_path=checkpoint, weights_only=True)


def differences(one: Any, other: Any, path: str = "") -> list[str]:
    """Return the places where two nested states differ."""
    if isinstance(one, torch.Tensor):
        return [] if torch.equal(one, other) else [path]
    if isinstance(one, dict):
        return [found for key in {**one, **other} for found in differences(one[key], other[key], f"{path}/{key}")]
    if isinstance(one, list):
        return [
            found for i, pair in enumerate(zip(one, other, strict=True)) for found in differences(*pair, f"{path}/{i}")
        ]
    return [] if one == other else [path]


@QUIET
@pytest.mark.parametrize(("algorithm", "env", "keys"), CASES)
def test_two_processes_train_one_agent_and_resume_bit_for_bit(algorithm, env, keys: dict, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    fit(algorithm, env, keys, whole, epochs=4, resume=False)
    fit(algorithm, env, keys, parts, epochs=2, resume=False)
    fit(algorithm, env, keys, parts, epochs=4, resume=True)

    (weights, value, frames), (other_weights, other_value, other_frames) = torch.load(whole / "witness.pt")
    assert torch.equal(weights, other_weights)
    assert value == other_value
    num_warm_up = -(-keys.get("learning_starts", 0) // NUM_ENVS) * NUM_ENVS
    assert frames == other_frames == 2 * (4 * 2 * STEPS * NUM_ENVS + num_warm_up)
    assert len((whole / "validated.txt").read_text().split()) == 4  # once per epoch, by one process
    assert len(set((whole / "validated.txt").read_text().split())) == 1

    states = [torch.load(folder / "last.ckpt", weights_only=True) for folder in (whole, parts)]
    assert differences(states[0]["state_dict"], states[1]["state_dict"]) == []
    assert differences(states[0]["optimizer_states"], states[1]["optimizer_states"]) == []
    streams = [state["AgentDataModule"]["streams"] for state in states]
    assert differences(*streams) == []
    first, second = streams[0]
    assert "/world/state_BP" in differences(first, second)  # environments of their own
    assert first["episodes"]["num"] == second["episodes"]["num"] > 0  # of both


@QUIET
def test_resume_with_another_number_of_processes_is_refused(tmp_path: Path) -> None:
    keys = {**ON, "num_minibatches": 2, "num_passes": 1}
    fit(PPO, CartPole, keys, tmp_path, epochs=1, resume=False)
    with pytest.raises(RunError, match=r"trainer\.devices: the checkpoint was written by 2 processes, now there are 1"):
        fit(PPO, CartPole, keys, tmp_path, epochs=2, resume=True, devices=1)
