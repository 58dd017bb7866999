"""Shuffled features keep their distribution inside each part and lose their bar."""

import numpy as np

from tradewright.data.ranges import Range
from tradewright.features.features import Features
from tradewright.features.shuffle import shuffle_rows


def test_rows_are_permuted_within_their_part_alike_for_all_instruments() -> None:
    x_TNF = np.arange(100, dtype=np.float32)[:, None, None] + np.zeros((100, 2, 3), dtype=np.float32)
    features = Features(x_TNF=x_TNF, names_F=("a", "b", "c"), ready_from=10)
    shuffled = shuffle_rows(features, [Range(0, 40), Range(50, 70)], seed=3).x_TNF
    order = shuffled[:, 0, 0].astype(int)
    np.testing.assert_array_equal(shuffled, x_TNF[order])
    for start, stop in ((10, 40), (50, 70)):
        assert sorted(order[start:stop]) == list(range(start, stop))
        assert (order[start:stop] != np.arange(start, stop)).mean() > 0.8
    for start, stop in ((0, 10), (40, 50), (70, 100)):
        np.testing.assert_array_equal(order[start:stop], np.arange(start, stop))
    np.testing.assert_array_equal(features.x_TNF, x_TNF)
