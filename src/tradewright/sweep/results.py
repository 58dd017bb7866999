"""What a sweep leaves beside its jobs: ``sweep.json``, ``best.yaml``, and no more checkpoints than were asked for."""

from typing import Any

import yaml

from tradewright.output import CHECKPOINTS, now, write_json, write_text
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
    """Delete the checkpoints of every finished slot but the ``num`` best; the objective's first metric decides."""
    (way, *_) = plan.objectives.metrics.values()
    done = [one for one in queue.records() if one["state"] in ("done", "failed", "pruned")]
    ranked = sorted(
        (one for one in done if one["state"] == "done"),
        key=lambda one: -one["values"][0] if way == "maximize" else one["values"][0],
    )
    kept = {one["slot"] for one in ranked[:num]}
    for one in done:
        if one["slot"] not in kept:
            for directory in plan.slot_directories(one["slot"]):
                for path in (directory / CHECKPOINTS).glob("*.ckpt"):
                    path.unlink(missing_ok=True)
