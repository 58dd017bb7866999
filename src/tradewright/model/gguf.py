"""Write a language model as GGUF, the file of llama.cpp and Ollama, and prove it by reading it back.

Architectures: ``qwen2``, ``llama``, ``mistral`` (which llama.cpp calls llama) and ``gpt2``. Llama's query and key rows
are interleaved for its way of rotating; GPT-2's Conv1D weights are transposed. Source: llama.cpp,
convert_hf_to_gguf.py, whose file is not part of the ``gguf`` package.
"""

import math
from contextlib import redirect_stderr
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from tradewright.errors import ConfigError, RunError
from tradewright.model.gguf_vocabulary import add_vocabulary
from tradewright.output import write_with

if TYPE_CHECKING:
    import numpy as np
    from gguf import GGUFWriter
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

GgufType = Literal["f32", "f16", "q8_0"]
ARCHITECTURES = {"qwen2": "qwen2", "llama": "llama", "mistral": "llama", "gpt2": "gpt2"}
"""transformers' model type -> llama.cpp's architecture."""
LARGEST_ERROR = {"f32": 1e-3, "f16": 1e-2, "q8_0": 1e-1}
"""Largest difference of a logit, relative to the largest logit, that a file may have when it is read back."""
BLOCK = 32
"""Weights that share a scale in q8_0; rows of other lengths stay f16."""


def write_gguf(
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerFast",
    path: Path,
    *,
    kind: GgufType = "f16",
    name: str = "tradewright",
) -> None:
    """Write a model without adapter and quantisation.

    Args:
        model: Its weights.
        tokenizer: Byte-level or SentencePiece-like, with pieces that llama.cpp knows.
        path: Appears whole or not at all.
        kind: ``f32``, ``f16`` or ``q8_0`` (8 bits in blocks of 32); vectors are f32 always.
        name: Shown by programs that read it.

    Raises:
        ConfigError: The package ``gguf`` is missing, or llama.cpp has no such architecture, rotation or tokenizer.
        ValueError: ``kind`` is none of the three.
    """
    require_gguf()
    from gguf import GGUFWriter

    if kind not in LARGEST_ERROR:
        raise ValueError(f"kind must be f32, f16 or q8_0, was {kind!r}")
    config: Any = model.config
    if config.model_type not in ARCHITECTURES:
        raise ConfigError(
            f"{name}: cannot be written as GGUF: the architecture {config.model_type} is none of"
            f" {', '.join(ARCHITECTURES)}; export as safetensors"
        )
    writer = GGUFWriter(None, ARCHITECTURES[config.model_type])
    # transformers reads a file whose name contains "mistral" as another architecture than its tensors are written for
    writer.add_name(name if "mistral" not in name.lower() else "tradewright")
    _add_shape(writer, config, kind)
    add_vocabulary(writer, tokenizer, num_rows=model.get_input_embeddings().weight.shape[0], name=name)
    _add_tensors(writer, model, kind)
    write_with(path, lambda part: _write(writer, part))


def require_gguf() -> None:
    """Raise unless the package is installed.

    Raises:
        ConfigError: It is not.
    """
    from importlib.util import find_spec

    if find_spec("gguf") is None:
        raise ConfigError("format gguf: needs the package gguf; install it with pip install 'tradewright[gguf]'")


def _write(writer: "GGUFWriter", part: Path) -> None:
    writer.write_header_to_file(path=part)
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_shape(writer: "GGUFWriter", config: Any, kind: GgufType) -> None:
    """Write what the architecture needs besides its tensors."""
    from gguf import LlamaFileType

    file_types = {
        "f32": LlamaFileType.ALL_F32,
        "f16": LlamaFileType.MOSTLY_F16,
        "q8_0": LlamaFileType.MOSTLY_Q8_0,
    }
    writer.add_file_type(int(file_types[kind]))
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_head_count(config.num_attention_heads)
    if config.model_type == "gpt2":
        writer.add_context_length(config.n_positions)
        writer.add_feed_forward_length(config.n_inner or 4 * config.n_embd)
        writer.add_layer_norm_eps(config.layer_norm_epsilon)
        return
    window = getattr(config, "sliding_window", None)
    has_window = window is not None and getattr(config, "use_sliding_window", True)
    # llama.cpp attends to everything; within the window that is the same
    positions = min(config.max_position_embeddings, window) if has_window else config.max_position_embeddings
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    writer.add_context_length(positions)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(float(config.rope_parameters["rope_theta"]))
    writer.add_rope_dimension_count(head)
    writer.add_vocab_size(config.vocab_size)


def _add_tensors(writer: "GGUFWriter", model: "PreTrainedModel", kind: GgufType) -> None:
    from gguf import MODEL_ARCH, get_tensor_name_map

    config: Any = model.config
    architecture = {"qwen2": MODEL_ARCH.QWEN2, "llama": MODEL_ARCH.LLAMA, "gpt2": MODEL_ARCH.GPT2}
    names = get_tensor_name_map(architecture[ARCHITECTURES[config.model_type]], config.num_hidden_layers)
    output, embedding = model.get_output_embeddings().weight, model.get_input_embeddings().weight
    is_tied = output.data_ptr() == embedding.data_ptr()
    for key, tensor in model.state_dict().items():
        if key == "lm_head.weight" and is_tied:
            continue
        name = names.get_name(key, try_suffixes=(".weight", ".bias"))
        if name is None:
            raise ConfigError(f"{key}: llama.cpp's {config.model_type} has no such tensor; export as safetensors")
        values = _turned(tensor.detach().float().cpu().numpy(), key, config)
        _add(writer, name, values, kind)
    factors = _rotation_factors(config)
    if factors is not None:
        writer.add_tensor("rope_freqs.weight", factors)


def _turned(values: "np.ndarray[Any, Any]", key: str, config: Any) -> "np.ndarray[Any, Any]":
    """Return the weights as llama.cpp wants them to lie."""
    if config.model_type == "gpt2" and values.ndim == 2 and ".h." in key:
        return values.T
    is_llama = ARCHITECTURES[config.model_type] == "llama"
    if is_llama and (".q_proj." in key or ".k_proj." in key):
        heads = config.num_attention_heads if ".q_proj." in key else config.num_key_value_heads
        halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
        return halves.swapaxes(1, 2).reshape(values.shape)
    return values


def _add(writer: "GGUFWriter", name: str, values: "np.ndarray[Any, Any]", kind: GgufType) -> None:
    import numpy as np
    from gguf import GGMLQuantizationType, quants

    values = np.ascontiguousarray(values, dtype=np.float32)
    if kind == "f32" or values.ndim == 1 or name.startswith("position_embd"):
        writer.add_tensor(name, values)
    elif kind == "q8_0" and values.shape[-1] % BLOCK == 0:
        packed = quants.quantize(values, GGMLQuantizationType.Q8_0)
        writer.add_tensor(name, packed, raw_dtype=GGMLQuantizationType.Q8_0)
    else:
        writer.add_tensor(name, values.astype(np.float16))


def _rotation_factors(config: Any) -> "np.ndarray[Any, Any] | None":
    """Return by what llama.cpp divides each rotation frequency, [head / 2]; None where it changes none.

    Raises:
        ConfigError: The rotation is scaled in another way than Llama 3's.
    """
    import numpy as np

    if config.model_type == "gpt2":
        return None
    rotation = config.rope_parameters
    if rotation.get("rope_type", "default") == "default":
        return None
    if rotation["rope_type"] != "llama3":
        raise ConfigError(f"rope_type {rotation['rope_type']!r} cannot be written as GGUF here; export as safetensors")
    head = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    wavelengths = 2 * math.pi * rotation["rope_theta"] ** (np.arange(0, head, 2, dtype=np.float64) / head)
    old, factor = rotation["original_max_position_embeddings"], rotation["factor"]
    low, high = rotation["low_freq_factor"], rotation["high_freq_factor"]
    blend = np.clip((old / wavelengths - low) / (high - low), 0.0, 1.0)  # between the two ends, as published
    return (1.0 / ((1 - blend) / factor + blend)).astype(np.float32)


def read_back_error(path: Path, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast") -> float:
    """Return how far a file's logits are from the model's: the largest difference over the largest logit.

    The file is read by transformers' own GGUF reader, which shares no code with the writer.

    Args:
        path: The file.
        model: What was written.
        tokenizer: Its tokenizer.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from tradewright.model.hub import quiet
    from tradewright.model.merge import PROBES

    # the reader finds GPT-2's inner width and vocabulary nowhere in the file, though llama.cpp does
    options: dict[str, Any] = {"config": model.config} if model.config.model_type == "gpt2" else {}
    with quiet(is_silent=True), redirect_stderr(StringIO()):  # its progress bar cannot be switched off
        found = AutoModelForCausalLM.from_pretrained(
            str(path.parent), gguf_file=path.name, dtype=torch.float32, **options
        )
    found.eval()
    model.eval()
    error = size = 0.0
    with torch.no_grad():
        for text in PROBES:
            ids_BL = torch.tensor([tokenizer.encode(text, add_special_tokens=False)])
            expected = model(ids_BL.to(model.device)).logits.float().cpu()
            error = max(error, float((found(ids_BL).logits - expected).abs().max()))
            size = max(size, float(expected.abs().max()))
    return error / size


def require_exact(path: Path, model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast", kind: GgufType) -> float:
    """Return the error of a file that was read back.

    Raises:
        RunError: It is larger than the file's kind explains.
    """
    error = read_back_error(path, model, tokenizer)
    if not error <= LARGEST_ERROR[kind]:
        raise RunError(f"{path}: read back, its logits are off by {error:.1e}, expected <= {LARGEST_ERROR[kind]}")
    return error
