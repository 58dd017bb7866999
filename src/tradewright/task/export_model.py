"""``task=export_model``: a language model, its adapter merged, as files that other programs read."""

from pathlib import Path
from typing import ClassVar, Literal

from omegaconf import DictConfig
from rich.console import Console

from tradewright.config.build import build
from tradewright.errors import ConfigError


class ExportModel:
    """Writes ``safetensors/`` and ``gguf/`` with a Modelfile for Ollama, and ``export.json`` with measured errors.

    Args:
        to: New folder.
        formats: ``safetensors``, ``gguf`` or both.
        dtype: Of the safetensors weights: ``float32``, ``bfloat16`` or ``float16``.
        gguf_type: Of the GGUF weights: ``f32``, ``f16`` or ``q8_0``.
        merge_base: ``trained``: into the dequantised weights that the adapter was trained on; ``original``: into the
            full-precision weights, whose gap is reported.
    """

    needs_run_directory: ClassVar[bool] = False

    def __init__(
        self,
        *,
        to: str,
        formats: list[Literal["safetensors", "gguf"]],
        dtype: Literal["float32", "bfloat16", "float16"] = "float32",
        gguf_type: Literal["f32", "f16", "q8_0"] = "f16",
        merge_base: Literal["trained", "original"] = "trained",
    ) -> None:
        self.to = Path(to)
        self.formats = formats
        self.dtype = dtype
        self.gguf_type = gguf_type
        self.merge_base = merge_base

    def execute(self, cfg: DictConfig) -> None:
        """Merge, write and read back.

        Raises:
            ConfigError: The chosen model is no language model.
        """
        from tradewright.model.language_model import LanguageModel

        model = build(cfg.model, key="model")
        if not isinstance(model, LanguageModel):
            raise ConfigError(
                "model: is not a language model; use model=local model.name=<folder> model.adapter=<folder>"
            )
        from tradewright.model.export import export_model

        report = export_model(
            model,
            self.to,
            quant=build(cfg.quant, key="quant"),
            formats=self.formats,
            dtype=self.dtype,
            gguf_type=self.gguf_type,
            merge_base=self.merge_base,
        )
        console = Console()
        console.print(f"merged into the {report['merge_base']} base: logits differ by {report['merge_gap']:.1e}")
        for name in self.formats:
            folder = self.to / report[name]["folder"]
            console.print(f"{folder}: read back, logits differ by {report[name]['error']:.1e}", soft_wrap=True)
