"""Who writes the texts of a task: the templates, a language model that a run trained, or a callable given in code."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig

from tradewright.config.build import build
from tradewright.errors import RunError
from tradewright.examples.example import Messages
from tradewright.generate.decoding import LARGEST_SEED
from tradewright.task.decided import NO_MODEL, UNKNOWN_CUTOFF
from tradewright.task.language_model import is_built_from_its_examples, load_model

if TYPE_CHECKING:
    from tradewright.generate.decoding import Decoding
    from tradewright.generate.writer import Writer

log = logging.getLogger(__name__)

Write = Callable[[Sequence[Messages]], list[str]]
"""Answers prompts, one text each."""
TEMPLATE = "template"
NOTHING_ELSE = "none: it has read nothing but its training examples"


@dataclass(frozen=True, kw_only=True)
class Author:
    """Who writes.

    Args:
        name: For reports.
        write: Answers prompts; None: the templates, true by construction.
        cutoff: What reports say of the model's knowledge.
    """

    name: str
    write: Write | None
    cutoff: str

    def texts(self, prompts: Sequence[Messages]) -> list[str] | None:
        """Return one text per prompt; None where the templates write.

        Raises:
            RunError: The model gave another number of texts.
        """
        if self.write is None:
            return None
        texts = self.write(prompts)
        if len(texts) != len(prompts):
            raise RunError(f"{self.name}: gave {len(texts)} texts for {len(prompts)} prompts")
        return texts


def refuse_two(llm: str | None, write: Write | None) -> None:
    """Refuse a run beside a callable: one of them would not be asked.

    Raises:
        ValueError: The message starts with the argument's name.
    """
    if llm is not None and write is not None:
        raise ValueError(f"llm must be null where write is given in code, was {llm!r}")


def author(cfg: DictConfig, *, llm: str | None, write: Write | None = None) -> Author:
    """Return who writes.

    Args:
        cfg: The command's configuration: ``generate`` says how tokens are drawn, ``quant`` how weights are read.
        llm: Run directory of a trained language model; None: the templates, or ``write``.
        write: A callable instead.

    Raises:
        RunError: The directory holds no language model.
    """
    if llm is None:
        return Author(name=TEMPLATE, write=None, cutoff=NO_MODEL) if write is None else given(write)
    run = Path(llm)
    decoding: Decoding = build(cfg.generate, key="generate")
    loaded = load_model(cfg, llm)
    from tradewright.generate.writer import Writer

    cutoff = loaded.facts["knowledge_cutoff"] or (NOTHING_ELSE if is_built_from_its_examples(run) else UNKNOWN_CUTOFF)
    return Author(name=f"the language model of {run}", write=_Drawn(Writer(loaded, decoding)), cutoff=str(cutoff))


def given(write: Write) -> Author:
    """Return a callable as author; nobody knows what it has read."""
    return Author(name="a model given in code", write=write, cutoff=UNKNOWN_CUTOFF)


class _Drawn:
    """Answers prompts with other draws at every call, so that asking again can help; the first call has the seed.

    Args:
        writer: Writes.
    """

    def __init__(self, writer: "Writer") -> None:
        self.writer, self.num_calls, self.has_warned = writer, 0, False

    def __call__(self, prompts: Sequence[Messages]) -> list[str]:
        seed = (self.writer.decoding.seed + self.num_calls) % (LARGEST_SEED + 1)
        self.num_calls += 1
        written = self.writer.write(prompts, seed=seed)
        num_cut = sum(one.finish == "length" for one in written)
        if num_cut and not self.has_warned:
            self.has_warned = True
            log.warning("%d of %d texts are cut off; raise generate.max_new_tokens", num_cut, len(written))
        return [one.text for one in written]
