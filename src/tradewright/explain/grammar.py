"""The patterns that make claims of one sentence: a string of token letters on which they are matched, in order.

What one pattern has used, the next does not see. A number tied to no indicator is a claim without ground. A claim
without a subject speaks of the price; a direction without a span of time is read over ``DEFAULT_SPAN`` bars.
"""

import math
import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from tradewright.explain.claim import Claim
from tradewright.explain.lexicon import SCALES, families, indicators
from tradewright.explain.terms import RETURN, UNKNOWN, return_over, subject_of, with_averages
from tradewright.explain.tokens import Token

DEFAULT_SPAN = 20
EXPOSURE = ("position", "target")
_compiled = cache(re.compile)


class Grammar:
    """The patterns over one sentence."""

    def __init__(self, sentence: str, tokens: list[Token], timeframe_s: int) -> None:
        self.sentence, self.timeframe_s = sentence, timeframe_s
        self.tokens = with_averages(tokens)
        self.kinds = "".join(token.kind for token in self.tokens)
        self.used: set[int] = set()
        self.valued: set[int] = set()
        self.found: list[tuple[Claim, int]] = []

    def read(self) -> list[tuple[Claim, int]]:
        """Return the claims, each with the place of its first character in the sentence."""
        for step in (
            self._breadth, self._between, self._moves, self._gaps, self._directed_numbers, self._values_before_relation,
            self._comparisons, self._thresholds, self._spans_with_numbers, self._values, self._signs, self._directions,
            self._words, self._plain,
        ):  # fmt: skip
            step()
        return self.found

    def _matches(self, pattern: str) -> Iterator[tuple[int, ...]]:
        """Yield places of the groups of a pattern; a match that needs a used token is left out."""
        at = 0
        compiled = _compiled(pattern)
        while (match := compiled.search(self.kinds, at)) is not None:
            groups = tuple(match.start(number) for number in range(1, (compiled.groups or 0) + 1))
            at = match.start() + 1
            if not any(place in self.used for place in groups if place >= 0 and self.kinds[place] != "T"):
                yield groups

    def _add(self, first: int, last: int, **facts: Any) -> None:
        start, end = self.tokens[first].start, self.tokens[last].end
        self.found.append((Claim(text=self.sentence[start:end], **facts), self.tokens[first].start))

    def _number(self, place: int) -> dict[str, Any]:
        token = self.tokens[place]
        match = re.match(r"([-+]?)\$?([\d,]+)(?:\.(\d+))?\s?(.*)", token.text)
        if token.data.get("is_strange") or match is None:
            return {"value": math.nan, "step": math.nan, "unit": "?"}
        sign, whole, decimals, unit = match.groups()
        value = float(f"{sign}{whole.replace(',', '')}.{decimals or '0'}")
        short = {
            "percent": "%",
            "per cent": "%",
            "basis points": "bps",
            "times": "x",
            "point": "points",
            "pts": "points",
        }
        unit = "x" if token.data.get("is_times") else short.get(unit, unit)
        return {"value": value, "step": 10.0 ** -len(decimals or ""), "unit": unit}

    def _subject(self, place: int) -> str:
        return subject_of(self.tokens[place], self.timeframe_s)

    def _is_negated(self, place: int) -> bool:
        """Whether a negation in the same clause governs the token."""
        at = place - 1
        while at >= 0 and self.kinds[at] not in "|&AQ" and place - at <= 6:
            if self.kinds[at] == "X":
                return True
            at -= 1
        # "not overbought or oversold": what is joined without "and" shares the negation
        return at >= 0 and self.kinds[at] in "AQ" and place - at == 1 and self._is_negated(at)

    def _is_forecast(self, place: int) -> bool:
        start = max(self.kinds.rfind(mark, 0, place) for mark in "|")
        return "U" in self.kinds[start + 1 : place]

    def _before(self, place: int, accepts: Any = None) -> int | None:
        """Return the place of the nearest term before, which ``accepts`` its indicator."""
        for at in range(place - 1, -1, -1):
            if self.kinds[at] == "T" and (accepts is None or accepts(self._subject(at))):
                return at
        return None

    def _breadth(self) -> None:
        """``3 of 4 instruments rose over 5 days``, or ``are above their 50-day average``."""
        for first, second in self._matches("(N)(N)"):
            between = self.sentence[self.tokens[first].end : self.tokens[second].start].strip()
            if between not in ("of", "of the", "out of", "out of the"):
                continue
            count, total = self._number(first)["value"], self._number(second)["value"]
            tail = re.match("w{0,2}(?:(D)w{0,1}(H)|(R)w?(T))", self.kinds[second + 1 :])
            self.used |= {first, second}
            if tail is None:
                self._add(first, second, kind="vague", reason="says of how many instruments, but nothing to count")
                continue
            at, last = (second + 1 + tail.start(number) for number in ((1, 2) if tail[1] else (3, 4)))
            self.used |= {at, last}
            side = self.tokens[at].data["side"]
            other = self._return(last) if tail[1] else self._subject(last)
            self._add(first, last, kind="breadth", relation=side, other=other, value=count, step=total)

    def _between(self) -> None:
        for between, low, high in self._matches("(B)w?(N)w?&w?(N)"):
            subject = self._before(between)
            self.used |= {between, low, high}
            for place, relation in ((low, "up"), (high, "down")):
                if subject is None:
                    self._add(place, place, kind="number", reason="belongs to no indicator")
                else:
                    facts = {"subject": self._subject(subject), "is_negated": self._is_negated(between)}
                    self._add(subject, place, kind="threshold", relation=relation, **facts, **self._number(place))

    def _moves(self) -> None:
        """``from 0% to 25%`` of equity; ``position: 0% to 25%``."""
        named = "|".join(("f(N)tw?(N)", "Tw?(N)tw?(N)"))
        for places in self._matches(named):
            first, second = (place for place in places if place >= 0)
            term = self._before(first)
            if "f" not in self.kinds[max(first - 1, 0) : first] and (
                term is None or self._subject(term) not in EXPOSURE
            ):
                continue
            numbers = [self._number(place) for place in (first, second)]
            if all(number["unit"] in ("%", "?", "") for number in numbers):
                self.used |= {first, second}
                for place, subject, number in zip((first, second), EXPOSURE, numbers, strict=True):
                    self._add(first, place, kind="value", subject=subject, **number)

    def _gaps(self) -> None:
        """``2.3% below its 50-day average``; ``12 points above the signal line``; ``down 2.3% from its peak``."""
        for verb, number, other in self._matches("(D)w?(N)fw{0,2}(T)"):
            facts, name = self._number(number), self._subject(other)
            if facts["unit"] in ("%", "bps") and name in families().get("close", ()):
                self.used |= {verb, number}
                side = self.tokens[verb].data["side"]
                self._add(verb, other, kind="gap", subject="close", other=name, relation=side, **facts)
        for number, relation, other in self._matches("(N)(R)w{0,3}(T)"):
            facts = self._number(number)
            if facts["unit"] not in ("%", "points", "bps") or number in self.used:
                continue
            name = self._subject(other)
            volume = self._before(number)
            if volume is not None and self._subject(volume) == "volume_ratio" and name == "sma_20":
                sign = 1 if self.tokens[relation].data["side"] == "up" else -1
                ratio = {"value": 1 + sign * facts["value"] / 100, "step": facts["step"] / 100, "unit": "x"}
                self._add(number, other, kind="value", subject="volume_ratio", **ratio)
            else:
                subject = self._before(
                    number, lambda found, name=name: found in families().get(name, ()) and found != name
                )
                if (
                    number
                    and self.kinds[number - 1] == "T"
                    and self._subject(number - 1) not in families().get(name, ())
                ):
                    continue  # the number belongs to the term before it
                own = "close" if subject is None else self._subject(subject)
                if subject is not None and subject == number - 1 and own.startswith("return"):
                    continue
                side = self.tokens[relation].data["side"]
                self._add(number, other, kind="gap", subject=own, other=name, relation=side, **facts)
            self.used |= {number, relation}

    def _return(self, place: int | None) -> str:
        return f"return_{DEFAULT_SPAN}" if place is None else return_over(self.tokens[place], self.timeframe_s)

    def _span(self, place: int) -> int | None:
        """Return the place of the nearest span: after in the clause, before in it, else anywhere in the sentence."""
        after = re.match("[^|&]*?(H)", self.kinds[place + 1 :])
        if after is not None:
            return place + 1 + after.start(1)
        before = re.search("(H)[^|&H]*$", self.kinds[:place])
        if before is not None:
            return before.start(1)
        anywhere = self.kinds.find("H", place)
        return anywhere if anywhere >= 0 else None

    def _is_of_other(self, place: int) -> int | None:
        """Return the term that moves, where it is not the price: states do not know how indicators moved."""
        match = re.search("(T)w{0,2}$", self.kinds[:place])
        if match is None or self._subject(match.start(1)) in ("close", RETURN, *EXPOSURE):
            return None
        return match.start(1)

    def _directed_numbers(self) -> None:
        """``rose 2.3% over 5 days``, ``a 2.3% gain``, ``down 2.3%``."""
        for pattern in ("(D)w{0,2}(N)", "(N)w{0,1}(D)"):
            for first, second in self._matches(pattern):
                place, number = (first, second) if pattern.startswith("(D)") else (second, first)
                facts = self._number(number)
                other = self._is_of_other(first)
                if other is not None or facts["unit"] not in ("%", "bps"):
                    continue
                self.used |= {place, number}
                span = self._span(second)
                if span is None:
                    span = self._span(first)
                if span is None:
                    self._add(first, second, kind="number", reason="names no span of time")
                    continue
                sign = 1.0 if self.tokens[place].data["side"] == "up" else -1.0
                facts["value"] = sign * abs(facts["value"])
                self.used.add(span)
                negated = self._is_negated(place)
                subject = self._return(span)
                self._add(first, second, kind="value", subject=subject, is_negated=negated, relation="move", **facts)

    def _values_before_relation(self) -> None:
        """``MACD at 12.3 is above its signal line at 10.1``: the numbers next to their terms come first."""
        for term, number in self._matches("(T)(N)"):
            if number not in self.used:
                self._value(term, number)

    def _comparisons(self) -> None:
        for relation, other in self._matches("(R)w{0,3}(T)"):
            name = self._subject(other)
            subject = self._before(
                relation, lambda found, name=name: found in families().get(name, ()) and found != name
            )
            own = "close" if subject is None else self._subject(subject)
            near = self._before(relation)
            if name == "sma_20" and near is not None and self._subject(near) == "volume_ratio":
                self.used.add(relation)
                facts = {"value": 1.0, "step": 0.0, "unit": "x", "is_negated": self._is_negated(relation)}
                side = self.tokens[relation].data["side"]
                self._add(near, other, kind="threshold", subject="volume_ratio", relation=side, **facts)
                continue
            others = [other]
            while re.match("&w{0,2}T(?!w{0,2}[RNDSQ])", self.kinds[others[-1] + 1 :]):
                after = self.kinds.index("T", others[-1] + 1)
                if self._subject(after) not in families().get(name, ()):
                    break
                others.append(after)
            self.used.add(relation)
            for place in others:
                facts = {"relation": self.tokens[relation].data["side"], "is_negated": self._is_negated(relation)}
                first = relation if subject is None else subject
                self._add(first, place, kind="comparison", subject=own, other=self._subject(place), **facts)

    def _thresholds(self) -> None:
        """``RSI below 30``."""
        for relation, number in self._matches("(R)w{0,2}(N)"):
            subject = self._before(relation)
            self.used |= {relation, number}
            if subject is None:
                self._add(relation, number, kind="number", reason="belongs to no indicator")
                continue
            facts = {"relation": self.tokens[relation].data["side"], "is_negated": self._is_negated(relation)}
            self._add(
                subject, number, kind="threshold", subject=self._subject(subject), **facts, **self._number(number)
            )

    def _spans_with_numbers(self) -> None:
        """``returns of 2.3% over 5 days and -4.1% over 20``; ``up 2.3% over 5 days and 4.1% over 20 days``."""
        for number, span in self._matches("(N)w{0,1}(H)"):
            facts = self._number(number)
            if number in self.used or facts["unit"] not in ("%", "bps"):
                continue
            term = self._before(number)
            verb = max((at for at in range(number) if self.kinds[at] == "D"), default=None)
            if verb is not None and (term is None or self._subject(term) in ("close", RETURN) or verb > term):
                sign = 1.0 if self.tokens[verb].data["side"] == "up" else -1.0
                facts["value"] = sign * abs(facts["value"])
            elif term is None or self._subject(term) not in ("close", RETURN):
                continue
            self.used |= {number, span}
            self._add(number, span, kind="value", subject=self._return(span), relation="move", **facts)

    def _values(self) -> None:
        for number in (at for at, kind in enumerate(self.kinds) if kind == "N"):
            if number in self.used:
                continue
            if self.tokens[number].data.get("is_times"):
                self._times(number)
                continue
            after = re.match("w{0,2}(T)", self.kinds[number + 1 :])
            before = self._before(number)
            gap = "" if before is None else self.kinds[before + 1 : number]
            is_taken = before is None or before in self.valued or "|" in gap or "&" in gap or "N" in gap
            if after is not None and (is_taken or self._fits_better(number, before, number + 1 + after.start(1))):
                self._value(number + 1 + after.start(1), number)
            elif before is not None and "N" not in gap:
                self._value(before, number)
            else:
                self.used.add(number)
                self._add(number, number, kind="number", reason="belongs to no indicator")

    def _fits_better(self, number: int, before: int | None, after: int) -> bool:
        """Whether a number's unit is that of the term after it and not of the one before it."""
        unit = self._number(number)["unit"]

        def suits(place: int) -> bool:
            indicator = indicators().get(self._subject(place))
            return indicator is not None and unit in SCALES[indicator.unit]

        return before is not None and not suits(before) and suits(after)

    def _times(self, number: int) -> None:
        self.used.add(number)
        window = self.tokens[number].data.get("w", "20")
        subject = self._before(number)
        name = "volume_ratio" if subject is None else self._subject(subject)
        if window != "20" or name != "volume_ratio":
            self._add(number, number, kind="number", reason="is a multiple of an average that states do not have")
            return
        self._add(number, number, kind="value", subject=name, **self._number(number))

    def _value(self, term: int, number: int) -> None:
        if self.tokens[number].data.get("is_times"):
            self._times(number)
            return
        self.used.add(number)
        self.valued.add(term)
        first, last = sorted((term, number))
        name, facts = self._subject(term), self._number(number)
        if name == RETURN:
            span = self._span(last)
            if span is None:
                span = self._span(first)
            if span is None:
                self._add(first, last, kind="number", reason="names no span of time")
                return
            self.used.add(span)
            name = self._return(span)
        exact = re.match("(N)", self.kinds[term + 1 :]) is not None or number < term
        negated = exact and self._is_negated(first)
        self._add(first, last, kind="value", subject=name, is_negated=negated, **facts)

    def _signs(self) -> None:
        for pattern in ("(T)(?:[NX]|w){0,3}(S)", "(S)w{0,1}(T)"):
            for first, second in self._matches(pattern):
                term, sign = (first, second) if pattern.startswith("(T)") else (second, first)
                self.used.add(sign)
                name = self._subject(term)
                if name == RETURN:
                    span = self._span(max(term, sign))
                    self.used |= {span} if span is not None else set()
                    name = self._return(span)
                if name == "close":
                    self._add(first, second, kind="vague", reason="a price is always positive")
                    continue
                facts = {"relation": self.tokens[sign].data["side"], "is_negated": self._is_negated(sign)}
                self._add(first, second, kind="sign", subject=name, **facts)

    def _directions(self) -> None:
        for place in (at for at, kind in enumerate(self.kinds) if kind == "D"):
            if place in self.used:
                continue
            self.used.add(place)
            other, span = self._is_of_other(place), self._span(place)
            facts: dict[str, Any] = {"relation": self.tokens[place].data["side"], "is_negated": self._is_negated(place)}
            if self._is_forecast(place):
                self._add(place, place, kind="vague", reason="is a forecast; a state knows nothing of later bars")
            elif other is not None:
                self._add(other, place, kind="vague", reason="says how an indicator moved, which states do not have")
            else:
                self.used |= {span} if span is not None else set()
                self._add(place, place, kind="direction", subject=self._return(span), **facts)

    def _words(self) -> None:
        for place in (at for at, kind in enumerate(self.kinds) if kind in "QA"):
            token = self.tokens[place]
            is_word = token.kind == "Q"
            if self._is_forecast(place):
                self._add(place, place, kind="vague", reason="is a forecast or a condition, not the decision")
                continue
            name = str(token.data.get("word" if is_word else "action", ""))
            negated = self._is_negated(place)
            self._add(place, place, kind="word" if is_word else "action", relation=name, is_negated=negated)

    def _plain(self) -> None:
        for place, kind in enumerate(self.kinds):
            token = self.tokens[place]
            if kind in "dkh":
                self._add(place, place, kind="date", relation=token.text, is_negated=self._is_negated(place))
            elif kind == "H" and "w" in token.data and place not in self.used:
                self._add(place, place, kind="number", reason="is a span of time in which nothing is said to happen")
            elif kind == "i":
                self._add(place, place, kind="id", relation=token.text)
            elif kind == "T" and self._subject(place) == UNKNOWN and place not in self.valued:
                self._add(place, place, kind="vague", reason="is no indicator of a state")
