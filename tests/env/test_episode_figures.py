"""The figures of an environment's ``info`` are those that the report gives for the same weights.

Legend: B accounts, T bars.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torchrl.envs.utils import check_env_specs

from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.episode_figures import EpisodeFigures
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.simulator import Simulator
from tradewright.env.torchrl_env import TradingTorchRLEnv
from tradewright.features.pipeline import build_features
from tradewright.features.price_volume import PriceVolume
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs
from tradewright.market.tally import FIGURES
from tradewright.metrics.summary import summarise

FEATURES = PriceVolume(short_window=5, long_window=12)
RISK_FREE = 0.02


def rules_of(**options: object) -> Vectorized:
    costs = Costs(fee_bps=5.0, slippage_bps=2.0, borrow_rate=0.3, cash_rate=0.01)
    return Vectorized(costs=costs, **options)


def simulator_of(panel: Panel, cache: Path, backtester: Vectorized, seed: int | None = None) -> Simulator:
    features, _ = build_features(FEATURES, panel, Range(0, panel.num_bars // 2), cache)
    return Simulator(
        market=MarketTensors.build(panel, features),
        env=Continuous(window=3, episode_bars=None if seed is None else 20),
        rules=backtester.rules,
        rows=Range(0, panel.num_bars),
        num_envs=len(panel.instruments) if seed is None else 4,
        generator=None if seed is None else torch.Generator().manual_seed(seed),
        figures=EpisodeFigures(panel, risk_free=RISK_FREE),
    )


def every(panel: Panel, timeframe_s: int) -> Panel:
    """The panel with bars of another length, one after the other."""
    step = np.timedelta64(timeframe_s, "s")
    ts_T = panel.ts_T[0] + np.arange(panel.num_bars) * step
    name = f"{panel.fingerprint}-{timeframe_s}"
    return replace(panel, ts_T=ts_T, known_at_T=ts_T + step, timeframe_s=timeframe_s, fingerprint=name)


def report_of(panel: Panel, backtester: Vectorized, n: int, weights_T: np.ndarray, first: int) -> dict[str, float]:
    """The report's figures of one account that held these weights from bar ``first`` on."""
    columns = {name: getattr(panel, name)[:, [n]] for name in ("open_TN", "high_TN", "low_TN", "close_TN", "volume_TN")}
    one = replace(panel, instruments=panel.instruments[n : n + 1], tradable_TN=panel.tradable_TN[:, [n]], **columns)
    positions = Positions(weights_TN=np.append(weights_T, np.nan)[:, None])
    rows = Range(first, first + len(weights_T) + 1)
    return summarise(backtester.run(one, positions, rows, name="report"), risk_free=RISK_FREE)


@pytest.mark.row("B19")
@pytest.mark.parametrize("timeframe_s", [86_400, 25_200])
@pytest.mark.parametrize("options", [{}, {"stop_loss": 0.01, "take_profit": 0.02, "leverage": 2.0, "delay_bars": 1}])
def test_info_of_a_rollout_equals_the_report_at_every_bar(
    panel_of: Callable[..., Panel], tmp_path: Path, options: dict[str, object], timeframe_s: int
) -> None:
    panel = every(panel_of(70, 2, missing=0.05), timeframe_s)
    backtester = rules_of(**options)
    env = TradingTorchRLEnv(simulator_of(panel, tmp_path, backtester))
    first, weights_TB = env.simulator.first, []
    data = env.reset()
    rng = np.random.default_rng(0)
    for bar in range(first + 1, panel.num_bars):
        weights_TB.append(rng.uniform(-1.0, 1.0, 2) if rng.random() < 0.4 else np.full(2, np.nan))
        env.simulator.step_weights(torch.from_numpy(weights_TB[-1]))
        if bar % 7 and bar != panel.num_bars - 1:
            continue
        info = env._observe()["info"]
        for n in range(2):
            wanted = report_of(panel, backtester, n, np.array(weights_TB)[:, n], first)
            for key in FIGURES:
                assert float(info[key][n]) == pytest.approx(wanted[key], rel=1e-9, abs=1e-10, nan_ok=True), (bar, key)
    assert data["info"].batch_size == (2,)
    assert wanted["num_trades"] > 2


@pytest.mark.parametrize("timeframe_s", [86_400, 25_200])
def test_restarted_episode_has_figures_of_its_own(
    panel_of: Callable[..., Panel], tmp_path: Path, timeframe_s: int
) -> None:
    simulator = simulator_of(every(panel_of(200), timeframe_s), tmp_path, rules_of(), seed=0)
    for _ in range(5):
        simulator.step(torch.rand(4, 1) * 2 - 1)
    before = simulator.figures.now()
    simulator.restart(torch.tensor([True, False, True, False]))
    after = simulator.figures.now()
    np.testing.assert_array_equal(after["total_return"][::2], [0.0, 0.0])
    assert bool(after["cagr"][::2].isnan().all())  # no return yet, not one of zero
    for key in FIGURES:
        np.testing.assert_array_equal(after[key][1::2], before[key][1::2])


def test_saved_figures_continue_bit_for_bit(panel_of: Callable[..., Panel], tmp_path: Path) -> None:
    panel = panel_of(200)
    actions = torch.rand(10, 4, 1, generator=torch.Generator().manual_seed(1)) * 2 - 1
    one, other = (simulator_of(panel, tmp_path, rules_of(), seed=seed) for seed in (0, 1))
    for action in actions[:5]:
        one.step(action)
    other.load_state_dict(one.state_dict())
    for action in actions[5:]:
        one.step(action)
        other.step(action)
    for key, values in one.figures.now().items():
        np.testing.assert_array_equal(values, other.figures.now()[key], err_msg=key)


def test_figures_do_not_change_a_rollout(panel_of: Callable[..., Panel], tmp_path: Path) -> None:
    panel = panel_of(120)
    with_figures, without = (simulator_of(panel, tmp_path, rules_of(stop_loss=0.02), seed=0) for _ in range(2))
    without.figures = None
    for action in torch.rand(15, 4, 1) * 2 - 1:
        with_figures.step(action)
        without.step(action)
        np.testing.assert_array_equal(with_figures.equity_B, without.equity_B)


def test_torchrl_specs_hold_with_figures(panel_of: Callable[..., Panel], tmp_path: Path) -> None:
    check_env_specs(TradingTorchRLEnv(simulator_of(panel_of(120), tmp_path, rules_of(), seed=0)))
