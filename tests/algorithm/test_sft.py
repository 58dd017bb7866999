"""Fine-tuning: gradients of the whole window, step counts, memory, learning rate, what is logged."""

import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from text_cases import (
    example_of,
    fit,
    model_of,
    sets_of,
    sft_of,
    tokenizer_of,
    trainer_of,
    with_adapter,
)

from tradewright import paths
from tradewright.algorithm.precision import fitting_precision, has_bf16_instructions
from tradewright.algorithm.schedule import lr_factor
from tradewright.algorithm.sft import SFT
from tradewright.algorithm.text_examples import TokenExample
from tradewright.callbacks.curves import Curves
from tradewright.errors import ConfigError, RunError
from tradewright.examples.example import ExampleSets
from tradewright.output import read_json

SKEWED = (60, 1, 40, 3)
"""Words of answers, as far apart as real ones."""


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tokenizer_of()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def skewed_sets() -> ExampleSets:
    train = tuple(example_of(n, num_prompt=2 + n, num_answer=k) for n, k in enumerate(SKEWED))
    return ExampleSets(
        train=train, validation=(example_of(9, num_prompt=2, num_answer=2),), test=(), fingerprint="", name=""
    )


def gradient_of_first_step(module: SFT, folder: Path, **options: Any) -> torch.Tensor:
    """Return the gradient with which Lightning steps, before it is clipped."""
    found = []

    def keep(optimizer: Any) -> None:
        found.append(torch.cat([one.grad.flatten().clone() for one in module.model.parameters() if one.requires_grad]))

    module.on_before_optimizer_step = keep  # type: ignore[method-assign]
    fit(module, trainer_of(folder, max_steps=1, limit_val_batches=0, **options))
    return found[0]


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def mean_per_target(model: torch.nn.Module, examples: tuple[TokenExample, ...]) -> torch.Tensor:
    """The oracle: every example alone, logits of every position, one mean over all targets."""
    total, number = torch.zeros(()), 0
    for one in examples:
        logits_LV = model(input_ids=one.ids_L[None], use_cache=False).logits[0]
        scores = logits_LV[one.num_prompt - 1 : -1].log_softmax(-1)
        total = total - scores.gather(1, one.ids_L[one.num_prompt :, None]).sum()
        number += one.num_targets
    return total / number


@pytest.mark.parametrize("options", [
    {"batch_size": 1, "accumulation": 4, "packing": False},
    {"batch_size": 2, "accumulation": 2, "packing": False},
    {"batch_size": 4, "accumulation": 1, "packing": True, "tokens_per_batch": 4096},
    {"batch_size": 1, "accumulation": 4, "packing": True, "tokens_per_batch": 420},
])  # fmt: skip
@pytest.mark.parametrize("architecture", ["qwen2", "gpt2", "mistral"])
def test_accumulated_gradient_equals_that_of_the_whole_window_with_skewed_lengths(
    architecture: str, options: dict[str, Any], tokenizer: Any, tmp_path: Path
) -> None:
    sets = skewed_sets()
    model = model_of(architecture, vocabulary=len(tokenizer))
    module = sft_of(model, tokenizer, sets, max_length=512, **options)
    found = gradient_of_first_step(module, tmp_path)
    model = model_of(architecture, vocabulary=len(tokenizer))
    mean_per_target(model, tuple(module.windows.examples)).backward()
    expected = torch.cat([one.grad.flatten() for one in model.parameters()])
    assert relative(found, expected) < 1e-5


@pytest.mark.row("L4")
@pytest.mark.row("T12")
@pytest.mark.row("R3")
@pytest.mark.parametrize(
    ("option", "epochs", "batch_size", "accumulation", "lr"),
    [("sft_lean", 3, 1, 8, 2e-4), ("sft_trading", 5, 8, 4, 2e-4), ("sft_rook", 3, 1, 4, 1e-4)],
)
def test_options_of_the_source_systems_take_as_many_optimizer_steps(
    option: str, epochs: int, batch_size: int, accumulation: int, lr: float, tokenizer: Any, tmp_path: Path
) -> None:
    from tradewright.config.compose import open_hydra

    node = OmegaConf.to_container(open_hydra().compose([f"algorithm={option}"]).algorithm)
    assert isinstance(node, dict)
    assert node.pop("_target_") == "tradewright.algorithm.sft.SFT"
    assert (node["epochs"], node["batch_size"], node["accumulation"], node["lr"]) == (
        epochs,
        batch_size,
        accumulation,
        lr,
    )
    module = sft_of(model_of("qwen2", vocabulary=len(tokenizer), layers=1), tokenizer, sets_of(35, longest=3), **node)
    trainer = trainer_of(tmp_path, max_epochs=module.max_epochs)
    fit(module, trainer)
    assert trainer.global_step == math.ceil(35 / (batch_size * accumulation)) * epochs == module.total_frames


def test_named_options_change_nothing_but_what_they_name() -> None:
    base = OmegaConf.load(paths.shipped("conf") / "algorithm" / "sft.yaml").keys()
    for name in ("sft_lean", "sft_trading", "sft_rook"):
        own = OmegaConf.load(paths.shipped("conf") / "algorithm" / f"{name}.yaml")
        assert own.defaults == ["sft"]
        assert set(own) - {"defaults"} == {"epochs", "batch_size", "accumulation", "lr"} < set(base)


@pytest.mark.row("L6")
@pytest.mark.parametrize("is_adapted", [False, True])
def test_checkpointing_keeps_the_gradient_and_less_memory(is_adapted: bool, tokenizer: Any, tmp_path: Path) -> None:
    """Bytes that the graph keeps for backward, which are what a GPU would have to hold."""
    gradients, kept = [], []
    for is_on in (False, True):
        model = model_of("qwen2", vocabulary=len(tokenizer), layers=4)
        model = with_adapter(model, dropout=0.1) if is_adapted else model
        module = sft_of(model, tokenizer, gradient_checkpointing=is_on, batch_size=4, accumulation=1)
        sizes: dict[int, int] = {}

        def pack(tensor: torch.Tensor, sizes: dict[int, int] = sizes) -> torch.Tensor:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            torch.manual_seed(0)
            gradients.append(gradient_of_first_step(module, tmp_path))
        kept.append(sum(sizes.values()))
    assert relative(gradients[1], gradients[0]) < 1e-6
    assert kept[1] < 0.6 * kept[0]


class Limited:
    """Makes a model's backbone run out of memory above so many tokens, as an allocator would."""

    def __init__(self, model: torch.nn.Module, num_tokens: int, error: Exception) -> None:
        self.num_tokens, self.error, self.num_failures = num_tokens, error, 0
        model.base_model.register_forward_pre_hook(self.check, with_kwargs=True)

    def check(self, module: torch.nn.Module, inputs: Any, keywords: dict[str, Any]) -> None:
        if keywords["input_ids"].numel() > self.num_tokens:
            self.num_failures += 1
            raise self.error


OUT_OF_MEMORY = (
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] data. DefaultCPUAllocator: not enough memory: you tried to allocate 9"
    ),
)


@pytest.mark.row("T37")
@pytest.mark.parametrize("packing", [False, True])
@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["cuda", "cpu"])
def test_out_of_memory_halves_the_micro_batch_and_keeps_the_step(
    error: Exception, packing: bool, tokenizer: Any, tmp_path: Path, caplog: Any
) -> None:
    options = {"batch_size": 4, "accumulation": 2, "packing": packing, "tokens_per_batch": 1024}
    expected = gradient_of_first_step(
        sft_of(model_of("qwen2", vocabulary=len(tokenizer)), tokenizer, **options), tmp_path
    )
    model = model_of("qwen2", vocabulary=len(tokenizer))
    limited = Limited(model, 250, error)
    module = sft_of(model, tokenizer, **options)
    with caplog.at_level(logging.WARNING, logger="tradewright"):
        found = gradient_of_first_step(module, tmp_path)
    assert limited.num_failures > 0
    assert relative(found, expected) < 1e-5
    assert module.windows.window_size == 8
    assert "out of memory: micro-batches are halved to " in caplog.text


@pytest.mark.row("T37")
def test_out_of_memory_at_one_example_ends_the_run_with_advice(tokenizer: Any, tmp_path: Path) -> None:
    model = model_of("qwen2", vocabulary=len(tokenizer))
    module = sft_of(model, tokenizer, batch_size=4)
    Limited(model, 10, OUT_OF_MEMORY[0])
    with pytest.raises(
        RunError, match=r"out of memory with one example of \d+ tokens at a time; lower model.max_length"
    ):
        fit(module, trainer_of(tmp_path, max_steps=1))


def test_other_errors_are_not_taken_for_a_lack_of_memory(tokenizer: Any, tmp_path: Path) -> None:
    model = model_of("qwen2", vocabulary=len(tokenizer))
    module = sft_of(model, tokenizer)
    Limited(model, 10, RuntimeError("shapes differ"))
    with pytest.raises(RuntimeError, match="shapes differ"):
        fit(module, trainer_of(tmp_path, max_steps=1))


@pytest.mark.row("T20")
@pytest.mark.parametrize("schedule", ["cosine", "linear"])
def test_learning_rate_rises_and_then_falls_to_its_last_fraction(schedule: Any) -> None:
    factor = lr_factor(schedule, num_steps=100, warmup=0.1, final_fraction=0.05)
    rates = np.array([factor(step) for step in range(100)])
    assert rates.argmax() == 10
    assert rates.max() == 1.0
    assert (np.diff(rates[:11]) > 0).all()
    assert (np.diff(rates[10:]) < 0).all()
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[-1] == pytest.approx(0.05)
    middle = {"linear": 1 - 0.95 * 45 / 89, "cosine": 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * 45 / 89))}
    assert rates[55] == pytest.approx(middle[schedule])


@pytest.mark.row("T20")
def test_warm_up_can_be_a_number_of_steps_and_the_rate_constant_after_it() -> None:
    factor = lr_factor("constant", num_steps=10, warmup=4, final_fraction=0.5)
    assert [factor(step) for step in range(10)] == pytest.approx([0.2, 0.4, 0.6, 0.8, *[1.0] * 6])


@pytest.mark.row("T17")
@pytest.mark.row("T19")
@pytest.mark.row("T20")
@pytest.mark.row("T21")
@pytest.mark.row("T22")
@pytest.mark.row("R32")
def test_points_of_the_curves_hold_loss_perplexity_rate_norm_speed_memory_and_validation(
    tokenizer: Any, tmp_path: Path
) -> None:
    model, curves = model_of("qwen2", vocabulary=len(tokenizer)), Curves()
    module = sft_of(model, tokenizer, sets_of(12), peak_tflops=0.05, log_every=2, epochs=3, warmup=2)
    module.validate = lambda judged: {"parse_rate": 0.5 if judged is module else 0.0}
    trainer = trainer_of(tmp_path, max_epochs=3, callbacks=[curves])
    fit(module, trainer)
    found = curves.curves
    assert found["train/loss"][0] == [2, 4, 6, 8, 9]  # every second step, and the last
    assert found["validation/loss"][0] == [3, 6, 9]
    for part in ("train", "validation"):
        loss, perplexity = (np.array(found[f"{part}/{name}"][1]) for name in ("loss", "perplexity"))
        np.testing.assert_allclose(perplexity, np.exp(loss), rtol=1e-6)
    assert found["train/loss"][1][-1] < found["train/loss"][1][0]
    assert found["validation/parse_rate"][1] == [0.5] * 3
    factor = lr_factor("cosine", num_steps=9, warmup=2, final_fraction=0.1)
    assert found["train/lr"][1] == pytest.approx([1e-2 * factor(step - 1) for step in found["train/lr"][0]], rel=1e-6)
    for name in ("throughput/tokens_per_s", "throughput/target_tokens_per_s", "train/grad_norm", "memory/mb"):
        assert len(found[name][1]) == 5, name
        assert min(found[name][1]) > 0, name
    assert all(0 < share < 1 for share in found["memory/fraction"][1])
    assert all(0 < mfu < 1 for mfu in found["throughput/mfu"][1])
    assert read_json(tmp_path / "data_report.json")["train"]["num_kept"] == 12


def test_logged_loss_is_the_mean_over_the_targets_of_all_steps_since_the_last_point(
    tokenizer: Any, tmp_path: Path
) -> None:
    """With a learning rate that changes nothing, the point of a whole epoch is the loss of the data set."""
    module = sft_of(model_of("qwen2", vocabulary=len(tokenizer)), tokenizer, lr=1e-30, log_every=3, epochs=1)
    curves = Curves()
    fit(module, trainer_of(tmp_path, max_epochs=1, callbacks=[curves]))
    with torch.no_grad():
        expected = float(mean_per_target(module.model, tuple(module.windows.examples)))
    assert curves.curves["train/loss"][1] == [pytest.approx(expected, rel=1e-5)]


def test_gradient_norm_is_that_before_clipping(tokenizer: Any, tmp_path: Path) -> None:
    options = {"epochs": 1, "batch_size": 12, "accumulation": 1, "tokens_per_batch": 4096}
    norm = gradient_of_first_step(
        sft_of(model_of("qwen2", vocabulary=len(tokenizer)), tokenizer, **options), tmp_path
    ).norm()
    curves = Curves()
    module = sft_of(model_of("qwen2", vocabulary=len(tokenizer)), tokenizer, **options)
    fit(module, trainer_of(tmp_path, max_epochs=1, callbacks=[curves], gradient_clip_val=1e-3))
    assert curves.curves["train/grad_norm"][1] == [pytest.approx(float(norm), rel=1e-5)]


@pytest.mark.row("L7")
@pytest.mark.row("B6")
def test_half_precision_on_a_cpu_falls_back_with_a_warning(caplog: Any) -> None:
    with caplog.at_level(logging.WARNING, logger="tradewright"):
        used = fitting_precision("16-mixed", device="cpu")
    assert used == ("bf16-mixed" if has_bf16_instructions() else "32-true")
    assert caplog.messages == [f"trainer.precision=16-mixed: a CPU has no float16 training; training in {used} instead"]
    assert fitting_precision("32-true", device="cpu") == "32-true"
    assert fitting_precision("bf16-mixed", device="cpu") == "bf16-mixed"
    with pytest.raises(ConfigError, match="must not be 16-true on a CPU"):
        fitting_precision("16-true", device="cpu")


@pytest.mark.row("L7")
def test_mixed_precision_learns_like_single_precision(tokenizer: Any, tmp_path: Path) -> None:
    losses = []
    for precision in ("32-true", "bf16-mixed"):
        curves = Curves()
        module = sft_of(with_adapter(model_of("qwen2", vocabulary=len(tokenizer))), tokenizer)
        fit(module, trainer_of(tmp_path, max_epochs=2, callbacks=[curves], precision=precision))
        assert {one.dtype for one in module.model.parameters()} == {torch.float32}
        losses.append(curves.curves["train/loss"][1])
    np.testing.assert_allclose(losses[1], losses[0], rtol=0.02)
    assert losses[0] != losses[1]


def test_trained_weights_in_half_precision_draw_a_warning(tokenizer: Any, tmp_path: Path, caplog: Any) -> None:
    module = sft_of(model_of("qwen2", vocabulary=len(tokenizer)).bfloat16(), tokenizer)
    with caplog.at_level(logging.WARNING, logger="tradewright"):
        fit(module, trainer_of(tmp_path, max_steps=1, limit_val_batches=0))
    assert "trained weights are bfloat16: updates below about 1/256 of a weight are lost" in caplog.text


def test_model_handed_out_in_evaluation_mode_is_trained_with_dropout(tokenizer: Any, tmp_path: Path) -> None:
    """transformers loads models in evaluation mode, and Lightning keeps the mode it finds."""
    model = model_of("gpt2", vocabulary=len(tokenizer), dropout=0.2).eval()
    seen: list[bool] = []
    model.base_model.register_forward_pre_hook(lambda module, inputs: seen.append(module.training))
    fit(sft_of(model, tokenizer), trainer_of(tmp_path, max_steps=1, limit_val_batches=0))
    assert seen[-1] is True


def test_trainer_must_not_accumulate_a_second_time(tokenizer: Any, tmp_path: Path) -> None:
    module = sft_of(model_of("qwen2", vocabulary=len(tokenizer)), tokenizer)
    with pytest.raises(ConfigError, match=r"trainer.accumulate_grad_batches must be 1; algorithm=sft has"):
        fit(module, trainer_of(tmp_path, max_steps=1, accumulate_grad_batches=2))


def test_model_without_anything_to_train_is_refused(tokenizer: Any, tmp_path: Path) -> None:
    module = sft_of(model_of("qwen2", vocabulary=len(tokenizer)).requires_grad_(False), tokenizer)
    with pytest.raises(RunError, match="no weight requires a gradient; load it for training"):
        fit(module, trainer_of(tmp_path, max_steps=1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"epochs": 0}, "epochs must be >= 1, was 0"),
        ({"accumulation": 0}, "accumulation must be >= 1, was 0"),
        ({"head_chunk": 0}, "head_chunk must be >= 1, was 0"),
        ({"lr": 0.0}, "lr must be > 0, was 0.0"),
        ({"warmup": -1}, "warmup must be >= 0, was -1"),
        ({"final_lr_fraction": 2.0}, r"final_lr_fraction must be in \[0, 1\], was 2.0"),
        ({"weight_decay": -0.1}, "weight_decay must be >= 0, was -0.1"),
        ({"betas": [0.9]}, r"betas must be two numbers in \[0, 1\)"),
        ({"lr_schedule": "step"}, "lr_schedule must be one of cosine, linear, constant, was 'step'"),
        ({"overlong": "keep"}, "overlong must be one of drop, truncate_prompt, error, was 'keep'"),
        ({"peak_tflops": 0.0}, "peak_tflops must be > 0 or null, was 0.0"),
        ({"tokens_per_batch": 20}, r"tokens_per_batch must be >= \d+, the longest example, was 20"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], message: str, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match=message):
        sft_of(model_of("qwen2", vocabulary=len(tokenizer), layers=1), tokenizer, **options)
