"""The log of an agent's decisions: one JSON object per line in ``decisions.jsonl``, each with its id, in time order."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from tradewright.errors import DataError
from tradewright.explain.state import State, from_json, to_json
from tradewright.output import write_text

FILE = "decisions.jsonl"


def write_decisions(path: Path, states: Iterable[State]) -> None:
    """Write the log, whole or not at all."""
    write_text(path, "".join(json.dumps(to_json(state), allow_nan=False) + "\n" for state in states))


def read_decisions(path: Path) -> tuple[State, ...]:
    """Read a log.

    Raises:
        DataError: The file is missing, a line is malformed, an id occurs twice, or decisions are out of order; named by
            file and row.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file; `tradewright generate_data run=<run>` writes it") from None
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 text ({error.reason} at byte {error.start})") from None
    states = []
    for number, line in enumerate(lines, start=1):
        place = f"{path.name} row {number}"
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            raise DataError(f"{place}: not valid JSON ({error.msg})") from None
        states.append(from_json(row, place))
    check_log(states, path.name)
    return tuple(states)


def check_log(states: Sequence[State], file: str) -> None:
    """Refuse decisions that are doubled or out of time order.

    Raises:
        DataError: Names file and row.
    """
    seen: set[str] = set()
    for number, state in enumerate(states, start=1):
        if state.id in seen:
            raise DataError(f"{file} row {number}: decision {state.id} was there before; keep one of them")
        if number > 1 and state.known_at < states[number - 2].known_at:
            raise DataError(f"{file} row {number}: {state.id} comes after a later decision; sort the file by known_at")
        seen.add(state.id)
