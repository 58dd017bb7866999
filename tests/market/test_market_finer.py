"""Finer bars inside a bar decide whether stop or target came first, and where a gap fills. Numbers worked by hand."""

import numpy as np
import pytest
from one_bar import NAN, bar, flat, reason, rules, trade

from tradewright.market.rules import Reason

Rows = list[tuple[float, float, float]]


def finer(rows: Rows) -> dict[str, np.ndarray]:
    """Columns of finer bars from rows of open, high and low."""
    names = ("finer_open_BKN", "finer_high_BKN", "finer_low_BKN")
    return {name: np.array(column)[:, None] for name, column in zip(names, zip(*rows, strict=True), strict=True)}


UP_THEN_DOWN: Rows = [(100, 104, 99), (104, 112, 103), (112, 112, 93)]
DOWN_THEN_UP: Rows = [(100, 101, 99), (100, 100, 94), (94, 112, 93)]


@pytest.mark.parametrize(
    ("name", "rows", "why", "price"),
    [
        ("the target came first", UP_THEN_DOWN, Reason.TAKE_PROFIT, 110.0),
        ("the stop came first", DOWN_THEN_UP, Reason.STOP_LOSS, 95.0),
        ("both in one finer bar", [(100, 112, 93), (93, 95, 90)], Reason.STOP_LOSS, 95.0),
        ("a gap between finer bars", [(100, 101, 99), (92, 112, 91)], Reason.STOP_LOSS, 92.0),
        ("a gap over the target", [(100, 101, 99), (115, 116, 111)], Reason.TAKE_PROFIT, 115.0),
        ("padded with NaN", [(NAN, NAN, NAN), (104, 112, 103), (NAN, NAN, NAN)], Reason.TAKE_PROFIT, 110.0),
        ("no finer bar touches", [(100, 101, 99)], Reason.STOP_LOSS, 95.0),
        ("no finer bar at all", [(NAN, NAN, NAN)], Reason.STOP_LOSS, 95.0),
    ],
)
def test_first_finer_bar_that_touches_decides(name: str, rows: Rows, why: Reason, price: float) -> None:
    account = rules(stop_loss=0.05, take_profit=0.10)
    state, _ = trade(account, flat(account), 1.0, bar(100, 100, 100, 100))
    _, outcome = trade(account, state, NAN, bar(100, 116, 90, 93, **finer(rows)))
    assert reason(outcome, phase="stop") is why, name
    assert outcome.stop is not None
    assert outcome.stop.price_BN[0, 0] == pytest.approx(price, rel=1e-15)


@pytest.mark.parametrize(("rows", "why"), [(UP_THEN_DOWN, Reason.STOP_LOSS), (DOWN_THEN_UP, Reason.TAKE_PROFIT)])
def test_shorts_are_mirrored(rows: Rows, why: Reason) -> None:
    """Short at 100: the stop at 105 lies above, the target at 96 below."""
    account = rules(stop_loss=0.05, take_profit=0.04)
    state, _ = trade(account, flat(account), -1.0, bar(100, 100, 100, 100))
    _, outcome = trade(account, state, NAN, bar(100, 112, 93, 93, **finer(rows)))
    assert reason(outcome, phase="stop") is why


def test_bar_that_touches_neither_is_not_looked_into() -> None:
    account = rules(stop_loss=0.05, take_profit=0.10)
    state, _ = trade(account, flat(account), 1.0, bar(100, 100, 100, 100))
    _, outcome = trade(account, state, NAN, bar(100, 104, 96, 100, **finer(DOWN_THEN_UP)))
    assert reason(outcome, phase="stop") is Reason.NONE


def test_position_entered_inside_the_bar_does_not_look_at_finer_bars() -> None:
    """They may lie before the entry: the first one falls to 80, the entry at 100 came later."""
    account = rules(stop_loss=0.05, take_profit=0.10)
    rows: Rows = [(82, 90, 80), (90, 104, 90), (104, 115, 98)]
    _, outcome = trade(account, flat(account), 0.5, bar(82, 115, 80, 99, **finer(rows)), stop_BN=[[100]])
    assert outcome.stop is not None
    assert outcome.stop.price_BN[0, 0] == pytest.approx(95.0)


def test_finer_bars_slip_and_round_like_any_stop() -> None:
    account = rules(stop_loss=0.05, take_profit=0.10, slippage_bps=100)
    state, _ = trade(account, flat(account), 0.9, bar(100, 100, 100, 100), tick_N=[0.5])
    _, outcome = trade(account, state, NAN, bar(100, 112, 90, 93, **finer([(92.3, 112, 91)])), tick_N=[0.5])
    assert outcome.stop is not None
    assert outcome.stop.price_BN[0, 0] == 91.0
