"""The README's commands, examples and table are true."""

import json
import re
import shlex
import sys
from pathlib import Path

import pytest
from tiny import BRIEF

from tradewright.cli import main
from tradewright.paths import shipped

README = Path(__file__).parents[2] / "README.md"
TRAINS = ("-m", "experiment=hidden_signal", "algorithm.lr=1e-3", "algorithm=sac", "env=portfolio", "env=cartpole")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README.read_text(), re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("tradewright ")]
    return [shlex.split(line, comments=True)[1:] for line in lines]


def brief(words: list[str]) -> list[str]:
    """Return overrides that shorten a training to one epoch with at least one update."""
    iterations = 17 if "algorithm=sac" in words else 1  # of 128 frames; sac begins to learn after 2000
    shorter = ["debug=fast", f"algorithm.iterations_per_epoch={iterations}"]
    if "env=cartpole" not in words:
        shorter += ["evaluate.shuffled_control=false", "evaluate.analytic_reference=false"]
    return shorter


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_every_command_of_the_readme_runs(words: list[str], tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    if words[0] == "compare":
        assert main(("backtest", "strategy=rule", "report=none")) == 0
    assert main([*words, *(brief(words) if words[0] in TRAINS else [])]) == 0
    if words[0] == "-m":
        assert len(list(tmp_path.glob("outputs/default/*/*/metrics.json"))) == 4


def test_the_two_commands_are_those_that_the_gate_runs() -> None:
    gate = (README.parent / ".ci" / "run").read_text()
    installs = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("pip ")]
    assert installs == ["pip install . && tradewright", "pip install '.[dev]' && pytest"]
    assert all(f"# {line}" in gate for line in installs)


def test_the_error_example_prints_what_the_readme_shows(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    example = next(block for block in blocks("text") if block.startswith("$ "))
    command, *expected = example.strip().splitlines()
    assert main(shlex.split(command)[2:]) == 2
    assert capsys.readouterr().err.strip().splitlines() == expected


def test_the_table_names_every_option_of_every_group() -> None:
    text = README.read_text()
    table = text[text.index("| Group | Options |") : text.index("## How a run is judged")]
    for path in sorted(shipped("conf").glob("*/*.yaml")):
        assert f"`{path.stem}`" in table, f"{path.parent.name}/{path.stem}"
        assert f"`{path.parent.name}`" in table
    for path in shipped("experiments").glob("*.yaml"):
        assert f"`{path.stem}`" in table


def test_a_reward_of_ones_own_runs_as_the_readme_says(command, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "drawdown.py").write_text(blocks("python")[0])
    (tmp_path / "experiments").mkdir()
    (tmp_path / "experiments" / "drawdown.yaml").write_text(blocks("yaml")[0])
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "mine", raising=False)
    run = command("experiment=drawdown", *BRIEF)
    assert run.parent.name == "drawdown"
    assert json.loads((run / "status.json").read_text())["state"] == "done"
    assert "mine.drawdown.Drawdown" in (run / "config.yaml").read_text()
