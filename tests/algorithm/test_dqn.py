"""DQN: targets and losses by hand and as TorchRL's, exploration, dueling values, learning."""

import copy
from functools import partial

import lightning
import numpy as np
import pytest
import torch
from off_policy_cases import agent_of, nested, random_batch, shake, train
from tensordict import TensorDict
from torchrl.modules import QValueActor
from torchrl.objectives import DQNLoss

from tradewright.algorithm.dqn import DQN
from tradewright.env.discrete9 import Discrete9
from tradewright.model.mlp import MLP


def torchrl_loss(agent: DQN) -> DQNLoss:
    """TorchRL's loss on a copy of the agent's networks."""
    own = copy.deepcopy(agent)
    actor = QValueActor(own.q, in_keys=list(own.inputs.in_keys), action_space="categorical")
    loss = DQNLoss(
        actor,
        action_space="categorical",
        double_dqn=agent.is_double,
        delay_value=True,
        loss_function="smooth_l1",
        use_prioritized_weights=False,
    )
    loss.make_value_estimator(gamma=agent.gamma)
    target = QValueActor(own.target_q, in_keys=list(own.inputs.in_keys), action_space="categorical")
    loss.target_value_network_params.data.update_(TensorDict.from_module(target).data)
    return loss


@pytest.mark.filterwarnings("ignore:No target network updater")
@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("is_double", [True, False])
@pytest.mark.parametrize("is_dueling", [True, False])
def test_loss_and_gradient_equal_torchrls(setting_of, is_double: bool, is_dueling: bool, n_step: int) -> None:
    agent = agent_of("dqn", setting_of, is_double=is_double, is_dueling=is_dueling, n_step=n_step, gamma=0.9)
    shake(agent)
    steps = {"steps": torch.arange(12) % n_step + 1} if n_step > 1 else {}
    batch = random_batch(agent, **steps)
    theirs = torchrl_loss(agent)
    data = nested(batch)
    expected = theirs(data)["loss"]
    terms = agent.terms(batch)
    torch.testing.assert_close(terms["loss"], expected)
    torch.testing.assert_close(terms["td_error"].square(), data["td_error"][:, 0])
    terms["loss"].backward()
    expected.backward()
    ours, others = (
        torch.cat([p.grad.flatten() for _, p in sorted(module.named_parameters()) if p.requires_grad])
        for module in (agent.q, theirs.value_network)
    )
    torch.testing.assert_close(ours, others)


@pytest.mark.row("B23")
def test_target_is_the_slow_networks_value_of_the_trained_networks_choice(setting_of) -> None:
    """y = r + γ^k Q'(s', argmax Q(s', ·)) in NumPy, 0 after the end; Huber; importance weights on the mean."""
    agent = agent_of("dqn", setting_of, gamma=0.8, n_step=3)
    shake(agent)
    steps, weight = torch.arange(12) % 3 + 1, torch.linspace(0.1, 1.0, 12)
    batch = random_batch(agent, steps=steps, weight=weight)
    with torch.no_grad():
        online, slow = (network(*agent.following(batch)).numpy() for network in (agent.q, agent.target_q))
        q = agent.q(*agent.observed(batch)).numpy()
    assert (online.argmax(1) != slow.argmax(1)).any()
    rows = np.arange(12)
    follows = np.where(batch["terminated"], 0.0, slow[rows, online.argmax(1)])
    target = batch["reward"].numpy() + 0.8 ** steps.numpy() * follows
    error = q[rows, batch["action"]] - target
    huber = np.where(np.abs(error) < 1, 0.5 * error**2, np.abs(error) - 0.5)
    terms = agent.terms(batch)
    np.testing.assert_allclose(terms["td_error"], error, rtol=1e-4, atol=1e-5)
    assert terms["loss"].item() == pytest.approx((weight.numpy() * huber).mean(), rel=1e-4)


def test_dueling_values_differ_from_the_state_value_by_centred_advantages(setting_of) -> None:
    agent = agent_of("dqn", setting_of, is_dueling=True)
    shake(agent)
    values = agent.observed(random_batch(agent))
    with torch.no_grad():
        features = agent.q.body(*values)
        state, advantage = agent.q.state_head(features).numpy(), agent.q.head(features).numpy()
        q = agent.q(*values).numpy()
    np.testing.assert_allclose(q, state + advantage - advantage.mean(1, keepdims=True), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(q.mean(1), state[:, 0], rtol=1e-4, atol=1e-5)


@pytest.mark.row("B25")
def test_epsilon_falls_linearly_from_one_to_a_hundredth(setting_of) -> None:
    agent = agent_of("dqn", setting_of, epsilon_frames=1_000)
    frames = (0, 250, 500, 1_000, 5_000)
    assert [agent.epsilon(n) for n in frames] == pytest.approx([1.0, 0.7525, 0.505, 0.01, 0.01])
    shake(agent)
    world = agent.world()
    observation = {key: x[:1].expand(20_000, *x.shape[1:]) for key, x in world.observe().items()}
    with torch.no_grad():
        best = agent.choose(observation, None).action
        for after in (0, 500, 5_000):
            action = agent.explore(observation, after, torch.Generator().manual_seed(0))
            expected = agent.epsilon(after) * 8 / 9  # a random action is the best one in one case of nine
            assert float((action != best).double().mean()) == pytest.approx(expected, abs=0.01)
            assert set(action.tolist()) == set(range(9)) or after == 5_000


def test_errors_of_a_prioritised_batch_reach_its_slots(setting_of, tmp_path) -> None:
    agent = agent_of("dqn", setting_of, is_prioritised=True, updates_per_iteration=1)
    seen = []
    step = agent.training_step

    def spy(batch, batch_idx):
        loss = step(batch, batch_idx)
        seen.append((batch, agent.trainer.datamodule.stream.priorities.p_KS.flatten()[batch["slots"]].clone()))
        return loss

    agent.training_step = spy
    train(agent, tmp_path, max_epochs=1)
    batch, priority = seen[0]
    assert set(batch["weight"].tolist()) == {1.0}
    assert (priority != 1.0).all()


@pytest.mark.row("N10")
def test_agent_learns_a_market_whose_next_return_follows_from_the_last(setting_of, test_sharpe, tmp_path) -> None:
    """The side with the last return is the optimum; long-only, the agent must still beat Sharpe 1.5."""
    torch.set_num_threads(1)
    lightning.seed_everything(0, verbose=False)
    agent = DQN(
        setting=setting_of(signal=0.6, num_bars=2000, env=Discrete9(window=2, episode_bars=64)),
        model=partial(MLP, hidden=[32]),
        total_frames=10_000,
        num_envs=16,
        steps_per_iteration=8,
        updates_per_iteration=16,
        iterations_per_epoch=80,
        learning_starts=1_000,
        epsilon_frames=5_000,
        gamma=0.5,
    )
    train(agent, tmp_path)
    assert test_sharpe(agent) > 1.5
