"""``examples=swap_drafts``: decisions on a pool with a chain of draft before the word, distilled from a teacher.

A teacher drafts for the training bars; a draft is kept only if ``draft.check_draft`` finds every step true and its word
right (rejection sampling); the student learns from what is kept. Where no teacher is given, one is trained first, on
the drafts of the rules themselves for the first part of the training examples, and drafts for the others.
Validation and test examples carry the drafts of the rules, whoever the teacher is.
"""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from tradewright.errors import DataError
from tradewright.examples.draft import MAX_WORDS, REFUSALS, check_draft, rule_draft, split_draft, write_draft
from tradewright.examples.example import Example, ExampleSets, Messages
from tradewright.examples.swap_decisions import SwapDecisions, fingerprint
from tradewright.target.labels import Target

log = logging.getLogger(__name__)

Write = Callable[[Sequence[Messages], int], Sequence[str]]
"""Returns one draft per prompt; the second argument is the number of the try, from 0 on."""
RULES = "rules"
"""A teacher that is no model: the rules' own conditions."""


@dataclass(frozen=True, kw_only=True)
class Drafted:
    """One draft of a teacher.

    Args:
        id: Of the example.
        attempt: Number of the try, from 0 on.
        text: As it was written.
        refusal: Why it is refused; empty: it is kept.
    """

    id: str
    attempt: int
    text: str
    refusal: str


@dataclass(frozen=True)
class Distilled:
    """What a teacher's drafts came to.

    Args:
        drafts: Every draft, in the order of writing.
    """

    drafts: tuple[Drafted, ...]

    @property
    def figures(self) -> dict[str, float]:
        """Bars asked about, drafts kept with their share, and bars given up by the reason of their last draft."""
        last = {one.id: one.refusal for one in self.drafts}
        counts = Counter(last.values())
        return {
            "drafts_asked": float(len(last)),
            "drafts_kept": float(counts[""]),
            "drafts_kept_share": counts[""] / max(len(last), 1),
            **{f"drafts_{refusal}": float(counts[refusal]) for refusal in REFUSALS},
        }

    @property
    def summary(self) -> str:
        """The counts in one sentence."""
        figures = self.figures
        reasons = ", ".join(
            f"{figures[f'drafts_{one}']:,.0f} {one.replace('_', ' ')}" for one in REFUSALS if figures[f"drafts_{one}"]
        )
        return (
            f"{figures['drafts_kept']:,.0f} of {figures['drafts_asked']:,.0f} bars have a draft of the teacher that is"
            f" kept ({figures['drafts_kept_share']:.1%}); refused: {reasons or 'none'}"
        )


class SwapDrafts(SwapDecisions):
    """Builds examples whose answers are drafts.

    Args:
        target: Labels the bars.
        max_samples: Most examples of all three sets together, >= 3; they share it by the length of their ranges.
        balance: ``natural`` or ``equal``, see ``SwapDecisions``.
        window: Swaps of the averages in the prompt.
        seed: Draws the bars.
        teacher: Run directory of a trained drafter; ``rules``: no model, the rules' own drafts of the first part; None:
            the server of group ``backend``, or with ``backend=local`` one that is trained first.
        teacher_share: Fraction of the training examples, the first in time, that a teacher trained first learns from,
            in (0, 1); one that exists already drafts for all of them.
        num_tries: Drafts per bar until one is kept, >= 1; the first takes the most probable words, others are drawn.
        max_step_words: Most words of a step, >= 2.
        max_draft_tokens: Most tokens of a draft, >= 1; where the student has not come to its word by then, the word is
            scored as if it had, and counted.

    Raises:
        ValueError: A value is out of range; the message starts with its name.
    """

    drafts: ClassVar[bool] = True
    """Whether answers are drafts before a word, so that decisions are."""

    def __init__(
        self,
        *,
        target: Target,
        max_samples: int = 1_000,
        balance: Literal["natural", "equal"] = "natural",
        window: int = 50,
        seed: int = 0,
        teacher: str | None = None,
        teacher_share: float = 0.4,
        num_tries: int = 2,
        max_step_words: int = MAX_WORDS,
        max_draft_tokens: int = 64,
    ) -> None:
        super().__init__(
            target=target, max_samples=max_samples, balance=balance, has_reason=False, window=window, seed=seed
        )
        if not 0 < teacher_share < 1:
            raise ValueError(f"teacher_share must be in (0, 1), was {teacher_share}")
        for name, value, least in (
            ("num_tries", num_tries, 1), ("max_step_words", max_step_words, 2),
            ("max_draft_tokens", max_draft_tokens, 1),
        ):  # fmt: skip
            if value < least:
                raise ValueError(f"{name} must be >= {least}, was {value}")
        self.teacher = teacher
        self.teacher_share = teacher_share
        self.num_tries = num_tries
        self.max_step_words = max_step_words
        self.max_draft_tokens = max_draft_tokens

    def _answer(self, action: str, cause: str, facts: Mapping[str, float]) -> str:
        return rule_draft(facts, action)

    def grade(self, example: Example, text: str) -> Mapping[str, float]:
        """Return whether an answer is a draft that would be kept."""
        return {"true_draft": float(not self.refusal(example, text))}

    def refusal(self, example: Example, text: str) -> str:
        """Return why a draft for an example is refused; empty: it is kept."""
        return check_draft(text, example.facts, str(example.label), max_words=self.max_step_words)

    def parts(self, sets: ExampleSets) -> tuple[tuple[Example, ...], tuple[Example, ...]]:
        """Return the training examples that a teacher trained first learns from, and the others.

        Raises:
            DataError: One of them would be empty.
        """
        first = int(len(sets.train) * self.teacher_share + 0.5)
        if not 0 < first < len(sets.train):
            raise DataError(
                f"examples.teacher_share: {self.teacher_share} of {len(sets.train)} training examples leaves none for"
                " the teacher or none for the student; raise examples.max_samples"
            )
        return sets.train[:first], sets.train[first:]

    def distil(self, examples: Sequence[Example], write: Write) -> Distilled:
        """Let a teacher draft for examples until each has a draft that is kept, or ``num_tries`` are used up."""
        found: list[Drafted] = []
        open_examples = list(examples)
        for attempt in range(self.num_tries):
            texts = write([one.prompt for one in open_examples], attempt) if open_examples else []
            refused = []
            for one, text in zip(open_examples, texts, strict=True):
                refusal = self.refusal(one, text)
                found.append(Drafted(id=one.id, attempt=attempt, text=text, refusal=refusal))
                if refusal:
                    refused.append(one)
            open_examples = refused
        return Distilled(tuple(found))

    def taught(self, sets: ExampleSets, distilled: Distilled) -> ExampleSets:
        """Return the sets with the kept drafts as what the student learns from.

        Raises:
            DataError: No draft is kept.
        """
        kept = {one.id: one.text for one in distilled.drafts if not one.refusal}
        if not kept:
            raise DataError(
                f"examples.teacher: {distilled.summary}; there is nothing to learn from. Use a better teacher, raise"
                " examples.num_tries, or train it on more (examples.teacher_share, examples.max_samples)"
            )
        train = tuple(replace(one, completion=_plain(kept[one.id])) for one in sets.train if one.id in kept)
        self._warn(train)
        parts = {"train": train, "validation": sets.validation, "test": sets.test}
        return replace(sets, train=train, fingerprint=fingerprint(parts))


def _plain(text: str) -> str:
    """Return a kept draft in the form in which all are learned."""
    steps, word = split_draft(text)
    return write_draft(steps, str(word).strip(".!*").upper())
