"""``tradewright doctor run=``: each symptom, planted in a run directory, draws its own finding with advice, once."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tradewright.cli import main
from tradewright.errors import RunError
from tradewright.task.diagnosis import diagnose

SFT, PPO = "tradewright.algorithm.sft.SFT", "tradewright.algorithm.ppo.PPO"
NUM = 40
STEPS = [10 * (place + 1) for place in range(NUM)]
FALLING = (0.7 + 1.5 * np.exp(-4 * np.arange(NUM) / NUM)).tolist()
FLAT = [2.0 + 0.01 * (-1) ** place for place in range(NUM)]
GOOD_TEXTS = {"explain/specificity": 4.5, "explain/factual_accuracy": 4.8, "explain/coverage": 0.95}


def curves_of(**changed: list[float]) -> dict[str, Any]:
    """Return healthy curves with some of them replaced; names with a double underscore for the slash."""
    values = {
        "train/loss": FALLING,
        "validation/loss": [0.95, 0.85, 0.8, 0.78],
        "train/micro_batch": [8.0] * NUM,
        "throughput/tokens_per_s": [1500.0] * NUM,
    } | {name.replace("__", "/"): value for name, value in changed.items()}
    return {name: {"steps": STEPS[-len(value) :], "values": value} for name, value in values.items()}


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """Write a run directory: healthy but for the named files."""

    def make(*, algorithm: str = SFT, log: str = "trained 100%\n", **files: Any) -> Path:
        contents = {"status.json": {"state": "done", "error": None}, "curves.json": curves_of()}
        contents |= {name.replace("__", "/") + ".json": value for name, value in files.items()}
        (tmp_path / "config.yaml").write_text(f"algorithm:\n  _target_: {algorithm}\n")
        (tmp_path / "log.txt").write_text(log)
        for name, content in contents.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(json.dumps(content))
        return tmp_path

    return make


def failed(error: str) -> dict[str, Any]:
    return {"state": "failed", "error": error}


OVERFITTED = curves_of(validation__loss=[0.95, 0.8, 0.9, 1.0, 1.2])
HALVED = "[2026-01-01][tradewright.algorithm][WARNING] out of memory: micro-batches are halved to 4 examples, so that\n"
LATE_HALVING = curves_of(train__micro_batch=[8.0] * 10 + [4.0] * 30)
SLOW = {"findings": ["slow: 95 % of answers take up to 3.2 s, the budget is 2 s; quant=nf4 on a GPU is faster"]}
MISMATCH = "DataError: prompt: feature 'price' has shape (3, 1), the data set has (4, 1): bars x pools"
CASES: dict[str, tuple[dict[str, Any], str, str]] = {
    "loss not decreasing": ({"curves": curves_of(train__loss=FLAT)}, "loss_not_decreasing", "algorithm.lr"),
    "overfitting": ({"curves": OVERFITTED}, "overfitting", "algorithm.epochs"),
    "perplexity": ({"curves": curves_of(validation__perplexity=[9.0, 8.0, 7.5])}, "high_perplexity", "train longer"),
    "generic texts": (
        {"explanations__explanations": GOOD_TEXTS | {"explain/specificity": 2.1}},
        "generic_explanations",
        "fact check",
    ),
    "halved in the curves": ({"curves": LATE_HALVING}, "out_of_memory", "algorithm.accumulation"),
    "halved in the log": ({"log": HALVED * 2}, "out_of_memory", "algorithm.accumulation"),
    "halved in both": ({"log": HALVED, "curves": LATE_HALVING}, "out_of_memory", "quant=nf4"),
    "ended by memory": (
        {"status": failed("RunError: out of memory with one example of 900 tokens at a time")},
        "out_of_memory",
        "stronger quantisation",
    ),
    "slow inference": ({"bench": SLOW}, "slow_inference", "quant=nf4"),
    "slow training": ({"curves": curves_of(throughput__tokens_per_s=[90.0])}, "slow_training", "algorithm.packing"),
    "shape mismatch": ({"status": failed(MISMATCH)}, "shape_mismatch", "same data"),
    "loss is not finite": ({"status": failed("RunError: algorithm: the loss became nan within the 10")},
                           "loss_not_finite", "lower algorithm.lr"),
    "majority": (
        {"metrics": {"test/accuracy": 0.6, "test/majority_accuracy": 0.6}},
        "no_better_than_majority",
        "examples.balance=equal",
    ),
    "overlong": (
        {"data_report": {"train": {"num_examples": 50, "num_dropped": 2, "num_truncated": 3, "limit": 128}}},
        "overlong_examples",
        "model.max_length",
    ),
    "interrupted": ({"status": failed("interrupted")}, "interrupted", "resume="),
    "something else": ({"status": failed("DataError: bars.csv row 3: no close")}, "failed", "log.txt"),
}  # fmt: skip


@pytest.mark.row("T19")
@pytest.mark.row("T34")
@pytest.mark.row("T35")
@pytest.mark.row("T36")
@pytest.mark.row("T37")
@pytest.mark.row("T38")
@pytest.mark.row("R43")
@pytest.mark.parametrize("case", CASES)
def test_symptom_draws_its_finding_with_advice_and_no_other(made: Callable[..., Path], case: str) -> None:
    files, name, advice = CASES[case]
    findings, read = diagnose(made(**files))
    assert [one.name for one in findings] == [name]
    assert advice in findings[0].advice
    assert findings[0].message
    assert {"status.json", "curves.json", "log.txt"} <= set(read)


def test_healthy_run_draws_none(made: Callable[..., Path]) -> None:
    files = {"explanations__explanations": GOOD_TEXTS, "bench": {"findings": []}, "metrics": {"test/accuracy": None}}
    assert diagnose(made(**files))[0] == []


def test_curves_of_an_agent_are_not_judged_as_losses_of_a_language_model(made: Callable[..., Path]) -> None:
    assert diagnose(made(algorithm=PPO, curves=curves_of(train__loss=FLAT)))[0] == []


def test_doctor_prints_findings_and_succeeds(made: Callable[..., Path], capsys: pytest.CaptureFixture[str]) -> None:
    run = made(curves=OVERFITTED)
    assert main(("doctor", f"run={run}")) == 0
    printed = capsys.readouterr().out
    assert "overfitting" in printed
    assert "Read: status.json, curves.json, log.txt." in printed
    made()
    assert main(("doctor", f"run={run}")) == 0
    assert "No findings in" in capsys.readouterr().out


def test_directory_of_no_run_and_broken_file_are_errors(
    made: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(("doctor", f"run={tmp_path}")) == 2
    assert "no config.yaml; expected a run directory" in capsys.readouterr().err
    run = made()
    (run / "curves.json").write_text("[1]")
    with pytest.raises(RunError, match=r"curves.json: expected a JSON object"):
        diagnose(run)
    assert main(("doctor", f"run={run}", "fix=true")) == 2
    assert "fix must be false with run" in capsys.readouterr().err
