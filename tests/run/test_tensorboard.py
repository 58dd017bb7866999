"""TensorBoard over the output directory: names of scalars, and its HParams view in a headless browser."""

import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tiny import TINY

from tradewright.cli import main
from tradewright.output import read_metrics

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
SHORT = (
    "data=synthetic",
    "data.num_bars=500",
    "algorithm.total_frames=2560",
    "algorithm.num_envs=16",
    "algorithm.iterations_per_epoch=1",
    "env.window=5",
    "evaluate.shuffled_control=false",
    "evaluate.analytic_reference=false",
    "~callbacks.leaks",
    "report=none",
)
"""A training of a second or two with any of the algorithms below."""

CONDITIONAL = ", ".join(
    f"{{when: {{algorithm: {algorithm}}}, params: {{{key}: {values}}}}}"
    for algorithm, key, values in (
        ("ppo", "algorithm.clip", "[0.1, 0.3]"),
        ("dqn", "algorithm.n_step", "[1, 3]"),
        ("sac", "algorithm.alpha", "[0.01, 0.1]"),
    )
)
SWEEP = (
    *SHORT,
    "sweep=random",
    "sweep.name=three",
    "sweep.num_trials=12",
    "seed=0",
    "algorithm=choice(ppo,dqn,sac)",
    "algorithm.lr=tag(log,interval(1e-4,1e-2))",
    f"space.conditional=[{CONDITIONAL}]",
)
SHOWN = ("test/max_drawdown", "test/num_trades", "test/sharpe", "test/total_return", "validation/sharpe")
UNION = ("algorithm", "algorithm.alpha", "algorithm.clip", "algorithm.lr", "algorithm.n_step")


def scalars(folder: Path) -> dict[str, float]:
    accumulator = EventAccumulator(str(folder))
    accumulator.Reload()
    return {tag: accumulator.Scalars(tag)[-1].value for tag in accumulator.Tags()["scalars"]}


@pytest.mark.row("B63")
def test_scalars_have_the_same_names_for_every_algorithm(command: Callable[..., Path]) -> None:
    judged: dict[str, set[str]] = {}
    drawn: dict[str, set[str]] = {}
    for algorithm in ("ppo", "dqn", "sac"):
        run = command(*SHORT, f"algorithm={algorithm}")
        judged[algorithm] = {name for name in read_metrics(run) if name.startswith(("validation/", "test/"))}
        drawn[algorithm] = {*scalars(run), *(f"result/{tag}" for tag in scalars(run / "result"))}
        assert {"train/loss", "train/lr", "device/frames_per_second", "validation/sharpe"} <= drawn[algorithm], (
            algorithm
        )
    assert judged["ppo"] == judged["dqn"] == judged["sac"]
    assert {"validation/sharpe", "test/sharpe"} <= judged["ppo"]
    final = {algorithm: {name for name in names if name.startswith("result/")} for algorithm, names in drawn.items()}
    assert final["ppo"] == final["dqn"] == final["sac"] == {"result/completed", *(f"result/{tag}" for tag in SHOWN)}
    for algorithm, names in drawn.items():  # curves have the same names; what is undefined is no point of a curve
        assert {name for name in names if name.startswith("validation/")} <= judged["ppo"], algorithm


def free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


@contextmanager
def tensorboard(folder: Path) -> Iterator[str]:
    """Serve a folder, and return the address."""
    port = free_port()
    words = [sys.executable, "-m", "tensorboard.main", "--logdir", "outputs", "--port", str(port), "--load_fast=false"]
    with subprocess.Popen(words, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            for _ in range(600):
                with socket.socket() as client:
                    if client.connect_ex(("127.0.0.1", port)) == 0:
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


@contextmanager
def browser_page() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    if CHROMIUM is None:
        pytest.skip("needs a Chromium on the PATH")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield browser.new_page(viewport={"width": 1500, "height": 900})
        browser.close()


@pytest.mark.browser
@pytest.mark.row("B63")
def test_hparams_view_averages_seeds_and_shows_keys_and_final_metrics(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(("-m", *TINY, "algorithm.lr=1e-4,1e-3", "seed=0,1", "report=none")) == 0
    assert len(list(tmp_path.glob("outputs/default/*/*/metrics.json"))) == 4
    with tensorboard(tmp_path) as address, browser_page() as page:
        page.goto(f"{address}/#hparams")
        # Two rows, one per learning rate: each is the mean of its two seeds.
        for rate in ("0.00010000", "0.0010000"):
            page.get_by_text(rate, exact=True).first.wait_for(timeout=60_000)
            assert page.get_by_text(rate, exact=True).count() == 1
        page.screenshot(path=tmp_path / "table.png")
        for words in ("algorithm.lr", "completed", "test/sharpe", "Trial ID"):
            assert page.get_by_text(words).count() >= 1, words
        assert page.get_by_text("hp_metric").count() == 0
        page.get_by_text("PARALLEL COORDINATES VIEW").click()
        page.locator("svg path").first.wait_for(state="attached", timeout=60_000)
        assert page.locator("svg path").count() >= 2
        page.screenshot(path=tmp_path / "parallel.png")


@pytest.mark.browser
@pytest.mark.row("B63")
def test_hparams_view_shows_the_keys_of_all_twelve_runs_after_every_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # TensorBoard once showed the keys of one run that it picked by chance, another one after each start (trap 19).
    monkeypatch.chdir(tmp_path)
    assert main(SWEEP) == 0
    failed = main((*SHORT, "algorithm=sac", "algorithm.total_frames=1024"))
    assert failed == 2  # learning_starts lies behind the last frame, which the training finds when it is built
    results = sorted(tmp_path.glob("outputs/default/three/*/result"))
    assert len(results) == 12
    for start in range(3):
        with tensorboard(tmp_path) as address, browser_page() as page:
            page.goto(f"{address}/#hparams")
            table = page.locator("tf-hparams-table-view")
            table.get_by_text("Trial ID").wait_for(timeout=60_000)
            for key in UNION:
                table.get_by_text(key, exact=True).first.wait_for(timeout=60_000)
            for result in results:
                sharpe = scalars(result)["test/max_drawdown"]
                text = page.evaluate("value => value.toPrecision(5)", sharpe)
                assert table.get_by_text(text, exact=True).count() >= 1, (start, result, text)
            page.screenshot(path=tmp_path / f"table-{start}.png")
            rows = table.locator("vaadin-grid-cell-content").get_by_text("0.0000", exact=True)
            assert rows.count() >= 1  # the failed run: not completed
            for algorithm, least in (("ppo", 1), ("dqn", 1), ("sac", 2)):
                assert table.get_by_text(algorithm, exact=True).count() >= least, algorithm
    with tensorboard(tmp_path) as address, browser_page() as page:
        page.goto(f"{address}/#images")
        page.get_by_text("test/drawdown").first.wait_for(timeout=60_000)
        page.locator("tf-image-loader img").first.wait_for(timeout=60_000)
        page.screenshot(path=tmp_path / "images.png")
        page.goto(f"{address}/#text")
        page.get_by_text("failed: ConfigError").or_(page.get_by_text("failed: ValueError")).first.wait_for(
            timeout=60_000
        )
        page.screenshot(path=tmp_path / "text.png")
