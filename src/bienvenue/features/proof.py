"""proof: an account begins once its email is proven, and nobody learns whose email has one.

Where letters leave, registering makes no account: it makes a pending registration, and a letter to
the email. Its token AND the password chosen make the account, so nobody prepares one for somebody
else. Whoever registers a taken email hears the same words after the same work; the letter goes to
the account's owner and says so (NIST SP 800-63B-4 section 3.2.11; ASVS 6.3.8, 6.4.1).
"""

from typing import Any, ClassVar, Literal

from pydantic import Field
from sqlalchemy import ForeignKey, LargeBinary, String, delete, insert, select, update
from sqlalchemy.exc import NoResultFound
from sqlalchemy.orm import Mapped, mapped_column

from bienvenue import clock, fields, tokens
from bienvenue.db import Transaction, retried, upsert
from bienvenue.feature import Attempt, Event, Feature, Refusal
from bienvenue.features.accounts import EmailTaken
from bienvenue.features.invitations import RegistrationClosed
from bienvenue.features.mail import AN_HOUR, FROM_A_NETWORK, GAP, LetterSent, TooManyLetters
from bienvenue.features.passwords import PasswordTooLong
from bienvenue.settings import Seconds, Section
from bienvenue.user import Base, User, table_of
from bienvenue.web.door import AUTH
from bienvenue.web.page import Answer, Email, Form, Pages, Password, Reply, Visitor

# --- the tables ---------------------------------------------------------------------------------


class Pending(Base):
    """Somebody who registered and did not prove the email yet."""

    __tablename__ = "registrations"

    #: The digest of the token in the newest letter about it.
    digest: Mapped[bytes] = mapped_column(LargeBinary(32), primary_key=True)
    email: Mapped[str] = mapped_column(String(254), index=True)
    hashed_password: Mapped[str] = mapped_column(String(512))
    at: Mapped[float]
    expires: Mapped[float] = mapped_column(index=True)


class Proven(Base):
    """The email that an account proved; it is no proof of another the account has by now."""

    __tablename__ = "proofs"

    user_id: Mapped[int] = mapped_column(
        ForeignKey("users.id", ondelete="CASCADE"), primary_key=True, autoincrement=False
    )
    email: Mapped[str] = mapped_column(String(254))
    at: Mapped[float]


_pending = table_of(Pending).c
_proofs = table_of(Proven)


# --- words --------------------------------------------------------------------------------------


class WrongProof(Refusal):
    """The token is unknown, used or over, or the password is not the one chosen with it."""

    status = 403
    code = "wrong_proof"
    message = (
        "This link and this password do not belong together, or the link is over. Register again."
    )


# --- operations ---------------------------------------------------------------------------------


class ProofSettings(Section):
    """How long a link works."""

    proof_lifetime: Seconds = Field(
        86400, le=7 * 86400, description="How long the link that proves an email works; 7d at most."
    )


class Proof(Feature[ProofSettings]):
    """The operations of proving an email."""

    name = "proof"
    Settings = ProofSettings
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {
        "registration.asked": "Somebody registered with an email, which is not proven by it.",
        "registration.refused": "A registration's link was opened with another password.",
        "email.proven": "A person showed that letters to the account's email reach them.",
    }

    def register(
        self, email: str, password: str, invitation: str | None, ip: str = "", root: str = ""
    ) -> User | None:
        """Make an account and give its user, or None once a letter is to prove the email.

        An invitation proves it. `root` is the path below which our pages are. Raises the refusals
        of `Accounts.register` and of `Invitations.admit`, and TooManyLetters when the network of
        the ip asked too often; EmailTaken only where no letter leaves, or with an invitation.
        """
        email = fields.email(email)
        invited = self._auth.invitations.admit(email, invitation)
        self._auth.allow(Attempt("register", email, ip))
        self._auth.passwords.check_policy(password, [email])
        hashed = self._auth.passwords.hash(password, ip)
        if invited:
            return self._register_invited(email, hashed, str(invitation))
        if not self._auth.mail.leaves:
            return self._auth.accounts.add(email, hashed)
        self._pend(email, hashed, ip, root)
        return None

    @retried
    def _register_invited(self, email: str, hashed: str, invitation: str) -> User:
        with self._db.transaction() as tx:
            self._auth.invitations.spend(email, invitation)
            user = self._auth.accounts.add(email, hashed)
            self._note(tx, user.id, email)
        return user

    @retried
    def _pend(self, email: str, hashed: str, ip: str, root: str) -> None:
        with self._db.transaction() as tx:
            if not self._may_write(email, ip):
                return
            token, now = tokens.new(), clock.now()
            # For a taken email too: nobody is ever given its token.
            row = {"digest": _digest(token), "email": email, "hashed_password": hashed, "at": now}
            tx.execute(insert(Pending), row | {"expires": now + self.settings.proof_lifetime})
            self._write(email, self._owner(email), token, ip, root, pending=True)

    def again(self, email: str, ip: str = "", root: str = "") -> None:
        """Write once more to whoever registered last with an email and did not prove it.

        The link of the letter before is dead. Nobody learns whether there is such a registration.
        Raises MalformedEmail and TooManyLetters.
        """
        self._again(fields.email(email), ip, root)

    @retried
    def _again(self, email: str, ip: str, root: str) -> None:
        with self._db.transaction() as tx:
            if not self._may_write(email, ip):
                return
            token, now = tokens.new(), clock.now()
            last = (
                select(_pending.digest)
                .where(_pending.email == email, _pending.expires > now)
                .order_by(_pending.at.desc(), _pending.digest)
                .limit(1)
            )
            renewed = {"digest": _digest(token), "expires": now + self.settings.proof_lifetime}
            changed = tx.change(
                update(Pending).where(_pending.digest == last.scalar_subquery()).values(renewed)
            )
            self._write(email, self._owner(email), token, ip, root, pending=changed == 1)

    def _may_write(self, email: str, ip: str) -> bool:
        if ip and not self._auth.mail.may_ask_from(ip, FROM_A_NETWORK):
            raise TooManyLetters
        return self._auth.mail.may_ask("proof", email, GAP, AN_HOUR)

    def _owner(self, email: str) -> User | None:
        try:
            return self._db.find_user_by(email=email)
        except NoResultFound:
            return None

    def _write(
        self, email: str, owner: User | None, token: str, ip: str, root: str, *, pending: bool
    ) -> None:
        """Write to whoever registers, or to the owner of a taken email; to nobody by as much."""
        mail = self._auth.mail
        expires = clock.now() + self.settings.proof_lifetime
        mail.withdraw_to(email, "proof")
        if owner is None:
            to, kind, link = email if pending else "", "proof", f"{root}/email/proof?token={token}"
        else:
            to, kind = "" if owner.disabled is not None else email, "already_registered"
            link = f"{root}/reset_password"
        user_id = owner.id if owner is not None and to else None
        told = mail.write(kind, to, user_id, {"ip": ip}, link=link, expires=expires)
        facts = {"ip": ip} | (told if user_id is not None else {})
        self._auth.announce(Event("registration.asked", user_id, facts))

    def email_of(self, token: str | None) -> str:
        """Give the email a token is to prove; changes nothing. Raises WrongProof."""
        return str(self._found(token).email)

    def _found(self, token: str | None) -> Any:
        found = None
        if tokens.well_formed(token):
            alive = (_pending.digest == _digest(str(token))) & (_pending.expires > clock.now())
            with self._db.reading() as tx:
                found = tx.execute(
                    select(_pending.digest, _pending.email, _pending.hashed_password).where(alive)
                ).first()
        if found is None:
            raise WrongProof
        return found

    def complete(self, token: str | None, password: str, ip: str = "") -> User:
        """Make the account of a pending registration, once, by its token and its password.

        Wrong passwords count as those of signing in do, and a new letter forgets none of them.
        Raises WrongProof, PasswordTooLong, MalformedText, and RegistrationClosed when nobody may
        register by now.
        """
        found = self._found(token)
        self._auth.invitations.require_open()
        self._auth.passwords.check_form(password)
        attempt = Attempt("sign_in", found.email, ip)
        if not self._auth.passwords.fits(attempt, password, found.hashed_password):
            self._auth.announce(Event("registration.refused", None, {"ip": ip}))
            raise WrongProof("password")
        return self._make(found, attempt)

    @retried
    def _make(self, found: Any, attempt: Attempt) -> User:
        with self._db.transaction() as tx:
            mine = (_pending.digest == found.digest) & (_pending.expires > clock.now())
            if tx.change(delete(Pending).where(mine)) != 1:
                raise WrongProof
            try:
                user = self._auth.accounts.add(found.email, found.hashed_password)
            except EmailTaken:
                raise WrongProof from None
            self._note(tx, user.id, user.email)
            self._auth.settle(attempt)
        return user

    def _note(self, tx: Transaction, user_id: int, email: str) -> None:
        row = upsert(_proofs, self._db.on_postgresql).values(
            user_id=user_id, email=email, at=clock.now()
        )
        anew = {"email": row.excluded.email, "at": row.excluded.at}
        tx.execute(row.on_conflict_do_update(index_elements=[_proofs.c.user_id], set_=anew))
        self._auth.announce(Event("email.proven", user_id))

    def proven(self, user_id: int) -> float | None:
        """Say since when the present email of an account is proven; None when it is not."""
        with self._db.reading() as tx:
            return tx.scalar(
                select(Proven.at)
                .join(User, (User.id == Proven.user_id) & (User.email == Proven.email))
                .where(Proven.user_id == user_id)
            )

    def hear(self, event: Event) -> None:
        """End what is pending for an email that has an account now; a letter's link proves one."""
        if event.user_id is None or event.name not in _GIVEN | _SHOWN:
            return
        user = self._db.find_user_by(id=event.user_id)
        with self._db.transaction() as tx:
            if event.name in _GIVEN:
                tx.change(delete(Pending).where(_pending.email == user.email))
                self._auth.mail.withdraw_to(user.email, "proof")
            if event.name in _SHOWN:
                self._note(tx, user.id, user.email)

    def list(self) -> list[tuple[str, float, float]]:
        """Give email, time and end of every pending registration, the newest first."""
        now = clock.now()
        with self._db.reading() as tx:
            rows = tx.execute(
                select(_pending.email, _pending.at, _pending.expires)
                .where(_pending.expires > now)
                .order_by(_pending.at.desc())
            ).all()
        return [(row.email, row.at, row.expires) for row in rows]

    @retried
    def withdraw(self, email: str) -> int:
        """Forget every pending registration of an email; give how many. Raises MalformedEmail."""
        plain = fields.email(email)
        with self._db.transaction() as tx:
            self._auth.mail.withdraw_to(plain, "proof")
            return tx.change(delete(Pending).where(_pending.email == plain))

    def export(self, user_id: int) -> dict[str, Any]:
        """Say since when the email is proven."""
        at = self.proven(user_id)
        return {"email_proven": None if at is None else clock.written(at)}

    @retried
    def sweep(self, now: float, limit: int) -> int:
        """Forget registrations whose link is over; give how many."""
        with self._db.transaction() as tx:
            over = select(_pending.digest).where(_pending.expires <= now).limit(limit)
            return tx.change(delete(Pending).where(_pending.digest.in_(over)))


#: The events by which an email gets an account, and those after which it is proven.
_GIVEN = {"account.registered", "email.assigned", "email.changed", "email.restored"}
_SHOWN = {"password.reset", "email.changed", "email.restored"}


def _digest(token: str) -> bytes:
    return tokens.digest("proof", token)


# --- pages --------------------------------------------------------------------------------------

page = Proof.pages


class ProofForm(Reply):
    """Where an email is proven, and which."""

    email: str
    action: Literal["POST /email/proof"] = "POST /email/proof"


class Evidence(Form):
    """What proving takes; a browser keeps the token in a cookie."""

    password: Password
    proof_token: str | None = Field(
        None, repr=False, json_schema_extra={"format": "password", "writeOnly": True}
    )


class Begun(Reply):
    """What proving gives."""

    email: str
    message: Literal["user created"] = "user created"


class Again(Form):
    """What asking for another letter takes."""

    email: Email


@page("GET /email/proof", gives={200: ProofForm}, refuses=(WrongProof,), public=True, link="proof")
def proof_page(visitor: Visitor) -> Answer:
    """The page of proving an email, for whoever opened the link."""
    email = AUTH.proof.email_of(visitor.links.get("proof"))
    return Answer(ProofForm(email=email), page="proof/prove.html")


@page(
    "POST /email/proof",
    takes=Evidence,
    gives={201: Begun},
    refuses=(WrongProof, PasswordTooLong, RegistrationClosed),
    public=True,
    again="proof/prove.html",
    hashes=True,
)
def prove_email(form: Evidence, visitor: Visitor) -> Answer:
    """Make the account, by the letter's token and the password; nobody is signed in by it."""
    user = AUTH.proof.complete(
        form.proof_token or visitor.links.get("proof"), form.password, visitor.ip
    )
    return Answer(Begun(email=user.email), 201, page="proof/done.html", spent="proof")


@page(
    "POST /email/proof/letter",
    takes=Again,
    gives={202: LetterSent},
    refuses=(fields.MalformedEmail, TooManyLetters),
    public=True,
    again="proof/sent.html",
)
def send_proof_again(form: Again, visitor: Visitor) -> Answer:
    """Send another letter to whoever registered and did not prove the email yet."""
    AUTH.proof.again(form.email, visitor.ip, visitor.root)
    return Answer(LetterSent(email=form.email), 202, page="proof/sent.html")
