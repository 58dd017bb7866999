"""Trades from flat to flat: averages, reversals, open trades, holding time, excursions, P&L by kind."""

import math

import numpy as np
import pytest

from market_cases import DAY
from tradewright.backtest.carry import Carry
from tradewright.backtest.journal import list_fills, list_trades
from tradewright.backtest.result import Trade
from tradewright.market.instrument import Instrument
from tradewright.market.ledger import Quotes
from tradewright.market.rules import Reason
from tradewright.market.scalar_book import OPEN, STOP, Record

NUM_BARS = 20
TS = np.datetime64("2020-01-01", "us") + np.arange(NUM_BARS) * DAY
SHARE, FUTURE = Instrument(symbol="AAA"), Instrument(symbol="ES", multiplier=50.0)


def record(
    bar: int, quantity: float, after: float, price: float, *, n: int = 0, fee: float = 0.0, slippage: float = 0.0,
    reason: Reason = Reason.ORDER,
) -> Record:  # fmt: skip
    return (bar, OPEN, n, int(reason), quantity, after, price, fee, slippage)


def flat_quotes(price: float = 100.0, **changes: np.ndarray) -> Quotes:
    """Return bars that all stand at ``price``."""
    prices = np.full((NUM_BARS, 2), price)
    quotes = Quotes(prices, prices, prices, prices, np.ones((NUM_BARS, 2), dtype=bool), np.full(NUM_BARS, 1 / 365))
    return quotes._replace(**changes)


def trades(
    *records: Record, mark: float = 0.0, quotes: Quotes | None = None, carry: Carry | None = None
) -> tuple[Trade, ...]:
    marks, carry = np.array([mark, mark]), carry or Carry()
    return list_trades(records, [SHARE, FUTURE], TS, quotes or flat_quotes(), marks, carry)


def test_round_trip_is_one_trade() -> None:
    (trade,) = trades(record(2, 10, 10, 100, fee=1), record(7, -10, 0, 110, fee=2))
    assert (trade.side, trade.quantity, trade.entry_price, trade.exit_price) == ("long", 10, 100, 110)
    assert (trade.pnl, trade.costs) == (97, 3)
    assert trade.return_fraction == pytest.approx(0.097)
    assert (trade.entry_bar, trade.exit_bar, trade.holding_bars) == (2, 7, 5)
    assert (trade.entry_ts, trade.exit_ts) == (TS[2], TS[7])
    assert (trade.entry_reason, trade.exit_reason, trade.holding_days) == ("order", "order", 5.0)


def test_increases_and_reductions_average_their_prices() -> None:
    (trade,) = trades(record(1, -10, -10, 100), record(2, -30, -40, 120), record(3, 20, -20, 90), record(5, 20, 0, 110))
    assert (trade.side, trade.quantity) == ("short", -40)
    assert trade.entry_price == pytest.approx(115)
    assert trade.exit_price == pytest.approx(100)
    assert trade.pnl == pytest.approx(40 * 15)


def test_reversal_splits_one_fill_and_its_fee_between_two_trades() -> None:
    first, second = trades(record(1, 10, 10, 100), record(4, -30, -20, 110, fee=3), mark=105.0)
    assert (first.pnl, first.costs, first.exit_bar) == (99, 1, 4)
    assert (second.side, second.quantity, second.entry_bar, second.entry_price) == ("short", -20, 4, 110)
    assert (second.costs, second.pnl) == (2, 98)


def test_open_trade_comes_last_and_is_marked() -> None:
    first, second = trades(record(1, 10, 10, 100), record(2, 2, 2, 4000, n=1), record(3, -2, 0, 4010, n=1), mark=105.0)
    assert (first.symbol, first.pnl) == ("ES", 2 * 10 * 50)
    assert (second.symbol, second.pnl, second.exit_bar, second.exit_ts, second.exit_price) == (
        "AAA",
        50,
        None,
        None,
        None,
    )
    assert (second.holding_bars, second.exit_reason) == (18, "open")


def test_partly_closed_open_trade_counts_what_was_closed() -> None:
    (trade,) = trades(record(1, 10, 10, 100), record(2, -4, 6, 130), mark=110.0)
    assert trade.pnl == 4 * 30 + 6 * 10
    assert trade.exit_price is None


def test_rejections_are_fills_of_nothing_and_no_trades() -> None:
    rejected: Record = (3, OPEN, 1, int(Reason.NO_BUYING_POWER), 0.0, 0.0, 99.0, 0.0, 0.0)
    stopped: Record = (4, STOP, 0, int(Reason.STOP_LOSS), -1.0, 0.0, 95.0, 0.5, 0.25)
    fills = list_fills([rejected, stopped], [SHARE, FUTURE], TS)
    assert [(fill.symbol, fill.quantity, fill.reason) for fill in fills] == [
        ("ES", 0.0, "no_buying_power"),
        ("AAA", -1.0, "stop_loss"),
    ]
    assert (fills[1].bar, fills[1].ts, fills[1].price, fills[1].fee, fills[1].slippage) == (4, TS[4], 95.0, 0.5, 0.25)
    assert trades(rejected) == ()


def extremes(rows: dict[int, tuple[float, float]]) -> Quotes:
    """Return bars at 100 but for some lows and highs."""
    low, high = np.full((NUM_BARS, 2), 100.0), np.full((NUM_BARS, 2), 100.0)
    for bar, (lowest, highest) in rows.items():
        low[bar], high[bar] = lowest, highest
    return flat_quotes(low=low, high=high)


@pytest.mark.row("B29")
@pytest.mark.parametrize(("side", "expected"), [(1, (0.06, 0.09)), (-1, (0.09, 0.06))], ids=["long", "short"])
def test_excursions_span_the_bars_from_the_entry_to_the_exit(side: int, expected: tuple[float, float]) -> None:
    """The bars before the entry and after the exit reach further, and count for nothing."""
    quotes = extremes({2: (50, 200), 3: (94, 101), 5: (98, 109), 6: (50, 200)})
    (trade,) = trades(record(3, 10 * side, 10 * side, 100), record(5, -10 * side, 0, 100), quotes=quotes)
    assert (trade.mae, trade.mfe) == pytest.approx(expected)


def test_excursions_of_an_open_trade_span_the_bars_to_the_last() -> None:
    (trade,) = trades(record(3, 1, 1, 100), quotes=extremes({2: (50, 200), NUM_BARS - 1: (90, 130)}), mark=100.0)
    assert (trade.mae, trade.mfe) == pytest.approx((0.1, 0.3))
    assert trade.holding_days == NUM_BARS - 1 - 3


def test_price_that_never_moves_against_a_trade_is_an_excursion_of_zero() -> None:
    (trade,) = trades(record(3, 1, 1, 90), record(5, -1, 0, 100))
    assert (trade.mae, trade.mfe) == (0.0, pytest.approx(10 / 90))


def test_missing_bars_are_no_excursion() -> None:
    quotes = extremes({4: (math.nan, math.nan), 5: (97, 103)})
    quotes.tradable[4] = False
    (trade,) = trades(record(3, 1, 1, 100), record(6, -1, 0, 100), quotes=quotes)
    assert (trade.mae, trade.mfe) == pytest.approx((0.03, 0.03))


@pytest.mark.row("L39")
def test_profit_is_split_by_kind() -> None:
    """Bought 10 at 100, sold at 110: gross 100; slippage 1 + 1.1, fees 3, borrow 4, funding 5, dividends 6."""
    money = np.zeros((NUM_BARS, 2))
    money[[3, 4, 7, 8]] = [[100, 0], [1, 0], [1, 0], [100, 0]]  # bars 3 and 8 are not the trade's
    carry = Carry(borrow_TN=2 * money, funding_TN=2.5 * money, dividends_TN=3 * money)
    (trade,) = trades(
        record(3, 10, 10, 100.1, fee=1, slippage=1), record(7, -10, 0, 109.89, fee=2, slippage=1.1), carry=carry
    )
    assert (trade.fees, trade.slippage, trade.borrow, trade.funding, trade.dividends) == (3, 2.1, 4, 5, 6)
    assert trade.gross_pnl == pytest.approx(100)
    assert trade.costs == pytest.approx(3 + 2.1 + 4 + 5 - 6)
    assert trade.pnl == pytest.approx(100 - 8.1)


def test_split_restates_the_past_of_a_trade_in_new_shares() -> None:
    """Ten shares at 100 become forty at 25, sold at 30: quantities and prices are those at the end."""
    split = np.ones((NUM_BARS, 2))
    split[5, 0] = 4.0
    low, high = np.full((NUM_BARS, 2), 100.0), np.full((NUM_BARS, 2), 100.0)
    low[4], low[5:], high[5:] = 92.0, 25.0, 26.0
    quotes = flat_quotes(split=split, low=low, high=high)
    (trade,) = trades(record(3, 10, 10, 100), record(8, -40, 0, 30), quotes=quotes)
    assert (trade.quantity, trade.entry_price, trade.exit_price, trade.pnl) == (40, 25, 30, 200)
    assert (trade.mae, trade.mfe) == pytest.approx((0.08, 0.04))


def test_roll_goes_on_with_the_trade_and_what_lies_between_the_contracts_is_no_profit() -> None:
    """One contract at 4,000; the coming one stands 20 higher; sold at 4,050 there: 30 points, not 50."""
    rolls = np.full((2, NUM_BARS, 2), math.nan)
    rolls[:, 6, 1] = 4_010.0, 4_030.0
    low = np.full((NUM_BARS, 2), 4_000.0)
    low[4], low[6:] = 3_900.0, 4_030.0
    quotes = flat_quotes(4_000.0, roll_from=rolls[0], roll_to=rolls[1], low=low)
    (trade,) = trades(
        record(3, 1, 1, 4_000, n=1, fee=2),
        record(6, -1, 0, 4_009.75, n=1, fee=2, slippage=12.5, reason=Reason.ROLL),
        record(6, 1, 1, 4_030.25, n=1, fee=2, slippage=12.5, reason=Reason.ROLL),
        record(9, -1, 0, 4_050, n=1, fee=2),
        quotes=quotes,
    )
    assert (trade.entry_price, trade.exit_price) == (4_000, 4_050)
    assert trade.gross_pnl == pytest.approx(30 * 50)
    assert (trade.fees, trade.slippage) == (8, 25)
    assert trade.pnl == pytest.approx(30 * 50 - 33)
    assert trade.mae == pytest.approx(100 / 4_000)
    assert (trade.entry_reason, trade.exit_reason) == ("order", "order")


def test_roll_after_a_partial_sale_keeps_what_was_earned() -> None:
    """Bought 2 at 100, sold 1 at 110, rolled up by 5, sold 1 at 120: 10 + 15 points."""
    rolls = np.full((2, NUM_BARS, 2), math.nan)
    rolls[:, 5, 0] = 100.0, 105.0
    (trade,) = trades(
        record(1, 2, 2, 100), record(3, -1, 1, 110), record(8, -1, 0, 120),
        quotes=flat_quotes(roll_from=rolls[0], roll_to=rolls[1]),
    )  # fmt: skip
    assert trade.pnl == pytest.approx(25)
    assert (trade.entry_price, trade.exit_price) == (100, (110 + 120) / 2)


def test_split_after_the_last_fill_restates_an_open_trade() -> None:
    split = np.ones((NUM_BARS, 2))
    split[NUM_BARS - 1, 0] = 2.0
    (trade,) = trades(record(3, 10, 10, 100), mark=55.0, quotes=flat_quotes(split=split))
    assert (trade.quantity, trade.entry_price, trade.pnl) == (20, 50, 100)
