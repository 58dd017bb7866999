"""Foreign environments: spaces map as documented, masked restarts, errors that say what to do, a resume begins anew."""

from functools import partial

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces

from tradewright.algorithm.sac import SAC
from tradewright.algorithm.setting import Setting
from tradewright.env.gym import GymEnv, GymWorld
from tradewright.env.spaces import Codec
from tradewright.errors import ConfigError, MisfitError
from tradewright.model.mlp import MLP


class Odd(gymnasium.Env):
    """Shows and takes a Discrete space that starts at 5; every third step ends; an invalid action is refused."""

    observation_space = spaces.Discrete(3, start=5)
    action_space = spaces.Discrete(2, start=1)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.count = 0
        return 5, {}

    def step(self, action):
        assert self.action_space.contains(action)
        self.count += 1
        return 5 + self.count % 3, float(action), self.count == 3, False, {}


class Tupled(Odd):
    observation_space = spaces.Tuple((spaces.Discrete(2), spaces.Discrete(2)))


class Boundless(Odd):
    action_space = spaces.Box(-np.inf, np.inf, (1,))


@pytest.fixture(scope="module", autouse=True)
def registered():
    for cls in (Odd, Tupled, Boundless):
        gymnasium.register(f"{cls.__name__}Test-v0", entry_point=cls)
    yield
    for cls in (Odd, Tupled, Boundless):
        del gymnasium.registry[f"{cls.__name__}Test-v0"]


def world_of(env: GymEnv, num_envs: int = 3, seed: int = 0) -> GymWorld:
    return env.world(num_envs=num_envs, generator=torch.Generator().manual_seed(seed), stage=None, market=None)


def test_discrete_spaces_are_numbers_from_zero_and_one_hot() -> None:
    env = GymEnv(id="OddTest-v0")
    assert (env.action_kind, env.num_actions, env.state_size) == ("discrete", 2, 3)
    world = world_of(env)
    assert torch.equal(world.observe()["state"], torch.eye(3)[[0, 0, 0]])
    moved = world.step(torch.tensor([0, 1, 1]))
    assert moved.reward_B.tolist() == [1.0, 2.0, 2.0]
    assert moved.reward_B.dtype == torch.float64
    assert torch.equal(world.observe()["state"], torch.eye(3)[[1, 1, 1]])


def test_only_what_is_done_restarts() -> None:
    world = world_of(GymEnv(id="OddTest-v0"))
    action = torch.zeros(3, dtype=torch.int64)
    world.step(action)
    world.restart(torch.tensor([False, True, False]))
    assert torch.equal(world.observe()["state"], torch.eye(3)[[1, 0, 1]])
    world.step(action)
    moved = world.step(action)
    assert moved.terminated_B.tolist() == [True, False, True]
    assert not moved.truncated_B.any()


def test_box_actions_reach_their_bounds_and_no_further() -> None:
    codec = Codec(spaces.Box(-1, 1, (2, 2)), spaces.Box(np.float32([0, -3]), np.float32([4, 1])))
    found = codec.decode(torch.tensor([[-1.0, -1.0], [0.0, 0.0], [1.0, 1.0], [9.0, -9.0]]))
    np.testing.assert_allclose(found, [[0, -3], [2, -1], [4, 1], [4, -3]])
    assert codec.encode(np.zeros((5, 2, 2))).shape == (5, 4)


def test_world_equals_single_environments_with_the_same_seeds() -> None:
    env = GymEnv(id="Pendulum-v1", max_steps=7)
    world = world_of(env, num_envs=2, seed=4)
    drawn = torch.randint(2**31 - 1, (2,), generator=torch.Generator().manual_seed(4)).tolist()
    peers = [gymnasium.make("Pendulum-v1", max_episode_steps=7) for _ in drawn]
    expected = [peer.reset(seed=seed)[0] for peer, seed in zip(peers, drawn, strict=True)]
    np.testing.assert_array_equal(world.observe()["state"], expected)
    for step in range(7):
        moved = world.step(torch.tensor([[0.25], [-0.5]]))
        for b, torque in enumerate((0.5, -1.0)):
            shown, reward, _, truncated, _ = peers[b].step(np.float32([torque]))
            np.testing.assert_array_equal(world.observe()["state"][b], shown)
            assert float(moved.reward_B[b]) == reward
            assert bool(moved.truncated_B[b]) == truncated == (step == 6)


def test_resumed_world_begins_anew_in_the_same_way_each_time() -> None:
    env = GymEnv(id="CartPole-v1")
    saved = world_of(env).state_dict()
    first, second = world_of(env, seed=8), world_of(env, seed=9)
    first.load_state_dict(saved)
    second.load_state_dict(saved)
    assert torch.equal(first.observe()["state"], second.observe()["state"])


@pytest.mark.parametrize(
    ("env_id", "message"),
    [
        ("CartPol-v1", "env.id=CartPol-v1: .*CartPol.* doesn't exist.*Did you mean.*CartPole"),
        ("TupledTest-v0", "observations of TupledTest-v0 are a Tuple space; supported are Box and Discrete"),
        ("BoundlessTest-v0", "actions of BoundlessTest-v0 have no finite bounds"),
        ("LunarLander-v3", "env.id=LunarLander-v3: .*pip install"),
        ("nowhere_at_all:X-v0", "env.id=nowhere_at_all:X-v0: .*nowhere_at_all"),
    ],
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_what_cannot_be_made_is_refused_in_one_line(env_id: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        GymEnv(id=env_id)
    assert "\n" not in str(caught.value)


def test_number_of_episodes_needs_a_limit() -> None:
    assert GymEnv(id="CartPole-v1").episode_steps(None) == 500
    with pytest.raises(ConfigError, match=r"episodes of OddTest-v0 have no limit; give algorithm\.total_frames"):
        GymEnv(id="OddTest-v0").episode_steps(None)


def test_algorithm_of_other_actions_is_a_misfit_that_names_the_id_and_what_fits() -> None:
    setting = Setting(
        env=GymEnv(id="OddTest-v0"), stage=None, reward_name="none", validate=lambda agent: {"mean_return": 0.0}, seed=0
    )
    with pytest.raises(MisfitError) as caught:
        SAC(setting=setting, model=partial(MLP, hidden=[4]), total_frames=100)
    message = str(caught.value)
    assert message.startswith(
        "algorithm=sac needs a continuous env; env.id=OddTest-v0 is discrete. Use algorithm=a2c or"
    )
    advised = message.removesuffix(".").split("Use ")[1].split(" or ")
    assert "algorithm=discrete_sac" in advised
    assert not {"algorithm=td3", "algorithm=apg", "algorithm=cql"} & set(advised)
