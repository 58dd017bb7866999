"""The built wheel, installed in a clean environment and run from an empty folder.

The environment gets only the wheel; the libraries it depends on are borrowed from the running environment by a ``.pth``
file, so that the test needs no downloads beyond what building the wheel needs.
"""

import importlib.util
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]


def run(command: list[str | Path], cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command in an environment without hints to the checkout; show its output when it fails."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "TRADEWRIGHT"))}
    done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel, without a separate build environment where the build backend is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    isolation = ["--no-build-isolation"] if importlib.util.find_spec("hatchling") else []
    run([sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", *isolation, "-w", folder, ROOT], ROOT)
    (built,) = folder.glob("tradewright-*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the wheel in a new environment and return its folder of programs."""
    folder = tmp_path_factory.mktemp("environment")
    run([sys.executable, "-m", "venv", "--without-pip", folder], folder)
    programs = folder / ("Scripts" if os.name == "nt" else "bin")
    pip = [sys.executable, "-m", "pip", "--python", programs / "python"]
    run([*pip, "install", "--quiet", "--no-deps", "--no-index", wheel], folder)
    (package,) = folder.glob("**/site-packages/tradewright")
    (package.parent / "borrowed.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    return programs


def test_wheel_holds_every_option_and_experiment(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    for folder, least in (("conf", 40), ("experiments", 1)):
        expected = {f"tradewright/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / folder).rglob("*.yaml")}
        assert len(expected) >= least
        assert expected == {name for name in names if name.startswith(f"tradewright/{folder}/")}
    assert "tradewright/py.typed" in names
    assert "hydra_plugins/tradewright/__init__.py" in names
    assert "hydra_plugins/__init__.py" not in names  # Hydra finds plugins of several packages in this folder
    assert not [name for name in names if name.startswith(("tests/", "outputs/"))]


@pytest.mark.row("L50")
def test_installed_command_finds_its_configuration_from_an_empty_folder(environment: Path, tmp_path: Path) -> None:
    where = run([environment / "python", "-c", "import tradewright; print(tradewright.__file__)"], tmp_path).stdout
    assert str(environment.parent) in where
    shown = yaml.safe_load(run([environment / "tradewright", "--cfg", "job", "lora=r32"], tmp_path).stdout)
    assert (shown["name"], shown["lora"]["r"]) == ("default", 32)
    info = run([environment / "tradewright", "--info", "searchpath"], tmp_path).stdout
    assert str(environment.parent.resolve()) in info
    assert str(ROOT) not in info
    assert "experiment=" in run([environment / "tradewright", "--help"], tmp_path).stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.row("L50")
def test_installed_command_runs_a_backtest_from_an_empty_folder(environment: Path, tmp_path: Path) -> None:
    run([environment / "tradewright", "backtest", "strategy=sma_cross", "report=none"], tmp_path)
    (metrics,) = tmp_path.glob("outputs/default/*/metrics.json")
    assert "test/sharpe" in metrics.read_text()


def test_installed_command_finds_its_sweeper(environment: Path, tmp_path: Path) -> None:
    words = ["-m", "task=backtest", "strategy=sma_cross", "strategy.fast=5,10", "report=none", "launcher=inline"]
    run([environment / "tradewright", *words], tmp_path)
    assert len(list(tmp_path.glob("outputs/default/sweep-*/*/metrics.json"))) == 2


def test_own_experiments_and_options_work_with_the_installed_command(environment: Path, tmp_path: Path) -> None:
    for name, text in {
        "experiments/local.yaml": "defaults:\n  - default\n  - override /reward: mine\nseed: 5\n",
        "my/reward/mine.yaml": "_target_: tradewright.reward.log_return.LogReturn\nscale: 2.0\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text(text)
    words = ["--config-dir", "my", "experiment=local", "--cfg", "job"]
    shown = yaml.safe_load(run([environment / "python", "-m", "tradewright", *words], tmp_path).stdout)
    assert (shown["name"], shown["seed"], shown["reward"]["scale"]) == ("local", 5, 2.0)
