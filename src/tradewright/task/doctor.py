"""``task=doctor``: is this machine ready? One row per requirement, each pass, warn or fail with advice.

Hardware below the recommendation only warns: the embedded default and tiny models run on any machine. A package outside
its bounds or a folder that cannot be written fails. ``fix=true`` prepares folders and a first experiment file.
With ``run=`` a run is examined instead: what its directory says went wrong, each finding with advice.
"""

import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, metadata, requires, version
from pathlib import Path
from typing import ClassVar, Literal

from omegaconf import DictConfig

from tradewright.errors import RunError
from tradewright.task.machine import gpu_memory_bytes, memory_bytes, num_cores

State = Literal["pass", "warn", "fail"]

GIB = 1024**3
STYLES = {"pass": "green", "warn": "yellow", "fail": "bold red"}
EXPERIMENT = """# My first experiment: another reward and seed
# tradewright experiment=mine
defaults:
  - override /reward: differential_sharpe
seed: 1
"""


@dataclass(frozen=True)
class Size:
    """A hardware requirement.

    Args:
        minimum: Least amount for language models of about 1.5 billion parameters in four bits.
        recommended: Amount for models of about 7 billion parameters.
        unit: What is counted.
    """

    minimum: int
    recommended: int
    unit: str = "GB"


GPU = Size(8, 16)
MEMORY = Size(16, 32)
DISK = Size(50, 100)
CORES = Size(8, 16, "cores")


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    state: State
    found: str
    advice: str = ""


class Doctor:
    """Checks machine, packages and folders, or a run.

    Args:
        fix: Create missing folders and, where there is no ``experiments`` folder, one with a first experiment.
        run: A run directory, which is examined instead of the machine; None: the machine.

    Raises:
        ValueError: Both are asked for.
    """

    needs_run_directory: ClassVar[bool] = False

    def __init__(self, *, fix: bool = False, run: str | None = None) -> None:
        if fix and run is not None:
            raise ValueError("fix must be false with run: only folders are mended, no run is")
        self.fix = fix
        self.run = None if run is None else Path(run)

    def execute(self, cfg: DictConfig) -> dict[str, float]:
        """Print the table and return the number of rows by state, or of findings.

        Raises:
            RunError: A row failed, or the directory is none of a run; findings of a run are no error.
        """
        if self.run is not None:
            return _examine(self.run)
        if self.fix:
            prepare([Path(cfg.output_dir), Path(cfg.store)])
        rows = [
            *software_rows(),
            *hardware_rows(Path(cfg.store)),
            *package_rows(),
            *folder_rows(cfg),
        ]
        _print(rows)
        failed = [row.name for row in rows if row.state == "fail"]
        if failed:
            raise RunError(f"doctor: {len(failed)} of {len(rows)} checks failed: {', '.join(failed)}")
        return {f"doctor/{state}": float(sum(row.state == state for row in rows)) for state in STYLES}


def prepare(folders: list[Path]) -> list[Path]:
    """Create the missing folders and a first experiment; return what was created."""
    created = [folder for folder in folders if not folder.is_dir()]
    for folder in created:
        folder.mkdir(parents=True)
    experiments = Path("experiments")
    if not experiments.exists():
        experiments.mkdir()
        (experiments / "mine.yaml").write_text(EXPERIMENT, encoding="utf-8")
        created.append(experiments / "mine.yaml")
    for path in created:
        print(f"created {path}")
    return created


def software_rows() -> Iterator[Row]:
    """Judge the Python version against the package's own bound."""
    from packaging.specifiers import SpecifierSet

    bound = metadata("tradewright")["Requires-Python"] or ""
    running = platform.python_version()
    is_fine = SpecifierSet(bound).contains(running, prereleases=True)
    yield Row("Python", "pass" if is_fine else "fail", running, "" if is_fine else f"install Python {bound}")


def hardware_rows(store: Path) -> Iterator[Row]:
    """Judge GPU, memory, disk and cores against the sizes that language models need."""
    gpu = gpu_memory_bytes()
    if gpu is None:
        yield Row(
            "GPU", "warn", "none", f"language models want {GPU.minimum} to {GPU.recommended} GB; all else runs on CPU"
        )
    else:
        name, size = gpu
        yield size_row("GPU", round(size / GIB), GPU, name)
    memory = memory_bytes()
    yield Row("Memory", "warn", "unknown") if memory is None else size_row("Memory", round(memory / GIB), MEMORY)
    yield size_row("Disk", shutil.disk_usage(_existing(store)).free // GIB, DISK, "free")
    yield size_row("CPU", num_cores(), CORES)


def size_row(name: str, found: int, size: Size, what: str = "") -> Row:
    """Return pass from the recommended size on, else warn with what it is enough for."""
    text = " ".join(part for part in (f"{found} {size.unit}", what) if part)
    if found >= size.recommended:
        return Row(name, "pass", text)
    if found >= size.minimum:
        return Row(name, "warn", text, f"enough for small language models; {size.recommended} {size.unit} recommended")
    return Row(name, "warn", text, f"language models want {size.minimum} to {size.recommended} {size.unit}")


def package_rows() -> Iterator[Row]:
    """Judge every required package's version against the bounds in our own metadata; extras are left out."""
    from packaging.requirements import Requirement

    for text in requires("tradewright") or []:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        advice = f"pip install '{requirement.name}{requirement.specifier}'"
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            yield Row(requirement.name, "fail", "not installed", advice)
            continue
        is_fine = requirement.specifier.contains(installed, prereleases=True)
        yield Row(requirement.name, "pass" if is_fine else "fail", installed, "" if is_fine else advice)


def folder_rows(cfg: DictConfig) -> Iterator[Row]:
    """Judge whether output and store folders exist and can be written, and whether bars have been ingested."""
    for key in ("output_dir", "store"):
        folder = Path(cfg[key])
        if folder.exists() and not folder.is_dir():
            yield Row(key, "fail", f"{folder} is a file", f"choose another {key}=")
        elif not _is_writable(_existing(folder)):
            yield Row(key, "fail", f"{folder} cannot be written", f"choose another {key}= or change its permissions")
        elif not folder.is_dir():
            yield Row(key, "warn", f"{folder} does not exist yet", "a run creates it, or fix=true now")
        else:
            yield Row(key, "pass", str(folder))
    databases = sorted(Path(cfg.store).glob("**/*.duckdb"))
    names = ", ".join(path.stem for path in databases)
    yield (
        Row("bars", "pass", names)
        if databases
        else Row("bars", "warn", "none ingested yet", "a run ingests its own data set, or tradewright ingest data=...")
    )


def _existing(folder: Path) -> Path:
    """Return the folder or its nearest parent that exists."""
    return next(path for path in [folder.absolute(), *folder.absolute().parents] if path.exists())


def _is_writable(folder: Path) -> bool:
    if not os.access(folder, os.W_OK | os.X_OK):
        return False
    try:
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _examine(run: Path) -> dict[str, float]:
    """Print what is wrong with a run; return how much it is, and 1 by the name of each finding."""
    from rich.console import Console
    from rich.table import Table

    from tradewright.task.diagnosis import diagnose

    findings, read = diagnose(run)
    console = Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120)
    if findings:
        table = Table(title=f"Findings in {run}", title_justify="left")
        for column in ("Finding", "Seen", "Advice"):
            table.add_column(column, overflow="fold")
        for one in findings:
            table.add_row(one.name, one.message, one.advice)
        console.print(table)
    else:
        console.print(f"No findings in {run}.", soft_wrap=True, highlight=False)
    console.print(f"Read: {', '.join(read) or 'nothing'}.", soft_wrap=True, highlight=False)
    return {"doctor/num_findings": float(len(findings)), **{f"doctor/{one.name}": 1.0 for one in findings}}


def _print(rows: list[Row]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(
        title=f"tradewright {version('tradewright')} on {platform.platform(terse=True)}", title_justify="left"
    )
    for column in ("Check", "Result", "Found", "Advice"):
        table.add_column(column, overflow="fold")
    for row in rows:
        table.add_row(row.name, f"[{STYLES[row.state]}]{row.state}[/]", row.found, row.advice)
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else 120).print(table)
