"""Temperature scaling finds what probabilities were distorted with, and the least log-loss of a sample."""

import numpy as np
import pytest

from tradewright.metrics.temperature import fit_temperature, tempered


def softmax(logits_BL: np.ndarray) -> np.ndarray:
    shifted_BL = np.exp(logits_BL - logits_BL.max(axis=1, keepdims=True))
    return shifted_BL / shifted_BL.sum(axis=1, keepdims=True)


def planted(temperature: float, num: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """Draw outcomes from softmax(logits / temperature); a model claims softmax(logits)."""
    rng = np.random.default_rng(4)
    logits_BL = rng.normal(size=(num, 3)) * 3
    true_BL = softmax(logits_BL / temperature)
    return softmax(logits_BL), (rng.random(num)[:, None] > true_BL.cumsum(axis=1)).sum(axis=1)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_planted_temperature_is_found(temperature: float) -> None:
    probability_BL, label_B = planted(temperature)
    assert fit_temperature(probability_BL, label_B) == pytest.approx(temperature, rel=0.04)


def test_found_temperature_is_the_minimum_of_the_log_loss() -> None:
    probability_BL, label_B = planted(2.0, num=200)

    def loss(temperature: float) -> float:
        return float(-np.log(tempered(probability_BL, temperature)[np.arange(200), label_B]).mean())

    found = fit_temperature(probability_BL, label_B)
    assert loss(found) <= min(loss(t) for t in np.geomspace(0.05, 20, 4001)) + 1e-9
