"""What a sweep leaves beside its jobs: ``sweep.json``, ``best.yaml``, and no more checkpoints than were asked for."""

from pathlib import Path
from typing import Any

import yaml

from tradewright.errors import RunError
from tradewright.output import BEST, CHECKPOINTS, STATUS, now, read_json, write_json, write_text
from tradewright.sweep.plan import Plan
from tradewright.sweep.queue import Queue
from tradewright.sweep.slots import best_of

SWEEP_FILE, BEST_FILE = "sweep.json", "best.yaml"


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
    ended = [one for one in records if one["state"] in ("done", "failed", "pruned")]
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
