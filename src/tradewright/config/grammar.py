"""Say what is wrong with an override that Hydra's grammar refuses, in one line that starts with its key."""

import re

FAULT = re.compile(r"while evaluating '.*': (?P<reason>.+?)(?:\n?See https|\Z)", re.DOTALL)
"""Hydra's message where a function, such as ``range``, was given what it does not take."""
NAMED = re.compile(r"[+~]*[\w./@-]+")


def explain_grammar(text: str, message: str) -> str:
    """Return the fault of an override.

    Args:
        text: The override as typed.
        message: Hydra's, of several lines.
    """
    key, is_pair, value = text.partition("=")
    if not is_pair or not NAMED.fullmatch(key):
        return f"{text!r} is not key=value: {message.splitlines()[0]}"
    name = key.lstrip("+~")
    found = FAULT.search(message)
    if found and re.match(r"[A-Za-z_]\w*\(", value):
        reason = "; available: ".join(part.strip() for part in found["reason"].split("\nAvailable:"))
        return f"{name}: {value}: {' '.join(reason.split())}"
    if value.startswith(("'", '"')):
        return f"{name}: {value} is no value: {message.splitlines()[0]}"
    quoted = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"""{name}: {value} is no value; if it is a text, quote it: "{key}='{quoted}'\""""
