"""Run directories for comparison tests, written as the spine writes them, with small random walks as equity."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from tradewright.backtest.result import BacktestResult
from tradewright.metrics.summary import summarise
from tradewright.output import CONFIG, METRICS, PROVENANCE, STATUS, write_json, write_text
from tradewright.provenance import trial_id
from tradewright.report.comparison import Comparison, compare
from tradewright.report.export import export_results
from tradewright.report.runs import find_runs, read_run

METRIC_KEYS = ("total_return", "sharpe", "max_drawdown")
"""Figures of a comparison in these tests."""

TS = np.busday_offset("2016-01-01", np.arange(300), roll="forward").astype("datetime64[us]")


def config(algorithm: str = "ppo", lr: float = 0.001, seed: int = 0, **more: Any) -> dict[str, Any]:
    """Return a resolved configuration like the product's."""
    own = {"clip": 0.2} if algorithm == "ppo" else {"tau": 0.005}
    return {
        "name": "default",
        "seed": seed,
        "output_dir": "outputs",
        "task": {"_target_": "tradewright.task.train.Train"},
        "data": {"_target_": "tradewright.data.nasdaq.Nasdaq", "seed": 0},
        "algorithm": {"_target_": f"tradewright.algorithm.{algorithm}.{algorithm.upper()}", "lr": lr, **own},
        "lora": None,
    } | more


def walk(name: str, seed: int, drift: float = 3e-4, num_bars: int = len(TS)) -> BacktestResult:
    """Return an account that follows a random walk."""
    rng = np.random.default_rng(seed)
    equity = 100_000 * np.exp(np.concatenate(([0.0], np.cumsum(rng.normal(drift, 0.01, num_bars - 1)))))
    return BacktestResult(
        name=name,
        ts_T=TS[:num_bars],
        timeframe_s=86_400,
        periods_per_year=252.0,
        symbols=("XYZ",),
        initial_cash=100_000.0,
        equity_T=equity,
        weights_TN=np.ones((num_bars, 1)),
        cash_T=np.zeros(num_bars),
        fills=(),
        trades=(),
        costs={"fees": 1.0},
    )


def write_run(
    path: Path,
    content: dict[str, Any],
    *,
    walk_seed: int = 0,
    drift: float = 3e-4,
    state: str = "done",
    error: str | None = None,
    pid: int | None = None,
    duration_s: float = 75.0,
    with_equity: bool = True,
    fingerprint: str = "ff00",
    hold_seed: int = 999,
    hold_drift: float = 3e-4,
    num_bars: int = len(TS),
) -> Path:
    """Write one run directory; a run that is not done has no figures."""
    write_text(path / CONFIG, yaml.safe_dump(content, sort_keys=False))
    write_json(
        path / STATUS,
        {
            "state": state,
            "started_at": "2026-01-01T00:00:00+00:00",
            "ended_at": None,
            "duration_s": duration_s,
            "error": error,
            "pid": os.getpid() if pid is None else pid,
            "host": socket.gethostname(),
        },
    )
    data = {"fingerprint": fingerprint, "timeframe_s": 86_400, "periods_per_year": 252.0}
    write_json(
        path / PROVENANCE,
        {"git": {"sha": "0123abc"}, "trial": trial_id(content, fingerprint), "data": data},
    )
    if state == "done":
        strategy, hold = (
            walk("policy", walk_seed, drift, num_bars),
            walk("buy_and_hold", hold_seed, hold_drift, num_bars),
        )
        metrics = {f"test/{key}": value for key, value in summarise(strategy, hold).items()}
        metrics |= {f"baseline/buy_and_hold/{key}": value for key, value in summarise(hold, hold).items()}
        metrics["validation/sharpe"] = metrics["test/sharpe"] + 0.1
        write_json(path / METRICS, metrics)
        if with_equity:
            export_results(path, {("test", "policy"): strategy, ("test", "buy_and_hold"): hold})
    return path


def write_study(folder: Path) -> Path:
    """Write twelve finished runs (two algorithms, two rates, three seeds) and four that went otherwise."""
    number = 0
    for algorithm in ("ppo", "sac"):
        for lr in (1e-4, 1e-2):
            for seed in range(3):
                write_run(
                    folder / "grid" / f"{number:03d}",
                    config(algorithm, lr, seed),
                    walk_seed=number,
                    drift=6e-4 if algorithm == "sac" else 1e-4,
                    duration_s=60 + 7 * number,
                )
                number += 1
    write_run(
        folder / "20260101-000000-aaaaaa", config(seed=7), state="failed", error="ValueError: lr must be > 0, was 0"
    )
    write_run(folder / "20260101-000001-bbbbbb", config(seed=8), state="running")
    write_run(folder / "20260101-000002-cccccc", config(seed=9), state="running", pid=2**22 - 3)
    write_text(write_run(folder / "20260101-000003-dddddd", config(seed=10)) / METRICS, "{")
    return folder


def compared(folder: Path, **changes: Any) -> Comparison:
    options: dict[str, Any] = {"metrics": METRIC_KEYS, "sort": "sharpe", "baseline": "buy_and_hold"}
    return compare([read_run(path) for path in find_runs([folder])], folder=folder, **(options | changes))
