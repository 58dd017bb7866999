"""What happens on the node of a SLURM job: signs of life both ways, a process for the job, a letter at its end.

A sign of life is a file whose content changes; the reader waits for a change on its own clock, so that clocks of
machines need not agree.
"""

import logging
import os
import pickle
import sys
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from tradewright.output import write_json, write_text
from tradewright.sweep.child import Child
from tradewright.sweep.guard import one_line
from tradewright.sweep.job import Ended, Job, Run

log = logging.getLogger("tradewright.sweep")

PAUSE_S = 0.1
BEAT_S = 10.0
"""Between signs of life, of a node and of the sweep."""
DRIVE_LAG_S = 60.0
"""Network drives show changes up to that late."""
SILENT_S = 120.0
"""Without a sign of life the other side is lost: well above ``DRIVE_LAG_S``."""


@dataclass(frozen=True)
class Letters:
    """The files through which a submitted job and the sweep know of each other.

    Args:
        folder: Beside the run.
        key: Of the submission.
    """

    folder: str
    key: str

    @property
    def node(self) -> Path:
        """The node's sign of life."""
        return Path(self.folder) / f"{self.key}.node"

    @property
    def sweep(self) -> Path:
        """The sweep's sign of life."""
        return Path(self.folder) / f"{self.key}.sweep"

    @property
    def end(self) -> Path:
        """How the job ended."""
        return Path(self.folder) / f"{self.key}.json"


class Pulse:
    """A sign of life: a file whose content changes while its writer lives; clocks are not compared."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = ""
        self._changed = time.monotonic()
        self._beaten = -BEAT_S
        self._count = 0

    @property
    def is_known(self) -> bool:
        """Whether it was ever seen."""
        return bool(self._seen)

    def beat(self) -> None:
        """Change the content, when it is time."""
        if time.monotonic() - self._beaten >= BEAT_S:
            self._beaten = time.monotonic()
            self._count += 1
            write_text(self.path, f"{os.getpid()} {self._count}")

    def silence_s(self) -> float:
        """Return for how long the content has not changed."""
        try:
            text = self.path.read_text()
        except FileNotFoundError:
            text = self._seen
        if text != self._seen:
            self._seen, self._changed = text, time.monotonic()
        return time.monotonic() - self._changed


def on_node(run: bytes, job: Job, letters: Letters, search: list[str], num_threads: int, timeout_min: int) -> None:
    """Start the job in a process of its own, wait for its end and leave a letter about it; runs on a node.

    Args:
        run: Does the job, pickled by name.
        job: The job.
        letters: Where.
        search: Folders that modules are looked for in.
        num_threads: Of numerical libraries.
        timeout_min: The job's longest time, for the error.
    """
    from submitit.core.utils import UncompletedJobError

    sys.path.extend(folder for folder in search if folder not in sys.path)
    own, sweep = Pulse(letters.node), Pulse(letters.sweep)
    is_again = letters.node.is_file()  # SLURM took the node away and has started the job again
    function: Run = pickle.loads(run)
    ended = Ended("interrupted")
    job = replace(job, resume=job.resume or is_again)
    child = Child(function, job, method="spawn", environment=dict(os.environ), num_threads=num_threads)
    try:
        while (now := child.poll()) is None and sweep.silence_s() < SILENT_S:
            own.beat()
            time.sleep(PAUSE_S)
        ended = ended if now is None else now
    except UncompletedJobError as error:  # raised by submitit's handler of SLURM's warning
        ended = Ended("failed", f"took longer than launcher.timeout_min = {timeout_min}")
        child.kill()
        child.before.died(ended.error)
        log.warning("%s", one_line(error))
    finally:
        child.kill()
        write_json(letters.end, asdict(ended))
