"""Estimates how long training still takes, from the speed since it started."""

import time
from collections.abc import Callable


class Eta:
    """Remaining seconds of a loop of known length.

    The first steps pay for warm-up (allocators, caches), so speed is measured from the second reading on.

    Args:
        total: Units of work.
        clock: Monotonic seconds.
    """

    def __init__(self, total: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.total = total
        self._clock = clock
        self._first: tuple[float, int] | None = None
        self.rate = float("nan")
        """Units per second since the first reading."""

    def remaining_s(self, done: int) -> float:
        """Return the estimated seconds left after ``done`` units; NaN until two readings differ."""
        now = self._clock()
        if self._first is None:
            self._first = (now, done)
            return float("nan")
        start, done_then = self._first
        if done > done_then and now > start:
            self.rate = (done - done_then) / (now - start)
        return (self.total - done) / self.rate
