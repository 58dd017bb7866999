"""Equity, trades and fills as Parquet, CSV and JSON: same rows, same numbers, written whole."""

import csv
import json
import math
from datetime import datetime
from pathlib import Path

import duckdb
import numpy as np
import pytest
from report_samples import sample_results

from tradewright.report.export import export_results

RESULTS = {("test", result.name): result for result in sample_results(300)[:2]}
FORMATS = ("parquet", "csv", "json")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run")
    results = dict(RESULTS)
    results["validation", "ppo"] = sample_results(200, seed=9)[0]
    export_results(path, results, FORMATS)
    return path


def rows_of(path: Path) -> list[dict[str, object]]:
    """Read a file with the tool a user would take for it; times become ISO text, absent values None."""
    if path.suffix == ".json":
        return json.loads(path.read_text())
    if path.suffix == ".csv":
        with path.open(newline="") as file:
            return [{key: _typed(value) for key, value in row.items()} for row in csv.DictReader(file)]
    cursor = duckdb.connect().execute("SELECT * FROM read_parquet(?)", [str(path)])
    names = [column[0] for column in cursor.description]
    return [
        {name: str(value) if isinstance(value, datetime) else value for name, value in zip(names, row, strict=True)}
        for row in cursor.fetchall()
    ]


def _typed(text: str) -> object:
    if text == "":
        return None
    try:
        return float(text)
    except ValueError:
        return text


@pytest.mark.row("B32")
@pytest.mark.parametrize("table", ["equity", "trades", "fills"])
def test_every_format_parses_to_equal_numbers(folder: Path, table: str) -> None:
    parquet, from_csv, from_json = (rows_of(folder / f"{table}.{name}") for name in FORMATS)
    assert len(parquet) > 0
    assert from_json == parquet
    blank_as_none = [{key: None if value == "" else value for key, value in row.items()} for row in parquet]
    assert from_csv == blank_as_none


@pytest.mark.row("B32")
def test_equity_holds_every_bar_bit_for_bit(folder: Path) -> None:
    rows = [row for row in rows_of(folder / "equity.csv") if row["name"] == "ppo" and row["range"] == "test"]
    result = RESULTS["test", "ppo"]
    assert [row["equity"] for row in rows] == result.equity_T.tolist()
    assert [row["cash"] for row in rows] == result.cash_T.tolist()
    assert np.array_equal(np.array([row["ts"] for row in rows], dtype="datetime64[us]"), result.ts_T)


@pytest.mark.row("L39")
def test_trades_file_adds_up_to_the_change_of_equity(folder: Path) -> None:
    rows = [row for row in rows_of(folder / "trades.parquet") if row["name"] == "ppo" and row["range"] == "test"]
    result = RESULTS["test", "ppo"]
    assert sum(row["pnl"] for row in rows) == pytest.approx(result.equity_T[-1] - result.initial_cash, rel=1e-12)
    still_open = [row for row in rows if row["exit_ts"] is None]
    assert len(still_open) == sum(trade.exit_ts is None for trade in result.trades)
    assert all(row["exit_price"] is None and row["exit_bar"] is None for row in still_open)


def test_results_without_trades_or_at_all_leave_typed_empty_files(tmp_path: Path) -> None:
    export_results(tmp_path, {}, FORMATS)
    assert json.loads((tmp_path / "trades.json").read_text()) == []
    types = duckdb.sql(f"DESCRIBE FROM '{tmp_path}/trades.parquet'").fetchall()
    assert {name: kind for name, kind, *_ in types}["exit_ts"] == "TIMESTAMP"
    assert {name: kind for name, kind, *_ in types}["pnl"] == "DOUBLE"


def test_undefined_number_is_null(tmp_path: Path) -> None:
    import dataclasses

    result = RESULTS["test", "ppo"]
    equity = result.equity_T.copy()
    equity[5] = math.nan
    export_results(tmp_path, {("test", "x"): dataclasses.replace(result, equity_T=equity)}, FORMATS)
    assert rows_of(tmp_path / "equity.json")[5]["equity"] is None
    assert rows_of(tmp_path / "equity.parquet")[5]["equity"] is None


def test_folder_with_a_quote_in_its_name_is_written(tmp_path: Path) -> None:
    paths = export_results(tmp_path / "it's here", RESULTS, ("csv",))
    assert [path.name for path in paths] == ["equity.csv", "trades.csv", "fills.csv"]
    assert sorted(path.name for path in (tmp_path / "it's here").iterdir()) == ["equity.csv", "fills.csv", "trades.csv"]


def test_unknown_format_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^formats must be of parquet, csv, json, was 'parket'$"):
        export_results(tmp_path, RESULTS, ("parket",))
    assert list(tmp_path.iterdir()) == []
