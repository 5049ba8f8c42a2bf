"""The operations on letters: writing, carrying, showing, erasing."""

import json
import logging
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from email.message import EmailMessage
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import NoResultFound

from bienvenue import clock, i18n, normalize, purposes, user_agent
from bienvenue.client_ip import network_of
from bienvenue.db import DB, Transaction, retried
from bienvenue.feature import Event, Feature, Reason
from bienvenue.features.mail import smtp
from bienvenue.features.mail.models import (
    FIRST_PAUSE,
    GIVE_UP,
    KEPT,
    LEASE,
    LONGEST_PAUSE,
    TROUBLES,
    WRITE,
    EmailRequests,
    Message,
    MessageState,
    NoSuchMessage,
    asking,
    claiming,
    columns,
)
from bienvenue.features.mail.smtp import MailSettings, SendProblem
from bienvenue.features.mail.writing import MessageText, Writer
from bienvenue.key_ring import KeyProblem

if TYPE_CHECKING:
    from bienvenue.auth import Auth

_log = logging.getLogger("bienvenue.mail")

ROUND = 20.0
"""Seconds after which a round takes no further letter: whoever stops the work waits for its end."""

_NOTICES_AN_HOUR = 10
_REPEATED = {"until", "notification_email"}
"""Facts of an event that its notice may say."""


class Mail(Feature[MailSettings]):
    """The letters to people."""

    name = "mail"
    Settings = MailSettings
    events: ClassVar = {
        "email.queued": "An email to a user was queued.",
        "email.failed": "An email was given up: a server refused it, or none accepted it in two days.",
    }

    def __init__(self, auth: "Auth", db: DB, settings: MailSettings) -> None:
        """Open with the templates of this service."""
        super().__init__(auth, db, settings)
        self._writer = Writer(auth.settings, settings.mail_from)

    @property
    def leaves(self) -> bool:
        """Whether a server carries letters; else they stay in the outbox."""
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
    ) -> dict[str, str]:
        """Put a letter into the outbox, in the transaction that is open; give its name as facts.

        `kind` names its template, `facts` are plain values for it. `link` is a path of this service
        that bears a token; it is stored sealed, and given to nobody after `expires`. Without an
        email the same is written for nobody. Whoever writes announces an event with these facts.
        """
        now = clock.now()
        sealed = None
        # The text says for how long its link works, in whole minutes.
        lifetime = {} if expires is None else {"lifetime": 60 * round((expires - now) / 60)}
        if link is not None:
            sealed = self._auth.keys.encrypt(purposes.EMAILED_LINK, link.encode())
        with self._db.transaction() as tx:
            row: dict[str, Any] = {
                "uid": str(uuid.uuid4()),
                "at": now,
                "kind": kind,
                "user_id": user_id,
                "email": email,
                "facts": json.dumps({**facts, **lifetime, "language": self._language_of(user_id)}),
                "sealed": sealed,
                "expires": expires,
                "state": MessageState.WAITING if email else MessageState.VOID,
                "due": now,
                "tries": 0,
            }
            tx.execute(WRITE, row)
        return {"message": kind, "message_uid": str(row["uid"])}

    def _language_of(self, user_id: int | None) -> str:
        """Give the language of a letter: its reader's, else that of whoever is answered now."""
        chosen = self._auth.preferences.language_of(user_id)
        return chosen or i18n.current() or self._auth.settings.core.language

    def may_ask(self, kind: str, email: str, gap: float, most: int) -> bool:
        """Count a letter of a kind to an email, in the transaction that is open.

        False, having counted nothing, when the last one left fewer than `gap` seconds ago or
        `most` left in this hour.
        """
        key = self._auth.keys.lasting_mac(purposes.emails(kind), email.encode())
        return self._counted(key, gap, most)

    def may_ask_from(self, ip: str, most: int) -> bool:
        """Count a letter somebody of this network asked for; False when there were too many."""
        key = self._auth.keys.lasting_mac(purposes.emails("network"), network_of(ip).encode())
        return self._counted(key, 0.0, most)

    def _counted(self, key: bytes, gap: float, most: int) -> bool:
        values = {"the_key": key, "now": clock.now(), "gap": gap, "most": most}
        with self._db.transaction() as tx:
            return tx.execute(asking(self._db.on_postgresql), values).first() is not None

    def on_event(self, event: Event) -> None:
        """Tell the owner of what changed the account, in the event's transaction.

        At the first email, and at the second one if there is one.
        """
        kind = self._auth.notices.get(event.name)
        if kind is None or event.user_id is None:
            return
        if kind == "new_device" and self._auth.known_devices.has_one(event.user_id):
            # Whoever signs in for the first time knows that they do.
            return
        second = self._auth.notification_email.email_of(event.user_id)
        # What has a letter of its own was told at the first email by that one.
        first = [] if "message_uid" in event.facts else [None]
        self.tell(event, first if second is None else [*first, second])

    def tell(self, event: Event, emails: Iterable[str | None]) -> None:
        """Write the notice of an event to these emails of a person; None is the account's own."""
        try:
            user = self._db.find_user_by(id=event.user_id)
        except NoResultFound:
            return
        kind = self._auth.notices[event.name]
        device, ip = event.facts.get("device", user_agent.UNKNOWN), event.facts.get("ip", "")
        facts = {"device": device, "ip": ip, "mount": self._auth.mount}
        facts |= {name: event.facts[name] for name in _REPEATED & event.facts.keys()}
        facts["email"] = user.email
        for email in dict.fromkeys(each or user.email for each in emails):
            if self.may_ask(kind, email, 0.0, _NOTICES_AN_HOUR):
                told = self.write(kind, email, user.id, facts)
                self._auth.publish(Event("email.queued", user.id, told))

    # --- carrying -------------------------------------------------------------------------------

    def work(self) -> None:
        """Carry what is due, one letter after another, until a round has lasted long enough."""
        troubles, end = 0, time.monotonic() + ROUND
        while self.leaves and troubles < TROUBLES and time.monotonic() < end:
            claimed = self._claim()
            if claimed is None:
                return
            troubles = 0 if self._carry(claimed) else troubles + 1

    @retried
    def _claim(self) -> Any:
        with self._db.transaction() as tx:
            return tx.execute(claiming(self._db.on_postgresql), {"now": clock.now()}).first()

    def _carry(self, row: Any) -> bool:
        """Send a letter that was claimed and write down what came of it; tell whether it left."""
        try:
            letter = self._message(row)
            sender = self._writer.sender
            smtp.carry(self.settings, letter, sender, row.email, LEASE / 2)
        except SendProblem as problem:
            self._put_off(row, str(problem), dead=problem.permanent)
        except Exception as error:  # noqa: BLE001 (a template of the operator may do anything)
            _log.exception("the letter %s cannot be made", row.uid)
            self._put_off(row, f"it cannot be made: {type(error).__name__}", dead=False)
        else:
            self._mark(row, state=MessageState.SENT, sealed=None, sent=clock.now(), problem=None)
            return True
        return False

    def _message(self, row: Any) -> EmailMessage:
        return self._writer.message(row, self._link(row))

    def _put_off(self, row: Any, problem: str, *, dead: bool) -> None:
        now = clock.now()
        if dead or now - row.at >= GIVE_UP:
            self._give_up(row, problem)
            _log.error("the letter %s was given up: %s", row.uid, problem)
            return
        pause = min(FIRST_PAUSE * 2 ** (row.tries - 1), LONGEST_PAUSE)
        self._mark(row, due=now + pause, problem=problem[:200])
        _log.warning("the letter %s waits for %d s: %s", row.uid, pause, problem)

    @retried
    def _give_up(self, row: Any, problem: str) -> None:
        with self._db.transaction():
            if self._mark(row, state=MessageState.DEAD, sealed=None, problem=problem[:200]):
                self._auth.publish(Event("email.failed", row.user_id, {"message": row.kind}))

    @retried
    def _mark(self, row: Any, **values: Any) -> bool:
        """Change a letter that this carrier claimed last and nobody withdrew."""
        with self._db.transaction() as tx:
            mine = (columns.id == row.id) & (columns.tries == row.tries)
            waiting = columns.state == MessageState.WAITING
            return bool(tx.change(update(Message).where(mine, waiting).values(**values)))

    # --- showing --------------------------------------------------------------------------------

    def list(self, most: int = 100) -> Sequence[Message]:
        """Give the newest letters to anybody, newest first."""
        with self._db.reading() as tx:
            newest = select(Message).where(columns.state != MessageState.VOID)
            return tx.scalars(newest.order_by(columns.id.desc()).limit(most)).all()

    def find(self, uid: str) -> Message:
        """Give a letter by its name. Raises NoSuchMessage."""
        with self._db.reading() as tx:
            wanted = (columns.uid == normalize.text(uid, "uid")) & (
                columns.state != MessageState.VOID
            )
            found = tx.scalars(select(Message).where(wanted)).one_or_none()
        if found is None:
            raise NoSuchMessage
        return found

    def read(self, uid: str) -> EmailMessage:
        """Give a letter as it is or was sent, with its link while that opens something.

        Raises NoSuchMessage.
        """
        return self._message(self.find(uid))

    def about(self, entries: Iterable[Any]) -> dict[str, MessageText]:
        """Give the letters that rows of the record name, as `said` does."""
        named = [entry.facts["message_uid"] for entry in entries if "message_uid" in entry.facts]
        return self.said(named)

    def said(self, uids: Sequence[str]) -> dict[str, MessageText]:
        """Give what letters said, without their links, by name; those not kept are left out."""
        with self._db.reading() as tx:
            found = tx.scalars(select(Message).where(columns.uid.in_(uids))).all()
        read = {row.uid: self._read(row) for row in found}
        return {uid: written for uid, written in read.items() if written is not None}

    def _read(self, row: Message) -> MessageText | None:
        try:
            return self._writer.written(row, None)
        except Exception:  # noqa: BLE001 (as above)
            _log.exception("the letter %s cannot be made", row.uid)
            return None

    def _link(self, row: Any) -> str | None:
        if row.sealed is None or (row.expires is not None and row.expires <= clock.now()):
            return None
        try:
            return self._auth.keys.decrypt(purposes.EMAILED_LINK, row.sealed).decode()
        except KeyProblem as problem:
            _log.error("the link of the letter %s is lost: %s", row.uid, problem)
            return None

    @retried
    def resend(self, uid: str) -> Message:
        """Let a letter be carried again, at once, as it was written. Raises NoSuchMessage."""
        with self._db.transaction() as tx:
            found, now = self.find(uid), clock.now()
            anew: dict[str, Any] = {"state": MessageState.WAITING, "due": now, "problem": None}
            if found.expires is not None and found.expires <= now:
                anew["sealed"] = None
            tx.change(update(Message).where(columns.id == found.id).values(**anew))
        return found

    def test(self, email: str) -> str:
        """Send a letter to an email at once; give a line about the server.

        Raises MalformedEmail, and SendProblem when it did not leave.
        """
        row = Message(
            uid=str(uuid.uuid4()),
            at=clock.now(),
            kind="test",
            email=normalize.email(email),
            facts="{}",
        )
        found = smtp.probe(self.settings)
        letter = self._writer.message(row, None)
        smtp.carry(self.settings, letter, self._writer.sender, row.email, LEASE / 2)
        return found

    def undelivered(self) -> int:
        """Count the letters that were given up."""
        with self._db.reading() as tx:
            dead = select(func.count()).where(columns.state == MessageState.DEAD)
            return tx.scalar(dead) or 0

    # --- erasing --------------------------------------------------------------------------------

    def withdraw(self, user_id: int, kind: str | None = None) -> None:
        """Erase the links of a person's letters, or of one kind; what still waits stays here."""
        with self._db.transaction() as tx:
            self._withdraw(
                tx,
                (columns.user_id == user_id)
                & (columns.sealed.is_not(None))
                & ((columns.kind == kind) if kind is not None else True),
            )

    def adopt(self, email: str, kind: str, user_id: int) -> None:
        """Erase the links of nobody's letters of a kind to an email, which are a user's now."""
        with self._db.transaction() as tx:
            self.withdraw_to(email, kind)
            mine = (columns.email == email) & (columns.kind == kind) & columns.user_id.is_(None)
            tx.change(update(Message).where(mine).values(user_id=user_id))

    def withdraw_to(self, email: str, kind: str) -> None:
        """Erase the links of the letters of one kind to an email."""
        with self._db.transaction() as tx:
            mine = (columns.email == email) & (columns.kind == kind)
            self._withdraw(tx, mine & columns.sealed.is_not(None))

    def erase(self, uids: Sequence[str], *, wholly: bool = False) -> None:
        """Erase the links of letters by their names; what still waits stays here.

        `wholly` erases the letters themselves.
        """
        named = columns.uid.in_(uids)
        with self._db.transaction() as tx:
            self._withdraw(tx, named & columns.sealed.is_not(None))
            if wholly:
                tx.change(delete(Message).where(named))

    @staticmethod
    def _withdraw(tx: Transaction, which: Any) -> int:
        waiting = which & (columns.state == MessageState.WAITING)
        gone = tx.change(
            update(Message).where(waiting).values(state=MessageState.WITHDRAWN, sealed=None)
        )
        # Whose state changed is not met again: there is nothing sealed in it.
        return gone + tx.change(update(Message).where(which).values(sealed=None))

    def revoke(self, user_id: int, reason: Reason, _keep_session: bytes | None = None) -> None:
        """Delete all emails of an account that is deleted."""
        if reason != Reason.ACCOUNT_DELETED:
            return
        with self._db.transaction() as tx:
            tx.change(delete(Message).where(columns.user_id == user_id))

    def export(self, user_id: int) -> dict[str, Any]:
        """Give the letters written to a person, without their links, and what became of them."""
        with self._db.reading() as tx:
            rows = tx.scalars(
                select(Message).where(columns.user_id == user_id).order_by(columns.id.desc())
            ).all()
        return {"emails": [self._exported(row) for row in rows]}

    def _exported(self, row: Message) -> dict[str, Any]:
        written = self._read(row)
        return {
            "at": clock.written(row.at),
            "to": row.email,
            "subject": written.subject if written else row.kind,
            "text": written.text if written else None,
            "state": row.state,
            "sent": None if row.sent is None else clock.written(row.sent),
        }

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Erase links that are over; delete letters of long ago, and those to nobody."""
        with self._db.transaction() as tx:
            over = (columns.sealed.is_not(None)) & (columns.expires <= now)
            some = select(columns.id).where(over).limit(limit)
            swept = self._withdraw(tx, columns.id.in_(some) & over)
            old = (columns.at <= now - KEPT) | (columns.state == MessageState.VOID)
            some = select(columns.id).where(old).limit(limit - swept)
            swept += tx.change(delete(Message).where(columns.id.in_(some)))
            asked = (
                select(EmailRequests.key)
                .where(EmailRequests.last <= now - 86400)
                .limit(limit - swept)
            )
            return swept + tx.change(delete(EmailRequests).where(EmailRequests.key.in_(asked)))
