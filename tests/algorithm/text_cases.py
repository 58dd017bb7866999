"""Tiny language models, examples of skewed lengths and trainers for the tests of fine-tuning."""

import os
import random
import warnings
from pathlib import Path
from typing import Any

os.environ["HF_HUB_OFFLINE"] = "1"

import lightning
import torch

from tradewright.algorithm.sft import SFT
from tradewright.algorithm.sft_data import SFTDataModule
from tradewright.callbacks.checkpoints import AtomicCheckpointIO
from tradewright.examples.example import Example, ExampleSets
from tradewright.model.loaded_model import LoadedModel, count_parameters

ARCHITECTURES = ("qwen2", "qwen3", "llama", "mistral", "gpt2")
WINDOW = 8
"""Sliding window of the Mistral model, shorter than most sequences of the tests."""
WORDS = ("buy", "sell", "hold", "price", "volume", "trend", "stop", "equity", "drawdown", "carry")


def tokenizer_of(num_words: int = 300) -> Any:
    from tradewright.model.tokenizer import train_tokenizer

    return train_tokenizer([" ".join(WORDS)], kind="byte", vocabulary=num_words)


def model_of(architecture: str, *, vocabulary: int = 300, dropout: float = 0.0, seed: int = 0, layers: int = 2) -> Any:
    """Build a model of about 50,000 parameters, in training mode."""
    import transformers

    torch.manual_seed(seed)
    common: dict[str, Any] = {"vocab_size": vocabulary, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    if architecture == "gpt2":
        config: Any = transformers.GPT2Config(
            n_layer=layers, n_embd=32, n_head=4, n_positions=512, n_inner=64,
            resid_pdrop=dropout, embd_pdrop=dropout, attn_pdrop=dropout, **common,
        )  # fmt: skip
        return transformers.GPT2LMHeadModel(config).train()
    sizes: dict[str, Any] = {
        "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": layers, "num_attention_heads": 4,
        "num_key_value_heads": 2, "max_position_embeddings": 512, "attention_dropout": dropout,
    }  # fmt: skip
    kinds: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "qwen2": (transformers.Qwen2Config, transformers.Qwen2ForCausalLM, {"tie_word_embeddings": True}),
        "qwen3": (transformers.Qwen3Config, transformers.Qwen3ForCausalLM, {"head_dim": 8}),
        "llama": (transformers.LlamaConfig, transformers.LlamaForCausalLM, {}),
        "mistral": (transformers.MistralConfig, transformers.MistralForCausalLM, {"sliding_window": WINDOW}),
    }
    kind, build, more = kinds[architecture]
    return build(kind(**sizes, **common, **more)).train()


def with_adapter(model: Any, *, dropout: float = 0.0, seed: int = 0, **options: Any) -> Any:
    """Put a LoRA adapter on every linear layer, with weights that change the model."""
    import peft

    torch.manual_seed(seed)
    is_gpt2 = model.config.model_type == "gpt2"
    config = peft.LoraConfig(
        r=4, lora_alpha=8, lora_dropout=dropout, target_modules="all-linear", task_type="CAUSAL_LM",
        fan_in_fan_out=is_gpt2, **options,
    )  # fmt: skip
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="fan_in_fan_out is set to")  # mixed layer kinds: PEFT corrects itself
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated")  # PEFT 0.21 asks for it
        adapted = peft.get_peft_model(model, config)
    for name, one in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(one, std=0.1)
    return adapted.train()


def example_of(number: int, *, num_prompt: int, num_answer: int, seed: int = 0) -> Example:
    rng = random.Random(seed * 1_000_003 + number)
    question, answer = (" ".join(rng.choices(WORDS, k=k)) for k in (num_prompt, num_answer))
    return Example(id=f"e{number}", prompt=({"role": "user", "content": question},), completion=answer)


def sets_of(num_train: int = 12, num_validation: int = 4, *, longest: int = 12, seed: int = 0) -> ExampleSets:
    """Return examples whose answers are 1 to ``longest`` words."""
    rng = random.Random(seed)
    made = [
        example_of(number, num_prompt=rng.randint(1, 6), num_answer=rng.randint(1, longest), seed=seed)
        for number in range(num_train + num_validation)
    ]
    return ExampleSets(
        train=tuple(made[:num_train]), validation=tuple(made[num_train:]), test=(), fingerprint="0", name="words"
    )


def loaded_of(model: Any, tokenizer: Any, *, max_length: int = 128) -> LoadedModel:
    total, trained = count_parameters(model)
    facts = {"architecture": "tiny", "num_parameters": total, "num_trainable": trained, "lora": None, "quant": "none"}
    return LoadedModel(model=model, tokenizer=tokenizer, max_length=max_length, facts=facts)


def sft_of(
    model: Any, tokenizer: Any, sets: ExampleSets | None = None, *, max_length: int = 128, **options: Any
) -> SFT:
    values: dict[str, Any] = {"epochs": 2, "batch_size": 2, "accumulation": 2, "lr": 1e-2, "log_every": 1}
    values |= {"tokens_per_batch": 128} | options
    loaded = loaded_of(model, tokenizer, max_length=max_length)
    return SFT(loaded=loaded, sets=sets or sets_of(), seed=0, **values)


def trainer_of(folder: Path, *, callbacks: list[Any] | None = None, **options: Any) -> lightning.Trainer:
    values: dict[str, Any] = {"gradient_clip_val": 1.0, "num_sanity_val_steps": 0, "precision": "32-true"} | options
    return lightning.Trainer(
        accelerator="cpu", devices=1, default_root_dir=folder, callbacks=callbacks or [], logger=False,
        enable_checkpointing=any("heckpoint" in type(one).__name__ for one in callbacks or []),
        enable_progress_bar=False, enable_model_summary=False, plugins=[AtomicCheckpointIO()], **values,
    )  # fmt: skip


def fit(module: SFT, trainer: lightning.Trainer, checkpoint: Path | None = None) -> None:
    with warnings.catch_warnings():
        # resuming in the folder of the checkpoints is what we do, as task=train says too
        warnings.filterwarnings("ignore", message="Checkpoint directory .* exists and is not empty")
        trainer.fit(module, SFTDataModule(module), ckpt_path=checkpoint, weights_only=True)
