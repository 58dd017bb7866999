"""Files of a model, from a folder or the Hugging Face hub, and one line when they cannot be had.

The hub's library repeats a request that fails for 23 seconds, file by file. So it is asked once whether it can be
reached at all; where it cannot, the library works as with ``HF_HUB_OFFLINE=1``: what is in the cache is read, what is
missing is told at once.
"""

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tradewright.errors import ConfigError

MAX_REASON = 160
"""Characters of a library's own words that a message repeats."""
CONNECT_TIMEOUT_S = 5.0
"""Longest wait for a connection to the hub, unless HF_HUB_ETAG_TIMEOUT names another; its answer may take longer."""


def file_of(name: str, file: str) -> Path | None:
    """Return where a file of a model lies, downloaded if need be; None where the model has no such file.

    Args:
        name: Folder, or name on the hub.
        file: Its name in there.
    """
    from transformers.utils.hub import cached_file

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
    unreachable = None if Path(name).is_dir() else why_unreachable()
    try:
        with _offline(is_on=unreachable is not None):
            yield
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:MAX_REASON]
        told = f"{type(error).__name__}: {reason}" if unreachable is None else unreachable
        raise ConfigError(f"model.name: {missing(name, what)} ({told})") from error


def why_unreachable() -> str | None:
    """Return why no connection to the hub can be made; None where one can, or where offline work is wished.

    Whatever answers is reached: status, certificates and proxies that refuse are the library's to judge.
    """
    import httpx
    from huggingface_hub import constants

    if constants.is_offline_mode():
        return None
    limit_s = float(constants.HF_HUB_ETAG_TIMEOUT) if "HF_HUB_ETAG_TIMEOUT" in os.environ else CONNECT_TIMEOUT_S
    try:
        httpx.head(constants.ENDPOINT, timeout=limit_s)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        if _is_about_certificates(error):
            return None
        return f"{constants.ENDPOINT} cannot be reached: {str(error) or type(error).__name__}"
    except httpx.HTTPError:
        return None
    return None


def _is_about_certificates(error: BaseException) -> bool:
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLError):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


@contextmanager
def _offline(*, is_on: bool) -> Iterator[None]:
    """Let the hub's library make no request meanwhile."""
    from huggingface_hub import constants

    before = constants.HF_HUB_OFFLINE
    constants.HF_HUB_OFFLINE = before or is_on
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


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
        f" be downloaded; with a network and HF_HUB_OFFLINE unset, `hf download {name}` fetches it for later, when"
        f" HF_HUB_OFFLINE=1 asks for none: {offline}"
    )
