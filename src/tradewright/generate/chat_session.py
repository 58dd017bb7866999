"""``ChatSession``: a conversation with history, tools and a log, in the terminal or from a script.

The history is bounded by tokens: the oldest turns are dropped, a question with its answer, the instruction never. A
tool is called only by a name on the list, with arguments in JSON; the model asks for it as Qwen and Hermes models do,
with ``<tool_call>{"name": …, "arguments": {…}}</tool_call>``, and reads the result in the next turn.
"""

import inspect
import json
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from tradewright.errors import DataError, RunError, TradewrightError, suggest
from tradewright.examples.example import Message, Messages
from tradewright.generate.decoding import Decoding
from tradewright.generate.written import Written
from tradewright.output import now

Tool = Callable[..., Any]
"""Called with the arguments as keywords; returns what JSON can hold, or raises ``ValueError`` or one of our errors."""
Count = Callable[[Messages], int]
"""Tokens of a conversation."""

CALL = re.compile(r"<tool_call>\s*(.*?)\s*</tool_call>", re.DOTALL)
MAX_ROUNDS = 3
"""Tool calls one after the other before an answer is due."""


class Answers(Protocol):
    """What a session needs of a backend."""

    def complete(self, messages: Messages, decoding: Decoding) -> Written:
        """Return the answer."""
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


class ChatSession:
    """A conversation.

    Args:
        backend: Answers.
        decoding: How.
        system: Instruction; None: none.
        tools: By name; only these can be called.
        max_prompt_tokens: Most tokens of instruction, history and question, >= 1.
        count: Counts them, e.g. :func:`token_counter`.
        log: File that gets a line of JSON per exchange; None: none.

    Raises:
        ValueError: ``max_prompt_tokens`` is below 1.
    """

    def __init__(
        self,
        backend: Answers,
        decoding: Decoding,
        *,
        count: Count,
        max_prompt_tokens: int,
        system: str | None = None,
        tools: Mapping[str, Tool] | None = None,
        log: Path | None = None,
    ) -> None:
        if max_prompt_tokens < 1:
            raise ValueError(f"max_prompt_tokens must be >= 1, was {max_prompt_tokens}")
        self.backend = backend
        self.decoding = decoding
        self.system: Messages = () if system is None else (Message(role="system", content=system),)
        self.tools = dict(tools or {})
        self.max_prompt_tokens = max_prompt_tokens
        self.count = count
        self.log = log
        self.turns: list[tuple[Message, ...]] = []
        """Question, tool calls and answer, per exchange; the oldest first."""

    def ask(self, question: str) -> Exchange:
        """Return the answer to a question, in the light of what was said before.

        Raises:
            RunError: The question alone is too long, the model asks for tools without end, or the backend failed.
        """
        turn: list[Message] = [Message(role="user", content=question)]
        calls: list[ToolCall] = []
        num_before = len(self.turns)
        while True:
            prompt = self._prompt(turn)
            written = self.backend.complete(prompt, self.decoding)
            turn.append(Message(role="assistant", content=written.text))
            asked = CALL.search(written.text) if self.tools else None
            if asked is None:
                break
            if len(calls) == MAX_ROUNDS:
                raise RunError(f"the model asked for tools more than {MAX_ROUNDS} times without an answer")
            calls.append(self._call(asked.group(1)))
            turn.append(Message(role="user", content=calls[-1].response))
        self.turns.append(tuple(turn))
        exchange = Exchange(
            id=secrets.token_hex(8),
            question=question,
            written=written,
            calls=tuple(calls),
            num_dropped=num_before + 1 - len(self.turns),
            prompt=prompt,
        )
        self._note(exchange)
        return exchange

    def run_script(self, questions: Sequence[str]) -> list[Exchange]:
        """Ask one question after the other."""
        return [self.ask(question) for question in questions]

    def _prompt(self, turn: Sequence[Message]) -> Messages:
        """Return instruction, history and turn; drop the oldest turns until they fit."""
        while True:
            history = [message for earlier in self.turns for message in earlier]
            prompt: Messages = (*self.system, *history, *turn)
            num_tokens = self.count(prompt)
            if num_tokens <= self.max_prompt_tokens:
                return prompt
            if not self.turns:
                raise RunError(
                    f"question: {num_tokens} tokens with the instruction are more than the {self.max_prompt_tokens}"
                    " that a prompt may have; shorten it"
                )
            del self.turns[0]

    def _call(self, text: str) -> ToolCall:
        """Call the tool that the model asks for, if it may; what is wrong with the request is its result."""
        try:
            content = json.loads(text)
        except json.JSONDecodeError as error:
            return ToolCall(name="", error=f"not JSON: {error}")
        if not isinstance(content, dict) or not isinstance(content.get("name"), str):
            return ToolCall(name="", error="expected an object with name and arguments")
        name, arguments = content["name"], content.get("arguments", {})
        if name not in self.tools:
            return ToolCall(name=name, error=f"no such tool{suggest(name, self.tools)}")
        if not isinstance(arguments, dict):
            return ToolCall(name=name, error="arguments must be an object")
        tool = self.tools[name]
        try:
            inspect.signature(tool).bind(**arguments)
        except TypeError as error:
            return ToolCall(name=name, arguments=arguments, error=str(error))
        try:
            return ToolCall(name=name, arguments=arguments, result=tool(**arguments))
        except (ValueError, TradewrightError) as error:
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


def token_counter(tokenizer: Any) -> Count:
    """Return what counts a conversation's tokens as the model sees them."""
    from tradewright.model.chat import encode_prompt

    return lambda messages: len(encode_prompt(tokenizer, messages))


def read_script(path: Path) -> list[str]:
    """Return the questions of a file, one per line without empty ones.

    Raises:
        DataError: It cannot be read, or has none.
    """
    try:
        questions = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from error
    if not questions:
        raise DataError(f"{path}: has no questions; expected one per line")
    return questions


def talk(session: ChatSession) -> int:
    """Ask for questions in the terminal until Ctrl-D, show the answers, and return how many there were.

    What goes wrong with one question is shown, and the conversation goes on.
    """
    from rich.console import Console
    from rich.prompt import Prompt

    console, num_answered = Console(), 0
    console.print("Ctrl-D ends the conversation.", style="dim")
    while True:
        try:
            question = Prompt.ask("[bold]you[/]", console=console).strip()
        except EOFError:
            console.print()
            return num_answered
        if not question:
            continue
        try:
            exchange = session.ask(question)
        except (RunError, DataError) as error:
            console.print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
            continue
        num_answered += 1
        for call in exchange.calls:
            console.print(f"({call.name}: {call.error or 'done'})", style="dim", markup=False, highlight=False)
        console.print(exchange.written.text, markup=False, highlight=False, soft_wrap=True)
        if exchange.num_dropped:
            console.print("(the oldest turns no longer fit and were dropped)", style="dim")
