"""What a run records of its machine and repository."""

import ctypes
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tradewright import surroundings
from tradewright.task.changes import Change, candidates, find_changes


class Library:
    """Stands in for NVIDIA's: two devices."""

    def __init__(self, code: int = 0) -> None:
        self.code, self.calls = code, []

    def nvmlInit_v2(self) -> int:
        return self.code

    def nvmlShutdown(self) -> None:
        self.calls.append("shutdown")

    def nvmlDeviceGetCount_v2(self, num: Any) -> None:
        num._obj.value = 2

    def nvmlDeviceGetHandleByIndex_v2(self, place: int, device: Any) -> None:
        device._obj.value = place + 1

    def nvmlDeviceGetName(self, device: ctypes.c_void_p, text: Any, _: int) -> None:
        text.value = f"GPU {device.value}".encode()

    def nvmlSystemGetDriverVersion(self, text: Any, _: int) -> None:
        text.value = b"570.1"


def test_gpus_and_their_driver_are_recorded(monkeypatch: pytest.MonkeyPatch) -> None:
    library = Library()
    monkeypatch.setattr(ctypes, "CDLL", lambda name: library)
    found = surroundings.machine()
    assert found["gpus"] == ["GPU 1", "GPU 2"]
    assert found["gpu_driver"] == "570.1"
    assert library.calls == ["shutdown"]


def test_machine_without_gpu_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise OSError(name)

    for library in (missing, lambda name: Library(code=9)):  # no driver; a driver without a device
        monkeypatch.setattr(ctypes, "CDLL", library)
        assert surroundings.machine()["gpus"] == []


def test_another_commit_and_other_uncommitted_changes_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def git(*words: str) -> None:
        subprocess.run(["git", "-c", "user.name=n", "-c", "user.email=e", *words], check=True, capture_output=True)

    git("init", "-q", ".")
    (tmp_path / "rule.py").write_text("a\n")
    git("add", "rule.py")
    git("commit", "-qm", "first")
    state, _ = surroundings.git_state()
    record = {"git": state}
    assert find_changes(tmp_path, record, []) == []
    (tmp_path / "rule.py").write_text("b\nc\n")
    assert find_changes(tmp_path, record, []) == [
        Change("code", "uncommitted changes", "none", "+2 -1 lines in rule.py")
    ]
    git("commit", "-qam", "second")
    (change,) = find_changes(tmp_path, record, [])
    assert state is not None
    assert (change.name, change.then) == ("git commit", state["sha"][:12])
    assert candidates([change]) == "candidates: code (git commit)"


def test_what_an_older_run_did_not_record_is_no_change(tmp_path: Path) -> None:
    assert find_changes(tmp_path, {"machine": {"cores": surroundings.machine()["cores"]}}, []) == []
    assert "the run itself does not repeat" in candidates([])
