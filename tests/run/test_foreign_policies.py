"""Agents travel as directories of tensors and text; policy files of other libraries are refused unopened."""

import pickle
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from tradewright.cli import main
from tradewright.output import read_metrics


class Trap:
    """Leaves a file behind where it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def error_of(capsys) -> str:
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    return line


@pytest.mark.row("T5")
@pytest.mark.row("X3")
@pytest.mark.parametrize("task", ["evaluate", "predict", "replay"])
@pytest.mark.parametrize("name", ["ppo_agent.zip", "policy.pkl"])
def test_foreign_policy_is_refused_unopened_with_what_is_supported(
    tmp_path: Path, monkeypatch, capsys, task: str, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    mark = tmp_path / "opened"
    payload = pickle.dumps(Trap(mark))
    if name.endswith(".zip"):
        with zipfile.ZipFile(tmp_path / name, "w") as archive:
            archive.writestr("data", payload)
    else:
        (tmp_path / name).write_bytes(payload)
    assert main((task, f"run={name}")) == 2
    message = error_of(capsys)
    assert f"{name}: policy files of other libraries are not read" in message
    for words in ("run directories of tradewright", "config.yaml", "checkpoints/", "`tradewright algorithm=ppo`"):
        assert words in message
    assert not mark.exists()


def test_checkpoint_file_is_refused_in_favour_of_its_run_directory(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "best.ckpt").write_bytes(b"")
    assert main(("evaluate", "run=best.ckpt")) == 2
    assert "best.ckpt: is a file; expected its run directory" in error_of(capsys)


@pytest.mark.row("T5")
def test_agent_is_loaded_elsewhere_and_never_runs_what_a_checkpoint_pickles(
    trained, tmp_path: Path, monkeypatch, capsys
) -> None:
    metrics = read_metrics(trained)
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    copy = shutil.copytree(trained, elsewhere / "agent")
    shutil.rmtree(tmp_path / "outputs")
    monkeypatch.chdir(elsewhere)
    assert main(("evaluate", "run=agent")) == 0
    (again,) = elsewhere.glob("outputs/*/*/metrics.json")
    np.testing.assert_equal(read_metrics(again.parent), metrics)
    capsys.readouterr()
    checkpoint = next((copy / "checkpoints").glob("best-*.ckpt"))
    saved = torch.load(checkpoint, weights_only=True)
    torch.save({**saved, "state_dict": Trap(elsewhere / "opened")}, checkpoint)
    assert main(("evaluate", "run=agent")) == 2
    assert "cannot load this checkpoint" in error_of(capsys)
    assert not (elsewhere / "opened").exists()
