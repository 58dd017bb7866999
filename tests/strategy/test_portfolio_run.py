"""``tradewright env=portfolio`` from the command line to the report."""

import json
from pathlib import Path

import pytest

from tradewright.cli import main

TINY = (
    "data=universe", "data.num_symbols=3", "data.num_bars=400", "env.window=3", "algorithm.total_frames=256",
    "algorithm.num_envs=8", "algorithm.rollout_steps=16", "algorithm.iterations_per_epoch=1",
    "evaluate.shuffled_control=false", "report=markdown",
)  # fmt: skip
OWN_ACCOUNTS = "The agent saw each of the 3 instruments in an account of its own"


@pytest.mark.row("N32")
@pytest.mark.parametrize(("env", "has_note"), [("portfolio", False), ("discrete5", True)])
def test_agent_on_several_instruments_is_trained_judged_and_reported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, env: str, has_note: bool
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(("algorithm=ppo", f"env={env}", *TINY)) == 0
    run = next(tmp_path.glob("outputs/default/*/status.json")).parent
    report = " ".join((run / "report.md").read_text().split())
    assert (OWN_ACCOUNTS in report) is has_note
    assert "test/sharpe" in json.loads((run / "metrics.json").read_text())
