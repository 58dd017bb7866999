"""``resume=<run directory>``: the saved configuration again, in the same directory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf

from tradewright.config.compose import choices


def save(cfg: Any, directory: Path) -> None:
    (directory / "config.yaml").write_text(OmegaConf.to_yaml(cfg, resolve=True))


@pytest.fixture
def started(cli: Callable, spine: dict[str, Any]) -> Path:
    """A run directory as the spine leaves it when it is killed."""
    spine["do"] = save
    assert cli("seed=7", "reward=differential_sharpe").code == 0
    spine["do"] = lambda cfg, directory: None
    return spine["calls"].pop()[1]


@pytest.mark.parametrize("form", ["resume={}", "resume='{}'"])
@pytest.mark.parametrize("with_word", [False, True])
def test_run_continues_in_its_directory_with_its_configuration(
    cli: Callable, spine: dict[str, Any], started: Path, tmp_path: Path, form: str, with_word: bool
) -> None:
    seen: dict[str, Any] = {}
    spine["do"] = lambda cfg, directory: seen.update(choices=choices(), output=HydraConfig.get().runtime.output_dir)
    before = sorted(path.name for path in (started / ".hydra").iterdir())
    words = [form.format(started.relative_to(tmp_path))]
    answer = cli(*(["resume", *words] if with_word else words))
    assert (answer.code, answer.err) == (0, "")
    ((cfg, directory, resume),) = spine["calls"]
    assert resume
    assert directory == started
    assert cfg.seed == 7
    assert cfg.reward._target_.endswith("DifferentialSharpe")
    assert seen["choices"]["reward"] == "differential_sharpe"
    assert Path(seen["output"]) == started
    assert sorted(path.name for path in (started / ".hydra").iterdir()) == before
    assert [path.name for path in started.parent.iterdir()] == [started.name]


def test_existing_keys_can_be_overridden(cli: Callable, spine: dict[str, Any], started: Path) -> None:
    assert cli(f"resume={started}", "trainer.max_epochs=9", "hydra.job.name=child").code == 0
    assert spine["calls"][0][0].trainer.max_epochs == 9


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainer.max_epoch=9", "trainer.max_epoch: no such key; did you mean 'max_epochs'?"),
        ("seeed=9", "seeed: no such key; did you mean 'seed'?"),
        ("seed=abc", "seed: Value 'abc' of type 'str' could not be converted to Integer"),
        ("+trainer.x=9", "+trainer.x=9: a resumed run takes only key=value for keys that it has"),
        ("~trainer.max_epochs", "~trainer.max_epochs: a resumed run takes only key=value for keys that it has"),
        ("reward=log_return", "reward: a resumed run keeps its options; override single keys of reward"),
        ("seed=1,2", "seed=1,2: a resumed run takes only key=value for keys that it has"),
        ("trainer.max_epochs=x", "trainer.max_epochs: expected int | None, was 'x' (str)"),
        ("seed", "'seed' is not key=value"),
    ],
)
def test_other_overrides_are_refused(
    cli: Callable, spine: dict[str, Any], started: Path, override: str, message: str
) -> None:
    answer = cli(f"resume={started}", override)
    assert (answer.code, answer.err) == (2, f"error: {message}\n")
    assert spine["calls"] == []


def test_directory_that_is_no_run_is_explained(cli: Callable, tmp_path: Path) -> None:
    assert cli("resume=absent").err == "error: absent: no such run directory\n"
    (tmp_path / "empty").mkdir()
    assert cli("resume=empty").err == "error: empty: no config.yaml, so there is nothing to resume\n"
    (tmp_path / "empty" / "config.yaml").write_text("seed: [\n")
    assert cli("resume=empty").err.startswith("error: empty/config.yaml: line 2: ")
    (tmp_path / "empty" / "config.yaml").write_text("sed: 1\n")
    assert cli("resume=empty").err.startswith("error: empty/config.yaml: Key 'sed' not in 'Root'")
    (tmp_path / "empty" / "config.yaml").write_text("seed: 1\n")
    assert "empty/.hydra/hydra.yaml" in cli("resume=empty").err


def test_sweep_directory_points_to_its_jobs(cli: Callable, spine: dict[str, Any], tmp_path: Path) -> None:
    spine["do"] = save
    assert cli("-m", "seed=0,1").code == 0
    (sweep,) = (tmp_path / "outputs" / "default").iterdir()
    relative = sweep.relative_to(tmp_path)
    message = f"{relative}: no config.yaml, so there is nothing to resume; it holds 2 runs"
    assert cli(f"resume={relative}").err == f"error: {message}, resume one of them, e.g. resume={relative}/0\n"
    assert cli(f"resume={relative}/1").code == 0
    assert spine["calls"][-1][0].seed == 1
    assert spine["calls"][-1][2]


@pytest.mark.parametrize("words", [["resume"], ["resume="], ["resume=a", "resume=b"]])
def test_resume_wants_exactly_one_directory(cli: Callable, words: list[str]) -> None:
    answer = cli(*words)
    assert answer.code == 2
    assert answer.err.startswith("error: resume: give one run directory")


def test_resume_does_not_go_with_a_sweep_a_task_or_printing(cli: Callable) -> None:
    assert cli("-m", "resume=a").err == "error: resume: continues one run; -m does not go with it\n"
    assert cli("--cfg", "job", "resume=a").err.startswith("error: resume: the run's configuration is in a/config.yaml")
    assert "with its own task, not with 'train'" in cli("train", "resume=a").err


def test_run_continues_where_it_was_started(
    cli: Callable, spine: dict[str, Any], started: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    seen: list[Path] = []
    spine["do"] = lambda cfg, directory: seen.append(Path.cwd())
    assert cli(f"resume=../{started.relative_to(tmp_path)}").code == 0
    assert seen == [tmp_path]
