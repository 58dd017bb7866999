"""Evidence for report tests: plausible values of every kind, made up here and not by the code that is shown.

Legend: R random strategies, P paths.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tradewright.backtest.result import BacktestResult
from tradewright.evaluate.evidence import (
    Comparison,
    Degenerate,
    Fold,
    Folds,
    Interval,
    Leak,
    Leaks,
    RandomEntry,
    Significance,
    Universe,
)

KEYS = ("total_return", "cagr", "sharpe", "sortino", "max_drawdown", "calmar")


def significance(results: tuple[BacktestResult, ...], metrics: dict[str, float], **changes: object) -> Significance:
    """Return intervals around the figures of the metrics, and comparisons with every baseline."""
    rng = np.random.default_rng(1)
    values = {
        result.name: {key: metrics[f"{prefix}{key}"] for key in KEYS}
        for result, prefix in zip(
            results, ("test/", *(f"baseline/{result.name}/" for result in results[1:])), strict=True
        )
    }
    own = values[results[0].name]
    comparisons = tuple(
        Comparison(
            name=name,
            sharpe=around(own["sharpe"] - other["sharpe"], 0.6),
            mean=around(own["cagr"] - other["cagr"], 0.1),
            p_value=p_value,
            adjusted_p_value=min(3 * p_value, 1.0),
        )
        for (name, other), p_value in zip(list(values.items())[1:], rng.uniform(0.01, 0.6, 8), strict=False)
    )
    given: dict[str, object] = {
        "confidence": 0.95,
        "num_resamples": 2_000,
        "block_length": 7.4,
        "num_periods": len(results[0].ts_T) - 1,
        "intervals": {
            name: {key: around(value, 0.6 * abs(value) + 0.05) for key, value in figures.items()}
            for name, figures in values.items()
        },
        "comparisons": comparisons,
        "probabilistic_sharpe": 0.61,
        "deflated_sharpe": 0.08,
        "noise_ceiling": 0.83,
        "num_trials": 12,
        "trial_deviation": 0.5,
        "deviation_source": "trials",
        "min_track_record": 3_120.4,
        "superiority_p_value": 0.62,
    }
    return Significance(**(given | changes))  # type: ignore[arg-type]  # a test's keyword bag


def around(value: float, width: float) -> Interval:
    """Return a value with bounds that are not symmetric."""
    return Interval(value=value, low=value - width, high=value + 1.2 * width)


def random_entry(num: int = 1_000, sharpe: float = 0.35) -> RandomEntry:
    """Return a distribution of random strategies around zero."""
    rng = np.random.default_rng(2)
    sharpe_R = rng.normal(0.1, 0.5, num)
    return RandomEntry(
        sharpe_R=sharpe_R,
        total_return_R=np.expm1(sharpe_R * 0.4),
        sharpe=sharpe,
        total_return=float(np.expm1(sharpe * 0.4)),
        p_value=float(1 + np.sum(sharpe_R >= sharpe)) / (1 + num),
        method="Spells in the market and the gaps between them are drawn in another order, with equal costs.",
    )


def folds(result: BacktestResult, num_folds: int = 6, num_paths: int = 1, kind: str = "walk_forward") -> Folds:
    """Return folds over the bars of a result; paths are noisy copies of it."""
    rng = np.random.default_rng(3)
    edges = np.linspace(0, len(result.ts_T) - 1, num_folds + 3).astype(int)
    ts = result.ts_T
    each = tuple(
        Fold(
            name=f"fold {place + 1}",
            train=((ts[0], ts[edges[place + 1] - 5]),)
            if kind == "walk_forward"
            else ((ts[0], ts[edges[place]]), (ts[edges[place + 2]], ts[-1])),
            validation=(ts[edges[place + 1]], ts[edges[place + 2] - 5]),
            test=((ts[edges[place + 2]], ts[edges[place + 3] - 5]),),
            metrics={"sharpe": float(value), "total_return": float(value) / 9, "max_drawdown": 0.1, "num_trades": 5.0},
        )
        for place, value in enumerate(rng.normal(0.3, 0.8, num_folds))
    )
    noise = rng.normal(0, 0.004, (num_paths, len(ts)))
    noise[:, 0] = 0.0
    paths = tuple(
        dataclasses.replace(result, equity_T=result.equity_T * np.exp(np.cumsum(row)), name=f"path {place}")
        for place, row in enumerate(noise)
    )
    sharpes = rng.normal(0.3, 0.3, num_paths)
    return Folds(
        kind=kind,
        folds=each,
        paths=paths,
        path_metrics=tuple({"sharpe": float(x), "total_return": float(x) / 3, "max_drawdown": 0.2} for x in sharpes),
        chosen=int(np.argsort(sharpes)[num_paths // 2]),
    )


def leaks(found: int = 0) -> Leaks:
    """Return a detector's answer with so many leaks."""
    names = ("return_1", "return_5", "rsi_14", "volume_z", "close_over_sma_50")
    day = np.datetime64("2016-03-01T00:00", "us")
    return Leaks(
        checked=("15 features", "1 target", "the scaler", "strategy ppo"),
        num_cuts=8,
        leaks=tuple(
            Leak(
                kind="feature",
                name=names[place],
                symbol="XYZ",
                ts=day,
                cut_ts=day + np.timedelta64(2, "D"),
                method="truncation",
                before=0.1234567,
                after=0.7654321,
                reach_bars=2,
            )
            for place in range(found)
        ),
        drift={
            "rsi_14": {50: 0.031, 100: 0.0009, 200: 2e-7, 400: 0.0},
            "return_1": dict.fromkeys((50, 100, 200, 400), 0.0),
        },
    )


def universe(num: int = 50) -> Universe:
    """Return accuracies of guesses at a base rate of 0.53."""
    rng = np.random.default_rng(4)
    symbols = [f"S{place:02d}" for place in range(num)]
    decided = rng.integers(150, 400, num)
    accuracy = {s: float(rng.binomial(n, 0.52) / n) for s, n in zip(symbols, decided, strict=True)}
    accuracy[symbols[-1]] = float("nan")
    return Universe(
        accuracy=accuracy,
        base_rate={s: float(x) for s, x in zip(symbols, rng.uniform(0.5, 0.56, num), strict=True)},
        metrics={
            s: {"sharpe": float(x), "total_return": float(x) / 10, "max_drawdown": 0.15, "num_trades": 12.0}
            for s, x in zip(symbols[:10], rng.normal(0, 0.7, 10), strict=False)
        },
        num_decided={s: int(n) for s, n in zip(symbols, decided, strict=True)},
    )


def every_kind(results: tuple[BacktestResult, ...], metrics: dict[str, float]) -> dict[str, object]:
    """Return one value of every kind, as a run that judges everything would leave them."""
    return {
        "significance": significance(results, metrics),
        "random_entry": random_entry(),
        "folds": folds(results[0], 15, 5, "combinatorial"),
        "degenerate": Degenerate(
            findings=("Always long: 99.1% of 999 bars, with 1 bar in which it decided anything.",)
        ),
        "leaks": leaks(),
        "universe": universe(),
    }
