"""The trial ledger: an append-only file per experiment that remembers how many configurations were tried.

A trial is a distinct configuration without its seed on one data fingerprint. The ledger lies beside the runs,
so deleting runs does not lower the count. Each record is one short line, appended in one write.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from tradewright.errors import RunError
from tradewright.output import now

NAME = "trials.jsonl"


@dataclass(frozen=True)
class Ledger:
    """Trials of one experiment.

    Args:
        folder: ``outputs/<experiment>``.
    """

    folder: Path

    def record(self, *, trial: str, data_fingerprint: str, run: str, state: str) -> None:
        """Append one finished or pruned run."""
        line = json.dumps({"trial": trial, "data": data_fingerprint, "run": run, "state": state, "at": now()}) + "\n"
        self.folder.mkdir(parents=True, exist_ok=True)
        handle = os.open(self.folder / NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(handle, line.encode())
            os.fsync(handle)
        finally:
            os.close(handle)

    def count(self, data_fingerprint: str) -> int:
        """Return the number of distinct trials on these data.

        Raises:
            RunError: A line is damaged; named, because a lost trial would flatter the deflated Sharpe.
        """
        path = self.folder / NAME
        if not path.is_file():
            return 0
        trials = set()
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            try:
                entry = json.loads(line)
                if entry["data"] == data_fingerprint:
                    trials.add(entry["trial"])
            except (json.JSONDecodeError, KeyError, TypeError):
                raise RunError(f"{path}: line {number} is not a trial record; mend or remove that line") from None
        return len(trials)
