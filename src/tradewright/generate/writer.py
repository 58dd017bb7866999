"""``Writer``: text from a language model, in batches or piece by piece.

A prompt's answer depends on the model, the settings, the seed and the prompt, not on what else is in its batch. What
cannot be parsed later is the caller's to count: nothing is filled in here.
"""

import math
from collections.abc import Callable, Generator, Iterator, Sequence

from tradewright.errors import ConfigError, RunError
from tradewright.examples.example import Messages
from tradewright.generate.decoding import Decoding
from tradewright.generate.loop import Constraint, Row, end_tokens, row_seed, write_steps
from tradewright.generate.pieces import Pieces, first_stop
from tradewright.generate.written import Written
from tradewright.model.chat import decode, encode_prompt
from tradewright.model.loaded_model import LoadedModel

Verifier = Callable[[str], float]
"""Scores an answer; the higher, the better."""
NewConstraint = Callable[[], Constraint]
"""Makes the constraint of one answer."""


class Writer:
    """Writes answers to prompts.

    Args:
        loaded: Model and tokenizer.
        decoding: How tokens are drawn.
        verifier: Ranks the candidates of a prompt, ties go to the earlier one; None: the one that is most probable per
            token under the model itself is kept.
        batch_size: Answers written at once, >= 1; more need more memory.

    Raises:
        ValueError: ``batch_size`` is below 1.
    """

    def __init__(
        self, loaded: LoadedModel, decoding: Decoding, *, verifier: Verifier | None = None, batch_size: int = 16
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size must be >= 1, was {batch_size}")
        self.loaded = loaded
        self.decoding = decoding
        self.verifier = verifier
        self.batch_size = batch_size
        self.ends = end_tokens(loaded.model, loaded.tokenizer)

    def write(
        self, prompts: Sequence[Messages], *, seed: int | None = None, constraint: NewConstraint | None = None
    ) -> list[Written]:
        """Return the answer to every prompt, of several candidates the best.

        Args:
            prompts: Conversations that end with what is to be answered.
            seed: Of the draws; None: that of the settings.
            constraint: What may be written; None: anything.

        Raises:
            RunError: A prompt fills the context.
        """
        return [self._best(found) for found in self.candidates(prompts, seed=seed, constraint=constraint)]

    def candidates(
        self, prompts: Sequence[Messages], *, seed: int | None = None, constraint: NewConstraint | None = None
    ) -> list[list[Written]]:
        """Return all candidates of every prompt, see :meth:`write`."""
        groups = [self._rows(prompt, seed, constraint) for prompt in prompts]
        order = sorted(range(len(groups)), key=lambda place: -len(groups[place][0].prompt))  # little padding
        size = max(1, self.batch_size // self.decoding.num_candidates)
        for start in range(0, len(order), size):
            for _ in self._steps([groups[place] for place in order[start : start + size]]):
                pass
        return [[self._written(row) for row in group] for group in groups]

    def stream(
        self, prompt: Messages, *, seed: int | None = None, constraint: NewConstraint | None = None
    ) -> "TextStream":
        """Return the answer piece by piece; the pieces together are what :meth:`write` returns.

        Raises:
            ConfigError: The settings ask for several candidates.
            RunError: The prompt fills the context.
        """
        if self.decoding.num_candidates > 1:
            raise ConfigError(
                f"generate.num_candidates must be 1 to stream, was {self.decoding.num_candidates}: the best is known"
                " when all are written"
            )
        return TextStream(self, self._rows(prompt, seed, constraint)[0])

    def _rows(self, prompt: Messages, seed: int | None, constraint: NewConstraint | None) -> list[Row]:
        ids = encode_prompt(self.loaded.tokenizer, prompt)
        room = self.loaded.max_length - len(ids)
        if room < 1:
            raise RunError(
                f"prompt: {len(ids)} tokens leave no room for an answer in a context of {self.loaded.max_length};"
                " shorten it or use a model with a longer context"
            )
        chosen = self.decoding.seed if seed is None else seed
        return [
            Row(
                ids,
                min(self.decoding.max_new_tokens, room),
                row_seed(chosen, ids, candidate),
                constraint() if constraint is not None else None,
            )
            for candidate in range(self.decoding.num_candidates)
        ]

    def _steps(self, groups: Sequence[Sequence[Row]]) -> Generator[None]:
        return write_steps(
            self.loaded.model,
            groups,
            self.decoding,
            vocabulary=len(self.loaded.tokenizer),
            ends=self.ends,
            is_stopped=self._is_stopped,
        )

    def _is_stopped(self, row: Row) -> bool:
        return bool(self.decoding.stop) and first_stop(self._text(row), self.decoding.stop) is not None

    def _text(self, row: Row) -> str:
        return decode(self.loaded.tokenizer, row.content)

    def _final_text(self, row: Row) -> str:
        text = self._text(row)
        return text[: first_stop(text, self.decoding.stop)]

    def _written(self, row: Row) -> Written:
        assert row.finish is not None
        return Written(
            text=self._final_text(row),
            num_tokens=len(row.ids),
            finish=row.finish,
            log_probability=row.log_probability,
            num_prompt_tokens=len(row.prompt),
            ids=tuple(row.ids),
        )

    def _best(self, found: Sequence[Written]) -> Written:
        if len(found) == 1:
            return found[0]
        scores = [_per_token(one) if self.verifier is None else float(self.verifier(one.text)) for one in found]
        for score, one in zip(scores, found, strict=True):
            if math.isnan(score):
                raise RunError(f"the verifier gave no number to the answer {one.text[:40]!r}; it must return a float")
        return found[max(range(len(found)), key=lambda place: (scores[place], -place))]


class TextStream(Iterator[str]):
    """The pieces of one answer; ``written`` is the whole once they are used up.

    Args:
        writer: Writes.
        row: The answer.
    """

    def __init__(self, writer: Writer, row: Row) -> None:
        self.written: Written | None = None
        self._pieces = self._run(writer, row)

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Stop writing."""
        self._pieces.close()

    def _run(self, writer: Writer, row: Row) -> Generator[str]:
        pieces = Pieces(writer.decoding.stop)
        steps = writer._steps([[row]])
        try:
            for _ in steps:
                is_final = row.finish is not None
                piece = pieces.next(writer._final_text(row), is_final=is_final)
                if is_final:
                    self.written = writer._written(row)
                if piece:
                    yield piece
        finally:
            steps.close()


def _per_token(written: Written) -> float:
    assert written.num_tokens is not None
    return written.log_probability / max(written.num_tokens, 1)
