"""The fork server with the heavy imports: what jobs find there, and that it is safe to fork from."""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from launched import act, job_of, wait_for

from tradewright.sweep.job import Session
from tradewright.sweep.process import Process


@pytest.fixture
def session() -> Iterator[Session]:
    """One job at a time, with the fork server that this process's sweeps share."""
    with Process(jobs=1, memory_gb_per_job=None).open(act, 1) as opened:
        yield opened


def test_environment_folder_and_threads_arrive_and_the_fork_server_has_one_thread(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wait_for(session.start(job_of(tmp_path, "done")))  # the fork server runs from here on
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    monkeypatch.setenv("TRADEWRIGHT_TEST", "späť")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("HOME", raising=False)
    names = ("TRADEWRIGHT_TEST", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "HOME")
    wait_for(session.start(replace(job_of(tmp_path, "facts", *names), cwd=str(folder))))
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert set(facts["loaded"]) == {"torch", "lightning", "torchrl", "tensordict", "duckdb", "tradewright.task.train"}
    assert not facts["has_cuda_begun"]
    assert facts["environment"] == dict(zip(names, ("späť", "1", "1", "1", None), strict=True))
    assert facts["cwd"] == str(folder)
    assert facts["group"] == facts["pid"] != os.getpgrp()
    assert facts["torch"] == 1
    assert facts["tasks_of_parent"] == 1
    assert facts["argv"] == sys.argv


@pytest.mark.row("B41")
def test_threads_of_a_job_are_those_of_the_launcher(tmp_path: Path) -> None:
    with Process(jobs=1, threads_per_job=3, memory_gb_per_job=None).open(act, 1) as session:
        wait_for(session.start(job_of(tmp_path, "facts", "OMP_NUM_THREADS")))
    facts = json.loads((tmp_path / "facts.json").read_text())
    assert (facts["torch"], facts["environment"]) == (3, {"OMP_NUM_THREADS": "3"})
