"""Files are read again when they change, and nobody can change what is kept."""

import os
from pathlib import Path

import pytest

from tradewright.config.compose import open_hydra
from tradewright.config.kept import kept
from tradewright.errors import ConfigError
from tradewright.paths import shipped


def test_file_is_read_again_when_it_changes_and_not_before(tmp_path: Path) -> None:
    path, reads = tmp_path / "a.yaml", []

    def read() -> list[str]:
        reads.append(path.read_text())
        return [reads[-1]]

    path.write_text("one")
    kept("test", path, read).append("of the caller")
    assert kept("test", path, read) == ["one"]
    assert len(reads) == 1
    path.write_text("other")
    assert kept("test", path, read) == ["other"]
    os.utime(path, ns=(1, 1))
    assert kept("test", path, read) == ["other"]
    assert kept("another reader", path, read) == ["other"]
    assert len(reads) == 4


def test_failure_to_read_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with pytest.raises(FileNotFoundError):
        kept("test", path, path.read_text)
    path.write_text("one")
    with pytest.raises(ZeroDivisionError):
        kept("test", path, lambda: 1 / 0)
    assert kept("test", path, path.read_text) == "one"


def test_option_and_experiment_that_change_compose_as_they_are_now(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "experiments").mkdir()
    (tmp_path / "mine" / "reward").mkdir(parents=True)
    option, experiment = tmp_path / "mine" / "reward" / "own.yaml", tmp_path / "experiments" / "own.yaml"
    text = (shipped("conf") / "reward" / "log_return.yaml").read_text()
    seen = []
    for scale in (2, 3, 3):
        option.write_text(text.replace("scale: 100.0", f"scale: {scale}.5"))
        experiment.write_text(f"seed: {scale}\n")
        cfg = open_hydra(extra=str(tmp_path / "mine")).compose(["reward=own", "experiment=own"])
        seen.append((cfg.reward.scale, cfg.seed, cfg.name))
        cfg.reward.scale = 0.0
    assert seen == [(2.5, 2, "own"), (3.5, 3, "own"), (3.5, 3, "own")]
    option.unlink()
    with pytest.raises(ConfigError, match="reward"):
        open_hydra(extra=str(tmp_path / "mine")).compose(["reward=own"])
