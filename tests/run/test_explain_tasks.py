"""generate_data, explain, commentary and chat on a trained run, through the command line."""

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny import TINY

from tradewright.cli import main
from tradewright.examples.json import JsonExamples
from tradewright.explain.decision_log import read_decisions
from tradewright.output import read_json

SHORT = ("data.num_bars=900", "trainer.max_epochs=1")
BESIDE = ("Test window:", "Knowledge cut-off of the language model: no language model", "buy_and_hold:", "sma_cross:")


@pytest.mark.row("T2")
@pytest.mark.row("T6")
@pytest.mark.row("T23")
@pytest.mark.row("T27")
@pytest.mark.row("T29")
@pytest.mark.row("T43")
def test_text_half_of_a_trained_run(command: Callable[..., Path], tmp_path: Path, capsys, monkeypatch) -> None:
    run = command(*TINY, *SHORT)
    folder = run / "explanations"
    capsys.readouterr()

    assert main(("generate_data", f"run={run}", "task.examples.num_samples=100")) == 0
    printed = capsys.readouterr().out
    sets = JsonExamples(path=[str(folder / "train_data.json"), str(folder / "eval_data.json")]).read()
    assert (len(sets.train), len(sets.validation), len(sets.test)) == (90, 5, 5)
    assert read_json(folder / "data_checks.json")["data/faithful"] == 1.0
    assert "-> " in printed
    states = read_decisions(folder / "decisions.jsonl")
    assert len({state.id for state in states}) == len(states) > 800
    assert all(words in printed for words in BESIDE)

    assert main(("explain", f"run={run}")) == 0
    printed = capsys.readouterr().out
    text = (folder / "evaluation_results.txt").read_text()
    rows = [json.loads(line) for line in (folder / "explanations.jsonl").read_text().splitlines()]
    assert len(rows) == 20
    assert {row["id"] for row in rows} <= {state.id for state in states}
    assert all(row["is_faithful"] and row["text"] in text and f"[{row['id']}]" in text for row in rows)
    assert "written by: template" in text
    assert all(words in text and words in printed for words in BESIDE)
    assert main(("explain", f"run={run}", "task.target=4.99", "task.must_pass=true")) == 2
    assert "must exceed 4.99" in capsys.readouterr().err

    assert main(("commentary", f"run={run}")) == 0
    text = (folder / "market_commentary.txt").read_text()
    assert text.count("[market-") == 5
    assert "fault" not in text
    assert all(words in text for words in BESIDE)

    newest = states[-2]
    script = tmp_path / "sessions.yaml"
    script.write_text(f"a:\n- {{ask: 'What did it do yesterday?', cites: {newest.id}}}\n- 'How does it perform?'\n")
    assert main(("chat", f"run={run}", f"task.sessions={script}")) == 0
    assert "NOT as expected" not in (folder / "chat_report.txt").read_text()
    capsys.readouterr()
    monkeypatch.setattr("sys.stdin", io.StringIO("Why did it sell yesterday?\nexit\nnever asked\n"))
    assert main(("chat", f"run={run}")) == 0
    assert newest.id in capsys.readouterr().out
    (row,) = (json.loads(line) for line in (folder / "chat.jsonl").read_text().splitlines())
    assert row["ids"] == [newest.id]


@pytest.mark.row("T5")
@pytest.mark.parametrize("task", ["generate_data", "explain", "commentary", "chat"])
def test_foreign_policy_file_is_refused(tmp_path: Path, monkeypatch, capsys, task: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "agent.zip").write_bytes(b"x")
    assert main((task, "run=agent.zip")) == 2
    assert "agent.zip: policy files of other libraries are not read" in capsys.readouterr().err
