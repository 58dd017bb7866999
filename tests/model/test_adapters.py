"""Adapters: every start reloads exactly, only their own weights are written, EVA waits for data, misfits are told."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from language_model_steps import logits, quantisation, train
from peft import EvaConfig, LoraConfig
from safetensors.torch import load_file

from tradewright.config.build import build
from tradewright.config.compose import open_hydra
from tradewright.errors import ConfigError, RunError
from tradewright.model.adapters import checkpoint_gradients, is_eva, prepare_eva, save_adapter
from tradewright.model.language_model import LanguageModel

STARTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "gaussian": {"init_lora_weights": "gaussian"},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "pissa": {"init_lora_weights": "pissa"},
    "orthogonal": {"init_lora_weights": "orthogonal"},
    "mica": {"init_lora_weights": "mica"},
    "olora": {"init_lora_weights": "olora"},
    "eva": {"init_lora_weights": "eva", "eva_config": EvaConfig()},
}
CASES = [(architecture, start, "none") for architecture in ("qwen2", "gpt2") for start in STARTS]
CASES.remove(("gpt2", "olora", "none"))
CASES += [("qwen2", start, "nf4") for start in ("plain", "dora", "eva")] + [("gpt2", "rslora", "nf4")]
CASES += [("qwen2", "plain", "int8")]


def adapter(start: str = "plain", **values: Any) -> LoraConfig:
    return LoraConfig(**{"r": 4, "target_modules": "all-linear", "task_type": "CAUSAL_LM", **STARTS[start], **values})


@pytest.mark.row("R28")
@pytest.mark.parametrize(("architecture", "start", "quant"), CASES)
def test_adapter_of_every_start_reloads_exactly(
    tiny: Callable[..., LanguageModel],
    ids_of: Callable[..., torch.Tensor],
    tmp_path: Path,
    architecture: str,
    start: str,
    quant: str,
) -> None:
    model = tiny(architecture)
    base = model.load(quant=quantisation(quant))
    ids_BL = ids_of(base)
    untrained = logits(base, ids_BL)
    loaded = model.load(lora=adapter(start), quant=quantisation(quant), for_training=True)
    if start == "eva":
        prepare_eva(loaded.model, [{"input_ids": ids_BL, "attention_mask": torch.ones_like(ids_BL)}])
    torch.testing.assert_close(logits(loaded, ids_BL), untrained, rtol=0, atol=1e-5)  # it starts as the base model
    train(loaded, ids_BL)
    trained = logits(loaded, ids_BL)
    assert (trained - untrained).norm() > 0.1 * untrained.norm()
    save_adapter(loaded.model, tmp_path / "adapter")
    weights = load_file(tmp_path / "adapter" / "adapter_model.safetensors")
    assert all("lora_" in name for name in weights)
    again = replace(model, adapter=str(tmp_path / "adapter")).load(quant=quantisation(quant))
    torch.testing.assert_close(logits(again, ids_BL), trained, rtol=0, atol=0)


@pytest.mark.row("L3")
@pytest.mark.row("T13")
@pytest.mark.row("X14")
@pytest.mark.row("N53")
@pytest.mark.parametrize(("option", "r", "alpha", "dropout"), [("r16", 16, 32, 0.1), ("r32", 32, 64, 0.05)])
def test_adapter_configuration_on_disk_is_the_one_given(
    tiny: Callable[..., LanguageModel], tmp_path: Path, option: str, r: int, alpha: int, dropout: float
) -> None:
    node = open_hydra().compose([f"lora={option}"]).lora
    loaded = tiny("qwen2").load(lora=build(node, key="lora"), for_training=True)
    save_adapter(loaded.model, tmp_path / "adapter")
    saved = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    assert (saved["r"], saved["lora_alpha"], saved["lora_dropout"]) == (r, alpha, dropout)
    for key, value in node.items():
        if key not in ("_target_", "target_modules"):
            assert saved[key] == value, key
    assert sorted(saved["target_modules"]) == loaded.facts["lora"]["target_modules"] == ["q_proj", "v_proj"]
    assert 0 < loaded.facts["trainable_share"] < 0.5
    assert loaded.facts["num_trainable"] == 2 * 2 * r * (64 + 64)


@pytest.mark.parametrize("option", ["r16", "all_linear", "rslora", "dora", "pissa", "eva", "embedded"])
def test_every_option_attaches(tiny: Callable[..., LanguageModel], option: str) -> None:
    lora = build(open_hydra().compose([f"lora={option}", "lora.r=4"]).lora, key="lora")
    loaded = tiny("qwen2").load(lora=lora, for_training=True)
    assert is_eva(loaded.model) == (option == "eva")
    assert loaded.facts["lora"]["r"] == 4
    assert any(parameter.requires_grad for parameter in loaded.model.parameters())


@pytest.mark.row("R2")
@pytest.mark.parametrize("quant", ["none", "nf4"])
def test_conv1d_layers_of_gpt2_get_adapters_the_right_way_round(
    tiny: Callable[..., LanguageModel], ids_of: Callable[..., torch.Tensor], tmp_path: Path, quant: str
) -> None:
    lora = build(open_hydra().compose(["lora=gpt2_attention"]).lora, key="lora")
    loaded = tiny("gpt2").load(lora=lora, quant=quantisation(quant), for_training=True)
    shapes = {
        name.partition(".h.0.")[2]: (module.lora_A["default"].in_features, module.lora_B["default"].out_features)
        for name, module in loaded.model.named_modules()
        if hasattr(module, "lora_A") and ".h.0." in name
    }
    assert shapes == {"attn.c_attn": (64, 192), "attn.c_proj": (64, 64), "mlp.c_proj": (128, 64)}
    train(loaded, ids_of(loaded))
    save_adapter(loaded.model, tmp_path / "adapter")
    other = "none" if quant == "nf4" else "nf4"  # the same folder serves both kinds of layers, which lie otherwise
    replace(tiny("gpt2"), adapter=str(tmp_path / "adapter")).load(quant=quantisation(other))


@pytest.mark.parametrize("quant", ["none", "nf4"])
def test_embedded_option_trains_the_embedding_and_keeps_it_tied(
    tiny: Callable[..., LanguageModel], ids_of: Callable[..., torch.Tensor], tmp_path: Path, quant: str
) -> None:
    lora = build(open_hydra().compose(["lora=embedded", "lora.r=4"]).lora, key="lora")
    loaded = tiny("qwen2").load(lora=lora, quant=quantisation(quant), for_training=True)
    ids_BL = ids_of(loaded)
    train(loaded, ids_BL)
    embedding = loaded.model.get_input_embeddings().weight
    assert loaded.model.get_output_embeddings().weight is embedding
    trained = logits(loaded, ids_BL)
    save_adapter(loaded.model, tmp_path / "adapter")
    again = replace(tiny("qwen2"), adapter=str(tmp_path / "adapter")).load(quant=quantisation(quant))
    torch.testing.assert_close(logits(again, ids_BL), trained, rtol=0, atol=0)


def test_training_of_a_saved_adapter_goes_on_with_the_same_settings_only(
    tiny: Callable[..., LanguageModel], ids_of: Callable[..., torch.Tensor], tmp_path: Path
) -> None:
    loaded = tiny("qwen2").load(lora=adapter(), for_training=True)
    save_adapter(loaded.model, tmp_path / "adapter")
    model = replace(tiny("qwen2"), adapter=str(tmp_path / "adapter"))
    again = model.load(lora=adapter(), for_training=True)
    assert again.facts["num_trainable"] == loaded.facts["num_trainable"] > 0
    losses = train(again, ids_of(again))
    assert losses[-1] < losses[0]
    with pytest.raises(ConfigError, match=r"^lora\.r must be 4, as in the adapter .*, was 8; change it or leave"):
        model.load(lora=adapter(r=8), for_training=True)


def test_eva_without_data_cannot_be_used(
    tiny: Callable[..., LanguageModel], ids_of: Callable[..., torch.Tensor]
) -> None:
    loaded = tiny("qwen2").load(lora=adapter("eva"), for_training=True)
    ids_BL = ids_of(loaded)
    with pytest.raises(RunError, match=r"^lora=eva: the adapter has no weights yet"):
        loaded.model(ids_BL)
    plain = tiny("qwen2").load(lora=adapter(), for_training=True)
    with pytest.raises(ConfigError, match=r"^lora\.init_lora_weights: must be eva"):
        prepare_eva(plain.model, [])


def test_adapter_that_does_not_fit_is_told_in_one_line(tiny: Callable[..., LanguageModel], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^model\.adapter: .* holds no adapter_config\.json"):
        replace(tiny("qwen2"), adapter=str(tmp_path)).load()
    with pytest.raises(ConfigError, match=r"^lora: does not fit qwen2: .*c_attn") as raised:
        tiny("qwen2").load(lora=adapter(target_modules=["c_attn"]), for_training=True)
    assert "\n" not in str(raised.value)
    loaded = tiny("gpt2").load(lora=adapter(), for_training=True)
    save_adapter(loaded.model, tmp_path / "adapter")
    with pytest.raises(ConfigError, match=r"^model\.adapter: .* does not fit this base model: ") as raised:
        replace(tiny("qwen2"), adapter=str(tmp_path / "adapter")).load()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
@pytest.mark.parametrize("quant", ["none", "nf4"])
def test_checkpointed_gradients_are_the_same(
    tiny: Callable[..., LanguageModel], ids_of: Callable[..., torch.Tensor], architecture: str, quant: str
) -> None:
    gradients = []
    for is_checkpointed in (False, True):
        loaded = tiny(architecture).load(lora=adapter(), quant=quantisation(quant), for_training=True)
        if is_checkpointed:
            checkpoint_gradients(loaded.model)
        ids_BL = ids_of(loaded)
        loaded.model(ids_BL, labels=ids_BL, use_cache=False).loss.backward()
        gradients.append([p.grad for p in loaded.model.parameters() if p.requires_grad])
    assert all(gradient is not None for gradient in gradients[0])
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-7)
