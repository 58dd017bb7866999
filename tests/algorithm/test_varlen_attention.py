"""Packed attention: a pack gives the logits and gradients of its sequences apart, on every architecture."""

import pytest
import torch
from text_cases import ARCHITECTURES, WINDOW, model_of, with_adapter

from tradewright.algorithm.text_batches import pack
from tradewright.algorithm.text_examples import TokenExample
from tradewright.model.checkpointing import set_checkpointing
from tradewright.model.masked_head import causal_model
from tradewright.model.varlen_attention import NAME, attend, packed_attention

LENGTHS = (5, 1, 23, 12, 9)
TOLERANCE = 1e-5


def examples_of(lengths: tuple[int, ...] = LENGTHS, vocabulary: int = 300) -> list[TokenExample]:
    generator = torch.Generator().manual_seed(3)
    return [TokenExample(torch.randint(3, vocabulary, (n,), generator=generator), min(1, n - 1) or 1) for n in lengths]


def logits_apart(model: torch.nn.Module, examples: list[TokenExample]) -> torch.Tensor:
    return torch.cat([model(input_ids=one.ids_L[None], use_cache=False).logits for one in examples], dim=1)


def logits_packed(model: torch.nn.Module, examples: list[TokenExample]) -> torch.Tensor:
    with packed_attention(causal_model(model)):
        return model(**pack(examples).inputs, use_cache=False).logits


@pytest.mark.parametrize("is_adapted", [False, True])
@pytest.mark.parametrize("is_training", [False, True])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_packed_logits_equal_those_of_separate_sequences(
    architecture: str, is_training: bool, is_adapted: bool
) -> None:
    model = model_of(architecture)
    model = (with_adapter(model) if is_adapted else model).train(is_training)
    examples = examples_of()
    apart, packed = logits_apart(model, examples), logits_packed(model, examples)
    assert float((packed - apart).detach().norm() / apart.detach().norm()) < TOLERANCE


@pytest.mark.parametrize("architecture", ["qwen2", "mistral", "gpt2"])
def test_packed_gradients_under_checkpointing_equal_those_of_separate_sequences(architecture: str) -> None:
    examples, gradients = examples_of(), []
    for is_packed in (False, True):
        model = with_adapter(model_of(architecture))
        if is_packed:
            set_checkpointing(causal_model(model), is_on=True)
            with packed_attention(causal_model(model)):
                model(**pack(examples).inputs, use_cache=False).logits.square().sum().backward()
        else:
            logits_apart(model, examples).square().sum().backward()
        gradients.append(torch.cat([one.grad.flatten() for one in model.parameters() if one.requires_grad]))
    assert float((gradients[0] - gradients[1]).norm() / gradients[0].norm()) < TOLERANCE


def test_the_defaults_of_transformers_let_packed_sequences_leak() -> None:
    """Why there is an attention of our own: without an error, the same pack gives other logits."""
    model, examples = model_of("qwen2").eval(), examples_of()
    inputs = {key: value for key, value in pack(examples).inputs.items() if key == "input_ids" or "position" in key}
    apart = logits_apart(model, examples)
    leaking = model(**inputs, attention_mask=torch.ones_like(inputs["input_ids"])).logits
    assert float((leaking - apart).detach().norm() / apart.detach().norm()) > 0.01


def test_sliding_window_hides_what_lies_further_back() -> None:
    """One layer: a token's output changes with the token ``WINDOW - 1`` before it, not with the one before that."""
    model = model_of("mistral", layers=1).eval()
    (example,) = examples_of((20,))
    before = logits_packed(model, [example])[0, -1]
    for distance, is_seen in ((WINDOW - 1, True), (WINDOW, False)):
        ids_L = example.ids_L.clone()
        ids_L[-1 - distance] = (ids_L[-1 - distance] + 1) % 300
        after = logits_packed(model, [TokenExample(ids_L, 1)])[0, -1]
        assert (float((after - before).detach().abs().max()) > 0) == is_seen, distance


def test_attention_of_the_model_is_put_back_even_after_an_error() -> None:
    model = model_of("llama")
    before = model.config._attn_implementation

    inside = []

    def fail() -> None:
        with packed_attention(model):
            inside.append(model.config._attn_implementation)
            raise KeyError("inside")

    with pytest.raises(KeyError):
        fail()
    assert inside == [NAME]
    assert model.config._attn_implementation == before == "sdpa"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"cu_seq_lens_q": None}, "needs cu_seq_lens_q and max_length_q"),
        ({"attention_mask": torch.ones(1, 1, 4, 4)}, "no attention_mask"),
        ({"query": torch.zeros(2, 2, 4, 8)}, "one row of packed sequences"),
        ({"key": torch.zeros(1, 2, 6, 8)}, "takes no cache"),
        ({"softcap": 30.0}, "no soft cap"),
    ],
)
def test_what_it_cannot_compute_is_refused(change: dict, message: str) -> None:
    x, starts = torch.zeros(1, 2, 4, 8), torch.tensor([0, 4], dtype=torch.int32)
    given = {"query": x, "key": x, "value": x, "attention_mask": None, "cu_seq_lens_q": starts, "max_length_q": 4}
    with pytest.raises(ValueError, match=message):
        attend(torch.nn.Identity(), **{**given, **change})


@pytest.mark.gpu
@pytest.mark.parametrize("window", [None, WINDOW])
def test_cuda_kernel_equals_separate_sequences(window: int | None) -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch.manual_seed(0)
    lengths = torch.tensor(LENGTHS)
    starts = torch.zeros(len(LENGTHS) + 1, dtype=torch.int32, device="cuda")
    starts[1:] = lengths.cumsum(0)
    shape = (int(lengths.sum()), 64)
    query = torch.randn(1, 4, *shape, device="cuda", dtype=torch.bfloat16, requires_grad=True)
    key, value = (torch.randn(1, 2, *shape, device="cuda", dtype=torch.bfloat16, requires_grad=True) for _ in "kv")
    layer = torch.nn.Module()
    layer.num_key_value_groups, layer.is_causal = 2, True  # type: ignore[assignment]
    results = []
    for dropout in (0.0, 1e-9):  # any dropout takes the way of one SDPA per sequence
        out, _ = attend(
            layer, query, key, value, None, dropout, None, window, starts, starts, max(LENGTHS), max(LENGTHS)
        )
        results.append((out, *torch.autograd.grad(out.float().square().sum(), (query, key, value))))
    for fused, apart in zip(*results, strict=True):
        assert float((fused - apart).float().norm() / apart.float().norm()) < 0.02
