"""Jobs for the launchers' tests: functions of a module, as other processes need them; the first override names one."""

import json
import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tradewright.output import Status
from tradewright.sweep import slurm_node
from tradewright.sweep.job import Ended, Handle, Job

WAIT_S = 60.0


def job_of(directory: Path, *words: str, number: int = 0) -> Job:
    """Return a job whose words ``act`` understands."""
    return Job(number, str(directory), words, (), "", None, os.getcwd())


def wait_for(handle: Handle) -> Ended:
    """Poll a job until it has ended."""
    until = time.monotonic() + WAIT_S
    while (ended := handle.poll()) is None:
        assert time.monotonic() < until, "the job does not end"
        time.sleep(0.01)
    return ended


def wait_until(is_so: Callable[[], bool], seconds: float = WAIT_S) -> None:
    """Wait for something to become true."""
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until, "it does not become true"
        time.sleep(0.01)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody waits for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in ("Z", "X")
    except (FileNotFoundError, ProcessLookupError):
        return False


def pid_in(path: Path) -> int:
    """Wait for a file with a process id in it."""
    wait_until(lambda: path.is_file() and path.read_text().endswith("\n"))
    return int(path.read_text())


def note(path: Path, content: object) -> None:
    """Write a line that ``pid_in`` reads only whole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{content}\n")


def act(job: Job) -> Ended:
    """Do what the job's words say."""
    word, *rest = job.overrides
    return ACTIONS[word](job, *rest)


def done(job: Job) -> Ended:
    print("a line of the job")
    subprocess.run([sys.executable, "-S", "-c", "print('a line of its own process')"], check=True)
    return Ended("done", warnings=("be warned",))


def facts(job: Job, *names: str) -> Ended:
    heavy = ("torch", "lightning", "torchrl", "tensordict", "duckdb", "tradewright.task.train")
    loaded = [name for name in heavy if name in sys.modules]
    import torch

    content = {
        "pid": os.getpid(),
        "group": os.getpgrp(),
        "cwd": os.getcwd(),
        "torch": torch.get_num_threads(),
        "environment": {name: os.environ.get(name) for name in names},
        "tasks_of_parent": len(os.listdir(f"/proc/{os.getppid()}/task")),
        "argv": sys.argv,
        "loaded": loaded,
        "has_cuda_begun": torch.cuda.is_initialized(),
    }
    note(Path(job.directory) / "facts.json", json.dumps(content))
    return Ended("done")


def raises(job: Job) -> Ended:
    raise RuntimeError("no such\nluck")


def exits(job: Job, code: str) -> Ended:
    sys.exit(int(code))


def leaves(job: Job, code: str) -> Ended:
    Status(Path(job.directory)).write("running")
    os._exit(int(code))


def killed(job: Job, number: str = "9") -> Ended:
    Status(Path(job.directory)).write("running")
    os.kill(os.getpid(), int(number))
    time.sleep(WAIT_S)
    return Ended("done")


def killed_after_result(job: Job) -> Ended:
    with Status(Path(job.directory)):
        pass
    os.kill(os.getpid(), signal.SIGKILL)
    return Ended("failed")


def has_grandchild(job: Job, then: str) -> Ended:
    directory = Path(job.directory)
    grandchild = subprocess.Popen(["sleep", "300"])
    Status(directory).write("running")
    note(directory / "grandchild", grandchild.pid)
    note(directory / "child", os.getpid())
    if then == "ends":
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(300)
    return Ended("done")


def stubborn(job: Job) -> Ended:
    def complains(number: int, frame: object) -> None:
        Status(Path(job.directory)).write("failed", error="SIGTERMException: ")

    signal.signal(signal.SIGTERM, complains)
    Status(Path(job.directory)).write("running")
    note(Path(job.directory) / "child", os.getpid())
    while True:
        time.sleep(0.1)


def counted(job: Job, folder: str, seconds: str) -> Ended:
    """Note when the job ran, on which devices."""
    begin = time.time()
    time.sleep(float(seconds))
    line = {"begin": begin, "end": time.time(), "gpus": os.environ.get("CUDA_VISIBLE_DEVICES")}
    note(Path(folder) / f"{job.number}.json", json.dumps(line))
    return Ended("done")


def noted(job: Job, folder: str, seconds: str) -> Ended:
    """Note each attempt, and the process that started it."""
    with Status(Path(job.directory)):
        with (Path(folder) / f"{job.number}.attempts").open("a") as file:
            file.write(f"{job.resume}\n")
        note(Path(job.directory) / "worker", os.getppid())
        time.sleep(float(seconds))
    return Ended("done")


def has_storage(job: Job) -> Ended:
    note(Path(job.directory) / "has_storage", "hush-hush" in os.environ["TRADEWRIGHT_STORAGE"])
    return Ended("done")


def impatient(job: Job, letters: slurm_node.Letters) -> None:
    """Do what a node of SLURM does, with little patience for a silent sweep."""
    slurm_node.SILENT_S = 2.0
    slurm_node.on_node(pickle.dumps(act), job, letters, [], 1, 5)


ACTIONS: dict[str, Callable[..., Ended]] = {
    function.__name__: function
    for function in (
        done,
        facts,
        raises,
        exits,
        leaves,
        killed,
        killed_after_result,
        has_grandchild,
        stubborn,
        counted,
        noted,
        has_storage,
    )
}
