"""The queue on a real PostgreSQL server: several workers, one killed, a first start by many, a server that restarts."""

import shutil
import signal
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import postgres
import pytest
from queue_workers import make_queue, run_workers
from test_queue_workers import check_events, check_killed, check_total, events_of

from tradewright.sweep.queue import Queue
from tradewright.sweep.storage import close_storage

pytestmark = pytest.mark.cluster


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder whose parents let the server's account in, which the test runner's own do not."""
    path = Path(tempfile.mkdtemp(prefix="tradewright-postgres-"))
    yield path
    shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    """Address of a server of this test."""
    with postgres.server(folder) as address:
        yield address


def test_six_workers_start_on_an_empty_database_and_claim_every_slot_once(url: str, tmp_path: Path) -> None:
    """Traps 1 and 2 on PostgreSQL."""
    events = tmp_path / "events"
    result = run_workers("together", url=url, num_slots=40, num_workers=6, events=str(events))
    assert result["codes"] == [0] * 6, result["errors"]
    assert Counter(slot for event, slot, *_ in events_of(events) if event == "begin") == Counter(range(40))
    check_events(events, 40)
    check_total(url, 40)


def test_four_workers_of_which_one_is_killed_do_every_slot_once(url: str, tmp_path: Path) -> None:
    events = tmp_path / "events"
    result = run_workers(
        "together", url=url, num_slots=16, num_workers=4, num_killed=1, events=str(events), job_s=0.3, grace_s=4.0
    )
    assert sorted(result["codes"]) == [-signal.SIGKILL, 0, 0, 0], result["errors"]
    check_events(events, 16)
    trials = check_total(url, 16)
    assert sum(bool(trial.user_attrs.get("lost")) for trial in trials) == 1
    ends = Counter(slot for event, slot, *_ in events_of(events) if event == "end")
    assert ends == Counter(range(16))


def test_workers_killed_at_random_moments_lose_and_repeat_no_slot(url: str, tmp_path: Path) -> None:
    assert check_killed(url, tmp_path, 3, num_slots=30, num_kills=30, num_workers=4) > 0


@pytest.fixture
def queue(url: str) -> Iterator[Queue]:
    """A queue of two slots."""
    found = make_queue(url, 2)
    found.fill()
    yield found
    close_storage(found.study._storage)


def test_claim_outlives_a_restart_of_the_server(queue: Queue, folder: Path) -> None:
    one = queue.claim()
    assert one is not None
    postgres.restart(folder)
    assert queue.beat([one]) == []
    assert queue.tell(one, [1.0], "done")
    two = queue.claim()
    assert two is not None
    assert queue.tell(two, [2.0], "done")
    assert queue.is_finished


def test_password_is_in_no_record_of_the_queue(queue: Queue, url: str) -> None:
    assert postgres.PASSWORD in url
    assert postgres.PASSWORD not in str(queue.records()) + str(queue.study.user_attrs) + str(queue.study.get_trials())
