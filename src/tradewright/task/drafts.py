"""The teacher of a chain of draft: a server, the model of a run, or one that is trained first; and what it wrote.

``drafts/<fingerprint>.jsonl`` in the run directory keeps every draft with its verdict: a resumed run and the control
on shuffled answers read it instead of asking again.
"""

import json
import logging
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from tradewright.backend.backend import Backend
from tradewright.config.build import build
from tradewright.config.locate import class_attribute
from tradewright.examples.draft import INSTRUCTIONS
from tradewright.examples.example import Example, ExampleSets, Message, Messages
from tradewright.examples.swap_drafts import RULES, Distilled, Drafted, SwapDrafts
from tradewright.generate.decoding import Decoding
from tradewright.model.loaded_model import LoadedModel
from tradewright.output import read_json, write_text
from tradewright.task.context import FITS, Context
from tradewright.task.language_model import load_model
from tradewright.task.trained import TrainedRun

log = logging.getLogger(__name__)

FOLDER, TEACHER = "drafts", "teacher"
TRY_TEMPERATURE = 0.7
"""Of every try after the first, which is greedy."""


def distilled_sets(context: Context, source: SwapDrafts, sets: ExampleSets) -> tuple[ExampleSets, Distilled | None]:
    """Return the sets that a student learns from, and what became of the teacher's drafts.

    Args:
        context: The run or fold.
        source: Of the examples.
        sets: As it read them, with the drafts of the rules.

    Raises:
        ConfigError: The server cannot keep to a setting.
        DataError: No draft is kept.
        RunError: The teacher's run cannot be used, or the server failed.
    """
    is_served = class_attribute(str(context.cfg.backend._target_), "needs_model") is not True
    is_trained_here = source.teacher is None and not is_served
    if source.teacher == RULES:
        return replace(sets, train=source.parts(sets)[0]), None
    asked = source.parts(sets)[1] if is_trained_here else sets.train
    path = context.run_directory / FOLDER / f"{sets.fingerprint}.jsonl"
    if path.is_file():
        distilled = _read(path)
    else:
        distilled = _distil(context, source, asked, is_served=is_served, is_trained_here=is_trained_here)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, "".join(json.dumps(asdict(one), ensure_ascii=False) + "\n" for one in distilled.drafts))
    log.info("drafts: %s", distilled.summary)
    return source.taught(sets, distilled), distilled


def _distil(
    context: Context, source: SwapDrafts, asked: Sequence[Example], *, is_served: bool, is_trained_here: bool
) -> Distilled:
    import lightning

    backend, is_told = _teacher(context, source, is_served=is_served, is_trained_here=is_trained_here)
    decoding = Decoding(temperature=0.0, repetition_penalty=1.0, max_new_tokens=source.max_draft_tokens)

    def write(prompts: Sequence[Messages], attempt: int) -> list[str]:
        drawn = decoding if attempt == 0 else decoding.changed(temperature=TRY_TEMPERATURE, seed=attempt)
        told = [_instructed(one) if is_told else one for one in prompts]
        return [one.text for one in backend.complete_all(told, drawn)]

    log.info("drafts: asking the teacher about %d bars", len(asked))
    distilled = source.distil(asked, write)
    lightning.seed_everything(context.cfg.seed, workers=True, verbose=False)  # whether or not a teacher was trained
    return distilled


def _teacher(context: Context, source: SwapDrafts, *, is_served: bool, is_trained_here: bool) -> tuple[Backend, bool]:
    """Return who drafts, and whether it must be told how."""
    cfg = context.cfg
    if source.teacher is not None:
        TrainedRun(Path(source.teacher))  # refuses what is no trained run
        return _local(cfg, load_model(cfg, source.teacher)), False
    if is_served:
        return build(cfg.backend, key="backend"), True
    assert is_trained_here
    log.info(
        "no teacher is given: training one first, on drafts of the rules for the first %.0f %% of the training examples"
        " (examples.teacher=<run directory>, or backend=ollama or openai, choose another)", 100 * source.teacher_share,
    )  # fmt: skip
    return _local(cfg, _trained_teacher(context)), False


def _local(cfg: DictConfig, loaded: LoadedModel) -> Backend:
    local: Backend = build(_backend_node(cfg), key="backend", loaded=loaded)
    return local


def _backend_node(cfg: DictConfig) -> Any:
    """Return the node of a model in this process, whatever server the run may name."""
    is_local = class_attribute(str(cfg.backend._target_), "needs_model") is True
    return cfg.backend if is_local else {"_target_": "tradewright.backend.local.LocalBackend"}


def _trained_teacher(context: Context) -> LoadedModel:
    """Train the teacher in a folder of its own inside the run directory; a finished one is only loaded.

    Its last weights teach, not those of the lowest validation loss: that loss weighs how sure a model is of words that
    it hardly saw, while every draft is checked anyway.
    """
    from tradewright.callbacks.checkpoints import newest_checkpoint
    from tradewright.output import BEST, CHECKPOINTS  # the trainer imports this module
    from tradewright.task.text_learner import TextLearner
    from tradewright.task.train import Train, load_weights

    cfg = context.cfg.copy()
    cfg.examples.teacher = RULES
    inner = replace(context, cfg=cfg, directory=context.directory / FITS / TEACHER, fit=TEACHER, is_shuffled=False)
    Train(num_threads=cfg.task.get("num_threads")).strategy(inner)
    learner = TextLearner(inner)
    folder = inner.directory / CHECKPOINTS
    load_weights(learner.module, newest_checkpoint(folder) or folder / read_json(folder / BEST)["checkpoint"])
    return learner.module.loaded


def _instructed(messages: Messages) -> Messages:
    """Return a prompt with the instructions for a model that was not trained to write drafts."""
    system: Message = {"role": "system", "content": INSTRUCTIONS}
    return (system, *(one for one in messages if one["role"] != "system"))


def _read(path: Path) -> Distilled:
    lines = path.read_text(encoding="utf-8").splitlines()
    return Distilled(tuple(Drafted(**json.loads(line)) for line in lines))
