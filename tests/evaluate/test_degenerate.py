"""Policies that decide nothing are found and named with their numbers; sane strategies are left alone.

Legend: T bars, N instruments.
"""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_cases import make_panel, random_panel
from tradewright.backtest.result import BacktestResult
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.evaluate.degenerate import MIN_BARS, find_degenerate, metrics
from tradewright.evaluate.evidence import Degenerate
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs
from tradewright.strategy.buy_and_hold import BuyAndHold
from tradewright.strategy.momentum import Momentum
from tradewright.strategy.sma_cross import SmaCross

GOLDEN = Path(__file__).parents[1] / "golden" / "bars_500.csv"
FREE = Vectorized(leverage=2.0, costs=Costs())
COSTLY = Vectorized(costs=Costs(fee_bps=20.0, slippage_bps=10.0))


def golden_panel() -> Panel:
    with GOLDEN.open() as file:
        rows = list(csv.DictReader(file))
    return make_panel(*(np.array([[float(row[key])] for row in rows]) for key in ("open", "high", "low", "close")))


def backtest(weights: np.ndarray, panel: Panel | None = None, engine: Vectorized = FREE) -> BacktestResult:
    weights_TN = np.asarray(weights, dtype=np.float64).reshape(len(weights), -1)
    panel = panel or random_panel(5, len(weights_TN), weights_TN.shape[1], volatility=0.01)
    return engine.run(panel, Positions(weights_TN=weights_TN), Range(0, len(weights_TN)), name="policy")


def only_finding(result: BacktestResult) -> str:
    findings = find_degenerate(result).findings
    assert len(findings) == 1, findings
    return findings[0]


def once(first: float, num_bars: int = 200) -> np.ndarray:
    weights = np.full(num_bars, np.nan)
    weights[0] = first
    return weights


def test_policy_without_orders_never_trades() -> None:
    assert only_finding(backtest(np.full(100, np.nan))) == (
        "Never trades: no order was executed in 99 bars, 0 were rejected."
    )


def test_policy_whose_orders_are_all_rejected_never_trades() -> None:
    long_only = Vectorized(allow_short=False, costs=Costs())
    assert only_finding(backtest(np.full(100, -1.0), engine=long_only)) == (
        "Never trades: no order was executed in 99 bars, 99 were rejected."
    )


@pytest.mark.parametrize(("weight", "side"), [(0.9, "long"), (-0.5, "short")])
def test_position_that_is_kept_is_always_long_or_short(weight: float, side: str) -> None:
    assert only_finding(backtest(once(weight))) == (
        f"Always {side}: 100.0% of 199 bars, with 1 bar in which it decided anything; it holds the market and chooses "
        "nothing."
    )


@pytest.mark.parametrize(
    ("num_bars", "num_decided", "is_found"), [(60, 1, True), (60, 2, False), (400, 3, True), (400, 6, False)]
)
def test_hardly_any_decision_is_one_bar_or_one_in_a_hundred(num_bars: int, num_decided: int, is_found: bool) -> None:
    weights = np.full(num_bars, np.nan)
    weights[: 10 * num_decided : 10] = np.linspace(0.2, 0.9, num_decided)
    kinds = [finding.partition(":")[0] for finding in find_degenerate(backtest(weights)).findings]
    assert ("Always long" in kinds) == is_found


@pytest.mark.parametrize("num", [1, 3])
def test_buy_and_hold_is_always_long(num: int) -> None:
    panel = random_panel(2, 300, num)
    result = COSTLY.run(panel, BuyAndHold().decide(panel, None, Range(0, 300)), Range(0, 300), name="hold")
    assert only_finding(result).startswith("Always long: 100.0% of 299 bars")


@pytest.mark.parametrize("num", [1, 40])
def test_weight_that_is_only_restored_is_constant(num: int) -> None:
    finding = only_finding(backtest(np.full((200, num), 0.6 / num)))
    assert finding.startswith("Constant weight: in 100.0% of the bars it holds ")
    assert "of equity, give or take 5%; orders in 199 bars only restore that weight." in finding


def test_weight_between_two_levels_is_not_constant() -> None:
    weights = np.where(np.arange(200) // 20 % 2 == 0, 0.4, 0.6)
    assert find_degenerate(backtest(weights)).findings == ()


def test_policy_that_trades_every_bar_for_its_costs_churns() -> None:
    rng = np.random.default_rng(0)
    result = backtest(rng.choice([0.1, 0.5, 0.9], 250), engine=COSTLY)
    paid = result.costs["fees"] + result.costs["slippage"]
    gross = result.equity_T[-1] - result.equity_T[0] + paid
    churns = [finding for finding in find_degenerate(result).findings if finding.startswith("Churns")]
    assert len(churns) == 1
    assert f"fees and slippage of {paid:,.0f}" in churns[0]
    assert churns[0].endswith(f"of {abs(gross):,.0f}.")
    assert ("eat more than the gross profit" in churns[0]) == (gross > 0)


def test_trading_every_bar_without_costs_or_for_more_than_them_is_no_churning() -> None:
    rng = np.random.default_rng(0)
    weights = rng.choice([0.1, 0.5, 0.9], 250)
    assert not [f for f in find_degenerate(backtest(weights)).findings if f.startswith("Churns")]
    falling = make_panel(np.linspace(1_000.0, 100.0, 250)[:, None])
    cheap = Vectorized(costs=Costs(fee_bps=0.01))
    assert backtest(weights, falling, cheap).costs["fees"] > 0
    assert not [f for f in find_degenerate(backtest(weights, falling, cheap)).findings if f.startswith("Churns")]
    rising = make_panel(np.linspace(100.0, 1_000.0, 250)[:, None])
    assert not [f for f in find_degenerate(backtest(weights, rising, COSTLY)).findings if f.startswith("Churns")]


@pytest.mark.parametrize("levels", [(1.0, -1.0), (1.0, 0.0)])
def test_position_that_changes_side_every_bar_flips(levels: tuple[float, float]) -> None:
    weights = np.where(np.arange(200) % 2 == 0, *levels)
    assert "Flips every bar: the position changes between long, short and flat in 100.0% of the bars." in (
        find_degenerate(backtest(weights)).findings
    )


def test_policy_that_only_buys_never_decides_to_sell() -> None:
    weights = np.full(200, np.nan)
    weights[100::10] = np.linspace(0.1, 1.0, 10)
    assert only_finding(backtest(weights, engine=COSTLY)).startswith("Never decides to sell: 10 bars with a buy, ")


def test_profit_of_one_trade_out_of_many_is_named() -> None:
    usual = backtest(np.where(np.arange(300) // 10 % 2 == 0, 1.0, 0.0))
    assert len(usual.trades) > 5
    trades = tuple(replace(trade, pnl=5_000.0 if place == 3 else -100.0) for place, trade in enumerate(usual.trades))
    lucky = trades[3]
    found = find_degenerate(replace(usual, trades=trades))
    assert found.cautions == (
        f"All profit comes from one trade: 5,000 of S0 from {str(lucky.entry_ts)[:10]} to {str(lucky.exit_ts)[:10]}; "
        f"the other {len(trades) - 1} trades together made {-100 * (len(trades) - 1):,}.",
    )
    assert found.findings == ()
    assert metrics(found) == {"is_degenerate": 0.0}
    even = tuple(replace(trade, pnl=100.0) for trade in usual.trades)
    assert find_degenerate(replace(usual, trades=even)) == Degenerate()


@pytest.mark.parametrize(("pnl", "is_said"), [(100.0, True), (99.0, True), (101.0, False)])
def test_profit_rests_on_one_trade_when_the_others_made_none(pnl: float, is_said: bool) -> None:
    usual = backtest(np.where(np.arange(300) // 10 % 2 == 0, 1.0, 0.0))
    others = [pnl - 100.0, *[0.0] * (len(usual.trades) - 2)]
    trades = tuple(replace(trade, pnl=value) for trade, value in zip(usual.trades, [100.0, *others], strict=True))
    assert bool(find_degenerate(replace(usual, trades=trades)).cautions) == is_said


def test_trend_rules_on_random_walks_with_drift_are_not_called_degenerate() -> None:
    engine = Vectorized(costs=Costs(fee_bps=5.0, slippage_bps=3.0))
    cautioned = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        panel = make_panel(100 * np.exp(np.cumsum(rng.normal(4e-4, 0.01, 750)))[:, None])
        rows = Range(60, 750)
        rule = SmaCross(fast=20, slow=50)
        found = find_degenerate(engine.run(panel, rule.decide(panel, None, rows), rows, name="sma_cross"))
        assert found.findings == (), f"seed {seed}"
        cautioned += bool(found.cautions)
    assert cautioned >= 5  # so that the rule that flagged them before is exercised


def test_single_trade_is_named() -> None:
    weights = np.full(200, np.nan)
    weights[50], weights[90] = 1.0, 0.0
    assert only_finding(backtest(weights)).startswith("One trade: all of the profit, ")


@pytest.mark.parametrize(
    "strategy",
    [
        Momentum(lookback=20),
        Momentum(lookback=60, side="long_short"),
        SmaCross(fast=5, slow=20),
        SmaCross(fast=10, slow=40, side="long_short"),
    ],
    ids=["momentum", "momentum_long_short", "sma_cross", "sma_cross_long_short"],
)
def test_sane_rule_on_the_golden_bars_has_no_finding(strategy: Momentum | SmaCross) -> None:
    panel = golden_panel()
    rows = Range(60, panel.num_bars)
    engine = Vectorized(costs=Costs(fee_bps=5.0, slippage_bps=3.0))
    result = engine.run(panel, strategy.decide(panel, None, rows), rows, name=strategy.name)
    assert find_degenerate(result).findings == ()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([0.0, 0.3, 0.8, 0.98]), st.integers(1, 3))
def test_money_scales_without_changing_the_findings(seed: int, idle: float, num: int) -> None:
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random((60, num)) < idle, np.nan, rng.choice([-0.4, 0.0, 0.3], (60, num)))
    panel = random_panel(seed, 60, num)
    kinds = []
    for cash in (1e4, 1e7):
        engine = Vectorized(initial_cash=cash, costs=Costs(fee_bps=10.0))
        findings = find_degenerate(backtest(weights, panel, engine)).findings
        kinds.append([finding.partition(":")[0] for finding in findings])
        assert all(finding.endswith(".") and any(c.isdigit() for c in finding) for finding in findings)
    assert kinds[0] == kinds[1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_random_policy_that_decides_now_and_then_is_not_called_idle(seed: int) -> None:
    rng = np.random.default_rng(seed)
    weights = np.where(rng.random(300) < 0.9, np.nan, rng.choice([-0.8, 0.0, 0.8], 300))
    kinds = {finding.partition(":")[0] for finding in find_degenerate(backtest(weights)).findings}
    assert kinds == set()


def test_short_ranges_are_only_searched_for_trades() -> None:
    assert find_degenerate(backtest(once(1.0, MIN_BARS))).findings == ()
    assert find_degenerate(backtest(once(1.0, MIN_BARS + 1))).findings != ()
    assert find_degenerate(backtest(np.array([1.0]))).findings == ()


def test_figure_is_one_with_any_finding_and_else_zero() -> None:
    assert metrics(Degenerate(findings=("Never trades.",))) == {"is_degenerate": 1.0}
    assert metrics(Degenerate()) == {"is_degenerate": 0.0}
