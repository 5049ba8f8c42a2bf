"""one_time_tokens: the links in emails that work once, for every feature that sends one.

A token is 256 random bits, bound to its purpose. The table stores its digest, the address the
email was sent to, and when it expires. One conditional DELETE spends a token; opening a link
changes nothing (NIST SP 800-63B-4 section 3.1.3.1; ASVS 6.5.1, 6.5.5).
"""

import json
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Text,
    delete,
    exists,
    func,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import clock, tokens
from bienvenue.authentication import Caller
from bienvenue.client_ip import network_of
from bienvenue.db import retried, upsert
from bienvenue.feature import Event, Feature, Reason, needs
from bienvenue.features.mail import AN_HOUR, GAP, Mail, TooManyEmails
from bienvenue.settings import Section
from bienvenue.tokens import Purpose
from bienvenue.user import Base, User, table_of

FROM_AN_ACCOUNT = 10
"""Emails of one purpose that an account may request in an hour."""

_big = BigInteger().with_variant(Integer(), "sqlite")


# --- the table ----------------------------------------------------------------------------------


class OneTimeToken(Base):
    """One outstanding link. Spending or withdrawing it deletes the row."""

    __tablename__ = "one_time_tokens"
    __table_args__ = (
        Index("ix_one_time_tokens_user_id_purpose", "user_id", "purpose"),
        Index("ix_one_time_tokens_purpose_sent_to", "purpose", "sent_to"),
        {"sqlite_autoincrement": True},
    )

    #: In the order in which tokens were issued.
    id: Mapped[int] = mapped_column(_big, primary_key=True)
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), unique=True)
    #: The public name, for lists and commands.
    uid: Mapped[str] = mapped_column(String(36), unique=True)
    purpose: Mapped[str] = mapped_column(String(32))
    #: A new token replaces the one with an equal slot. NULL where several may be outstanding.
    slot: Mapped[str | None] = mapped_column(String(320), unique=True)
    user_id: Mapped[int | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    #: The address the email went to.
    sent_to: Mapped[str] = mapped_column(String(254))
    #: Values of the feature, as JSON.
    data: Mapped[str] = mapped_column(Text)
    #: The uid of the email with the link.
    message_uid: Mapped[str | None] = mapped_column(String(36))
    created_at: Mapped[float]
    expires_at: Mapped[float] = mapped_column(index=True)


table = table_of(OneTimeToken)
columns = table.c


class Link(NamedTuple):
    """A link to be sent. `path` contains the token, so only the email may contain it."""

    purpose: Purpose
    digest: bytes
    path: str
    created_at: float
    expires_at: float

    def __repr__(self) -> str:
        """Show the purpose and nothing secret."""
        return f"<Link {self.purpose.name}>"


class Token(NamedTuple):
    """An outstanding token as read from the table. Times are seconds since 1970."""

    id: int
    uid: str
    user_id: int | None
    sent_to: str
    data: Mapping[str, Any]
    message_uid: str | None
    created_at: float
    expires_at: float

    def __repr__(self) -> str:
        """Show the public name and nothing secret."""
        return f"<Token {self.uid}>"


# --- operations ---------------------------------------------------------------------------------


class OneTimeTokens(Feature[Section]):
    """The operations on one-time links."""

    name = "one_time_tokens"
    _mail = needs(Mail)

    def admit(self, caller: Caller, purpose: Purpose, account: str | None = None) -> None:
        """Count a request for an email by its network and account, before its transaction.

        The network of code of this process is not counted. `account` is the uid of the signed-in
        user. Raises TooManyEmails; that a limit was reached is in the audit log then.
        """
        policy = self._limit_reached(caller, purpose, account)
        if policy is not None:
            facts = {"policy": f"{policy} {purpose.name}"}
            who = account if policy == "account" else network_of(caller.address)
            counted = f"{policy} {who}"
            self._registry.publish(
                Event(caller, "email_limit.reached", facts=facts, counted=counted)
            )
            raise TooManyEmails

    @retried
    def _limit_reached(self, caller: Caller, purpose: Purpose, account: str | None) -> str | None:
        mail, kind = self._mail, f"{purpose.name} account"
        with self._db.transaction():
            if account and not mail.may_ask(kind, account, 0.0, FROM_AN_ACCOUNT):
                return "account"
            return None if caller.ip is None else mail.limit_reached_from(caller.ip)

    def throttle(
        self, caller: Caller, purpose: Purpose, email: str, user_id: int | None = None
    ) -> bool:
        """Count an email to an address in the open transaction; return whether to send it.

        Returns False when the address was sent an email less than GAP seconds ago or too many in
        this hour: the caller then sends nothing and answers as usual. The audit log of the user
        `user_id`, or else of the account of the address, then says so.
        """
        if self._mail.may_ask(purpose.name, email, GAP, AN_HOUR):
            return True
        if user_id is None:
            with self._db.reading() as tx:
                user_id = tx.scalar(select(User.id).where(User.email == email))
        facts = {"policy": f"email {purpose.name}"}
        counted = f"email {purpose.name} {email}"
        self._registry.publish(Event(caller, "email_limit.reached", user_id, facts, counted))
        return False

    def new(self, caller: Caller, purpose: Purpose, lifetime: float) -> Link:
        """Return a new link that works for `lifetime` seconds after `keep` stores it.

        It leads to the path under which the caller's application has the pages.
        """
        mount = self._registry.mount_of(caller)
        return self._made(purpose, tokens.new(), lifetime, mount)

    def new_token(self, purpose: Purpose, lifetime: float) -> tuple[str, Link]:
        """Return a new token and its link, for code that sends no email; `lifetime` in seconds."""
        token = tokens.new()
        return token, self._made(purpose, token, lifetime, "")

    @staticmethod
    def _made(purpose: Purpose, token: str, lifetime: float, mount: str) -> Link:
        now = clock.now()
        path = f"{mount}{purpose.path}?token={token}"
        return Link(purpose, purpose.digest_of(token), path, now, now + lifetime)

    def keep(
        self,
        link: Link,
        *,
        sent_to: str,
        user_id: int | None = None,
        data: Mapping[str, Any] | None = None,
        message_uid: str | None = None,
        slot: object = None,
        where: ColumnElement[bool] | None = None,
    ) -> bool:
        """Store a link in the open transaction; return whether the condition `where` held.

        The link replaces a token of the same purpose and `slot` and erases the link in that
        token's email. `where` is a condition of the same statement, for example that the account
        is not disabled. A caller without a recipient runs the statement with a false condition,
        so that the time doesn't show whether an account exists.
        """
        values: dict[str, Any] = {
            "digest": literal(link.digest, LargeBinary()),
            "uid": literal(str(uuid.uuid4()), String()),
            "purpose": literal(link.purpose.name, String()),
            "slot": literal(None if slot is None else f"{link.purpose.name} {slot}", String()),
            "user_id": literal(user_id, Integer()),
            "sent_to": literal(sent_to, String()),
            "data": literal(json.dumps(data or {}), String()),
            "message_uid": literal(message_uid, String()),
            "created_at": literal(link.created_at, Double()),
            "expires_at": literal(link.expires_at, Double()),
        }
        row: Any = select(*values.values()).where(true() if where is None else where)
        written = upsert(table, self._db.on_postgresql).from_select(list(values), row)
        replaced = {name: written.excluded[name] for name in values if name != "slot"}
        written = written.on_conflict_do_update(index_elements=[columns.slot], set_=replaced)
        with self._db.transaction() as tx:
            if slot is not None:
                self._erase(tx, columns.slot == f"{link.purpose.name} {slot}")
            return tx.execute(written.returning(columns.id)).first() is not None

    def peek(
        self, purpose: Purpose, token: str | None, *where: ColumnElement[bool]
    ) -> Token | None:
        """Return an outstanding token and change nothing; None when it doesn't work."""
        if not tokens.well_formed(token):
            return None
        wanted = select(table).where(self.alive(purpose, str(token)), *where)
        with self._db.reading() as tx:
            row = tx.execute(wanted).one_or_none()
        return None if row is None else _read(row)

    def spend(
        self, purpose: Purpose, token: str | None, *where: ColumnElement[bool]
    ) -> Token | None:
        """Spend a token in the open transaction and return it; None when it doesn't work.

        Of concurrent calls exactly one gets the token. The link in its email is erased.
        """
        if not tokens.well_formed(token):
            return None
        return self._spent(self.alive(purpose, str(token)), *where)

    def spend_mailbox(self, purpose: Purpose, token: str | None) -> Token | None:
        """Spend a token as `spend` does, and every token of its purpose for the same address."""
        if not tokens.well_formed(token):
            return None
        digest = purpose.digest_of(str(token))
        sent_to = select(columns.sent_to).where(self.alive(purpose, str(token)))
        # One statement, so that two links to one mailbox cannot wait for each other.
        spent = (columns.purpose == purpose.name) & (columns.sent_to == sent_to.scalar_subquery())
        with self._db.transaction() as tx:
            rows = self._deleted(tx, spent)
        return next((_read(row) for row in rows if row.digest == digest), None)

    def take(self, purpose: Purpose, *where: ColumnElement[bool]) -> Token | None:
        """Delete the outstanding token of these conditions, which name one, and return it.

        Runs in the open transaction. Of concurrent calls exactly one gets the token.
        """
        return self._spent((columns.purpose == purpose.name) & unexpired(), *where)

    def spend_peeked(self, found: Token, *where: ColumnElement[bool]) -> bool:
        """Spend a token that `peek` returned, in the open transaction; return whether it worked."""
        same = (columns.id == found.id) & (columns.uid == found.uid)
        return self._spent(same & unexpired(), *where) is not None

    def _spent(self, *where: ColumnElement[bool]) -> Token | None:
        with self._db.transaction() as tx:
            rows = self._deleted(tx, *where)
        return _read(rows[0]) if rows else None

    def renew(self, link: Link, sent_to: str) -> tuple[str, float] | None:
        """Replace the secret of the newest token for an address; its expiry stays the same.

        Runs in the open transaction and erases the link in the earlier email. Returns the uid of
        that email and the expiry in seconds since 1970, or None when no token is outstanding. The
        caller then names the new email with `sent`.
        """
        alive = (columns.purpose == link.purpose.name) & (columns.sent_to == sent_to) & unexpired()
        newest = select(columns.id).where(alive).order_by(columns.id.desc()).limit(1)
        with self._db.transaction() as tx:
            row = tx.execute(
                update(OneTimeToken)
                .where(columns.id == newest.scalar_subquery(), alive)
                .values(digest=link.digest, slot=None)
                .returning(columns.message_uid, columns.expires_at)
                .execution_options(synchronize_session=False)
            ).one_or_none()
            # An address without a token runs the same statements, which match no row.
            self._mail.erase([(row and row.message_uid) or ""])
        return None if row is None else (row.message_uid or "", row.expires_at)

    def sent(self, link: Link, message_uid: str) -> None:
        """Store which email contains a renewed link, in the open transaction."""
        with self._db.transaction() as tx:
            mine = columns.digest == link.digest
            tx.change(update(table).where(mine).values(message_uid=message_uid))

    @staticmethod
    def alive(purpose: Purpose, token: str) -> ColumnElement[bool]:
        """Return the condition that a row belongs to this token and has not expired."""
        return (
            (columns.digest == purpose.digest_of(token))
            & (columns.purpose == purpose.name)
            & unexpired()
        )

    def reserved(self, email: str, user_id: int | None = None) -> bool:
        """Tell whether an address is reserved for an account other than `user_id`."""
        kept = self._reserving(clock.now()) & (columns.sent_to == email)
        if user_id is not None:
            kept &= columns.user_id != user_id
        with self._db.reading() as tx:
            return tx.scalar(select(columns.id).where(kept).limit(1)) is not None

    def all_reserved(self, emails: Collection[str]) -> frozenset[str]:
        """Return those of some addresses that are reserved for an account."""
        kept = self._reserving(clock.now())
        query = select(columns.sent_to).where(columns.sent_to.in_(emails), kept)
        with self._db.reading() as tx:
            return frozenset(tx.scalars(query))

    def reserved_until(self, user_id: int) -> float:
        """Return when the last address reserved for an account becomes free; 0 if none is."""
        mine = self._reserving(clock.now()) & (columns.user_id == user_id)
        with self._db.reading() as tx:
            return tx.scalar(select(func.max(columns.expires_at)).where(mine)) or 0.0

    def holds_reservation(self, user_id: ColumnElement[int], now: float) -> ColumnElement[bool]:
        """Return the condition that an address is reserved for the account of a column.

        `now` is in seconds since 1970.
        """
        mine = self._reserving(now) & (columns.user_id == user_id)
        return exists().where(mine).correlate_except(table)

    def _reserving(self, now: float) -> ColumnElement[bool]:
        purposes = [p.name for each in self._registry.features for p in each.links if p.reserves]
        return columns.purpose.in_(purposes) & (columns.expires_at > now)

    def list(self, purpose: Purpose, *where: ColumnElement[bool]) -> Sequence[Token]:
        """Return the outstanding tokens of a purpose in the order they were issued."""
        alive = (columns.purpose == purpose.name) & unexpired()
        with self._db.reading() as tx:
            rows = tx.execute(select(table).where(alive, *where).order_by(columns.id)).all()
        return [_read(row) for row in rows]

    def of_user(self, purpose: Purpose, user_id: int) -> Token | None:
        """Return the newest outstanding token of a purpose of a user, or None."""
        found = self.list(purpose, columns.user_id == user_id)
        return found[-1] if found else None

    def withdraw(self, purpose: Purpose, *where: ColumnElement[bool], wholly: bool = False) -> int:
        """Delete tokens of a purpose in the open transaction; return how many.

        The links in their emails are erased; `wholly` erases the whole emails.
        """
        with self._db.transaction() as tx:
            return self._drop(tx, columns.purpose == purpose.name, *where, wholly=wholly)

    def _erase(self, tx: Any, *where: ColumnElement[bool]) -> None:
        uids = tx.scalars(select(columns.message_uid).where(*where)).all()
        self._mail.erase([uid for uid in uids if uid is not None])

    def _drop(self, tx: Any, *where: ColumnElement[bool], wholly: bool = False) -> int:
        return len(self._deleted(tx, *where, wholly=wholly))

    def _deleted(self, tx: Any, *where: ColumnElement[bool], wholly: bool = False) -> Sequence[Any]:
        rows: Sequence[Any] = tx.execute(
            delete(OneTimeToken)
            .where(*where)
            .returning(*columns)
            .execution_options(synchronize_session=False)
        ).all()
        sent = [row.message_uid for row in rows if row.message_uid is not None]
        self._mail.erase(sent, wholly=wholly)
        return rows

    def revoke(
        self, _caller: Caller, user_id: int, reason: Reason, _keep_session: bytes | None = None
    ) -> None:
        """Delete the tokens of a changed account; the lasting ones only if it is deleted."""
        deleted = reason == Reason.ACCOUNT_DELETED
        which = columns.user_id == user_id
        if not deleted:
            which &= columns.purpose.not_in(sorted(self._registry.lasting))
        with self._db.transaction() as tx:
            self._drop(tx, which, wholly=deleted)

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Delete at most `limit` expired tokens; return how many."""
        with self._db.transaction() as tx:
            over = select(columns.id).where(columns.expires_at <= now).limit(limit)
            return self._drop(tx, columns.id.in_(over), columns.expires_at <= now)


def unexpired() -> ColumnElement[bool]:
    """Return the condition that a token has not expired, and lives no longer than its lifetime.

    A token that was issued later than now comes from a clock that was set back since.
    """
    now = clock.now()
    # Migration 0014 did not know when some tokens were issued, and wrote when they expire.
    known = columns.created_at != columns.expires_at
    ahead = known & (columns.created_at > now + clock.APART)
    return (columns.expires_at > now) & ~ahead


def _read(row: Any) -> Token:
    return Token(
        row.id,
        row.uid,
        row.user_id,
        row.sent_to,
        json.loads(row.data),
        row.message_uid,
        row.created_at,
        row.expires_at,
    )
