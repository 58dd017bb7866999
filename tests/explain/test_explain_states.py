"""States of decisions: causal, in natural units, with one definition of the action, and logged without loss."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from explained import decided, random_positions

from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.explain.decision_log import read_decisions, write_decisions
from tradewright.explain.indicators import indicators_of
from tradewright.explain.lexicon import indicators
from tradewright.explain.state import action_of, states_of
from tradewright.market.positions import Positions


def test_states_are_the_same_however_many_bars_follow(panel_of: Callable[..., Panel]) -> None:
    panel = panel_of(420, 2, seed=5, missing=0.02)
    rng = np.random.default_rng(1)
    positions = random_positions(160, 2)
    whole = {state.id: state for state in states_of(panel, positions, Range(260, 420))}
    for stop in rng.integers(262, 420, 4):
        cut = Positions(
            weights_TN=positions.weights_TN[: stop - 260], confidence_TN=positions.confidence_TN[: stop - 260]
        )
        states = states_of(panel.slice(0, int(stop)), cut, Range(260, int(stop)))
        assert len(states) > 2
        assert all(whole[state.id] == state for state in states)


def test_later_bars_do_not_change_a_state(panel_of: Callable[..., Panel]) -> None:
    panel = panel_of(400, 1, seed=6)
    before = decided(panel)[20]
    for name in ("open_TN", "high_TN", "low_TN", "close_TN", "volume_TN"):
        getattr(panel, name)[281:] *= 3.0
    assert decided(panel)[20] == before


def test_indicators_equal_textbook_formulas(panel_of: Callable[..., Panel]) -> None:
    panel = panel_of(500, 1, seed=7)
    close, t = panel.close_TN[:, 0], 450
    found = {name: float(x_TN[t, 0]) for name, x_TN in indicators_of(panel).items()}
    assert found["sma_50"] == pytest.approx(close[t - 49 : t + 1].mean())
    assert found["sma_50_distance"] == pytest.approx(100 * (close[t] / close[t - 49 : t + 1].mean() - 1))
    assert found["return_5"] == pytest.approx(100 * (close[t] / close[t - 5] - 1))
    assert found["drawdown_252"] == pytest.approx(100 * (1 - close[t] / close[t - 251 : t + 1].max()))
    assert found["volatility_20"] == pytest.approx(100 * np.log(close[t - 19 : t + 1] / close[t - 20 : t]).std())
    volume = panel.volume_TN[:, 0]
    assert found["volume_ratio"] == pytest.approx(volume[t] / volume[t - 19 : t + 1].mean())
    up, down = 0.0, 0.0
    for change in np.diff(close[: t + 1]):
        up, down = up + (max(change, 0) - up) / 14, down + (max(-change, 0) - down) / 14
    assert found["rsi_14"] == pytest.approx(100 * up / (up + down), abs=0.01)
    assert found["macd_histogram"] == pytest.approx(found["macd"] - found["macd_signal"])
    middle, half = close[t - 19 : t + 1].mean(), 2 * close[t - 19 : t + 1].std()
    assert (found["bollinger_lower"], found["bollinger_upper"]) == pytest.approx((middle - half, middle + half))


def test_undefined_indicators_are_left_out(panel_of: Callable[..., Panel]) -> None:
    panel = panel_of(300, 1)
    (first, *_, last) = states_of(panel, random_positions(300, 1), Range(0, 300))
    assert not first.indicators
    assert "rsi_14" in last.indicators
    assert all(np.isfinite(value) for value in last.indicators.values())
    assert set(last.indicators) <= set(indicators())


@pytest.mark.parametrize(
    ("before", "after", "action"),
    [(0, 0.5, "BUY"), (0.5, 0, "SELL"), (0.5, 0.505, "HOLD"), (0, -0.5, "SELL"), (-0.5, 0, "BUY"), (0.2, 0.21, "BUY")],
)
def test_action_is_the_change_of_the_target(before: float, after: float, action: str) -> None:
    assert action_of(before, after) == action


def test_no_order_keeps_the_target_and_is_hold(panel_of: Callable[..., Panel]) -> None:
    weights_TN = np.array([[np.nan], [0.5], [np.nan], [0.0]])
    states = states_of(panel_of(300, 1), Positions(weights_TN=weights_TN), Range(100, 104))
    assert [(state.position, state.target, state.action) for state in states] == [
        (0.0, 0.0, "HOLD"),
        (0.0, 0.5, "BUY"),
        (0.5, 0.5, "HOLD"),
        (0.5, 0.0, "SELL"),
    ]
    assert states[0].id == "S0-20000412"
    assert states[0].confidence is None


@pytest.mark.row("T43")
def test_log_reads_back_equal(panel_of: Callable[..., Panel], tmp_path: Path) -> None:
    states = decided(panel_of(300, 2))
    write_decisions(tmp_path / "decisions.jsonl", states)
    assert read_decisions(tmp_path / "decisions.jsonl") == states


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.replace('"action": "', '"action": "NO'), "row 1: action 'NO"),
        (lambda text: text.replace('"close"', '"closed"', 1), "row 1: no 'close'"),
        (lambda text: text + text.splitlines()[0] + "\n", "row 81: decision S0-20000919 was there before"),
        (lambda text: "{" + text, "row 1: not valid JSON"),
    ],
)
def test_faulty_log_is_refused_by_row(panel_of: Callable[..., Panel], tmp_path: Path, change, words: str) -> None:
    path = tmp_path / "decisions.jsonl"
    write_decisions(path, decided(panel_of(300, 2)))
    path.write_text(change(path.read_text()))
    with pytest.raises(DataError, match=words):
        read_decisions(path)


def test_decisions_of_other_bars_are_refused(panel_of: Callable[..., Panel]) -> None:
    with pytest.raises(DataError, match=r"must have shape \(10, 1\)"):
        states_of(panel_of(300, 1), random_positions(9, 1), Range(100, 110))
