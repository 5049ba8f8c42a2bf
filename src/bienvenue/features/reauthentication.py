"""fresh: saying once more who one is, before what a borrowed browser must not do.

A session is fresh for a while after signing in. What changes who can get into an account asks for
a fresh one; whoever knows the password makes theirs fresh again, under a new secret, so that the
old one is worth nothing (ASVS 7.5.1, 7.2.4; NIST SP 800-63B-4 section 5.2).
"""

from typing import TYPE_CHECKING, ClassVar, Literal

from bienvenue.feature import Event, Feature, Refusal
from bienvenue.features.passwords import (
    AccountDisabled,
    PasswordMatch,
    PasswordTooLong,
    WrongCredentials,
)
from bienvenue.settings import Section
from bienvenue.web.dispatch import AUTH, NotSignedIn
from bienvenue.web.page import Answer, Form, Next, Pages, Password, Reply, Visitor

if TYPE_CHECKING:
    from bienvenue.features.sessions import SignedIn

# --- words --------------------------------------------------------------------------------------


class ReauthenticationRequired(Refusal):
    """The session is good, and too long ago that the person said who they are."""

    status = 403
    code = "reauthentication_required"
    message = "You signed in a while ago. Enter your password first."
    redirect_to = "/reauthentication"


class WrongPassword(Refusal):
    """The password is not that of whoever is signed in."""

    status = 403
    code = "wrong_password"
    message = "Wrong password."


# --- operations ---------------------------------------------------------------------------------


class Reauthentication(Feature[Section]):
    """The operations on fresh sessions."""

    name = "reauthentication"
    pages: ClassVar[Pages] = Pages()
    events: ClassVar = {"session.reauthenticated": "The password was confirmed."}

    def require(self, me: "SignedIn") -> None:
        """Raise ReauthenticationRequired unless this person signed in, or confirmed it, a short while ago."""
        if not self._auth.sessions.is_fresh(me):
            raise ReauthenticationRequired

    def confirm(self, me: "SignedIn", password: str, ip: str, device: str | None) -> str:
        """Make a session fresh by its person's password; give its new secret.

        Wrong passwords count as those of signing in do. Raises PasswordTooLong, WrongPassword,
        AccountDisabled, and NotSignedIn when the session or the account changed meanwhile.
        """

        def renewed(proven: PasswordMatch) -> str:
            if proven.user.id != me.user_id:
                raise NotSignedIn
            secret = self._auth.sessions.rotate(me)
            self._auth.publish(
                Event("session.reauthenticated", me.user_id, {"session": me.session_uid, "ip": ip})
            )
            return secret

        try:
            return self._auth.passwords.admit(me.email, password, renewed, ip, device)
        except WrongCredentials:
            raise WrongPassword("password") from None


# --- pages --------------------------------------------------------------------------------------

page = Reauthentication.pages


class ReauthenticationRequest(Form):
    """What confirming takes."""

    password: Password
    next: Next = None


class Reauthenticated(Reply):
    """What it gives, beside the cookie."""

    email: str
    message: Literal["confirmed"] = "confirmed"


class ReauthenticationForm(Reply):
    """Where one confirms, and the page that one comes from."""

    email: str
    next: str | None
    action: Literal["POST /reauthentication"] = "POST /reauthentication"


class ReturnTo(Form):
    """Where to go on from there."""

    next: Next = None


@page("GET /reauthentication", query=ReturnTo, returns={200: ReauthenticationForm})
def confirmation_page(query: ReturnTo, me: "SignedIn") -> Answer:
    """The page of typing one's password once more."""
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
def confirm(form: ReauthenticationRequest, me: "SignedIn", visitor: Visitor) -> Answer:
    """Make one's session fresh; it goes on under a new secret."""
    secret = AUTH.reauthentication.confirm(me, form.password, visitor.ip, visitor.device)
    return Answer(
        Reauthenticated(email=me.email), redirect_to="/profile", return_to=form.next, session=secret
    )
