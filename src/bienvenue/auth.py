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
    """Return the salted bcrypt hash of a password as ASCII bytes."""
    return Hasher().hash(password)


def _generate_uuid() -> str:
    """Return a new UUID as text: a name, never a secret (ASVS 11.5.1)."""
    return str(uuid.uuid4())


class Auth:
    """The service without its web pages, one for each application."""

    def __init__(self, db: DB | None = None, settings: Settings | None = None) -> None:
        """Open the features on a database, by default that of the settings; change no table.

        Raises SettingsProblem for a setting that is unknown or invalid.
        """
        self.settings = settings or Settings()
        self._db = db or DB(self.settings.database_url)
        #: The path under which the application has the pages, for the links in notices.
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
        # After the audit log, so that sealing doesn't wait for a mail server.
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
        #: The purposes of the links that survive `revoke`.
        self.lasting = {link.name for f in self.features for link in f.links if link.lasting}
        self.settings.refuse_unknown()

    @functools.cached_property
    def keys(self) -> KeyRing:
        """The keys of the service, created on first use in the instance folder.

        Raises KeyProblem.
        """
        return key_file.of(self.settings)

    def _open(self, feature: type[F]) -> F:
        if feature.catalogue is not None:
            i18n.add_catalogue(feature.catalogue)
        opened = feature(self, self._db, self.settings.of(feature.Settings))
        self.features.append(opened)
        return opened

    # --- the exercise ---------------------------------------------------------------------------

    def register_user(self, email: str, password: str) -> User:
        """Create an account and return its user.

        Raises ValueError `User <email> already exists`, MalformedEmail, and the refusals of
        `Passwords.check_policy`.
        """
        return self.accounts.register(email, password)

    def valid_login(self, email: str, password: str) -> bool:
        """Return whether this is the password of this account; False on every refusal."""
        try:
            self.passwords.verify(email, password)
        except Refusal:
            return False
        return True

    def create_session(self, email: str) -> str | None:
        """Open a session without a password; return its secret, or None without an account."""
        try:
            user = self.accounts.find(plain_email(email))
        except (NoSuchUser, MalformedEmail, MalformedText):
            return None
        return self.sessions.open_for(user)

    def get_user_from_session_id(self, session_id: str | None) -> User | None:
        """Return the user of the live session with this secret, or None."""
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
        """Return a new reset token, which replaces the earlier one of the account.

        Raises ValueError when there is no such account. Over HTTP only an email has the token.
        """
        try:
            token = self.password_reset.issue(email)
        except (MalformedEmail, MalformedText):
            token = None
        if token is None:
            raise ValueError(f"User {email} does not exist")
        return token

    def update_password(self, reset_token: str, password: str) -> None:
        """Replace the password of the account of a reset token and spend the token.

        Raises ValueError when the token is unknown, spent or expired, and the refusals of
        `Passwords.check_policy`.
        """
        try:
            self.password_reset.complete(reset_token, password, None)
        except WrongResetToken:
            raise ValueError("nobody has this reset token") from None

    # --- calls to every feature -----------------------------------------------------------------

    def required_factors(self, user: User, completed: Iterable[str]) -> list[str]:
        """Return the factors still required for a session, given the completed ones."""
        return [
            factor
            for feature in self.features
            for factor in feature.required_factors(user, completed)
        ]

    def publish(self, event: Event) -> None:
        """Publish an event: features write in its transaction, and act after the commit.

        Joins the open transaction, or opens one. Raises LookupError for an event that no feature
        declares.
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
            except Exception:  # noqa: BLE001 (the event is committed; a failure changes nothing)
                _log.exception("%s failed after %s", feature.name, event.name)

    def revoke(self, user_id: int, reason: Reason, keep_session: bytes | None = None) -> None:
        """End the sessions, tokens and known devices of a changed account in every feature.

        Joins the open transaction, or opens one. The session with the digest `keep_session` stays.
        """
        with self._db.transaction():
            for feature in self.features:
                feature.revoke(user_id, reason, keep_session)

    def export(self, user_id: int) -> dict[str, Any]:
        """Return all data of a user from every feature, ready for JSON, without secrets."""
        return {
            name: value
            for feature in self.features
            for name, value in feature.export(user_id).items()
        }

    def require_schema(self) -> None:
        """Raise SchemaProblem unless the database has exactly the version of this program."""
        schema.require_current(self._db)

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        self._db.close()

    def work(self) -> None:
        """Run the background work of every feature."""
        for feature in self.features:
            feature.work()

    def sweep(self, now: float, limit: int = 1000) -> int:
        """Delete expired rows, at most `limit` for each feature; return how many.

        `now` is in seconds since 1970.
        """
        return sum(feature.sweep(now, limit) for feature in self.features)
