"""The session record beyond its keys: what a sweep varies, pictures, how a run ended; read by TensorBoard itself."""

from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata

from tradewright.callbacks.session import LIMIT, Session, session_parameters
from tradewright.errors import PrunedError, RunError
from tradewright.report.pictures import draw_lines

SWEPT = ("algorithm", "algorithm.lr", "algorithm.tau", "algorithm.clip", "seed")
PPO = OmegaConf.create({"algorithm": {"lr": 0.1, "clip": 0.2}, "lora": None})
SAC = OmegaConf.create({"algorithm": {"lr": 0.2, "tau": 0.01}, "lora": None})


def ended(folder: Path) -> tuple[int, str, dict[str, float]]:
    accumulator = EventAccumulator(str(folder / "result"))
    accumulator.Reload()
    content = accumulator.summary_metadata[metadata.SESSION_END_INFO_TAG].plugin_data.content
    status = metadata.parse_session_end_info_plugin_data(content).status
    text = accumulator.Tensors("outcome")[0].tensor_proto.string_val[0].decode()
    scalars = {tag: accumulator.Scalars(tag)[-1].value for tag in accumulator.Tags()["scalars"]}
    return status, text, scalars


def test_every_job_of_a_sweep_has_the_keys_of_all_and_absent_ones_read_na() -> None:
    ppo = session_parameters(PPO, {"algorithm": "ppo"}, ["algorithm=ppo", "algorithm.lr=0.1", "env.window=5"], SWEPT)
    sac = session_parameters(SAC, {"algorithm": "sac"}, ["algorithm=sac", "algorithm.tau=0.01"], SWEPT)
    assert list(ppo) == list(sac)
    assert [ppo[key] for key in SWEPT[:4]] == ["ppo", 0.1, "n/a", 0.2]
    assert [sac[key] for key in SWEPT[:4]] == ["sac", 0.2, 0.01, "n/a"]
    assert "seed" not in ppo
    assert "env.window" not in ppo  # one job's own override would be missing in the others


def test_swept_keys_are_all_kept_and_settings_of_the_sweep_are_not() -> None:
    many = [f"algorithm.k{i}" for i in range(15)]
    keys = session_parameters(PPO, {"algorithm": "ppo"}, [], [*many, "sweep.seed", "pruner", "launcher"])
    assert list(keys) == ["algorithm", *many]
    few = session_parameters(PPO, {"algorithm": "ppo"}, [], ["algorithm.clip"])
    assert len(few) == LIMIT - 2  # seven groups, two essentials and the swept key
    assert few["algorithm.clip"] == 0.2


def test_pictures_are_read_back_as_they_were_drawn(tmp_path: Path) -> None:
    ts = np.arange("2020-01-01", "2020-03-01", dtype="datetime64[D]").astype("datetime64[us]")
    picture = draw_lines("x", {"policy": (ts, np.linspace(1, 2, len(ts)))})
    with Session(tmp_path, {"algorithm": "ppo"}, "group") as session:
        session.pictures = {"test/equity": picture}
    accumulator = EventAccumulator(str(tmp_path / "result"), size_guidance={"images": 0})
    accumulator.Reload()
    (image,) = accumulator.Images("test/equity")
    assert image.encoded_image_string == picture
    assert (image.width, image.height) == (720, 360)


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (RunError("no room"), 2, "failed: RunError: no room"),
        (PrunedError("behind the others"), 0, "pruned: behind the others"),
        (KeyboardInterrupt(), 2, "failed: interrupted"),
    ],
)
def test_run_that_did_not_end_well_is_marked_with_its_reason(
    error: BaseException, status: int, text: str, tmp_path: Path
) -> None:
    with pytest.raises(type(error)), Session(tmp_path, {"algorithm": "ppo"}, "group"):
        raise error
    assert ended(tmp_path) == (status, text, {"completed": 0.0})


def test_finished_run_is_completed(tmp_path: Path) -> None:
    with Session(tmp_path, {"algorithm": "ppo"}, "group") as session:
        session.metrics = {"test/sharpe": 0.5}
    assert ended(tmp_path) == (1, "done", {"completed": 1.0, "test/sharpe": 0.5})
