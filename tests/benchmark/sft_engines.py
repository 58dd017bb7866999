"""Times one trainer on one task in a fresh process: ``python sft_engines.py <engine> <folder> <result.json>``.

Engines: ``tradewright`` (padded), ``packed``, ``raw`` (a plain torch loop with transformers' loss) and ``trl`` (its
SFTTrainer, in an interpreter that has it and no tradewright). All train the same LoRA adapter of the same model folder
on the same tokens, batch 8, clipped at 1.0, in single precision on one thread; the CPU time of optimizer steps counts,
all but the first two. The result holds tokens (without padding) per CPU second, and the loss of the first step.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

BATCH, WARM_UP, LR = 8, 2, 1e-4
LORA = {"r": 16, "lora_alpha": 32, "lora_dropout": 0.0, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}


class Clock:
    """CPU seconds between the end of the warm-up and the last step."""

    def __init__(self, lengths: list[int]) -> None:
        self.lengths, self.steps, self.start = lengths, 0, 0.0

    def step(self) -> None:
        """Count a finished step."""
        self.steps += 1
        if self.steps == WARM_UP:
            self.start = time.process_time()

    def speed(self) -> float:
        """Return tokens per second; each step has as many on average."""
        elapsed = time.process_time() - self.start
        return sum(self.lengths) * (self.steps - WARM_UP) / self.steps / elapsed


def read(folder: Path) -> list[tuple[list[int], int]]:
    """Return ids and length of the prompt of every example."""
    found: list[tuple[list[int], int]] = json.loads((folder / "tokens.json").read_text())
    return found


def adapted(folder: Path) -> Any:
    """Return the model with a new adapter."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(str(folder / "model"), dtype=torch.float32)
    torch.manual_seed(0)
    return get_peft_model(model, LoraConfig(**LORA)).train()


def tradewright(folder: Path, *, packing: bool) -> tuple[float, float]:
    """Train with ``algorithm=sft`` under Lightning, on the examples of the file."""
    import lightning
    import torch

    from tradewright.algorithm.sft import SFT
    from tradewright.algorithm.sft_data import SFTDataModule
    from tradewright.algorithm.text_batches import TrainingWindows
    from tradewright.algorithm.text_examples import TokenExample
    from tradewright.examples.example import Example, ExampleSets
    from tradewright.model.loaded_model import LoadedModel
    from tradewright.model.tokenizer import train_tokenizer

    rows = read(folder)
    tokenizer = train_tokenizer(["buy sell"], kind="byte", vocabulary=300)
    one = tuple(
        Example(id=name, prompt=({"role": "user", "content": "buy"},), completion="sell") for name in ("train", "val")
    )
    sets = ExampleSets(train=one[:1], validation=one[1:], test=(), fingerprint="", name="")
    loaded = LoadedModel(model=adapted(folder), tokenizer=tokenizer, max_length=4096)
    module = SFT(
        loaded=loaded, sets=sets, seed=0, epochs=1, batch_size=BATCH, lr=LR, lr_schedule="constant", warmup=0,
        packing=packing, tokens_per_batch=16_384, log_every=1000,
    )  # fmt: skip
    examples = [TokenExample(torch.tensor(ids), num_prompt) for ids, num_prompt in rows]
    module.windows = TrainingWindows(examples, window_size=BATCH, bucket_windows=1, seed=0)
    clock, losses = Clock([len(ids) for ids, _ in rows]), []

    class Timer(lightning.pytorch.callbacks.Callback):
        def on_train_batch_end(self, trainer: Any, module: Any, outputs: Any, *_: Any) -> None:
            losses.append(outputs["loss"])
            clock.step()

    trainer = lightning.Trainer(
        accelerator="cpu", devices=1, max_epochs=1, gradient_clip_val=1.0, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, callbacks=[Timer()], limit_val_batches=0,
        default_root_dir=folder, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(module, SFTDataModule(module))
    return clock.speed(), float(losses[0])


def batches(rows: list[tuple[list[int], int]]) -> Any:
    """Yield padded ids, mask and labels."""
    import torch

    for start in range(0, len(rows), BATCH):
        part = rows[start : start + BATCH]
        longest = max(len(ids) for ids, _ in part)
        ids_BL, mask_BL = torch.zeros(2, len(part), longest, dtype=torch.int64)
        labels_BL = torch.full_like(ids_BL, -100)
        for row, (ids, num_prompt) in enumerate(part):
            ids_BL[row, : len(ids)], mask_BL[row, : len(ids)] = torch.tensor(ids), 1
            labels_BL[row, num_prompt : len(ids)] = torch.tensor(ids[num_prompt:])
        yield {"input_ids": ids_BL, "attention_mask": mask_BL, "labels": labels_BL}


def raw(folder: Path) -> tuple[float, float]:
    """Train with a plain loop and transformers' loss."""
    import torch

    model, rows = adapted(folder), read(folder)
    trained = [one for one in model.parameters() if one.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=LR, weight_decay=0.0, fused=True)
    clock, losses = Clock([len(ids) for ids, _ in rows]), []
    for batch in batches(rows):
        optimizer.zero_grad(set_to_none=True)
        loss = model(**batch, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 1.0)
        optimizer.step()
        losses.append(loss.detach())
        clock.step()
    return clock.speed(), float(losses[0])


def trl(folder: Path) -> tuple[float, float]:
    """Train with TRL's SFTTrainer on tokens and completion masks."""
    from datasets import Dataset
    from transformers import PreTrainedTokenizerFast, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    rows = read(folder)
    masks = [[0] * num_prompt + [1] * (len(ids) - num_prompt) for ids, num_prompt in rows]
    data = Dataset.from_dict({"input_ids": [ids for ids, _ in rows], "completion_mask": masks})
    clock = Clock([len(ids) for ids, _ in rows])

    class Timer(TrainerCallback):
        def on_step_end(self, *_: Any, **others: Any) -> None:
            clock.step()

    settings = SFTConfig(
        output_dir=str(folder / "trl"), per_device_train_batch_size=BATCH, num_train_epochs=1, learning_rate=LR,
        lr_scheduler_type="constant", max_grad_norm=1.0, bf16=False, fp16=False, use_cpu=True, max_length=None,
        gradient_checkpointing=False, completion_only_loss=True, packing=False, report_to="none", save_strategy="no",
        logging_strategy="no", disable_tqdm=True, seed=0, optim="adamw_torch_fused",
    )  # fmt: skip
    tokenizer = PreTrainedTokenizerFast.from_pretrained(str(folder / "model"))
    trainer = SFTTrainer(
        model=adapted(folder), args=settings, train_dataset=data, processing_class=tokenizer, callbacks=[Timer()]
    )
    result = trainer.train()
    return clock.speed(), float(result.training_loss)


def main(engine: str, folder: str, result: str) -> None:
    """Time one engine and write its figures."""
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    if engine in {"tradewright", "packed"}:
        speed, loss = tradewright(Path(folder), packing=engine == "packed")
    else:
        speed, loss = {"raw": raw, "trl": trl}[engine](Path(folder))
    Path(result).write_text(json.dumps({"tokens_per_s": speed, "loss": loss}))


if __name__ == "__main__":
    main(*sys.argv[1:])
