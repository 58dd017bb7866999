"""``ChatSession``: a conversation with history, tools and a log; the terminal is the caller's.

The history is bounded by turns, and by tokens where they can be counted: the oldest turns are dropped, a question with
its answer, the instruction never. The model asks for a tool as Qwen and Hermes models do, with
``<tool_call>{"name": …, "arguments": {…}}</tool_call>``, and reads the result in the next turn; whether the call is
allowed is for the tools to say.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from tradewright.errors import DataError, RunError, TradewrightError
from tradewright.examples.example import Message, Messages
from tradewright.generate.decoding import Decoding
from tradewright.generate.pieces import Pieces, first_stop
from tradewright.generate.written import Written
from tradewright.output import now

if TYPE_CHECKING:
    from tradewright.model.loaded_model import LoadedModel

Show = Callable[[str], None]
"""Takes the next piece of an answer while it is written."""

OPENING = "<tool_call>"
CALL = re.compile(rf"{OPENING}\s*(.*?)\s*</tool_call>", re.DOTALL)
MAX_ROUNDS = 3
"""Tool calls one after the other before an answer is due."""
HOW_TO_CALL = (
    'To use a tool, answer with nothing but <tool_call>{"name": "<tool>", "arguments": {"<argument>": "<value>"}}'
    "</tool_call>. You then get its result and answer the question. The tools:"
)


class Answers(Protocol):
    """What a session needs of a backend."""

    def complete(self, messages: Messages, decoding: Decoding) -> Written:
        """Return the answer."""
        ...

    def stream(self, messages: Messages, decoding: Decoding) -> Any:
        """Return an iterator over the answer's pieces, which has the whole in ``written`` at its end."""
        ...


class Tools(Protocol):
    """What a model may ask for."""

    @property
    def instruction(self) -> str:
        """What they are about, for the model."""
        ...

    @property
    def descriptions(self) -> Sequence[Mapping[str, Any]]:
        """Each tool with its arguments, for the model."""
        ...

    def refusal(self, question: str) -> str | None:
        """Return why a question must not be asked; None: it may."""
        ...

    def call(self, name: str, arguments: Mapping[str, Any]) -> Any:
        """Call a tool if that is allowed and return what JSON can hold, or raise one of our errors."""
        ...


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A tool that the model asked for.

    Args:
        name: As it was asked for.
        arguments: As they were given; empty if they were none.
        result: What the tool returned; None where it was not called or failed.
        error: Why it was not called, or failed; None if it worked.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    result: Any = None
    error: str | None = None

    @property
    def response(self) -> str:
        """What the model reads."""
        content = {"error": self.error} if self.error is not None else {"result": self.result}
        text = json.dumps({"name": self.name, **content}, ensure_ascii=False, default=str)
        return f"<tool_response>\n{text}\n</tool_response>"


@dataclass(frozen=True, kw_only=True)
class Exchange:
    """One question and its answer.

    Args:
        id: Of the exchange.
        question: Of the user.
        written: The answer.
        calls: Tools that were asked for before it.
        num_dropped: Turns of the history that no longer fit.
        prompt: What the model saw at last.
    """

    id: str
    question: str
    written: Written
    calls: tuple[ToolCall, ...] = ()
    num_dropped: int = 0
    prompt: Messages = ()


@dataclass(frozen=True, kw_only=True)
class Bound:
    """How much of a conversation a model sees.

    Args:
        max_turns: Most turns before the question, >= 0.
        max_tokens: Most tokens of instruction, history and question, >= 1; None: they cannot be counted.
        count: Counts the tokens of a conversation; needed with ``max_tokens``.

    Raises:
        ValueError: A value is out of range.
    """

    max_turns: int
    max_tokens: int | None = None
    count: Callable[[Messages], int] | None = None

    def __post_init__(self) -> None:
        if self.max_turns < 0:
            raise ValueError(f"max_turns must be >= 0, was {self.max_turns}")
        if self.max_tokens is not None and self.max_tokens < 1:
            raise ValueError(f"max_tokens must be >= 1, was {self.max_tokens}")
        if (self.max_tokens is None) != (self.count is None):
            raise ValueError("count must be given with max_tokens, and only then")

    def num_over(self, prompt: Messages) -> int:
        """Return how many tokens a prompt has where they are too many, else 0."""
        if self.max_tokens is None or self.count is None:
            return 0
        num_tokens = self.count(prompt)
        return num_tokens if num_tokens > self.max_tokens else 0


class ChatSession:
    """A conversation.

    Args:
        backend: Answers.
        decoding: How.
        bound: How much of what was said the model sees.
        system: Instruction; None: none but that of the tools.
        tools: What the model may ask for; None: nothing.
        log: File that gets a line of JSON per exchange; None: none.
    """

    def __init__(
        self,
        backend: Answers,
        decoding: Decoding,
        *,
        bound: Bound,
        system: str | None = None,
        tools: Tools | None = None,
        log: Path | None = None,
    ) -> None:
        self.backend = backend
        self.decoding = decoding
        self.bound = bound
        self.tools = tools
        self.log = log
        instruction = "\n".join((*([system] if system is not None else ()), *_instruction(tools)))
        self.system: Messages = (Message(role="system", content=instruction),) if instruction else ()
        self.turns: list[tuple[Message, ...]] = []
        """Question, tool calls and answer, per exchange; the oldest first."""

    def ask(self, question: str, show: Show | None = None) -> Exchange:
        """Return the answer to a question, in the light of what was said before.

        Args:
            question: Of the user.
            show: Gets the pieces of the answer, without requests for tools; None: it is not needed piece by piece.

        Raises:
            DataError: The question breaks a rule of the tools.
            RunError: The question alone is too long, the model asks for tools without end, or the backend failed.
        """
        if self.tools is not None and (reasons := self.tools.refusal(question)) is not None:
            raise DataError(f"question: refused ({reasons}); ask it in plain words")
        turn: list[Message] = [Message(role="user", content=question)]
        calls: list[ToolCall] = []
        history = list(self.turns)  # stays as it is where the question cannot be answered
        while True:
            prompt = self._prompt(history, turn)
            written = self._written(prompt, show)
            turn.append(Message(role="assistant", content=written.text))
            asked = CALL.search(written.text) if self.tools is not None else None
            if asked is None:
                break
            if len(calls) == MAX_ROUNDS:
                raise RunError(f"the model asked for tools more than {MAX_ROUNDS} times without an answer")
            calls.append(self._call(asked.group(1)))
            turn.append(Message(role="user", content=calls[-1].response))
        num_dropped = len(self.turns) - len(history)
        self.turns = [*history, tuple(turn)]
        exchange = Exchange(
            id=secrets.token_hex(8),
            question=question,
            written=written,
            calls=tuple(calls),
            num_dropped=num_dropped,
            prompt=prompt,
        )
        self._note(exchange)
        return exchange

    def forget(self) -> None:
        """Begin again, with the instruction alone."""
        self.turns.clear()

    def _written(self, prompt: Messages, show: Show | None) -> Written:
        if show is None:
            return self.backend.complete(prompt, self.decoding)
        stream = self.backend.stream(prompt, self.decoding)
        for piece in spoken(stream) if self.tools is not None else stream:
            show(piece)
        assert isinstance(stream.written, Written)
        return stream.written

    def _prompt(self, history: list[tuple[Message, ...]], turn: Sequence[Message]) -> Messages:
        """Return instruction, history and turn; drop the oldest turns of the history until they fit."""
        del history[: max(0, len(history) - self.bound.max_turns)]
        while True:
            prompt: Messages = (*self.system, *(message for earlier in history for message in earlier), *turn)
            num_over = self.bound.num_over(prompt)
            if num_over == 0:
                return prompt
            if not history:
                raise RunError(
                    f"question: {num_over} tokens with the instruction are more than the {self.bound.max_tokens}"
                    " that a prompt may have; shorten it"
                )
            del history[0]

    def _call(self, text: str) -> ToolCall:
        """Call the tool that the model asks for, if it may; what is wrong with the request is its result."""
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            return ToolCall(name="", error=f"not JSON: {error}")
        if not isinstance(content, dict) or not isinstance(content.get("name"), str):
            return ToolCall(name="", error="expected an object with name and arguments")
        name, arguments = content["name"], content.get("arguments", {})
        if not isinstance(arguments, dict):
            return ToolCall(name=name, error="arguments must be an object")
        assert self.tools is not None
        try:
            return ToolCall(name=name, arguments=arguments, result=self.tools.call(name, arguments))
        except TradewrightError as error:
            return ToolCall(name=name, arguments=arguments, error=str(error))

    def _note(self, exchange: Exchange) -> None:
        if self.log is None:
            return
        record = {
            "id": exchange.id,
            "at": now(),
            "question": exchange.question,
            "answer": exchange.written.text,
            "reasoning": exchange.written.reasoning,
            "finish": exchange.written.finish,
            "calls": [
                {"name": call.name, "arguments": call.arguments, "result": call.result, "error": call.error}
                for call in exchange.calls
            ],
            "num_dropped": exchange.num_dropped,
        }
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False, default=str) + "\n")


def bound_of(loaded: "LoadedModel", decoding: Decoding, *, max_turns: int) -> Bound:
    """Return the bound of a model in this process: its context without the room for an answer."""
    from tradewright.model.chat import encode_prompt

    return Bound(
        max_turns=max_turns,
        max_tokens=prompt_room(loaded, decoding),
        count=lambda messages: len(encode_prompt(loaded.tokenizer, messages)),
    )


def prompt_room(loaded: "LoadedModel", decoding: Decoding) -> int:
    """Return the tokens that a prompt may have: the answer gets what it may need, at most half of the context."""
    return loaded.max_length - min(decoding.max_new_tokens, loaded.max_length // 2)


def spoken(pieces: Iterable[str]) -> Iterator[str]:
    """Return the pieces of an answer up to where it asks for a tool."""
    text, growing = "", Pieces((OPENING,))
    for piece in pieces:
        text += piece
        if shown := growing.next(text[: first_stop(text, growing.stops)], is_final=False):
            yield shown
    if shown := growing.next(text[: first_stop(text, growing.stops)], is_final=True):
        yield shown


def _instruction(tools: Tools | None) -> Iterator[str]:
    if tools is not None:
        yield tools.instruction
        yield HOW_TO_CALL
        yield from (json.dumps(description, ensure_ascii=False) for description in tools.descriptions)
