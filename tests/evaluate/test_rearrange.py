"""Positions delayed, stitched and moved to random times."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewright.evaluate.rearrange import delay, rotate, shuffle_spells, spells, stitch, take, targets
from tradewright.market.positions import Positions

NAN = np.nan


def column(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float64)[:, None]


def test_delay_moves_every_column_and_drops_the_end() -> None:
    positions = Positions(weights_TN=column(1, NAN, 0, 0.5), stop_loss_TN=column(0.1, NAN, NAN, 0.2))
    late = delay(positions, 2)
    np.testing.assert_array_equal(late.weights_TN, column(NAN, NAN, 1, NAN))
    assert late.stop_loss_TN is not None
    assert late.take_profit_TN is None
    np.testing.assert_array_equal(late.stop_loss_TN, column(NAN, NAN, 0.1, NAN))


def test_stitched_blocks_start_flat() -> None:
    first = Positions(weights_TN=column(1, NAN))
    second = Positions(weights_TN=column(NAN, 0.5), trailing_TN=column(NAN, 0.1))
    joined = stitch([first, second])
    np.testing.assert_array_equal(joined.weights_TN, column(1, NAN, 0, 0.5))
    assert joined.trailing_TN is not None
    np.testing.assert_array_equal(joined.trailing_TN, column(NAN, NAN, NAN, 0.1))


def test_targets_hold_until_the_next_decision() -> None:
    np.testing.assert_array_equal(targets(column(NAN, 1, NAN, 0, NAN)), column(0, 1, 1, 0, 0))


def test_spells_end_where_the_sign_changes() -> None:
    weights = np.array([NAN, 1, 0.5, NAN, -1, NAN, 0, NAN, 1])
    assert spells(weights) == [(1, 4), (4, 6), (8, 9)]


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from([NAN, 0.0, 0.5, 1.0, -1.0]), min_size=2, max_size=40), st.integers(0, 1000))
def test_shuffled_spells_keep_their_rows_and_are_left_by_an_exit(values: list[float], seed: int) -> None:
    weights = np.array(values)
    rows = shuffle_spells(weights, np.random.default_rng(seed))
    runs = spells(weights)
    held = sum(stop - start for start, stop in runs)
    if rows is None:
        assert not runs or len(weights) - held - (len(runs) - 1) < 0.1 * len(weights)
        return
    moved = take(Positions(weights_TN=weights[:, None]), rows).weights_TN[:, 0]
    found = spells(moved)
    assert sorted(
        tuple(values[start:stop]) for start, stop in runs if not np.isnan(values[start:stop]).any()
    ) == sorted(tuple(moved[start:stop]) for start, stop in found if not np.isnan(moved[start:stop]).any())
    assert sum(stop - start for start, stop in found) == held
    assert len(found) == len(runs)


def test_single_spell_starts_anywhere_with_equal_chance() -> None:
    weights = np.array([1.0, NAN, 0.0, NAN, NAN])
    starts = [int(np.flatnonzero(shuffle_spells(weights, np.random.default_rng(seed)) == 0)[0]) for seed in range(4000)]
    counts = np.bincount(starts, minlength=4)
    assert len(counts) == 4
    assert np.all(np.abs(counts - 1000) < 5 * np.sqrt(750))


def test_rotation_moves_the_last_rows_to_the_front() -> None:
    np.testing.assert_array_equal(rotate(5, 2), [3, 4, 0, 1, 2])
