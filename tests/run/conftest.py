"""Runs of the real command line inside the test process, each in a folder of its own."""

import shutil
from collections.abc import Callable
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest
from tiny import TRAINED

from tradewright.cli import main


def newest_run(folder: Path) -> Path:
    """Return the newest run directory below a folder, or the folder itself if nothing ran there."""
    runs = sorted(folder.glob("outputs/**/status.json"), key=lambda path: path.stat().st_mtime_ns)
    return runs[-1].parent if runs else folder


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Run ``tradewright <words>`` in a fresh folder, require success, and return the newest run directory."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Path:
        assert main(words) == 0
        return newest_run(tmp_path)

    return run


@dataclass(frozen=True)
class Original:
    """A folder in which a command ran; nobody writes into it again."""

    folder: Path
    run: Path
    printed: Path


@pytest.fixture(scope="session")
def original(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Original]:
    """Run ``tradewright <words>``, once per list of words."""
    known: dict[tuple[str, ...], Original] = {}

    def run(*words: str) -> Original:
        if words not in known:
            folder, printed = tmp_path_factory.mktemp("original"), tmp_path_factory.mktemp("printed") / "out.txt"
            with pytest.MonkeyPatch.context() as patch, printed.open("w") as out, redirect_stdout(out):
                patch.chdir(folder)
                assert main(words) == 0
            known[words] = Original(folder, newest_run(folder), printed)
        return known[words]

    return run


@pytest.fixture
def copied(original: Callable[..., Original], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """As ``command``, but what many tests begin with runs once, and each has a copy of the folder to go on in."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Path:
        first = original(*words)
        shutil.copytree(first.folder, tmp_path, dirs_exist_ok=True)
        for record in tmp_path.glob("outputs/**/.hydra/hydra.yaml"):  # says where resume= has to go on
            record.write_text(record.read_text().replace(str(first.folder), str(tmp_path)))
        return tmp_path / first.run.relative_to(first.folder)

    return run


@pytest.fixture
def trained(copied: Callable[..., Path]) -> Path:
    """A run of ``TRAINED`` to read, judge again or replay; the test is in its folder."""
    return copied(*TRAINED)
