"""The operations on second emails, their table and their words."""

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from pydantic import Field
from sqlalchemy import (
    Double,
    ForeignKey,
    LargeBinary,
    String,
    delete,
    exists,
    literal,
    select,
    update,
)
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import clock, normalize, purposes, tokens, user_agent
from bienvenue.db import retried, upsert
from bienvenue.feature import Event, Feature, Refusal
from bienvenue.features.mail import AN_HOUR, FROM_A_NETWORK, GAP, TooManyEmails
from bienvenue.settings import Seconds, Section
from bienvenue.user import Base, User, table_of
from bienvenue.web.dispatch import NotSignedIn
from bienvenue.web.page import Pages

if TYPE_CHECKING:
    from bienvenue.features.sessions import SignedIn

FROM_AN_ACCOUNT = 10
"""Letters that one account can ask for in an hour."""


# --- the table ----------------------------------------------------------------------------------


class NotificationEmail(Base):
    """The second email of an account, and the one that is to take its place once it is proven."""

    __tablename__ = "second_emails"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    #: The proven one; NULL when there is none. Not unique: it is no way in.
    email: Mapped[str | None] = mapped_column(String(254))
    #: When it was proven.
    since: Mapped[float | None]
    #: Where the letter with the token went.
    asked: Mapped[str | None] = mapped_column(String(254))
    digest: Mapped[bytes | None] = mapped_column(LargeBinary(32), unique=True)
    expires: Mapped[float | None] = mapped_column(index=True)


_seconds = table_of(NotificationEmail)
_table = _seconds.c
_VERIFICATION = "notification_email_verification"
_NO_LETTER: dict[str, None] = {"asked": None, "digest": None, "expires": None}


class NotificationEmailState(NamedTuple):
    """What is known of somebody's second email. `since` is RFC 3339 in UTC."""

    #: The proven one.
    email: str | None
    since: str | None
    #: The one whose letter was not opened yet.
    waiting: str | None


# --- words --------------------------------------------------------------------------------------


class SameAsAccountEmail(Refusal):
    """The second email is the first one, where notices go anyway."""

    status = 422
    code = "same_as_account_email"
    message = "This is the email of your account, which gets every notice. Name another one."


class NoNotificationEmail(Refusal):
    """There is no second email, nor one that waits for its letter to be opened."""

    status = 404
    code = "no_notification_email"
    message = "There is no second email."


class WrongNotificationEmailToken(Refusal):
    """The token proves no second email: it was used, replaced, or is over."""

    status = 403
    code = "wrong_notification_email_token"
    heading = "This link does not work any more"
    onward = "/"
    message = "This link was used, replaced by a newer one, or is over."


# --- operations ---------------------------------------------------------------------------------


class NotificationEmailSettings(Section):
    """How long the link to a second email works."""

    notification_email_lifetime: Seconds = Field(
        86400, le=7 * 86400, description="How long the link to a second email works."
    )


class NotificationEmails(Feature[NotificationEmailSettings]):
    """The operations on second emails."""

    name = "notification_email"
    Settings = NotificationEmailSettings
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "notification_email.requested": "A person named a second email; a letter there asks whether it is.",
        "notification_email.added": "Whoever reads the second email said that notices may go there.",
        "notification_email.removed": "A second email gets no notices any more.",
    }
    notices: ClassVar = {
        "notification_email.added": "notification_email_added",
        "notification_email.removed": "notification_email_removed",
    }

    def ask(self, me: "SignedIn", email: str, ip: str = "", root: str = "") -> None:
        """Write to a second email, whose reader says whether notices may go there.

        Says and does the same whether it is anybody's; what is proven stays until then. `root` is
        the path below which our pages are. Raises ReauthenticationRequired, MalformedEmail, SameAsAccountEmail,
        TooManyEmails, and NotSignedIn when the session or the account changed meanwhile.
        """
        self._auth.reauthentication.require(me)
        plain = normalize.email(email, "notification_email")
        if plain == me.email:
            raise SameAsAccountEmail("notification_email")
        self._asked(me, plain, ip, root)

    @retried
    def _asked(self, me: "SignedIn", email: str, ip: str, root: str) -> None:
        mail, token = self._auth.mail, tokens.new()
        expires = clock.now() + self.settings.notification_email_lifetime
        with self._db.transaction() as tx:
            if ip and not mail.may_ask_from(ip, FROM_A_NETWORK):
                raise TooManyEmails
            if not mail.may_ask("notification_email account", me.user_uid, 0.0, FROM_AN_ACCOUNT):
                raise TooManyEmails
            if not mail.may_ask(_VERIFICATION, email, GAP, AN_HOUR):
                return
            mine = (User.id == me.user_id) & (User.session_id == me.root) & User.disabled.is_(None)
            values = [User.id, literal(email), literal(_digest(token)), literal(expires, Double())]
            written = upsert(_seconds, self._db.on_postgresql).from_select(
                ["user_id", "asked", "digest", "expires"], select(*values).where(mine)
            )
            anew = {name: written.excluded[name] for name in ("asked", "digest", "expires")}
            asked = written.on_conflict_do_update(index_elements=[_table.user_id], set_=anew)
            if tx.execute(asked.returning(_table.user_id)).first() is None:
                raise NotSignedIn
            mail.withdraw(me.user_id, _VERIFICATION)
            link = f"{root}/notification_email/verification?token={token}"
            facts = {"email": me.email}
            told = mail.write(_VERIFICATION, email, me.user_id, facts, link=link, expires=expires)
            event = {"session": me.session_uid, "ip": ip, "notification_email": email}
            self._auth.publish(Event("notification_email.requested", me.user_id, event | told))

    def email_of(self, user_id: int) -> str | None:
        """Give the proven second email of a person, or None."""
        with self._db.reading() as tx:
            return tx.scalar(select(_table.email).where(_table.user_id == user_id))

    def of(self, user_id: int) -> NotificationEmailState:
        """Give what is known of a person's second email."""
        named = (_table.email, _table.since, _table.asked, _table.expires)
        with self._db.reading() as tx:
            row = tx.execute(select(*named).where(_table.user_id == user_id)).one_or_none()
        if row is None:
            return NotificationEmailState(None, None, None)
        waits = row.expires is not None and row.expires > clock.now()
        since = None if row.since is None else clock.written(row.since)
        return NotificationEmailState(row.email, since, row.asked if waits else None)

    def _alive(self, token: str | None) -> Any:
        if not tokens.well_formed(token):
            raise WrongNotificationEmailToken
        owner = exists().where(User.id == _table.user_id, User.disabled.is_(None))
        owner = owner.correlate(_seconds)
        mine = (_table.digest == _digest(str(token))) & (_table.expires > clock.now())
        return mine & owner

    def found(self, token: str | None) -> tuple[str, str]:
        """Give the email of a token's account, and the second one it proves; changes nothing.

        Raises WrongNotificationEmailToken.
        """
        wanted = select(User.email, _table.asked).join(_seconds, _table.user_id == User.id)
        with self._db.reading() as tx:
            row = tx.execute(wanted.where(self._alive(token))).one_or_none()
        if row is None:
            raise WrongNotificationEmailToken
        return row.email, str(row.asked)

    @retried
    def prove(self, token: str | None, ip: str = "", agent: str = "") -> str:
        """Let notices go to the second email that got this token, once; give it.

        Whoever has the token reads that mailbox; they need not be signed in. The one before is
        told that it gets no more. Raises WrongNotificationEmailToken.
        """
        mine, where = self._alive(token), user_agent.facts(ip, agent)
        with self._db.transaction() as tx:
            before = tx.execute(select(_table.user_id, _table.email).where(mine)).one_or_none()
            if before is None or not self._auth.accounts.hold(before.user_id):
                raise WrongNotificationEmailToken
            proven = (
                update(_seconds)
                .where(mine)
                .values(email=_table.asked, since=clock.now(), **_NO_LETTER)
                .returning(_table.email)
                .execution_options(synchronize_session=False)
            )
            email = tx.execute(proven).scalar_one_or_none()
            if email is None:
                raise WrongNotificationEmailToken
            self._auth.mail.withdraw(before.user_id, _VERIFICATION)
            if before.email not in {None, email}:
                self._replaced(before.user_id, before.email)
            facts = where | {"notification_email": email}
            self._auth.publish(Event("notification_email.added", before.user_id, facts))
        return str(email)

    def _replaced(self, user_id: int, email: str) -> None:
        """Notify the notification email that another one replaces."""
        facts = {
            "device": user_agent.UNKNOWN,
            "ip": "",
            "root": self._auth.root,
            "email": self._db.find_user_by(id=user_id).email,
            "notification_email": email,
        }
        self._auth.mail.notify("notification_email_removed", email, user_id, facts)

    def remove(self, me: "SignedIn", ip: str = "", agent: str = "") -> None:
        """Let no more notices go to my second email, and tell both. Raises ReauthenticationRequired, NoNotificationEmail.

        A letter that asks there dies too.
        """
        self._auth.reauthentication.require(me)
        self._removed(me.user_id, {"session": me.session_uid} | user_agent.facts(ip, agent))

    def remove_for(self, name: str) -> str:
        """Remove the second email of an account; give it. Raises NoSuchUser, NoNotificationEmail."""
        return self._removed(self._auth.accounts.find(name).id, {})

    @retried
    def _removed(self, user_id: int, facts: dict[str, Any]) -> str:
        with self._db.transaction() as tx:
            self._auth.accounts.hold(user_id)
            mine = _table.user_id == user_id
            row = tx.execute(select(_table.email, _table.asked).where(mine)).one_or_none()
            if row is None:
                raise NoNotificationEmail
            email = str(row.email or row.asked)
            # Before it is gone, so that it hears of it too.
            removed = Event(
                "notification_email.removed", user_id, facts | {"notification_email": email}
            )
            self._auth.publish(removed)
            tx.change(delete(_seconds).where(mine))
            self._auth.mail.withdraw(user_id, _VERIFICATION)
        return email

    def revoke(self, user_id: int, why: str, _keep: bytes | None = None) -> None:
        """Kill the outstanding letter of an account that changed; what is proven stays.

        It opens nothing, and an intruder who changes the password is not to silence it.
        """
        with self._db.transaction() as tx:
            mine = _table.user_id == user_id
            useless = mine if why == "account deleted" else mine & _table.email.is_(None)
            tx.change(delete(_seconds).where(useless))
            tx.change(update(_seconds).where(mine).values(**_NO_LETTER))

    def export(self, user_id: int) -> dict[str, Any]:
        """Give the second email, since when it is proven, and the one that waits for it."""
        known = self.of(user_id)
        return {"notification_email": known._asdict() if any(known) else None}

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Forget letters nobody opened in time; give how many."""
        over = _table.expires <= now
        with self._db.transaction() as tx:
            ids = tx.scalars(select(_table.user_id).where(over).limit(limit)).all()
            these = over & _table.user_id.in_(ids)
            gone = tx.change(delete(_seconds).where(these, _table.email.is_(None)))
            return gone + tx.change(update(_seconds).where(these).values(**_NO_LETTER))


def _digest(token: str) -> bytes:
    return tokens.digest(purposes.NOTIFICATION_EMAIL, token)
