"""What servers do wrong: each failure is one line that names the server, and those that can pass are repeated."""

import json

import pytest
from server_double import (
    cut_short,
    hang,
    hang_up,
    json_reply,
    lines_reply,
    ollama_lines,
    ollama_text,
    openai_lines,
    openai_text,
    server,
)

from tiny_writers import PROMPTS
from tradewright.backend.openai import OpenAIBackend
from tradewright.errors import ConfigError, RunError
from tradewright.generate.decoding import Decoding

PLAIN = Decoding(repetition_penalty=1.0)
THOUGHT = "<think>\nIt fell.\n</think>\n\nSELL"
TEXTS = {"openai": openai_text, "ollama": ollama_text}
LINES = {"openai": openai_lines, "ollama": ollama_lines}


@pytest.fixture(params=["openai", "ollama"])
def dialect(request) -> str:
    return request.param


def client(double, dialect: str, **options) -> OpenAIBackend:
    settings = {"model": "deepseek-r1:8b", "retries": 2, "retry_wait_s": 0.0, "timeout_s": 5.0, **options}
    return OpenAIBackend(url=double.url, dialect=dialect, **settings)


def one_line(error: pytest.ExceptionInfo) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


@pytest.mark.row("N54")
def test_reasoning_in_tags_is_returned_apart(dialect):
    with server(json_reply(TEXTS[dialect](THOUGHT))) as double:
        written = client(double, dialect).complete(PROMPTS[0], PLAIN)
        assert (written.reasoning, written.text) == ("It fell.", "SELL")
        kept = client(double, dialect, reasoning="keep").complete(PROMPTS[0], PLAIN)
        assert (kept.reasoning, kept.text) == ("", THOUGHT)


@pytest.mark.row("N54")
@pytest.mark.parametrize("size", [1, 4, 100])
def test_reasoning_in_tags_is_left_out_of_a_stream(dialect, size):
    pieces = [THOUGHT[start : start + size] for start in range(0, len(THOUGHT), size)]
    with server(lines_reply(LINES[dialect](pieces))) as double:
        assert "".join(client(double, dialect).stream(PROMPTS[0], PLAIN)) == "SELL"
        assert "".join(client(double, dialect, reasoning="keep").stream(PROMPTS[0], PLAIN)) == THOUGHT


@pytest.mark.row("N54")
@pytest.mark.parametrize(("dialect", "key"), [("openai", "reasoning_content"), ("ollama", "thinking")])
def test_reasoning_that_the_server_keeps_apart_stays_apart_or_is_put_back(dialect, key):
    with server(json_reply(TEXTS[dialect]("SELL", **{key: "It fell."}))) as double:
        written = client(double, dialect).complete(PROMPTS[0], PLAIN)
        assert (written.reasoning, written.text) == ("It fell.", "SELL")
        kept = client(double, dialect, reasoning="keep").complete(PROMPTS[0], PLAIN)
        assert kept.text == "<think>It fell.</think>SELL"
    thinking, answer = (
        LINES[dialect](["It ", "fell."], key=key)[: -3 if dialect == "openai" else -1],
        LINES[dialect](["SELL"]),
    )
    with server(lines_reply([*thinking, *answer])) as double:
        assert "".join(client(double, dialect).stream(PROMPTS[0], PLAIN)) == "SELL"
        joined = "".join(client(double, dialect, reasoning="keep").stream(PROMPTS[0], PLAIN))
        assert joined == "<think>It fell.</think>SELL"


@pytest.mark.row("N54")
def test_truncated_answer_says_so(dialect):
    with server(json_reply(TEXTS[dialect]("<think>It is a long", "length"))) as double:
        written = client(double, dialect).complete(PROMPTS[0], PLAIN)
    assert (written.finish, written.text, written.reasoning) == ("length", "", "It is a long")


@pytest.mark.row("N54")
def test_failures_of_the_server_are_repeated_until_it_answers(dialect):
    busy = json_reply({"error": "loading model"}, 500)
    with server(busy, busy, json_reply(TEXTS[dialect]("SELL"))) as double:
        assert client(double, dialect).complete(PROMPTS[0], PLAIN).text == "SELL"
        assert double.num_requests == 3
        assert double.requests[0] == double.requests[2]


@pytest.mark.row("N54")
def test_repetition_is_bounded_and_the_last_failure_is_told(dialect):
    with server(json_reply({"error": {"message": "out of\nmemory"}}, 500)) as double:
        with pytest.raises(RunError) as error:
            client(double, dialect).complete(PROMPTS[0], PLAIN)
        assert double.num_requests == 3
        text = one_line(error)
        assert text.startswith(double.url)
        assert "status 500: out of memory, 3 times in a row" in text


def test_refusals_are_not_repeated(dialect):
    with server(json_reply({"error": "model 'x' not found"}, 404)) as double:
        with pytest.raises(RunError, match="status 404: model 'x' not found"):
            client(double, dialect).complete(PROMPTS[0], PLAIN)
        assert double.num_requests == 1


def test_named_wait_is_kept_to(dialect):
    limited = json_reply({"error": "slow down"}, 429, retry_after="0")
    with server(limited, json_reply(TEXTS[dialect]("SELL"))) as double:
        assert client(double, dialect, retry_wait_s=1000.0).complete(PROMPTS[0], PLAIN).text == "SELL"


@pytest.mark.row("N54")
@pytest.mark.parametrize("is_stream", [False, True])
def test_silence_ends_at_the_time_limit(dialect, is_stream):
    with server(hang(0.6)) as double:
        backend = client(double, dialect, timeout_s=0.15, retries=1)
        with pytest.raises(RunError, match=r"no answer within backend.timeout_s, 2 times in a row"):
            list(backend.stream(PROMPTS[0], PLAIN)) if is_stream else backend.complete(PROMPTS[0], PLAIN)
        assert double.num_requests == 2


def test_server_that_is_not_there_is_named(dialect):
    with server(hang_up) as double:
        gone = client(double, dialect, retries=0)
    with pytest.raises(RunError) as error:
        gone.complete(PROMPTS[0], PLAIN)
    assert one_line(error).startswith(double.url)


def test_connection_that_ends_before_an_answer_is_repeated(dialect):
    with server(hang_up, json_reply(TEXTS[dialect]("SELL"))) as double:
        assert client(double, dialect).complete(PROMPTS[0], PLAIN).text == "SELL"


def test_answer_that_breaks_off_is_an_error(dialect):
    with (
        server(cut_short(json.dumps(TEXTS[dialect]("SELL")).encode()[:20])) as double,
        pytest.raises(RunError, match="broke off"),
    ):
        client(double, dialect).complete(PROMPTS[0], PLAIN)


@pytest.mark.row("N54")
def test_stream_that_breaks_off_is_an_error_after_its_pieces(dialect):
    lines = LINES[dialect](["It ", "fell"])[: -3 if dialect == "openai" else -1]
    with server(lines_reply(lines)) as double:
        shown = []
        with pytest.raises(RunError, match="the answer broke off before its end"):
            shown.extend(client(double, dialect).stream(PROMPTS[0], PLAIN))
        assert double.num_requests == 1


MALFORMED = [
    b"",
    b"not json",
    b"[]",
    b"{}",
    b'{"choices": []}',
    b'{"choices": [{"message": {"content": 7}, "finish_reason": "stop"}]}',
    b'{"message": {"content": ["x"]}, "done": true}',
    b'{"choices": "\xff"}',
    b"<html>502</html>",
]


@pytest.mark.row("N54")
@pytest.mark.parametrize("body", MALFORMED)
def test_malformed_body_is_one_line(dialect, body):
    with server(json_reply(body)) as double:
        with pytest.raises(RunError) as error:
            client(double, dialect).complete(PROMPTS[0], PLAIN)
        assert one_line(error).startswith(f"{double.url}: the server's answer is malformed (")


@pytest.mark.parametrize("line", ["data: {oops\n\n", '{"message": 3}\n', 'data: {"choices": [{"delta": 4}]}\n\n'])
def test_malformed_line_of_a_stream_is_one_line(line):
    dialect = "openai" if line.startswith("data") else "ollama"
    with server(lines_reply([line])) as double:
        with pytest.raises(RunError) as error:
            list(client(double, dialect).stream(PROMPTS[0], PLAIN))
        assert "malformed" in one_line(error)


def test_error_inside_a_stream_is_told(dialect):
    line = {"openai": 'data: {"error": {"message": "cuda lost"}}\n\n', "ollama": '{"error": "cuda lost"}\n'}[dialect]
    with (
        server(lines_reply([*LINES[dialect](["It "])[:2], line])) as double,
        pytest.raises(RunError, match="the server reports an error: cuda lost"),
    ):
        list(client(double, dialect).stream(PROMPTS[0], PLAIN))


def test_answer_for_another_reason_than_an_end_is_an_error(dialect):
    with (
        server(json_reply(TEXTS[dialect]("", "content_filter"))) as double,
        pytest.raises(RunError, match="another reason than stop or length: 'content_filter'"),
    ):
        client(double, dialect).complete(PROMPTS[0], PLAIN)


def test_answer_without_a_reason_is_an_error():
    content = openai_text("SELL") | {"choices": [{"message": {"content": "SELL"}, "finish_reason": None}]}
    with server(json_reply(content)) as double, pytest.raises(RunError, match="does not say why it ended"):
        client(double, "openai").complete(PROMPTS[0], PLAIN)


def test_key_of_the_environment_is_sent(dialect, monkeypatch):
    monkeypatch.setenv("MY_KEY", "secret")
    with server(json_reply(TEXTS[dialect]("SELL"))) as double:
        client(double, dialect, key_variable="MY_KEY").complete(PROMPTS[0], PLAIN)
        client(double, dialect).complete(PROMPTS[0], PLAIN)
    assert [headers.get("authorization") for headers in double.headers] == ["Bearer secret", None]


def test_proxy_of_the_environment_is_not_asked_for_this_machine(dialect, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with server(json_reply(TEXTS[dialect]("SELL"))) as double:
        assert client(double, dialect).complete(PROMPTS[0], PLAIN).text == "SELL"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"url": "localhost:11434"}, "url must be http://host:port or https://host"),
        ({"timeout_s": 0.0}, "timeout_s must be > 0"),
        ({"retries": -1}, "retries must be >= 0"),
        ({"retry_wait_s": -1.0}, "retry_wait_s must be >= 0"),
        ({"dialect": "grpc"}, "dialect must be one of"),
        ({"reasoning": "drop"}, "reasoning must be apart or keep"),
        ({"model": ""}, "model must be given, as the server names it"),
        ({"model": None}, "model must be given, as the server names it"),
    ],
)
def test_arguments_out_of_range_are_refused(options, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        OpenAIBackend(**{"url": "http://localhost:1", "model": "m", **options})


def test_key_variable_that_is_empty_is_refused(monkeypatch):
    monkeypatch.setenv("MY_KEY", "")
    with pytest.raises(ConfigError, match="MY_KEY is not set"):
        OpenAIBackend(url="http://localhost:1", model="m", key_variable="MY_KEY")
