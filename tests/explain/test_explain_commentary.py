"""Market commentary: true over all horizons and instruments, and scored by what it covers."""

import re
from collections.abc import Callable

import pytest
from explained import decided

from tradewright.data.panel import Panel
from tradewright.errors import DataError
from tradewright.explain.commentary import (
    CRITERIA,
    MarketState,
    check_commentary,
    market_states,
    score_commentary,
    write_commentary,
)


@pytest.fixture(scope="module", params=[1, 4])
def markets(request, panel_of: Callable[..., Panel]) -> tuple[MarketState, ...]:
    return market_states(decided(panel_of(420, request.param, seed=3)))


@pytest.mark.row("T27")
def test_templates_are_true_and_cover_the_horizons(markets: tuple[MarketState, ...]) -> None:
    for number in range(20):
        market = markets[(number * 7) % len(markets)]
        text = write_commentary(market, number)
        found = check_commentary(text, market)
        assert found.is_faithful, found.faults
        scores = score_commentary(text, market).values
        assert scores["temporal_awareness"] == 5.0
        assert min(scores.values()) >= 3.0


@pytest.mark.row("T27")
def test_wrong_numbers_and_counts_are_found(markets: tuple[MarketState, ...]) -> None:
    market = markets[30]
    text = write_commentary(market, 1)
    for number in re.findall(r"\d+\.\d\d", text):
        assert not check_commentary(text.replace(number, f"{float(number) + 0.37:.2f}", 1), market).is_faithful, number
    if len(market.states) > 1:
        count = text[0]
        assert not check_commentary(f"{(int(count) + 1) % 5}{text[1:]}", market).is_faithful


def test_text_must_say_of_which_instrument_it_speaks(panel_of: Callable[..., Panel]) -> None:
    market = market_states(decided(panel_of(420, 2, seed=3)))[40]
    first, second = market.states
    assert check_commentary(f"S1 has an RSI of {second.indicators['rsi_14']:.1f}.", market).is_faithful
    assert not check_commentary(f"S0 has an RSI of {second.indicators['rsi_14']:.1f}.", market).is_faithful
    (fault,) = check_commentary(f"The RSI is {first.indicators['rsi_14']:.1f}.", market).faults
    assert "names none of the instruments" in fault


@pytest.mark.row("T28")
def test_four_criteria_tell_what_a_commentary_lacks(markets: tuple[MarketState, ...]) -> None:
    market = markets[30]
    whole = score_commentary(write_commentary(market, 3), market)
    assert set(whole.values) == set(CRITERIA)
    state = market.states[0]
    change = state.indicators["return_5"]
    verb = "rose" if change > 0 else "fell"
    short = score_commentary(f"{state.symbol} {verb} {abs(change):.2f}% over 5 days.", market)
    assert short.values["temporal_awareness"] == 2.0  # one horizon of four
    assert short.values["multi_factor"] == 1.0  # one kind of fact
    assert short.values["market_awareness"] == 1.0 + 4.0 / len(market.states)
    assert short.values["balance"] <= 3.0
    assert score_commentary("Markets are interesting these days.", market).values == dict.fromkeys(CRITERIA, 1.0)


def test_states_of_different_moments_are_no_market(panel_of: Callable[..., Panel]) -> None:
    states = decided(panel_of(300, 1))
    with pytest.raises(DataError, match="different moments"):
        MarketState(states[:2])
    with pytest.raises(DataError, match="at least one instrument"):
        MarketState(())
