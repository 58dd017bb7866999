"""Agents with a memory: they solve what needs one, replay and continue exactly, and forget where episodes begin."""

from functools import partial
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from agents import a2c_of, fit, ppo_of, trainer_of
from memory_env import STEPS, CueEnv

from tradewright.algorithm.data_module import AgentDataModule
from tradewright.algorithm.setting import Setting
from tradewright.callbacks.checkpoints import LastCheckpoint, newest_checkpoint
from tradewright.data.ranges import Range
from tradewright.env.discrete9 import Discrete9
from tradewright.env.gym import GymEnv
from tradewright.env.market_tensors import MarketTensors
from tradewright.model.gru import GRU
from tradewright.model.mlp import MLP
from tradewright.strategy.policy import Policy

MEMORY = partial(GRU, hidden=[16], memory=16)


def cue_setting() -> Setting:
    return Setting(env=CueEnv(), stage=None, reward_name="cue", validate=lambda agent: {"sharpe": 0.0}, seed=0)


def cue_reward(agent) -> float:
    """Mean reward per step of the best actions, whole episodes."""
    world = agent.env.world(num_envs=600, generator=torch.Generator().manual_seed(9), stage=None, market=None)
    rewards = []
    with agent.deciding(None) as decide:
        world.restart(torch.ones(600, dtype=torch.bool))
        for _ in range(STEPS):
            rewards.append(world.step(decide(world.observe(), None).action).reward_B.mean())
    return float(torch.stack(rewards).mean())


@pytest.mark.parametrize(
    ("model", "frames", "low", "high"), [(MEMORY, 18_000, 0.99, 1.0), (partial(MLP, hidden=[16]), 6_000, 0.4, 0.67)]
)
def test_cue_of_the_first_step_is_remembered_with_a_memory_only(tmp_path: Path, model, frames, low, high) -> None:
    """Without memory: 1 of STEPS known, the others guessed: (1 + 5/2) / 6 = 0.58."""
    lightning.seed_everything(0, verbose=False)
    agent = ppo_of(
        cue_setting(), model, num_envs=48, rollout_steps=12, total_frames=frames, lr=1e-2, iterations_per_epoch=10,
        gamma=0.5,
    )  # fmt: skip
    fit(agent, tmp_path)
    assert low <= cue_reward(agent) <= high


@pytest.mark.parametrize("make", [ppo_of, a2c_of])
@torch.no_grad()
def test_stored_rollout_replays_with_ratio_one_and_equal_values(make) -> None:
    """Also the second rollout, which begins in the middle of episodes, with the memory of the first."""
    torch.manual_seed(0)
    agent = make(cue_setting(), MEMORY)
    agent.actor.head.weight.mul_(100.0)
    stream = agent.stream()
    for _ in range(2):
        batch = stream.collect()
        parameters = agent.actor(*(batch[key] for key in agent.actor.in_keys))
        ratio = (agent.actor.log_prob(parameters, batch["action"]) - batch["action_log_prob"]).exp()
        np.testing.assert_allclose(ratio, 1.0, atol=1e-5)
        value = agent.critic(*(batch[key] for key in agent.critic.body.in_keys))
        np.testing.assert_allclose(value, batch["state_value"], atol=1e-6)
    assert batch["actor_memory"].abs().max() > 0.01


@torch.no_grad()
def test_memory_depends_on_the_episode_alone() -> None:
    """A sequence with a restart in its middle remembers after it what a fresh one would."""
    torch.manual_seed(0)
    model = MEMORY(in_features=3)
    x_BSD = model(torch.randn(4, 10, 3))
    is_first_BS = torch.zeros(4, 10, dtype=torch.bool)
    is_first_BS[:, 6] = True
    whole = model.remember(x_BSD, is_first_BS, torch.randn(4, 16))
    fresh = model.remember(x_BSD[:, 6:], torch.zeros(4, 4, dtype=torch.bool), torch.zeros(4, 16))
    np.testing.assert_allclose(whole[:, 6:], fresh, atol=1e-6)


@torch.no_grad()
def test_memory_equals_the_published_equations() -> None:
    """Cho et al. 2014 as PyTorch documents it, in NumPy."""
    torch.manual_seed(0)
    model = MEMORY(in_features=3)
    x_BSD, cell = torch.randn(2, 5, 16), model.cell
    memory = model.remember(x_BSD, torch.zeros(2, 5, dtype=torch.bool), torch.zeros(2, 16)).numpy()
    w_i, w_h, b_i, b_h = (p.numpy().astype(float) for p in (cell.weight_ih, cell.weight_hh, cell.bias_ih, cell.bias_hh))
    h = np.zeros((2, 16))
    for s in range(5):
        i, k = x_BSD[:, s].numpy() @ w_i.T + b_i, h @ w_h.T + b_h
        (i_r, i_z, i_n), (k_r, k_z, k_n) = np.split(i, 3, 1), np.split(k, 3, 1)
        reset, update = 1 / (1 + np.exp(-i_r - k_r)), 1 / (1 + np.exp(-i_z - k_z))
        h = (1 - update) * np.tanh(i_n + reset * k_n) + update * h
        np.testing.assert_allclose(memory[:, s], h, atol=1e-5)


@torch.no_grad()
def test_value_after_a_truncation_sees_the_memory_of_its_episode() -> None:
    """With λ = 0 a value target is reward + γ · V(next observation of the same episode), which shows 0 here."""
    torch.manual_seed(0)
    agent = ppo_of(cue_setting(), MEMORY, gamma=0.9, gae_lambda=0.0)
    stream, critic = agent.stream(), agent.critic
    stream.collect()
    batch = stream.collect()
    is_last_BS = torch.cat((batch["is_first"][:, 1:], stream.is_first_B[:, None]), dim=1)
    checked = 0
    for b in range(8):
        memory, cue = batch["critic_memory"][b : b + 1], None
        for s in range(16):
            state, is_first = batch["state"][b : b + 1, s], batch["is_first"][b : b + 1, s]
            memory = critic.body.step(state, is_first, memory)
            cue = int(state > 0) if is_first else cue
            if is_last_BS[b, s] and cue is not None:
                value = critic.head(critic.body.step(torch.zeros(1, 1), torch.tensor([False]), memory))
                target = float(int(batch["action"][b, s]) == cue) + 0.9 * float(value)
                assert float(batch["value_target"][b, s]) == pytest.approx(target, abs=1e-5)
                checked += 1
    assert checked >= 8


@pytest.mark.parametrize("make", [ppo_of, a2c_of])
@torch.no_grad()
def test_memory_is_empty_where_a_resumed_world_begins_anew(make) -> None:
    """Environments of Gymnasium cannot be saved: their episodes start again, and so must what is remembered."""

    def stream():
        env = GymEnv(id="CartPole-v1")
        setting = Setting(env=env, stage=None, reward_name="none", validate=lambda agent: {"sharpe": 0.0}, seed=0)
        return make(setting, MEMORY, rollout_steps=3).stream()

    torch.manual_seed(0)
    saved = stream()
    saved.collect()
    assert not saved.is_first_B.any()
    resumed = stream()
    resumed.load_state_dict(saved.state_dict())
    batch = resumed.collect()
    assert batch["is_first"][:, 0].all()
    assert not batch["is_first"][:, 1:].any()
    memory = resumed.actor.body.step(batch["state"][:, 0], torch.ones(8, dtype=torch.bool), torch.zeros(8, 16))
    expected = resumed.actor.log_prob(resumed.actor.parameters_of(memory), batch["action"][:, 0])
    np.testing.assert_allclose(batch["action_log_prob"][:, 0], expected, atol=1e-6)


@pytest.mark.row("B46")
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_resumed_training_with_a_memory_is_equal_bit_for_bit(tmp_path: Path) -> None:
    def train(folder: Path, epochs: int, resume: bool = False):
        lightning.seed_everything(0, verbose=False)
        agent = ppo_of(cue_setting(), MEMORY, rollout_steps=5)
        checkpoint = newest_checkpoint(folder) if resume else None
        trainer = trainer_of(folder, epochs, [LastCheckpoint(directory=folder)])
        trainer.fit(agent, AgentDataModule(agent), ckpt_path=checkpoint, weights_only=True)
        return agent

    whole = train(tmp_path / "whole", 4)
    train(tmp_path / "parts", 2)
    parts = train(tmp_path / "parts", 4, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name
    states = [torch.load(tmp_path / f / "last.ckpt", weights_only=True)["AgentDataModule"] for f in ("whole", "parts")]
    assert str(states[0]) == str(states[1])
    assert states[0]["streams"][0]["memories"]["actor"].abs().max() > 0


@torch.no_grad()
def test_policy_carries_the_memory_through_the_judged_range(setting_of) -> None:
    """Its weights are those of the actor run over the whole range as one sequence."""
    torch.manual_seed(0)
    setting = setting_of(env=Discrete9(window=2, episode_bars=64))
    agent = ppo_of(setting, MEMORY)
    agent.actor.head.weight.mul_(300.0)
    stage, rows = setting.stage, Range(400, 440)
    positions = Policy(agent=agent).decide(stage.panel, stage.features, rows)
    accounts = agent.env.accounts(
        market=MarketTensors.build(stage.panel, stage.features), rules=stage.rules, rows=rows, num_envs=1
    )
    memory, seen = torch.zeros(1, 16), torch.tensor([False])
    chosen = []
    for bar in range(40):
        observed = accounts.observe()
        memory = agent.actor.body.step(observed["index"], observed["portfolio"], seen, memory)
        weight = agent.env.target_weights(agent.actor.parameters_of(memory).argmax(-1), accounts.view())
        chosen.append(float(weight))
        if bar < 39:
            accounts.step_weights(weight)
    np.testing.assert_allclose(positions.weights_TN[:, 0], chosen, atol=1e-12)
    assert len({round(x, 6) for x in chosen if not np.isnan(x)}) > 1


def test_environments_that_end_drop_their_memory() -> None:
    agent = ppo_of(cue_setting(), MEMORY)
    state = torch.tensor([[1.0], [-1.0], [1.0]])
    with agent.deciding(None) as decide, torch.no_grad():
        decide({"state": state}, None)
        together = decide._memory_BH.clone()
        decide.keep([2, 0])
        assert torch.equal(decide._memory_BH, together[[2, 0]])


def test_minibatches_must_divide_the_environments_of_a_memory() -> None:
    with pytest.raises(ValueError, match=r"num_minibatches must divide num_envs \(a recurrent model .*\) = 6, was 4"):
        ppo_of(cue_setting(), MEMORY, num_envs=6, rollout_steps=2)
