"""PPO's advantages, value targets and loss against plain floats and NumPy, term by term."""

import math

import numpy as np
import pytest
import torch
from agents import ppo_of
from tensordict import TensorDict

from tradewright.algorithm.on_policy import normalised
from tradewright.algorithm.ppo import PPO
from tradewright.algorithm.rollout import advantages
from tradewright.env.discrete9 import Discrete9


def gae_by_hand(value, next_value, reward, done, terminated, gamma, lam):
    """Backward recursion of Schulman et al. 2016, eq. 16, in plain floats."""
    advantage, running = [0.0] * len(value), 0.0
    for t in reversed(range(len(value))):
        delta = reward[t] + gamma * next_value[t] * (not terminated[t]) - value[t]
        running = delta + gamma * lam * (not done[t]) * running
        advantage[t] = running
    return advantage


@pytest.mark.row("B20")
@pytest.mark.parametrize("lam", [0.0, 0.9, 1.0])
def test_advantages_equal_the_backward_recursion(lam: float) -> None:
    rng = np.random.default_rng(0)
    value, next_value, reward = (torch.tensor(rng.normal(size=(40, 3)), dtype=torch.float32) for _ in range(3))
    terminated = torch.tensor(rng.random((40, 3)) < 0.1)
    truncated = torch.tensor(rng.random((40, 3)) < 0.1) & ~terminated
    done = terminated | truncated
    advantage, target = advantages(
        value_SB=value,
        next_value_SB=next_value,
        reward_SB=reward.double(),
        terminated_SB=terminated,
        truncated_SB=truncated,
        gamma=0.97,
        gae_lambda=lam,
    )
    for b in range(3):
        columns = [x[:, b].tolist() for x in (value, next_value, reward, done, terminated)]
        np.testing.assert_allclose(advantage[:, b], gae_by_hand(*columns, 0.97, lam), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(target, advantage + value, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_value_after_a_truncation_is_that_of_the_last_observation(setting_of) -> None:
    """Not that of the new episode: with λ = 0 a target is reward + γ · V(last bar of the episode, its account)."""
    torch.manual_seed(0)
    agent = ppo_of(setting_of(env=Discrete9(window=2, episode_bars=5)), gamma=0.8, gae_lambda=0.0)
    stream, rewards, last = agent.stream(), [], []
    world = stream.world
    step, restart = world.step, world.restart

    def noting_step(action: torch.Tensor):
        moved = step(action)
        rewards.append(moved.reward_B.float())
        return moved

    def noting_restart(done_B: torch.Tensor) -> None:
        last.append({key: x.clone() for key, x in world.observe().items()})
        restart(done_B)

    world.step, world.restart = noting_step, noting_restart
    batch = stream.collect().reshape(16, 8)
    assert len(last) == 3
    for number, observed in enumerate(last):
        end = 5 * (number + 1) - 1
        assert torch.equal(observed["index"], batch["index"][end] + 1)
        assert not torch.equal(observed["index"], batch["index"][end + 1])
        value_B = agent.critic(observed["index"], observed["portfolio"])[:, 0]
        np.testing.assert_allclose(batch["value_target"][end, :, 0], rewards[end] + 0.8 * value_B, atol=1e-6)
        next_B = agent.critic(batch["index"][end + 1], batch["portfolio"][end + 1])[:, 0]
        assert (next_B - value_B).abs().max() > 1e-3


@torch.no_grad()
def test_a_termination_does_not_bootstrap() -> None:
    x = torch.tensor([[1.0]])
    no, yes = torch.tensor([[False]]), torch.tensor([[True]])
    for terminated, truncated, target in ((no, no, 1 + 0.5 * 4), (no, yes, 1 + 0.5 * 4), (yes, no, 1.0)):
        _, found = advantages(
            value_SB=x, next_value_SB=4 * x, reward_SB=x, terminated_SB=terminated, truncated_SB=truncated, gamma=0.5,
            gae_lambda=0.9,
        )  # fmt: skip
        assert float(found) == target


def batch_of(agent: PPO, size: int = 24) -> TensorDict:
    """Frames whose old log-probabilities and values are off, so that ratios and values are clipped here and there."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        batch = agent.stream().collect()[:size]
    for name, spread in (("action_log_prob", 0.3), ("state_value", 0.5), ("value_target", 1.0), ("advantage", 2.0)):
        batch[name] = batch[name] + spread * torch.randn(batch[name].shape, generator=generator)
    return batch


def loss_by_hand(agent: PPO, batch: TensorDict, *, clip, entropy, value, value_clip) -> dict[str, float]:
    """Equation 9 of Schulman et al. 2017 with the clipped squared error of values, in NumPy."""
    mean, deviation = (x.detach().numpy().astype(float) for x in agent.actor(batch["index"], batch["portfolio"]))
    action, old = batch["action"].numpy().astype(float), batch["action_log_prob"].numpy()
    z = (action - mean) / deviation
    log_prob = (-0.5 * z**2 - np.log(deviation) - 0.5 * math.log(2 * math.pi)).sum(-1)
    a = batch["advantage"].numpy()[:, 0].astype(float)
    a = (a - a.mean()) / a.std(ddof=1)
    ratio = np.exp(log_prob - old)
    now = agent.critic(batch["index"], batch["portfolio"]).detach().numpy()[:, 0]
    was, target = batch["state_value"].numpy()[:, 0], batch["value_target"].numpy()[:, 0]
    error = (now - target) ** 2
    if value_clip is not None:
        error = np.maximum(error, (was + np.clip(now - was, -value_clip, value_clip) - target) ** 2)
    policy = -np.minimum(ratio * a, np.clip(ratio, 1 - clip, 1 + clip) * a).mean()
    bonus = (0.5 + 0.5 * math.log(2 * math.pi) + np.log(deviation)).sum(-1).mean()
    terms = {"loss_objective": policy, "loss_critic": value * error.mean(), "loss_entropy": -entropy * bonus}
    return {**terms, "loss": sum(terms.values()), "kl": (ratio - 1 - np.log(ratio)).mean()}


@pytest.mark.row("B20")
@pytest.mark.parametrize("value_clip", [None, 0.1])
def test_loss_equals_the_published_formula(setting_of, value_clip) -> None:
    torch.manual_seed(0)
    keys = {"clip": 0.15, "entropy_coefficient": 0.07, "value_coefficient": 0.6, "value_clip": value_clip}
    agent = ppo_of(setting_of(), **keys)
    batch = batch_of(agent)
    terms = {name: term.detach() for name, term in agent.terms(batch).items()}
    expected = loss_by_hand(agent, batch, clip=0.15, entropy=0.07, value=0.6, value_clip=value_clip)
    for name, number in expected.items():
        assert float(terms[name]) == pytest.approx(number, rel=1e-4, abs=1e-6), name
    unclipped = loss_by_hand(agent, batch, clip=0.99, entropy=0.07, value=0.6, value_clip=None)
    assert abs(unclipped["loss_objective"] - expected["loss_objective"]) > 1e-3
    if value_clip is not None:
        assert expected["loss_critic"] > unclipped["loss_critic"] + 1e-3


def test_entropy_bonus_widens_the_policy(setting_of) -> None:
    """A gradient step on the entropy term alone raises the deviation."""
    agent = ppo_of(setting_of(), entropy_coefficient=1.0)
    before = agent.actor.log_deviation.detach().clone()
    agent.terms(batch_of(agent))["loss_entropy"].backward()
    assert (agent.actor.log_deviation.grad < 0).all()
    assert torch.equal(before, agent.actor.log_deviation)


def test_normalised_advantages_equal_numpy() -> None:
    x = torch.tensor([[3.0], [-1.0], [7.0], [0.5]])
    expected = (x.numpy() - x.numpy().mean()) / x.numpy().std(ddof=1)
    np.testing.assert_allclose(normalised(x), expected, rtol=1e-6)
    assert torch.equal(normalised(torch.full((4, 1), 2.5)), torch.zeros(4, 1))


def test_advantages_are_used_as_they_are_where_asked(setting_of) -> None:
    torch.manual_seed(0)
    agent = ppo_of(setting_of(), normalise_advantage=False)
    batch = batch_of(agent)
    batch["action_log_prob"] = agent.stream().collect()["action_log_prob"][:24]
    small = agent.terms(batch)["loss_objective"].item()
    batch["advantage"] = batch["advantage"] * 10
    assert agent.terms(batch)["loss_objective"].item() == pytest.approx(10 * small, rel=1e-4)
