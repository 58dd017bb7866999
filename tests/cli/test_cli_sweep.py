"""Sweeps from the command line: names, continuation, adoption, failures, budgets, best.yaml, and what is refused.

The runs are stand-ins that leave a figure, the queue and everything around it is real.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tradewright.errors import RunError
from tradewright.output import METRICS, STATUS, Status, read_json, write_json

LR = "algorithm.lr=tag(log,interval(1e-5,1e-2))"


def the_sweep(tmp_path: Path) -> Path:
    (found,) = (path.parent for path in tmp_path.glob("outputs/default/*/study.db"))
    return found


def rates(spine: dict[str, Any]) -> list[float]:
    return [float(cfg.algorithm.lr) for cfg, _, _ in spine["calls"]]


@pytest.mark.row("N59")
def test_same_command_goes_on_and_more_trials_add_the_difference(
    cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    words = ("-m", "sweep=random", LR)
    assert cli(*words, "sweep.num_trials=3").code == 0
    first = rates(spine)
    answer = cli(*words, "sweep.num_trials=3")
    assert "nothing was left to do" in answer.err
    assert rates(spine) == first
    assert cli(*words, "sweep.num_trials=5").code == 0
    assert len(set(rates(spine))) == len(rates(spine)) == 5
    assert sorted(path.name for path in the_sweep(tmp_path).iterdir() if path.is_dir()) == list("01234")


def test_sampler_sweeps_without_the_flag(cli: Callable, spine: dict[str, Any]) -> None:
    assert cli("sweep=tpe", "sweep.num_trials=2", LR, "launcher=inline").code == 0
    assert len(spine["calls"]) == 2


def test_finished_job_whose_worker_died_is_adopted_and_an_unfinished_one_continued(
    cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    """As after a kill: the queue knows nothing of slot 0, whose run is done, and slot 1 had begun."""
    words = ("-m", "algorithm.lr=1e-3,1e-4,1e-5")
    spine["do"] = lambda cfg, directory: (_ for _ in ()).throw(KeyboardInterrupt) if directory.name == "0" else None
    assert cli(*words).code == 130
    sweep = the_sweep(tmp_path)
    write_json(sweep / "0" / METRICS, {"validation/sharpe": 7.0})
    Status(sweep / "0").write("done")
    Status(sweep / "1").write("running")
    spine["calls"].clear()
    spine["do"] = lambda cfg, directory: None
    assert cli(*words).code == 0
    assert [(directory.name, resume) for _, directory, resume in spine["calls"]] == [("1", True), ("2", False)]
    slots = read_json(sweep / "sweep.json")["slots"]
    assert [slot["values"] for slot in slots] == [[7.0], [1.0], [1.0]]


def test_interrupted_job_is_given_back_and_run_again(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    def interrupt(cfg: Any, directory: Path) -> None:
        if len(spine["calls"]) == 2:
            raise KeyboardInterrupt

    spine["do"] = interrupt
    words = ("-m", "algorithm.lr=1e-3,1e-4,1e-5")
    assert cli(*words).code == 130
    assert cli(*words).code == 0
    assert [directory.name for _, directory, _ in spine["calls"]] == ["0", "1", "2", "1"]
    assert [resume for _, _, resume in spine["calls"]] == [False, False, False, True]
    counts = read_json(the_sweep(tmp_path) / "sweep.json")["counts"]
    assert (counts["done"], counts["lost"]) == (3, 1)


@pytest.mark.parametrize("figure", [math.nan, math.inf])
def test_figure_that_is_no_number_fails_its_trial_alone(
    cli: Callable, spine: dict[str, Any], tmp_path: Path, figure: float
) -> None:
    spine["figure"] = lambda cfg: figure if len(spine["calls"]) == 1 else 0.5
    answer = cli("-m", "sweep=random", "sweep.num_trials=3", LR)
    assert answer.code == 2
    assert "job 0 failed: " in answer.err
    assert "validation/sharpe" in answer.err
    assert answer.err.splitlines()[-1] == (
        "error: 1 of 3 jobs failed: 0; see log.txt in their directories; sweep.retry_failed=true tries them again"
    )
    assert [slot["state"] for slot in read_json(the_sweep(tmp_path) / "sweep.json")["slots"]] == [
        "failed",
        "done",
        "done",
    ]


def test_failures_up_to_the_rate_are_accepted(cli: Callable, spine: dict[str, Any]) -> None:
    def fail(cfg: Any, directory: Path) -> None:
        if directory.name == "1":
            raise RunError("no memory")

    spine["do"] = fail
    assert cli("-m", "sweep=random", "sweep.num_trials=2", LR, "sweep.max_failure_rate=0.5").code == 0
    assert cli("-m", "sweep=random", "sweep.num_trials=2", LR, "sweep.name=again").code == 2


def test_no_job_starts_after_the_time_is_over_and_the_rest_is_done_later(cli: Callable, spine: dict[str, Any]) -> None:
    words = ("-m", "algorithm.lr=1e-3,1e-4,1e-5")
    answer = cli(*words, "sweep.timeout_s=1e-9")
    assert answer.code == 0
    assert "3 jobs are left: sweep.timeout_s is over" in answer.err
    assert spine["calls"] == []
    assert cli(*words).code == 0
    assert len(spine["calls"]) == 3


def test_best_can_be_run_again_from_its_file(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    spine["figure"] = lambda cfg: -abs(math.log10(cfg.algorithm.lr) + 3.0)
    assert cli("-m", "sweep=random", "sweep.num_trials=3", LR, "env.window=7").code == 0
    best = min(rates(spine), key=lambda lr: abs(math.log10(lr) + 3.0))
    file = the_sweep(tmp_path) / "best.yaml"
    assert yaml.safe_load(file.read_text())["overrides"] == ["env.window=7", f"algorithm.lr={best!r}"]
    spine["calls"].clear()
    assert cli(f"from={file}").code == 0
    ((cfg, _, _),) = spine["calls"]
    assert (cfg.algorithm.lr, cfg.env.window) == (best, 7)
    spine["calls"].clear()
    assert cli("env.window=8", f"from={file}").code == 0
    assert spine["calls"][0][0].env.window == 8  # the command line wins, wherever the file stands
    assert cli("from=nowhere.yaml").err.startswith("error: from=nowhere.yaml: cannot be read")
    (tmp_path / "bad.yaml").write_text("overrides: 3\n")
    assert "expected a key 'overrides'" in cli("from=bad.yaml").err


def test_best_of_an_experiment_that_carries_its_sweep_is_one_run(
    cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "experiments").mkdir()
    text = "hydra:\n  mode: MULTIRUN\n  sweeper:\n    params:\n      env.window: [5, 6]\n"
    (tmp_path / "experiments" / "mine.yaml").write_text(text)
    assert cli("-m", "experiment=mine").code == 0
    assert [cfg.env.window for cfg, _, _ in spine["calls"]] == [5, 6]
    (file,) = tmp_path.glob("outputs/mine/*/best.yaml")
    spine["calls"].clear()
    assert cli(f"from={file}").code == 0
    assert [cfg.env.window for cfg, _, _ in spine["calls"]] == [5]


def test_failed_job_is_told_again_by_every_repetition(cli: Callable, spine: dict[str, Any]) -> None:
    def fail(cfg: Any, directory: Path) -> None:
        if cfg.seed == 1:
            raise RunError("no memory")

    spine["do"] = fail
    for _ in range(2):
        answer = cli("-m", "seed=0,1,2")
        assert answer.code == 2
        assert answer.err.splitlines()[-1].startswith("error: 1 of 3 jobs failed: 1; see log.txt")
    assert len(spine["calls"]) == 3


def test_other_words_for_the_same_sweep_go_on_with_it(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    """The report and the order of words are no part of what a sweep is."""

    def interrupt(cfg: Any, directory: Path) -> None:
        if len(spine["calls"]) == 2:
            raise KeyboardInterrupt

    spine["do"] = interrupt
    assert cli("-m", "seed=0,1,2", "env.window=7", "report=none").code == 130
    assert cli("-m", "env.window=7", "seed=0,1,2").code == 0
    assert sorted(cfg.seed for cfg, _, _ in spine["calls"]) == [0, 1, 1, 2]
    the_sweep(tmp_path)


def test_another_task_is_another_sweep(cli: Callable, spine: dict[str, Any]) -> None:
    assert cli("-m", "seed=0,1").code == 0
    assert cli("-m", "task=backtest", "strategy=sma_cross", "seed=0,1").code == 0
    assert len(spine["calls"]) == 4


def test_fewer_trials_than_there_were_take_none_away(cli: Callable, spine: dict[str, Any]) -> None:
    assert cli("-m", "sweep=random", "sweep.num_trials=3", LR).code == 0
    answer = cli("-m", "sweep=random", "sweep.num_trials=2", LR)
    assert answer.code == 0
    assert "jobs are left" not in answer.err
    assert "nothing was left to do" in answer.err
    assert len(spine["calls"]) == 3


def test_seeds_of_the_sweep_replace_the_five_of_a_comparison(cli: Callable, spine: dict[str, Any]) -> None:
    assert cli("-m", "algorithm=ppo,a2c", "sweep.seeds=2").code == 0
    assert [cfg.seed for cfg, _, _ in spine["calls"]] == [0, 1, 0, 1]


def test_damaged_record_of_a_slot_fails_it_alone(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / "default" / "mine"
    (folder / "0").mkdir(parents=True)
    (folder / "0" / "slot.json").write_text("[]")
    (folder / "1").write_text("a file")
    answer = cli("-m", "seed=0,1,2", "sweep.name=mine")
    assert answer.code == 2
    assert answer.err.splitlines()[-1].startswith("error: 2 of 3 jobs failed: 0, 1;")
    assert [cfg.seed for cfg, _, _ in spine["calls"]] == [2]


def test_key_that_no_job_could_have_stops_a_sweep_before_its_queue(
    cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    answer = cli("-m", "seed=0,1", "+reward.nonsense=1")
    assert answer.code == 2
    assert "reward.nonsense" in answer.err
    assert spine["calls"] == []
    assert not (tmp_path / "outputs").exists()


def test_best_under_constraints_keeps_its_checkpoint(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    def save(cfg: Any, directory: Path) -> None:
        (directory / "checkpoints").mkdir()
        (directory / "checkpoints" / "last.ckpt").touch()

    spine["do"] = save
    spine["figure"] = lambda cfg: float(cfg.seed)
    limit = 'sweep.constraints={validation/sharpe:"<= 1"}'
    assert cli("-m", "seed=0,1,2", limit, "sweep.keep_checkpoints=1").code == 0
    sweep = the_sweep(tmp_path)
    assert "seed=1" in yaml.safe_load((sweep / "best.yaml").read_text())["overrides"]
    assert {path.parents[1].name for path in sweep.glob("*/checkpoints/last.ckpt")} == {"1"}


def test_objective_is_the_mean_over_seeds(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    spine["figure"] = lambda cfg: float(cfg.seed)
    assert cli("-m", "sweep=random", "sweep.num_trials=2", "sweep.seeds=3", "seed=4", LR).code == 0
    assert [directory.relative_to(the_sweep(tmp_path)).as_posix() for _, directory, _ in spine["calls"]] == [
        f"{slot}/{seed}" for slot in (0, 1) for seed in (4, 5, 6)
    ]
    assert len(set(rates(spine))) == 2
    assert [slot["values"] for slot in read_json(the_sweep(tmp_path) / "sweep.json")["slots"]] == [[5.0], [5.0]]


def test_only_the_best_checkpoints_are_kept_where_asked(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    def save(cfg: Any, directory: Path) -> None:
        (directory / "checkpoints").mkdir()
        (directory / "checkpoints" / "last.ckpt").touch()

    spine["do"] = save
    spine["figure"] = lambda cfg: {1e-3: 1.0, 1e-4: 3.0, 1e-5: 2.0, 1e-6: 0.0}[cfg.algorithm.lr]
    assert cli("-m", "algorithm.lr=1e-3,1e-4,1e-5,1e-6", "sweep.keep_checkpoints=2").code == 0
    kept = {path.parents[1].name for path in the_sweep(tmp_path).glob("*/checkpoints/last.ckpt")}
    assert kept == {"1", "2"}


def test_changed_search_under_the_same_name_is_refused_with_the_difference(
    cli: Callable, spine: dict[str, Any]
) -> None:
    assert cli("-m", "sweep=random", "sweep.num_trials=1", "sweep.name=mine", LR).code == 0
    other = "algorithm.lr=tag(log,interval(1e-4,1e-2))"
    answer = cli("-m", "sweep=random", "sweep.num_trials=1", "sweep.name=mine", "env.window=9", other)
    assert answer.code == 2
    assert "algorithm.lr" in answer.err
    assert "1e-05" in answer.err
    assert "env.window" in answer.err
    assert len(spine["calls"]) == 1


def test_another_report_or_another_number_of_trials_is_the_same_sweep(
    cli: Callable, spine: dict[str, Any], tmp_path: Path
) -> None:
    assert cli("-m", "sweep=random", "sweep.num_trials=1", LR).code == 0
    assert cli("-m", "sweep=random", "sweep.num_trials=2", LR, "report=none", "sweep.heartbeat_s=1").code == 0
    assert len(spine["calls"]) == 2
    the_sweep(tmp_path)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("sweep.num_trials=1,2", LR), "sweep.num_trials: says how a sweep runs"),
        (("launcher=inline,process",), "launcher: says how a sweep runs"),
        (("output_dir=a,b",), "output_dir: says how a sweep runs"),
        (("sweep=tpe",), "sweep: nothing varies"),
        ((LR,), "algorithm.lr: floats 1e-05 to 0.01, logarithmic has no grid"),
        (("algorithm.lrr=1,2",), "algorithm.lrr: no such key; did you mean 'lr'?"),
        (("sweep=tpe", LR, "sweep.objective=test/sharpe"), "must be a validation/* metric"),
        (("sweep=cmaes", LR, "sweep.objective={validation/sharpe:maximize,validation/cagr:maximize}"), "one objective"),
        (("sweep=tpe", LR, "sweep.num_trials=0"), "sweep.num_trials must be >= 1, was 0"),
        (("sweep=tpe", LR, "sweep.storage=nowhere"), "sweep.storage: 'nowhere' is no storage"),
        (("sweep=tpe", LR, "sweep.seeds=2", "seed=1,2"), "sweep.seeds"),
        (("hydra/sweeper=basic", "seed=1,2"), "hydra/sweeper"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    cli: Callable, spine: dict[str, Any], tmp_path: Path, words: tuple[str, ...], message: str
) -> None:
    answer = cli("-m", *words)
    assert answer.code == 2
    assert message in answer.err
    assert spine["calls"] == []
    assert not (tmp_path / "outputs").exists()


def test_rank_of_a_distributed_training_does_not_start_a_sweep(
    cli: Callable, spine: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    answer = cli("-m", "seed=0,1")
    assert answer.code == 2
    assert "one of several processes of one training" in answer.err
    assert spine["calls"] == []


def test_settings_of_a_sweep_have_no_effect_on_a_single_run(cli: Callable, spine: dict[str, Any]) -> None:
    answer = cli("sweep.num_trials=3")
    assert answer.err == "warning: sweep.num_trials=3 has no effect on a single run: it says how a sweep (-m) runs\n"
    ((cfg, _, _),) = spine["calls"]
    assert not {"sweep", "launcher", "pruner", "space"} & set(cfg)


def test_password_of_a_storage_reaches_no_file_and_no_line(
    cli: Callable, spine: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEWRIGHT_STORAGE", "postgresql+psycopg://me:hunter2@127.0.0.1:1/none?connect_timeout=1")
    monkeypatch.setattr("tradewright.sweep.storage.ATTEMPTS", 1)
    answer = cli("-m", "seed=0,1")
    assert answer.code == 2
    assert "hunter2" not in answer.err + answer.out
    assert "sweep.storage" in answer.err
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or b"hunter2" not in path.read_bytes()


def test_job_directory_of_another_job_is_not_overwritten(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    words = ("-m", "sweep=random", "sweep.num_trials=1", "sweep.name=mine", LR)
    assert cli(*words).code == 0
    sweep = the_sweep(tmp_path)
    (sweep / "1").mkdir()
    (sweep / "1" / "slot.json").write_text(json.dumps({"point": {"algorithm.lr": "1.0"}}))
    answer = cli("-m", "sweep=random", "sweep.num_trials=2", "sweep.name=mine", LR)
    assert answer.code == 2
    assert "belongs to algorithm.lr=1.0" in answer.err
    assert len(spine["calls"]) == 1
    assert not (sweep / "1" / STATUS).exists()


@pytest.mark.row("B45")
def test_algorithms_can_be_left_out_of_a_comparison_of_all(cli: Callable, spine: dict[str, Any]) -> None:
    words = ("env=continuous", "seed=0", "algorithm=glob(*,exclude=[*_*,dqn,bc,iql,cql,td3])")
    assert cli("-m", *words).code == 0
    chosen = [str(cfg.algorithm._target_).rpartition(".")[2] for cfg, _, _ in spine["calls"]]
    assert sorted(chosen) == ["A2C", "APG", "PPO", "SAC"]
