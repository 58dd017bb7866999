"""Market commentary over several horizons: what one moment's states say of the day, the week, the month and the
quarter, trend, momentum, risk, and both sides; true templates, and the same fact check as for explanations.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tradewright.errors import DataError
from tradewright.explain.claim import Claim
from tradewright.explain.facts import Faithfulness, check
from tradewright.explain.lexicon import bar_word, bars_in, indicators, value_text, words
from tradewright.explain.phrases import Factor, describe, factors_of, values_of
from tradewright.explain.scores import groups_of
from tradewright.explain.slots import slots_of
from tradewright.explain.state import State, state_id
from tradewright.explain.writer import clause_of, joined, seeded, sentence

HORIZONS = (1, 5, 20, 60)
"""Bars of a day, a week, a month and a quarter of trading days."""
HORIZON_NAMES = {1: "on the day", 5: "over the past week", 20: "over the past month", 60: "over the past quarter"}
MAX_DETAILED = 3
"""Instruments that a commentary describes one by one; of more it says how many moved which way."""
RISKS = ("volatility", "atr", "drawdown")


@dataclass(frozen=True)
class MarketState:
    """What was known of all instruments at one moment.

    Args:
        states: One per instrument.

    Raises:
        DataError: There is none, or they are of different moments.
    """

    states: tuple[State, ...]

    def __post_init__(self) -> None:
        if not self.states:
            raise DataError("a market state needs at least one instrument")
        if len({state.known_at for state in self.states}) > 1:
            raise DataError(f"states of different moments: {', '.join(state.id for state in self.states[:4])}")

    @property
    def id(self) -> str:
        """``market-yyyymmdd``."""
        return state_id("market", self.states[0].ts, self.states[0].timeframe_s)

    @property
    def known_at(self) -> np.datetime64:
        """When all of it was known."""
        return self.states[0].known_at

    @property
    def day(self) -> str:
        """Date of the bar, ISO."""
        return self.states[0].day


def market_states(states: Sequence[State]) -> tuple[MarketState, ...]:
    """Group states by moment, in time order."""
    groups: dict[np.datetime64, list[State]] = {}
    for state in states:
        groups.setdefault(state.known_at, []).append(state)
    return tuple(MarketState(tuple(groups[moment])) for moment in sorted(groups))


def describe_market(market: MarketState) -> str:
    """Return what prompts tell of a market: the facts of each instrument, without the decisions."""
    return "\n\n".join(describe(state, has_decision=False) for state in market.states)


def write_commentary(market: MarketState, seed: int = 0, *, has_slots: bool = False) -> str:
    """Write one true commentary: horizons from short to long, trend, momentum, risk, and what speaks for and against.

    Args:
        market: What was known.
        seed: Another seed gives other words.
        has_slots: Leave slots in the place of figures, see ``explain.slots``.
    """
    rng = seeded("commentary", market.id, seed)
    parts = [_breadth(market, bars) for bars in HORIZONS] if len(market.states) > 1 else []
    for place, state in enumerate(market.states[:MAX_DETAILED], start=1):
        is_named = len(market.states) > 1 or rng.random() < 0.7
        values = slots_of(state, rng, place) if has_slots else values_of(state, rng)
        parts += _instrument(state, values, rng, is_named=is_named)
    return " ".join(sentence(part) for part in parts if part)


def check_commentary(text: str, market: MarketState) -> Faithfulness:
    """Check a commentary against all instruments."""
    return check(text, market.states)


def _breadth(market: MarketState, bars: int) -> str:
    """Say how many instruments rose; nothing where some do not know."""
    values = [state.value(f"return_{bars}") for state in market.states]
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return ""
    unit = bar_word(market.states[0].timeframe_s)
    return f"{sum(value > 0 for value in known)} of {len(known)} instruments rose over {bars} {unit}{'s'[: bars > 1]}"


def _instrument(state: State, values: Mapping[str, str], rng: np.random.Generator, *, is_named: bool) -> list[str]:
    factors = {factor.name: factor for factor in factors_of(state, values)}
    parts = [_horizons(state, values, values["symbol"] if is_named else "the market", rng)]
    trends = [factors[key] for key in ("trend_50", "trend_200", "averages") if key in factors]
    momenta = [factors[key] for key in ("rsi", "macd") if key in factors]
    picked = [*_draw(trends, 1, rng), *_draw(momenta, 1, rng)]
    parts += joined(picked, rng)
    risks = _draw([factors[key] for key in RISKS if key in factors], 2, rng)
    parts += [f"On the risk side, {clause_of(factor, rng)}" for factor in risks[:1]]
    parts += [clause_of(factor, rng) for factor in risks[1:]]
    return [*parts, *_balance(factors, picked, rng)]


def _draw(factors: list[Factor], most: int, rng: np.random.Generator) -> list[Factor]:
    return [factors[place] for place in rng.permutation(len(factors))[:most]]


def _horizons(state: State, values: Mapping[str, str], name: str, rng: np.random.Generator) -> str:
    """Say how the price moved over every horizon that the state knows."""
    said = []
    for bars in HORIZONS:
        value = state.value(f"return_{bars}")
        if value is None or value_text("close", abs(value)) == "0.00":
            continue
        verb = str(rng.choice(("rose", "gained", "climbed") if value > 0 else ("fell", "lost", "dropped")))
        said.append(f"{verb} {values[f'return_{bars}_size']} {_span(bars, state.timeframe_s, rng)}")
    if not said:
        return ""
    return f"{name} closed at {values['close']}: it {'; it '.join(said)}"


def _span(bars: int, timeframe_s: int, rng: np.random.Generator) -> str:
    names = {"day": 1, "week": 5, "month": 20, "quarter": 60}
    unit = next(name for name, count in names.items() if count == bars)
    if bars_in(1, unit, timeframe_s) == bars and rng.random() < 0.6:
        return HORIZON_NAMES[bars]
    return f"over {bars} {bar_word(timeframe_s)}{'s'[: bars > 1]}"


def _balance(factors: dict[str, Factor], said: list[Factor], rng: np.random.Generator) -> list[str]:
    """Say one thing for and one against a rise, where there are such."""
    found = []
    for lean, head in (("up", "In favour of it"), ("down", "Against it")):
        fitting = [factor for factor in factors.values() if factor.lean == lean and factor not in said]
        if fitting:
            found.append(f"{head}, {clause_of(_draw(fitting, 1, rng)[0], rng)}")
    return found


CRITERIA = ("market_awareness", "multi_factor", "temporal_awareness", "balance")


@dataclass(frozen=True, kw_only=True)
class CommentaryScore:
    """Four criteria of a commentary, 1 to 5, and the check that they rest on.

    * market awareness: 1 + 4 P C, P the share of true claims and C the share of instruments that true claims speak of;
    * multi-factor: 1 + min(4, G - 1), G the kinds of indicator in true claims;
    * temporal awareness: 1 + 4 H / A, H the horizons in true claims, A those that the states know;
    * balance: 1 + 2 (up said or nothing to say) + 2 (down said or nothing to say), risk counting as down.
    """

    id: str
    text: str
    values: dict[str, float]
    facts: Faithfulness


def score_commentary(text: str, market: MarketState) -> CommentaryScore:
    """Score a commentary; one without a true claim scores 1 everywhere."""
    facts = check_commentary(text, market)
    true = [one for one in facts.checked if one.verdict is True]
    if not true:
        return CommentaryScore(id=market.id, text=text, values=dict.fromkeys(CRITERIA, 1.0), facts=facts)
    named = {one.claim.symbol or market.states[0].symbol for one in true if one.claim.kind != "breadth"}
    covered = 1.0 if any(one.claim.kind == "breadth" for one in true) else len(named) / len(market.states)
    horizons = {bars for bars in HORIZONS for one in true if f"return_{bars}" in (one.claim.subject, one.claim.other)}
    available = [bars for bars in HORIZONS if any(state.value(f"return_{bars}") is not None for state in market.states)]
    values = {
        "market_awareness": 1.0 + 4.0 * facts.claim_precision * covered,
        "multi_factor": 1.0 + min(4, max(len(groups_of(facts)) - 1, 0)),
        "temporal_awareness": 1.0 + 4.0 * len(horizons) / len(available) if available else 1.0,
        "balance": _balance_score(facts, market),
    }
    return CommentaryScore(id=market.id, text=text, values=values, facts=facts)


def _balance_score(facts: Faithfulness, market: MarketState) -> float:
    """Whether both sides are told, as far as there are two."""
    told: set[str] = set()
    for one in facts.checked:
        if one.verdict is True:
            told |= _leans(one.claim)
    there: set[str] = set()
    for state in market.states:
        rng = seeded("balance", state.id)
        there |= {factor.lean for factor in factors_of(state, values_of(state, rng))}
    return 1.0 + sum(2.0 for lean in ("up", "down") if lean in told or lean not in there)


def _leans(claim: Claim) -> set[str]:
    """Return which way a true claim is usually read."""
    if claim.kind == "word":
        return {words()[claim.relation].lean} if not claim.is_negated else set()
    if claim.kind == "value" and claim.subject.startswith("return"):
        return {"up" if claim.value > 0 else "down"}
    if claim.kind == "value" and indicators().get(claim.subject) is not None:
        return {"down"} if claim.subject in ("drawdown_252", "volatility_20", "atr_14") else set()
    if claim.kind in ("comparison", "gap", "direction", "sign"):
        is_up = (claim.relation == "up") != claim.is_negated
        return {"up" if is_up else "down"}
    return set()
