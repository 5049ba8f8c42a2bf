"""The operations on registrations that wait, and on emails that are proven."""

from typing import Any, ClassVar, NamedTuple

from pydantic import Field
from sqlalchemy import (
    Double,
    LargeBinary,
    String,
    delete,
    exists,
    insert,
    literal,
    select,
    true,
    update,
)
from sqlalchemy.exc import NoResultFound

from bienvenue import clock, normalize, purposes, tokens
from bienvenue.db import Transaction, retried, upsert
from bienvenue.feature import Attempt, Event, Feature, Refusal
from bienvenue.features.accounts import EmailTaken
from bienvenue.features.mail import AN_HOUR, FROM_A_NETWORK, GAP, TooManyEmails
from bienvenue.features.registration.models import VerifiedEmail, proofs, registrations
from bienvenue.settings import Seconds, Section
from bienvenue.user import User
from bienvenue.web.page import Pages

_pending = registrations.c

#: The events by which an email gets an account, and those after which it is proven.
_GIVEN = {"account.registered", "email.assigned", "email.changed", "email.restored"}
_SHOWN = {"password.reset", "email.changed", "email.restored"}

# --- words --------------------------------------------------------------------------------------


class WrongVerificationToken(Refusal):
    """The token is unknown, used or over, or the password is not the one chosen with it."""

    status = 403
    code = "wrong_verification_token"
    message = (
        "This link and this password do not belong together, or the link is over. Register again."
    )


# --- operations ---------------------------------------------------------------------------------


class VerificationSettings(Section):
    """How long a registration waits."""

    verification_lifetime: Seconds = Field(
        86400, le=7 * 86400, description="How long the link that proves an email works; 7d at most."
    )


class _Found(NamedTuple):
    """A registration as it was read."""

    digest: bytes
    email: str
    hashed_password: str


class Registration(Feature[VerificationSettings]):
    """Whoever registered and did not prove the email yet."""

    name = "registration"
    Settings = VerificationSettings
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "registration.requested": "Somebody registered with an email, which is not proven by it.",
        "registration.refused": "A registration's link was opened with another password.",
        "registration.withdrawn": "An administrator withdrew registrations that waited.",
        "email.verified": "A person showed that letters to the account's email reach them.",
    }

    # --- registering ----------------------------------------------------------------------------

    def register(
        self,
        email: str,
        password: str,
        sent: str | None = None,
        opened: str | None = None,
        *,
        ip: str = "",
        root: str = "",
    ) -> User | None:
        """Make an account and give its user, or None once a letter is to prove the email.

        An invitation proves it: `sent` is the token of one, `opened` that of a link somebody
        opened. `root` is the path below which our pages are. Raises the refusals of
        `Accounts.register` and of `Invitations.admit`, and TooManyEmails when the network of the
        ip asked too often; EmailTaken only where no letter leaves, or with an invitation.
        """
        email = normalize.email(email)
        invitation = self._auth.invitations.admit(email, sent, opened)
        self._auth.rate_limits.check(Attempt("register", email, ip))
        self._auth.passwords.check_policy(password, [email])
        hashed = self._auth.passwords.hash(password, ip)
        if invitation is not None:
            return self._register_invited(email, hashed, invitation, ip)
        if not self._auth.mail.sends_mail:
            return self._auth.accounts.add(email, hashed)
        self._pend(email, hashed, ip, root)
        return None

    @retried
    def _register_invited(self, email: str, hashed: str, invitation: str, ip: str) -> User:
        with self._db.transaction():
            self._auth.invitations.spend(email, invitation)
            user = self._auth.accounts.add(email, hashed)
            self.note(user.id, ip)
        return user

    @retried
    def _pend(self, email: str, hashed: str, ip: str, root: str) -> None:
        with self._db.transaction() as tx:
            if not self._may_write(email, ip):
                return
            token, now = tokens.new(), clock.now()
            expires = now + self.settings.verification_lifetime
            letter = self._write(email, email, token, expires, ip=ip, root=root)
            row: Any = select(
                literal(_digest(token), LargeBinary()),
                literal(email, String()),
                literal(hashed, String()),
                literal(letter, String()),
                literal(now, Double()),
                literal(expires, Double()),
            )
            # For a taken email the same statement, which keeps nothing.
            free = row.where(~exists().where(User.email == email))
            names = ["digest", "email", "hashed_password", "letter", "at", "expires"]
            tx.execute(insert(registrations).from_select(names, free))

    def again(self, email: str, ip: str = "", root: str = "") -> None:
        """Write once more to whoever registered last with an email and did not prove it.

        The link of the letter before is dead; the registration ends when it would have. The owner
        of a taken email is written to as when somebody registers with it. Nobody learns whether
        there is either. Raises MalformedEmail, RegistrationClosed and TooManyEmails.
        """
        self._auth.invitations.require_open()
        self._again(normalize.email(email), ip, root)

    @retried
    def _again(self, email: str, ip: str, root: str) -> None:
        with self._db.transaction() as tx:
            if not self._may_write(email, ip):
                return
            token = tokens.new()
            alive = (_pending.email == email) & (_pending.expires > clock.now())
            newest = _pending.at.desc(), _pending.digest
            last = select(_pending.digest).where(alive).order_by(*newest).limit(1)
            found = tx.execute(
                update(registrations)
                .where(_pending.digest == last.scalar_subquery(), alive)
                .values(digest=_digest(token))
                .returning(_pending.letter, _pending.expires)
            ).first()
            # For an email that nobody registered as many statements, which meet nothing.
            older, expires = ("", clock.now()) if found is None else found
            self._auth.mail.erase([older])
            to = "" if found is None else email
            letter = self._write(email, to, token, expires, ip=ip, root=root)
            renewed = _pending.digest == _digest(token)
            tx.change(update(registrations).where(renewed).values(letter=letter))

    def _may_write(self, email: str, ip: str) -> bool:
        if ip and not self._auth.mail.may_ask_from(ip, FROM_A_NETWORK):
            raise TooManyEmails
        return self._auth.mail.may_ask("registration", email, GAP, AN_HOUR)

    def _write(self, email: str, to: str, token: str, expires: float, *, ip: str, root: str) -> str:
        """Write to whoever registered, or to the owner of a taken email; give the letter's name.

        `to` is the email, or nothing where nobody registered: to nobody is written by as much.
        """
        kind, link, user_id = "registration", f"{root}/email/verification?token={token}", None
        try:
            owner = self._db.find_user_by(email=email)
        except NoResultFound:
            pass
        else:
            # This link is no secret; sealing it takes as long as sealing one.
            kind, link = "already_registered", f"{root}/reset_password"
            to, user_id = ("", None) if owner.disabled is not None else (owner.email, owner.id)
        told = self._auth.mail.write(kind, to, user_id, {"ip": ip}, link=link, expires=expires)
        facts = {"ip": ip} | (told if user_id is not None else {})
        self._auth.publish(Event("registration.requested", user_id, facts))
        return told["message_uid"]

    # --- proving --------------------------------------------------------------------------------

    def email_of(self, token: str | None) -> str:
        """Give the email a token is to prove; changes nothing.

        Raises RegistrationClosed when nobody may register by now, and WrongVerificationToken.
        """
        self._auth.invitations.require_open()
        return self._found(token).email

    def _found(self, token: str | None) -> _Found:
        found = None
        if tokens.well_formed(token):
            alive = (_pending.digest == _digest(str(token))) & (_pending.expires > clock.now())
            with self._db.reading() as tx:
                found = tx.execute(
                    select(_pending.digest, _pending.email, _pending.hashed_password).where(alive)
                ).first()
        if found is None:
            raise WrongVerificationToken
        return _Found(*found)

    def complete(
        self, token: str | None, password: str, email: str | None = None, ip: str = ""
    ) -> User:
        """Make the account of a pending registration, once, by its token and its password.

        `email`, where it is known, must be the registration's. Wrong passwords count as those of
        signing in do, and a new letter forgets none of them. Raises MalformedEmail, WrongVerificationToken,
        PasswordTooLong, MalformedText, RegistrationClosed when nobody may register by now, Busy,
        and what the limits raise.
        """
        self._auth.invitations.require_open()
        named = None if email is None else normalize.email(email)
        self._auth.passwords.check_form(password)
        found = self._found(token)
        if named not in {None, found.email}:
            raise WrongVerificationToken
        attempt = Attempt("sign_in", found.email, ip)
        if not self._auth.passwords.fits(attempt, password, found.hashed_password):
            self._auth.publish(Event("registration.refused", None, {"ip": ip}))
            raise WrongVerificationToken("password")
        return self._make(found, attempt)

    @retried
    def _make(self, found: _Found, attempt: Attempt) -> User:
        with self._db.transaction() as tx:
            mine = (_pending.digest == found.digest) & (_pending.expires > clock.now())
            if tx.change(delete(registrations).where(mine)) != 1:
                raise WrongVerificationToken
            try:
                user = self._auth.accounts.add(found.email, found.hashed_password)
            except EmailTaken:
                raise WrongVerificationToken from None
            self.note(user.id, attempt.ip)
            # Last, as others of this network wait from here on.
            self._auth.rate_limits.release(attempt)
        return user

    def note(self, user_id: int, ip: str = "") -> None:
        """Write down that the email an account has now is proven, in the open transaction."""
        row: Any = select(User.id, User.email, literal(clock.now(), Double()))
        written = upsert(proofs, self._db.on_postgresql).from_select(
            ["user_id", "email", "at"], row.where(User.id == user_id)
        )
        key, proven = [proofs.c.user_id], written.excluded
        news = written.on_conflict_do_update(
            index_elements=key,
            set_={"email": proven.email, "at": proven.at},
            where=proofs.c.email != proven.email,
        ).returning(proofs.c.user_id)
        with self._db.transaction() as tx:
            if tx.execute(news).first() is not None:
                self._auth.publish(Event("email.verified", user_id, {"ip": ip}))

    def proven(self, user_id: int) -> float | None:
        """Say since when the present email of an account is proven; None when it is not."""
        with self._db.reading() as tx:
            return tx.scalar(
                select(VerifiedEmail.at)
                .join(
                    User, (User.id == VerifiedEmail.user_id) & (User.email == VerifiedEmail.email)
                )
                .where(VerifiedEmail.user_id == user_id)
            )

    # --- for the operator -----------------------------------------------------------------------

    def list(self) -> list[tuple[str, float, float]]:
        """Give email, time and end of every pending registration, the newest first."""
        now = clock.now()
        with self._db.reading() as tx:
            rows = tx.execute(
                select(_pending.email, _pending.at, _pending.expires)
                .where(_pending.expires > now)
                .order_by(_pending.at.desc(), _pending.digest)
            ).all()
        return [(row.email, row.at, row.expires) for row in rows]

    @retried
    def withdraw(self, email: str) -> int:
        """Forget every pending registration of an email; give how many. Raises MalformedEmail."""
        with self._db.transaction() as tx:
            dropped = self._drop(tx, _pending.email == normalize.email(email))
            if dropped:
                self._auth.publish(Event("registration.withdrawn"))
        return dropped

    def _drop(self, tx: Transaction, which: Any) -> int:
        letters = tx.scalars(delete(registrations).where(which).returning(_pending.letter)).all()
        if letters:
            self._auth.mail.erase(letters)
        return len(letters)

    # --- what others tell -----------------------------------------------------------------------

    def on_event(self, event: Event) -> None:
        """End what is pending for an email that has an account now; a letter's link proves one."""
        if event.user_id is None:
            return
        if event.name in _GIVEN:
            email = self._db.find_user_by(id=event.user_id).email
            with self._db.transaction() as tx:
                tx.change(delete(registrations).where(_pending.email == email))
                self._auth.mail.adopt(email, "registration", event.user_id)
        if event.name in _SHOWN:
            self.note(event.user_id, str(event.facts.get("ip", "")))

    def export(self, user_id: int) -> dict[str, Any]:
        """Say since when the email is proven."""
        at = self.proven(user_id)
        return {"email_proven": None if at is None else clock.written(at)}

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Forget registrations whose link is over, all where nobody may register; give how many."""
        over = _pending.expires <= now if self._auth.invitations.open_to_all else true()
        with self._db.transaction() as tx:
            return self._drop(
                tx, _pending.digest.in_(select(_pending.digest).where(over).limit(limit))
            )


def _digest(token: str) -> bytes:
    return tokens.digest(purposes.VERIFICATION, token)
