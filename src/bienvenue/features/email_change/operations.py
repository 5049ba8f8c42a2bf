"""The operations on emails of accounts. `_change` and `restore` are all that changes one."""

from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from sqlalchemy import delete, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from bienvenue import clock, normalize, purposes, tokens
from bienvenue.db import Transaction, retried, upsert
from bienvenue.feature import Event, Feature
from bienvenue.features.accounts import EmailTaken, NoSuchUser
from bienvenue.features.email_change.models import (
    EmailChangeSettings,
    FormerEmail,
    SameEmail,
    WrongEmailToken,
    WrongUndoToken,
    changes,
    undos,
)
from bienvenue.features.mail import AN_HOUR, FROM_A_NETWORK, GAP, TooManyEmails
from bienvenue.hashing import NO_PASSWORD
from bienvenue.user import User
from bienvenue.web.dispatch import NotSignedIn
from bienvenue.web.page import Pages

if TYPE_CHECKING:
    from bienvenue.features.sessions import SignedIn

FROM_AN_ACCOUNT = 10
"""Letters that one account can ask for in an hour."""


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
        "email.restored": "An earlier email of an account was restored by the link sent to it.",
    }
    #: The link in it undoes what a thief of the account does, so nothing they do may end it.
    lasting: ClassVar = frozenset({"email_changed"})

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
        mail = self._auth.mail
        with self._db.transaction() as tx:
            if ip and not mail.may_ask_from(ip, FROM_A_NETWORK):
                raise TooManyEmails
            if not mail.may_ask("email account", me.user_uid, 0.0, FROM_AN_ACCOUNT):
                raise TooManyEmails
            if not mail.may_ask("email", new, GAP, AN_HOUR):
                return
            # After what is counted, as where a reset is asked for: so the two wait in one order.
            old = self._hold(tx, me)
            token, now = tokens.new(), clock.now()
            asked = {
                "user_id": me.user_id,
                "digest": tokens.digest(purposes.EMAIL_CHANGE, token),
                "old": old,
                "new": new,
                "asked": now,
                "ip": ip[:45],
                "expires": now + self.settings.email_change_lifetime,
            }
            owner = self._owner(tx, new, me.user_id)
            link = None if owner else f"{mount}/email/new?token={token}"
            told = self._tell_new(owner, asked, link)
            self._replace(tx, asked | {"letter": told["message_uid"]})
            # The letter is not named in the person's own event: it says whether the email is free.
            facts = {"ip": ip, "session": me.session_uid}
            self._auth.publish(Event("email_change.requested", me.user_id, facts))

    @staticmethod
    def _hold(tx: Transaction, me: "SignedIn") -> str:
        """Keep others from changing my account in this transaction; give its email."""
        mine = (User.id == me.user_id) & (User.session_id == me.root) & User.disabled.is_(None)
        email = tx.scalar(select(User.email).where(mine).with_for_update())
        if email is None:
            raise NotSignedIn
        return email

    @staticmethod
    def _owner(tx: Transaction, email: str, mine: int) -> Any:
        """Give who has an email, or for whom other than me it is kept; None when it is free."""
        has = select(User.id, User.disabled).where(User.email == email)
        kept = (
            (FormerEmail.user_id == User.id)
            & (FormerEmail.email == email)
            & (FormerEmail.expires > clock.now())
        )
        keeps = select(User.id, User.disabled).join(FormerEmail, kept).where(User.id != mine)
        return tx.execute(has.union_all(keeps).limit(1)).one_or_none()

    def _tell_new(self, owner: Any, asked: dict[str, Any], link: str | None) -> dict[str, str]:
        """Write to the new email; for nobody where its owner is disabled."""
        kind = "new_email_verification" if owner is None else "new_email_taken"
        silent = owner is not None and owner.disabled is not None
        to = None if owner is None or silent else owner.id
        told = self._auth.mail.write(
            kind,
            "" if silent else asked["new"],
            to,
            {"ip": asked["ip"]},
            link=link,
            expires=None if link is None else asked["expires"],
        )
        self._auth.publish(Event("email.queued", to, told))
        return told

    def _replace(self, tx: Transaction, asked: dict[str, Any]) -> None:
        mine = changes.c.user_id == asked["user_id"]
        earlier = tx.scalars(select(changes.c.letter).where(mine)).all()
        self._auth.mail.erase(earlier)
        written = upsert(changes, self._db.on_postgresql).values(asked)
        anew = {name: written.excluded[name] for name in asked if name != "user_id"}
        tx.execute(written.on_conflict_do_update(index_elements=[changes.c.user_id], set_=anew))

    # --- proving --------------------------------------------------------------------------------

    def asked_by(self, me: "SignedIn", token: str | None) -> str:
        """Give the new email that a token of my account proves; changes nothing.

        Raises WrongEmailToken.
        """
        found: str | None = None
        with self._db.reading() as tx:
            if tokens.well_formed(token):
                found = tx.scalar(select(changes.c.new).where(_outstanding(str(token), me)))
        if found is None:
            raise WrongEmailToken
        return found

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
        if not tokens.well_formed(token):
            raise WrongEmailToken
        with self._db.transaction() as tx:
            self._hold(tx, me)
            asked = tx.execute(
                delete(changes).where(_outstanding(str(token), me)).returning(*changes.c)
            ).one_or_none()
            if asked is None:
                raise WrongEmailToken
            known = self._auth.known_devices.knows(asked.old, device)
            facts = {"asked": clock.written(asked.asked), "ip": asked.ip}
            try:
                move = _Move(me.user_id, asked.old, asked.new)
                told = self._change(tx, move, facts, mount, keep=me.digest)
            except (EmailTaken, NoSuchUser):
                raise WrongEmailToken from None
            self._auth.mail.adopt(asked.new, "new_email_verification", me.user_id)
            if known:
                self._auth.known_devices.remember(me.user_id, device)
            said = {"ip": ip, "session": me.session_uid, "old": asked.old, "new": asked.new}
            self._auth.publish(Event("email.changed", me.user_id, said | told))
        return str(asked.new)

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
                raise SameEmail(message="This is the email of the account already.")
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
        keep: bytes | None = None,
        undo: bool = True,
    ) -> dict[str, str]:
        """Change an email and all that goes with it; give the name of the letter to the old one.

        Raises EmailTaken, and NoSuchUser when the account has not the old email any more.
        """
        user_id, old, new = move
        _set(tx, user_id, old, {"email": new})
        self.refuse_reserved(new, user_id)
        self._auth.rate_limits.move(old, new)
        self._auth.revoke(user_id, "email changed", keep)
        now, token = clock.now(), tokens.new()
        # Whoever goes back to an email that is kept for them takes back what came after it: a
        # link to the email left now would bring the thief's back that was there in between.
        kept = (undos.c.email == new) & (undos.c.expires > now)
        first = select(func.min(undos.c.id)).where(undos.c.user_id == user_id, kept)
        back = tx.scalar(first)
        if back is not None:
            self._drop(tx, (undos.c.user_id == user_id) & (undos.c.id >= back))
        undo = undo and back is None
        expires = now + self.settings.email_restore_lifetime
        told = self._auth.mail.write(
            "email_changed",
            old,
            user_id,
            facts | {"new": _in_part(new), "until": clock.written(expires) if undo else None},
            link=f"{mount}/email/restore?token={token}" if undo else None,
            expires=expires if undo else None,
        )
        if undo:
            digest, letter = tokens.digest(purposes.EMAIL_RESTORE, token), told["message_uid"]
            kept_for = {"user_id": user_id, "email": old, "expires": expires}
            tx.execute(insert(undos).values(kept_for | {"digest": digest, "letter": letter}))
        return told

    def _drop(self, tx: Transaction, which: Any) -> None:
        """Kill links that restore an email; it is free for others from then on."""
        gone = tx.scalars(delete(undos).where(which).returning(undos.c.letter)).all()
        self._auth.mail.erase(gone)

    # --- restoring ------------------------------------------------------------------------------

    def refuse_reserved(self, email: str, user_id: int | None = None) -> None:
        """Raise EmailTaken for an email that is kept for another account than this one.

        Ask after the row with the email was written and in the same transaction: on PostgreSQL
        that waited for whoever is giving the email up, and only then their reservation is seen.
        """
        kept = (undos.c.email == email) & (undos.c.expires > clock.now())
        if user_id is not None:
            kept &= undos.c.user_id != user_id
        with self._db.reading() as tx:
            if tx.scalar(select(undos.c.id).where(kept).limit(1)) is not None:
                raise EmailTaken(email)

    def restored_by(self, token: str | None) -> str:
        """Give the email that a token restores; changes nothing. Raises WrongUndoToken."""
        found: str | None = None
        with self._db.reading() as tx:
            if tokens.well_formed(token):
                found = tx.scalar(select(undos.c.email).where(_undoing(str(token))))
        if found is None:
            raise WrongUndoToken
        return found

    @retried
    def restore(self, token: str | None, ip: str = "", mount: str = "") -> str:
        """Restore an email by the token sent to it, once, and end all that is open; give the email.

        The account has no password until its owner chooses one by the letter of a reset, written
        to the email: whoever changed the email knows the present one. A disabled account gets no
        such letter. Raises WrongUndoToken.
        """
        if not tokens.well_formed(token):
            raise WrongUndoToken
        which = _undoing(str(token))
        with self._db.transaction() as tx:
            theirs = (
                select(User.id, User.email)
                .join(FormerEmail, FormerEmail.user_id == User.id)
                .where(which)
            )
            user = tx.execute(theirs.with_for_update(of=User)).one_or_none()
            spent = tx.execute(delete(undos).where(which).returning(*undos.c)).one_or_none()
            if user is None or spent is None:
                raise WrongUndoToken
            anew = {"email": spent.email, "hashed_password": NO_PASSWORD}
            try:
                _set(tx, user.id, user.email, anew)
            except (EmailTaken, NoSuchUser):
                raise WrongUndoToken from None
            self._auth.mail.erase([spent.letter])
            self._drop(tx, (undos.c.user_id == user.id) & (undos.c.id > spent.id))
            self._auth.rate_limits.move(user.email, spent.email)
            self._auth.revoke(user.id, "email restored")
            said = {"ip": ip, "old": user.email, "new": spent.email}
            self._auth.publish(Event("email.restored", user.id, said))
            self._auth.password_reset.begin(spent.email, ip, mount)
        return str(spent.email)

    # --- what is kept ---------------------------------------------------------------------------

    def revoke(self, user_id: int, why: str, _keep: bytes | None = None) -> None:
        """Kill the outstanding change of an account that changed; all there is of a deleted one."""
        with self._db.transaction() as tx:
            mine = changes.c.user_id == user_id
            gone = tx.scalars(delete(changes).where(mine).returning(changes.c.letter)).all()
            self._auth.mail.erase(gone, wholly=why == "account deleted")
            if why == "account deleted":
                self._drop(tx, undos.c.user_id == user_id)

    def export(self, user_id: int) -> dict[str, Any]:
        """Give the change that waits for its proof, and the emails that can be restored."""
        with self._db.reading() as tx:
            asked = tx.execute(select(changes).where(changes.c.user_id == user_id)).one_or_none()
            mine = undos.c.user_id == user_id
            kept = tx.execute(select(undos).where(mine).order_by(undos.c.id)).all()
        change = None
        if asked is not None:
            change = {
                "new": asked.new,
                "asked": clock.written(asked.asked),
                "expires": clock.written(asked.expires),
                "ip": asked.ip,
            }
        return {
            "email_change": change,
            "emails_before": [
                {"email": row.email, "expires": clock.written(row.expires)} for row in kept
            ],
        }

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Delete changes nobody proved in time, and what can be restored no more."""
        with self._db.transaction() as tx:
            over = changes.c.expires <= now
            some = select(changes.c.user_id).where(over).limit(limit)
            swept = tx.change(delete(changes).where(changes.c.user_id.in_(some), over))
            some = select(undos.c.id).where(undos.c.expires <= now).limit(limit - swept)
            return swept + tx.change(delete(undos).where(undos.c.id.in_(some)))


def _set(tx: Transaction, user_id: int, old: str, values: dict[str, str]) -> None:
    """Set columns of whoever has this email. Raises EmailTaken and NoSuchUser."""
    mine = (User.id == user_id) & (User.email == old)
    try:
        changed = tx.change(update(User).where(mine).values(**values))
    except IntegrityError:
        raise EmailTaken(values["email"]) from None
    if changed != 1:
        raise NoSuchUser


def _outstanding(token: str, me: "SignedIn") -> Any:
    mine = (User.id == changes.c.user_id) & (User.email == changes.c.old) & User.disabled.is_(None)
    return (
        (changes.c.digest == tokens.digest(purposes.EMAIL_CHANGE, token))
        & (changes.c.user_id == me.user_id)
        & (changes.c.expires > clock.now())
        & exists().where(mine)
    )


def _undoing(token: str) -> Any:
    return (undos.c.digest == tokens.digest(purposes.EMAIL_RESTORE, token)) & (
        undos.c.expires > clock.now()
    )


def _in_part(email: str) -> str:
    """Give an email as its owner knows it again and others do not."""
    return f"{email[0]}…@{email.rpartition('@')[2]}"
