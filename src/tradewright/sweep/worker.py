"""``Worker``: claims slots of a sweep, has them run, and tells what became of them, until nothing is left.

Any number of workers, processes or machines, do the same on one queue. A worker that finds a slot's directory finished
(an earlier worker died before it told the queue) adopts the result; one that finds it begun continues it from its
checkpoint. The first Ctrl-C lets running jobs finish, the second ends them; they continue when the command is repeated.
"""

import logging
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from tradewright.errors import RunError
from tradewright.output import STATUS, read_json, write_json
from tradewright.sweep.guard import fail, reopen
from tradewright.sweep.job import Ended, Handle, Job, Pruning, Run, Session
from tradewright.sweep.objective import Outcome, read_outcome
from tradewright.sweep.plan import Plan
from tradewright.sweep.queue import Claim, Queue
from tradewright.sweep.results import Results, status_of
from tradewright.sweep.words import duration, short

log = logging.getLogger("tradewright.sweep")

PAUSE_S = 0.05
TIMEOUT = "sweep.trial_timeout_s"
LOOK_S = 1.0
"""Between two looks at a queue in which nothing waits."""
SLOT_FILE = "slot.json"
"""In a slot's folder: the parameters that it belongs to, and how many of its repetitions have begun there."""


@dataclass
class Tally:
    """What one worker saw.

    Args:
        failures: Error by slot.
        pruned: Slots whose options do not fit together.
    """

    num_done: int = 0
    num_adopted: int = 0
    failures: dict[int, str] = field(default_factory=dict)
    misfits: list[int] = field(default_factory=list)
    num_pruned: int = 0
    is_interrupted: bool = False


@dataclass
class Running:
    """A claimed slot whose runs are done one after another."""

    claim: Claim
    waiting: list[Path]
    handle: Handle
    directory: Path
    started: float


class Worker:
    """Empties the queue of a sweep.

    Args:
        plan: The sweep.
        queue: Its slots.
        run: Does one job.
        place: Configuration folders and working directory, as ``Job`` takes them: ``conf``, ``extra``, ``cwd``.
        say: Prints a line.
    """

    def __init__(
        self, plan: Plan, queue: Queue, *, run: Run, place: dict[str, Any], say: Callable[[str], None]
    ) -> None:
        self.plan, self.queue, self.run, self.place, self.say = plan, queue, run, place, say
        self.tally = Tally()
        self._running: list[Running] = []
        self._stops = 0
        self._beaten = self._begun = time.monotonic()
        self._look_at = 0.0
        self._told: set[str] = set()
        self._results = Results(plan, queue)

    def work(self) -> Tally:
        """Work until the sweep has ended or was stopped, and return what was seen."""
        self.queue.fill()
        with self.plan.launcher.open(self.run, self.plan.num_slots) as session, self._signals():
            try:
                while self._turn(session):
                    time.sleep(PAUSE_S)
            except BaseException:
                self._give_back("the worker ended")
                raise
            finally:
                self._results.update(is_last=True)
        return self.tally

    def _turn(self, session: Session) -> bool:
        """Do what is due; return whether anything is left to do."""
        if self._stops > 1:
            self._give_back("interrupted")
        for one in list(self._running):
            self._look_after(one, session)
        self._beat()
        if self._stops:
            self.tally.is_interrupted = True
            return bool(self._running)
        if not self._has_time():
            return bool(self._running)
        if len(self._running) == session.capacity or time.monotonic() < self._look_at:
            return True
        while len(self._running) < session.capacity:
            if not self._start_next(session):
                self._look_at = time.monotonic() + min(LOOK_S, self.plan.sweep.heartbeat_s)
                return bool(self._running) or not self.queue.is_finished
        return True

    def _has_time(self) -> bool:
        limit = self.plan.sweep.timeout_s
        return limit is None or time.monotonic() - self._begun < limit

    def _beat(self) -> None:
        """Show that this worker lives, and take over what others have left."""
        now = time.monotonic()
        if now - self._beaten < self.plan.sweep.heartbeat_s and self._running:
            return
        if now - self._beaten < min(1.0, self.plan.sweep.heartbeat_s):
            return
        self._beaten = now
        taken = self.queue.beat([one.claim for one in self._running])
        for one in [one for one in self._running if one.claim in taken]:
            self.say(f"job {one.claim.slot} was taken over by another worker: this one was away for too long")
            one.handle.kill()
            self._running.remove(one)
        if not self._stops:
            for slot in self.queue.reclaim():
                self.say(f"job {slot} was left by a worker that ended; it is taken over")
            self.queue.fill()

    def _start_next(self, session: Session) -> bool:
        """Claim a slot and start or adopt it; False if none waits."""
        claim = self.queue.claim()
        if claim is None:
            return False
        directories = self.plan.slot_directories(claim.slot)
        try:
            self._own(claim)
        except RunError as error:
            self._tell(claim, Outcome.failed(str(error)))
            return True
        waiting = [path for path in directories if status_of(path) not in ("done", "failed", "pruned")]
        ended = [path for path in directories if path not in waiting]
        if ended:
            self.tally.num_adopted += 1
        if not waiting or any(status_of(path) != "done" for path in ended):
            self._conclude(claim)
        elif claim.num_losses >= self.plan.sweep.max_attempts:
            self._give_up(claim, waiting)
        else:
            self._start(claim, waiting, session)
        return True

    def _give_up(self, claim: Claim, waiting: list[Path]) -> None:
        """Fail a slot whose job takes its worker with it each time, as where the machine's memory runs out."""
        limit = self.plan.sweep.max_attempts
        reason = f"lost {claim.num_losses} times: its worker died or fell silent (sweep.max_attempts = {limit})"
        for path in waiting:
            if (path / STATUS).is_file():
                fail(path, reason)
        self._tell(claim, Outcome.failed(reason))

    def _own(self, claim: Claim) -> None:
        """Note in the slot's folder which parameters it belongs to; where it is tried again, let it go on.

        Runs of it that failed before its newest repetition are reopened, once: the folder knows which it has seen.

        Raises:
            RunError: It belongs to others.
        """
        path = self.plan.directory / str(claim.slot) / SLOT_FILE
        try:
            known: dict[str, Any] = read_json(path) if path.is_file() else {"point": claim.point, "repeats": -1}
            point, num_repeats = known["point"], int(known.get("repeats", 0))
            if point == claim.point and num_repeats < claim.num_repeats:
                for directory in self.plan.slot_directories(claim.slot):
                    if claim.num_repeats and status_of(directory) == "failed":
                        reopen(directory)
                content = {"point": claim.point, "overrides": claim.overrides, "repeats": claim.num_repeats}
                write_json(path, content)
        except (OSError, TypeError, KeyError, ValueError, AttributeError) as error:
            raise RunError(f"{path}: is no record of a slot ({error}); move its folder away") from error
        if point != claim.point:
            own, other = (" ".join(f"{key}={text}" for key, text in each.items()) for each in (claim.point, point))
            raise RunError(f"{path.parent}: belongs to {other}, not to {own}; move it away")

    def _start(self, claim: Claim, waiting: list[Path], session: Session) -> None:
        directory, *later = waiting
        try:
            handle = session.start(self._job(claim, directory))
        except BaseException:
            self.queue.release(claim, "interrupted")
            raise
        self._running.append(Running(claim, later, handle, directory, time.monotonic()))

    def _job(self, claim: Claim, directory: Path) -> Job:
        overrides = list(claim.overrides)
        seeds = self.plan.seeds
        if len(seeds) > 1:
            overrides.append(f"seed={directory.name}")
        pruning = None
        if self.plan.pruner is not None and directory == self.plan.slot_directories(claim.slot)[0]:
            (monitor,) = self.plan.objectives.metrics
            pruning = Pruning(self.plan.study, claim.trial.number, monitor, self.plan.pruner)
        return Job(
            number=claim.slot,
            directory=str(directory),
            overrides=tuple(overrides),
            swept=self.plan.space.keys,
            resume=(directory / STATUS).is_file(),
            pruning=pruning,
            **self.place,
        )

    def _look_after(self, one: Running, session: Session) -> None:
        """Go on with a slot whose run has ended; end one that takes too long."""
        ended = one.handle.poll()
        limit = self.plan.sweep.trial_timeout_s
        if ended is None and limit is not None and time.monotonic() - one.started > limit:
            one.handle.kill()
            ended = (
                Ended("done")
                if status_of(one.directory) == "done"
                else Ended("failed", f"took longer than {TIMEOUT} = {limit:g} s")
            )
            if ended.state == "failed":
                fail(one.directory, ended.error)
        if ended is None:
            return
        self._running.remove(one)
        self._look_at = 0.0
        self._warn(ended)
        if ended.state == "failed" and status_of(one.directory) == "interrupted":
            fail(one.directory, ended.error)  # it ended before it wrote a status of its own
        if ended.state == "interrupted":
            self.queue.release(one.claim, ended.error or "interrupted", is_lost=ended.is_lost)
        elif ended.state == "done" and one.waiting:
            self._start(one.claim, one.waiting, session)
        else:
            self._conclude(one.claim, ended)

    def _warn(self, ended: Ended) -> None:
        for warning in ended.warnings:
            if warning not in self._told:
                self._told.add(warning)
                self.say(f"warning: {warning}")

    def _conclude(self, claim: Claim, ended: Ended | None = None) -> None:
        """Read what a slot's runs left behind and tell it."""
        directories = self.plan.slot_directories(claim.slot)
        outcome = read_outcome(directories, self.plan.objectives, self.plan.constraints)
        if ended is not None and ended.state == "failed":
            outcome = Outcome.failed(ended.error)
        is_misfit = ended is not None and ended.is_misfit
        if is_misfit and ended is not None:
            self.tally.misfits.append(claim.slot)
            if ended.error not in self._told:
                self._told.add(ended.error)
                self.say(f"job {claim.slot} and all like it left out: {' '.join(ended.error.split())}")
        self._tell(claim, outcome, is_done=ended is not None and ended.state == "done", is_misfit=is_misfit)

    def _tell(self, claim: Claim, outcome: Outcome, *, is_done: bool = False, is_misfit: bool = False) -> None:
        self.queue.tell(claim, outcome.values, outcome.state, outcome.reason, outcome.constraints)
        num_ended = self._results.num_ended()
        if outcome.state == "pruned":
            self.tally.num_pruned += 1
            if not is_misfit:
                self.say(f"job {claim.slot} pruned: {outcome.reason}")
        elif outcome.state == "failed" and not (is_done and self.plan.points is not None):
            self.tally.failures[claim.slot] = outcome.reason
            self.say(f"job {claim.slot} failed: {' '.join(outcome.reason.split()) or 'without a word'}")
        else:
            self.tally.num_done += 1
            self.say(self._line(claim, outcome, num_ended))
        self._results.update()

    def _line(self, claim: Claim, outcome: Outcome, ended: int) -> str:
        names = " ".join(f"{key.rpartition('.')[2]}={short(text)}" for key, text in claim.point.items())
        metrics = list(self.plan.objectives.metrics) if outcome.values else []
        figures = ", ".join(f"{key} {value:.4g}" for key, value in zip(metrics, outcome.values or (), strict=True))
        left = self.plan.num_slots - ended
        time_left = f", about {duration(self._pace() * left)} left" if left else ""
        return f"job {claim.slot} done ({ended} of {self.plan.num_slots}{time_left}): {figures or 'no figure'}; {names}"

    def _pace(self) -> float:
        """Return the seconds per job of this worker so far."""
        num = self.tally.num_done + self.tally.num_pruned + len(self.tally.failures)
        return (time.monotonic() - self._begun) / max(1, num)

    def _give_back(self, reason: str) -> None:
        """End every running job and return its slot."""
        for one in self._running:
            one.handle.kill()
            self.queue.release(one.claim, reason)
        self._running.clear()

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """Count interruptions instead of being ended by them, where signals can be handled."""

        def interrupted(number: int, _: FrameType | None) -> None:
            self._stops += 2 if number == signal.SIGTERM else 1
            if self._stops == 1:
                self.say("stopping after the running jobs; Ctrl-C again ends them, the same command continues them")

        handled = (signal.SIGINT, signal.SIGTERM) if self.plan.launcher.is_isolated else ()
        try:
            before = {number: signal.signal(number, interrupted) for number in handled}
        except ValueError:  # not the main thread
            before = {}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
