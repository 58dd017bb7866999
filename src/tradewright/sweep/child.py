"""``Child``: the process of one job, seen from the worker that started it.

A process for each job, so that no job can take the sweep or another job with it. With ``forkserver`` it is a copy of a
process that has done the heavy imports; with ``spawn`` (the only way on Windows) a new interpreter.
"""

import contextlib
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from multiprocessing.context import ForkServerContext, SpawnContext
from pathlib import Path
from types import ModuleType
from typing import Literal

from tradewright.errors import RunError
from tradewright.sweep.guard import Before, describe_exit
from tradewright.sweep.inside import Parcel, do, thread_variables
from tradewright.sweep.job import Ended, Job, Run

PRELOAD = "tradewright.sweep.preload"
TERM_S = 5.0
"""Between asking a job to end and ending it."""
LINGER_S = 30.0
"""How long a job's exit functions may take after its result is known."""
PAUSE_S = 0.01
SERVER_LOST = 255
"""What Python gives as exit code when the fork server that would know it has died."""
ATTEMPTS = 2
"""Of starting a process: the fork server may have been killed; the second attempt starts another."""

Method = Literal["forkserver", "spawn"]
_main_lock = threading.Lock()


def prepare(method: Method) -> ForkServerContext | SpawnContext:
    """Return the context that processes are started in; its fork server begins to import at once."""
    if method == "spawn":
        return multiprocessing.get_context("spawn")
    from multiprocessing.forkserver import ensure_running

    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOAD])
    with _environment({**thread_variables(1), "PYTORCH_NVML_BASED_CUDA_CHECK": "1"}), _shielded():
        ensure_running()
    return context


@contextlib.contextmanager
def _environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Change the environment for a process that is being started."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _shielded() -> Iterator[None]:
    """Let a process be started with Ctrl-C blocked; a job opens itself to it once it leads its own group."""
    if sys.platform == "win32":
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextlib.contextmanager
def _empty_main() -> Iterator[None]:
    """Hide the main module: a new process would import it again, and run a script that lacks a guard a second time."""
    with _main_lock:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


class Child:
    """A started job; a ``Handle``.

    Args:
        run: Does the job; a function of a module.
        job: The job.
        method: How the process comes to be.
        environment: Of the process, whole.
        num_threads: Of its numerical libraries.

    Raises:
        RunError: No process can be started.
    """

    def __init__(self, run: Run, job: Job, *, method: Method, environment: Mapping[str, str], num_threads: int) -> None:
        self.method, self.before = method, Before.of(job)
        parcel = Parcel(job, pickle.dumps(run), environment, num_threads)
        for attempt in range(ATTEMPTS):
            context = prepare(method)
            self._answer, inner = context.Pipe(duplex=False)
            self._process = context.Process(target=do, args=(parcel, inner), name=f"job-{job.number}", daemon=False)
            try:
                with _empty_main(), _shielded():
                    self._process.start()
                break
            except (OSError, EOFError) as error:
                self._answer.close()
                if attempt == ATTEMPTS - 1:
                    raise RunError(f"job {job.number}: no process can be started for it ({error})") from error
            finally:
                inner.close()
        assert self._process.pid is not None
        self.pid = self._process.pid
        self._told: Ended | None = None
        self._told_at = 0.0
        self._is_unwanted = False
        self._ended: Ended | None = None

    def poll(self) -> Ended | None:
        """Return how it ended; None while it runs."""
        if self._ended is not None:
            return self._ended
        is_over = not self._process.is_alive()
        self._listen()
        if not is_over and self._told is not None and time.monotonic() - self._told_at > LINGER_S:
            self._signal(signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
        if is_over:
            self._ended = self._conclude()
        return self._ended

    def kill(self) -> None:
        """End it with everything it has started; returns when it is gone."""
        if self.poll() is not None:
            return
        self.terminate()
        self._process.join(TERM_S)
        if sys.platform != "win32":
            self._signal(signal.SIGKILL)
        else:
            self._process.kill()
        self._process.join()
        self._ended = self._conclude()

    def terminate(self) -> None:
        """Ask it to end; ``kill`` makes sure."""
        self._is_unwanted = True
        self._signal(signal.SIGTERM)

    def _listen(self) -> None:
        if self._told is None and not self._answer.closed:
            with contextlib.suppress(EOFError):  # it ended without an answer
                if self._answer.poll():
                    self._told = self._answer.recv()
                    self._told_at = time.monotonic()

    def _conclude(self) -> Ended:
        code = self._process.exitcode
        assert code is not None
        is_lost = self._lost_server()
        if sys.platform != "win32":
            self._signal(signal.SIGKILL)  # what it started may have outlived it
        while is_lost and _is_process(self.pid):  # nobody can join it
            time.sleep(PAUSE_S)
        self._listen()
        self._answer.close()
        self._process.close()
        if self._told is not None and not self._is_unwanted:
            return self._told
        if self._is_unwanted or is_lost:
            self.before.interrupted()
            if self._is_unwanted:
                return Ended("interrupted")
            return Ended("interrupted", "the fork server was killed", is_lost=True)
        return self.before.died(describe_exit(code))

    def _lost_server(self) -> bool:
        """Whether nobody knows how the process ended, or whether it has."""
        return self.method == "forkserver" and self._process.exitcode == SERVER_LOST and _is_process(self.pid)

    def _signal(self, number: int) -> None:
        """Send a signal to the job's process group, if anything of it is left."""
        with contextlib.suppress(ProcessLookupError, PermissionError):  # macOS forbids what only has to be reaped
            if sys.platform == "win32":
                os.kill(self.pid, number)
            elif _leads_group(self.pid):
                os.killpg(self.pid, number)
            else:  # it has not come to lead its group yet
                os.kill(self.pid, number)


def _leads_group(pid: int) -> bool:
    """Whether the process leads its own group; one that is gone may have left a group behind."""
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return True


def _is_process(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody waits for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return not Path("/proc/self").exists()
