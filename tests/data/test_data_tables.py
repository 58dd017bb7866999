"""CSV, Parquet and DuckDB inputs: equal frames, names, zones, layouts, symbols."""

import gzip

import duckdb
import numpy as np
import pytest
from bar_files import GOOD, HEADER, convert, random_rows, write_csv

from tradewright.data.csv import Csv
from tradewright.data.duckdb import DuckDB
from tradewright.data.parquet import Parquet
from tradewright.errors import DataError


def panel_of_rows(tmp_path, rows, header=HEADER, name="SPY.csv", **keys):
    path = write_csv(tmp_path / name, rows, header)
    return Csv(store=str(tmp_path / "store"), path=str(path), **keys).panel()


@pytest.mark.row("T4")
@pytest.mark.row("N64")
def test_parquet_csv_and_duckdb_inputs_give_equal_frames(tmp_path):
    path = write_csv(tmp_path / "bars.csv", random_rows(500))
    inputs = [
        Csv(store=str(tmp_path), path=str(path)),
        Parquet(store=str(tmp_path), path=str(convert(path, tmp_path / "bars.parquet"))),
        DuckDB(store=str(tmp_path), path=str(convert(path, tmp_path / "bars.duckdb"))),
    ]
    panels = [option.panel() for option in inputs]
    assert {panel.symbols for panel in panels} == {("bars",)}
    assert len({panel.fingerprint for panel in panels}) == 1
    expected = np.array([[float(x) for x in row.split(",")[1:]] for row in random_rows(500)])
    for column, name in enumerate(("open", "high", "low", "close", "volume")):
        for panel in panels:
            np.testing.assert_array_equal(getattr(panel, f"{name}_TN")[:, 0], expected[:, column])
    assert panels[0].ts_T[0] == np.datetime64("2020-01-02T00:00")
    assert (panels[0].known_at_T - panels[0].ts_T == np.timedelta64(1, "D")).all()


def test_text_columns_of_parquet_read_like_csv(tmp_path):
    path = write_csv(tmp_path / "A.csv", random_rows(50))
    duckdb.sql(f"COPY (SELECT * FROM read_csv('{path}', all_varchar = true)) TO '{tmp_path / 'A.parquet'}'")
    text = Parquet(store=str(tmp_path), path=str(tmp_path / "A.parquet")).panel()
    assert text.fingerprint == Csv(store=str(tmp_path), path=str(path)).panel().fingerprint


HEADERS = {
    "Date,Open,High,Low,Close,Adj Close,Volume": "2020-01-0{d},10,12,9,11,10.5,100",
    "timestamp;o;h;l;c;v": "2020-01-0{d} 00:00:00;10;12;9;11;100",
    "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<VOL>": "2020.01.0{d}\t10\t12\t9\t11\t100",
    "1. open,2. high,3. low,4. close,5. volume,date": "10,12,9,11,100,2020010{d}",
    "open_time|open|high|low|close|volume": "157792320{d}000000|10|12|9|11|100",
    '"Time","Open","High","Low","Close","Volume"': '"2020-01-0{d}T00:00:00","10","12","9","11","100"',
}


@pytest.mark.parametrize("header", HEADERS)
def test_headers_and_separators_of_common_exports_are_recognised(tmp_path, header):
    rows = [HEADERS[header].format(d=day) for day in (2, 3, 4)]
    panel = panel_of_rows(tmp_path, rows, header)
    assert panel.num_bars == 3
    row = [float(getattr(panel, f"{name}_TN")[0, 0]) for name in ("open", "high", "low", "close", "volume")]
    assert row == [10, 12, 9, 11, 100]


STAMPS = {
    "date and time columns": ("date,time,open,high,low,close,volume", "2020-01-02,14:3{m}:00", {}, "2020-01-02T14:30"),
    "compact": (HEADER, "20200102 143{m}00", {}, "2020-01-02T14:30"),
    "utc suffix": (HEADER, "2020-01-02T14:3{m}:00Z", {}, "2020-01-02T14:30"),
    "offset": (HEADER, "2020-01-02 09:3{m}:00-05:00", {}, "2020-01-02T14:30"),
    "epoch seconds": (HEADER, "15779{m}", {}, None),
    "local winter": (HEADER, "2020-01-02 09:3{m}", {"timezone": "America/New_York"}, "2020-01-02T14:30"),
    "local summer": (HEADER, "2020-07-02 09:3{m}", {"timezone": "America/New_York"}, "2020-07-02T13:30"),
    "given layout": (HEADER, "02/01/2020 14:3{m}", {"time_format": "%d/%m/%Y %H:%M"}, "2020-01-02T14:30"),
    "given layout with zone": (
        HEADER,
        "02/01/2020 09:3{m} -0500",
        {"time_format": "%d/%m/%Y %H:%M %z"},
        "2020-01-02T14:30",
    ),
}


@pytest.mark.parametrize("case", [case for case in STAMPS if case != "epoch seconds"])
def test_stamps_become_naive_utc_bar_opens(tmp_path, case):
    header, stamp, keys, first = STAMPS[case]
    panel = panel_of_rows(tmp_path, [f"{stamp.format(m=minute)},10,12,9,11,1" for minute in range(3)], header, **keys)
    assert panel.timeframe_s == 60
    assert panel.ts_T[0] == np.datetime64(first)
    assert panel.known_at_T[0] == np.datetime64(first) + np.timedelta64(1, "m")


@pytest.mark.parametrize("digits", ["1577975400", "1577975400000", "1577975400000000", "1577975400000000000"])
def test_epochs_of_every_resolution_are_utc(tmp_path, digits):
    step = int(digits) // 1577975400 * 60
    rows = [f"{int(digits) + bar * step},10,12,9,11,1" for bar in range(3)]
    panel = panel_of_rows(tmp_path, rows, timezone="America/New_York")
    assert panel.ts_T[0] == np.datetime64("2020-01-02T14:30")


def test_daily_bars_keep_their_session_date_in_any_zone(tmp_path):
    naive = panel_of_rows(tmp_path, GOOD, timezone="America/New_York")
    rows = [row.replace(",", "T00:00:00-05:00,", 1) for row in GOOD]
    aware = panel_of_rows(tmp_path, rows, name="aware/SPY.csv", timezone="America/New_York")
    assert naive.ts_T[0] == aware.ts_T[0] == np.datetime64("2020-01-02")


def test_a_local_time_that_clocks_skip_is_refused(tmp_path):
    rows = [f"2020-03-08 0{hour}:30,10,12,9,11,1" for hour in (0, 1, 2)]
    with pytest.raises(DataError, match=r"row 3: SPY 2020-03-08 02:30:00 does not exist in America/New_York"):
        panel_of_rows(tmp_path, rows, timezone="America/New_York")


def test_an_unknown_zone_is_named(tmp_path):
    rows = [f"2020-03-02 0{hour}:30,10,12,9,11,1" for hour in (0, 1, 2)]
    with pytest.raises(DataError, match=r"data.timezone must be a zone .* was 'Nowhere/Town'"):
        panel_of_rows(tmp_path, rows, timezone="Nowhere/Town")


def test_sort_accepts_a_newest_first_export(tmp_path):
    forward = panel_of_rows(tmp_path, GOOD)
    backward = panel_of_rows(tmp_path, GOOD[::-1], name="back/SPY.csv", sort=True)
    assert forward.fingerprint == backward.fingerprint


def test_a_symbol_column_and_one_file_per_symbol_give_equal_panels(tmp_path):
    rows = {symbol: random_rows(40, seed) for seed, symbol in enumerate(("AAA", "BBB", "CCC"))}
    for symbol, lines in rows.items():
        write_csv(tmp_path / "folder" / f"{symbol}.csv", lines)
    mixed = [
        f"{symbol},{line}" for bar in zip(*rows.values(), strict=True) for symbol, line in zip(rows, bar, strict=True)
    ]
    write_csv(tmp_path / "all.csv", mixed, "ticker," + HEADER)
    store = str(tmp_path / "store")
    one = Csv(store=store, path=str(tmp_path / "all.csv")).panel()
    folder = Csv(store=store, path=str(tmp_path / "folder")).panel()
    pattern = Csv(store=store, path=str(tmp_path / "fold*" / "*.csv")).panel()
    assert one.symbols == ("AAA", "BBB", "CCC")
    assert one.fingerprint == folder.fingerprint == pattern.fingerprint


def test_instruments_with_different_days_align_on_the_union(tmp_path):
    write_csv(tmp_path / "in" / "A.csv", GOOD)
    write_csv(tmp_path / "in" / "B.csv", [GOOD[0], GOOD[3]])
    write_csv(tmp_path / "in" / "C.csv", [*GOOD[1:], "2020-01-08,13,15,12,14,130"])
    panel = Csv(store=str(tmp_path), path=str(tmp_path / "in")).panel()
    days = np.array(["2020-01-02", "2020-01-03", "2020-01-06", "2020-01-07", "2020-01-08"], "datetime64[us]")
    np.testing.assert_array_equal(panel.ts_T, days)
    expected = np.array([[1, 1, 0], [1, 0, 1], [1, 0, 1], [1, 1, 1], [0, 0, 1]], bool)
    np.testing.assert_array_equal(panel.tradable_TN, expected)
    np.testing.assert_array_equal(np.isnan(panel.close_TN), ~expected)
    assert (panel.volume_TN[~expected] == 0).all()


def test_gzipped_files_and_missing_volume_are_read(tmp_path):
    (tmp_path / "SPY.csv.gz").write_bytes(
        gzip.compress(b"\xef\xbb\xbfDate,Open,High,Low,Close\r\n2020-01-02,1,2,1,2\r\n2020-01-03,2,2,1,1\r\n")
    )
    source = Csv(store=str(tmp_path), path=str(tmp_path / "SPY.csv.gz"))
    assert source.ingest().remarks == ("no volume column: volume is 0",)
    panel = source.panel()
    assert panel.symbols == ("SPY",)
    assert panel.volume_TN.tolist() == [[0.0], [0.0]]


def test_the_same_bar_in_two_files_names_both(tmp_path):
    write_csv(tmp_path / "in" / "a.csv", ["SPY," + row for row in GOOD], "symbol," + HEADER)
    write_csv(tmp_path / "in" / "b.csv", ["SPY," + GOOD[3]], "symbol," + HEADER)
    with pytest.raises(DataError, match=r"b.csv row 1: SPY 2020-01-07 .* was there before \(a.csv row 4\)"):
        Csv(store=str(tmp_path), path=str(tmp_path / "in")).panel()


ODD_COLUMNS = {
    "'10:00'::TIME": "column 'date' of type TIME holds no date and time",
    "5": "column 'date' of type INTEGER holds no date and time",
    "NULL::BIGINT": "row 1: ts is missing",
    "DATE '2020-01-01' + i::INTEGER, [1.0]": "open must be a number, was '[1.0]'",
}


@pytest.mark.parametrize("columns", ODD_COLUMNS)
def test_columns_of_a_type_that_is_no_stamp_or_number_are_named(tmp_path, columns):
    names = "date, open, high, low, close" if "," in columns else "date"
    rest = "2.0, 1.0, 1.5" if "," in columns else "1.0 AS open, 2.0 AS high, 1.0 AS low, 1.5 AS close"
    path = tmp_path / "odd.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            f"CREATE TABLE bars AS SELECT * FROM (SELECT {columns}, {rest} FROM range(3) t(i)) AS t({names})"
        )
    with pytest.raises(DataError) as error:
        DuckDB(store=str(tmp_path), path=str(path)).panel()
    assert ODD_COLUMNS[columns] in str(error.value)


def test_an_unknown_table_lists_the_near_one(tmp_path):
    path = convert(write_csv(tmp_path / "a.csv"), tmp_path / "b.duckdb", table="prices")
    with pytest.raises(DataError, match=r"data.table: no table 'price'; did you mean 'prices'\?"):
        DuckDB(store=str(tmp_path), path=str(path), table="price").panel()


def test_a_stored_data_set_is_read_by_name_whatever_it_came_from(tmp_path):
    stored = panel_of_rows(tmp_path, GOOD, dataset="mine")
    again = DuckDB(store=str(tmp_path / "store"), dataset="mine")
    assert again.panel().fingerprint == stored.fingerprint
    assert not again.ingest().is_changed
    with pytest.raises(DataError, match=r"other.duckdb: no such data set; load it with"):
        DuckDB(store=str(tmp_path / "store"), dataset="other").panel()
    with pytest.raises(ValueError, match=r"^dataset must name a data set of the store, or path"):
        DuckDB(store=str(tmp_path))
