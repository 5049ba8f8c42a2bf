"""Rows of a table as a queue: written with their cause, claimed, retried, given up.

A row is inserted in the transaction of its cause, in the state WAITING. A worker claims the row
that is due first, in one conditional statement, for the time of a lease. When the worker dies, the
lease ends and the row is claimed again. Every later change names the claim it belongs to, so a
worker whose lease ended changes nothing. Any number of processes share a table.
"""

import functools
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import ColumnElement, Float, Table, bindparam, select, true, update

from bienvenue import clock
from bienvenue.db import DB, retried

WAITING, DEAD = "waiting", "dead"
"""The states a queue knows: to be claimed, and given up. Every other state is its owner's."""

NOW = bindparam("now", type_=Float)
"""The moment of a claim, for the condition of a queue."""

BATCH = 20.0
"""Seconds after which a batch claims no further row: a worker that is to stop ends it first."""

FAILURES = 3
"""Failures of the receiver in a row that end a batch."""


class Queue:
    """The queue in one table, with the columns id, state, due_at, tries and problem.

    `due_at` is the time from which a row may be claimed, in seconds since 1970; while a worker
    holds the row, the time its lease ends. `tries` counts the claims of a row.
    """

    def __init__(
        self,
        db: DB,
        table: Table,
        *,
        lease: float,
        give_up: float,
        pauses: tuple[float, float],
        only: ColumnElement[bool] | None = None,
    ) -> None:
        """Take the table and its times, all in seconds.

        `lease` is how long a worker may hold a row, `give_up` the age at which a failing row is
        dead, `pauses` the first and the longest pause between two tries of a row. Rows that do
        not meet `only` are not claimed.
        """
        self._db = db
        self._table = table
        self._lease = lease
        self._give_up = give_up
        self._pauses = pauses
        self._only = true() if only is None else only

    def work(self, attempt: Callable[[Any], bool]) -> None:
        """Claim rows that are due and attempt them, one after another, for one batch.

        `attempt` gets the claimed row, records what came of it with the methods below and returns
        whether the receiver took it or refused only this row; False says that it failed.
        """
        failures, end = 0, time.monotonic() + BATCH
        while failures < FAILURES and time.monotonic() < end:
            row = self.claim()
            if row is None:
                return
            failures = 0 if attempt(row) else failures + 1

    @retried
    def claim(self) -> Any:
        """Claim the row that is due first, for the time of the lease; None when none is due."""
        with self._db.transaction() as tx:
            return tx.execute(self._claiming, {"now": clock.now()}).first()

    @retried
    def finish(self, row: Any, state: str, **values: Any) -> bool:
        """Set the final state of a claimed row, and other columns; False when the claim is lost."""
        return self._mark(row, state=state, **values)

    @retried
    def retry(self, row: Any, problem: str) -> float:
        """Record why a claimed row failed, and let it wait; return the pause in seconds."""
        first, longest = self._pauses
        # The exponent is bounded: a row that is resent for years has had many tries.
        pause = min(first * float(2 ** min(row.tries - 1, 64)), longest)
        self._mark(row, due_at=clock.now() + pause, problem=problem[:200])
        return pause

    def is_too_old(self, since: float) -> bool:
        """Tell whether a failing row that was written at `since` is to be given up."""
        return clock.now() - since >= self._give_up

    def _mark(self, row: Any, **values: Any) -> bool:
        """Change a row whose last claim is this one and which its owner did not withdraw."""
        columns = self._table.c
        mine = (columns.id == row.id) & (columns.tries == row.tries) & (columns.state == WAITING)
        with self._db.transaction() as tx:
            return tx.change(update(self._table).where(mine).values(**values)) == 1

    @functools.cached_property
    def _claiming(self) -> Any:
        columns = self._table.c
        # No row waits for longer than this: a time further ahead was written by a wrong clock.
        longest = max(self._lease, *self._pauses)
        on_time = (columns.due_at <= NOW) | (columns.due_at > NOW + longest)
        due = (columns.state == WAITING) & on_time
        first = (
            select(columns.id).where(due, self._only).order_by(columns.due_at, columns.id).limit(1)
        )
        if self._db.on_postgresql:
            # Other workers pass over the row; SQLite has one writer at a time.
            first = first.with_for_update(skip_locked=True)
        return (
            update(self._table)
            .where(columns.id == first.scalar_subquery(), due)
            .values(due_at=NOW + self._lease, tries=columns.tries + 1)
            .returning(*columns)
        )
