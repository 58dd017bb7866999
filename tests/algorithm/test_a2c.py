"""A2C: its loss by hand, one gradient step per rollout, learning, and bit-exact continuation."""

import math
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from agents import StopAfter, a2c_of, fit, trainer_of

from tradewright.algorithm.data_module import AgentDataModule
from tradewright.callbacks.checkpoints import LastCheckpoint, newest_checkpoint
from tradewright.env.discrete9 import Discrete9


@pytest.mark.row("N10")
@pytest.mark.parametrize("normalises", [False, True])
def test_loss_equals_the_published_formula(setting_of, normalises: bool) -> None:
    """Mnih et al. 2016, section 4: -ln π(a|s) A, the squared error of values, and the entropy with a minus."""
    torch.manual_seed(0)
    keys = {"entropy_coefficient": 0.07, "value_coefficient": 0.6, "normalise_advantage": normalises}
    agent = a2c_of(setting_of(env=Discrete9(window=2, episode_bars=64)), **keys)
    with torch.no_grad():
        agent.actor.head.weight.mul_(100.0)
    batch = agent.stream().collect()
    generator = torch.Generator().manual_seed(3)
    batch["value_target"] = batch["value_target"] + torch.randn(batch["value_target"].shape, generator=generator)
    logits = agent.actor(batch["index"], batch["portfolio"]).detach().numpy().astype(float)
    log_prob = logits - np.log(np.exp(logits).sum(1, keepdims=True))
    a = batch["advantage"].numpy()[:, 0].astype(float)
    if normalises:
        a = (a - a.mean()) / a.std(ddof=1)
    value = agent.critic(batch["index"], batch["portfolio"]).detach().numpy()
    chosen = log_prob[np.arange(len(a)), batch["action"].numpy()]
    expected = {
        "loss_objective": -(chosen * a).mean(),
        "loss_critic": 0.6 * ((value - batch["value_target"].numpy()) ** 2).mean(),
        "loss_entropy": 0.07 * (np.exp(log_prob) * log_prob).sum(1).mean(),
    }
    terms = agent.terms(batch)
    for name, number in {**expected, "loss": sum(expected.values())}.items():
        assert terms[name].item() == pytest.approx(number, rel=1e-4, abs=1e-6), name


def test_each_rollout_is_learnt_from_once(setting_of, tmp_path: Path) -> None:
    agent = a2c_of(setting_of())
    data = fit(agent, tmp_path, 3)
    assert agent.trainer.global_step == 6
    assert data.stream.frames == 6 * 128


def test_entropy_bonus_may_start_at_zero(setting_of, tmp_path: Path) -> None:
    agent = a2c_of(setting_of(), entropy_coefficient=0.0, final_entropy_coefficient=1.0)
    fit(agent, tmp_path)
    assert float(agent.loss.entropy_coeff) == pytest.approx(0.75)
    assert agent.trainer.callback_metrics["train/entropy"].isfinite()


@pytest.mark.row("N10")
def test_agent_learns_a_market_whose_next_return_follows_from_the_last(setting_of, test_sharpe, tmp_path: Path) -> None:
    lightning.seed_everything(0, verbose=False)
    setting = setting_of(signal=0.6, num_bars=2000)
    agent = a2c_of(
        setting, total_frames=80_000, num_envs=64, rollout_steps=8, iterations_per_epoch=40, lr=3e-3, gamma=0.5,
        normalise_advantage=True,
    )  # fmt: skip
    fit(agent, tmp_path, gradient_clip_val=0.5)
    assert test_sharpe(agent) > 2.0


@pytest.mark.row("B46")
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(setting_of, tmp_path: Path) -> None:
    def train(folder: Path, epochs: int, resume: bool = False):
        lightning.seed_everything(0, verbose=False)
        agent = a2c_of(setting_of(), lr_schedule="linear", total_frames=1024)
        checkpoint = newest_checkpoint(folder) if resume else None
        trainer = trainer_of(folder, 4, [LastCheckpoint(directory=folder), StopAfter(epochs)])
        trainer.fit(agent, AgentDataModule(agent), ckpt_path=checkpoint, weights_only=True)
        assert trainer.current_epoch == epochs
        return agent

    whole = train(tmp_path / "whole", 4)
    train(tmp_path / "parts", 2)
    parts = train(tmp_path / "parts", 4, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name
    assert not math.isclose(whole.trainer.optimizers[0].param_groups[0]["lr"], 7e-4)
