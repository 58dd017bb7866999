"""A sweep of twenty jobs whose worker is killed again and again: ``python kill_sweep.py <folder> <kills> <seed>``.

One process imports everything and forks workers, so that a kill costs no start-up. Jobs are real processes of the fork
server, which is told to preload nothing heavy. Prints how often a worker was killed before the sweep had ended.
"""

import os
import random
import signal
import sys
import time
from pathlib import Path

import optuna

from tradewright.output import METRICS, Status, write_json
from tradewright.sweep import child
from tradewright.sweep.job import Ended, Job
from tradewright.sweep.lease import Worker as Identity
from tradewright.sweep.objective import Objectives
from tradewright.sweep.plan import Plan
from tradewright.sweep.process import Process
from tradewright.sweep.queue import Queue, open_study
from tradewright.sweep.samplers import Random
from tradewright.sweep.space import parse_space
from tradewright.sweep.storage import open_storage, storage_url
from tradewright.sweep.sweep import Sweep
from tradewright.sweep.worker import Worker

NUM_SLOTS = 20
LOG = "runs.txt"
"""A line for every start and end of a job."""


def do(job: Job) -> Ended:
    """A job of two steps: the figure follows from its parameter, so that a repetition would be seen."""
    directory = Path(job.directory)
    directory.mkdir(parents=True, exist_ok=True)
    x = float(job.overrides[-1].partition("=")[2])
    with (directory / LOG).open("a") as log:
        log.write(f"start {x!r}\n")
    with Status(directory):
        time.sleep(0.03)
        write_json(directory / METRICS, {"validation/sharpe": x})
    with (directory / LOG).open("a") as log:
        log.write(f"end {x!r}\n")
    return Ended("done")


def hang(job: Job) -> Ended:
    """A job that does not end."""
    with Status(Path(job.directory)):
        time.sleep(600.0)
    return Ended("done")


def plan_of(folder: Path) -> Plan:
    """Return the plan of the sweep."""
    space = parse_space(["x=interval(0,1)"])
    return Plan(
        sweep=Sweep(sampler=Random(), num_trials=NUM_SLOTS, heartbeat_s=0.2, grace_s=2.0),
        space=space,
        points=None,
        num_slots=NUM_SLOTS,
        objectives=Objectives({"validation/sharpe": "maximize"}),
        constraints=(),
        seeds=(0,),
        pruner=None,
        launcher=Process(jobs=3, memory_gb_per_job=None),
        directory=folder,
        url=storage_url(None, folder),
        study="default/killed",
        description={"space": space.describe()},
    )


def queue_of(plan: Plan) -> Queue:
    """Return the queue of a plan, for this process."""
    study = open_study(open_storage(plan.url), plan.study, plan.objectives.directions, plan.description)
    return Queue(
        study,
        plan.space,
        num_slots=plan.num_slots,
        points=None,
        sampler_for=plan.sampler_for,
        worker=Identity.current(),
        grace_s=plan.grace_s,
    )


def work(folder: Path) -> None:
    """Be a worker until the sweep has ended."""
    plan = plan_of(folder)
    queue = queue_of(plan)
    place = {"conf": "", "extra": None, "cwd": str(folder)}
    tally = Worker(plan, queue, run=do, place=place, say=lambda _: None).work()
    assert not tally.failures, tally.failures


def main(folder: Path, num_kills: int, seed: int) -> None:
    """Kill workers at random moments, then let one work to the end."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    child.PRELOAD = "tradewright.sweep.inside"
    rng, killed = random.Random(seed), 0
    for number in range(num_kills + 1):
        pid = os.fork()
        if pid == 0:
            work(folder)
            os._exit(0)
        if number < num_kills:
            time.sleep(rng.uniform(0.05, 1.2))
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                os.kill(pid, signal.SIGKILL)
                _, status = os.waitpid(pid, 0)
                killed += 1
        else:
            _, status = os.waitpid(pid, 0)
        if os.WIFEXITED(status):
            assert os.WEXITSTATUS(status) == 0, "a worker failed"
            break
    print(killed)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    import kill_sweep

    kill_sweep.main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
