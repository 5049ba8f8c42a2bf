"""A queue of its own for tests, and a process that works on it."""

from __future__ import annotations

import time
from typing import Any

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    Integer,
    MetaData,
    String,
    Table,
    insert,
    select,
    true,
)

from bienvenue import DB, clock
from bienvenue.queue import DEAD, WAITING, Queue

DONE = "done"
LEASE, GIVE_UP = 60.0, 3600.0

jobs = Table(
    "jobs",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("state", String(16), nullable=False),
    Column("due_at", Float, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("problem", String(200)),
    #: Rows that are not ready are never claimed.
    Column("ready", Boolean, nullable=False),
    #: The process that finished the row.
    Column("worker", Integer),
)


def queue_on(db: DB) -> Queue:
    """Give the queue of a database."""
    only = jobs.c.ready == true()
    return Queue(db, jobs, lease=LEASE, give_up=GIVE_UP, pauses=(30.0, 100.0), only=only)


def add(db: DB, count: int = 1, *, due_at: float | None = None, ready: bool = True) -> None:
    """Put rows into the queue."""
    at = clock.now() if due_at is None else due_at
    row = {"state": WAITING, "due_at": at, "tries": 0, "problem": None, "ready": ready}
    with db.transaction() as tx:
        tx.execute(insert(jobs), [row] * count)


def rows(db: DB) -> list[Any]:
    """Give every row, oldest first."""
    with db.reading() as tx:
        return list(tx.execute(select(jobs).order_by(jobs.c.id)).all())


def work(url: str, number: int) -> None:
    """Claim and finish rows until every row is done or dead, as one process of several."""
    db = DB(url)
    queue = queue_on(db)
    while any(row.state not in {DONE, DEAD} for row in rows(db)):
        row = queue.claim()
        if row is not None:
            time.sleep(0.01)
            assert queue.finish(row, DONE, worker=number)
    db.close()


def claim_and_wait(url: str) -> None:
    """Claim one row and do nothing more, until the process is killed."""
    assert queue_on(DB(url)).claim() is not None
    print("claimed")
    time.sleep(600)
