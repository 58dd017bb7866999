"""``tradewright check_leaks`` and the callback that is on by default."""

import logging
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from hydra.core.hydra_config import HydraConfig

from tradewright.callbacks.leaks import LeakCheck
from tradewright.cli import main
from tradewright.errors import RunError
from tradewright.evaluate.evidence import Leaks

BARS = ("data=synthetic", "data.num_bars=400", "features.short_window=5", "features.long_window=12", "env.window=4")
TINY = (
    *BARS,
    "algorithm.total_frames=256",
    "algorithm.num_envs=16",
    "algorithm.rollout_steps=16",
    "algorithm.iterations_per_epoch=1",
    "algorithm.num_minibatches=4",
    "report=none",
    "logger=none",
    "evaluate.shuffled_control=false",
    "evaluate.analytic_reference=false",
)
MINE = """
import numpy as np
from tradewright.features.price_volume import PriceVolume
from tradewright.strategy.sma_cross import SmaCross

class Mine(PriceVolume):
    def compute(self, panel):
        ahead = np.roll(panel.close_TN, -1, axis=0) / panel.close_TN - 1
        return {**super().compute(panel), "tomorrow": ahead}

class Rule(SmaCross):
    name = "mine"

    def decide(self, panel, features, rows):
        positions = super().decide(panel, features, rows)
        positions.weights_TN[panel.close_TN[-1] > panel.close_TN[rows.start : rows.stop]] = 0.0
        return positions
"""
FEATURES = ("allow=[leaky_of_mine]", "features._target_=leaky_of_mine.Mine")
RULE = ("allow=[leaky_of_mine]", "strategy=sma_cross", "strategy._target_=leaky_of_mine.Rule")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Callable]:
    """Run ``tradewright <words>`` in a folder with a module of one's own; return exit code and outputs."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "leaky_of_mine.py").write_text(MINE)
    root, ours = logging.getLogger(), logging.getLogger("tradewright")
    before = (list(root.handlers), root.level, list(ours.handlers), ours.level, ours.propagate)

    def run(*words: str) -> tuple[int, str, str]:
        code = main(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    yield run
    root.handlers, root.level, ours.handlers, ours.level, ours.propagate = before
    sys.modules.pop("leaky_of_mine", None)
    HydraConfig.instance().cfg = None


def test_clean_rule_passes_with_a_row_per_check(command: Callable, tmp_path: Path) -> None:
    code, out, err = command("check_leaks", "strategy=sma_cross", *BARS)
    assert (code, err) == (0, "")
    for words in ("features", "scaled features", "split", "sma_cross", "no leak", "bars after each cut"):
        assert words in out
    assert "LEAK" not in out.upper().replace("NO LEAK", "").replace("CHECK_LEAKS", "")
    assert not (tmp_path / "outputs").exists()


def test_policy_is_checked_with_its_environment(command: Callable) -> None:
    code, out, err = command("check_leaks", "env=discrete9", "algorithm.num_envs=2", *BARS)
    assert (code, err) == (0, "")
    for words in ("observations", "ppo"):
        assert words in out


def test_leaking_feature_ends_with_its_name_and_bar(command: Callable) -> None:
    code, out, err = command("check_leaks", "strategy=sma_cross", *BARS, *FEATURES)
    assert code == 2
    assert len(err.splitlines()) == 1
    assert err.startswith("error: leak: feature 'tomorrow' of SYN1 at 200")
    assert "tomorrow" in out
    assert "return_1" not in out
    assert "no leak" in out  # the rule and the split are clean all the same


def test_leaking_rule_ends_with_its_name_and_bar(command: Callable) -> None:
    code, out, err = command("check_leaks", *BARS, *RULE)
    assert code == 2
    assert err.startswith("error: leak: strategy 'weights' of SYN1 at 200")
    assert "1 leak" in out


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("task.num_cuts=7", "task.num_cuts must be >= 8, was 7"),
        ("task.seed=-1", "task.seed must be >= 0, was -1"),
        ("task.max_values=0", "task.max_values must be >= 1 or null, was 0"),
        ("task.warmups=[0]", "task.warmups must be >= 1 each, was [0]"),
        ("task.max_rows=0", "task.max_rows must be >= 1, was 0"),
    ],
)
def test_values_out_of_range_are_refused(command: Callable, override: str, message: str) -> None:
    code, _, err = command("check_leaks", override, *BARS)
    assert code == 2
    assert message in err


def test_training_does_not_start_on_a_leaking_feature(command: Callable, tmp_path: Path) -> None:
    code, _, err = command(*TINY, *FEATURES)
    assert code == 2
    assert "error: leak: feature 'tomorrow' of SYN1 at 200" in err
    assert not list(tmp_path.glob("outputs/**/*.ckpt"))
    (status,) = tmp_path.glob("outputs/**/status.json")
    assert '"failed"' in status.read_text()


def test_training_says_what_was_checked_and_can_leave_it_out(command: Callable, tmp_path: Path) -> None:
    code, _, _ = command(*TINY)
    assert code == 0
    (log,) = tmp_path.glob("outputs/**/log.txt")
    assert "no leak in split, features, scaled features, observations (8 random cuts each" in log.read_text()
    for name, word in {"deleted": "~callbacks.leaks", "absent": "callbacks.leaks=null"}.items():
        code, _, _ = command(*TINY, *FEATURES, word, f"name={name}")
        assert code == 0
        (log,) = tmp_path.glob(f"outputs/{name}/**/log.txt")
        assert "no leak" not in log.read_text()


def test_callback_hands_on_its_values_and_keeps_the_evidence() -> None:
    asked: dict[str, object] = {}

    def check(**values: object) -> Leaks:
        asked.update(values)
        return Leaks(checked=("features",), num_cuts=9)

    callback = LeakCheck(check=check, num_cuts=9, seed=3, max_values=None)
    assert callback.found is None
    callback.on_fit_start(SimpleNamespace(), SimpleNamespace())
    assert asked == {"num_cuts": 9, "seed": 3, "max_values": None}
    assert callback.found == Leaks(checked=("features",), num_cuts=9)


def test_callback_stops_the_training() -> None:
    def check(**values: object) -> Leaks:
        raise RunError("leak: feature 'x'")

    with pytest.raises(RunError, match="leak: feature 'x'"):
        LeakCheck(check=check).on_fit_start(SimpleNamespace(), SimpleNamespace())


@pytest.mark.parametrize(
    ("values", "message"), [({"num_cuts": 7}, "num_cuts must be >= 8, was 7"), ({"max_values": 0}, "max_values")]
)
def test_callback_refuses_values_out_of_range(values, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LeakCheck(check=lambda **_: None, **values)
