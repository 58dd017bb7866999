"""Results for report tests: a small next-open simulation of one instrument, independent of the product's backtester.

Legend: T bars.
"""

from __future__ import annotations

import numpy as np

from tradewright.backtest.result import BacktestResult, Fill, Trade
from tradewright.metrics.summary import summarise
from tradewright.report.content import ReportContent


def prices(num_bars: int, seed: int, step: str = "D", drift: float = 3e-4) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return times, opens and closes of a random walk, business days or consecutive steps."""
    rng = np.random.default_rng(seed)
    close = 100 * np.exp(np.cumsum(rng.normal(drift, 0.01, num_bars)))
    opened = np.concatenate(([100.0], close[:-1])) * np.exp(rng.normal(0, 0.002, num_bars))
    if step == "D":
        ts = np.busday_offset("2015-01-01", np.arange(num_bars), roll="forward").astype("datetime64[us]")
    else:
        ts = (np.datetime64("2015-01-05T14:30", "m") + np.arange(num_bars)).astype("datetime64[us]")
    return ts, opened, close


def simulate(
    name: str,
    target_T: np.ndarray,
    ts: np.ndarray,
    opened: np.ndarray,
    close: np.ndarray,
    *,
    timeframe_s: int = 86_400,
    fee_bps: float = 10.0,
    cash: float = 100_000.0,
    confidence_TN: np.ndarray | None = None,
) -> BacktestResult:
    """Trade to ``target_T[t]`` (0 or 1) at the next open, with a proportional fee; some idle bars record a refusal."""
    shares, equity, held, cashes, fills, trades = 0.0, [cash], [0.0], [cash], [], []
    entry: tuple[int, float, float] | None = None
    fees = 0.0
    for bar in range(1, len(ts)):
        wanted, price = target_T[bar - 1], opened[bar]
        if wanted > 0 and shares == 0:
            shares = cash / (price * (1 + fee_bps / 1e4))
            fee = shares * price * fee_bps / 1e4
            cash -= shares * price + fee
            entry = (bar, price, fee)
            fills.append(_fill(bar, ts, shares, price, fee, "order"))
            fees += fee
        elif wanted == 0 and shares > 0 and entry is not None:
            fee = shares * price * fee_bps / 1e4
            cash += shares * price - fee
            fills.append(_fill(bar, ts, -shares, price, fee, "order"))
            fees += fee
            trades.append(_trade(entry, bar, ts, shares, price, fee, close))
            shares, entry = 0.0, None
        elif bar % 97 == 0:
            fills.append(_fill(bar, ts, 0.0, price, 0.0, "below_lot"))
        value = shares * close[bar]
        equity.append(cash + value)
        cashes.append(cash)
        held.append(value / (cash + value))
    if entry is not None:
        trades.append(_trade(entry, None, ts, shares, close[-1], 0.0, close))
    return BacktestResult(
        name=name,
        ts_T=ts,
        timeframe_s=timeframe_s,
        periods_per_year=252.0,
        symbols=("XYZ",),
        initial_cash=equity[0],
        equity_T=np.array(equity),
        weights_TN=np.array(held)[:, None],
        cash_T=np.array(cashes),
        fills=tuple(fills),
        trades=tuple(trades),
        costs={"fees": fees, "slippage": 0.0, "borrow": 0.0, "interest": 0.0},
        confidence_TN=confidence_TN,
        mark_TN=close[:, None],
    )


def _fill(bar: int, ts: np.ndarray, quantity: float, price: float, fee: float, reason: str) -> Fill:
    return Fill(bar=bar, ts=ts[bar], symbol="XYZ", quantity=quantity, price=price, fee=fee, slippage=0.0, reason=reason)


def _trade(
    entry: tuple[int, float, float],
    bar: int | None,
    ts: np.ndarray,
    shares: float,
    price: float,
    fee: float,
    close: np.ndarray,
) -> Trade:
    start, paid, entry_fee = entry
    seen = np.append(close[start:bar], price)
    pnl = shares * (price - paid) - entry_fee - fee
    return Trade(
        symbol="XYZ",
        side="long",
        quantity=shares,
        entry_bar=start,
        entry_ts=ts[start],
        entry_price=paid,
        exit_bar=bar,
        exit_ts=None if bar is None else ts[bar],
        exit_price=None if bar is None else price,
        pnl=pnl,
        costs=entry_fee + fee,
        return_fraction=pnl / (shares * paid),
        holding_bars=(len(ts) - 1 if bar is None else bar) - start,
        exit_reason="" if bar is None else "order",
        mae=max(1 - seen.min() / paid, 0.0),
        mfe=max(seen.max() / paid - 1, 0.0),
    )


def moving_average_targets(close: np.ndarray, fast: int, slow: int) -> np.ndarray:
    """Return 1 where the fast mean of closes is above the slow one, else 0."""
    sums = np.concatenate(([0.0], np.cumsum(close)))
    targets = np.zeros(len(close))
    for t in range(slow - 1, len(close)):
        targets[t] = (sums[t + 1] - sums[t + 1 - fast]) / fast > (sums[t + 1] - sums[t + 1 - slow]) / slow
    return targets


def sample_results(num_bars: int = 1000, seed: int = 3, step: str = "D") -> tuple[BacktestResult, ...]:
    """Return a strategy and three baselines on one random walk."""
    ts, opened, close = prices(num_bars, seed, step, drift=3e-4 if step == "D" else 0.0)
    frame = 86_400 if step == "D" else 60
    targets = {
        "ppo": moving_average_targets(close, 5, 20),
        "buy_and_hold": np.ones(num_bars),
        "sma_cross": moving_average_targets(close, 20, 50),
        "momentum": moving_average_targets(close, 1, 120),
    }
    confidence_TN = np.random.default_rng(seed).beta(6, 3, (num_bars, 1))
    return tuple(
        simulate(
            name, target, ts, opened, close, timeframe_s=frame, confidence_TN=confidence_TN if name == "ppo" else None
        )
        for name, target in targets.items()
    )


def sample_metrics(results: tuple[BacktestResult, ...]) -> dict[str, float]:
    """Return the flat metrics of a run whose validation range is the same simulation with another seed."""
    hold = next((result for result in results if result.name == "buy_and_hold"), None)
    metrics = {f"test/{key}": value for key, value in summarise(results[0], hold).items()}
    for result in results[1:]:
        metrics |= {f"baseline/{result.name}/{key}": value for key, value in summarise(result, hold).items()}
    return metrics


def sample_content(num_bars: int = 1000, seed: int = 3, step: str = "D", **changes: object) -> ReportContent:
    """Return the content of a full report."""
    results = sample_results(num_bars, seed, step)
    validation = sample_results(400, seed + 1, "D")
    metrics = sample_metrics(results)
    metrics |= {f"validation/{key}": value for key, value in summarise(validation[0], validation[1]).items()}
    rng = np.random.default_rng(seed)
    steps = np.arange(200) * 1024
    values: dict[str, object] = {
        "title": "ppo on xyz",
        "experiment": "default",
        "run": "20261121-090000-abc123",
        "command": "tradewright algorithm=ppo data=synthetic",
        "config_yaml": "algorithm:\n  lr: 0.001\nseed: 0\n",
        "provenance": {"git": {"sha": "0123abc", "dirty": False}, "seed": 0, "data_fingerprint": "ff00"},
        "results": results,
        "metrics": metrics,
        "notes": ("Synthetic data: no conclusion about a real market follows.",),
        "validation": validation[0],
        "curves": {
            "train/loss": (steps, np.exp(-steps / 5e4) + rng.normal(0, 0.02, 200)),
            "train/mean_reward": (steps, 1 - np.exp(-steps / 8e4) + rng.normal(0, 0.05, 200)),
            "validation/sharpe": (steps[::20], rng.normal(0.4, 0.1, 10)),
        },
        "periods": {
            "validation": (validation[0].ts_T[0], validation[0].ts_T[-1]),
            "test": (results[0].ts_T[0], results[0].ts_T[-1]),
        },
    }
    return ReportContent(**(values | changes))  # type: ignore[arg-type]  # a test's keyword bag
