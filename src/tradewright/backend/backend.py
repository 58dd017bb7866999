"""``Backend``: whoever answers a conversation, a model in this process or a server; node of group ``backend``."""

from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from tradewright.examples.example import Messages
from tradewright.generate.decoding import Decoding
from tradewright.generate.written import Written


class AnswerStream(Iterator[str]):
    """The pieces of one answer; ``written`` is the whole once they are used up.

    Args:
        make: Returns the pieces and sets ``written`` before it ends.
    """

    def __init__(self, make: "Callable[[AnswerStream], Iterator[str]]") -> None:
        self.written: Written | None = None
        self._pieces = make(self)

    def __next__(self) -> str:
        return next(self._pieces)


class Backend(Protocol):
    """Answers conversations.

    ``needs_model``, a class attribute, says whether it is built with ``loaded``, the model of the configuration.
    """

    def complete(self, messages: Messages, decoding: Decoding) -> Written:
        """Return the answer.

        Raises:
            ConfigError: It cannot keep to a setting.
            RunError: There is no answer: the prompt is too long, or the server failed.
        """
        ...

    def complete_all(self, prompts: Sequence[Messages], decoding: Decoding) -> list[Written]:
        """Return the answer to every conversation, see :meth:`complete`."""
        ...

    def stream(self, messages: Messages, decoding: Decoding) -> AnswerStream:
        """Return the answer piece by piece; the pieces together are the text of :meth:`complete`."""
        ...
