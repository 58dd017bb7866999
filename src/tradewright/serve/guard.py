"""What is looked at before a model sees it: lengths here, and whatever else a guard of one's own refuses."""

from collections.abc import Callable

from tradewright.examples.example import Messages
from tradewright.serve.failure import ServeError

Guard = Callable[[Messages], str | None]
"""Returns why a conversation is refused, None where it is not."""


def require_allowed(messages: Messages, *, max_characters: int, guard: Guard | None) -> None:
    """Refuse a conversation that is too long or that the guard refuses.

    Args:
        messages: The conversation; control characters have been refused with its form.
        max_characters: Of all turns together.
        guard: One more look; None: none.

    Raises:
        ServeError: It is refused.
    """
    num_characters = sum(len(message["content"]) for message in messages)
    if num_characters > max_characters:
        raise ServeError(
            400,
            f"messages: {num_characters} characters are more than the {max_characters} that this server takes;"
            " shorten them",
            code="input_too_long",
            param="messages",
        )
    reason = guard(messages) if guard is not None else None
    if reason is not None:
        raise ServeError(400, f"messages: refused: {reason}", code="input_refused", param="messages")
