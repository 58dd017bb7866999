"""The language model of a task: the configured one, or that of a trained run."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from omegaconf import DictConfig, OmegaConf

from tradewright.config.build import build
from tradewright.config.locate import class_attribute
from tradewright.errors import ConfigError, RunError
from tradewright.output import CONFIG, read_json, write_json
from tradewright.task.trained import require_run_directory

if TYPE_CHECKING:
    from tradewright.model.language_model import LanguageModel
    from tradewright.model.loaded_model import LoadedModel

CALIBRATION = "calibration.json"
MODEL, ADAPTER, BASE = "model", "adapter", "base"
"""Folders in which a run keeps its whole model, or only what it trained beside its base; ``base`` is one that was built
for the run, others are named by ``model.name``."""


class OfLanguageModel:
    """A task about a language model, the configured one or that of a run; it needs no market."""

    needs_run_directory: ClassVar[bool] = False
    language_model_key: ClassVar[str] = "run"
    needs_market: ClassVar[bool] = False


def load_model(cfg: DictConfig, run: str | None = None, *, for_training: bool = False) -> "LoadedModel":
    """Return the language model of ``cfg.model``, or the trained one of a run directory.

    Args:
        cfg: The configuration; ``quant`` applies to both, ``lora`` only where a training follows.
        run: Run directory; None: the configured model.
        for_training: Whether weights shall be trained.

    Raises:
        ConfigError: The configured model is none, or is to be built first.
        RunError: The directory holds no language model.
    """
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = language_model(cfg) if run is None else trained_model(Path(run))
    lora = build(cfg.lora, key="lora") if for_training and model.adapter is None else None
    quant = build(cfg.quant, key="quant")
    return model.load(lora=lora, quant=quant, device=device, seed=int(cfg.seed), for_training=for_training)


def answering(cfg: DictConfig, run: str | None = None) -> tuple[Any, str]:
    """Return the backend that answers, and the name of its model.

    Args:
        cfg: The configuration; where ``backend`` is a server, no model is loaded.
        run: Run directory of a trained language model; None: the configured model.

    Raises:
        ConfigError: The configured model is none, or both a server and a run are to answer.
        RunError: The directory holds no language model.
    """
    if has_server(cfg):
        if run is not None:
            raise ConfigError(f"backend: a server answers, so the language model of {run} would not; give one of them")
        backend = build(cfg.backend, key="backend")
        return backend, str(backend.model)
    loaded = load_model(cfg, run)
    return build(cfg.backend, key="backend", loaded=loaded), str(loaded.facts.get("name"))


def has_server(cfg: DictConfig) -> bool:
    """Whether ``backend`` is a server, which has a model of its own."""
    return class_attribute(str(cfg.backend._target_), "needs_model") is not True


def language_model(cfg: DictConfig) -> "LanguageModel":
    """Return the configured language model, not loaded; where its name is a run directory, what that run trained.

    Raises:
        ConfigError: It is none.
    """
    from tradewright.model.language_model import LanguageModel

    node = cfg.model
    model = None if node.get("_partial_") else build(node, key="model")
    if not isinstance(model, LanguageModel):
        raise ConfigError("model: is not a language model; use model=local model.name=<folder> or another preset")
    if model.name is None or not (Path(model.name) / CONFIG).is_file():
        return model
    trained = trained_model(Path(model.name))
    assert trained.name is not None
    inherited = {
        key: getattr(model, key) or getattr(trained, key) for key in ("adapter", "chat_template", "knowledge_cutoff")
    }
    return replace(model.at(Path(trained.name)), **inherited)


def trained_model(directory: Path) -> "LanguageModel":
    """Return the language model that a run trained, not loaded.

    Raises:
        RunError: The directory holds none.
    """
    require_run_directory(directory)
    if not (directory / CONFIG).is_file():
        raise RunError(f"{directory}: no {CONFIG}; expected a run directory such as outputs/rook/<run>")
    configured = OmegaConf.load(directory / CONFIG)
    assert isinstance(configured, DictConfig)
    model = language_model(configured)
    if (directory / BASE / "config.json").is_file():
        model = model.at(directory / BASE)
    if (directory / MODEL / "config.json").is_file():
        return model.at(directory / MODEL)
    if (directory / ADAPTER / "adapter_config.json").is_file():
        return replace(model, adapter=str(directory / ADAPTER))
    raise RunError(
        f"{directory}: keeps no language model in {MODEL}/ and no adapter in {ADAPTER}/; train one, or give"
        " model=local model.name=<folder>"
    )


def is_built_from_its_examples(directory: Path) -> bool:
    """Whether a run's model was built for it, so that it has read nothing but its training examples."""
    from tradewright.model.tiny_language_model import RECIPE

    return (directory / BASE / RECIPE).is_file()


def save_temperature(directory: Path, temperature: float, *, num_examples: int) -> None:
    """Keep what a run's probabilities are calibrated with.

    Args:
        directory: The run directory.
        temperature: Found on the validation examples.
        num_examples: How many of them have a label.
    """
    write_json(directory / CALIBRATION, {"temperature": temperature, "num_examples": num_examples})


def read_temperature(directory: Path) -> float:
    """Return what a run's probabilities are calibrated with.

    Raises:
        RunError: The run keeps none, or no number.
    """
    path = directory / CALIBRATION
    if not path.is_file():
        raise RunError(f"{path}: no such file; only a run that ended and judged positions is calibrated")
    content = read_json(path)
    value = content.get("temperature") if isinstance(content, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
        raise RunError(f"{path}: temperature must be a number > 0, was {value!r}")
    return float(value)


def save_trained(loaded: "LoadedModel", directory: Path) -> None:
    """Keep a trained model in its run directory: its adapter beside the base, or the whole model.

    Args:
        loaded: After training.
        directory: The run directory; an earlier attempt's folder is replaced.
    """
    from tradewright.model.hub import quiet

    has_adapter = hasattr(loaded.model, "peft_config")
    folder = directory / (ADAPTER if has_adapter else MODEL)
    part = folder.with_name(f".{folder.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    with quiet():
        loaded.model.save_pretrained(str(part))
        if not has_adapter:
            loaded.tokenizer.save_pretrained(str(part))
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
