"""How long ``experiment=rook`` trains on a thousand samples on a CPU: the source system says 5 to 10 minutes.

``pytest -m benchmark -s -n 0 tests/benchmark/test_rook_speed.py``. Wall time of the training as the run records it, two
threads at most; the default suite checks that it is recorded (``tests/run/test_draft_runs.py``).
"""

from pathlib import Path

import pytest

from tradewright.cli import main
from tradewright.output import read_json

pytestmark = pytest.mark.benchmark

LIMIT_S = 600.0


@pytest.mark.row("R27")
@pytest.mark.parametrize("experiment", ["rook", "rook_cod"])
def test_a_thousand_samples_train_within_ten_minutes(
    experiment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    words = (f"experiment={experiment}", "examples.max_samples=1000", "task.num_threads=2", "report=none")
    assert main((*words, "evaluate.shuffled_control=false", "evaluate.num_random=0")) == 0
    speeds = [read_json(path) for path in sorted(tmp_path.glob("outputs/**/training_speed.json"))]
    total_s = sum(one["training_s"] for one in speeds)
    with capsys.disabled():
        print(f"\n{experiment}: {total_s:.0f} s of training in {len(speeds)} trainings,", end=" ")
        print(", ".join(f"{one['tokens_per_s']:,.0f} tokens/s" for one in speeds))
    assert len(speeds) == (1 if experiment == "rook" else 2)
    assert 0 < total_s < LIMIT_S
