"""Temperature scaling: one number that makes confidence mean what it says, found on the validation range.

p_i' = p_i^(1/T) / sum_j p_j^(1/T), with the T that maximises the likelihood of the true labels: above 1 where a model
is too sure. The order of the classes, and so every decision, stays.
Source: Guo, Pleiss, Sun & Weinberger (2017), On Calibration of Modern Neural Networks, ICML.
Legend: B predictions, L labels.
"""

import numpy as np
import numpy.typing as npt

Float = npt.NDArray[np.float64]

LOWEST, HIGHEST = 0.05, 20.0
"""Range of the temperature; at its ends the labels say nothing of it."""
NUM_STEPS = 60
LEAST = 1e-12
"""Least probability; a true label to which a model gave none would have an infinite loss at every temperature."""
GOLDEN = (5**0.5 - 1) / 2


def tempered(probabilities_BL: Float, temperature: float) -> Float:
    """Return the probabilities at a temperature; rows of NaN stay, and those at temperature 1 as they are."""
    if temperature == 1.0:
        return probabilities_BL
    logits_BL = np.log(np.maximum(probabilities_BL, LEAST)) / temperature
    weights_BL = np.exp(logits_BL - logits_BL.max(axis=1, keepdims=True, initial=-np.inf))
    return np.asarray(weights_BL / weights_BL.sum(axis=1, keepdims=True))


def fit_temperature(probabilities_BL: Float, label_B: npt.NDArray[np.integer]) -> float:
    """Return the temperature of the largest likelihood.

    The loss has one minimum in 1/T (it is convex there), which a golden-section search over log T finds.

    Args:
        probabilities_BL: Probabilities without NaN.
        label_B: Index of the true label.

    Returns:
        The temperature, in [0.05, 20]; 1 without any prediction.
    """
    if not len(label_B):
        return 1.0
    rows = np.arange(len(label_B))

    def loss(log_t: float) -> float:
        p_B = tempered(probabilities_BL, float(np.exp(log_t)))[rows, label_B]
        return -float(np.log(np.maximum(p_B, LEAST)).mean())

    low, high = np.log(LOWEST), np.log(HIGHEST)
    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    loss_left, loss_right = loss(left), loss(right)
    for _ in range(NUM_STEPS):
        if loss_left <= loss_right:
            high, right, loss_right = right, left, loss_left
            left = high - GOLDEN * (high - low)
            loss_left = loss(left)
        else:
            low, left, loss_left = left, right, loss_right
            right = low + GOLDEN * (high - low)
            loss_right = loss(right)
    return float(np.exp((low + high) / 2))
