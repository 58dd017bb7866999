"""GGUF: read back by transformers' own reader, token for token; what llama.cpp cannot read is refused."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from gguf import GGUFReader
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, trainers
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from tradewright.errors import ConfigError, RunError
from tradewright.model.chat import encode_prompt
from tradewright.model.chat_templates import TEMPLATES
from tradewright.model.gguf import read_back_error, require_exact, write_gguf
from tradewright.model.language_model import LanguageModel
from tradewright.model.loaded_model import LoadedModel
from tradewright.model.modelfile import known_template, modelfile
from tradewright.model.tokenizer import SAMPLES

ARCHITECTURES = ("qwen2", "gpt2", "mistral", "llama")


@pytest.fixture(scope="module")
def loaded(tiny: Callable[..., LanguageModel]) -> Callable[[str], LoadedModel]:
    """A model whose norms and biases are no longer what a fresh one has, so that none can be mixed up."""

    def make(architecture: str) -> LoadedModel:
        found = tiny(architecture, "byte").load()
        generator = torch.Generator().manual_seed(0)
        for parameter in found.model.parameters():
            parameter.data += 0.05 * torch.randn(parameter.shape, generator=generator)
        return found

    return make


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize(("kind", "largest"), [("f32", 1e-6), ("f16", 3e-3), ("q8_0", 5e-2)])
def test_file_reads_back_as_the_model(
    loaded: Callable[[str], LoadedModel], tmp_path: Path, architecture: str, kind: str, largest: float
) -> None:
    one = loaded(architecture)
    path = tmp_path / "model.gguf"
    write_gguf(one.model, one.tokenizer, path, kind=kind)  # type: ignore[arg-type]
    assert read_back_error(path, one.model, one.tokenizer) < largest
    assert [file.name for file in tmp_path.iterdir()] == ["model.gguf"]


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_tokens_read_back_as_the_tokenizer(
    loaded: Callable[[str], LoadedModel], tmp_path: Path, architecture: str
) -> None:
    one = loaded(architecture)
    write_gguf(one.model, one.tokenizer, tmp_path / "model.gguf")
    again = AutoTokenizer.from_pretrained(str(tmp_path), gguf_file="model.gguf")
    for sample in SAMPLES:
        assert again.encode(sample, add_special_tokens=False) == one.tokenizer.encode(sample, add_special_tokens=False)
    assert (again.eos_token_id, again.bos_token_id) == (one.tokenizer.eos_token_id, one.tokenizer.bos_token_id)
    reader = GGUFReader(tmp_path / "model.gguf")
    assert reader.fields["tokenizer.ggml.pre"].contents() == "qwen2"
    assert reader.fields["tokenizer.chat_template"].contents() == one.tokenizer.chat_template
    kinds = reader.fields["tokenizer.ggml.token_type"].contents()
    assert [n for n, kind in enumerate(kinds) if kind == 3] == [0, 1, 2, 3]  # the control tokens


def test_name_that_transformers_would_misread_is_replaced(loaded: Callable[[str], LoadedModel], tmp_path: Path) -> None:
    one = loaded("mistral")
    write_gguf(one.model, one.tokenizer, tmp_path / "model.gguf", name="My-Mistral")
    assert "mistral" not in GGUFReader(tmp_path / "model.gguf").fields["general.name"].contents().lower()


def test_context_is_the_window_that_the_model_attends_to(loaded: Callable[[str], LoadedModel], tmp_path: Path) -> None:
    one = loaded("mistral")
    one.model.config.sliding_window = 64
    write_gguf(one.model, one.tokenizer, tmp_path / "model.gguf")
    assert GGUFReader(tmp_path / "model.gguf").fields["llama.context_length"].contents() == 64


def test_line_tokenizer_is_refused_in_one_sentence(tiny: Callable[..., LanguageModel], tmp_path: Path) -> None:
    one = tiny("qwen2", "line").load()
    with pytest.raises(
        ConfigError, match=r"cannot be written as GGUF: its tokenizer cuts texts .* model\.tokenizer=byte"
    ):
        write_gguf(one.model, one.tokenizer, tmp_path / "model.gguf")
    assert list(tmp_path.iterdir()) == []


def test_unknown_architecture_and_kind_are_refused(loaded: Callable[[str], LoadedModel], tmp_path: Path) -> None:
    one = loaded("qwen2")
    with pytest.raises(ValueError, match="kind must be f32, f16 or q8_0, was 'q4_k'"):
        write_gguf(one.model, one.tokenizer, tmp_path / "x.gguf", kind="q4_k")  # type: ignore[arg-type]
    one.model.config.model_type = "mamba"
    with pytest.raises(ConfigError, match="the architecture mamba is none of qwen2, llama, mistral, gpt2"):
        write_gguf(one.model, one.tokenizer, tmp_path / "x.gguf")


def test_file_of_another_model_is_caught(loaded: Callable[[str], LoadedModel], tmp_path: Path) -> None:
    one = loaded("llama")
    write_gguf(one.model, one.tokenizer, tmp_path / "model.gguf", kind="f32")
    one.model.model.layers[0].self_attn.q_proj.weight.data[0] += 1.0
    with pytest.raises(RunError, match="read back, its logits are off by"):
        require_exact(tmp_path / "model.gguf", one.model, one.tokenizer, "f32")


def test_rotation_of_llama3_is_written_as_transformers_computes_it(
    loaded: Callable[[str], LoadedModel], tmp_path: Path
) -> None:
    rotation = {
        "rope_type": "llama3",
        "rope_theta": 500_000.0,
        "factor": 8.0,
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    one = loaded("llama")
    config = LlamaConfig(**{**one.model.config.to_dict(), "rope_parameters": rotation, "head_dim": 128})
    model = LlamaForCausalLM(config)
    write_gguf(model, one.tokenizer, tmp_path / "model.gguf")
    written = next(
        tensor.data for tensor in GGUFReader(tmp_path / "model.gguf").tensors if tensor.name == "rope_freqs.weight"
    )
    plain = 1.0 / rotation["rope_theta"] ** (np.arange(0, 128, 2) / 128)
    np.testing.assert_allclose(plain / written, model.model.rotary_emb.inv_freq.numpy(), rtol=1e-5)
    config.rope_parameters["rope_type"] = "yarn"
    with pytest.raises(ConfigError, match="rope_type 'yarn' cannot be written as GGUF here"):
        write_gguf(model, one.tokenizer, tmp_path / "other.gguf")


def test_sentencepiece_like_tokenizer_of_llama2_and_mistral_is_written(
    loaded: Callable[[str], LoadedModel], texts: tuple[str, ...], tmp_path: Path
) -> None:
    """Tokens, scores in the order of merges and byte tokens; transformers' reader makes the same tokenizer of them."""
    tokenizer = _sentencepiece_like(texts)
    one = loaded("llama")
    one.model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    write_gguf(one.model, tokenizer, tmp_path / "model.gguf", kind="f32")
    reader = GGUFReader(tmp_path / "model.gguf")
    assert reader.fields["tokenizer.ggml.model"].contents() == "llama"
    kinds = reader.fields["tokenizer.ggml.token_type"].contents()
    assert [kinds.count(kind) for kind in (6, 2, 3)] == [256, 1, 3]
    again = AutoTokenizer.from_pretrained(str(tmp_path), gguf_file="model.gguf")
    for text in (*texts[:5], SAMPLES[0]):
        assert again.encode(text, add_special_tokens=False) == tokenizer.encode(text, add_special_tokens=False)


@pytest.mark.parametrize("name", ["chatml", "turns", "mistral"])
def test_modelfile_holds_the_template_and_the_end_token(loaded: Callable[[str], LoadedModel], name: str) -> None:
    one = loaded("qwen2")
    one.tokenizer.chat_template = "{# the same text, written otherwise #}" + TEMPLATES[name].jinja
    assert known_template(one.tokenizer).name == name
    lines = modelfile(one.tokenizer, file="model-f16.gguf", max_length=256)
    assert "FROM ./model-f16.gguf\n" in lines
    assert 'PARAMETER stop "<|im_end|>"\nPARAMETER num_ctx 256\n' in lines
    assert "EOS" not in lines
    assert lines.count('"""') == 2


@pytest.mark.parametrize("name", ["chatml", "turns", "mistral"])
def test_go_template_writes_what_the_jinja_template_writes(loaded: Callable[[str], LoadedModel], name: str) -> None:
    """The Go text is run by a small reader of the few forms it uses, written for this test."""
    one = loaded("qwen2")
    one.tokenizer.chat_template = TEMPLATES[name].jinja
    messages = (
        {"role": "system", "content": "s"},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c"},
    )
    expected = one.tokenizer.decode(encode_prompt(one.tokenizer, messages))  # type: ignore[arg-type]
    written = _run_go(TEMPLATES[name].go.replace("EOS", one.tokenizer.eos_token), messages)
    assert written == expected.removeprefix(one.tokenizer.bos_token)  # llama.cpp adds BOS by itself


def test_template_unknown_to_ollama_is_refused(loaded: Callable[[str], LoadedModel]) -> None:
    one = loaded("qwen2")
    one.tokenizer.chat_template = "{% for m in messages %}### {{ m.role }}: {{ m.content }}{{ eos_token }}{% endfor %}"
    with pytest.raises(ConfigError, match="the model's chat template is none of chatml, turns, mistral, deepseek"):
        modelfile(one.tokenizer, file="x.gguf", max_length=8)


def _sentencepiece_like(texts: tuple[str, ...]) -> PreTrainedTokenizerFast:
    """Return a tokenizer of the kind of Llama 2: spaces as ``▁``, bytes where a character is unknown."""
    learner = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    learner.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    special = ["<unk>", "<s>", "</s>", "<|pad|>", *(f"<0x{n:02X}>" for n in range(256))]
    learner.train_from_iterator(texts, trainers.BpeTrainer(vocab_size=500, special_tokens=special, show_progress=False))
    content = json.loads(learner.to_str())
    content["added_tokens"] = [token for token in content["added_tokens"] if not token["content"].startswith("<0x")]
    tokenizer = Tokenizer.from_str(json.dumps(content))
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    tokenizer.add_special_tokens([AddedToken(text, special=True, normalized=False) for text in special[:4]])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="<|pad|>"
    )
    fast.chat_template = TEMPLATES["mistral"].jinja
    return fast


def _run_go(template: str, messages) -> str:
    """Run ``range .Messages``, ``if eq .Role``, ``else``, variables and ``printf`` of a Go template."""
    import re

    pieces = re.split(r"(\{\{-?.*?-?\}\})", template, flags=re.DOTALL)
    before, inside, after = [], [], []
    depth, target = 0, before
    for piece in pieces:
        command = piece.strip("{}- ") if piece.startswith("{{") else None
        if command is not None and command.startswith("range"):
            depth, target = 1, inside
            continue
        if command is not None and command.startswith("if"):
            depth += 1
        if command == "end":
            depth -= 1
            if depth == 0:
                target = after
                continue
        target.append((command, piece))
    variables: dict[str, str] = {}

    def value(text: str, message) -> str:
        if text in (".Content", ".Role"):
            return message[text[1:].lower()]
        if text.startswith("printf"):
            form, argument = re.fullmatch(r'printf "(.*)" (\S+)', text).groups()  # type: ignore[union-attr]
            return json.loads(f'"{form}"') % value(argument, message)
        return variables[text] if text.startswith("$") else json.loads(text)

    def run(items, message) -> str:
        written, is_active, is_done = "", True, False
        for command, piece in items:
            if command is None:
                written += piece if is_active else ""
            elif command.startswith(("if", "else")):
                found = re.search(r'eq \.Role "(\w+)"', command)
                if command.startswith("if"):
                    is_done = False
                is_active = not is_done and (found is None or message["role"] == found.group(1))
                is_done = is_done or is_active
            elif command == "end":
                is_active = True
            elif is_active and "=" in command:
                name, expression = re.split(r"\s*:?=\s*", command, maxsplit=1)
                variables[name] = value(expression, message)
            elif is_active:
                written += value(command, message)
        return written

    return run(before, None) + "".join(run(inside, message) for message in messages) + run(after, None)
