"""Who is signed in, for the code and the templates of a host application."""

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, ClassVar, cast

from flask import has_request_context, request
from werkzeug.local import LocalProxy

from bienvenue import normalize
from bienvenue.features.groups import Groups
from bienvenue.features.sessions import Sessions
from bienvenue.host.application import dispatcher
from bienvenue.user import FULL_ACCESS, SignedIn

#: Where the environment of a request keeps the user found for it.
_CURRENT = "bienvenue.current_user"


class CurrentUser:
    """The user who is signed in, with the names of Flask-Login. Times are aware, in UTC."""

    is_authenticated: ClassVar[bool] = True
    #: A disabled or closed account has no live session.
    is_active: ClassVar[bool] = True
    is_anonymous: ClassVar[bool] = False

    def __init__(self, me: SignedIn, auth: Any) -> None:
        """Take the session as it was checked, and the operations of the service."""
        self._me = me
        self._auth = auth
        self.email: str = me.email
        #: The public name of the account, to store in tables of the application.
        self.user_uid: str = me.user_uid
        #: The public name of the session; empty for an access token.
        self.session_uid: str = me.session_uid
        #: The completed methods of the sign-in, as "pwd" (RFC 8176).
        self.amr: tuple[str, ...] = tuple(me.amr.split())

    def __repr__(self) -> str:
        """Show the public name of the user and nothing secret."""
        return f"<CurrentUser {self.user_uid}>"

    def __eq__(self, other: object) -> bool:
        """Compare by account, whatever the session."""
        return isinstance(other, CurrentUser) and self.user_uid == other.user_uid

    def __hash__(self) -> int:
        return hash(self.user_uid)

    def get_id(self) -> str:
        """Return the public name of the account, as Flask-Login calls it."""
        return self.user_uid

    @property
    def scopes(self) -> frozenset[str] | None:
        """The scopes of the access token of this request, "*" for full access; None for a session.

        A session is limited by none.
        """
        return None if self._me.token is None else self._me.token.scopes

    @property
    def token_uid(self) -> str | None:
        """The public name of the access token of this request; None for a session."""
        return None if self._me.token is None else self._me.token.uid

    @property
    def is_service(self) -> bool:
        """Whether the account is that of a service, whose `email` is no address."""
        return normalize.is_service(self.email)

    def has_scopes(self, *scopes: str) -> bool:
        """Tell whether the access token of this request has all of these; a session has every one.

        Without a scope the token must have full access.
        """
        grant = self._me.token
        return grant is None or all(grant.allows(one) for one in scopes or (FULL_ACCESS,))

    @property
    def fresh(self) -> bool:
        """Whether the user authenticated within the last `session_fresh` seconds."""
        return self.authenticated_within(None)

    def authenticated_within(self, seconds: float | None) -> bool:
        """Tell whether the user authenticated within so many seconds, None for `session_fresh`."""
        return bool(self._auth.use(Sessions).is_fresh(self._me, seconds))

    @cached_property
    def groups(self) -> frozenset[str]:
        """The groups of the account, read once for each request that asks for them."""
        return frozenset(self._auth.use(Groups).of(self._me.user_id))

    @property
    def user_created_at(self) -> datetime:
        """When the account was created."""
        return _moment(self._me.user_created_at)

    @property
    def created_at(self) -> datetime:
        """When the session began, or the access token was made."""
        return _moment(self._me.created_at)

    @property
    def authenticated_at(self) -> datetime:
        """When the user last authenticated in this session; for an access token never, in 1970."""
        return _moment(self._me.authenticated_at)

    @property
    def last_seen_at(self) -> datetime:
        """When the session was last used, to about a minute, or the access token to about ten.

        For a token that was never used before, that is the beginning of 1970.
        """
        return _moment(self._me.last_seen_at)

    @property
    def expires_at(self) -> datetime:
        """When the session or the access token ends, however often it is used."""
        return _moment(self._me.expires_at)


class AnonymousUser:
    """No user is signed in: false, with the names of Flask-Login."""

    is_authenticated: ClassVar[bool] = False
    is_active: ClassVar[bool] = False
    is_anonymous: ClassVar[bool] = True
    fresh: ClassVar[bool] = False
    groups: ClassVar[frozenset[str]] = frozenset()
    scopes: ClassVar[frozenset[str]] = frozenset()
    token_uid: ClassVar[None] = None
    is_service: ClassVar[bool] = False

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        """Say that it stands for no user."""
        return "<AnonymousUser>"

    def has_scopes(self, *_scopes: str) -> bool:
        """Return False: no token and no session."""
        return False

    def get_id(self) -> None:
        """Return None: no account has this name."""


ANONYMOUS = AnonymousUser()


def found() -> CurrentUser | None:
    """Return who is signed in, or None, looked up once for each request.

    Raises DatabaseUnavailable.
    """
    service = dispatcher()
    me = service.identity.signed_in()
    if me is None:
        return None
    kept: tuple[SignedIn, CurrentUser] | None = request.environ.get(_CURRENT)
    if kept is None or kept[0] is not me:
        kept = request.environ[_CURRENT] = (me, CurrentUser(me, service.auth))
    return kept[1]


def _current() -> CurrentUser | AnonymousUser:
    """Return who is signed in; outside a request that is no user."""
    return (found() if has_request_context() else None) or ANONYMOUS


#: The signed-in user, or something false when the request has no live session.
current_user = cast("CurrentUser", LocalProxy(_current))


def _moment(seconds: float) -> datetime:
    # Not fromtimestamp, which raises outside the years that the operating system knows.
    return datetime.fromtimestamp(0, UTC) + timedelta(seconds=seconds)
