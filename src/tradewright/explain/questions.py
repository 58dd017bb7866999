"""Reads a question about a decision log: what it is about, of when, and whether it leans on the question before it.

Deterministic, by the words of the lexicon; a language model has no part in it. "Today" is the newest decision of the
log, "yesterday" the session before it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tradewright.explain.lexicon import words
from tradewright.explain.state import Action
from tradewright.explain.terms import return_over, subject_of
from tradewright.explain.tokens import MONTHS, WEEKDAYS, Token, plain_text, tokens_of

Category = Literal["technical_analysis", "signal_explanation", "market_context", "strategy_question", "follow_up"]
CATEGORIES: tuple[Category, ...] = (
    "technical_analysis", "signal_explanation", "market_context", "strategy_question", "follow_up",
)  # fmt: skip
Intent = Literal["explain", "indicator", "market", "performance", "activity", "unknown"]
WhenKind = Literal["latest", "back", "date", "weekday", "last_action", "shift"]


@dataclass(frozen=True)
class When:
    """Of which session a question is.

    Args:
        kind: ``latest``; ``back`` (sessions before the newest); ``date``; ``weekday`` (the newest);
            ``last_action``; ``shift`` (sessions from the one spoken of before).
        value: Number of sessions, ISO date, weekday or action.
    """

    kind: WhenKind
    value: str | int = 0


@dataclass(frozen=True, kw_only=True)
class Question:
    """What was understood.

    Args:
        text: The question.
        category: For ratings.
        intent: Which tool answers.
        when: Of which session; None: not said.
        symbol: Instrument; empty: not said.
        action: Action that it supposes ("why did it sell"); None: none.
        indicators: Indicators that it asks for.
        range: Range of the run that a question of performance is about.
        is_follow_up: Whether it leans on the turn before.
    """

    text: str
    category: Category
    intent: Intent
    when: When | None = None
    symbol: str = ""
    action: Action | None = None
    indicators: tuple[str, ...] = ()
    range: str = "test"
    is_follow_up: bool = False


ACTIONS: Sequence[tuple[Action, str]] = (
    ("BUY", r"\b(?:buy|buys|bought|buying|purchas\w+|go(?:es|ing)? long|went long|add(?:ed)? to)\b(?![- ]and[- ]hold)"),
    ("SELL", r"\b(?:sell|sells|sold|selling|reduc\w+|trim\w*|cut(?:s|ting)?|go(?:es|ing)? short|went short|exit\w*)\b"),
    ("HOLD", r"\b(?:hold|holds|held|holding|wait(?:ed)?|do(?:ing)? nothing|did nothing|stay(?:ed)? put|not trade)\b"),
)
SHIFTS: Sequence[tuple[str, int]] = (
    (r"\b(?:the )?(?:day|session|bar|one|decision) before that\b|\bthe (?:day|session|bar) before\b(?! yesterday)", -1),
    (r"\bthe (?:previous|preceding|prior) (?:day|session|bar|one|decision)\b|\bone (?:day|session) earlier\b", -1),
    (r"\bthe (?:day|session|bar) after\b|\bthe (?:next|following) (?:day|session|bar|one|decision)\b", 1),
    (r"\b(?:that|the same) (?:day|session|decision)\b|\b(?:then|at that time)\b", 0),
)
REASON = re.compile(
    r"\b(?:why|explain|reason\w*|rationale|justif\w+|what (?:made|led|caused|drove|prompted)|how come"
    r"|what (?:was|is) behind|motivat\w+|walk me through)\b"
)
DECISION = re.compile(
    r"\b(?:decisions?|trade[ds]?|signals?|actions?|orders?|position|target|what did (?:it|the agent) do)\b"
)
STRATEGY = re.compile(
    r"\b(?:strateg\w+|perform\w*|sharpe|profit\w*|p&l|pnl|beat\w*|outperform\w*|underperform\w*|benchmark|win rate"
    r"|buy[- ]and[- ]hold|how (?:often|many|good|well)|activity|track record|worth|earn\w*|made money|lose money"
    r"|backtest|baselines?|cost|fees|overfit\w*|equity curve)\b"
)
ACTIVITY = re.compile(r"\bhow (?:often|many)\b|\bactivity\b|\bhow frequent\w*|\bdistribution\b|\bhow active\b")
MARKET = re.compile(
    r"\b(?:markets?|commentary|overview|outlook|context|environment|conditions?|picture|backdrop|trend(?:s|ing)?|mood"
    r"|over(?:all)?|prices? (?:do|done|move|develop|go)|happen\w*|going on|calm|volatile|week|month|quarter)\b"
)
ELLIPSIS = re.compile(
    r"^\s*(?:(?:and|but|so|then|what about|how about|what of|also|why so|why not|really)\b|why\s*\??\s*$)",
    re.IGNORECASE,
)
RANGE = re.compile(r"\b(train(?:ing)?|validation|test)(?: range| set| period| data)?\b")


def read_question(text: str, *, symbols: Sequence[str], timeframe_s: int, before: Question | None = None) -> Question:
    """Read one question.

    Args:
        text: The question.
        symbols: Instruments of the log.
        timeframe_s: Bar length.
        before: The question before it in the conversation.
    """
    plain = plain_text(text)
    low = plain.lower()
    tokens = tokens_of(plain, symbols)
    when = _when(low)
    found = Question(
        text=text,
        category="technical_analysis",
        intent="unknown",
        when=when,
        symbol=_symbol(plain, tokens, symbols),
        action=_action(low),
        indicators=_indicators(tokens, timeframe_s),
        range=_range(low),
    )
    intent, category = _intent(low, found)
    leans = before is not None and (
        ELLIPSIS.search(low) is not None
        or (when is not None and when.kind == "shift")
        or (intent == "unknown" and (when is not None or found.symbol != ""))
    )
    if leans and before is not None:
        return _completed(replace(found, intent=intent, is_follow_up=True, category="follow_up"), before)
    if when is not None and when.kind == "shift":
        found = replace(found, when=None)  # there is nothing that it could be counted from
    return replace(found, intent=intent, category=category)


def _completed(question: Question, before: Question) -> Question:
    """Take from the turn before what a question leaves out."""
    intent = question.intent
    if intent == "unknown" or (intent == "market" and not question.indicators):
        intent = before.intent if intent == "unknown" or question.when is not None else intent
    return replace(
        question,
        intent=intent,
        symbol=question.symbol or before.symbol,
        indicators=question.indicators or (before.indicators if intent == "indicator" else ()),
        when=question.when or When("shift", 0),
        range=question.range,
    )


def _intent(low: str, question: Question) -> tuple[Intent, Category]:
    asks_why = REASON.search(low) is not None
    asks_of_action = question.action is not None or DECISION.search(low) is not None
    if ACTIVITY.search(low) and (asks_of_action or "agent" in low or "trade" in low):
        return "activity", "strategy_question"
    if STRATEGY.search(low) and not (asks_why and question.when is not None):
        return "performance", "strategy_question"
    if asks_why or (asks_of_action and not question.indicators):
        return "explain", "signal_explanation"
    own = [name for name in question.indicators if name != "close"]
    if own or ("close" in question.indicators and not MARKET.search(low)):
        return "indicator", "technical_analysis"
    if MARKET.search(low) or "close" in question.indicators:
        return "market", "market_context"
    return "unknown", "technical_analysis"


def _action(low: str) -> Action | None:
    for action, pattern in ACTIONS:
        if re.search(pattern, low):
            return action
    return None


def _symbol(plain: str, tokens: Sequence[Token], symbols: Sequence[str]) -> str:
    named = [str(token.data["symbol"]) for token in tokens if "symbol" in token.data]
    if named:
        return named[-1]
    return next((s for s in symbols if len(s) > 2 and re.search(rf"\b{re.escape(s)}\b", plain, re.IGNORECASE)), "")


def _indicators(tokens: Sequence[Token], timeframe_s: int) -> tuple[str, ...]:
    found = []
    for token in tokens:
        if token.kind == "T" and "symbol" not in token.data:
            name = subject_of(token, timeframe_s)
            if name == "return":
                span = next((other for other in tokens if other.kind == "H"), None)
                name = "return_20" if span is None else return_over(span, timeframe_s)
            if name != "unknown":
                found.append(name)
        elif token.kind == "Q":  # "was it oversold?" asks for what the word is about
            found += [left for left, _, _ in words()[str(token.data["word"])].when]
    return tuple(dict.fromkeys(found))


def _range(low: str) -> str:
    match = RANGE.search(low)
    return "test" if match is None else {"training": "train"}.get(match[1], match[1])


def _when(low: str) -> When | None:
    if "day before yesterday" in low:
        return When("back", 2)
    for pattern, shift in SHIFTS:
        if re.search(pattern, low):
            return When("shift", shift)
    if "yesterday" in low:
        return When("back", 1)
    match = re.search(r"\b(\d{1,3}) (?:days?|sessions?|bars?) (?:ago|earlier|back)\b", low)
    if match is not None:
        return When("back", int(match[1]))
    match = re.search(r"\d{4}-\d{2}-\d{2}", low)
    if match is not None:
        return When("date", match[0])
    day = _spelled_date(low)
    if day is not None:
        return When("date", day)
    last = re.search(r"\b(?:last|latest|most recent|newest|previous)\b.{0,20}", low)
    if last is not None:
        for action, pattern in ACTIONS:
            if re.search(
                rf"(?:last|latest|most recent|newest|previous) (?:time )?(?:it |the agent )?\w{{0,8}} ?{pattern}", low
            ):
                return When("last_action", action)
    for weekday in WEEKDAYS:
        if re.search(rf"\b{weekday}\b", low):
            return When("weekday", weekday)
    if re.search(r"\b(?:today|now|current(?:ly)?|latest|last|newest|most recent|at the moment)\b", low):
        return When("latest")
    return None


def _spelled_date(low: str) -> str | None:
    for pattern, order in (
        (rf"({MONTHS}) (\d{{1,2}})(?:st|nd|rd|th)?,? (\d{{4}})", (0, 1, 2)),
        (rf"(\d{{1,2}})(?:st|nd|rd|th)? (?:of )?({MONTHS}),? (\d{{4}})", (1, 0, 2)),
    ):
        match = re.search(pattern, low)
        if match is not None:
            month, day, year = (match.groups()[place] for place in order)
            return f"{year}-{MONTHS.split('|').index(month) + 1:02d}-{int(day):02d}"
    return None
