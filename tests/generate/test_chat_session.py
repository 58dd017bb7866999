"""Conversations: what was said stays in the prompt until it no longer fits, tools are called only from the list."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tiny_writers import tiny_writer
from tradewright.backend.local import LocalBackend
from tradewright.errors import DataError, RunError
from tradewright.explain.answers import DecisionTools
from tradewright.explain.guard import ToolError
from tradewright.explain.log_tools import LogTools
from tradewright.explain.state import State
from tradewright.generate.chat_session import Bound, ChatSession, bound_of, spoken
from tradewright.generate.decoding import Decoding
from tradewright.generate.written import Written
from tradewright.model.chat import encode_example
from tradewright.model.language_model import LanguageModel
from tradewright.model.tiny_language_model import TinyLanguageModel

DECODING = Decoding(temperature=0.0, repetition_penalty=1.0, max_new_tokens=8)
SYMBOLS = ("SPY", "QQQ", "IWM", "GLD", "TLT", "XLE")


def bound(loaded, *, max_turns: int = 50, max_tokens: int = 1000) -> Bound:
    return replace(bound_of(loaded, DECODING, max_turns=max_turns), max_tokens=max_tokens)


def session(*, max_tokens: int = 200, **options) -> ChatSession:
    loaded = tiny_writer()
    return ChatSession(LocalBackend(loaded=loaded), DECODING, bound=bound(loaded, max_tokens=max_tokens), **options)


class Spoken:
    """A backend whose answers are given, as a model that was fitted to tools would write them; keeps what it saw."""

    def __init__(self, *texts: str) -> None:
        self.texts, self.seen = list(texts), []

    def complete(self, messages, decoding) -> Written:
        self.seen.append(messages)
        return Written(text=self.texts.pop(0), num_tokens=1, finish="stop", log_probability=0.0)


class Weather:
    """Tools that ask nothing of their questions."""

    instruction, descriptions = "Ask for the weather.", ({"name": "weather", "arguments": {"city": "a city"}},)

    def refusal(self, question: str) -> str | None:
        return "no weather" if "poem" in question else None

    def call(self, name: str, arguments: dict[str, object]) -> str:
        if (name, list(arguments)) != ("weather", ["city"]):
            raise ToolError(f"{name} is not offered")
        return f"sunny in {arguments['city']}"


def answered(*texts: str, **options) -> tuple[ChatSession, Spoken]:
    backend = Spoken(*texts)
    limits = {key: options.pop(key) for key in ("max_turns", "max_tokens") if key in options}
    return ChatSession(backend, DECODING, bound=bound(tiny_writer(), **limits), **options), backend


def fit(loaded, examples, *, loss_below: float = 0.02, most_steps: int = 300) -> None:
    """Train on all examples at once, on their answers only, until they are known by heart."""
    width = max(len(one.ids) for one in examples)
    ids_BL = torch.full((len(examples), width), loaded.tokenizer.pad_token_id)
    labels_BL = torch.full_like(ids_BL, -100)
    for row, one in enumerate(examples):
        ids_BL[row, : len(one.ids)] = torch.tensor(one.ids)
        labels_BL[row, one.num_prompt : len(one.ids)] = torch.tensor(one.ids[one.num_prompt :])
    optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=5e-3)
    for _ in range(most_steps):
        loss = loaded.model(ids_BL, labels=labels_BL).loss  # padded behind: no token sees it
        if float(loss.detach()) < loss_below:
            break
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    loaded.model.eval()
    assert float(loss.detach()) < loss_below


@pytest.mark.row("T32")
def test_follow_up_is_answered_from_the_turn_before(tmp_path):
    """A model that learned to name the symbol of the conversation: the second question does not say which one."""

    def dialogue(symbol: str) -> tuple:
        return (
            {"role": "user", "content": f"Look at {symbol}."},
            {"role": "assistant", "content": "Done."},
            {"role": "user", "content": "Which symbol was it?"},
        )

    texts = [message["content"] for symbol in SYMBOLS for message in dialogue(symbol)]
    tiny = TinyLanguageModel(
        layers=2, width=64, heads=4, feed_forward=96, max_length=128, tokenizer="byte", vocabulary=400
    )
    folder = tiny.build(texts, tmp_path / "model", seed=0).name
    loaded = LanguageModel(name=folder, max_length=128).load(for_training=True)
    examples = [encode_example(loaded.tokenizer, dialogue(symbol), symbol) for symbol in SYMBOLS]
    examples += [encode_example(loaded.tokenizer, dialogue(symbol)[:1], "Done.") for symbol in SYMBOLS]
    fit(loaded, examples)
    for symbol in SYMBOLS:
        chat = ChatSession(LocalBackend(loaded=loaded), DECODING, bound=bound_of(loaded, DECODING, max_turns=20))
        first, second = chat.ask(f"Look at {symbol}."), chat.ask("Which symbol was it?")
        assert (first.written.text, second.written.text) == ("Done.", symbol)
        assert second.prompt == dialogue(symbol)


@pytest.mark.row("T32")
def test_history_is_in_the_prompt_word_for_word():
    chat = session(system="Answer briefly.")
    first, second = chat.ask("The symbol is SPY."), chat.ask("Which symbol?")
    assert second.prompt == (
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": "The symbol is SPY."},
        {"role": "assistant", "content": first.written.text},
        {"role": "user", "content": "Which symbol?"},
    )
    chat.forget()
    assert [message["role"] for message in chat.ask("Which symbol?").prompt] == ["system", "user"]


def test_oldest_turns_are_dropped_and_the_instruction_is_kept():
    chat, backend = answered(*("yes" for _ in range(12)), system="Answer briefly.", max_tokens=160)
    exchanges = [chat.ask(f"Question number {number}?") for number in range(12)]
    for prompt in backend.seen:
        assert chat.bound.count(prompt) <= 160
        assert prompt[0] == {"role": "system", "content": "Answer briefly."}
        assert [message["role"] for message in prompt[1:]] == ["user", "assistant"] * (len(prompt) // 2 - 1) + ["user"]
    assert 2 < len(backend.seen[-1]) < 24
    assert sum(exchange.num_dropped for exchange in exchanges) == 12 - len(chat.turns) > 0


@pytest.mark.parametrize(("max_turns", "kept"), [(0, []), (2, ["Question 1?", "Question 2?"])])
def test_no_more_turns_than_allowed_are_seen_again(max_turns, kept):
    chat, backend = answered(*("yes" for _ in range(4)), max_turns=max_turns)
    for number in range(4):
        chat.ask(f"Question {number}?")
    assert [message["content"] for message in backend.seen[-1] if message["role"] == "user"] == [*kept, "Question 3?"]


def test_question_that_is_too_long_is_refused_with_the_numbers():
    chat = session(max_tokens=40)
    with pytest.raises(RunError, match=r"^question: \d+ tokens with the instruction are more than the 40"):
        chat.ask("price " * 60)
    assert chat.ask("RSI?").written.text
    kept = list(chat.turns)
    with pytest.raises(RunError):
        chat.ask("price " * 60)
    assert chat.turns == kept != []


def test_bound_leaves_the_answer_its_room_and_half_of_the_context_at_the_most():
    loaded = tiny_writer()
    assert bound_of(loaded, DECODING, max_turns=1).max_tokens == 256 - 8
    assert bound_of(loaded, DECODING.changed(max_new_tokens=1000), max_turns=1).max_tokens == 128


def test_pieces_that_are_shown_join_to_the_answer():
    shown: list[str] = []
    chat, whole = session(), session()
    exchange = chat.ask("Is the price above its average?", shown.append)
    assert "".join(shown) == exchange.written.text == whole.ask("Is the price above its average?").written.text
    assert len(shown) > 1


@pytest.mark.parametrize(
    ("pieces", "shown"),
    [
        (["a <", "b"], "a <b"),
        (["a <tool", "_ca", "ll>{}</tool_call>"], "a "),
        (["a <tool_", "box>"], "a <tool_box>"),
        (["x<tool_call>", "{}", "</tool_call> y"], "x"),
        (["<tool"], "<tool"),
        ([], ""),
    ],
)
def test_request_for_a_tool_is_not_shown(pieces, shown):
    assert "".join(spoken(iter(pieces))) == shown


def call(name: str, arguments: object) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def test_tool_is_called_and_its_result_is_read():
    chat, backend = answered(call("weather", {"city": "Rome"}), "It is sunny.", tools=Weather(), system="Be kind.")
    exchange = chat.ask("How is the weather?")
    (made,) = exchange.calls
    assert (made.name, dict(made.arguments), made.result, made.error) == (
        "weather",
        {"city": "Rome"},
        "sunny in Rome",
        None,
    )
    assert exchange.written.text == "It is sunny."
    assert backend.seen[-1][-1]["content"] == made.response
    assert '"result": "sunny in Rome"' in made.response
    told = backend.seen[0][0]["content"]
    assert told.startswith("Be kind.\nAsk for the weather.\nTo use a tool, ")
    assert told.endswith('{"name": "weather", "arguments": {"city": "a city"}}')


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (call("weather", ["Rome"]), "arguments must be an object"),
        (call("weather", {"town": "Rome"}), "weather is not offered"),
        ("<tool_call>weather(Rome)</tool_call>", "not JSON"),
        ("<tool_call>[1]</tool_call>", "expected an object with name and arguments"),
    ],
)
def test_call_that_cannot_be_made_is_told_to_the_model(text, error):
    chat, backend = answered(text, "I cannot say.", tools=Weather())
    (made,) = chat.ask("How is the weather?").calls
    assert made.result is None
    assert error in made.error
    assert error in backend.seen[-1][-1]["content"]


def test_without_tools_a_call_is_only_text():
    chat, _ = answered(call("weather", {"city": "Rome"}))
    assert chat.ask("How is the weather?").calls == ()


def test_calls_without_end_are_an_error():
    chat, _ = answered(*[call("weather", {"city": "Rome"})] * 9, tools=Weather())
    with pytest.raises(RunError, match="asked for tools more than 3 times"):
        chat.ask("How is the weather?")
    assert chat.turns == []


def test_question_that_the_tools_refuse_is_not_asked():
    chat, backend = answered("yes", tools=Weather())
    with pytest.raises(DataError, match=r"^question: refused \(no weather\)"):
        chat.ask("Write a poem.")
    assert (backend.seen, chat.turns) == ([], [])


@pytest.mark.row("T43")
def test_every_exchange_is_a_line_of_the_log_with_an_id(tmp_path):
    log = tmp_path / "logs" / "chat.jsonl"
    chat, _ = answered("first", call("weather", {"city": "Rome"}), "second", tools=Weather(), log=log)
    exchanges = [chat.ask("One?"), chat.ask("Two?")]
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record["id"] for record in records] == [exchange.id for exchange in exchanges]
    assert len({record["id"] for record in records}) == 2
    assert [(record["question"], record["answer"]) for record in records] == [("One?", "first"), ("Two?", "second")]
    assert records[1]["calls"] == [
        {"name": "weather", "arguments": {"city": "Rome"}, "result": "sunny in Rome", "error": None}
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_turns": -1}, "max_turns must be >= 0, was -1"),
        ({"max_turns": 1, "max_tokens": 0, "count": len}, "max_tokens must be >= 1, was 0"),
        ({"max_turns": 1, "max_tokens": 9}, "count must be given with max_tokens"),
    ],
)
def test_bound_out_of_range_is_refused(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Bound(**options)


@pytest.mark.row("T33")
def test_model_that_learned_to_ask_finds_the_decision_and_cites_its_id(tmp_path: Path):
    """The weights write the request and, from the log's answer, the id; only the day in the question tells it which."""

    def state(day: str, target: float) -> State:
        ts, before = np.datetime64(f"2016-01-{day}", "us"), 0.6 - target
        action = "SELL" if target < before else "BUY"
        known_at = ts + np.timedelta64(1, "D")
        return State(id=f"SPY-201601{day}", symbol="SPY", ts=ts, known_at=known_at, timeframe_s=86_400, close=100.0,
                     indicators={"rsi_14": 70.0}, position=before, target=target, action=action)  # fmt: skip

    states = [state("14", 0.0), state("15", 0.6)]
    tools = LogTools(DecisionTools(states), ["find_decision"])
    asks = [f"What was done on {state.day}?" for state in states]
    requests = [call("find_decision", {"day": state.day, "symbol": "SPY"}) for state in states]
    replies = [f"See decision {state.id}." for state in states]
    scripted = [ChatSession(Spoken(request, reply), DECODING, bound=Bound(max_turns=0), tools=tools)
                for request, reply in zip(requests, replies, strict=True)]  # fmt: skip
    lessons = [chat.ask(ask) for chat, ask in zip(scripted, asks, strict=True)]
    texts = [message["content"] for lesson in lessons for message in (*lesson.prompt, {"content": lesson.written.text})]
    tiny = TinyLanguageModel(
        layers=2, width=64, heads=4, feed_forward=96, max_length=512, tokenizer="line", vocabulary=600
    )
    loaded = LanguageModel(name=tiny.build(texts, tmp_path / "model", seed=0).name, max_length=512).load(
        for_training=True
    )
    pairs = [(lesson.prompt[:2], request) for lesson, request in zip(lessons, requests, strict=True)]
    pairs += [(lesson.prompt, lesson.written.text) for lesson in lessons]
    fit(loaded, [encode_example(loaded.tokenizer, prompt, answer) for prompt, answer in pairs])
    decoding = DECODING.changed(max_new_tokens=96)
    for state, ask, reply in zip(states, asks, replies, strict=True):
        shown: list[str] = []
        chat = ChatSession(
            LocalBackend(loaded=loaded), decoding, bound=bound_of(loaded, decoding, max_turns=0), tools=tools
        )
        exchange = chat.ask(ask, shown.append)
        assert [(made.name, made.result) for made in exchange.calls] == [
            ("find_decision", {"id": state.id, "action": state.action})
        ]
        assert "".join(shown) == exchange.written.text == reply
