"""All off-policy algorithms: exact continuation, counts of frames and steps, targets that follow, checkpoint sizes."""

import copy
from functools import partial
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from off_policy_cases import ALGORITHMS, agent_of, shake, train, trainer_of

from tradewright.algorithm.data_module import AgentDataModule
from tradewright.algorithm.off_policy import OffPolicyModule
from tradewright.callbacks.checkpoints import BestCheckpoint, LastCheckpoint, newest_checkpoint
from tradewright.callbacks.curves import Curves
from tradewright.env.discrete9 import Discrete9
from tradewright.env.portfolio_state import PORTFOLIO
from tradewright.errors import RunError

CASES = [(name, {}) for name in ALGORITHMS] + [
    ("dqn", {"is_prioritised": True, "n_step": 3, "is_dueling": True}),
    ("sac", {"is_prioritised": True, "n_step": 2}),
    ("td3", {"is_prioritised": True}),
]
IDS = ["-".join((name, *keys)) for name, keys in CASES]


@pytest.mark.parametrize(("name", "keys"), CASES, ids=IDS)
def test_same_seed_twice_is_equal_and_another_seed_differs(setting_of, tmp_path: Path, name: str, keys: dict) -> None:
    def weights(seed: int) -> torch.Tensor:
        lightning.seed_everything(seed, verbose=False)
        agent = agent_of(name, setting_of, seed=seed, **keys)
        train(agent, tmp_path, 1)
        return torch.nn.utils.parameters_to_vector(agent.parameters()).detach()

    first = weights(1)
    assert torch.equal(first, weights(1))
    assert not torch.equal(first, weights(2))


@pytest.mark.parametrize("name", ALGORITHMS)
def test_gradient_steps_draw_from_the_streams_generator_alone(setting_of, tmp_path: Path, name: str) -> None:
    """The global generator neither decides anything after construction nor moves."""

    def weights(seed: int) -> torch.Tensor:
        torch.manual_seed(0)
        agent = agent_of(name, setting_of)
        torch.manual_seed(seed)
        before = torch.get_rng_state()
        stream = agent.stream()
        stream.collect()
        agent.trainer = trainer_of(tmp_path, 1)
        terms = [agent.terms(batch)["loss"].detach() for batch in stream.draw(3)]
        assert torch.equal(torch.get_rng_state(), before)
        return torch.stack(terms)

    assert torch.equal(weights(1), weights(2))


@pytest.mark.row("B46")
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
@pytest.mark.parametrize(("name", "keys"), CASES, ids=IDS)
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(
    setting_of, tmp_path: Path, name: str, keys: dict
) -> None:
    def run(folder: Path, epochs: int, resume: bool = False) -> tuple[OffPolicyModule, Curves, dict]:
        lightning.seed_everything(0, verbose=False)
        agent = agent_of(name, setting_of, **keys)
        curves = Curves()
        callbacks = [BestCheckpoint(directory=folder), LastCheckpoint(directory=folder), curves]
        trainer = trainer_of(folder, epochs, callbacks)
        checkpoint = newest_checkpoint(folder) if resume else None
        trainer.fit(agent, AgentDataModule(agent), ckpt_path=checkpoint, weights_only=True)
        return agent, curves, torch.load(folder / "last.ckpt", weights_only=True)

    whole, whole_curves, whole_saved = run(tmp_path / "whole", 4)
    run(tmp_path / "parts", 2)
    torch.manual_seed(1234)
    parts, parts_curves, parts_saved = run(tmp_path / "parts", 4, resume=True)
    assert_equal(whole.state_dict(), parts.state_dict())
    assert whole_curves.curves == parts_curves.curves
    assert_equal(whole_saved["AgentDataModule"], parts_saved["AgentDataModule"])
    assert_equal(whole_saved["optimizer_states"], parts_saved["optimizer_states"])


def assert_equal(one, other, path: str = "") -> None:
    """Equal to the bit, in nested dictionaries and lists."""
    assert type(one) is type(other), path
    if isinstance(one, dict):
        assert one.keys() == other.keys(), path
        for key in one:
            assert_equal(one[key], other[key], f"{path}/{key}")
    elif isinstance(one, list | tuple):
        assert len(one) == len(other), path
        for i, (mine, its) in enumerate(zip(one, other, strict=True)):
            assert_equal(mine, its, f"{path}/{i}")
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other), path
    else:
        assert one == other, path


@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_only_the_last_checkpoint_carries_the_replay(setting_of, tmp_path: Path) -> None:
    """A best checkpoint stays small, is never resumed from, and says so if one tries."""
    agent = agent_of("dqn", setting_of, is_prioritised=True, buffer_size=100_000, total_frames=4_096)
    best = BestCheckpoint(directory=tmp_path)
    data = train(agent, tmp_path, 3, callbacks=[best, LastCheckpoint(directory=tmp_path)])
    best_path, last_path = Path(best.best_model_path), tmp_path / "last.ckpt"
    rows = len(data.stream.replay)
    assert data.stream.replay.num_bytes == rows * (2 * (8 + 4 * len(PORTFOLIO)) + 8 + 4 + 2)
    assert last_path.stat().st_size - best_path.stat().st_size > data.stream.replay.num_bytes
    assert newest_checkpoint(tmp_path) == last_path
    last_path.unlink()
    assert newest_checkpoint(tmp_path) is None
    saved = torch.load(best_path, weights_only=True)["AgentDataModule"]["streams"][0]
    with pytest.raises(RunError, match=r"a best checkpoint has no replay .* resume from last\.ckpt"):
        data.stream.load_state_dict(saved)


def test_warm_up_comes_on_top_and_every_iteration_has_its_steps(setting_of, tmp_path: Path) -> None:
    """50 frames of random actions are 13 steps of 4 environments; then 16 frames and 3 gradient steps an iteration."""
    agent = agent_of("dqn", setting_of)
    data = train(agent, tmp_path, 2)
    assert agent.warm_up_frames == 52
    assert data.stream.frames == 52 + 2 * 4 * 16
    assert agent.trainer.global_step == 2 * 4 * 3
    assert agent.max_epochs == -(-(1_024 - 52) // (4 * 16))
    assert len(data.stream.replay) == 180


def test_warm_up_actions_are_random_and_later_ones_the_agents(setting_of) -> None:
    agent = agent_of("td3", setting_of, exploration_noise=0.0, learning_starts=48)
    stream = agent.stream()
    stream.collect()
    action = stream.replay.fields["action"][: len(stream.replay), 0]
    assert action[:48].std() > 0.4
    assert action[48:].abs().max() < 0.1


def test_next_observation_is_that_before_a_restart(setting_of) -> None:
    """Episodes of three bars: rows are consecutive also where the episode was cut off, and none is terminated."""
    agent = agent_of("dqn", setting_of, env=Discrete9(window=2, episode_bars=3))
    stream = agent.stream()
    stream.collect()
    fields, num = stream.replay.fields, len(stream.replay)
    assert torch.equal(fields["next/index"][:num], fields["index"][:num] + 1)
    cut = fields["truncated"][:num].nonzero()[:, 0]
    assert len(cut)
    following = cut + agent.num_envs
    following, cut = following[following < num], cut[following < num]
    assert not torch.equal(fields["index"][following], fields["next/index"][cut])
    assert not fields["terminated"][:num].any()


@pytest.mark.row("B23")
@pytest.mark.parametrize("name", ALGORITHMS)
def test_targets_move_by_tau_towards_what_they_follow(setting_of, name: str, tmp_path: Path) -> None:
    agent = agent_of(name, setting_of, tau=0.25)
    shake(agent)
    agent.trainer = trainer_of(tmp_path, 1)
    if name == "td3":
        agent.policy_delay = 1
    pairs = agent.followers()
    before = copy.deepcopy(pairs)
    agent.follow()
    for (target, online), (old_target, old_online) in zip(pairs, before, strict=True):
        for new, old, its, kept in zip(
            *(list(network.parameters()) for network in (target, old_target, online, old_online)), strict=True
        ):
            np.testing.assert_allclose(new.detach(), 0.75 * old.detach() + 0.25 * its.detach(), rtol=1e-5, atol=1e-6)
            assert torch.equal(its, kept)
            assert not torch.equal(new, old)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_targets_follow_once_per_update_under_accumulated_gradients(setting_of, tmp_path: Path, name: str) -> None:
    agent = agent_of(name, setting_of, updates_per_iteration=4)
    calls = []
    moved = agent.follow
    agent.follow = lambda: (calls.append(agent.trainer.global_step), moved())
    train(agent, tmp_path, 1, accumulate_grad_batches=2)
    assert calls == list(range(8))


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:DeprecationWarning", "ignore:The .grad attribute:UserWarning")
@pytest.mark.parametrize("name", ["td3", *(pytest.param(x, marks=pytest.mark.slow) for x in ALGORITHMS if x != "td3")])
def test_losses_are_compiled_once_and_learn_the_same(setting_of, tmp_path: Path, name: str) -> None:
    """Traced only, which is quick: fixed shapes and no number of a step in the graph, so nothing is traced again.

    PyTorch 2.13 warns of its own doing where a graph breaks, which it does where weights are frozen.
    """
    found = []
    for is_compiled in (False, True):
        lightning.seed_everything(0, verbose=False)
        agent = agent_of(name, setting_of)
        if is_compiled:
            agent.compiled = partial(torch.compile, dynamic=False, backend="eager")
        torch._dynamo.reset()
        with torch._dynamo.config.patch(error_on_recompile=True):
            train(agent, tmp_path, 1)
        found.append(torch.nn.utils.parameters_to_vector(agent.parameters()).detach())
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)


@pytest.mark.parametrize("name", ALGORITHMS)
def test_targets_and_market_are_not_trained_nor_saved(setting_of, name: str) -> None:
    """No gradient reaches a target, and neither weights nor optimizer hold the market's bars."""
    agent = agent_of(name, setting_of)
    groups = agent.configure_optimizers().param_groups
    trained = {id(parameter) for group in groups for parameter in group["params"]}
    assert trained == {id(parameter) for parameter in agent.parameters() if parameter.requires_grad}
    for target, _ in agent.followers():
        assert not any(parameter.requires_grad for parameter in target.parameters())
        assert target.state_dict().keys()
        assert all("bars" not in key for key in target.state_dict())
    for _, online in agent.followers():
        assert all(id(parameter) in trained for parameter in online.parameters())
    assert agent.followers()[0][0].state_dict().keys() == agent.followers()[0][1].state_dict().keys()


@pytest.mark.parametrize("name", ALGORITHMS)
def test_choosing_without_a_generator_repeats_itself(setting_of, name: str) -> None:
    agent = agent_of(name, setting_of)
    observation = agent.world().observe()
    with torch.no_grad():
        first, second = (agent.choose(observation, None).action for _ in range(2))
        sampled = agent.choose(observation, torch.Generator().manual_seed(0)).action
    assert torch.equal(first, second)
    assert sampled.shape == first.shape
    if agent.env.action_kind == "continuous":
        assert sampled.abs().max() <= 1


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"learning_starts": 2_000}, r"learning_starts must be in \[0, total_frames\) = \[0, 1024\), was 2000"),
        ({"buffer_size": 3}, r"buffer_size must be >= num_envs \* n_step = 4, was 3"),
        ({"tau": 0.0}, r"tau must be in \(0, 1\], was 0"),
        ({"n_step": 0}, "n_step must be > 0, was 0"),
        ({"batch_size": 0}, "batch_size must be > 0, was 0"),
        ({"priority_beta": 1.5}, r"priority_beta must be in \[0, 1\], was 1.5"),
    ],
)
def test_bad_arguments_are_refused(setting_of, keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        agent_of("dqn", setting_of, **keys)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("sac", "critic_lr"),
        ("sac", "alpha_lr"),
        ("discrete_sac", "critic_lr"),
        ("discrete_sac", "alpha_lr"),
        ("td3", "critic_lr"),
    ],
)
def test_second_learning_rate_is_lr_where_null_and_refused_where_zero(setting_of, name: str, key: str) -> None:
    assert getattr(agent_of(name, setting_of, lr=0.5), key) == 0.5
    assert getattr(agent_of(name, setting_of, **{key: 0.25}), key) == 0.25
    with pytest.raises(ValueError, match=f"{key} must be > 0, was 0"):
        agent_of(name, setting_of, **{key: 0})


@pytest.mark.row("B27")
@pytest.mark.parametrize("name", ALGORITHMS)
def test_length_of_training_may_be_given_in_episodes(setting_of, name: str) -> None:
    """1,000 episodes of 20 bars are 20,000 frames, 52 of them before the first update."""
    agent = agent_of(name, setting_of, episodes=1_000)
    assert agent.total_frames == 20_000
    assert agent.max_epochs == -(-(20_000 - 52) // 64)


def test_beta_grows_to_one(setting_of) -> None:
    agent = agent_of("dqn", setting_of, priority_beta=0.4)
    assert [agent.priority_beta_at(frames) for frames in (0, 512, 1_024, 9_999)] == pytest.approx([0.4, 0.7, 1.0, 1.0])
