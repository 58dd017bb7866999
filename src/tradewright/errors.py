"""The errors that users see: one line that names the key, file, row or symbol, what was expected and what to do.

Everything below ``cli.py`` raises one of these; only ``cli.py`` turns it into a message and an exit code.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class TradewrightError(Exception):
    """Base of every error that is shown without a traceback."""


class ConfigError(TradewrightError):
    """The configuration cannot run: an unknown key, a wrong type or an impossible combination."""


class PrunedError(TradewrightError):
    """A sweep ended this run early because its validation figure fell behind; the test range was not scored."""


class MisfitError(ConfigError):
    """Options that are right by themselves do not fit together; a sweep prunes such a job."""


class DataError(TradewrightError):
    """Market data is malformed, missing or too short; the message names the file and row or the symbol."""


class MarketError(TradewrightError):
    """A backtest or an environment was given numbers that no account can trade."""


class RunError(TradewrightError):
    """A run directory cannot be read, resumed or compared."""


class BusyError(RunError):
    """Another process runs in the run directory; it is nobody's fault and passes."""


def suggest(name: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'x'?"`` for the nearest known name, else the list of known names.

    >>> suggest("lerning_rate", ["learning_rate", "gamma"])
    "; did you mean 'learning_rate'?"
    """
    options = sorted(known)
    near = get_close_matches(name, options, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known: {', '.join(options)}" if options else ""
