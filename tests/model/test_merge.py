"""Merging: exact into the dequantised base whatever the adapter, measured into the original one, never into 4 bits."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from language_model_steps import logits, quantisation, train
from peft import EvaConfig, LoraConfig

from tradewright.model.adapters import prepare_eva, save_adapter
from tradewright.model.language_model import LanguageModel
from tradewright.model.merge import merge_adapter
from tradewright.model.quantised import is_four_bit

STARTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "dora": {"use_dora": True},
    "rslora": {"use_rslora": True},
    "pissa": {"init_lora_weights": "pissa"},
    "eva": {"init_lora_weights": "eva", "eva_config": EvaConfig()},
    "embedded": {"modules_to_save": ["embed_tokens"], "ensure_weight_tying": True},
}


@pytest.fixture(scope="module")
def trained(
    tiny: Callable[..., LanguageModel], ids_of: Callable[..., torch.Tensor], tmp_path_factory: pytest.TempPathFactory
) -> Callable[..., tuple[LanguageModel, torch.Tensor, torch.Tensor]]:
    """Return the model with a trained adapter, tokens, and its logits there."""

    def make(architecture: str, start: str, quant: Any) -> tuple[LanguageModel, torch.Tensor, torch.Tensor]:
        folder = tmp_path_factory.mktemp("adapter")
        lora = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", **STARTS[start])
        loaded = tiny(architecture).load(lora=lora, quant=quant, for_training=True)
        ids_BL = ids_of(loaded)
        if start == "eva":
            prepare_eva(loaded.model, [{"input_ids": ids_BL, "attention_mask": torch.ones_like(ids_BL)}])
        train(loaded, ids_BL, num_steps=2)
        logits(loaded, ids_BL)  # an evaluation between two trainings, as validation does
        train(loaded, ids_BL, num_steps=2)
        save_adapter(loaded.model, folder)
        return replace(tiny(architecture), adapter=str(folder)), ids_BL, logits(loaded, ids_BL)

    return make


CASES = [(a, start, quant) for a in ("qwen2", "gpt2") for start in ("plain", "dora") for quant in ("none", "nf4")]
CASES += [("qwen2", start, quant) for start in ("rslora", "eva", "embedded") for quant in ("none", "nf4")]
CASES += [("qwen2", "pissa", "none"), ("mistral", "plain", "nf4")]


@pytest.mark.parametrize(("architecture", "start", "quant"), CASES)
def test_merge_into_the_trained_base_is_exact(
    trained: Callable[..., Any], architecture: str, start: str, quant: str
) -> None:
    model, ids_BL, expected = trained(architecture, start, quantisation(quant))
    merged = merge_adapter(model, quant=quantisation(quant))
    found = logits(merged.loaded, ids_BL)
    assert merged.gap < 1e-4
    assert (found - expected).norm() < 1e-4 * expected.norm()
    assert not is_four_bit(merged.loaded.model)
    assert {parameter.dtype for parameter in merged.loaded.model.parameters()} == {torch.float32}
    assert not hasattr(merged.loaded.model.config, "quantization_config")


@pytest.mark.parametrize(("architecture", "start"), [("qwen2", "embedded"), ("gpt2", "plain")])
def test_merged_folder_is_read_by_plain_transformers(
    trained: Callable[..., Any], tmp_path: Path, architecture: str, start: str
) -> None:
    from transformers import AutoModelForCausalLM

    model, ids_BL, expected = trained(architecture, start, quantisation("nf4"))
    merged = merge_adapter(model, quant=quantisation("nf4")).loaded
    merged.model.save_pretrained(tmp_path)
    plain = AutoModelForCausalLM.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        found = plain(ids_BL).logits
    assert (found - expected).norm() < 1e-4 * expected.norm()


def test_merge_into_the_original_base_reports_its_gap(trained: Callable[..., Any]) -> None:
    model, ids_BL, expected = trained("qwen2", "plain", quantisation("nf4"))
    merged = merge_adapter(model, quant=quantisation("nf4"), merge_base="original")
    found = logits(merged.loaded, ids_BL)
    assert merged.base == "original"
    assert 0.01 < merged.gap < 1
    assert merged.gap == pytest.approx(float((found - expected).norm() / expected.norm()), rel=0.5)


def test_bases_of_half_precision_merge_exactly_too(trained: Callable[..., Any]) -> None:
    """The weights of a bfloat16 base are not rounded on their way out of four bits."""
    model, _, _ = trained("qwen2", "plain", quantisation("nf4", torch.bfloat16))
    merged = merge_adapter(replace(model, dtype="bfloat16"), quant=quantisation("nf4", torch.bfloat16))
    assert merged.gap < 1e-4


def test_eight_bit_base_is_merged_with_the_gap_of_its_rounded_activations(trained: Callable[..., Any]) -> None:
    model, _, _ = trained("qwen2", "plain", quantisation("int8"))
    gaps = [merge_adapter(model, quant=quantisation("int8"), merge_base=base).gap for base in ("trained", "original")]
    assert 0 < gaps[0] < gaps[1] < 0.1


def test_model_without_adapter_is_only_dequantised(tiny: Callable[..., LanguageModel]) -> None:
    merged = merge_adapter(tiny("gpt2"), quant=quantisation("nf4"))
    assert merged.gap < 1e-6
    assert merged.loaded.facts["lora"] is None
    with pytest.raises(ValueError, match="merge_base must be trained or original, was 'both'"):
        merge_adapter(tiny("gpt2"), merge_base="both")  # type: ignore[arg-type]
