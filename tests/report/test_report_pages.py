"""The HTML, Markdown and text reports: sections, figures, escaping, and what happens at the edges."""

import dataclasses
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from report_samples import sample_content, sample_metrics, sample_results
from rich.console import Console

from tradewright.backtest.result import BacktestResult
from tradewright.metrics.figures import DASH, show
from tradewright.report.content import ReportContent
from tradewright.report.html import HtmlReport
from tradewright.report.markdown import MarkdownReport
from tradewright.report.none import NoReport
from tradewright.report.report import Report
from tradewright.report.sections.course import heat_map
from tradewright.report.tables import drawdowns
from tradewright.report.terminal import print_summary, write_summary

VOID = {"meta", "link", "br", "hr", "img", "input"}


class Page(HTMLParser):
    """Checks that tags are closed in order, and collects ids, links, headings and visible text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.stack = ["document"]
        self.ids: list[str] = []
        self.targets: list[str] = []
        self.loaded: list[str] = []
        self.text: list[str] = []
        self.figures = ""
        self.attributes: dict[str, dict[str, str | None]] = {}
        self.feed(text)
        assert self.stack == ["document"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.ids.append(str(values["id"]))
            self.attributes[str(values["id"])] = values
        if tag == "a":
            self.targets.append(str(values.get("href")))
        self.loaded += [str(values[key]) for key in ("src", "href") if key in values and tag != "a"]
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.stack[-1] == "script" and data.startswith("{"):
            self.figures = data
        elif self.stack[-1] not in ("script", "style"):
            self.text.append(data)

    @property
    def words(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.text))


def page_of(content: ReportContent, folder: Path, **options: object) -> Page:
    return Page(HtmlReport(**options).write(folder, content).read_text())  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Page:
    return page_of(sample_content(), tmp_path_factory.mktemp("run"))


@pytest.mark.row("B33")
@pytest.mark.row("L36")
def test_page_shows_every_section_and_the_figures_of_the_metrics_file(page: Page) -> None:
    for words in (
        "Equity against the baselines",
        "Drawdown",
        "Rolling Sharpe ratio",
        "Held weight",
        "Distribution of returns",
        "Monthly returns",
        "Statistics",
        "Closed trades",
        "Costs and orders",
        "Rejected orders by reason",
        "below lot",
        "Learning curves",
        "Validation, test side by side",
        "Validation and test",
        "Configuration and provenance",
        "How the figures are computed",
        "Synthetic data: no conclusion about a real market follows.",
        "tradewright algorithm=ppo data=synthetic",
    ):
        assert words in page.words, words
    metrics = sample_content().metrics
    assert f"{metrics['test/sharpe']:.3f}" in page.words
    assert f"{100 * metrics['baseline/momentum/total_return']:,.2f}%" in page.words
    assert "nan" not in page.words.lower().split()


def test_page_loads_nothing_and_every_link_and_chart_has_its_target(page: Page) -> None:
    assert page.loaded == ["data:,"]
    assert len(page.ids) == len(set(page.ids))
    assert {target.removeprefix("#") for target in page.targets} <= set(page.ids)
    figures = json.loads(page.figures)
    drawn = {name.removeprefix("plot-") for name in page.ids if name.startswith("plot-")}
    assert set(figures) == drawn
    for key in drawn:
        label = page.attributes[f"plot-{key}"]["aria-labelledby"]
        assert label in page.ids
        axes = figures[key]["layout"]
        assert axes["yaxis"]["title"]["text"] or axes["xaxis"]["title"]["text"]


def test_hostile_text_is_shown_and_not_executed(tmp_path: Path) -> None:
    evil = "</script><script>alert(1)</script>"
    curves = {evil: (np.arange(3), np.arange(3))}
    content = sample_content(title=evil, config_yaml=evil, notes=(evil,), command=evil, curves=curves)
    text = HtmlReport().write(tmp_path, content).read_text()
    assert "<script>alert" not in text
    assert evil in Page(text).words


def test_shared_script_lies_beside_the_runs_once(tmp_path: Path) -> None:
    first = page_of(sample_content(), tmp_path / "a", plotly="shared")
    second = page_of(sample_content(), tmp_path / "b", plotly="shared")
    scripts = list(tmp_path.glob("plotly-*.min.js"))
    assert len(scripts) == 1
    assert first.loaded == second.loaded == ["data:,", f"../{scripts[0].name}"]
    assert (tmp_path / "a" / "report.html").stat().st_size < 1_000_000


@pytest.mark.row("L35")
def test_markdown_has_the_sections_and_wins_and_losses_add_up(tmp_path: Path) -> None:
    text = MarkdownReport().write(tmp_path, sample_content()).read_text()
    for line in (
        "- Strategy name: ppo",
        "- Period: 2015-01-01 to 2018-10-31",
        "- Initial capital: 100,000.00 USD",
        "## Performance summary",
        "## Trade analysis",
        "## Statistics",
        "## Decisions",
        "## How the figures are computed",
    ):
        assert line in text.splitlines(), line
    for label in ("Total return", "Sharpe ratio", "Maximum drawdown", "Win rate"):
        assert re.search(rf"^\| {label} \| [-\d]", text, re.M), label
    total, wins, losses = (
        int(re.search(rf"^- {label} trades: (\d+)$", text, re.M).group(1)) for label in ("Total", "Winning", "Losing")
    )
    assert wins + losses == total > 0


@pytest.mark.row("L35")
def test_markdown_tables_have_as_many_cells_as_titles(tmp_path: Path) -> None:
    text = MarkdownReport(max_trades=7).write(tmp_path, sample_content()).read_text()
    width = None
    for line in text.splitlines():
        if not line.startswith("|"):
            width = None
            continue
        cells = line.count("|")
        assert width in (None, cells), line
        width = cells
    assert "### Closed: the last 7 of 32;" in text


@pytest.mark.row("B43")
def test_summary_file_names_figures_verdict_notes_and_report(tmp_path: Path) -> None:
    content = sample_content()
    text = write_summary(tmp_path, content, report=tmp_path / "report.html").read_text()
    assert (tmp_path / "summary.txt").is_file()
    assert text.startswith("ppo on xyz, test range 2015-01-01 to 2018-10-31\n")
    assert "did not beat buy-and-hold" in text
    assert "Note: Synthetic data" in text
    assert "Rejected orders: 10 below lot" in text
    assert f"{content.metrics['test/sharpe']:.3f}" in text
    assert "\x1b" not in text
    assert "report.html" in text


def test_summary_is_printed_to_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    print_summary(sample_content())
    assert "Sharpe ratio" in capsys.readouterr().out


@pytest.mark.parametrize("width", [40, 60, 80, 110, 200])
def test_no_figure_of_the_summary_is_cut_however_narrow_the_terminal(width: int) -> None:
    """Eight columns with long names: what does not fit is left out by name, the strategy never."""
    content = sample_content()
    names = ("ppo", "buy_and_hold", "momentum_of_a_year", "equal_weight", "apg", "shuffled", "sma_cross", "random")
    results = tuple(
        replace(content.strategy, name=name, equity_T=content.strategy.equity_T * (1.0 + 0.01 * place))
        for place, name in enumerate(names)
    )
    figures = {"total_return": -0.1266, "sharpe": -12.345, "max_drawdown": 0.1, "total_fees": 1_234_567.0}
    metrics = {
        f"{'test' if name == 'ppo' else f'baseline/{name}'}/{key}": value * (1.0 + place / 7.0)
        for place, name in enumerate(names)
        for key, value in figures.items()
    }
    content = replace(content, results=results, metrics=metrics)
    buffer = io.StringIO()
    print_summary(content, console=Console(file=buffer, width=width))
    assert "…" not in buffer.getvalue()
    assert max(map(len, buffer.getvalue().splitlines())) <= width
    text = " ".join(buffer.getvalue().split())
    found = re.search(r"Too narrow for: (.*); metrics\.json has them all\.", text)
    left_out = found[1].split(", ") if found else []
    assert (width == 200) == (not left_out)
    for name in names:
        is_shown = show("sharpe", metrics[f"{'test' if name == 'ppo' else f'baseline/{name}'}/sharpe"]) in text
        assert is_shown == (content.label(name) not in left_out)
        assert is_shown or name != "ppo"


def edge_cases() -> dict[str, tuple[BacktestResult, ...]]:
    """Return results that reports meet rarely."""
    usual = sample_results(200)
    broke = dataclasses.replace(
        usual[0], equity_T=np.concatenate((usual[0].equity_T[:100], np.full(100, -50.0))), ended_at=100
    )
    one_bar = tuple(
        dataclasses.replace(
            result,
            ts_T=result.ts_T[:1],
            equity_T=result.equity_T[:1],
            weights_TN=result.weights_TN[:1],
            cash_T=result.cash_T[:1],
            fills=(),
            trades=(),
        )
        for result in usual
    )
    many = tuple(
        dataclasses.replace(
            result,
            symbols=tuple(f"S{n}" for n in range(30)),
            weights_TN=np.repeat(result.weights_TN / 30, 30, axis=1),
            confidence_TN=None,
            mark_TN=None,
        )
        for result in usual
    )
    flat = dataclasses.replace(
        usual[0], equity_T=np.full(200, 1e5), weights_TN=np.zeros((200, 1)), trades=(), fills=(), costs={"fees": 0.0}
    )
    undefined = dataclasses.replace(usual[0], weights_TN=np.full((200, 1), np.nan))
    return {
        "bankrupt": (broke, *usual[1:]),
        "one bar": one_bar,
        "two bars": sample_results(121)[:1],
        "many instruments": many,
        "never traded": (flat, *usual[1:]),
        "undefined weights": (undefined, *usual[1:]),
        "minutes": sample_results(6000, step="m"),
    }


@pytest.mark.parametrize("case", list(edge_cases()))
@pytest.mark.parametrize("report", [HtmlReport(), MarkdownReport(), NoReport()], ids=["html", "markdown", "none"])
def test_unusual_results_are_reported_without_warning(case: str, report: Report, tmp_path: Path) -> None:
    results = edge_cases()[case]
    content = sample_content(
        results=results, metrics=sample_metrics(results), curves={"empty": ([], [])}, validation=None
    )
    path = report.write(tmp_path, content)
    write_summary(tmp_path, content)
    assert (path is None) == isinstance(report, NoReport)
    if isinstance(report, HtmlReport):
        json.loads(Page(path.read_text()).figures, parse_constant=pytest.fail)


def test_undefined_figures_print_as_a_dash(tmp_path: Path) -> None:
    results = edge_cases()["never traded"]
    content = sample_content(results=results, metrics=sample_metrics(results))
    text = MarkdownReport().write(tmp_path, content).read_text()
    assert re.search(rf"^\| Win rate \| {DASH} \|", text, re.M)
    assert re.search(rf"^\| Sharpe ratio \| {DASH} \|", text, re.M)


@pytest.mark.row("L40")
def test_deepest_drawdowns_are_listed_with_peak_trough_recovery_and_length() -> None:
    usual = sample_results(200)[0]
    equity = np.array([100.0, 90.0, 95.0, 100.0, 120.0, 60.0, 90.0, 110.0, 119.0, 118.0])
    days = np.arange("2020-01-01", "2020-01-11", dtype="datetime64[D]").astype("datetime64[us]")
    assert drawdowns(dataclasses.replace(usual, equity_T=equity, ts_T=days)) == [
        ("50.00%", "2020-01-05", "2020-01-06", "not yet", "5", "5"),
        ("10.00%", "2020-01-01", "2020-01-02", "2020-01-04", "2", "3"),
    ]
    assert drawdowns(dataclasses.replace(usual, equity_T=np.arange(1.0, 11.0), ts_T=days)) == []


def test_heat_map_holds_each_month_once_and_the_total_of_the_year() -> None:
    result = sample_results(500)[0]
    grid = heat_map(result)
    assert [cells[0] for cells in grid.rows] == ["2015", "2016"]
    assert all(len(cells) == len(grid.titles) == 14 for cells in grid.rows)
    year = result.equity_T[result.ts_T < np.datetime64("2016-01-01")]
    assert grid.rows[0][13] == f"{100 * (year[-1] / year[0] - 1):.1f}"


def test_max_trades_limits_the_list_and_says_so(tmp_path: Path) -> None:
    assert "Closed: the last 5 of 32;" in page_of(sample_content(), tmp_path, max_trades=5).words
    assert (
        "32 closed trades; the run's trades file lists them." in page_of(sample_content(), tmp_path, max_trades=0).words
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_trades": -1}, r"^max_trades must be >= 0, was -1$"),
        ({"plotly": "cdn"}, r"^plotly must be 'inline' or 'shared', was 'cdn'$"),
        ({"formats": ["xlsx"]}, r"^formats must be of parquet, csv, json, was 'xlsx'"),
    ],
)
@pytest.mark.parametrize("kind", [HtmlReport, MarkdownReport, NoReport])
def test_wrong_option_is_refused_by_name(kind: type[Report], options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**options)  # type: ignore[arg-type]


def test_content_without_or_with_repeated_results_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^results must hold the strategy's backtest"):
        sample_content(results=())
    with pytest.raises(ValueError, match=r"^results must have distinct names, 'ppo' occurs more than once$"):
        sample_content(results=sample_results()[:1] * 2)
