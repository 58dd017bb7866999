"""``data=swaps`` and ``data=synthetic_swaps``: events to bars, what is refused by row, and the tape beside the bars."""

from dataclasses import replace
from pathlib import Path

import duckdb
import numpy as np
import pytest

from swap_cases import HEADER, USDC_WETH, event_rows, generated, random_swap_panel, write_events
from tradewright.data.quality import inspect_panel
from tradewright.data.resample import resample
from tradewright.data.swaps import Swaps
from tradewright.data.synthetic_swaps import SyntheticSwaps
from tradewright.errors import DataError


@pytest.fixture(scope="module")
def swaps():
    return generated(400, seed=3)


@pytest.fixture(scope="module")
def rows(swaps):
    return event_rows(swaps)


def source(tmp_path: Path, file: Path, **keys) -> Swaps:
    return Swaps(store=str(tmp_path / "store"), path=str(file), **keys)


def test_bars_are_the_blocks_and_the_tape_is_the_events(tmp_path, swaps, rows):
    panel = source(tmp_path, write_events(tmp_path / "pool.csv", rows)).panel()
    tape = panel.swaps
    prices = np.array([USDC_WETH.price(one.sqrt_price) for one in swaps])
    np.testing.assert_array_equal(tape.price_K, prices)
    np.testing.assert_array_equal(tape.amount_K, [-one.amount1 / 10**18 for one in swaps])
    np.testing.assert_array_equal(tape.block_K, [one.block for one in swaps])
    blocks = sorted({one.block for one in swaps})
    assert panel.num_bars == len(blocks)
    assert (np.diff(panel.ts_T) > np.timedelta64(0)).all()
    assert (panel.known_at_T - panel.ts_T == np.timedelta64(12, "s")).all()
    for t, block in enumerate(blocks):
        inside = [k for k, one in enumerate(swaps) if one.block == block]
        assert panel.open_TN[t, 0] == prices[inside[0]]
        assert panel.close_TN[t, 0] == prices[inside[-1]]
        assert panel.high_TN[t, 0] == prices[inside].max()
        assert panel.low_TN[t, 0] == prices[inside].min()
        assert panel.volume_TN[t, 0] == pytest.approx(sum(abs(swaps[k].amount1) for k in inside) / 1e18)
    assert panel.symbols == ("ETH/USDC",)
    assert panel.periods_per_year == 365
    assert not panel.is_synthetic


def test_parquet_text_and_iso_stamps_give_the_same_panel(tmp_path, rows):
    file = write_events(tmp_path / "pool.csv", rows)
    panel = source(tmp_path, file).panel()
    parquet = tmp_path / "pool.parquet"
    duckdb.sql(
        "COPY (SELECT * REPLACE (make_timestamp(block_timestamp::BIGINT * 1000000) AS block_timestamp,"
        f" amount1::DECIMAL(38, 0) AS amount1) FROM read_csv('{file}', all_varchar = true)) TO '{parquet}'"
    )
    assert source(tmp_path, parquet).panel().fingerprint == panel.fingerprint
    iso = [f"{row.split(',')[0]},{ts}Z,{','.join(row.split(',')[2:])}" for row, ts in _stamped(rows)]
    other = source(tmp_path, write_events(tmp_path / "iso.csv", iso)).panel()
    assert other.fingerprint == panel.fingerprint


def _stamped(rows):
    return [(row, np.datetime64(int(row.split(",")[1]), "s")) for row in rows]


def test_several_files_continue_each_other(tmp_path, rows):
    whole = source(tmp_path, write_events(tmp_path / "pool.csv", rows)).panel()
    write_events(tmp_path / "parts" / "a.csv", rows[:150])
    write_events(tmp_path / "parts" / "b.csv", rows[150:])
    assert source(tmp_path, tmp_path / "parts").panel().fingerprint == whole.fingerprint


def cell(row: str, place: int, value: str) -> str:
    cells = row.split(",")
    cells[place] = value
    return ",".join(cells)


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (6, "0", "sqrt_price_x96 must be in"),
        (6, "1.5e33", "sqrt_price must be a whole number, was '1.5e33'; it has lost digits, export it as text"),
        (6, "", "sqrt_price must be a whole number, was ''"),
        (7, "0", "liquidity must be > 0, was 0"),
        (7, "many", "liquidity must be a whole number, was 'many'"),
        (4, "12.5", "amount0 must be a whole number, was '12.5'"),
        (8, "7", "tick 7 is not that of sqrt_price_x96"),
        (1, "yesterday", "block_timestamp must be seconds or an ISO date and time, was 'yesterday'"),
        (0, "-4", "block_number must be >= 0"),
    ],
)
def test_malformed_rows_are_named_by_file_and_row(tmp_path, rows, place, value, message):
    bad = [*rows[:9], cell(rows[9], place, value), *rows[10:20]]
    with pytest.raises(DataError, match=r"^pool\.csv row 10: ") as error:
        source(tmp_path, write_events(tmp_path / "pool.csv", bad)).panel()
    assert message in str(error.value)


def test_amounts_of_one_sign_are_refused(tmp_path, rows):
    bad = [cell(cell(rows[0], 4, "5"), 5, "7"), *rows[1:9]]
    with pytest.raises(DataError, match=r"^pool\.csv row 1: amount0 and amount1 must have opposite signs"):
        source(tmp_path, write_events(tmp_path / "pool.csv", bad)).panel()


def test_floats_in_parquet_are_refused_because_digits_are_gone(tmp_path, rows):
    file, parquet = write_events(tmp_path / "pool.csv", rows), tmp_path / "pool.parquet"
    duckdb.sql(
        "COPY (SELECT * REPLACE (sqrt_price_x96::DOUBLE AS sqrt_price_x96) FROM"
        f" read_csv('{file}', all_varchar = true)) TO '{parquet}'"
    )
    with pytest.raises(DataError, match=r"pool\.parquet: column 'sqrt_price_x96' holds DOUBLE"):
        source(tmp_path, parquet).panel()


def test_unsorted_rows_are_refused_unless_sorting_is_asked_for(tmp_path, rows):
    whole = source(tmp_path, write_events(tmp_path / "pool.csv", rows)).panel()
    mixed = write_events(tmp_path / "mixed.csv", [rows[30], *rows[:30], *rows[31:]])
    with pytest.raises(DataError, match=r"^mixed\.csv row 2: block .* must be in the order of the chain"):
        source(tmp_path, mixed).panel()
    assert source(tmp_path, mixed, sort=True).panel().fingerprint == whole.fingerprint


def test_doubled_rows_are_refused(tmp_path, rows):
    with pytest.raises(DataError, match=r"^pool\.csv row 4: the swap of block .* was there before"):
        source(tmp_path, write_events(tmp_path / "pool.csv", [*rows[:3], *rows[2:9]])).panel()
    without = [",".join(row.split(",")[:3] + row.split(",")[4:]) for row in [*rows[:3], *rows[2:9]]]
    header = HEADER.replace("log_index,", "")
    with pytest.raises(DataError, match=r"^bare\.csv row 4: the swap of block .* was there before"):
        source(tmp_path, write_events(tmp_path / "bare.csv", without, header)).panel()


def test_missing_columns_empty_files_and_one_time_for_two_blocks_are_refused(tmp_path, rows):
    with pytest.raises(DataError, match=r"a\.csv: no column 'sqrtpricex96' in the header"):
        source(tmp_path, write_events(tmp_path / "a.csv", rows, HEADER.replace("sqrt_price_x96", "price"))).panel()
    with pytest.raises(DataError, match=r"b\.csv: no swaps in it"):
        source(tmp_path, write_events(tmp_path / "b.csv", [])).panel()
    later = cell(rows[5], 0, str(int(rows[5].split(",")[0]) + 99_999))
    with pytest.raises(DataError, match=r"^c\.csv row 7: block"):
        source(tmp_path, write_events(tmp_path / "c.csv", [*rows[:6], cell(later, 3, "900")])).panel()


def test_blocks_faster_than_the_bar_length_are_named(tmp_path, rows):
    panel = source(tmp_path, write_events(tmp_path / "pool.csv", rows), block_s=1).panel()
    assert panel.timeframe_s == 1
    with pytest.raises(DataError, match=r"row \d+: block \d+ comes 12 s after the one before; set data\.block_s"):
        source(tmp_path, tmp_path / "pool.csv", block_s=30).panel()


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"token1_decimals": 99}, "token1_decimals must be in"),
        ({"base": "eth"}, "base must be"),
        ({"fee_bps": -1.0}, "fee_bps must be in"),
        ({"block_s": 7}, "block_s must be"),
        ({"contract": "ES"}, "contract must be null"),
        ({"pool": " "}, "pool must be a name"),
    ],
)
def test_impossible_keys_are_refused_by_name(keys, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Swaps(path="pool.csv", **keys)


def test_slices_and_longer_bars_keep_the_swaps_of_their_bars(tmp_path, rows):
    panel = source(tmp_path, write_events(tmp_path / "pool.csv", rows)).panel()
    part = panel.slice(20, 60)
    assert part.swaps.ts_K[0] == part.ts_T[0]
    assert part.swaps.ts_K[-1] == part.ts_T[-1]
    assert panel.slice(5, 5).swaps.num_swaps == 0
    stored = source(tmp_path, tmp_path / "pool.csv", timeframe="5m").panel()
    again = resample(panel, "5m", session_start_s=0) if _starts_at_midnight(panel) else None
    assert again is None or again.num_bars == stored.num_bars
    assert stored.timeframe_s == 300
    last_T = stored.swaps.last_of_bars(stored.known_at_T)
    np.testing.assert_array_equal(stored.swaps.price_K[last_T], stored.close_TN[:, 0])
    counts = np.diff(np.concatenate([[-1], last_T]))
    volume_T = np.add.reduceat(stored.swaps.volume_K, np.concatenate([[0], last_T[:-1] + 1]))
    np.testing.assert_allclose(volume_T, stored.volume_TN[:, 0])
    assert (counts > 0).all()
    assert (stored.ts_T.astype("datetime64[s]").astype(int) % 12 == 11).all()  # longer bars begin with a block


def _starts_at_midnight(panel) -> bool:
    return bool((panel.ts_T.astype("datetime64[s]").astype(int) % 12 == 0).all())


def test_a_panel_in_memory_is_resampled_with_its_swaps():
    panel = random_swap_panel(400)
    shifted = replace(
        panel,
        ts_T=panel.ts_T - np.timedelta64(11, "s"),
        known_at_T=panel.known_at_T - np.timedelta64(11, "s"),
        swaps=replace(panel.swaps, ts_K=panel.swaps.ts_K - np.timedelta64(11, "s")),
    )
    coarse = resample(shifted, "2m")
    last_T = coarse.swaps.last_of_bars(coarse.known_at_T)
    np.testing.assert_array_equal(coarse.swaps.price_K[last_T], coarse.close_TN[:, 0])


def test_a_quiet_block_is_no_gap_but_a_quiet_hour_is(tmp_path, rows):
    late = [
        cell(row, 1, str(int(row.split(",")[1]) + (7_200 if number >= 200 else 0))) for number, row in enumerate(rows)
    ]
    first = 200 if rows[200].split(",")[0] != rows[199].split(",")[0] else 201
    late = [
        cell(row, 1, str(int(row.split(",")[1]) + (7_200 if number >= first else 0))) for number, row in enumerate(rows)
    ]
    panel = source(tmp_path, write_events(tmp_path / "pool.csv", late)).panel()
    assert len(inspect_panel(panel)[0].gaps) == 1


def test_synthetic_swaps_are_labelled_seeded_and_stored_once(tmp_path):
    made = SyntheticSwaps(store=str(tmp_path), num_swaps=600, seed=5)
    panel = made.panel()
    assert panel.is_synthetic
    assert panel.note.startswith("Synthetic swaps")
    assert panel.swaps.num_swaps == 600
    assert not made.ingest().is_changed
    other = SyntheticSwaps(store=str(tmp_path / "other"), num_swaps=600, seed=5).panel()
    assert other.fingerprint == panel.fingerprint
    assert SyntheticSwaps(store=str(tmp_path), num_swaps=600, seed=6).panel().fingerprint != panel.fingerprint


def test_synthetic_swaps_revert_and_their_volatility_clusters(tmp_path):
    tape = SyntheticSwaps(store=str(tmp_path), num_swaps=6_000).panel().swaps
    change = np.diff(np.log(tape.price_K))
    size = np.log(np.abs(change[change != 0]))
    assert np.corrcoef(change[1:], change[:-1])[0, 1] < -0.05
    assert np.corrcoef(size[20:], size[:-20])[0, 1] > 0.05
    assert tape.liquidity_K.std() > 0


@pytest.mark.parametrize(
    "keys", [{"num_swaps": 10}, {"seed": -1}, {"noise": -0.1}, {"volatility": 0.0}, {"liquidity": 0.0}]
)
def test_impossible_pools_are_refused_by_name(keys):
    with pytest.raises(ValueError, match=f"^{next(iter(keys))} must be"):
        SyntheticSwaps(**keys)
