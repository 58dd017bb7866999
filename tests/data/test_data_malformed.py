"""The corpus of malformed inputs: each is refused with its fault, file and row, and the store stays as it was."""

import gzip
from pathlib import Path

import pytest
from bar_files import GOOD, HEADER, convert, random_rows, write_csv
from mini_lean import build_mini_lean, daily, zip_text

from tradewright.data.csv import Csv
from tradewright.data.duckdb import DuckDB
from tradewright.data.lean import Lean
from tradewright.data.parquet import Parquet
from tradewright.data.validate import BarsError


def good_with(row: int, text: str) -> list[str]:
    """Return the good rows with data row ``row`` (from 1) replaced."""
    return [*GOOD[: row - 1], text, *GOOD[row:]]


CORPUS = {
    "duplicate": (good_with(3, "2020-01-03,12,14,11,13,120"), "duplicate", 3, "was there before (bars.csv row 2)"),
    "unsorted": (good_with(3, "2020-01-01,12,14,11,13,120"), "unsorted", 3, "data.sort=true"),
    "missing_price": (good_with(2, "2020-01-03,11,13,,12,110"), "missing_value", 2, "low is missing"),
    "missing_volume": (good_with(2, "2020-01-03,11,13,10,12,"), "missing_value", 2, "volume is missing"),
    "missing_date": (good_with(2, ",11,13,10,12,110"), "missing_value", 2, "ts is missing"),
    "nan": (good_with(4, "2020-01-07,13,NaN,12,14,130"), "not_finite", 4, "high must be finite, was nan"),
    "infinite": (good_with(1, "2020-01-02,10,inf,9,11,100"), "not_finite", 1, "high must be finite, was inf"),
    "negative": (good_with(2, "2020-01-03,11,13,-10,12,110"), "not_positive", 2, "low must be > 0, was -10.0"),
    "zero": (good_with(2, "2020-01-03,0,13,0,12,110"), "not_positive", 2, "open must be > 0, was 0.0"),
    "high_below_low": (good_with(3, "2020-01-06,12,11,14,13,120"), "high_below_low", 3, "high 11.0 is below low 14.0"),
    "open_outside": (good_with(3, "2020-01-06,15,14,11,13,120"), "outside_range", 3, "open 15.0 lies outside"),
    "close_outside": (good_with(3, "2020-01-06,12,14,11,10,120"), "outside_range", 3, "close 10.0 lies outside"),
    "negative_volume": (
        good_with(1, "2020-01-02,10,12,9,11,-1"),
        "negative_volume",
        1,
        "volume must be >= 0, was -1.0",
    ),
    "unparsable_price": (
        good_with(2, "2020-01-03,11,13,10,x12,110"),
        "unparsable",
        2,
        "close must be a number, was 'x12'",
    ),
    "unparsable_date": (good_with(2, "2020-13-03,11,13,10,12,110"), "unparsable", 2, "was '2020-13-03'"),
    "ambiguous_date": (["01/02/2020,10,12,9,11,100"], "unparsable", 1, "data.time_format"),
    "mixed_zones": (good_with(3, "2020-01-06T00:00:00Z,12,14,11,13,120"), "mixed_zones", 3, "without zone"),
    "two_zones": (
        ["2020-01-02T00:00:00+00:00,10,12,9,11,100", "2020-01-03T00:00:00+09:00,11,13,10,12,110"],
        "mixed_zones",
        2,
        "+9 h from UTC",
    ),
    "cut_off": ([*GOOD[:3], "2020-01-07,13,15"], "truncated", 4, "3 fields, expected 6; the file may be cut off"),
    "decimal_comma": (good_with(2, "2020-01-03,11,5,13,10,12,110"), "unparsable", 2, "7 fields, expected 6"),
    "open_quote": (good_with(4, '"2020-01-07,13,15,12,14,130'), "unparsable", 4, "a quote is not closed"),
    "no_rows": ([], "empty", None, "no bars in it"),
    "one_bar": (GOOD[:1], "spacing", None, "does not tell the bar length"),
    "odd_spacing": (
        ["2020-01-02 00:00:07,1,1,1,1,1", "2020-01-02 00:00:18,1,1,1,1,1"],
        "spacing",
        None,
        "mostly 11 s apart",
    ),
    "overlap": (
        [
            "2020-01-02 10:00,1,1,1,1,1",
            "2020-01-02 10:05,1,1,1,1,1",
            "2020-01-02 10:10,1,1,1,1,1",
            "2020-01-02 10:11,1,1,1,1,1",
        ],
        "spacing",
        4,
        "starts 60 s after its previous bar",
    ),
    "monthly": (
        ["2020-01-31,1,1,1,1,1", "2020-03-02,1,1,1,1,1"],
        "spacing",
        None,
        "expected a length that divides a day",
    ),
}


@pytest.mark.row("N64")
@pytest.mark.parametrize("case", CORPUS)
def test_a_malformed_csv_file_is_refused_by_row(tmp_path, case):
    rows, fault, row, text = CORPUS[case]
    store = str(tmp_path / "store")
    good = Csv(store=store, dataset="mine", path=str(write_csv(tmp_path / "good.csv"))).panel()
    with pytest.raises(BarsError) as error:
        Csv(store=store, dataset="mine", path=str(write_csv(tmp_path / "bars.csv", rows))).panel()
    assert error.value.fault == fault
    assert error.value.row == row
    assert error.value.file == "bars.csv"
    assert text in str(error.value)
    assert str(error.value).startswith("bars.csv" if row is None else f"bars.csv row {row}: ")
    assert "\n" not in str(error.value)
    assert DuckDB(store=store, dataset="mine").panel().fingerprint == good.fingerprint
    assert sorted(p.name for p in (tmp_path / "store" / "bars").iterdir()) == ["mine.duckdb", "mine.lock"]


def test_a_missing_column_lists_what_was_found(tmp_path):
    path = write_csv(tmp_path / "closes.csv", ["2020-01-02,11"], header="date,close")
    with pytest.raises(
        BarsError, match=r"closes.csv: no column 'open' in the header; found date, close; accepted"
    ) as error:
        Csv(store=str(tmp_path), path=str(path)).ingest()
    assert error.value.fault == "missing_column"


def test_a_file_without_header_is_told_to_have_one(tmp_path):
    path = tmp_path / "ES.txt"
    path.write_text("20200102 093000;3244.5;3245.25;3244;3245;812\n20200102 093100;3245;3246;3244.75;3245.5;640\n")
    with pytest.raises(BarsError, match=r"ES.txt: no column 'ts' in the header; .*; the first line must be a header"):
        Csv(store=str(tmp_path), path=str(path)).ingest()


def damaged_files(folder: Path) -> dict[str, Path]:
    """Write files that are cut off, empty or of another format."""
    folder.mkdir()
    text = "\n".join([HEADER, *random_rows(3_000)])
    (folder / "whole.csv").write_text(text)
    parquet = convert(folder / "whole.csv", folder / "whole.parquet").read_bytes()
    contents = {
        "empty.csv": b"",
        "binary.csv": bytes(range(256)) * 4,
        "latin.csv": (HEADER + "\n2020-01-02,10,12,9,11,\xe9\n").encode("latin-1"),
        "cut.csv.gz": gzip.compress(text.encode())[:-5],
        "half.csv.gz": gzip.compress(text.encode())[:4_000],
        "plain.csv.gz": text.encode(),
        "cut.parquet": parquet[:-10],
        "half.parquet": parquet[: len(parquet) // 2],
        "torn.parquet": parquet[:200] + b"\0" * 400 + parquet[600:],
        "empty.parquet": b"",
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return {name: folder / name for name in contents}


@pytest.mark.parametrize(
    "name",
    ["empty.csv", "binary.csv", "latin.csv", "cut.csv.gz", "half.csv.gz", "plain.csv.gz", "cut.parquet", "half.parquet",
     "torn.parquet", "empty.parquet"],
)  # fmt: skip
def test_a_damaged_file_is_named(tmp_path, name):
    path = damaged_files(tmp_path / "files")[name]
    option = Parquet if path.suffix == ".parquet" else Csv
    with pytest.raises(BarsError) as error:
        option(store=str(tmp_path), path=str(path)).panel()
    assert error.value.fault in ("truncated", "empty", "unparsable")
    assert str(error.value).startswith(name)
    assert "\n" not in str(error.value)


LEAN_CORPUS = {
    "no_zip": (None, "truncated", None, "cut off or no zip"),
    "cut_row": ([*daily(["20200102"], 10_000), "20200103 00:00,1,2"], "truncated", 2, "3 fields, expected 6"),
    "bad_number": (
        [*daily(["20200102"], 10_000), "20200103 00:00,1,2,1,x,5"],
        "unparsable",
        2,
        "close must be a number, was 'x'",
    ),
    "bad_date": (["2020-01-02,1,2,1,1,5"], "unparsable", 1, "was '2020-01-02'"),
    "duplicate": (daily(["20200102", "20200102"], 10_000), "duplicate", 2, "was there before"),
    "high_below_low": (["20200102 00:00,5,4,6,5,5"], "high_below_low", 1, "high 0.0004 is below low 0.0006"),
}


@pytest.mark.parametrize("case", LEAN_CORPUS)
def test_a_malformed_lean_zip_is_refused_by_row(tmp_path, case):
    lines, fault, row, text = LEAN_CORPUS[case]
    root = build_mini_lean(tmp_path / "lean")
    path = root / "equity" / "usa" / "daily" / "new.zip"
    if lines is None:
        path.write_bytes(path.read_bytes()[:60])
    else:
        zip_text(path, "new.csv", lines)
    with pytest.raises(BarsError) as error:
        Lean(store=str(tmp_path), path=str(root)).ingest()
    assert error.value.fault == fault
    assert error.value.row == row
    assert "new.zip" in str(error.value)
    assert text in str(error.value)
