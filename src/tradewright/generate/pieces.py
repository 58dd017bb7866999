"""Growing text in pieces that stay: what has been shown is never taken back."""

from collections.abc import Sequence

from tradewright.errors import RunError

INCOMPLETE = "\ufffd"
"""What a decoder shows for the first bytes of a character whose other bytes are still to come."""


def first_stop(text: str, stops: Sequence[str]) -> int | None:
    """Return where the first of the texts that end an answer begins, None if there is none."""
    found = [place for stop in stops if (place := text.find(stop)) >= 0]
    return min(found, default=None)


class Pieces:
    """Turns ever longer texts into pieces whose concatenation is the final text.

    Args:
        stops: Texts that end an answer; a possible beginning of one is held back until it is known.
    """

    def __init__(self, stops: Sequence[str] = ()) -> None:
        self.stops = stops
        self.shown = ""

    def next(self, text: str, *, is_final: bool) -> str:
        """Return what can be shown of ``text`` that was not shown yet; may be empty.

        Raises:
            RunError: The text does not continue what was shown.
        """
        stable = text if is_final else text[: _num_stable(text, self.stops)]
        if len(stable) < len(self.shown) and self.shown.startswith(stable) and not is_final:
            return ""
        if not stable.startswith(self.shown):
            raise RunError(
                f"the tokenizer changed text that was already shown ({self.shown[-20:]!r}); use generate.stream=false"
            )
        piece = stable[len(self.shown) :]
        self.shown = stable
        return piece


def _num_stable(text: str, stops: Sequence[str]) -> int:
    num = len(text.rstrip(INCOMPLETE))
    for stop in stops:
        for length in range(min(len(stop) - 1, num), 0, -1):
            if text[num - length : num] == stop[:length]:
                return min(num, num - length)
    return num
