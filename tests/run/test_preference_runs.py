"""Preference training through the command line: pairs from a model's own answers, from people, and what they change."""

import csv
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from test_language_runs import AGENT, SHORT, SMALL

from tradewright.cli import main
from tradewright.config.compose import compose
from tradewright.examples.example import Preference
from tradewright.examples.preferences import Preferences
from tradewright.output import read_json, write_json, write_text
from tradewright.task.language_model import language_model
from tradewright.task.preference_run import newest_writer, with_preferences

torch.set_num_threads(1)

DRAWN = ("task.num_prompts=8", "task.num_answers=3", "task.min_gap=0.01", SHORT)
TUNED = (
    "experiment=trading_llm_dpo", "algorithm.epochs=2", "algorithm.log_every=1", "algorithm.batch_size=4",
    "algorithm.sft_weight=0", "evaluate.num_generated=4", SHORT, "seed=7",
)  # fmt: skip


@pytest.fixture(scope="module")
def explainer(original: Callable[..., Any]) -> Path:
    """The run of a language model that read some explanations of an agent."""
    agent = original(*AGENT).run
    words = ("experiment=trading_llm", *SMALL, f"examples.run={agent}", "examples.num_samples=60")
    return original(*words, "evaluate.num_generated=2", SHORT).run


@pytest.fixture(scope="module")
def pairs(explainer: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pairs that the fact check makes of its answers."""
    folder = tmp_path_factory.mktemp("pairs")
    assert main(("generate_pairs", f"run={explainer}", f"task.folder={folder}", *DRAWN)) == 0
    return folder


@pytest.mark.row("T46")
def test_a_model_is_tuned_to_pairs_of_its_own_answers_and_judged_before_and_after(
    explainer: Path, pairs: Path, command: Callable[..., Path], capsys: pytest.CaptureFixture[str]
) -> None:
    file = f"examples.path={pairs / 'preferences.json'}"
    run = command(*TUNED, file, f"model.name={explainer}", "report=markdown")
    metrics, curves = read_json(run / "metrics.json"), read_json(run / "curves.json")
    for name in ("claim_precision", "faithful", "action_agreement"):
        change = metrics[f"test/{name}"] - metrics[f"baseline/start/{name}"] if f"change/{name}" in metrics else 0.0
        assert metrics.get(f"change/{name}", 0.0) == pytest.approx(change)
    low, value, high = (metrics[f"change/{name}"] for name in ("characters_low", "characters", "characters_high"))
    assert low <= value <= high
    assert curves["train/loss"]["values"][0] == pytest.approx(math.log(2), abs=1e-5)
    for name in ("preference_accuracy", "margin", "chosen_log_probability", "rejected_log_probability"):
        assert len(curves[f"train/{name}"]["values"]) == len(curves["train/loss"]["values"])
        assert len(curves[f"validation/{name}"]["values"]) == 2
    assert curves["train/margin"]["values"][-1] > 0
    assert "throughput/tokens_per_s" in curves
    report = (run / "report.md").read_text()
    assert "Before and after" in report
    assert "Pairs by who preferred: the fact check" in report
    assert "asking the model as it is" in capsys.readouterr().err
    assert (run / "model" / "config.json").is_file()
    assert main(("generate", f"run={run}", "task.prompts=[Why?]", SHORT)) == 0


def test_pairs_come_from_the_train_part_and_the_test_part_is_only_judged(explainer: Path, pairs: Path) -> None:
    sets = Preferences(path=str(pairs / "preferences.json")).read()
    assert 0 < len(sets.train) <= 8
    assert 0 < len(sets.validation) <= 2
    assert all(isinstance(one, Preference) and one.source == "check" for one in (*sets.train, *sets.validation))
    assert len(sets.test) == 3
    assert not any(isinstance(one, Preference) for one in sets.test)
    figures = read_json(pairs / "preferences_data.json")
    assert figures["data/grade_chosen"] > figures["data/grade_rejected"]
    rows = [json.loads(line) for line in (pairs / "answers.jsonl").read_text().splitlines()]
    assert len(rows) == 3 * (8 + 2)
    assert {row["split"] for row in rows} == {"train", "validation"}


@pytest.mark.row("T46")
def test_people_rate_and_correct_the_same_answers_and_have_the_last_word(
    explainer: Path, pairs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("answers.jsonl", "human_scores.csv"):
        write_text(tmp_path / name, (pairs / name).read_text())
    with (tmp_path / "human_scores.csv").open() as file:
        rows = list(csv.DictReader(file))
    owner = rows[0]["id"].rpartition("~")[0]
    group = [row for row in rows if row["id"].startswith(f"{owner}~")]
    for row, mark in zip(group, ("2", "5", "3"), strict=True):
        row["human_coherence"] = mark
    with (tmp_path / "rated.csv").open("w") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    other = next(row["id"].rpartition("~")[0] for row in rows if not row["id"].startswith(f"{owner}~"))
    true = next(one for one in explanations_of(explainer) if one["id"] == other)
    edit = {**true, "id": f"{other}~2"}
    write_text(tmp_path / "edits.jsonl", json.dumps(edit) + "\n")
    people = (f"task.ratings={tmp_path / 'rated.csv'}", f"task.edits={tmp_path / 'edits.jsonl'}")
    words = ("generate_pairs", f"run={explainer}", f"task.folder={tmp_path}", *people, *DRAWN)
    assert main(words) == 0
    sets = Preferences(path=str(tmp_path / "preferences.json")).read()
    by_owner = {one.id.rpartition("~")[0]: one for one in (*sets.train, *sets.validation)}
    assert by_owner[owner].source == "rating"
    assert (by_owner[owner].completion, by_owner[owner].rejected) == (group[1]["text"], group[0]["text"])
    assert by_owner[other].source == "edit"
    assert by_owner[other].completion == true["completion"]
    assert {one.source for one in by_owner.values()} == {"rating", "edit", "check"}

    write_text(tmp_path / "edits.jsonl", json.dumps({**edit, "completion": "BUY, as RSI is 3.14."}) + "\n")
    assert main(words) == 2
    assert f"edits.jsonl row 1: {other}~2: " in capsys.readouterr().err
    held_out = next(one for one in explanations_of(explainer) if one["split"] == "test")
    write_text(tmp_path / "edits.jsonl", json.dumps({**held_out, "completion": "x"}) + "\n")
    assert main(words) == 2
    assert "belongs to the test part, which nothing is trained on" in capsys.readouterr().err


def explanations_of(run: Path) -> list[dict[str, Any]]:
    """Return the examples that a run was trained and judged on, as rows."""
    from omegaconf import DictConfig, OmegaConf

    from tradewright.examples.rows import to_row
    from tradewright.task.texts import read_texts

    cfg = OmegaConf.load(run / "config.yaml")
    assert isinstance(cfg, DictConfig)
    sets = read_texts(cfg).sets
    return [to_row(one, part) for part in ("train", "validation", "test") for one in getattr(sets, part)]


def test_an_interrupted_preference_training_resumes_to_the_same_figures(
    explainer: Path, pairs: Path, command: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tradewright.algorithm.dpo import DPO as Module

    words = (*TUNED, f"examples.path={pairs / 'preferences.json'}", f"model.name={explainer}", "report=none")
    whole = read_json(command(*words) / "metrics.json")
    original = Module.training_step

    def interrupted(self: Module, batch: object, batch_idx: int) -> object:
        if self.trainer.global_step == 3:
            raise KeyboardInterrupt
        return original(self, batch, batch_idx)

    with monkeypatch.context() as patch:
        patch.setattr(Module, "training_step", interrupted)
        assert main((*words, "callbacks.last.every_n_steps=1")) == 130
    (run,) = [
        path.parent
        for path in tmp_path.glob("outputs/trading_llm_dpo/*/status.json")
        if read_json(path)["error"] == "interrupted"
    ]
    assert main((f"resume={run}",)) == 0
    assert read_json(run / "metrics.json") == whole


def test_preferred_answers_alone_can_be_fitted(explainer: Path, pairs: Path, command: Callable[..., Path]) -> None:
    file = f"examples.path={pairs / 'preferences.json'}"
    words = ("experiment=trading_llm_dpo", "algorithm=sft_tiny", "algorithm.epochs=1", "evaluate.num_generated=2")
    run = command(*words, file, f"model.name={explainer}", "report=none", SHORT)
    assert read_json(run / "data_report.json")["train"]["num_kept"] == len(Preferences(path=file[14:]).read().train)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ("experiment=trading_llm", "algorithm=dpo"),
            "examples=explanations_small has one answer per prompt; algorithm=dpo learns from pairs of a chosen and a"
            " rejected one. Use examples=preferences.",
        ),
        (("algorithm=dpo", "model=tiny_qwen2", "env=none"), "examples=none leaves algorithm=dpo without anything"),
        (
            ("algorithm=dpo", "env=none", "examples=preferences", "examples.path=x.jsonl", "model=tiny_qwen2"),
            "x.jsonl: no such file",
        ),
        (("generate_pairs", "run=nowhere"), "nowhere: no config.yaml; expected a run directory"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    words: tuple[str, ...], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert message in capsys.readouterr().err


def leave(folder: Path, algorithm: str, state: str = "done") -> Path:
    """Leave the run of a language model behind, as far as the search looks."""
    write_text(folder / "config.yaml", f"algorithm:\n  _target_: tradewright.algorithm.{algorithm}\n")
    write_json(folder / "status.json", {"state": state})
    write_json(folder / "provenance.json", {"data": {"is_synthetic": True}})
    return folder


def test_the_newest_model_that_learnt_to_answer_is_compared(tmp_path: Path) -> None:
    runs = tmp_path / "outputs" / "trading_llm"
    assert newest_writer(runs) is None
    wanted = leave(runs / "20260102-000000-000000", "sft.SFT")
    leave(runs / "20260101-000000-000000", "sft.SFT")
    leave(runs / "20260103-000000-000000", "sft.SFT", state="failed")
    leave(runs / "20260104-000000-000000", "dpo.DPO")
    assert newest_writer(runs) == wanted
    write_text(wanted / "preferences" / "preferences.json", "[]")
    cfg = with_preferences(compose(["experiment=trading_llm_dpo", f"output_dir={tmp_path / 'outputs'}"]))
    assert cfg.examples.path == str(wanted / "preferences" / "preferences.json")
    assert cfg.examples.run == cfg.model.name == str(wanted)
    assert cfg.examples.is_synthetic is True
    given = compose(["experiment=trading_llm_dpo", "examples.path=mine.jsonl"])
    assert with_preferences(given) is given


def test_training_begins_with_what_a_run_kept_its_adapter_included(tmp_path: Path) -> None:
    import peft

    from tiny_writers import tiny_folder
    from tradewright.model.adapters import peft_calls, save_adapter
    from tradewright.model.language_model import LanguageModel

    base = LanguageModel(name=str(tiny_folder()), max_length=256)
    with peft_calls():
        loaded = base.load(lora=peft.LoraConfig(r=4, target_modules="all-linear"), for_training=True)
        save_adapter(loaded.model, tmp_path / "adapter")
    write_text(
        tmp_path / "config.yaml",
        "model:\n  _target_: tradewright.model.language_model.LanguageModel\n"
        f"  name: {tiny_folder()}\n  max_length: 256\n  chat_template: chatml\n",
    )
    found = language_model(compose(["model=local", f"model.name={tmp_path}", "model.max_length=200"]))
    assert (found.name, found.adapter) == (str(tiny_folder()), str(tmp_path / "adapter"))
    assert (found.max_length, found.chat_template) == (200, "chatml")


def write_simple_pairs(folder: Path, num: int = 40) -> None:
    rows = [
        {"id": f"q{n}", "prompt": f"The price is {n}.", "chosen": "BUY, it is cheap.", "rejected": "SELL, it is dear."}
        for n in range(num)
    ]
    write_text(folder / "pairs.jsonl", "".join(json.dumps(row) + "\n" for row in rows))


def test_pairs_of_ones_own_tune_an_adapter_on_any_folder(
    command: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tiny_writers import tiny_folder

    write_simple_pairs(tmp_path)
    words = ("algorithm=dpo", "env=none", "examples=preferences", "examples.path=pairs.jsonl", "model=local")
    more = ("model.max_length=200", "lora=all_linear", "algorithm.lr=1e-2", "algorithm.epochs=3", SHORT)
    run = command(*words, f"model.name={tiny_folder()}", *more, "evaluate.num_generated=2", "report=none")
    metrics = read_json(run / "metrics.json")
    assert metrics["test/preference_accuracy"] == metrics["test/preference_accuracy_low"] == 1.0
    assert (run / "adapter" / "adapter_config.json").is_file()
    assert "Pairs by who preferred: not said 40." in capsys.readouterr().out
    assert main(("inspect", "examples=preferences", "examples.path=pairs.jsonl")) == 0
    assert "not -> SELL, it is dear." in capsys.readouterr().out
    again = command(*words, f"model.name={run}", "model.max_length=200", "algorithm.epochs=1", SHORT, "report=none")
    assert (again / "adapter" / "adapter_config.json").is_file()
