"""The frozen bars are what their generator makes, bit by bit, and are valid bars."""

import hashlib

import numpy as np
from golden_bars import CSV, NUM_BARS, SHA256, generate, text


def test_file_has_its_recorded_digest() -> None:
    assert hashlib.sha256(CSV.read_bytes()).hexdigest() == SHA256


def test_generator_reproduces_file() -> None:
    assert text() == CSV.read_text()


def test_bars_are_valid() -> None:
    bars = np.array([row[1:] for row in generate()])
    assert bars.shape == (NUM_BARS, 5)
    open_, high, low, close, volume = bars.T
    assert (low > 0).all()
    assert (low <= np.minimum(open_, close)).all()
    assert (high >= np.maximum(open_, close)).all()
    assert (volume > 0).all()
