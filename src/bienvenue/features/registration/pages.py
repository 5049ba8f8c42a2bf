"""The pages of proving an email."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bienvenue import clock
from bienvenue.features.invitations import RegistrationClosed
from bienvenue.features.mail import EmailSent, TooManyEmails
from bienvenue.features.passwords import PasswordTooLong
from bienvenue.features.registration.operations import Registration, WrongVerificationToken
from bienvenue.normalize import MalformedEmail
from bienvenue.web.dispatch import AUTH
from bienvenue.web.page import Answer, Email, Form, Password, Reply, Visitor

if TYPE_CHECKING:
    from bienvenue.features.sessions import SignedIn

page = Registration.pages


class VerificationForm(Reply):
    """Where an email is proven, and which."""

    email: str
    action: Literal["POST /email/verification"] = "POST /email/verification"


class Verification(Form):
    """What proving takes; a browser keeps the token in a cookie."""

    password: Password
    email: Email | None = None
    verification_token: str | None = Field(
        None, repr=False, json_schema_extra={"format": "password", "writeOnly": True}
    )


class AccountCreated(Reply):
    """What proving gives."""

    email: str
    message: Literal["user created"] = "user created"


class ResendRequest(Form):
    """What asking for another letter takes."""

    email: Email


class EmailVerified(Reply):
    """One's email and since when it is proven (RFC 3339 in UTC), if it is."""

    email: str
    proven: str | None


@page(
    "GET /email/verification",
    returns={200: VerificationForm},
    errors=(WrongVerificationToken, RegistrationClosed),
    public=True,
    form_template="registration/resend.html",
    link="verification",
    formerly=("/email/proof",),
)
def proof_page(visitor: Visitor) -> Answer:
    """The page of proving an email, for whoever opened the link."""
    email = AUTH.registration.email_of(visitor.links.get("verification"))
    return Answer(VerificationForm(email=email), template="registration/verify.html")


@page(
    "POST /email/verification",
    accepts=Verification,
    returns={201: AccountCreated},
    errors=(WrongVerificationToken, PasswordTooLong, MalformedEmail, RegistrationClosed),
    public=True,
    form_template="registration/verify.html",
    hashes=True,
)
def prove_email(form: Verification, visitor: Visitor) -> Answer:
    """Make the account, by the letter's token and the password; nobody is signed in by it."""
    user = AUTH.registration.complete(
        form.verification_token or visitor.links.get("verification"),
        form.password,
        form.email,
        visitor.ip,
    )
    return Answer(
        AccountCreated(email=user.email),
        201,
        template="registration/done.html",
        spent_link="verification",
    )


@page(
    "POST /email/verification/resend",
    accepts=ResendRequest,
    returns={202: EmailSent},
    errors=(MalformedEmail, TooManyEmails, RegistrationClosed),
    public=True,
    form_template="registration/resend.html",
)
def send_proof_again(form: ResendRequest, visitor: Visitor) -> Answer:
    """Send another letter to whoever registered and did not prove the email yet."""
    AUTH.registration.again(form.email, visitor.ip, visitor.mount)
    return Answer(EmailSent(email=form.email), 202, template="registration/sent.html")


@page("GET /email/verified", returns={200: EmailVerified}, json_only=True)
def email_proven(me: "SignedIn") -> Answer:
    """Say since when one's email is proven."""
    at = AUTH.registration.proven(me.user_id)
    return Answer(EmailVerified(email=me.email, proven=None if at is None else clock.written(at)))
