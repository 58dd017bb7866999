"""``task=replay``: run a finished run again from its own directory and say where it differs, and what may be why.

The replay goes into the experiment's folder, also that of a sweep's job: it is no job of the sweep. It is judged with
the trials that the run knew of and is no trial of its own, unless own code or data make it one.
"""

import contextlib
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

from omegaconf import DictConfig, OmegaConf

from tradewright.config.check import require_valid
from tradewright.config.locate import class_attribute
from tradewright.config.root import new_run_id
from tradewright.config.targets import open_own_folder
from tradewright.errors import RunError
from tradewright.ledger import Ledger, Repeated
from tradewright.output import CONFIG, METRICS, PROVENANCE, make_folder, read_json, read_metrics
from tradewright.provenance import repeated_run, run_origin
from tradewright.sweep.results import SWEEP_FILE
from tradewright.task.changes import Change, data_changes, find_changes
from tradewright.task.context import has_market, panel_facts, read_market
from tradewright.task.repetition import Repetition, compare_equity, compare_figures, print_changes
from tradewright.task.trained import require_run_directory

HYDRA_FILE = Path(".hydra") / "hydra.yaml"
SLOT_DEPTH = 2
"""Folders from a run up to its sweep, at most: ``<sweep>/<slot>/<seed>``."""


class Replay:
    """Repeats ``run`` in a new directory of its experiment and compares code, versions, data and every number.

    Args:
        run: A finished run directory.
        rtol: Largest relative difference that counts as equal; 0: to the bit, which a CPU run reaches.
        any_data: Replay although the data have changed, to see what that does; False: refuse.

    Raises:
        ValueError: ``rtol`` is negative.
    """

    needs_run_directory: ClassVar[bool] = False

    def __init__(self, *, run: str, rtol: float = 0.0, any_data: bool = False) -> None:
        if not rtol >= 0:
            raise ValueError(f"rtol must be >= 0, was {rtol}")
        self.run = run
        self.directory = Path(run).absolute()
        require_run_directory(Path(run))
        self.rtol, self.any_data = rtol, any_data

    def execute(self, cfg: DictConfig) -> dict[str, float]:
        """Run again.

        Raises:
            RunError: The directory holds no finished run, the data have changed, or a figure differs.
        """
        from tradewright.run import run

        if not (self.directory / CONFIG).is_file() or not (self.directory / METRICS).is_file():
            raise RunError(f"{self.run}: no finished run; expected {CONFIG} and {METRICS}")
        recorded = OmegaConf.load(self.directory / CONFIG)
        assert isinstance(recorded, DictConfig)
        record, expected = read_json(self.directory / PROVENANCE), read_metrics(self.directory)
        with _where_it_was_started(self.directory):
            open_own_folder(recorded.get("allow") or [])
            changes = self._changes(recorded, record)
            folder = experiment_folder(self.directory, recorded)
            repeats = _first_of(record) or Repeated(Ledger(folder).name_of(self.directory), record.get("trial") or "")
            target = folder / new_run_id()
            make_folder(target, key="output_dir")
            if (self.directory / HYDRA_FILE).is_file():  # what was chosen, for a replay of the replay
                shutil.copytree(self.directory / HYDRA_FILE.parent, target / HYDRA_FILE.parent)
            origin = run_origin(self.directory, is_current=False)
            found = run(recorded, directory=target, origin=origin, repeats=repeats)
        repetition = Repetition(
            run=self.run,
            rtol=self.rtol,
            changes=changes,
            num_figures=len(expected.keys() | found.keys()),
            figures=compare_figures(expected, found, rtol=self.rtol),
            equity=compare_equity(self.directory, target, rtol=self.rtol),
        )
        repetition.write(target)
        repetition.print_numbers()
        if not repetition.is_equal:
            raise RunError(repetition.verdict())
        print(repetition.verdict())
        return found

    def _changes(self, recorded: DictConfig, record: dict[str, Any]) -> list[Change]:
        """Print and return what has changed since the run.

        Raises:
            RunError: The data have, and were to be the same.
            ConfigError: The code no longer takes the run's configuration.
        """
        since = str(record.get("created_at") or "the run")
        changes = find_changes(self.directory, record, list(recorded.get("allow") or []))
        print_changes(changes, since=since)
        require_valid(recorded)
        of_data = data_changes(record, _data_facts(recorded))
        print_changes(of_data, since=since)
        if of_data and not self.any_data:
            raise RunError(
                f"{self.run}: the bars have changed since this run; its numbers cannot be repeated"
                " (task.any_data=true replays all the same and compares)"
            )
        return [*changes, *of_data]


def experiment_folder(directory: Path, cfg: DictConfig) -> Path:
    """Return the folder in which a run's replay belongs: beside the run, of a sweep's job beside the sweep.

    Args:
        directory: The run directory.
        cfg: Its configuration.
    """
    sweep = next((path for path in list(directory.parents)[:SLOT_DEPTH] if (path / SWEEP_FILE).is_file()), None)
    if sweep is None:
        return directory.parent
    return sweep.parent if sweep.parent.name == cfg.name else Path(str(cfg.output_dir)).absolute() / str(cfg.name)


def _first_of(record: dict[str, Any]) -> Repeated | None:
    """Return the run that a replay repeated, where it is the same trial: the ledger knows that one only."""
    first = repeated_run(record)
    return first if first is not None and first.trial == record.get("trial") else None


@contextlib.contextmanager
def _where_it_was_started(directory: Path) -> Iterator[None]:
    """Work where the run was started, if that folder is there: its data and own classes may be given from there."""
    path = directory / HYDRA_FILE
    folder = Path(str(OmegaConf.load(path).hydra.runtime.cwd)) if path.is_file() else Path.cwd()
    with contextlib.chdir(folder if folder.is_dir() else Path.cwd()):
        yield


def _data_facts(cfg: DictConfig) -> dict[str, Any]:
    """Return what is known of the bars, the examples or the environment that a configuration names now."""
    if class_attribute(str(cfg.evaluate.get("_target_", "")), "judges") == "text":
        from tradewright.task.texts import example_facts, read_texts

        return example_facts(read_texts(cfg).sets)
    if has_market(cfg):
        return panel_facts(read_market(cfg, with_features=False).panel)
    from tradewright.task.episodes import read_bench

    return dict(read_bench(cfg).facts)
