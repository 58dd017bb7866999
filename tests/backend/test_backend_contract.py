"""One contract for every backend: a model in this process, and HTTP servers of each dialect in front of the same."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from server_double import model_reply, server

from tiny_writers import PROMPTS, ask, tiny_writer
from tradewright.backend.backend import Backend
from tradewright.backend.local import LocalBackend
from tradewright.backend.openai import OpenAIBackend
from tradewright.config.build import build
from tradewright.errors import ConfigError, RunError
from tradewright.generate.decoding import Decoding
from tradewright.paths import shipped

KINDS = ("local", "openai", "openai_extended", "ollama")
PLAIN = Decoding(max_new_tokens=10, repetition_penalty=1.0, seed=4)
OPTIONS = {path.stem: path for path in (shipped("conf") / "backend").glob("*.yaml")}


@pytest.fixture(params=KINDS)
def backend(request) -> Iterator[Backend]:
    local = LocalBackend(loaded=tiny_writer(), reasoning="keep")
    if request.param == "local":
        yield local
        return
    with server(model_reply(local)) as double:
        yield OpenAIBackend(url=double.url, model="tiny", dialect=request.param, retries=0, reasoning="keep")


@pytest.mark.row("N55")
def test_answer_is_that_of_the_model(backend):
    expected = LocalBackend(loaded=tiny_writer(), reasoning="keep").complete(PROMPTS[0], PLAIN)
    written = backend.complete(PROMPTS[0], PLAIN)
    assert (written.text, written.num_tokens, written.finish) == (expected.text, expected.num_tokens, "length")
    assert written.num_prompt_tokens > 0


@pytest.mark.row("N55")
def test_joined_stream_is_the_answer(backend):
    stream = backend.stream(PROMPTS[0], PLAIN)
    pieces, whole = list(stream), backend.complete(PROMPTS[0], PLAIN)
    assert len(pieces) > 1
    assert "".join(pieces) == whole.text == stream.written.text
    assert stream.written.finish == whole.finish
    assert stream.written.num_tokens is not None


@pytest.mark.row("N55")
def test_many_prompts_are_answered_as_each_alone(backend):
    together = backend.complete_all(PROMPTS[:3], PLAIN)
    assert [one.text for one in together] == [backend.complete(prompt, PLAIN).text for prompt in PROMPTS[:3]]


@pytest.mark.row("N55")
def test_seed_and_temperature_arrive(backend):
    def text(**values: float) -> str:
        return backend.complete(PROMPTS[1], PLAIN.changed(**values)).text

    assert text(seed=1) == text(seed=1) != text(seed=2)
    assert text(temperature=0.0, seed=1) == text(temperature=0.0, seed=2)


@pytest.mark.row("N55")
def test_top_p_stop_and_limit_arrive(backend):
    whole = backend.complete(PROMPTS[0], PLAIN)
    cut = backend.complete(PROMPTS[0], PLAIN.changed(stop=[whole.text[4:6]]))
    assert (cut.text, cut.finish) == (whole.text[: whole.text.index(whole.text[4:6])], "stop")
    assert backend.complete(PROMPTS[0], PLAIN.changed(max_new_tokens=2)).num_tokens == 2
    greedy = backend.complete(PROMPTS[0], PLAIN.changed(temperature=0.0)).text
    assert backend.complete(PROMPTS[0], PLAIN.changed(top_p=1e-6)).text == greedy


@pytest.mark.row("N55")
def test_penalty_and_top_k_arrive_or_are_refused(backend):
    changed = PLAIN.changed(repetition_penalty=1.8, top_k=3)
    if isinstance(backend, OpenAIBackend) and backend.dialect == "openai":
        with pytest.raises(ConfigError, match=r"^generate\.repetition_penalty must be 1 with backend\.dialect=openai"):
            backend.complete(PROMPTS[0], changed)
        with pytest.raises(ConfigError, match=r"^generate\.top_k must be 0 "):
            backend.complete(PROMPTS[0], PLAIN.changed(top_k=3))
    else:
        expected = LocalBackend(loaded=tiny_writer(), reasoning="keep").complete(PROMPTS[0], changed)
        assert backend.complete(PROMPTS[0], changed).text == expected.text


@pytest.mark.row("N55")
def test_history_arrives(backend):
    first = ask("The symbol is SPY.", system="Answer briefly.")
    follow_up = (*first, {"role": "assistant", "content": "Noted."}, {"role": "user", "content": "Which symbol?"})
    local = LocalBackend(loaded=tiny_writer(), reasoning="keep")
    assert backend.complete(follow_up, PLAIN).text == local.complete(follow_up, PLAIN).text
    assert backend.complete(follow_up, PLAIN).text != backend.complete(follow_up[-1:], PLAIN).text


def test_several_candidates_are_only_for_the_model_in_this_process(backend):
    several = PLAIN.changed(num_candidates=2)
    if isinstance(backend, LocalBackend):
        assert backend.complete(PROMPTS[0], several).text
    else:
        with pytest.raises(ConfigError, match=r"^generate\.num_candidates must be 1"):
            backend.complete(PROMPTS[0], several)


def test_local_prompt_beyond_the_context_is_refused():
    with pytest.raises(RunError, match="leave no room"):
        LocalBackend(loaded=tiny_writer()).complete(ask("price " * 300), PLAIN)


def test_local_model_whose_template_opens_the_reasoning_is_split_without_the_opening_mark():
    loaded = tiny_writer()
    template = loaded.tokenizer.chat_template
    loaded.tokenizer.chat_template = template.replace("assistant\n{% endif %}", "assistant\n<think>\n{% endif %}")
    try:
        local = LocalBackend(loaded=loaded)
        written = local.complete(PROMPTS[0], PLAIN)
        assert written.text == "".join(local.stream(PROMPTS[0], PLAIN)) == ""
        assert written.reasoning
    finally:
        loaded.tokenizer.chat_template = template


def node(path: Path) -> dict:
    return yaml.safe_load(path.read_text())


def test_options_of_servers_carry_the_same_keys():
    assert set(OPTIONS) == {"local", "ollama", "openai"}
    assert node(OPTIONS["ollama"]).keys() == node(OPTIONS["openai"]).keys()


@pytest.mark.row("N54")
def test_ollama_option_is_the_default_endpoint_and_model():
    built = build(node(OPTIONS["ollama"]), key="backend")
    assert (built.transport.url, built.model) == ("http://localhost:11434", "deepseek-r1:8b")


def test_local_option_is_built_with_the_model():
    built = build(node(OPTIONS["local"]), key="backend", loaded=tiny_writer())
    assert built.complete(PROMPTS[0], PLAIN).text


def test_openai_option_reads_its_key_from_the_environment_only(monkeypatch):
    content = node(OPTIONS["openai"]) | {"model": "m"}
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(
        ConfigError, match=r"^backend\.key_variable: the environment variable OPENAI_API_KEY is not set"
    ):
        build(content, key="backend")
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    assert "secret" not in repr(vars(build(content, key="backend")))
