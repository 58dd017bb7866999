"""The losses of 20 steps are those that were written down."""

import json
from pathlib import Path

import numpy as np
import pytest
from sft_golden import ARCHITECTURES, GOLDEN, losses


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_losses_of_twenty_steps_are_as_ever(architecture: str, tmp_path: Path) -> None:
    golden = json.loads(GOLDEN.read_text())
    expected = golden["losses"][architecture]
    np.testing.assert_allclose(losses(architecture, tmp_path), expected, rtol=golden["relative_tolerance"])
    assert expected[-1] < 0.9 * expected[0]
