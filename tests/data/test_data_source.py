"""Sources: what is loaded when, which bars a selection holds, what names and fingerprints depend on."""

import os
import subprocess
import sys

import numpy as np
import pytest
from bar_files import GOOD, random_rows, write_csv

from tradewright.data.csv import Csv
from tradewright.data.nasdaq import Nasdaq
from tradewright.data.synthetic import Synthetic
from tradewright.errors import DataError


@pytest.fixture(scope="module")
def nasdaq(tmp_path_factory):
    source = Nasdaq(store=str(tmp_path_factory.mktemp("store")))
    return source, source.panel()


def test_nasdaq_holds_the_published_bars(nasdaq):
    source, panel = nasdaq
    assert (panel.num_bars, panel.symbols, panel.timeframe_s) == (5_031, ("NASDAQ",), 86_400)
    assert (str(panel.ts_T[0])[:10], str(panel.ts_T[-1])[:10]) == ("1999-01-04", "2018-12-31")
    assert panel.close_TN[0, 0] == 2208.050049
    assert panel.close_TN[-1, 0] == 6635.279785
    assert int((panel.volume_TN == 0).sum()) == 2
    assert panel.instruments[0].kind == "index"
    assert panel.note == "An index is not itself tradable."
    assert not panel.is_synthetic
    assert panel.periods_per_year == 252
    assert len(source.ranges(panel).train) == 3_522


def test_nasdaq_equals_the_frame_that_arch_loads(nasdaq):
    arch_nasdaq = pytest.importorskip("arch.data.nasdaq", reason="arch is a dependency of the package")
    frame = arch_nasdaq.load()
    for name in ("Open", "High", "Low", "Close", "Volume"):
        np.testing.assert_array_equal(getattr(nasdaq[1], f"{name.lower()}_TN")[:, 0], frame[name].to_numpy())
    assert (frame["Adj Close"] == frame["Close"]).all()


def test_a_second_call_reads_the_store_and_an_untouched_input_is_not_loaded_again(tmp_path):
    path = write_csv(tmp_path / "SPY.csv")
    source = Csv(store=str(tmp_path), path=str(path))
    assert source.ingest().is_changed
    assert not source.ingest().is_changed
    assert source.ingest(force=True).is_changed
    os.utime(path, (1, 1))
    assert not source.ingest().is_changed  # another time, the same content
    created = source.ingest().fingerprint
    write_csv(path, GOOD[:3])
    assert source.panel().num_bars == 3  # changed input is noticed without being asked
    assert source.ingest().fingerprint != created


def test_a_new_file_in_the_folder_is_noticed(tmp_path):
    write_csv(tmp_path / "in" / "A.csv")
    source = Csv(store=str(tmp_path), path=str(tmp_path / "in"))
    assert source.panel().symbols == ("A",)
    write_csv(tmp_path / "in" / "B.csv")
    assert source.panel().symbols == ("A", "B")


def test_a_changed_parameter_loads_anew_under_a_given_name(tmp_path):
    path = write_csv(tmp_path / "A.csv", [row.replace(",", " 12:00,", 1) for row in GOOD])
    keys = {"store": str(tmp_path), "path": str(path), "dataset": "mine"}
    assert Csv(**keys).panel().ts_T[0] == np.datetime64("2020-01-02T12:00")
    assert Csv(**keys, timezone="America/New_York").panel().ts_T[0] == np.datetime64("2020-01-02T17:00")
    assert Csv(**keys).panel().ts_T[0] == np.datetime64("2020-01-02T12:00")


def test_fingerprint_depends_on_content_not_on_place(tmp_path):
    one = Csv(path=str(write_csv(tmp_path / "one" / "A.csv")))
    two = Csv(path=str(write_csv(tmp_path / "two" / "A.csv")))
    other = Csv(path=str(write_csv(tmp_path / "three" / "A.csv", GOOD[:3])))
    assert one.fingerprint() == two.fingerprint()
    assert one.fingerprint() != other.fingerprint()
    assert len({one.name, two.name, other.name}) == 3


@pytest.mark.parametrize(
    ("change", "value"),
    [("seed", 1), ("num_bars", 60), ("num_symbols", 2), ("drift", 0.1), ("volatility", 0.3), ("signal_strength", 0.2),
     ("timeframe", "1h"), ("calendar", "crypto")],
)  # fmt: skip
def test_synthetic_sets_with_different_parameters_never_share_a_name(change, value):
    base = {"num_bars": 50, "dataset": "mine"}
    assert Synthetic(**base).name.startswith("mine-")
    assert Synthetic(**base).name != Synthetic(**{**base, change: value}).name


def test_symbols_keep_the_given_order_and_unknown_ones_are_suggested(tmp_path):
    for seed, symbol in enumerate(("AAA", "BBB", "CCC")):
        write_csv(tmp_path / "in" / f"{symbol}.csv", random_rows(20, seed))
    keys = {"store": str(tmp_path), "path": str(tmp_path / "in")}
    every = Csv(**keys).panel()
    some = Csv(**keys, symbols=["CCC", "AAA"]).panel()
    assert some.symbols == ("CCC", "AAA")
    np.testing.assert_array_equal(some.close_TN, every.close_TN[:, [2, 0]])
    with pytest.raises(DataError, match=r"data.symbols: .* has no symbol 'AAB'; did you mean 'AAA'\?"):
        Csv(**keys, symbols=["AAB"]).panel()


def test_start_and_end_are_inclusive(nasdaq):
    source, panel = nasdaq
    part = Nasdaq(store=source.store, start="2001-09-10", end="2001-09-18").panel()
    assert [str(day)[:10] for day in part.ts_T] == ["2001-09-10", "2001-09-17", "2001-09-18"]
    assert part.fingerprint != panel.fingerprint
    with pytest.raises(DataError, match=r"no bars of 'NASDAQ' in this span; .* has 1999-01-04 00:00:00 to 2018-12-31"):
        Nasdaq(store=source.store, start="2030-01-01").panel()


def test_longer_bars_are_made_from_stored_ones_and_shorter_ones_refused(nasdaq):
    source, panel = nasdaq
    weekly = source.panel(timeframe="1w")
    first = slice(0, 5)  # Monday 1999-01-04 to Friday
    assert weekly.open_TN[0, 0] == panel.open_TN[0, 0]
    assert weekly.high_TN[0, 0] == panel.high_TN[first].max()
    assert weekly.low_TN[0, 0] == panel.low_TN[first].min()
    assert weekly.close_TN[0, 0] == panel.close_TN[4, 0]
    assert weekly.volume_TN[0, 0] == panel.volume_TN[first].sum()
    assert weekly.known_at_T[0] == np.datetime64("1999-01-11")
    with pytest.raises(DataError, match=r"data.timeframe=1h cannot be made from the 1d bars of data set 'nasdaq'"):
        source.panel(timeframe="1h")


def test_calendar_can_be_overridden_without_loading_again(nasdaq):
    assert Nasdaq(store=nasdaq[0].store, calendar="crypto").panel().periods_per_year == 365


@pytest.mark.parametrize(
    ("keys", "start"),
    [
        ({"adjust": "some"}, "adjust must be all, splits or none"),
        ({"calendar": "equityy"}, "calendar 'equityy' is unknown; did you mean 'equity'"),
        ({"symbols": []}, "symbols must name each symbol once"),
        ({"symbols": ["A", "A"]}, "symbols must name each symbol once"),
        ({"timeframe": "7m"}, "timeframe must be a bar length such as"),
        ({"start": "yesterday"}, "start must be an ISO date"),
        ({"start": "2020-02-01", "end": "2020-01-01"}, "end must not lie before start"),
        ({"session_start": "25:00"}, "session_start must be a time of day"),
        ({"dataset": "../x"}, "dataset must be letters, digits"),
    ],
)
def test_a_wrong_key_is_named(keys, start):
    with pytest.raises(ValueError, match="^" + start):
        Nasdaq(**keys)


def test_reading_a_warm_store_imports_neither_pandas_nor_arch_nor_torch(nasdaq):
    code = (
        "import sys; from tradewright.data.nasdaq import Nasdaq; "
        f"Nasdaq(store={nasdaq[0].store!r}).panel(); "
        "print([name for name in ('pandas', 'arch', 'torch', 'lightning', 'rich', 'filelock') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
