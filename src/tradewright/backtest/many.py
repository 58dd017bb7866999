"""Figures of many strategies on the same bars, without keeping their equity curves.

``score`` takes tracks of targets chunk by chunk and returns the report's figures of every track. Any rules go through
the bar step with statistics carried beside the accounts (``market.tally``): memory does not grow with the number of
bars or of strategies beyond the chunk at hand. Signals, long or flat with all money in one instrument, under plain
rules take a closed form that costs time per trade instead of per bar (``long_flat.py``). Both give what
``Vectorized.run`` and ``metrics.summarise`` give for each track.
Legend: B accounts, b of one chunk, T bars of the range, N instruments.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, repeat
from typing import Any

import numpy as np
import numpy.typing as npt

from tradewright.backtest.execution import ExecutionRules
from tradewright.backtest.long_flat import LongFlat
from tradewright.backtest.walk import Walk
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import ConfigError, MarketError
from tradewright.market.check import check_weights
from tradewright.market.rules import AccountRules, Costs
from tradewright.market.step import Array
from tradewright.market.tally import FIGURES, Moments, add_bar, figures_of, start_tally
from tradewright.metrics.calendar import annualised_marks

Bool = npt.NDArray[np.bool_]

WALK_ROWS = 1_024
"""Accounts that walk through the bars together, so that the cost of calling NumPy is shared."""

MAX_PLAIN_MARGIN = 0.99
"""Up to this maintenance margin an account that is all in, without debt, is never called."""


def score(
    panel: Panel,
    rows: Range,
    rules: AccountRules,
    tracks: Iterable[Array],
    *,
    risk_free: float = 0.0,
    compiled: bool = False,
    xp: Any = np,
    device: Any = "cpu",
) -> dict[str, Array]:
    """Return the figures of every track; accounts start flat at the close of ``rows.start``.

    Args:
        panel: Bars.
        rows: The judged bars.
        rules: The account's rules, those of a ``Vectorized`` backtester.
        tracks: Chunks, in any sizes, each either weights, float64 ``[b, T, N]`` of ``xp``, as the rows of
            ``Positions`` (NaN: no order); or signals, bool ``[b, T]`` of NumPy, True for all money in the panel's only
            instrument and False for none, ordered when they change, as ``strategy.orders.orders_at_changes`` does.
            ``sweep.sma_signals`` makes such chunks. A chunk's memory may be used again for the next one.
        risk_free: Annual fraction.
        compiled: Use ``numba`` for signals.
        xp: The module ``numpy`` or ``torch``, for weights.
        device: Where the weights are, if ``xp`` is torch.

    Returns:
        ``market.tally.FIGURES`` by key, one value for each track in their order; keys and conventions are those of
        ``metrics.summarise``.

    Raises:
        MarketError: Prices, weights or signals that no account can trade.
        ConfigError: ``compiled`` was asked for without ``numba``, or with rules that only the bar step knows.
    """
    walk = Walk(panel, rows, rules, xp=xp, device=device)
    marks, periods = annualised_marks(panel.ts_T[rows.start : rows.stop], panel.timeframe_s, panel.periods_per_year)
    target = risk_free / periods
    form = None
    if has_closed_form(walk):
        form = LongFlat(
            walk.quotes.open[:, 0], walk.quotes.close[:, 0], marks, cash=rules.initial_cash,
            fee=rules.costs.fee_bps / 1e4, slippage=rules.costs.slippage_bps / 1e4, target=target, is_compiled=compiled,
        )  # fmt: skip
    elif compiled:
        raise ConfigError(
            "compiled=True needs one fractional instrument with every bar and no rules but fee_bps and slippage_bps;"
            " leave it out for these"
        )
    is_mark_T = np.zeros(len(rows), dtype=bool)
    is_mark_T[marks] = True
    found = [
        form.moments(track) if form and track.ndim == 2 else _walked(walk, track, is_mark_T, target)
        for track in _checked(tracks, panel.symbols, len(rows), xp, None if form else WALK_ROWS)
    ]
    if not found:
        return {key: xp.zeros(0, dtype=xp.float64) for key in FIGURES}
    together = (xp.concatenate([xp.asarray(x, device=device) for x in field]) for field in zip(*found, strict=True))
    return figures_of(xp, Moments(*together), periods, risk_free)


def has_closed_form(walk: Walk) -> bool:
    """Return whether ``long_flat`` knows everything that these bars and rules need."""
    rules, costs = walk.rules, walk.rules.costs
    plain = ExecutionRules(
        initial_cash=rules.initial_cash,
        allow_short=rules.allow_short,
        maintenance_margin=rules.maintenance_margin,
        costs=Costs(fee_bps=costs.fee_bps, slippage_bps=costs.slippage_bps, borrow_rate=costs.borrow_rate),
    )
    is_plain_market = walk.lot_N is None and walk.tick_N is None and all(extra is None for extra in walk.quotes[6:])
    is_solvent = rules.maintenance_margin <= MAX_PLAIN_MARGIN and rules.terms.rate < 1
    is_whole = bool(walk.quotes.tradable.all())
    return walk.num_instruments == 1 and rules == plain and is_plain_market and is_whole and is_solvent


def _walked(walk: Walk, track: Array, is_mark_T: Bool, target: float) -> Moments:
    """Return the statistics of the accounts that follow one chunk, by the bar step."""
    xp, delay = walk.xp, walk.rules.delay_bars
    state = walk.start(len(track))
    tally = start_tally(xp, state.cash_B, walk.num_instruments)
    decisions = chain(repeat(state.shares_BN + float("nan"), delay), _in_turn(walk, track))
    for t, weights_BN in zip(range(1, walk.num_bars), decisions, strict=False):
        state, outcome = walk.step(state, weights_BN, t)
        is_mark = bool(is_mark_T[t])
        tally = add_bar(xp, tally, outcome, is_mark=is_mark, target=target, multiplier_N=walk.multiplier_N)
    return tally.moments


def _in_turn(walk: Walk, track: Array) -> Iterator[Array]:
    """Yield the targets decided at each close, ``[b, N]``; an order that meets no bar is given again until it does."""
    if track.ndim == 3:
        yield from (track[:, t] for t in range(track.shape[1]))
        return
    signal_TB = np.ascontiguousarray(track.T)
    before_B, is_order_B = ~signal_TB[0], np.zeros(len(track), dtype=bool)
    for signal_B, has_bar in zip(signal_TB, walk.quotes.tradable[:, 0].tolist(), strict=True):
        is_change_B = signal_B != before_B
        is_order_B = is_change_B if has_bar else is_change_B | is_order_B
        yield walk.give(np.where(is_order_B, signal_B, np.nan)[:, None])
        before_B = signal_B


def _checked(
    tracks: Iterable[Array], symbols: Sequence[str], num: int, xp: Any, walk_rows: int | None
) -> Iterator[Array]:
    """Yield the chunks, refusing those of another shape; signals that must walk are gathered to larger chunks."""
    gathered: list[Array] = []

    def together() -> Iterator[Array]:
        if gathered:
            yield np.concatenate(gathered)
            gathered.clear()

    for track in tracks:
        if track.ndim != 2:
            yield from together()
            check_weights(track, symbols, (len(track), num, len(symbols)), xp=xp)
            yield track
            continue
        if not isinstance(track, np.ndarray) or track.dtype != np.bool_ or track.shape[1] != num:
            shape, kind = tuple(track.shape), track.dtype
            raise MarketError(f"signals must be a bool NumPy array [rows, {num} bars], was {kind} {shape}")
        if len(symbols) != 1:
            raise MarketError(f"signals trade one instrument, the panel has {len(symbols)}; give weights")
        if walk_rows is None:
            yield track
            continue
        gathered.append(track.copy())
        if sum(map(len, gathered)) >= walk_rows:
            yield from together()
    yield from together()
