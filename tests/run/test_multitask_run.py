"""``experiment=rook_multitask`` as a user starts it: what is judged, and that the run is taken up again."""

import json

import pytest

from tradewright.cli import main

SMALL = (
    "experiment=rook_multitask", "data.num_swaps=2500", "data.split.embargo_bars=20", "algorithm.epochs=2",
    "algorithm.lr=3e-3", "model.memory=8", "model.hidden=[8]", "evaluate.num_random=0",
    "evaluate.shuffled_control=false",
)  # fmt: skip
FIGURES = ("side_accuracy", "side_majority_accuracy", "side_balanced_accuracy", "side_recall_buy", "side_recall_sell",
           "side_recall_hold", "size_mse", "size_mse_of_mean", "horizon_mse", "horizon_mse_of_mean")  # fmt: skip


@pytest.mark.row("R29")
@pytest.mark.row("R30")
@pytest.mark.row("R31")
@pytest.mark.row("X5")
def test_network_on_labels_is_trained_judged_and_taken_up_again(command, capsys) -> None:
    run = command(*SMALL, "report=markdown", "lora=r16")
    printed = " ".join(capsys.readouterr().out.split())
    assert "multitask says the right side in" in printed
    assert "lora=r16 has no effect: model=lstm is not a language model" in (run / "log.txt").read_text()
    metrics = json.loads((run / "metrics.json").read_text())
    assert all(f"{span}/{name}" in metrics for span in ("test", "validation") for name in FIGURES)
    assert "test/total_return" in metrics
    assert "baseline/buy_and_hold/total_return" in metrics
    curves = json.loads((run / "curves.json").read_text())
    for span in ("train", "validation"):
        assert {f"{span}/{name}loss" for name in ("", "side_", "size_", "horizon_")} <= curves.keys()
    report = (run / "report.md").read_text()
    for part in (
        "Forecasts",
        "Balanced accuracy of the side",
        "Mean squared error of the mean return",
        "taken for BUY",
    ):
        assert part in report

    again = command("evaluate", f"run={run}", "report=none", "name=again")
    judged = json.loads((again / "metrics.json").read_text())
    again_figures = ("test/total_return", "validation/sharpe", "test/num_trades")
    for name in (*again_figures, *(f"test/{name}" for name in FIGURES)):
        assert judged[name] == metrics[name], name


def test_bars_without_swaps_are_refused_in_one_line(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    words = (
        "experiment=rook_multitask",
        "data=nasdaq",
        "features=price_volume",
        "target=direction",
        "backtest=vectorized",
    )
    assert main(words) != 0
    assert "swaps" in capsys.readouterr().err
