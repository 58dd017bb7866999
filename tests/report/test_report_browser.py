"""The written pages in headless Chromium: charts are drawn, nothing fails, nothing is asked from the network."""

import dataclasses
import html
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare_samples import write_study
from evidence_samples import every_kind
from report_samples import sample_content

from tradewright.metrics.figures import DASH
from tradewright.report.content import ReportContent
from tradewright.report.episodes import EpisodeContent
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


MEASURE = """<script>
addEventListener("load", () => setTimeout(() => {
  const root = document.documentElement, edge = root.clientWidth + 1;
  const outside = [...document.querySelectorAll("main *, header *, footer *")].filter(
    part => !part.closest(".scroll") && part.getBoundingClientRect().right > edge);
  const clipped = [...document.querySelectorAll(".plot text")].filter(text => {
    const box = text.getBoundingClientRect(), plot = text.closest(".plot").getBoundingClientRect();
    return box.width && (box.right > plot.right + 1 || box.left < plot.left - 1); });
  const names = [...outside, ...clipped].map(part => part.tagName + " " + part.textContent.slice(0, 30));
  const tables = [...document.querySelectorAll(".scroll")].filter(part => part.clientWidth);
  const isCut = part => part.scrollWidth > part.clientWidth + 1;
  const silent = tables.filter(part => isCut(part) === part.previousElementSibling.hidden);
  const cut = tables.filter(part => isCut(part) && part.querySelector("table.stacked"));
  names.push(...silent.map(part => "no cue " + part.textContent.trim().slice(0, 20)));
  const out = [root.scrollWidth - root.clientWidth, ...names.slice(0, 5)];
  if (location.hash === "#tables") out.push(cut.length);
  parent.postMessage(JSON.stringify(out), "*");
}, 4000));
</script>"""
FRAME = """<!doctype html><iframe src="{src}" width="{width}" height="900" style="border: 0"></iframe>
<script>addEventListener("message", event => document.body.setAttribute("data-seen", event.data))</script>"""


def seen_at(page: Path, width: int, folder: Path, part: str = "") -> list[object]:
    """Return how far the page can be scrolled sideways in a frame of ``width`` pixels, and what of it lies outside.

    With ``part="#tables"`` the last entry is the number of stacked tables that are wider than their place.
    """
    copy, frame = folder / f"measured-{width}.html", folder / f"frame-{width}.html"
    copy.write_text(page.read_text().replace("</body>", f"{MEASURE}</body>"))
    frame.write_text(FRAME.format(src=copy.name + part, width=width))
    document, _ = look(frame, folder / f"profile-{width}")
    found = re.search(r'data-seen="([^"]*)"', document)
    assert found, document[-500:]
    return list(json.loads(html.unescape(found.group(1))))


def judged_content() -> ReportContent:
    content = sample_content()
    return dataclasses.replace(content, evidence=every_kind(content.results, dict(content.metrics)))


def test_report_with_all_evidence_draws_every_chart(tmp_path: Path) -> None:
    assert_drawn(HtmlReport().write(tmp_path, judged_content()), tmp_path / "profile")


def test_report_of_episodes_draws_every_chart(tmp_path: Path) -> None:
    judged = judged_content()
    figures = {"mean_return": 310.0, "mean_return_low": 250.0, "mean_return_high": 380.0, "std_return": 80.0}
    content = EpisodeContent(
        title="ppo on CartPole-v1",
        experiment="default",
        run="one",
        command="tradewright env=cartpole",
        config_yaml="env: {}",
        provenance=judged.provenance,
        metrics={f"test/{key}": value for key, value in {**figures, "mean_length": 310.0}.items()},
        seeds=(1, 2, 3),
        return_E=np.array([200.0, 310.0, 420.0]),
        length_E=np.array([200, 310, 420]),
        confidence=0.95,
        notes=(),
        curves=judged.curves or {"train/episode_return": ([100, 200], [20.0, 40.0])},
    )
    page = HtmlReport().write_plain(tmp_path, content)
    document, console = look(page, tmp_path / "profile")
    assert "Error" not in console, console
    wanted = len(re.findall(r'class="plot[ "]', page.read_text()))
    assert document.count('class="plot-container plotly"') == wanted > 0


@pytest.mark.parametrize("width", [400, 1280])
def test_report_with_all_evidence_fits_the_width_of_the_screen(width: int, tmp_path: Path) -> None:
    page = HtmlReport().write(tmp_path, judged_content())
    assert seen_at(page, width, tmp_path) == [0]


@pytest.mark.parametrize(("width", "is_cut"), [(400, True), (1280, False)])
def test_headline_table_fits_a_wide_screen_and_every_cut_table_has_a_cue(
    width: int, is_cut: bool, tmp_path: Path
) -> None:
    page = HtmlReport().write(tmp_path, judged_content())
    scroll, *problems, num_cut = seen_at(page, width, tmp_path, "#tables")
    assert (scroll, problems) == (0, [])
    assert num_cut == int(is_cut)


def test_measure_sees_what_lies_outside(tmp_path: Path) -> None:
    page = tmp_path / "wide.html"
    page.write_text("<!doctype html><body style='margin: 0'><main><p style='width: 900px'>too wide</p></main></body>")
    assert seen_at(page, 400, tmp_path) == [500, "P too wide"]


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


@pytest.fixture(scope="module")
def compared_page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    study = write_study(tmp_path_factory.mktemp("compared") / "default")
    options = {"metrics": ("total_return", "sharpe", "max_drawdown"), "differences": ("sharpe",)}
    Compare(runs=str(study), num_resamples=0, **options).execute(None)
    return study / "compare.html"


@pytest.fixture
def open_page(compared_page: Path) -> Iterator[tuple[Any, list[str]]]:
    """The comparison in a browser, with the addresses it asked for."""
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as engine:
        browser = engine.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS[1:]))
        page = browser.new_page(viewport={"width": 1280, "height": 900})
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(compared_page.absolute().as_uri())
        page.locator("#plot-importance .plot-container").wait_for()
        yield page, asked
        browser.close()


@pytest.mark.row("B31")
def test_comparison_asks_nothing_of_the_network_and_loads_plotly_once(
    open_page: tuple[Any, list[str]], compared_page: Path
) -> None:
    page, asked = open_page
    assert [url for url in asked if not url.startswith("data:")] == [compared_page.absolute().as_uri()]
    assert page.locator("script[src], link[href^=http], img[src^=http]").count() == 0
    assert page.evaluate("[...document.scripts].filter(part => part.textContent.length > 1e6).length") == 1
    for chart in ("equity", "parallel", "pareto", "importance"):
        assert page.locator(f"#plot-{chart} .plot-container").count() == 1, chart
    page.screenshot(path=compared_page.parent / "top.png")


@pytest.mark.parametrize("title", ["Run", "State", "Time", "algorithm.lr", "Return", "Sharpe", "Δ Sharpe"])
def test_comparison_can_be_sorted_by_any_column(title: str, open_page: tuple[Any, list[str]]) -> None:
    page, _ = open_page
    table = page.locator("table.sorted").first
    head = table.locator("thead th", has_text=re.compile(f"^{re.escape(title)}$"))
    place = head.evaluate("part => part.cellIndex")

    def cells() -> list[str]:
        return list(
            table.evaluate("(part, place) => [...part.tBodies[0].rows].map(r => r.cells[place].innerText)", place)
        )

    def value(text: str) -> float | str:
        found = re.fullmatch(r"([+-]?[\d.]+)(?:%|:(\d\d) min)?", text)
        return text if found is None else float(found[1]) + float(found[2] or 0) / 60

    for is_falling in (False, True):
        head.click()
        assert head.get_attribute("aria-sort") == ("descending" if is_falling else "ascending")
        shown = cells()
        defined = [text for text in shown if text.strip() not in ("", DASH)]
        assert shown[: len(defined)] == defined  # what is undefined comes last in both directions
        assert [value(text) for text in defined] == sorted((value(text) for text in defined), reverse=is_falling)
        assert len(set(defined)) > 1
