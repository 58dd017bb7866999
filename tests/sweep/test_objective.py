"""What a sweep optimises: parsed from the configuration, read from run directories, never from the test range."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from omegaconf import DictConfig, OmegaConf

from tradewright.config.compose import compose
from tradewright.errors import ConfigError
from tradewright.sweep.objective import Constraint, Objectives, Outcome, parse_constraints, read_outcome

SHARPE, DRAWDOWN = "validation/sharpe", "validation/max_drawdown"


def config(monitor: str = SHARPE, mode: str = "max") -> DictConfig:
    return OmegaConf.create({"callbacks": {"best": {"monitor": monitor, "mode": mode}}})


def test_no_objective_is_what_chooses_the_checkpoint_of_the_shipped_configuration() -> None:
    assert Objectives.of(None, compose([])).metrics == {SHARPE: "maximize"}
    without_market = compose(["experiment=cartpole_ppo"])
    assert Objectives.of(None, without_market).metrics == {"validation/mean_return": "maximize"}


def test_no_objective_follows_monitor_and_mode() -> None:
    assert Objectives.of(None, config(DRAWDOWN, "min")).metrics == {DRAWDOWN: "minimize"}
    with pytest.raises(ConfigError, match=r"callbacks.best.mode: expected max or min, was 'up'"):
        Objectives.of(None, config(mode="up"))
    with pytest.raises(ConfigError, match=r"callbacks.best.monitor: must be a validation/\* metric, was 'train/loss'"):
        Objectives.of(None, config("train/loss", "min"))
    with pytest.raises(ConfigError, match=r"sweep.objective: must be given where callbacks.best"):
        Objectives.of(None, OmegaConf.create({"callbacks": {}}))


@pytest.mark.parametrize(
    ("metric", "direction"),
    [
        (SHARPE, "maximize"),
        (DRAWDOWN, "minimize"),
        ("validation/turnover", "minimize"),
        ("validation/mean_return", "maximize"),
    ],
)
def test_metric_by_name_is_optimised_in_its_better_direction(metric: str, direction: str) -> None:
    objectives = Objectives.of(metric, config())
    assert objectives.metrics == {metric: direction}
    assert objectives.directions == [direction]


def test_several_objectives_keep_their_order_and_directions() -> None:
    wanted = {DRAWDOWN: "minimize", SHARPE: "maximize", "validation/num_trades": "maximize"}
    objectives = Objectives.of(wanted, config())
    assert list(objectives.metrics.items()) == list(wanted.items())
    assert objectives.directions == ["minimize", "maximize", "maximize"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (
            "test/sharpe",
            r"^sweep.objective: must be a validation/\* metric, was 'test/sharpe'; the test range is scored",
        ),
        ("sharpe", r"must be a validation/\* metric, was 'sharpe'"),
        ({"test/sharpe": "maximize"}, r"^sweep.objective: must be a validation/\* metric, was 'test/sharpe'"),
        ({SHARPE: "maximize", "train/loss": "minimize"}, "was 'train/loss'"),
        ({3: "maximize"}, r"must be a validation/\* metric, was 3"),
        ("validation/num_trades", r"more of validation/num_trades is better is not known; use .*:maximize\}"),
        ("validation/shrape", "no metric 'validation/shrape'; did you mean 'validation/sharpe'"),
        ({"validation/max_drawdwon": "minimize"}, "did you mean 'validation/max_drawdown'"),
        ({SHARPE: "max"}, "validation/sharpe must be maximize or minimize, was 'max'"),
        ({SHARPE: None}, "must be maximize or minimize, was None"),
        ({}, r"expected a validation/\* metric or"),
        (3.0, r"expected a validation/\* metric or .* was 3.0"),
        ([SHARPE], r"expected a validation/\* metric or"),
        (math.nan, r"expected a validation/\* metric or .* was nan"),  # trap 9: nan in YAML is a number
    ],
)
def test_what_is_no_objective_is_refused_by_its_key(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Objectives.of(value, config())


def test_metric_of_an_own_evaluation_is_taken_with_its_direction() -> None:
    assert Objectives.of({"validation/my_score": "minimize"}, config()).metrics == {"validation/my_score": "minimize"}


@pytest.mark.parametrize(
    ("text", "operator", "bound"),
    [("<= 0.25", "<=", 0.25), (">=30", ">=", 30.0), (" <=  -1e-3 ", "<=", -0.001), (">= 0", ">=", 0.0)],
)
def test_constraint_is_parsed(text: str, operator: str, bound: float) -> None:
    (constraint,) = parse_constraints({DRAWDOWN: text})
    assert constraint == Constraint(DRAWDOWN, operator, bound)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("metric", "text", "message"),
    [
        (
            "test/max_drawdown",
            "<= 0.25",
            r"^sweep.constraints: must be a validation/\* metric, was 'test/max_drawdown'",
        ),
        ("validation/max_drawdwon", "<= 0.25", "did you mean 'validation/max_drawdown'"),
        (DRAWDOWN, "< 0.25", 'must be a bound such as "<= 0.25" or ">= 30", was \'< 0.25\''),
        (DRAWDOWN, "0.25", "must be a bound"),
        (DRAWDOWN, 0.25, "must be a bound .* was 0.25"),
        (DRAWDOWN, None, "must be a bound .* was None"),
        (DRAWDOWN, "<= nan", "must be a bound"),
        (DRAWDOWN, ">= inf", "must be a bound"),
        (DRAWDOWN, "<= 25%", "must be a bound"),
        (DRAWDOWN, "<= 0.1 <= 0.2", "must be a bound"),
    ],
)
def test_what_is_no_constraint_is_refused_by_its_key(metric: str, text: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_constraints({metric: text})


@pytest.mark.parametrize("operator", ["<=", ">="])
def test_violation_is_positive_exactly_where_the_bound_is_broken(operator: Any) -> None:
    rng = np.random.default_rng(0)
    for value, bound in [*rng.normal(size=(200, 2)).tolist(), [0.5, 0.5]]:
        is_kept = value <= bound if operator == "<=" else value >= bound
        violation = Constraint(DRAWDOWN, operator, bound).violation(value)
        assert (violation <= 0) == is_kept
        assert abs(violation) == pytest.approx(abs(value - bound))


def make_run(directory: Path, metrics: object = None, *, state: str = "done", error: str | None = None) -> Path:
    """Leave what a run leaves; metrics as they are, NaN and Infinity included."""
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "status.json").write_text(json.dumps({"state": state, "error": error}))
    if metrics is not None:
        (directory / "metrics.json").write_text(json.dumps(metrics))
    return directory


OBJECTIVES = Objectives({SHARPE: "maximize", DRAWDOWN: "minimize"})


def test_values_are_means_over_the_seeds_in_the_order_of_the_objectives(tmp_path: Path) -> None:
    runs = [
        make_run(tmp_path / str(seed), {SHARPE: float(seed), DRAWDOWN: 0.1 * seed, "test/sharpe": 9})
        for seed in range(4)
    ]
    constraints = parse_constraints({DRAWDOWN: "<= 0.1", SHARPE: ">= 1"})
    outcome = read_outcome(runs, OBJECTIVES, constraints)
    assert outcome.state == "done"
    assert outcome.values == pytest.approx((1.5, 0.15))
    assert outcome.constraints == pytest.approx({f"{DRAWDOWN} <= 0.1": 0.05, f"{SHARPE} >= 1": -0.5})
    assert outcome.reason == ""


@pytest.mark.parametrize(
    ("metrics", "reason"),
    [
        (
            {DRAWDOWN: 0.1, "validation/sharpe_low": 0.2},
            "has no 'validation/sharpe'; did you mean 'validation/sharpe_low'?",
        ),
        ({SHARPE: None, DRAWDOWN: 0.1}, "validation/sharpe is not a finite number"),
        ({SHARPE: math.nan, DRAWDOWN: 0.1}, "validation/sharpe is not a finite number"),
        ({SHARPE: math.inf, DRAWDOWN: 0.1}, "validation/sharpe is not a finite number"),  # Optuna takes it: trap 9
        ({SHARPE: 1.0, DRAWDOWN: -math.inf}, "validation/max_drawdown is not a finite number"),
        ({SHARPE: "high", DRAWDOWN: 0.1}, "could not convert string to float: 'high'"),
    ],
)
def test_a_figure_that_is_missing_or_not_finite_fails_the_trial_with_its_name(
    tmp_path: Path, metrics: dict[str, Any], reason: str
) -> None:
    outcome = read_outcome([make_run(tmp_path / "7", metrics)], OBJECTIVES)
    assert (outcome.state, outcome.values) == ("failed", None)
    assert reason in outcome.reason
    assert "\n" not in outcome.reason


def test_a_constraint_without_a_figure_fails_the_trial(tmp_path: Path) -> None:
    run = make_run(tmp_path / "0", {SHARPE: 1.0, DRAWDOWN: 0.1})
    outcome = read_outcome([run], OBJECTIVES, parse_constraints({"validation/num_trades": ">= 30"}))
    assert outcome.state == "failed"
    assert "has no 'validation/num_trades'" in outcome.reason


def test_one_bad_seed_decides_over_the_mean(tmp_path: Path) -> None:
    good = make_run(tmp_path / "0", {SHARPE: 1.0, DRAWDOWN: 0.1})
    assert read_outcome([good, make_run(tmp_path / "1", {SHARPE: None, DRAWDOWN: 0.1})], OBJECTIVES).state == "failed"
    pruned = make_run(tmp_path / "2", state="pruned", error="pruned in epoch 3")
    assert read_outcome([good, pruned], OBJECTIVES) == Outcome("pruned", reason="seed 2: pruned in epoch 3")
    assert read_outcome([pruned, tmp_path / "absent"], OBJECTIVES).state == "pruned"
    failed = make_run(tmp_path / "3", state="failed", error="RunError: the loss\nbecame nan")
    assert read_outcome([pruned, failed], OBJECTIVES) == Outcome(
        "failed", reason="seed 3: RunError: the loss became nan"
    )


@pytest.mark.parametrize(
    ("state", "error", "expected"),
    [
        ("done", None, "done"),
        ("running", None, "failed"),
        ("failed", "interrupted", "failed"),
        ("failed", "DataError: too short", "failed"),
        ("pruned", "behind", "pruned"),
    ],
)
def test_state_of_a_run_is_that_of_its_trial(tmp_path: Path, state: str, error: str | None, expected: str) -> None:
    run = make_run(tmp_path / "0", {SHARPE: 1.0, DRAWDOWN: 0.1}, state=state, error=error)
    outcome = read_outcome([run], OBJECTIVES)
    assert outcome.state == expected
    assert (outcome.values is not None) == (expected == "done")


def test_damaged_and_absent_files_fail_the_trial_by_name(tmp_path: Path) -> None:
    assert read_outcome([tmp_path / "absent"], OBJECTIVES).reason.endswith("the run did not start")
    make_run(tmp_path / "begun", state="running")
    assert read_outcome([tmp_path / "begun"], OBJECTIVES).reason.endswith("the run has not ended, it is 'running'")
    run = make_run(tmp_path / "0")
    assert "no such file" in read_outcome([run], OBJECTIVES).reason
    (run / "metrics.json").write_text("{")
    assert "not valid JSON" in read_outcome([run], OBJECTIVES).reason
    for content in ("[]", "3", '{"validation/sharpe": {}}', "null"):
        (run / "metrics.json").write_text(content)
        assert read_outcome([run], OBJECTIVES).state == "failed"
    (run / "status.json").write_text("[]")
    assert "expected keys and values" in read_outcome([run], OBJECTIVES).reason
    (run / "status.json").write_text("")
    outcome = read_outcome([run], OBJECTIVES)
    assert outcome.state == "failed"
    assert "status.json: not valid JSON" in outcome.reason
