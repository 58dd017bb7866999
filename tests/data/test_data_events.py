"""Splits, dividends, rates and rolls beside the bars: what a panel carries, and what is refused by file and row."""

from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest
from bar_files import convert, random_rows, write_csv
from mini_lean import build_mini_lean

from tradewright.data.adjust import Action
from tradewright.data.csv import Csv
from tradewright.data.duckdb import DuckDB
from tradewright.data.lean import Lean
from tradewright.data.panel import Panel
from tradewright.data.parquet import Parquet
from tradewright.data.resample import resample
from tradewright.data.source import Progress
from tradewright.data.staging import Staging
from tradewright.errors import DataError

BARS = [
    f"2024-01-0{day},{name},{price},{price + 2},{price - 2},{price + 1},1000"
    for name, price in (("ESH4", 100), ("ESM4", 110), ("ESU4", 125))
    for day in range(1, 9)
]
ROLLS = [
    "ES,2024-01-04,ESH4,ESM4,101,111",
    "ES,2024-01-07,ESM4,ESU4,112,126",
]
ROLL_HEADER = "root,ts,from_symbol,to_symbol,from_price,to_price"
RATE_HEADER = "symbol,ts,funding,borrow"
RATES = ["ESH4,2024-01-03,0.001,", "ESH4,2024-01-05 12:00,-0.002,0.1", "ESM4,2024-01-02,,0.05", "ESM4,2024-01-06,,0.2"]


@pytest.fixture
def bars(tmp_path: Path) -> Path:
    return write_csv(tmp_path / "bars.csv", BARS, "date,symbol,open,high,low,close,volume")


def csv_source(tmp_path: Path, **keys: object) -> Csv:
    return Csv(store=str(tmp_path / "store"), path=str(tmp_path / "bars.csv"), **keys)


def rates(tmp_path: Path, rows: list[str] = RATES, header: str = RATE_HEADER) -> str:
    return str(write_csv(tmp_path / "rates.csv", rows, header))


def rolls(tmp_path: Path, rows: list[str] = ROLLS, header: str = ROLL_HEADER) -> str:
    return str(write_csv(tmp_path / "rolls.csv", rows, header))


def test_root_is_stitched_from_its_contracts(bars: Path, tmp_path: Path) -> None:
    panel = csv_source(tmp_path, rolls=rolls(tmp_path)).panel()
    assert panel.symbols == ("ES",)
    np.testing.assert_array_equal(panel.open_TN[:, 0], [100, 100, 100, 110, 110, 110, 125, 125])
    nan = np.nan
    np.testing.assert_array_equal(panel.roll_from_TN[:, 0], [nan, nan, nan, 101, nan, nan, 112, nan])
    np.testing.assert_array_equal(panel.roll_to_TN[:, 0], [nan, nan, nan, 111, nan, nan, 126, nan])
    assert panel.instruments[0].kind == "future"


def test_contracts_are_there_when_they_are_named(bars: Path, tmp_path: Path) -> None:
    panel = csv_source(tmp_path, rolls=rolls(tmp_path), symbols=["ESM4", "ES"]).panel()
    assert panel.symbols == ("ESM4", "ES")
    assert np.isnan(panel.roll_from_TN[:, 0]).all()


def test_signals_of_a_rolled_future_do_not_jump_and_know_no_later_roll(bars: Path, tmp_path: Path) -> None:
    panel = csv_source(tmp_path, rolls=rolls(tmp_path)).panel()
    signals = panel.for_signals()
    factor = np.array([1, 1, 1, 101 / 111, 101 / 111, 101 / 111, 101 / 111 * 112 / 126, 101 / 111 * 112 / 126])
    np.testing.assert_allclose(panel.signal_factor_TN[:, 0], factor, rtol=1e-15)
    np.testing.assert_allclose(signals.close_TN[:, 0], panel.close_TN[:, 0] * factor, rtol=1e-15)
    np.testing.assert_array_equal(signals.volume_TN, panel.volume_TN)
    assert signals.roll_from_TN is None
    assert signals.for_signals() is signals
    early = panel.slice(0, 6).for_signals()
    np.testing.assert_array_equal(early.close_TN, signals.close_TN[:6])


def test_contract_sets_the_facts_of_a_future(bars: Path, tmp_path: Path) -> None:
    panel = csv_source(tmp_path, contract="MES", rolls=rolls(tmp_path)).panel()
    instrument = panel.instruments[0]
    assert (instrument.multiplier, instrument.tick, instrument.lot, instrument.calendar) == (5.0, 0.25, 1.0, "futures")
    assert csv_source(tmp_path, contract="ES", calendar="equity").panel().instruments[0].calendar == "equity"


def test_unknown_contract_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"^contract 'EES' is unknown; did you mean 'ES'\?"):
        csv_source(tmp_path, contract="EES")


def test_rates_are_paid_before_the_bar_that_follows_them(bars: Path, tmp_path: Path) -> None:
    panel = csv_source(tmp_path, rates=rates(tmp_path), symbols=["ESH4", "ESM4"]).panel()
    np.testing.assert_array_equal(panel.funding_TN[:, 0], [0, 0, 0.001, 0, 0, -0.002, 0, 0])
    np.testing.assert_array_equal(panel.funding_TN[:, 1], np.zeros(8))
    nan = np.nan  # a rate said at an instant holds for the time from the next open on
    np.testing.assert_array_equal(panel.borrow_TN[:, 0], [nan, nan, nan, nan, nan, nan, 0.1, 0.1])
    np.testing.assert_array_equal(panel.borrow_TN[:, 1], [nan, nan, 0.05, 0.05, 0.05, 0.05, 0.2, 0.2])


@pytest.mark.parametrize("kind", ["csv", "parquet", "duckdb"])
def test_side_tables_read_alike_from_every_format(bars: Path, tmp_path: Path, kind: str) -> None:
    plain = csv_source(tmp_path, rates=rates(tmp_path), rolls=rolls(tmp_path), symbols=["ES", "ESM4", "ESH4"]).panel()
    beside = {}
    for table in ("rates", "rolls"):
        source = tmp_path / f"{table}.csv"
        beside[table] = str(source if kind == "csv" else convert(source, tmp_path / f"{table}.{kind}", table))
    if kind == "duckdb":
        converted = convert(tmp_path / "bars.csv", tmp_path / "b.duckdb")
        source = DuckDB(
            store=str(tmp_path / "s2"), path=str(converted), symbols=["ES", "ESM4", "ESH4"], calendar="equity", **beside
        )
    else:
        converted = convert(tmp_path / "bars.csv", tmp_path / "b.parquet")
        source = Parquet(store=str(tmp_path / "s2"), path=str(converted), symbols=["ES", "ESM4", "ESH4"], **beside)
    panel = source.panel()
    for name in ("open_TN", "funding_TN", "borrow_TN", "roll_from_TN", "roll_to_TN"):
        np.testing.assert_array_equal(getattr(panel, name), getattr(plain, name), err_msg=name)
    assert panel.fingerprint == plain.fingerprint
    stored = DuckDB(store=str(tmp_path / "s2"), dataset=source.name, symbols=["ES", "ESM4", "ESH4"]).panel()
    np.testing.assert_array_equal(stored.funding_TN, plain.funding_TN)


def test_changed_side_table_is_read_again_and_changes_the_fingerprint(bars: Path, tmp_path: Path) -> None:
    source = csv_source(tmp_path, rates=rates(tmp_path), symbols=["ESH4"], dataset="one")
    first = source.panel()
    rates(tmp_path, ["ESH4,2024-01-03,0.009,"])
    second = source.panel()
    assert (first.funding_TN[2, 0], second.funding_TN[2, 0]) == (0.001, 0.009)
    without = replace(source, rates=None).panel()
    assert without.funding_TN is None
    assert len({first.fingerprint, second.fingerprint, without.fingerprint}) == 3
    np.testing.assert_array_equal(first.close_TN, without.close_TN)


BAD_RATES = {
    "unknown_symbol": (["ESH5,2024-01-03,0.1,"], r"rates.csv row 1: symbol 'ESH5' has no bars; did you mean"),
    "no_number": ([*RATES[:1], "ESH4,2024-01-04,x,"], r"rates.csv row 2: funding must be a finite number, was 'x'"),
    "infinite": (["ESH4,2024-01-04,,inf"], r"rates.csv row 1: borrow must be a finite number, was 'inf'"),
    "negative_borrow": (["ESH4,2024-01-04,,-0.1"], r"row 1: ESH4 2024-01-04 00:00:00: borrow must be >= 0, was -0.1"),
    "whole_position": (["ESH4,2024-01-04,1.0,"], r"row 1: .*funding must be a fraction in \(-1, 1\), was 1.0"),
    "nothing": (["ESH4,2024-01-04,,"], r"row 1: .*neither funding nor borrow is given"),
    "double": ([*RATES, RATES[1]], r"rates.csv row 5: ESH4 2024-01-05 12:00:00 was there before"),
    "no_date": ([*RATES, "ESH4,yesterday,0.1,"], r"rates.csv row 5: ts must be a date and time, was 'yesterday'"),
    "before_christ": (["ESH4,0025-01-02 (BC),0.1,"], r"rates.csv row 1: ts must be a date and time, was '0025"),
    "missing_date": (["ESH4,,0.1,"], r"rates.csv row 1: ts must be a date and time, was None"),
    "cut_off": ([*RATES, "ESH4,2024"], r"rates.csv row 5: 2 fields, expected 4"),
}


@pytest.mark.parametrize("name", BAD_RATES)
def test_malformed_rate_is_refused_by_file_and_row(bars: Path, tmp_path: Path, name: str) -> None:
    rows, message = BAD_RATES[name]
    with pytest.raises(DataError, match=message):
        csv_source(tmp_path, rates=rates(tmp_path, rows)).panel()
    assert not list((tmp_path / "store").rglob("*.duckdb"))


BAD_ROLLS = {
    "unknown_contract": (["ES,2024-01-04,ESH4,ESZ4,101,111"], r"rolls.csv row 1: to_symbol 'ESZ4' has no bars"),
    "root_with_bars": (["ESH4,2024-01-04,ESH4,ESM4,101,111"], r"row 1: root 'ESH4' is a symbol that has bars"),
    "no_root": ([",2024-01-04,ESH4,ESM4,101,111"], r"row 1: root is missing"),
    "no_price": (["ES,2024-01-04,ESH4,ESM4,,111"], r"row 1: from_price must be a price > 0, was None"),
    "zero_price": (["ES,2024-01-04,ESH4,ESM4,101,0"], r"row 1: to_price must be a price > 0, was 0.0"),
    "broken_chain": ([ROLLS[0], "ES,2024-01-07,ESH4,ESU4,112,126"], r"row 2: ES leaves 'ESH4' on .* holds 'ESM4'"),
    "same_time": ([ROLLS[0], "ES,2024-01-04,ESM4,ESU4,112,126"], r"row 2: ES 2024-01-04.* was there before"),
    "inside_a_bar": (["ES,2024-01-04 15:00,ESH4,ESM4,101,111"], r"ES at 2024-01-04T15.* lies inside the bar of ES"),
    "before_all_bars": (["ES,2023-01-04,ESH4,ESM4,101,111"], r"ES holds 'ESH4' from .* which has no bar there"),
}


@pytest.mark.parametrize("name", BAD_ROLLS)
def test_malformed_roll_is_refused_by_file_and_row(bars: Path, tmp_path: Path, name: str) -> None:
    rows, message = BAD_ROLLS[name]
    with pytest.raises(DataError, match=message):
        csv_source(tmp_path, rolls=rolls(tmp_path, rows)).panel()
    assert not list((tmp_path / "store").rglob("*.duckdb"))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("symbol,ts,carry", r"rates.csv: no column 'funding or borrow' in the header; found symbol, ts, carry"),
        ("name,ts,funding", r"rates.csv: no column 'symbol' in the header"),
        ("symbol,when,funding", r"rates.csv: no column 'ts' in the header"),
    ],
)
def test_side_table_without_its_columns_is_refused(bars: Path, tmp_path: Path, header: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        csv_source(tmp_path, rates=rates(tmp_path, ["ESH4,2024-01-03,0.1"], header)).panel()


def test_missing_or_damaged_side_table_is_named(bars: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data\.rates=nowhere\.csv: no such file"):
        csv_source(tmp_path, rates="nowhere.csv").panel()
    (tmp_path / "rates.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(DataError, match=r"rates\.parquet: cannot be read"):
        csv_source(tmp_path, rates=str(tmp_path / "rates.parquet")).panel()
    with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
        connection.execute("CREATE TABLE other(a INT)")
    with pytest.raises(DataError, match=r"x\.duckdb: no table 'rates'; known: other"):
        csv_source(tmp_path, rates=str(tmp_path / "x.duckdb")).panel()


def test_stored_data_set_brings_its_own_rates() -> None:
    with pytest.raises(ValueError, match=r"^rates needs path"):
        DuckDB(dataset="x", rates="rates.csv")


@pytest.fixture
def lean(tmp_path: Path):
    root = build_mini_lean(tmp_path / "lean")
    return lambda **keys: Lean(store=str(tmp_path / "store"), path=str(root), symbols=["XYZ"], **keys)


def test_unadjusted_panel_carries_the_actions_that_its_prices_lack(lean) -> None:
    raw, split, total = (lean(adjust=adjust).panel() for adjust in ("none", "splits", "all"))
    assert total.split_TN is None and total.dividend_TN is None  # noqa: PT018
    at_split, at_dividend = 4, 6  # 2020-01-08 and 2020-01-10
    np.testing.assert_array_equal(raw.split_TN[:, 0], [1, 1, 1, 1, 2, 1, 1, 1])
    assert split.split_TN is None
    for panel in (raw, split):
        assert np.flatnonzero(panel.dividend_TN[:, 0]).tolist() == [at_dividend]
        assert panel.dividend_TN[at_dividend, 0] == pytest.approx(1.0001, rel=1e-12)
    np.testing.assert_allclose(raw.signal_factor_TN[at_split - 1 : at_dividend, 0], [1, 2, 2])
    assert len({panel.fingerprint for panel in (raw, split, total)}) == 3


def test_signals_of_an_unadjusted_panel_move_as_the_adjusted_one_does(lean) -> None:
    raw, total = (lean(adjust=adjust).panel() for adjust in ("none", "all"))
    signals = raw.for_signals()
    for name in ("open_TN", "high_TN", "low_TN", "close_TN"):
        adjusted = getattr(total, name)[:, 0]
        np.testing.assert_allclose(getattr(signals, name)[:, 0] / adjusted, 1 / 0.495, rtol=1e-4)
    np.testing.assert_allclose(signals.volume_TN, total.volume_TN / 2, rtol=1e-12)


def test_split_inside_a_longer_bar_is_refused(lean) -> None:
    with pytest.raises(DataError, match=r"XYZ: the split of 2020-01-08 .* lies inside its 1w bar of .*data\.adjust"):
        lean(timeframe="1w", adjust="none").panel()


def minute_panel(tmp_path: Path) -> Panel:
    write_csv(tmp_path / "m.csv", random_rows(8, minutes=30), "date,open,high,low,close,volume")
    panel = Csv(store=str(tmp_path / "s"), path=str(tmp_path / "m.csv")).panel()
    ones, nans = np.ones((8, 1)), np.full((8, 1), np.nan)
    split, funding, borrow = ones.copy(), 0 * ones, np.arange(8.0)[:, None]
    split[4], funding[1:4] = 2.0, [[0.1], [0.2], [0.4]]
    roll_from, roll_to = nans.copy(), nans.copy()
    roll_from[6], roll_to[6] = 5.0, 6.0
    return replace(
        panel, split_TN=split, dividend_TN=funding, funding_TN=funding, borrow_TN=borrow, roll_from_TN=roll_from,
        roll_to_TN=roll_to, finer=panel,
    )  # fmt: skip


def test_longer_bars_carry_the_events_of_the_shorter_ones(tmp_path: Path) -> None:
    hours = resample(minute_panel(tmp_path), "1h")
    assert hours.num_bars == 4
    np.testing.assert_array_equal(hours.split_TN[:, 0], [1, 1, 2, 1])
    np.testing.assert_allclose(hours.funding_TN[:, 0], [0, 0.1 + 0.2, 0.4, 0])
    np.testing.assert_allclose(hours.dividend_TN[:, 0], [0, 0.1 + 0.2, 0.4, 0])
    np.testing.assert_array_equal(hours.roll_from_TN[:, 0], [np.nan, np.nan, np.nan, 5])
    np.testing.assert_array_equal(hours.roll_to_TN[:, 0], [np.nan, np.nan, np.nan, 6])
    np.testing.assert_array_equal(hours.borrow_TN[1:, 0], [1, 3, 5])


def test_longer_bar_over_a_split_is_refused(tmp_path: Path) -> None:
    panel = minute_panel(tmp_path)
    with pytest.raises(DataError, match=r"the split of .* lies inside its 4h bar"):
        resample(replace(panel, roll_from_TN=None, roll_to_TN=None), "4h")


def test_slice_carries_events_and_finer_bars(tmp_path: Path) -> None:
    part = minute_panel(tmp_path).slice(3, 7)
    np.testing.assert_array_equal(part.split_TN[:, 0], [1, 2, 1, 1])
    np.testing.assert_array_equal(part.borrow_TN[:, 0], [3, 4, 5, 6])
    assert part.finer.num_bars == 4
    assert part.slice(1, 2).finer.ts_T.tolist() == part.ts_T[1:2].tolist()
    assert part.slice(2, 2).num_bars == 0


def test_finer_bars_are_read_from_the_same_store(tmp_path: Path) -> None:
    write_csv(tmp_path / "m.csv", random_rows(48, minutes=30), "date,open,high,low,close,volume")
    source = Csv(store=str(tmp_path / "s"), path=str(tmp_path / "m.csv"), timeframe="4h")
    panel = source.panel()
    assert source.with_finer(panel, None) is panel
    finer = source.with_finer(panel, "1h").finer
    assert (finer.timeframe_s, finer.num_bars) == (3600, 24)
    for bad in ("4h", "1d"):
        with pytest.raises(DataError, match=rf"backtest\.finer_timeframe={bad} must be shorter than the bars of 4h"):
            source.with_finer(panel, bad)
    with pytest.raises(DataError, match=r"1m cannot be made from the 30m bars"):
        source.with_finer(panel, "1m")


def test_dividend_is_measured_by_the_close_before_it(tmp_path: Path) -> None:
    """3 of a close of 60 is 5 %: earlier bars stay, later ones are divided by 0.95; the missing bar keeps the close."""
    panel = minute_panel(tmp_path).slice(0, 4)
    close = np.array([[40.0], [60.0], [np.nan], [90.0]])
    panel = replace(
        panel, close_TN=close, tradable_TN=~np.isnan(close), split_TN=None, roll_from_TN=None, roll_to_TN=None,
        dividend_TN=np.array([[9.0], [0.0], [0.0], [3.0]]),
    )  # fmt: skip
    np.testing.assert_allclose(panel.signal_factor_TN[:, 0], [1, 1, 1, 1 / 0.95], rtol=1e-15)
    with pytest.raises(DataError, match=r"the dividend 60\.0 before the bar at .* is not below the last close"):
        _ = replace(panel, dividend_TN=np.array([[0.0], [0.0], [0.0], [60.0]])).signal_factor_TN


def test_split_adjusted_panel_pays_dividends_per_share_of_today(tmp_path: Path) -> None:
    """Two dividends of 1, before and after a 4:1 split: of adjusted prices the first is a quarter."""

    class WithActions(Csv):
        def _stage(self, staging: Staging, progress: Progress) -> None:
            super()._stage(staging, progress)
            days = {kind: np.datetime64(day, "us") for kind, day in DAYS.items()}
            staging.actions += [
                Action(symbol="A", ex_ts=days["first"], kind="dividend", ratio=0.99, cash=1.0),
                Action(symbol="A", ex_ts=days["split"], kind="split", ratio=0.25),
                Action(symbol="A", ex_ts=days["last"], kind="dividend", ratio=0.96, cash=1.0),
            ]

    write_csv(tmp_path / "A.csv", random_rows(8), "date,open,high,low,close,volume")
    source = WithActions(store=str(tmp_path / "s"), path=str(tmp_path / "A.csv"), adjust="splits")
    np.testing.assert_array_equal(source.panel().dividend_TN[:, 0], [0, 0, 0.25, 0, 0, 0, 1, 0])
    raw = replace(source, adjust="none").panel()
    np.testing.assert_array_equal(raw.dividend_TN[:, 0], [0, 0, 1, 0, 0, 0, 1, 0])
    np.testing.assert_array_equal(raw.split_TN[:, 0], [1, 1, 1, 1, 4, 1, 1, 1])


DAYS = {"first": "2020-01-04", "split": "2020-01-06", "last": "2020-01-08"}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(1, 8))])
def test_garbage_beside_the_bars_is_refused_in_one_line_and_leaves_the_store(
    bars: Path, tmp_path: Path, seed: int
) -> None:
    """Bytes of a valid table are changed at random: it is read, or refused by a DataError; the old panel stays."""
    rng = np.random.default_rng(seed)
    source = csv_source(tmp_path, rolls=rolls(tmp_path), rates=rates(tmp_path), dataset="kept", symbols=["ES", "ESM4"])
    before = source.panel()
    store = tmp_path / "store" / "bars" / "kept.duckdb"
    for name in ("rates", "rolls"):
        path = tmp_path / f"{name}.csv"
        good = path.read_bytes()
        for _ in range(12):
            text = bytearray(good)
            for at in rng.integers(0, len(text), int(rng.integers(1, 4))):
                text[at] = int(rng.choice(list(b',\n"x-0\x00\xff.5e')))
            path.write_bytes(bytes(text))
            kept = store.read_bytes()
            error = None
            try:
                source.ingest(force=True)
            except DataError as refused:
                error = refused
            assert error is None or ("\n" not in str(error) and store.read_bytes() == kept)
        path.write_bytes(good)
    np.testing.assert_array_equal(source.panel().roll_to_TN, before.roll_to_TN)


def test_store_from_before_there_were_rates_and_rolls_is_read(bars: Path, tmp_path: Path) -> None:
    source = csv_source(tmp_path, dataset="old")
    expected = source.panel()
    with duckdb.connect(str(tmp_path / "store" / "bars" / "old.duckdb")) as connection:
        connection.execute("DROP TABLE rates; DROP TABLE rolls")
    assert source.panel().fingerprint == expected.fingerprint
