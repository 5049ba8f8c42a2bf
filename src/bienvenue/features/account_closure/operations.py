"""The operations of leaving, their table and their words."""

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field
from sqlalchemy import ColumnElement, ForeignKey, delete, exists, insert, select, update
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import clock, i18n, purposes, user_agent
from bienvenue.db import retried
from bienvenue.feature import Event, Feature, Reason, Refusal
from bienvenue.features.one_time_tokens import Purpose, columns
from bienvenue.features.passwords import AccountDisabled
from bienvenue.settings import Seconds, Section
from bienvenue.user import Base, User, table_of
from bienvenue.web.dispatch import NotSignedIn
from bienvenue.web.page import Pages

if TYPE_CHECKING:
    from bienvenue.features.sessions import SignedIn

AT_ONCE = 100
"""Accounts that one sweep deletes at most: whoever stops the work waits for its end."""


# --- the table ----------------------------------------------------------------------------------


class ClosedAccount(Base):
    """An account that is closed, and deleted when its time is over. It is disabled meanwhile."""

    __tablename__ = "account_closures"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    closed_at: Mapped[float]
    delete_at: Mapped[float] = mapped_column(index=True)


_closures = table_of(ClosedAccount)
_table = _closures.c

#: The link that opens a closed account again. An administrator who disables the account ends it.
REOPENING = Purpose("reopening", purposes.REOPENING, "/account/reopen")


# --- words --------------------------------------------------------------------------------------


class AccountClosed(AccountDisabled):
    """The password is right and the account is being closed."""

    code = "account_closed"
    message = (
        "This account is closed and will be deleted on {until}. To reopen it, open the link in the "
        "email we sent about it."
    )

    def __init__(self, due: float) -> None:
        """Take when it is deleted, in seconds since 1970."""
        until = clock.written(due)
        super().__init__(until=i18n.Moment(until))
        self.extensions["until"] = until


class WrongReopeningToken(Refusal):
    """The token opens no account that is being closed: it was used, or the account is gone."""

    status = 403
    code = "wrong_reopening_token"
    heading = "This link no longer works"
    link_to = "/"
    message = "This link was already used, or the account has been deleted."


class AccountNotOpen(Refusal):
    """The account is disabled, or is being closed already."""

    status = 409
    code = "account_not_open"
    message = "This account is disabled or already closed."


class AccountNotClosed(Refusal):
    """The account is not being closed, or an administrator disabled it meanwhile."""

    status = 409
    code = "account_not_closed"
    message = "This account isn't closed, or was disabled. `users enable` opens it."


# --- operations ---------------------------------------------------------------------------------


class ClosureSettings(Section):
    """How long a closed account can be opened again."""

    closure_grace: Seconds = Field(
        14 * 86400,
        ge=86400,
        le=90 * 86400,
        description="How long after its owner closed it an account is deleted; a day to 90 days.",
    )


class AccountClosure(Feature[ClosureSettings]):
    """The operations of leaving."""

    name = "account_closure"
    Settings = ClosureSettings
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "account.exported": "A user downloaded their data.",
        "account.closed": "An account was closed; it is deleted when it can no longer be reopened.",
        "account.reopened": "A closed account was reopened.",
    }
    notices: ClassVar = {
        "account.closed": "account_closed_notice",
        "account.reopened": "account_reopened",
    }
    links = (REOPENING,)

    def take(self, me: "SignedIn") -> dict[str, Any]:
        """Give a person everything that is kept about them. Raises ReauthenticationRequired and NotSignedIn."""
        self._auth.reauthentication.require(me)
        facts = {"session": me.session_uid, "ip": me.ip}
        self._auth.publish(Event("account.exported", me.user_id, facts))
        try:
            return self._auth.export(me.user_id)
        except NoResultFound:
            raise NotSignedIn from None

    def due(self, me: "SignedIn") -> str:
        """Give when the account would be deleted if it were closed now. Raises ReauthenticationRequired."""
        self._auth.reauthentication.require(me)
        return clock.written(clock.now() + self.settings.closure_grace)

    def close(self, me: "SignedIn", ip: str = "", agent: str = "", mount: str = "") -> str:
        """Close one's own account; give until when a letter's link opens it again.

        `mount` is the path below which our pages are. Raises ReauthenticationRequired, and NotSignedIn when the
        session or the account changed meanwhile.
        """
        self._auth.reauthentication.require(me)
        facts = {"session": me.session_uid} | user_agent.facts(ip, agent)
        try:
            return self._close(me.user_id, User.session_id == me.generation, facts, mount)
        except AccountNotOpen:
            raise NotSignedIn from None

    def close_for(self, name: str) -> tuple[User, str]:
        """Close an account for its owner, as they would; give it, and until when it can be undone.

        Raises NoSuchUser and AccountNotOpen.
        """
        user = self._auth.accounts.find(name)
        return user, self._close(user.id, User.id == user.id, {}, self._auth.mount)

    @retried
    def _close(self, user_id: int, still: Any, facts: dict[str, Any], mount: str) -> str:
        links = self._auth.one_time_tokens
        link = links.new(REOPENING, self.settings.closure_grace, mount)
        now, due = link.created_at, link.expires_at
        until = {"until": clock.written(due)}
        with self._db.transaction() as tx:
            closed = (
                update(User)
                .where(User.id == user_id, User.disabled_at.is_(None), still)
                .values(disabled_at=now)
                .returning(User.email)
                .execution_options(synchronize_session=False)
            )
            email = tx.execute(closed).scalar_one_or_none()
            if email is None:
                raise AccountNotOpen
            self._auth.revoke(user_id, Reason.ACCOUNT_CLOSED)
            self.drop(user_id)
            row = {"user_id": user_id, "closed_at": now, "delete_at": due}
            tx.execute(insert(_closures), row)
            # After `revoke`, which ends all links sent before.
            where = {"device": facts.get("device", user_agent.UNKNOWN), "ip": facts.get("ip", "")}
            told = self._auth.mail.write(
                "account_closed", email, user_id, where | until, link=link.path, expires=due
            )
            links.keep(
                link,
                sent_to=email,
                user_id=user_id,
                message_uid=told["message_uid"],
                slot=user_id,
            )
            self._auth.publish(Event("account.closed", user_id, facts | until | told))
        return until["until"]

    def closing(self, user_id: int) -> AccountClosed | None:
        """Give the refusal of an account that its owner closed; None for every other one."""
        with self._db.reading() as tx:
            due = tx.scalar(select(_table.delete_at).where(_table.user_id == user_id, _open()))
        return None if due is None else AccountClosed(due)

    def all(self) -> set[int]:
        """Give the ids of all accounts that the link of an email can still open again."""
        with self._db.reading() as tx:
            return set(tx.scalars(select(_table.user_id).where(_open())))

    def found(self, token: str | None) -> tuple[str, str]:
        """Give the email of a token's account, and when it is deleted; changes nothing.

        Raises WrongReopeningToken.
        """
        found = self._auth.one_time_tokens.peek(REOPENING, token)
        wanted = select(User.email, _table.delete_at).join(_closures, _table.user_id == User.id)
        with self._db.reading() as tx:
            row = None
            if found is not None:
                row = tx.execute(wanted.where(User.id == found.user_id)).one_or_none()
        if row is None:
            raise WrongReopeningToken
        return row.email, clock.written(row.delete_at)

    @retried
    def undo(self, token: str | None, ip: str = "", agent: str = "") -> str:
        """Open an account again by its email's token, once; give its email.

        Nobody is signed in by it. Raises WrongReopeningToken.
        """
        facts, links = user_agent.facts(ip, agent), self._auth.one_time_tokens
        with self._db.transaction():
            found = links.peek(REOPENING, token)
            user_id = 0 if found is None or found.user_id is None else found.user_id
            # The account first, as everywhere, so that no two transactions cross.
            if not self._auth.accounts.hold(user_id) or links.spend(REOPENING, token) is None:
                raise WrongReopeningToken
            return self._open_again(user_id, facts, WrongReopeningToken)

    @retried
    def keep(self, name: str) -> str:
        """Open an account again that is being closed; give its email.

        Raises NoSuchUser and AccountNotClosed.
        """
        with self._db.transaction():
            user = self._auth.accounts.find(name)
            self._auth.accounts.hold(user.id)
            if not self._auth.one_time_tokens.withdraw(REOPENING, columns.user_id == user.id):
                raise AccountNotClosed
            return self._open_again(user.id, {}, AccountNotClosed)

    def _open_again(self, user_id: int, facts: dict[str, Any], otherwise: type[Refusal]) -> str:
        with self._db.transaction() as tx:
            if tx.change(delete(_closures).where(_table.user_id == user_id)) != 1:
                raise otherwise
            opened = update(User).where(User.id == user_id).values(disabled_at=None)
            found = tx.execute(
                opened.returning(User.email).execution_options(synchronize_session=False)
            )
            self.drop(user_id)
            self._auth.publish(Event("account.reopened", user_id, facts))
            return found.scalar_one()

    def drop(self, user_id: int) -> None:
        """Take back that an account is deleted, in the transaction that is open."""
        with self._db.transaction() as tx:
            tx.change(delete(_closures).where(_table.user_id == user_id))
            self._auth.one_time_tokens.withdraw(REOPENING, columns.user_id == user_id)

    def revoke(self, user_id: int, reason: Reason, _keep_session: bytes | None = None) -> None:
        """Forget the closure of a deleted account; else it stays, without the link that undoes it."""
        if reason == Reason.ACCOUNT_DELETED:
            with self._db.transaction() as tx:
                tx.change(delete(_closures).where(_table.user_id == user_id))

    def export(self, user_id: int) -> dict[str, Any]:
        """Give when the account was closed and when it is deleted, if it is closed."""
        with self._db.reading() as tx:
            row = tx.execute(select(_closures).where(_table.user_id == user_id)).one_or_none()
        if row is None:
            return {"account_closure": None}
        ends = {
            "closed_at": clock.written(row.closed_at),
            "delete_at": clock.written(row.delete_at),
        }
        return {"account_closure": ends}

    def sweep(self, now: float, limit: int) -> int:
        """Delete accounts whose time is over, each in a transaction of its own; give how many."""
        most = min(limit, AT_ONCE)
        over = select(_table.user_id).where(_over(now)).order_by(_table.delete_at).limit(most)
        with self._db.reading() as tx:
            found = tx.scalars(over).all()
        return sum(self._delete(user_id, now) for user_id in found)

    @retried
    def _delete(self, user_id: int, now: float) -> bool:
        with self._db.transaction() as tx:
            self._auth.accounts.hold(user_id)
            mine = tx.change(delete(_closures).where(_table.user_id == user_id, _over(now)))
            if mine:
                self._auth.accounts.erase(user_id)
        return bool(mine)


def _over(now: float) -> Any:
    # Nobody whom code of the host enabled behind our back is deleted.
    closed = exists().where(User.id == _table.user_id, User.disabled_at.is_not(None))
    return (_table.delete_at <= now) & closed


def _open() -> ColumnElement[bool]:
    """Write the condition that a closed account still has the link that opens it again."""
    mine = (columns.purpose == REOPENING.name) & (columns.user_id == _table.user_id)
    return exists().where(mine).correlate(_closures)
