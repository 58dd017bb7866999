"""Start-up: CPU seconds until help, version and configuration are on the screen. ``pytest -m benchmark -s``."""

import resource
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_S = 1.0
NUM_RUNS = 5


def cpu_seconds(words: list[str], cwd: Path) -> float:
    """Return the least CPU time of a few runs; other programs make single runs slower, never faster."""
    times = []
    for _ in range(NUM_RUNS):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-m", "tradewright", *words], check=True, cwd=cwd, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        times.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(times)


@pytest.mark.benchmark
@pytest.mark.parametrize(
    "words",
    [["--version"], ["--help"], ["--cfg", "job"], ["--cfg", "job", "experiment=default", "lora=r32", "quant=nf4"]],
    ids=" ".join,
)
def test_printing_takes_less_than_a_second(words: list[str], tmp_path: Path) -> None:
    seconds = cpu_seconds(words, tmp_path)
    print(f"\ntradewright {' '.join(words)}: {seconds:.2f} CPU s")
    assert seconds < LIMIT_S


@pytest.mark.benchmark
def test_refusing_a_faulty_configuration_takes_less_than_a_second(tmp_path: Path) -> None:
    """Composing, reading every signature and naming the fault, without importing what is configured."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "tradewright", "lora=r32", "quant=nf4", "++lora.rr=3"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    print(f"\nrefusal: {seconds:.2f} CPU s")
    assert done.returncode == 2
    assert seconds < LIMIT_S
