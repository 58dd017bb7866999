"""The spine, through the command line: what a run leaves behind, and what it says."""

import json
import math
from importlib.metadata import version
from pathlib import Path

import duckdb
import numpy as np
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import BRIEF, TINY, TRAINED

from tradewright.cli import main
from tradewright.output import read_metrics

WRITTEN = (
    ".hydra/overrides.yaml",
    "checkpoints/last.ckpt",
    "config.yaml",
    "curves.json",
    "equity.parquet",
    "fills.parquet",
    "log.txt",
    "manifest.json",
    "metrics.json",
    "provenance.json",
    "report.html",
    "scaler.json",
    "status.json",
    "summary.txt",
    "trades.parquet",
)


@pytest.mark.row("L53")
@pytest.mark.row("B40")
@pytest.mark.row("B43")
def test_run_directory_holds_everything_that_the_design_names(original) -> None:
    run = original(*TRAINED).run
    for name in WRITTEN:
        assert (run / name).is_file(), name
    assert list(run.glob("checkpoints/best-*.ckpt"))
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    manifest = json.loads((run / "manifest.json").read_text())
    assert set(manifest["places"]) == {"bars", "features", "checkpoints", "report"}
    assert set(manifest["files"]) >= set(WRITTEN) - {"manifest.json", "status.json"}
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["choices"]["algorithm"] == "ppo"
    assert provenance["overrides"] == list(TRAINED)
    assert provenance["data"]["num_bars"] == 500
    assert provenance["packages"]["torch"] == version("torch")
    printed = original(*TRAINED).printed.read_text()
    for words in ("test range", "buy and hold", "sma cross", "momentum", "Sharpe ratio", "Report:"):
        assert words in printed
    assert "trained 100%" in (run / "log.txt").read_text()
    assert len((run.parent / "trials.jsonl").read_text().splitlines()) == 1


@pytest.mark.row("B30")
@pytest.mark.row("B28")
def test_strategy_and_baselines_are_judged_on_the_same_bars(trained) -> None:
    run = trained
    metrics = read_metrics(run)
    baselines = ["buy_and_hold", "equal_weight", "momentum", "one_bar_delayed", "sma_cross"]
    for name in baselines:
        assert f"baseline/{name}/sharpe" in metrics
    tested, validated = (
        {key.partition("/")[2] for key in metrics if key.startswith(span)} for span in ("test/", "validation/")
    )
    assert tested - validated == {
        *(f"{key}_{end}" for key in ("sharpe", "total_return", "max_drawdown") for end in ("low", "high")),
        *("probabilistic_sharpe", "deflated_sharpe", "noise_ceiling", "num_trials"),
        *("random_entry_p_value", "is_degenerate"),
    }
    assert validated <= tested
    rows = duckdb.sql(f"""
        SELECT name, count(*), min(ts), max(ts), first(equity ORDER BY ts), last(equity ORDER BY ts)
        FROM '{run}/equity.parquet' WHERE "range" = 'test' GROUP BY name ORDER BY name""").fetchall()
    assert [row[0] for row in rows] == sorted([*baselines, "ppo"])
    assert len({row[1:4] for row in rows}) == 1
    final = {row[0]: row[5] / row[4] - 1 for row in rows}
    assert metrics["test/total_return"] == pytest.approx(final["ppo"], abs=1e-12)
    assert metrics["baseline/momentum/total_return"] == pytest.approx(final["momentum"], abs=1e-12)
    assert metrics["baseline/buy_and_hold/beta"] == pytest.approx(1.0)


@pytest.mark.row("L51")
def test_event_file_has_loss_learning_rate_and_speed_over_frames(trained) -> None:
    run = trained
    accumulator = EventAccumulator(str(run))
    accumulator.Reload()
    tags = accumulator.Tags()["scalars"]
    assert {"train/loss", "train/lr", "device/frames_per_second", "validation/sharpe"} <= set(tags)
    assert [event.step for event in accumulator.Scalars("train/loss")] == list(range(256, 2049, 256))
    assert accumulator.Scalars("train/lr")[0].value == pytest.approx(3e-4)


def test_the_test_range_is_judged_with_the_best_validation_checkpoint(trained) -> None:
    run = trained
    best = next(iter(run.glob("checkpoints/best-*.ckpt")))
    epoch = int(best.stem.partition("-")[2])
    accumulator = EventAccumulator(str(run))
    accumulator.Reload()
    curve = [event.value for event in accumulator.Scalars("validation/sharpe")]
    assert int(np.argmax(curve)) == epoch
    assert read_metrics(run)["validation/sharpe"] == pytest.approx(max(curve), rel=1e-6)


def test_same_seed_gives_the_same_metrics_and_another_seed_others(trained, command) -> None:
    first, again = read_metrics(trained), read_metrics(command(*TRAINED))
    np.testing.assert_equal(first, again)
    other = read_metrics(command(*TINY, "seed=4"))
    assert other["test/total_return"] != first["test/total_return"]


def test_lora_without_a_language_model_composes_and_warns_by_name(command, capsys) -> None:
    run = command(*BRIEF, "lora.r=32")
    assert "warning: lora.r has no effect: model=mlp is not a language model" in capsys.readouterr().err
    assert yaml.safe_load((run / "config.yaml").read_text())["lora"]["r"] == 32


@pytest.mark.parametrize("env", ["auto", "continuous", "discrete9"])
@pytest.mark.parametrize("reward", ["log_return", "differential_sharpe"])
def test_every_env_trains_with_every_reward(command, env: str, reward: str) -> None:
    run = command(*BRIEF, f"env={env}", f"reward={reward}", "algorithm.lr=1e-3", "env.observation=window")
    assert read_metrics(run)["test/num_bars"] > 0


@pytest.mark.parametrize(
    "words",
    [
        ("report=markdown", "report.formats=[parquet,csv,json]"),
        ("report=none", "logger=none"),
        ("data=universe", "data.num_symbols=3", "data.num_bars=400"),
        ("features.normalise=none", "model.hidden=[8]", "model.activation=relu"),
        ("backtest.allow_short=false", "backtest.stop_loss=0.02", "backtest.costs.fixed_fee=1"),
        ("strategy.is_deterministic=false", "callbacks.best.keep=2"),
    ],
    ids=lambda words: words[0],
)
def test_other_options_run_to_the_end(command, words: tuple[str, ...]) -> None:
    metrics = read_metrics(command(*BRIEF, *words))
    assert all(isinstance(value, float) for value in metrics.values())
    assert not math.isnan(metrics["test/total_return"])


@pytest.mark.row("N68")
def test_best_device_is_selected_and_logged(command) -> None:
    run = command(*BRIEF, "trainer=auto")
    assert math.isfinite(read_metrics(run)["test/total_return"])
    expected = "cuda" if torch.cuda.is_available() else "cpu"
    assert f"device: {expected}" in (run / "log.txt").read_text()


@pytest.mark.row("B39")
def test_as_many_best_checkpoints_are_kept_as_asked_for_and_the_chosen_one_is_evaluated(command) -> None:
    run = command(*TINY, "callbacks.best.keep=3", "trainer.max_epochs=5")
    assert len(list(run.glob("checkpoints/best-*.ckpt"))) == 3
    assert len(list(run.glob("checkpoints/last*.ckpt"))) == 1
    np.testing.assert_equal(read_metrics(command("evaluate", f"run={run}")), read_metrics(run))


@pytest.mark.row("B41")
def test_training_keeps_to_its_thread_budget(command) -> None:
    before = torch.get_num_threads()
    try:
        command(*BRIEF, "task.num_threads=1")
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_rule_is_judged_without_training(command) -> None:
    run = command("backtest", "strategy=sma_cross", "data=synthetic", "data.num_bars=500")
    metrics = read_metrics(run)
    assert not (run / "checkpoints").exists()
    assert "baseline/sma_cross/total_return" not in metrics  # it is the strategy itself
    assert "baseline/sma_cross_baseline/total_return" not in metrics
    other = read_metrics(command("backtest", "strategy=sma_cross", "strategy.fast=5", *TINY[:2]))
    assert other["baseline/sma_cross_baseline/total_return"] == metrics["test/total_return"]
    assert other["test/total_return"] != metrics["test/total_return"]
    assert other["test/num_trials"] == 2


@pytest.mark.row("T14")
def test_overrides_of_data_and_training_reach_the_run(command) -> None:
    words = ("data.split.train=0.5", "data.split.embargo_bars=7", "algorithm.gamma=0.9", "trainer.max_epochs=2")
    run = command(*TINY, *words)
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["split"]["train"] == 0.5
    assert config["algorithm"]["gamma"] == 0.9
    accumulator = EventAccumulator(str(run))
    accumulator.Reload()
    assert len(accumulator.Scalars("validation/sharpe")) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("algorithm.lr=-1",), "algorithm.lr must be > 0, was -1"),
        (("trainer.max_epochs=-1",), "trainer.max_epochs must be >= 1, or null for what the algorithm needs, was -1"),
        (
            ("algorithm.num_minibatches=7",),
            "algorithm.num_minibatches must divide num_envs * rollout_steps = 256, was 7",
        ),
        (("data.split.train=0.999",), "data.split"),
        (("env.window=400",), "env.window: "),
        (("callbacks.best.monitor=test/sharpe",), "callbacks.best.monitor"),
        (("~evaluate.baselines.buy_and_hold",), "evaluate.baselines must contain buy_and_hold"),
        (("evaluate", "run=nowhere"), "nowhere: no config.yaml"),
        (("backtest",), "strategy"),
    ],
    ids=lambda value: value[-1] if isinstance(value, tuple) else None,
)
def test_wrong_input_is_one_line_that_names_the_key(tmp_path, monkeypatch, capsys, words, message) -> None:
    monkeypatch.chdir(tmp_path)
    words = (*TINY, *words) if "=" in words[0] or words[0].startswith("~") else words
    assert main(words) == 2
    errors = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert errors
    assert any(message in error for error in errors)


def test_failed_run_says_so_in_its_directory(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main((*TINY, "env.window=400")) == 2
    run = next(iter(tmp_path.glob("outputs/default/*/status.json"))).parent
    status = json.loads((run / "status.json").read_text())
    assert status["state"] == "failed"
    assert "env.window" in status["error"]
    assert not (run / "metrics.json").exists()


@pytest.mark.row("B53")
def test_trained_run_predicts_what_its_backtest_traded(trained, command, capsys) -> None:
    run = trained
    command("predict", f"run={run}")
    lines = (run / "predictions.csv").read_text().splitlines()
    assert lines[0] == "ts,symbol,weight"
    weights = [float(weight) if weight else math.nan for weight in (line.split(",")[2] for line in lines[1:])]
    fills = duckdb.sql(f"""
        SELECT bar FROM '{run}/fills.parquet' WHERE "range" = 'test' AND name = 'ppo' ORDER BY bar""").fetchall()
    decided = np.flatnonzero(~np.isnan(weights))
    assert {bar for (bar,) in fills} <= {int(bar) + 1 for bar in decided}
    assert "Newest decisions" in capsys.readouterr().out


@pytest.mark.row("B53")
def test_trained_run_is_evaluated_again_with_equal_figures_and_on_other_bars(trained, command) -> None:
    run = trained
    again = command("evaluate", f"run={run}")
    np.testing.assert_equal(read_metrics(again), read_metrics(run))
    dear = read_metrics(command("evaluate", f"run={run}", "backtest.costs.fee_bps=50"))
    assert dear["test/num_trials"] == 2
    assert dear["test/total_fees"] > 10 * read_metrics(run)["test/total_fees"]
    assert dear["test/num_bars"] == read_metrics(run)["test/num_bars"]
    other = command("evaluate", f"run={run}", "data=synthetic", "data.num_bars=700", "data.seed=5")
    assert read_metrics(other)["test/num_bars"] > read_metrics(run)["test/num_bars"]


@pytest.mark.row("N20")
def test_scaler_of_the_run_is_used_for_other_bars(trained, command) -> None:
    run = trained
    scaler = json.loads((run / "scaler.json").read_text())
    command("evaluate", f"run={run}", "data=synthetic", "data.num_bars=700", "data.seed=5")
    assert json.loads((run / "scaler.json").read_text()) == scaler
    cached = [json.loads(path.read_text()) for path in Path(".tradewright/features").glob("*.json")]
    assert len(cached) == 2
    assert cached[0] == cached[1]


def test_evaluation_on_bars_of_the_training_is_refused(trained, capsys) -> None:
    assert main(("evaluate", f"run={trained}", *TINY[:2], "data.split.train=0.3", "data.split.validation=0.2")) == 2
    assert "was trained and chosen on bars up to" in capsys.readouterr().err


@pytest.mark.parametrize(("validation", "code"), [(0.238, 2), (0.24, 0)])
def test_evaluation_may_start_on_the_bar_after_the_last_one_seen(trained, validation: float, code: int) -> None:
    """The run saw bars 0 to 424; the two splits start their test ranges at bars 424 and 425."""
    assert main(("evaluate", f"run={trained}", "data.split.train=0.6", f"data.split.validation={validation}")) == code


def test_stops_do_not_touch_the_buy_and_hold_baseline(command) -> None:
    rule = ("backtest", "strategy=sma_cross", "data=synthetic", "data.num_bars=500", "report=none")
    plain, stopped = (read_metrics(command(*rule, *words)) for words in ((), ("backtest.stop_loss=0.005",)))
    key = "baseline/buy_and_hold/total_return"
    assert plain[key] == stopped[key]
    assert plain["test/total_return"] != stopped["test/total_return"]
