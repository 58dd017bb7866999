"""Export: both formats from an adapter on 4-bit weights, through the function and through the command."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from gguf import GGUFReader
from language_model_steps import logits, quantisation, train
from peft import LoraConfig
from transformers import AutoModelForCausalLM

from tradewright.cli import main
from tradewright.errors import ConfigError
from tradewright.model.adapters import save_adapter
from tradewright.model.export import export_model
from tradewright.model.language_model import LanguageModel
from tradewright.output import read_json


@pytest.fixture(scope="module", params=["qwen2", "gpt2", "mistral"])
def trained(
    request: pytest.FixtureRequest,
    tiny: Callable[..., LanguageModel],
    ids_of: Callable[..., torch.Tensor],
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[LanguageModel, torch.Tensor, torch.Tensor]:
    folder = tmp_path_factory.mktemp("adapter")
    model = tiny(request.param, "byte")
    lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    loaded = model.load(lora=lora, quant=quantisation("nf4"), for_training=True)
    ids_BL = ids_of(loaded)
    train(loaded, ids_BL)
    save_adapter(loaded.model, folder)
    return replace(model, adapter=str(folder)), ids_BL, logits(loaded, ids_BL)


def test_both_formats_hold_the_trained_model(trained: Any, tmp_path: Path) -> None:
    model, ids_BL, expected = trained
    report = export_model(model, tmp_path / "out", quant=quantisation("nf4"), gguf_type="f32")
    assert report == read_json(tmp_path / "out" / "export.json")
    assert report["merge_gap"] < 1e-4
    assert report["safetensors"]["error"] < 1e-6
    assert report["gguf"]["error"] < 1e-3
    folders = {"safetensors": {}, "gguf": {"gguf_file": "model-f32.gguf"}}
    for name, options in folders.items():
        if name == "gguf" and "gpt2" in str(model.name):
            continue  # transformers' reader needs the configuration beside the file, see test_gguf
        plain = AutoModelForCausalLM.from_pretrained(tmp_path / "out" / name, **options).eval()
        with torch.no_grad():
            found = plain(ids_BL).logits
        assert (found - expected).norm() < 1e-4 * expected.norm(), name
    assert LanguageModel(name=str(tmp_path / "out" / "safetensors"), max_length=256).load().facts["lora"] is None
    assert "FROM ./model-f32.gguf" in (tmp_path / "out" / "gguf" / "Modelfile").read_text()


def test_half_precision_file_says_its_error(trained: Any, tmp_path: Path) -> None:
    model, _, _ = trained
    report = export_model(
        model,
        tmp_path / "out",
        quant=quantisation("nf4"),
        formats=["safetensors"],
        dtype="bfloat16",
        merge_base="original",
    )
    assert 1e-5 < report["safetensors"]["error"] < 5e-2
    assert report["merge_gap"] > 0.01
    assert report["merge_base"] == "original"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["export.json", "safetensors"]


def test_what_cannot_be_written_leaves_nothing_behind(tiny: Callable[..., LanguageModel], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be written as GGUF: its tokenizer cuts texts"):
        export_model(tiny("qwen2", "line"), tmp_path / "out")
    with pytest.raises(ConfigError, match=r"formats must be some of safetensors, gguf, was \['onnx'\]"):
        export_model(tiny("qwen2", "line"), tmp_path / "out", formats=["onnx"])  # type: ignore[list-item]
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="exists already; delete it or choose another folder"):
        export_model(tiny("qwen2", "line"), tmp_path / "out")


def test_command_exports_and_says_the_errors(
    tiny: Callable[..., LanguageModel],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    name = tiny("llama", "byte").name
    words = ["export_model", "model=local", f"model.name={name}", "model.max_length=256", "to=exported"]
    assert main([*words, "gguf_type=q8_0"]) == 0
    printed = capsys.readouterr().out
    assert "merged into the trained base: logits differ by 0.0e+00" in printed
    assert "exported/safetensors: read back, logits differ by 0.0e+00" in printed
    assert (
        GGUFReader(tmp_path / "exported" / "gguf" / "model-q8_0.gguf").fields["general.name"].contents() == "exported"
    )
    assert main(["export_model", "model=mlp", "to=other"]) == 2
    assert "error: model: is not a language model" in capsys.readouterr().err
