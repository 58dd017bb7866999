"""What a whole command costs beside its imports: a rule's backtest against importing DuckDB, NumPy and Hydra."""

import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

IMPORTS = (sys.executable, "-c", "import duckdb, numpy, hydra")
BACKTEST = (str(Path(sys.executable).with_name("tradewright")), "backtest", "strategy=rule", "report=none")
HEAVY = (
    "import sys; from tradewright.cli import main; main({words!r}); print([m for m in {heavy!r} if m in sys.modules])"
)


def cpu_seconds(words: tuple[str, ...], folder: Path) -> float:
    """Return the CPU time of one run of a command."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(words, cwd=folder, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.benchmark
def test_judged_backtest_of_a_rule_costs_at_most_five_times_its_imports(tmp_path: Path) -> None:
    """With 200 random strategies, 1,000 resamples and the leak check; their part is printed."""
    subprocess.run(BACKTEST, cwd=tmp_path, check=True, capture_output=True)  # ingests the 5,031 bars
    pairs = [(cpu_seconds(IMPORTS, tmp_path), cpu_seconds(BACKTEST, tmp_path)) for _ in range(7)]
    imports, backtest = (min(times) for times in zip(*pairs, strict=True))
    print(f"\nimports {imports:.2f} CPU s, backtest of 5,031 bars {backtest:.2f} CPU s, ratio {backtest / imports:.2f}")
    bare = (*BACKTEST, "evaluate.num_random=0", "evaluate.significance.num_resamples=100", "~callbacks.leaks")
    without = min(cpu_seconds(bare, tmp_path) for _ in range(7))
    print(f"of which judging against chance and the leak check: {backtest - without:.2f} CPU s")
    assert backtest <= 5 * imports


def test_backtest_of_a_rule_imports_neither_torch_nor_lightning(tmp_path: Path) -> None:
    code = HEAVY.format(words=list(BACKTEST[1:]), heavy=["torch", "lightning", "torchrl", "pandas", "plotly", "arch"])
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]"
