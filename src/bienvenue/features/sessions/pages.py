"""The pages of sessions: sign-in, sign-out, the profile, and the list of devices."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import model_serializer

from bienvenue import clock, user_agent
from bienvenue.authentication import Caller
from bienvenue.features.accounts import AccountDisabled
from bienvenue.features.passwords import PasswordTooLong, WrongCredentials
from bienvenue.features.sessions.errors import MFARequired, NoSuchSession
from bienvenue.features.sessions.models import Session
from bienvenue.features.sessions.operations import Sessions
from bienvenue.normalize import MalformedEmail
from bienvenue.user import SignedIn
from bienvenue.web.page import Answer, Email, Form, Next, Password, Reply, ReturnTo, Visitor

page = Sessions.pages


class Credentials(Form):
    """The body of a sign-in; `next` is the path to return to.

    `remember` says whether the browser keeps the session when it closes, and it does by default. A
    browser sends nothing for an empty checkbox, so a form that has one says so by `choice`.
    """

    email: Email
    password: Password
    next: Next = None
    remember: Literal[True, False, "yes", "no"] | None = None
    choice: Literal["remember"] | None = None

    @property
    def remembers(self) -> bool:
        """Whether the browser keeps the session when it closes."""
        if self.remember is None:
            return self.choice is None
        return self.remember in {True, "yes"}


class LoggedIn(Reply):
    """The user is signed in; the cookie has the session's secret."""

    email: str
    message: Literal["logged in"] = "logged in"


class SignInForm(Reply):
    """The sign-in form, and the path to return to."""

    next: str | None
    action: Literal["POST /sessions"] = "POST /sessions"


class Device(Reply):
    """One signed-in device. Times are RFC 3339 in UTC."""

    uid: str
    device: str
    ip: str
    created_at: str
    last_seen_at: str
    expires_at: str
    #: Whether it is the device of this request.
    current: bool

    @classmethod
    def of(cls, row: Session | SignedIn, current: bool) -> "Device":
        """Describe a row of the table, or the session of this request."""
        return cls(
            uid=row.uid if isinstance(row, Session) else row.session_uid,
            device=user_agent.name_of(row.agent),
            ip=row.ip,
            created_at=clock.written(row.created_at),
            last_seen_at=clock.written(row.last_seen_at),
            expires_at=clock.written(row.expires_at),
            current=current,
        )


class Devices(Reply):
    """All signed-in devices of the user, most recently used first."""

    sessions: list[Device]

    @classmethod
    def of(cls, me: SignedIn, rows: Iterable[Session]) -> "Devices":
        """Describe the rows of the signed-in user."""
        return cls(sessions=[Device.of(row, row.uid == me.session_uid) for row in rows])


class TokenOfRequest(Reply):
    """The access token of a request."""

    uid: str
    name: str
    scopes: list[str]
    expires_at: str


class Profile(Reply):
    """The signed-in user. Times are RFC 3339 in UTC."""

    email: str
    uid: str
    created_at: str
    #: The session of the request; a request with an access token has that instead.
    session: Device | None = None
    access_token: TokenOfRequest | None = None
    #: Whether the session is fresh: the user authenticated within `session_fresh` seconds.
    fresh: bool

    @classmethod
    def of(cls, me: SignedIn, *, fresh: bool) -> "Profile":
        """Describe the signed-in user."""
        return cls(
            email=me.email,
            uid=me.user_uid,
            created_at=clock.written(me.user_created_at),
            session=Device.of(me, current=True) if me.token is None else None,
            access_token=TokenOfRequest(
                uid=me.token.uid,
                name=me.token.name,
                scopes=sorted(me.token.scopes),
                expires_at=clock.written(me.expires_at),
            )
            if me.token is not None
            else None,
            fresh=fresh,
        )

    @model_serializer(mode="wrap")
    def _without_the_other(self, write: Any) -> dict[str, Any]:
        """Leave out the one of session and token that the request has not."""
        shown: dict[str, Any] = write(self)
        return {name: value for name, value in shown.items() if value is not None}


class Which(Form):
    """Which sessions of the user to end; without `which`, this one.

    `next` is the path to go to afterwards, where this one ends.
    """

    which: Literal["others", "all"] | None = None
    next: Next = None


_FLASH = {None: "signed-out", "others": "others-out", "all": "out-everywhere"}


def _ended(
    flash: str, *, stays: bool, secret: str | None = None, return_to: str | None = None
) -> Answer:
    """Answer after sessions ended; a user who stays signed in returns to the devices."""
    if stays:
        return Answer(status=204, redirect_to="/sessions", flash=flash, session=secret)
    return Answer(
        status=204,
        redirect_to="/",
        return_to=return_to,
        session=False,
        flash=flash,
        after="sign_out",
    )


@page("GET /sessions/new", query=ReturnTo, returns={200: SignInForm}, public=True)
def sign_in_page(query: ReturnTo) -> Answer:
    """Show the sign-in form."""
    form = SignInForm(next=query.next)
    return Answer(form, template="sessions/sign_in.html", return_to=query.next)


@page(
    "POST /sessions",
    accepts=Credentials,
    returns={200: LoggedIn},
    errors=(
        MalformedEmail,
        PasswordTooLong,
        WrongCredentials,
        MFARequired,
        AccountDisabled,
    ),
    public=True,
    form_template="sessions/sign_in.html",
    hashes=True,
)
def login(form: Credentials, caller: Caller, visitor: Visitor) -> Answer:
    """Sign in: open a new session and set its cookie."""
    opened = Sessions.current().sign_in(
        caller,
        form.email,
        form.password,
        replaces=visitor.session,
        return_to=form.next,
        remember=form.remembers,
    )
    return Answer(
        LoggedIn(email=opened.user.email),
        redirect_to="/profile",
        return_to=form.next,
        after="sign_in",
        session=opened.secret,
        device=opened.device,
        language=opened.language,
    )


@page("DELETE /sessions", query=Which, returns={204: None})
def logout(query: Which, caller: Caller, me: SignedIn) -> Answer:
    """Sign out this device, all other devices, or all devices."""
    secret = Sessions.current().end_which(caller, me, query.which)
    return _ended(
        _FLASH[query.which], stays=secret is not None, secret=secret, return_to=query.next
    )


@page("GET /sessions", returns={200: Devices}, scope="account:read")
def devices(me: SignedIn) -> Answer:
    """List the user's signed-in devices."""
    rows = Sessions.current().list(me.user_id)
    return Answer(Devices.of(me, rows), template="sessions/devices.html")


@page("DELETE /sessions/<uid>", returns={204: None}, errors=(NoSuchSession,))
def end_session(uid: str, caller: Caller, me: SignedIn) -> Answer:
    """End one of the user's sessions by its uid."""
    Sessions.current().end_one(caller, me, uid)
    return _ended("signed-out-there", stays=uid != me.session_uid)


@page("GET /profile", returns={200: Profile}, scope="")
def profile(me: SignedIn) -> Answer:
    """Return the signed-in user and the session."""
    fresh = Sessions.current().is_fresh(me)
    return Answer(Profile.of(me, fresh=fresh), template="sessions/profile.html")
