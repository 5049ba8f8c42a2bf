"""The operations on messages: writing, sending, reading, erasing."""

import json
import logging
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from email.message import EmailMessage
from typing import Any, ClassVar

from sqlalchemy import delete, func, select, update

from bienvenue import clock, i18n, normalize, purposes
from bienvenue.authentication import WORKER, Caller
from bienvenue.client_ip import networks_of
from bienvenue.db import DB, Transaction, retried
from bienvenue.feature import Event, Feature, Reason, needs
from bienvenue.features.mail import smtp
from bienvenue.features.mail.errors import LinkGone, NoSuchMessage
from bienvenue.features.mail.messages import MessageText, Renderer
from bienvenue.features.mail.models import (
    DAY,
    GATHERED,
    GIVE_UP,
    HAS_LINK,
    KEPT,
    LEASE,
    NOTICES_AT_ONCE,
    PART,
    PAUSES,
    SENDABLE,
    TEST_DEADLINE,
    WIDER,
    WRITE,
    EmailRequests,
    Message,
    MessageState,
    columns,
    messages,
    requesting,
)
from bienvenue.features.mail.smtp import MailSettings, SendProblem
from bienvenue.features.preferences import Preferences
from bienvenue.key_ring import KeyProblem
from bienvenue.queue import Queue
from bienvenue.registry import Registry

_log = logging.getLogger("bienvenue.mail")

_LATE = "it waited for two days without a mail server"


class Mail(Feature[MailSettings]):
    """The operations on messages to people."""

    name = "mail"
    _preferences = needs(Preferences)
    Settings = MailSettings
    events: ClassVar = {
        "email.queued": "An email to a user was queued.",
        "email.failed": "An email was given up: its mailbox refused it, or no server accepted it "
        "in time.",
        "email_limit.reached": "An email was not sent, because too many were requested.",
    }
    sentences: ClassVar = {
        "email.failed": "An email to you couldn't be delivered.",
        "email.queued": "We sent you an email.",
    }

    def __init__(self, registry: Registry, db: DB, settings: MailSettings) -> None:
        """Open with the templates of this service."""
        super().__init__(registry, db, settings)
        self._renderer = Renderer(
            registry.settings,
            settings.mail_from,
            settings.mail_reply_to,
            lambda: registry.templates,
        )
        self._queue = Queue(
            db, messages, lease=LEASE, give_up=GIVE_UP, pauses=PAUSES, only=SENDABLE
        )

    @property
    def sends_mail(self) -> bool:
        """Whether a mail server is configured; without one messages stay in the outbox."""
        return self.settings.smtp_host is not None

    # --- writing --------------------------------------------------------------------------------

    def write(
        self,
        kind: str,
        email: str,
        user_id: int | None,
        facts: Mapping[str, Any],
        *,
        link: str | None = None,
        expires: float | None = None,
        delay: float = 0.0,
    ) -> dict[str, str]:
        """Put a message into the outbox, in the transaction that is open; return its name as facts.

        `kind` names its template, `facts` are plain values for it. `link` is a path of this service
        that holds a token; it is stored encrypted, and not shown after `expires`. It is sent after
        `delay` seconds. Without an email the same row is written without a recipient. The caller
        publishes an event with the facts returned.
        """
        now = clock.now()
        encrypted = None
        # The text says for how long its link works, in whole minutes.
        lifetime = {} if expires is None else {"lifetime": 60 * round((expires - now) / 60)}
        if link is not None:
            encrypted = self._registry.keys.encrypt(purposes.EMAILED_LINK, link.encode())
        with self._db.transaction() as tx:
            row: dict[str, Any] = {
                "uid": str(uuid.uuid4()),
                "created_at": now,
                "kind": kind,
                "user_id": user_id,
                "email": email,
                "facts": json.dumps({**facts, **lifetime, "language": self._language_of(user_id)}),
                "encrypted_link": encrypted,
                "expires_at": expires,
                "state": MessageState.WAITING if email else MessageState.VOID,
                "due_at": now + delay,
                "tries": 0,
            }
            tx.execute(WRITE, row)
        return {"message": kind, "message_uid": str(row["uid"])}

    def _language_of(self, user_id: int | None) -> str:
        """Return the language of a message: its reader's, else that of the current request."""
        chosen = self._preferences.language_of(user_id)
        return chosen or i18n.current() or self._registry.settings.core.language

    def may_ask(self, kind: str, email: str, gap: float, most: int) -> bool:
        """Count a request for a message of a kind to an email, in the transaction that is open.

        False, and nothing is counted, when the last one was granted fewer than `gap` seconds ago,
        or `most` were granted in this hour.
        """
        key = self._registry.keys.lasting_mac(purposes.emails(kind), email.encode())
        return self._counted(key, gap, most)

    def limit_reached_from(self, ip: str) -> str | None:
        """Count a request of the networks of `ip` and of all visitors, in the open transaction.

        Return the policy that the request exceeds, "network" or "service", or None. Requests
        without an ip count as those of one network.
        """
        most = self.settings.emails_network
        for network in networks_of(ip, WIDER):
            length = int(network.rpartition("/")[2]) if "/" in network else 0
            key = self._registry.keys.lasting_mac(purposes.emails("network"), network.encode())
            if not self._counted(key, 0.0, most * WIDER.get(length, 1)):
                return "network"
        key = self._registry.keys.lasting_mac(purposes.emails("service"), b"")
        if not self._counted(key, 0.0, self.settings.emails_service):
            _log.warning("all visitors together requested too many emails in an hour")
            return "service"
        return None

    def _counted(self, key: bytes, gap: float, most: int) -> bool:
        values = {"the_key": key, "now": clock.now(), "gap": gap, "most": most}
        with self._db.transaction() as tx:
            return tx.execute(requesting(self._db.on_postgresql), values).first() is not None

    def notify(
        self, caller: Caller, kind: str, email: str, user_id: int, facts: Mapping[str, Any]
    ) -> None:
        """Write a notice, which has no link, and publish it, in the transaction that is open.

        After NOTICES_AT_ONCE of a kind within a day, further ones are gathered for an hour into one
        message, which shows the latest and says how many there were.
        """
        now = clock.now()
        alike = (columns.kind == kind) & (columns.email == email) & (columns.user_id == user_id)
        unsent = (columns.state == MessageState.WAITING) & (columns.tries == 0)
        with self._db.transaction() as tx:
            today = alike & columns.created_at.between(now - DAY, now + clock.APART)
            many = (tx.scalar(select(func.count()).where(today)) or 0) >= NOTICES_AT_ONCE
            gathering = select(columns.id, columns.facts).where(
                alike & unsent & (columns.due_at > now)
            )
            found = tx.execute(gathering.limit(1).with_for_update()).one_or_none()
            if many and found is not None:
                before = json.loads(found.facts)
                kept = {"language": before["language"], "times": before.get("times", 1) + 1}
                latest = {"facts": json.dumps({**facts, **kept}), "created_at": now}
                tx.change(update(Message).where(columns.id == found.id).values(**latest))
                return
            written = self.write(kind, email, user_id, facts, delay=GATHERED if many else 0.0)
            self._registry.publish(Event(caller, "email.queued", user_id, written))

    # --- sending --------------------------------------------------------------------------------

    def work(self) -> None:
        """Send the messages that are due, for one batch."""
        if self.sends_mail:
            self._queue.work(self._send)

    def _send(self, row: Any) -> bool:
        """Send a claimed message and record the outcome; return False when the server failed."""
        try:
            message = self._whole(row)
            smtp.send(self.settings, message, self._renderer.sender, row.email, LEASE / 2)
        except SendProblem as problem:
            self._failed(row, problem)
            return problem.of_message
        except Exception as error:  # noqa: BLE001 (a template of the operator may do anything)
            _log.exception("the email %s cannot be made", row.uid)
            self._failed(row, SendProblem(f"it cannot be made: {type(error).__name__}"))
        else:
            sent = {"encrypted_link": None, "sent_at": clock.now(), "problem": None}
            self._queue.finish(row, MessageState.SENT, **sent)
        return True

    def _failed(self, row: Any, problem: SendProblem) -> None:
        # What the operator can mend costs no link: the message waits for as long as that works.
        waits = row.expires_at is not None and not problem.of_message
        if problem.permanent or (not waits and self._queue.is_too_old(row.created_at)):
            self._give_up(row, str(problem))
            _log.error("the email %s was given up: %s", row.uid, problem)
        else:
            pause = self._queue.retry(row, str(problem))
            _log.warning("the email %s waits for %d s: %s", row.uid, pause, problem)

    @retried
    def _give_up(self, row: Any, problem: str) -> None:
        with self._db.transaction():
            if self._queue.finish(row, MessageState.DEAD, problem=problem[:200]):
                self._registry.publish(
                    Event(WORKER, "email.failed", row.user_id, {"message": row.kind})
                )

    def _whole(self, row: Any) -> EmailMessage:
        """Render a message with its link. Raises SendProblem when the link does not work."""
        link = self._link(row)
        if row.expires_at is not None and link is None:
            raise SendProblem("its link expired or cannot be decrypted", permanent=True)
        return self._renderer.message(row, link)

    def _message(self, row: Any) -> EmailMessage:
        return self._renderer.message(row, self._link(row))

    # --- reading --------------------------------------------------------------------------------

    def list(self, most: int = 100) -> Sequence[Message]:
        """Return the newest messages, newest first."""
        with self._db.reading() as tx:
            newest = select(Message).where(columns.state != MessageState.VOID)
            return tx.scalars(newest.order_by(columns.id.desc()).limit(most)).all()

    def find(self, uid: str) -> Message:
        """Return a message by its name. Raises NoSuchMessage."""
        with self._db.reading() as tx:
            wanted = (columns.uid == normalize.text(uid, "uid")) & (
                columns.state != MessageState.VOID
            )
            found = tx.scalars(select(Message).where(wanted)).one_or_none()
        if found is None:
            raise NoSuchMessage
        return found

    def read(self, uid: str) -> EmailMessage:
        """Return a message as it is sent, with its link while that works.

        Raises NoSuchMessage.
        """
        return self._message(self.find(uid))

    def texts_for(self, entries: Iterable[Any]) -> dict[str, MessageText]:
        """Return the texts of the messages that entries of the audit log name, as `texts` does."""
        named = [entry.facts["message_uid"] for entry in entries if "message_uid" in entry.facts]
        return self.texts(named)

    def texts(self, uids: Sequence[str]) -> dict[str, MessageText]:
        """Return the texts of messages by name, without links; deleted messages are left out."""
        with self._db.reading() as tx:
            found = tx.scalars(select(Message).where(columns.uid.in_(uids))).all()
        read = {row.uid: self._read(row) for row in found}
        return {uid: written for uid, written in read.items() if written is not None}

    def _read(self, row: Message) -> MessageText | None:
        try:
            return self._renderer.text(row, None)
        except Exception:  # noqa: BLE001 (as above)
            _log.exception("the email %s cannot be made", row.uid)
            return None

    def _link(self, row: Any) -> str | None:
        if row.encrypted_link is None or (
            row.expires_at is not None and row.expires_at <= clock.now()
        ):
            return None
        try:
            return self._registry.keys.decrypt(purposes.EMAILED_LINK, row.encrypted_link).decode()
        except KeyProblem as problem:
            _log.error("the link of the email %s is lost: %s", row.uid, problem)
            return None

    @retried
    def resend(self, uid: str) -> Message:
        """Send a message again, at once, as it was written.

        Raises NoSuchMessage, and LinkGone when its link does not work any more.
        """
        with self._db.transaction() as tx:
            found = self.find(uid)
            if found.expires_at is not None and self._link(found) is None:
                raise LinkGone
            again = {
                "state": MessageState.WAITING,
                "due_at": clock.now(),
                # A message that was never tried would be too old to be sent for the first time.
                "tries": max(found.tries, 1),
                "problem": None,
            }
            tx.change(update(Message).where(columns.id == found.id).values(**again))
        return found

    @retried
    def withdraw(self, uid: str | None = None) -> int:
        """Withdraw a message that waits or was given up, or all of them; return how many.

        Their links are erased. Raises NoSuchMessage for a name that no message has.
        """
        unsent: Any = columns.state.in_([MessageState.WAITING, MessageState.DEAD])
        with self._db.transaction() as tx:
            if uid is not None:
                unsent &= columns.id == self.find(uid).id
            gone = {"state": MessageState.WITHDRAWN, "encrypted_link": None, "problem": None}
            return tx.change(update(Message).where(unsent).values(**gone))

    def test(self, email: str) -> str:
        """Send a test message at once; return a line about the server.

        Raises MalformedEmail, and SendProblem when it was not sent.
        """
        row = Message(
            uid=str(uuid.uuid4()),
            created_at=clock.now(),
            kind="test",
            email=normalize.email(email),
            facts="{}",
        )
        message = self._renderer.message(row, None)
        return smtp.send(self.settings, message, self._renderer.sender, row.email, TEST_DEADLINE)

    def undelivered(self) -> int:
        """Count the messages that were given up."""
        with self._db.reading() as tx:
            dead = select(func.count()).where(columns.state == MessageState.DEAD)
            return tx.scalar(dead) or 0

    def delayed(self) -> tuple[int, str]:
        """Count the messages that wait after a failed try; return the latest problem too."""
        failed = (columns.state == MessageState.WAITING) & columns.problem.is_not(None)
        newest = select(columns.problem).where(failed).order_by(columns.due_at.desc()).limit(1)
        with self._db.reading() as tx:
            count = tx.scalar(select(func.count()).where(failed)) or 0
            return count, tx.scalar(newest) or ""

    # --- erasing --------------------------------------------------------------------------------

    def adopt(self, email: str, kind: str, user_id: int) -> None:
        """Erase the links of the messages of a kind to an email, and make them a new user's."""
        with self._db.transaction() as tx:
            these = (columns.email == email) & (columns.kind == kind)
            self._withdraw(tx, these & columns.encrypted_link.is_not(None))
            unowned = these & columns.user_id.is_(None)
            tx.change(update(Message).where(unowned).values(user_id=user_id))

    def erase(self, uids: Sequence[str], *, wholly: bool = False) -> None:
        """Erase the links of messages by their names; those that wait are not sent.

        `wholly` deletes the messages themselves.
        """
        named = columns.uid.in_(uids)
        with self._db.transaction() as tx:
            self._withdraw(tx, named & columns.encrypted_link.is_not(None))
            if wholly:
                tx.change(delete(Message).where(named))

    @staticmethod
    def _withdraw(tx: Transaction, which: Any) -> int:
        waiting = which & (columns.state == MessageState.WAITING)
        gone = tx.change(
            update(Message).where(waiting).values(state=MessageState.WITHDRAWN, encrypted_link=None)
        )
        # Rows whose state just changed are not met again: their link is NULL.
        return gone + tx.change(update(Message).where(which).values(encrypted_link=None))

    def revoke(
        self, _caller: Caller, user_id: int, reason: Reason, _keep_session: bytes | None = None
    ) -> None:
        """Delete the messages of an account that is deleted."""
        if reason != Reason.ACCOUNT_DELETED:
            return
        with self._db.transaction() as tx:
            tx.change(delete(Message).where(columns.user_id == user_id))

    def export(self, user_id: int) -> dict[str, Any]:
        """Return the messages written to a user, without their links, and what became of them."""
        return {"emails": map(self._exported, self._all_of(user_id))}

    def _all_of(self, user_id: int) -> Iterator[Message]:
        """Give all messages of a user, newest first, reading PART of them at a time."""
        newest = select(Message).where(columns.user_id == user_id).order_by(columns.id.desc())
        part = newest
        while True:
            with self._db.reading() as tx:
                found = tx.scalars(part.limit(PART)).all()
            yield from found
            if len(found) < PART:
                return
            part = newest.where(columns.id < found[-1].id)

    def _exported(self, row: Message) -> dict[str, Any]:
        written = self._read(row)
        return {
            "at": clock.written(row.created_at),
            "to": row.email,
            "subject": written.subject if written else row.kind,
            "text": written.text if written else None,
            "state": row.state,
            "sent": None if row.sent_at is None else clock.written(row.sent_at),
        }

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Erase expired links; delete old messages and those without a recipient."""
        with self._db.transaction() as tx:
            expired = (columns.encrypted_link.is_not(None)) & (columns.expires_at <= now)
            some = select(columns.id).where(expired).limit(limit)
            swept = self._withdraw(tx, columns.id.in_(some) & expired)
            if self.sends_mail:
                late = _unsendable(now)
                some = select(columns.id).where(late).limit(limit - swept)
                withdrawn = {"state": MessageState.WITHDRAWN, "problem": _LATE}
                these = columns.id.in_(some) & late
                swept += tx.change(update(Message).where(these).values(**withdrawn))
            # The message of a link that still works may be the only one that has it.
            works = columns.encrypted_link.is_not(None) & HAS_LINK & (columns.expires_at > now)
            old = (columns.created_at <= now - KEPT) & ~works
            old |= columns.state == MessageState.VOID
            some = select(columns.id).where(old).limit(limit - swept)
            swept += tx.change(delete(Message).where(columns.id.in_(some)))
            requests = (
                select(EmailRequests.key)
                .where(EmailRequests.last_asked_at <= now - 86400)
                .limit(limit - swept)
            )
            return swept + tx.change(delete(EmailRequests).where(EmailRequests.key.in_(requests)))


def _unsendable(now: float) -> Any:
    """Return the condition that a message without a link waits and is too old for a first try."""
    old = columns.created_at <= now - GIVE_UP
    return (columns.state == MessageState.WAITING) & ~HAS_LINK & (columns.tries == 0) & old
