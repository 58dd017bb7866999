"""``Sweep``: the config node of group ``sweep``: what is searched for, with which sampler, and how long."""

from tradewright.sweep.samplers import Sampler

GRACE_S = 60.0
"""Silence after which a worker counts as dead, where the launcher's jobs end with it."""


class Sweep:
    """Settings of a sweep.

    Args:
        sampler: Chooses the parameters; a grid tries every combination.
        name: Name of the sweep below the experiment's folder; the same name continues it. None: from a hash of what
            is searched, so that the same command continues it.
        storage: URL of the queue; None: a SQLite file in the sweep's folder. PostgreSQL, or a journal file on a
            network drive, lets several machines work on one sweep.
        num_trials: Jobs of a sampler, >= 1; a grid has as many as it has points. More later adds the difference.
        objective: ``validation/*`` metric, or ``{metric: maximize | minimize}`` for several. None: the metric that
            chooses the checkpoint.
        constraints: ``{validation/max_drawdown: "<= 0.25"}``.
        seeds: Trainings per trial, from the run's seed on, whose mean objective counts; >= 1.
        seed: Of the sampler, >= 0.
        retry_failed: Jobs that had failed before the command are tried once more, with the same parameters: from their
            checkpoint if there is one, else from the beginning; their logs stay. A run that ended without a figure is
            only read again.
        max_attempts: How often a job may be lost with its worker (killed, out of memory, silent) before it counts as
            failed, >= 1. What the user interrupts does not count.
        timeout_s: Seconds after which no further job starts; None: no limit.
        trial_timeout_s: Seconds after which a job is ended and counts as failed; None: no limit.
        keep_checkpoints: Jobs whose checkpoints are kept, the best ones, >= 1; None: all.
        max_failure_rate: Share of failed jobs up to which the command still succeeds, in [0, 1].
        heartbeat_s: Seconds between two signs of life of a worker, > 0.
        grace_s: Seconds without one after which another worker takes a job over, > ``heartbeat_s``. None: what the
            launcher needs, at least 60.

    Raises:
        ValueError: A value is out of range.
    """

    def __init__(
        self,
        *,
        sampler: Sampler,
        name: str | None = None,
        storage: str | None = None,
        num_trials: int | None = None,
        objective: str | dict[str, str] | None = None,
        constraints: dict[str, str] | None = None,
        seeds: int = 1,
        seed: int = 0,
        retry_failed: bool = False,
        max_attempts: int = 5,
        timeout_s: float | None = None,
        trial_timeout_s: float | None = None,
        keep_checkpoints: int | None = None,
        max_failure_rate: float = 0.0,
        heartbeat_s: float = 10.0,
        grace_s: float | None = None,
    ) -> None:
        counts = {"num_trials": num_trials, "seeds": seeds, "max_attempts": max_attempts}
        for key, value in {**counts, "keep_checkpoints": keep_checkpoints}.items():
            if value is not None and value < 1:
                raise ValueError(f"{key} must be >= 1, was {value}")
        for key, limit in {"timeout_s": timeout_s, "trial_timeout_s": trial_timeout_s}.items():
            if limit is not None and not limit > 0:
                raise ValueError(f"{key} must be > 0, was {limit}")
        if seed < 0:
            raise ValueError(f"seed must be >= 0, was {seed}")
        if not 0 <= max_failure_rate <= 1:
            raise ValueError(f"max_failure_rate must be in [0, 1], was {max_failure_rate}")
        longest = GRACE_S if grace_s is None else grace_s
        if not 0 < heartbeat_s < longest:
            raise ValueError(f"heartbeat_s must be > 0 and below grace_s = {longest:g}, was {heartbeat_s:g}")
        if name is not None and (not name or any(mark in name for mark in "/\\") or name.startswith(".")):
            raise ValueError(f"name must be the name of a folder, was {name!r}")
        if num_trials is None and not sampler.has_grid:
            raise ValueError("num_trials must be given: only a grid knows how many jobs it has")
        self.sampler, self.name, self.storage, self.num_trials = sampler, name, storage, num_trials
        self.objective, self.constraints = objective, constraints or {}
        self.seeds, self.seed = seeds, seed
        self.retry_failed, self.max_attempts = retry_failed, max_attempts
        self.timeout_s, self.trial_timeout_s = timeout_s, trial_timeout_s
        self.keep_checkpoints, self.max_failure_rate = keep_checkpoints, max_failure_rate
        self.heartbeat_s, self.grace_s = heartbeat_s, grace_s
