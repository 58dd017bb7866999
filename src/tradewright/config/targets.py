"""Which packages a ``_target_`` may name: ours, the libraries the design builds on, and the root key ``allow``."""

import sys
from collections.abc import Iterable
from pathlib import Path

LIBRARIES = ("torch", "lightning", "torchrl", "transformers", "peft", "optuna", "gymnasium", "arch")

ALLOWED = ("tradewright", *LIBRARIES)
"""A configuration can come from somebody else; what it may call is limited to these packages."""


def is_allowed(target: str, allow: Iterable[str] = ()) -> bool:
    """Return whether the dotted path lies in an allowed package; ``allow`` holds more (``mine`` or ``mine.``)."""
    return any(target.startswith(f"{package.rstrip('.')}.") for package in (*ALLOWED, *allow))


def refusal(target: str, allow: Iterable[str] = ()) -> str:
    """Return the message for a target that is not allowed."""
    package = target.partition(".")[0]
    known = ", ".join((*ALLOWED, *(entry.rstrip(".") for entry in allow)))
    return f"{target!r} is outside the allowed packages ({known}); add allow=[{package}] to permit it"


def open_own_folder(allow: Iterable[str]) -> None:
    """Let the user's own classes be found where the command is started, if any are allowed; shadows nothing."""
    folder = str(Path.cwd())
    if list(allow) and folder not in sys.path:
        sys.path.append(folder)
