"""``tradewright env=portfolio`` from the command line to the report."""

import json
from pathlib import Path

import pytest

from tradewright.cli import main

TINY = (
    "data=universe", "data.num_symbols=3", "data.num_bars=400", "env.window=3", "algorithm.total_frames=256",
    "algorithm.num_envs=8", "algorithm.rollout_steps=16", "algorithm.iterations_per_epoch=1",
    "evaluate.shuffled_control=false", "report=markdown", "trainer.max_epochs=1",
)  # fmt: skip
OWN_ACCOUNTS = "The agent saw each of the 3 instruments in an account of its own"


@pytest.mark.row("N32")
@pytest.mark.parametrize(("env", "has_note"), [("portfolio", False), ("discrete5", True)])
def test_agent_on_several_instruments_is_trained_judged_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], env: str, has_note: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(("algorithm=ppo", f"env={env}", *TINY)) == 0
    run = next(tmp_path.glob("outputs/default/*/status.json")).parent
    report = " ".join((run / "report.md").read_text().split())
    assert (OWN_ACCOUNTS in report) is has_note
    metrics = json.loads((run / "metrics.json").read_text())
    assert "test/sharpe" in metrics
    if env == "portfolio":
        judge_again(run, metrics["test/sharpe"], capsys)


def judge_again(run: Path, sharpe: float, capsys: pytest.CaptureFixture[str]) -> None:
    """The trained agent gives the same figures again, and is refused on the same instruments in another order."""
    again = ("evaluate", f"task.run={run}", "name=again")
    assert main(again) == 0
    found = next(run.parents[1].glob("again/*/metrics.json"))
    assert json.loads(found.read_text())["test/sharpe"] == sharpe
    capsys.readouterr()
    assert main((*again, "data.symbols=[S0003,S0002,S0001]")) != 0
    assert "its joint account trades S0001, S0002, S0003, the data have S0003, S0002, S0001" in capsys.readouterr().err
