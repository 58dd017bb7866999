"""Sweeps over what the source systems searched: strategy parameters, markets, and models with some left out."""

from pathlib import Path

import pytest

from tradewright.cli import main
from tradewright.output import read_json, read_metrics

QUICK = (
    "report=none",
    "evaluate.num_random=0",
    "evaluate.significance.num_resamples=100",
    "logger=none",
    "launcher=inline",
)


def the_sweep(tmp_path: Path) -> Path:
    (found,) = (path.parent for path in tmp_path.glob("outputs/default/*/study.db"))
    return found


@pytest.mark.row("L60")
def test_twenty_trials_search_the_parameters_of_a_strategy(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["backtest", "sweep=tpe", "sweep.num_trials=20", "strategy=sma_cross", "data=synthetic", *QUICK]
    assert (
        main([*words, "data.num_bars=600", "strategy.fast=int(interval(2,30))", "strategy.slow=range(40,121,20)"]) == 0
    )
    sweep = the_sweep(tmp_path)
    slots = read_json(sweep / "sweep.json")["slots"]
    assert [slot["state"] for slot in slots] == ["done"] * 20
    best = max(slots, key=lambda slot: slot["values"][0])
    assert f"job {best['slot']}," in (sweep / "best.yaml").read_text()
    for slot in slots:
        figures = read_metrics(sweep / str(slot["slot"]))
        assert figures["validation/sharpe"] == slot["values"][0]
    num_distinct = len({tuple(sorted(slot["overrides"])) for slot in slots})
    assert f"{num_distinct} trials" in " ".join(capsys.readouterr().out.split())  # in the deflated Sharpe ratios
    assert main([f"from={sweep / 'best.yaml'}", "name=again"]) == 0
    (again,) = tmp_path.glob("outputs/again/*/metrics.json")
    first, second = read_metrics(sweep / str(best["slot"])), read_metrics(again.parent)
    for key in ("validation/sharpe", "test/total_return", "test/num_trades", "test/turnover"):
        assert first[key] == second[key], key


@pytest.mark.row("R42")
def test_sweep_over_markets_gives_comparable_runs(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["-m", "task=backtest", "strategy=momentum", "data=universe", "data.num_symbols=3", *QUICK]
    assert main([*words, "data.symbols=[S0001],[S0002]"]) == 0
    sweep = the_sweep(tmp_path)
    configs = [(sweep / str(number) / "config.yaml").read_text() for number in range(2)]
    assert configs[0] != configs[1]
    fingerprints = {read_json(sweep / str(number) / "provenance.json")["data"]["fingerprint"] for number in range(2)}
    assert len(fingerprints) == 2
    shown = capsys.readouterr().out
    assert "S0001" in shown
    assert "S0002" in shown
    assert shown.count("buy and hold") >= 2
