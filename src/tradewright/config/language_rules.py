"""Which adapters, quantisations and language models cannot work together, told before anything heavy is imported.

Plain dicts in, one sentence per fault out, each starting with its key. Only what was seen to fail is refused: PEFT
0.21, bitsandbytes 0.50 and transformers 5.24, every initialisation on Qwen2 and GPT-2 in full, four and eight bits.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

NEEDS_FULL_WEIGHTS = {
    "pissa": "PiSSA decomposes weights in full precision",
    "olora": "OLoRA changes weights in full precision, and would shift quantised ones",
    "orthogonal": "orthogonal initialisation changes weights in full precision",
    "mica": "MiCA decomposes weights in full precision",
}
UNSUPPORTED = {
    "loftq": "LoftQ quantises the base model by itself, beside quant",
    "corda": "CorDA needs statistics that are not collected here",
}
LINEAR_LAYERS = {
    "qwen2": ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"),
    "gpt2": ("c_attn", "c_proj", "c_fc"),
}
LINEAR_LAYERS |= dict.fromkeys(("llama", "mistral"), LINEAR_LAYERS["qwen2"])
OTHER_LAYERS = {"qwen2": ("embed_tokens", "lm_head"), "gpt2": ("wte", "wpe", "lm_head")}
OTHER_LAYERS |= dict.fromkeys(("llama", "mistral"), OTHER_LAYERS["qwen2"])
"""Layers that PEFT can put an adapter on too."""
EMBEDDINGS = {"qwen2": "embed_tokens", "llama": "embed_tokens", "mistral": "embed_tokens", "gpt2": "wte"}
KNOWN_NAMES = {
    "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B": "qwen2",
    "deepseek-ai/DeepSeek-R1-Distill-Llama-8B": "llama",
    "mistralai/Mistral-7B-v0.1": "mistral",
    "microsoft/DialoGPT-medium": "gpt2",
}
"""Architectures of the presets, which cannot be looked up without a download."""


def adapter_faults(
    lora: Mapping[str, Any], quant: Mapping[str, Any], model: Mapping[str, Any], *, learns: bool = True
) -> list[str]:
    """Return why an adapter, a quantisation and a language model cannot be used together; empty if they can.

    Args:
        lora: The node of group ``lora``, resolved.
        quant: The node of group ``quant``, resolved.
        model: The node of group ``model``, resolved.
        learns: Whether weights are to be trained.
    """
    has_adapter = not str(lora.get("_target_", "")).endswith("NoLora")
    faults = list(_quantisation(quant, has_adapter=has_adapter or bool(model.get("adapter")), learns=learns))
    if has_adapter and learns:
        architecture = known_architecture(model)
        faults += _size(lora)
        faults += _start(lora, quant, architecture)
        faults += _layers(lora, architecture)
    return faults


def known_architecture(model: Mapping[str, Any]) -> str | None:
    """Return the ``model_type`` of a model's node: of an embedded model, a preset or a folder; else None."""
    if isinstance(model.get("architecture"), str):
        return str(model["architecture"])
    name = model.get("name")
    if not isinstance(name, str):
        return None
    file = Path(name) / "config.json"
    if file.is_file():
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
        except ValueError:
            return None  # loading it will say what is wrong with the file
        found = content.get("model_type") if isinstance(content, dict) else None
        return found if isinstance(found, str) else None
    return KNOWN_NAMES.get(name)


def _quantisation(quant: Mapping[str, Any], *, has_adapter: bool, learns: bool) -> Iterator[str]:
    is_four, is_eight = quant.get("load_in_4bit") is True, quant.get("load_in_8bit") is True
    if str(quant.get("_target_", "")).endswith("NoQuantization"):
        for key in ("load_in_4bit", "load_in_8bit"):
            if quant.get(key) is True:
                yield f"quant.{key}: has no effect with quant=none; use quant=nf4 or quant=int8"
        return
    if is_four and is_eight:
        yield "quant.load_in_4bit and load_in_8bit cannot both be true; choose quant=nf4 or quant=int8"
    if learns and (is_four or is_eight) and not has_adapter:
        yield "quant: quantised weights cannot be trained themselves; add an adapter (lora=r16), or use quant=none"


def _size(lora: Mapping[str, Any]) -> Iterator[str]:
    rank, dropout = lora.get("r"), lora.get("lora_dropout")
    if isinstance(rank, int) and rank < 1:
        yield f"lora.r must be >= 1, was {rank}; lora=none trains without an adapter"
    if isinstance(dropout, int | float) and not 0 <= dropout < 1:
        yield f"lora.lora_dropout must be >= 0 and < 1, was {dropout}"


def _start(lora: Mapping[str, Any], quant: Mapping[str, Any], architecture: str | None) -> Iterator[str]:
    """Yield what is wrong with the weights that an adapter starts from."""
    start = lora.get("init_lora_weights", True)
    is_quantised = quant.get("load_in_4bit") is True or quant.get("load_in_8bit") is True
    if str(quant.get("_target_", "")).endswith("NoQuantization"):
        is_quantised = False
    if isinstance(start, str):
        if start.startswith("pissa_niter_"):
            yield f"lora.init_lora_weights: {start} is random, so its adapters reload wrong; use pissa"
        elif start in UNSUPPORTED:
            yield f"lora.init_lora_weights: {start} is not supported: {UNSUPPORTED[start]}; use true, pissa or eva"
        elif start in NEEDS_FULL_WEIGHTS and is_quantised:
            yield f"lora.init_lora_weights: {NEEDS_FULL_WEIGHTS[start]}; use quant=none, or true or eva with quant"
        elif start == "olora" and architecture == "gpt2":
            yield "lora.init_lora_weights: OLoRA cannot start on the Conv1D layers of gpt2; use true, pissa or eva"
    if lora.get("use_dora") is True and quant.get("load_in_8bit") is True and is_quantised:
        yield "lora.use_dora: DoRA cannot start on 8-bit weights; use quant=nf4, or lora.use_dora=false"


def _layers(lora: Mapping[str, Any], architecture: str | None) -> Iterator[str]:
    """Yield the layers that a known architecture does not have."""
    wanted, saved = lora.get("target_modules"), lora.get("modules_to_save")
    if architecture in EMBEDDINGS:
        for layer in saved if isinstance(saved, list) else ():
            if isinstance(layer, str) and layer.rpartition(".")[2] in set(EMBEDDINGS.values()) - {
                EMBEDDINGS[architecture]
            }:
                yield f"lora.modules_to_save: {architecture} has no {layer}; use {EMBEDDINGS[architecture]}"
        if lora.get("ensure_weight_tying") is True and architecture == "gpt2":
            yield "lora.ensure_weight_tying: PEFT cannot keep the embedding of gpt2 and its output layer one; set false"
    if isinstance(wanted, str) and wanted.isidentifier():
        yield f"lora.target_modules: a text is a pattern of whole paths; for layers by name give a list, [{wanted}]"
    if not isinstance(wanted, list) or architecture not in LINEAR_LAYERS:
        return
    known = (*LINEAR_LAYERS[architecture], *OTHER_LAYERS[architecture])
    for layer in wanted:
        if isinstance(layer, str) and layer.rpartition(".")[2] not in known:
            have = ", ".join(LINEAR_LAYERS[architecture])
            yield f"lora.target_modules: {architecture} has no layer {layer!r}; it has {have}, or use all-linear"
