"""Learning from logged decisions: the log, the losses against TorchRL's and plain NumPy, learning, resuming."""

import math
from functools import partial
from pathlib import Path

import duckdb
import lightning
import numpy as np
import pytest
import torch
from tensordict import TensorDict
from tensordict.nn import TensorDictModule
from test_ppo import trainer_of
from torch import nn
from torchrl.modules import QValueActor
from torchrl.objectives import BCLoss, DiscreteCQLLoss, DiscreteIQLLoss, IQLLoss

from tradewright.algorithm.bc import BC
from tradewright.algorithm.cql import CQL, integral
from tradewright.algorithm.data_module import AgentDataModule
from tradewright.algorithm.iql import IQL
from tradewright.algorithm.networks import actor_module, critic_module
from tradewright.algorithm.offline_log import recover_actions
from tradewright.algorithm.q_networks import QValues
from tradewright.algorithm.replay import NEXT
from tradewright.callbacks.checkpoints import BestCheckpoint, LastCheckpoint, newest_checkpoint
from tradewright.callbacks.curves import Curves
from tradewright.data.decisions import read_decisions
from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.discrete5 import Discrete5
from tradewright.env.discrete9 import Discrete9
from tradewright.env.portfolio import Portfolio
from tradewright.env.view import AccountView, JointView
from tradewright.errors import DataError
from tradewright.market.positions import Positions
from tradewright.model.mlp import MLP
from tradewright.strategy.buy_and_hold import BuyAndHold
from tradewright.strategy.momentum import Momentum

MODEL = partial(MLP, hidden=[16])
RULES = {"momentum": Momentum(lookback=20), "buy_and_hold": BuyAndHold()}
DISCRETE, CONTINUOUS = Discrete9(window=2, episode_bars=64), Continuous(window=2, episode_bars=64)
ALGORITHMS = [BC, IQL, CQL]
TORCHRL = pytest.mark.filterwarnings(
    "ignore:No target network updater:UserWarning", "ignore:The name .* wasn't part of the annotations:UserWarning"
)
"""What TorchRL's losses say of themselves."""


class Follower:
    """A rule that sides with the sign of the last return: optimal on an autoregressive market."""

    name = "follower"

    def decide(self, panel, features, rows: Range) -> Positions:
        close = panel.close_TN
        signs = np.sign(np.diff(np.log(close), axis=0, prepend=np.log(close[:1])))
        return Positions(weights_TN=np.maximum(signs[rows.start : rows.stop], 0.0))


def offline_of(algorithm, setting, **keys):
    known = {"total_frames": 2048, "num_envs": 8, "batch_size": 32, "updates_per_iteration": 8}
    known |= {"iterations_per_epoch": 2, "log_frames": 512, "behaviours": RULES}
    return algorithm(setting=setting, model=MODEL, **{**known, **keys})


def batch_of(agent) -> dict[str, torch.Tensor]:
    return next(agent.stream().iteration())


def as_tensordict(batch: dict[str, torch.Tensor]) -> TensorDict:
    """The layout of TorchRL's losses."""
    after = {name.removeprefix(NEXT): x for name, x in batch.items() if name.startswith(NEXT)}
    terminated = batch["terminated"][:, None]
    before = {name: batch[name] for name in ("index", "portfolio", "action")}
    after |= {"reward": batch["reward"][:, None], "terminated": terminated, "done": terminated}
    return TensorDict({**before, "next": after}, batch_size=[len(terminated)])


# ---- the log ----


def view_of(weights: list[float], blocked: float = 0.0) -> AccountView:
    weight_B = torch.tensor(weights, dtype=torch.float64)
    return AccountView(weight_B, 1.0 - weight_B, torch.full_like(weight_B, blocked))


def test_continuous_actions_give_back_the_weights_they_were_recovered_from() -> None:
    env = Continuous(lowest_weight=-0.5, highest_weight=1.5, entry_signal=True)
    wanted = torch.linspace(-0.5, 1.5, 21, dtype=torch.float64)
    view = view_of([0.1] * 21)
    action = recover_actions(env, wanted, view)
    assert action.shape == (21, 2)
    np.testing.assert_allclose(env.target_weights(action, view), wanted, atol=1e-6)
    outside = recover_actions(env, torch.tensor([9.0, torch.nan], dtype=torch.float64), view_of([0.1, 0.1]))
    np.testing.assert_allclose(outside[:, 0], [1.0, (0.1 + 0.5) - 1.0], atol=1e-6)


@pytest.mark.parametrize(
    ("env", "held", "wanted", "expected"),
    [
        (Discrete9(), [0.0, 0.0, 0.0, 0.0], [0.0, 0.2, 0.9, 0.55], ["hold", "buy_25", "buy_100", "buy_50"]),
        (Discrete9(), [1.0, 1.0, 1.0, 0.4], [0.0, 0.3, math.nan, math.nan], ["sell_100", "sell_75", "hold", "hold"]),
        (Discrete5(), [0.0, 0.0, 1.0, -1.0], [0.8, -0.7, 0.0, math.nan], [1, 3, 0, 3]),
    ],
)
def test_discrete_actions_are_the_nearest_to_the_decided_weight(env, held, wanted, expected) -> None:
    from tradewright.env.discrete9 import ACTIONS

    action = recover_actions(env, torch.tensor(wanted, dtype=torch.float64), view_of(held)).tolist()
    assert [ACTIONS[a] for a in action] == expected if isinstance(expected[0], str) else action == expected


def test_joint_actions_give_back_the_weights_of_all_instruments() -> None:
    env = Portfolio(lowest_weight=0.0, highest_weight=1.0)
    wanted = torch.tensor([[0.2, 0.5, 0.1], [0.0, 1.0, 0.0]], dtype=torch.float64)
    view = JointView(torch.zeros(2, 3, dtype=torch.float64), torch.ones(2), torch.zeros(2, 3))
    np.testing.assert_allclose(env.target_weights(recover_actions(env, wanted, view), view), wanted, atol=1e-6)


def test_log_follows_the_rule_and_says_how_often_the_environment_could_not(setting_of) -> None:
    """Without exploration the held weight is what buy-and-hold says; discrete actions cannot hold half exactly."""
    both = setting_of(), setting_of(env=DISCRETE)
    logs = [
        offline_of(BC, setting, behaviours={"half": BuyAndHold(exposure=0.6)}, exploration=0.0).stream().log
        for setting in both
    ]
    continuous, discrete = logs
    assert len(continuous.replay) == 512
    assert continuous.mismatch == 0.0
    first = continuous.replay.fields["action"][:8, 0]
    np.testing.assert_allclose(first, 2 * (0.6 + 1.0) / 2 - 1, atol=1e-6)
    assert 0.0 < discrete.mismatch < 0.1  # 0.6 becomes 0.5 where an episode starts, and is held after that
    held = continuous.replay.fields["next/portfolio"][:, 0]
    np.testing.assert_allclose(held[:8], 0.6, atol=0.02)


def test_episode_that_starts_inside_the_range_starts_with_the_standing_decision(setting_of) -> None:
    """Buy-and-hold decides at the first bar only; an account that starts later buys at once nevertheless."""
    agent = offline_of(BC, setting_of(), exploration=0.0, behaviours={"hold": BuyAndHold()})
    fields = agent.stream().log.replay.fields
    assert int((fields["index"][:8] > agent.setting.stage.rows[0].start).sum()) > 4
    np.testing.assert_allclose(fields["action"][:8, 0], 1.0)


def test_transitions_are_those_of_the_environment(setting_of) -> None:
    """The reward of a transition is the log return of the position that the next observation shows."""
    setting = setting_of()
    fields = offline_of(BC, setting, exploration=0.5).stream().log.replay.fields
    close, row = setting.stage.panel.close_TN[:, 0], fields["index"].numpy()
    np.testing.assert_array_equal(fields["next/index"], row + 1)
    is_kept = (fields["portfolio"][:, 0] - fields["next/portfolio"][:, 0]).abs() < 0.01  # hardly anything was traded
    weight = fields["portfolio"][:, 0].numpy()
    expected = 100 * np.log1p(weight * (close[row + 1] / close[row] - 1))
    np.testing.assert_allclose(fields["reward"][is_kept], expected[is_kept], atol=0.05)


# ---- the file ----


def decisions_file(path: Path, rows: list[tuple[str, str, str]]) -> str:
    path.write_text("ts,symbol,weight\n" + "".join(f"{','.join(row)}\n" for row in rows))
    return str(path)


def test_decisions_are_read_from_csv_and_parquet(panel_of, tmp_path: Path) -> None:
    panel = panel_of(50, 2)
    day = [str(ts)[:10] for ts in panel.ts_T]
    rows = [(day[5], "S0", "0.5"), (day[5], "S1", ""), (day[6], "S1", "-1")]
    csv = decisions_file(tmp_path / "decisions.csv", rows)
    parquet = str(tmp_path / "decisions.parquet")
    duckdb.sql(f"COPY (SELECT * FROM read_csv('{csv}')) TO '{parquet}' (FORMAT parquet)")
    for path in (csv, parquet):
        weights = read_decisions(path, panel, (Range(0, 40),))
        assert weights.shape == (50, 2)
        assert (weights[5, 0], weights[6, 1]) == (0.5, -1.0)
        assert int(np.isnan(weights).sum()) == 98


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([(3, "SO", "1")], r"d.csv row 1: symbol 'SO' has no bars; known: S0"),
        ([(3, "S0", "1"), (3, "S0", "0")], r"d.csv row 2: S0 .* was there before; keep one of them"),
        ([(4, "S0", "1"), (3, "S0", "0")], r"d.csv row 2: S0 .* comes after .*; sort the file by ts"),
        ([(3, "S0", "1"), (45, "S0", "0")], r"d.csv row 2: S0 .* is outside the training bars .* cut the file"),
        ([(3, "S0", "much")], r"d.csv row 1: weight must be a finite number, was 'much'"),
        ([("1999-01-01", "S0", "1")], r"d.csv row 1: S0 .* is no bar of 'random-walk'; give the open of a bar"),
        ([], "holds no decision"),
    ],
)
def test_bad_decisions_are_refused_by_file_and_row(panel_of, tmp_path: Path, rows, message: str) -> None:
    panel = panel_of(50, 1)
    named = [(str(panel.ts_T[t])[:10] if isinstance(t, int) else t, symbol, weight) for t, symbol, weight in rows]
    path = decisions_file(tmp_path / "d.csv", named)
    with pytest.raises(DataError, match=message):
        read_decisions(path, panel, (Range(0, 40),))
    with pytest.raises(DataError, match=r"algorithm.decisions=nowhere.csv: no such file"):
        read_decisions("nowhere.csv", panel, (Range(0, 40),))


def test_log_of_a_file_equals_the_log_of_the_rule_that_wrote_it(setting_of, tmp_path: Path) -> None:
    setting = setting_of()
    stage = setting.stage
    (part,) = stage.rows
    weights = RULES["momentum"].decide(stage.panel, None, part).weights_TN[:, 0]
    rows = [
        (str(stage.panel.ts_T[part.start + t]), "S0", "" if np.isnan(weight) else repr(float(weight)))
        for t, weight in enumerate(weights)
    ]
    path = decisions_file(tmp_path / "decisions.csv", rows)
    rule = offline_of(BC, setting, behaviours={"momentum": RULES["momentum"]}).stream().log.replay.fields
    file = offline_of(BC, setting, decisions=path).stream().log.replay.fields
    for name, value in rule.items():
        assert torch.equal(value, file[name]), name


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


# ---- training ----


@pytest.mark.parametrize("env", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.row("B46")
@pytest.mark.filterwarnings("ignore:Checkpoint directory .* exists and is not empty")
def test_resumed_training_equals_uninterrupted_training_bit_for_bit(setting_of, tmp_path, algorithm, env) -> None:
    def fit(folder: Path, epochs: int, resume: bool = False):
        lightning.seed_everything(0, verbose=False)
        agent = offline_of(algorithm, setting_of(env=env))
        curves = Curves()
        callbacks = [BestCheckpoint(directory=folder), LastCheckpoint(directory=folder), curves]
        checkpoint = newest_checkpoint(folder) if resume else None
        trainer_of(folder, epochs, callbacks).fit(
            agent, AgentDataModule(agent), ckpt_path=checkpoint, weights_only=True
        )
        assert agent.frames == 512 * epochs
        return agent, curves

    whole, whole_curves = fit(tmp_path / "whole", 2)
    fit(tmp_path / "parts", 1)
    parts, parts_curves = fit(tmp_path / "parts", 2, resume=True)
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name
    assert whole_curves.curves == parts_curves.curves
    again, _ = fit(tmp_path / "again", 2)
    assert all(torch.equal(value, again.state_dict()[name]) for name, value in whole.state_dict().items())


CLONE = (BC, {"exploration": 0.1})
IMPLICIT = (IQL, {"exploration": 0.5, "expectile": 0.9, "gamma": 0.5, "temperature": 10.0})
CONSERVATIVE = (CQL, {"exploration": 0.5, "gamma": 0.5, "conservatism": 0.1, "tau": 0.05})


@pytest.mark.row("R41")
@pytest.mark.parametrize(
    ("algorithm", "keys", "env"),
    [
        pytest.param(*CLONE, CONTINUOUS, id="clone"),
        pytest.param(*IMPLICIT, CONTINUOUS, id="implicit"),
        pytest.param(*CONSERVATIVE, DISCRETE, id="conservative"),
        pytest.param(*CLONE, DISCRETE, id="clone, discrete", marks=pytest.mark.slow),
        pytest.param(*IMPLICIT, DISCRETE, id="implicit, discrete", marks=pytest.mark.slow),
        pytest.param(*CONSERVATIVE, CONTINUOUS, id="conservative, continuous", marks=pytest.mark.slow),
    ],
)
def test_agent_learns_from_logged_decisions(setting_of, test_sharpe, tmp_path, algorithm, keys, env) -> None:
    """The log is of a rule that sides with the last return, half of it drowned in random weights."""
    torch.set_num_threads(1)
    lightning.seed_everything(0, verbose=False)
    setting = setting_of(signal=0.6, num_bars=2000, env=env)
    agent = offline_of(
        algorithm, setting, behaviours={"follower": Follower()}, total_frames=64_000, log_frames=8_000,
        batch_size=128, updates_per_iteration=100, iterations_per_epoch=5, lr=2e-3, num_envs=64, **keys,
    )  # fmt: skip
    trainer_of(tmp_path, agent.max_epochs).fit(agent, AgentDataModule(agent))
    assert test_sharpe(agent) > 2.0


@pytest.mark.parametrize(
    ("algorithm", "keys", "message"),
    [
        (BC, {"exploration": 1.0}, r"exploration must be in \[0, 1\), was 1"),
        (BC, {"behaviours": {}}, "behaviours must name at least one rule where decisions is null, had none"),
        (BC, {"log_frames": 0}, "log_frames must be > 0, was 0"),
        (IQL, {"expectile": 1.0}, r"expectile must be in \(0, 1\), was 1"),
        (IQL, {"tau": 0.0}, r"tau must be in \(0, 1\], was 0"),
        (IQL, {"temperature": -1.0}, "temperature must be >= 0, was -1"),
        (CQL, {"conservatism": -1.0}, "conservatism must be >= 0, was -1"),
        (CQL, {"num_sampled": 0}, "num_sampled must be > 0, was 0"),
    ],
)
def test_bad_arguments_are_refused(setting_of, algorithm, keys: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        offline_of(algorithm, setting_of(), **keys)
