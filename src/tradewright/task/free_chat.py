"""A language model in the terminal: history, answers while they are written, a log of decisions to look up."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from omegaconf import DictConfig
from rich.console import Console

from tradewright.config.build import build
from tradewright.config.locate import class_attribute
from tradewright.errors import ConfigError, TradewrightError
from tradewright.explain.answers import DecisionTools
from tradewright.explain.decision_log import read_decisions
from tradewright.explain.log_tools import LogTools
from tradewright.task.language_model import answering, has_server

if TYPE_CHECKING:
    from tradewright.generate.chat_session import ChatSession, Exchange

ENDS = ("exit", "quit", "bye", "/quit")
RESET, HELP = "/reset", "/help"
CONTROL = dict.fromkeys(code for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t")
"""Characters with which a text could command the terminal."""
HELP_LINE = "/reset forgets what was said, /quit or Ctrl-D ends."


def free_session(
    cfg: DictConfig,
    *,
    llm: str | None,
    system: str | None,
    decisions: Path | None,
    offered: list[str],
    max_turns: int,
    log: Path,
) -> "ChatSession":
    """Return a conversation with the configured backend, the configured model or that of a run.

    Args:
        cfg: The command's configuration.
        llm: Run directory of a trained language model; None: the configured one.
        system: Instruction; None: none.
        decisions: A log of decisions that the model may look up; None: no tools.
        offered: Names of the tools.
        max_turns: Exchanges before the question that the model sees again.
        log: File that gets a line of JSON per exchange.

    Raises:
        ConfigError: Nobody is there to answer.
        DataError: The log of decisions cannot be read.
    """
    is_server = has_server(cfg)
    is_model = class_attribute(str(cfg.model.get("_target_", "")), "is_language_model") is True
    if llm is None and not is_server and not is_model:
        raise ConfigError(
            "task=chat: nobody answers; give run=<run of an agent> to ask about its decisions, or a language model to"
            " talk to: llm=<its run>, model=local model.name=<folder>, or backend=ollama"
        )
    tools = None if decisions is None else LogTools(DecisionTools(read_decisions(decisions)), offered)
    backend, _ = answering(cfg, llm)
    from tradewright.generate.chat_session import Bound, ChatSession, bound_of

    decoding = build(cfg.generate, key="generate")
    loaded = None if is_server else backend.loaded
    bound = Bound(max_turns=max_turns) if loaded is None else bound_of(loaded, decoding, max_turns=max_turns)
    return ChatSession(backend, decoding, bound=bound, system=system, tools=tools, log=log)


def talk(session: "ChatSession") -> int:
    """Answer what is typed or piped in until its end, and return how many questions there were.

    What goes wrong with a question is shown in a terminal, where the conversation goes on; it ends a pipe.

    Raises:
        TradewrightError: A question of a pipe cannot be answered.
    """
    is_terminal = sys.stdin.isatty()
    if is_terminal:
        _say(HELP_LINE)
    num_answered = 0
    for question in asked("you> " if is_terminal else ""):
        if question.startswith("/"):
            _command(session, question)
            continue
        try:
            _answer(session, question)
        except TradewrightError as error:
            if not is_terminal:
                raise
            print()
            Console(stderr=True).print(f"error: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        else:
            num_answered += 1
    return num_answered


def asked(prompt: str) -> Iterator[str]:
    """Yield lines of the standard input without empty ones, until it ends or a line says so."""
    while True:
        try:
            line = input(prompt).strip()
        except EOFError:
            return
        if line.lower() in ENDS:
            return
        if line:
            yield line


def _answer(session: "ChatSession", question: str) -> None:
    """Show an answer while it is written; of several candidates the best is known when all are."""
    is_streamed = session.decoding.num_candidates == 1
    exchange = session.ask(question, _show if is_streamed else None)
    _show("\n" if is_streamed else f"{exchange.written.text}\n")
    for line in _remarks(exchange):
        _say(line)


def _remarks(exchange: "Exchange") -> Iterator[str]:
    for call in exchange.calls:
        arguments = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
        yield f"({call.name or 'tool'}({arguments}): {call.error or 'done'})"
    if exchange.written.finish == "length":
        yield "(cut off; raise generate.max_new_tokens)"
    if exchange.num_dropped:
        yield f"({exchange.num_dropped} of the oldest turns no longer fit and were dropped)"


def _command(session: "ChatSession", words: str) -> None:
    if words == RESET:
        session.forget()
        _say("(forgotten)")
    elif words == HELP:
        _say(HELP_LINE)
    else:
        _say(f"{words.split()[0]}: no such command; {HELP_LINE}")


def _show(piece: str) -> None:
    print(piece.translate(CONTROL), end="", flush=True)


def _say(line: str) -> None:
    Console().print(line, style="dim", markup=False, highlight=False, soft_wrap=True)
