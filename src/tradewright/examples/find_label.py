"""Which label a written answer states."""

from collections.abc import Sequence

PUNCTUATION = ".,:;!?()[]{}\"'*`"


def find_label(text: str, labels: Sequence[str]) -> str | None:
    """Return the label that an answer states: its first word, else the only one that it holds; None: it states none."""
    words = [word.strip(PUNCTUATION).upper() for word in text.split()]
    by_word = {label.upper(): label for label in labels}
    if words and words[0] in by_word:
        return by_word[words[0]]
    found = {by_word[word] for word in words if word in by_word}
    return found.pop() if len(found) == 1 else None
