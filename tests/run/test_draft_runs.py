"""``experiment=rook_cod`` end to end on a tiny model: a teacher is trained, drafts, is checked, teaches a student."""

import csv
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradewright.cli import main
from tradewright.examples.draft import INSTRUCTIONS, REFUSALS, SEPARATOR, check_draft
from tradewright.output import read_json
from tradewright.target.labels import ACTIONS

POOL = ("data.num_swaps=3000", "data.split.embargo_bars=20", "evaluate.num_random=0", "task.num_threads=1")
TINY = ("model.width=96", "model.heads=4", "model.feed_forward=192", "model.dropout=0", "algorithm.lr=4e-3")
COD = ("experiment=rook_cod", *POOL, *TINY, "examples.max_samples=1100", "examples.num_tries=1",
       "strategy.every_bars=20", "algorithm.batch_size=8", "algorithm.epochs=6", "report=markdown")  # fmt: skip


@pytest.fixture(scope="module")
def run(original: Callable[..., Any]) -> Path:
    """A run with a teacher trained first, and the control on shuffled answers."""
    return original(*COD).run


def drafted(run: Path) -> list[dict[str, Any]]:
    (path,) = (run / "drafts").glob("*.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.row("R40")
@pytest.mark.row("R4")
def test_a_teacher_trained_first_teaches_a_student_what_is_true_and_right(run: Path) -> None:
    metrics, rows = read_json(run / "metrics.json"), drafted(run)
    kept = [row for row in rows if not row["refusal"]]
    assert metrics["train/drafts_asked"] == len({row["id"] for row in rows})
    assert metrics["train/drafts_kept"] == len(kept) > 20
    assert metrics["train/drafts_kept_share"] == len(kept) / len(rows)
    assert sum(metrics[f"train/drafts_{one}"] for one in REFUSALS) == len(rows) - len(kept)
    assert read_json(run / "data_report.json")["train"]["num_examples"] == len(kept)
    assert 2 <= metrics["test/tokens_per_decision"] <= 65
    assert 0 <= metrics["test/cut_drafts"] <= 1
    assert 0 <= metrics["test/true_draft"] <= 1
    for key in ("test/accuracy", "test/balanced_accuracy", "test/majority_accuracy", "test/total_return",
                "baseline/buy_and_hold/total_return", "baseline/shuffled_labels/total_return"):  # fmt: skip
        assert key in metrics
    report = (run / "report.md").read_text()
    assert f"{len(kept)} of {len(rows)} bars have a draft of the teacher that is kept" in report
    assert "Tokens written per decision" in report
    assert (run / "fits" / "teacher" / "checkpoints").is_dir()


def test_the_control_learns_shuffled_answers_from_the_same_drafts(run: Path) -> None:
    assert not (run / "fits" / "shuffled_labels" / "drafts").exists()
    assert not (run / "fits" / "shuffled_labels" / "fits").exists()
    own, control = (
        read_json(folder / "data_report.json")["train"] for folder in (run, run / "fits" / "shuffled_labels")
    )
    assert control["num_examples"] == own["num_examples"]
    losses = [read_json(folder / "checkpoints" / "best.json") for folder in (run, run / "fits" / "shuffled_labels")]
    assert all(one["monitor"] == "validation/log_loss" for one in losses)


def test_bars_are_decided_with_drafts_as_the_run_did(
    run: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(run.parents[2])
    assert main(("decide", f"run={run}", "task.num_bars=60")) == 0
    with (run / "decisions.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3
    assert {row["action"] for row in rows} <= set(ACTIONS)
    assert all(1 / 3 <= float(row["confidence"]) <= 1 for row in rows)


@pytest.mark.row("R27")
def test_the_speed_of_the_training_is_recorded(run: Path) -> None:
    speed, curves = read_json(run / "training_speed.json"), read_json(run / "curves.json")
    assert speed["training_s"] > 0
    assert speed["tokens_per_s"] == pytest.approx(speed["num_tokens"] / speed["training_s"])
    assert len(curves["throughput/tokens_per_s"]["values"]) > 3
    points = np.array(curves["throughput/tokens_per_s"]["values"])
    assert points.min() <= speed["tokens_per_s"] <= points.max()


class Teacher(BaseHTTPRequestHandler):
    """A server whose model copies the lines of the mean and the volume ratio, and always says HOLD."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.asked.append(asked["messages"])
        lines = asked["messages"][-1]["content"].splitlines()
        steps = [line for line in lines if line.startswith(("Mean:", "Volume ratio:"))]
        text = "<think>Let me see.</think>" + "\n".join([*steps, f"{SEPARATOR} HOLD"])
        choice = {"message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
        body = json.dumps({"choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 9}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.mark.row("R40")
def test_a_server_can_be_the_teacher_and_is_told_how_to_draft(command: Callable[..., Path]) -> None:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Teacher)
    server.asked = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        backend = ("backend=openai", f"backend.url=http://127.0.0.1:{server.server_port}/v1", "backend.model=any",
                   "backend.key_variable=null")  # fmt: skip
        words = ("examples.max_samples=90", "algorithm.epochs=1", "report=none", "evaluate.shuffled_control=false")
        run = command(*COD, *backend, *words)
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    metrics, rows = read_json(run / "metrics.json"), drafted(run)
    assert len(server.asked) == len(rows)
    assert all([one["role"] for one in messages] == ["system", "user"] for messages in server.asked)
    assert {messages[0]["content"] for messages in server.asked} == {INSTRUCTIONS}
    assert {row["refusal"] for row in rows} == {"", "wrong_answer"}
    assert metrics["train/drafts_wrong_answer"] == sum(row["refusal"] != "" for row in rows)
    assert not (run / "fits").exists()


def test_a_run_can_be_the_teacher(run: Path, command: Callable[..., Path]) -> None:
    words = ("examples.max_samples=300", "algorithm.epochs=1", "report=none", "evaluate.shuffled_control=false")
    second = command(*COD, *words, f"examples.teacher={run}")
    metrics, rows = read_json(second / "metrics.json"), drafted(second)
    assert metrics["train/drafts_asked"] == len(rows) > 150  # all training bars: this teacher has learned already
    assert metrics["train/drafts_kept"] == sum(not row["refusal"] for row in rows) >= 1
    assert not (second / "fits").exists()


def test_a_teacher_that_is_no_run_is_refused_in_one_line(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main((*COD, "examples.teacher=nowhere", "examples.max_samples=90")) != 0
    told = capsys.readouterr().err
    assert "nowhere: no config.yaml; expected a run directory" in told
    assert "Traceback" not in told


def test_a_kept_draft_is_true_of_its_prompt_whoever_checks(run: Path) -> None:
    """By the lines of the prompt themselves, not by the checker."""
    from tradewright.config.build import build
    from tradewright.config.compose import open_hydra
    from tradewright.examples.source import Market
    from tradewright.task.context import read_market

    cfg = open_hydra().compose([*COD, f"store={run.parents[2] / '.tradewright'}"])
    bench = read_market(cfg, with_features=False)
    examples = {
        one.id: one for one in build(cfg.examples, key="examples").read(Market(bench.panel, bench.ranges)).train
    }
    for row in drafted(run):
        one = examples[row["id"]]
        *steps, last = row["text"].strip().splitlines()
        is_copied = all(step in one.prompt[-1]["content"].splitlines() for step in steps)
        if is_copied and steps and last == f"{SEPARATOR} {one.label}":
            assert row["refusal"] == check_draft(row["text"], one.facts, str(one.label)) == ""
        elif not row["refusal"]:
            assert last == f"{SEPARATOR} {one.label}"
