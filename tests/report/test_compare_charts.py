"""The trade-off and the importance of settings, against brute force and planted effects."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare_samples import compared, config, write_run

from tradewright.errors import RunError
from tradewright.report import compare_importance
from tradewright.report.compare_charts import labels
from tradewright.report.compare_importance import best_share, draw_importance, weigh_settings
from tradewright.report.compare_pareto import default_pair, draw_pareto, pareto_front
from tradewright.report.compared_rows import ComparedRow
from tradewright.report.comparison import Comparison
from tradewright.report.differences import ABSENT
from tradewright.report.settings import is_wide, numbers_of
from tradewright.task.compare import Compare


def beaten(points: list[tuple[float, float]], one: tuple[float, float]) -> bool:
    """Say from the definition whether another point is at least as good in both and better in one."""
    return any(a >= one[0] and b >= one[1] and (a > one[0] or b > one[1]) for a, b in points)


@pytest.mark.parametrize("seed", range(20))
def test_front_is_what_no_other_point_beats(seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.integers(0, 6, (2, 25)).astype(float)  # many ties and twins
    points = list(zip(*values.tolist(), strict=True))
    assert pareto_front(*values).tolist() == [not beaten(points, one) for one in points], f"seed {seed}"


def rows_of(figures: list[float], **settings: list[Any]) -> Comparison:
    runs = tuple(
        ComparedRow(
            label=str(place),
            state="done",
            settings={title: str(values[place]) for title, values in settings.items()},
            values={"test/sharpe": value},
        )
        for place, value in enumerate(figures)
    )
    return Comparison(
        folder=Path("x"),
        metrics=("test/sharpe",),
        sort="test/sharpe",
        titles=tuple(settings),
        runs=runs,
        groups=(),
        baselines=(),
        records=(),
    )


@pytest.mark.parametrize("num", [24, 60, 200])
def test_number_that_decides_comes_first_and_beyond_chance(num: int) -> None:
    rng = np.random.default_rng(num)
    lr, idle = 10 ** rng.uniform(-5, -1, num), rng.uniform(0, 1, num)
    word = rng.choice(["a", "b", "c"], num)
    figures = -np.abs(np.log10(lr) + 3) + 0.1 * rng.normal(size=num)
    first, *others = weigh_settings(rows_of(figures.tolist(), lr=lr.tolist(), idle=idle.tolist(), word=word.tolist()))
    assert (first.title, first.is_beyond_chance) == ("lr", True)
    assert first.share > 0.5
    assert {one.title for one in others} == {"idle", "word"}
    assert first.share + sum(one.share for one in others) == pytest.approx(1.0)


@pytest.mark.parametrize("sign", [1, -1])
def test_word_that_decides_comes_first_whichever_direction_is_better(sign: int) -> None:
    rng = np.random.default_rng(1)
    word, idle = rng.choice(["a", "b"], 60), rng.uniform(size=60)
    figures = np.where(word == "a", 1.0, 0.0) + np.where((word == "b") & (idle > 0.9), 5.0 * sign, 0.0)
    comparison = rows_of((sign * figures).tolist(), word=word.tolist(), idle=idle.tolist())
    if sign < 0:  # the same study told as drawdowns: lower is better
        runs = tuple(replace(row, values={"test/max_drawdown": row.values["test/sharpe"]}) for row in comparison.runs)
        comparison = replace(comparison, runs=runs, sort="test/max_drawdown")
    assert weigh_settings(comparison)[0].title == "word"


def test_settings_without_effect_are_seldom_beyond_chance() -> None:
    found: list[compare_importance.Weight] = []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        settings = {"x": rng.uniform(size=30).tolist(), "y": rng.choice(["a", "b"], 30).tolist()}
        found += weigh_settings(rows_of(rng.normal(size=30).tolist(), **settings))
    # 40 settings at one in 20: more than six would be seen in one of 200 studies
    assert sum(one.is_beyond_chance for one in found) <= 6
    assert sum(one.share > 0 for one in found) < 30  # what chance gives is taken off: about half are below it


def test_setting_that_only_some_runs_have_counts_where_it_exists() -> None:
    rng = np.random.default_rng(2)
    algorithm = np.array(["ppo", "sac"] * 40)
    tau = [f"{10 ** rng.uniform(-3, -1):.5g}" if name == "sac" else ABSENT for name in algorithm]
    good = [text != ABSENT and float(text) < 0.01 for text in tau]
    figures = np.where(good, 1.0, 0.0) + 0.01 * rng.normal(size=80)
    found = weigh_settings(rows_of(figures.tolist(), algorithm=algorithm.tolist(), tau=tau, seed=list(range(80))))
    weights = {one.title: one for one in found}
    assert set(weights) == {"algorithm", "tau"}
    assert weights["tau"].is_beyond_chance


def test_few_runs_equal_settings_or_undefined_figures_have_no_importance() -> None:
    assert weigh_settings(rows_of([float(i) for i in range(9)], lr=list(range(9)))) == ()
    assert weigh_settings(rows_of([float(i) for i in range(20)], lr=[1] * 20)) == ()
    assert weigh_settings(rows_of([float("nan")] * 11 + [1.0] * 9, lr=list(range(20)))) == ()
    assert draw_importance(rows_of([1.0], lr=[1])) is None


def test_best_runs_are_a_quarter_of_many_and_ten_of_few() -> None:
    assert [best_share(num) for num in (10, 20, 25, 40, 1000)] == [0.5, 0.5, 0.4, 0.25, 0.25]


def test_page_says_how_the_importance_is_computed_and_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    comparison = rows_of([float(i) for i in range(12)], lr=[10.0**-i for i in range(12)], idle=[1, 2] * 6)
    chart = draw_importance(comparison)
    assert chart is not None
    for words in ("PED-ANOVA over 12 runs", "the best 50% by Sharpe", "19 shuffles", "take it as a hint"):
        assert words in chart.description
    monkeypatch.setattr(compare_importance, "MAX_CELLS", 12)
    cut = draw_importance(comparison)
    assert cut is not None
    assert "1 further settings are not weighed" in cut.description


def test_settings_are_numbers_only_if_all_are() -> None:
    assert numbers_of(["1", "1e-3"]) == [1.0, 0.001]
    assert numbers_of(["1", "n/a"]) == numbers_of(["1", "inf"]) == []
    assert is_wide([0.001, 0.1])
    assert not is_wide([0.0, 100.0])
    assert not is_wide([1.0, 49.0])


@pytest.mark.parametrize(
    ("sort", "pair"),
    [
        ("test/sharpe", ("test/sharpe", "test/max_drawdown")),
        ("validation/sharpe", ("validation/sharpe", "validation/max_drawdown")),
        ("test/max_drawdown", ("test/total_return", "test/max_drawdown")),
    ],
)
def test_default_pair_is_the_sort_figure_against_the_drawdown(sort: str, pair: tuple[str, str]) -> None:
    assert default_pair(sort) == pair


def test_trade_off_has_one_point_per_configuration_and_the_baseline(tmp_path: Path) -> None:
    for number in range(6):
        content = config(lr=0.1 * (number // 2 + 1), seed=number % 2)
        write_run(tmp_path / str(number), content, walk_seed=number)
    comparison = compared(tmp_path, trade_off=("test/total_return", "test/max_drawdown"))
    chart = draw_pareto(comparison, labels(comparison))
    assert chart is not None
    behind, front, hold = chart.figure.data
    points = [(row.values["test/total_return"], -row.values["test/max_drawdown"]) for row in comparison.groups]
    expected = {point for point in points if not beaten(points, point)}
    assert {(x, -y) for x, y in zip(front.x, front.y, strict=True)} == expected
    assert len(behind.x) + len(front.x) == 3
    assert hold.name == "buy and hold"
    assert "higher Return and lower Max. drawdown are better" in chart.description


@pytest.mark.parametrize(
    ("pareto", "error", "message"),
    [
        (["sharpe"], ValueError, r"^pareto must be two different figures or null, was \['sharpe'\]$"),
        (["sharpe", "sharp"], RunError, r"^pareto: no run has the figure test/sharp; did you mean 'test/sharpe'\?$"),
        (["sharpe", "num_trades"], RunError, r"^pareto: test/num_trades is neither better high nor low"),
    ],
)
def test_wrong_pair_is_refused_by_name(pareto: Any, error: type[Exception], message: str, tmp_path: Path) -> None:
    write_run(tmp_path / "a", config())
    with pytest.raises(error, match=message):
        Compare(runs=str(tmp_path), pareto=pareto).execute(None)
