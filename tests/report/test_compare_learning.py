"""Learning curves of several runs on one chart: means over seeds, their intervals, and what cannot be read."""

from pathlib import Path

import numpy as np
import pytest
from compare_samples import compared, config, write_run

from tradewright.metrics.seeds import interval_half_width
from tradewright.output import CURVES, write_curves
from tradewright.report.compare_charts import labels
from tradewright.report.compare_learning import MAX_LINES, draw_learning

STEPS = [100, 200, 300]


def write_learner(path: Path, values: list[float], *, steps: list[int] = STEPS, algorithm: str = "ppo", seed: int = 0):
    write_run(path, config(algorithm, seed=seed), walk_seed=seed)
    write_curves(path, {"train/loss": (steps, values), "validation/sharpe": (steps, values)})


def lines_of(folder: Path):
    comparison = compared(folder)
    chart, problems = draw_learning(comparison, labels(comparison))
    assert chart is not None
    shown = {line.name: line for line in chart.figure.data if line.showlegend is not False}
    return shown, [line for line in chart.figure.data if line.showlegend is False], problems


def test_lines_are_means_over_seeds_and_bands_their_intervals(tmp_path: Path) -> None:
    seeds = [[0.1, 0.4, 0.5], [0.3, 0.2, 0.9], [0.2, 0.6, 0.1]]
    for seed, values in enumerate(seeds):
        write_learner(tmp_path / f"p{seed}", values, seed=seed)
    write_learner(tmp_path / "s", [1.0, 2.0, 3.0], algorithm="sac")
    shown, bands, problems = lines_of(tmp_path)
    assert not problems
    assert set(shown) == {"ppo (3 seeds)", "sac, seed 0"}
    np.testing.assert_allclose(shown["ppo (3 seeds)"].y, np.mean(seeds, axis=0))
    half = [interval_half_width(values) for values in np.transpose(seeds)]
    (band,) = bands
    np.testing.assert_allclose(band.y[:3], np.mean(seeds, axis=0) + half)
    np.testing.assert_allclose(band.y[3:][::-1], np.mean(seeds, axis=0) - half)
    np.testing.assert_array_equal(shown["sac, seed 0"].y, [1.0, 2.0, 3.0])


def test_seeds_of_different_length_are_averaged_over_the_steps_they_share(tmp_path: Path) -> None:
    write_learner(tmp_path / "a", [1.0, 2.0, 3.0], seed=0)
    write_learner(tmp_path / "b", [3.0, 5.0], steps=[100, 300], seed=1)
    shown, _, _ = lines_of(tmp_path)
    (line,) = shown.values()
    np.testing.assert_array_equal(line.x, [100, 300])
    np.testing.assert_array_equal(line.y, [2.0, 4.0])


def test_damaged_curves_are_named_and_the_others_drawn(tmp_path: Path) -> None:
    write_learner(tmp_path / "a", [1.0, 2.0, 3.0])
    write_learner(tmp_path / "b", [1.0, 2.0, 3.0], algorithm="sac")
    (tmp_path / "b" / CURVES).write_text('{"validation/sharpe": 3}')
    shown, _, problems = lines_of(tmp_path)
    assert set(shown) == {"ppo"}
    assert len(problems) == 1
    assert str(tmp_path / "b" / CURVES) in problems[0]


def test_runs_without_curves_have_no_chart_and_many_are_said_to_be_cut(tmp_path: Path) -> None:
    write_run(tmp_path / "rule", config())
    comparison = compared(tmp_path)
    assert draw_learning(comparison, labels(comparison)) == (None, [])
    for number in range(MAX_LINES + 1):
        path = tmp_path / f"r{number}"
        write_run(path, config(lr=10.0 ** -(number + 1)), walk_seed=number)
        write_curves(path, {"validation/sharpe": (STEPS, [0.0, 1.0, float(number)])})
    shown, _, problems = lines_of(tmp_path)
    assert len(shown) == MAX_LINES
    assert problems == [f"Learning is drawn for the first {MAX_LINES} of {MAX_LINES + 1} configurations."]


@pytest.mark.parametrize("sort", ["test/total_return", "validation/sharpe"])
def test_another_order_draws_the_figure_that_was_recorded(tmp_path: Path, sort: str) -> None:
    write_learner(tmp_path / "a", [1.0, 2.0, 3.0])
    comparison = compared(tmp_path, sort=sort, metrics=("total_return",))
    chart, _ = draw_learning(comparison, labels(comparison))
    assert chart is not None
    assert chart.figure.layout.yaxis.title.text == "Sharpe (validation)"
