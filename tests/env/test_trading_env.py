"""Environments: actions mean what their names say, windows never look ahead, a rollout is a backtest."""

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tradewright.backtest.vectorized import Vectorized
from tradewright.config.compose import compose
from tradewright.data.ranges import Range
from tradewright.env.auto import Auto
from tradewright.env.continuous import Continuous
from tradewright.env.discrete9 import ACTIONS, Discrete9
from tradewright.env.market_tensors import MarketTensors, gather_window
from tradewright.env.portfolio_state import PORTFOLIO
from tradewright.env.simulator import Simulator
from tradewright.env.view import AccountView
from tradewright.env.world import Stage
from tradewright.errors import DataError
from tradewright.features.pipeline import build_features
from tradewright.features.price_volume import PriceVolume
from tradewright.market.positions import Positions
from tradewright.market.rules import AccountRules, Costs
from tradewright.reward.log_return import LogReturn

COSTS = Costs(fee_bps=5.0, slippage_bps=2.0, borrow_rate=0.03, cash_rate=0.01)
FEATURES = PriceVolume(short_window=5, long_window=12)


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("features")


def market_of(panel, cache: Path) -> MarketTensors:
    features, _ = build_features(FEATURES, panel, Range(0, panel.num_bars // 2), cache)
    return MarketTensors.build(panel, features)


def simulator_of(panel, cache: Path, env, *, rows=None, accounts=1, rules=None, seed=None) -> Simulator:
    return Simulator(
        market=market_of(panel, cache),
        env=env,
        rules=rules or AccountRules(costs=COSTS),
        rows=rows or Range(0, panel.num_bars),
        num_envs=accounts,
        reward=LogReturn(scale=1.0),
        generator=None if seed is None else torch.Generator().manual_seed(seed),
    )


@pytest.mark.parametrize("action_name", ACTIONS)
@pytest.mark.row("B15")
def test_each_discrete9_action_moves_cash_and_position_as_its_name_says(panel_of, cache, action_name: str) -> None:
    """From half invested at zero cost, fills at the open of a bar that opens where the last one closed."""
    panel = panel_of(100)
    panel = replace(panel, open_TN=np.vstack([panel.close_TN[:1], panel.close_TN[:-1]]), fingerprint="no gaps")
    panel = replace(
        panel, high_TN=np.maximum(panel.high_TN, panel.open_TN), low_TN=np.minimum(panel.low_TN, panel.open_TN)
    )
    simulator = simulator_of(panel, cache, Discrete9(window=3), rules=AccountRules(initial_cash=1000.0))
    simulator.step_weights(torch.tensor([0.5], dtype=torch.float64))
    cash, shares = float(simulator.account.cash_B), float(simulator.account.shares_BN)
    price = float(simulator.account.mark_BN)
    simulator.step(torch.tensor([ACTIONS.index(action_name)]))
    cash_after, shares_after = float(simulator.account.cash_B), float(simulator.account.shares_BN)
    side, _, percent = action_name.partition("_")
    fraction = float(percent or 0) / 100
    if side == "buy":
        assert cash_after == pytest.approx(cash * (1 - fraction), abs=1e-9)
        assert shares_after == pytest.approx(shares + fraction * cash / price)
    elif side == "sell":
        assert shares_after == pytest.approx(shares * (1 - fraction), abs=1e-12)
        assert cash_after == pytest.approx(cash + fraction * shares * price)
    else:
        assert (cash_after, shares_after) == (cash, shares)


def view_of(weight: float, num: int, *, blocked: float = 0.0) -> AccountView:
    """Return accounts that hold ``weight`` and cash for the rest."""
    return AccountView(*(torch.full((num,), value, dtype=torch.float64) for value in (weight, 1 - weight, blocked)))


def test_impossible_discrete9_actions_are_no_order() -> None:
    env = Discrete9()
    actions = torch.arange(9)
    flat = env.target_weights(actions, view_of(0.0, 9))
    assert torch.isnan(flat).tolist() == [True] + [False] * 4 + [True] * 4
    full = env.target_weights(actions, view_of(1.0, 9))
    assert torch.isnan(full).tolist() == [True] * 5 + [False] * 4


def test_continuous_action_maps_linearly_and_clamps_the_action() -> None:
    env = Continuous(lowest_weight=-0.5, highest_weight=1.0)
    weights = env.target_weights(torch.tensor([[-3.0], [-1.0], [0.0], [1.0], [2.0]]), view_of(0.0, 5))
    assert weights.tolist() == [-0.5, -0.5, 0.25, 1.0, 1.0]


def test_threshold_turns_small_changes_into_no_order_but_lets_flat_pass() -> None:
    env = Continuous(rebalance_threshold=0.1)
    weights = env.target_weights(torch.tensor([[0.1], [0.3], [0.0]]), view_of(0.05, 3))
    assert torch.isnan(weights).tolist() == [True, False, False]


def test_near_zero_target_after_a_stop_is_zero_and_not_no_order() -> None:
    env = Continuous(lowest_weight=0.0, rebalance_threshold=0.1)
    weights = env.target_weights(torch.tensor([[-0.9], [0.5]]), view_of(0.0, 2, blocked=1.0))
    assert weights.tolist() == [0.0, 0.75]


def test_selling_nothing_after_a_stop_targets_zero() -> None:
    weights = Discrete9().target_weights(torch.arange(9), view_of(0.0, 9, blocked=1.0))
    assert torch.isnan(weights[0])
    assert weights[1:5].tolist() == [0.25, 0.5, 0.75, 1.0]
    assert weights[5:].tolist() == [0.0] * 4


def test_auto_prefers_continuous_and_falls_back_to_discrete9() -> None:
    assert isinstance(Auto(window=7).choose(("continuous", "discrete")), Continuous)
    assert isinstance(Auto(window=7).choose(("discrete",)), Discrete9)
    assert Auto(window=7).choose(("discrete",)).window == 7


@pytest.mark.row("N19")
@pytest.mark.parametrize("window", [20, 35, 50])
def test_window_is_the_last_bars_up_to_the_decision(panel_of, cache, window: int) -> None:
    panel = panel_of(200, 3)
    simulator = simulator_of(panel, cache, Continuous(window=window, observation="window"), accounts=3)
    features, _ = build_features(FEATURES, panel, Range(0, 100), cache)
    for _ in range(5):
        t = int(simulator.bar_B[0])
        seen = simulator.observe()["window"].numpy()
        for n in range(3):
            np.testing.assert_array_equal(seen[n], features.x_TNF[t - window + 1 : t + 1, n])
        simulator.step(torch.zeros(3, 1))


def test_gather_equals_the_window_that_an_index_names(panel_of, cache) -> None:
    market = market_of(panel_of(80, 2), cache)
    index = torch.tensor([40, 80 + 41])
    np.testing.assert_array_equal(gather_window(market.features, index, 3)[1].numpy(), market.features[119:122].numpy())


@pytest.mark.row("B17")
@pytest.mark.row("N58")
@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize(
    "rules",
    [
        AccountRules(costs=COSTS),
        AccountRules(
            costs=Costs(fixed_fee=1.0, per_share_fee=0.01),
            leverage=2.0,
            stop_loss=0.03,
            take_profit=0.06,
            trailing=0.05,
        ),
        AccountRules(costs=COSTS, allow_short=False, sizing="decision", cash_buffer=0.01),
    ],
)
def test_rollout_equity_equals_the_backtest_of_the_same_weights(panel_of, cache, rules, missing: float) -> None:
    panel = panel_of(400, seed=5, missing=missing)
    rows = Range(30, 400)
    simulator = simulator_of(panel, cache, Continuous(window=5), rows=rows, rules=rules)
    rng = np.random.default_rng(1)
    weights, equity = np.full((len(rows), 1), np.nan), [rules.initial_cash]
    for i in range(len(rows) - 1):
        weights[i] = rng.choice([np.nan, -1.0, -0.4, 0.0, 0.3, 1.0])
        simulator.step_weights(torch.from_numpy(weights[i].copy()))
        equity.append(float(simulator.equity_B))
    backtest = Vectorized(**{field.name: getattr(rules, field.name) for field in fields(rules)})
    result = backtest.run(panel, Positions(weights_TN=weights), rows, name="rollout")
    np.testing.assert_allclose(equity, result.equity_T, rtol=1e-12)


@pytest.mark.row("N24")
def test_unrealised_and_realised_profit_add_up_to_the_change_of_equity(panel_of, cache) -> None:
    simulator = simulator_of(panel_of(200), cache, Continuous(window=3), rules=AccountRules(initial_cash=1000.0))
    rng = np.random.default_rng(2)
    realised, entry, shares = 0.0, 0.0, 0.0
    for _ in range(150):
        simulator.step_weights(torch.tensor([rng.choice([-1.0, 0.0, 0.5, 1.0])], dtype=torch.float64))
        price = float(simulator.market.prices[simulator.row_B, 0])
        new = float(simulator.account.shares_BN)
        closed = shares - new if shares * new >= 0 and abs(new) < abs(shares) else (shares if shares * new < 0 else 0.0)
        realised += closed * (price - entry)
        entry, shares = float(simulator.account.entry_BN), new
        portfolio = simulator.portfolio_BP(simulator.view())[0]
        unrealised = float(portfolio[PORTFOLIO.index("unrealised_return")]) * float(simulator.equity_B)
        assert float(simulator.equity_B) - 1000.0 == pytest.approx(realised + unrealised, abs=2e-3)


def test_restarted_accounts_begin_anew_and_others_go_on(panel_of, cache) -> None:
    simulator = simulator_of(panel_of(300), cache, Continuous(window=3, episode_bars=50), accounts=4, seed=0)
    for _ in range(5):
        simulator.step(torch.ones(4, 1))
    kept = simulator.equity_B[1:].clone(), simulator.bar_B[1:].clone()
    simulator.restart(torch.tensor([True, False, False, False]))
    assert float(simulator.equity_B[0]) == simulator.rules.initial_cash
    assert float(simulator.account.shares_BN[0]) == 0
    assert torch.equal(simulator.equity_B[1:], kept[0])
    assert torch.equal(simulator.bar_B[1:], kept[1])


def test_saved_state_continues_bit_for_bit(panel_of, cache) -> None:
    env = Continuous(window=3, episode_bars=7)
    first, second = (simulator_of(panel_of(200), cache, env, accounts=5, seed=s) for s in (3, 4))

    def advance(simulator: Simulator) -> list[float]:
        out = []
        for i in range(30):
            moved = simulator.step(torch.full((5, 1), (-1.0) ** i))
            simulator.restart(moved.terminated_B | moved.truncated_B)
            out += simulator.equity_B.tolist()
        return out

    advance(first)
    second.load_state_dict(first.state_dict())
    assert advance(first) == advance(second)


def test_episodes_are_truncated_never_terminated_without_bankruptcy(panel_of, cache) -> None:
    simulator = simulator_of(panel_of(200), cache, Continuous(window=3, episode_bars=10), accounts=3, seed=0)
    for i in range(10):
        moved = simulator.step(torch.zeros(3, 1))
        assert moved.truncated_B.tolist() == [i == 9] * 3
        assert not moved.terminated_B.any()


def test_bankruptcy_terminates_with_finite_observations(panel_of, cache) -> None:
    panel = panel_of(100)
    jump = np.where(np.arange(100)[:, None] >= 60, 4.0, 1.0)
    prices = {f"{key}_TN": getattr(panel, f"{key}_TN") * jump for key in ("open", "high", "low", "close")}
    panel = replace(panel, **prices, fingerprint="jump")
    simulator = simulator_of(panel, cache, Continuous(window=3))
    while int(simulator.bar_B) < 60:
        moved = simulator.step(torch.full((1, 1), -1.0))
    assert bool(moved.terminated_B)
    assert float(moved.reward_B) == LogReturn().bankrupt_reward
    assert torch.isfinite(simulator.observe()["portfolio"]).all()


@pytest.mark.parametrize(("episode_bars", "length"), [(10, 10), (10_000, None), (None, None)])
def test_episodes_start_anywhere_and_last_as_long_as_asked_or_the_whole_range(
    panel_of, cache, episode_bars: int | None, length: int | None
) -> None:
    panel = panel_of(200, 2)
    env = Continuous(window=3, episode_bars=episode_bars)
    simulator = simulator_of(panel, cache, env, accounts=4_000, seed=0)
    first, last = simulator.market.ready_from + 2, 199
    begin_B, end_B = simulator.bar_B, simulator.end_B
    assert set((end_B - begin_B).tolist()) == {length or last - first}
    starts = {(n, t) for n in range(2) for t in (range(first, last - 9) if length else [first])}
    assert set(zip(simulator.instrument_B.tolist(), begin_B.tolist(), strict=True)) == starts
    for _ in range(length or last - first):
        moved = simulator.step(torch.zeros(4_000, 1))
    assert bool(moved.truncated_B.all())
    simulator.restart(moved.truncated_B)
    assert len(set(zip(simulator.instrument_B.tolist(), simulator.bar_B.tolist(), strict=True))) == len(starts)


def test_restart_of_nobody_draws_nothing_and_changes_nothing(panel_of, cache) -> None:
    simulator = simulator_of(panel_of(200), cache, Continuous(window=3), accounts=4, seed=0)
    simulator.step(torch.ones(4, 1))
    before, account = simulator.generator.get_state(), simulator.account
    simulator.restart(torch.zeros(4, dtype=torch.bool))
    assert torch.equal(simulator.generator.get_state(), before)
    assert simulator.account is account


@pytest.mark.row("N33")
def test_agents_are_set_on_prices_and_a_reward_without_labels() -> None:
    assert {field.name for field in fields(Stage)} == {"panel", "features", "rows", "rules", "reward"}
    assert compose([]).target._target_ == "tradewright.config.inert.Unused"


def test_range_too_short_for_the_window_is_named(panel_of, cache) -> None:
    with pytest.raises(DataError, match=r"env\.window: 20 bars from bar 0 leave no step after a warm-up of 12"):
        simulator_of(panel_of(100), cache, Continuous(window=10), rows=Range(0, 20))
