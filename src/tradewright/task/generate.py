"""``task=generate``: answers to prompts from the command line or a file, by a model here or a server."""

import json
import math
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

from omegaconf import DictConfig
from rich.console import Console

from tradewright.config.build import build
from tradewright.errors import DataError
from tradewright.examples.example import Message, Messages
from tradewright.output import write_text
from tradewright.task.language_model import OfLanguageModel, answering

FILE = "generated.jsonl"
ROLES = ("system", "user", "assistant")


@dataclass(frozen=True)
class Prompt:
    """A conversation to be answered, and its name."""

    id: str
    messages: Messages


class Generate(OfLanguageModel):
    """Writes ``generated.jsonl``: id, conversation, answer, how it ended, and the settings, a line per prompt.

    Args:
        run: A run directory with a trained language model; None: the configured model.
        prompts: Questions.
        file: More of them: ``.jsonl`` with ``prompt`` or ``messages`` (and ``id``) per line, or text, a question per
            line.
        system: Instruction before every question that has none; None: none.
        to: The file; None: ``generated.jsonl`` in the run directory or here.

    Raises:
        ValueError: There are no prompts.
    """

    asks_backend: ClassVar[bool] = True

    def __init__(
        self,
        *,
        run: str | None = None,
        prompts: list[str] | None = None,
        file: str | None = None,
        system: str | None = None,
        to: str | None = None,
    ) -> None:
        if not prompts and file is None:
            raise ValueError("prompts must be given, or file: there is nothing to answer")
        asked = [Prompt(f"prompt-{number}", _question(text)) for number, text in enumerate(prompts or [], start=1)]
        asked += read_prompts(Path(file)) if file is not None else []
        self.prompts = [Prompt(one.id, _instructed(one.messages, system)) for one in asked]
        self.run = run
        self.to = Path(to) if to is not None else Path(run or ".") / FILE

    def execute(self, cfg: DictConfig) -> dict[str, float]:
        """Answer and write; return the number of answers, of those cut off, and tokens per second.

        Raises:
            RunError: A prompt is too long, or a server failed.
        """
        backend, name = answering(cfg, self.run)
        decoding = build(cfg.generate, key="generate")
        start = time.perf_counter()
        written = self._streamed(backend, decoding) if decoding.stream else self._whole(backend, decoding)
        duration_s = time.perf_counter() - start
        settings = {"model": name, "generate": asdict(decoding)}
        lines = [_line(one, answer, settings) for one, answer in zip(self.prompts, written, strict=True)]
        write_text(self.to, "".join(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n" for line in lines))
        num_cut = sum(answer.finish == "length" for answer in written)
        speed = sum(answer.num_tokens or 0 for answer in written) / duration_s
        Console().print(
            f"{len(written):,} answers ({num_cut:,} cut off), {speed:,.0f} tokens/s: {self.to}", soft_wrap=True
        )
        return {
            "generate/num_answers": float(len(written)),
            "generate/num_cut_off": float(num_cut),
            "generate/tokens_per_s": speed,
        }

    def _streamed(self, backend: Any, decoding: Any) -> list[Any]:
        """Answer one prompt after the other and show each answer while it is written."""
        written = []
        for one in self.prompts:
            _head(one)
            pieces = backend.stream(one.messages, decoding)
            for piece in pieces:
                print(piece, end="", flush=True)
            print()
            written.append(pieces.written)
        return written

    def _whole(self, backend: Any, decoding: Any) -> list[Any]:
        """Answer all prompts and show the answers."""
        written: list[Any] = backend.complete_all([one.messages for one in self.prompts], decoding)
        for one, answer in zip(self.prompts, written, strict=True):
            _head(one)
            print(answer.text)
        return written


def _head(prompt: Prompt) -> None:
    Console().print(prompt.id, style="bold", markup=False, highlight=False)


def read_prompts(path: Path) -> list[Prompt]:
    """Read questions from a file; empty lines are left out.

    Raises:
        DataError: The file cannot be read, has no questions, or a line is not one.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    is_json = path.suffix == ".jsonl"
    found = [
        _of_json(path, number, line) if is_json else Prompt(f"{path.name}:{number}", _question(line))
        for number, line in enumerate(lines, start=1)
        if line.strip()
    ]
    if not found:
        raise DataError(f"{path}: has no prompts; expected one per line")
    return found


def _of_json(path: Path, number: int, line: str) -> Prompt:
    where = f"{path}, line {number}"
    try:
        content = json.loads(line)
    except json.JSONDecodeError as error:
        raise DataError(f"{where}: not valid JSON ({error})") from None
    if not isinstance(content, dict) or ("prompt" in content) == ("messages" in content):
        raise DataError(f"{where}: expected an object with either 'prompt' or 'messages'")
    name = str(content.get("id", f"{path.name}:{number}"))
    if "prompt" in content:
        if not isinstance(content["prompt"], str) or not content["prompt"].strip():
            raise DataError(f"{where}: prompt must be a text that is not empty, was {content['prompt']!r}")
        return Prompt(name, _question(content["prompt"]))
    return Prompt(name, tuple(_messages(where, content["messages"])))


def _messages(where: str, messages: Any) -> Iterator[Message]:
    if not isinstance(messages, list) or not messages:
        raise DataError(f"{where}: messages must be a list of role and content, was {messages!r}")
    for message in messages:
        is_turn = isinstance(message, dict) and set(message) == {"role", "content"}
        if not is_turn or message["role"] not in ROLES or not isinstance(message["content"], str):
            raise DataError(f"{where}: a message must have role ({', '.join(ROLES)}) and content, was {message!r}")
        yield Message(role=message["role"], content=message["content"])


def _question(text: str) -> Messages:
    return (Message(role="user", content=text),)


def _instructed(messages: Messages, system: str | None) -> Messages:
    if system is None or messages[0]["role"] == "system":
        return messages
    return (Message(role="system", content=system), *messages)


def _line(prompt: Prompt, written: Any, settings: dict[str, Any]) -> dict[str, Any]:
    known = None if math.isnan(written.log_probability) else written.log_probability
    return {
        "id": prompt.id,
        "messages": list(prompt.messages),
        "text": written.text,
        "reasoning": written.reasoning,
        "finish": written.finish,
        "num_prompt_tokens": written.num_prompt_tokens,
        "num_tokens": written.num_tokens,
        "log_probability": known,
        **settings,
    }
