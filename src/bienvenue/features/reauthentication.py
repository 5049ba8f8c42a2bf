"""reauthentication: the password once more, before an operation that changes access.

A session is fresh for a while after a sign-in. Operations that change who can sign in to an
account require a fresh session. The password makes a session fresh again and gives it a new
secret, so that the old one is worthless (ASVS 7.5.1, 7.2.4; NIST SP 800-63B-4 section 5.2).
"""

from typing import ClassVar, Literal

from bienvenue.authentication import Attempt, Caller
from bienvenue.db import retried
from bienvenue.feature import Event, Feature, Refusal, needs
from bienvenue.features.accounts import AccountDisabled
from bienvenue.features.passwords import (
    Passwords,
    PasswordTooLong,
    WrongCredentials,
)
from bienvenue.features.rate_limits import RateLimits
from bienvenue.features.sessions import Sessions
from bienvenue.settings import Section
from bienvenue.user import SignedIn
from bienvenue.web.page import Answer, Form, Next, Pages, Password, Reply, ReturnTo
from bienvenue.web.refusals import NotSignedIn, ReauthenticationRequired

# --- words --------------------------------------------------------------------------------------


class WrongPassword(Refusal):
    """The password is not that of the signed-in user."""

    status = 403
    code = "wrong_password"
    message = "Wrong password."


# --- operations ---------------------------------------------------------------------------------


class Reauthentication(Feature[Section]):
    """The operations that check and renew the freshness of a session."""

    name = "reauthentication"
    _passwords = needs(Passwords)
    _rate_limits = needs(RateLimits)
    _sessions = needs(Sessions)
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {"session.reauthenticated": "The password was confirmed."}

    def require(self, me: SignedIn) -> None:
        """Raise ReauthenticationRequired unless the session is fresh."""
        if not self._sessions.is_fresh(me):
            raise ReauthenticationRequired

    def confirm(self, caller: Caller, me: SignedIn, password: str) -> str:
        """Make a session fresh with the user's password; return its new secret.

        A wrong password counts like one at sign-in. Raises PasswordTooLong, TooManyAttempts,
        PasswordLocked, Busy, WrongPassword, AccountDisabled, and NotSignedIn when the session or
        the account changed meanwhile.
        """
        try:
            authentication = self._passwords.authenticate(caller, me.email, password)
        except WrongCredentials:
            raise WrongPassword("password") from None
        if authentication.user.id != me.user_id:
            raise NotSignedIn
        return self._renew(caller, me, authentication.attempt)

    def vouch(self, caller: Caller, me: SignedIn) -> str:
        """Make a session fresh for code that has verified its user; return its new secret.

        Raises NotSignedIn when the session ended meanwhile.
        """
        return self._renew(caller, me, None)

    @retried
    def _renew(self, caller: Caller, me: SignedIn, attempt: Attempt | None) -> str:
        with self._db.transaction():
            secret = self._sessions.rotate(me)
            facts = {"session": me.session_uid}
            self._registry.publish(Event(caller, "session.reauthenticated", me.user_id, facts))
            self._rate_limits.settle(attempt)
        return secret


# --- pages --------------------------------------------------------------------------------------

page = Reauthentication.pages


class ReauthenticationRequest(Form):
    """The body of a reauthentication; `next` is the path to return to."""

    password: Password
    next: Next = None


class Reauthenticated(Reply):
    """The session is fresh; the cookie has its new secret."""

    email: str
    message: Literal["confirmed"] = "confirmed"


class ReauthenticationForm(Reply):
    """The form for the password, and the path to return to."""

    email: str
    next: str | None
    action: Literal["POST /reauthentication"] = "POST /reauthentication"


@page("GET /reauthentication", query=ReturnTo, returns={200: ReauthenticationForm})
def confirmation_page(query: ReturnTo, me: SignedIn) -> Answer:
    """Show the form that asks for the password once more."""
    return Answer(
        ReauthenticationForm(email=me.email, next=query.next),
        template="reauthentication/confirm.html",
    )


@page(
    "POST /reauthentication",
    accepts=ReauthenticationRequest,
    returns={200: Reauthenticated},
    errors=(PasswordTooLong, WrongPassword, AccountDisabled),
    form_template="reauthentication/confirm.html",
    hashes=True,
)
def confirm(form: ReauthenticationRequest, caller: Caller, me: SignedIn) -> Answer:
    """Confirm the password; the session becomes fresh and gets a new secret."""
    secret = Reauthentication.current().confirm(caller, me, form.password)
    return Answer(
        Reauthenticated(email=me.email), redirect_to="/profile", return_to=form.next, session=secret
    )
