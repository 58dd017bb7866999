"""Five criteria from 1 to 5 for an explanation, each by a formula to be recomputed, and the gate over a sample.

* factual accuracy: 1 + 4 P, P the share of true claims; at most 2 where the stated action is wrong or missing;
* technical relevance: 1 + 4 min(1, G / 3), G the kinds of indicator (momentum, trend, volatility, ...) in true claims;
* coherence: 5, less 2 for each pair of claims that exclude each other or action stated against another, less 1 for each
  repeated sentence, less 2 where no action is stated;
* specificity: 1 + 4 (S + D) / 2, S the share of sentences with a true number of the state, D the share of other states
  of which the text would not be true: what fits every state says nothing about this one;
* language quality: 1 + 2 (mean + least) of: share of sentences of 3 to 40 words; fourth power of the share of unbroken
  words; square of the share of three-word sequences that are new; share of sentences that begin with a capital or digit
  and end with a stop.

All lie in [1, 5]; a text without words scores 1 everywhere. A judge model or a person may score beside them, never
instead of them.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from tradewright.explain.facts import Checked, Faithfulness, check
from tradewright.explain.lexicon import indicators, words
from tradewright.explain.state import State
from tradewright.explain.tokens import plain_text, sentences

CRITERIA = ("factual_accuracy", "technical_relevance", "coherence", "specificity", "language_quality")
ENOUGH_GROUPS = 3
SHORTEST, LONGEST = 3, 40
"""Words of a readable sentence."""
NUM_OTHERS = 12
"""Other states that a text is held against."""
BROKEN = re.compile(
    r"(.)\1{3,}|\ufffd|[a-z]{25,}|[bcdfghjklmnpqrstvwxz]{6,}|<\||\|>|\[/?inst\]|[^\W\d_]\d[^\W\d_]", re.IGNORECASE
)


@dataclass(frozen=True, kw_only=True)
class Score:
    """The five criteria of one text, 1 to 5, and the check that they rest on."""

    id: str
    text: str
    values: dict[str, float]
    facts: Faithfulness

    @property
    def mean(self) -> float:
        """Of the criteria."""
        return float(np.mean(list(self.values.values())))


@dataclass(frozen=True, kw_only=True)
class Gate:
    """Whether a random sample of texts is good enough.

    Args:
        has_passed: The mean is above the target.
        mean: Over the sample and the criteria.
        target: What it must exceed.
        ids: The sample.
        means: By criterion.
    """

    has_passed: bool
    mean: float
    target: float
    ids: tuple[str, ...]
    means: dict[str, float]


def score(text: str, state: State, others: Sequence[State]) -> Score:
    """Score one explanation.

    Args:
        text: The explanation.
        state: What it explains.
        others: Other decisions, of which it should not be true.
    """
    facts = check(text, state)
    parts = sentences(plain_text(text))
    if not re.search(r"\w", text):
        return Score(id=state.id, text=text, values=dict.fromkeys(CRITERIA, 1.0), facts=facts)
    values = {
        "factual_accuracy": factual_accuracy(facts),
        "technical_relevance": 1.0 + 4.0 * min(1.0, len(groups_of(facts)) / ENOUGH_GROUPS),
        "coherence": coherence(facts, parts),
        "specificity": specificity(facts, text, others),
        "language_quality": language_quality(text),
    }
    return Score(id=state.id, text=text, values=values, facts=facts)


def factual_accuracy(facts: Faithfulness) -> float:
    """Return 1 + 4 P; at most 2 where the action is wrong or missing."""
    precision = facts.claim_precision if facts.checked else 0.0
    found = 1.0 + 4.0 * precision
    return found if facts.action_agreement else min(found, 2.0)


def groups_of(facts: Faithfulness) -> frozenset[str]:
    """Return the kinds of indicator that true claims speak of."""
    found = set()
    for one in facts.checked:
        if one.verdict is True:
            claim = one.claim
            name = claim.relation if claim.kind == "word" else claim.subject
            entry = words().get(name) if claim.kind == "word" else indicators().get(name)
            if entry is not None:
                found.add(entry.group)
            if claim.kind == "gap" and claim.other in indicators():
                found.add(indicators()[claim.other].group)
            if claim.kind == "comparison":
                found.add(indicators()[claim.other].group)
    return frozenset(found - {"decision", "price"})


def coherence(facts: Faithfulness, parts: Sequence[str]) -> float:
    """Return 5 less the penalties for contradictions, repetitions and a missing action."""
    repeated = len(parts) - len({re.sub(r"\W+", " ", part.lower()) for part in parts})
    contradictions = sum(_exclude(a, b) for a, b in combinations(facts.checked, 2))
    has_action = any(one.claim.kind == "action" and not one.claim.is_negated for one in facts.checked)
    return max(1.0, 5.0 - 2.0 * contradictions - repeated - 2.0 * (not has_action))


OPPOSITES = frozenset(
    frozenset(pair)
    for pair in (
        ("oversold", "overbought"), ("bullish_macd", "bearish_macd"), ("golden_cross", "death_cross"),
        ("long_uptrend", "long_downtrend"), ("medium_uptrend", "medium_downtrend"), ("heavy_volume", "light_volume"),
        ("short_uptrend", "short_downtrend"), ("positive_momentum", "negative_momentum"),
        ("more_volume", "less_volume"),
        ("high_volatility", "low_volatility"), ("upper_band", "lower_band"), ("deep_drawdown", "shallow_drawdown"),
        ("near_high", "near_low"), ("long", "flat"), ("long", "short"), ("flat", "short"),
    )
)  # fmt: skip


def _exclude(first: Checked, second: Checked) -> bool:
    """Whether two claims cannot both be true, whatever the state."""
    a, b = first.claim, second.claim
    if a.symbol != b.symbol or {a.kind, b.kind} & {"number", "vague"}:
        return False
    if a.kind == b.kind == "action":
        return not a.is_negated and not b.is_negated and a.relation != b.relation
    if a.kind == b.kind == "word":
        if a.relation == b.relation:
            return a.is_negated != b.is_negated
        return not (a.is_negated or b.is_negated) and frozenset((a.relation, b.relation)) in OPPOSITES
    if (
        a.kind == b.kind
        and a.kind in ("comparison", "direction", "sign")
        and (a.subject, a.other) == (b.subject, b.other)
    ):
        return (a.relation == b.relation) == (a.is_negated != b.is_negated)
    if a.kind == b.kind == "value" and a.subject == b.subject and a.unit == b.unit:
        return abs(a.value - b.value) > 0.5 * (a.step + b.step) + 1e-9
    return False


def specificity(facts: Faithfulness, text: str, others: Sequence[State]) -> float:
    """Return 1 + 4 (S + D) / 2; without other states D is what S is."""
    numbered = {
        one.claim.sentence
        for one in facts.checked
        if one.verdict is True and one.claim.kind in ("value", "gap") and one.claim.subject != "confidence"
    }
    share = len(numbered) / facts.num_sentences if facts.num_sentences else 0.0
    compared = others[:NUM_OTHERS]
    is_there = bool(facts.checked)
    distance = (
        sum(not check(text, state).is_faithful for state in compared) / len(compared)
        if compared and is_there
        else (share if is_there else 0.0)
    )
    return 1.0 + 2.0 * (share + distance)


def language_quality(text: str) -> float:
    """Return the language score; see the head of the module."""
    parts = sentences(plain_text(text))
    tokens = re.findall(r"\S+", text)
    if not parts or not tokens:
        return 1.0
    lengths = [len(part.split()) for part in parts]
    readable = float(np.mean([SHORTEST <= length <= LONGEST for length in lengths]))
    unbroken = float(np.mean([BROKEN.search(token) is None for token in tokens]))
    plain = re.findall(r"[\w.%-]+", text.lower())
    triples = list(zip(plain, plain[1:], plain[2:], strict=False))
    fresh = len(set(triples)) / len(triples) if triples else 1.0
    ended = float(np.mean([part[:1].isupper() or part[:1].isdigit() or part[:1] == "%" for part in parts]))
    ended = 0.5 * ended + 0.5 * float(np.mean([part.rstrip("\"')")[-1:] in ".!?" for part in parts]))
    parts_of = (readable, unbroken**4, fresh**2, ended)
    return 1.0 + 2.0 * (float(np.mean(parts_of)) + min(parts_of))


def gate(scores: Sequence[Score], *, num: int = 15, target: float = 4.0, seed: int = 0) -> Gate:
    """Judge a random sample.

    Args:
        scores: Of all texts.
        num: Size of the sample, 10 to 20; fewer where there are not as many texts.
        target: What the mean must exceed, in [1, 5).
        seed: Of the sample.

    Raises:
        ValueError: A value is out of range, or there is no text.
    """
    if not 10 <= num <= 20:
        raise ValueError(f"num must be 10 to 20, was {num}")
    if not 1 <= target < 5:
        raise ValueError(f"target must be in [1, 5), was {target}")
    if not scores:
        raise ValueError("scores must hold at least one text")
    places = np.random.default_rng(seed).permutation(len(scores))[:num]
    sample = [scores[place] for place in sorted(places)]
    means = {name: float(np.mean([one.values[name] for one in sample])) for name in CRITERIA}
    mean = float(np.mean(list(means.values())))
    ids = tuple(one.id for one in sample)
    return Gate(has_passed=mean > target, mean=mean, target=target, ids=ids, means=means)
