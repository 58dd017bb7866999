"""Running: directories, checks before anything is created, sweeps that outlive failing jobs, exit codes."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hydra.core.hydra_config import HydraConfig

from tradewright.config.compose import choices
from tradewright.errors import DataError, RunError


def test_run_gets_a_directory_of_its_own_with_hydras_record(
    cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    seen: dict[str, Any] = {}
    spine["do"] = lambda cfg, directory: seen.update(choices=choices(), same=HydraConfig.get().run.dir)
    answer = cli("seed=3", "reward=differential_sharpe")
    assert (answer.code, answer.err) == (0, "")
    ((cfg, directory, resume),) = spine["calls"]
    assert not resume
    assert cfg.seed == 3
    assert directory.parent == tmp_path / "outputs" / "default"
    assert Path(seen["same"]).resolve() == directory
    assert seen["choices"]["reward"] == "differential_sharpe"
    assert not any(group.startswith("hydra/") for group in seen["choices"])
    assert {path.name for path in (directory / ".hydra").iterdir()} == {"config.yaml", "hydra.yaml", "overrides.yaml"}
    assert yaml.safe_load((directory / ".hydra" / "overrides.yaml").read_text()) == [
        "seed=3",
        "reward=differential_sharpe",
    ]


def test_run_directory_carries_the_experiments_name(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "mine.yaml").write_text("seed: 2\n")
    assert cli("experiment=mine").code == 0
    assert spine["calls"][0][1].parent == tmp_path / "outputs" / "mine"


def test_faulty_configuration_leaves_nothing_behind(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    answer = cli("++lora.rr=3", "reward.scale=abc", "++trainer.max_epoch=1")
    assert answer.code == 2
    assert answer.err.splitlines() == [
        "error: lora.rr: NoLora takes no 'rr'; did you mean 'r'?",
        "error: reward.scale: expected float, was 'abc' (str)",
        "error: trainer.max_epoch: Trainer takes no 'max_epoch'; did you mean 'max_epochs'?",
    ]
    assert spine["calls"] == []
    assert list(tmp_path.iterdir()) == []


def test_key_without_effect_warns_on_the_terminal_and_in_the_log(cli: Callable, spine: dict[str, Any]) -> None:
    answer = cli("lora.r=32")
    warning = "warning: lora.r has no effect: model=mlp is not a language model"
    assert (answer.code, answer.err.splitlines()) == (0, [warning])
    logging.shutdown()
    assert warning in (spine["calls"][0][1] / "log.txt").read_text()


def test_explained_failure_prints_one_line_and_logs_the_traceback(
    cli: Callable, spine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(cfg: Any, directory: Path) -> None:
        raise DataError("bars.csv row 3: high < low")

    spine["do"] = fail
    answer = cli()
    assert (answer.code, answer.err) == (2, "error: bars.csv row 3: high < low\n")
    log = (spine["calls"][0][1] / "log.txt").read_text()
    assert "Traceback" in log
    assert "DataError: bars.csv row 3: high < low" in log
    monkeypatch.setenv("TRADEWRIGHT_TRACEBACK", "1")
    answer = cli()
    assert answer.code == 2
    assert "Traceback" in answer.err
    assert answer.err.endswith("error: bars.csv row 3: high < low\n")


def test_defect_keeps_its_traceback(cli: Callable, spine: dict[str, Any]) -> None:
    def fail(cfg: Any, directory: Path) -> None:
        raise ZeroDivisionError("a defect")

    spine["do"] = fail
    with pytest.raises(ZeroDivisionError, match="a defect"):
        cli()
    assert "ZeroDivisionError: a defect" in (spine["calls"][0][1] / "log.txt").read_text()


def test_run_that_ends_itself_is_a_failure(cli: Callable, spine: dict[str, Any]) -> None:
    def leave(cfg: Any, directory: Path) -> None:
        raise SystemExit(0)

    spine["do"] = leave
    answer = cli()
    assert (answer.code, answer.err) == (2, "error: the job ended itself with exit code 0\n")


def test_deleted_group_is_named(cli: Callable, spine: dict[str, Any]) -> None:
    answer = cli("~reward", "~seed")
    assert answer.code == 2
    assert answer.err.splitlines() == [
        "error: reward: must be given, it was deleted",
        "error: seed: must be given, it was deleted",
    ]


def test_interrupt_ends_with_130(cli: Callable, spine: dict[str, Any]) -> None:
    def interrupt(cfg: Any, directory: Path) -> None:
        raise KeyboardInterrupt

    spine["do"] = interrupt
    answer = cli()
    assert (answer.code, answer.err) == (130, "interrupted\n")


def test_sweep_runs_every_combination_in_one_directory(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    answer = cli("-m", "seed=0,1", "reward.scale=1,2")
    assert answer.code == 0
    assert [(cfg.seed, cfg.reward.scale) for cfg, _, _ in spine["calls"]] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    directories = [directory for _, directory, _ in spine["calls"]]
    assert [directory.name for directory in directories] == ["0", "1", "2", "3"]
    assert {directory.parent.parent for directory in directories} == {tmp_path / "outputs" / "default"}
    assert len({directory.parent for directory in directories}) == 1


def test_sweep_over_experiments_stays_in_one_directory(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    for name in ("a", "b"):
        (tmp_path / "experiments" / f"{name}.yaml").write_text("seed: 1\n")
    assert cli("-m", "experiment=a,b").code == 0
    assert [cfg.name for cfg, _, _ in spine["calls"]] == ["a", "b"]
    assert len({directory.parent for _, directory, _ in spine["calls"]}) == 1


def test_sweep_over_experiments_by_patterns_finds_shipped_and_own(
    cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "experiments").mkdir()
    for name in ("zz_a", "zz_b"):
        (tmp_path / "experiments" / f"{name}.yaml").write_text("seed: 1\n")
    assert cli("-m", "experiment=glob(zz_*)").code == 0
    assert [cfg.name for cfg, _, _ in spine["calls"]] == ["zz_a", "zz_b"]
    spine["calls"].clear()
    assert cli("-m", "experiment=glob([zz_*,defa*])").code == 0
    assert [cfg.name for cfg, _, _ in spine["calls"]] == ["default", "zz_a", "zz_b"]


def test_experiment_may_carry_its_own_sweep(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    text = "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      seed: 4,5\n"
    (tmp_path / "experiments" / "mine.yaml").write_text(text)
    assert cli("experiment=mine", "launcher=inline").code == 0
    assert [cfg.seed for cfg, _, _ in spine["calls"]] == [4, 5]
    spine["calls"].clear()
    assert cli("experiment=mine", "reward.scale=1,2", "launcher=inline").code == 0
    assert len(spine["calls"]) == 4


@pytest.mark.parametrize("error", [RunError("the disk is full"), SystemExit(3)])
def test_failing_job_does_not_stop_the_later_ones(cli: Callable, spine: dict[str, Any], error: BaseException) -> None:
    def fail(cfg: Any, directory: Path) -> None:
        if cfg.seed == 1:
            raise error

    spine["do"] = fail
    answer = cli("-m", "seed=0,1,2")
    message = "the disk is full" if isinstance(error, RunError) else "the job ended itself with exit code 3"
    assert answer.code == 2
    assert answer.err.splitlines()[-1].startswith("error: 1 of 3 jobs failed: 1; see log.txt in their directories;")
    assert f"job 1 failed: {message}" in answer.err
    assert [cfg.seed for cfg, _, _ in spine["calls"]] == [0, 1, 2]
    directories = [directory for _, directory, _ in spine["calls"]]
    assert message in (directories[1] / "log.txt").read_text()
    assert "Traceback" in (directories[1] / "log.txt").read_text()
    assert json.loads((directories[1] / "status.json").read_text())["state"] == "failed"
    for directory in (directories[0], directories[2]):
        assert not (directory / "log.txt").is_file()


def test_job_that_fails_the_check_says_so_in_its_own_directory(
    cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    answer = cli("-m", "seed=0,-1,2")
    assert answer.code == 2
    assert [cfg.seed for cfg, _, _ in spine["calls"]] == [0, 2]
    (log,) = tmp_path.glob("outputs/default/*/1/log.txt")
    assert "seed must be >= 0, was -1" in log.read_text()
    assert json.loads((log.parent / "status.json").read_text())["error"] == "ConfigError: seed must be >= 0, was -1"
    assert yaml.safe_load((log.parent / "config.yaml").read_text())["seed"] == -1


def test_defect_of_a_job_leaves_its_traceback_in_its_log_and_the_others_run(
    cli: Callable, spine: dict[str, Any]
) -> None:
    def fail(cfg: Any, directory: Path) -> None:
        if cfg.seed == 0:
            raise ZeroDivisionError("a defect")

    spine["do"] = fail
    answer = cli("-m", "seed=0,1")
    assert answer.code == 2
    assert answer.err.splitlines()[-1].startswith("error: 1 of 2 jobs failed: 0; see log.txt in their directories;")
    assert "job 0 failed: ZeroDivisionError: a defect" in answer.err
    assert [cfg.seed for cfg, _, _ in spine["calls"]] == [0, 1]
    log = (spine["calls"][0][1] / "log.txt").read_text()
    assert "Traceback" in log
    assert "ZeroDivisionError: a defect" in log


def test_bad_key_stops_a_sweep_before_its_first_job(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    answer = cli("-m", "lora.rr=1,2")
    assert (answer.code, answer.err) == (2, "error: lora.rr: no such key; did you mean 'r'?\n")
    assert spine["calls"] == []


def test_values_for_several_runs_without_the_flag_are_explained(cli: Callable, spine: dict[str, Any]) -> None:
    answer = cli("seed=0,1")
    assert answer.code == 2
    assert answer.err.startswith("error: seed=0,1: several values need -m")


def test_repeated_warning_of_a_sweep_is_shown_once(cli: Callable, spine: dict[str, Any]) -> None:
    answer = cli("-m", "seed=0,1", "lora.r=4")
    assert answer.err.count("lora.r has no effect") == 1


def test_own_classes_of_the_current_folder_are_found_with_allow(
    cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "my_rewards.py").write_text("class Mine:\n    def __init__(self, *, scale: float) -> None: ...\n")
    words = ("~reward", "+reward._target_=my_rewards.Mine", "+reward.scale=x")
    answer = cli(*words)
    assert "'my_rewards.Mine' is outside the allowed packages" in answer.err
    answer = cli(*words, "allow=[my_rewards]")
    assert answer.err == "error: reward.scale: expected float, was 'x' (str)\n"
    assert cli(*words[:-1], "+reward.scale=1", "allow=[my_rewards]").code == 0
