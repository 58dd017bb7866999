"""The losses of offline algorithms against TorchRL's and plain NumPy."""

import math

import numpy as np
import pytest
import torch
from offline_cases import (
    CONTINUOUS,
    DISCRETE,
    TORCHRL,
    as_tensordict,
    batch_of,
    offline_of,
)
from tensordict.nn import TensorDictModule
from torch import nn
from torchrl.modules import QValueActor
from torchrl.objectives import BCLoss, DiscreteCQLLoss, DiscreteIQLLoss, IQLLoss

from tradewright.algorithm.bc import BC
from tradewright.algorithm.cql import CQL, integral
from tradewright.algorithm.iql import IQL
from tradewright.algorithm.networks import actor_module, critic_module
from tradewright.algorithm.q_networks import QValues

# ---- the losses ----


@TORCHRL
@pytest.mark.parametrize("env", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
def test_cloning_loss_is_the_negative_log_likelihood(setting_of, env) -> None:
    torch.manual_seed(0)
    agent = offline_of(BC, setting_of(env=env), log_deviation=-0.3)
    batch = batch_of(agent)
    with torch.no_grad():
        loss = float(agent.terms(batch)["loss"])
        out = agent.actor.head(agent.actor.body(*agent.observed(batch))).double().numpy()
    if env is DISCRETE:
        shifted = out - out.max(1, keepdims=True)
        log_prob = shifted - np.log(np.exp(shifted).sum(1, keepdims=True))
        expected = -np.mean(log_prob[np.arange(len(out)), batch["action"].numpy()])
        logits = TensorDictModule(agent.actor, list(agent.actor.in_keys), ["action"])
        torchrl = BCLoss(logits)(as_tensordict(batch))["loss_bc"].detach()
        assert loss == pytest.approx(float(torchrl), rel=1e-5)
    else:
        deviation = math.exp(-0.3)
        z = (batch["action"].double().numpy() - out) / deviation
        expected = np.mean(np.sum(0.5 * z**2 + math.log(deviation) + 0.5 * math.log(2 * math.pi), axis=1))
    assert loss == pytest.approx(expected, rel=1e-5)


def shake(agent, size: float = 0.2) -> None:
    """Make slow and trained values differ, and values large enough to matter."""
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in agent.parameters():
            parameter.add_(size * torch.randn_like(parameter))


def twins(q) -> tuple[nn.Module, nn.Module]:
    return q.first, q.second


def values_by_hand(agent, batch) -> dict[str, np.ndarray]:
    """Everything that the formulas of the paper take, in float64 NumPy."""
    observed, following = agent.observed(batch), agent.following(batch)
    action = batch["action"]

    def chosen(q) -> np.ndarray:
        if isinstance(q, QValues):
            return q(*observed).double().numpy()[np.arange(len(action)), action.numpy()]
        return q(*observed, action)[:, 0].double().numpy()

    found = {"q": np.stack([chosen(q) for q in twins(agent.q)])}
    found["slow_q"] = np.stack([chosen(q) for q in twins(agent.target_q)])
    found["v"] = agent.value(*observed)[:, 0].double().numpy()
    found["next_v"] = agent.value(*following)[:, 0].double().numpy()
    found["log_prob"] = agent.actor.log_prob(agent.actor(*observed), action).double().numpy()
    return found


@pytest.mark.parametrize("env", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
@torch.no_grad()
def test_implicit_losses_equal_the_formulas_of_the_paper(setting_of, env) -> None:
    agent = offline_of(IQL, setting_of(env=env), expectile=0.8, temperature=2.0, gamma=0.9)
    shake(agent)
    batch = batch_of(agent)
    batch["terminated"] = torch.arange(len(batch["terminated"])) % 5 == 0
    terms, x = agent.terms(batch), values_by_hand(agent, batch)
    u = x["slow_q"].min(0) - x["v"]
    assert (u > 0).any()
    assert (u < 0).any()
    target = batch["reward"].numpy() + 0.9 * x["next_v"] * ~batch["terminated"].numpy()
    assert float(terms["loss_value"]) == pytest.approx(np.mean(np.where(u > 0, 0.8, 0.2) * u**2), rel=1e-4)
    assert float(terms["loss_q"]) == pytest.approx(((x["q"] - target) ** 2).mean(1).sum(), rel=1e-4)
    weighted = np.minimum(np.exp(2.0 * u), 100.0) * x["log_prob"]
    assert float(terms["loss_policy"]) == pytest.approx(-weighted.mean(), rel=1e-4)
    assert float(terms["loss"]) == pytest.approx(sum(float(terms[f"loss_{k}"]) for k in ("policy", "value", "q")))


@TORCHRL
@pytest.mark.parametrize("env", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
def test_implicit_losses_equal_torchrl(setting_of, env) -> None:
    torch.manual_seed(0)
    agent = offline_of(IQL, setting_of(env=env), expectile=0.8, temperature=2.0, gamma=0.9)
    batch = batch_of(agent)
    is_discrete = env is DISCRETE
    agent.q.second = agent.q.first
    agent.target_q = agent.q
    keys = list(agent.actor.in_keys) + ([] if is_discrete else ["action"])
    network = TensorDictModule(agent.q.first, keys, ["state_action_value"])
    more = {"action_space": "categorical"} if is_discrete else {}
    kind = DiscreteIQLLoss if is_discrete else IQLLoss
    reference = kind(
        actor_module(agent.actor), network, critic_module(agent.value),
        num_qvalue_nets=1, loss_function="l2", temperature=2.0, expectile=0.8, **more,
    )  # fmt: skip
    reference.make_value_estimator(gamma=0.9)
    with torch.no_grad():
        terms, found = agent.terms(batch), reference(as_tensordict(batch))
    assert float(terms["loss_value"]) == pytest.approx(float(found["loss_value"]), rel=1e-4)
    assert float(terms["loss_q"]) == pytest.approx(2 * float(found["loss_qvalue"]), rel=1e-4)
    assert float(terms["loss_policy"]) == pytest.approx(float(found["loss_actor"]), rel=1e-4)


@TORCHRL
def test_discrete_conservative_loss_equals_torchrl_and_the_formula(setting_of) -> None:
    torch.manual_seed(0)
    agent = offline_of(CQL, setting_of(env=DISCRETE), gamma=0.9, conservatism=0.7)
    batch = batch_of(agent)
    network = QValueActor(agent.q, in_keys=list(agent.inputs.in_keys), action_space="categorical")
    reference = DiscreteCQLLoss(network, action_space="categorical")
    reference.make_value_estimator(gamma=0.9)
    with torch.no_grad():
        found, terms = reference(as_tensordict(batch)), agent.terms(batch)
    assert float(terms["loss_q"]) == pytest.approx(float(found["loss_qvalue"]), rel=1e-4)
    assert float(terms["loss_conservative"]) == pytest.approx(float(found["loss_cql"]), rel=1e-4)
    with torch.no_grad():
        q = agent.q(*agent.observed(batch)).double().numpy()
    taken = q[np.arange(len(q)), batch["action"].numpy()]
    assert float(terms["loss_conservative"]) == pytest.approx(np.mean(np.log(np.exp(q).sum(1)) - taken), rel=1e-4)
    assert float(terms["loss"]) == pytest.approx(float(terms["loss_q"] + 0.7 * terms["loss_conservative"]), rel=1e-6)


class Parabola(nn.Module):
    """Q(s, a) = -3·a², whose integral of exp over [-1, 1] is known."""

    def forward(self, observation: torch.Tensor, action: torch.Tensor) -> torch.Tensor:
        return -3.0 * (action**2).sum(-1, keepdim=True)


def test_estimated_integral_over_actions_is_the_integral() -> None:
    """∫ exp(-3 a²) da over [-1, 1] = √(π/3) erf(√3), from uniform actions and from a triangular density."""
    rng = np.random.default_rng(0)
    uniform = rng.uniform(-1, 1, (2, 50_000))
    triangular = rng.triangular(-1, 0, 1, (2, 50_000))
    action = torch.tensor(np.concatenate([uniform, triangular], 1))[..., None]
    density = torch.tensor(np.concatenate([np.full_like(uniform, 0.5), 1 - np.abs(triangular)], 1)).log()
    exact = math.log(math.sqrt(math.pi / 3) * math.erf(math.sqrt(3)))
    np.testing.assert_allclose(integral(Parabola(), [torch.zeros(2, 1)], action, density), exact, atol=0.01)


@torch.no_grad()
def test_continuous_conservative_loss_equals_a_numpy_computation(setting_of) -> None:
    agent = offline_of(CQL, setting_of(), gamma=0.9, conservatism=0.7, num_sampled=3)
    shake(agent, 0.05)
    batch = batch_of(agent)
    batch["terminated"] = torch.arange(len(batch["terminated"])) % 5 == 0
    terms = agent.terms(batch)
    observed, following = agent.observed(batch), agent.following(batch)
    mean, deviation = (x.double().numpy() for x in agent.actor(*observed))
    next_mean, next_deviation = (x.double().numpy() for x in agent.actor(*following))

    def value(q, values, action) -> np.ndarray:
        return q(*values, torch.tensor(action, dtype=torch.float32))[:, 0].double().numpy()

    def squashed(loc, scale, noise) -> tuple[np.ndarray, np.ndarray]:
        raw = loc + scale * noise
        density = -0.5 * noise**2 - np.log(scale) - 0.5 * math.log(2 * math.pi) - np.log1p(-(np.tanh(raw) ** 2))
        return np.tanh(raw), density.sum(-1)

    noise = {name: batch[name].double().numpy() for name in ("noise", "next_noise", "sampled_noise", "uniform")}
    next_action, _ = squashed(next_mean, next_deviation, noise["next_noise"])
    following_value = np.min([value(q, following, next_action) for q in twins(agent.target_q)], axis=0)
    target = batch["reward"].numpy() + 0.9 * following_value * ~batch["terminated"].numpy()
    loss_q = penalty = 0.0
    for q in twins(agent.q):
        logged = value(q, observed, batch["action"].numpy())
        loss_q += 0.5 * np.mean((logged - target) ** 2)
        total = np.zeros(len(logged))
        for k in range(3):
            total += np.exp(value(q, observed, noise["uniform"][:, k])) / 0.5
            action, density = squashed(mean, deviation, noise["sampled_noise"][:, k])
            total += np.exp(value(q, observed, action) - density)
        penalty += np.mean(np.log(total / 6) - logged)
    action, density = squashed(mean, deviation, noise["noise"])
    least = np.min([value(q, observed, action) for q in twins(agent.q)], axis=0)
    alpha = math.exp(float(agent.log_alpha))
    expected = loss_q + 0.7 * penalty + np.mean(alpha * density - least) - float(agent.log_alpha) * np.mean(density - 1)
    assert float(terms["loss_q"]) == pytest.approx(loss_q, rel=1e-4)
    assert float(terms["loss_conservative"]) == pytest.approx(penalty, rel=1e-4)
    assert float(terms["loss"]) == pytest.approx(expected, rel=1e-4)


def test_policy_gradient_of_the_conservative_agent_does_not_move_its_values(setting_of) -> None:
    agent = offline_of(CQL, setting_of(), conservatism=0.0)
    agent.terms(batch_of(agent))["loss_policy"].backward()
    assert all(parameter.grad is None for parameter in agent.q.parameters())
    assert all(parameter.grad is not None for parameter in agent.actor.parameters())
