"""Objectives and constraints of an experiment: a mapping of the command line replaces them, ``+`` adds to them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tradewright.config.compose import open_hydra
from tradewright.output import read_json

EXPERIMENT = """# Two objectives and a bound
sweep:
  objective: {validation/cagr: maximize, validation/max_drawdown: minimize}
  constraints: {validation/max_drawdown: "<= 0.25"}
"""


@pytest.fixture
def experiment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "mine.yaml").write_text(EXPERIMENT)
    return tmp_path


def composed(*words: str) -> Any:
    return open_hydra().compose(["experiment=mine", *words])


CAGR, DRAWDOWN = {"validation/cagr": "maximize"}, {"validation/max_drawdown": "minimize"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), CAGR | DRAWDOWN),
        (("sweep.objective={validation/sharpe: maximize}",), {"validation/sharpe": "maximize"}),
        (("sweep.objective={validation/max_drawdown: minimize}",), DRAWDOWN),
        (("sweep.objective={a: minimize}", "sweep.objective={validation/cagr: maximize}"), CAGR),
        (("sweep.objective=validation/sharpe",), "validation/sharpe"),
        (("sweep.objective=null",), None),
        (
            ("+sweep.objective={validation/sharpe: maximize}",),
            CAGR | DRAWDOWN | {"validation/sharpe": "maximize"},
        ),
    ],
)
def test_objective_of_the_command_line_replaces_the_experiments(
    experiment: Path, words: tuple[str, ...], expected: object
) -> None:
    cfg = composed(*words)
    assert cfg.sweep.objective == expected
    assert list(cfg.hydra.overrides.task) == ["experiment=mine", *words]


def test_words_of_the_command_line_are_kept_as_typed(experiment: Path) -> None:
    words = ["experiment=mine", "data.path=${absent}", "sweep.objective=null", "sweep.objective={a: minimize}"]
    cfg = open_hydra().compose(words)
    assert OmegaConf.to_container(cfg.hydra.overrides.task, resolve=False) == words


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("sweep.constraints={validation/num_trades: '>= 30'}",), {"validation/num_trades": ">= 30"}),
        (("sweep.constraints={}",), {}),
        (("sweep.objective={validation/cagr: maximize}",), {"validation/max_drawdown": "<= 0.25"}),
    ],
)
def test_constraints_of_the_command_line_replace_the_experiments(
    experiment: Path, words: tuple[str, ...], expected: object
) -> None:
    assert composed(*words).sweep.constraints == expected


def test_mappings_of_settings_are_merged_as_hydra_does(experiment: Path) -> None:
    cfg = composed("data.split={embargo_bars: 7}")
    assert cfg.data.split.embargo_bars == 7
    assert len(cfg.data.split) > 1


def test_sweep_over_an_experiment_optimises_what_the_command_line_names(
    experiment: Path, cli: Callable, spine: dict[str, Any]
) -> None:
    objective = "sweep.objective={validation/sharpe: maximize}"
    words = ("-m", "experiment=mine", objective, "sweep.constraints={}", "algorithm.lr=1e-3,1e-4")
    assert cli(*words).code == 0
    (path,) = experiment.glob("outputs/mine/*/sweep.json")
    assert read_json(path)["objective"] == {"validation/sharpe": "maximize"}
    assert "nothing was left to do" in cli(*words).err
    shown = cli("--cfg", "job", *words[1:4]).out
    assert "validation/cagr" not in shown
    assert "validation/sharpe: maximize" in shown
