"""TensorBoard's HParams view over a sweep, looked at in a headless browser."""

import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tiny import TINY

from tradewright.cli import main

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return server.getsockname()[1]


@pytest.fixture
def tensorboard(tmp_path: Path, monkeypatch):
    """A sweep of two learning rates and two seeds, and TensorBoard over its output directory."""
    monkeypatch.chdir(tmp_path)
    assert main(("-m", *TINY, "algorithm.lr=1e-4,1e-3", "seed=0,1", "report=none")) == 0
    assert len(list(tmp_path.glob("outputs/default/*/*/metrics.json"))) == 4
    port = free_port()
    words = [sys.executable, "-m", "tensorboard.main", "--logdir", "outputs", "--port", str(port), "--load_fast=false"]
    server = subprocess.Popen(words, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(300):
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.1)
    yield f"http://127.0.0.1:{port}/#hparams"
    server.terminate()
    server.wait()


@pytest.mark.browser
@pytest.mark.row("B63")
def test_hparams_view_averages_seeds_and_shows_keys_and_final_metrics(tensorboard: str, tmp_path: Path) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs a Chromium on the PATH")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        page = browser.new_page(viewport={"width": 1500, "height": 900})
        page.goto(tensorboard)
        # Two rows, one per learning rate: each is the mean of its two seeds.
        for rate in ("0.00010000", "0.0010000"):
            page.get_by_text(rate, exact=True).first.wait_for(timeout=60_000)
            assert page.get_by_text(rate, exact=True).count() == 1
        page.screenshot(path=tmp_path / "table.png")
        for words in ("algorithm.lr", "test/cagr", "test/sharpe", "Trial ID"):
            assert page.get_by_text(words).count() >= 1, words
        assert page.get_by_text("hp_metric").count() == 0
        page.get_by_text("PARALLEL COORDINATES VIEW").click()
        page.locator("svg path").first.wait_for(state="attached", timeout=60_000)
        assert page.locator("svg path").count() >= 2
        page.screenshot(path=tmp_path / "parallel.png")
        browser.close()
