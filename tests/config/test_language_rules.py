"""What adapters, quantisations and language models are refused together, and that nothing heavy is imported for it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tradewright.config.check import plain
from tradewright.config.compose import Composer, open_hydra
from tradewright.config.language_rules import adapter_faults, known_architecture

SHIPPED: dict[str, list[str]] = {
    group: sorted(path.stem for path in (Path(__file__).parents[2] / "conf" / group).glob("*.yaml"))
    for group in ("lora", "quant")
}
MODELS = ["tiny_qwen2", "tiny_gpt2", "tiny_mistral", "deepseek_r1_qwen_1_5b", "deepseek_r1_8b", "mistral_7b"]


@pytest.fixture(scope="module")
def composer() -> Composer:
    return open_hydra()


def faults(composer: Composer, *overrides: str, learns: bool = True) -> list[str]:
    content = plain(composer.compose(list(overrides)), [])
    return adapter_faults(content["lora"], content["quant"], content["model"], learns=learns)


@pytest.mark.parametrize(
    ("overrides", "fault"),
    [
        (["quant=nf4"], "quant: quantised weights cannot be trained themselves; add an adapter (lora=r16)"),
        (["quant=int8"], "quant: quantised weights cannot be trained themselves"),
        (["lora=pissa", "quant=nf4"], "lora.init_lora_weights: PiSSA decomposes weights in full precision; use"),
        (["lora=pissa", "quant=int8"], "lora.init_lora_weights: PiSSA decomposes weights in full precision; use"),
        (["lora=r16", "lora.init_lora_weights=olora", "quant=nf4"], "lora.init_lora_weights: OLoRA changes weights"),
        (["lora=r16", "lora.init_lora_weights=orthogonal", "quant=nf4"], "lora.init_lora_weights: orthogonal init"),
        (["lora=r16", "lora.init_lora_weights=mica", "quant=nf4"], "lora.init_lora_weights: MiCA decomposes"),
        (["lora=pissa", "lora.init_lora_weights=pissa_niter_4"], "lora.init_lora_weights: pissa_niter_4 is random"),
        (
            ["lora=r16", "lora.init_lora_weights=loftq"],
            "lora.init_lora_weights: loftq is not supported: LoftQ quantises",
        ),
        (["lora=r16", "lora.init_lora_weights=corda"], "lora.init_lora_weights: corda is not supported: CorDA needs"),
        (["model=tiny_gpt2", "lora=r16", "lora.init_lora_weights=olora"], "lora.init_lora_weights: OLoRA cannot start"),
        (["model=dialogpt_medium", "lora=r16", "lora.init_lora_weights=olora"], "lora.init_lora_weights: OLoRA cannot"),
        (["lora=dora", "quant=int8"], "lora.use_dora: DoRA cannot start on 8-bit weights; use quant=nf4"),
        (["lora=gpt2_attention"], "lora.target_modules: qwen2 has no layer 'c_attn'; it has q_proj, k_proj, v_proj"),
        (["model=mistral_7b", "lora=gpt2_attention"], "lora.target_modules: mistral has no layer 'c_attn'"),
        (["model=tiny_gpt2", "lora=r16", "lora.target_modules=[q_proj]"], "lora.target_modules: gpt2 has no layer"),
        (["lora=r16", "lora.target_modules=q_proj"], "lora.target_modules: a text is a pattern of whole paths; for"),
        (["model=tiny_gpt2", "lora=embedded"], "lora.modules_to_save: gpt2 has no embed_tokens; use wte"),
        (["model=tiny_gpt2", "lora=embedded"], "lora.ensure_weight_tying: PEFT cannot keep the embedding of gpt2"),
        (["lora=r16", "lora.r=0"], "lora.r must be >= 1, was 0; lora=none trains without an adapter"),
        (["lora=r16", "lora.lora_dropout=1.0"], "lora.lora_dropout must be >= 0 and < 1, was 1.0"),
        (["lora=r16", "quant=nf4", "quant.load_in_8bit=true"], "quant.load_in_4bit and load_in_8bit cannot both be"),
        (["quant.load_in_4bit=true"], "quant.load_in_4bit: has no effect with quant=none; use quant=nf4 or"),
    ],
)
def test_impossible_combination_is_one_sentence(composer: Composer, overrides: list[str], fault: str) -> None:
    model = [] if any(text.startswith("model=") for text in overrides) else ["model=tiny_qwen2"]
    found = faults(composer, *model, *overrides)
    assert any(line.startswith(fault) for line in found), found
    assert all("\n" not in line for line in found)


def test_shipped_options_fit_each_other_but_for_the_known_ones(composer: Composer) -> None:
    refused = set()
    for model in MODELS:
        for lora in SHIPPED["lora"]:
            for quant in SHIPPED["quant"]:
                if faults(composer, f"model={model}", f"lora={lora}", f"quant={quant}"):
                    refused.add((model, lora, quant))
    expected = {(model, "none", quant) for model in MODELS for quant in ("nf4", "nf4_fp16", "int8")}
    expected |= {(model, "pissa", quant) for model in MODELS for quant in ("nf4", "nf4_fp16", "int8")}
    expected |= {(model, "dora", "int8") for model in MODELS}
    expected |= {
        (model, "gpt2_attention", quant) for model in MODELS if model != "tiny_gpt2" for quant in SHIPPED["quant"]
    }
    expected |= {("tiny_gpt2", "embedded", quant) for quant in SHIPPED["quant"]}
    assert refused == expected


def test_use_without_training_needs_no_adapter(composer: Composer) -> None:
    assert faults(composer, "model=mistral_7b", "quant=nf4", learns=False) == []
    assert faults(composer, "model=mistral_7b", "quant=nf4", "model.adapter=outputs/a") == []


def test_architecture_of_a_folder_is_read_from_its_configuration(composer: Composer, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    overrides = ["model=local", f"model.name={tmp_path}", "lora=r16", "lora.target_modules=[q_proj]"]
    assert faults(composer, *overrides) != []
    (tmp_path / "config.json").write_text("no json")
    assert faults(composer, *overrides) == []  # unknown architectures are left to the loader
    assert known_architecture({"name": "nobody/model"}) is None
    assert known_architecture({"name": None}) is None
    assert known_architecture({}) is None


def test_rules_import_nothing_heavy() -> None:
    code = (
        "import sys; from tradewright.config.language_rules import adapter_faults;"
        "print([m for m in ('torch', 'transformers', 'peft', 'tokenizers') if m in sys.modules])"
    )
    shown: Any = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
