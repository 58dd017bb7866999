"""optuna-dashboard, an optional package of its own, opens on the queue of a sweep."""

import json
import os
import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import optuna
import pytest

from tradewright.cli import main

DASHBOARD = os.environ.get("TRADEWRIGHT_OPTUNA_DASHBOARD") or shutil.which("optuna-dashboard")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
SWEEP = (
    "backtest",
    "strategy=sma_cross",
    "data=synthetic",
    "data.num_bars=400",
    "report=none",
    "logger=none",
    "launcher=inline",
    "sweep=random",
    "sweep.name=seen",
    "sweep.num_trials=6",
    "sweep.objective=validation/sharpe",
    "strategy.fast=range(5,20)",
    "strategy.slow=range(30,60)",
)


@contextmanager
def dashboard(study: Path) -> Iterator[str]:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
    words = [str(DASHBOARD), f"sqlite:///{study}", "--port", str(port), "--host", "127.0.0.1"]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            for _ in range(300):
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def ask(address: str) -> Any:
    with urllib.request.urlopen(address, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.browser
@pytest.mark.skipif(DASHBOARD is None, reason="needs optuna-dashboard, or TRADEWRIGHT_OPTUNA_DASHBOARD with its path")
def test_dashboard_shows_the_trials_of_a_sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(SWEEP) == 0
    (file,) = tmp_path.glob("outputs/*/seen/study.db")
    (summary,) = optuna.get_all_study_summaries(f"sqlite:///{file}")
    with dashboard(file) as address:
        (listed,) = ask(f"{address}/api/studies")["study_summaries"]
        assert listed["study_name"] == summary.study_name
        detail = ask(f"{address}/api/studies/{listed['study_id']}?after=0")
        assert [trial["state"] for trial in detail["trials"]] == ["Complete"] * 6
        names = {param["name"] for trial in detail["trials"] for param in trial["params"]}
        assert names == {"strategy.fast", "strategy.slow"}
        look(f"{address}/dashboard/studies/{listed['study_id']}", summary.study_name, tmp_path / "dashboard.png")


def look(address: str, name: str, picture: Path) -> None:
    """Require that the page shows the study in a browser."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs a Chromium on the PATH")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        page.goto(address)
        page.get_by_text(name).first.wait_for(timeout=60_000)
        page.locator(".js-plotly-plot .main-svg").first.wait_for(state="attached", timeout=60_000)
        page.wait_for_timeout(2_000)
        page.screenshot(path=picture)
        browser.close()
