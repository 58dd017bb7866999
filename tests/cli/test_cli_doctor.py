"""``tradewright doctor``: one row per requirement, preparation that a second run leaves alone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from tradewright.errors import RunError
from tradewright.task import doctor as module
from tradewright.task import machine
from tradewright.task.doctor import CORES, DISK, GIB, GPU, MEMORY, Doctor, Row, folder_rows, hardware_rows, size_row


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return modification time and content of everything below a folder."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


@pytest.mark.row("L48")
def test_doctor_prints_a_row_per_requirement(cli: Callable, tmp_path: Path) -> None:
    answer = cli("doctor")
    assert (answer.code, answer.err) == (0, "")
    for name in (
        "Python",
        "GPU",
        "Memory",
        "Disk",
        "CPU",
        "torch",
        "hydra-core",
        "duckdb",
        "output_dir",
        "store",
        "bars",
    ):
        assert any(f"│ {name} " in line and ("pass" in line or "warn" in line) for line in answer.out.splitlines()), (
            name
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.row("L48")
@pytest.mark.parametrize(
    ("size", "minimum", "recommended"), [(GPU, 8, 16), (MEMORY, 16, 32), (DISK, 50, 100), (CORES, 8, 16)]
)
def test_sizes_are_those_of_the_table_and_pass_from_the_recommendation_on(
    size: module.Size, minimum: int, recommended: int
) -> None:
    assert (size.minimum, size.recommended) == (minimum, recommended)
    assert size_row("x", recommended, size).state == "pass"
    between, below = size_row("x", recommended - 1, size), size_row("x", minimum - 1, size)
    assert (between.state, below.state) == ("warn", "warn")
    assert "small language models" in between.advice
    assert f"{minimum} to {recommended}" in below.advice


@pytest.mark.row("L49")
@pytest.mark.parametrize("words", [["doctor", "fix=true"], ["task=doctor", "fix=true"], ["doctor", "task.fix=true"]])
def test_fix_prepares_folders_and_a_second_run_changes_nothing(cli: Callable, tmp_path: Path, words: list[str]) -> None:
    first = cli(*words)
    assert first.code == 0
    assert first.out.splitlines()[:3] == ["created outputs", "created .tradewright", "created experiments/mine.yaml"]
    before = snapshot(tmp_path)
    assert set(before) == {"outputs", ".tradewright", "experiments", "experiments/mine.yaml"}
    second = cli(*words)
    assert "created" not in second.out
    assert snapshot(tmp_path) == before
    assert cli("--cfg", "job", "experiment=mine").code == 0


@pytest.mark.row("L49")
def test_fix_leaves_the_users_own_experiments_alone(cli: Callable, tmp_path: Path) -> None:
    (tmp_path / "experiments").mkdir()
    assert cli("doctor", "fix=true").code == 0
    assert list((tmp_path / "experiments").iterdir()) == []


def rows(cfg: dict[str, Any]) -> dict[str, Row]:
    return {row.name: row for row in folder_rows(OmegaConf.create(cfg))}


def test_folders_are_judged_by_what_a_run_would_meet(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "store" / "bars").mkdir(parents=True)
    found = rows({"output_dir": str(tmp_path / "file"), "store": str(tmp_path / "store")})
    assert [found[name].state for name in ("output_dir", "store", "bars")] == ["fail", "pass", "warn"]
    (tmp_path / "store" / "bars" / "nasdaq.duckdb").write_text("")
    found = rows({"output_dir": str(tmp_path / "new" / "deep"), "store": str(tmp_path / "store")})
    assert [found[name].state for name in ("output_dir", "store", "bars")] == ["warn", "pass", "pass"]
    assert found["bars"].found == "nasdaq"


def test_folder_that_cannot_be_written_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(dir: Path) -> None:
        raise OSError("read-only file system")

    monkeypatch.setattr(module.tempfile, "TemporaryFile", refuse)
    found = rows({"output_dir": str(tmp_path), "store": str(tmp_path)})
    assert found["output_dir"].state == found["store"].state == "fail"


def test_package_out_of_bounds_or_missing_fails_with_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    required = ["numpy>=99", "no-such-package>=1", "hydra-core>=1.3", "wandb>=9; extra == 'wandb'"]
    monkeypatch.setattr(module, "requires", lambda name: required)
    found = list(module.package_rows())
    assert [(row.name, row.state) for row in found] == [
        ("numpy", "fail"),
        ("no-such-package", "fail"),
        ("hydra-core", "pass"),
    ]
    assert [row.advice for row in found] == ["pip install 'numpy>=99'", "pip install 'no-such-package>=1'", ""]


def test_failing_row_ends_with_an_error_that_names_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module, "requires", lambda name: ["numpy>=99"])
    with pytest.raises(RunError, match=r"^doctor: 1 of \d+ checks failed: numpy$"):
        Doctor().execute(OmegaConf.create({"output_dir": "outputs", "store": "store"}))
    assert "numpy" in capsys.readouterr().out


def test_gpu_row_names_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "gpu_memory_bytes", lambda: ("Some GPU", 24 * GIB))
    row = next(row for row in hardware_rows(tmp_path) if row.name == "GPU")
    assert (row.state, row.found) == ("pass", "24 GB Some GPU")
    monkeypatch.setattr(module, "gpu_memory_bytes", lambda: None)
    row = next(row for row in hardware_rows(tmp_path) if row.name == "GPU")
    assert (row.state, row.found) == ("warn", "none")


def test_memory_respects_the_limit_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(machine, "CGROUP_LIMITS", (limit, tmp_path / "absent"))
    unlimited = machine.memory_bytes()
    assert unlimited is not None
    limit.write_text("max\n")
    assert machine.memory_bytes() == unlimited
    limit.write_text(f"{unlimited // 2}\n")
    assert machine.memory_bytes() == unlimited // 2
    limit.write_text(f"{unlimited * 1000}\n")
    assert machine.memory_bytes() == unlimited
