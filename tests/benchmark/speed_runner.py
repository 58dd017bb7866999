"""Times one engine on one task in a fresh process: ``python speed_runner.py <engine> <task> <repeats> <result.npz>``.

Engines: ``numpy`` and ``numba`` (tradewright), ``vectorbt:<columns>`` (the peer with its Rust engine, so many
strategies a call, in an interpreter of its own that has no tradewright). The result holds the figures, the CPU seconds
of every repeat (the first one warms up), the peak memory beyond that of imports and bars, and what bounds the task.
Legend: T bars, N instruments, B strategies.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import speed_bars as bars

Figures = dict[str, np.ndarray]


def tradewright_sweep(is_compiled: bool) -> tuple[Callable[[], Figures], Callable[[], None]]:
    """Return the sweep, and its lower bound: the signals alone."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from market_cases import make_panel
    from tradewright.backtest.many import score
    from tradewright.backtest.sweep import sma_signals
    from tradewright.data.ranges import Range
    from tradewright.market.rules import AccountRules, Costs

    open_T, close_T = bars.sweep_bars()
    panel, rows, pairs = (
        make_panel(open_T[:, None], close_TN=close_T[:, None]),
        Range(0, len(close_T)),
        bars.sweep_pairs(),
    )
    rules = AccountRules(initial_cash=bars.CASH, costs=Costs(fee_bps=bars.FEE_BPS))

    def run() -> Figures:
        return score(panel, rows, rules, sma_signals(close_T, pairs, rows), compiled=is_compiled)

    def bound() -> None:
        for _ in sma_signals(close_T, pairs, rows):
            pass

    return run, bound


def tradewright_panel(is_compiled: bool) -> tuple[Callable[[], Figures], Callable[[], None]]:
    """Return the portfolio, and its lower bound: three inputs read and one output written once."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from market_cases import make_panel
    from tradewright.backtest.rebalance import rebalance
    from tradewright.data.ranges import Range
    from tradewright.market.rules import AccountRules, Costs

    open_TN, close_TN = bars.panel_bars()
    weights_TN = bars.panel_weights()
    panel, rows = make_panel(open_TN, close_TN=close_TN), Range(0, len(close_TN))
    rules = AccountRules(initial_cash=bars.CASH, costs=Costs(fee_bps=bars.FEE_BPS))

    def run() -> Figures:
        held = rebalance(panel, rows, rules, weights_TN)
        return {"equity_T": held.equity_T, "fees": np.array(held.costs["fees"]), "held": held.weights_TN[-1]}

    def bound() -> None:
        out_TN = open_TN + close_TN
        out_TN += weights_TN

    return run, bound


def vectorbt_sweep(num_columns: int) -> tuple[Callable[[], Figures], None]:
    """Return the sweep as the peer's users write it: signals shifted by a bar, filled at the open, all in."""
    import pandas as pd
    import vectorbt as vbt

    vbt.settings["engine"] = "rust"
    vbt.settings.returns["year_freq"] = f"{bars.DAYS_PER_YEAR:.0f} days"
    open_T, close_T = bars.sweep_bars()
    close, pairs = pd.Series(close_T), bars.sweep_pairs()

    def part(chunk: list[tuple[int, int]]) -> Figures:
        fast, slow = (vbt.MA.run(close, [pair[side] for pair in chunk]).ma.to_numpy() for side in (0, 1))
        is_long_TB = np.zeros(fast.shape, dtype=bool)
        is_long_TB[1:] = (fast > slow)[:-1]
        portfolio = vbt.Portfolio.from_signals(
            close, entries=is_long_TB, exits=~is_long_TB, price=open_T[:, None], fees=bars.FEE_BPS / 1e4,
            init_cash=bars.CASH, freq="1D", engine="rust",
        )  # fmt: skip
        trades = portfolio.trades.closed
        return {
            "final_equity": portfolio.final_value().to_numpy(),
            "sharpe": portfolio.sharpe_ratio().to_numpy(),
            "sortino": portfolio.sortino_ratio().to_numpy(),
            "max_drawdown": -portfolio.max_drawdown().to_numpy(),
            "calmar": portfolio.calmar_ratio().to_numpy(),
            "win_rate": trades.win_rate().to_numpy(),
            "num_trades": trades.count().to_numpy().astype(float),
        }

    def run() -> Figures:
        parts = [part(pairs[first : first + num_columns]) for first in range(0, len(pairs), num_columns)]
        return {key: np.concatenate([figures[key] for figures in parts]) for key in parts[0]}

    return run, None


def vectorbt_panel(num_columns: int) -> tuple[Callable[[], Figures], None]:
    """Return the portfolio as the peer's users write it; in column order, which is the faster one for it."""
    import pandas as pd
    import vectorbt as vbt

    vbt.settings["engine"] = "rust"
    open_TN, close_TN = (np.asfortranarray(prices_TN) for prices_TN in bars.panel_bars())
    size_TN = np.full(close_TN.shape, np.nan, order="F")
    size_TN[1:] = bars.panel_weights()[:-1]
    close = pd.DataFrame(close_TN, copy=False)

    def run() -> Figures:
        portfolio = vbt.Portfolio.from_orders(
            close, size=size_TN, size_type="targetpercent", price=open_TN, fees=bars.FEE_BPS / 1e4, init_cash=bars.CASH,
            group_by=True, cash_sharing=True, call_seq="auto", freq="1D", engine="rust",
        )  # fmt: skip
        return {"equity_T": portfolio.value().to_numpy()}

    return run, None


def memory_mb(field: str) -> float:
    """Resident memory of this process, MB: ``VmRSS`` now, ``VmHWM`` at its peak since it was last reset."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(float(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def cpu_seconds(run: Callable[[], Any]) -> float:
    start = time.process_time()
    run()
    return time.process_time() - start


def main(engine: str, task: str, repeats: str, path: str) -> None:
    """Run, time and write; see the module."""
    peer, _, columns = engine.partition(":")
    build = globals()[f"{'vectorbt' if columns else 'tradewright'}_{task}"]
    run, bound = build(int(columns)) if columns else build(peer == "numba")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts here: man 5 proc
    before = memory_mb("VmRSS")
    start = time.process_time()
    figures = run()
    seconds = [time.process_time() - start]
    extra = memory_mb("VmHWM") - before
    seconds += [cpu_seconds(run) for _ in range(int(repeats) - 1)]
    bounds = min(cpu_seconds(bound) for _ in range(5)) if bound else np.nan
    np.savez(path, seconds=seconds, extra_mb=extra, bound_s=bounds, **figures)


if __name__ == "__main__":
    main(*sys.argv[1:])
