"""``data=lean`` on a miniature folder written by the test, and on the real sample where it is present."""

import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from mini_lean import OLD_DAYS, XYZ_DAYS, build_mini_lean

from tradewright.data.lean import Lean
from tradewright.data.lean_layout import read_map
from tradewright.data.lean_market import read_market_hours
from tradewright.errors import DataError

REPOSITORY = Path(__file__).resolve().parents[2]
SAMPLE = Path(os.environ.get("TRADEWRIGHT_LEAN_DATA", REPOSITORY.parent / "shared" / "data" / "lean"))
HAS_SAMPLE = (SAMPLE / "equity" / "usa" / "daily" / "spy.zip").is_file()
needs_sample = pytest.mark.skipif(not HAS_SAMPLE, reason="no LEAN data: set TRADEWRIGHT_LEAN_DATA to its folder")


@pytest.fixture
def lean(tmp_path):
    root = build_mini_lean(tmp_path / "lean")
    return lambda **keys: Lean(store=str(tmp_path / "store"), path=str(root), **keys)


def test_a_company_is_followed_through_its_tickers(lean):
    panel = lean(symbols=["XYZ"], adjust="none").panel()
    assert [str(day)[:10].replace("-", "") for day in panel.ts_T] == OLD_DAYS + XYZ_DAYS[1:]
    np.testing.assert_allclose(panel.close_TN[:2, 0], [200.0, 200.01], rtol=1e-15)
    np.testing.assert_allclose(panel.open_TN[-1, 0], 100.025, rtol=1e-15)
    assert (panel.known_at_T - panel.ts_T == np.timedelta64(1, "D")).all()


def test_all_symbols_are_those_of_the_map_files_and_unmapped_tickers(lean):
    source = lean()
    assert source.panel().symbols == ("NEW", "XYZ")
    assert source.ingest().remarks == ("no factor file, prices are as traded: NEW",)


@pytest.mark.parametrize(
    ("adjust", "before_split", "before_dividend"), [("all", 0.495, 0.99), ("splits", 0.5, 1.0), ("none", 1.0, 1.0)]
)
def test_factor_files_adjust_prices_before_the_ex_date(lean, adjust, before_split, before_dividend):
    raw = lean(symbols=["XYZ"], adjust="none").panel()
    panel = lean(symbols=["XYZ"], adjust=adjust).panel()
    # Four sessions up to 2020-01-07 lie before the split, two more (8 and 9 January) before the dividend.
    factors = np.array([before_split] * 4 + [before_dividend] * 2 + [1.0] * 2)
    for name in ("open", "high", "low", "close"):
        expected = getattr(raw, f"{name}_TN")[:, 0] * factors
        np.testing.assert_allclose(getattr(panel, f"{name}_TN")[:, 0], expected, rtol=1e-14)
    splits = np.where(factors < 0.6, 2.0, 1.0)
    np.testing.assert_allclose(panel.volume_TN, raw.volume_TN * splits[:, None] if adjust != "none" else raw.volume_TN)


def test_actions_are_stored_with_ratio_and_cash(lean):
    source = lean(symbols=["XYZ"])
    source.panel()
    split, dividend = source.actions()
    assert (split.kind, split.ratio, str(split.ex_ts)[:10]) == ("split", 0.5, "2020-01-08")
    assert (dividend.kind, str(dividend.ex_ts)[:10]) == ("dividend", "2020-01-10")
    assert dividend.ratio == pytest.approx(0.99, rel=1e-15)
    assert dividend.cash == pytest.approx(1.0001, rel=1e-12)


def test_minutes_are_converted_to_utc_and_limited_to_regular_hours(lean):
    panel = lean(symbols=["XYZ"], timeframe="1m", adjust="none").panel()
    # 09:29 is before the open; 2020-01-03 closes at 13:00, so 12:59 is the last minute of that day.
    assert panel.num_bars == 12
    assert panel.ts_T[0] == np.datetime64("2020-01-02T14:30")
    assert panel.ts_T[-1] == np.datetime64("2020-01-03T17:59")
    assert panel.close_TN[0, 0] == pytest.approx(1.0006, rel=1e-15)
    extended = lean(symbols=["XYZ"], timeframe="1m", has_extended_hours=True).panel()
    assert extended.num_bars == 15
    assert extended.ts_T[-1] == np.datetime64("2020-01-04T00:00")  # 19:00 in New York


def test_the_ex_date_of_minutes_begins_at_midnight_in_new_york(lean):
    source = lean(symbols=["XYZ"], timeframe="1m")
    source.panel()
    assert [str(action.ex_ts)[:16] for action in source.actions()] == ["2020-01-08T05:00", "2020-01-10T05:00"]


def test_five_minutes_are_made_from_minutes(lean):
    panel = lean(symbols=["XYZ"], timeframe="5m", adjust="none").panel()
    minutes = lean(symbols=["XYZ"], timeframe="1m", adjust="none").panel()
    assert panel.ts_T[0] == np.datetime64("2020-01-02T14:30")
    assert panel.open_TN[0, 0] == minutes.open_TN[0, 0]
    assert panel.close_TN[0, 0] == minutes.close_TN[4, 0]
    assert panel.volume_TN[0, 0] == minutes.volume_TN[:5].sum()


def test_hours_are_stamped_in_utc(lean):
    panel = lean(symbols=["XYZ"], timeframe="1h").panel()
    assert [str(ts)[:16] for ts in panel.ts_T] == ["2020-01-02T14:00", "2020-01-02T15:00"]


def test_forex_is_the_middle_of_bid_and_ask(lean):
    panel = lean(security="forex").panel()
    assert panel.symbols == ("EURUSD",)
    np.testing.assert_allclose(panel.close_TN[:, 0], [1.1101, 1.12], rtol=1e-15)
    assert panel.instruments[0].lot == 1000
    assert panel.periods_per_year == 260
    assert panel.ts_T[0] == np.datetime64("2020-01-02")


def test_daily_bars_of_a_market_that_closes_late_carry_their_true_opening(lean):
    """FXCM counts days in UTC-05: its day ends at 05:00 UTC, so a session date at 00:00 would be known too early."""
    panel = lean(security="forex", market="fxcm").panel()
    assert panel.ts_T[0] == np.datetime64("2020-01-02T05:00")
    assert panel.known_at_T[0] == np.datetime64("2020-01-03T05:00")


def test_crypto_trades_all_week(lean):
    panel = lean(security="crypto").panel()
    assert (panel.symbols, panel.num_bars) == (("BTCUSD",), 7)
    assert panel.instruments[0].lot == 1e-8
    assert panel.periods_per_year == 365


def test_a_missing_folder_symbol_or_database_is_named(lean, tmp_path):
    with pytest.raises(DataError, match=r"data.path must be a LEAN data folder"):
        Lean(store=str(tmp_path), path=str(tmp_path)).panel()
    with pytest.raises(DataError, match=r"data.path must be set to a LEAN data folder"):
        Lean(store=str(tmp_path)).panel()
    with pytest.raises(DataError, match=r"data.symbols: .* has no 'XYY'; did you mean 'XYZ'\?"):
        lean(symbols=["XYY"]).panel()
    with pytest.raises(DataError, match=r"no entry 'Forex-dukascopy-\[\*\]'|no such folder"):
        lean(security="forex", market="dukascopy").panel()
    (tmp_path / "lean" / "market-hours" / "market-hours-database.json").unlink()
    with pytest.raises(DataError, match=r"market-hours-database.json: missing"):
        lean().panel()
    with pytest.raises(ValueError, match=r"^security must be equity, forex or crypto"):
        lean(security="future")


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [("map_files", "20200102,old,Q\nsoon,xyz", "xyz.csv row 2: expected 'yyyymmdd,ticker,…', was 'soon,xyz'"),
     ("factor_files", "20200102,0.99", "xyz.csv row 1: expected 'yyyymmdd,factor,factor,price'"),
     ("factor_files", "20200102,-1,1,1", "xyz.csv row 1: factors must be > 0")],
)  # fmt: skip
def test_a_malformed_map_or_factor_file_is_named_by_row(lean, tmp_path, name, content, text):
    (tmp_path / "lean" / "equity" / "usa" / name / "xyz.csv").write_text(content)
    with pytest.raises(DataError) as error:
        lean().panel()
    assert text in str(error.value)


def test_a_changed_factor_file_loads_anew(lean, tmp_path):
    source = lean(symbols=["XYZ"])
    before = source.panel()
    shutil.rmtree(tmp_path / "lean" / "equity" / "usa" / "factor_files")
    assert source.panel().close_TN[0, 0] == pytest.approx(before.close_TN[0, 0] / 0.495)


@needs_sample
def test_the_real_sample_holds_spy_as_published(tmp_path):
    panel = Lean(store=str(tmp_path), path=str(SAMPLE), symbols=["SPY"], adjust="none").panel()
    with zipfile.ZipFile(SAMPLE / "equity" / "usa" / "daily" / "spy.zip") as archive:
        rows = archive.read("spy.csv").decode().split("\n")
    expected = np.array([[float(field) for field in row.split(",")[1:]] for row in rows])
    assert (str(panel.ts_T[0])[:10], str(panel.ts_T[-1])[:10]) == ("1998-01-02", "2021-03-31")
    assert panel.num_bars == len(rows) == 5_849
    for column, name in enumerate(("open", "high", "low", "close")):
        np.testing.assert_array_equal(getattr(panel, f"{name}_TN")[:, 0], expected[:, column] / 10_000)


@needs_sample
def test_adjusted_prices_of_the_real_sample_follow_the_factor_file(tmp_path):
    keys = {"store": str(tmp_path), "path": str(SAMPLE), "symbols": ["AAPL"]}
    raw, panel = Lean(**keys, adjust="none").panel(), Lean(**keys).panel()
    text = (SAMPLE / "equity" / "usa" / "factor_files" / "aapl.csv").read_text().split()
    rows = [line.split(",") for line in text]
    days = np.array([f"{row[0][:4]}-{row[0][4:6]}-{row[0][6:]}" for row in rows], "datetime64[D]")
    factors = np.array([float(row[1]) * float(row[2]) for row in rows])
    at = np.searchsorted(
        days, raw.ts_T.astype("datetime64[D]"), side="left"
    )  # first row whose date is not before the bar
    np.testing.assert_allclose(panel.close_TN[:, 0], raw.close_TN[:, 0] * factors[at], rtol=1e-13)


@needs_sample
@pytest.mark.parametrize(
    ("keys", "num_symbols", "num_bars"),
    [
        ({}, 19, 5_849),
        ({"timeframe": "1m"}, 5, 2_730),
        ({"security": "forex"}, 4, 3_738),
        ({"security": "crypto"}, 1, 1_318),
    ],
)
def test_the_real_sample_passes_every_check(tmp_path, keys, num_symbols, num_bars):
    panel = Lean(store=str(tmp_path), path=str(SAMPLE), **keys).panel()
    assert (len(panel.symbols), panel.num_bars) == (num_symbols, num_bars)


@needs_sample
def test_real_map_and_hours_files_are_understood():
    googl = read_map(SAMPLE / "equity" / "usa" / "map_files" / "googl.csv")
    assert [(ticker, str(first), str(last)) for ticker, first, last in googl] == [
        ("goog", "2004-08-19", "2014-04-02"),
        ("googl", "2014-04-03", "2050-12-31"),
    ]
    hours = read_market_hours(SAMPLE, "equity", "usa")
    assert hours.regular[1] == ((34_200, 57_600),)
    assert hours.latest_close_s == 57_600
