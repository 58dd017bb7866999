"""Chat: every kind of question, references to the turn before, ids of decisions, and phrasing that must be true."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tradewright.errors import DataError
from tradewright.explain.answers import UNCLEAR, Chat, DecisionTools, Performance
from tradewright.explain.questions import CATEGORIES, read_question
from tradewright.explain.sessions import RATINGS, mean_ratings, ratings_by_category, read_sessions, run_sessions
from tradewright.explain.state import State, action_of

SESSIONS = Path(__file__).with_name("sessions.yaml")
DAYS = ("04", "05", "06", "07", "08", "11", "12", "13", "14", "15")
TARGETS = (0.0, 0.0, 0.0, 0.0, 0.0, 0.6, 0.6, 0.6, 0.2, 0.2)


@pytest.fixture(scope="module")
def states() -> tuple[State, ...]:
    """Ten sessions of January 2016: bought on Monday the 11th, sold in part on Thursday the 14th."""
    before = (0.0, *TARGETS[:-1])
    return tuple(
        State(
            id=f"NASDAQ-201601{day}",
            symbol="NASDAQ",
            ts=np.datetime64(f"2016-01-{day}", "us"),
            known_at=np.datetime64(f"2016-01-{day}", "us") + np.timedelta64(1, "D"),
            timeframe_s=86_400,
            close=4900.0 - 10 * n,
            indicators={
                "rsi_14": 39.0 - n, "macd": -10.0 - n, "macd_signal": -8.0, "macd_histogram": -2.0 - n,
                "sma_50": 5000.0, "sma_200": 5010.0, "sma_50_distance": 100 * ((4900.0 - 10 * n) / 5000.0 - 1),
                "return_1": -0.5, "return_5": -1.5, "return_20": -3.0, "return_60": 2.0, "volatility_20": 1.4,
                "volatility_ratio": 1.3, "atr_14": 1.5,
                "drawdown_252": 100 * (1 - (4900.0 - 10 * n) / 5400.0), "high_252": 5400.0,
            },
            position=before[n],
            target=TARGETS[n],
            action=action_of(before[n], TARGETS[n]),
            confidence=0.7,
        )
        for n, day in enumerate(DAYS)
    )  # fmt: skip


@pytest.fixture
def tools(states: tuple[State, ...]) -> DecisionTools:
    ts_T = np.array([state.ts for state in states])
    curves = {"agent": np.linspace(100.0, 104.0, 10), "buy_and_hold": np.linspace(100.0, 95.0, 10)}
    performance = Performance(ts_T=ts_T, equity_by_name=curves)
    return DecisionTools(states, {"test": performance, "validation": performance})


@pytest.mark.row("T29")
@pytest.mark.row("T30")
@pytest.mark.row("T31")
def test_scripted_sessions_of_every_kind_are_answered_as_expected(tools: DecisionTools) -> None:
    rated = run_sessions(read_sessions(SESSIONS), tools)
    for one in rated:
        assert one.is_as_expected, (one.turn.ask, one.answer.question, one.answer.text)
        assert one.answer.facts is None or one.answer.facts.is_faithful, one.answer.facts
    by_category = ratings_by_category(rated)
    assert set(by_category) == set(CATEGORIES)
    means = mean_ratings(rated)
    print(means)
    assert all(means[name] >= 4.0 for name in RATINGS)


@pytest.mark.row("T33")
def test_why_it_sold_yesterday_is_answered_from_the_log_with_the_id(tools: DecisionTools) -> None:
    answer = Chat(tools=tools).ask("Why did it sell yesterday?")
    assert answer.ids == ("NASDAQ-20160114",)
    assert "NASDAQ-20160114" in answer.text
    assert [call.name for call in answer.calls] == ["find_decision", "explain_decision"]
    assert answer.facts is not None
    assert answer.facts.is_faithful


@pytest.mark.row("T33")
def test_what_was_not_done_is_said_with_the_id(tools: DecisionTools) -> None:
    answer = Chat(tools=tools).ask("Why did it sell today?")
    assert "did not sell NASDAQ: decision NASDAQ-20160115 was HOLD" in answer.text


@pytest.mark.row("T32")
def test_reference_of_the_second_turn_is_resolved(tools: DecisionTools) -> None:
    chat = Chat(tools=tools)
    first, second, third, fourth = (
        chat.ask(text)
        for text in ("Why did it sell yesterday?", "And the day before?", "What was its RSI then?", "and on Monday?")
    )
    ids = [answer.ids for answer in (first, second, third, fourth)]
    assert ids == [("NASDAQ-20160114",), ("NASDAQ-20160113",), ("NASDAQ-20160113",), ("NASDAQ-20160111",)]
    assert "RSI(14) was 32.0" in third.text
    assert "RSI(14) was 34.0" in fourth.text
    assert fourth.question.is_follow_up


@pytest.mark.parametrize(
    ("text", "id"),
    [
        ("Why did it hold two days ago?", "NASDAQ-20160113"),
        ("Explain the decision of 2016-01-06.", "NASDAQ-20160106"),
        ("Explain the decision of January 6th, 2016.", "NASDAQ-20160106"),
        ("What did it do last Friday?", "NASDAQ-20160115"),
        ("What did the agent do on Tuesday?", "NASDAQ-20160112"),
        ("Explain the most recent buy.", "NASDAQ-20160111"),
        ("Why did it sell?", "NASDAQ-20160114"),
        ("Explain the day before yesterday.", "NASDAQ-20160113"),
    ],
)
def test_times_are_resolved(tools: DecisionTools, text: str, id: str) -> None:
    assert Chat(tools=tools).ask(text).ids == (id,)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Why did it sell on 2016-01-09?", "no session of NASDAQ on 2016-01-09; the session before it is 2016-01-08"),
        ("Why did it sell on Sunday?", "holds no session on a Sunday"),
        ("What did it do 40 days ago?", "The log of NASDAQ begins on 2016-01-04"),
        (
            "How did the strategy perform on the training range?",
            "no results of the train range; it holds: test, validation",
        ),
        ("What is the volume?", "Volume ratio was not defined yet"),
        ("Tell me a joke", UNCLEAR),
    ],
)
def test_what_the_log_lacks_is_said(tools: DecisionTools, text: str, words: str) -> None:
    assert words in Chat(tools=tools).ask(text).text


class Scripted:
    """A language model that says what it is told to, in turn."""

    def __init__(self, *texts: str) -> None:
        self.texts, self.prompts = list(texts), []

    def __call__(self, prompts):
        self.prompts += prompts
        return [self.texts.pop(0) for _ in prompts]


@pytest.mark.row("T33")
def test_faithful_phrasing_is_kept(tools: DecisionTools) -> None:
    text = "It sold NASDAQ (NASDAQ-20160114) with RSI(14) at 31.0."
    answer = Chat(tools=tools, write=Scripted(text)).ask("Why did it sell yesterday?")
    assert (answer.text, answer.origin, answer.num_rejected) == (text, "model", 0)


@pytest.mark.parametrize(
    "wrong",
    [
        "It sold NASDAQ (NASDAQ-20160114) with RSI(14) at 71.0.",
        "It bought NASDAQ (NASDAQ-20160114).",
        "It sold NASDAQ with RSI(14) at 31.0.",
        "It sold NASDAQ (NASDAQ-20160113).",
        "Decision NASDAQ-20160114 was made by experts.",
    ],
)
def test_unfaithful_phrasing_falls_back_to_the_marked_template(tools: DecisionTools, wrong: str) -> None:
    model = Scripted(wrong, wrong)
    answer = Chat(tools=tools, write=model, num_tries=2).ask("Why did it sell yesterday?")
    assert (answer.origin, answer.num_rejected, len(model.prompts)) == ("fallback", 2, 2)
    assert answer.facts is not None
    assert answer.facts.is_faithful
    assert "NASDAQ-20160114" in answer.text


@pytest.mark.row("T33")
def test_model_that_learnt_to_explain_is_asked_in_its_own_words_and_the_decision_is_named(tools: DecisionTools) -> None:
    asked = []

    def prompt(about):
        asked.append(about)
        return ({"role": "user", "content": about.id},)

    model = Scripted("The agent sells. RSI(14) is {rsi_14}.", "The agent holds. RSI(14) is {rsi_14}.", "It rose.")
    chat = Chat(tools=tools, write=model, num_tries=1, trained_prompt=prompt)
    kept = chat.ask("Why did it sell yesterday?")
    assert (
        kept.text == "On 2016-01-14 the agent sold NASDAQ (decision NASDAQ-20160114). The agent sells. RSI(14) is 31.0."
    )
    assert (kept.origin, kept.num_rejected) == ("model", 0)
    other = chat.ask("Why did it buy yesterday?")
    assert (other.origin, other.num_rejected) == ("fallback", 1)  # it says that the agent held, which it did not
    assert other.text.startswith("On 2016-01-14 the agent did not buy NASDAQ: decision NASDAQ-20160114 was SELL")
    market = chat.ask("How is the market?")
    assert (market.origin, market.num_rejected) == ("fallback", 1)
    assert [one.id for one in asked] == [
        "NASDAQ-20160114",
        "NASDAQ-20160114",
        market.ids[0].replace("NASDAQ", "market"),
    ]
    assert chat.ask("What was the RSI?").origin == "template"  # nothing that it was trained to answer


def test_model_sees_facts_history_and_the_checked_answer(tools: DecisionTools) -> None:
    model = Scripted(*["x"] * 2)
    chat = Chat(tools=tools, write=model, num_tries=1)
    chat.ask("Why did it sell yesterday?")
    chat.ask("And the day before?")
    roles = [message["role"] for message in model.prompts[1]]
    assert roles == ["system", "user", "assistant", "user"]
    assert "RSI(14): 32.0" in model.prompts[1][-1]["content"]


def test_other_instrument_is_kept_over_turns(states: tuple[State, ...]) -> None:
    others = tuple(replace(s, symbol="OTHER", id=s.id.replace("NASDAQ", "OTHER")) for s in states)
    both = sorted((*states, *others), key=lambda state: (state.known_at, state.symbol))
    chat = Chat(tools=DecisionTools(both))
    assert chat.ask("Why did it sell OTHER yesterday?").ids == ("OTHER-20160114",)
    assert chat.ask("And the day before?").ids == ("OTHER-20160113",)


def test_question_without_turns_before_it_has_no_reference() -> None:
    question = read_question("And the day before?", symbols=("A",), timeframe_s=86_400)
    assert not question.is_follow_up
    assert question.when is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "expected sessions by name"),
        ("a: []", "session 'a' must be a list of turns"),
        ("a: [{category: x}]", "session 'a' turn 1: expected a question"),
        ("a: [{ask: x, category: poem}]", "category must be one of"),
        ("a: [{ask: x, sayz: [b]}]", "unknown key 'sayz'; did you mean 'says'"),
        ("a: [", "not valid YAML"),
    ],
)
def test_faulty_sessions_are_refused(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "s.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=words):
        read_sessions(path)
