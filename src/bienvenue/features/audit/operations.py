"""The operations on the audit log: write, seal, verify, list and erase."""

import functools
import hashlib
import json
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from bienvenue import clock, purposes
from bienvenue.authentication import Caller
from bienvenue.db import retried, upsert
from bienvenue.feature import Event, Feature, Reason
from bienvenue.features.audit import former
from bienvenue.features.audit.models import (
    CLEAR,
    AuditRow,
    AuditSettings,
    Entry,
    Personal,
    SealedBatch,
    commitment,
    digest,
    new_salt,
    personals,
    rows,
    sealed_text,
    seals,
    written_facts,
)
from bienvenue.features.audit.verification import Report, Verification
from bienvenue.user import User, table_of

_log = logging.getLogger("bienvenue.audit")

BATCH = 500
"""Most rows of a batch: other writers of SQLite wait while one batch is sealed."""

PART = 500
"""Rows that an export holds at a time."""

MINUTE = 60
"""Seconds in which all events of one key share one row."""

SHOWN = 100
"""Rows that the activity page shows to a user."""

_LOCK = 0x6269656E61756474

#: The reasons that events can have.
REASONS = tuple(reason.value for reason in Reason)


class Audit(Feature[AuditSettings]):
    """The operations on the audit log."""

    name = "audit"
    Settings = AuditSettings

    def on_event(self, event: Event) -> None:
        """Write the row of an event in its transaction, without waiting for other writers.

        Events with a `counted` key share one row for each key and minute, which counts them.
        """
        facts = {**_of_caller(event), **event.facts}
        clear = {name: value for name, value in facts.items() if name in CLEAR}
        personal = {n: value for n, value in facts.items() if value and n not in CLEAR}
        if event.name == "account.deleted" and event.user_id is not None:
            # Other events of this transaction may have written personal values of the user.
            self.revoke(event.caller, event.user_id, Reason.ACCOUNT_DELETED)
            personal = {}
        now, salt, content = clock.now(), new_salt(), written_facts(personal)
        values = {
            "at": now,
            "name": event.name,
            "user_id": event.user_id,
            "facts": written_facts(clear),
            "times": event.times,
            "commitment": commitment(salt, content) if personal else None,
            "slot": _slot(event, now),
        }
        statement = _counted(self._db.on_postgresql) if event.counted else _WRITTEN
        with self._db.transaction() as tx:
            row, times = tx.execute(statement, values).one()
            # A row that existed before counts more times than this event adds.
            if personal and times == event.times:
                kept = {"row_id": row, "at": now, "salt": salt, "content": content}
                tx.execute(_KEPT, kept)

    def on_events(self, events: Sequence[Event]) -> None:
        """Write the rows of many events in one statement, if none of them has facts."""
        if any(
            e.facts or e.counted or e.caller.origin or e.name == "account.deleted" for e in events
        ):
            super().on_events(events)
            return
        now = clock.now()
        written = [
            {
                "at": now,
                "name": event.name,
                "user_id": event.user_id,
                "facts": written_facts(_of_caller(event)),
                "times": event.times,
                "commitment": None,
                "slot": None,
            }
            for event in events
        ]
        with self._db.transaction() as tx:
            tx.execute(_MANY, written)

    def seal(self) -> int:
        """Seal all rows that are ready, in as many batches as needed; return how many rows.

        Any number of workers may run this concurrently. Raises KeyProblem.
        """
        total = 0
        while sealed := self._seal_batch():
            total += sealed
        return total

    @retried
    def _seal_batch(self) -> int:
        now = clock.now()
        # A counted row is ready once its minute is over. An event that commits later finds no
        # slot, because sealing clears it, and starts a row of its own.
        over = (rows.at < now // MINUTE * MINUTE) | (rows.at > now + clock.APART)
        ready = rows.slot.is_(None) | over
        with self._db.transaction() as tx:
            # One worker at a time; without this lock, the primary key of the batch collides.
            if self._db.on_postgresql and not tx.scalar(
                select(func.pg_try_advisory_xact_lock(self._db.lock(_LOCK)))
            ):
                return 0
            last, previous = tx.execute(_NEWEST).one_or_none() or (0, "")
            next_ids = (
                select(rows.id).where(rows.batch.is_(None), ready).order_by(rows.id).limit(BATCH)
            )
            claimed = tx.execute(
                update(AuditRow)
                .where(rows.id.in_(next_ids), rows.batch.is_(None))
                .values(batch=last + 1, slot=None)
                .returning(*rows)
                .execution_options(synchronize_session=False)
            ).all()
            if not claimed:
                return 0
            listed = json.dumps(sorted((row.id, row.at, digest(row)) for row in claimed))
            text = sealed_text(last + 1, now, len(claimed), previous, listed)
            # No batch is sealed under a key that was retired while this process did not look.
            self._registry.keys.reread()
            mac = self._registry.keys.mac(purposes.AUDIT_BATCH, text).hex()
            tx.add(
                SealedBatch(
                    batch=last + 1,
                    at=now,
                    size=len(claimed),
                    rows=listed,
                    previous=previous,
                    mac=mac,
                )
            )
            tx.flush()
            tx.after_commit.append(
                lambda: _log.info(
                    "sealed %d rows; the head is %d:%s", len(claimed), last + 1, mac[:32]
                )
            )
        return len(claimed)

    @contextmanager
    def sealing_paused(self) -> Iterator[int]:
        """Let no worker seal for a block; yield the number of the newest batch, 0 without one."""
        with self._db.transaction() as tx:
            if self._db.on_postgresql:
                tx.execute(select(func.pg_advisory_xact_lock(self._db.lock(_LOCK))))
            yield tx.scalar(_NEWEST) or 0

    def backlog(self, before: float) -> int:
        """Return how many unsealed rows are older than `before`, in seconds since 1970."""
        waiting = select(func.count()).where(rows.batch.is_(None), rows.at < before)
        with self._db.reading() as tx:
            return tx.scalar(waiting) or 0

    def work(self) -> None:
        """Seal all rows that are ready. Raises KeyProblem."""
        self.seal()

    def verify(self, head: str | None = None) -> Report:
        """Verify the whole audit log against its seals.

        `head` is a head that the service logged, as "12:9f86d081884c7d65"; the chain must contain
        it. Raises ValueError when it has another form, and KeyProblem.
        """
        return Verification(self._db, self._registry.keys, head).report()

    def list(self, user_id: int | None = None, limit: int | None = SHOWN) -> Sequence[Entry]:
        """Return rows of all users or of one, newest first; `limit` None returns all of them."""
        return self._entries(limit, *([] if user_id is None else [rows.user_id == user_id]))

    def _all_of(self, user_id: int) -> Iterator[Entry]:
        """Give all rows of a user, newest first, reading PART of them at a time."""
        mine = rows.user_id == user_id
        found = self._entries(PART, mine)
        while found:
            yield from found
            last = found[-1]
            same = (rows.at == last.at) & (rows.id < last.id)
            found = self._entries(PART, mine, (rows.at < last.at) | same)

    def _entries(self, limit: int | None, *where: ColumnElement[bool]) -> Sequence[Entry]:
        query = (
            select(*rows, User.uid, personals.content)
            .outerjoin(User, User.id == rows.user_id)
            .outerjoin(Personal, personals.row_id == rows.id)
            .where(*where)
            .order_by(rows.at.desc(), rows.id.desc())
            .limit(limit)
        )
        with self._db.reading() as tx:
            found = tx.execute(query).all()
        sentences = self._registry.sentences
        return [
            Entry(
                row.id,
                row.at,
                former.event(row.name),
                sentences.get(former.event(row.name), row.name),
                row.user_id,
                row.uid,
                former.facts(json.loads(row.facts)),
                former.facts(json.loads(row.content or "{}")),
                row.times,
                row.batch,
            )
            for row in found
        ]

    def last(self, name: str, user_ids: Sequence[int]) -> dict[int, float]:
        """Return when an event happened last to each of these accounts to which it did."""
        mine = rows.user_id.in_(user_ids) & (rows.name == name)
        query = select(rows.user_id, func.max(rows.at).label("last")).where(mine)
        with self._db.reading() as tx:
            found = tx.execute(query.group_by(rows.user_id)).all()
        return {row.user_id: row.last for row in found}

    def newest(self) -> float | None:
        """Return the time of the newest event in seconds since 1970; None without events."""
        with self._db.reading() as tx:
            newest: float | None = tx.scalar(select(func.max(rows.at)))
        return newest

    def revoke(
        self, _caller: Caller, user_id: int, reason: Reason, _keep_session: bytes | None = None
    ) -> None:
        """Erase the personal values of a deleted account; its rows stay."""
        if reason != Reason.ACCOUNT_DELETED:
            return
        row_ids = select(rows.id).where(rows.user_id == user_id)
        with self._db.transaction() as tx:
            tx.change(delete(Personal).where(personals.row_id.in_(row_ids)))

    def export(self, user_id: int) -> dict[str, Any]:
        """Return all rows of a user, newest first."""
        return {
            "activity": (
                {
                    "at": clock.written(entry.at),
                    "event": entry.name,
                    "times": entry.times,
                    **entry.facts,
                    **entry.personal,
                }
                for entry in self._all_of(user_id)
            )
        }

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Erase personal values older than `audit_personal` seconds, at most `limit` rows.

        Returns how many rows.
        """
        over = personals.at <= now - self.settings.audit_personal
        with self._db.transaction() as tx:
            batch = select(personals.row_id).where(over).limit(limit)
            return tx.change(delete(Personal).where(personals.row_id.in_(batch)))


_NEWEST = select(seals.batch, seals.mac).order_by(seals.batch.desc()).limit(1)
_WRITTEN = insert(table_of(AuditRow)).returning(rows.id, rows.times)
_MANY = insert(table_of(AuditRow))
_KEPT = insert(table_of(Personal))


@functools.cache
def _counted(on_postgresql: bool) -> Any:
    """Build the statement that counts an event, in the SQL dialect of the database."""
    inserted = upsert(table_of(AuditRow), on_postgresql)
    return inserted.on_conflict_do_update(
        index_elements=[rows.slot], set_={"times": rows.times + inserted.excluded.times}
    ).returning(rows.id, rows.times)


def _of_caller(event: Event) -> dict[str, Any]:
    """Return what a row says of the caller of its event."""
    caller = event.caller
    who = {"actor": caller.actor, "channel": caller.channel.value}
    # What comes in floods is counted in one row. Of visitors the ip of the first is enough:
    # reading their User-Agent costs more than the refusal.
    brief = event.counted and not caller.signed_in
    return who | ({"ip": caller.address} if brief else dict(caller.origin))


def _slot(event: Event, now: float) -> str | None:
    """Return the hex SHA-256 that names the row of a counted event and hides its key."""
    if event.counted is None:
        return None
    name = f"{event.name}\n{event.counted}\n{now // MINUTE}"
    return hashlib.sha256(name.encode()).hexdigest()
