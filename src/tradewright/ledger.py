"""The trial ledger: an append-only file per experiment that remembers how many configurations were tried.

A trial is a distinct configuration without its seed on one data fingerprint. The ledger lies beside the runs,
so deleting runs does not lower the count. Each record is one short line, appended in one write.
"""

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tradewright.errors import RunError
from tradewright.evaluate.evidence import Trials
from tradewright.output import now

NAME = "trials.jsonl"


@dataclass(frozen=True)
class Repeated:
    """A run that another one repeats.

    Args:
        run: Its name as ``Ledger.name_of`` gives it.
        trial: Identity of its trial; empty if it recorded none.
    """

    run: str
    trial: str = ""

    def is_in(self, entry: Mapping[str, Any]) -> bool:
        """Return whether a record is the run's; older versions named the job of a sweep by its last folder alone."""
        if entry["run"] == self.run:
            return True
        folder, _, name = self.run.rpartition("/")
        return bool(folder) and entry["run"] == name and entry["trial"] == self.trial


@dataclass(frozen=True)
class Ledger:
    """Trials of one experiment.

    Args:
        folder: ``outputs/<experiment>``.
    """

    folder: Path

    def name_of(self, directory: Path) -> str:
        """Return the name of a run directory: its path below the experiment's folder, ``<run>`` or ``<sweep>/0``.

        One that lies elsewhere is named by its last folder.
        """
        path, folder = directory.resolve(), self.folder.resolve()
        return path.relative_to(folder).as_posix() if path.is_relative_to(folder) else path.name

    def record(self, *, trial: str, data_fingerprint: str, run: str, state: str, sharpe: float | None = None) -> None:
        """Append one finished or pruned run.

        Args:
            trial: Identity of the trial.
            data_fingerprint: Of the data it saw.
            run: Name of the run directory, see ``name_of``.
            state: How it ended.
            sharpe: Annualised Sharpe ratio on the test range; None or NaN where there is none.
        """
        known = None if sharpe is None or not math.isfinite(sharpe) else float(sharpe)
        entry = {"trial": trial, "data": data_fingerprint, "run": run, "state": state, "sharpe": known, "at": now()}
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, (json.dumps(entry) + "\n").encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def sharpes(self, data_fingerprint: str, *, until: Repeated | None = None) -> dict[str, float | None]:
        """Return every trial on these data, with the last Sharpe ratio that one of its runs recorded.

        Args:
            data_fingerprint: Of the data.
            until: What was recorded after this run first was is left out. None: everything.

        Raises:
            RunError: A line is damaged; named, because a lost trial would flatter the deflated Sharpe ratio.
        """
        path = self.folder / NAME
        if not path.is_file():
            return {}
        found: dict[str, float | None] = {}
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            try:
                entry = json.loads(line)
                if entry["data"] == data_fingerprint:
                    sharpe = entry.get("sharpe")  # absent from lines of older versions
                    found[entry["trial"]] = found.get(entry["trial"]) if sharpe is None else float(sharpe)
                if until is not None and until.is_in(entry):
                    break
            except (json.JSONDecodeError, KeyError, TypeError, ValueError):
                raise RunError(f"{path}: line {number} is not a trial record; mend or remove that line") from None
        return found

    def count(self, data_fingerprint: str) -> int:
        """Return the number of distinct trials on these data.

        Raises:
            RunError: A line is damaged.
        """
        return len(self.sharpes(data_fingerprint))

    def trials(self, data_fingerprint: str, *, present: str, until: Repeated | None = None) -> Trials:
        """Return the trials on these data, the present one included whether or not it is recorded yet.

        Args:
            data_fingerprint: Of the data.
            present: Identity of the trial that is being judged; a repetition with another seed is the same trial.
            until: As in ``sharpes``.

        Raises:
            RunError: A line is damaged.
        """
        known = self.sharpes(data_fingerprint, until=until)
        others = {trial: sharpe for trial, sharpe in known.items() if trial != present}
        return Trials(num=len(others) + 1, sharpe_K=tuple(value for value in others.values() if value is not None))
