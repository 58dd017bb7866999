"""What the tests of the queue share: a clock of their own, and short ways to claim and to look."""

from tradewright.sweep.queue import Claim, Queue


class Clock:
    """Lets the grace period pass."""

    def __init__(self, queue: Queue) -> None:
        self.now = 0.0
        queue._stale._clock, queue._stale._looked = lambda: self.now, 0.0

    def pass_grace(self, queue: Queue) -> list[int]:
        """Look at others' leases for longer than the grace period; return what was taken over."""
        taken = []
        for _ in range(8):
            taken += queue.reclaim()
            self.now += queue._stale.grace_s / 4
        return taken


def claim(queue: Queue) -> Claim:
    found = queue.claim()
    assert found is not None
    return found


def drain(queue: Queue) -> list[Claim]:
    """Claim and tell every slot."""
    claims = []
    while (one := queue.claim()) is not None:
        claims.append(one)
        assert queue.tell(one, [float(one.slot)] * len(queue.study.directions), "done")
    return claims


def states(queue: Queue) -> list[tuple[int, str]]:
    """Return slot and state of every trial, as the study itself has them."""
    return [(trial.user_attrs["slot"], trial.state.name) for trial in queue.study.get_trials()]
