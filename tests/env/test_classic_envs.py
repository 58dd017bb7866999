"""Native environments equal Gymnasium's step for step, end when Gymnasium's do, and continue bit for bit."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from tradewright.env.cartpole import CartPole
from tradewright.env.classic import ClassicEnv, ClassicWorld
from tradewright.env.pendulum import Pendulum

NUM_ENVS, NUM_STEPS = 3, 400


def world_of(env: ClassicEnv, num_envs: int = NUM_ENVS, seed: int = 0) -> ClassicWorld:
    return env.world(num_envs=num_envs, generator=torch.Generator().manual_seed(seed), stage=None, market=None)


def random_actions(env: ClassicEnv, num_envs: int, rng: np.random.Generator) -> torch.Tensor:
    if env.action_kind == "discrete":
        return torch.from_numpy(rng.integers(0, env.num_actions, num_envs))
    return torch.from_numpy(rng.uniform(-1.3, 1.3, (num_envs, 1))).to(torch.float32)


def peer_action(env: ClassicEnv, action: torch.Tensor) -> Any:
    """What Gymnasium takes: the number, or the torque in newton metres."""
    return int(action) if env.action_kind == "discrete" else np.array([2.0 * float(action[0])])


@pytest.mark.parametrize("env", [CartPole(), Pendulum()])
def test_native_environment_equals_gymnasium_step_for_step(env: ClassicEnv) -> None:
    """The peer is put into our state once per episode; both then run on their own."""
    seed = 11
    print("seed", seed)
    rng = np.random.default_rng(seed)
    world = world_of(env)
    peers = [gymnasium.make(env.gym_id).unwrapped for _ in range(NUM_ENVS)]
    for peer, state in zip(peers, world.state_BP.numpy(), strict=True):
        peer.reset(seed=0)
        peer.state = state.copy()
    for step in range(NUM_STEPS):
        action = random_actions(env, NUM_ENVS, rng)
        moved = world.step(action)
        observed = world.observe()["state"]
        assert observed.dtype == torch.float32
        for b, peer in enumerate(peers):
            expected, reward, terminated, _, _ = peer.step(peer_action(env, action[b]))
            np.testing.assert_allclose(observed[b], expected, rtol=1e-6, atol=1e-6, err_msg=f"step {step}")
            assert float(moved.reward_B[b]) == pytest.approx(reward, rel=1e-6, abs=1e-6)
            assert bool(moved.terminated_B[b]) == terminated
        done_B = moved.terminated_B | moved.truncated_B
        world.restart(done_B)
        for b in np.flatnonzero(done_B):
            peers[b].reset(seed=0)
            peers[b].state = world.state_BP[b].numpy().copy()


@pytest.mark.parametrize(("env", "limit"), [(CartPole(), 500), (Pendulum(), 200)])
def test_episode_is_cut_off_at_the_limit_of_gymnasium(env: ClassicEnv, limit: int) -> None:
    """A balanced pole and any pendulum last until the time limit, which is no end of the task itself."""
    peer = gymnasium.make(env.gym_id)
    assert peer.spec is not None
    assert peer.spec.max_episode_steps == limit == env.episode_steps(None)
    world = world_of(env, num_envs=1)
    for _ in range(limit):
        assert int(world.steps_B) < limit
        if env.action_kind == "discrete":  # lean against the fall
            x, speed, angle, spin = world.state_BP[0].tolist()
            action = torch.tensor([int(0.1 * x + 0.3 * speed + angle + 0.5 * spin > 0)])
        else:
            action = torch.zeros(1, 1)
        moved = world.step(action)
        assert not moved.terminated_B.item()
    assert moved.truncated_B.item()
    world.restart(moved.truncated_B)
    assert int(world.steps_B) == 0


@pytest.mark.parametrize(("env", "bounds"), [(CartPole(), [0.05] * 4), (Pendulum(), [np.pi, 1.0])])
def test_starts_fill_the_bounds_of_gymnasium(env: ClassicEnv, bounds: list[float]) -> None:
    state_BP = world_of(env, num_envs=4096).state_BP.numpy()
    peer = gymnasium.make(env.gym_id).unwrapped
    theirs = np.array([peer.reset(seed=seed) and peer.state for seed in range(200)])
    for p, bound in enumerate(bounds):
        assert bound * 0.9 < np.abs(theirs[:, p]).max() <= bound
        assert bound * 0.99 < np.abs(state_BP[:, p]).max() <= bound
        assert abs(state_BP[:, p].mean()) < 0.1 * bound


@pytest.mark.parametrize("env", [CartPole(), Pendulum()])
def test_saved_world_continues_bit_for_bit(env: ClassicEnv) -> None:
    def roll(world: ClassicWorld, seed: int) -> list[torch.Tensor]:
        rng, seen = np.random.default_rng(seed), []
        for _ in range(250):
            moved = world.step(random_actions(env, NUM_ENVS, rng))
            world.restart(moved.terminated_B | moved.truncated_B)
            seen.append(world.state_BP.clone())
        return seen

    whole, parts = world_of(env, seed=5), world_of(env, seed=5)
    roll(whole, 1)
    roll(parts, 1)
    resumed = world_of(env, seed=77)
    resumed.load_state_dict(parts.state_dict())
    assert torch.equal(torch.stack(roll(whole, 2)), torch.stack(roll(resumed, 2)))


@pytest.mark.parametrize("env", [CartPole(), Pendulum()])
def test_codec_of_gymnasium_fits_the_native_environment(env: ClassicEnv) -> None:
    codec = env.codec
    assert (codec.action_kind, codec.num_actions, codec.state_size) == (
        env.action_kind,
        env.num_actions,
        env.state_size,
    )
    peer = env.make()
    observation, _ = peer.reset(seed=1)
    assert codec.encode(observation[None]).shape == (1, env.state_size)
    action = random_actions(env, 2, np.random.default_rng(0))
    for given, taken in zip(codec.decode(action), action, strict=True):
        assert peer.action_space.contains(given)
        assert float(np.ravel(given)[0]) == pytest.approx(
            float(np.clip(np.ravel(peer_action(env, taken))[0], -2, 2)), abs=1e-6
        )


@pytest.mark.parametrize("env_class", [CartPole, Pendulum])
def test_limit_below_one_step_is_refused(env_class) -> None:
    with pytest.raises(ValueError, match="max_steps must be >= 1, was 0"):
        env_class(max_steps=0)
