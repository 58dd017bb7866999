"""What a sweep leaves beside its jobs: ``sweep.json``, ``best.yaml``, and no more checkpoints than were asked for."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from tradewright.errors import RunError
from tradewright.output import BEST, CHECKPOINTS, STATUS, now, read_json, write_json, write_text
from tradewright.sweep.plan import Plan
from tradewright.sweep.queue import Queue
from tradewright.sweep.slots import Record, best_of
from tradewright.sweep.storage import without_secret

SWEEP_FILE, BEST_FILE = "sweep.json", "best.yaml"


ENDED = ("done", "pruned", "failed")
LEAST_S = 1.0
"""Between two versions of ``sweep.json``."""
SHARE = 10
"""Times what the last look or version took that must pass before the next: ten thousand slots take a second."""


class Results:
    """What one worker writes about the sweep, no more often than its size allows.

    Args:
        plan: The sweep.
        queue: Its slots.
    """

    def __init__(self, plan: Plan, queue: Queue) -> None:
        self.plan, self.queue = plan, queue
        self._write_at = self._count_at = 0.0
        self._num_ended = 0

    def update(self, *, is_last: bool = False) -> None:
        """Write ``sweep.json`` and ``best.yaml``, and delete the checkpoints that are not kept, if it is time."""
        begun = time.monotonic()
        if begun < self._write_at and not is_last:
            return
        write_results(self.plan, self.queue)
        if self.plan.sweep.keep_checkpoints is not None:
            keep_best_checkpoints(self.plan, self.queue, self.plan.sweep.keep_checkpoints)
        end = time.monotonic()
        self._write_at = end + max(LEAST_S, SHARE * (end - begun))

    def num_ended(self) -> int:
        """Return how many slots have ended, after this worker has ended one more; of others' a little late."""
        begun = time.monotonic()
        if begun < self._count_at:
            self._num_ended += 1
            return self._num_ended
        counts = self.queue.counts()
        self._num_ended = sum(counts[state] for state in ENDED)
        end = time.monotonic()
        self._count_at = end + SHARE * (end - begun)
        return self._num_ended


def gone(plan: Plan, records: Sequence[Record]) -> list[Record]:
    """Return the jobs that have ended but whose run directories are not there any more.

    Jobs that never had one (their parameters could not be chosen) are not among them.

    Args:
        plan: The sweep; its folder is there.
        records: Of its slots.

    Raises:
        RunError: Not one is there although the queue lies elsewhere: this is not the folder that its workers share.
    """
    names = {path.name for path in plan.directory.iterdir() if path.is_dir()}
    ended = [one for one in records if one["state"] in ENDED and one["overrides"] and one["slot"] < plan.num_slots]
    missing = [one for one in ended if str(one["slot"]) not in names or _lacks_seed(plan, one)]
    if missing and len(missing) == len(ended) and plan.is_queue_apart:
        raise RunError(
            f"{plan.directory}: expected the folders of the {len(ended)} jobs that have ended in the queue"
            f" {without_secret(plan.url)}, found none; all workers share one output_dir: restore or mount it, or begin"
            " anew with sweep.name=<another>"
        )
    return missing


def _lacks_seed(plan: Plan, one: Record) -> bool:
    """Whether a job of several seeds is done but lacks one of its runs; of others the later ones never began."""
    return (
        len(plan.seeds) > 1
        and one["state"] == "done"
        and not all(path.is_dir() for path in plan.slot_directories(one["slot"]))
    )


def write_results(plan: Plan, queue: Queue) -> None:
    """Write ``sweep.json`` (all slots) and, once a job is done, ``best.yaml``."""
    records = queue.records()
    write_json(
        plan.directory / SWEEP_FILE,
        {
            "study": plan.study,
            "written_at": now(),
            "num_slots": plan.num_slots,
            "counts": queue.counts(),
            "objective": plan.objectives.metrics,
            "description": plan.description,
            "slots": records,
        },
    )
    best = best_of(records, [way == "maximize" for way in plan.objectives.metrics.values()])
    if best:
        write_text(plan.directory / BEST_FILE, best_text(plan, best))


def best_text(plan: Plan, best: list[Any]) -> str:
    """Return ``best.yaml``: the command line of the best job; of several objectives that of the first of the front.

    Args:
        plan: The sweep.
        best: Records of the best slots, see ``Queue.best``.
    """
    first = best[0]
    figures = ", ".join(
        f"{metric} {value:.6g}" for metric, value in zip(plan.objectives.metrics, first["values"], strict=True)
    )
    again = f"# Run it again: tradewright from={plan.directory / BEST_FILE}"
    note = f"# Best of {plan.study}: job {first['slot']}, {figures}.\n{again}"
    others = "".join(f"# Also on the front: job {one['slot']}\n" for one in best[1:])
    content = {"overrides": list(first["overrides"])}
    return f"{note}\n{others}{yaml.safe_dump(content, sort_keys=False)}"


def keep_best_checkpoints(plan: Plan, queue: Queue, num: int) -> None:
    """Delete the checkpoints of every finished slot but the ``num`` best, and those that ``best.yaml`` names.

    What keeps the constraints comes first, then the objective's first metric decides.
    """
    (way, *_) = plan.objectives.metrics.values()
    records = queue.records()
    ended = [one for one in records if one["state"] in ENDED]
    sign = -1.0 if way == "maximize" else 1.0
    ranked = sorted(
        (one for one in ended if one["state"] == "done"),
        key=lambda one: (any(value > 0 for value in one["constraints"].values()), sign * one["values"][0]),
    )
    best = best_of(records, [direction == "maximize" for direction in plan.objectives.metrics.values()])
    kept = {one["slot"] for one in (*ranked[:num], *best)}
    for one in ended:
        if one["slot"] not in kept:
            for directory in plan.slot_directories(one["slot"]):
                for path in ((directory / CHECKPOINTS).glob("*.ckpt"), [directory / CHECKPOINTS / BEST]):
                    for file in path:
                        file.unlink(missing_ok=True)


def failed_slots(plan: Plan, queue: Queue) -> dict[int, str]:
    """Return the errors of all jobs that failed, whichever worker saw it, by slot.

    A job of a grid that is done but lacks the objective's metric has not failed.
    """
    found = {}
    for one in queue.records():
        if one["state"] == "failed":
            states = [status_of(path) for path in plan.slot_directories(one["slot"])]
            if plan.points is None or any(state != "done" for state in states):
                found[one["slot"]] = str(one["reason"])
    return found


def status_of(directory: Path) -> str:
    """Return the state that a run directory records; ``interrupted`` is to go on, what is damaged has failed."""
    path = directory / STATUS
    if not path.is_file():
        return "missing"
    try:
        status = read_json(path)
        return "interrupted" if status.get("error") == "interrupted" else str(status.get("state"))
    except (RunError, AttributeError):
        return "failed"  # the outcome names the damage
