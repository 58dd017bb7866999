"""Scores by formula: what is wrong, generic, contradictory or broken scores low, and the gate tells good from bad."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest
from explained import decided

from tradewright.data.panel import Panel
from tradewright.errors import DataError
from tradewright.explain.findings import text_findings
from tradewright.explain.scores import CRITERIA, gate, score
from tradewright.explain.sheet import ask_judge, read_judgement, read_sheet, write_sheet
from tradewright.explain.state import State
from tradewright.explain.writer import explain
from tradewright.task.explain import Graded, figures_of

SAYS = {"BUY": "buys", "SELL": "sells", "HOLD": "holds"}


@pytest.fixture(scope="module")
def states(panel_of: Callable[..., Panel]) -> tuple[State, ...]:
    return decided(panel_of(420, 1, seed=3))


def test_criteria_follow_their_formulas(states: tuple[State, ...]) -> None:
    state = states[50]
    rsi, wrong = state.indicators["rsi_14"], state.indicators["rsi_14"] + 20
    volume = f"Volume is {state.indicators['volume_ratio']:.2f} times its average."
    text = f"The agent {SAYS[state.action]}. RSI(14) is {rsi:.1f}. {volume}"
    good = score(text, state, ())
    # two kinds of indicator of three; numbers in two of three sentences
    assert good.values["factual_accuracy"] == 5.0
    assert good.values["technical_relevance"] == pytest.approx(1 + 4 * 2 / 3)
    assert good.values["coherence"] == 5.0
    assert good.values["specificity"] == pytest.approx(1 + 4 * 2 / 3)
    bad = score(text.replace(f"{rsi:.1f}", f"{wrong:.1f}"), state, ())
    assert bad.values["factual_accuracy"] == pytest.approx(1 + 4 * 2 / 3)
    assert score("", state, ()).mean == 1.0


def test_wrong_or_missing_action_caps_accuracy(states: tuple[State, ...]) -> None:
    state = states[50]
    other = next(word for action, word in SAYS.items() if action != state.action)
    for text in (f"The agent {other}.", f"RSI(14) is {state.indicators['rsi_14']:.1f}."):
        assert score(text, state, ()).values["factual_accuracy"] <= 2.0


def test_contradictions_and_repetitions_are_incoherent(states: tuple[State, ...]) -> None:
    state = states[50]
    head = f"The agent {SAYS[state.action]}."
    coherent = score(head, state, ()).values["coherence"]
    assert coherent == 5.0
    for text in (
        f"{head} It is oversold. It is overbought.",
        f"{head} The price is above its 50-day average. The price is below its 50-day average.",
        f"{head} RSI(14) is 40.0. RSI(14) is 60.0.",
        f"{head} The price is in an uptrend. The price is not in an uptrend.",
    ):
        assert score(text, state, ()).values["coherence"] == 3.0, text
    assert score(f"{head} {head} {head}", state, ()).values["coherence"] == 3.0


@pytest.mark.row("T36")
def test_generic_texts_are_unspecific(states: tuple[State, ...]) -> None:
    state, others = states[50], states[60:72]
    generic = f"The agent {SAYS[state.action]} because market conditions call for it. It follows its strategy."
    assert score(generic, state, others).values["specificity"] < 2.5
    assert score("Conditions are favourable. The outlook is good.", state, others).values["specificity"] == 1.0
    for seed in range(8):
        assert score(explain(state, seed), state, others).values["specificity"] > 3.5


@pytest.mark.row("T36")
def test_generic_texts_are_a_finding_with_advice(states: tuple[State, ...]) -> None:
    some, others = states[40:60], states[80:90]

    def figures(text_of: Callable[[State], str]) -> dict[str, float]:
        scores = [score(text_of(state), state, others) for state in some]
        return figures_of(Graded(scores=tuple(scores), gate=gate(scores, num=10)))

    assert text_findings(figures(lambda state: explain(state, 1))) == []
    found = text_findings(figures(lambda state: f"The agent {SAYS[state.action]}, as its strategy demands."))
    assert [finding.name for finding in found][:1] == ["generic_explanations"]
    assert "task.examples.num_samples" in found[0].advice


def test_broken_language_scores_low(states: tuple[State, ...]) -> None:
    state = states[50]
    plain = score(explain(state, 1), state, ()).values["language_quality"]
    assert plain > 4.5
    for text in (
        "the the the the the the the the the the the the",
        "RSI is is is low low low low and and and\ufffd\ufffd xqzzzzkrt <|im_end|> a1b2c3",
        "agent buy rsi low" + " word" * 80,
    ):
        assert score(text, state, ()).values["language_quality"] < 3.5, text


@pytest.mark.row("T24")
@pytest.mark.row("T25")
def test_gate_passes_true_texts_and_fails_generic_ones(states: tuple[State, ...]) -> None:
    some, others = states[40:70], states[80:90]
    good = gate([score(explain(s, 1), s, others) for s in some], num=15, target=4.0, seed=3)
    bad = gate([score(f"The agent {SAYS[s.action]}.", s, others) for s in some], num=15, target=4.0, seed=3)
    assert (good.has_passed, bad.has_passed) == (True, False)
    assert good.mean > 4.0 > bad.mean
    assert len(set(good.ids)) == 15
    assert set(good.means) == set(CRITERIA)
    other = gate([score(explain(s, 1), s, ()) for s in some], num=15, seed=4)
    assert other.ids != good.ids


@pytest.mark.parametrize(("num", "target"), [(9, 4.0), (21, 4.0), (15, 5.0)])
def test_gate_refuses_other_samples(states: tuple[State, ...], num: int, target: float) -> None:
    with pytest.raises(ValueError, match="must be"):
        gate([score("x", states[0], ())], num=num, target=target)


@pytest.mark.row("T24")
def test_human_sheet_is_filled_in_and_read_back(states: tuple[State, ...], tmp_path: Path) -> None:
    scores = [score(explain(s), s, ()) for s in states[:3]]
    path = tmp_path / "human_scores.csv"
    write_sheet(path, scores)
    ids = [one.id for one in scores]
    assert read_sheet(path, ids) == ()
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert rows[0]["text"] == scores[0].text
    rows[1] |= {"human_coherence": "4", "human_specificity": "3,5", "comment": "fine"}
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    (found,) = read_sheet(path, ids)
    assert (found.id, found.values, found.comment) == (ids[1], {"coherence": 4.0, "specificity": 3.5}, "fine")
    path.write_text(path.read_text().replace('"3,5"', "7"))
    with pytest.raises(DataError, match=r"row 3: human_specificity must be from 1 to 5, was 7"):
        read_sheet(path, ids)
    with pytest.raises(DataError, match="is none of the explanations"):
        read_sheet(path, ["other"])


def test_formula_in_a_text_is_no_formula_in_a_spreadsheet(states: tuple[State, ...], tmp_path: Path) -> None:
    write_sheet(tmp_path / "s.csv", [score("=1+1", states[0], ())])
    assert ",'=1+1," in (tmp_path / "s.csv").read_text()


def test_judge_that_cannot_be_read_is_counted_and_not_guessed(states: tuple[State, ...]) -> None:
    scores = [score(explain(s), s, ()) for s in states[:3]]
    good = "{" + ", ".join(f'"{name}": 4' for name in CRITERIA) + "}"
    answers = iter([f"Here: {good}", "I give it 5 out of 5.", good.replace("4}", "9}")])
    judged = ask_judge(lambda prompts: [next(answers) for _ in prompts], scores, {one.id: "facts" for one in scores})
    assert judged.num_unreadable == 2
    assert judged.values == {scores[0].id: dict.fromkeys(CRITERIA, 4.0)}
    assert read_judgement(good + good) is None
