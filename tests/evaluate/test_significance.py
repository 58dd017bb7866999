"""The significance of a backtest among its baselines, and the trials that the ledger remembers for it."""

import dataclasses
import json
import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tradewright.backtest.result import BacktestResult
from tradewright.errors import RunError
from tradewright.evaluate.evidence import Trials
from tradewright.evaluate.significance import SignificanceTest
from tradewright.ledger import NAME, Ledger, Repeated
from tradewright.metrics import ratios, returns
from tradewright.metrics.calendar import daily_marks
from tradewright.metrics.deflated import noise_ceiling
from tradewright.metrics.figures import FIGURES, JUDGED
from tradewright.metrics.paired import compare_pairs
from tradewright.metrics.summary import summarise


def account(name: str, seed: int, num: int = 400, drift: float = 2e-4, timeframe_s: int = 86_400) -> BacktestResult:
    """Return an account that follows a random walk with fat tails."""
    steps = np.random.default_rng(seed).standard_t(5, max(num - 1, 0)) * 0.01 + drift
    equity = 1e5 * np.cumprod(np.concatenate(([1.0], 1.0 + steps)))[:num]
    return BacktestResult(
        name=name,
        ts_T=np.datetime64("2020-01-06", "us") + np.arange(num) * np.timedelta64(timeframe_s, "s"),
        timeframe_s=timeframe_s,
        periods_per_year=252.0,
        symbols=("A",),
        initial_cash=1e5,
        equity_T=equity,
        weights_TN=np.ones((num, 1)),
        cash_T=np.zeros(num),
        fills=(),
        trades=(),
        costs={},
    )


@pytest.mark.row("B35")
def test_every_number_comes_from_the_function_that_defines_it() -> None:
    own, hold, other = account("ppo", 1), account("buy_and_hold", 2), account("momentum", 3)
    test = SignificanceTest(num_resamples=300, seed=4)
    found = test.assess(own, {"buy_and_hold": hold, "momentum": other}, Trials(num=7), 0.02)
    figures = summarise(own, hold, 0.02)
    for key, interval in found.intervals["ppo"].items():
        assert interval.value == pytest.approx(figures[key], rel=1e-9), key
        assert interval.low < interval.high
    assert list(found.intervals) == ["ppo", "buy_and_hold", "momentum"]
    daily = [returns.simple_returns(one.equity_T) for one in (own, hold, other)]
    paired = compare_pairs(
        np.array([daily[0], daily[0]]),
        np.array(daily[1:]),
        periods_per_year=252.0,
        risk_free=0.02,
        num_resamples=300,
        seed=4,
    )
    assert [one.name for one in found.comparisons] == ["buy_and_hold", "momentum"]
    assert [one.p_value for one in found.comparisons] == paired.sharpe.p_values().tolist()
    assert all(one.adjusted_p_value >= one.p_value for one in found.comparisons)
    assert found.comparisons[0].sharpe.value == pytest.approx(
        figures["sharpe"] - ratios.sharpe(daily[1], 252.0, 0.02), abs=2e-3 * abs(figures["sharpe"]) + 2e-3
    )
    assert found.comparisons[0].mean.value == pytest.approx(252 * (daily[0].mean() - daily[1].mean()))
    assert (found.num_periods, found.num_trials, found.deviation_source) == (399, 7, "sampling")
    assert found.trial_deviation == pytest.approx(math.sqrt(252 / 398))
    assert found.noise_ceiling == noise_ceiling(7, found.trial_deviation)
    assert 0 < found.deflated_sharpe < found.probabilistic_sharpe < 1
    assert math.isnan(found.superiority_p_value)


def test_keys_of_metrics_json_are_in_the_catalogue() -> None:
    found = SignificanceTest(num_resamples=100).assess(account("a", 1), {}, Trials(num=3), 0.0)
    keys = SignificanceTest.metrics(found)
    assert set(keys) <= set(JUDGED)
    assert not set(JUDGED) & set(FIGURES)
    assert keys["sharpe_low"] < found.intervals["a"]["sharpe"].value < keys["sharpe_high"]
    assert keys["max_drawdown_low"] < keys["max_drawdown_high"]
    assert keys["num_trials"] == 3.0
    assert all(isinstance(value, float) for value in keys.values())


def test_ten_recorded_trials_the_present_one_included_set_the_ceiling() -> None:
    own = account("a", 1)
    recorded = tuple(0.6 * k for k in range(9))
    found = SignificanceTest(num_resamples=100).assess(own, {}, Trials(num=30, sharpe_K=recorded), 0.0)
    mine = summarise(own)["sharpe"]
    assert found.deviation_source == "trials"
    assert found.trial_deviation == pytest.approx(np.std([*recorded, mine], ddof=1))
    fewer = SignificanceTest(num_resamples=100).assess(own, {}, Trials(num=30, sharpe_K=recorded[:8]), 0.0)
    assert fewer.deviation_source == "sampling"


def test_intraday_marks_are_reduced_to_days() -> None:
    own = account("a", 1, num=2000, timeframe_s=3600)
    found = SignificanceTest(num_resamples=100).assess(own, {}, Trials(), 0.0)
    assert found.num_periods == len(daily_marks(own.ts_T)) - 1 < 100
    assert found.intervals["a"]["sharpe"].value == pytest.approx(summarise(own)["sharpe"], rel=1e-9)


def test_strategy_that_is_a_baseline_is_not_compared_with_itself() -> None:
    hold = account("buy_and_hold", 1)
    found = SignificanceTest(num_resamples=100).assess(
        hold, {"buy_and_hold": hold, "x": account("x", 2)}, Trials(), 0.0
    )
    assert [one.name for one in found.comparisons] == ["x"]


@pytest.mark.parametrize("num", [0, 1, 2, 15])
def test_short_history_is_undefined_and_not_an_error(num: int) -> None:
    found = SignificanceTest(num_resamples=100).assess(account("a", 1, num), {"b": account("b", 2, num)}, Trials(), 0.0)
    assert math.isnan(found.intervals["a"]["sharpe"].low)
    assert math.isnan(found.comparisons[0].adjusted_p_value)
    assert set(SignificanceTest.metrics(found)) <= set(JUDGED)


def test_strategy_that_never_trades_has_no_ratio_to_compare() -> None:
    flat = dataclasses.replace(account("a", 1), equity_T=np.full(400, 1e5))
    found = SignificanceTest(num_resamples=100).assess(flat, {"b": account("b", 2)}, Trials(num=4), 0.0)
    assert math.isnan(found.comparisons[0].p_value)
    assert math.isnan(found.deflated_sharpe)
    assert found.intervals["a"]["total_return"] == dataclasses.replace(
        found.intervals["a"]["total_return"], value=0.0, low=0.0, high=0.0
    )
    assert found.noise_ceiling > 0


def test_bankrupt_account_leaves_undefined_evidence() -> None:
    own = account("a", 1)
    broke = dataclasses.replace(own, equity_T=np.where(np.arange(400) < 300, own.equity_T, -5.0), ended_at=300)
    found = SignificanceTest(num_resamples=100).assess(broke, {"b": account("b", 2)}, Trials(), 0.0)
    assert math.isnan(found.intervals["a"]["total_return"].low)
    assert math.isfinite(found.intervals["b"]["total_return"].low)
    assert math.isnan(found.comparisons[0].p_value)


def test_superiority_is_small_for_a_strategy_that_beats_its_baselines() -> None:
    base = {f"b{k}": account(f"b{k}", k) for k in range(2, 5)}
    p_values = [
        SignificanceTest(num_resamples=200, superiority=True)
        .assess(account("a", 1, drift=drift), base, Trials(), 0.0)
        .superiority_p_value
        for drift in (4e-3, -4e-3)
    ]
    assert p_values[0] < 0.05 < 0.3 < p_values[1]


def test_other_bars_are_refused_by_name() -> None:
    with pytest.raises(ValueError, match=r"^b must cover the same 400 bars as a$"):
        SignificanceTest().assess(account("a", 1), {"b": account("b", 2, 399)}, Trials(), 0.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_resamples": 99}, r"^num_resamples must be >= 100, was 99$"),
        ({"confidence": 1.0}, r"^confidence must be in \(0\.5, 1\), was 1\.0$"),
        ({"seed": -1}, r"^seed must be >= 0, was -1$"),
        ({"correction": "bonferroni"}, r"^correction must be one of romano_wolf, holm, none, was 'bonferroni'$"),
    ],
)
def test_wrong_option_is_refused_by_name(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SignificanceTest(**options)


def test_assessment_imports_neither_scipy_nor_pandas_nor_arch_nor_torch() -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1]);"
        "from test_significance import account;"
        "from tradewright.evaluate.evidence import Trials;"
        "from tradewright.evaluate.significance import SignificanceTest;"
        "SignificanceTest().assess(account('a', 1), {'b': account('b', 2)}, Trials(), 0.0);"
        "print([name for name in ('scipy', 'pandas', 'arch', 'torch') if name in sys.modules])"
    )
    out = subprocess.run(
        [sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, text=True, check=True
    )
    assert out.stdout.strip() == "[]"


def test_ledger_returns_the_last_ratio_of_the_other_trials(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    assert ledger.trials("d", present="me") == Trials(num=1, sharpe_K=())
    for trial, sharpe in (("x", 0.5), ("y", None), ("x", 0.7), ("me", 3.0), ("z", math.nan), ("x", None)):
        ledger.record(trial=trial, data_fingerprint="d", run="r", state="done", sharpe=sharpe)
    ledger.record(trial="w", data_fingerprint="other", run="r", state="done", sharpe=9.0)
    assert ledger.trials("d", present="me") == Trials(num=4, sharpe_K=(0.7,))
    assert ledger.trials("d", present="new") == Trials(num=5, sharpe_K=(0.7, 3.0))
    assert ledger.count("d") == 4
    assert all(json.loads(line) for line in (tmp_path / NAME).read_text().splitlines())


def test_lines_of_older_versions_count_but_have_no_ratio(tmp_path: Path) -> None:
    (tmp_path / NAME).write_text('{"trial": "old", "data": "d", "run": "r", "state": "done", "at": "2026"}\n')
    assert Ledger(tmp_path).trials("d", present="me") == Trials(num=2, sharpe_K=())


@pytest.mark.parametrize("line", ['{"trial": "a", "data": "d", "sharpe": "high"}', '{"data": "d"}', "[]", "{"])
def test_damaged_line_is_refused_by_number(tmp_path: Path, line: str) -> None:
    Ledger(tmp_path).record(trial="x", data_fingerprint="d", run="r", state="done")
    with (tmp_path / NAME).open("a") as file:
        file.write(line + "\n")
    with pytest.raises(RunError, match=r"trials\.jsonl: line 2 is not a trial record; mend or remove that line$"):
        Ledger(tmp_path).trials("d", present="me")


def test_repetition_knows_the_trials_that_were_recorded_before_its_run(tmp_path: Path) -> None:
    """Records of older versions name the job of a sweep by its last folder alone."""
    ledger = Ledger(tmp_path)
    assert ledger.name_of(tmp_path / "run") == "run"
    assert ledger.name_of(tmp_path / "sweep" / "0" / "7") == "sweep/0/7"
    assert ledger.name_of(tmp_path.parent / "elsewhere" / "0") == "0"
    entries = [("a", "0"), ("b", "0"), ("c", "1"), ("d", "new/0"), ("e", "new/1"), ("f", "alone"), ("g", "later")]
    for trial, run in entries:
        ledger.record(trial=trial, data_fingerprint="d", run=run, state="done")

    def known(run: str, trial: str) -> str:
        return "".join(ledger.sharpes("d", until=Repeated(run, trial)))

    assert known("old/0", "b") == "ab"
    assert known("old/1", "c") == "abc"
    assert known("new/0", "d") == "abcd"
    assert known("new/1", "e") == "abcde"
    assert known("alone", "f") == "abcdef"
    assert known("alone", "changed code") == "abcdef"
    assert known("0", "b") == "a"  # a run outside of its experiment's folder is known by its last folder alone
    assert known("old/0", "unknown") == "abcdefg"
