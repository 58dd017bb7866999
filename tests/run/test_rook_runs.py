"""A language model that decides on a pool: its run, its words bar by bar, its adapter, and what is shown of it."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import OmegaConf
from tiny import QUICK, SHORT, SMALL, SWAPS

from tradewright.cli import main
from tradewright.target.labels import ACTIONS
from tradewright.task import text_learner
from tradewright.task.language_model import load_model


@pytest.fixture(scope="module")
def rook(original: Callable[..., Any]) -> tuple[Path, Any]:
    """The run of an adapter that decides on a pool, and the model as it was when its training ended."""
    kept: list[Any] = []
    save = text_learner.save_trained

    def keep(loaded: Any, directory: Path) -> None:
        kept.append(loaded)
        save(loaded, directory)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(text_learner, "save_trained", keep)
        words = ("experiment=rook", *SMALL, *SWAPS, *QUICK, "lora=gpt2_attention", "model.dropout=0", SHORT)
        return original(*words).run, kept[0]


def _decided(run: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO((run / "decisions.csv").read_text())))


@pytest.mark.row("R25")
def test_decide_gives_one_word_with_confidence_per_bar_and_says_what_was_blocked(
    rook: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = rook
    monkeypatch.chdir(tmp_path)
    assert main(("decide", f"run={run}", "num_bars=60", "every_bars=2", "confidence_threshold=0")) == 0
    rows = _decided(run)
    assert len(rows) == 30
    assert {row["symbol"] for row in rows} == {"ETH/USDC"}
    assert all(row["action"] in ACTIONS and 1 / 3 <= float(row["confidence"]) <= 1 for row in rows)
    assert [row["ts"] for row in rows] == sorted(row["ts"] for row in rows)
    assert "calibrated by temperature" in " ".join(capsys.readouterr().out.split())
    open_confidence = [row["confidence"] for row in rows]

    assert main(("decide", f"run={run}", "num_bars=60", "every_bars=2", "confidence_threshold=1")) == 0
    rows = _decided(run)
    assert [row["confidence"] for row in rows] == open_confidence
    assert all(float(row["size"]) == 0 for row in rows)
    assert all((row["blocked"] == "confidence") == (row["action"] != "HOLD") for row in rows)


@pytest.mark.row("R25")
@pytest.mark.parametrize("prompt", ["price 101.5, volume 2300, volatility 0.02 -> buy or sell?", "{}\u202e;--", "?"])
def test_free_question_is_always_answered_by_one_of_the_words(
    rook: tuple[Path, Any], prompt: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = rook
    monkeypatch.chdir(tmp_path)
    assert main(("decide", f"run={run}", f"task.prompt='{prompt}'")) == 0
    (row,) = _decided(run)
    assert row["action"] in ACTIONS
    assert 1 / 3 <= float(row["confidence"]) <= 1
    assert row["ts"] == row["symbol"] == ""


def test_decide_reads_other_data_and_refuses_bars_without_swaps(
    rook: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, _ = rook
    monkeypatch.chdir(tmp_path)
    other = ("data=synthetic_swaps", "data.num_swaps=900", "data.seed=3", "data.split.embargo_bars=20")
    assert main(("decide", f"run={run}", *other, "num_bars=20")) == 0
    assert len(_decided(run)) == 4
    assert main(("decide", f"run={run}", "data=synthetic", "data.num_bars=400")) == 2
    assert "use data=swaps or data=synthetic_swaps" in " ".join(capsys.readouterr().err.split())
    assert main(("decide", f"run={run}", "num_bars=100000")) == 2
    assert "task.num_bars must be <=" in capsys.readouterr().err


@pytest.mark.row("R28")
def test_logits_are_equal_before_and_after_reloading_the_adapter_on_its_base(rook: tuple[Path, Any]) -> None:
    run, trained = rook
    assert (run / "adapter" / "adapter_config.json").is_file()
    assert not (run / "model").exists()
    cfg = OmegaConf.create({"seed": 0, "quant": {"_target_": "tradewright.config.inert.NoQuantization"}})
    again = load_model(cfg, str(run))
    ids_BL = torch.arange(3, 67)[None] % len(again.tokenizer)
    with torch.no_grad():
        logits = [one.model.eval()(input_ids=ids_BL).logits for one in (trained, again)]
    torch.testing.assert_close(logits[1], logits[0], rtol=0, atol=0)
    with torch.no_grad(), again.model.disable_adapter():
        assert not torch.equal(again.model(input_ids=ids_BL).logits, logits[1])  # the adapter does something


@pytest.mark.row("R44")
def test_inspect_shows_the_size_and_adapter_of_a_trained_model(
    rook: tuple[Path, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run, trained = rook
    monkeypatch.chdir(tmp_path)
    assert main(("inspect", f"run={run}")) == 0
    printed = capsys.readouterr().out
    assert f"{trained.facts['num_parameters']:,}" in printed
    for told in ("gpt2", "adapter", "r=16", "float32"):
        assert told in printed, printed


@pytest.mark.row("T6")
@pytest.mark.row("R44")
def test_inspect_shows_the_first_samples_of_files_and_of_a_pool(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    rows = [{"prompt": f"question {place}", "completion": f"answer {place}", "label": "BUY"} for place in range(20)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(("inspect", "examples=json", "examples.path=pairs.jsonl", "num_samples=2")) == 0
    out, err = capsys.readouterr()
    assert "has no effect" not in err
    assert out.count("-> answer") == 2
    assert "user: question 0" in out
    assert "Symbols" not in out  # the bars that nobody asked for are not read
    assert main(("inspect", "data=synthetic_swaps", *SWAPS, "examples=swap_decisions", "num_samples=1")) == 0
    out = capsys.readouterr().out
    for told in ("Symbols", "Labels", "HOLD", "user: Pool ETH/USDC", "-> "):
        assert told in out
