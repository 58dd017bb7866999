"""The degenerate-policy detector: ways in which a strategy decides nothing, so that its figures are no sign of skill.

It reads one backtest and needs no training, so it judges a policy, a rule and a language model alike. Each finding is
one sentence with its numbers; thresholds are named below with their reason. What sane rules show as well, such as a
profit that rests on one trade, is a caution and no finding.
Legend: T bars, n = T - 1 bars that have an action, N instruments.
"""

import numpy as np
import numpy.typing as npt

from tradewright.backtest.result import BacktestResult, Trade
from tradewright.evaluate.evidence import Degenerate
from tradewright.metrics.decisions import ACTIONS, DECIDED, bar_actions

Float = npt.NDArray[np.float64]
Int = npt.NDArray[np.int64]

MIN_BARS = 20
"""Bars below which only "never trades" is looked for: a month of daily bars holds too few decisions to call a habit."""

ALWAYS_SHARE = 0.98
"""Share of bars on one side from which it is always: room for the bars before a rule's first signal."""

RARE_SHARE = 0.01
"""Share of bars with a decision up to which there is hardly any: two or three a year of daily bars."""

WEIGHT_BAND = 0.05
"""Distance of the held weights from their medians, summed over instruments, up to which they are constant: prices alone
move weights that far between two rebalancings, and a policy's levels lie further apart."""

CONSTANT_SHARE = 0.99
"""Share of bars within the band; the rest may be the first purchase or a jump of the price."""

CHURN_SHARE = 0.8
"""Share of bars with an executed order from which it trades nearly every bar."""

CHURN_COST_SHARE = 0.01
"""Costs as a fraction of the initial cash below which they are not what ails the strategy."""

FLIP_SHARE = 0.9
"""Share of bars in which the position changes its side (long, short, flat) from which it does so every bar."""

ENTRY_AND_EXIT = 2
"""Bars with a decision that a single trade needs; with more, its size was decided anew and that is a choice."""

MIN_TRADES = 5
"""Trades from which one of them can outweigh the others; of fewer, one nearly always does."""

METRIC = "is_degenerate"


def find_degenerate(result: BacktestResult) -> Degenerate:
    """Return what shows that the strategy decided nothing, most telling first; no finding for a sane strategy."""
    num_bars = len(result.ts_T) - 1
    if num_bars < 1:
        return Degenerate()
    executed = [fill for fill in result.fills if fill.quantity != 0]
    if not executed:
        refused = len(result.fills)
        return Degenerate(
            findings=(f"Never trades: no order was executed in {num_bars:,} bars, {refused:,} were rejected.",)
        )
    if num_bars < MIN_BARS:
        return Degenerate()
    actions_n = bar_actions(result)
    is_decided_n = np.isin(actions_n, [ACTIONS.index(name) for name in DECIDED])
    num_decided = int(is_decided_n.sum())
    held = _always_held(result.weights_TN[1:], num_decided) or _constant_weight(result.weights_TN[1:], num_decided)
    findings = [
        held,
        _flips(result.weights_TN),
        _churns(result, num_decided, num_bars),
        None if held else _one_action(actions_n),
        None if held else _one_trade(result.trades, num_decided),
    ]
    cautions = [None if held else _rests_on_one(result.trades)]
    return Degenerate(
        findings=tuple(finding for finding in findings if finding is not None),
        cautions=tuple(caution for caution in cautions if caution is not None),
    )


def metrics(degenerate: Degenerate) -> dict[str, float]:
    """Return the figure that a comparison shows: ``is_degenerate``, 1 if there is any finding, else 0."""
    return {METRIC: float(bool(degenerate.findings))}


def _always_held(weights_nN: Float, num_decided: int) -> str | None:
    num_bars = len(weights_nN)
    if num_decided > max(RARE_SHARE * num_bars, 1):
        return None
    for side, is_on in (("long", weights_nN >= 0), ("short", weights_nN <= 0)):
        is_side_n = is_on.all(axis=1) & (weights_nN != 0).any(axis=1)
        share = float(is_side_n.mean())
        if share >= ALWAYS_SHARE:
            return (
                f"Always {side}: {share:.1%} of {num_bars:,} bars, with {_count(num_decided, 'bar')} in which it "
                "decided anything; it holds the market and chooses nothing."
            )
    return None


def _constant_weight(weights_nN: Float, num_decided: int) -> str | None:
    entered = np.flatnonzero((weights_nN != 0).any(axis=1))
    if len(entered) == 0 or len(entered) < ALWAYS_SHARE * len(weights_nN):
        return None
    held = weights_nN[entered[0] :]
    median_N = np.median(held, axis=0)
    share = float((np.abs(held - median_N).sum(axis=1) <= WEIGHT_BAND).mean())
    if not share >= CONSTANT_SHARE:
        return None
    return (
        f"Constant weight: in {share:.1%} of the bars it holds {np.sum(np.abs(median_N)):.1%} of equity, give or take "
        f"{WEIGHT_BAND:.0%}; orders in {_count(num_decided, 'bar')} only restore that weight."
    )


def _flips(weights_TN: Float) -> str | None:
    side_TN = np.sign(weights_TN)
    share_N = (side_TN[1:] != side_TN[:-1]).mean(axis=0)
    traded_N = (weights_TN != 0).any(axis=0)
    share = float(share_N[traded_N].mean()) if traded_N.any() else 0.0
    if share < FLIP_SHARE:
        return None
    return f"Flips every bar: the position changes between long, short and flat in {share:.1%} of the bars."


def _churns(result: BacktestResult, num_decided: int, num_bars: int) -> str | None:
    paid = sum(money for kind, money in result.costs.items() if kind in ("fees", "slippage"))
    gross = float(result.equity_T[-1] - result.equity_T[0]) + paid
    is_eaten = paid > max(gross, 0.0) and paid >= CHURN_COST_SHARE * result.initial_cash
    if num_decided < CHURN_SHARE * num_bars or not is_eaten:
        return None
    return (
        f"Churns: traded in {num_decided / num_bars:.1%} of {num_bars:,} bars; fees and slippage of {paid:,.0f} "
        f"{'eat more than the gross profit' if gross > 0 else 'come on top of a gross loss'} of {abs(gross):,.0f}."
    )


def _one_action(actions_n: Int) -> str | None:
    number = {name: int(np.sum(actions_n == ACTIONS.index(name))) for name in DECIDED}
    if number["rebalance"]:
        return None
    for name, other in (("buy", "sell"), ("sell", "buy")):
        if number[name] >= 2 and number[other] == 0:
            return f"Never decides to {other}: {number[name]:,} bars with a {name}, none with a {other}."
    return None


def _one_trade(trades: tuple[Trade, ...], num_decided: int) -> str | None:
    if len(trades) != 1 or num_decided > ENTRY_AND_EXIT:
        return None
    return f"One trade: all of the profit, {trades[0].pnl:,.0f}, is that of {_when(trades[0])}."


def _rests_on_one(trades: tuple[Trade, ...]) -> str | None:
    """Return that the other trades made no profit: trend rules live on few trades, so it is no sign of idleness."""
    if len(trades) < MIN_TRADES:
        return None
    best, total = max(trades, key=lambda trade: trade.pnl), sum(trade.pnl for trade in trades)
    if not 0 < total <= best.pnl:
        return None
    return (
        f"All profit comes from one trade: {best.pnl:,.0f} of {_when(best)}; the other {len(trades) - 1:,} trades "
        f"together made {total - best.pnl:,.0f}."
    )


def _when(trade: Trade) -> str:
    end = "the end" if trade.exit_ts is None else str(trade.exit_ts)[:10]
    return f"{trade.symbol} from {str(trade.entry_ts)[:10]} to {end}"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
