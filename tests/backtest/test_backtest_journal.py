"""Trades from flat to flat: averages, reversals, open trades, holding time."""

import numpy as np
import pytest

from market_cases import DAY
from tradewright.backtest.journal import list_fills, list_trades
from tradewright.backtest.result import Trade
from tradewright.market.instrument import Instrument
from tradewright.market.rules import Reason
from tradewright.market.scalar_book import OPEN, STOP, Record

TS = np.datetime64("2020-01-01", "us") + np.arange(20) * DAY
SHARE, FUTURE = Instrument(symbol="AAA"), Instrument(symbol="ES", multiplier=50.0)


def record(bar: int, quantity: float, after: float, price: float, *, n: int = 0, fee: float = 0.0) -> Record:
    return (bar, OPEN, n, int(Reason.ORDER), quantity, after, price, fee, 0.0)


def trades(*records: Record, mark: float = 0.0) -> tuple[Trade, ...]:
    return list_trades(records, [SHARE, FUTURE], TS, np.array([mark, mark]))


def test_round_trip_is_one_trade() -> None:
    (trade,) = trades(record(2, 10, 10, 100, fee=1), record(7, -10, 0, 110, fee=2))
    assert (trade.side, trade.quantity, trade.entry_price, trade.exit_price) == ("long", 10, 100, 110)
    assert (trade.pnl, trade.costs) == (97, 3)
    assert trade.return_fraction == pytest.approx(0.097)
    assert (trade.entry_bar, trade.exit_bar, trade.holding_bars) == (2, 7, 5)
    assert (trade.entry_ts, trade.exit_ts) == (TS[2], TS[7])
    assert trade.exit_reason == "order"


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
