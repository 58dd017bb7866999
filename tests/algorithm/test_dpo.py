"""Preference training: loss and gradient of the paper with one model where there are two, and what is measured."""

import copy
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from pair_cases import dpo_of, log_probability, pair_of, pairs_of, paper_loss
from text_cases import fit, model_of, sets_of, tokenizer_of, trainer_of, with_adapter

from tradewright.algorithm.dpo import DPO
from tradewright.callbacks.curves import Curves
from tradewright.errors import DataError
from tradewright.examples.example import ExampleSets
from tradewright.model.adapters import peft_calls


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return tokenizer_of()


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def first_step(module: DPO, folder: Path, **options: Any) -> tuple[torch.Tensor, float]:
    """Return the gradient with which Lightning steps, before it is clipped, and the loss."""
    found: list[torch.Tensor] = []

    def keep(optimizer: Any) -> None:
        found.append(torch.cat([one.grad.flatten().clone() for one in module.model.parameters() if one.requires_grad]))

    module.on_before_optimizer_step = keep  # type: ignore[method-assign]
    trainer = trainer_of(folder, max_steps=1, limit_val_batches=0, **options)
    fit(module, trainer)
    return found[0], float(trainer.callback_metrics["train/loss"])


def moved(model: Any) -> None:
    """Change the trained weights, as training would."""
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for one in model.parameters():
            if one.requires_grad:
                one += 0.05 * torch.randn(one.shape, generator=generator)


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).norm() / expected.norm())


def after_a_move(module: DPO, folder: Path) -> tuple[torch.Tensor, float]:
    """Return gradient and loss of the first step of a model that has left its reference."""
    prepare = module.on_fit_start

    def prepared() -> None:
        prepare()
        moved(module.model)

    module.on_fit_start = prepared  # type: ignore[method-assign]
    return first_step(module, folder)


@pytest.mark.row("T46")
@pytest.mark.parametrize("is_adapted", [False, True])
@pytest.mark.parametrize("options", [
    {}, {"label_smoothing": 0.2}, {"loss": "ipo", "beta": 0.3}, {"sft_weight": 0.7}, {"beta": 0.5, "head_chunk": 7},
])  # fmt: skip
def test_loss_and_gradient_are_those_of_the_paper_with_two_copies_of_the_model(
    options: dict[str, Any], is_adapted: bool, tokenizer: Any, tmp_path: Path
) -> None:
    model = model_of("qwen2", vocabulary=len(tokenizer))
    model = with_adapter(model) if is_adapted else model
    reference = copy.deepcopy(model)
    policy = copy.deepcopy(model)
    module = dpo_of(model, tokenizer, batch_size=10, accumulation=1, **options)
    found, loss = after_a_move(module, tmp_path)
    moved(policy)
    named = {key: value for key, value in options.items() if key != "head_chunk"}
    expected = paper_loss(policy, reference, module.windows.examples, **named)
    expected.backward()
    gradient = torch.cat([one.grad.flatten() for one in policy.parameters() if one.requires_grad])
    assert relative(found, gradient) < 1e-5
    assert loss == pytest.approx(float(expected.detach()), rel=1e-5)


@pytest.mark.row("T46")
@pytest.mark.parametrize("is_adapted", [False, True])
def test_loss_begins_at_the_logarithm_of_two(is_adapted: bool, tokenizer: Any, tmp_path: Path) -> None:
    """Dropout would make a model differ from itself, so it is off."""
    model = model_of("gpt2", vocabulary=len(tokenizer), dropout=0.3)
    model = with_adapter(model, dropout=0.3) if is_adapted else model
    _, loss = first_step(dpo_of(model, tokenizer), tmp_path)
    assert loss == pytest.approx(math.log(2), abs=1e-6)


def test_reference_of_a_new_adapter_is_the_base_model(tokenizer: Any, tmp_path: Path) -> None:
    import peft

    base = model_of("qwen2", vocabulary=len(tokenizer))
    alone = copy.deepcopy(base).eval()
    config = peft.LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM")
    with peft_calls():
        module = dpo_of(peft.get_peft_model(base, config), tokenizer)
    fit(module, trainer_of(tmp_path, max_epochs=2))
    assert module.reference_P2 is not None
    with torch.no_grad():
        for pair, reference in zip(module.pairs, module.reference_P2, strict=True):
            for one, known in zip((pair.chosen, pair.rejected), reference, strict=True):
                assert float(log_probability(alone, one.ids_L, one.num_prompt)) == pytest.approx(float(known), rel=1e-5)
        with module.model.disable_adapter():
            disabled = module.log_probabilities(module.pairs)
    assert torch.equal(disabled, module.reference_P2)


def test_reference_of_an_adapter_that_took_weights_over_is_the_whole_model(tokenizer: Any, tmp_path: Path) -> None:
    """PiSSA moves weights into the adapter, so without it the base is another model than the one that is tuned."""
    import peft

    base = model_of("qwen2", vocabulary=len(tokenizer))
    alone = copy.deepcopy(base).eval()
    config = peft.LoraConfig(r=4, target_modules="all-linear", init_lora_weights="pissa")
    with peft_calls():
        module = dpo_of(peft.get_peft_model(base, config), tokenizer)
    fit(module, trainer_of(tmp_path, max_steps=1, limit_val_batches=0))
    assert module.reference_P2 is not None
    pair, known = module.pairs[0], module.reference_P2[0, 0]
    with torch.no_grad():
        expected = log_probability(alone, pair.chosen.ids_L, pair.chosen.num_prompt)
        with module.model.disable_adapter():
            disabled = module.log_probabilities(module.pairs)[0, 0]
    assert float(known) == pytest.approx(float(expected), rel=1e-4)
    assert abs(float(disabled - expected)) > 0.1


@pytest.mark.parametrize("options", [
    {"batch_size": 1, "accumulation": 4, "packing": False},
    {"batch_size": 2, "accumulation": 2, "packing": False},
    {"batch_size": 1, "accumulation": 4, "packing": True, "tokens_per_batch": 250},
])  # fmt: skip
@pytest.mark.parametrize("architecture", ["qwen2", "gpt2", "mistral"])
def test_step_is_the_same_packed_padded_and_accumulated(
    architecture: str, options: dict[str, Any], tokenizer: Any, tmp_path: Path
) -> None:
    results = []
    for given in ({"batch_size": 4, "accumulation": 1, "tokens_per_batch": 4096}, options):
        module = dpo_of(model_of(architecture, vocabulary=len(tokenizer)), tokenizer, **given)
        results.append(after_a_move(module, tmp_path))
    (expected, loss), (found, other) = results
    assert relative(found, expected) < 1e-5
    assert other == pytest.approx(loss, rel=1e-5)


def test_halved_micro_batches_keep_the_step(tokenizer: Any, tmp_path: Path) -> None:
    from test_sft import OUT_OF_MEMORY, Limited

    options = {"batch_size": 4, "accumulation": 1, "tokens_per_batch": 1024}
    expected, _ = first_step(dpo_of(model_of("qwen2", vocabulary=len(tokenizer)), tokenizer, **options), tmp_path)
    model = model_of("qwen2", vocabulary=len(tokenizer))
    limited = Limited(model, 250, OUT_OF_MEMORY[0])
    found, _ = first_step(dpo_of(model, tokenizer, **options), tmp_path)
    assert limited.num_failures > 0
    assert relative(found, expected) < 1e-5


def test_training_prefers_what_was_preferred_and_says_how_much(tokenizer: Any, tmp_path: Path) -> None:
    model = model_of("qwen2", vocabulary=len(tokenizer))
    module = dpo_of(model, tokenizer, pairs_of(8, 3, 4), epochs=8, lr=3e-3)
    curves = Curves()
    fit(module, trainer_of(tmp_path, max_epochs=8, callbacks=[curves]))
    found = {name: values for name, (_, values) in curves.curves.items()}
    assert found["train/preference_accuracy"][-1] == 1.0
    assert found["train/loss"][-1] < 0.3 < found["train/loss"][0]
    assert found["train/margin"][-1] > 1.0
    gain = found["train/chosen_gain"][-1] - found["train/rejected_gain"][-1]
    assert found["train/margin"][-1] == pytest.approx(0.1 * gain, rel=1e-5)
    assert found["throughput/tokens_per_s"][-1] > 0
    assert len(found["validation/preference_accuracy"]) == 8
    margins = module.margins(pairs_of(8, 3, 4).test)
    assert margins.shape == (4,)


def test_examples_with_one_answer_are_refused(tokenizer: Any) -> None:
    with pytest.raises(DataError, match="train example 'e0' has one answer; algorithm=dpo learns from pairs"):
        dpo_of(model_of("qwen2", vocabulary=len(tokenizer)), tokenizer, sets_of())


def test_overlong_pairs_are_dropped_or_lose_the_middle_of_their_prompt_alike(tokenizer: Any) -> None:
    long = pair_of(90, num_prompt=60, num_chosen=3, num_rejected=9)
    some = pairs_of(2, 1)
    sets = ExampleSets(train=(*some.train, long), validation=some.validation, test=(), fingerprint="", name="")
    model = model_of("qwen2", vocabulary=len(tokenizer), layers=1)
    dropped = dpo_of(model, tokenizer, sets)
    assert dropped.data_report["train"]["num_dropped"] == 1
    kept = dpo_of(model, tokenizer, sets, overlong="truncate_prompt", max_length=100).windows.examples[-1]
    assert kept.chosen.num_prompt == kept.rejected.num_prompt
    assert len(kept.rejected) == 100
    num = kept.chosen.num_prompt
    assert torch.equal(kept.chosen.ids_L[:num], kept.rejected.ids_L[:num])
    with pytest.raises(DataError, match=r"train pair 'p90' has \d+ tokens, at most 128 fit; raise model.max_length"):
        dpo_of(model, tokenizer, sets, overlong="error")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 0.0}, "beta must be > 0, was 0.0"),
        ({"loss": "hinge"}, "loss must be one of sigmoid, ipo, was 'hinge'"),
        ({"label_smoothing": 0.5}, r"label_smoothing must be in \[0, 0.5\), was 0.5"),
        ({"label_smoothing": 0.1, "loss": "ipo"}, "label_smoothing must be 0 with loss=ipo"),
        ({"sft_weight": -1.0}, "sft_weight must be >= 0, was -1.0"),
        ({"epochs": 0}, "epochs must be >= 1, was 0"),
        ({"tokens_per_batch": 20}, r"tokens_per_batch must be >= \d+, the longest example, was 20"),
    ],
)
def test_arguments_out_of_range_are_refused(options: dict[str, Any], message: str, tokenizer: Any) -> None:
    with pytest.raises(ValueError, match=message):
        dpo_of(model_of("qwen2", vocabulary=len(tokenizer), layers=1), tokenizer, **options)
