"""The operations on emails of accounts. `_change` and `restore` are all that changes one."""

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from sqlalchemy import ColumnElement, exists, func, select, update
from sqlalchemy.exc import IntegrityError

from bienvenue import clock, normalize
from bienvenue.db import Transaction, retried
from bienvenue.feature import Event, Feature, Reason
from bienvenue.features.accounts import EmailTaken, NoSuchUser
from bienvenue.features.email_change.models import (
    EMAIL_CHANGE,
    EMAIL_RESTORE,
    EmailChangeSettings,
    SameEmail,
    WrongEmailToken,
    WrongUndoToken,
)
from bienvenue.features.one_time_tokens import Link, OneTimeToken, columns
from bienvenue.hashing import NO_PASSWORD
from bienvenue.user import User, table_of
from bienvenue.web.dispatch import NotSignedIn
from bienvenue.web.page import Pages

if TYPE_CHECKING:
    from bienvenue.features.sessions import SignedIn


class _Move(NamedTuple):
    """From which email an account goes to which."""

    user_id: int
    old: str
    new: str


class EmailChange(Feature[EmailChangeSettings]):
    """What one can do with the email of an account."""

    name = "email_change"
    Settings = EmailChangeSettings
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "email_change.requested": "A signed-in person asked to change the email of the account.",
        "email.changed": "The email of an account was changed; its other sessions ended.",
        "email.assigned": "An administrator changed the email of an account; its sessions ended.",
        "email.restored": "An earlier email of an account was restored with the link sent to it.",
    }
    links = (EMAIL_CHANGE, EMAIL_RESTORE)

    # --- asking ---------------------------------------------------------------------------------

    def ask(self, me: "SignedIn", new: str, ip: str = "", mount: str = "") -> None:
        """Write a letter to a new email, with a link if it is free; nobody learns whether it is.

        `mount` is the path below which our pages are. Raises ReauthenticationRequired, MalformedEmail, SameEmail,
        TooManyEmails when the account or the network of the ip asked too often, and NotSignedIn
        when the session ended meanwhile.
        """
        self._auth.reauthentication.require(me)
        new = normalize.email(new, "new_email")
        if new == me.email:
            raise SameEmail("new_email")
        self._ask(me, new, ip, mount)

    @retried
    def _ask(self, me: "SignedIn", new: str, ip: str, mount: str) -> None:
        links = self._auth.one_time_tokens
        with self._db.transaction() as tx:
            if not links.throttle(EMAIL_CHANGE, new, ip, me.user_uid):
                return
            # After what is counted, as where a reset is asked for: so the two wait in one order.
            old = self._hold(tx, me)
            link = links.new(EMAIL_CHANGE, self.settings.email_change_lifetime, mount)
            told = self._tell_new(self._owner(tx, new, me.user_id), new, ip, link)
            links.keep(
                link,
                sent_to=new,
                user_id=me.user_id,
                data={"ip": ip[:45], "old": old},
                message_uid=told["message_uid"],
                slot=me.user_id,
            )
            # The email is not named in the person's own event: it says whether the address is free.
            facts = {"ip": ip, "session": me.session_uid}
            self._auth.publish(Event("email_change.requested", me.user_id, facts))

    @staticmethod
    def _hold(tx: Transaction, me: "SignedIn") -> str:
        """Keep others from changing my account in this transaction; give its email."""
        mine = (
            (User.id == me.user_id)
            & (User.session_id == me.generation)
            & User.disabled_at.is_(None)
        )
        email = tx.scalar(select(User.email).where(mine).with_for_update())
        if email is None:
            raise NotSignedIn
        return email

    @staticmethod
    def _owner(tx: Transaction, email: str, mine: int) -> Any:
        """Give who has an email, or for whom other than me it is kept; None when it is free."""
        has = select(User.id, User.disabled_at).where(User.email == email)
        kept = (columns.user_id == User.id) & _kept(email)
        keeps = select(User.id, User.disabled_at).join(OneTimeToken, kept).where(User.id != mine)
        return tx.execute(has.union_all(keeps).limit(1)).one_or_none()

    def _tell_new(self, owner: Any, new: str, ip: str, link: Link) -> dict[str, str]:
        """Write to the new email; for nobody where its owner is disabled."""
        kind = "new_email_verification" if owner is None else "new_email_taken"
        silent = owner is not None and owner.disabled_at is not None
        to = None if owner is None or silent else owner.id
        told = self._auth.mail.write(
            kind,
            "" if silent else new,
            to,
            {"ip": ip[:45]},
            link=link.path if owner is None else None,
            expires=link.expires_at if owner is None else None,
        )
        self._auth.publish(Event("email.queued", to, told))
        return told

    # --- proving --------------------------------------------------------------------------------

    def asked_by(self, me: "SignedIn", token: str | None) -> str:
        """Give the new email that a token of my account proves; changes nothing.

        Raises WrongEmailToken.
        """
        found = self._auth.one_time_tokens.peek(EMAIL_CHANGE, token, *_mine(me))
        if found is None or found.data["old"] != me.email:
            raise WrongEmailToken
        return found.sent_to

    @retried
    def prove(
        self,
        me: "SignedIn",
        token: str | None,
        ip: str = "",
        mount: str = "",
        device: str | None = None,
    ) -> str:
        """Change the email of my account by the token sent to the new one, once; give the new one.

        Every other session ends; the browser that holds the secret `device` stays known. Raises
        WrongEmailToken, also when the email is somebody else's by now, and NotSignedIn.
        """
        with self._db.transaction() as tx:
            old = self._hold(tx, me)
            asked = self._auth.one_time_tokens.spend(EMAIL_CHANGE, token, *_mine(me))
            if asked is None or asked.data["old"] != old:
                raise WrongEmailToken
            known = self._auth.known_devices.knows(old, device)
            facts = {"asked": clock.written(asked.created_at), "ip": asked.data["ip"]}
            try:
                move = _Move(me.user_id, old, asked.sent_to)
                told = self._change(tx, move, facts, mount, keep_session=me.digest)
            except (EmailTaken, NoSuchUser):
                raise WrongEmailToken from None
            self._auth.mail.adopt(asked.sent_to, "new_email_verification", me.user_id)
            if known:
                self._auth.known_devices.remember(me.user_id, device)
            said = {"ip": ip, "session": me.session_uid, "old": old, "new": asked.sent_to}
            self._auth.publish(Event("email.changed", me.user_id, said | told))
        return asked.sent_to

    @retried
    def set(self, name: str, new: str, *, undo: bool = True) -> str:
        """Change a user's email without a proof, as an administrator may; give the old one.

        Every session ends. Unless `undo` is False the old email is sent a link that restores it.
        Raises NoSuchUser, MalformedEmail, SameEmail, and EmailTaken also for a reserved email.
        """
        new = normalize.email(new)
        with self._db.transaction() as tx:
            user = self._auth.accounts.find(name)
            if user.email == new:
                raise SameEmail(message="This is already the email of the account.")
            facts = {"asked": clock.written(clock.now()), "ip": ""}
            move = _Move(user.id, user.email, new)
            told = self._change(tx, move, facts, self._auth.mount, undo=undo)
            said = {"old": user.email, "new": new}
            # Read anew by whoever hears.
            tx.expunge(user)
            self._auth.publish(Event("email.assigned", user.id, said | told))
        return user.email

    def _change(
        self,
        tx: Transaction,
        move: _Move,
        facts: dict[str, str],
        mount: str,
        *,
        keep_session: bytes | None = None,
        undo: bool = True,
    ) -> dict[str, str]:
        """Change an email and all that goes with it; give the name of the letter to the old one.

        Raises EmailTaken, and NoSuchUser when the account has not the old email any more.
        """
        user_id, old, new = move
        _set(tx, user_id, old, {"email": new})
        self.refuse_reserved(new, user_id)
        self._auth.rate_limits.move(old, new)
        self._auth.revoke(user_id, Reason.EMAIL_CHANGED, keep_session)
        links, mine = self._auth.one_time_tokens, columns.user_id == user_id
        # An account that returns to an email kept for it undoes what came after that email: a link
        # to the address left now could bring back the one of a thief.
        former = tx.scalar(select(func.min(columns.id)).where(mine, _kept(new)))
        if former is not None:
            links.withdraw(EMAIL_RESTORE, mine, columns.id >= former)
        undo = undo and former is None
        link = links.new(EMAIL_RESTORE, self.settings.email_restore_lifetime, mount)
        until = clock.written(link.expires_at) if undo else None
        told = self._auth.mail.write(
            "email_changed",
            old,
            user_id,
            facts | {"new": _in_part(new), "until": until},
            link=link.path if undo else None,
            expires=link.expires_at if undo else None,
        )
        if undo:
            links.keep(link, sent_to=old, user_id=user_id, message_uid=told["message_uid"])
        return told

    # --- restoring ------------------------------------------------------------------------------

    def refuse_reserved(self, email: str, user_id: int | None = None) -> None:
        """Raise EmailTaken for an email that is kept for another account than this one.

        Ask after the row with the email was written and in the same transaction: on PostgreSQL
        that waited for whoever is giving the email up, and only then their reservation is seen.
        """
        kept = _kept(email)
        if user_id is not None:
            kept &= columns.user_id != user_id
        with self._db.reading() as tx:
            if tx.scalar(select(columns.id).where(kept).limit(1)) is not None:
                raise EmailTaken(email)

    def restored_by(self, token: str | None) -> str:
        """Give the email that a token restores; changes nothing. Raises WrongUndoToken."""
        found = self._auth.one_time_tokens.peek(EMAIL_RESTORE, token)
        if found is None:
            raise WrongUndoToken
        return found.sent_to

    @retried
    def restore(self, token: str | None, ip: str = "", mount: str = "") -> str:
        """Restore an email by the token sent to it, once, and end all that is open; give the email.

        The account has no password until its owner chooses one by the link of a reset, written
        to the email: whoever changed the email knows the present one. A disabled account gets no
        such email. Raises WrongUndoToken.
        """
        links = self._auth.one_time_tokens
        with self._db.transaction() as tx:
            found = links.peek(EMAIL_RESTORE, token)
            user_id = 0 if found is None else found.user_id
            theirs = select(User.id, User.email).where(User.id == user_id).with_for_update()
            user = tx.execute(theirs).one_or_none()
            spent = links.spend(EMAIL_RESTORE, token)
            if user is None or spent is None:
                raise WrongUndoToken
            restored = {"email": spent.sent_to, "hashed_password": NO_PASSWORD}
            try:
                _set(tx, user.id, user.email, restored)
            except (EmailTaken, NoSuchUser):
                raise WrongUndoToken from None
            later = (columns.user_id == user.id) & (columns.id > spent.id)
            links.withdraw(EMAIL_RESTORE, later)
            self._auth.rate_limits.move(user.email, spent.sent_to)
            self._auth.revoke(user.id, Reason.EMAIL_RESTORED)
            said = {"ip": ip, "old": user.email, "new": spent.sent_to}
            self._auth.publish(Event("email.restored", user.id, said))
            self._auth.password_reset.begin(spent.sent_to, ip, mount)
        return spent.sent_to

    # --- what is kept ---------------------------------------------------------------------------

    def export(self, user_id: int) -> dict[str, Any]:
        """Give the change that waits for its verification, and the emails that can be restored."""
        links = self._auth.one_time_tokens
        asked = links.of_user(EMAIL_CHANGE, user_id)
        change = None
        if asked is not None:
            change = {
                "new": asked.sent_to,
                "requested_at": clock.written(asked.created_at),
                "expires_at": clock.written(asked.expires_at),
                "ip": asked.data["ip"],
            }
        former = links.list(EMAIL_RESTORE, columns.user_id == user_id)
        return {
            "email_change": change,
            "former_emails": [
                {"email": row.sent_to, "expires_at": clock.written(row.expires_at)}
                for row in former
            ],
        }


def _set(tx: Transaction, user_id: int, old: str, values: dict[str, str]) -> None:
    """Set columns of whoever has this email. Raises EmailTaken and NoSuchUser."""
    mine = (User.id == user_id) & (User.email == old)
    try:
        changed = tx.change(update(User).where(mine).values(**values))
    except IntegrityError:
        raise EmailTaken(values["email"]) from None
    if changed != 1:
        raise NoSuchUser


def _mine(me: "SignedIn") -> tuple[ColumnElement[bool], ...]:
    """Write the conditions that a token is of my account, which is open."""
    owner = (User.id == columns.user_id) & User.disabled_at.is_(None)
    return columns.user_id == me.user_id, exists().where(owner).correlate(table_of(OneTimeToken))


def _kept(email: str) -> ColumnElement[bool]:
    """Write the condition that a row keeps a former email for its account."""
    return (
        (columns.purpose == EMAIL_RESTORE.name)
        & (columns.sent_to == email)
        & (columns.expires_at > clock.now())
    )


def _in_part(email: str) -> str:
    """Give an email as its owner knows it again and others do not."""
    return f"{email[0]}…@{email.rpartition('@')[2]}"
