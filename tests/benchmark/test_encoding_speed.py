"""Once-per-bar encoding beside per-window encoding of a convolutional encoder, CPU time of one thread, in one run.

``pytest -m benchmark -s -n 0 tests/benchmark/test_encoding_speed.py``

Both encode every bar of twenty years of days once: the range in one convolution, or a gathered window per bar, 512 at
a time as in a minibatch. Agents look at a bar many times in a rollout, so what they save is a multiple of that.
"""

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tradewright.env.market_tensors import gather_window
from tradewright.model.tcn import TCN

pytestmark = pytest.mark.benchmark

NUM_BARS, NUM_FEATURES, MINIBATCH, TURNS = 5_031, 15, 512, 5
LEAST_FORWARD, LEAST_WITH_GRADIENTS = 10.0, 5.0


@pytest.fixture
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def least_seconds(*calls: Callable[[], object]) -> list[float]:
    """Return the least CPU seconds of each call; they take turns."""
    found: list[list[float]] = [[] for _ in calls]
    for _ in range(TURNS):
        for seconds, call in zip(found, calls, strict=True):
            start = time.process_time()
            call()
            seconds.append(time.process_time() - start)
    return [min(seconds) for seconds in found]


@pytest.mark.parametrize("window", [20, 60])
@pytest.mark.usefixtures("_one_thread")
def test_once_per_bar_is_many_times_as_fast_and_bit_identical(window: int) -> None:
    torch.manual_seed(0)
    model = TCN(in_features=window * NUM_FEATURES, window=window, num_features=NUM_FEATURES, hidden=[64])
    features_TF = torch.randn(NUM_BARS, NUM_FEATURES)
    parts = torch.arange(window - 1, NUM_BARS).split(MINIBATCH)

    def at_once() -> Tensor:
        return model.encode_bars(features_TF[None])[0]

    def per_window() -> Tensor:
        return torch.cat([model.encode(gather_window(features_TF, rows, window)) for rows in parts])

    with torch.no_grad():
        assert torch.equal(at_once(), per_window())
        once_s, window_s = least_seconds(at_once, per_window)
    both_once_s, both_window_s = least_seconds(
        lambda: at_once().sum().backward(), lambda: per_window().sum().backward()
    )
    print(f"\nwindow {window}, {len(parts)} minibatches of {MINIBATCH}, CPU ms at once / per window")
    print(f"forward            {1e3 * once_s:8.1f} {1e3 * window_s:8.1f}  {window_s / once_s:5.1f}x")
    print(
        f"forward, backward  {1e3 * both_once_s:8.1f} {1e3 * both_window_s:8.1f}  {both_window_s / both_once_s:5.1f}x"
    )
    assert window_s / once_s >= LEAST_FORWARD
    assert both_window_s / both_once_s >= LEAST_WITH_GRADIENTS
