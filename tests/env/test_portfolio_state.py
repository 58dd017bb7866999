"""The fifteen portfolio features equal what a backtest's equity, fills and trades say; every number has a name."""

import logging
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch

from tradewright.algorithm.inputs import make_inputs
from tradewright.backtest.result import BacktestResult
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.env.continuous import Continuous
from tradewright.env.discrete9 import Discrete9
from tradewright.env.market_tensors import MarketTensors
from tradewright.env.portfolio import Portfolio
from tradewright.env.portfolio_state import PORTFOLIO, PORTFOLIO_FULL
from tradewright.env.simulator import Simulator
from tradewright.env.world import Stage
from tradewright.errors import ConfigError
from tradewright.features.features import Features
from tradewright.features.technical58 import INDICATORS, Technical58
from tradewright.market.instrument import Instrument
from tradewright.market.positions import Positions
from tradewright.market.rules import AccountRules, Costs
from tradewright.reward.log_return import LogReturn

COSTS = Costs(fee_bps=5.0, fixed_fee=1.0, slippage_bps=3.0, borrow_rate=0.05, cash_rate=0.02)
BARS = ("open", "high", "low", "close")
NAMES_58 = tuple(name for family in INDICATORS.values() for name in family)


def features_of(panel: Panel, names: tuple[str, ...] = ("zero",)) -> Features:
    x_TNF = np.zeros((*panel.close_TN.shape, len(names)), dtype=np.float32)
    return Features(x_TNF=x_TNF, names_F=names, ready_from=0)


def simulator_of(panel: Panel, rules: AccountRules, *, num: int = 1, seed: int | None = None, **keys: Any) -> Simulator:
    env = Continuous(**{"window": 1, "lowest_weight": -2.0, "portfolio": "full", "episode_bars": 12, **keys})
    return Simulator(
        market=MarketTensors.build(panel, features_of(panel)),
        env=env,
        rules=rules,
        rows=Range(0, panel.num_bars),
        num_envs=num,
        reward=LogReturn(),
        generator=None if seed is None else torch.Generator().manual_seed(seed),
    )


def random_weights(rng: np.random.Generator, num: int) -> np.ndarray:
    """Return targets with holds, flat times, additions and changes of side."""
    return rng.choice([np.nan, np.nan, np.nan, -1.2, -0.4, 0.0, 0.0, 0.5, 1.0], num)


def by_hand(result: BacktestResult, multiplier: float, t: int) -> dict[str, float]:
    """Return every feature but ``blocked`` at the close of bar t from equity curve, fills and closed trades."""
    equity = result.equity_T[: t + 1].tolist()
    shares = entry = traded = 0.0
    opened = None
    for fill in result.fills:
        if fill.quantity == 0 or fill.bar > t:
            continue
        traded += abs(fill.quantity) * fill.price * multiplier / equity[fill.bar - 1]
        after = shares + fill.quantity
        after = 0.0 if abs(after) < 1e-9 else after
        if after * shares <= 0:
            entry, opened = fill.price, fill.bar
        elif abs(after) > abs(shares):
            entry = (entry * shares + fill.price * fill.quantity) / after
        shares = after
    unrealised = shares * (result.mark_TN[t, 0] - entry) * multiplier if shares else 0.0
    returns = [after / before - 1 for before, after in pairwise(equity)]
    weights = [0.94**age for age in range(t)][::-1]
    closed = [trade for trade in result.trades if trade.exit_bar is not None and trade.exit_bar <= t]
    last_bar = max((trade.exit_bar for trade in closed), default=0)
    last_pnl = sum(trade.pnl for trade in closed if trade.exit_bar == last_bar)
    peak_bar = max(bar for bar, value in enumerate(equity) if value == max(equity))
    return {
        "weight": float(result.weights_TN[t, 0]),
        "cash_fraction": result.cash_T[t] / equity[t],
        "unrealised_return": unrealised / equity[t],
        "holding_bars": (t - opened + 1) / 100 if shares else 0.0,
        "drawdown": 1 - equity[t] / max(equity),
        "episode_return": float(np.log(equity[t] / equity[0])),
        "realised_return": (equity[t] - unrealised) / equity[0] - 1,
        "side": float(np.sign(shares)),
        "volatility": float(np.sqrt(np.average(np.square(returns), weights=weights))) if t else 0.0,
        "num_trades": float(np.log(1 + len(closed))),
        "win_rate": sum(trade.pnl > 0 for trade in closed) / len(closed) if closed else 0.0,
        "last_trade_return": last_pnl / equity[last_bar - 1] if closed else 0.0,
        "turnover": traded / t if t else 0.0,
        "bars_since_peak": (t - peak_bar) / 100,
    }


@pytest.mark.row("B14")
def test_there_are_fifteen_named_features_of_which_the_first_seven_are_the_basic_ones() -> None:
    assert PORTFOLIO_FULL == (
        "weight", "cash_fraction", "unrealised_return", "holding_bars", "drawdown", "episode_return", "blocked",
        "realised_return", "side", "volatility", "num_trades", "win_rate", "last_trade_return", "turnover",
        "bars_since_peak",
    )  # fmt: skip
    assert len(set(PORTFOLIO_FULL)) == 15
    assert PORTFOLIO_FULL[:7] == PORTFOLIO


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("has_stops", [False, True])
@pytest.mark.row("B14")
def test_features_equal_the_equity_curve_and_the_journal(panel_of, seed: int, has_stops: bool) -> None:
    print(f"seed {seed}")
    rng = np.random.default_rng(seed)
    multiplier = float(rng.choice([1.0, 5.0]))
    panel = replace(panel_of(120, 1, seed), instruments=(Instrument(symbol="S0", multiplier=multiplier),))
    stops = {"stop_loss": 0.02, "take_profit": 0.03} if has_stops else {}
    backtest = Vectorized(costs=COSTS, leverage=2.0, allow_short=True, initial_cash=1e5, **stops)
    simulator = simulator_of(panel, backtest.rules)
    weights_T = random_weights(rng, panel.num_bars)
    seen = [simulator.observe()["portfolio"][0].numpy()]
    for weight in weights_T[:-1]:
        simulator.step_weights(torch.tensor([weight], dtype=torch.float64))
        seen.append(simulator.observe()["portfolio"][0].numpy())
    result = backtest.run(panel, Positions(weights_TN=weights_T[:, None]), Range(0, panel.num_bars), name="by hand")
    closed = [trade for trade in result.trades if trade.exit_bar is not None]
    assert len(closed) > 8
    assert 0 < sum(trade.pnl > 0 for trade in closed) < len(closed)
    assert {trade.side for trade in closed} == {"long", "short"}
    for t, row in enumerate(seen):
        for name, value in by_hand(result, multiplier, t).items():
            found = float(row[PORTFOLIO_FULL.index(name)])
            assert found == pytest.approx(value, rel=1e-5, abs=2e-6), f"{name} at bar {t}"
        assert np.isfinite(row).all()


@pytest.mark.row("N24")
def test_realised_and_unrealised_profit_make_the_episode_return(panel_of) -> None:
    simulator = simulator_of(panel_of(80, 1, 2), AccountRules(costs=COSTS, allow_short=True))
    rng = np.random.default_rng(0)
    for weight in random_weights(rng, 79):
        simulator.step_weights(torch.tensor([weight], dtype=torch.float64))
        row = dict(zip(PORTFOLIO_FULL, simulator.observe()["portfolio"][0].double().tolist(), strict=True))
        growth = np.exp(row["episode_return"])
        assert row["realised_return"] + row["unrealised_return"] * growth == pytest.approx(growth - 1, abs=1e-6)


def test_restarted_accounts_begin_with_no_history_and_the_others_keep_theirs(panel_of) -> None:
    panel = panel_of(200, 1, 3)
    simulator = simulator_of(panel, AccountRules(costs=Costs(fee_bps=5.0), allow_short=True), num=6, seed=1)
    fresh = simulator.observe()["portfolio"].clone()
    rng = np.random.default_rng(1)
    for _ in range(10):
        simulator.step_weights(torch.from_numpy(random_weights(rng, 6)))
    before = simulator.observe()["portfolio"].clone()
    assert (before[:, PORTFOLIO_FULL.index("turnover")] > 0).all()
    done_B = torch.tensor([True, False, True, False, False, False])
    simulator.restart(done_B)
    after = simulator.observe()["portfolio"]
    assert torch.equal(after[done_B], fresh[done_B])
    assert torch.equal(after[~done_B], before[~done_B])
    assert torch.equal(after[0, 2:], torch.zeros(13))
    simulator.step_weights(torch.full((6,), torch.nan, dtype=torch.float64))
    rest = simulator.observe()["portfolio"][0]
    assert float(rest[PORTFOLIO_FULL.index("volatility")]) == 0.0  # nothing of the old episode is left
    for weight in (1.0, 0.0):
        before_B = simulator.equity_B.clone()
        simulator.step_weights(torch.full((6,), weight, dtype=torch.float64))
    earned = float((simulator.equity_B[0] - simulator.rules.initial_cash) / before_B[0])
    last = simulator.observe()["portfolio"][0, PORTFOLIO_FULL.index("last_trade_return")]
    assert float(last) == pytest.approx(earned, rel=1e-5)  # what the old trade had cost is forgotten


def test_history_continues_from_its_state_to_the_bit(panel_of) -> None:
    panel, rules = panel_of(200, 2, 4), AccountRules(costs=COSTS, allow_short=True)
    first, second = (simulator_of(panel, rules, num=5, seed=seed) for seed in (1, 2))
    rng = np.random.default_rng(2)
    for _ in range(8):
        first.step_weights(torch.from_numpy(random_weights(rng, 5)))
    second.load_state_dict(first.state_dict())
    for _ in range(6):
        weights = torch.from_numpy(random_weights(rng, 5))
        moved = [simulator.step_weights(weights) for simulator in (first, second)]
        assert torch.equal(first.observe()["portfolio"], second.observe()["portfolio"])
        done_B = moved[0].truncated_B
        for simulator in (first, second):
            simulator.restart(done_B)


def test_bankrupt_account_shows_zeros_and_no_nan(panel_of) -> None:
    panel = panel_of(30, 1, 0)
    crash = np.where(np.arange(30) >= 10, 0.2, 1.0)[:, None]
    panel = replace(panel, **{f"{name}_TN": getattr(panel, f"{name}_TN") * crash for name in BARS})
    simulator = simulator_of(panel, AccountRules(leverage=3.0, costs=COSTS), highest_weight=3.0)
    for _ in range(15):
        simulator.step_weights(torch.tensor([3.0], dtype=torch.float64))
        assert torch.isfinite(simulator.observe()["portfolio"]).all()
    assert bool(simulator.account.ended_B)
    assert torch.equal(simulator.observe()["portfolio"], torch.zeros(1, 15))


@pytest.mark.parametrize("observation", ["index", "window"])
@pytest.mark.row("B13")
def test_networks_take_58_indicators_per_bar_and_15_portfolio_features_as_declared(panel_of, observation: str) -> None:
    panel = panel_of(120)
    env = Discrete9(window=20, portfolio="full", observation=observation)
    features = features_of(panel, NAMES_58)
    stage = Stage(panel=panel, features=features, rows=(Range(0, 90),), rules=AccountRules(), reward=LogReturn())
    declared = env.observation_of(features.names_F, panel.symbols)
    assert len(declared) == len(declared.names) == len(set(declared.names)) == 20 * 58 + 15 == 1_175
    assert str(declared) == "20 bars x 58 features + 15 portfolio = 1,175 numbers"
    assert declared.names[0] == "t-19/return_1"
    assert declared.names[19 * 58 : 19 * 58 + 2] == ("t/return_1", "t/return_5")
    assert declared.names[-15:] == tuple(f"portfolio/{name}" for name in PORTFOLIO_FULL)
    assert len(Technical58(memory_bars=16).compute(panel)) == len(features.names_F)
    inputs = make_inputs(env, stage)
    assert inputs.width == 1_175
    world = env.world(
        num_envs=3, generator=torch.Generator().manual_seed(0), stage=stage, market=MarketTensors.build(panel, features)
    )
    seen = world.observe()
    assert inputs(*(seen[key] for key in env.in_keys)).shape == (3, 1_175)


@pytest.mark.row("B13")
def test_each_number_stands_where_its_name_says(panel_of) -> None:
    panel = panel_of(60)
    x_TNF = np.arange(60 * 3, dtype=np.float32).reshape(60, 1, 3)
    features = Features(x_TNF=x_TNF, names_F=("a", "b", "c"), ready_from=0)
    env = Continuous(window=4, portfolio="full")
    stage = Stage(panel=panel, features=features, rows=(Range(0, 60),), rules=AccountRules(), reward=LogReturn())
    numbers = make_inputs(env, stage)(torch.tensor([30]), torch.arange(15.0)[None])[0]
    names = env.observation_of(features.names_F, panel.symbols).names
    assert numbers[names.index("t/b")] == x_TNF[30, 0, 1]
    assert numbers[names.index("t-3/c")] == x_TNF[27, 0, 2]
    assert numbers[names.index("portfolio/side")] == PORTFOLIO_FULL.index("side")


@pytest.mark.row("B13")
def test_environments_that_show_other_numbers_than_declared_are_refused(panel_of, caplog) -> None:
    class Forgetful(Continuous):
        def portfolio_names(self, symbols: Any) -> tuple[str, ...]:
            return PORTFOLIO_FULL[:-1]

    panel = panel_of(60)
    for make, names in ((Forgetful, ("a", "b")), (Continuous, ("a", "b", "c"))):
        features = features_of(panel, ("a", "b"))
        market = MarketTensors.build(panel, features)
        staged = Stage(
            panel=panel,
            features=replace(features, names_F=names),
            rows=(Range(0, 60),),
            rules=AccountRules(),
            reward=LogReturn(),
        )
        env = make(window=4, portfolio="full", episode_bars=5)
        with pytest.raises(ConfigError, match="env: declares an observation of 4 bars x") as refused:
            env.world(num_envs=2, generator=torch.Generator().manual_seed(0), stage=staged, market=market)
        assert "but shows 4 bars x 2 features + 15 portfolio" in str(refused.value)
    caplog.set_level(logging.INFO, logger="tradewright")
    good = replace(staged, features=features)
    Continuous(window=4, episode_bars=5).world(
        num_envs=2, generator=torch.Generator().manual_seed(0), stage=good, market=market
    )
    assert "observation: 4 bars x 2 features + 7 portfolio = 15 numbers" in caplog.text


def test_joint_accounts_declare_every_instrument(panel_of) -> None:
    panel = panel_of(60, 3)
    features = features_of(panel, ("a", "b"))
    stage = Stage(panel=panel, features=features, rows=(Range(0, 60),), rules=AccountRules(), reward=LogReturn())
    env = Portfolio(window=4, episode_bars=5).on(stage)
    declared = env.observation_of(features.names_F, panel.symbols)
    assert str(declared).startswith("4 bars x 6 features + ")
    assert "t-3/S2/b" in declared.names
    assert "portfolio/S1/weight" in declared.names
    assert make_inputs(env, stage).width == len(declared)
    env.world(
        num_envs=2, generator=torch.Generator().manual_seed(0), stage=stage, market=MarketTensors.build(panel, features)
    )


def test_joint_accounts_have_the_history_of_all_their_instruments(panel_of) -> None:
    """An account that trades one of three instruments has the history of one that has only this."""
    panel = panel_of(90, 3, 5)
    rules = AccountRules(costs=Costs(fee_bps=5.0), allow_short=True)
    one = replace(
        panel,
        instruments=panel.instruments[1:2],
        **{
            f"{k}_TN": getattr(panel, f"{k}_TN")[:, 1:2] for k in ("open", "high", "low", "close", "volume", "tradable")
        },
    )
    single = simulator_of(one, rules)
    env = Portfolio(window=1, lowest_weight=-2.0, highest_weight=2.0, portfolio="full")
    joint, restored = (
        env.accounts(market=MarketTensors.build(panel, features_of(panel)), rules=rules, rows=Range(0, 90), num_envs=1)
        for _ in range(2)
    )
    names = env.observation_of(("zero",), panel.symbols).portfolio_P
    assert names[9:] == ("cash_fraction", "drawdown", "episode_return", "realised_return", *PORTFOLIO_FULL[9:])
    for step, weight in enumerate(random_weights(np.random.default_rng(3), 80)):
        single.step_weights(torch.tensor([weight], dtype=torch.float64))
        joint.step_weights(torch.tensor([[np.nan, weight, np.nan]], dtype=torch.float64))
        if step == 40:
            restored.load_state_dict(joint.state_dict())
        if step > 40:
            restored.step_weights(torch.tensor([[np.nan, weight, np.nan]], dtype=torch.float64))
            assert torch.equal(restored.observe()["portfolio"], joint.observe()["portfolio"])
        alone, together = single.observe()["portfolio"][0], joint.observe()["portfolio"][0]
        for name in names[9:]:
            expected = alone[PORTFOLIO_FULL.index(name)]
            assert float(together[names.index(name)]) == pytest.approx(float(expected), rel=1e-5, abs=1e-7), name
    assert float(together[names.index("num_trades")]) > 1
    joint.restart(torch.tensor([True]))
    assert torch.equal(joint.observe()["portfolio"][0, 11:], torch.zeros(8))


@pytest.mark.row("N19")
@pytest.mark.parametrize("window", [20, 35, 50])
def test_windows_of_20_to_50_bars_compose_and_build(panel_of, window: int) -> None:
    from tradewright.config.build import build
    from tradewright.config.check import check
    from tradewright.config.compose import open_hydra

    cfg = open_hydra().compose([f"env.window={window}", "env.portfolio=full", "env=continuous", "env.episode_bars=30"])
    assert check(cfg) == []
    env, panel = build(cfg.env, key="env"), panel_of(120)
    features = features_of(panel, ("a", "b"))
    stage = Stage(panel=panel, features=features, rows=(Range(0, 120),), rules=AccountRules(), reward=LogReturn())
    assert make_inputs(env, stage).width == window * 2 + 15
    world = env.world(
        num_envs=2, generator=torch.Generator().manual_seed(0), stage=stage, market=MarketTensors.build(panel, features)
    )
    assert int(world.observe()["index"].min()) >= window - 1


def test_unknown_portfolio_is_refused() -> None:
    with pytest.raises(ValueError, match="portfolio must be one of basic, full, was 'all'"):
        Continuous(portfolio="all")
