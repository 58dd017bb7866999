"""TD3: smoothed targets and losses by hand and as TorchRL's, the delay of the actor, exploration."""

import copy

import numpy as np
import pytest
import torch
from off_policy_cases import agent_of, nested, random_batch, shake, train, trainer_of
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from torchrl.objectives import TD3Loss

from tradewright.algorithm.td3 import TD3


def torchrl_loss(agent: TD3) -> TD3Loss:
    """TorchRL's loss on a copy of the agent's networks."""
    own, keys = copy.deepcopy(agent), list(agent.inputs.in_keys)
    critics, targets = (
        [TensorDictModule(q, [*keys, "action"], ["state_action_value"]) for q in (twin.first, twin.second)]
        for twin in (own.critic, own.target_critic)
    )
    loss = TD3Loss(
        TensorDictModule(own.actor, keys, ["action"]),
        critics,
        bounds=(-1.0, 1.0),
        policy_noise=agent.target_noise,
        noise_clip=agent.target_noise_clip,
        loss_function="l2",
        use_prioritized_weights=False,
    )
    loss.make_value_estimator(gamma=agent.gamma)
    loss.target_qvalue_network_params.data.update_(TensorDict.from_modules(*targets, as_module=False).data)
    actor = TensorDictModule(own.target_actor, keys, ["action"])
    loss.target_actor_network_params.data.update_(TensorDict.from_module(actor).data)
    return loss


@pytest.mark.filterwarnings("ignore:No target network updater")
def test_losses_and_gradients_equal_torchrls(setting_of) -> None:
    agent = agent_of("td3", setting_of, gamma=0.9, target_noise=0.8)
    shake(agent)
    batch = random_batch(agent)
    torch.manual_seed(7)
    batch["smoothing"] = torch.randn_like(batch["action"])
    theirs, data = torchrl_loss(agent), nested(batch)
    torch.manual_seed(7)
    expected_value, more = theirs.value_loss(data)
    expected_policy, _ = theirs.actor_loss(data)
    terms, policy = agent.critic_terms(batch), agent.policy_loss(batch)
    torch.testing.assert_close(terms["loss"], expected_value, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(terms["td_error"].square(), more["td_error"].max(0).values, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(policy, expected_policy, rtol=1e-4, atol=1e-4)
    (terms["loss"] + policy).backward()
    (expected_value + expected_policy).backward()
    for mine, its in zip(agent.actor.parameters(), theirs.actor_network.module.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, rtol=1e-3, atol=1e-4)
    stacked = theirs.qvalue_network_params.flatten_keys(".")
    for number, q in enumerate((agent.critic.first, agent.critic.second)):
        for key, mine in q.named_parameters():
            torch.testing.assert_close(mine.grad, stacked[f"module.{key}"].grad[number], rtol=1e-3, atol=1e-4)


def test_target_smooths_over_clipped_noise_within_bounds(setting_of) -> None:
    """y = r + γ min Q'(s', clip(μ' + clip(σ·noise, ±c), ±1)) in NumPy."""
    agent = agent_of("td3", setting_of, gamma=0.8, target_noise=0.5, target_noise_clip=0.3)
    shake(agent)
    with torch.no_grad():
        for parameter in agent.target_actor.head.parameters():
            parameter.mul_(3.0)
    batch = random_batch(agent)
    batch["smoothing"] = torch.linspace(-2.0, 2.0, 12)[:, None]
    with torch.no_grad():
        following = agent.following(batch)
        noise = np.clip(0.5 * batch["smoothing"].numpy(), -0.3, 0.3)
        unclipped = agent.target_actor(*following).numpy() + noise
        action = torch.tensor(np.clip(unclipped, -1.0, 1.0))
        lower = np.minimum(*(q[:, 0].numpy() for q in agent.target_critic(*following, action)))
        values = [q[:, 0].numpy() for q in agent.critic(*agent.observed(batch), batch["action"])]
    assert (np.abs(unclipped) > 1).any()
    target = batch["reward"].numpy() + np.where(batch["terminated"], 0.0, 0.8 * lower)
    expected = sum((value - target) ** 2 for value in values).mean()
    assert agent.critic_terms(batch)["loss"].item() == pytest.approx(expected, rel=1e-4)


def test_actor_and_targets_move_on_every_second_step_only(setting_of, tmp_path) -> None:
    agent = agent_of("td3", setting_of, policy_delay=2, updates_per_iteration=4)
    networks = {"actor": agent.actor, "critic": agent.critic, "target": agent.target_critic}

    def weights() -> dict[str, torch.Tensor]:
        return {
            name: torch.nn.utils.parameters_to_vector(net.parameters()).detach().clone()
            for name, net in networks.items()
        }

    seen = []
    step = agent.optimizer_step

    def spy(*args, **keys) -> None:
        before = weights()
        step(*args, **keys)
        after = weights()
        seen.append(tuple(not torch.equal(before[name], after[name]) for name in networks))

    agent.optimizer_step = spy
    train(agent, tmp_path, 1)
    assert seen == [(False, True, False), (True, True, True)] * 8


def test_exploration_adds_noise_within_bounds(setting_of, tmp_path) -> None:
    agent = agent_of("td3", setting_of, exploration_noise=0.1)
    observation = {key: x[:1].expand(20_000, *x.shape[1:]) for key, x in agent.world().observe().items()}
    with torch.no_grad():
        mean = agent.choose(observation, None).action
        noisy = agent.explore(observation, 0, torch.Generator().manual_seed(0))
        assert float((noisy - mean).std()) == pytest.approx(0.1, rel=0.02)
        agent.exploration_noise = 10.0
        assert agent.explore(observation, 0, torch.Generator().manual_seed(0)).abs().max() == 1.0
    agent.trainer = trainer_of(tmp_path, 1)
    assert agent.is_delayed


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"policy_delay": 0}, "policy_delay must be > 0, was 0"),
        ({"target_noise": -0.1}, "target_noise must be >= 0, was -0.1"),
    ],
)
def test_bad_arguments_are_refused(setting_of, keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        agent_of("td3", setting_of, **keys)
