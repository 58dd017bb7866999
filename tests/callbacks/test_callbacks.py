"""Callbacks: atomic checkpoints, retention, an honest estimate of time left, health, the session record."""

import logging
import math
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.plugins.hparams.api_pb2 import Status

from tradewright.callbacks.checkpoints import AtomicCheckpointIO, BestCheckpoint, newest_checkpoint
from tradewright.callbacks.eta import Eta
from tradewright.callbacks.health import TrainHealth
from tradewright.callbacks.session import Session, session_parameters
from tradewright.callbacks.throughput import Throughput, resident_mb
from tradewright.errors import RunError


def test_checkpoint_is_written_beside_its_target_and_whole(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "last.ckpt"
    AtomicCheckpointIO().save_checkpoint({"a": torch.ones(3)}, path)

    def fail(value: object, part: Path) -> None:
        Path(part).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        AtomicCheckpointIO().save_checkpoint({"a": torch.zeros(3)}, path)
    assert [file.name for file in tmp_path.iterdir()] == ["last.ckpt"]
    assert torch.equal(torch.load(path, weights_only=True)["a"], torch.ones(3))


@pytest.mark.row("B39")
def test_resume_falls_back_to_an_older_checkpoint_when_the_last_is_damaged(tmp_path: Path) -> None:
    assert newest_checkpoint(tmp_path) is None
    AtomicCheckpointIO().save_checkpoint({"epoch": 3}, tmp_path / "best-0003.ckpt")
    AtomicCheckpointIO().save_checkpoint({"epoch": 4}, tmp_path / "last.ckpt")
    assert newest_checkpoint(tmp_path) == tmp_path / "last.ckpt"
    (tmp_path / "last.ckpt").write_bytes((tmp_path / "last.ckpt").read_bytes()[:100])
    assert newest_checkpoint(tmp_path) == tmp_path / "best-0003.ckpt"
    (tmp_path / "best-0003.ckpt").write_bytes(b"")
    with pytest.raises(RunError, match="no checkpoint can be read: "):
        newest_checkpoint(tmp_path)


def test_best_checkpoint_refuses_test_metrics(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="monitor must be a validation/\\* metric, was 'test/sharpe'"):
        BestCheckpoint(directory=tmp_path, monitor="test/sharpe")


@pytest.mark.row("B42")
def test_time_left_is_within_a_quarter_after_a_twentieth_of_the_work() -> None:
    """A loop with a slow start, noise and a drift of speed by a tenth."""
    seconds, total = 0.0, 1000
    eta = Eta(total, clock=lambda: seconds)
    eta.remaining_s(0)
    per_unit = [0.02 * (1 + 0.1 * i / total + 0.3 * math.sin(i)) for i in range(total)]
    estimate = math.nan
    for done in range(1, total + 1):
        seconds += per_unit[done - 1]
        if done == total // 20:
            estimate = eta.remaining_s(done)
            true_rest = sum(per_unit[done:])
    assert estimate == pytest.approx(true_rest, rel=0.25)
    assert math.isnan(Eta(10).remaining_s(0))


@pytest.mark.row("B51")
@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_non_finite_loss_stops_with_step_and_advice(loss: float) -> None:
    trainer = SimpleNamespace(global_step=17, current_epoch=2)
    with pytest.raises(RunError, match=r"the loss became (nan|inf) at gradient step 17 .* lower algorithm\.lr"):
        TrainHealth().on_train_batch_end(trainer, None, {"loss": torch.tensor(loss)}, None, 0)


@pytest.mark.row("B61")
def test_checklist_tells_device_loss_metric_and_checkpoints(caplog) -> None:
    trainer = SimpleNamespace(
        sanity_checking=False,
        current_epoch=3,
        callback_metrics={"validation/sharpe": torch.tensor(0.5), "train/loss": torch.tensor(0.25)},
        checkpoint_callback=object(),
    )
    with caplog.at_level(logging.DEBUG, logger="tradewright.callbacks.health"):
        TrainHealth().on_validation_end(trainer, SimpleNamespace(device="cpu"))
    for fact in ("device cpu", "0.25 finite", "validation/sharpe 0.5, best 0.5 in epoch 3", "checkpoints on"):
        assert fact in caplog.text


@pytest.mark.row("T22")
def test_throughput_logs_frames_per_second_and_memory(monkeypatch) -> None:
    logged: dict = {}
    logger = SimpleNamespace(log_metrics=lambda figures, step: logged.update(figures, step=step))
    module = SimpleNamespace(frames=0, unit="frames", device=torch.device("cpu"))
    callback, trainer = Throughput(), SimpleNamespace(loggers=[logger])
    callback.on_train_epoch_start(trainer, module)
    module.frames = 5000
    callback.on_train_epoch_end(trainer, module)
    assert logged["device/frames_per_second"] > 5000
    assert 50 < logged["device/memory_mb"] == pytest.approx(resident_mb(), rel=0.2)
    assert logged["step"] == 5000


def read_session(folder: Path) -> tuple[dict, str, int | None]:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    tags = accumulator.summary_metadata
    start = metadata.parse_session_start_info_plugin_data(tags[metadata.SESSION_START_INFO_TAG].plugin_data.content)
    status = None
    if metadata.SESSION_END_INFO_TAG in tags:
        end = metadata.parse_session_end_info_plugin_data(tags[metadata.SESSION_END_INFO_TAG].plugin_data.content)
        status = end.status
    scalars = {tag: accumulator.Scalars(tag)[-1].value for tag in accumulator.Tags()["scalars"]}
    keys = {key: getattr(value, value.WhichOneof("kind")) for key, value in start.hparams.items()}
    return {**keys, **scalars}, start.group_name, status


@pytest.mark.row("B63")
def test_session_records_keys_metrics_and_the_true_end(tmp_path: Path) -> None:
    with Session(tmp_path, {"algorithm": "ppo", "seed": 1, "lr": 3e-4}, "group") as session:
        assert read_session(tmp_path / "result")[2] is None
        session.metrics = {"test/sharpe": 0.5, "test/total_return": math.nan, "baseline/momentum/sharpe": 1.0}
    values, group, status = read_session(tmp_path / "result")
    assert values == {"algorithm": "ppo", "seed": 1.0, "lr": 3e-4, "test/sharpe": 0.5, "completed": 1.0}
    assert (group, status) == ("group", Status.STATUS_SUCCESS)


def test_session_of_a_failed_run_says_so_until_the_run_is_resumed(tmp_path: Path) -> None:
    with pytest.raises(RunError), Session(tmp_path, {"seed": 1}, "group"):
        raise RunError("stopped")
    assert read_session(tmp_path / "result")[2] == Status.STATUS_FAILURE
    with Session(tmp_path, {"seed": 1}, "group"):
        pass
    assert read_session(tmp_path / "result")[2] == Status.STATUS_SUCCESS


def test_session_keys_are_few_and_the_same_in_every_run() -> None:
    cfg = OmegaConf.create(
        {"seed": 3, "lora": {"r": 16}, "algorithm": {"lr": 0.1, "clip": 0.2}, "model": {"hidden": [1, 2]}}
    )
    overrides = ["algorithm.clip=0.2", "model.hidden=[1,2]", "seed=3"]
    first = session_parameters(cfg, {"algorithm": "ppo", "lora": "none"}, overrides)
    other = session_parameters(cfg, {}, [f"a.k{i}=1" for i in range(20)])
    assert len(first) == 11
    assert len(other) == 12
    assert first["lora.r"] == "n/a"
    assert first["reward"] == "n/a"
    assert "seed" not in first
    assert first["algorithm.clip"] == 0.2
    assert first["model.hidden"] == "[1, 2]"
    assert {k for k in first if "." not in k} == {k for k in other if "." not in k}
