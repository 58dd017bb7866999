"""Synthetic curves draw exactly the warning that they deserve, once, and healthy ones draw none."""

import logging
import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tradewright.callbacks.text_health import TextHealth
from tradewright.callbacks.training_findings import training_findings
from tradewright.errors import RunError

NUM_POINTS, PER_EPOCH = 60, 12
STEPS = [10 * (number + 1) for number in range(NUM_POINTS)]


def falling(start: float = 2.2, end: float = 0.7, *, seed: int = 0) -> np.ndarray:
    """From the expected 1.5-2.5 down to 0.5-1.0, with the noise of batches."""
    rng = np.random.default_rng(seed)
    return end + (start - end) * np.exp(-4 * np.arange(NUM_POINTS) / NUM_POINTS) + rng.normal(0, 0.05, NUM_POINTS)


def curves_of(train: np.ndarray, validation: list[float] | None = None, **others: Any) -> dict[str, Any]:
    """Return the curves of a run of five epochs."""
    loss = [0.95, 0.85, 0.8, 0.78, 0.77] if validation is None else validation
    steps = STEPS[PER_EPOCH - 1 :: PER_EPOCH][: len(loss)]
    made = {
        "train/loss": (STEPS, train.tolist()),
        "validation/loss": (steps, loss),
        "validation/perplexity": (steps, np.exp(loss).tolist()),
        "train/micro_batch": (STEPS, [8.0] * NUM_POINTS),
        "memory/fraction": (STEPS, [0.4] * NUM_POINTS),
    }
    return {**made, **{name.replace("_", "/", 1): value for name, value in others.items()}}


RISING = falling() + np.concatenate((np.zeros(30), np.linspace(0, 1.5, 30)))
NOISE = np.random.default_rng(1).normal(0, 0.05, NUM_POINTS)
STANDING = 1.4 + 0.8 * np.exp(-np.arange(NUM_POINTS) / 3) + NOISE
FLAT = 2.0 + NOISE

CASES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "healthy": (curves_of(falling()), []),
    "healthy without validation": ({"train/loss": (STEPS, falling().tolist())}, []),
    "too short to tell": ({"train/loss": (STEPS[:7], [2.0] * 7)}, []),
    "learnt and resting": (curves_of(falling(2.2, 0.05)), []),
    "rising": (curves_of(RISING), ["loss_increases"]),
    "flat from the start": (curves_of(FLAT), ["loss_not_decreasing"]),
    "standing still too high": (curves_of(STANDING), ["loss_stalls"]),
    "overfitted": (curves_of(falling(), [0.95, 0.85, 0.9, 1.0, 1.2]), ["overfitting"]),
    "validation wobbles": (curves_of(falling(), [0.95, 0.85, 0.86, 0.84, 0.85]), []),
    "both rise": (curves_of(RISING, [0.95, 0.9, 1.0, 1.3, 1.6]), ["loss_increases"]),
    "perplexity stays high": (curves_of(falling(), [2.0, 1.9, 1.85]), ["high_perplexity"]),
    "perplexity is high in the first epochs": (curves_of(falling(), [2.0, 1.9]), []),
    "perplexity of tokens that hold phrases": (
        curves_of(falling(), [2.0, 1.9, 1.85], validation_characters_per_target=(STEPS[:3], [12.0] * 3)),
        [],
    ),
    "memory nearly full": (curves_of(falling(), memory_fraction=(STEPS, [0.4, 0.95] * 30)), ["memory_near_limit"]),
    "preferred answers lose": (
        curves_of(falling(), train_chosen_gain=(STEPS, np.linspace(0, -6, NUM_POINTS))),
        ["chosen_less_likely"],
    ),
    "preferred answers keep": (curves_of(falling(), train_chosen_gain=(STEPS, np.linspace(-0.8, 1, NUM_POINTS))), []),
    "out of memory": (curves_of(falling(), train_micro_batch=(STEPS, [8.0] * 20 + [2.0] * 40)), ["out_of_memory"]),
}


@pytest.mark.row("T17")
@pytest.mark.row("T18")
@pytest.mark.row("T19")
@pytest.mark.row("T21")
@pytest.mark.parametrize("case", CASES)
def test_curves_draw_exactly_their_findings(case: str) -> None:
    curves, expected = CASES[case]
    assert [finding.name for finding in training_findings(curves)] == expected
    as_stored = {name: {"steps": list(steps), "values": list(values)} for name, (steps, values) in curves.items()}
    assert training_findings(as_stored) == training_findings(curves)
    for finding in training_findings(curves):
        assert finding.advice
        assert finding.step in STEPS


@pytest.mark.row("T17")
def test_healthy_trainings_are_not_warned_of_at_any_length() -> None:
    """Whatever the noise, and whenever one looks."""
    for seed in range(50):
        train = falling(seed=seed)
        for length in range(1, NUM_POINTS + 1):
            found = training_findings({"train/loss": (STEPS[:length], train[:length].tolist())})
            assert found == [], (seed, length)


class Run:
    """A training that logs given curves through the callback."""

    def __init__(self) -> None:
        self.callback = TextHealth()
        self.module = SimpleNamespace(frames=0, logged_at=-1, log_every=10, device="cpu")
        self.trainer = SimpleNamespace(
            sanity_checking=False, current_epoch=0, checkpoint_callback=None, callback_metrics={}, loggers=[]
        )

    def play(self, curves: dict[str, Any]) -> None:
        validated = dict(zip(*curves["validation/loss"], strict=True))
        for number, step in enumerate(STEPS):
            self.module.frames = self.module.logged_at = step
            for name in (name for name in curves if not name.startswith("validation/")):
                self.trainer.callback_metrics[name] = torch.tensor(curves[name][1][number])
            self.callback.on_train_batch_end(self.trainer, self.module, None, None, number)
            if step in validated:
                loss = validated[step]
                self.trainer.callback_metrics |= {"validation/loss": loss, "validation/perplexity": math.exp(loss)}
                if "validation/characters_per_target" in curves:
                    self.trainer.callback_metrics["validation/characters_per_target"] = 12.0
                self.callback.on_validation_end(self.trainer, self.module)


@pytest.mark.row("T17")
@pytest.mark.row("T18")
@pytest.mark.row("T19")
@pytest.mark.parametrize("case", [name for name, (curves, _) in CASES.items() if "validation/loss" in curves])
def test_callback_warns_once_while_the_training_runs(case: str, caplog: Any) -> None:
    curves, expected = CASES[case]
    run = Run()
    with caplog.at_level(logging.WARNING, logger="tradewright"):
        run.play(curves)
    assert sorted(run.callback.findings) == sorted(expected)
    assert len(caplog.messages) == len(expected)
    again = TextHealth()
    again.load_state_dict(run.callback.state_dict())
    assert again.findings == run.callback.findings


def test_loss_that_is_not_finite_stops_the_run_at_its_point() -> None:
    run = Run()
    run.module.frames = run.module.logged_at = 20
    run.trainer.callback_metrics["train/loss"] = torch.tensor(math.nan)
    with pytest.raises(
        RunError, match=r"the loss became nan within the 10 optimizer steps up to 20; lower algorithm\.lr"
    ):
        run.callback.on_train_batch_end(run.trainer, run.module, None, None, 0)
