"""Reads claims from free text: every number, comparison, word, direction and action, with its negation.

A text is cut into sentences, a sentence into tokens (``tokens.py``), on which patterns are matched (``grammar.py``).
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from tradewright.explain.claim import Claim
from tradewright.explain.grammar import Grammar
from tradewright.explain.tokens import plain_text, sentences, tokens_of


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """All claims of a text.

    Args:
        claims: In order of the patterns, by sentence.
        num_sentences: Of the text.
        num_known: Content words and numbers that the lexicon knows.
        num_words: All content words and numbers.
        unknown: The words that it does not know.
    """

    claims: tuple[Claim, ...]
    num_sentences: int
    num_known: int
    num_words: int
    unknown: tuple[str, ...]

    @property
    def coverage(self) -> float:
        """Share of content words and numbers that the lexicon knows; NaN of an empty text."""
        return self.num_known / self.num_words if self.num_words else math.nan


def parse(text: str, *, timeframe_s: int, symbols: Iterable[str] = ()) -> Parsed:
    """Read the claims of a text.

    Args:
        text: Free text.
        timeframe_s: Bar length, which says what a week is.
        symbols: Names of the instruments.
    """
    claims: list[Claim] = []
    unknown: list[str] = []
    known, symbol = 0, ""
    parts = sentences(plain_text(text))
    names = tuple(symbols)
    for number, sentence in enumerate(parts):
        tokens = tokens_of(sentence, names)
        unknown += [token.text for token in tokens if token.kind == "w" and not token.data]
        known += sum(1 for token in tokens if token.kind not in "w|&ft")
        reader = Grammar(sentence, tokens, timeframe_s)
        for claim, place in reader.read():
            here = [token.data["symbol"] for token in tokens if "symbol" in token.data and token.start <= place]
            named = here[-1] if here else next((t.data["symbol"] for t in tokens if "symbol" in t.data), symbol)
            claims.append(replace(claim, sentence=number, symbol=named))
        symbol = next((token.data["symbol"] for token in reversed(tokens) if "symbol" in token.data), symbol)
    return Parsed(
        claims=tuple(claims),
        num_sentences=len(parts),
        num_known=known,
        num_words=known + len(unknown),
        unknown=tuple(unknown),
    )
