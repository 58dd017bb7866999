"""ISO dates in configuration: a date includes its whole day, an instant includes itself; zones are converted to UTC."""

from datetime import UTC, datetime, timedelta

import numpy as np


def parse_start(name: str, text: str) -> np.datetime64:
    """Return the first instant at or after ``text`` (naive UTC, microseconds).

    Args:
        name: The argument's name, for the message.
        text: ``2015-12-31`` or ``2015-12-31T14:30[:00][+00:00]``.

    Raises:
        ValueError: ``text`` is no ISO date; the message starts with ``name``.
    """
    return np.datetime64(_parse(name, text), "us")


def parse_stop(name: str, text: str) -> np.datetime64:
    """Return the first instant behind ``text``: after a date the next midnight, else the next microsecond."""
    step = timedelta(days=1) if len(text) == len("2015-12-31") else timedelta(microseconds=1)
    return np.datetime64(_parse(name, text) + step, "us")


def _parse(name: str, text: str) -> datetime:
    try:
        stamp = datetime.fromisoformat(text)
    except (ValueError, TypeError):
        raise ValueError(f"{name} must be an ISO date such as 2015-12-31, was {text!r}") from None
    return stamp.astimezone(UTC).replace(tzinfo=None) if stamp.tzinfo else stamp
