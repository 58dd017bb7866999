"""A rollout of the environment is a backtest of the same weights, to 1e-12, whatever rules and events are in force."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from swap_cases import random_swap_panel
from tradewright.backtest.execution import ExecutionRules
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.data.resample import resample
from tradewright.env.continuous import Continuous
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.simulator import Simulator
from tradewright.errors import DataError
from tradewright.features.features import Features
from tradewright.market.instrument import Instrument
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs

NUM_SEEDS = 60
NUM_MORE_SEEDS = 1_500


def random_market(rng: np.random.Generator, panel_of: Any, *, needs_tick: bool) -> Panel:
    """Return a panel of one instrument that may carry every kind of event, and finer bars."""
    fine = panel_of(4 * int(rng.integers(20, 60)), seed=int(rng.integers(1 << 30)), missing=float(rng.choice([0, 0.1])))
    seconds = np.timedelta64(21_600, "s")
    ts_T = np.datetime64("2020-01-01", "us") + np.arange(fine.num_bars) * seconds
    volatile = {f"{key}_TN": getattr(fine, f"{key}_TN") for key in ("open", "high", "low", "close")}
    fine = replace(fine, timeframe_s=21_600, ts_T=ts_T, known_at_T=ts_T + seconds, **volatile)
    panel = replace(resample(fine, "1d"), finer=fine)
    tick = 0.25 if needs_tick or rng.random() < 0.3 else 0.0
    instrument = Instrument(
        symbol="S0", multiplier=float(rng.choice([1.0, 5.0, 50.0])), tick=tick, lot=float(rng.choice([0.0, 1.0, 0.1]))
    )
    shape = panel.close_TN.shape

    def sometimes(values: Any) -> Any:
        return np.asarray(values, dtype=np.float64) if rng.random() < 0.4 else None

    events = {
        "split_TN": sometimes(rng.choice([1.0, 1.0, 1.0, 2.0, 0.5], shape)),
        "dividend_TN": sometimes(rng.choice([0.0, 0.0, 0.3], shape)),
        "borrow_TN": sometimes(rng.choice([np.nan, 0.02, 0.5], shape)),
        "funding_TN": sometimes(rng.choice([0.0, 1e-3, -1e-3], shape)),
    }
    roll_from = sometimes(np.where(rng.random(shape) < 0.1, panel.open_TN, np.nan))
    if roll_from is not None:
        events |= {"roll_from_TN": roll_from, "roll_to_TN": roll_from * 1.02}
    return replace(panel, instruments=(instrument,), **events)


def random_rules(rng: np.random.Generator) -> dict[str, Any]:
    """Return keyword arguments of the backtester, of which any may be at its default."""

    def sometimes(value: Any, otherwise: Any) -> Any:
        return value if rng.random() < 0.4 else otherwise

    unit = str(rng.choice(["fraction", "atr"]))
    scale = 0.02 if unit == "fraction" else 1.5
    return {
        "initial_cash": float(rng.choice([1e4, 1e6])),
        "leverage": float(rng.choice([1.0, 2.0, 5.0])),
        "allow_short": bool(rng.random() < 0.7),
        "maintenance_margin": float(rng.choice([0.05, 0.3])),
        "stop_loss": sometimes(scale, None),
        "take_profit": sometimes(1.5 * scale, None),
        "trailing": sometimes(1.2 * scale, None),
        "stop_unit": unit,
        "atr_bars": int(rng.integers(1, 8)),
        "finer_timeframe": sometimes("6h", None),
        "sizing": str(rng.choice(["fill", "decision"])),
        "cash_buffer": sometimes(0.01, 0.0),
        "delay_bars": int(rng.choice([0, 0, 1, 3])),
        "min_notional": sometimes(500.0, 0.0),
        "max_participation": sometimes(float(rng.choice([1e-3, 0.1])), None),
        "impact_bars": int(rng.integers(1, 10)),
        "costs": Costs(
            fee_bps=sometimes(5.0, 0.0),
            fixed_fee=sometimes(1.0, 0.0),
            per_share_fee=sometimes(0.01, 0.0),
            slippage_bps=sometimes(3.0, 0.0),
            slippage_ticks=sometimes(1.0, 0.0),
            impact=sometimes(0.7, 0.0),
            borrow_rate=sometimes(0.05, 0.0),
            cash_rate=sometimes(0.03, 0.0),
        ),
    }


def simulator_on(
    panel: Panel,
    rules: ExecutionRules,
    rows: Range | tuple[Range, ...],
    *,
    seed: int | None = None,
    num: int = 1,
    window: int = 1,
    ready_from: int = 0,
) -> Simulator:
    x_TNF = np.zeros((*panel.close_TN.shape, 1), dtype=np.float32)
    features = Features(x_TNF=x_TNF, names_F=("zero",), ready_from=ready_from)
    return Simulator(
        market=MarketTensors.build(panel, features),
        env=Continuous(window=window, lowest_weight=-2.0, highest_weight=2.0, episode_bars=10),
        rules=rules,
        rows=rows,
        num_envs=num,
        generator=None if seed is None else torch.Generator().manual_seed(seed),
    )


def check_parity(seed: int, panel_of: Any) -> None:
    rng = np.random.default_rng(seed)
    keys = random_rules(rng)
    panel = random_market(rng, panel_of, needs_tick=keys["costs"].slippage_ticks > 0)
    backtest = Vectorized(**keys)
    rows = Range(int(rng.integers(0, 5)), panel.num_bars)
    simulator = simulator_on(panel, backtest.rules, rows)
    weights_TN, equity = np.full((len(rows), 1), np.nan), [keys["initial_cash"]]
    for i in range(len(rows) - 1):
        weights_TN[i] = rng.choice([np.nan, np.nan, -1.5, -0.4, 0.0, 0.3, 1.0, 2.0])
        simulator.step_weights(torch.from_numpy(weights_TN[i].copy()))
        equity.append(float(simulator.equity_B))
    result = backtest.run(panel, Positions(weights_TN=weights_TN), rows, name="rollout")
    np.testing.assert_allclose(equity, result.equity_T, rtol=1e-12, atol=1e-7, err_msg=f"seed {seed}: {keys}")
    change = result.equity_T[-1] - result.initial_cash
    earned = sum(trade.pnl for trade in result.trades) - result.costs["interest"]
    scale = max(1.0, float(np.abs(result.equity_T).max()))
    assert earned == pytest.approx(change, abs=1e-9 * scale), f"seed {seed}: {keys}"
    for kind in ("fees", "slippage", "borrow", "funding"):
        total = sum(getattr(trade, kind) for trade in result.trades)
        assert total == pytest.approx(result.costs[kind], rel=1e-9, abs=1e-9 * scale), f"{kind}, seed {seed}: {keys}"


@pytest.mark.row("B17")
@pytest.mark.row("L39")
def test_rollout_is_the_backtest_under_random_rules_and_trades_make_the_change(panel_of) -> None:
    for seed in range(NUM_SEEDS):
        check_parity(seed, panel_of)


@pytest.mark.slow
def test_rollout_is_the_backtest_under_many_random_rules(panel_of) -> None:
    for seed in range(NUM_SEEDS, NUM_SEEDS + NUM_MORE_SEEDS):
        check_parity(seed, panel_of)


def test_rollout_on_a_pool_is_the_backtest_with_its_price_impact() -> None:
    for seed in range(4):
        rng = np.random.default_rng(seed)
        panel = random_swap_panel(120, seed)
        keys = {"initial_cash": 1e6, "pool_slippage": True, "allow_short": bool(seed % 2), "costs": Costs(fee_bps=5.0)}
        rows = Range(5, panel.num_bars - 5)
        backtest = Vectorized(**keys)
        simulator = simulator_on(panel, backtest.rules, rows)
        weights_TN, equity = np.full((len(rows), 1), np.nan), [1e6]
        for i in range(len(rows) - 1):
            weights_TN[i] = rng.choice([np.nan, np.nan, -0.4, 0.0, 0.3, 1.0])
            simulator.step_weights(torch.from_numpy(weights_TN[i].copy()))
            equity.append(float(simulator.equity_B))
        result = backtest.run(panel, Positions(weights_TN=weights_TN), rows, name="rollout")
        assert result.costs["slippage"] > 0
        np.testing.assert_allclose(equity, result.equity_T, rtol=1e-12)


def test_pending_decisions_are_saved_and_forgotten_by_restarted_accounts(panel_of) -> None:
    rules = ExecutionRules(delay_bars=2, stop_unit="atr", stop_loss=1.0, atr_bars=3)
    first, second = (simulator_on(panel_of(80), rules, Range(0, 80), seed=s, num=4) for s in (1, 2))
    weights = torch.tensor([1.0, -1.0, 0.5, torch.nan], dtype=torch.float64)
    for _ in range(3):
        first.step_weights(weights)
    assert torch.equal(first.pending["weights_BN"].nan_to_num(9.0), weights.nan_to_num(9.0)[:, None].expand(4, 2))
    second.load_state_dict(first.state_dict())
    for simulator in (first, second):
        simulator.restart(torch.tensor([True, False, False, False]))
        for _ in range(2):
            simulator.step_weights(torch.full((4,), torch.nan, dtype=torch.float64))
    assert torch.equal(first.equity_B, second.equity_B)
    assert torch.equal(first.account.stop_loss_BN.nan_to_num(9.0), second.account.stop_loss_BN.nan_to_num(9.0))
    assert float(first.equity_B[0]) == rules.initial_cash


def test_episodes_begin_where_a_bar_exists_and_end_inside_their_part(panel_of) -> None:
    panel = panel_of(120, 3, seed=1, missing=0.3)
    parts = (Range(0, 30), Range(50, 58), Range(80, 120), Range(119, 120))
    simulator = simulator_on(panel, ExecutionRules(), parts, seed=0, num=4_000)
    seen = set()
    for instrument, bar, end in zip(
        simulator.instrument_B.tolist(), simulator.bar_B.tolist(), simulator.end_B.tolist(), strict=True
    ):
        part = next(part for part in parts if part.start <= bar < part.stop)
        assert panel.tradable_TN[bar, instrument]
        assert end < part.stop
        assert end - bar == min(10, len(part) - 1)
        seen.add((instrument, bar))
    expected = {
        (n, t)
        for n in range(3)
        for part, last in ((parts[0], 19), (parts[1], 50), (parts[2], 109))
        for t in range(part.start, last + 1)
        if panel.tradable_TN[t, n]
    }
    assert seen == expected


def test_stopped_agent_sees_the_side_that_is_blocked(panel_of) -> None:
    panel = panel_of(40)
    low = panel.low_TN.copy()
    low[20] *= 0.8
    panel = replace(panel, low_TN=low)
    simulator = simulator_on(panel, ExecutionRules(stop_loss=0.1), Range(18, 40))
    for weight, blocked in ((1.0, 0.0), (torch.nan, 1.0), (torch.nan, 1.0), (0.0, 0.0)):
        simulator.step_weights(torch.tensor([weight], dtype=torch.float64))
        assert float(simulator.portfolio_BP(simulator.view())[0, -1]) == blocked


@pytest.mark.parametrize(("start", "ready_from", "first"), [(0, 7, 11), (20, 7, 24), (6, 7, 11)])
def test_training_windows_begin_inside_their_part_and_where_features_do(
    panel_of, start: int, ready_from: int, first: int
) -> None:
    rows = (Range(start, 60),)
    simulator = simulator_on(panel_of(60), ExecutionRules(), rows, seed=0, num=2_000, window=5, ready_from=ready_from)
    assert int(simulator.bar_B.min()) == first
    assert int(simulator.end_B.max()) == 59


def test_training_bars_without_room_for_an_episode_are_refused(panel_of) -> None:
    with pytest.raises(DataError, match=r"^env\.window: the training bars 0\.\.6, 10\.\.12 leave no episode after a"):
        simulator_on(panel_of(60), ExecutionRules(), (Range(0, 6), Range(10, 12)), seed=0, window=6)
