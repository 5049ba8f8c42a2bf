"""The operations of account closure."""

import logging
from collections.abc import Iterator
from typing import Any, ClassVar

from sqlalchemy import ColumnElement, case, delete, exists, insert, select, update
from sqlalchemy.exc import NoResultFound

from bienvenue import clock, user_agent
from bienvenue.authentication import WORKER, Caller
from bienvenue.db import retried
from bienvenue.feature import Event, Feature, MenuEntry, Reason, Refusal, needs
from bienvenue.features.account_closure.errors import (
    AccountClosed,
    AccountNotClosed,
    AccountNotOpen,
    TooManyExports,
    WrongReopeningToken,
)
from bienvenue.features.account_closure.models import REOPENING, ClosureSettings, closures
from bienvenue.features.accounts import AccountReferenced, Accounts, refuse_if_referred
from bienvenue.features.mail import Mail
from bienvenue.features.one_time_tokens import Link, OneTimeTokens, columns
from bienvenue.user import SignedIn, User
from bienvenue.web.page import Pages
from bienvenue.web.refusals import NotSignedIn

_log = logging.getLogger("bienvenue")
_table = closures.c
_DAY = 86400

EXPORTS = 20
"""Times an hour that a user may download their data."""

AT_ONCE = 100
"""Accounts that one sweep deletes at most: a worker that stops waits for the end of its sweep."""


class AccountClosure(Feature[ClosureSettings]):
    """The operations of account closure."""

    name = "account_closure"
    _accounts = needs(Accounts)
    _mail = needs(Mail)
    _one_time_tokens = needs(OneTimeTokens)
    Settings = ClosureSettings
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "account.exported": "A user downloaded their data.",
        "export_limit.reached": "A download of a user's data was refused: too many in an hour.",
        "account.closed": "An account was closed; it is deleted when it can no longer be reopened.",
        "account.reopened": "A closed account was reopened.",
    }
    sentences: ClassVar = {
        "account.closed": "You closed your account. All devices were signed out.",
        "account.exported": "Your data was downloaded.",
        "export_limit.reached": "A download of your data was refused: too many in an hour.",
        "account.reopened": "Your account was reopened.",
    }
    menu = (
        MenuEntry(
            "/export",
            "Your data",
            "Everything we store about you, in one file.",
            "Download",
            60,
        ),
        MenuEntry(
            "/account/close",
            "Close account",
            "You can reopen it until it is deleted.",
            "Close account",
            70,
        ),
    )
    notices: ClassVar = {
        "account.closed": "account_closed_notice",
        "account.reopened": "account_reopened",
    }
    links = (REOPENING,)

    def download(self, caller: Caller, me: SignedIn) -> Iterator[tuple[str, Any]]:
        """Give everything the service stores about the signed-in user, member by member.

        Times are RFC 3339 in UTC; a list without a bound is an iterator over its items, so that no
        account is too large to be read. Raises TooManyExports after EXPORTS in an hour, and
        NotSignedIn when the account is deleted meanwhile (ASVS 14.2.7).
        """
        facts = {"session": me.session_uid}
        if not self._may_download(me):
            refused = Event(caller, "export_limit.reached", me.user_id, facts, str(me.user_id))
            self._registry.publish(refused)
            raise TooManyExports
        done = Event(caller, "account.exported", me.user_id, facts, me.session_uid)
        self._registry.publish(done)
        try:
            # All but what is read later, while a refusal can still be the answer.
            return iter(list(self._registry.exported(me.user_id)))
        except NoResultFound:
            raise NotSignedIn from None

    @retried
    def _may_download(self, me: SignedIn) -> bool:
        return self._mail.may_ask("export", me.user_uid, 0.0, EXPORTS)

    def deletion_time(self, me: SignedIn) -> str:
        """Return when the account is deleted if its user closes it now (RFC 3339 in UTC)."""
        return clock.written(self._deletion_time(me.user_id, clock.now()))

    def _deletion_time(self, user_id: int, now: float) -> float:
        """Return the end of the grace period, or of the last link that restores an email.

        Such a link takes back an account that a thief closed, so the account is there until then.
        """
        end = now + self.settings.closure_grace
        return max(end, self._one_time_tokens.reserved_until(user_id))

    def close(self, caller: Caller, me: SignedIn) -> str:
        """Close the account of the signed-in user; return when it is deleted (RFC 3339 in UTC).

        Every session ends, and an email gets a link that reopens the account until then. An
        account with an earlier email that can be restored is not deleted before that ends. Raises
        NotSignedIn when the session or the account changed meanwhile (ASVS 7.4.2).
        """
        facts = {"session": me.session_uid}
        try:
            return self._close(caller, me.user_id, User.session_id == me.generation, facts)
        except AccountNotOpen:
            raise NotSignedIn from None

    def close_for(self, caller: Caller, name: str) -> tuple[User, str]:
        """Close the account that has this email or uid, as its owner does.

        Return the user, and when the account is deleted (RFC 3339 in UTC). Raises NoSuchUser and
        AccountNotOpen.
        """
        user = self._accounts.find(name)
        return user, self._close(caller, user.id, User.id == user.id, {})

    @retried
    def _close(self, caller: Caller, user_id: int, unchanged: Any, facts: dict[str, Any]) -> str:
        links = self._one_time_tokens
        link = links.new(caller, REOPENING, self.settings.closure_grace)
        now = link.created_at
        with self._db.transaction() as tx:
            closed = (
                update(User)
                .where(User.id == user_id, User.disabled_at.is_(None), unchanged)
                .values(disabled_at=now)
                .returning(User.email)
                .execution_options(synchronize_session=False)
            )
            email = tx.execute(closed).scalar_one_or_none()
            if email is None:
                raise AccountNotOpen
            due = self._deletion_time(user_id, now)
            link, until = link._replace(expires_at=due), {"until": clock.written(due)}
            self._registry.revoke(caller, user_id, Reason.ACCOUNT_CLOSED)
            self.drop(user_id)
            row = {"user_id": user_id, "closed_at": now, "delete_at": due}
            tx.execute(insert(closures), row)
            # After `revoke`, which ends all earlier links.
            where = {"device": caller.device_name, "ip": caller.address}
            queued = self._mail.write(
                "account_closed", email, user_id, where | until, link=link.path, expires=due
            )
            links.keep(
                link,
                sent_to=email,
                user_id=user_id,
                message_uid=queued["message_uid"],
                slot=user_id,
            )
            self._registry.publish(Event(caller, "account.closed", user_id, facts | until | queued))
        return until["until"]

    def remind(self, caller: Caller, email: str) -> None:
        """Send a new reopening link to the owner of a closed account, in the open transaction.

        It replaces the earlier link and expires with it. An email without a closed account runs
        the same statements, which store nothing.
        """
        links = self._one_time_tokens
        link = links.new(caller, REOPENING, self.settings.closure_grace)
        closed = select(User.id, _table.delete_at).join(closures, _table.user_id == User.id)
        with self._db.transaction() as tx:
            row = tx.execute(closed.where(User.email == email, _can_reopen())).one_or_none()
            user_id, due = (0, link.expires_at) if row is None else row
            self._send_again(caller, link._replace(expires_at=due), email, user_id)

    def _send_again(self, caller: Caller, link: Link, email: str, user_id: int) -> None:
        """Send the owner of a closed account a link that replaces the earlier one.

        For the user id 0 the same statements store nothing.
        """
        facts = {
            "device": user_agent.UNKNOWN,
            "ip": caller.address,
            "until": clock.written(link.expires_at),
        }
        queued = self._mail.write(
            "account_still_closed",
            email if user_id else "",
            user_id or None,
            facts,
            link=link.path,
            expires=link.expires_at,
        )
        self._one_time_tokens.keep(
            link,
            sent_to=email,
            user_id=user_id,
            message_uid=queued["message_uid"],
            slot=user_id,
            where=exists().where(_table.user_id == user_id),
        )
        if user_id:
            self._registry.publish(Event(caller, "email.queued", user_id, queued))

    def can_reopen(self, user_id: int) -> bool:
        """Return whether an account is closed and its owner can still reopen it."""
        with self._db.reading() as tx:
            mine = select(_table.user_id).where(_table.user_id == user_id, _can_reopen())
            return tx.scalar(mine) is not None

    def follow(self, caller: Caller, email: str, user_id: int) -> None:
        """Send the reopening link of a closed account to its new email, in the open transaction.

        The account is deleted no sooner than the last link that restores an email expires.
        """
        later = self._one_time_tokens.reserved_until(user_id)
        due = case((_table.delete_at < later, later), else_=_table.delete_at)
        moved = update(closures).where(_table.user_id == user_id).values(delete_at=due)
        link = self._one_time_tokens.new(caller, REOPENING, self.settings.closure_grace)
        with self._db.transaction() as tx:
            until = tx.execute(moved.returning(_table.delete_at)).scalar_one()
            self._send_again(caller, link._replace(expires_at=until), email, user_id)

    def sign_in_refusal(self, user: User) -> AccountClosed | None:
        """Return the refusal of a closed account that its owner can still reopen."""
        if user.disabled_at is None:
            return None
        with self._db.reading() as tx:
            due = tx.scalar(
                select(_table.delete_at).where(_table.user_id == user.id, _can_reopen())
            )
        return None if due is None else AccountClosed(due)

    def on_event(self, event: Event) -> None:
        """Forget the closure of an account that an administrator enabled."""
        if event.name == "account.enabled" and event.user_id is not None:
            self.drop(event.user_id)

    def peek(self, token: str | None) -> tuple[str, str]:
        """Return the email of a token's account and its time of deletion; the token stays unspent.

        The time is RFC 3339 in UTC. Raises WrongReopeningToken.
        """
        found = self._one_time_tokens.peek(REOPENING, token)
        wanted = select(User.email, _table.delete_at).join(closures, _table.user_id == User.id)
        with self._db.reading() as tx:
            row = None
            if found is not None:
                row = tx.execute(wanted.where(User.id == found.user_id)).one_or_none()
        if row is None:
            raise WrongReopeningToken
        return row.email, clock.written(row.delete_at)

    @retried
    def reopen(self, caller: Caller, token: str | None) -> str:
        """Spend the token of an email to reopen its account; return the account's email.

        It starts no session. Raises WrongReopeningToken.
        """
        links = self._one_time_tokens
        with self._db.transaction():
            found = links.peek(REOPENING, token)
            user_id = 0 if found is None or found.user_id is None else found.user_id
            # Locks the account first, as all operations do, so that two of them cannot deadlock.
            if not self._accounts.hold(user_id) or links.spend(REOPENING, token) is None:
                raise WrongReopeningToken
            return self._reopen(caller, user_id, WrongReopeningToken)

    @retried
    def reopen_for(self, caller: Caller, name: str) -> str:
        """Reopen the closed account that has this email or uid; return its email.

        Raises NoSuchUser and AccountNotClosed.
        """
        with self._db.transaction():
            user = self._accounts.find(name)
            self._accounts.hold(user.id)
            if not self._one_time_tokens.withdraw(REOPENING, columns.user_id == user.id):
                raise AccountNotClosed
            return self._reopen(caller, user.id, AccountNotClosed)

    def _reopen(self, caller: Caller, user_id: int, otherwise: type[Refusal]) -> str:
        with self._db.transaction() as tx:
            if tx.change(delete(closures).where(_table.user_id == user_id)) != 1:
                raise otherwise
            opened = update(User).where(User.id == user_id).values(disabled_at=None)
            found = tx.execute(
                opened.returning(User.email).execution_options(synchronize_session=False)
            )
            self.drop(user_id)
            self._registry.publish(Event(caller, "account.reopened", user_id))
            return found.scalar_one()

    def undo(self, caller: Caller, user_id: int) -> None:
        """Cancel the closure of an account whose earlier email is restored, in the transaction.

        The account is open again, unless an administrator disabled it. Call it before `revoke`,
        which ends the reopening link.
        """
        reopened = self.can_reopen(user_id)
        self.drop(user_id)
        if reopened:
            with self._db.transaction() as tx:
                tx.change(update(User).where(User.id == user_id).values(disabled_at=None))
                self._registry.publish(Event(caller, "account.reopened", user_id))

    def drop(self, user_id: int) -> None:
        """Cancel the deletion of an account and its reopening link, in the open transaction."""
        with self._db.transaction() as tx:
            tx.change(delete(closures).where(_table.user_id == user_id))
            self._one_time_tokens.withdraw(REOPENING, columns.user_id == user_id)

    def revoke(
        self, _caller: Caller, user_id: int, reason: Reason, _keep_session: bytes | None = None
    ) -> None:
        """Delete the closure of a deleted account; otherwise keep it, without its link."""
        if reason == Reason.ACCOUNT_DELETED:
            with self._db.transaction() as tx:
                tx.change(delete(closures).where(_table.user_id == user_id))

    def export(self, user_id: int) -> dict[str, Any]:
        """Return when the account was closed and when it is deleted (RFC 3339), or None."""
        with self._db.reading() as tx:
            row = tx.execute(select(closures).where(_table.user_id == user_id)).one_or_none()
        if row is None:
            return {"account_closure": None}
        ends = {
            "closed_at": clock.written(row.closed_at),
            "delete_at": clock.written(row.delete_at),
        }
        return {"account_closure": ends}

    def sweep(self, now: float, limit: int) -> int:
        """Delete accounts whose `delete_at` has passed, one transaction each; return how many.

        `now` is in seconds since 1970, `limit` the most rows to delete. An account whose earlier
        email can be restored stays.
        """
        most, expired = min(limit, AT_ONCE), self._expired(now)
        query = select(_table.user_id).where(expired).order_by(_table.delete_at).limit(most)
        with self._db.reading() as tx:
            found = tx.scalars(query).all()
        return sum(self._delete_or_put_off(user_id, now) for user_id in found)

    def _delete_or_put_off(self, user_id: int, now: float) -> bool:
        """Delete an account, or try again a day later where the application still refers to it.

        Put off, it does not stand before the others. Its reopening link ended when it was due.
        """
        try:
            return self._delete(user_id, now)
        except AccountReferenced as problem:
            later = update(closures).where(_table.user_id == user_id).values(delete_at=now + _DAY)
            with self._db.transaction() as tx:
                tx.change(later)
                uid = tx.scalar(select(User.uid).where(User.id == user_id))
            _log.warning("the closed account %s cannot be deleted: %s", uid, problem.message)
            return False

    @retried
    def _delete(self, user_id: int, now: float) -> bool:
        with refuse_if_referred(), self._db.transaction() as tx:
            self._accounts.hold(user_id)
            expired = (_table.user_id == user_id) & self._expired(now)
            mine = tx.change(delete(closures).where(expired))
            if mine:
                self._accounts.erase(WORKER, user_id)
        return bool(mine)

    def _expired(self, now: float) -> ColumnElement[bool]:
        # An account that the host application enabled directly in the database is not deleted.
        closed = exists().where(User.id == _table.user_id, User.disabled_at.is_not(None))
        restorable = self._one_time_tokens.holds_reservation(_table.user_id, now)
        return (_table.delete_at <= now) & closed & ~restorable


def _can_reopen() -> ColumnElement[bool]:
    """Return the condition that a closed account still has its reopening link."""
    mine = (columns.purpose == REOPENING.name) & (columns.user_id == _table.user_id)
    return exists().where(mine).correlate(closures)
