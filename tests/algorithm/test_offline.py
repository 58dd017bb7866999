"""Learning from logged decisions: the log, learning, resuming."""

import math
from dataclasses import replace
from pathlib import Path

import duckdb
import lightning
import numpy as np
import pytest
import torch
from offline_cases import (
    ALGORITHMS,
    CONTINUOUS,
    DISCRETE,
    RULES,
    Follower,
    offline_of,
)
from test_ppo import trainer_of

from tradewright.algorithm.bc import BC
from tradewright.algorithm.cql import CQL
from tradewright.algorithm.data_module import AgentDataModule
from tradewright.algorithm.iql import IQL
from tradewright.algorithm.offline_log import recover_actions
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
from tradewright.strategy.buy_and_hold import BuyAndHold

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


def test_rules_decide_on_every_training_part_and_nowhere_else(setting_of) -> None:
    """With folds the training bars are in parts: a rule begins anew in each and knows nothing of what lies between."""
    setting = setting_of()
    whole = setting.stage.rows[0]
    parts = (Range(whole.start, whole.start + 40), Range(whole.start + 60, whole.stop))
    setting = replace(setting, stage=replace(setting.stage, rows=parts))
    rules = {"hold": BuyAndHold(), "half": BuyAndHold(exposure=0.5)}
    weights_KTN = offline_of(BC, setting, behaviours=rules).decided().weights_KTN
    for k, weight in enumerate((1.0, 0.5)):
        bars = torch.nonzero(~weights_KTN[k, :, 0].isnan())[:, 0]
        assert bars.tolist() == [part.start for part in parts]
        np.testing.assert_allclose(weights_KTN[k, bars, 0], weight)


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
