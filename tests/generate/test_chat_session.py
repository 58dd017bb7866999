"""Conversations: what was said stays in the prompt until it no longer fits, tools are called only from the list."""

import io
import json

import pytest
import torch

from tiny_writers import tiny_writer
from tradewright.backend.local import LocalBackend
from tradewright.errors import DataError, RunError
from tradewright.generate.chat_session import ChatSession, read_script, talk, token_counter
from tradewright.generate.decoding import Decoding
from tradewright.generate.written import Written
from tradewright.model.chat import encode_example
from tradewright.model.language_model import LanguageModel
from tradewright.model.tiny_language_model import TinyLanguageModel

DECODING = Decoding(temperature=0.0, repetition_penalty=1.0, max_new_tokens=8)
SYMBOLS = ("SPY", "QQQ", "IWM", "GLD", "TLT", "XLE")


def session(**options) -> ChatSession:
    loaded = tiny_writer()
    settings = {"count": token_counter(loaded.tokenizer), "max_prompt_tokens": 200, **options}
    return ChatSession(options.pop("backend", None) or LocalBackend(loaded=loaded), DECODING, **settings)


class Spoken:
    """A backend whose answers are given, as a model that was fitted to tools would write them; keeps what it saw."""

    def __init__(self, *texts: str) -> None:
        self.texts, self.seen = list(texts), []

    def complete(self, messages, decoding) -> Written:
        self.seen.append(messages)
        return Written(text=self.texts.pop(0), num_tokens=1, finish="stop", log_probability=0.0)


def spoken(*texts: str, tools=None, **options) -> tuple[ChatSession, Spoken]:
    backend = Spoken(*texts)
    made = ChatSession(
        backend,
        DECODING,
        tools=tools,
        **{"count": token_counter(tiny_writer().tokenizer), "max_prompt_tokens": 1000, **options},
    )
    return made, backend


def fit(loaded, examples, num_steps: int = 110) -> None:
    """Train on all examples at once, on their answers only."""
    width = max(len(one.ids) for one in examples)
    ids_BL = torch.full((len(examples), width), loaded.tokenizer.pad_token_id)
    labels_BL = torch.full_like(ids_BL, -100)
    for row, one in enumerate(examples):
        ids_BL[row, : len(one.ids)] = torch.tensor(one.ids)
        labels_BL[row, one.num_prompt : len(one.ids)] = torch.tensor(one.ids[one.num_prompt :])
    optimizer = torch.optim.AdamW(loaded.model.parameters(), lr=5e-3)
    for _ in range(num_steps):
        loss = loaded.model(ids_BL, labels=labels_BL).loss  # padded behind: no token sees it
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    loaded.model.eval()
    assert float(loss.detach()) < 0.1


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
        chat = ChatSession(
            LocalBackend(loaded=loaded), DECODING, count=token_counter(loaded.tokenizer), max_prompt_tokens=120
        )
        first, second = chat.run_script([f"Look at {symbol}.", "Which symbol was it?"])
        assert (first.written.text, second.written.text) == ("Done.", symbol)
        assert second.prompt == dialogue(symbol)


@pytest.mark.row("T32")
def test_history_is_in_the_prompt_word_for_word():
    chat = session(system="Answer briefly.")
    first, second = chat.run_script(["The symbol is SPY.", "Which symbol?"])
    assert second.prompt == (
        {"role": "system", "content": "Answer briefly."},
        {"role": "user", "content": "The symbol is SPY."},
        {"role": "assistant", "content": first.written.text},
        {"role": "user", "content": "Which symbol?"},
    )


def test_oldest_turns_are_dropped_and_the_instruction_is_kept():
    chat, backend = spoken(*("yes" for _ in range(12)), system="Answer briefly.", max_prompt_tokens=160)
    exchanges = chat.run_script([f"Question number {number}?" for number in range(12)])
    count = token_counter(tiny_writer().tokenizer)
    for prompt in backend.seen:
        assert count(prompt) <= 160
        assert prompt[0] == {"role": "system", "content": "Answer briefly."}
        assert [message["role"] for message in prompt[1:]] == ["user", "assistant"] * (len(prompt) // 2 - 1) + ["user"]
    assert 2 < len(backend.seen[-1]) < 24
    assert sum(exchange.num_dropped for exchange in exchanges) == 12 - len(chat.turns) > 0


def test_question_that_is_too_long_is_refused_with_the_numbers():
    chat = session(max_prompt_tokens=40)
    with pytest.raises(RunError, match=r"^question: \d+ tokens with the instruction are more than the 40"):
        chat.ask("price " * 60)
    assert chat.ask("RSI?").written.text


def weather(*, city: str) -> str:
    if city == "nowhere":
        raise ValueError("no such city")
    return f"sunny in {city}"


def call(name: str, arguments: object) -> str:
    return f"<tool_call>\n{json.dumps({'name': name, 'arguments': arguments})}\n</tool_call>"


def test_tool_is_called_and_its_result_is_read():
    chat, backend = spoken(call("weather", {"city": "Rome"}), "It is sunny.", tools={"weather": weather})
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


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (call("wether", {}), "no such tool; did you mean 'weather'?"),
        (call("__import__", {"name": "os"}), "no such tool; known: weather"),
        (call("weather", ["Rome"]), "arguments must be an object"),
        (call("weather", {"town": "Rome"}), "missing a required argument: 'city'"),
        (call("weather", {"city": "nowhere"}), "no such city"),
        ("<tool_call>weather(Rome)</tool_call>", "not JSON"),
        ("<tool_call>[1]</tool_call>", "expected an object with name and arguments"),
    ],
)
def test_call_that_cannot_be_made_is_told_to_the_model(text, error):
    chat, backend = spoken(text, "I cannot say.", tools={"weather": weather})
    (made,) = chat.ask("How is the weather?").calls
    assert made.result is None
    assert error in made.error
    assert error.replace('"', '\\"') in backend.seen[-1][-1]["content"]


def test_without_tools_a_call_is_only_text():
    chat, _ = spoken(call("weather", {"city": "Rome"}))
    assert chat.ask("How is the weather?").calls == ()


def test_calls_without_end_are_an_error():
    chat, _ = spoken(*[call("weather", {"city": "Rome"})] * 9, tools={"weather": weather})
    with pytest.raises(RunError, match="asked for tools more than 3 times"):
        chat.ask("How is the weather?")
    assert chat.turns == []


@pytest.mark.row("T43")
def test_every_exchange_is_a_line_of_the_log_with_an_id(tmp_path):
    log = tmp_path / "logs" / "chat.jsonl"
    chat, _ = spoken("first", call("weather", {"city": "Rome"}), "second", tools={"weather": weather}, log=log)
    exchanges = chat.run_script(["One?", "Two?"])
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [record["id"] for record in records] == [exchange.id for exchange in exchanges]
    assert len({record["id"] for record in records}) == 2
    assert [(record["question"], record["answer"]) for record in records] == [("One?", "first"), ("Two?", "second")]
    assert records[1]["calls"] == [
        {"name": "weather", "arguments": {"city": "Rome"}, "result": "sunny in Rome", "error": None}
    ]


def test_terminal_goes_on_after_an_error_until_its_end(monkeypatch, capsys):
    chat, _ = spoken("first [red]", "second", max_prompt_tokens=60)
    monkeypatch.setattr("sys.stdin", io.StringIO(f"One?\n\n{'price ' * 90}\nTwo?\n"))
    assert talk(chat) == 2
    out = capsys.readouterr().out
    assert "first [red]" in out
    assert "second" in out
    assert "error: question: " in out


def test_script_is_read_from_a_file(tmp_path):
    path = tmp_path / "script.txt"
    path.write_text("One?\n\n  Two?  \n")
    assert read_script(path) == ["One?", "Two?"]
    path.write_text("\n")
    with pytest.raises(DataError, match="has no questions"):
        read_script(path)
    with pytest.raises(DataError, match="cannot be read"):
        read_script(tmp_path / "absent.txt")


def test_bound_below_one_is_refused():
    with pytest.raises(ValueError, match=r"^max_prompt_tokens must be >= 1, was 0"):
        session(max_prompt_tokens=0)
