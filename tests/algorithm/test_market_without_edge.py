"""A market without edge: the significance page of a trained agent stays silent.

Bars are those of the planted-signal market with no signal, a random walk without drift, traded without costs: nothing
but chance distinguishes any strategy from any other, so that every small p-value is a false alarm. Each market has its
own bars, training and resamples; the report's own evaluation judges the test range among all shipped baselines. Its
correction holds the chance of any false alarm in a report to five percent.
The full form: ``pytest -m slow tests/algorithm/test_market_without_edge.py -s``, some minutes.
"""

from dataclasses import dataclass
from pathlib import Path

import pytest
from planted import option, planted_bench, train_on

from tradewright.config.build import build
from tradewright.data.ranges import Ranges
from tradewright.evaluate.bench import Bench, Fitted
from tradewright.evaluate.evidence import Significance, Trials
from tradewright.strategy.policy import Policy

LEVEL = 0.05
SMALL = {"num_envs": 32, "horizon_bars": 32, "total_frames": 32 * 32 * 12, "iterations_per_epoch": 6}
BARS = {"num_symbols": 1, "train": 600, "validation": 150, "test": 500}


@dataclass(frozen=True)
class Trained:
    """A fit of one agent that exists already.

    Args:
        fitted: The agent and its bench.
    """

    fitted: Fitted
    is_learned: bool = True

    def __call__(self, ranges: Ranges | None = None, *, name: str = "", is_shuffled: bool = False) -> Fitted:
        """Return the agent for the run's own ranges; nothing else is asked for."""
        assert ranges is None
        return self.fitted

    def reference(self, ranges: Ranges, *, name: str) -> Fitted | str:
        """Return why there is no upper line."""
        return "it is not asked for"


def judge(folder: Path, seed: int, signal_strength: float = 0.0) -> Significance:
    """Train the analytic gradient on the market of a seed and return what its report says of chance."""
    keys = {"seed": seed, "signal_strength": signal_strength, "fee_bps": 0.0}
    bench: Bench = planted_bench(folder / "data", **BARS, **keys)
    agent = train_on(
        bench, folder / "run", algorithm="apg", env="continuous", seed=seed, env_keys={"window": 2}, **SMALL
    )
    without = {"num_random": 0, "shuffled_control": False, "analytic_reference": False}
    evaluation = build(option("evaluate", "backtest", significance={"seed": seed}, **without), key="evaluate")
    fit = Trained(Fitted(Policy(agent=agent, name="apg"), bench))
    judgement = evaluation.judge(bench, fit, Trials(num=1))
    found = judgement.evidence["significance"]
    assert isinstance(found, Significance)
    return found


def count_alarms(folder: Path, num_markets: int) -> tuple[int, int, int]:
    """Return in how many markets buy-and-hold, any baseline, and zero (by the deflated ratio) seem beaten or missed."""
    held = anyone = deflated = 0
    for seed in range(num_markets):
        found = judge(folder / str(seed), seed)
        p_value = {one.name: one.adjusted_p_value for one in found.comparisons}
        print(
            f"market {seed}: {', '.join(f'{name} {value:.2f}' for name, value in p_value.items())};"
            f" deflated {found.deflated_sharpe:.2f}",
            flush=True,
        )
        held += p_value["buy_and_hold"] < LEVEL
        anyone += min(p_value.values()) < LEVEL
        deflated += found.deflated_sharpe > 1.0 - LEVEL
    print(f"{num_markets} markets: p < {LEVEL} against buy-and-hold {held}, against any {anyone}, deflated {deflated}")
    return held, anyone, deflated


def test_report_is_silent_where_there_is_nothing_and_speaks_where_there_is(tmp_path: Path) -> None:
    """Four markets; more than one alarm of five percent each has a chance of 1.4 percent."""
    assert max(count_alarms(tmp_path, 4)) <= 1
    planted = judge(tmp_path / "planted", 0, signal_strength=0.35)
    p_value = {one.name: one.adjusted_p_value for one in planted.comparisons}
    assert p_value["buy_and_hold"] < LEVEL
    assert planted.deflated_sharpe > 1.0 - LEVEL


@pytest.mark.slow
def test_forty_markets_raise_no_more_alarms_than_expected(tmp_path: Path) -> None:
    """Two are expected of forty; more than five of a true level of five percent have a chance of 1.4 percent."""
    assert max(count_alarms(tmp_path, 40)) <= 5
