"""The backtester against vectorbt 1.2 with its Rust engine, one thread, in one run; and a million bars with stops.

``TRADEWRIGHT_PEER_PYTHON=/path/to/peer/bin/python pytest -m benchmark -s tests/benchmark/test_backtester_speed.py``

Both engines run the same bars in processes of their own and must agree before their CPU times are compared (hot, the
least of several repeats, so that a busy machine disturbs little). The peer is timed as it is usually called, all
strategies at once, and in the chunks that suit its caches best; the faster of the two is what we compare with.
"""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import speed_bars as bars

from market_cases import random_panel
from tradewright.backtest.vectorized import Vectorized
from tradewright.data.ranges import Range
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs

pytestmark = pytest.mark.benchmark

RUNNER = Path(__file__).with_name("speed_runner.py")
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in ("OMP", "OPENBLAS", "MKL", "NUMBA", "RAYON")}
PEER = "TRADEWRIGHT_PEER_PYTHON"
INSTALL = "python -m venv peer && peer/bin/pip install vectorbt==1.2.0 vectorbt-rust==1.2.0"

LEAST_SWEEP, LEAST_COMPILED, LEAST_PANEL = 20.0, 100.0, 20.0
MOST_EXTRA_MB = 300.0
MOST_MINUTES_S = 3.0
PEER_CHUNKS = (10_000, 500, 250)
"""Strategies per call of the peer: all at once takes 6 GB, a few hundred are its fastest."""
PEER_ALL_GB = 10.0


class Timed(NamedTuple):
    """One engine's result: figures, least hot CPU seconds, first CPU seconds, extra memory, bound."""

    figures: dict[str, Any]
    seconds: float
    first_s: float
    extra_mb: float
    bound_s: float


def run(engine: str, task: str, repeats: int, folder: Path) -> Timed:
    """Run an engine in its interpreter; skip where the peer is not installed."""
    interpreter = sys.executable
    if engine.startswith("vectorbt"):
        if PEER not in os.environ:
            pytest.skip(f"{PEER} is not set to an interpreter that has the peer; install it: {INSTALL}")
        interpreter = os.environ[PEER]
    path = folder / f"{engine.replace(':', '-')}-{task}.npz"
    subprocess.run(
        [interpreter, RUNNER, engine, task, str(repeats), path], check=True, env={**os.environ, **ONE_THREAD}
    )
    with np.load(path) as stored:
        figures = dict(stored)
    seconds, extra, bound = (figures.pop(key) for key in ("seconds", "extra_mb", "bound_s"))
    return Timed(figures, float(seconds[1:].min()), float(seconds[0]), float(extra), float(bound))


def print_row(name: str, timed: Timed, best_peer_s: float, note: str = "") -> None:
    ratio = best_peer_s / timed.seconds
    print(
        f"{name:28} {timed.seconds:9.4f} s hot {timed.first_s:8.3f} s first {timed.extra_mb:9.1f} MB extra"
        f" {ratio:8.1f} x  {note}"
    )


def available_gb() -> float:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(float(line.split()[1]) / 2**20 for line in lines if line.startswith("MemAvailable"))


def with_leading_zero(figures: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Our figures in the peer's convention: its returns begin with a zero, so there is one more of them."""
    num, root = bars.SWEEP_BARS - 1, bars.DAYS_PER_YEAR**0.5
    mean = figures["sharpe"] / root  # in standard deviations of the returns
    mean_more = num * mean / (num + 1)
    variance_more = (num - 1 + num * mean**2 / (num + 1)) / num
    growth = (figures["final_equity"] / bars.CASH) ** (bars.DAYS_PER_YEAR / (num + 1)) - 1.0
    return {
        **{key: figures[key] for key in ("final_equity", "max_drawdown", "win_rate", "num_trades")},
        "sharpe": mean_more / np.sqrt(variance_more) * root,
        "sortino": figures["sortino"] * np.sqrt(num / (num + 1)),
        "calmar": growth / figures["max_drawdown"],
    }


def test_sweep_of_10_000_pairs_against_the_peer(tmp_path: Path) -> None:
    chunks = PEER_CHUNKS if available_gb() > PEER_ALL_GB else PEER_CHUNKS[1:]
    peers = {
        chunk: run(f"vectorbt:{chunk}", "sweep", 2 if chunk == bars.NUM_PAIRS else 4, tmp_path) for chunk in chunks
    }
    ours = {"numpy": run("numpy", "sweep", 9, tmp_path)}
    try:
        import numba  # noqa: F401
    except ImportError:
        print("\nnumba is not installed: the compiled form is not timed")
    else:
        ours["numba"] = run("numba", "sweep", 9, tmp_path)
    best_s = min(timed.seconds for timed in peers.values())
    print(f"\n{bars.NUM_PAIRS:,} SMA pairs x {bars.SWEEP_BARS:,} bars, seven figures each; ratio to the peer's best")
    for chunk, timed in peers.items():
        print_row(f"vectorbt rust, {chunk:,} a call", timed, best_s)
    moved = 2 * 8 * bars.NUM_PAIRS * bars.SWEEP_BARS / 1e9
    for name, timed in ours.items():
        rate = moved / timed.bound_s
        print_row(
            f"tradewright, {name}", timed, best_s,
            f"bound: reading two means per bar and pair, {moved:.1f} GB from the caches: {timed.bound_s:.4f} s"
            f" ({rate:.0f} GB/s)",
        )  # fmt: skip
    if chunks[0] == bars.NUM_PAIRS:
        for name, timed in ours.items():
            print(f"against the peer called once for all, {name}: {peers[chunks[0]].seconds / timed.seconds:.0f} x")
    for timed in ours.values():
        mine = with_leading_zero(timed.figures)
        for peer in peers.values():
            for key, values in mine.items():
                np.testing.assert_allclose(values, peer.figures[key], rtol=1e-9, atol=1e-9, err_msg=key)
            np.testing.assert_array_equal(mine["num_trades"], peer.figures["num_trades"])
            np.testing.assert_allclose(mine["final_equity"], peer.figures["final_equity"], rtol=1e-9)
        assert timed.extra_mb < MOST_EXTRA_MB
    assert best_s / ours["numpy"].seconds >= LEAST_SWEEP
    if "numba" in ours:
        assert best_s / ours["numba"].seconds >= LEAST_COMPILED


def test_panel_of_1_677_instruments_against_the_peer(tmp_path: Path) -> None:
    peer = run("vectorbt:1", "panel", 5, tmp_path)
    ours = run("numpy", "panel", 9, tmp_path)
    np.testing.assert_allclose(ours.figures["equity_T"], peer.figures["equity_T"], rtol=1e-9)
    moved = 4 * 8 * bars.NUM_INSTRUMENTS * bars.PANEL_BARS / 1e9
    print(f"\n{bars.NUM_INSTRUMENTS:,} instruments x {bars.PANEL_BARS:,} days rebalanced daily, shared cash, 10 bps")
    print_row("vectorbt rust", peer, peer.seconds, "equity only")
    print_row(
        "tradewright, numpy", ours, peer.seconds,
        f"equity, weights held, costs; bound: {moved:.2f} GB through memory once: {ours.bound_s:.4f} s"
        f" ({moved / ours.bound_s:.0f} GB/s)",
    )  # fmt: skip
    assert peer.seconds / ours.seconds >= LEAST_PANEL


@pytest.mark.parametrize("orders", ["an order in a hundred bars", "an order at every bar"])
def test_a_million_minute_bars_with_stops(orders: str) -> None:
    num_bars = 1_000_000
    panel = random_panel(0, num_bars, 1, volatility=0.0005)
    rng = np.random.default_rng(0)
    weights_TN = rng.uniform(-1.0, 1.0, (num_bars, 1))
    if orders.startswith("an order in"):
        weights_TN = np.where(rng.random((num_bars, 1)) < 0.01, weights_TN, np.nan)
    backtester = Vectorized(
        stop_loss=0.01, take_profit=0.02, trailing=0.015, costs=Costs(fee_bps=1, slippage_bps=1)
    )  # fmt: skip
    positions, rows = Positions(weights_TN=weights_TN), Range(0, num_bars)
    is_busy = not orders.startswith("an order in")
    seconds = []
    for _ in range(1 if is_busy else 3):
        start = time.process_time()
        result = backtester.run(panel, positions, rows, name="minutes")
        seconds.append(time.process_time() - start)
    print(
        f"\n1,000,000 bars with stops, {orders}, {len(result.fills):,} fills: {min(seconds):.2f} s with the journal;"
        f" bound: the interpreter, {min(seconds) * 1e9 / num_bars:.0f} ns a bar in one dependent chain"
    )
    assert is_busy or min(seconds) < MOST_MINUTES_S
