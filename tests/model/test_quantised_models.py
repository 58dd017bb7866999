"""Four and eight bits: near the full model, exact where they must be, and unharmed by an evaluation on newer CPUs."""

from collections.abc import Callable

import bitsandbytes
import pytest
import torch
from bitsandbytes.functional import dequantize_4bit, has_avx512bf16
from language_model_steps import logits, quantisation, train
from peft import LoraConfig
from transformers import AutoModelForCausalLM

from tradewright.config.build import build
from tradewright.config.compose import open_hydra
from tradewright.errors import ConfigError
from tradewright.model.language_model import LanguageModel
from tradewright.model.quantised import SWITCH, guard_four_bit, is_eight_bit, is_four_bit

LORA = LoraConfig(r=4, target_modules="all-linear")


@pytest.mark.row("L5")
@pytest.mark.parametrize("option", ["nf4", "nf4_fp16"])
def test_four_bit_layer_computes_with_its_dequantised_weights(tiny: Callable[..., LanguageModel], option: str) -> None:
    quant = build(open_hydra().compose([f"quant={option}"]).quant, key="quant")
    compute = {"nf4": torch.bfloat16, "nf4_fp16": torch.float16}[option]
    loaded = tiny("qwen2").load(quant=quant)
    layers = [m for m in loaded.model.modules() if isinstance(m, bitsandbytes.nn.Linear4bit)]
    assert len(layers) == 2 * 7
    assert is_four_bit(loaded.model)
    for layer in layers:
        assert layer.weight.quant_state.nested  # double quantisation
        x_BF = torch.randn(5, layer.in_features, generator=torch.Generator().manual_seed(0))
        weights = dequantize_4bit(layer.weight.data, layer.weight.quant_state).float()
        expected = x_BF @ weights.T + (0 if layer.bias is None else layer.bias.float())
        with torch.no_grad():
            found = layer(x_BF)
        assert layer.compute_dtype == compute
        step = {torch.bfloat16: 2**-8, torch.float16: 2**-11}[compute]
        assert (found - expected).norm() < 3 * step * expected.norm()
    name = {"nf4": "nf4 (double, bfloat16)", "nf4_fp16": "nf4 (double, float16)"}[option]
    assert loaded.facts["quant"] == name


@pytest.mark.parametrize(("name", "largest"), [("nf4", 0.35), ("int8", 0.05)])
def test_quantised_model_is_near_the_full_one(
    tiny: Callable[..., LanguageModel], ids_of: Callable[..., torch.Tensor], name: str, largest: float
) -> None:
    full, loaded = tiny("qwen2").load(), tiny("qwen2").load(quant=quantisation(name))
    ids_BL = ids_of(full)
    expected = logits(full, ids_BL)
    assert 0 < (logits(loaded, ids_BL) - expected).norm() / expected.norm() < largest
    assert loaded.facts["num_parameters"] == full.facts["num_parameters"]  # packed weights count as what they stand for
    assert is_eight_bit(loaded.model) == (name == "int8")


@pytest.mark.row("T39")
@pytest.mark.parametrize("name", ["nf4", "int8"])
@pytest.mark.parametrize("architecture", ["qwen2", "gpt2", "mistral"])
def test_greedy_output_of_a_trained_model_survives_quantisation(
    tiny: Callable[..., LanguageModel],
    ids_of: Callable[..., torch.Tensor],
    tmp_path_factory: pytest.TempPathFactory,
    architecture: str,
    name: str,
) -> None:
    from dataclasses import replace

    loaded = tiny(architecture).load(for_training=True)
    ids_BL = ids_of(loaded)
    optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=5e-3)
    for _ in range(40):
        optimizer.zero_grad()
        loaded.model(ids_BL, labels=ids_BL).loss.backward()
        optimizer.step()
    folder = tmp_path_factory.mktemp("trained") / architecture
    loaded.model.save_pretrained(folder)
    loaded.tokenizer.save_pretrained(folder)
    model = replace(tiny(architecture), name=str(folder))
    texts = []
    for quant in (None, quantisation(name)):
        ready = model.load(quant=quant)
        found = ready.model.generate(
            ids_BL[:, :6],
            attention_mask=torch.ones(4, 6, dtype=torch.long),
            max_new_tokens=10,
            do_sample=False,
            top_k=None,
        )
        texts.append(found)
    assert torch.equal(texts[0], ids_BL)  # it has learned them
    assert torch.equal(texts[1], texts[0])


def test_quantised_weights_without_adapter_cannot_be_trained(tiny: Callable[..., LanguageModel]) -> None:
    with pytest.raises(ConfigError, match=r"^quant: nf4 .* cannot be trained themselves; add an adapter, e\.g\. lora="):
        tiny("qwen2").load(quant=quantisation("nf4"), for_training=True)


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
def test_evaluation_between_training_steps_changes_nothing(
    tiny: Callable[..., LanguageModel], ids_of: Callable[..., torch.Tensor], architecture: str
) -> None:
    """On CPUs with AVX512-BF16 an evaluation repacks the weights, unless the loader has forbidden it."""
    losses = []
    for evaluates in (False, True):
        loaded = tiny(architecture).load(lora=LORA, quant=quantisation("nf4"), for_training=True)
        ids_BL = ids_of(loaded)
        loaded.model.config.use_cache = False
        found = train(loaded, ids_BL, num_steps=2)
        if evaluates:
            logits(loaded, ids_BL)
        losses.append([*found, *train(loaded, ids_BL, num_steps=2)])
    if architecture == "gpt2":
        assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    assert losses[0] == losses[1]


def test_every_four_bit_layer_is_guarded(tiny: Callable[..., LanguageModel]) -> None:
    loaded = tiny("gpt2").load(quant=quantisation("nf4"))
    layers = [module for module in loaded.model.modules() if isinstance(module, bitsandbytes.nn.Linear4bit)]
    assert len(layers) == 2 * 4
    assert not any(getattr(layer, SWITCH) for layer in layers)
    assert guard_four_bit(loaded.model) == len(layers)


@pytest.mark.skipif(not has_avx512bf16(), reason="only CPUs with AVX512-BF16 have the defect")
def test_defect_is_still_there_without_the_guard(
    tiny: Callable[..., LanguageModel], ids_of: Callable[..., torch.Tensor]
) -> None:
    """When this fails, bitsandbytes has been mended and the guard can go."""
    loaded = tiny("qwen2").load(quant=quantisation("nf4"))
    bare = AutoModelForCausalLM.from_pretrained(
        str(tiny("qwen2").name), quantization_config=quantisation("nf4"), device_map={"": "cpu"}
    )
    packed = bare.model.layers[0].mlp.up_proj.weight.data.clone()
    guarded = loaded.model.model.layers[0].mlp.up_proj.weight.data.clone()
    ids_BL = ids_of(loaded)
    logits(loaded, ids_BL)
    bare.eval()
    with torch.no_grad():
        bare(ids_BL)
    assert torch.equal(loaded.model.model.layers[0].mlp.up_proj.weight.data, guarded)
    assert not torch.equal(bare.model.layers[0].mlp.up_proj.weight.data, packed)
