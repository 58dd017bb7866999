"""Model FLOPs per token: 4 per parameter of a frozen base, 6 of a trained one; embeddings are looked up."""

import pytest
import torch
from text_cases import model_of, with_adapter

from tradewright.algorithm.flops import PEAK_TFLOPS, FlopCount, peak_tflops
from tradewright.algorithm.text_batches import pack
from tradewright.algorithm.text_examples import TokenExample
from tradewright.algorithm.text_meter import TextMeter


def layers_of(model: torch.nn.Module) -> int:
    """Parameters of the decoder layers and the last norm, counted by name."""
    return sum(one.numel() for name, one in model.named_parameters() if "embed" not in name and "lm_head" not in name)


def test_whole_training_counts_six_per_parameter_and_the_head_apart() -> None:
    model = model_of("llama")
    count = FlopCount.of(model, is_recomputing=False)
    assert count.body == 6 * layers_of(model)
    assert count.head == 6 * model.lm_head.weight.numel()
    assert count.recomputed == 0


def test_tied_head_counts_once_as_a_head() -> None:
    model = model_of("qwen2")
    count = FlopCount.of(model, is_recomputing=False)
    assert count.head == 6 * model.model.embed_tokens.weight.numel()
    assert count.body == 6 * layers_of(model)


def test_frozen_base_counts_four_and_its_recomputation_two_more() -> None:
    base = layers_of(model_of("llama"))
    adapted = with_adapter(model_of("llama"))
    adapter = sum(one.numel() for one in adapted.parameters() if one.requires_grad)
    count = FlopCount.of(adapted, is_recomputing=True)
    assert count.body == 4 * base + 6 * adapter
    assert count.recomputed == 2 * (base + adapter)


def test_utilisation_is_work_over_time_over_peak() -> None:
    seconds = iter([0.0, 2.0, 2.0])
    flops = FlopCount(body=1e9, head=5e8, recomputed=5e8)
    meter = TextMeter(flops, 0.1, clock=lambda: next(seconds))
    meter.resume()
    meter.add(pack([TokenExample(torch.arange(100), 60)]), torch.tensor(80.0))
    point = meter.point(torch.device("cpu"))
    assert point["train/loss"] == 2.0
    assert point["throughput/tokens_per_s"] == 50
    assert point["throughput/target_tokens_per_s"] == 20
    assert point["throughput/mfu"] == pytest.approx((100 * 1e9 + 40 * 5e8) / 2 / 1e11)
    assert point["throughput/hardware_utilisation"] == pytest.approx((100 * 1.5e9 + 40 * 5e8) / 2 / 1e11)


@pytest.mark.parametrize(
    ("name", "peak"),
    [
        ("NVIDIA H200", 989.0),
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA L40S", 362.0),
        ("NVIDIA L4", 121.0),
        ("Other", None),
    ],
)
def test_peak_is_that_of_the_device_in_half_precision(name: str, peak: float | None, monkeypatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: name)
    assert peak_tflops(torch.device("cuda"), "bf16-mixed") == peak
    assert peak_tflops(torch.device("cuda"), "32-true") is None
    assert peak_tflops(torch.device("cpu"), "bf16-mixed") is None
    assert min(PEAK_TFLOPS.values()) > 0
