"""The settings that the source systems name, as this framework composes them."""

import pytest

from tradewright.config.compose import compose

PAIRS = ("env=none", "examples=json", "examples.path=pairs.jsonl")


@pytest.mark.row("L8")
@pytest.mark.row("L1")
def test_lean_code_generation_has_the_values_of_its_source() -> None:
    cfg = compose(
        [*PAIRS, "model=deepseek_r1_qwen_1_5b", "lora=r16", "quant=nf4_fp16", "algorithm=sft_lean",
         "trainer.precision=16-mixed", "algorithm.gradient_checkpointing=true"]
    )  # fmt: skip
    assert cfg.model.name == "deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B"
    assert cfg.model.max_length == 4096
    assert (cfg.lora.r, cfg.lora.lora_alpha, cfg.lora.lora_dropout) == (16, 32, 0.1)
    assert (cfg.algorithm.epochs, cfg.algorithm.batch_size, cfg.algorithm.accumulation) == (3, 1, 8)
    assert cfg.algorithm.lr == 2e-4
    assert (cfg.quant.load_in_4bit, cfg.quant.bnb_4bit_quant_type) == (True, "nf4")
    assert cfg.quant.bnb_4bit_compute_dtype == "float16"
    assert cfg.trainer.precision == "16-mixed"


@pytest.mark.row("X14")
@pytest.mark.row("X5")
def test_every_system_has_adapter_settings_of_its_own() -> None:
    trading = compose([*PAIRS, "model=mistral_7b", "lora=r32", "algorithm=sft_trading"])
    assert (trading.lora.r, trading.lora.lora_alpha, trading.lora.lora_dropout) == (32, 64, 0.05)
    assert (trading.algorithm.epochs, trading.algorithm.batch_size, trading.algorithm.accumulation) == (5, 8, 4)
    rook = compose([*PAIRS, "model=dialogpt_medium", "lora=gpt2_attention", "algorithm=sft_rook"])
    assert (rook.lora.r, rook.lora.lora_alpha, rook.lora.lora_dropout) == (16, 32, 0.1)
    assert list(rook.lora.target_modules) == ["c_attn", "c_proj"]
    assert (rook.algorithm.epochs, rook.algorithm.batch_size, rook.algorithm.accumulation) == (3, 1, 4)
    assert rook.algorithm.lr == 1e-4


@pytest.mark.row("X13")
def test_tensorboard_is_the_default_and_weights_and_biases_an_option() -> None:
    assert list(compose(["experiment=rook"]).logger) == ["tensorboard"]
    assert "wandb" in compose(["experiment=rook", "logger=wandb"]).logger


@pytest.mark.row("R4")
def test_a_processor_is_enough_and_a_gpu_one_word_away() -> None:
    assert compose(["experiment=rook"]).trainer.accelerator == "cpu"
    assert compose(["experiment=rook", "trainer=gpu"]).trainer.accelerator == "gpu"


@pytest.mark.row("R38")
def test_the_pair_of_the_source_has_its_limits() -> None:
    cfg = compose(["experiment=rook"])
    assert cfg.data.pool == "ETH/USDC"
    assert (cfg.risk.max_position_size, cfg.risk.max_slippage_bps, cfg.risk.confidence_threshold) == (0.1, 50, 0.6)
