"""``<think>`` … ``</think>``: what a reasoning model thinks before it answers, apart from the answer.

Some chat templates end a prompt with ``<think>``, so that only the closing mark is in the text; whoever knows that says
``is_open``. Marks are never removed in silence: the reasoning is returned beside the answer.
"""

from typing import Literal

Reasoning = Literal["apart", "keep"]
"""``apart``: split from the answer; ``keep``: left in the text as it was written."""

OPENING, CLOSING = "<think>", "</think>"


def split_reasoning(text: str, *, is_open: bool = False) -> tuple[str, str]:
    """Return ``(reasoning, answer)``.

    Only reasoning at the beginning counts. Without a closing mark the answer was never reached and is empty.

    Args:
        text: As it was written.
        is_open: Whether the prompt already ended with the opening mark.
    """
    splitter = Splitter(is_open=is_open)
    answer = splitter.next(text) + splitter.end()
    return splitter.reasoning, answer


class Splitter:
    """Splits a growing text; the pieces of the answer join to the one that :func:`split_reasoning` returns.

    Args:
        is_open: Whether the prompt already ended with the opening mark.
    """

    def __init__(self, *, is_open: bool = False) -> None:
        self._state: Literal["start", "thinking", "between", "answer"] = "thinking" if is_open else "start"
        self._held = ""
        self._thought = ""

    @property
    def reasoning(self) -> str:
        """What was thought so far, without white space around it."""
        return self._thought.strip()

    def next(self, piece: str) -> str:
        """Take the next piece of text and return what of the answer it adds."""
        self._held += piece
        if self._state == "start":
            self._start()
        if self._state == "thinking":
            self._think()
        if self._state == "between":  # white space between reasoning and answer belongs to neither
            self._held = self._held.lstrip()
            if self._held:
                self._state = "answer"
        if self._state != "answer":
            return ""
        piece, self._held = self._held, ""
        return piece

    def end(self) -> str:
        """Return what was held back, once there is no more text."""
        piece, self._held = self._held, ""
        if self._state == "thinking":
            self._thought += piece
            return ""
        return "" if self._state == "between" else piece

    def _start(self) -> None:
        text = self._held.lstrip()
        if text.startswith(OPENING):
            self._state, self._held = "thinking", text[len(OPENING) :]
        elif not OPENING.startswith(text):
            self._state = "answer"

    def _think(self) -> None:
        thought, mark, rest = self._held.partition(CLOSING)
        if mark:
            self._thought += thought
            self._state, self._held = "between", rest
