"""Auth: the operations of the exercise, and every feature, opened in order.

The methods of the exercise keep their names, signatures and exceptions; the work is in the
features. Adding a feature is an import and a line here.
"""

import functools
import logging
import uuid
from collections.abc import Iterable
from typing import Any, TypeVar

from sqlalchemy.exc import NoResultFound

from bienvenue import i18n, key_file, schema
from bienvenue.db import DB
from bienvenue.feature import Event, Feature, Reason, Refusal
from bienvenue.features.account_closure import AccountClosure
from bienvenue.features.accounts import Accounts, NoSuchUser
from bienvenue.features.audit import Audit
from bienvenue.features.email_change import EmailChange
from bienvenue.features.invitations import Invitations
from bienvenue.features.known_devices import KnownDevices
from bienvenue.features.mail import Mail
from bienvenue.features.notices import Notices
from bienvenue.features.notification_email import NotificationEmails
from bienvenue.features.one_time_tokens import OneTimeTokens
from bienvenue.features.outbox import Outbox
from bienvenue.features.password_reset import PasswordReset, WrongResetToken
from bienvenue.features.passwords import Passwords
from bienvenue.features.preferences import Preferences
from bienvenue.features.rate_limits import RateLimits
from bienvenue.features.reauthentication import Reauthentication
from bienvenue.features.registration import Registration
from bienvenue.features.sessions import Sessions
from bienvenue.hashing import Hasher
from bienvenue.key_ring import KeyRing
from bienvenue.normalize import MalformedEmail, MalformedText
from bienvenue.normalize import email as plain_email
from bienvenue.settings import Settings
from bienvenue.user import User

_log = logging.getLogger("bienvenue")

F = TypeVar("F", bound=Feature[Any])


def _hash_password(password: str) -> bytes:
    """Return the salted bcrypt hash of a password, as bytes."""
    return Hasher().hash(password)


def _generate_uuid() -> str:
    """Return a new UUID as text: a name, never a secret (ASVS 11.5.1)."""
    return str(uuid.uuid4())


class Auth:
    """The service without its web pages. One is made for each application."""

    def __init__(self, db: DB | None = None, settings: Settings | None = None) -> None:
        """Open on a database, or on the one the settings name; no table is made or changed.

        Raises SettingsProblem for a setting that is unknown or has no sense.
        """
        self.settings = settings or Settings()
        self._db = db or DB(self.settings.database_url)
        #: The path below which an application has our pages, for the links of notices.
        self.mount = ""
        self.features: list[Feature[Any]] = []
        self.accounts = self._open(Accounts)
        self.passwords = self._open(Passwords)
        self.sessions = self._open(Sessions)
        self.known_devices = self._open(KnownDevices)
        self.reauthentication = self._open(Reauthentication)
        self.rate_limits = self._open(RateLimits)
        self.audit = self._open(Audit)
        self.preferences = self._open(Preferences)
        # After the audit log, whose seals are not to wait for a mail server.
        self.mail = self._open(Mail)
        self.one_time_tokens = self._open(OneTimeTokens)
        self.outbox = self._open(Outbox)
        self.password_reset = self._open(PasswordReset)
        self.invitations = self._open(Invitations)
        self.registration = self._open(Registration)
        self.notification_email = self._open(NotificationEmails)
        self.notices = self._open(Notices)
        self.account_closure = self._open(AccountClosure)
        self.email_change = self._open(EmailChange)
        self._events = {name for feature in self.features for name in feature.events}
        #: The purposes of the links that outlive what `revoke` ends.
        self.lasting = {link.name for f in self.features for link in f.links if link.lasting}
        self.settings.refuse_unknown()

    @functools.cached_property
    def keys(self) -> KeyRing:
        """The keys of this service, made on first use in the instance folder. Raises KeyProblem."""
        return key_file.of(self.settings)

    def _open(self, feature: type[F]) -> F:
        if feature.catalogue is not None:
            i18n.add_catalogue(feature.catalogue)
        opened = feature(self, self._db, self.settings.of(feature.Settings))
        self.features.append(opened)
        return opened

    # --- the exercise ---------------------------------------------------------------------------

    def register_user(self, email: str, password: str) -> User:
        """Make an account and return its user.

        Raises ValueError `User <email> already exists`, and the refusals of a malformed email or
        of a password that the policy does not allow.
        """
        return self.accounts.register(email, password)

    def valid_login(self, email: str, password: str) -> bool:
        """Tell whether this password opens this account; False in any other case."""
        try:
            self.passwords.prove(email, password)
        except Refusal:
            return False
        return True

    def create_session(self, email: str) -> str | None:
        """Open a session without asking for a password; return its secret, None for nobody."""
        try:
            user = self.accounts.find(plain_email(email))
        except (NoSuchUser, MalformedEmail, MalformedText):
            return None
        return self.sessions.open_for(user)

    def get_user_from_session_id(self, session_id: str | None) -> User | None:
        """Return the user of a live session's secret, or None."""
        me = self.sessions.check(session_id)
        if me is None:
            return None
        try:
            return self._db.find_user_by(id=me.user_id)
        except NoResultFound:
            return None

    def destroy_session(self, user_id: int) -> None:
        """End all sessions of a user."""
        self.sessions.end_all(user_id)

    def get_reset_password_token(self, email: str) -> str:
        """Return a new token that replaces the password of an account, the only one outstanding.

        Raises ValueError when there is no such account. Over HTTP the token goes by letter only.
        """
        try:
            token = self.password_reset.issue(email)
        except (MalformedEmail, MalformedText):
            token = None
        if token is None:
            raise ValueError(f"User {email} does not exist")
        return token

    def update_password(self, reset_token: str, password: str) -> None:
        """Replace the password of whoever was given this token, once.

        Raises ValueError when it is unknown, spent or over, and the refusals of a password that the
        policy does not allow.
        """
        try:
            self.password_reset.complete(reset_token, password, None)
        except WrongResetToken:
            raise ValueError("nobody has this reset token") from None

    # --- what features tell each other ----------------------------------------------------------

    def required_factors(self, user: User, completed: Iterable[str]) -> list[str]:
        """Name the proofs still due before a session exists, given those shown."""
        return [
            proof
            for feature in self.features
            for proof in feature.required_factors(user, completed)
        ]

    def publish(self, event: Event) -> None:
        """Say once that something happened: features write in this transaction, or act after it.

        Outside a transaction it is one of its own. Raises LookupError for an event that no
        feature declares.
        """
        if event.name not in self._events:
            raise LookupError(f"no feature declares the event {event.name}")
        with self._db.transaction() as tx:
            for feature in self.features:
                feature.on_event(event)
            tx.after_commit.append(lambda: self._after_commit(event))

    def _after_commit(self, event: Event) -> None:
        for feature in self.features:
            try:
                feature.after_commit(event)
            except Exception:  # noqa: BLE001 (committed and answered; this undoes nothing)
                _log.exception("%s failed after %s", feature.name, event.name)

    def revoke(self, user_id: int, reason: Reason, keep_session: bytes | None = None) -> None:
        """The account changed: every feature drops what it holds, in this transaction.

        The session of the digest `keep_session` stays.
        """
        with self._db.transaction():
            for feature in self.features:
                feature.revoke(user_id, reason, keep_session)

    def export(self, user_id: int) -> dict[str, Any]:
        """Give everything every feature holds about a person, as plain values."""
        return {
            name: value
            for feature in self.features
            for name, value in feature.export(user_id).items()
        }

    def require_schema(self) -> None:
        """Raise SchemaProblem, with what to do, unless the database has exactly our version."""
        schema.require_current(self._db)

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        self._db.close()

    def work(self) -> None:
        """Let every feature do what waits for no request."""
        for feature in self.features:
            feature.work()

    def sweep(self, now: float, limit: int = 1000) -> int:
        """Delete rows whose time is over, at most `limit` a feature; give how many."""
        return sum(feature.sweep(now, limit) for feature in self.features)
