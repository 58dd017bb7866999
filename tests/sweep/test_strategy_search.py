"""Parameters of a rule are searched like those of an algorithm, by the command line."""

from pathlib import Path

import pytest
import yaml

from tradewright.cli import main
from tradewright.output import read_json, read_metrics

METRIC = "validation/sharpe"


@pytest.mark.slow
@pytest.mark.row("L60")
def test_twenty_trials_over_the_parameters_of_a_rule_find_the_best_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rule = [
        "task=backtest",
        "strategy=sma_cross",
        "strategy.fast=int(interval(2,20))",
        "strategy.slow=int(interval(21,80))",
    ]
    quick = ["data=synthetic", "data.num_bars=600", "evaluate.num_random=0", "evaluate.significance.num_resamples=100"]
    bounds = ["sweep.constraints={validation/max_drawdown:'<= 0.08'}", "report=none", "launcher=inline"]
    assert main([*rule, *quick, *bounds, "sweep=tpe", "sweep.num_trials=20", "sweep.name=rule"]) == 0
    folder = tmp_path / "outputs" / "default" / "rule"
    figures = {slot: read_metrics(folder / str(slot)) for slot in range(20)}
    kept = {slot: one[METRIC] for slot, one in figures.items() if one["validation/max_drawdown"] <= 0.08}
    assert 0 < len(kept) < 20
    best = max(kept, key=lambda slot: (kept[slot], -slot))
    overrides = yaml.safe_load((folder / "best.yaml").read_text())["overrides"]
    assert (
        overrides == next(one for one in read_json(folder / "sweep.json")["slots"] if one["slot"] == best)["overrides"]
    )
    fast, slow = (
        int(word.partition("=")[2]) for word in overrides if word.startswith(("strategy.fast=", "strategy.slow="))
    )
    assert 2 <= fast <= 20 < slow <= 80
