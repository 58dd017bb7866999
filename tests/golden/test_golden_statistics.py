"""The whole dictionary of statistics over the frozen 500 bars, and the identities of money behind it."""

import json
import math

import pytest
from golden_statistics import GOLDEN, backtests, statistics


@pytest.mark.row("L36")
@pytest.mark.row("L37")
@pytest.mark.row("L38")
@pytest.mark.row("B33")
@pytest.mark.parametrize("name", ["cross", "buy_and_hold"])
def test_every_figure_equals_the_golden_dictionary(name: str) -> None:
    golden = json.loads(GOLDEN.read_text())[name]
    figures = statistics()[name]
    assert list(figures) == list(golden)
    as_float = {key: math.nan if value is None else value for key, value in figures.items()}
    expected = {key: math.nan if value is None else value for key, value in golden.items()}
    assert as_float == pytest.approx(expected, rel=1e-8, abs=1e-12, nan_ok=True)


@pytest.mark.row("L39")
@pytest.mark.row("B29")
def test_trade_profits_add_up_to_the_change_of_equity() -> None:
    for result in backtests():
        earned = sum(trade.pnl for trade in result.trades) - result.costs["interest"]
        assert earned == pytest.approx(result.equity_T[-1] - result.initial_cash, rel=1e-10)
        closed = [trade for trade in result.trades if trade.exit_ts is not None]
        assert all(trade.holding_bars == trade.exit_bar - trade.entry_bar for trade in closed)
        assert all(trade.exit_ts == result.ts_T[trade.exit_bar] for trade in closed)
        assert all(trade.entry_ts == result.ts_T[trade.entry_bar] for trade in result.trades)


def test_golden_account_uses_every_figure() -> None:
    undefined = [key for key, value in statistics()["cross"].items() if value is None]
    assert undefined == []
