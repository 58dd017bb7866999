"""Wilder's true range, volume and volatility against loops that follow their definitions; rules of execution."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from market_cases import make_panel, random_panel
from tradewright.backtest.execution import ExecutionRules
from tradewright.backtest.own_bars import liquidity, relative_true_range
from tradewright.backtest.quotes import decided_of, quotes_of
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import MarketError
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs


def panel_with_volume(seed: int, num_bars: int = 60, num: int = 2, missing: float = 0.2) -> Panel:
    panel = random_panel(seed, num_bars, num, missing=missing)
    volume = np.random.default_rng(seed + 1).lognormal(8.0, 0.5, panel.close_TN.shape)
    return replace(panel, volume_TN=np.where(panel.tradable_TN, volume, 0.0))


def range_by_definition(panel: Panel, n: int, num: int) -> list[float]:
    """Return ATR / close of one instrument by Wilder's words, bar by bar."""
    out, ranges, average, close = [], [], float("nan"), float("nan")
    last = float("nan")
    for t in range(panel.num_bars):
        if panel.tradable_TN[t, n]:
            high, low = float(panel.high_TN[t, n]), float(panel.low_TN[t, n])
            if close == close:
                ranges.append(max(high - low, abs(high - close), abs(low - close)))
                if len(ranges) == num:
                    average = sum(ranges) / num
                elif len(ranges) > num:
                    average = (average * (num - 1) + ranges[-1]) / num
            close = float(panel.close_TN[t, n])
            last = average / close
        out.append(last)
    return out


@pytest.mark.parametrize("missing", [0.0, 0.3])
@pytest.mark.parametrize("num", [1, 5, 14])
def test_true_range_equals_its_definition(num: int, missing: float) -> None:
    panel = panel_with_volume(num, missing=missing)
    found = relative_true_range(panel, num)
    for n in range(2):
        np.testing.assert_allclose(found[:, n], range_by_definition(panel, n, num), rtol=1e-12, equal_nan=True)
    first_known = np.flatnonzero(panel.tradable_TN[:, 0])[num]
    assert np.isnan(found[:first_known, 0]).all()


def test_true_range_of_a_hand_computed_series() -> None:
    """True ranges 3, 4, 6: their mean over two bars is 3.5, then (3.5 + 6) / 2 = 4.75."""
    panel = make_panel(
        [[10.0], [11], [12], [9]], [[11.0], [13], [14], [10]], [[9.0], [10], [11], [7]], [[10.0], [11], [13], [8]]
    )
    expected = [np.nan, np.nan, (3 + 3) / 2 / 13, (3 + 6) / 2 / 8]
    np.testing.assert_allclose(relative_true_range(panel, 2)[:, 0], expected, rtol=1e-15)


def test_market_that_does_not_move_has_no_true_range() -> None:
    assert np.isnan(relative_true_range(make_panel(np.full((10, 1), 5.0)), 3)).all()


def test_true_range_and_liquidity_do_not_see_splits_and_rolls() -> None:
    plain = panel_with_volume(3, missing=0.0)
    ones, after = np.ones(plain.close_TN.shape), np.arange(60)[:, None] >= 30
    split = ones.copy()
    split[30] = 4.0
    prices = {
        f"{key}_TN": getattr(plain, f"{key}_TN") * np.where(after, 0.25, 1) for key in ("open", "high", "low", "close")
    }
    quartered = replace(plain, **prices, volume_TN=plain.volume_TN * np.where(after, 4, 1), split_TN=split)
    np.testing.assert_allclose(relative_true_range(quartered, 5), relative_true_range(plain, 5), rtol=1e-12)
    found, expected = liquidity(quartered, 7), liquidity(plain, 7)
    np.testing.assert_allclose(found.volatility_TN, expected.volatility_TN, rtol=1e-9)
    np.testing.assert_allclose(found.volume_TN, expected.volume_TN * np.where(after, 4, 1), rtol=1e-12)
    roll = np.full(plain.close_TN.shape, np.nan)
    roll[30] = plain.close_TN[29]
    rolled = replace(
        plain,
        **{name: x * np.where(after, 1.5, 1) for name, x in prices_of(plain).items()},
        roll_from_TN=roll,
        roll_to_TN=roll * 1.5,
    )
    np.testing.assert_allclose(relative_true_range(rolled, 5), relative_true_range(plain, 5), rtol=1e-12)


def prices_of(panel: Panel) -> dict[str, np.ndarray]:
    return {f"{key}_TN": getattr(panel, f"{key}_TN") for key in ("open", "high", "low", "close")}


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_liquidity_is_the_mean_of_the_bars_before(missing: float) -> None:
    panel = panel_with_volume(4, missing=missing)
    depth = liquidity(panel, 5)
    for n in range(2):
        volumes: list[float] = []
        squares: list[float] = []
        close = float("nan")
        for t in range(panel.num_bars):
            if volumes:
                assert depth.volume_TN[t, n] == pytest.approx(np.mean(volumes[-5:]), rel=1e-12)
                assert depth.volatility_TN[t, n] == pytest.approx(np.sqrt(np.mean(squares[-5:])), rel=1e-12)
            else:
                assert np.isnan(depth.volume_TN[t, n])
            if panel.tradable_TN[t, n]:
                base = float(panel.open_TN[t, n]) if close != close else close
                close = float(panel.close_TN[t, n])
                volumes.append(float(panel.volume_TN[t, n]))
                squares.append((close / base - 1) ** 2)


def test_impact_and_capacity_of_a_bar_know_only_the_bars_before() -> None:
    panel = panel_with_volume(5, missing=0.1)
    rules = ExecutionRules(max_participation=0.02, impact_bars=4, costs=Costs(impact=0.5))
    rows = Range(10, 60)
    quotes, depth = quotes_of(panel, rules, rows), liquidity(panel, 4)
    np.testing.assert_allclose(quotes.capacity, 0.02 * depth.volume_TN[10:], rtol=1e-15)
    np.testing.assert_allclose(
        quotes.impact, 0.5 * depth.volatility_TN[10:] / np.sqrt(depth.volume_TN[10:]), rtol=1e-12
    )
    cut = quotes_of(panel.slice(0, 40), rules, Range(10, 40))
    np.testing.assert_array_equal(cut.impact, quotes.impact[:30])
    later = replace(panel, volume_TN=np.where(np.arange(60)[:, None] >= 40, panel.volume_TN * 9, panel.volume_TN))
    np.testing.assert_array_equal(quotes_of(later, rules, rows).capacity[:31], quotes.capacity[:31])


def test_nothing_can_be_traded_where_nothing_was_traded() -> None:
    panel = panel_with_volume(6, 20, 1, missing=0.0)
    volume = panel.volume_TN.copy()
    volume[5:9] = 0.0
    quotes = quotes_of(
        replace(panel, volume_TN=volume), ExecutionRules(impact_bars=2, costs=Costs(impact=1.0)), Range(0, 20)
    )
    assert np.flatnonzero(quotes.capacity[:, 0] == 0).tolist() == [0, 7, 8, 9]
    assert (quotes.impact[[0, 7, 8, 9]] == 0).all()
    assert np.isinf(np.delete(quotes.capacity, [0, 7, 8, 9])).all()


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        ({"costs": Costs(impact=1.0)}, "backtest.costs.impact"),
        ({"max_participation": 0.1}, "backtest.max_participation"),
    ],
)
def test_market_without_volume_is_refused_by_symbol_and_key(keys: dict[str, Any], key: str) -> None:
    panel = panel_with_volume(7)
    volume = panel.volume_TN.copy()
    volume[:, 1] = 0.0
    with pytest.raises(MarketError, match=f"^S1: has no volume in the data, which {key} needs"):
        quotes_of(replace(panel, volume_TN=volume), ExecutionRules(**keys), Range(0, 60))


def test_market_without_ticks_is_refused_where_slippage_is_in_ticks() -> None:
    with pytest.raises(MarketError, match=r"^S0: has no tick, which backtest\.costs\.slippage_ticks needs"):
        quotes_of(random_panel(1, 10, 1), ExecutionRules(costs=Costs(slippage_ticks=1.0)), Range(0, 10))


def test_market_without_finer_bars_is_refused_where_they_are_asked_for() -> None:
    with pytest.raises(
        MarketError, match=r"^backtest\.finer_timeframe=1h: the panel of 'test' carries no bars of this"
    ):
        quotes_of(random_panel(1, 10, 1), ExecutionRules(finer_timeframe="1h"), Range(0, 10))


def test_finer_bars_stand_in_the_bar_that_holds_them() -> None:
    panel = random_panel(2, 5, 2)
    hours = random_panel(3, 20, 2)
    step = np.timedelta64(21_600, "s")
    ts_T = panel.ts_T[0] + np.arange(20) * step
    kept = np.delete(np.arange(20), [5, 6, 19])  # bar 1 has two finer ones, the last three
    finer = replace(hours, ts_T=ts_T, known_at_T=ts_T + step, timeframe_s=21_600)
    arrays = {
        name: getattr(finer, name)[kept]
        for name in ("ts_T", "known_at_T", "tradable_TN", "volume_TN", *prices_of(finer))
    }
    panel = replace(panel, finer=replace(finer, **arrays))
    quotes = quotes_of(panel, ExecutionRules(finer_timeframe="6h"), Range(1, 5))
    assert quotes.finer_open.shape == (4, 4, 2)
    np.testing.assert_array_equal(quotes.finer_low[0, :2], finer.low_TN[[4, 7]])
    assert np.isnan(quotes.finer_low[0, 2:]).all()
    np.testing.assert_array_equal(quotes.finer_high[1], finer.high_TN[8:12])
    np.testing.assert_array_equal(quotes.finer_open[3, :3], finer.open_TN[16:19])


def test_distances_in_true_ranges_become_fractions_at_the_decision() -> None:
    panel = panel_with_volume(8, missing=0.0)
    rules = ExecutionRules(stop_unit="atr", stop_loss=2.0, trailing=3.0, atr_bars=4)
    own = np.full((50, 2), np.nan)
    own[7, 1] = 0.123
    decided = decided_of(panel, Positions(weights_TN=np.zeros((50, 2)), stop_loss_TN=own), rules, Range(10, 60))
    expected = 2.0 * relative_true_range(panel, 4)[10:]
    expected[7, 1] = 0.123
    np.testing.assert_array_equal(decided.stop_loss, expected)
    np.testing.assert_array_equal(decided.trailing, 3.0 * relative_true_range(panel, 4)[10:])
    assert decided.take_profit is None
    assert rules.account.stop_loss is None
    assert rules.account.trailing is None


@pytest.mark.parametrize("delay", [1, 3, 60])
def test_delayed_decisions_come_later_with_all_that_belongs_to_them(delay: int) -> None:
    panel = panel_with_volume(9, missing=0.0)
    rng = np.random.default_rng(0)
    columns = {f"{name}_TN": rng.random((60, 2)) for name in ("weights", "stop_loss", "take_profit", "limit")}
    decided = decided_of(panel, Positions(**columns), ExecutionRules(delay_bars=delay), Range(0, 60))
    for name in ("weights", "stop_loss", "take_profit", "limit"):
        late = getattr(decided, name)
        assert np.isnan(late[:delay]).all()
        np.testing.assert_array_equal(late[delay:], columns[f"{name}_TN"][: 60 - delay])
    assert decided.stop is None


def test_delayed_backtest_is_the_backtest_of_delayed_weights() -> None:
    panel = random_panel(10, 80, 1)
    weights = np.where(np.arange(80)[:, None] % 7 == 0, np.random.default_rng(1).normal(size=(80, 1)), np.nan)
    late = np.vstack([np.full((2, 1), np.nan), weights[:-2]])
    first = Vectorized(costs=Costs(fee_bps=3), delay_bars=2).run(
        panel, Positions(weights_TN=weights), Range(0, 80), name="a"
    )
    second = Vectorized(costs=Costs(fee_bps=3)).run(panel, Positions(weights_TN=late), Range(0, 80), name="b")
    np.testing.assert_array_equal(first.equity_T, second.equity_T)
    assert first.fills[0].bar == 3


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"stop_unit": "pips"}, "stop_unit must be 'fraction' or 'atr', was 'pips'"),
        ({"atr_bars": 0}, "atr_bars must be >= 1, was 0"),
        ({"delay_bars": -1}, "delay_bars must be >= 0, was -1"),
        ({"impact_bars": 0}, "impact_bars must be >= 1, was 0"),
        ({"max_participation": 0.0}, "max_participation must be > 0 or null, was 0"),
        ({"finer_timeframe": "7m"}, "finer_timeframe must be a bar length such as"),
        ({"min_notional": -1.0}, "min_notional must be >= 0, was -1"),
    ],
)
def test_impossible_rule_is_refused_by_name(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Vectorized(**keys, costs=Costs())


def test_finer_bar_after_the_end_of_its_bar_belongs_to_none() -> None:
    """Fridays and Mondays: what trades on the weekend is inside neither."""
    panel = random_panel(2, 4, 1)
    panel = replace(panel, **{name: getattr(panel, name)[[0, 3]] for name in FIELDS})
    step = np.timedelta64(86_400 // 2, "s")
    ts_T = panel.ts_T[0] + np.arange(8) * step
    finer = replace(random_panel(3, 8, 1), ts_T=ts_T, known_at_T=ts_T + step, timeframe_s=43_200)
    quotes = quotes_of(replace(panel, finer=finer), ExecutionRules(finer_timeframe="12h"), Range(0, 2))
    np.testing.assert_array_equal(quotes.finer_open[:, :, 0], finer.open_TN[[[0, 1], [6, 7]], 0])


FIELDS = ("ts_T", "known_at_T", "open_TN", "high_TN", "low_TN", "close_TN", "volume_TN", "tradable_TN")
