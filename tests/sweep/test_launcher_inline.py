"""``launcher=inline``, and that every option of the group fits the class it configures."""

import json
from pathlib import Path

import pytest
from launched import act, job_of
from omegaconf import OmegaConf

from tradewright import paths
from tradewright.config.build import build
from tradewright.config.check import check
from tradewright.sweep.inline import Inline
from tradewright.sweep.job import Ended, Job, Launcher

OPTIONS = sorted(path.stem for path in (paths.shipped("conf") / "launcher").glob("*.yaml"))
GIVEN = {"slurm": {"timeout_min": 60}}
"""Keys without a default."""


def test_job_runs_here_and_its_failure_is_only_its_own(tmp_path: Path) -> None:
    with Inline().open(act, 5) as session:
        assert session.capacity == 1
        cases = {
            "done": Ended("done", warnings=("be warned",)),
            "raises": Ended("failed", "RuntimeError: no such luck"),
        }
        for word, expected in cases.items():
            assert session.start(job_of(tmp_path / word, word)).poll() == expected
        ended = session.start(job_of(tmp_path / "exits", "exits", "3")).poll()
        assert ended == Ended("failed", "the job ended itself with exit code 3")
    status = json.loads((tmp_path / "exits" / "status.json").read_text())
    assert (status["state"], status["error"]) == ("failed", "the job ended itself with exit code 3")
    assert (tmp_path / "raises" / "log.txt").read_text().endswith("RuntimeError: no such luck\n")


def interrupts(job: Job) -> Ended:
    raise KeyboardInterrupt


def test_interruption_ends_the_sweep(tmp_path: Path) -> None:
    with Inline().open(interrupts, 5) as session, pytest.raises(KeyboardInterrupt):
        session.start(job_of(tmp_path))


def test_group_has_the_four_launchers() -> None:
    assert OPTIONS == ["inline", "process", "ray", "slurm"]


@pytest.mark.parametrize("option", OPTIONS)
def test_keys_of_the_option_fit_its_class(option: str) -> None:
    path = paths.shipped("conf") / "launcher" / f"{option}.yaml"
    assert path.read_text().startswith("# ")
    cfg = OmegaConf.create({"launcher": OmegaConf.merge(OmegaConf.load(path), GIVEN.get(option, {}))})
    assert check(cfg) == []
    assert isinstance(build(cfg.launcher, key="launcher"), Launcher)
    cfg.launcher.no_such_key = 1
    assert any(fault.startswith("launcher.no_such_key: ") for fault in check(cfg))


def test_slurm_needs_a_time_limit() -> None:
    cfg = OmegaConf.create({"launcher": OmegaConf.load(paths.shipped("conf") / "launcher" / "slurm.yaml")})
    assert check(cfg) == ["launcher.timeout_min: must be given, it is '???'"]
