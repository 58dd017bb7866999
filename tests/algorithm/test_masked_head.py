"""The head on scored positions: loss and gradients of transformers' own loss, whatever the head is made of."""

from types import SimpleNamespace

import pytest
import torch
from text_cases import ARCHITECTURES, model_of, with_adapter

from tradewright.algorithm.text_batches import pad
from tradewright.algorithm.text_examples import TokenExample
from tradewright.errors import RunError
from tradewright.model.masked_head import causal_model, check_head, head_nll, masked_nll

IGNORED = -100


def examples_of() -> list[TokenExample]:
    generator = torch.Generator().manual_seed(1)
    return [TokenExample(torch.randint(3, 300, (n,), generator=generator), k) for n, k in ((14, 9), (20, 3), (6, 5))]


def loss_of_transformers(model: torch.nn.Module, examples: list[TokenExample]) -> torch.Tensor:
    """Logits of every position, mean over targets."""
    ids_BL = pad(examples, 0).inputs["input_ids"]
    labels_BL = torch.full_like(ids_BL, IGNORED)
    for row, one in enumerate(examples):
        labels_BL[row, one.num_prompt : len(one)] = one.ids_L[one.num_prompt :]
    return model(input_ids=ids_BL, labels=labels_BL, use_cache=False).loss


def gradients_of(model: torch.nn.Module, loss: torch.Tensor) -> torch.Tensor:
    model.zero_grad()
    loss.backward()
    return torch.cat([one.grad.flatten() for one in model.parameters() if one.requires_grad])


def head_kind(kind: str) -> torch.nn.Module:
    match kind:
        case "tied":
            return model_of("qwen2")
        case "own":
            return model_of("llama")
        case "adapter":
            return with_adapter(model_of("qwen2"))
        case "saved with adapter":
            return with_adapter(model_of("llama"), modules_to_save=["lm_head"])
    return with_adapter(model_of("gpt2"))


@pytest.mark.parametrize("chunk", [7, 1000])
@pytest.mark.parametrize("kind", ["tied", "own", "adapter", "saved with adapter", "gpt2 with adapter"])
def test_loss_and_gradients_equal_those_of_transformers(kind: str, chunk: int) -> None:
    model, examples = head_kind(kind), examples_of()
    batch = pad(examples, 0)
    theirs = loss_of_transformers(model, examples)
    ours = masked_nll(model, batch.inputs, batch.rows_K, batch.targets_K, chunk=chunk) / batch.num_targets
    assert float(ours.detach()) == pytest.approx(float(theirs.detach()), rel=1e-6)
    expected, found = gradients_of(model, theirs), gradients_of(model, ours)
    assert float((found - expected).norm() / expected.norm()) < 1e-5
    with torch.no_grad():
        again = masked_nll(model, batch.inputs, batch.rows_K, batch.targets_K, chunk=chunk) / batch.num_targets
    assert float(again) == pytest.approx(float(theirs.detach()), rel=1e-6)


@pytest.mark.parametrize("chunk", [16, 64])
def test_chunks_bound_the_memory_of_logits(chunk: int) -> None:
    """No tensor kept for backward, and no result of the head, is larger than ``chunk x vocabulary``."""
    head, largest = torch.nn.Linear(8, 5_000, bias=False), []
    head.register_forward_hook(lambda module, inputs, output: largest.append(output.numel()))
    hidden_KD = torch.randn(200, 8, requires_grad=True)

    def pack(kept: torch.Tensor) -> torch.Tensor:
        largest.append(0 if kept.shape == head.weight.shape or kept.shape == head.weight.T.shape else kept.numel())
        return kept

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda kept: kept):
        head_nll(head, hidden_KD, torch.randint(0, 5_000, (200,)), chunk=chunk).backward()
    assert max(largest) == chunk * 5_000
    assert hidden_KD.grad is not None


def test_gradient_is_scaled_by_what_follows() -> None:
    head, targets = torch.nn.Linear(8, 50), torch.arange(20)
    hidden_KD = torch.randn(20, 8, requires_grad=True)
    (expected,) = torch.autograd.grad(0.25 * head_nll(head, hidden_KD, targets, chunk=100), hidden_KD)
    (found,) = torch.autograd.grad(0.25 * head_nll(head, hidden_KD, targets, chunk=6), hidden_KD)
    torch.testing.assert_close(found, expected)


def test_head_of_half_precision_is_scored_in_single() -> None:
    torch.manual_seed(0)
    head, targets = torch.nn.Linear(8, 50).bfloat16(), torch.arange(20)
    hidden = torch.randn(20, 8).bfloat16()
    nll = head_nll(head, hidden, targets, chunk=6).detach()
    assert nll.dtype == torch.float32
    expected = torch.nn.functional.cross_entropy(head(hidden).detach().double(), targets, reduction="sum")
    assert float(nll) == pytest.approx(float(expected), rel=1e-6)


def test_no_target_is_no_loss() -> None:
    nll = head_nll(torch.nn.Linear(8, 50), torch.zeros(0, 8), torch.zeros(0, dtype=torch.int64), chunk=6)
    assert float(nll.detach()) == 0.0


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_heads_of_the_architectures_pass_the_check(architecture: str) -> None:
    model = model_of(architecture)
    check_head(with_adapter(model))
    assert model.training


def test_architecture_that_scales_its_logits_is_refused() -> None:
    import transformers

    config = transformers.CohereConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=2, logit_scale=0.0625, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    with pytest.raises(RunError, match="CohereForCausalLM changes its logits after the head"):
        check_head(transformers.CohereForCausalLM(config))


def test_prompt_learning_is_refused() -> None:
    import peft

    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    with pytest.raises(ValueError, match="must be an adapter of layers"):
        causal_model(SimpleNamespace(get_base_model=None, active_peft_config=config))
