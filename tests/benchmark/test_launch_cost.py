"""What a further job of a sweep costs beside a fresh process. ``pytest -m benchmark -s``."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tradewright.sweep.job import Ended, Job
from tradewright.sweep.process import Process

NUM_JOBS, NUM_FRESH = 10, 3
LARGEST_SHARE = 0.2
POLL_S = 0.001


def trivial(job: Job) -> Ended:
    """Use what is expensive to import, and do nothing with it."""
    import lightning
    import torch
    import torchrl

    print(torch.ones(2).sum(), lightning.__version__, torchrl.__version__)
    return Ended("done")


@pytest.mark.benchmark
def test_further_job_costs_at_most_a_fifth_of_a_fresh_process(tmp_path: Path) -> None:
    fresh = []
    for _ in range(NUM_FRESH):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", "import torch, lightning, torchrl"], check=True)
        fresh.append(time.perf_counter() - begin)
    further = []
    with Process(jobs=1, memory_gb_per_job=None).open(trivial, NUM_JOBS) as session:
        for number in range(NUM_JOBS):
            begin = time.perf_counter()
            handle = session.start(Job(number, str(tmp_path / str(number)), (), (), "", None, os.getcwd()))
            while (ended := handle.poll()) is None:
                time.sleep(POLL_S)
            further.append(time.perf_counter() - begin)
            assert ended == Ended("done")
    first, cost, one = further.pop(0), min(further), min(fresh)
    print(f"\nfresh process {one:.2f} s, first job {first:.2f} s, a further job {cost:.3f} s ({cost / one:.1%})")
    assert cost <= LARGEST_SHARE * one
