"""Splits, dividends, funding, borrow rates, rolls, ticks and finer bars against tables computed by hand."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from market_cases import make_panel
from tradewright.backtest.result import BacktestResult
from tradewright.backtest.vectorized import Vectorized
from tradewright.config.build import build
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import MarketError
from tradewright.market.contracts import CONTRACTS
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs
from tradewright.paths import shipped
from tradewright.strategy.sma_cross import SmaCross

NAN = np.nan


def run(panel: Panel, weights: list[float], **keys: Any) -> BacktestResult:
    backtest = Vectorized(**{"costs": Costs(), "initial_cash": 1_000.0, **keys})
    positions = Positions(weights_TN=np.array(weights, dtype=np.float64)[:, None])
    return backtest.run(panel, positions, Range(0, panel.num_bars), name="table")


def column(values: list[float]) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


@pytest.mark.row("N28")
@pytest.mark.parametrize(
    ("name", "multiplier", "tick", "tick_value"),
    [("ES", 50.0, 0.25, 12.5), ("MES", 5.0, 0.25, 1.25), ("NQ", 20.0, 0.25, 5.0), ("MNQ", 2.0, 0.25, 0.5)],
)
def test_contract_has_the_exchanges_multiplier_and_tick(
    name: str, multiplier: float, tick: float, tick_value: float
) -> None:
    contract = CONTRACTS[name]
    assert (contract.multiplier, contract.tick, contract.tick_value) == (multiplier, tick, tick_value)
    instrument = contract.instrument("ANY")
    assert (instrument.multiplier, instrument.tick, instrument.lot) == (multiplier, tick, 1.0)
    assert (instrument.symbol, instrument.kind, instrument.calendar) == ("ANY", "future", "futures")


@pytest.mark.row("N26")
@pytest.mark.row("N28")
@pytest.mark.parametrize(("name", "fee"), [("ES", 2.25), ("MES", 0.62)])
def test_commission_and_slippage_of_a_futures_round_trip(name: str, fee: float) -> None:
    """One contract bought at 5,000.00 and sold at 5,010.00: ten points less a tick and a commission on either side."""
    contract = CONTRACTS[name]
    panel = make_panel(column([5_000, 5_000, 5_010, 5_010]), close_TN=column([5_000, 5_004, 5_010, 5_010]))
    panel = replace(panel, instruments=(contract.instrument(name),))
    node = {**_option("futures"), "initial_cash": 1_000_000.0}
    node["costs"]["per_share_fee"] = fee
    one = 1.5 * 5_000 * contract.multiplier / 1e6
    result = build(node, key="backtest").run(
        panel, Positions(weights_TN=column([one, 0.0, NAN, NAN])), Range(0, 4), name="future"
    )
    bought, sold = result.fills
    assert (bought.quantity, bought.price, bought.fee, bought.slippage) == (1.0, 5_000.25, fee, contract.tick_value)
    assert (sold.quantity, sold.price, sold.fee, sold.slippage) == (-1.0, 5_009.75, fee, contract.tick_value)
    assert result.equity_T[1] - 1e6 == pytest.approx(4 * contract.multiplier - contract.tick_value - fee, abs=1e-9)
    assert result.equity_T[3] - 1e6 == pytest.approx(
        10 * contract.multiplier - 2 * (contract.tick_value + fee), abs=1e-9
    )
    (trade,) = result.trades
    assert trade.gross_pnl == pytest.approx(10 * contract.multiplier, abs=1e-9)
    assert (trade.fees, trade.slippage) == (2 * fee, 2 * contract.tick_value)


def _option(name: str) -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(OmegaConf.load(shipped("conf") / "backtest" / f"{name}.yaml"))


def test_split_and_dividend_of_unadjusted_prices() -> None:
    """Ten shares at 100; a 2:1 split makes twenty at 50; each pays 1.50; sold at 49: 20 * 49 + 30."""
    panel = make_panel(column([100, 100, 50, 49, 49]), close_TN=column([100, 102, 51, 49, 49]))
    panel = replace(panel, split_TN=column([1, 1, 2, 1, 1]), dividend_TN=column([0, 0, 0, 1.5, 0]))
    result = run(panel, [1.0, NAN, NAN, 0.0, NAN])
    np.testing.assert_allclose(result.equity_T, [1_000, 1_020, 1_020, 1_010, 1_010], rtol=1e-15)
    (trade,) = result.trades
    assert (trade.quantity, trade.entry_price, trade.exit_price) == (20, 50, 49)
    assert (trade.gross_pnl, trade.dividends, trade.pnl) == (-20, 30, 10)
    assert result.costs["dividends"] == -30


def test_short_pays_the_dividend() -> None:
    panel = replace(make_panel(np.full((4, 1), 50.0)), dividend_TN=column([0, 0, 2, 0]))
    result = run(panel, [-1.0, NAN, NAN, NAN])
    np.testing.assert_allclose(result.equity_T, [1_000, 1_000, 960, 960])
    assert result.costs["dividends"] == 40


def test_unadjusted_account_that_reinvests_is_the_adjusted_account() -> None:
    """Raw bars with a split and a dividend, rebalanced at every bar, earn what total-return bars do."""
    rng = np.random.default_rng(0)
    total = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, 40)))[:, None]
    share = np.zeros((40, 1))
    share[25] = 0.03  # of the close before
    cash_factor = np.cumprod(1 - share, axis=0)
    raw = total * cash_factor / np.where(np.arange(40) >= 12, 3.0, 1.0)[:, None]
    split = np.where(np.arange(40) == 12, 3.0, 1.0)[:, None]
    dividend = share * np.vstack([raw[:1], raw[:-1]])
    weights = [1.0] * 40
    # Each bar opens at the close before, adjusted by what happens in between.
    before = np.vstack([total[:1], total[:-1]])
    open_raw = before * cash_factor / np.where(np.arange(40) >= 12, 3.0, 1.0)[:, None]
    unadjusted = replace(make_panel(open_raw, close_TN=raw), split_TN=split, dividend_TN=dividend)
    adjusted = make_panel(before, close_TN=total)
    np.testing.assert_allclose(run(unadjusted, weights).equity_T, run(adjusted, weights).equity_T, rtol=1e-12)
    held_raw, held = (run(panel, [1.0] + [NAN] * 39).equity_T for panel in (unadjusted, adjusted))
    np.testing.assert_allclose(held_raw[:25], held[:25], rtol=1e-12)
    paid = held[24] * 0.03
    idle = held_raw[25:] - (held[25:] * 0.97 + paid)  # the holder keeps the dividend as cash instead of reinvesting it
    np.testing.assert_allclose(idle, 0, atol=1e-9)


def test_rule_reads_signals_and_trades_raw_prices() -> None:
    rng = np.random.default_rng(3)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, 200)))[:, None]
    after = np.arange(200)[:, None] >= 120
    adjusted = make_panel(close)
    split = np.where(np.arange(200)[:, None] == 120, 4.0, 1.0)
    unadjusted = replace(make_panel(np.where(after, close / 4, close)), split_TN=split)
    rule, rows = SmaCross(fast=5, slow=20), Range(0, 200)
    expected, found = (rule.decide(panel, None, rows).weights_TN for panel in (adjusted, unadjusted))
    np.testing.assert_array_equal(found, expected)
    equities = [
        Vectorized(costs=Costs(fee_bps=2)).run(panel, Positions(weights_TN=expected), rows, name="x").equity_T
        for panel in (adjusted, unadjusted)
    ]
    np.testing.assert_allclose(*equities, rtol=1e-12)


@pytest.mark.parametrize(("side", "sign"), [(1.0, -1.0), (-1.0, 1.0)])
def test_longs_pay_funding_and_shorts_receive_it(side: float, sign: float) -> None:
    """Ten at 100; marked at 110, funding of 0.2 % of 1,100 is 2.20; marked at 120, -0.1 % of 1,200 is -1.20."""
    panel = make_panel(column([100, 100, 110, 120]), close_TN=column([100, 110, 120, 120]))
    panel = replace(panel, funding_TN=column([0.5, 0.5, 0.002, -0.001]))
    result = run(panel, [side, NAN, NAN, NAN])
    moved = np.array([0, 10, 20, 20]) * 10 * side
    np.testing.assert_allclose(result.equity_T, 1_000 + moved + sign * np.array([0, 0, 2.2, 1.0]), rtol=1e-14)
    assert result.costs["funding"] == pytest.approx(-sign * 1.0)
    assert result.trades[0].funding == pytest.approx(-sign * 1.0)


def test_borrow_rate_of_the_bar_replaces_that_of_the_rules() -> None:
    """Short ten at 100 over days: 1,000 at 36.5 % is 1.00 a day, at 73 % 2.00; NaN takes the rules' 3.65 %."""
    panel = replace(make_panel(np.full((5, 1), 100.0)), borrow_TN=column([NAN, 9.0, 0.365, NAN, 0.73]))
    result = run(panel, [-1.0, NAN, NAN, NAN, NAN], costs=Costs(borrow_rate=0.0365))
    np.testing.assert_allclose(result.equity_T, [1_000, 1_000, 999, 998.9, 996.9], rtol=1e-14)
    assert result.trades[0].borrow == pytest.approx(result.costs["borrow"]) == pytest.approx(3.1)


@pytest.mark.parametrize("side", [1.0, -1.0])
def test_roll_changes_equity_by_its_costs_alone(side: float) -> None:
    """Two ES contracts roll from 4,000 to 4,040: two fills each way, a tick and a commission, no gain or loss."""
    panel = make_panel(column([4_000, 4_000, 4_040, 4_050]), close_TN=column([4_000, 4_000, 4_050, 4_050]))
    panel = replace(
        panel, instruments=(CONTRACTS["ES"].instrument("ES"),), roll_from_TN=column([NAN, NAN, 4_000, NAN]),
        roll_to_TN=column([NAN, NAN, 4_040, NAN]),
    )  # fmt: skip
    costs = Costs(per_share_fee=2.0, slippage_ticks=1.0)
    result = run(panel, [side * 0.55, NAN, 0.0, NAN], initial_cash=1e6, leverage=2.0, costs=costs)
    entry, leave, join, close = result.fills
    assert [fill.reason for fill in result.fills] == ["order", "roll", "roll", "order"]
    assert (leave.quantity, join.quantity, close.quantity) == (-2 * side, 2 * side, -2 * side)
    assert (leave.price, join.price) == (4_000 - 0.25 * side, 4_040 + 0.25 * side)
    one_way = 2 * (12.5 + 2.0)
    points = np.array([0, 0, 10, 10]) * 100 * side
    paid = np.array([0, 1, 3, 4]) * one_way
    np.testing.assert_allclose(result.equity_T, 1e6 + points - paid, rtol=1e-14)
    (trade,) = result.trades
    assert trade.gross_pnl == pytest.approx(10 * 100 * side)
    assert (trade.fees, trade.slippage) == (16, 100)
    assert entry.bar == trade.entry_bar == 1


def finer_panel(rows: list[tuple[float, float, float]]) -> Panel:
    """Return three days; the last is made of the given (open, high, low), the others stand at 100."""
    opens, highs, lows = (np.array([100.0, 100.0, *values]) for values in zip(*rows, strict=True))
    step = np.timedelta64(21_600, "s")
    days = make_panel(
        column([100, 100, rows[0][0]]), column([100, 100, highs[2:].max()]), column([100, 100, lows[2:].min()]),
        column([100, 100, 100]),
    )  # fmt: skip
    ts_T = np.concatenate([days.ts_T[:2], days.ts_T[2] + np.arange(len(rows)) * step])
    finer = make_panel(opens[:, None], highs[:, None], lows[:, None], opens[:, None])
    return replace(days, finer=replace(finer, ts_T=ts_T, known_at_T=ts_T + step, timeframe_s=21_600))


@pytest.mark.parametrize(
    ("rows", "reason", "price"),
    [
        ([(100, 112, 99), (100, 101, 88)], "take_profit", 110.0),
        ([(100, 101, 88), (100, 112, 99)], "stop_loss", 90.0),
        ([(100, 112, 88), (100, 101, 99)], "stop_loss", 90.0),
        ([(100, 101, 99), (85, 112, 84)], "stop_loss", 85.0),
        ([(100, 101, 99), (115, 116, 84)], "stop_loss", 90.0),
    ],
    ids=["target_first", "stop_first", "both_in_one", "gap_in_the_second", "both_in_the_second"],
)
def test_finer_bars_decide_what_came_first(rows: list[tuple[float, float, float]], reason: str, price: float) -> None:
    panel = finer_panel(rows)
    keys = {"stop_loss": 0.1, "take_profit": 0.1}
    fill = run(panel, [1.0, NAN, NAN], finer_timeframe="6h", **keys).fills[-1]
    assert (fill.reason, fill.price) == (reason, pytest.approx(price))
    coarse = run(panel, [1.0, NAN, NAN], **keys).fills[-1]
    assert (coarse.reason, coarse.price) == ("stop_loss", 90.0)


def test_small_and_large_orders_are_journalled_with_their_reasons() -> None:
    """Equity 1,000: an order of 40 is below 50; of 1,000 at 10 % of a volume of 20 shares only two fill."""
    panel = replace(make_panel(np.full((6, 1), 100.0)), volume_TN=np.full((6, 1), 20.0))
    result = run(panel, [0.04, 1.0, NAN, 0.0, NAN, NAN], min_notional=50.0, max_participation=0.1)
    assert [(fill.reason, fill.quantity) for fill in result.fills] == [
        ("below_min_notional", 0.0),
        ("scaled_capacity", 2.0),
        ("order", -2.0),
    ]


def test_impact_is_the_square_root_law_of_the_bars_before() -> None:
    """Moves of 2 % and a volume of 400: an order of 100 shares at Y = 1 slips by 0.02 * sqrt(100 / 400) = 1 %."""
    close = column([100, 102, 104.04, 104.04, 104.04])
    opened = column([98.0392156862745, 100, 102, 104.04, 104.04])
    panel = replace(make_panel(opened, close_TN=close), volume_TN=np.full((5, 1), 400.0))
    weight = 100 * 104.04 / 1e6
    result = run(panel, [NAN, NAN, weight, NAN, NAN], initial_cash=1e6, impact_bars=3, costs=Costs(impact=1.0))
    (fill,) = result.fills
    assert fill.quantity == pytest.approx(100, rel=1e-9)
    assert fill.price == pytest.approx(104.04 * 1.01, rel=1e-9)
    assert fill.slippage == pytest.approx(1.0404 * 100, rel=1e-9)


def test_stops_in_true_ranges_stand_where_the_decision_put_them() -> None:
    """A true range of 4 on a close of 100 and a multiple of 2: the stop lies 8 % below the entry at 100."""
    panel = make_panel(
        np.full((6, 1), 100.0), np.full((6, 1), 102.0), column([98] * 5 + [91.0]), np.full((6, 1), 100.0)
    )
    result = run(panel, [NAN, NAN, NAN, 1.0, NAN, NAN], stop_unit="atr", stop_loss=2.0, atr_bars=2)
    assert [(fill.reason, fill.price) for fill in result.fills] == [("order", 100.0), ("stop_loss", 92.0)]


MUTATIONS: dict[str, Any] = {
    "split_TN": [0.0, -1.0, NAN, np.inf],
    "dividend_TN": [-1.0, NAN, np.inf],
    "borrow_TN": [-0.1, np.inf],
    "funding_TN": [1.0, -2.0, NAN, np.inf],
    "roll_from_TN": [0.0, -5.0, np.inf, 7.0],
    "roll_to_TN": [0.0, -5.0, np.inf, 7.0],
    "open_TN": [NAN, 0.0, -1.0, np.inf],
    "high_TN": [NAN, 0.0, -1.0, np.inf],
    "low_TN": [NAN, 0.0, -1.0, np.inf],
    "close_TN": [NAN, 0.0, -1.0, np.inf],
    "weights_TN": [np.inf, -np.inf, 1e9],
    "stop_loss_TN": [0.0, -0.1, np.inf],
    "take_profit_TN": [0.0, -0.1, np.inf],
    "trailing_TN": [0.0, -0.1, np.inf],
    "limit_TN": [0.0, -1.0, np.inf],
    "stop_TN": [0.0, -1.0, np.inf],
    "confidence_TN": [-0.1, 1.1, np.inf],
}


@pytest.mark.parametrize("unit", ["fraction", "atr"])
def test_malformed_input_of_any_kind_is_refused_in_one_line(unit: str) -> None:
    """Every array gets an impossible number at a random place, or another shape; nothing but MarketError comes back."""
    rng = np.random.default_rng(7)
    neutral = {"split_TN": 1.0, "dividend_TN": 0.0, "funding_TN": 0.0}
    for name, values in MUTATIONS.items():
        for value in [*values, "shape"]:
            shape = (int(rng.integers(5, 30)), int(rng.integers(1, 4)))
            panel = make_panel(np.full(shape, 100.0))
            positions = Positions(weights_TN=np.zeros(shape))
            is_of_panel = hasattr(panel, name)
            owner: Any = panel if is_of_panel else positions
            array = getattr(owner, name)
            array = np.full(shape, neutral.get(name, NAN)) if array is None else array.copy()
            t, n = int(rng.integers(shape[0])), int(rng.integers(shape[1]))
            if value == "shape":
                array = array[:-1]
            else:
                array[t, n] = value
            owner = replace(owner, **{name: array})
            if name.startswith("roll"):
                other = "roll_to_TN" if name == "roll_from_TN" else "roll_from_TN"
                owner = replace(owner, **{other: np.full(shape, NAN)})
            given = (owner, positions) if is_of_panel else (panel, owner)
            backtest = Vectorized(stop_unit=unit, stop_loss=0.1, costs=Costs())
            with pytest.raises(MarketError) as caught:
                backtest.run(*given, Range(0, shape[0]), name="bad")
            text = str(caught.value)
            assert "\n" not in text
            if value != "shape":
                assert panel.symbols[n] in text, text


def test_bars_that_do_not_rise_in_time_are_refused() -> None:
    panel = make_panel(np.full((5, 1), 100.0))
    with pytest.raises(MarketError, match="bars must rise in time"):
        run(replace(panel, ts_T=panel.ts_T[[0, 1, 1, 3, 4]]), [0.0] * 5)


def test_ended_account_pays_no_more_for_what_it_could_not_close() -> None:
    """Short S0 and S1; S0 triples and ends the account while S1 has no bar: from then on nothing is borrowed."""
    panel = make_panel([[100.0, 100], [100, 100], [900, NAN], [900, NAN], [900, 100]])
    backtest = Vectorized(initial_cash=1_000.0, costs=Costs(borrow_rate=0.365))
    weights = np.full((5, 2), NAN)
    weights[0] = -0.5
    result = backtest.run(panel, Positions(weights_TN=weights), Range(0, 5), name="broke")
    assert result.ended_at == 2
    assert result.costs["borrow"] == pytest.approx(1.0)  # one day on a short of 1,000
    assert sum(trade.borrow for trade in result.trades) == pytest.approx(1.0)
    assert sum(trade.pnl for trade in result.trades) == pytest.approx(result.equity_T[-1] - 1_000)


@pytest.mark.parametrize("delay", [1, 4])
def test_many_delayed_accounts_equal_single_runs(delay: int) -> None:
    rng = np.random.default_rng(4)
    close = 100 * np.exp(np.cumsum(rng.normal(0, 0.02, (50, 2)), axis=0))
    panel = make_panel(close)
    weights = np.where(rng.random((6, 50, 2)) < 0.5, NAN, rng.normal(0, 0.5, (6, 50, 2)))
    backtest = Vectorized(delay_bars=delay, stop_unit="atr", stop_loss=1.5, atr_bars=5, costs=Costs(fee_bps=2))
    many = backtest.run_many(panel, weights, Range(0, 50))
    for own, equity_T in zip(weights, many, strict=True):
        single = backtest.run(panel, Positions(weights_TN=own), Range(0, 50), name="one")
        np.testing.assert_array_equal(single.equity_T, equity_T)
