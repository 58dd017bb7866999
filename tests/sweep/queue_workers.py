"""Workers of a queue in processes of their own, which tests start together and kill.

``python queue_workers.py '<json>'`` forks them from a process that has imported Optuna once and has no threads; the
events that they write to a file are what the tests judge, beside the study itself.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tradewright.sweep.lease import Worker
from tradewright.sweep.queue import Queue, open_study
from tradewright.sweep.space import parse_space
from tradewright.sweep.storage import open_storage

SPACE = parse_space(
    ["lr=tag(log,interval(1e-5,1e-2))", "algorithm=ppo,sac", "seed=7"],
    conditional=[{"when": {"algorithm": "sac"}, "params": {"tau": "interval(0.001,0.1)"}}],
)
GRACE_S = 60.0
NAME = "test"
WORK = ("url", "num_slots", "events", "job_s", "grace_s")


def make_queue(url: str, num_slots: int, *, grace_s: float = GRACE_S, seed: int = 0, **more: Any) -> Queue:
    """Return a queue over the study of a storage; random parameters, a seed per slot."""
    from optuna.samplers import RandomSampler

    space = more.pop("space", SPACE)
    study = open_study(open_storage(url), NAME, more.pop("directions", ["maximize"]), {"space": space.describe()})
    how: dict[str, Any] = {
        "points": None,
        "sampler_for": lambda slot: RandomSampler(seed=1000 * seed + slot),
        "worker": Worker.current(),
        **more,
    }
    return Queue(study, space, num_slots=num_slots, grace_s=grace_s, **how)


def work(
    url: str,
    num_slots: int,
    events: str,
    *,
    job_s: float = 0.0,
    grace_s: float = GRACE_S,
    die_at: int | None = None,
    has_repeats: bool = False,
) -> None:
    """Do what a worker does until the queue is finished; write a line per begun and ended job.

    Args:
        url: Of the storage.
        num_slots: Jobs.
        events: File of the lines.
        job_s: Seconds of a job.
        grace_s: Silence after which a worker counts as dead; of a dead process without a lease it is all there is.
        die_at: Number of the write to the database before which the process kills itself; None: never.
        has_repeats: Every slot that has ended for the first time is run a second time.
    """
    queue = make_queue(url, num_slots, grace_s=grace_s)
    if die_at is not None:
        _die_at(queue, die_at)
    with open(events, "ab", buffering=0) as file:

        def say(*words: object) -> None:
            file.write((" ".join(map(str, [*words, os.getpid()])) + "\n").encode())

        if has_repeats:
            queue.repeat([one for one in queue.records() if one["state"] == "done" and not one["num_repeats"]])
        queue.fill()
        while not queue.is_finished:
            claim = queue.claim()
            if claim is None:
                queue.reclaim()
                queue.fill()
                time.sleep(0.02)
                continue
            say("begin", claim.slot, claim.attempt, *claim.overrides)
            time.sleep(job_s)
            queue.beat([claim])
            if queue.tell(claim, [float(claim.slot)], "done", "", {"limit": -1.0}):
                say("end", claim.slot, claim.attempt)


def _die_at(queue: Queue, number: int) -> None:
    """Kill this process just before a write to its database."""
    import sqlalchemy

    left = number

    def executes(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        nonlocal left
        if statement.lstrip().upper().startswith(("INSERT", "UPDATE", "DELETE")):
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    engine = queue.study._storage._backend.engine  # type: ignore[attr-defined]
    sqlalchemy.event.listen(engine, "before_cursor_execute", executes)


def fork(task: Callable[[], None]) -> int:
    """Run a task in a forked process; its exit code is 1 if it raised."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        task()
        code = 0
    except Exception:  # noqa: BLE001 - told on the way out
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def together(options: dict[str, Any]) -> dict[str, Any]:
    """Let workers empty one queue; return their exit codes."""
    common = {key: options[key] for key in WORK if key in options}
    pids = [fork(lambda: work(**common)) for _ in range(options["num_workers"])]
    num_killed = 0
    for pid in pids[: options.get("num_killed", 0)]:
        _wait_for_line(options["events"], pid)
        os.kill(pid, signal.SIGKILL)
        num_killed += 1
    return {"codes": [_code(pid) for pid in pids], "num_killed": num_killed}


def killed(options: dict[str, Any]) -> dict[str, Any]:
    """Kill workers at random moments and replace them, then let the last ones finish; return their exit codes.

    A worker that ends by itself ends the killing: the queue is finished.
    """
    generator = random.Random(options["seed"])
    common = {key: options[key] for key in WORK if key in options}

    def start() -> int:
        return fork(lambda: work(**common))

    pids = [start() for _ in range(options["num_workers"])]
    codes, num_killed = [], 0
    while num_killed < options["num_kills"]:
        pid = pids.pop(generator.randrange(len(pids)))
        if generator.random() < 0.6:  # the others are hit while they start
            _wait_for_line(options["events"], pid)
        time.sleep(generator.expovariate(1 / options["mean_s"]))
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            codes.append(os.waitstatus_to_exitcode(status))
            break
        os.kill(pid, signal.SIGKILL)
        num_killed += 1
        os.waitpid(pid, 0)
        pids.append(start())
    codes += [_code(pid) for pid in pids]
    return {"codes": codes, "num_killed": num_killed}


def at_every_write(options: dict[str, Any]) -> dict[str, Any]:
    """Kill the first worker of a fresh queue before its 1st, 2nd, ... write, and let a second one finish each queue.

    The queues are the files 1.db, 2.db, ...; ends with the first that needed no second worker. With a ``step`` only
    some of the writes are tried.
    """
    folder, codes = Path(options["folder"]), []
    blank, has_repeats = folder / "blank.db", options.get("has_repeats", False)
    begun = {"url": f"sqlite:///{blank}", "num_slots": options["num_slots"] if has_repeats else 0}
    if _code(fork(lambda: work(**begun, events=f"{blank}.events"))):  # in a process that has ended
        raise AssertionError("no storage")
    for number in range(options["first"], 1000, options["step"]):
        path = folder / f"{number}.db"
        for source in folder.glob("blank.db*"):  # its log too
            if not source.name.endswith((".events", "-shm")):
                Path(f"{path}{source.name.removeprefix('blank.db')}").write_bytes(source.read_bytes())
        common = {
            "url": f"sqlite:///{path}",
            "num_slots": options["num_slots"],
            "events": f"{path}.events",
            "grace_s": 1.0,
            "has_repeats": has_repeats,
        }
        first = _code(fork(lambda common=common, number=number: work(**common, die_at=number)))
        if first == 0:
            return {"codes": codes, "num_killed": len(codes)}
        codes.append(_code(fork(lambda common=common: work(**common))))
    raise AssertionError("the first worker never ended")


def die_in_lock(options: dict[str, Any]) -> dict[str, Any]:
    """Let a process die while it holds the lock of a journal; return its exit code."""

    def die() -> None:
        def sync(_: int) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        os.fsync = sync  # Optuna calls it inside the lock
        make_queue(options["url"], 5).fill()

    return {"codes": [_code(fork(die))]}


def _code(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _wait_for_line(path: str, pid: int) -> None:
    """Wait until a worker has begun a job or ended."""
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if os.path.exists(path) and any(line.endswith(f" {pid}") for line in Path(path).read_text().splitlines()):
            return
        time.sleep(0.005)


MODES = {one.__name__: one for one in (together, killed, at_every_write, die_in_lock)}


def run_workers(mode: str, timeout_s: float = 300.0, **options: Any) -> dict[str, Any]:
    """Run a mode in a process of its own; return what it printed."""
    done = subprocess.run(
        [sys.executable, __file__, json.dumps({"mode": mode, **options})],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = {**json.loads(done.stdout.splitlines()[-1]), "errors": done.stderr}
    return result


def main() -> None:
    """Run the mode that the command line asks for."""
    import optuna.samplers  # noqa: F401 - imported before the forks
    import sqlalchemy.orm  # noqa: F401

    options = json.loads(sys.argv[1])
    print(json.dumps(MODES[options.pop("mode")](options)))


if __name__ == "__main__":
    main()
