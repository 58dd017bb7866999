"""Loading: deterministic, complete, with padding of its own; presets; the sizes of the published architectures."""

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from language_model_steps import built, logits, train
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, GPT2Config, LlamaConfig, MistralConfig, Qwen2Config

from tradewright.config.inert import NoLora, NoQuantization
from tradewright.errors import ConfigError, DataError
from tradewright.model.adapters import peft_calls
from tradewright.model.language_model import LanguageModel
from tradewright.model.loaded_model import count_parameters, describe_share
from tradewright.model.tiny_language_model import TinyLanguageModel
from tradewright.paths import shipped

ARCHITECTURES = ("qwen2", "gpt2", "mistral", "llama")

PUBLISHED: dict[str, tuple[Any, int]] = {
    "DialoGPT-medium": (
        GPT2Config(n_layer=24, n_embd=1024, n_head=16, n_positions=1024, vocab_size=50257),
        354_823_168,
    ),
    "Mistral-7B-v0.1": (
        MistralConfig(
            num_hidden_layers=32,
            hidden_size=4096,
            num_attention_heads=32,
            num_key_value_heads=8,
            intermediate_size=14336,
            vocab_size=32000,
        ),
        7_241_732_096,
    ),
    "DeepSeek-R1-Distill-Qwen-1.5B": (
        Qwen2Config(
            num_hidden_layers=28,
            hidden_size=1536,
            num_attention_heads=12,
            num_key_value_heads=2,
            intermediate_size=8960,
            vocab_size=151936,
            tie_word_embeddings=False,
        ),
        1_777_088_000,
    ),
    "DeepSeek-R1-Distill-Llama-8B": (
        LlamaConfig(
            num_hidden_layers=32,
            hidden_size=4096,
            num_attention_heads=32,
            num_key_value_heads=8,
            intermediate_size=14336,
            vocab_size=128256,
        ),
        8_030_261_248,
    ),
}
"""The config.json of each model and the number of weights in its files, as its page on the hub shows it."""


def on_meta(name: str) -> torch.nn.Module:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(PUBLISHED[name][0], dtype=torch.float32)


@pytest.mark.parametrize("architecture", ["qwen2", "gpt2"])
def test_loading_twice_gives_the_same_model(
    tiny: Callable[..., LanguageModel], ids_of: Callable[..., torch.Tensor], architecture: str
) -> None:
    model = tiny(architecture)
    lora = LoraConfig(r=4, target_modules="all-linear")
    torch.manual_seed(1)
    first = model.load(lora=lora, seed=3, for_training=True)
    torch.manual_seed(2)
    second = model.load(lora=lora, seed=3, for_training=True)
    other = model.load(lora=lora, seed=4, for_training=True)
    assert _equal(first.model, second.model)
    assert not _equal(first.model, other.model)
    ids_BL = ids_of(first)
    torch.testing.assert_close(logits(first, ids_BL), logits(second, ids_BL), rtol=0, atol=0)


def test_loading_leaves_the_global_generator_alone(tiny: Callable[..., LanguageModel]) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    tiny("qwen2").load(lora=LoraConfig(r=4, target_modules="all-linear"), seed=9, for_training=True)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.row("T11")
@pytest.mark.row("R1")
@pytest.mark.row("L1")
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_model_of_every_architecture_loads_and_learns(
    tiny: Callable[..., LanguageModel], ids_of: Callable[..., torch.Tensor], architecture: str
) -> None:
    loaded = tiny(architecture).load(for_training=True)
    assert loaded.facts["architecture"] == architecture
    assert (loaded.facts["trainable_share"], loaded.facts["lora"], loaded.facts["quant"]) == (1.0, None, "none")
    losses = train(loaded, ids_of(loaded), num_steps=8, lr=0.1)
    assert losses[-1] < losses[0] - 0.5


def test_model_for_use_trains_nothing_and_has_no_dropout(tiny: Callable[..., LanguageModel]) -> None:
    loaded = tiny("gpt2").load(lora=NoLora(), quant=NoQuantization())
    assert not loaded.model.training
    assert not any(parameter.requires_grad for parameter in loaded.model.parameters())
    assert loaded.facts["num_trainable"] == 0


def test_same_texts_settings_and_seed_build_the_same_files(texts: tuple[str, ...], tmp_path: Path) -> None:
    node = TinyLanguageModel(width=64, heads=4, feed_forward=96, vocabulary=300)
    folders = [
        Path(str(node.build(order, tmp_path / name, 1).name)) for order, name in ((texts, "a"), (texts[::-1], "b"))
    ]
    for file in sorted(path.name for path in folders[0].iterdir()):
        assert (folders[0] / file).read_bytes() == (folders[1] / file).read_bytes(), file
    other = Path(str(node.build(texts, tmp_path / "c", 2).name))
    assert (other / "model.safetensors").read_bytes() != (folders[0] / "model.safetensors").read_bytes()
    assert (other / "tokenizer.json").read_bytes() == (folders[0] / "tokenizer.json").read_bytes()


def test_built_folder_is_taken_again_and_never_overwritten(texts: tuple[str, ...], tmp_path: Path) -> None:
    node = TinyLanguageModel(width=64, heads=4, feed_forward=96, vocabulary=300)
    first = node.prepare(texts, folder=tmp_path / "base", seed=0)
    written = (tmp_path / "base" / "model.safetensors").stat().st_mtime_ns
    assert node.prepare(texts, folder=tmp_path / "base", seed=0) == first
    assert (tmp_path / "base" / "model.safetensors").stat().st_mtime_ns == written
    with pytest.raises(DataError, match="holds something else than this model; delete it"):
        node.prepare(texts[:50], folder=tmp_path / "base", seed=0)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base"]
    assert replace(node, name=str(tmp_path / "base")).prepare([], folder=tmp_path / "x", seed=0) == first


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"width": 190}, "width must be a multiple of 2 * heads = 12, was 190"),
        ({"layers": 0}, "layers must be >= 1, was 0"),
        ({"dropout": 0.1}, "dropout must be 0 for qwen2, which has none, was 0.1"),
        ({"architecture": "gpt2", "dropout": 1.0}, "dropout must be >= 0 and < 1, was 1.0"),
        ({"max_length": 1}, "max_length must be >= 2, was 1"),
        ({"dtype": "float8"}, "dtype must be one of auto, float32, bfloat16, float16, was 'float8'"),
        ({"knowledge_cutoff": "2024"}, "knowledge_cutoff must be an ISO date or null, was '2024'"),
    ],
)
def test_settings_that_cannot_be_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TinyLanguageModel(**values)


def test_model_that_cannot_be_had_is_told_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)  # without a network it would try for a minute
    with pytest.raises(ConfigError) as raised:
        LanguageModel(name="microsoft/DialoGPT-medium-of-nobody").load()
    text = str(raised.value)
    assert text.startswith("model.name: the tokenizer of 'microsoft/DialoGPT-medium-of-nobody' is neither in a folder")
    assert "\n" not in text
    for hint in ("HF_HOME", "network", "model=local model.name=<folder>", "model=tiny_qwen2"):
        assert hint in text


def test_folder_without_a_model_is_told_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^model.name: the tokenizer in the folder .* cannot be read") as raised:
        LanguageModel(name=str(tmp_path)).load()
    assert "\n" not in str(raised.value)


def test_unnamed_and_unbuilt_models_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"model.name: must be given, it is null; a folder or a name on the hub"):
        LanguageModel().load()
    with pytest.raises(ConfigError, match=r"model.name: must be given, it is null; this model is built from texts"):
        TinyLanguageModel().load()


def test_length_beyond_the_positions_is_refused(tiny: Callable[..., LanguageModel]) -> None:
    with pytest.raises(ConfigError, match=r"model.max_length must be <= 256, the positions of .*, was 512"):
        replace(tiny("gpt2"), max_length=512).load()


@pytest.mark.parametrize("name", ["flash_attention_2", "sdpaa"])
def test_attention_that_is_not_there_is_told_by_its_key(tiny: Callable[..., LanguageModel], name: str) -> None:
    with pytest.raises(ConfigError, match=rf"^model\.attention: '{name}' cannot be used, try sdpa: ") as raised:
        replace(tiny("qwen2"), attention=name).load()
    assert "\n" not in str(raised.value)


def test_file_that_lacks_weights_is_refused(tiny: Callable[..., LanguageModel], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = shutil.copytree(str(tiny("qwen2").name), tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    weights.pop("model.layers.1.mlp.up_proj.weight")
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"its file lacks 1 of the weights, such as model\.layers\.1\.mlp\.up_proj"):
        LanguageModel(name=str(folder), max_length=256).load()


@pytest.mark.parametrize("architecture", ["gpt2", "llama"])
def test_added_padding_gets_the_mean_row_which_never_wins(
    tiny: Callable[..., LanguageModel], ids_of: Callable[..., torch.Tensor], tmp_path: Path, architecture: str
) -> None:
    """The twin of DialoGPT and Mistral, whose files have no padding token: one row more, all others unchanged."""
    model = tiny(architecture)
    folder = shutil.copytree(str(model.name), tmp_path / "model")
    _drop_padding(folder)
    before, loaded = model.load(), replace(model, name=str(folder)).load()
    assert loaded.facts["num_added_tokens"] == 1
    assert loaded.tokenizer.pad_token_id == loaded.facts["vocabulary"] - 1
    assert loaded.model.get_input_embeddings().weight.shape[0] == loaded.facts["vocabulary"]
    ids_BL = ids_of(before)
    found, expected = logits(loaded, ids_BL), logits(before, ids_BL)
    torch.testing.assert_close(found[..., :-1], expected, rtol=0, atol=1e-6)
    torch.testing.assert_close(found[..., -1], expected.mean(-1), rtol=0, atol=1e-5)


@pytest.mark.row("X1")
@pytest.mark.parametrize("name", PUBLISHED)
def test_architecture_has_the_published_number_of_parameters(name: str) -> None:
    assert count_parameters(on_meta(name))[0] == PUBLISHED[name][1]


@pytest.mark.row("X1")
@pytest.mark.row("R2")
@pytest.mark.row("N53")
def test_adapter_of_dialogpt_medium_is_one_point_two_percent() -> None:
    with torch.device("meta"), peft_calls():
        model = get_peft_model(on_meta("DialoGPT-medium"), built("lora", "gpt2_attention"))
    total, trained = count_parameters(model)
    wrapped = [name for name, module in model.named_modules() if hasattr(module, "lora_A") and ".h.0." in name]
    assert [name.partition(".h.0.")[2] for name in wrapped] == ["attn.c_attn", "attn.c_proj", "mlp.c_proj"]
    assert trained == 24 * 16 * ((1024 + 3072) + (1024 + 1024) + (4096 + 1024)) == 4_325_376
    assert trained / total == pytest.approx(0.012, abs=2e-4)
    facts = {"trainable_share": trained / total, "num_trainable": trained, "num_parameters": total - trained}
    assert describe_share(facts) == "4,325,376 of 354,823,168 parameters are trained (1.204%)"


@pytest.mark.row("L1")
@pytest.mark.row("T11")
@pytest.mark.row("R1")
@pytest.mark.parametrize(
    ("option", "name", "length"),
    [
        ("deepseek_r1_qwen_1_5b", "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B", 4096),
        ("deepseek_r1_8b", "deepseek-ai/DeepSeek-R1-Distill-Llama-8B", 4096),
        ("mistral_7b", "mistralai/Mistral-7B-v0.1", 2048),
        ("dialogpt_medium", "microsoft/DialoGPT-medium", 1024),
    ],
)
def test_preset_names_its_model(option: str, name: str, length: int) -> None:
    model = built("model", option)
    assert (model.name, model.max_length) == (name, length)
    assert model.knowledge_cutoff is not None
    assert model.prepare([], folder=Path("unused"), seed=0) is model


def test_language_models_carry_the_same_keys() -> None:
    nodes = [yaml.safe_load(path.read_text()) for path in sorted((shipped("conf") / "model").glob("*.yaml"))]
    language = [node for node in nodes if node["_target_"].endswith("LanguageModel")]
    assert len(language) == 8
    common = set(LanguageModel.__dataclass_fields__) - {"is_language_model", "must_be_built"}
    assert all(common <= node.keys() for node in language)


def _equal(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    own, other = first.state_dict(), second.state_dict()
    return own.keys() == other.keys() and all(torch.equal(own[key], other[key]) for key in own)


def _drop_padding(folder: Path) -> None:
    """Turn the padding token into an ordinary one, as if the model had never had it."""
    content = json.loads((folder / "tokenizer.json").read_text())
    content["added_tokens"] = [token for token in content["added_tokens"] if token["content"] != "<|pad|>"]
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {("unused" if text == "<|pad|>" else text): n for text, n in vocabulary.items()}
    (folder / "tokenizer.json").write_text(json.dumps(content))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    settings.pop("pad_token")
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
