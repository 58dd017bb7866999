"""Folds: disjoint, embargoed, complete, and refused when there are too few bars."""

from itertools import pairwise
from math import comb

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradewright.data.folds import Plan, combinatorial_paths, cut_validation
from tradewright.data.ranges import Range
from tradewright.errors import DataError
from tradewright.evaluate.combinatorial import Combinatorial
from tradewright.evaluate.purged_k_fold import PurgedKFold
from tradewright.evaluate.walk_forward import WalkForward


def bars(*ranges: Range) -> set[int]:
    return {t for rows in ranges for t in range(rows.start, rows.stop)}


def check(plan: Plan, rows: Range, *, purge: int, embargo: int) -> None:
    for fold in plan.folds:
        training, validation, tests = bars(*fold.ranges.training), bars(fold.ranges.validation), bars(*fold.tests)
        assert training
        assert validation
        assert tests
        assert not training & validation
        assert not training & tests
        assert not validation & tests
        assert training | validation | tests <= bars(rows)
        for test in fold.tests:
            near = bars(Range(test.start - purge, test.start), Range(test.stop, test.stop + embargo))
            assert not (training | validation) & near
    for path in plan.paths:
        blocks = [block for _, block in path]
        assert all(first.stop == second.start for first, second in pairwise(blocks))
        assert all(block in plan.folds[fit].tests for fit, block in path)


@settings(max_examples=60, deadline=None)
@given(
    num_bars=st.integers(400, 3000),
    first=st.integers(0, 60),
    count=st.integers(2, 8),
    purge=st.integers(0, 10),
    embargo=st.integers(0, 20),
)
def test_purged_folds_are_disjoint_and_judge_every_bar_once(
    num_bars: int, first: int, count: int, purge: int, embargo: int
) -> None:
    rows = Range(first, num_bars)
    plan = PurgedKFold(num_folds=count, purge_bars=purge, embargo_bars=embargo).plan(rows)
    check(plan, rows, purge=purge, embargo=embargo)
    tested = [t for fold in plan.folds for block in fold.tests for t in range(block.start, block.stop)]
    assert sorted(tested) == list(range(first, num_bars))
    assert plan.rows == rows


@settings(max_examples=60, deadline=None)
@given(
    num_bars=st.integers(400, 3000),
    count=st.integers(2, 8),
    is_anchored=st.booleans(),
    window=st.floats(0.3, 0.7),
    embargo=st.integers(0, 10),
)
def test_walk_forward_never_trains_on_bars_at_or_after_its_test(
    num_bars: int, count: int, is_anchored: bool, window: float, embargo: int
) -> None:
    rows = Range(0, num_bars)
    plan = WalkForward(num_folds=count, is_anchored=is_anchored, first_window=window, embargo_bars=embargo).plan(rows)
    check(plan, rows, purge=embargo, embargo=0)
    spans = []
    for fold in plan.folds:
        assert fold.ranges.train.stop + embargo == fold.ranges.validation.start
        assert fold.ranges.validation.stop + embargo == fold.ranges.test.start
        spans.append(fold.ranges.validation.stop - fold.ranges.train.start)
        assert fold.ranges.train.start == 0 or not is_anchored
    assert len(set(spans)) == (count if is_anchored else 1)
    assert plan.rows.stop == num_bars


def test_walk_forward_of_100_bars_by_hand() -> None:
    plan = WalkForward(num_folds=2, first_window=0.6, validation=0.25, embargo_bars=4).plan(Range(0, 100))
    first, second = (fold.ranges for fold in plan.folds)
    assert (first.train, first.validation, first.test) == (Range(0, 38), Range(42, 56), Range(60, 80))
    assert (second.train, second.validation, second.test) == (Range(20, 58), Range(62, 76), Range(80, 100))


@pytest.mark.row("T46")
def test_retraining_on_a_schedule_makes_blocks_of_its_length() -> None:
    plan = WalkForward(bars_per_fold=5, first_window=0.5, embargo_bars=2).plan(Range(0, 64))
    tests = [fold.ranges.test for fold in plan.folds]
    assert tests == [*(Range(start, start + 5) for start in range(32, 62, 5)), Range(62, 64)]
    lone = WalkForward(bars_per_fold=5, first_window=0.5, embargo_bars=2).plan(Range(0, 62)).folds
    assert lone[-1].ranges.test == Range(56, 62)  # the one bar left is no block of its own
    with pytest.raises(DataError, match="make no two blocks of 40; lower bars_per_fold"):
        WalkForward(bars_per_fold=40).plan(Range(0, 64))
    with pytest.raises(ValueError, match="bars_per_fold must be >= 2, was 1"):
        WalkForward(bars_per_fold=1)


@pytest.mark.parametrize(("num_blocks", "num_tests"), [(4, 2), (6, 2), (6, 3), (8, 2)])
def test_combinatorial_paths_use_every_fit_on_each_of_its_blocks_once(num_blocks: int, num_tests: int) -> None:
    fits, paths = combinatorial_paths(num_blocks, num_tests)
    assert len(fits) == comb(num_blocks, num_tests)
    assert paths.shape == (comb(num_blocks, num_tests) * num_tests // num_blocks, num_blocks)
    used = {(int(fit), block) for path in paths for block, fit in enumerate(path)}
    assert used == {(fit, block) for fit, blocks in enumerate(fits) for block in blocks}


def test_combinatorial_folds_are_disjoint_and_paths_cover_all_bars() -> None:
    rows = Range(30, 1200)
    plan = Combinatorial(num_blocks=6, num_tests=2, purge_bars=3, embargo_bars=12).plan(rows)
    assert len(plan.folds) == 15
    assert len(plan.paths) == 5
    check(plan, rows, purge=3, embargo=12)
    assert all(bars(*[block for _, block in path]) == bars(rows) for path in plan.paths)


def test_validation_is_the_end_of_the_longest_part() -> None:
    parts, chosen = cut_validation([Range(0, 30), Range(40, 140), Range(150, 170)], 0.2, 5)
    assert chosen == Range(110, 140)
    assert parts == (Range(0, 30), Range(40, 105), Range(150, 170))


def test_too_few_bars_are_refused_with_numbers() -> None:
    with pytest.raises(DataError, match=r"evaluate\.folds: 8 bars cannot be cut into 5 blocks"):
        PurgedKFold(num_folds=5).plan(Range(0, 8))
    with pytest.raises(DataError, match=r"evaluate\.folds: 15 training bars leave 0 after 3 of validation"):
        WalkForward(num_folds=2, embargo_bars=20).plan(Range(0, 70))


@pytest.mark.parametrize(
    ("planner", "values", "message"),
    [
        (WalkForward, {"num_folds": 1}, "num_folds must be >= 2, was 1"),
        (WalkForward, {"first_window": 1.0}, "first_window must be a fraction"),
        (PurgedKFold, {"purge_bars": -1}, "purge_bars must be >= 0, was -1"),
        (PurgedKFold, {"validation": 0.0}, "validation must be a fraction"),
        (Combinatorial, {"num_tests": 6}, r"num_tests must be in \[2, num_blocks = 6\), was 6"),
        (Combinatorial, {"num_blocks": 2}, "num_blocks must be >= 3, was 2"),
        (Combinatorial, {"num_blocks": 30, "num_tests": 15}, "num_blocks must give at most 1000 fits, but 15 of 30"),
    ],
)
def test_settings_out_of_range_are_refused(planner: type, values: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        planner(**values)


def test_blocks_differ_by_one_bar_at_most() -> None:
    plan = PurgedKFold(num_folds=7).plan(Range(3, 1000))
    lengths = {len(fold.tests[0]) for fold in plan.folds}
    assert np.ptp(list(lengths)) <= 1
