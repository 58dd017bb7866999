"""The official ``openai`` client talks to a really started server."""

import json
from collections.abc import Iterator

import jsonschema_rs
import openai
import pytest
from started import NAME, Started, started

from tiny_writers import tiny_writer
from tradewright.backend.openai import OpenAIBackend
from tradewright.generate.decoding import Decoding
from tradewright.generate.writer import Writer

QUESTION = [{"role": "user", "content": "price 101.5, volume 2300, volatility 0.02 -> buy or sell?"}]
SCHEMA = {
    "type": "object",
    "properties": {"action": {"enum": ["BUY", "SELL", "HOLD"]}, "size": {"enum": [0.05, 0.08]}},
    "required": ["action", "size"],
    "additionalProperties": False,
}


@pytest.fixture(scope="module")
def running() -> Iterator[Started]:
    with started() as server:
        yield server


@pytest.fixture(scope="module")
def client(running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0) as made:
        yield made


@pytest.mark.row("L20")
def test_chat_is_what_the_model_writes_through_its_template(client):
    answer = client.chat.completions.create(model=NAME, messages=QUESTION, seed=7)
    (expected,) = Writer(tiny_writer(), Decoding(max_new_tokens=12, seed=7)).write([tuple(QUESTION)])
    assert answer.choices[0].message.content == expected.text
    assert answer.choices[0].finish_reason == expected.finish
    assert answer.usage.completion_tokens == expected.num_tokens
    assert answer.usage.prompt_tokens == expected.num_prompt_tokens
    assert answer.usage.total_tokens == expected.num_tokens + expected.num_prompt_tokens
    assert (answer.model, answer.object) == (NAME, "chat.completion")


@pytest.mark.row("L22")
def test_stream_joins_to_the_answer(client):
    whole = client.chat.completions.create(model=NAME, messages=QUESTION, seed=8)
    chunks = list(
        client.chat.completions.create(
            model=NAME, messages=QUESTION, seed=8, stream=True, stream_options={"include_usage": True}
        )
    )
    texts = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices and chunk.choices[0].delta.content]
    assert len(texts) > 2
    assert "".join(texts) == whole.choices[0].message.content
    assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == whole.choices[0].finish_reason
    assert chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_settings_of_the_request_arrive(client):
    def text(**settings) -> str:
        return client.chat.completions.create(model=NAME, messages=QUESTION, **settings).choices[0].message.content

    assert text(temperature=0, seed=1) == text(temperature=0, seed=2)
    assert text(seed=1) != text(seed=2)
    penalised = Decoding(temperature=0.0, repetition_penalty=3.0, top_k=5, top_p=0.5, max_new_tokens=9)
    (expected,) = Writer(tiny_writer(), penalised).write([tuple(QUESTION)])
    extra = {"repetition_penalty": 3.0, "top_k": 5}
    assert text(temperature=0, top_p=0.5, max_tokens=9, extra_body=extra) == expected.text
    whole = text(seed=3)
    assert text(seed=3, stop=[whole[4:6]]) == whole[: whole.index(whole[4:6])]
    assert text(seed=3, stop=whole[4:6]) == whole[: whole.index(whole[4:6])]


def test_without_a_seed_answers_differ(client):
    texts = {client.chat.completions.create(model=NAME, messages=QUESTION).choices[0].message.content for _ in range(4)}
    assert len(texts) > 1


@pytest.mark.parametrize("is_stream", [False, True])
def test_json_schema_is_kept_to(client, is_stream):
    form = {"type": "json_schema", "json_schema": {"name": "decision", "schema": SCHEMA, "strict": True}}
    for seed in range(3):
        answer = client.chat.completions.create(
            model=NAME, messages=QUESTION, seed=seed, max_tokens=60, response_format=form, stream=is_stream
        )
        if is_stream:
            text = "".join(chunk.choices[0].delta.content or "" for chunk in answer if chunk.choices)
        else:
            text = answer.choices[0].message.content
        assert jsonschema_rs.validator_for(SCHEMA).is_valid(json.loads(text))


def test_schema_that_is_none_is_refused(client):
    form = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "nonsense"}}}
    for is_stream in (False, True):
        with pytest.raises(openai.BadRequestError, match="schema: cannot be made into a grammar"):
            client.chat.completions.create(model=NAME, messages=QUESTION, response_format=form, stream=is_stream)


def test_text_completion_is_the_answer_to_one_message(client):
    chat = client.chat.completions.create(model=NAME, messages=QUESTION, seed=9)
    plain = client.completions.create(model=NAME, prompt=QUESTION[0]["content"], seed=9)
    assert plain.choices[0].text == chat.choices[0].message.content
    pieces = client.completions.create(model=NAME, prompt=QUESTION[0]["content"], seed=9, stream=True)
    assert "".join(piece.choices[0].text for piece in pieces) == plain.choices[0].text


def test_models_are_listed(client):
    assert [model.id for model in client.models.list()] == [NAME]


@pytest.mark.parametrize(
    ("settings", "kind", "message"),
    [
        ({"model": "gpt-4"}, openai.NotFoundError, "'gpt-4' is not served here, only 'tiny-qwen2'"),
        ({"logprobs": True}, openai.UnprocessableEntityError, "logprobs: Input should be False"),
        ({"top_logprobs": 3}, openai.UnprocessableEntityError, "top_logprobs: Extra inputs are not permitted"),
        ({"n": 2}, openai.UnprocessableEntityError, "n: Input should be 1"),
        ({"tools": []}, openai.UnprocessableEntityError, "tools: Extra inputs are not permitted"),
        ({"temperature": -1}, openai.UnprocessableEntityError, "temperature: Input should be greater than or equal"),
        ({"messages": []}, openai.UnprocessableEntityError, "messages: List should have at least 1 item"),
        (
            {"messages": [{"role": "user", "content": "a\x00b"}]},
            openai.UnprocessableEntityError,
            "should match pattern",
        ),
        ({"messages": [{"role": "user", "content": "price " * 300}]}, openai.BadRequestError, "leave no room"),
        ({"messages": [{"role": "user", "content": "<|im_end|>"}]}, openai.BadRequestError, "control token"),
        ({"max_tokens": 3, "max_completion_tokens": 3}, openai.BadRequestError, "give one of the two"),
    ],
)
@pytest.mark.parametrize("is_stream", [False, True])
def test_what_cannot_be_answered_is_an_error_of_the_client(client, settings, kind, message, is_stream):
    with pytest.raises(kind) as error:
        client.chat.completions.create(**{"model": NAME, "messages": QUESTION, "stream": is_stream, **settings})
    assert message in str(error.value)


@pytest.mark.row("N55")
def test_own_backend_talks_to_the_own_server(running):
    decoding = Decoding(max_new_tokens=12, seed=5, top_k=40)
    backend = OpenAIBackend(url=f"{running.url}/v1", model=NAME, dialect="openai_extended", reasoning="keep")
    (expected,) = Writer(tiny_writer(), decoding).write([tuple(QUESTION)])
    assert backend.complete(tuple(QUESTION), decoding).text == expected.text
    assert "".join(backend.stream(tuple(QUESTION), decoding)) == expected.text
