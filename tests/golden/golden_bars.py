"""Generator of ``bars_500.csv``, the frozen 500 daily bars behind every golden figure; run it to write the file anew.

A seeded path with clustering volatility (GARCH(1,1) with Student shocks), three regimes of drift, two jumps and
overnight gaps. Prices are rounded to cents so that the file is readable; floats are written with ``repr``.
"""

from pathlib import Path

import numpy as np

CSV = Path(__file__).with_name("bars_500.csv")
SHA256 = "b116aa36e0798154a5b7eff985c5cfce01fd8110a9c7a8144b97d0b5321e5235"
NUM_BARS = 500
SEED = 20_260_101


def generate() -> list[tuple[str, float, float, float, float, float]]:
    """Return 500 rows ``(ts, open, high, low, close, volume)`` on consecutive weekdays from 2015-01-02."""
    rng = np.random.Generator(np.random.PCG64(SEED))
    days = np.busday_offset("2015-01-02", np.arange(NUM_BARS))
    drift = np.repeat([0.0011, -0.0016, 0.0009], [210, 120, 170])
    shocks = rng.standard_t(6, NUM_BARS) / np.sqrt(1.5)
    variance, previous, close, rows = 1.4e-4, 0.0, 100.0, []
    for t in range(NUM_BARS):
        variance = 4e-6 + 0.09 * previous**2 + 0.88 * variance
        previous = np.sqrt(variance) * shocks[t]
        jump = {237: -0.083, 391: 0.061}.get(t, 0.0)
        gap = 0.35 * previous + jump
        open_ = round(close * np.exp(gap), 2)
        close = round(open_ * np.exp(drift[t] + 0.65 * previous), 2)
        reach = np.abs(rng.normal(0.0, 0.45 * np.sqrt(variance), 2))
        high = round(max(open_, close) * np.exp(reach[0]), 2)
        low = round(min(open_, close) * np.exp(-reach[1]), 2)
        volume = round(1.2e6 * np.exp(0.25 * rng.normal() + 8.0 * abs(previous)))
        rows.append((str(days[t]), float(open_), float(high), float(low), float(close), float(volume)))
    return rows


def text() -> str:
    """Return the content of the CSV."""
    lines = ["ts,open,high,low,close,volume"]
    lines += [",".join([row[0], *(repr(value) for value in row[1:])]) for row in generate()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    CSV.write_text(text())
