"""Pairs of answers, DPO modules and a hand-written reference for the tests of preference training."""

import random
from typing import Any

import torch
from text_cases import WORDS, loaded_of
from torch.nn.functional import logsigmoid

from tradewright.algorithm.dpo import DPO
from tradewright.algorithm.text_pairs import TokenPair
from tradewright.examples.example import ExampleSets, Preference


def pair_of(number: int, *, num_prompt: int = 4, num_chosen: int = 5, num_rejected: int = 7) -> Preference:
    rng = random.Random(number)
    question, chosen, rejected = (" ".join(rng.choices(WORDS, k=k)) for k in (num_prompt, num_chosen, num_rejected))
    return Preference(
        id=f"p{number}", prompt=({"role": "user", "content": question},), completion=chosen, rejected=f"{rejected} no"
    )


def pairs_of(num_train: int = 10, num_validation: int = 3, num_test: int = 0) -> ExampleSets:
    """Return pairs of skewed lengths."""
    rng = random.Random(5)
    made = [
        pair_of(n, num_prompt=rng.randint(1, 6), num_chosen=rng.randint(1, 14), num_rejected=rng.randint(1, 14))
        for n in range(num_train + num_validation + num_test)
    ]
    first, second = num_train, num_train + num_validation
    return ExampleSets(
        train=tuple(made[:first]), validation=tuple(made[first:second]), test=tuple(made[second:]), fingerprint="0",
        name="pairs",
    )  # fmt: skip


def dpo_of(
    model: Any, tokenizer: Any, sets: ExampleSets | None = None, *, max_length: int = 128, **options: Any
) -> DPO:
    values: dict[str, Any] = {"epochs": 2, "batch_size": 2, "accumulation": 2, "lr": 1e-2, "log_every": 1}
    values |= {"tokens_per_batch": 256} | options
    return DPO(loaded=loaded_of(model, tokenizer, max_length=max_length), sets=sets or pairs_of(), seed=0, **values)


def log_probability(model: torch.nn.Module, ids_L: torch.Tensor, num_prompt: int) -> torch.Tensor:
    """The oracle: one answer alone, logits of every position."""
    logits_LV = model(input_ids=ids_L[None], use_cache=False).logits[0]
    scores = logits_LV[num_prompt - 1 : -1].log_softmax(-1)
    return scores.gather(1, ids_L[num_prompt:, None]).sum()


def paper_loss(
    policy: torch.nn.Module,
    reference: torch.nn.Module,
    pairs: tuple[TokenPair, ...],
    *,
    beta: float = 0.1,
    loss: str = "sigmoid",
    label_smoothing: float = 0.0,
    sft_weight: float = 0.0,
) -> torch.Tensor:
    """Equation 7 of arXiv 2305.18290 with two copies of the model; IPO: equation 17 of arXiv 2310.12036."""
    found = []
    for pair in pairs:
        ours, theirs = [], []
        for one in (pair.chosen, pair.rejected):
            ours.append(log_probability(policy, one.ids_L, one.num_prompt))
            with torch.no_grad():
                theirs.append(log_probability(reference, one.ids_L, one.num_prompt))
        logits = (ours[0] - ours[1]) - (theirs[0] - theirs[1])
        if loss == "ipo":
            value = (logits - 1 / (2 * beta)) ** 2
        else:
            value = -logsigmoid(beta * logits) * (1 - label_smoothing) - logsigmoid(-beta * logits) * label_smoothing
        found.append(value - sft_weight * ours[0] / pair.chosen.num_targets)
    return torch.stack(found).mean()
