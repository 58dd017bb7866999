"""``Backend``: whoever answers a conversation, a model in this process or a server; node of group ``backend``."""

from collections.abc import Iterator
from typing import Protocol

from tradewright.examples.example import Messages
from tradewright.generate.decoding import Decoding
from tradewright.generate.written import Written


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

    def stream(self, messages: Messages, decoding: Decoding) -> Iterator[str]:
        """Return the answer piece by piece; the pieces together are the text of :meth:`complete`."""
