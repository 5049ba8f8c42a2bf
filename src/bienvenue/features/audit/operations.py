"""The operations on the record: hearing, sealing, showing, erasing."""

import functools
import hashlib
import json
import logging
from collections.abc import Sequence
from typing import Any, ClassVar

from sqlalchemy import delete, func, insert, select, update

from bienvenue import clock, purposes
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
from bienvenue.web.page import Pages

_log = logging.getLogger("bienvenue.audit")

BATCH = 500
"""Rows of a batch at most: a sealer keeps other writers of SQLite waiting for so long."""

MINUTE = 60
"""Seconds in which refusals of one key are one row."""

SHOWN = 100
"""Rows a person sees of their own."""

_LOCK = 0x6269656E61756474

TOLD = {
    "account.closed": "You closed your account. All devices were signed out.",
    "account.exported": "Your data was downloaded.",
    "account.reopened": "Your account was reopened.",
    "account.registered": "Your account was created.",
    "account.disabled": "An administrator disabled your account. All devices were signed out.",
    "account.enabled": "An administrator enabled your account again.",
    "account.unlocked": "An administrator unlocked your account.",
    "device.first_seen": "A new device signed in.",
    "email.verified": "Your email address was verified.",
    "email_change.requested": "An email change was requested.",
    "email.assigned": "An administrator changed your email. All devices were signed out.",
    "email.changed": "Your email was changed. All other devices were signed out.",
    "email.restored": "An earlier email was restored with the link sent to it. All devices were "
    "signed out.",
    "email.failed": "An email to you couldn't be delivered.",
    "email.queued": "We sent you an email.",
    "password.changed": "Your password was changed.",
    "password.refused": "A sign-in failed.",
    "password.rehashed": "Your password is stored in a newer form. The password is the same.",
    "registration.requested": "Someone tried to create an account with your email. Nothing "
    "was changed.",
    "notification_email.added": "A notification email was added.",
    "notification_email.requested": "A notification email was requested.",
    "notification_email.removed": "A notification email was removed.",
    "session.ended": "A device was signed out.",
    "session.opened": "A device signed in.",
    "sessions.ended": "All devices were signed out, or all other devices.",
}

#: The reasons that events give.
WHY = tuple(reason.value for reason in Reason)


class Audit(Feature[AuditSettings]):
    """The record of all that happened."""

    name = "audit"
    Settings = AuditSettings
    pages: ClassVar[Pages] = Pages()

    def on_event(self, event: Event) -> None:
        """Write the row of an event, in its transaction, waiting for no other writer.

        Events with a `counted` key are one row for each key and minute, which counts them.
        """
        clear = {name: value for name, value in event.facts.items() if name in CLEAR}
        personal = {n: value for n, value in event.facts.items() if value and n not in CLEAR}
        if event.name == "account.deleted" and event.user_id is not None:
            # The transaction that erases a person writes nothing of them, whoever spoke in it.
            self.revoke(event.user_id, Reason.ACCOUNT_DELETED)
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
            # A row that was there already counts more than was added now.
            if personal and times == event.times:
                kept = {"row_id": row, "at": now, "salt": salt, "content": content}
                tx.execute(_KEPT, kept)

    def seal(self) -> int:
        """Seal every row that is ripe, in as many batches as it takes; give how many rows.

        Any number of sealers may run: those who come second seal what is left. Raises KeyProblem.
        """
        total = 0
        while sealed := self._seal_batch():
            total += sealed
        return total

    @retried
    def _seal_batch(self) -> int:
        now = clock.now()
        # A counted row is ripe once its minute is over. One of it that commits later still finds
        # no slot, since sealing clears it, and so begins a row of its own.
        ripe = rows.slot.is_(None) | (rows.at < now // MINUTE * MINUTE)
        with self._db.transaction() as tx:
            # One sealer at a time; where this lock is none, the number of the batch is taken.
            if self._db.on_postgresql and not tx.scalar(
                select(func.pg_try_advisory_xact_lock(_LOCK))
            ):
                return 0
            newest = select(seals.batch, seals.mac).order_by(seals.batch.desc()).limit(1)
            last, previous = tx.execute(newest).one_or_none() or (0, "")
            some = select(rows.id).where(rows.batch.is_(None), ripe).order_by(rows.id).limit(BATCH)
            claimed = tx.execute(
                update(AuditRow)
                .where(rows.id.in_(some), rows.batch.is_(None))
                .values(batch=last + 1, slot=None)
                .returning(*rows)
                .execution_options(synchronize_session=False)
            ).all()
            if not claimed:
                return 0
            listed = json.dumps(sorted((row.id, row.at, digest(row)) for row in claimed))
            text = sealed_text(last + 1, now, len(claimed), previous, listed)
            mac = self._auth.keys.mac(purposes.AUDIT_BATCH, text).hex()
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

    def backlog(self, before: float) -> int:
        """Count the rows from before a time, in seconds, that are not sealed yet."""
        waiting = select(func.count()).where(rows.batch.is_(None), rows.at < before)
        with self._db.reading() as tx:
            return tx.scalar(waiting) or 0

    def work(self) -> None:
        """Seal what is ripe."""
        self.seal()

    def verify(self, head: str | None = None) -> Report:
        """Go through the whole record and say whether it is as it was sealed.

        `head` is one that the log names, as "12:9f86d081884c7d65": the chain must pass through it.
        Raises ValueError when it does not look like that.
        """
        return Verification(self._db, self._auth.keys, head).report()

    def list(self, user_id: int | None = None, limit: int | None = SHOWN) -> Sequence[Entry]:
        """Give the newest rows first, of everybody or of one person; all when there is no limit."""
        query = (
            select(*rows, User.uid, personals.content)
            .outerjoin(User, User.id == rows.user_id)
            .outerjoin(Personal, personals.row_id == rows.id)
            .order_by(rows.at.desc(), rows.id.desc())
            .limit(limit)
        )
        if user_id is not None:
            query = query.where(rows.user_id == user_id)
        with self._db.reading() as tx:
            found = tx.execute(query).all()
        sentences = self._sentences()
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

    def _sentences(self) -> dict[str, str]:
        declared = {
            name: s for feature in self._auth.features for name, s in feature.events.items()
        }
        return declared | TOLD

    def revoke(self, user_id: int, reason: Reason, _keep_session: bytes | None = None) -> None:
        """Erase the personal values of an account that is deleted; its rows stay."""
        if reason != Reason.ACCOUNT_DELETED:
            return
        theirs = select(rows.id).where(rows.user_id == user_id)
        with self._db.transaction() as tx:
            tx.change(delete(Personal).where(personals.row_id.in_(theirs)))

    def export(self, user_id: int) -> dict[str, Any]:
        """Give all rows of a person, newest first."""
        return {
            "activity": [
                {
                    "at": clock.written(entry.at),
                    "event": entry.name,
                    "times": entry.times,
                    **entry.facts,
                    **entry.personal,
                }
                for entry in self.list(user_id, None)
            ]
        }

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Erase personal values that were kept long enough; give how many rows of them."""
        over = personals.at <= now - self.settings.audit_personal
        with self._db.transaction() as tx:
            some = select(personals.row_id).where(over).limit(limit)
            return tx.change(delete(Personal).where(personals.row_id.in_(some)))


_WRITTEN = insert(table_of(AuditRow)).returning(rows.id, rows.times)
_KEPT = insert(table_of(Personal))


@functools.cache
def _counted(on_postgresql: bool) -> Any:
    """Write the statement that counts an event, which needs the words of the database."""
    inserted = upsert(table_of(AuditRow), on_postgresql)
    return inserted.on_conflict_do_update(
        index_elements=[rows.slot], set_={"times": rows.times + inserted.excluded.times}
    ).returning(rows.id, rows.times)


def _slot(event: Event, now: float) -> str | None:
    """Name the row that counts an event, without saying what the key is."""
    if event.counted is None:
        return None
    name = f"{event.name}\n{event.counted}\n{now // MINUTE}"
    return hashlib.sha256(name.encode()).hexdigest()
