"""``env=portfolio``: one account, N weights, shared cash; a rollout is a backtest of the same weights."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torchrl.envs.utils import check_env_specs

from tradewright.backtest.execution import ExecutionRules
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.data.resample import resample
from tradewright.env.continuous import Continuous
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.portfolio import Portfolio
from tradewright.env.portfolio_simulator import PortfolioSimulator
from tradewright.env.simulator import Simulator
from tradewright.env.torchrl_env import TradingTorchRLEnv
from tradewright.errors import DataError
from tradewright.evaluate.leak_rollout import check_environment
from tradewright.features.features import Features
from tradewright.features.pipeline import compute_features
from tradewright.features.price_volume import PriceVolume
from tradewright.market.instrument import Instrument
from tradewright.market.positions import Positions
from tradewright.market.rules import AccountRules, Costs
from tradewright.reward.composite import Composite
from tradewright.reward.log_return import LogReturn
from tradewright.reward.reward import Reward

NUM_SEEDS = 40
TERMS = {"log_return": {}, "sharpe": {}, "win_loss": {"weight": 0.3}, "turnover": {"weight": 0.1}}


def market_of(panel: Panel, num_features: int = 2, ready_from: int = 0) -> MarketTensors:
    """Features that name their place: 1000 · bar + 10 · instrument + feature."""
    t, n, f = np.meshgrid(*(np.arange(size) for size in (*panel.close_TN.shape, num_features)), indexing="ij")
    x_TNF = (1_000 * t + 10 * n + f).astype(np.float32)
    return MarketTensors.build(panel, Features(x_TNF=x_TNF, names_F=("a", "b")[:num_features], ready_from=ready_from))


def simulator_of(
    panel: Panel,
    rules: AccountRules | None = None,
    rows: Range | tuple[Range, ...] | None = None,
    *,
    num: int = 1,
    seed: int | None = None,
    ready_from: int = 0,
    reward: Reward | None = None,
    **keys: Any,
) -> PortfolioSimulator:
    return Portfolio(**{"window": 1, "episode_bars": 10, **keys}).accounts(
        market=market_of(panel, ready_from=ready_from),
        rules=rules or AccountRules(),
        rows=rows or Range(0, panel.num_bars),
        num_envs=num,
        reward=reward or LogReturn(scale=1.0),
        generator=None if seed is None else torch.Generator().manual_seed(seed),
    )


def random_market(rng: np.random.Generator, panel_of: Any) -> Panel:
    """Return two to five instruments with finer bars; some lack bars, or have events, rates, multipliers and lots."""
    num, seconds = int(rng.integers(2, 6)), np.timedelta64(21_600, "s")
    fine = panel_of(4 * int(rng.integers(25, 60)), num, int(rng.integers(1 << 30)), missing=float(rng.choice([0, 0.6])))
    ts_T = np.datetime64("2020-01-01", "us") + np.arange(fine.num_bars) * seconds
    fine = replace(fine, timeframe_s=21_600, ts_T=ts_T, known_at_T=ts_T + seconds)
    panel = replace(resample(fine, "1d"), finer=fine)
    instruments = tuple(
        Instrument(symbol=f"S{n}", multiplier=float(rng.choice([1.0, 5.0])), lot=float(rng.choice([0.0, 1.0])))
        for n in range(num)
    )
    shape = panel.close_TN.shape

    def sometimes(values: Any) -> Any:
        return np.asarray(values, dtype=np.float64) if rng.random() < 0.5 else None

    roll_from = sometimes(np.where(rng.random(shape) < 0.1, panel.open_TN, np.nan))
    return replace(
        panel,
        instruments=instruments,
        roll_from_TN=roll_from,
        roll_to_TN=None if roll_from is None else roll_from * 1.02,
        split_TN=sometimes(rng.choice([1.0, 1.0, 1.0, 2.0, 0.5], shape)),
        dividend_TN=sometimes(rng.choice([0.0, 0.0, 0.3], shape)),
        borrow_TN=sometimes(rng.choice([np.nan, 0.02, 0.5], shape)),
        funding_TN=sometimes(rng.choice([0.0, 1e-3, -1e-3], shape)),
    )


def random_rules(rng: np.random.Generator) -> dict[str, Any]:
    """Return keyword arguments of the backtester, of which any may be at its default."""

    def sometimes(value: Any, otherwise: Any) -> Any:
        return value if rng.random() < 0.5 else otherwise

    unit = str(rng.choice(["fraction", "atr"]))
    scale = 0.02 if unit == "fraction" else 1.5
    return {
        "initial_cash": float(rng.choice([1e4, 1e6])),
        "leverage": float(rng.choice([1.0, 2.0])),
        "allow_short": bool(rng.random() < 0.7),
        "stop_loss": sometimes(scale, None),
        "take_profit": sometimes(1.5 * scale, None),
        "trailing": sometimes(1.2 * scale, None),
        "stop_unit": unit,
        "atr_bars": int(rng.integers(1, 8)),
        "finer_timeframe": sometimes("6h", None),
        "sizing": str(rng.choice(["fill", "decision"])),
        "delay_bars": int(rng.choice([0, 0, 1, 3])),
        "max_participation": sometimes(0.1, None),
        "costs": Costs(
            fee_bps=sometimes(5.0, 0.0),
            fixed_fee=sometimes(1.0, 0.0),
            slippage_bps=sometimes(3.0, 0.0),
            impact=sometimes(0.7, 0.0),
            borrow_rate=sometimes(0.05, 0.0),
            cash_rate=sometimes(0.03, 0.0),
        ),
    }


@pytest.mark.row("N32")
def test_rollout_of_a_joint_account_is_the_backtest_under_random_rules(panel_of) -> None:
    for seed in range(NUM_SEEDS):
        rng = np.random.default_rng(seed)
        keys, panel = random_rules(rng), random_market(rng, panel_of)
        rows = Range(int(rng.integers(0, 5)), panel.num_bars)
        backtest = Vectorized(**keys)
        simulator = simulator_of(panel, backtest.rules, rows)
        weights_TN = rng.choice([np.nan, -0.7, 0.0, 0.3, 0.6], (len(rows), len(panel.symbols)))
        equity = [keys["initial_cash"]]
        for weights_N in weights_TN[:-1]:
            simulator.step_weights(torch.from_numpy(weights_N)[None])
            equity.append(float(simulator.equity_B))
        result = backtest.run(panel, Positions(weights_TN=weights_TN), rows, name="rollout")
        np.testing.assert_allclose(equity, result.equity_T, rtol=1e-12, atol=1e-7, err_msg=f"seed {seed}: {keys}")
        assert len(result.fills) > 5, f"seed {seed}"


def test_missing_bar_keeps_the_mark_and_rejects_the_order(panel_of) -> None:
    panel = panel_of(20, 2)
    gone = np.zeros(panel.close_TN.shape, dtype=bool)
    gone[3, 1] = True
    prices = {
        name: np.where(gone, np.nan, getattr(panel, name)) for name in ("open_TN", "high_TN", "low_TN", "close_TN")
    }
    simulator = simulator_of(replace(panel, tradable_TN=~gone, **prices))
    held = []
    for weights in ([0.5, 0.2], [0.4, 0.4], [0.3, 0.6], [0.2, 0.5]):
        simulator.step_weights(torch.tensor([weights], dtype=torch.float64))
        held.append(simulator.account.shares_BN[0].tolist())
        assert bool(torch.isfinite(simulator.observe()["portfolio"]).all())
    assert float(simulator.account.mark_BN[0, 1]) == panel.close_TN[4, 1]
    assert [held[2][1] == held[1][1], held[3][1] == held[2][1]] == [True, False]
    assert held[2][0] != held[1][0]


def test_one_instrument_is_the_continuous_environment_to_the_bit(panel_of) -> None:
    panel, rules = panel_of(60), ExecutionRules(stop_loss=0.01, costs=Costs(fee_bps=5.0, slippage_bps=2.0))
    keys = {"window": 3, "rebalance_threshold": 0.1, "lowest_weight": -1.0}
    joint = simulator_of(panel, rules, **keys)
    single = Simulator(
        market=joint.market,
        env=Continuous(**keys),
        rules=rules,
        rows=Range(0, 60),
        num_envs=1,
        reward=LogReturn(scale=1.0),
    )
    generator = torch.Generator().manual_seed(3)
    for _ in range(50):
        action = torch.rand((1, 1), generator=generator) * 2.4 - 1.2
        ours, theirs = joint.step(action), single.step(action)
        assert torch.equal(ours.reward_B, theirs.reward_B)
        assert torch.equal(joint.equity_B, single.equity_B)
        assert torch.equal(ours.truncated_B, theirs.truncated_B)


def test_observed_portfolio_is_what_its_names_say(panel_of) -> None:
    panel = panel_of(40, 3)
    multipliers = (1.0, 5.0, 20.0)
    instruments = tuple(replace(x, multiplier=m) for x, m in zip(panel.instruments, multipliers, strict=True))
    panel = replace(panel, instruments=instruments)
    simulator = simulator_of(panel, AccountRules(initial_cash=1_000.0, costs=Costs(fee_bps=10.0)))
    for weights in ([0.5, -0.3, 0.0], [0.2, -0.3, 0.4], [math.nan] * 3):
        simulator.step_weights(torch.tensor([weights], dtype=torch.float64))
    seen = dict(
        zip(simulator.env.portfolio_names(panel.symbols), simulator.observe()["portfolio"][0].tolist(), strict=True)
    )
    equity, shares_N = float(simulator.equity_B), simulator.account.shares_BN[0].tolist()
    for n, symbol in enumerate(panel.symbols):
        assert seen[f"{symbol}/weight"] == pytest.approx(
            shares_N[n] * multipliers[n] * panel.close_TN[3, n] / equity, rel=1e-6
        )
    # instrument 2 was bought once, at the open of bar 2; fees are no part of the entry price
    gain = shares_N[2] * multipliers[2] * (panel.close_TN[3, 2] - panel.open_TN[2, 2])
    assert seen["S2/unrealised_return"] == pytest.approx(gain / equity, rel=1e-5)
    assert seen["cash_fraction"] == pytest.approx(float(simulator.account.cash_B) / equity, rel=1e-6)
    assert seen["episode_return"] == pytest.approx(math.log(equity / 1_000.0), abs=1e-7)
    assert seen["drawdown"] == pytest.approx(1.0 - equity / float(simulator.peak_B), abs=1e-7)
    assert sum(seen[f"{symbol}/weight"] for symbol in panel.symbols) + seen["cash_fraction"] == pytest.approx(1.0)


def test_stopped_instrument_is_shown_as_blocked_and_the_others_are_not(panel_of) -> None:
    panel = panel_of(20, 2)
    low_TN = panel.low_TN.copy()
    low_TN[3, 1] *= 0.8
    simulator = simulator_of(replace(panel, low_TN=low_TN), ExecutionRules(stop_loss=0.15))
    for _ in range(3):
        simulator.step_weights(torch.tensor([[0.4, 0.4]], dtype=torch.float64))
    seen = dict(
        zip(simulator.env.portfolio_names(panel.symbols), simulator.observe()["portfolio"][0].tolist(), strict=True)
    )
    assert (seen["S0/blocked"], seen["S1/blocked"]) == (0.0, 1.0)
    assert simulator.view().blocked_BN.tolist() == [[0.0, 1.0]]


def test_window_has_the_last_bars_of_all_instruments_oldest_first(panel_of) -> None:
    simulator = simulator_of(panel_of(30, 3), num=5, seed=0, window=4, observation="window", ready_from=2)
    window_BWF, bar_B = simulator.observe()["window"], simulator.bar_B.tolist()
    assert window_BWF.shape == (5, 4, 6)
    for row, bar in zip(window_BWF.tolist(), bar_B, strict=True):
        assert row == [[1_000 * t + 10 * n + f for n in range(3) for f in range(2)] for t in range(bar - 3, bar + 1)]


def test_episodes_begin_at_any_bar_of_the_panel_and_end_inside_their_part(panel_of) -> None:
    panel = panel_of(60, 2, seed=1, missing=0.4)
    parts = (Range(0, 20), Range(30, 38), Range(40, 60))
    simulator = simulator_of(panel, rows=parts, num=2_000, seed=0)
    bars, ends = simulator.bar_B.tolist(), simulator.end_B.tolist()
    for bar, end in zip(bars, ends, strict=True):
        part = next(part for part in parts if part.start <= bar < part.stop)
        assert end - bar == min(10, len(part) - 1)
        assert end < part.stop
    traded = panel.tradable_TN.any(axis=1)
    assert set(bars) == {t for t in (*range(10), 30, *range(40, 50)) if traded[t]}


def test_restarted_accounts_are_fresh_and_the_others_untouched(panel_of) -> None:
    rules = ExecutionRules(delay_bars=2, stop_unit="atr", stop_loss=1.0, atr_bars=3)
    simulator = simulator_of(panel_of(60, 2), rules, num=3, seed=0)
    for _ in range(4):
        simulator.step_weights(torch.tensor([[0.5, -0.4]], dtype=torch.float64).expand(3, 2))
    equity_B, shares_BN = simulator.equity_B.clone(), simulator.account.shares_BN.clone()
    simulator.restart(torch.tensor([False, True, False]))
    assert simulator.account.shares_BN[1].tolist() == [0.0, 0.0]
    assert float(simulator.equity_B[1]) == rules.initial_cash
    assert bool(torch.isnan(simulator.pending["weights_BN"][1]).all())
    kept = torch.tensor([0, 2])
    assert torch.equal(simulator.equity_B[kept], equity_B[kept])
    assert torch.equal(simulator.account.shares_BN[kept], shares_BN[kept])


def test_costs_of_an_episode_are_the_configured_ones_times_the_drawn_factor(panel_of) -> None:
    costs = {"fee_bps": 5.0, "fixed_fee": 1.0, "slippage_bps": 3.0, "impact": 0.5}
    panel, rules = panel_of(40, 3), Vectorized(costs=Costs(**costs)).rules
    dearer = Vectorized(costs=Costs(**{name: 2.5 * value for name, value in costs.items()}))
    simulator = simulator_of(panel, rules, num=2, seed=0, cost_range=(2.5, 2.5), lowest_weight=-1.0)
    rows = [Range(int(bar), int(end) + 1) for bar, end in zip(simulator.bar_B, simulator.end_B, strict=True)]
    weights_TN = np.random.default_rng(0).uniform(-0.5, 0.5, (11, 3))
    for weights_N in weights_TN[:-1]:
        simulator.step_weights(torch.from_numpy(np.stack([weights_N, weights_N])))
    for equity, part in zip(simulator.equity_B.tolist(), rows, strict=True):
        result = dearer.run(panel, Positions(weights_TN=weights_TN), part, name="dearer")
        assert equity == pytest.approx(result.equity_T[-1], rel=1e-12)


def test_terms_of_a_joint_reward_add_up_and_start_anew_with_the_episode(panel_of) -> None:
    rules = AccountRules(costs=Costs(fee_bps=5.0))
    simulator = simulator_of(panel_of(80, 3), rules, num=4, seed=0, reward=Composite(terms=TERMS))
    generator, total, num_steps = torch.Generator().manual_seed(1), 0.0, 25
    for _ in range(num_steps):
        moved = simulator.step(torch.rand((4, 3), generator=generator) * 2 - 1)
        total += float(moved.reward_B.sum())
        simulator.restart(moved.terminated_B | moved.truncated_B)
    terms = simulator.drain_terms()
    assert terms.keys() >= TERMS.keys()
    assert sum(terms.values()) == pytest.approx(total / (4 * num_steps))
    assert simulator.drain_terms() == {}


def test_simulator_that_shows_the_next_bar_of_one_instrument_is_found(panel_of) -> None:
    class Ahead(PortfolioSimulator):
        def observe(self) -> dict[str, torch.Tensor]:
            seen = super().observe()
            ahead_B = torch.clamp(self.bar_B + 1, max=self.market.num_bars - 1)
            num_features = self.market.features.shape[-1]
            seen["window"][:, -1, -num_features:] = self.market.joint_features[ahead_B, -num_features:]
            return seen

    panel, features = panel_of(200, 3), PriceVolume(short_window=5, long_window=12)
    _, scaler = compute_features(features, panel, (Range(0, 100),), None)
    env = Portfolio(window=3, observation="window")

    def make(panel: Panel, features: Features, rows: Range, _: int) -> PortfolioSimulator:
        market = MarketTensors.build(panel, features)
        return Ahead(market=market, env=env, rules=AccountRules(), rows=rows, num_envs=1)

    check = check_environment(make, features, scaler, panel, window=env.window)
    assert check.leaks
    assert all(leak.name.startswith("window.") and "S2" in leak.name for leak in check.leaks)


@pytest.mark.parametrize("observation", ["index", "window"])
def test_joint_accounts_pass_the_checker_of_torchrl(panel_of, observation: str) -> None:
    simulator = simulator_of(panel_of(60, 3), num=4, seed=0, window=2, observation=observation, lowest_weight=-1.0)
    check_env_specs(TradingTorchRLEnv(simulator))


def test_restarted_account_earns_what_it_earned_the_first_time(panel_of) -> None:
    """Without a generator every episode begins at the first bar, so the same actions bring the same rewards."""
    simulator = simulator_of(
        panel_of(60, 3), num=2, reward=Composite(terms=TERMS), portfolio="full", lowest_weight=-1.0
    )
    generator = torch.Generator().manual_seed(0)
    actions = [torch.rand((2, 3), generator=generator) * 2 - 1 for _ in range(15)]
    first = [float(simulator.step(action).reward_B[0]) for action in actions]
    simulator.restart(torch.tensor([True, False]))
    assert [float(simulator.step(action).reward_B[0]) for action in actions] == first


def test_episode_is_truncated_at_its_last_bar_and_not_before(panel_of) -> None:
    simulator = simulator_of(panel_of(60, 2), num=8, seed=0)
    flags = [simulator.step_weights(torch.zeros((8, 2), dtype=torch.float64)) for _ in range(10)]
    assert [bool(moved.truncated_B.any()) for moved in flags[:-1]] == [False] * 9
    assert bool(flags[-1].truncated_B.all())
    assert torch.equal(simulator.bar_B, simulator.end_B)


@pytest.mark.parametrize("delay_bars", [0, 2])
def test_saved_state_continues_bit_for_bit(panel_of, delay_bars: int) -> None:
    rules = ExecutionRules(delay_bars=delay_bars, stop_loss=0.02, costs=Costs(fee_bps=5.0))

    def advance(simulator: PortfolioSimulator, generator: torch.Generator) -> list[torch.Tensor]:
        seen = []
        for _ in range(25):
            moved = simulator.step(torch.rand((4, 3), generator=generator) * 2 - 1)
            seen += [moved.reward_B, simulator.observe()["portfolio"], simulator.observe()["index"]]
            simulator.restart(moved.terminated_B | moved.truncated_B)
        return seen

    def make(seed: int) -> PortfolioSimulator:
        keys = {"reward": Composite(terms=TERMS), "cost_range": (0.5, 2.0), "lowest_weight": -1.0}
        return simulator_of(panel_of(80, 3), rules, num=4, seed=seed, **keys)

    first, second, actions = make(1), make(2), torch.Generator().manual_seed(5)
    advance(first, actions)
    second.load_state_dict(first.state_dict())
    here = actions.get_state()
    expected = advance(first, actions)
    actions.set_state(here)
    assert all(torch.equal(a, b) for a, b in zip(expected, advance(second, actions), strict=True))


def test_other_number_of_instruments_than_trained_is_refused(panel_of) -> None:
    env = Portfolio(window=1)
    env.num_instruments = 5
    with pytest.raises(DataError, match=r"^env=portfolio: was set on 5 instruments, the data have 3; "):
        env.accounts(market=market_of(panel_of(30, 3)), rules=AccountRules(), rows=Range(0, 30), num_envs=1)


def test_range_without_a_step_is_refused(panel_of) -> None:
    with pytest.raises(
        DataError, match=r"^env\.window: 5 bars from bar 0 leave no step after a warm-up of 0 and a win"
    ):
        simulator_of(panel_of(30, 2), rows=Range(0, 5), window=5)
