"""One token from logits: repetition penalty, temperature, top-k, top-p, and a draw by the inverse distribution.

Every row draws with a number of its own, so its result does not depend on the others in its batch. Legend: B rows,
V vocabulary.
"""

import torch
from torch import Tensor

from tradewright.generate.decoding import Decoding


def penalise(logits_BV: Tensor, seen_BV: Tensor, penalty: float) -> Tensor:
    """Return logits in which tokens that occurred are less probable.

    ``l / penalty`` where the logit is positive, ``l * penalty`` where it is negative.

    Args:
        logits_BV: Of the next token.
        seen_BV: Whether a token occurred in the row, prompt included, padding excluded.
        penalty: > 0; 1 changes nothing.

    Source: Keskar et al., "CTRL: a conditional transformer language model", 2019.
    """
    if penalty == 1.0:
        return logits_BV
    punished_BV = torch.where(logits_BV > 0, logits_BV / penalty, logits_BV * penalty)
    return torch.where(seen_BV, punished_BV, logits_BV)


def distribution(logits_BV: Tensor, decoding: Decoding) -> Tensor:
    """Return the probabilities that are drawn from, float64, after temperature, top-k and top-p in this order.

    The most probable token always stays.

    Args:
        logits_BV: Of the next token, after any penalty; ``-inf`` forbids a token.
        decoding: Its temperature must be > 0.
    """
    scaled_BV = logits_BV.double() / decoding.temperature
    if 0 < decoding.top_k < scaled_BV.shape[-1]:
        least_B1 = scaled_BV.topk(decoding.top_k, dim=-1).values[:, -1:]
        scaled_BV = scaled_BV.masked_fill(scaled_BV < least_B1, -torch.inf)
    probability_BV = scaled_BV.softmax(dim=-1)
    if decoding.top_p < 1.0:
        sorted_BV, order_BV = probability_BV.sort(dim=-1, descending=True, stable=True)
        is_beyond_BV = sorted_BV.cumsum(dim=-1) - sorted_BV >= decoding.top_p
        kept_BV = sorted_BV.masked_fill(is_beyond_BV, 0.0)
        probability_BV = torch.zeros_like(probability_BV).scatter(-1, order_BV, kept_BV)
    return probability_BV


def draw(probability_BV: Tensor, uniform_B: Tensor) -> Tensor:
    """Return one token per row: the first at which the cumulated probability exceeds the row's number.

    Args:
        probability_BV: Not negative, float64; rows need not add up to 1.
        uniform_B: In [0, 1), with at most 24 bits, so that the last token stays reachable and none behind it is.
    """
    cumulated_BV = probability_BV.cumsum(dim=-1)
    threshold_B1 = (uniform_B.to(cumulated_BV) * cumulated_BV[:, -1]).unsqueeze(-1)
    return (cumulated_BV <= threshold_B1).sum(dim=-1)


def choose(logits_BV: Tensor, decoding: Decoding, uniform_B: Tensor) -> Tensor:
    """Return the next token of every row: the most probable one at temperature 0, else a draw."""
    if decoding.is_greedy:
        return logits_BV.argmax(dim=-1)
    return draw(distribution(logits_BV, decoding), uniform_B)
