"""Comparing runs beyond chance: which runs are comparable, what is claimed of them, and when nothing is recommended."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from compare_samples import config, walk, write_run, write_study

from tradewright.errors import RunError
from tradewright.ledger import NAME, Ledger
from tradewright.metrics.deflated import TrackRecord, noise_ceiling, probabilistic_sharpe
from tradewright.metrics.multiple import correct
from tradewright.metrics.overfitting import backtest_overfitting
from tradewright.metrics.paired import compare_pairs
from tradewright.metrics.returns import simple_returns
from tradewright.output import PROVENANCE, read_json, write_json, write_text
from tradewright.report.candidates import Candidates, find_candidates
from tradewright.report.recommendation import recommend
from tradewright.report.runs import find_runs, read_run
from tradewright.report.standings import MAX_PAIRED, Standings, rank_runs
from tradewright.task.compare import TEXT_REPORT, Compare

EDGE = 6e-3
"""Daily drift that no amount of luck gives: a Sharpe ratio of about 9."""


def candidates(folder: Path) -> Candidates | None:
    records = [read_run(path) for path in find_runs([folder])]
    return find_candidates(records, [record.path.name for record in records])


def ranked(folder: Path, **options: Any) -> Standings:
    found = candidates(folder)
    assert found is not None
    return rank_runs(found, sort="test/sharpe", **options)


def write_runs(folder: Path, drifts: dict[str, float], **options: Any) -> Path:
    """Write one run per name, each with a walk and a configuration of its own."""
    for place, (name, drift) in enumerate(drifts.items()):
        write_run(folder / name, config(lr=0.001 * (place + 1)), walk_seed=place, drift=drift, **options)
    return folder


@pytest.mark.row("B35")
def test_every_number_comes_from_the_function_that_defines_it(tmp_path: Path) -> None:
    write_runs(tmp_path, {"a": 2e-3, "b": 0.0, "c": 1e-3, "d": -1e-3})
    found = ranked(tmp_path, num_resamples=200)
    own = np.array(
        [simple_returns(walk("policy", seed, drift).equity_T) for seed, drift in enumerate((2e-3, 0, 1e-3, -1e-3))]
    )
    hold = np.broadcast_to(simple_returns(walk("buy_and_hold", 999).equity_T), own.shape)
    paired = compare_pairs(own, hold, periods_per_year=252.0, num_resamples=200)
    expected = correct(paired.sharpe, "romano_wolf")
    assert [run.label for run in found.runs] == ["a", "b", "c", "d"]
    for place, run in enumerate(found.runs):
        assert run.hold is not None
        assert run.hold.adjusted_p_value == expected[place]
        assert run.hold.sharpe.value == pytest.approx(paired.sharpe.value_K[place], rel=1e-9)
        track = TrackRecord.of(own[place], 252.0)
        assert run.sharpe == pytest.approx(track.sharpe, rel=1e-9)
        assert run.deflated_sharpe == pytest.approx(probabilistic_sharpe(track, found.noise_ceiling), rel=1e-9)
        assert run.validation == pytest.approx(run.record.metrics["validation/sharpe"])
    assert (found.num_trials, found.num_returns, found.deviation_source) == (4, 299, "sampling")
    assert found.noise_ceiling == pytest.approx(noise_ceiling(4, math.sqrt(252 / 298)))
    assert found.overfitting.probability == backtest_overfitting(own).probability
    first, last = np.triu_indices(4, 1)
    names = [run.label for run in found.runs]
    assert [(label, one.name) for label, one in found.pairs] == [
        (names[i], names[j]) for i, j in zip(first, last, strict=True)
    ]
    assert found.pairs[0][1].sharpe.value == pytest.approx(found.runs[0].sharpe - found.runs[1].sharpe, abs=0.05)
    assert 0 < found.superiority_p_value <= 1


def test_runs_on_other_bars_data_or_terms_are_listed_with_the_reason(tmp_path: Path) -> None:
    write_runs(tmp_path, {"a": 0.0, "b": 1e-4, "c": 2e-4})
    costs = {"costs": {"fee_bps": 5.0}, "stop_loss": 0.1}
    write_run(tmp_path / "costs", config(lr=9.0, backtest=costs))
    write_run(tmp_path / "bars", config(lr=9.0), num_bars=200)
    write_run(tmp_path / "data", config(lr=9.0), fingerprint="other")
    write_run(tmp_path / "hold", config(lr=9.0), hold_seed=5)
    write_run(tmp_path / "stops", config(lr=9.0, backtest={"stop_loss": 0.1, "leverage": 2.0}))
    write_run(tmp_path / "failed", config(lr=9.0), state="failed", error="boom")
    write_run(tmp_path / "empty", config(lr=9.0), with_equity=False)
    old = write_run(tmp_path / "old", config(lr=9.0))
    write_json(old / PROVENANCE, {"data": {"fingerprint": "ff00"}})
    damaged = write_run(tmp_path / "damaged", config(lr=9.0))
    write_text(damaged / "equity.parquet", "not parquet")
    found = candidates(tmp_path)
    assert found is not None
    assert found.labels == ("a", "b", "c", "stops")
    reasons = dict(found.excluded)
    assert set(reasons) == {"costs", "bars", "data", "hold", "empty", "old", "damaged"}
    assert reasons["costs"] == "other terms: backtest.costs.fee_bps 5 instead of n/a"
    assert reasons["bars"] == (
        "other bars: 2016-01-01 to 2016-10-06 (200 bars) instead of 2016-01-01 to 2017-02-23 (300 bars)"
    )
    assert reasons["data"] == "other data"
    assert "its buy-and-hold ended elsewhere" in reasons["hold"]
    assert "does not name the calendar" in reasons["old"]
    assert reasons["damaged"].startswith("its equity cannot be read")
    assert reasons["empty"].startswith("its equity cannot be read")


def test_largest_comparable_group_is_taken_and_of_equal_ones_that_of_the_best_run(tmp_path: Path) -> None:
    write_runs(tmp_path, {"a": 0.0, "b": 0.0})
    write_runs(tmp_path / "other", {"c": 0.0, "d": 0.0, "e": 0.0}, fingerprint="other")
    assert candidates(tmp_path).labels == ("c", "d", "e")  # type: ignore[union-attr]
    records = [read_run(tmp_path / name) for name in ("a", "other/c", "b", "other/d")]
    found = find_candidates(records, ["a", "c", "b", "d"])
    assert found is not None
    assert found.labels == ("a", "b")


def test_best_run_on_terms_of_its_own_is_the_one_left_out(tmp_path: Path) -> None:
    write_runs(tmp_path, {"b": 0.0, "c": 0.0})
    write_run(tmp_path / "a", config(backtest={"costs": {"fee_bps": 0.0}}))
    found = candidates(tmp_path)
    assert found is not None
    assert found.labels == ("b", "c")
    assert found.excluded == (("a", "other terms: backtest.costs.fee_bps 0 instead of n/a"),)


def test_skill_that_is_less_than_that_of_holding_is_not_recommended(tmp_path: Path) -> None:
    write_runs(tmp_path, {"a": 0.5 * EDGE, "b": 0.0}, hold_drift=2 * EDGE)
    found = ranked(tmp_path)
    assert found.runs[0].deflated_sharpe > 0.95
    assert found.runs[0].hold.adjusted_p_value < 0.05  # type: ignore[union-attr]
    assert recommend(found, "test/sharpe").run is None


def test_nothing_comparable_is_no_error_but_no_recommendation(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_run(tmp_path / "a", config(), state="failed", error="boom")
    assert candidates(tmp_path) is None
    Compare(runs=str(tmp_path)).execute(None)
    assert "No model is recommended: no finished run left equity" in capsys.readouterr().out
    assert "No model is recommended" in (tmp_path / TEXT_REPORT).read_text()


@pytest.mark.row("B36")
def test_recommendation_refuses_when_nothing_beats_the_baseline(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_runs(tmp_path, dict.fromkeys("abcdef", 0.0003))
    Compare(runs=str(tmp_path), metrics=("sharpe",)).execute(None)
    text = (tmp_path / TEXT_REPORT).read_text()
    refusal = "No model is recommended: none of the 6 runs beats buy and hold by more than chance explains in 6 trials."
    assert refusal in text
    assert refusal in capsys.readouterr().out
    assert "Recommended:" not in text
    assert "The largest advantage is that of" in text
    page = (tmp_path / "compare.html").read_text()
    assert refusal in page
    assert "noise ceiling" in page
    assert 'id="plot-against-hold"' in page


@pytest.mark.row("B36")
def test_run_beyond_chance_is_recommended_with_its_evidence(tmp_path: Path) -> None:
    write_runs(tmp_path, {"a": 0.0, "b": 1e-4, "c": -1e-4, "star": EDGE})
    Compare(runs=str(tmp_path), metrics=("sharpe",)).execute(None)
    text = (tmp_path / TEXT_REPORT).read_text()
    assert "Recommended: lr 0.004 (star), the only run that beats buy and hold beyond chance." in text
    for words in ("Every run against buy and hold", "Runs against each other", "StepM", "Overfitting", "Noise ceiling"):
        assert words in text, words
    assert not any(line.endswith(" ") for line in text.splitlines())


def test_validation_chooses_among_runs_beyond_chance(tmp_path: Path) -> None:
    write_runs(tmp_path, {"best": EDGE, "second": 0.8 * EDGE, "c": 0.0})
    for name, value in (("best", 0.1), ("second", 5.0)):
        metrics = read_json(tmp_path / name / "metrics.json") | {"validation/sharpe": value}
        write_json(tmp_path / name / "metrics.json", metrics)
    advice = recommend(ranked(tmp_path), "test/sharpe")
    assert advice.run is not None
    assert advice.run.label == "second"
    assert "the best by validation/sharpe of 2 runs" in advice.sentences[0]


def test_lower_is_better_where_the_sort_figure_says_so(tmp_path: Path) -> None:
    write_runs(tmp_path, {"deep": EDGE, "flat": 0.8 * EDGE})
    for name, value in (("deep", 0.3), ("flat", 0.1)):
        metrics = read_json(tmp_path / name / "metrics.json") | {"validation/max_drawdown": value}
        write_json(tmp_path / name / "metrics.json", metrics)
    found = candidates(tmp_path)
    assert found is not None
    advice = recommend(rank_runs(found, sort="test/max_drawdown"), "test/max_drawdown")
    assert advice.run is not None
    assert advice.run.label == "flat"


def test_many_recorded_trials_take_a_recommendation_away(tmp_path: Path) -> None:
    write_runs(tmp_path, {"a": 0.0, "good": 4e-3})
    assert recommend(ranked(tmp_path), "test/sharpe").run is not None
    ledger = Ledger(tmp_path)
    for place in range(200):
        sharpe = float(np.random.default_rng(place).normal(0, 3))
        ledger.record(trial=f"t{place}", data_fingerprint="ff00", run="x", state="done", sharpe=sharpe)
    found = ranked(tmp_path)
    assert (found.num_trials, found.deviation_source) == (202, "trials")
    advice = recommend(found, "test/sharpe")
    assert advice.run is None
    assert "202 trials" in advice.sentences[0]


def test_ledger_of_a_sweep_lies_one_folder_higher_and_its_trials_are_counted_once(tmp_path: Path) -> None:
    write_runs(tmp_path / "sweep", {"000": 0.0, "001": 0.0})
    own = read_json(tmp_path / "sweep" / "000" / PROVENANCE)["trial"]
    for trial, data in ((own, "ff00"), ("other", "ff00"), ("elsewhere", "ab")):
        Ledger(tmp_path).record(trial=trial, data_fingerprint=data, run="x", state="done")
    assert ranked(tmp_path).num_trials == 3
    (tmp_path / NAME).write_text("{\n")
    with pytest.raises(RunError, match="line 1 is not a trial record"):
        ranked(tmp_path)


def test_seeds_are_one_trial_and_the_recommendation_says_how_many_agree(tmp_path: Path) -> None:
    for seed in range(3):
        drift = EDGE if seed else 0.0
        write_run(tmp_path / str(seed), config(seed=seed), walk_seed=seed, drift=drift)
    found = ranked(tmp_path)
    assert found.num_trials == 1
    assert "2 of its 3 seeds beat buy and hold beyond chance." in recommend(found, "test/sharpe").sentences


def test_degenerate_policy_is_not_recommended(tmp_path: Path) -> None:
    write_runs(tmp_path, {"a": EDGE, "b": 0.0})
    metrics = read_json(tmp_path / "a" / "metrics.json") | {"test/is_degenerate": 1.0}
    write_json(tmp_path / "a" / "metrics.json", metrics)
    assert recommend(ranked(tmp_path), "test/sharpe").run is None
    Compare(runs=str(tmp_path), metrics=("sharpe",)).execute(None)
    assert "decides little or nothing" in (tmp_path / TEXT_REPORT).read_text()


def test_runs_with_equal_returns_are_one_strategy_and_the_rest_is_named(tmp_path: Path) -> None:
    drifts = {"a": 2e-3, "b": 0.0, "c": 1e-3, "d": -1e-3}
    alone = ranked(write_runs(tmp_path / "alone", drifts), num_resamples=200)
    write_runs(tmp_path / "both", drifts)
    for place in range(3):  # the same trial again, and one of another configuration with the same returns
        write_run(tmp_path / "both" / f"e{place}", config(lr=0.001 if place else 0.7), walk_seed=0, drift=2e-3)
    found = ranked(tmp_path / "both", num_resamples=200)
    assert [run.label for run in found.runs] == ["a", "b", "c", "d"]
    assert found.repeated == (("e0", "a"), ("e1", "a"), ("e2", "a"))
    assert (alone.num_trials, found.num_trials) == (4, 5)
    assert found.overfitting.probability == alone.overfitting.probability
    assert found.superiority_p_value == alone.superiority_p_value
    assert found.pairs == alone.pairs
    assert [run.hold for run in found.runs] == [run.hold for run in alone.runs]
    assert alone.repeated == ()
    Compare(runs=str(tmp_path / "both"), metrics=("sharpe",)).execute(None)
    text = (tmp_path / "both" / TEXT_REPORT).read_text()
    assert "Runs left out because they repeat another" in text
    page = (tmp_path / "both" / "compare.html").read_text()
    assert "3 runs repeat the returns of another and are left out of the tests: " in page


def test_repeating_a_run_is_not_said_to_be_another_seed(tmp_path: Path) -> None:
    write_runs(tmp_path, {"b": 0.0})
    for seed in range(3):
        write_run(tmp_path / f"star{seed}", config(lr=0.5, seed=seed), walk_seed=7, drift=EDGE)
    advice = recommend(ranked(tmp_path), "test/sharpe")
    assert advice.run is not None
    assert "Repeating it 2 more times gave equal returns, which proves no more than one run." in advice.sentences


def test_few_runs_have_no_probability_of_overfitting(tmp_path: Path) -> None:
    write_runs(tmp_path, {"a": 0.0, "b": 0.0, "c": 0.0})
    found = ranked(tmp_path)
    assert math.isnan(found.overfitting.probability)
    assert len(found.pairs) == 3


def test_single_run_is_compared_with_buy_and_hold_alone(tmp_path: Path) -> None:
    found = ranked(write_runs(tmp_path, {"a": 0.0}))
    assert found.pairs == ()
    assert "the one run does not beat" in recommend(found, "test/sharpe").sentences[0]


def test_pairs_are_those_of_the_best_runs(tmp_path: Path) -> None:
    study = write_study(tmp_path / "default")
    found = ranked(study, num_resamples=100)
    assert len(found.runs) == 12
    assert len(found.pairs) == math.comb(MAX_PAIRED, 2)


def test_significance_can_be_left_out(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    write_runs(tmp_path, {"a": 0.0, "b": 0.0})
    Compare(runs=str(tmp_path), num_resamples=0).execute(None)
    assert not (tmp_path / TEXT_REPORT).exists()
    assert "ecommend" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_resamples": 50}, r"^num_resamples must be 0 or >= 100, was 50$"),
        ({"confidence": 0.4}, r"^confidence must be in \(0\.5, 1\), was 0\.4$"),
        ({"correction": "x"}, r"^correction must be one of romano_wolf, holm, none, was 'x'$"),
    ],
)
def test_wrong_option_is_refused_by_name(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Compare(runs="x", **options)


@pytest.mark.row("B35")
@pytest.mark.parametrize(
    ("num_studies", "most_claims", "most_recommendations"),
    # 99.9 % of honest procedures claim no more: binomial with 5 % per study
    [pytest.param(8, 3, 1), pytest.param(300, 27, 6, marks=pytest.mark.slow)],
)
def test_studies_without_edge_find_something_at_most_at_the_level(
    tmp_path: Path, num_studies: int, most_claims: int, most_recommendations: int
) -> None:
    seed, claims, recommendations = 50, 0, 0
    for study in range(num_studies):
        folder, first = tmp_path / str(study), seed + 10 * study
        for run in range(3):
            write_run(
                folder / str(run),
                config(lr=0.1 + run),
                walk_seed=first + run,
                drift=0.0,
                hold_seed=first + 5,
                hold_drift=0.0,
            )
        found = ranked(folder, num_resamples=200)
        claims += any(run.hold is not None and run.hold.adjusted_p_value <= 0.05 for run in found.runs)
        recommendations += recommend(found, "test/sharpe").run is not None
    print(
        f"seed {seed}: of {num_studies} studies without edge {claims} claim a difference, {recommendations} recommend"
    )
    assert claims <= most_claims
    assert recommendations <= most_recommendations
