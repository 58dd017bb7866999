"""What adapters, quantisations and language models are refused together, and that nothing heavy is imported for it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tradewright.config.choice import Finding
from tradewright.config.compose import open_hydra
from tradewright.config.language_rules import adapter_faults, known_architecture
from tradewright.config.rules import apply_rules, describe
from tradewright.paths import shipped

CONF = shipped("conf")
SHIPPED = {group: sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in ("lora", "quant")}
MODELS = ["tiny_qwen2", "tiny_gpt2", "tiny_mistral", "deepseek_r1_qwen_1_5b", "deepseek_r1_8b", "mistral_7b"]


def faults(*overrides: str, learns: bool = True) -> list[str]:
    """Return the faults of shipped options with keys changed, written as on the command line."""
    pairs = [text.split("=", 1) for text in overrides]
    options = {"lora": "none", "quant": "none", "model": "tiny_qwen2"} | {k: v for k, v in pairs if "." not in k}
    nodes = {
        group: dict(yaml.safe_load((CONF / group / f"{option}.yaml").read_text())) for group, option in options.items()
    }
    for key, value in pairs:
        group, _, name = key.partition(".")
        if name:
            nodes[group][name] = yaml.safe_load(value)
    return adapter_faults(nodes["lora"], nodes["quant"], nodes["model"], learns=learns)


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
def test_impossible_combination_is_one_sentence(overrides: list[str], fault: str) -> None:
    found = faults(*overrides)
    assert any(line.startswith(fault) for line in found), found
    assert all("\n" not in line for line in found)


def test_shipped_options_fit_each_other_but_for_the_known_ones() -> None:
    refused = set()
    for model in MODELS:
        for lora in SHIPPED["lora"]:
            for quant in SHIPPED["quant"]:
                if faults(f"model={model}", f"lora={lora}", f"quant={quant}"):
                    refused.add((model, lora, quant))
    expected = {(model, "none", quant) for model in MODELS for quant in ("nf4", "nf4_fp16", "int8")}
    expected |= {(model, "pissa", quant) for model in MODELS for quant in ("nf4", "nf4_fp16", "int8")}
    expected |= {(model, "dora", "int8") for model in MODELS}
    expected |= {
        (model, "gpt2_attention", quant) for model in MODELS if model != "tiny_gpt2" for quant in SHIPPED["quant"]
    }
    expected |= {("tiny_gpt2", "embedded", quant) for quant in SHIPPED["quant"]}
    assert refused == expected


def test_use_without_training_needs_no_adapter() -> None:
    assert faults("model=mistral_7b", "quant=nf4", learns=False) == []
    assert faults("model=mistral_7b", "quant=nf4", "model.adapter=outputs/a") == []


def test_architecture_of_a_folder_is_read_from_its_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "gpt2"}))
    overrides = ["model=local", f"model.name={tmp_path}", "lora=r16", "lora.target_modules=[q_proj]"]
    assert faults(*overrides) != []
    (tmp_path / "config.json").write_text("no json")
    assert faults(*overrides) == []  # unknown architectures are left to the loader
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


def findings(*overrides: str) -> list[Finding]:
    cfg = open_hydra().compose(list(overrides))
    return apply_rules(describe(cfg, cfg.hydra))


@pytest.mark.parametrize(
    ("overrides", "message", "is_misfit"),
    [
        (["quant=nf4"], "quant: quantised weights cannot be trained themselves", True),
        (["lora=pissa", "quant=nf4"], "lora.init_lora_weights: PiSSA decomposes weights in full precision", True),
        (["lora=gpt2_attention"], "lora.target_modules: mistral has no layer 'c_attn'", True),
        (["lora=r16", "lora.r=0"], "lora.r must be >= 1, was 0", False),
    ],
)
def test_command_that_trains_is_refused_before_anything_is_loaded(
    overrides: list[str], message: str, is_misfit: bool
) -> None:
    found = [one for one in findings("experiment=trading_llm", *overrides) if one.is_error]
    assert found
    assert found[0].message.startswith(message)
    assert found[0].is_misfit is is_misfit


def test_adapters_of_no_language_model_are_not_judged() -> None:
    assert not [one for one in findings("lora=gpt2_attention", "quant=nf4", "lora.r=0") if one.is_error]


@pytest.mark.parametrize("task", ["explain", "commentary", "chat"])
def test_settings_of_writing_have_effect_where_a_run_brings_the_model(task: str) -> None:
    words = (f"task={task}", "task.run=outputs/a", "generate.temperature=0", "lora.r=8")
    said = [one.message for one in findings(*words)]
    assert [text.split(" has no effect")[0] for text in said] == ["generate.temperature", "lora.r"]
    said = [one.message for one in findings(*words, "task.llm=outputs/b")]
    assert [text.split(" has no effect")[0] for text in said] == ["lora.r"]
