"""Language models through the one entrypoint: answers judged, words traded, resumed to the bit, refused in one line."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from tradewright.cli import main
from tradewright.examples.example import Message
from tradewright.generate.labels import LabelScorer
from tradewright.output import read_json
from tradewright.task.language_model import trained_model

torch.set_num_threads(1)

TINY_MODEL = (
    "model=tiny_qwen2", "model.width=48", "model.heads=4", "model.feed_forward=96", "model.layers=1",
    "model.vocabulary=300", "model.max_length=512", "task.num_threads=1",
)  # fmt: skip
SFT = (
    "algorithm=sft_tiny", "env=none", "examples=json", "examples.path=pairs.jsonl", "examples.train=0.7",
    "examples.validation=0.15", "evaluate.num_generated=6", "generate=greedy", "generate.max_new_tokens=8",
)  # fmt: skip
ROOK = (
    "experiment=rook", "data.num_swaps=1500", "data.split.embargo_bars=20", "examples.max_samples=120",
    "evaluate.num_random=0", "evaluate.shuffled_control=false", "generate.max_new_tokens=4", "algorithm.epochs=1",
    "strategy.every_bars=20",
)  # fmt: skip


def write_pairs(folder: Path, num: int = 80) -> None:
    """Write questions whose answer is their own first word."""
    words = ("BUY", "SELL", "HOLD")
    rows = [
        {
            "id": f"q{n}",
            "prompt": f"{words[n % 3]} is what {n} says.",
            "completion": words[n % 3],
            "label": words[n % 3],
        }
        for n in range(num)
    ]
    (folder / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.row("L51")
@pytest.mark.row("L4")
def test_a_model_that_learnt_its_answers_is_judged_beside_the_majority(
    command: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pairs(tmp_path)
    run = command(*TINY_MODEL, *SFT, "algorithm.epochs=12", "report=markdown")
    metrics = read_json(run / "metrics.json")
    assert metrics["test/accuracy"] == metrics["test/balanced_accuracy"] == 1.0
    assert metrics["test/majority_accuracy"] < 0.5
    assert metrics["test/parse_rate"] == 1.0
    assert metrics["test/loss"] < 0.2
    assert "more often right than always giving the most frequent answer" in " ".join(capsys.readouterr().out.split())
    assert len((run / "answers.jsonl").read_text().splitlines()) == 6
    assert read_json(run / "provenance.json")["data"]["num_train"] == 56
    assert read_json(run / "data_report.json")["train"]["num_kept"] == 56
    report = (run / "report.md").read_text()
    assert "taken for BUY" in report
    assert "What it wrote" in report
    curves = read_json(run / "curves.json")
    assert {"train/loss", "validation/loss", "train/lr"} <= curves.keys()
    assert curves["train/loss"]["steps"][-1] == 12 * 14  # ceil(56 / 4) steps an epoch


def test_the_kept_model_gives_the_probabilities_of_the_run(command: Callable[..., Path], tmp_path: Path) -> None:
    write_pairs(tmp_path)
    run = command(*TINY_MODEL, *SFT, "algorithm.epochs=2", "report=none", "lora=all_linear", "algorithm.lr=1e-2")
    assert (run / "adapter" / "adapter_config.json").is_file()
    prompts = [(Message(role="user", content="BUY is what 3 says."),)]
    one, two = (
        LabelScorer(trained_model(run).load(), ("BUY", "SELL", "HOLD")).probabilities(prompts) for _ in range(2)
    )
    assert np.array_equal(one, two)
    assert main(("generate", f"run={run}", "task.prompts=[BUY is what 3 says.]", "generate=greedy")) == 0


def test_an_interrupted_training_resumes_to_the_same_figures(
    command: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tradewright.algorithm.sft import SFT as Module

    write_pairs(tmp_path)
    words = (*TINY_MODEL, *SFT, "algorithm.epochs=3", "report=none", "model.architecture=gpt2", "model.dropout=0.1")
    whole = read_json(command(*words) / "metrics.json")
    original = Module.training_step

    def interrupted(self: Module, batch: object, batch_idx: int) -> object:
        if self.trainer.global_step == 20:  # in the middle of the second epoch
            raise KeyboardInterrupt
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Module, "training_step", interrupted)
        assert main((*words, "callbacks.last.every_n_steps=1")) == 130
    (run,) = [
        path.parent
        for path in tmp_path.glob("outputs/default/*/status.json")
        if read_json(path)["error"] == "interrupted"
    ]
    assert main((f"resume={run}",)) == 0
    assert read_json(run / "metrics.json") == whole


@pytest.mark.row("R1")
def test_words_about_swaps_are_traded_and_judged_as_answers_too(command: Callable[..., Path], capsys) -> None:
    run = command(*ROOK, "model.width=48", "model.heads=4", "model.feed_forward=96", "report=markdown")
    metrics = read_json(run / "metrics.json")
    for key in ("test/sharpe", "test/accuracy", "test/balanced_accuracy", "test/majority_accuracy", "test/perplexity",
                "validation/loss", "baseline/buy_and_hold/total_return"):  # fmt: skip
        assert key in metrics
    assert (run / "model" / "config.json").is_file()
    assert "Answers" in (run / "report.md").read_text()
    assert "no leak in split, features" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("algorithm=sft",), "algorithm=sft fits a language model; model=mlp is none."),
        (("algorithm=sft", "model=tiny_qwen2", "env=none"), "examples=none leaves algorithm=sft without anything"),
        (("model=tiny_qwen2",), "algorithm=ppo trains an agent; model=tiny_qwen2 is a language model."),
        (
            ("algorithm=sft", "model=tiny_qwen2", "examples=json", "examples.path=x.jsonl"),
            "Use strategy=language_model, or env=none to judge its answers.",
        ),
        (("evaluate=language",), "evaluate=language judges answers; algorithm=ppo trains an agent."),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_missing_file_of_examples_is_named(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    assert main((*TINY_MODEL, *SFT)) == 2
    assert "pairs.jsonl: no such file" in capsys.readouterr().err
