"""What happens inside the process of a job: it becomes the head of its own group, and dies with who started it.

Everything that the job starts stays in its process group, so that killing the group leaves nothing behind. The watcher
waits for the pipe that the starting process holds: it closes at its end, however it ends, and the kernel tells.
"""

import atexit
import contextlib
import faulthandler
import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from pathlib import Path

from tradewright.sweep.guard import guarded
from tradewright.sweep.job import Ended, Job

OUTPUT = "output.txt"
"""In the job's directory: what it and its processes print."""

THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")


def thread_variables(num_threads: int) -> dict[str, str]:
    """Return the environment that tells numerical libraries how many threads to use."""
    return dict.fromkeys(THREAD_VARIABLES, str(num_threads))


@dataclass(frozen=True)
class Parcel:
    """What travels to the process of a job.

    Args:
        job: The job.
        run: Pickled by name: it is unpacked after the environment has been set, for it may import torch.
        environment: The whole environment of the process.
        num_threads: Of numerical libraries.
    """

    job: Job
    run: bytes
    environment: Mapping[str, str]
    num_threads: int


def do(parcel: Parcel, answer: "Connection[Ended, Ended]") -> None:
    """Do the job and answer how it ended; the body of its process."""
    _lead_own_group()
    _die_with_parent()
    try:
        ended = guarded(lambda job: _settled(parcel, job), parcel.job)
    except KeyboardInterrupt:
        ended = Ended("interrupted")
    with contextlib.suppress(BrokenPipeError):  # who asked has gone; the watcher ends this process
        answer.send(ended)
    answer.close()
    sys.stdout.flush()
    atexit._run_exitfuncs()  # a forked process ends without them


def _settled(parcel: Parcel, job: Job) -> Ended:
    _write_to(Path(job.directory) / OUTPUT)
    os.environ.clear()
    os.environ.update(parcel.environment)
    os.environ.update(thread_variables(parcel.num_threads))
    os.chdir(job.cwd)
    if torch := sys.modules.get("torch"):  # else the environment tells it
        torch.set_num_threads(parcel.num_threads)
    return pickle.loads(parcel.run)(job)


def _lead_own_group() -> None:
    if sys.platform != "win32":
        os.setsid()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # drops one that came while it was blocked
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        wait([parent.sentinel])
        if sys.platform != "win32":
            os.killpg(os.getpgrp(), signal.SIGKILL)
        os._exit(1)

    threading.Thread(target=watch, name="parent-watch", daemon=True).start()


def _write_to(path: Path) -> None:
    """Send what this process and those it starts print to a file, and let them read nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    nothing = os.open(os.devnull, os.O_RDONLY)
    for source, target in ((nothing, 0), (file, 1), (file, 2)):
        os.dup2(source, target)
    for handle in (file, nothing):
        os.close(handle)
    # The streams of the process that was forked may be a captured or closed file.
    sys.stdout, sys.stderr = (
        os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace", buffering=1, closefd=False)
        for handle in (1, 2)
    )
    faulthandler.enable(file=sys.stderr)
