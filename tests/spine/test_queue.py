"""queue: each row is claimed by one worker at a time, retried, and given up in the end."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bienvenue import DB, queue
from bienvenue.queue import DEAD, WAITING
from tests.attacks.nursery import Child, Cradle
from tests.conftest import Clock
from tests.journeys.serving import environment
from tests.ports import wait_until
from tests.races import race
from tests.spine import jobs
from tests.spine.jobs import DONE, GIVE_UP, LEASE, add, queue_on, rows

pytestmark = pytest.mark.statements
PATIENCE = 60.0


@pytest.fixture
def db(database: str) -> Iterator[DB]:
    """A database with a queue."""
    opened = DB(database)
    jobs.jobs.create(opened.engine)
    yield opened
    opened.close()


def start(db: DB, folder: Path, function: Any, *arguments: object) -> Child:
    """Run a function in a process of its own, on the database."""
    cradle = Cradle(folder, None, environment(folder), folder / "log")
    url = db.engine.url.render_as_string(hide_password=False)
    return Child(cradle, function, url, *arguments)


# --- one claim a row ----------------------------------------------------------------------------


def test_rows_are_claimed_in_the_order_they_are_due(db: DB, moving_clock: Clock) -> None:
    """Not before they are due, and not while they do not meet the condition of the queue."""
    made = queue_on(db)
    add(db, due_at=moving_clock.time)
    add(db, due_at=moving_clock.time - 1)
    add(db, due_at=moving_clock.time - 2, ready=False)
    add(db, due_at=moving_clock.time + 1)
    assert [made.claim().id for _ in range(2)] == [2, 1]
    assert made.claim() is None
    moving_clock.forward(1)
    row = made.claim()
    assert (row.id, row.tries, row.due_at) == (4, 1, moving_clock.time + LEASE)


def test_twenty_workers_at_once_claim_twenty_rows(db: DB) -> None:
    """None twice, and a twenty-first claim finds none."""
    made = queue_on(db)
    add(db, 20)
    claimed = race(lambda _: made.claim().id, 20)
    assert sorted(claimed) == list(range(1, 21))
    assert made.claim() is None


@pytest.mark.slow
def test_three_processes_share_the_rows(db: DB, tmp_path: Path) -> None:
    """Every row is finished once, by the process that claimed it, and each process has some."""
    add(db, 120)
    children = [start(db, tmp_path, jobs.work, number) for number in range(3)]
    assert [child.wait(PATIENCE) for child in children] == [0] * 3, (tmp_path / "log").read_text()
    assert {(row.state, row.tries) for row in rows(db)} == {(DONE, 1)}
    assert {row.worker for row in rows(db)} == {0, 1, 2}


@pytest.mark.slow
def test_the_row_of_a_killed_process_is_claimed_when_its_lease_ends(
    db: DB, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not before."""
    add(db)
    child = start(db, tmp_path, jobs.claim_and_wait)
    log = tmp_path / "log"
    assert wait_until(lambda: log.exists() and "claimed" in log.read_text(), PATIENCE)
    child.kill()
    assert child.wait(PATIENCE) < 0
    made, (row,) = queue_on(db), rows(db)
    assert made.claim() is None
    monkeypatch.setattr("bienvenue.clock.now", lambda: row.due_at)
    assert made.claim().tries == 2


def test_a_worker_that_lost_its_claim_changes_nothing(db: DB, moving_clock: Clock) -> None:
    """Once the lease ended and another worker claimed the row, or the row was withdrawn."""
    made = queue_on(db)
    add(db)
    late = made.claim()
    moving_clock.forward(LEASE)
    current = made.claim()
    assert not made.finish(late, DEAD)
    made.retry(late, "too late")
    (row,) = rows(db)
    assert (row.state, row.due_at, row.problem) == (WAITING, moving_clock.time + LEASE, None)
    assert made.finish(current, DONE, worker=7)
    assert not made.finish(current, DEAD)
    (row,) = rows(db)
    assert (row.state, row.worker) == (DONE, 7)


# --- failures -----------------------------------------------------------------------------------


def test_the_pauses_double_up_to_the_longest(db: DB, moving_clock: Clock) -> None:
    """A row keeps why it failed, cut to the column, and waits longer each time."""
    made, pauses = queue_on(db), []
    add(db)
    for _ in range(4):
        row = made.claim()
        pauses.append(made.retry(row, "it is away " * 30))
        (row,) = rows(db)
        assert (row.due_at - moving_clock.time, len(row.problem)) == (pauses[-1], 200)
        moving_clock.forward(pauses[-1])
    assert pauses == [30, 60, 100, 100]
    assert made.retry(SimpleNamespace(id=1, tries=5000), "still away") == 100


def test_a_row_is_given_up_by_its_age(db: DB, moving_clock: Clock) -> None:
    """In seconds since it was written."""
    made = queue_on(db)
    assert not made.is_too_old(moving_clock.time - GIVE_UP + 1)
    assert made.is_too_old(moving_clock.time - GIVE_UP)


# --- batches ------------------------------------------------------------------------------------


def test_a_batch_ends_with_the_rows_or_after_three_failures_in_a_row(db: DB) -> None:
    """A success in between begins the count again."""
    made, results = queue_on(db), iter([False, False, True, False, False, False])
    add(db, 8)
    attempted: list[int] = []

    def attempt(row: Any) -> bool:
        attempted.append(row.id)
        return next(results, True)

    made.work(attempt)
    assert attempted == [1, 2, 3, 4, 5, 6]
    made.work(attempt)
    assert attempted == [1, 2, 3, 4, 5, 6, 7, 8]


def test_a_batch_ends_while_rows_are_left(db: DB, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a worker that is told to stop is not held up."""
    monkeypatch.setattr(queue, "BATCH", 0.0)
    add(db)
    queue_on(db).work(lambda _: pytest.fail("a row was claimed"))
    assert rows(db)[0].tries == 0
