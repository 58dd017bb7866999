"""Losses of preference training: how far a model prefers the preferred answer more than it did at the start.

With the log-probability of a whole answer under the model and under the reference, the gain of an answer is their
difference, and ``h = gain of the preferred - gain of the rejected``:

* ``sigmoid``: ``-(1 - s) log sigmoid(beta h) - s log sigmoid(-beta h)``, s the label smoothing: the share of pairs that
  are assumed to be the wrong way round;
* ``ipo``: ``(h - 1 / (2 beta))^2``, which stops pulling once the margin is reached. Answers count whole, as in the
  paper; some libraries take means per token.

``beta x gain`` is the implicit reward of an answer. Legend: P pairs.

Source: Rafailov et al., "Direct preference optimization", arXiv 2305.18290, equation 7; Mitchell, "A note on DPO with
noisy preferences" (smoothing); Azar et al., arXiv 2310.12036, equation 17 (IPO).
"""

from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from tradewright.algorithm.text_meter import TextMeter

PreferenceLoss = Literal["sigmoid", "ipo"]
LOSSES: tuple[PreferenceLoss, ...] = get_args(PreferenceLoss)


def preference_loss(
    chosen_gain_P: Tensor, rejected_gain_P: Tensor, *, kind: PreferenceLoss, beta: float, label_smoothing: float = 0.0
) -> Tensor:
    """Return the loss of every pair.

    Args:
        chosen_gain_P: Log-probability of the preferred answers, nats, less that under the reference.
        rejected_gain_P: The same of the other answers.
        kind: Which loss.
        beta: How close to the reference the model is held, > 0; larger is closer.
        label_smoothing: s, in [0, 0.5).
    """
    margin_P = chosen_gain_P - rejected_gain_P
    if kind == "ipo":
        return (margin_P - 1.0 / (2.0 * beta)) ** 2
    found_P = -(1.0 - label_smoothing) * logsigmoid(beta * margin_P)
    return found_P - label_smoothing * logsigmoid(-beta * margin_P) if label_smoothing else found_P


MEASURED = (
    "loss",
    "num_pairs",
    "preference_accuracy",
    "margin",
    "chosen_gain",
    "rejected_gain",
    "chosen_log_probability",
    "rejected_log_probability",
)
"""What is summed over pairs, in this order; all but the second are shown as means per pair."""


def measure(loss_P: Tensor, logp_P2: Tensor, gain_P2: Tensor, *, beta: float) -> Tensor:
    """Return the sums of ``MEASURED``, detached.

    Args:
        loss_P: Loss of each pair.
        logp_P2: Log-probabilities of both answers, preferred first, nats.
        gain_P2: Less those under the reference.
        beta: Of the implicit reward; the margin is in its unit.
    """
    margin_P = beta * (gain_P2[:, 0] - gain_P2[:, 1])
    columns = (loss_P, torch.ones_like(loss_P), (margin_P > 0).float(), margin_P, *gain_P2.T, *logp_P2.T)
    return torch.stack([one.detach().sum() for one in columns])


class PairMeter(TextMeter):
    """Measures a preference training; what is summed is the vector of ``measure``."""

    @staticmethod
    def figures(nll: Tensor, num_targets: int) -> dict[str, float]:
        """Return means per pair by name: accuracy, margin of implicit rewards, log-probabilities and their gains.

        Args:
            nll: Sums of ``MEASURED``.
            num_targets: Not used: the sums say of how many pairs they are.
        """
        sums = dict(zip(MEASURED, nll.tolist(), strict=True))
        num_pairs = sums.pop("num_pairs")
        return {name: value / num_pairs for name, value in sums.items()}
