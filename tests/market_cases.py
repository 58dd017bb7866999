"""Seeded markets for the tests of accounting, backtests and strategies: panels, and cases that use every feature.

Legend: T bars, N instruments.
"""

from typing import Any, NamedTuple

import numpy as np

from tradewright.data.panel import Panel
from tradewright.market.instrument import Instrument
from tradewright.market.ledger import Decided, Quotes
from tradewright.market.positions import Positions
from tradewright.market.rules import AccountRules, Costs

DAY = np.timedelta64(86_400_000_000, "us")


def random_prices(
    rng: np.random.Generator, num_bars: int, num: int, volatility: float = 0.02
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return open, high, low and close ``[T, N]`` with overnight gaps."""
    close = 100.0 * np.exp(np.cumsum(volatility * rng.standard_normal((num_bars, num)), axis=0))
    open_ = close * np.exp(0.6 * volatility * rng.standard_normal((num_bars, num)))
    high = np.maximum(open_, close) * (1.0 + volatility * rng.random((num_bars, num)))
    low = np.minimum(open_, close) * (1.0 - 0.8 * volatility * rng.random((num_bars, num)))
    return open_, high, low, close


def make_panel(
    open_TN: np.ndarray,
    high_TN: np.ndarray | None = None,
    low_TN: np.ndarray | None = None,
    close_TN: np.ndarray | None = None,
    **facts: Any,
) -> Panel:
    """Return a daily panel; missing prices are taken from the others, NaN closes are bars that do not exist."""
    open_TN = np.asarray(open_TN, dtype=np.float64)
    close_TN = open_TN if close_TN is None else np.asarray(close_TN, dtype=np.float64)
    high_TN = np.maximum(open_TN, close_TN) if high_TN is None else np.asarray(high_TN, dtype=np.float64)
    low_TN = np.minimum(open_TN, close_TN) if low_TN is None else np.asarray(low_TN, dtype=np.float64)
    num_bars, num = open_TN.shape
    ts_T = np.datetime64("2020-01-01T00:00:00", "us") + np.arange(num_bars) * DAY
    instruments = tuple(Instrument(symbol=f"S{n}", **facts) for n in range(num))
    return Panel(
        dataset="test",
        instruments=instruments,
        timeframe_s=86_400,
        ts_T=ts_T,
        known_at_T=ts_T + DAY,
        open_TN=open_TN,
        high_TN=high_TN,
        low_TN=low_TN,
        close_TN=close_TN,
        volume_TN=np.where(np.isnan(close_TN), 0.0, 1.0),
        tradable_TN=~np.isnan(close_TN),
    )


def random_panel(seed: int, num_bars: int, num: int, *, missing: float = 0.0, volatility: float = 0.02) -> Panel:
    """Return a panel of random walks, a fraction of whose bars is missing."""
    rng = np.random.default_rng(seed)
    prices = random_prices(rng, num_bars, num, volatility)
    is_missing = rng.random((num_bars, num)) < missing
    return make_panel(*(np.where(is_missing, np.nan, price) for price in prices))


def random_weights(rng: np.random.Generator, shape: tuple[int, int], scale: float = 1.0) -> np.ndarray:
    """Return weights of which about half are NaN."""
    return np.where(rng.random(shape) < 0.5, np.nan, rng.normal(0.0, scale, shape))


class Case(NamedTuple):
    """One account's inputs."""

    quotes: Quotes
    decided: Decided
    rules: AccountRules
    contract: dict[str, list[float] | None]


def random_case(seed: int, *, num: int | None = None, has_steps: bool = False) -> Case:
    """Return a case that may use any feature of the accounting: contracts, costs, carry, actions, entries, gaps.

    Args:
        seed: Seed.
        num: Number of instruments; None: random.
        has_steps: Prices may come in coarse steps, so that bars touch stops and limits exactly; what happens then hangs
            on the last bit of a stop price, which only forms of the same arithmetic share.
    """
    rng = np.random.default_rng(seed)
    num = int(rng.choice([1, 1, 2, 3, 5])) if num is None else num
    shape = (int(rng.integers(2, 60)), num)
    volatility = float(rng.choice([0.01, 0.05, 0.2]))
    prices = random_prices(rng, *shape, volatility)
    tradable = rng.random(shape) >= rng.choice([0.0, 0.2])
    scale = rng.choice([0.02, 1.0, 30.0])
    step = rng.choice([0.0, 0.0, 5.0]) if has_steps else 0.0
    prices = tuple(np.where(tradable, _rounded(price, step) * scale, np.nan) for price in prices)
    weights = rng.normal(0.0, rng.choice([0.3, 1.0, 3.0]), shape)
    weights = np.round(weights) if rng.random() < 0.5 else weights
    weights[rng.random(shape) < rng.choice([0.0, 0.3, 0.8])] = np.nan

    def sometimes(value: Any, chance: float, otherwise: Any = None) -> Any:
        return value if rng.random() < chance else otherwise

    has_ticks = rng.random() < 0.3
    costs = Costs(
        fee_bps=sometimes(float(rng.choice([1.0, 10.0, 300.0])), 0.5, 0.0),
        fixed_fee=sometimes(float(rng.choice([1.0, 500.0])), 0.3, 0.0),
        per_share_fee=sometimes(0.01, 0.3, 0.0),
        slippage_bps=sometimes(float(rng.choice([1.0, 50.0])), 0.5, 0.0),
        slippage_ticks=float(rng.choice([0.0, 1.0, 2.5])) if has_ticks else 0.0,
        borrow_rate=sometimes(0.1, 0.5, 0.0),
        cash_rate=sometimes(float(rng.choice([0.05, -0.05])), 0.5, 0.0),
    )
    rules = AccountRules(
        initial_cash=10_000.0,
        leverage=float(rng.choice([0.5, 1.0, 1.0, 2.0, 4.0])),
        allow_short=bool(rng.random() < 0.6),
        maintenance_margin=float(rng.choice([0.0, 0.25, 0.5])),
        stop_loss=sometimes(0.05, 0.4),
        take_profit=sometimes(0.1, 0.4),
        trailing=sometimes(0.08, 0.4),
        sizing=str(rng.choice(["fill", "fill", "decision"])),
        cash_buffer=float(rng.choice([0.0, 0.0025, 0.1])),
        min_notional=sometimes(float(rng.choice([50.0, 2_000.0])), 0.3, 0.0),
        costs=costs,
    )

    def distances() -> np.ndarray | None:
        values = np.where(rng.random(shape) < 0.5, np.nan, rng.uniform(0.01, 0.3, shape))
        return sometimes(values, 0.3)

    quotes = Quotes(
        *prices,
        tradable,
        rng.choice([1.0 / 365.0, 3.0 / 365.0], shape[0]),
        sometimes(rng.choice([1.0, 1.0, 1.0, 2.0, 0.25], shape), 0.3),
        sometimes(rng.choice([0.0, 0.0, 0.5], shape), 0.3),
    )
    unit = float(np.nanmean(quotes.close)) if tradable.any() else 1.0
    quotes = _with_more(rng, quotes, unit, sometimes)
    quotes = _with_pool(np.random.default_rng([seed, 1]), quotes, unit)
    contract = {
        "multiplier": sometimes(rng.choice([1.0, 50.0], num).tolist(), 0.4),
        "lot": sometimes(rng.choice([0.0, 1.0, 0.1], num).tolist(), 0.4),
        "tick": None,
    }
    if has_ticks:
        coarse = rng.choice([1e-3, 0.01, 0.1], num) * float(np.nanmin(quotes.low, initial=unit))
        contract["tick"] = np.where(rng.random(num) < (1.0 if costs.slippage_ticks else 0.6), coarse, 0.0).tolist()
    entries = _entries(rng, quotes, volatility, step * scale)
    decided = Decided(weights, distances(), distances(), distances(), *entries)
    return Case(quotes, decided, rules, contract)


def _rounded(price: np.ndarray, step: float) -> np.ndarray:
    """Return prices in whole steps, at least one; as they are with a step of 0."""
    return np.maximum(np.round(price / step), 1.0) * step if step else price


def _with_more(rng: np.random.Generator, quotes: Quotes, unit: float, sometimes: Any) -> Quotes:
    """Return the quotes, some of them with borrow, funding, rolls, impact, capacity, a pool or finer bars."""
    shape = quotes.close.shape
    leaving = np.where(rng.random(shape) < 0.1, unit * rng.uniform(0.9, 1.1, shape), np.nan)
    rolls = sometimes({"roll_from": leaving, "roll_to": leaving * rng.uniform(0.97, 1.03, shape)}, 0.25, {})
    finer = sometimes(_finer_bars(rng, quotes), 0.3, {})
    force = (0.005 if quotes.split is None else 1e-6) / np.sqrt(10_000.0 / unit)  # splits make huge numbers of shares
    return quotes._replace(
        borrow=sometimes(rng.choice([0.0, 0.02, 3.0], shape), 0.3),
        funding=sometimes(rng.choice([0.0, 1e-4, -3e-4, 0.02], shape), 0.3),
        impact=sometimes(rng.uniform(0.0, force, shape), 0.3),
        capacity=sometimes(rng.choice([np.inf, 0.0, 0.3, 2.0], shape) * (10_000.0 / unit), 0.3),
        **rolls,
        **finer,
    )


def _with_pool(rng: np.random.Generator, quotes: Quotes, unit: float) -> Quotes:
    """Return the quotes, some of them of pools that the initial equity moves by up to half a percent."""
    if rng.random() >= 0.3:
        return quotes
    largest = (0.005 if quotes.split is None else 1e-6) / (10_000.0 / unit) / np.sqrt(unit)
    return quotes._replace(
        pool=rng.uniform(0.0, largest, quotes.close.shape) * rng.choice([0.0, 1.0], quotes.close.shape)
    )


def _finer_bars(rng: np.random.Generator, quotes: Quotes, num_finer: int = 4) -> dict[str, np.ndarray]:
    """Return finer bars that walk from open to close through the bar's range; some bars have fewer or none."""
    num_bars, num = quotes.close.shape
    low, high = quotes.low[:, None], quotes.high[:, None]
    path = low + (high - low) * rng.random((num_bars, num_finer + 1, num))
    path[:, 0], path[:, -1] = quotes.open, quotes.close
    upper, lower = np.maximum(path[:, 1:], path[:, :-1]), np.minimum(path[:, 1:], path[:, :-1])
    upper = np.where(rng.random(upper.shape) < 0.3, high, upper)
    lower = np.where(rng.random(lower.shape) < 0.3, low, lower)
    is_there = np.arange(num_finer)[None, :, None] < rng.integers(0, num_finer + 1, (num_bars, 1, num))
    columns = {"finer_open": path[:, :-1], "finer_high": upper, "finer_low": lower}
    return {name: np.where(is_there, column, np.nan) for name, column in columns.items()}


def _entries(
    rng: np.random.Generator, quotes: Quotes, volatility: float, step: float
) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Return limit and stop prices near the last close, for some orders."""
    kind = rng.choice(["none", "none", "limit", "stop", "both"])
    if kind == "none":
        return None, None
    around = quotes.close * (1.0 + volatility * rng.standard_normal(quotes.close.shape))
    which = rng.random(quotes.close.shape)
    around = _rounded(np.where(around > 0, around, np.nan), step)
    limit, stop = np.where(which < 0.4, around, np.nan), np.where(which > 0.6, around, np.nan)
    return (limit if kind != "stop" else None), (stop if kind != "limit" else None)


def positions_of(decided: Decided) -> Positions:
    """Return the decisions as a strategy would."""
    return Positions(
        weights_TN=decided.weights,
        stop_loss_TN=decided.stop_loss,
        take_profit_TN=decided.take_profit,
        trailing_TN=decided.trailing,
        limit_TN=decided.limit,
        stop_TN=decided.stop,
    )
