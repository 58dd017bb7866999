"""SAC and discrete SAC: targets and losses by hand and as TorchRL's, the squashed density, learning."""

import copy
import math
from functools import partial

import lightning
import numpy as np
import pytest
import torch
from off_policy_cases import agent_of, nested, random_batch, shake, train
from tensordict import TensorDict
from tensordict.nn import ProbabilisticTensorDictModule, ProbabilisticTensorDictSequential, TensorDictModule
from torch.distributions import Categorical, Normal, TanhTransform, TransformedDistribution
from torchrl.objectives import DiscreteSACLoss, SACLoss

from tradewright.algorithm.discrete_sac import DiscreteSAC
from tradewright.algorithm.q_networks import SquashedNormal
from tradewright.algorithm.sac import SAC
from tradewright.env.continuous import Continuous
from tradewright.model.mlp import MLP


class GivenNoise(TransformedDistribution):
    """PyTorch's tanh of a normal, sampled with the noise of the batch."""

    def __init__(self, loc: torch.Tensor, scale: torch.Tensor, noise: torch.Tensor) -> None:
        super().__init__(Normal(loc, scale, validate_args=False), TanhTransform(cache_size=1), validate_args=False)
        self.raw = loc + scale * noise

    def rsample(self, sample_shape=()) -> torch.Tensor:
        return self.transforms[0](self.raw)

    def log_prob(self, value: torch.Tensor) -> torch.Tensor:
        return super().log_prob(value).sum(-1)


def torchrl_loss(agent: SAC | DiscreteSAC) -> SACLoss | DiscreteSACLoss:
    """TorchRL's loss on a copy of the agent's networks."""
    own, keys = copy.deepcopy(agent), list(agent.inputs.in_keys)
    if isinstance(agent, SAC):
        names, q_keys, value = ["loc", "scale"], [*keys, "action"], "state_action_value"
        distribution = ProbabilisticTensorDictModule(
            [*names, "noise"], ["action"], distribution_class=GivenNoise, return_log_prob=True
        )
    else:
        names, q_keys, value = ["logits"], keys, "action_value"
        distribution = ProbabilisticTensorDictModule(
            names, ["action"], distribution_class=Categorical, return_log_prob=True
        )
    actor = ProbabilisticTensorDictSequential(TensorDictModule(own.actor, keys, names), distribution)
    critics, targets = (
        [TensorDictModule(q, q_keys, [value]) for q in (twin.first, twin.second)]
        for twin in (own.critic, own.target_critic)
    )
    kind, more = (SACLoss, {}) if isinstance(agent, SAC) else (DiscreteSACLoss, {"action_space": "categorical"})
    loss = kind(
        actor,
        critics,
        loss_function="l2",
        alpha_init=float(agent.log_alpha.detach().exp()),
        target_entropy=agent.target_entropy,
        use_prioritized_weights=False,
        **more,
    )
    loss.make_value_estimator(gamma=agent.gamma)
    loss.target_qvalue_network_params.data.update_(TensorDict.from_modules(*targets, as_module=False).data)
    return loss


@pytest.mark.filterwarnings("ignore:No target network updater")
@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize("name", ["sac", "discrete_sac"])
def test_losses_and_gradients_equal_torchrls(setting_of, name: str, n_step: int) -> None:
    agent = agent_of(name, setting_of, alpha=0.3, gamma=0.9, n_step=n_step)
    shake(agent)
    steps = {"steps": torch.arange(12) % n_step + 1} if n_step > 1 else {}
    batch = random_batch(agent, **steps)
    theirs = torchrl_loss(agent)
    data = nested(batch)
    expected = theirs(data)
    terms = agent.terms(batch)
    for mine, its in (("value", "qvalue"), ("policy", "actor"), ("alpha", "alpha")):
        torch.testing.assert_close(terms[f"loss_{mine}"], expected[f"loss_{its}"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(terms["td_error"], data["td_error"], rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(terms["entropy"], expected["entropy"], rtol=1e-4, atol=1e-4)
    terms["loss"].backward()
    sum(expected[key] for key in ("loss_qvalue", "loss_actor", "loss_alpha")).backward()
    torch.testing.assert_close(agent.log_alpha.grad, theirs.log_alpha.grad, rtol=1e-4, atol=1e-4)
    actor = theirs.actor_network[0].module
    for (key, mine), its in zip(agent.actor.named_parameters(), actor.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, its.grad, rtol=1e-3, atol=1e-4, msg=key)
    stacked = theirs.qvalue_network_params.flatten_keys(".")
    for number, q in enumerate((agent.critic.first, agent.critic.second)):
        for key, mine in q.named_parameters():
            torch.testing.assert_close(mine.grad, stacked[f"module.{key}"].grad[number], rtol=1e-3, atol=1e-4, msg=key)


def test_target_is_the_lower_value_less_the_price_of_certainty(setting_of) -> None:
    """y = r + γ^k (min Q' - α log π) in NumPy, weights on the mean, the sum of both squared errors."""
    agent = agent_of("sac", setting_of, alpha=0.5, gamma=0.8, n_step=3)
    shake(agent)
    steps, weight = torch.arange(12) % 3 + 1, torch.linspace(0.1, 1.0, 12)
    batch = random_batch(agent, steps=steps, weight=weight)
    alpha = float(agent.log_alpha.detach().exp())
    with torch.no_grad():
        following = agent.following(batch)
        mean, deviation = (x.double().numpy() for x in agent.actor(*following))
        noise = batch["next/noise"].double().numpy()
        raw = mean + deviation * noise
        density = -0.5 * noise**2 - np.log(deviation) - 0.5 * math.log(2 * math.pi) - np.log(1 - np.tanh(raw) ** 2)
        action = torch.tensor(np.tanh(raw), dtype=torch.float32)
        lower = np.minimum(*(q[:, 0].numpy() for q in agent.target_critic(*following, action)))
        values = [q[:, 0].numpy() for q in agent.critic(*agent.observed(batch), batch["action"])]
    target = batch["reward"].numpy() + np.where(
        batch["terminated"], 0.0, 0.8 ** steps.numpy() * (lower - alpha * density[:, 0])
    )
    terms = agent.terms(batch)
    expected = (weight.numpy() * sum((value - target) ** 2 for value in values)).mean()
    assert terms["loss_value"].item() == pytest.approx(expected, rel=1e-3)
    np.testing.assert_allclose(
        terms["td_error"], np.maximum(*(np.abs(value - target) for value in values)), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("name", ["sac", "discrete_sac"])
def test_temperature_rises_where_entropy_is_below_its_aim(setting_of, name: str) -> None:
    """The gradient of log α is entropy minus aim: a descent raises α where the policy is too sure."""
    agent = agent_of(name, setting_of)
    shake(agent)
    for aim, sign in ((50.0, -1.0), (-50.0, 1.0)):
        agent.target_entropy = aim
        agent.zero_grad()
        agent.terms(random_batch(agent))["loss"].backward()
        assert torch.sign(agent.log_alpha.grad).item() == sign


def test_squashed_density_integrates_to_one() -> None:
    """On a grid of actions, from the noise that gives each; and far out, where 1 - tanh² is 0 in single precision."""
    action = torch.linspace(-0.9999, 0.9999, 20_001, dtype=torch.float64)[:, None]
    loc, scale = torch.tensor([[0.3]], dtype=torch.float64), torch.tensor([[0.7]], dtype=torch.float64)
    policy = SquashedNormal(loc, scale, (torch.atanh(action) - loc) / scale)
    np.testing.assert_allclose(policy.rsample(), action, atol=1e-12)
    assert torch.trapezoid(policy.log_prob().exp(), action[:, 0]).item() == pytest.approx(1.0, abs=1e-4)
    far = SquashedNormal(torch.tensor([[12.0]]), torch.tensor([[1.0]]), torch.tensor([[0.0]]))
    exact = -0.5 * math.log(2 * math.pi) - (2 * math.log(2) - 24.0)
    assert far.log_prob().item() == pytest.approx(exact, rel=1e-6)


def test_target_entropy_and_learning_rates(setting_of) -> None:
    agent = agent_of("sac", setting_of, lr=1e-3, critic_lr=2e-3, alpha_lr=3e-3)
    assert agent.target_entropy == -1.0
    assert [group["lr"] for group in agent.configure_optimizers().param_groups] == [1e-3, 2e-3, 3e-3]
    discrete = agent_of("discrete_sac", setting_of, entropy_share=0.5)
    assert discrete.target_entropy == pytest.approx(0.5 * math.log(9))


def test_discrete_probabilities_add_up_and_the_best_is_chosen(setting_of) -> None:
    agent = agent_of("discrete_sac", setting_of)
    shake(agent)
    with torch.no_grad():
        acted = agent.choose(agent.world().observe(), None)
    np.testing.assert_allclose(acted.probabilities_BA.sum(-1), 1.0, rtol=1e-5)
    assert torch.equal(acted.probabilities_BA.argmax(-1), acted.action)


@pytest.mark.parametrize(
    ("name", "keys", "message"),
    [
        ("sac", {"alpha": 0.0}, "alpha must be > 0, was 0"),
        ("sac", {"critic_lr": -1.0}, "critic_lr must be > 0, was -1"),
        ("discrete_sac", {"entropy_share": 1.0}, r"entropy_share must be in \(0, 1\), was 1"),
    ],
)
def test_bad_arguments_are_refused(setting_of, name: str, keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        agent_of(name, setting_of, **keys)


@pytest.mark.row("N9")
def test_agent_learns_a_market_whose_next_return_follows_from_the_last(setting_of, test_sharpe, tmp_path) -> None:
    torch.set_num_threads(1)
    lightning.seed_everything(0, verbose=False)
    agent = SAC(
        setting=setting_of(signal=0.6, num_bars=2000, env=Continuous(window=2, episode_bars=64)),
        model=partial(MLP, hidden=[32]),
        total_frames=6_000,
        num_envs=16,
        steps_per_iteration=8,
        updates_per_iteration=16,
        iterations_per_epoch=40,
        learning_starts=1_000,
        gamma=0.5,
        alpha=0.01,
        batch_size=128,
    )
    train(agent, tmp_path)
    assert test_sharpe(agent) > 2.0
