"""What reporting and comparing cost: CPU seconds of one process, so that a busy machine does not change the verdict."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.benchmark

TESTS = Path(__file__).parents[1]
REPORT_LIMIT_S = 3.0
COMPARE_LIMIT_S = 5.0
"""1,000 runs took 4.2 s when this was written, 2.7 s where none left its equity; page and significance included."""

REPORT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from dataclasses import replace
from evidence_samples import every_kind
from report_samples import sample_content
content = sample_content(num_bars=5000)
content = replace(content, evidence=every_kind(content.results, dict(content.metrics)))
start = time.process_time()
from tradewright.report.export import export_results
from tradewright.report.html import HtmlReport
from tradewright.report.terminal import print_summary, write_summary
folder = Path(sys.argv[2])
export_results(folder, {("test", result.name): result for result in content.results})
path = HtmlReport().write(folder, content)
write_summary(folder, content, report=path)
print_summary(content, report=path)
print(time.process_time() - start)
"""

COMPARE = """
import sys, time
start = time.process_time()
from tradewright.task.compare import Compare
metrics = ("total_return", "sharpe", "max_drawdown")
Compare(runs=sys.argv[1], metrics=metrics, differences=("sharpe",)).execute(None)
print(time.process_time() - start)
"""


def test_report_of_5000_bars_and_four_results_takes_under_three_seconds(tmp_path: Path) -> None:
    command = [sys.executable, "-c", REPORT, str(TESTS / "report"), str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seconds = float(out.splitlines()[-1])
    print(f"report of 5,000 bars: {seconds:.2f} s")
    assert seconds < REPORT_LIMIT_S


def write_runs(folder: Path, *, with_equity: bool) -> None:
    """Write 1,000 runs with configurations of a few hundred keys, all judged on the same bars."""
    sys.path.insert(0, str(TESTS / "report"))
    from compare_samples import config, walk, write_run

    from tradewright.report.export import export_results

    first = write_run(folder / "0000", config(), with_equity=with_equity)
    text = (first / "config.yaml").read_text()
    text += "".join(f"group{i}:\n" + "".join(f"  key_{j}: {i * j}\n" for j in range(20)) for i in range(15))
    metrics, provenance = (json.loads((first / f"{name}.json").read_text()) for name in ("metrics", "provenance"))
    hold = walk("buy_and_hold", 999)
    if with_equity:  # else the first run lacks those keys, and each of them is a column
        (first / "config.yaml").write_text(text)
    for number in range(1, 1000):
        run = folder / f"{number:04d}"
        run.mkdir()
        (run / "config.yaml").write_text(text.replace("lr: 0.001", f"lr: {number}"))
        (run / "metrics.json").write_text(json.dumps(metrics | {"test/sharpe": number / 1000}))
        (run / "provenance.json").write_text(json.dumps(provenance | {"trial": f"trial{number}"}))
        shutil.copy(first / "status.json", run / "status.json")
        if with_equity:
            export_results(run, {("test", "policy"): walk("policy", number), ("test", "buy_and_hold"): hold})


@pytest.mark.parametrize("with_equity", [False, True])
def test_comparison_of_1000_runs_takes_seconds(with_equity: bool, tmp_path: Path) -> None:
    write_runs(tmp_path, with_equity=with_equity)
    done = subprocess.run([sys.executable, "-c", COMPARE, str(tmp_path)], capture_output=True, text=True, check=True)
    seconds = float(done.stdout.splitlines()[-1])
    print(f"comparison of 1,000 runs {'with' if with_equity else 'without'} equity: {seconds:.2f} s")
    assert seconds < COMPARE_LIMIT_S
