"""Rules decide from what is known at each close, order only when their target changes, and mean what they say.

Legend: T bars, N instruments.
"""

from typing import Any

import numpy as np
import pytest

from market_cases import make_panel, random_panel
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.market.rules import Costs
from tradewright.strategy.buy_and_hold import BuyAndHold
from tradewright.strategy.momentum import Momentum
from tradewright.strategy.sma_cross import SmaCross
from tradewright.strategy.strategy import Strategy

RULES: dict[str, Strategy] = {
    "buy_and_hold": BuyAndHold(),
    "sma_cross": SmaCross(fast=5, slow=12),
    "sma_cross long_short": SmaCross(fast=3, slow=20, side="long_short"),
    "momentum": Momentum(lookback=15),
    "momentum skip": Momentum(lookback=15, skip=4, side="long_short"),
}
rules = pytest.mark.parametrize("strategy", RULES.values(), ids=RULES.keys())


def whole(panel: Panel) -> Range:
    return Range(0, panel.num_bars)


@rules
def test_truncated_panel_gives_the_same_past(strategy: Strategy) -> None:
    panel = random_panel(1, 200, 3, missing=0.15)
    all_TN = strategy.decide(panel, None, whole(panel)).weights_TN
    for stop in (1, 10, 33, 100, 101, 199):
        part_TN = strategy.decide(panel.slice(0, stop), None, Range(0, stop)).weights_TN
        np.testing.assert_array_equal(all_TN[:stop], part_TN)


@rules
def test_changed_future_leaves_the_past_as_it_was(strategy: Strategy) -> None:
    panel = random_panel(2, 200, 2)
    all_TN = strategy.decide(panel, None, whole(panel)).weights_TN
    for cut in (30, 90, 150):
        prices = [x.copy() for x in (panel.open_TN, panel.high_TN, panel.low_TN, panel.close_TN)]
        for price_TN in prices:
            price_TN[cut:] = price_TN[cut:][::-1] * 3.0
        changed_TN = strategy.decide(make_panel(*prices), None, whole(panel)).weights_TN
        np.testing.assert_array_equal(all_TN[:cut], changed_TN[:cut])


@rules
def test_bars_before_the_range_warm_up_and_bars_after_it_are_not_read(strategy: Strategy) -> None:
    panel = random_panel(3, 120, 1)
    inside_TN = strategy.decide(panel, None, Range(40, 90)).weights_TN
    assert inside_TN.shape == (50, 1)
    assert not np.isnan(inside_TN[0]).any()
    np.testing.assert_array_equal(inside_TN, strategy.decide(panel.slice(0, 90), None, Range(40, 90)).weights_TN)


@rules
def test_orders_are_given_only_at_changes(strategy: Strategy) -> None:
    panel = random_panel(4, 300, 2)
    weights_TN = strategy.decide(panel, None, whole(panel)).weights_TN
    for weights_T in weights_TN.T:
        orders = weights_T[~np.isnan(weights_T)]
        assert 1 <= len(orders) < 120
        assert (np.diff(orders) != 0).all()


@rules
def test_order_that_met_no_bar_is_given_again_until_it_fills(strategy: Strategy) -> None:
    panel = random_panel(5, 250, 2, missing=0.4)
    result = Vectorized(leverage=2.0, costs=Costs()).run(
        panel, strategy.decide(panel, None, whole(panel)), whole(panel), name="gaps"
    )
    asked = {fill.symbol: fill.bar for fill in result.fills if fill.reason == "no_bar"}
    assert asked
    for fill in result.fills:
        if fill.reason == "no_bar" and fill.bar + 1 < panel.num_bars:
            assert any(later.symbol == fill.symbol and later.bar == fill.bar + 1 for later in result.fills)


def test_buy_and_hold_buys_equal_parts_once() -> None:
    panel = random_panel(6, 60, 4)
    positions = BuyAndHold(exposure=0.8).decide(panel, None, Range(10, 60))
    np.testing.assert_allclose(positions.weights_TN[0], 0.2)
    assert np.isnan(positions.weights_TN[1:]).all()


def test_buy_and_hold_leaves_out_what_is_not_listed_yet() -> None:
    closes = np.full((6, 2), 10.0)
    closes[:3, 1] = np.nan
    weights_TN = BuyAndHold().decide(make_panel(closes), None, Range(0, 6)).weights_TN
    assert weights_TN[0, 0] == 1.0
    assert np.isnan(weights_TN[:, 1]).all()


def test_sma_cross_equals_a_plain_count() -> None:
    """Averages by a loop over the instrument's own bars."""
    panel = random_panel(7, 150, 2, missing=0.2)
    weights_TN = SmaCross(fast=4, slow=9, side="long_short").decide(panel, None, whole(panel)).weights_TN
    for n in range(2):
        closes: list[float] = []
        pending, last = np.nan, np.nan
        for t in range(150):
            has_bar = bool(panel.tradable_TN[t, n])
            if has_bar:
                pending = np.nan
                closes.append(float(panel.close_TN[t, n]))
            if has_bar and len(closes) >= 9:
                side = float(np.sign(np.mean(closes[-4:]) - np.mean(closes[-9:]))) / 2
                if side != last:
                    pending = last = side
            np.testing.assert_equal(weights_TN[t, n], pending)


def test_sma_cross_is_flat_instead_of_short_when_long_only() -> None:
    closes = np.concatenate([np.linspace(100, 200, 30), np.linspace(200, 90, 30)])[:, None]
    long_TN = SmaCross(fast=3, slow=6).decide(make_panel(closes), None, Range(0, 60)).weights_TN
    both_TN = SmaCross(fast=3, slow=6, side="long_short").decide(make_panel(closes), None, Range(0, 60)).weights_TN
    assert long_TN[~np.isnan(long_TN)].tolist() == [1.0, 0.0]
    assert both_TN[~np.isnan(both_TN)].tolist() == [1.0, -1.0]


@pytest.mark.parametrize("skip", [0, 3])
def test_momentum_follows_the_sign_of_the_past_return(skip: int) -> None:
    panel = random_panel(8, 100, 1)
    weights_T = Momentum(lookback=10, skip=skip, side="long_short").decide(panel, None, whole(panel)).weights_TN[:, 0]
    close_T, held = panel.close_TN[:, 0], np.nan
    for t in range(100):
        held = weights_T[t] if not np.isnan(weights_T[t]) else held
        if t < 10 + skip:
            assert np.isnan(held)
        else:
            assert held == np.sign(close_T[t - skip] / close_T[t - skip - 10] - 1)


@pytest.mark.parametrize("num_bars", [1, 10, 14, 15, 20, 22])
def test_momentum_on_too_few_bars_gives_no_order(num_bars: int) -> None:
    panel = random_panel(9, num_bars, 1)
    weights_TN = Momentum(lookback=15, skip=8).decide(panel, None, whole(panel)).weights_TN
    assert np.isnan(weights_TN).all()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SmaCross(fast=0), "^fast must be >= 1"),
        (lambda: SmaCross(fast=50, slow=50), r"^fast must be >= 1 and below slow \(50\), was 50"),
        (lambda: SmaCross(side="short"), "^side must be one of long, long_short, was 'short'"),
        (lambda: SmaCross(exposure=0.0), "^exposure must be > 0"),
        (lambda: Momentum(lookback=0), "^lookback must be >= 1"),
        (lambda: Momentum(skip=-1), "^skip must be >= 0"),
        (lambda: BuyAndHold(exposure=-1.0), "^exposure must be > 0"),
    ],
)
def test_impossible_argument_is_refused_by_name(make: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
