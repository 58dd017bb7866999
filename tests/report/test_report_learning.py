"""The learning curves of a report: one chart each, and one chart for all terms of the reward."""

import numpy as np
import pytest

from tradewright.report.learning_charts import MAX_CURVES, learning

STEPS = [1_000, 2_000, 3_000]
TERMS = {
    "train/reward/realised": (STEPS, [0.1, 0.2, 0.3]),
    "train/reward/cost": (STEPS, [-0.5, -0.4, -0.6]),
    "train/reward/bankrupt": (STEPS, [0.0, 0.0, 0.0]),
}


@pytest.mark.row("B18")
def test_terms_of_the_reward_share_one_chart_with_their_sum_largest_first() -> None:
    curves = {"train/loss": (STEPS, [3.0, 2.0, 1.0]), **TERMS, "train/mean_reward": (STEPS, [-0.4, -0.2, -0.3])}
    terms, loss = learning(curves)
    assert [line.name for line in terms.figure.data] == ["cost", "realised", "sum"]
    np.testing.assert_allclose(terms.figure.data[2].y, [-0.4, -0.2, -0.3])
    np.testing.assert_allclose(terms.figure.data[0].y, [-0.5, -0.4, -0.6])
    assert terms.description.endswith("never paid: bankrupt.")
    assert loss.title == "train/loss"


def test_reward_without_terms_is_a_curve_like_others() -> None:
    (only,) = learning({"train/mean_reward": (STEPS, [1.0, 2.0, 3.0]), "train/reward/once": ([1], [0.5])})
    assert only.title == "train/mean reward"


def test_many_terms_are_told_apart_and_curves_are_limited() -> None:
    terms = {f"train/reward/term_{place}": (STEPS, [1.0 + place] * 3) for place in range(14)}
    charts = learning({**terms, **{f"train/{place}": (STEPS, [1.0, 2.0, 3.0]) for place in range(20)}})
    assert len(charts) == MAX_CURVES
    looks = {(line.line.color, line.line.dash) for line in charts[0].figure.data}
    assert len(looks) == 14
    assert len({drawn.key for drawn in charts}) == MAX_CURVES
