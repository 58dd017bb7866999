"""A language model explains the newest agent that was trained, and nothing else."""

from pathlib import Path

import pytest

from tradewright.config.compose import compose
from tradewright.output import write_json, write_text
from tradewright.task.agent_run import newest_agent, with_agent

PARTS = "env:\n  _target_: tradewright.{}\nalgorithm:\n  _target_: tradewright.algorithm.{}\n"
AGENT = PARTS.format("env.continuous.Continuous", "ppo.PPO")
WRITER = PARTS.format("config.inert.NoWorld", "sft.SFT")
CARTPOLE = PARTS.format("env.cartpole.CartPole", "ppo.PPO")


def leave(folder: Path, config: str, state: str = "done") -> Path:
    """Leave a run behind, as far as the search looks."""
    write_json(folder / "checkpoints" / "best.json", {"checkpoint": "best.ckpt"})
    write_text(folder / "config.yaml", config)
    write_json(folder / "status.json", {"state": state})
    return folder


@pytest.mark.row("X12")
def test_the_newest_finished_agent_of_a_market_is_explained(tmp_path: Path) -> None:
    runs = tmp_path / "outputs" / "default"
    wanted = leave(runs / "20260102-000000-000000", AGENT)
    leave(runs / "20260101-000000-000000", AGENT)
    leave(runs / "20260103-000000-000000", AGENT, state="failed")
    leave(runs / "20260104-000000-000000", CARTPOLE)
    leave(runs / "20260105-000000-000000", WRITER)
    assert newest_agent(runs) == wanted
    cfg = compose(["experiment=trading_llm", f"output_dir={tmp_path / 'outputs'}"])
    assert cfg.examples.run is None
    assert with_agent(cfg).examples.run == str(wanted)


def test_a_named_run_or_log_stays_and_other_trainings_need_no_agent(tmp_path: Path) -> None:
    named = compose(["experiment=trading_llm", "examples.run=outputs/mine/1"])
    assert with_agent(named) is named
    logged = compose(["experiment=trading_llm", "examples.decisions=decisions.jsonl"])
    assert with_agent(logged) is logged
    rook = compose(["experiment=rook"])
    assert with_agent(rook) is rook


def test_without_an_agent_there_is_none(tmp_path: Path) -> None:
    assert newest_agent(tmp_path) is None
