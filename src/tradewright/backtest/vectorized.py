"""The backtester: positions of one account against the bars of a range, or many weight tracks at once.

Decided at close t, filled at open t+1; the accounting is ``market/``: the scalar loop for few instruments, the bar step
for many and for batches. The panel's own prices are traded; splits, dividends, rates and rolls come with it.
Legend: B accounts, T bars of the range, N instruments.
"""

from collections.abc import Iterable
from copy import copy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from tradewright.backtest.carry import find_carry
from tradewright.backtest.execution import ExecutionRules
from tradewright.backtest.journal import list_fills, list_trades
from tradewright.backtest.quotes import decided_of, quotes_of
from tradewright.backtest.result import BacktestResult
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.market.check import check_currency, check_distances, check_quotes, check_weights
from tradewright.market.ledger import Ledger, Quotes
from tradewright.market.positions import Positions
from tradewright.market.rules import Costs
from tradewright.market.scalar import run_account

if TYPE_CHECKING:
    from tradewright.backtest.rebalance import Held

Float = npt.NDArray[np.float64]
Array = Any
"""A NumPy array or a torch tensor."""

WIDE_FROM = 24
"""Number of instruments from which the bar step is faster than the scalar loop (tests/benchmark/test_market.py)."""


class Vectorized:
    """Backtests target weights.

    Args:
        initial_cash: Money at the start, > 0.
        leverage: Cap of gross exposure as a multiple of equity.
        allow_short: Whether negative targets are executed.
        maintenance_margin: Least equity as a fraction of gross exposure, in [0, 1).
        stop_loss: Default distance of a stop from the entry price, in ``stop_unit``; None: none.
        take_profit: Default distance of a target, in ``stop_unit``; None: none.
        trailing: Default distance of a trailing stop from the best price, in ``stop_unit``; None: none.
        stop_unit: ``fraction`` of the entry price, or ``atr``, average true ranges at the decision.
        atr_bars: Bars of the average true range.
        finer_timeframe: Length of the stored bars that decide what came first inside a bar; None: the stop.
        sizing: ``fill`` or ``decision``.
        cash_buffer: Fraction of equity never invested under ``sizing: decision``.
        delay_bars: Bars by which every decision is executed later than at the next open.
        min_notional: Least money an order must be worth; full closings are exempt.
        max_participation: Largest fraction of the average volume per bar that one order may take; None: any.
        pool_slippage: Orders move the price of the pool that is traded, by its liquidity; needs data of swaps.
        impact_bars: Bars of the averages behind ``max_participation`` and ``costs.impact``.
        compiled: Carry single accounts by the loop that ``numba`` compiled: the same bits, faster over many busy bars.
        costs: What trading and holding costs.

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    def __init__(
        self,
        *,
        initial_cash: float = 100_000.0,
        leverage: float = 1.0,
        allow_short: bool = True,
        maintenance_margin: float = 0.25,
        stop_loss: float | None = None,
        take_profit: float | None = None,
        trailing: float | None = None,
        stop_unit: Literal["fraction", "atr"] = "fraction",
        atr_bars: int = 14,
        finer_timeframe: str | None = None,
        sizing: str = "fill",
        cash_buffer: float = 0.0,
        delay_bars: int = 0,
        min_notional: float = 0.0,
        max_participation: float | None = None,
        pool_slippage: bool = False,
        impact_bars: int = 20,
        compiled: bool = False,
        costs: Costs,
    ) -> None:
        self.compiled = compiled
        self.rules = ExecutionRules(
            initial_cash=initial_cash,
            leverage=leverage,
            allow_short=allow_short,
            maintenance_margin=maintenance_margin,
            stop_loss=stop_loss,
            take_profit=take_profit,
            trailing=trailing,
            stop_unit=stop_unit,
            atr_bars=atr_bars,
            finer_timeframe=finer_timeframe,
            sizing=sizing,
            cash_buffer=cash_buffer,
            delay_bars=delay_bars,
            min_notional=min_notional,
            max_participation=max_participation,
            pool_slippage=pool_slippage,
            impact_bars=impact_bars,
            costs=costs,
        )

    def without_stops(self) -> "Vectorized":
        """Return the same backtester without default stops and targets."""
        other = copy(self)
        other.rules = replace(self.rules, stop_loss=None, take_profit=None, trailing=None)
        return other

    def run(self, panel: Panel, positions: Positions, rows: Range, *, name: str) -> BacktestResult:
        """Return the history of one account that starts flat at the close of ``rows.start``.

        Args:
            panel: Bars.
            positions: ``len(rows)`` rows; row i is decided at the close of bar ``rows.start + i`` and fills at the next
                open; the last one never fills.
            rows: The judged bars.
            name: Strategy name as tables print it.

        Raises:
            MarketError: Prices, weights or distances that no account can trade.
        """
        quotes = quotes_of(panel, self.rules, rows)
        ts_T = panel.ts_T[rows.start : rows.stop]
        check_weights(positions.weights_TN, panel.symbols, quotes.close.shape)
        decided = decided_of(panel, positions, self.rules, rows)
        check_distances(decided, panel.symbols)
        check_quotes(quotes, panel.symbols, ts_T)
        check_currency(panel.instruments)
        multiplier = [instrument.multiplier for instrument in panel.instruments]
        lot = [instrument.lot for instrument in panel.instruments]
        tick = [instrument.tick for instrument in panel.instruments]
        rules = self.rules.account
        if len(panel.instruments) >= WIDE_FROM:
            from tradewright.market.wide import run_wide  # imported by need: a rule's backtest is mostly imports

            ledger = run_wide(quotes, decided, rules, multiplier=multiplier, lot=lot, tick=tick)
        else:
            ledger = run_account(
                quotes, decided, rules, multiplier=multiplier, lot=lot, tick=tick, compiled=self.compiled
            )
        return _result(panel, ts_T, quotes, ledger, positions.confidence_TN, self.rules, name)

    def run_many(self, panel: Panel, weights_BTN: Array, rows: Range, *, xp: Any = np) -> Array:
        """Return equity ``[B, T]`` of B accounts on the same bars, without journals.

        Args:
            panel: Bars.
            weights_BTN: Targets of every account, as the rows of ``Positions``; an array of ``xp``, on any device.
            rows: The judged bars.
            xp: The module ``numpy`` or ``torch``.

        Raises:
            MarketError: Prices or weights that no account can trade.
        """
        from tradewright.backtest.walk import Walk  # imported by need, as the wide form

        walk = Walk(panel, rows, self.rules, xp=xp, device=weights_BTN.device)
        check_weights(weights_BTN, panel.symbols, (len(weights_BTN), *walk.quotes.close.shape), xp=xp)
        state = walk.start(len(weights_BTN))
        none_BN = state.shares_BN + float("nan")
        equity_TB = [state.cash_B]
        for t in range(1, walk.num_bars):
            decided_at = t - 1 - self.rules.delay_bars
            weights_BN = weights_BTN[:, decided_at] if decided_at >= 0 else none_BN
            state, outcome = walk.step(state, weights_BN, t, detail=False)
            equity_TB.append(outcome.equity_B)
        return xp.stack(equity_TB, 1)

    def score_many(self, panel: Panel, tracks: Iterable[Array], rows: Range, **options: Any) -> dict[str, Array]:
        """Return figures ``[B]`` of any number of strategies without keeping their equity curves.

        Args:
            panel: Bars.
            tracks: Chunks of targets ``[b, T, N]``, or of long/flat signals ``[b, T]``, in any number.
            rows: The judged bars.
            **options: See ``backtest.many.score``.

        Raises:
            MarketError: Prices or weights that no account can trade.
        """
        from tradewright.backtest.many import score

        return score(panel, rows, self.rules, tracks, **options)

    def rebalance(self, panel: Panel, weights_TN: Float, rows: Range) -> "Held":
        """Return equity, held weights and costs of one account that trades many instruments, without a journal.

        Args:
            panel: Bars.
            weights_TN: Targets, as the rows of ``Positions``.
            rows: The judged bars.

        Raises:
            MarketError: Prices or weights that no account can trade.
        """
        from tradewright.backtest.rebalance import rebalance

        return rebalance(panel, rows, self.rules, weights_TN)


def _result(
    panel: Panel,
    ts_T: npt.NDArray[np.datetime64],
    quotes: Quotes,
    ledger: Ledger,
    confidence_TN: Float | None,
    rules: ExecutionRules,
    name: str,
) -> BacktestResult:
    multiplier_N = np.array([instrument.multiplier for instrument in panel.instruments])
    value_TN = ledger.shares * ledger.mark * multiplier_N
    equity_T1 = ledger.equity[:, None]
    weights_TN = np.divide(value_TN, equity_T1, out=np.full_like(value_TN, np.nan), where=equity_T1 != 0)
    weights_TN[value_TN == 0] = 0.0
    carry = find_carry(ledger, quotes, multiplier_N, rules.costs.borrow_rate)
    return BacktestResult(
        name=name,
        ts_T=ts_T,
        timeframe_s=panel.timeframe_s,
        periods_per_year=panel.periods_per_year,
        symbols=panel.symbols,
        initial_cash=rules.initial_cash,
        equity_T=ledger.equity,
        weights_TN=weights_TN,
        cash_T=ledger.cash,
        fills=list_fills(ledger.records, panel.instruments, ts_T),
        trades=list_trades(ledger.records, panel.instruments, ts_T, quotes, ledger.mark[-1], carry),
        costs={
            "fees": sum(record[7] for record in ledger.records),
            "slippage": sum(record[8] for record in ledger.records),
            "borrow": ledger.borrow,
            "funding": ledger.funding,
            "dividends": -ledger.dividend if ledger.dividend else 0.0,
            "interest": -ledger.interest if ledger.interest else 0.0,
        },
        ended_at=ledger.ended_at,
        confidence_TN=confidence_TN,
        mark_TN=np.where(ledger.mark > 0, ledger.mark, np.nan),
    )
