"""Adapters on a language model: new ones from ``lora``, saved ones from a folder, what is frozen, what is written.

PEFT's ``prepare_model_for_kbit_training`` is not used: it turns all other weights to float32 (half a gigabyte for the
embedding of 151k tokens). Freezing and a gradient at the input are all that is needed.
"""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tradewright.errors import ConfigError, RunError

if TYPE_CHECKING:
    from peft import LoraConfig, PeftModel
    from torch import Tensor
    from transformers import PreTrainedModel

CONFIG_FILE = "adapter_config.json"
COMPARED = ("r", "lora_alpha", "use_rslora", "use_dora", "bias")
"""Settings in which a saved adapter and the configuration that goes on training it must agree."""


_UNPREPARED = "tradewright_unprepared"
"""Attribute of a model whose adapter waits for data: the hook that keeps it from being used before."""


def is_adapter(lora: Any) -> bool:
    """Return whether ``lora`` asks for an adapter."""
    from tradewright.config.inert import NoLora

    return lora is not None and not isinstance(lora, NoLora)


def attach(
    base: "PreTrainedModel", *, lora: Any, adapter: str | None, seed: int, for_training: bool
) -> "PreTrainedModel | PeftModel":
    """Put an adapter on a base model and set what is trained.

    Args:
        base: The model without adapters; it is changed.
        lora: ``peft.LoraConfig`` of a new adapter, ``NoLora`` or None.
        adapter: Folder of a saved adapter, or None.
        seed: Of a new adapter's weights.
        for_training: Whether the adapter's weights, or all without one, shall be trained.

    Raises:
        ConfigError: The folder holds no adapter that fits, or ``lora`` does not fit the model.
    """
    model: Any = base
    if adapter is not None:
        model = read_adapter(base, adapter, lora=lora if is_adapter(lora) else None, for_training=for_training)
    elif is_adapter(lora):
        model = _create(base, lora, seed)
    if not for_training:
        model.requires_grad_(False)
    elif model is base:
        model.requires_grad_(True)
    model.train(for_training)
    return model


def _create(base: "PreTrainedModel", lora: "LoraConfig", seed: int) -> "PeftModel":
    import torch
    from peft import get_peft_model

    base.requires_grad_(False)
    devices = [base.device] if base.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices), peft_calls():
        torch.manual_seed(seed)
        try:
            model = get_peft_model(base, _fitted(lora, base))
        except (ValueError, TypeError, AttributeError, RuntimeError, ImportError) as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"lora: does not fit {base.config.model_type}: {reason}") from error
    if is_eva(model):
        setattr(model, _UNPREPARED, model.register_forward_pre_hook(_refuse_unprepared))
    return model


def _refuse_unprepared(*_: Any) -> None:
    raise RunError("lora=eva: the adapter has no weights yet; prepare_eva must be called with training batches first")


def _fitted(lora: Any, base: "PreTrainedModel") -> Any:
    """Return a copy that says how the model's weights lie, which PEFT would find out with a warning per layer."""
    from transformers.pytorch_utils import Conv1D

    fitted = deepcopy(lora)
    fitted.fan_in_fan_out = any(isinstance(module, Conv1D) for module in base.modules())
    return fitted


def read_adapter(
    base: "PreTrainedModel", adapter: str, *, lora: "LoraConfig | None" = None, for_training: bool = False
) -> "PeftModel":
    """Put a saved adapter on a base model.

    Args:
        base: The model without adapters; it is changed.
        adapter: Folder that ``save_adapter`` wrote.
        lora: The configuration with which its training goes on, which must agree; None: any.
        for_training: Whether its weights shall be trained.

    Raises:
        ConfigError: The folder holds no adapter that fits.
    """
    from peft import PeftConfig, PeftModel

    folder = Path(adapter)
    if not (folder / CONFIG_FILE).is_file():
        raise ConfigError(f"model.adapter: {str(folder)!r} holds no {CONFIG_FILE}; expected the folder of an adapter")
    saved = PeftConfig.from_pretrained(str(folder))
    if lora is not None:
        _require_same(saved, lora, folder)
    try:
        with peft_calls():
            fitted: Any = _fitted(saved, base)  # it may have been trained on quantised layers, which lie otherwise
            return PeftModel.from_pretrained(base, str(folder), is_trainable=for_training, config=fitted)
    except (ValueError, TypeError, RuntimeError, ImportError, OSError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"model.adapter: {str(folder)!r} does not fit this base model: {reason}") from error


@contextmanager
def peft_calls() -> Iterator[None]:
    """Silence what PEFT 0.21 calls and transformers 5.24 has deprecated, and what PEFT says of its own work."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)
        warnings.filterwarnings("ignore", message="lora with eva initialization used with", category=UserWarning)
        # a merge unties what was trained apart, and writes so into the configuration
        warnings.filterwarnings(
            "ignore", message="Input and output embeddings are no longer tied", category=UserWarning
        )
        yield


def _require_same(saved: Any, lora: Any, folder: Path) -> None:
    for key in COMPARED:
        if getattr(saved, key) != getattr(lora, key):
            raise ConfigError(
                f"lora.{key} must be {getattr(saved, key)}, as in the adapter {str(folder)!r} whose training goes on,"
                f" was {getattr(lora, key)}; change it or leave model.adapter null"
            )


def checkpoint_gradients(model: Any) -> None:
    """Trade a second forward pass for memory; works above a frozen embedding too."""
    model.enable_input_require_grads()
    options = {"use_reentrant": False}
    if hasattr(model, "activation_checkpointing_enable"):  # its name from transformers 5.24 on
        model.activation_checkpointing_enable(activation_checkpointing_kwargs=options)
    else:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs=options)


def is_eva(model: Any) -> bool:
    """Return whether the adapter's weights wait for data (``lora=eva``)."""
    configs = getattr(model, "peft_config", {})
    return any(config.init_lora_weights == "eva" for config in configs.values())


def prepare_eva(model: Any, batches: Iterable[Mapping[str, "Tensor"]]) -> None:
    """Give an adapter of ``lora=eva`` its weights: the directions in which its layers' inputs vary most.

    Args:
        model: As loaded, not trained yet.
        batches: ``input_ids`` and ``attention_mask`` on the model's device; read until the directions are stable, from
            the beginning again where they end, so it must be a sequence.

    Raises:
        ConfigError: The adapter is of another kind.

    Source: Paischer et al., "Parameter efficient fine-tuning via explained variance adaptation", arXiv 2410.07170.
    """
    from peft import initialize_lora_eva_weights

    if not is_eva(model):
        raise ConfigError("lora.init_lora_weights: must be eva for weights from data; use lora=eva")
    handle = getattr(model, _UNPREPARED, None)
    if handle is not None:
        handle.remove()
    initialize_lora_eva_weights(model, list(batches), show_progress_bar=False)


def save_adapter(model: "PeftModel", folder: Path) -> None:
    """Write the adapter alone: its settings and weights, no part of the base model."""
    # the loader adds a padding row again by itself, so the embedding need not travel with the adapter
    model.save_pretrained(str(folder), save_embedding_layers=False)


def summary(model: Any) -> dict[str, Any] | None:
    """Return rank, scaling, dropout and layers of the adapter, for reports; None without one."""
    configs = getattr(model, "peft_config", None)
    if not configs:
        return None
    config = next(iter(configs.values()))
    return {
        "r": config.r,
        "lora_alpha": config.lora_alpha,
        "lora_dropout": config.lora_dropout,
        "target_modules": sorted(config.target_modules),
        "use_rslora": config.use_rslora,
        "use_dora": config.use_dora,
        "init_lora_weights": config.init_lora_weights,
    }
