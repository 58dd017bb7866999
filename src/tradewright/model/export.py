"""Write a trained model for others: merged, as a safetensors folder and as GGUF, each proven by reading it back."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from tradewright.errors import ConfigError, RunError
from tradewright.model.gguf import GgufType, require_exact, require_gguf, write_gguf
from tradewright.model.language_model import LanguageModel
from tradewright.model.loaded_model import LoadedModel
from tradewright.model.merge import LARGEST_GAP, PROBES, MergeBase, distance, logits, merge_adapter
from tradewright.model.modelfile import modelfile
from tradewright.output import write_json, write_text

Format = Literal["safetensors", "gguf"]
FORMATS: tuple[Format, ...] = ("safetensors", "gguf")
Dtype = Literal["float32", "bfloat16", "float16"]
LARGEST_ERROR = {"float32": LARGEST_GAP, "bfloat16": 5e-2, "float16": 1e-2}
"""Relative difference of logits that rounding the weights to a type explains."""
REPORT = "export.json"


def export_model(
    model: LanguageModel,
    target: Path,
    *,
    quant: Any = None,
    formats: Sequence[Format] = FORMATS,
    dtype: Dtype = "float32",
    gguf_type: GgufType = "f16",
    merge_base: MergeBase = "trained",
) -> dict[str, Any]:
    """Merge a model's adapter and write it.

    Args:
        model: Base and, where it has one, adapter.
        target: New folder; gets a folder per format and ``export.json``. Appears whole or not at all.
        quant: With which it was trained.
        formats: ``safetensors``, ``gguf`` or both.
        dtype: Of the safetensors weights.
        gguf_type: Of the GGUF weights.
        merge_base: See ``merge_adapter``.

    Returns:
        What ``export.json`` says: ``merge_base``, ``merge_gap``, and per format its file and ``error`` when read back.

    Raises:
        ConfigError: The folder exists, or a format cannot hold the model.
        RunError: A file read back is not the model.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ConfigError(f"formats must be some of {', '.join(FORMATS)}, was {list(formats)}")
    if target.exists():
        raise ConfigError(f"{target}: exists already; delete it or choose another folder")
    if "gguf" in formats:
        require_gguf()
    merged = merge_adapter(model, quant=quant, merge_base=merge_base)
    report: dict[str, Any] = {"name": model.name, "merge_base": merged.base, "merge_gap": merged.gap}
    part = target.with_name(f".{target.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    try:
        if "gguf" in formats:  # first, because safetensors rounds the model's weights to their type
            report["gguf"] = _write_gguf(merged.loaded, part / "gguf", gguf_type, target.name)
        if "safetensors" in formats:
            report["safetensors"] = _write_safetensors(merged.loaded, part / "safetensors", dtype)
        write_json(part / REPORT, report)
        part.rename(target)
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return report


def _write_safetensors(loaded: LoadedModel, folder: Path, dtype: Dtype) -> dict[str, Any]:
    """Write the folder that ``AutoModelForCausalLM.from_pretrained`` reads; return its facts."""
    import torch
    from transformers import AutoModelForCausalLM

    from tradewright.model.hub import quiet

    probes = [torch.tensor([loaded.tokenizer.encode(text, add_special_tokens=False)]) for text in PROBES]
    expected = logits(loaded.model, probes)
    with quiet():
        loaded.model.to(getattr(torch, dtype)).save_pretrained(str(folder))
        loaded.tokenizer.save_pretrained(str(folder))
        found = AutoModelForCausalLM.from_pretrained(str(folder), dtype=torch.float32)
    error = distance(logits(found, probes), expected)
    if not error <= LARGEST_ERROR[dtype]:
        raise RunError(f"{folder}: read back, its logits are off by {error:.1e}, expected <= {LARGEST_ERROR[dtype]}")
    return {"folder": folder.name, "dtype": dtype, "error": error}


def _write_gguf(loaded: LoadedModel, folder: Path, kind: GgufType, name: str) -> dict[str, Any]:
    """Write the GGUF file and its Modelfile; return their facts."""
    file = folder / f"model-{kind}.gguf"
    text = modelfile(loaded.tokenizer, file=file.name, max_length=loaded.max_length)
    write_gguf(loaded.model, loaded.tokenizer, file, kind=kind, name=name)
    error = require_exact(file, loaded.model, loaded.tokenizer, kind)
    write_text(folder / "Modelfile", text)
    return {"folder": folder.name, "file": file.name, "type": kind, "error": error}
