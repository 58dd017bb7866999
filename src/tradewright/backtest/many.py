"""Figures of many strategies on the same bars, without keeping their equity curves.

``score`` takes tracks of targets chunk by chunk and returns the report's figures of every track. Any rules go through
the bar step with statistics carried beside the accounts (``market.tally``): memory does not grow with the number of
bars or of strategies beyond the chunk at hand. Signals, long or flat with all money in one instrument, under plain
rules take a closed form that costs time per trade instead of per bar (``long_flat.py``). Both give what
``Vectorized.run`` and ``metrics.summarise`` give for each track.
Legend: B accounts, b of one chunk, T bars of the range, N instruments.
"""

from collections.abc import Iterable, Iterator
from itertools import chain, repeat
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from tradewright.backtest.execution import ExecutionRules
from tradewright.backtest.long_flat import LongFlat
from tradewright.backtest.quotes import default_distances, quotes_of
from tradewright.data.panel import Panel
from tradewright.data.ranges import Range
from tradewright.errors import ConfigError, MarketError
from tradewright.market.check import check_currency, check_quotes, check_weights
from tradewright.market.ledger import Quotes
from tradewright.market.rules import AccountRules, Costs
from tradewright.market.step import Array, Bar, initial_state, step
from tradewright.market.tally import FIGURES, Moments, add_bar, figures_of, start_tally
from tradewright.metrics.calendar import annualised_marks

Float = npt.NDArray[np.float64]

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

    Returns:
        ``market.tally.FIGURES`` by key, one value for each track in their order; keys and conventions are those of
        ``metrics.summarise``.

    Raises:
        MarketError: Prices, weights or signals that no account can trade.
        ConfigError: ``compiled`` was asked for without ``numba``, or with rules that only the bar step knows.
    """
    execution = ExecutionRules.of(rules)
    quotes, ts_T = quotes_of(panel, execution, rows), panel.ts_T[rows.start : rows.stop]
    check_quotes(quotes, panel.symbols, ts_T)
    check_currency(panel.instruments)
    marks, periods = annualised_marks(ts_T, panel.timeframe_s, panel.periods_per_year)
    target = risk_free / periods
    form = None
    if has_closed_form(panel, quotes, execution):
        costs, cash = rules.costs, rules.initial_cash
        form = LongFlat(
            quotes.open[:, 0], quotes.close[:, 0], marks, cash=cash, fee=costs.fee_bps / 1e4,
            slippage=costs.slippage_bps / 1e4, target=target, is_compiled=compiled,
        )  # fmt: skip
    elif compiled:
        raise ConfigError(
            "compiled=True needs one fractional instrument with every bar and no rules but fee_bps and slippage_bps;"
            " leave it out for these"
        )
    is_mark_T = np.zeros(len(rows), dtype=bool)
    is_mark_T[marks] = True
    walk = _Walk(panel, rows, execution, quotes, is_mark_T, target, xp)
    found = [
        form.moments(track) if form and track.ndim == 2 else walk.moments(track)
        for track in _checked(tracks, panel, len(rows), xp, None if form else WALK_ROWS)
    ]
    if not found:
        return {key: xp.zeros(0, dtype=xp.float64) for key in FIGURES}
    together = (xp.concatenate([xp.asarray(x) for x in field]) for field in zip(*found, strict=True))
    return figures_of(xp, Moments(*together), periods, risk_free)


def has_closed_form(panel: Panel, quotes: Quotes, rules: ExecutionRules) -> bool:
    """Return whether ``long_flat`` knows everything that these bars and rules need."""
    costs = rules.costs
    plain = ExecutionRules(
        initial_cash=rules.initial_cash,
        allow_short=rules.allow_short,
        maintenance_margin=rules.maintenance_margin,
        costs=Costs(fee_bps=costs.fee_bps, slippage_bps=costs.slippage_bps, borrow_rate=costs.borrow_rate),
    )
    first = panel.instruments[0]
    is_plain_market = first.lot == 0 and first.tick == 0 and all(extra is None for extra in quotes[6:])
    is_whole = bool(quotes.tradable.all())
    is_solvent = rules.maintenance_margin <= MAX_PLAIN_MARGIN and rules.terms.rate < 1
    return len(panel.instruments) == 1 and rules == plain and is_plain_market and is_whole and is_solvent


class _Walk(NamedTuple):
    """The bars through which accounts are carried by the bar step."""

    panel: Panel
    rows: Range
    rules: ExecutionRules
    quotes: Quotes
    is_mark_T: npt.NDArray[np.bool_]
    target: float
    xp: Any

    def moments(self, track: Array) -> Moments:
        """Return the statistics of the accounts that follow one chunk."""
        xp, quotes = self.xp, self.quotes
        device = getattr(track, "device", "cpu")

        def give(values: Any) -> Array | None:
            return None if values is None else xp.asarray(np.asarray(values), device=device)

        def unless_all(neutral: float, values: list[float]) -> Array | None:
            return None if set(values) == {neutral} else give(values)

        bars: dict[str, Any] = {name: give(x) for name, x in quotes._asdict().items()}
        if quotes.tradable[1:].all():
            bars["tradable"] = None
        distances: dict[str, Array] = {
            key: give(x_TN) for key, x_TN in default_distances(self.panel, self.rules, self.rows).items()
        }
        facts = self.panel.instruments
        multiplier_N = unless_all(1.0, [fact.multiplier for fact in facts])
        lot_N, tick_N = unless_all(0.0, [fact.lot for fact in facts]), unless_all(0.0, [fact.tick for fact in facts])
        state = initial_state(
            xp, self.rules.account, len(track), len(facts), mark_N=bars["close"][0], has_stops=bool(distances),
            device=device,
        )  # fmt: skip
        tally = start_tally(xp, state.cash_B, len(facts))
        none_BN = state.shares_BN + float("nan")
        decisions = chain(repeat(none_BN, self.rules.delay_bars), _in_turn(xp, track, quotes.tradable))
        for t, weights_BN in zip(range(1, len(self.rows)), decisions, strict=False):
            at = t - 1 - self.rules.delay_bars
            state, outcome = step(
                xp, state, weights_BN, _bar(bars, t), self.rules.account,
                multiplier_N=multiplier_N, lot_N=lot_N, tick_N=tick_N,
                **{f"{key}_BN": x_TN[max(at, 0)][None] for key, x_TN in distances.items()},
            )  # fmt: skip
            is_mark = bool(self.is_mark_T[t])
            tally = add_bar(xp, tally, outcome, is_mark=is_mark, target=self.target, multiplier_N=multiplier_N)
        return tally.moments


SUFFIXES = {"years": "_B", "finer_open": "_BKN", "finer_high": "_BKN", "finer_low": "_BKN"}
"""Shapes of the fields of ``Bar`` that are not ``_BN``."""


def _bar(bars: dict[str, Array], t: int) -> Bar:
    """Return bar t of the fields of ``Quotes``."""
    row: dict[str, Any] = {
        f"{name}{SUFFIXES.get(name, '_BN')}": None if x is None else x[t] for name, x in bars.items()
    }
    row["years_B"] = float(row["years_B"])
    return Bar(**row)


def _in_turn(xp: Any, track: Array, tradable_TN: npt.NDArray[np.bool_]) -> Iterator[Array]:
    """Yield the targets decided at each close, ``[b, N]``; an order that meets no bar is given again until it does."""
    if track.ndim == 3:
        yield from (track[:, t] for t in range(track.shape[1]))
        return
    signal_TB = np.ascontiguousarray(track.T)
    before_B, is_order_B = ~signal_TB[0], np.zeros(len(track), dtype=bool)
    for signal_B, has_bar in zip(signal_TB, tradable_TN[:, 0].tolist(), strict=True):
        is_change_B = signal_B != before_B
        is_order_B = is_change_B if has_bar else is_change_B | is_order_B
        yield xp.asarray(np.where(is_order_B, signal_B, np.nan)[:, None])
        before_B = signal_B


def _checked(tracks: Iterable[Array], panel: Panel, num: int, xp: Any, walk_rows: int | None) -> Iterator[Array]:
    """Yield the chunks, refusing those of another shape; signals that must walk are gathered to larger chunks."""
    gathered: list[Array] = []

    def together() -> Iterator[Array]:
        if gathered:
            yield np.concatenate(gathered)
            gathered.clear()

    for track in tracks:
        if track.ndim != 2:
            yield from together()
            check_weights(track, panel.symbols, (len(track), num, len(panel.instruments)), xp=xp)
            yield track
            continue
        if not isinstance(track, np.ndarray) or track.dtype != np.bool_ or track.shape[1] != num:
            shape, kind = tuple(track.shape), track.dtype
            raise MarketError(f"signals must be a bool NumPy array [rows, {num} bars], was {kind} {shape}")
        if len(panel.instruments) != 1:
            raise MarketError(f"signals trade one instrument, the panel has {len(panel.instruments)}; give weights")
        if walk_rows is None:
            yield track
            continue
        gathered.append(track.copy())
        if sum(map(len, gathered)) >= walk_rows:
            yield from together()
    yield from together()
