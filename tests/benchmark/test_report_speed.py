"""What reporting and comparing cost: CPU seconds of one process, so that a busy machine does not change the verdict."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.benchmark

TESTS = Path(__file__).parents[1]
REPORT_LIMIT_S = 3.0
COMPARE_LIMIT_S = 8.0
"""1,000 runs took 3.4 s when this was written."""

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


def test_report_of_5000_bars_and_four_results_takes_under_three_seconds(tmp_path: Path) -> None:
    command = [sys.executable, "-c", REPORT, str(TESTS / "report"), str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    seconds = float(out.splitlines()[-1])
    print(f"report of 5,000 bars: {seconds:.2f} s")
    assert seconds < REPORT_LIMIT_S


def test_comparison_of_1000_runs_takes_seconds(tmp_path: Path) -> None:
    sys.path.insert(0, str(TESTS / "report"))
    from compare_samples import config, write_run

    from tradewright.task.compare import Compare

    first = write_run(tmp_path / "0000", config())
    text = (first / "config.yaml").read_text()
    filler = "".join(f"group{i}:\n" + "".join(f"  key_{j}: {i * j}\n" for j in range(20)) for i in range(15))
    metrics = json.loads((first / "metrics.json").read_text())
    for number in range(1, 1000):
        run = tmp_path / f"{number:04d}"
        run.mkdir()
        (run / "config.yaml").write_text(text.replace("lr: 0.001", f"lr: {number}") + filler)
        (run / "metrics.json").write_text(json.dumps(metrics | {"test/sharpe": number / 1000}))
        for name in ("status.json", "provenance.json"):
            shutil.copy(first / name, run / name)
    start = time.process_time()
    Compare(runs=str(tmp_path), metrics=("total_return", "sharpe", "max_drawdown")).execute(None)
    seconds = time.process_time() - start
    print(f"comparison of 1,000 runs: {seconds:.2f} s")
    assert seconds < COMPARE_LIMIT_S
