"""Who writes the texts of a task: the templates, a language model of a run or a server, or a callable given in code."""

import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from omegaconf import DictConfig, OmegaConf

from tradewright.config.build import build
from tradewright.config.locate import class_attribute
from tradewright.errors import RunError
from tradewright.examples.example import Messages
from tradewright.examples.explanations import commentary_prompt, explanation_prompt
from tradewright.explain.answers import Ask
from tradewright.explain.commentary import MarketState
from tradewright.explain.slots import fill
from tradewright.explain.state import State
from tradewright.generate.decoding import LARGEST_SEED, Decoding
from tradewright.output import CONFIG
from tradewright.task.decided import NO_MODEL, UNKNOWN_CUTOFF
from tradewright.task.generate_data import FOLDER
from tradewright.task.language_model import answering, has_server, is_built_from_its_examples
from tradewright.task.trained import TrainedRun

if TYPE_CHECKING:
    from tradewright.backend.backend import Backend
    from tradewright.model.loaded_model import LoadedModel

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


@dataclass(frozen=True, kw_only=True)
class Checked:
    """Texts that were held against the log, slots filled.

    Args:
        texts: The first draw that passed, else the last one.
        first: Share that passed when it was first drawn; of the templates, which are true by construction, all.
    """

    texts: list[str]
    first: float


def checked_texts(
    who: Author,
    prompts: Sequence[Messages],
    states: Sequence[Sequence[State]],
    *,
    template: Callable[[int], str],
    passes: Callable[[int, str], bool],
    num_tries: int,
) -> Checked:
    """Return a text per prompt; what the fact check refuses is drawn again.

    Args:
        who: Writes.
        prompts: What is asked.
        states: What each text speaks of.
        template: Text of a place where templates write.
        passes: Whether the text of a place is true.
        num_tries: Draws at most, >= 1.
    """
    texts = who.texts(prompts)
    if texts is None:
        return Checked(texts=[template(place) for place in range(len(prompts))], first=1.0)
    texts = [fill(text, about) for text, about in zip(texts, states, strict=True)]
    refused = [place for place, text in enumerate(texts) if not passes(place, text)]
    first = 1.0 - len(refused) / len(texts) if texts else math.nan
    for _ in range(num_tries - 1):
        if not refused:
            break
        drawn = who.texts([prompts[place] for place in refused]) or []
        again = [fill(text, states[place]) for place, text in zip(refused, drawn, strict=True)]
        if again == [texts[place] for place in refused]:
            break  # whoever writes gives the same text every time
        for place, text in zip(refused, again, strict=True):
            texts[place] = text
        refused = [place for place in refused if not passes(place, texts[place])]
    return Checked(texts=texts, first=first)


def trained_prompt(llm: str | None) -> Ask | None:
    """Return the prompts that a run's language model was trained on, where those are of an agent's decisions.

    Args:
        llm: Run directory, also of a preference training that began with such a model; None: no model.
    """
    run = llm
    while run is not None and (Path(run) / CONFIG).is_file():
        examples = OmegaConf.load(Path(run) / CONFIG).examples
        if class_attribute(str(examples.get("_target_", "")), "explains_agents") is True:
            return _explanation_or_commentary
        run = examples.get("run")
    return None


def _explanation_or_commentary(about: State | MarketState) -> Messages:
    return commentary_prompt(about) if isinstance(about, MarketState) else explanation_prompt(about)


def truth_line(faithful: float, first: float) -> str:
    """Return what tasks say of the share of texts that are true, and of those that were when they were first drawn."""
    return f"True by the fact check: {faithful:.0%} of the texts, {first:.0%} when first drawn"


def require_tries(num_tries: int) -> None:
    """Refuse a number of draws that writes nothing.

    Raises:
        ValueError: The message starts with the argument's name.
    """
    if num_tries < 1:
        raise ValueError(f"num_tries must be >= 1, was {num_tries}")


class OfAgent:
    """A task that puts an agent's logged decisions into words.

    Args:
        run: A run directory with a trained agent; None: the task does without.
        llm: Run directory of a trained language model, which writes; None: ``write``, a server or the templates.
        write: A callable from prompts to texts in its place; None: none.
        folder: Where files go; None: ``explanations`` in the run directory, without one that of ``llm``, or here.

    Raises:
        ValueError: ``llm`` and ``write`` are given: one of them would not be asked.
    """

    needs_run_directory: ClassVar[bool] = False
    language_model_key: ClassVar[str] = "llm"
    asks_backend: ClassVar[bool] = True

    def __init__(self, *, run: str | None, llm: str | None, write: Write | None, folder: str | None) -> None:
        if llm is not None and write is not None:
            raise ValueError(f"llm must be null where write is given in code, was {llm!r}")
        self.agent = None if run is None else TrainedRun(Path(run))
        self.llm, self.write = llm, write
        default = Path(llm or ".") if self.agent is None else self.agent.directory / FOLDER
        self.folder = default if folder is None else Path(folder)

    @property
    def trained(self) -> TrainedRun:
        """The run of the agent, of a task that has one."""
        assert self.agent is not None
        return self.agent


def author(cfg: DictConfig, *, llm: str | None, write: Write | None = None) -> Author:
    """Return who writes.

    Args:
        cfg: The command's configuration: ``generate`` says how tokens are drawn, ``quant`` how weights are read.
        llm: Run directory of a trained language model; None: ``write``, the server of ``backend``, or the templates.
        write: A callable instead.

    Raises:
        ConfigError: Two shall write.
        RunError: The directory holds no language model.
    """
    if write is not None:
        return given(write)
    if llm is None and not has_server(cfg):
        return Author(name=TEMPLATE, write=None, cutoff=NO_MODEL)
    decoding: Decoding = build(cfg.generate, key="generate")
    backend, name = answering(cfg, llm)
    write = _Drawn(backend, decoding)
    if llm is None:
        return Author(name=f"{name} behind a server", write=write, cutoff=UNKNOWN_CUTOFF)
    run = Path(llm)
    return Author(name=f"the language model of {run}", write=write, cutoff=cutoff_of(backend.loaded, run))


def cutoff_of(loaded: "LoadedModel", run: Path) -> str:
    """Return until when a run's language model may have read, or that nobody said so."""
    if loaded.facts["knowledge_cutoff"] is not None:
        return str(loaded.facts["knowledge_cutoff"])
    return NOTHING_ELSE if is_built_from_its_examples(run) else UNKNOWN_CUTOFF


def given(write: Write) -> Author:
    """Return a callable as author; nobody knows what it has read."""
    return Author(name="a model given in code", write=write, cutoff=UNKNOWN_CUTOFF)


class _Drawn:
    """Answers prompts with other draws at every call, so that asking again can help; the first call has the seed.

    Args:
        backend: Answers; one with a model in this process is never asked more than its context holds.
        decoding: How.
    """

    def __init__(self, backend: "Backend", decoding: Decoding) -> None:
        self.backend, self.decoding = backend, decoding
        self.loaded: LoadedModel | None = getattr(backend, "loaded", None)
        self.num_calls, self.has_warned = 0, False

    def __call__(self, prompts: Sequence[Messages]) -> list[str]:
        seed = (self.decoding.seed + self.num_calls) % (LARGEST_SEED + 1)
        self.num_calls += 1
        fitting = [self._fitting(prompt) for prompt in prompts]
        written = self.backend.complete_all(fitting, self.decoding.changed(seed=seed))
        num_cut = sum(one.finish == "length" for one in written)
        if num_cut and not self.has_warned:
            self.has_warned = True
            log.warning("%d of %d texts are cut off; raise generate.max_new_tokens", num_cut, len(written))
        return [one.text for one in written]

    def _fitting(self, prompt: Messages) -> Messages:
        """Return a conversation without the earliest turns that leave no room in the model's context.

        What is asked last stays, with the instruction before it; where even they do not fit, the backend says so.
        """
        if self.loaded is None:
            return prompt
        from tradewright.generate.chat_session import prompt_room
        from tradewright.model.chat import encode_prompt

        begin, room = int(prompt[0]["role"] == "system"), prompt_room(self.loaded, self.decoding)
        while len(prompt) - begin > 2 and len(encode_prompt(self.loaded.tokenizer, prompt)) > room:
            prompt = (*prompt[:begin], *prompt[begin + 2 :])  # a question with its answer
        return prompt
