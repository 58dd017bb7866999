"""``model=<a language model>``: a causal language model by name on the hub or by folder, loaded the same way always.

Order: tokenizer (proven), weights (quantised while reading), padding row, adapter. Everything random (a new adapter)
comes from the given seed, so loading twice gives the same model. What is missing in a file is an error; transformers
would fill it with random numbers and a log line.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from tradewright.config.inert import NoLora, NoQuantization
from tradewright.errors import ConfigError, DataError
from tradewright.model.loaded_model import LoadedModel, count_parameters

if TYPE_CHECKING:
    from peft import LoraConfig
    from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerFast

DTYPES = ("auto", "float32", "bfloat16", "float16")


@dataclass(frozen=True, kw_only=True)
class LanguageModel:
    """A causal language model that exists.

    Args:
        name: Folder as ``save_pretrained`` writes it, or name on the Hugging Face hub; None: not chosen yet. Tasks take
            a run directory too, for what that run trained.
        max_length: Tokens of prompt and answer together, >= 2, at most what the model has positions for.
        dtype: Of the weights: ``auto`` as saved, ``float32``, ``bfloat16`` or ``float16``.
        adapter: Folder of a PEFT adapter to put on it; None: none.
        chat_template: ``chatml``, ``turns``, ``mistral``, ``deepseek``, a ``.jinja`` file, or None for its own.
        attention: Implementation: ``sdpa`` or ``eager``, or one that transformers knows (``flash_attention_2``).
        knowledge_cutoff: ISO date up to which it may have read, shown beside test ranges; None: unknown or nothing.

    Raises:
        ValueError: An argument is out of range.
    """

    is_language_model: ClassVar[bool] = True
    must_be_built: ClassVar[bool] = False
    """Whether ``build`` must make it from texts first."""

    name: str | None = None
    max_length: int = 1024
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    adapter: str | None = None
    chat_template: str | None = None
    attention: str = "sdpa"
    knowledge_cutoff: str | None = None

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        if self.max_length < 2:
            raise ValueError(f"max_length must be >= 2, was {self.max_length}")
        if self.dtype not in DTYPES:
            raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, was {self.dtype!r}")
        if self.knowledge_cutoff is not None:
            try:
                date.fromisoformat(self.knowledge_cutoff)
            except ValueError:
                raise ValueError(
                    f"knowledge_cutoff must be an ISO date or null, was {self.knowledge_cutoff!r}"
                ) from None

    def prepare(self, texts: Iterable[str], *, folder: Path, seed: int) -> "LanguageModel":
        """Return the model to load: this one; an embedded one is built from the texts in ``folder`` first.

        Args:
            texts: Prompts and answers of the training set, for the tokenizer of an embedded model.
            folder: Where an embedded model is kept.
            seed: Of its weights.
        """
        return self

    def load(
        self,
        *,
        lora: "LoraConfig | NoLora | None" = None,
        quant: "BitsAndBytesConfig | NoQuantization | None" = None,
        device: str = "cpu",
        seed: int = 0,
        for_training: bool = False,
    ) -> LoadedModel:
        """Read the model, put the adapter on it and describe it.

        Args:
            lora: A new adapter to train; with ``adapter``, whose training then goes on, it must agree.
            quant: How to quantise the weights while they are read.
            device: ``cpu``, ``cuda`` or ``cuda:0``.
            seed: Of the new adapter's weights.
            for_training: Whether weights shall be trained: the adapter's, or all where there is none.

        Raises:
            ConfigError: There is no such model or adapter, or the combination cannot be trained.
            DataError: The tokenizer or the weights are not what they should be.
        """
        from tradewright.model.adapters import attach, is_adapter
        from tradewright.model.quantised import guard_four_bit, hush, is_quantised, require_trainable
        from tradewright.model.tokenizer import load_tokenizer

        if self.name is None:
            hint = "this model is built from texts first" if self.must_be_built else "a folder or a name on the hub"
            raise ConfigError(f"model.name: must be given, it is null; {hint}")
        hush()
        require_trainable(quant, has_adapter=is_adapter(lora) or self.adapter is not None, for_training=for_training)
        tokenizer = load_tokenizer(self.name, chat_template=self.chat_template)
        base = self._read(quant if is_quantised(quant) else None, device)
        num_added = pad_rows(base, tokenizer)
        guard_four_bit(base)
        num_parameters, _ = count_parameters(base)
        model = attach(base, lora=lora, adapter=self.adapter, seed=seed, for_training=for_training)
        facts = self._facts(model, base, tokenizer, num_parameters, num_added, quant)
        return LoadedModel(model=model, tokenizer=tokenizer, max_length=self.max_length, facts=facts)

    def _read(self, quant: Any, device: str) -> "PreTrainedModel":
        """Read configuration and weights."""
        from transformers import AutoConfig, AutoModelForCausalLM

        from tradewright.model.hub import quiet, reading

        assert self.name is not None
        with reading(self.name, "model"), quiet():
            config = AutoConfig.from_pretrained(self.name)
            self._require_positions(config)
            try:
                loaded: Any = AutoModelForCausalLM.from_pretrained(
                    self.name,
                    config=config,
                    dtype=self.dtype,
                    attn_implementation=self.attention,
                    quantization_config=quant,
                    device_map={"": device},
                    output_loading_info=True,
                )
            except (ImportError, ValueError) as error:
                if "attn_implementation" not in str(error) and not isinstance(error, ImportError):
                    raise
                reason = " ".join(str(error).split())[:160]
                raise ConfigError(f"model.attention: {self.attention!r} cannot be used, try sdpa: {reason}") from error
        model, report = loaded  # as output_loading_info asks
        if report["missing_keys"]:
            first = sorted(report["missing_keys"])[0]
            raise DataError(
                f"{self.name}: its file lacks {len(report['missing_keys'])} of the weights, such as {first}; expected"
                " a complete causal language model"
            )
        return model

    def _require_positions(self, config: Any) -> None:
        positions = getattr(config, "max_position_embeddings", None)
        if positions is not None and self.max_length > positions:
            raise ConfigError(
                f"model.max_length must be <= {positions}, the positions of {self.name}, was {self.max_length}"
            )

    def _facts(
        self,
        model: Any,
        base: "PreTrainedModel",
        tokenizer: "PreTrainedTokenizerFast",
        num_parameters: int,
        num_added: int,
        quant: Any,
    ) -> dict[str, Any]:
        from tradewright.model.adapters import summary
        from tradewright.model.quantised import quantisation

        total, trained = count_parameters(model)
        return {
            "name": self.name,
            "architecture": base.config.model_type,
            "num_parameters": num_parameters,
            "num_trainable": trained,
            "trainable_share": trained / total,
            "lora": summary(model),
            "quant": quantisation(quant),
            "dtype": str(base.dtype).removeprefix("torch."),
            "vocabulary": len(tokenizer),
            "num_added_tokens": num_added,
            "max_length": self.max_length,
            "chat_template": self.chat_template or "own",
            "knowledge_cutoff": self.knowledge_cutoff,
        }

    def at(self, folder: Path) -> "LanguageModel":
        """Return the same settings for the model in a folder."""
        values = {field.name: getattr(self, field.name) for field in fields(LanguageModel)}
        return LanguageModel(**{**values, "name": str(folder)})


def pad_rows(model: "PreTrainedModel", tokenizer: "PreTrainedTokenizerFast") -> int:
    """Give every token a row of the embedding; new rows are the mean of the others, in the output layer too.

    The mean's logit is the mean logit, which never wins; a row of zeros would, in models whose logits are negative.

    Returns:
        How many rows were added: 0 where the model has spare ones.
    """
    import torch

    layers: list[Any] = [model.get_input_embeddings(), model.get_output_embeddings()]
    before = int(layers[0].weight.shape[0])
    if len(tokenizer) <= before:
        return 0
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    layers = [model.get_input_embeddings(), model.get_output_embeddings()]
    with torch.no_grad():
        for layer in layers:
            layer.weight[before:] = layer.weight[:before].float().mean(dim=0).to(layer.weight.dtype)
    return len(tokenizer) - before
