"""Auth: the operations of the exercise, and every feature, opened in order.

The methods of the exercise keep their names, signatures and exceptions; the work is in the
features. Adding a feature is an import and a line here.
"""

import logging
import pkgutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

from pydantic import BaseModel
from sqlalchemy.exc import NoResultFound

from bienvenue import disk_space, i18n, schema
from bienvenue.authentication import CODE, Authentication, Caller
from bienvenue.db import DB
from bienvenue.declared import DeclarationProblem, Declared
from bienvenue.feature import Event, Feature, Reason, Refusal, current_registry
from bienvenue.features.access_tokens import AccessTokens
from bienvenue.features.account_closure import AccountClosure
from bienvenue.features.accounts import Accounts, NoSuchUser
from bienvenue.features.activity import Activity
from bienvenue.features.audit import Audit
from bienvenue.features.authentications import Authentications
from bienvenue.features.custom_fields import CustomFields
from bienvenue.features.email_change import EmailChange
from bienvenue.features.former_system import FormerSystem
from bienvenue.features.forward_auth import ForwardAuth
from bienvenue.features.groups import Groups
from bienvenue.features.import_export import ImportExport
from bienvenue.features.invitations import Invitations
from bienvenue.features.known_devices import KnownDevices
from bienvenue.features.mail import Mail
from bienvenue.features.notices import Notices
from bienvenue.features.notification_email import NotificationEmails
from bienvenue.features.one_time_tokens import OneTimeTokens
from bienvenue.features.outbox import Outbox
from bienvenue.features.password_change import PasswordChange
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
from bienvenue.registry import Registry
from bienvenue.settings import PREFIX, Settings, SettingsProblem
from bienvenue.signals import Signals
from bienvenue.user import SignedIn, User

_log = logging.getLogger("bienvenue")

F = TypeVar("F", bound=Feature[Any])


def _hash_password(password: str) -> bytes:
    """Return the salted bcrypt hash of a password as ASCII bytes."""
    return Hasher().hash(password)


def _generate_uuid() -> str:
    """Return a new UUID as text: a name, never a secret (ASVS 11.5.1)."""
    return str(uuid.uuid4())


#: Every feature, in the order in which they open: each after those that it needs. Audit stands
#: before mail, so that sealing doesn't wait for a mail server.
FEATURES: tuple[type[Feature[Any]], ...] = (
    Audit,
    Preferences,
    KnownDevices,
    Mail,
    OneTimeTokens,
    Outbox,
    Accounts,
    Groups,
    ForwardAuth,
    CustomFields,
    Activity,
    RateLimits,
    Passwords,
    Authentications,
    Sessions,
    AccessTokens,
    Reauthentication,
    PasswordChange,
    AccountClosure,
    PasswordReset,
    Invitations,
    Registration,
    NotificationEmails,
    Notices,
    EmailChange,
    ImportExport,
    FormerSystem,
)


def named(settings: Settings) -> list[type[Feature[Any]]]:
    """Return the classes that the setting `extra_features` names. Raises SettingsProblem."""
    found = []
    for name in filter(None, settings.core.extra_features.split(",")):
        try:
            feature = pkgutil.resolve_name(name.strip())
        except (ImportError, AttributeError, ValueError) as error:
            raise SettingsProblem(f"{PREFIX}EXTRA_FEATURES: {name.strip()}: {error}") from None
        if not (isinstance(feature, type) and issubclass(feature, Feature)):
            raise SettingsProblem(f"{PREFIX}EXTRA_FEATURES: {name.strip()} is no feature")
        found.append(feature)
    return found


def declared_by(settings: Settings, model: type[BaseModel] | None) -> Declared | None:
    """Return the fields of a model, or of the one that the setting `custom_fields` names.

    Raises SettingsProblem.
    """
    name = settings.core.custom_fields.strip()
    try:
        if model is None and name:
            model = pkgutil.resolve_name(name)
        if model is None:
            return None
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise SettingsProblem(f"{PREFIX}CUSTOM_FIELDS: {name} is no pydantic model")
        return Declared(model)
    except (ImportError, AttributeError, ValueError, DeclarationProblem) as error:
        raise SettingsProblem(f"{PREFIX}CUSTOM_FIELDS: {error}") from None


class Auth:
    """The service without its web pages, one for each application."""

    def __init__(
        self,
        db: DB | None = None,
        settings: Settings | None = None,
        features: Iterable[type[Feature[Any]]] = (),
        fields: type[BaseModel] | None = None,
    ) -> None:
        """Open the features on a database, by default that of the settings; change no table.

        `features` are further ones of an application, opened in their order after ours and those
        that the setting `extra_features` names. `fields` is the model of what the application asks
        its users for, by default that of the setting `custom_fields`. Raises SettingsProblem for a
        setting that is unknown or invalid.
        """
        self.settings = settings or Settings()
        self._db = db or DB.of(self.settings)
        self.registry = Registry(self._db, self.settings)
        self.registry.declared = declared_by(self.settings, fields)
        for feature in dict.fromkeys([*FEATURES, *named(self.settings), *features]):
            self._open(feature)
        self.audit = self.use(Audit)
        self.preferences = self.use(Preferences)
        self.known_devices = self.use(KnownDevices)
        self.mail = self.use(Mail)
        self.one_time_tokens = self.use(OneTimeTokens)
        self.outbox = self.use(Outbox)
        self.accounts = self.use(Accounts)
        self.groups = self.use(Groups)
        self.forward_auth = self.use(ForwardAuth)
        self.custom_fields = self.use(CustomFields)
        self.custom_fields.refuse_taken(self.registry.features)
        self.activity = self.use(Activity)
        self.rate_limits = self.use(RateLimits)
        self.passwords = self.use(Passwords)
        self.authentications = self.use(Authentications)
        self.sessions = self.use(Sessions)
        self.access_tokens = self.use(AccessTokens)
        self.reauthentication = self.use(Reauthentication)
        self.password_change = self.use(PasswordChange)
        self.password_reset = self.use(PasswordReset)
        self.invitations = self.use(Invitations)
        self.registration = self.use(Registration)
        self.notification_email = self.use(NotificationEmails)
        self.notices = self.use(Notices)
        self.account_closure = self.use(AccountClosure)
        self.email_change = self.use(EmailChange)
        self.import_export = self.use(ImportExport)
        self.former_system = self.use(FormerSystem)
        #: What an application hears of users.
        self.signals = Signals(self._db, self)
        self.registry.listeners.append(self.signals)
        self.settings.refuse_unknown()

    @property
    def features(self) -> list[Any]:
        """The open features, in order."""
        return self.registry.features

    @property
    def keys(self) -> KeyRing:
        """The keys of the service. Raises KeyProblem."""
        return self.registry.keys

    @property
    def identifiers(self) -> list[Any]:
        """The ways to know who sends a request, as the features add them."""
        return self.registry.identifiers

    @property
    def cookies(self) -> dict[str, int]:
        """The cookies that the features bring, with their lifetimes in seconds."""
        return self.registry.cookies

    def use(self, kind: type[F]) -> F:
        """Return the feature of a class. Raises LookupError when it is not open."""
        return self.registry.use(kind)

    def context(self) -> Mapping[str, Any]:
        """Return what the features give to every template."""
        return self.registry.context()

    @contextmanager
    def as_current(self) -> Iterator[None]:
        """Let page functions find these features by their classes while the block runs."""
        token = current_registry.set(self.registry)
        try:
            yield
        finally:
            current_registry.reset(token)

    def _open(self, feature: type[Feature[Any]]) -> None:
        if feature.catalogue is not None:
            i18n.add_catalogue(feature.catalogue)
        self.registry.add(feature(self.registry, self._db, self.settings.of(feature.Settings)))

    # --- the exercise ---------------------------------------------------------------------------

    def register_user(self, email: str, password: str) -> User:
        """Create an account and return its user.

        Raises ValueError `User <email> already exists`, MalformedEmail, and the refusals of
        `Passwords.check_policy`.
        """
        return self.registration.create(CODE, email, password)

    def valid_login(self, email: str, password: str) -> bool:
        """Return whether this is the password of this account; False on every refusal."""
        try:
            self.passwords.verify(CODE, email, password)
        except Refusal:
            return False
        return True

    def create_session(self, email: str) -> str | None:
        """Open a session without a password; return its secret, or None without an open account.

        Raises MFARequired where the account must show a factor: code that saw the factors says so
        with `sessions.open(CODE, Authentication(user, ("pwd", "otp")))`.
        """
        try:
            user = self.accounts.find(plain_email(email))
        except (NoSuchUser, MalformedEmail, MalformedText):
            return None
        if self.registry.sign_in_refusal(user) is not None:
            return None
        opened = self.sessions.open(CODE, Authentication(user))
        return None if opened is None else opened.secret

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
        self.sessions.end_all(CODE, user_id)

    def get_reset_password_token(self, email: str) -> str:
        """Return a new reset token, which replaces the earlier one of the account.

        Raises ValueError when there is no such account. Over HTTP only an email has the token.
        """
        try:
            token = self.password_reset.issue(CODE, email)
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
            self.password_reset.complete(CODE, reset_token, password, None)
        except WrongResetToken:
            raise ValueError("nobody has this reset token") from None

    # --- calls to every feature -----------------------------------------------------------------

    def publish(self, event: Event) -> None:
        """Publish an event, as `Registry.publish` does."""
        self.registry.publish(event)

    def revoke(
        self, caller: Caller, user_id: int, reason: Reason, keep_session: bytes | None = None
    ) -> None:
        """Let every feature end what it holds for an account, as `Registry.revoke` does."""
        self.registry.revoke(caller, user_id, reason, keep_session)

    def export(self, user_id: int) -> dict[str, Any]:
        """Return everything the features store about a person, as plain values."""
        return self.registry.export(user_id)

    def work(self) -> None:
        """Let every feature do what waits for no request."""
        self.registry.work()

    def sweep(self, now: float, limit: int = 1000) -> int:
        """Delete expired rows, at most `limit` of a feature; return how many."""
        return self.registry.sweep(now, limit)

    def require_fresh(self, me: SignedIn) -> None:
        """Raise ReauthenticationRequired when a user authenticated too long ago."""
        self.reauthentication.require(me)

    def require_schema(self) -> None:
        """Raise SchemaProblem unless the database has exactly the version of this program."""
        schema.require_current(self._db, self.registry.migrations)

    def upgrade(self, *, beside: bool = False) -> str:
        """Migrate the database and the tables of added features; return the service's version.

        With `beside`, tables of another service of ours may be there under another prefix or
        schema. Raises SchemaProblem and DatabaseUnavailable.
        """
        return schema.upgrade(self._db, self.registry.migrations, beside=beside)

    def can_store(self) -> bool:
        """Tell whether the disk of a SQLite database has room for changes."""
        return not disk_space.is_full(self._db.file)

    def close(self) -> None:
        """Close the connections; the next use opens new ones."""
        self._db.close()
