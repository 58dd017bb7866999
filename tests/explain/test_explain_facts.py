"""The mutation suite: true texts raise no alarm, and every error put into one is found; plus texts in other words."""

import math
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from explained import MUTATORS, decided

from tradewright.data.panel import Panel
from tradewright.explain.facts import check
from tradewright.explain.state import State
from tradewright.explain.writer import explain


def run_suite(states: tuple[State, ...], num_texts: int) -> tuple[int, Counter, Counter, float]:
    """Return false alarms, caught and injected errors by kind, and the mean lexicon coverage."""
    rng = np.random.default_rng(7)
    alarms, caught, injected, coverage = 0, Counter(), Counter(), []
    for number in range(num_texts):
        state = states[(number * 37) % len(states)]
        text = explain(state, number)
        found = check(text, state)
        coverage.append(found.coverage)
        if not (found.is_faithful and found.action_agreement and found.claim_precision == 1.0):
            alarms += 1
            print("false alarm:", text, found.faults)
        for kind, mutate in MUTATORS.items():
            wrong = mutate(text, rng)
            if wrong is None:
                continue
            injected[kind] += 1
            is_caught = not check(wrong, state).is_faithful
            caught[kind] += is_caught
            if not is_caught:
                print(f"missed {kind}: {wrong}\n  was: {text}")
    return alarms, caught, injected, float(np.mean(coverage))


@pytest.fixture(scope="module")
def states(panel_of: Callable[..., Panel]) -> tuple[State, ...]:
    return decided(panel_of(700, 3, seed=3))


@pytest.mark.row("T26")
@pytest.mark.parametrize("num_texts", [200, pytest.param(2000, marks=pytest.mark.slow)])
def test_true_texts_pass_and_every_injected_error_is_caught(states: tuple[State, ...], num_texts: int) -> None:
    alarms, caught, injected, coverage = run_suite(states, num_texts)
    print(f"{num_texts} texts: {alarms} false alarms; caught of injected: ", end="")
    print(", ".join(f"{kind} {caught[kind]}/{injected[kind]}" for kind in injected), f"; coverage {coverage:.1%}")
    assert alarms == 0
    assert caught == injected
    assert all(injected[kind] > num_texts / 4 for kind in MUTATORS)
    assert coverage > 0.97


WRITTEN_BY_OTHERS: tuple[tuple[str, bool], ...] = (
    ("Oversold conditions (RSI at 28.4) together with a bullish crossover led the model to buy.", True),
    ("Overbought conditions led the model to buy.", False),
    ("RSI has dipped under 30, hence the purchase.", True),
    ("RSI is above 30.", False),
    ("The RSI is not overbought.", True),
    ("The RSI isn't oversold.", False),
    ("It is neither overbought nor in a downtrend.", False),
    ("The index closed at 4,903.09, roughly 2.3% below its 50-day moving average.", True),
    ("The index closed at 4,903.09, roughly 2.3% above its 50-day moving average.", False),
    ("Price trades below both its 20-day and 50-day averages.", True),
    ("Price trades above its 20-day and 50-day averages.", False),
    ("At 4,903 the close sits under the 50-day SMA (5,018.52).", True),
    ("At 4,903 the close sits under the 60-day SMA (5,018.52).", False),
    ("The market lost 3.2 percent over five days but gained 1.5% over the past 20 days.", True),
    ("The market lost 3.2 percent over twenty days.", False),
    ("Down 3.2% on the week.", True),
    ("Up 3.2% on the week.", False),
    ("The decline of 3.2% over the past week was followed by a buy.", True),
    ("A weekly return of -3.20% and a monthly return of 1.5%.", True),
    ("A weekly return of 3.20%.", False),
    ("Returns of -3.2% over 5 days and 1.5% over 20 days.", True),
    ("MACD (-12.10) is above its signal line (-14.60), histogram 2.50.", True),
    ("MACD is below its signal line.", False),
    ("MACD is not below its signal line.", True),
    ("The histogram is positive.", True),
    ("The histogram is negative.", False),
    ("Volume was 1.35 times its 20-day average.", True),
    ("Volume was 1.35x the average.", True),
    ("Volume was 35% above its 20-day average.", True),
    ("Volume was 45% above its 20-day average.", False),
    ("Volume was below its 20-day average.", False),
    ("Heavy volume accompanied the move.", True),
    ("The drawdown from the peak is 12.3%.", True),
    ("It is down 12.3% from its 52-week high.", True),
    ("The market is in correction territory.", True),
    ("This is a deep drawdown.", False),
    ("The agent raised the target from 0% to 25% of equity.", True),
    ("The agent raised the target from 0% to 35% of equity.", False),
    ("The agent did not sell.", True),
    ("The agent did not buy.", False),
    ("Rather than selling, it bought.", True),
    ("Rather than buying, it sold.", False),
    ("Despite selling pressure the agent buys.", True),
    ("Buy-and-hold is the benchmark.", True),
    ("With 72% confidence it goes long.", True),
    ("With 82% confidence it goes long.", False),
    ("The decision of 2016-01-04 was BUY.", True),
    ("The decision of January 4, 2016 was BUY.", True),
    ("On 4 January 2016, a Monday, it bought.", True),
    ("On Tuesday it bought.", False),
    ("Decision NASDAQ-20160104 is a BUY.", True),
    ("Decision NASDAQ-20160105 is a BUY.", False),
    ("Support lies at 4,850.", False),
    ("The P/E ratio of 24 is stretched.", False),
    ("The price will rise.", False),
    ("RSI is rising.", False),
    ("Annualised volatility is 1.45%.", False),
    ("20-day volatility is 1.45%.", True),
    ("20-day volatility is 145 bps.", True),
    ("An RSI of twenty-eight.", True),
    ("An RSI of fifty-eight.", False),
    ("**RSI(14)**: 28.4\n- %B: 0.08\n- 5-day return: \N{MINUS SIGN}3.20%", True),
    ("RSI(15) is 28.4.", False),
    ("RSI between 25 and 30.", True),
    ("RSI between 40 and 60.", False),
    ("ATR(14) is 1.62% of the price.", True),
    ("%B of 8% puts it near the lower band.", True),
    ("The agent buys because earnings grew 12%.", False),
)  # fmt: skip


@pytest.fixture(scope="module")
def monday() -> State:
    """A decision with round figures: an oversold market in a correction that is bought."""
    return State(
        id="NASDAQ-20160104",
        symbol="NASDAQ",
        ts=np.datetime64("2016-01-04", "us"),
        known_at=np.datetime64("2016-01-05", "us"),
        timeframe_s=86_400,
        close=4903.09,
        indicators={
            "rsi_14": 28.41, "macd": -12.1, "macd_signal": -14.6, "macd_histogram": 2.5, "sma_20": 5000.0,
            "sma_50": 5018.52, "sma_200": 4990.0, "sma_50_distance": -2.3001, "bollinger_place": 0.081,
            "bollinger_upper": 5120.0, "bollinger_lower": 4880.0, "volume_ratio": 1.35, "volatility_20": 1.45,
            "volatility_ratio": 1.1, "return_1": -2.08, "return_5": -3.2, "return_20": 1.5, "return_60": 4.0,
            "high_252": 5590.75, "drawdown_252": 12.3, "range_252": 41.0, "atr_14": 1.62,
        },
        position=0.0,
        target=0.25,
        action="BUY",
        confidence=0.72,
    )  # fmt: skip


@pytest.mark.row("T26")
@pytest.mark.parametrize(("text", "is_true"), WRITTEN_BY_OTHERS, ids=[text[:40] for text, _ in WRITTEN_BY_OTHERS])
def test_texts_in_other_words_are_judged_by_what_they_say(monday: State, text: str, is_true: bool) -> None:
    found = check(text, monday)
    assert found.is_faithful is is_true, found.faults
    assert found.is_faithful == (not found.faults)


def test_numbers_are_true_to_their_printed_decimals(monday: State) -> None:
    for text, is_true in (
        ("28", True),
        ("28.4", True),
        ("28.41", True),
        ("28.40", False),
        ("29", False),
        ("28.5", False),
    ):
        assert check(f"RSI(14) is {text}.", monday).is_faithful is is_true, text


def test_a_text_without_claims_has_no_precision_and_states_no_action(monday: State) -> None:
    found = check("The agent follows market conditions.", monday)
    assert math.isnan(found.claim_precision)
    assert not found.action_agreement
    assert found.is_faithful


def test_fault_names_claim_and_truth(monday: State) -> None:
    (fault,) = check("RSI(14) is 45.2.", monday).faults
    assert fault == "'RSI(14) is 45.2': RSI(14) is 28.4100"


WRITTEN_AFTERWARDS: tuple[tuple[str, bool], ...] = (
    ("The model decided to purchase the index, lifting exposure from zero to a quarter of equity.", True),
    ("Momentum has been weak, with prices sliding 3.2% in the last five sessions.", True),
    ("Prices slid 2.08% today and sit 12.3% under their 52-week high.", True),
    ("Although price remains beneath all three moving averages, MACD has crossed above its signal.", True),
    ("MACD crossed below its signal line, so the agent sold.", False),
    ("Trading volume came in at 1.35x the 20-day average, hinting at capitulation.", True),
    ("Trading volume came in at 2.35x the 20-day average.", False),
    ("The 14-day RSI of 28.4 flags oversold conditions; historically such readings precede rebounds.", True),
    ("The 14-day RSI of 72.4 flags overbought conditions.", False),
    ("It bought 25% of equity, with 72% confidence.", True),
    ("It sold 25% of equity.", False),
    ("The index is trading below its 200-day moving average (4,990.00), confirming a long-term downtrend.", True),
    ("The index is trading above its 200-day moving average (4,990.00), confirming a long-term uptrend.", False),
    ("Over the past quarter the market is still up 4%, even though it has lost 3.2% this week.", True),
    ("Over the past quarter the market is down 4%.", False),
    ("ATR stands at 1.62% of price, so a stop at 4,820 seems prudent.", False),
    ("Position: 0.0% -> 25.0%.", True),
    ("Target weight moves to 25%.", True),
    ("The S&P 500 fell too.", False),
    ("RSI: 28.4 (oversold), MACD: -12.10 > signal -14.60, close: 4903.09 < SMA50 5018.52. Action: BUY.", True),
    ("RSI: 28.4, MACD: -12.10 < signal -14.60. Action: BUY.", False),
    ("The bearish crossover and RSI at 28.4 justify buying.", False),
    ("A bullish MACD cross alongside heavy volume argued for a buy; against it stood the downtrend.", True),
    ("The drawdown reached 12.3%, deep in correction territory.", True),
    ("There is no sign of an uptrend.", True),
    ("There is no sign of a downtrend.", False),
)
"""Texts written once the parser was done. Of 28, all 11 false ones were found at first sight; 5 of 17 true ones
raised an alarm, of which three are read by now. The other two are in ``NOT_READ``."""
NOT_READ = (
    "With the RSI at 28 it looks stretched to the downside, which is why it opened a 25% long position.",
    "The close was 4903, down from 5590.75 at the 52-week high.",
)
"""True texts that raise an alarm: numbers whose owner the patterns do not see. They are refused."""


@pytest.mark.row("T26")
@pytest.mark.parametrize(("text", "is_true"), WRITTEN_AFTERWARDS, ids=[text[:40] for text, _ in WRITTEN_AFTERWARDS])
def test_texts_written_after_the_parser_are_judged_right(monday: State, text: str, is_true: bool) -> None:
    found = check(text, monday)
    assert found.is_faithful is is_true, found.faults


@pytest.mark.parametrize("text", NOT_READ)
def test_what_cannot_be_read_is_refused(monday: State, text: str) -> None:
    assert not check(text, monday).is_faithful


def test_lexicon_coverage_of_texts_of_others_is_what_the_documentation_says(monday: State) -> None:
    texts = [text for text, _ in (*WRITTEN_BY_OTHERS, *WRITTEN_AFTERWARDS)]
    coverage = float(np.mean([check(text, monday).coverage for text in texts]))
    print(f"lexicon coverage of {len(texts)} texts in other words: {coverage:.1%}")
    assert 0.8 < coverage < 1.0
