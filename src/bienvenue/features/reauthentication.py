"""reauthentication: the password once more, before an operation that changes access.

A session is fresh for a while after a sign-in. Operations that change who can sign in to an
account require a fresh session. The password makes a session fresh again and gives it a new
secret, so that the old one is worthless (ASVS 7.5.1, 7.2.4; NIST SP 800-63B-4 section 5.2).
"""

from typing import ClassVar, Literal

from bienvenue.feature import Event, Feature, Refusal, needs
from bienvenue.features.accounts import AccountDisabled
from bienvenue.features.passwords import (
    PasswordMatch,
    Passwords,
    PasswordTooLong,
    WrongCredentials,
)
from bienvenue.features.sessions import Sessions
from bienvenue.settings import Section
from bienvenue.user import SignedIn
from bienvenue.web.page import Answer, Form, Next, Pages, Password, Reply, ReturnTo, Visitor
from bienvenue.web.refusals import NotSignedIn

# --- words --------------------------------------------------------------------------------------


class ReauthenticationRequired(Refusal):
    """The session is valid, but its last authentication is too long ago (RFC 9470)."""

    status = 403
    code = "reauthentication_required"
    message = "You signed in a while ago. Enter your password first."
    redirect_to = "/reauthentication"


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
    _sessions = needs(Sessions)
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {"session.reauthenticated": "The password was confirmed."}

    def require(self, me: SignedIn) -> None:
        """Raise ReauthenticationRequired unless the session is fresh."""
        if not self._sessions.is_fresh(me):
            raise ReauthenticationRequired

    def confirm(self, me: SignedIn, password: str, ip: str, device: str | None) -> str:
        """Make a session fresh with the user's password; return its new secret.

        A wrong password counts like one at sign-in. Raises PasswordTooLong, TooManyAttempts,
        PasswordLocked, Busy, WrongPassword, AccountDisabled, and NotSignedIn when the session or
        the account changed meanwhile.
        """

        def renewed(match: PasswordMatch) -> str:
            if match.user.id != me.user_id:
                raise NotSignedIn
            secret = self._sessions.rotate(me)
            self._registry.publish(
                Event("session.reauthenticated", me.user_id, {"session": me.session_uid, "ip": ip})
            )
            return secret

        try:
            return self._passwords.admit(me.email, password, renewed, ip, device)
        except WrongCredentials:
            raise WrongPassword("password") from None


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
def confirm(form: ReauthenticationRequest, me: SignedIn, visitor: Visitor) -> Answer:
    """Confirm the password; the session becomes fresh and gets a new secret."""
    secret = Reauthentication.current().confirm(me, form.password, visitor.ip, visitor.device)
    return Answer(
        Reauthenticated(email=me.email), redirect_to="/profile", return_to=form.next, session=secret
    )
