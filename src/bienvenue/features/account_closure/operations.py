"""The operations of leaving, their table and their words."""

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field
from sqlalchemy import ForeignKey, LargeBinary, delete, exists, insert, select, update
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import clock, purposes, tokens, user_agent
from bienvenue.db import retried
from bienvenue.feature import Event, Feature, Refusal
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

    __tablename__ = "leavings"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    at: Mapped[float]
    #: When it is deleted.
    due: Mapped[float] = mapped_column(index=True)
    #: The digest of the token that opens it again; NULL once an administrator disabled it, too.
    digest: Mapped[bytes | None] = mapped_column(LargeBinary(32), unique=True)


_leavings = table_of(ClosedAccount)
_table = _leavings.c


# --- words --------------------------------------------------------------------------------------


class AccountClosed(AccountDisabled):
    """The password is right and the account is being closed."""

    code = "account_closed"
    message = (
        "This account is closed, and will be deleted on {day} at {time} UTC. To keep it, open the "
        "link of the letter that says so."
    )

    def __init__(self, due: float) -> None:
        """Take when it is deleted, in seconds since 1970."""
        until = clock.written(due)
        super().__init__(day=until[:10], time=until[11:16])
        self.extensions["until"] = until


class WrongReopeningToken(Refusal):
    """The token opens no account that is being closed: it was used, or the account is gone."""

    status = 403
    code = "wrong_reopening_token"
    heading = "This link does not work any more"
    link_to = "/"
    message = "This link was used already, or what it was to keep has been deleted."


class AccountNotOpen(Refusal):
    """The account is disabled, or is being closed already."""

    status = 409
    code = "account_not_open"
    message = "This account is disabled, or is being closed already."


class AccountNotClosed(Refusal):
    """The account is not being closed, or an administrator disabled it meanwhile."""

    status = 409
    code = "account_not_closed"
    message = (
        "This account is not being closed, or was disabled meanwhile: `users enable` opens it."
    )


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
        "account.exported": "A person took a copy of everything that is kept about them.",
        "account.closed": "An account was closed, to be deleted when the time to undo it is over.",
        "account.reopened": "An account that was being closed was opened again.",
    }
    notices: ClassVar = {
        "account.closed": "account_closed_notice",
        "account.reopened": "account_reopened",
    }

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
            return self._close(me.user_id, User.session_id == me.root, facts, mount)
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
        now, token = clock.now(), tokens.new()
        due = now + self.settings.closure_grace
        until = {"until": clock.written(due)}
        with self._db.transaction() as tx:
            closed = (
                update(User)
                .where(User.id == user_id, User.disabled.is_(None), still)
                .values(disabled=now)
                .returning(User.email)
                .execution_options(synchronize_session=False)
            )
            email = tx.execute(closed).scalar_one_or_none()
            if email is None:
                raise AccountNotOpen
            self._auth.revoke(user_id, "account closing")
            self.drop(user_id)
            row = {"user_id": user_id, "at": now, "due": due, "digest": _digest(token)}
            tx.execute(insert(_leavings), row)
            # After `forget`, which erases the links of all letters before.
            where = {"device": facts.get("device", user_agent.UNKNOWN), "ip": facts.get("ip", "")}
            link = f"{mount}/account/reopen?token={token}"
            told = self._auth.mail.write(
                "account_closed", email, user_id, where | until, link=link, expires=due
            )
            self._auth.publish(Event("account.closed", user_id, facts | until | told))
        return until["until"]

    def closing(self, user_id: int) -> AccountClosed | None:
        """Give the refusal of an account that its owner closed; None for every other one."""
        with self._db.reading() as tx:
            mine = (_table.user_id == user_id) & _table.digest.is_not(None)
            due = tx.scalar(select(_table.due).where(mine))
        return None if due is None else AccountClosed(due)

    def all(self) -> set[int]:
        """Give the ids of all accounts that a letter's link can still open again."""
        with self._db.reading() as tx:
            return set(tx.scalars(select(_table.user_id).where(_table.digest.is_not(None))))

    def _alive(self, token: str | None) -> Any:
        if not tokens.well_formed(token):
            raise WrongReopeningToken
        return (_table.digest == _digest(str(token))) & (_table.due > clock.now())

    def found(self, token: str | None) -> tuple[str, str]:
        """Give the email of a token's account, and when it is deleted; changes nothing.

        Raises WrongReopeningToken.
        """
        wanted = select(User.email, _table.due).join(_leavings, _table.user_id == User.id)
        with self._db.reading() as tx:
            row = tx.execute(wanted.where(self._alive(token))).one_or_none()
        if row is None:
            raise WrongReopeningToken
        return row.email, clock.written(row.due)

    @retried
    def undo(self, token: str | None, ip: str = "", agent: str = "") -> str:
        """Open an account again by its letter's token, once; give its email.

        Nobody is signed in by it. Raises WrongReopeningToken.
        """
        mine, facts = self._alive(token), user_agent.facts(ip, agent)
        with self._db.transaction() as tx:
            user_id = tx.scalar(select(_table.user_id).where(mine))
            if user_id is None or not self._auth.accounts.hold(user_id):
                raise WrongReopeningToken
            return self._open_again(user_id, mine, facts, WrongReopeningToken)

    @retried
    def keep(self, name: str) -> str:
        """Open an account again that is being closed; give its email.

        Raises NoSuchUser and AccountNotClosed.
        """
        with self._db.transaction():
            user = self._auth.accounts.find(name)
            self._auth.accounts.hold(user.id)
            mine = (_table.user_id == user.id) & _table.digest.is_not(None)
            return self._open_again(user.id, mine, {}, AccountNotClosed)

    def _open_again(
        self, user_id: int, mine: Any, facts: dict[str, Any], otherwise: type[Refusal]
    ) -> str:
        with self._db.transaction() as tx:
            if tx.change(delete(_leavings).where(mine)) != 1:
                raise otherwise
            opened = update(User).where(User.id == user_id).values(disabled=None)
            found = tx.execute(
                opened.returning(User.email).execution_options(synchronize_session=False)
            )
            self.drop(user_id)
            self._auth.publish(Event("account.reopened", user_id, facts))
            return found.scalar_one()

    def drop(self, user_id: int) -> None:
        """Take back that an account is deleted, in the transaction that is open."""
        with self._db.transaction() as tx:
            tx.change(delete(_leavings).where(_table.user_id == user_id))
            self._auth.mail.withdraw(user_id, "account_closed")

    def revoke(self, user_id: int, why: str, _keep: bytes | None = None) -> None:
        """Kill the link that opens the account again; that it will be deleted stays."""
        with self._db.transaction() as tx:
            mine = _table.user_id == user_id
            if why == "account deleted":
                tx.change(delete(_leavings).where(mine))
            else:
                tx.change(update(_leavings).where(mine).values(digest=None))

    def export(self, user_id: int) -> dict[str, Any]:
        """Give when the account was closed and when it is deleted, if it is being closed."""
        with self._db.reading() as tx:
            row = tx.execute(
                select(_table.at, _table.due).where(_table.user_id == user_id)
            ).one_or_none()
        if row is None:
            return {"leaving": None}
        return {"leaving": {"closed": clock.written(row.at), "deleted": clock.written(row.due)}}

    def sweep(self, now: float, limit: int) -> int:
        """Delete accounts whose time is over, each in a transaction of its own; give how many."""
        most = min(limit, AT_ONCE)
        over = select(_table.user_id).where(_over(now)).order_by(_table.due).limit(most)
        with self._db.reading() as tx:
            found = tx.scalars(over).all()
        return sum(self._delete(user_id, now) for user_id in found)

    @retried
    def _delete(self, user_id: int, now: float) -> bool:
        with self._db.transaction() as tx:
            self._auth.accounts.hold(user_id)
            mine = tx.change(delete(_leavings).where(_table.user_id == user_id, _over(now)))
            if mine:
                self._auth.accounts.erase(user_id)
        return bool(mine)


def _over(now: float) -> Any:
    # Nobody whom code of the host enabled behind our back is deleted.
    closed = exists().where(User.id == _table.user_id, User.disabled.is_not(None))
    return (_table.due <= now) & closed


def _digest(token: str) -> bytes:
    return tokens.digest(purposes.REOPENING, token)
