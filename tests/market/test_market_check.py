"""Malformed inputs are refused with a typed error that names the column, the symbol and the bar or row.

Legend: T bars, N instruments.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from market_cases import DAY, Case, random_case, random_prices
from tradewright.errors import MarketError
from tradewright.market.check import check_distances, check_given, check_quotes, check_weights
from tradewright.market.ledger import Decided, Quotes
from tradewright.market.rules import AccountRules, Costs

SYMBOLS = ("AAA", "BBB", "CCC")
NUM_BARS = 12
INF, NAN = float("inf"), float("nan")

BAD = {
    "open": (0.0, -1.0, INF, NAN),
    "high": (0.0, -1.0, INF, NAN),
    "low": (0.0, -1.0, INF, NAN),
    "close": (0.0, -1.0, INF, NAN),
    "split": (0.0, -2.0, INF, NAN),
    "dividend": (-0.1, INF, NAN),
    "borrow": (-0.1, INF, NAN),
    "funding": (INF, -INF, NAN),
    "roll_from": (0.0, -5.0, INF),
    "roll_to": (0.0, -5.0, INF),
    "impact": (-0.1, INF, NAN),
    "capacity": (-1.0, NAN),
    "pool": (-0.1, INF, NAN),
    "finer_open": (0.0, -1.0, INF),
    "finer_high": (0.0, -1.0, INF),
    "finer_low": (0.0, -1.0, INF),
}
BAD_DECISIONS = {
    "stop_loss": (0.0, -0.1, INF),
    "take_profit": (0.0, -0.1, INF),
    "trailing": (0.0, -0.1, INF),
    "limit": (0.0, -1.0, INF),
    "stop": (0.0, -1.0, INF),
}


def times() -> np.ndarray:
    return np.datetime64("2020-01-01T00:00:00", "us") + np.arange(NUM_BARS) * DAY


def sound_quotes() -> Quotes:
    """Quotes with every column given and nothing wrong."""
    shape = (NUM_BARS, len(SYMBOLS))
    prices = random_prices(np.random.default_rng(0), *shape)
    close = prices[3]
    finer = np.repeat(close[:, None], 2, axis=1)
    return Quotes(
        *prices,
        tradable=np.ones(shape, dtype=bool),
        years=np.full(NUM_BARS, 1 / 365),
        split=np.ones(shape),
        dividend=np.zeros(shape),
        borrow=np.zeros(shape),
        funding=np.zeros(shape),
        roll_from=close.copy(),
        roll_to=close.copy(),
        impact=np.zeros(shape),
        capacity=np.full(shape, INF),
        pool=np.zeros(shape),
        finer_open=finer.copy(),
        finer_high=finer.copy(),
        finer_low=finer.copy(),
    )


def sound_decisions() -> Decided:
    some = np.full((NUM_BARS, len(SYMBOLS)), NAN)
    return Decided(some.copy(), *(some.copy() for _ in range(5)))


def test_sound_inputs_pass() -> None:
    check_quotes(sound_quotes(), SYMBOLS, times())
    check_distances(sound_decisions(), SYMBOLS)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_one_bad_value_is_named_by_column_symbol_and_bar(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(BAD)))
    t, n = data.draw(st.integers(1, NUM_BARS - 1)), data.draw(st.integers(0, 2))
    quotes = sound_quotes()
    getattr(quotes, name)[t, ..., n] = data.draw(st.sampled_from(BAD[name]))
    with pytest.raises(MarketError, match=f"^{SYMBOLS[n]}: {name} of the bar at {times()[t]} is "):
        check_quotes(quotes, SYMBOLS, times())


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.data())
def test_one_bad_decision_is_named_by_column_symbol_and_row(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(BAD_DECISIONS)))
    t, n = data.draw(st.integers(0, NUM_BARS - 1)), data.draw(st.integers(0, 2))
    decided = sound_decisions()
    getattr(decided, name)[t, n] = data.draw(st.sampled_from(BAD_DECISIONS[name]))
    with pytest.raises(MarketError, match=f"^{SYMBOLS[n]}: {name} of row {t} is .*, expected a (price|fraction) > 0"):
        check_distances(decided, SYMBOLS)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_columns_of_another_shape_or_type_are_refused(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(set(BAD) - {"open", "high", "low", "close"})))
    column = getattr(sound_quotes(), name)
    wrong = data.draw(st.sampled_from([column[:-1], column[..., :-1], column[0], column.astype(np.float32)]))
    with pytest.raises(MarketError, match=f"^{name} must "):
        check_quotes(sound_quotes()._replace(**{name: wrong}), SYMBOLS, times())
    decision = data.draw(st.sampled_from(sorted(BAD_DECISIONS)))
    with pytest.raises(MarketError, match=f"^{decision} must be float64 of shape"):
        check_distances(sound_decisions()._replace(**{decision: np.ones((3, 3))}), SYMBOLS)


@pytest.mark.parametrize("name", ["roll_to", "finer_high", "finer_low"])
def test_prices_that_belong_together_must_be_there_together(name: str) -> None:
    quotes = sound_quotes()
    getattr(quotes, name)[4, ..., 1] = NAN
    with pytest.raises(
        MarketError, match=rf"^BBB: .* and {name} of the bar at {times()[4]} must both be NaN or prices"
    ):
        check_quotes(quotes, SYMBOLS, times())


def test_order_with_limit_and_stop_is_refused() -> None:
    decided = sound_decisions()
    assert decided.limit is not None
    assert decided.stop is not None
    decided.limit[3, 2] = decided.stop[3, 2] = 10.0
    with pytest.raises(MarketError, match=r"^CCC: the order of row 3 has a limit and a stop price"):
        check_distances(decided, SYMBOLS)


def test_time_that_runs_backwards_is_refused() -> None:
    quotes = sound_quotes()
    quotes.years[5] = -0.1
    with pytest.raises(MarketError, match=f"^years of the bar at {times()[5]} is -0.1"):
        check_quotes(quotes, SYMBOLS, times())


@pytest.mark.parametrize("name", ["roll_from", "roll_to", "finer_open", "finer_high", "finer_low"])
def test_column_without_its_counterpart_is_refused(name: str) -> None:
    with pytest.raises(MarketError, match=f"^{name} is missing: .* belong together"):
        check_given(sound_quotes()._replace(**{name: None}), sound_decisions(), AccountRules(), [0.0] * 3)


def test_costs_without_what_they_need_are_refused() -> None:
    quotes = sound_quotes()._replace(impact=None)
    with pytest.raises(MarketError, match=r"^costs.impact needs"):
        check_given(quotes, sound_decisions(), AccountRules(costs=Costs(impact=0.5)), [0.25] * 3)
    with pytest.raises(MarketError, match=r"^costs.slippage_ticks needs a tick of every instrument, number 1 has none"):
        check_given(quotes, sound_decisions(), AccountRules(costs=Costs(slippage_ticks=1)), [0.25, 0.0, 0.25])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1))
def test_random_cases_are_sound(seed: int) -> None:
    """The corpus of the accounting holds nothing that the checks refuse, so both tell the same story."""
    case: Case = random_case(seed)
    num_bars, num = case.quotes.close.shape
    symbols = [f"S{n}" for n in range(num)]
    ts_T = np.datetime64("2020-01-01T00:00:00", "us") + np.arange(num_bars) * DAY
    check_quotes(case.quotes, symbols, ts_T)
    check_distances(case.decided, symbols)
    check_weights(case.decided.weights, symbols, (num_bars, num))
