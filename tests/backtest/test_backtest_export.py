"""Every column of a real journal, in every format, holds the numbers of the journal."""

import csv
import json
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest

from market_cases import random_panel, random_weights
from tradewright.backtest.result import BacktestResult, Fill, Trade
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.ranges import Range
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs
from tradewright.report.export import export_results


@pytest.fixture(scope="module")
def result() -> BacktestResult:
    rng = np.random.default_rng(5)
    panel = random_panel(5, 120, 2, volatility=0.04)
    panel = replace(panel, funding_TN=rng.normal(0, 1e-3, (120, 2)), dividend_TN=np.full((120, 2), 0.01))
    backtest = Vectorized(
        leverage=2.0, stop_loss=0.05, min_notional=20_000.0,
        costs=Costs(fee_bps=2, slippage_bps=3, fixed_fee=1, borrow_rate=0.05, cash_rate=0.02),
    )  # fmt: skip
    positions = Positions(weights_TN=random_weights(rng, (120, 2), 0.5))
    return backtest.run(panel, positions, Range(0, 120), name='it\'s, "quoted"')


def written(path: Path) -> list[dict[str, Any]]:
    """Return the rows of a file as a user's tool reads them."""
    match path.suffix:
        case ".json":
            return json.loads(path.read_text())
        case ".csv":
            with path.open(newline="") as file:
                return list(csv.DictReader(file))
    cursor = duckdb.connect().execute("SELECT * FROM read_parquet(?)", [str(path)])
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def equals(found: Any, expected: Any) -> bool:
    """Return whether a cell, text or typed, says ``expected``; numbers to the last bit."""
    if expected is None or (isinstance(expected, float) and math.isnan(expected)):
        return found in (None, "")
    if isinstance(expected, np.datetime64):
        return bool(np.datetime64(str(found).replace(" ", "T"), "us") == expected)
    return float(found) == expected if isinstance(expected, int | float) else found == expected


@pytest.mark.row("B32")
@pytest.mark.row("B29")
@pytest.mark.parametrize("suffix", ["parquet", "csv", "json"])
@pytest.mark.parametrize(("table", "kind"), [("trades", Trade), ("fills", Fill)])
def test_every_column_of_the_journal_survives_every_format(
    result: BacktestResult, tmp_path: Path, table: str, kind: type, suffix: str
) -> None:
    export_results(tmp_path, {("test", result.name): result}, (suffix,))
    records, rows = getattr(result, table), written(tmp_path / f"{table}.{suffix}")
    assert len(rows) == len(records) > 20
    assert set(rows[0]) == {"name", "range", *(field.name for field in fields(kind))}
    for record, row in zip(records, rows, strict=True):
        assert (row["name"], row["range"]) == (result.name, "test")
        for field in fields(kind):
            assert equals(row[field.name], getattr(record, field.name)), f"{field.name}: {row[field.name]}"


def test_journal_uses_every_kind_of_cost_and_reason(result: BacktestResult) -> None:
    for kind in ("fees", "slippage", "borrow", "funding", "dividends", "mae", "mfe", "gross_pnl", "holding_days"):
        values = [getattr(trade, kind) for trade in result.trades]
        assert np.isfinite(values).all()
        assert any(value != 0 for value in values), kind
    assert {"order", "stop_loss", "below_min_notional"} <= {fill.reason for fill in result.fills}
    assert any(trade.exit_ts is None for trade in result.trades)
