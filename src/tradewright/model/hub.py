"""Files of a model, from a folder or the Hugging Face hub, and one line when they cannot be had."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradewright.errors import ConfigError

MAX_REASON = 160
"""Characters of a library's own words that a message repeats."""


def file_of(name: str, file: str) -> Path | None:
    """Return where a file of a model lies, downloaded if need be; None where the model has no such file.

    Args:
        name: Folder, or name on the hub.
        file: Its name in there.
    """
    from transformers.utils import cached_file

    found = cached_file(
        name,
        file,
        _raise_exceptions_for_missing_entries=False,
        _raise_exceptions_for_gated_repo=True,
        _raise_exceptions_for_connection_errors=True,
    )
    return None if found is None else Path(found)


@contextmanager
def reading(name: str, what: str) -> Iterator[None]:
    """Turn a library's failure to find a model into one line that says what was tried.

    Raises:
        ConfigError: The folder lacks the files, or the hub cannot give them.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:MAX_REASON]
        raise ConfigError(f"model.name: {missing(name, what)} ({type(error).__name__}: {reason})") from error


@contextmanager
def quiet(*, is_silent: bool = False) -> Iterator[None]:
    """Keep transformers' progress bars, which run inside ours, off the terminal.

    Args:
        is_silent: Its advice too, where the caller checks what it is about.
    """
    from transformers.utils import logging

    was_on, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    if is_silent:
        logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if was_on:
            logging.enable_progress_bar()


def missing(name: str, what: str) -> str:
    """Return what to do about a model that cannot be read."""
    offline = "use model=local model.name=<folder> or an embedded model such as model=tiny_qwen2, which need no network"
    if Path(name).is_dir():
        return f"the {what} in the folder {name!r} cannot be read; expected what save_pretrained writes, or {offline}"
    cache = os.environ.get("HF_HOME", "~/.cache/huggingface")
    return (
        f"the {what} of {name!r} is neither in a folder of that name nor in the cache {cache} (HF_HOME), and could not"
        f" be downloaded; downloads need a network and HF_HUB_OFFLINE unset: {offline}"
    )
