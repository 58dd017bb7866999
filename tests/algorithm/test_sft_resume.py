"""A fine-tuning that was killed goes on to the bit, from checkpoints that hold what is trained and nothing else."""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from killing import Kill, KilledError
from text_cases import fit, model_of, sets_of, sft_of, tokenizer_of, trainer_of, with_adapter

from tradewright.algorithm import random_state
from tradewright.algorithm.sft import SFT
from tradewright.callbacks.checkpoints import BestCheckpoint, LastCheckpoint, newest_checkpoint
from tradewright.callbacks.curves import Curves
from tradewright.callbacks.progress import TrainingProgress
from tradewright.callbacks.text_health import TextHealth
from tradewright.callbacks.throughput import Throughput
from tradewright.errors import RunError

EPOCHS = 3


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tokenizer_of()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def trained(
    module: SFT,
    folder: Path,
    *,
    resume: bool = False,
    kill: int | None = None,
    max_epochs: int = EPOCHS,
    **options: Any,
) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Train with every callback of a run; return the weights and the curves."""
    curves = Curves()
    callbacks = [
        BestCheckpoint(directory=folder, monitor="validation/loss", mode="min"),
        LastCheckpoint(directory=folder, every_n_steps=2),
        TextHealth(), TrainingProgress(monitor="validation/loss"), Throughput(), curves,
        *([] if kill is None else [Kill(kill)]),
    ]  # fmt: skip
    torch.manual_seed(7)
    trainer = trainer_of(folder, max_epochs=max_epochs, callbacks=callbacks, **options)
    checkpoint = newest_checkpoint(folder) if resume else None
    assert resume == (checkpoint is not None)
    try:
        fit(module, trainer, checkpoint)
    except KilledError:
        assert kill is not None
    timed = ("throughput/", "memory/")
    kept = {name: curve for name, curve in curves.curves.items() if not name.startswith(timed)}
    return {name: one.detach().clone() for name, one in module.model.named_parameters()}, kept


def assert_same(found: tuple[Any, Any], expected: tuple[Any, Any]) -> None:
    for name, one in expected[0].items():
        assert torch.equal(found[0][name], one), name
    assert found[1] == expected[1]


def noisy(module: SFT) -> dict[str, float]:
    """A validation that draws random numbers, as sampling does."""
    return {"draw": float(torch.rand(()) * 0 + random.random() * 0 + np.random.rand() * 0)}  # noqa: NPY002


def gpt2(tokenizer: Any, **options: Any) -> SFT:
    """All weights and an adapter's are trained alike; GPT-2 has dropout in every place."""
    model = model_of("gpt2", vocabulary=len(tokenizer), dropout=0.1)
    module = sft_of(model, tokenizer, sets_of(14), epochs=EPOCHS, log_every=3, bucket_windows=2, **options)
    module.validate = noisy
    return module


# 14 examples make 4 steps of an epoch: killed within an epoch between two points of the curves, after one, at its end
@pytest.mark.parametrize(
    ("packing", "kill"),
    [
        (True, 5),
        (False, 8),
        *(pytest.param(packing, kill, marks=pytest.mark.slow) for packing in (True, False) for kill in (3, 6, 9, 11)),
    ],
)
def test_resumed_training_equals_the_one_that_was_not_killed(
    packing: bool, kill: int, tokenizer: Any, tmp_path: Path
) -> None:
    expected = trained(gpt2(tokenizer, packing=packing), tmp_path / "whole")
    trained(gpt2(tokenizer, packing=packing), tmp_path / "killed", kill=kill)
    assert_same(trained(gpt2(tokenizer, packing=packing), tmp_path / "killed", resume=True), expected)


def test_resumed_training_with_validations_within_the_epoch_equals_the_one_that_was_not_killed(
    tokenizer: Any, tmp_path: Path
) -> None:
    often = {"val_check_interval": 3}
    expected = trained(gpt2(tokenizer), tmp_path / "whole", **often)
    assert expected[1]["validation/loss"][0] == [3, 7, 11]
    for kill in (4, 7):
        folder = tmp_path / f"killed-{kill}"
        trained(gpt2(tokenizer), folder, kill=kill, **often)
        assert_same(trained(gpt2(tokenizer), folder, resume=True, **often), expected)


def test_validation_changes_nothing_of_the_training(tokenizer: Any, tmp_path: Path) -> None:
    once, often = (trained(gpt2(tokenizer), tmp_path / str(number), val_check_interval=number)[0] for number in (4, 1))
    for name, one in once.items():
        assert torch.equal(often[name], one), name


def test_training_that_ran_out_of_memory_is_resumed_in_small_micro_batches(tokenizer: Any, tmp_path: Path) -> None:
    """The layout is part of the state: dropout draws other masks in another layout."""

    def limited() -> SFT:
        module = gpt2(tokenizer, batch_size=4, accumulation=1, packing=False)

        def check(backbone: Any, inputs: Any, keywords: dict[str, Any]) -> None:
            is_training = "input_ids" in keywords and backbone.training
            if is_training and len(keywords["input_ids"]) > 2 and module.trainer.global_step >= 1:
                raise torch.OutOfMemoryError("CUDA out of memory")

        module.model.base_model.register_forward_pre_hook(check, with_kwargs=True)
        return module

    expected = trained(limited(), tmp_path / "whole")
    assert expected[1]["train/micro_batch"][1] == [2.0] * 4
    trained(limited(), tmp_path / "killed", kill=5)
    assert_same(trained(limited(), tmp_path / "killed", resume=True), expected)


@pytest.mark.parametrize("quant", ["none", "nf4"])
def test_adapter_training_is_resumed_to_the_bit_from_a_checkpoint_of_the_adapter_alone(
    quant: str, tokenizer: Any, tmp_path: Path
) -> None:
    folder = tiny_folder(tmp_path / "model")

    def module() -> SFT:
        loaded = load_adapted(folder, quant)
        made = SFT(loaded=loaded, sets=sets_of(14), seed=0, epochs=EPOCHS, batch_size=4, lr=1e-2, log_every=3)
        made.validate = noisy
        return made

    expected = trained(module(), tmp_path / "whole")
    trained(module(), tmp_path / "killed", kill=6)
    found = trained(module(), tmp_path / "killed", resume=True)
    assert_same(found, expected)
    saved = torch.load(tmp_path / "killed" / "last.ckpt", weights_only=True)
    assert saved["state_dict"]
    assert all("lora_" in name for name in saved["state_dict"])
    again = module()
    again.load_state_dict(saved["state_dict"])
    for name, one in again.model.named_parameters():
        assert torch.equal(one, found[0][name]), name


def tiny_folder(folder: Path) -> Path:
    from text_cases import WORDS

    from tradewright.model.tiny_language_model import TinyLanguageModel

    tiny = TinyLanguageModel(layers=2, width=64, heads=2, feed_forward=128, tokenizer="byte", vocabulary=300)
    tiny.build([" ".join(WORDS)], folder, 0)
    return folder


def load_adapted(folder: Path, quant: str) -> Any:
    import peft
    import transformers

    from tradewright.model.language_model import LanguageModel

    lora = peft.LoraConfig(r=4, lora_alpha=8, lora_dropout=0.1, target_modules="all-linear", task_type="CAUSAL_LM")
    four_bit = transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.float32,
    )  # fmt: skip
    return LanguageModel(name=str(folder)).load(
        lora=lora, quant=four_bit if quant == "nf4" else None, seed=1, for_training=True
    )


def test_full_training_saves_all_weights(tokenizer: Any, tmp_path: Path) -> None:
    module = gpt2(tokenizer)
    trained(module, tmp_path, max_epochs=1)
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)["state_dict"]
    assert {name.removeprefix("model.") for name in saved} >= {name for name, _ in module.model.named_parameters()}


@pytest.mark.parametrize("change", ["base", "adapter", "data", "batch"])
def test_checkpoint_of_something_else_is_refused(change: str, tokenizer: Any, tmp_path: Path) -> None:
    def module(seed: int = 0, bias: str = "none", num: int = 14, batch_size: int = 2) -> SFT:
        model = with_adapter(model_of("llama", vocabulary=len(tokenizer), seed=seed))
        return sft_of(model, tokenizer, sets_of(num), batch_size=batch_size, epochs=1)

    trained(module(), tmp_path, max_epochs=1)
    changed, message = {
        "base": (module(seed=1), "the checkpoint's weights were trained on another base"),
        "adapter": (sft_of(model_of("llama", vocabulary=len(tokenizer)), tokenizer, sets_of(14)), "on another base"),
        "data": (module(num=15), "was trained on 14 examples, now there are 15; resume with the same data"),
        "batch": (module(batch_size=4), "was trained on 4 examples per optimizer step, now there are 8"),
    }[change]
    with pytest.raises(RunError, match=message):
        fit(changed, trainer_of(tmp_path, max_epochs=2), tmp_path / "last.ckpt")


def test_weights_of_another_model_are_refused(tokenizer: Any) -> None:
    one, other = (
        sft_of(with_adapter(model_of("llama", vocabulary=len(tokenizer), layers=layers)), tokenizer)
        for layers in (1, 2)
    )
    with pytest.raises(RuntimeError, match=r"holds other trained weights: \d+ are missing"):
        other.load_state_dict(one.state_dict())


def test_random_states_are_restored_through_a_safe_file(tmp_path: Path) -> None:
    random.gauss(0, 1)
    np.random.standard_normal()  # noqa: NPY002

    def draws() -> list[float]:
        return [random.gauss(0, 1), random.random(), *np.random.standard_normal(3), float(torch.rand(()))]  # noqa: NPY002

    torch.save(random_state.capture(), tmp_path / "state.pt")
    expected = draws()
    draws()
    random_state.restore(torch.load(tmp_path / "state.pt", weights_only=True))
    assert draws() == expected


@pytest.mark.parametrize("value", [0, -1])
def test_checkpoints_every_no_steps_are_refused(value: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=f"every_n_steps must be >= 1 or null, was {value}"):
        LastCheckpoint(directory=tmp_path, every_n_steps=value)


def test_interrupted_epoch_leaves_a_checkpoint_to_resume_from(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a first epoch that would take minutes."""
    words = [sys.executable, "-W", "ignore", str(Path(__file__).with_name("text_interrupted.py")), str(tmp_path)]
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )  # fmt: skip
    while not (tmp_path / "last.ckpt").exists():
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    errors = process.communicate(timeout=60)[1]
    assert process.returncode == 130, errors
    saved = torch.load(tmp_path / "last.ckpt", weights_only=True)
    assert saved["epoch"] == 0
    assert saved["global_step"] % 2 == 0
    assert saved["SFTDataModule"]["num_fetched"] == saved["global_step"] < 200
