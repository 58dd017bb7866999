"""The written pages in headless Chromium: charts are drawn, nothing fails, nothing is asked from the network."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from compare_samples import write_study
from report_samples import sample_content

from tradewright.report.html import HtmlReport
from tradewright.task.compare import Compare

pytestmark = pytest.mark.browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--enable-logging=stderr",
    "--virtual-time-budget=10000",
    "--window-size=1280,2000",
)


def look(page: Path, profile: Path) -> tuple[str, str]:
    """Return the page's document after its scripts ran, and what the browser logged from the page's console."""
    if CHROMIUM is None:
        pytest.fail("no Chromium found: install it, e.g. `apt-get install chromium`")
    command = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--dump-dom", page.absolute().as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def assert_drawn(page: Path, profile: Path) -> None:
    document, console = look(page, profile)
    assert "Error" not in console, console
    wanted = len(re.findall(r'class="plot[ "]', page.read_text()))
    assert wanted > 3
    assert document.count('class="plot-container plotly"') == wanted


def test_report_draws_every_chart_without_network(tmp_path: Path) -> None:
    assert_drawn(HtmlReport().write(tmp_path, sample_content()), tmp_path / "profile")


def test_report_with_shared_script_draws_every_chart(tmp_path: Path) -> None:
    page = HtmlReport(plotly="shared").write(tmp_path / "run", sample_content())
    assert_drawn(page, tmp_path / "profile")


@pytest.mark.row("B31")
def test_comparison_draws_every_chart_without_network(tmp_path: Path) -> None:
    study = write_study(tmp_path / "default")
    Compare(runs=str(study), metrics=("total_return", "sharpe", "max_drawdown")).execute(None)
    assert_drawn(study / "compare.html", tmp_path / "profile")
