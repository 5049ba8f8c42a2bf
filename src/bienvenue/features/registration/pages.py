"""The pages that verify the email of a registration."""

from typing import Literal

from bienvenue import clock
from bienvenue.authentication import Caller
from bienvenue.features.accounts import EmailTaken
from bienvenue.features.custom_fields import CustomFields
from bienvenue.features.invitations import RegistrationClosed, WrongInvitation
from bienvenue.features.mail import EmailSent, TooManyEmails
from bienvenue.features.passwords import (
    PasswordCommon,
    PasswordOwnWords,
    PasswordTooLong,
    PasswordTooShort,
)
from bienvenue.features.registration.errors import PasswordRequired, WrongVerificationToken
from bienvenue.features.registration.models import BROWSER_COOKIE, PendingRegistration
from bienvenue.features.registration.operations import Registration
from bienvenue.features.sessions import MFARequired, OpenedSession
from bienvenue.normalize import MalformedEmail, PrivateEmail
from bienvenue.user import SignedIn, User
from bienvenue.web.page import (
    Answer,
    Email,
    Form,
    LinkToken,
    Password,
    Reply,
    ReturnTo,
    Visitor,
)
from bienvenue.web.refusals import LinkNotOpen

page = Registration.pages


class RegistrationRequest(Form):
    """The body of a request for an account."""

    email: Email
    password: Password
    invitation: LinkToken = None


class Registered(Reply):
    """An account was created."""

    email: str
    message: Literal["user created"] = "user created"


class RegistrationForm(Reply):
    """The form for a new account; `email` is the invited address, or empty."""

    email: str
    action: Literal["POST /users"] = "POST /users"


@page(
    "GET /users/new",
    query=ReturnTo,
    returns={200: RegistrationForm},
    errors=(RegistrationClosed, WrongInvitation),
    public=True,
    link="invitation",
)
def registration_page(query: ReturnTo, visitor: Visitor) -> Answer:
    """Show the form for a new account; an invitation's link opens it too."""
    form = RegistrationForm(
        email=Registration.current().invited_email(visitor.links.get("invitation"))
    )
    return Answer(form, template="registration/register.html", return_to=query.next)


@page(
    "POST /users",
    accepts=RegistrationRequest,
    returns={201: Registered, 202: EmailSent},
    errors=(
        MalformedEmail,
        PrivateEmail,
        RegistrationClosed,
        WrongInvitation,
        PasswordTooShort,
        PasswordTooLong,
        PasswordCommon,
        PasswordOwnWords,
        EmailTaken,
        TooManyEmails,
    ),
    public=True,
    form_template="registration/register.html",
    hashes=True,
    custom_fields="all",
)
def users(form: RegistrationRequest, caller: Caller, visitor: Visitor) -> Answer:
    """Create an account, or send the email that verifies the address first."""
    invitation = visitor.links.get("invitation")
    return _answered(
        form.email,
        invitation,
        Registration.current().register(
            caller,
            form.email,
            form.password,
            form.invitation,
            invitation,
            fields=CustomFields.current().values(form),
        ),
    )


def _answered(email: str, invitation: str | None, made: User | PendingRegistration) -> Answer:
    if isinstance(made, PendingRegistration):
        return Answer(
            EmailSent(email=email),
            202,
            template="registration/sent.html",
            cookies={BROWSER_COOKIE: made.browser},
        )
    value, spent = Registered(email=made.email), None if invitation is None else "invitation"
    return Answer(value, 201, template="registration/registered.html", spent_link=spent)


class VerificationForm(Reply):
    """The form that verifies an email, and that email; the browser that registered has its own."""

    email: str
    action: Literal["POST /email/verification", "POST /email/verification/here"]


class Verification(Form):
    """A verification of an email; a browser keeps the token in a cookie."""

    password: Password
    email: Email | None = None
    verification_token: LinkToken = None


class VerificationHere(Form):
    """A verification in the browser that registered, which has the cookie of its registration."""

    verification_token: LinkToken = None
    email: Email | None = None


class AccountCreated(Reply):
    """The account was created."""

    email: str
    message: Literal["user created"] = "user created"


class ResendRequest(Form):
    """A request for a new verification email."""

    email: Email


class EmailVerified(Reply):
    """The email of the user, and when it was verified (RFC 3339 in UTC), or null."""

    email: str
    verified_at: str | None


@page(
    "GET /email/verification",
    returns={200: VerificationForm},
    errors=(WrongVerificationToken, LinkNotOpen, RegistrationClosed),
    public=True,
    form_template="registration/resend.html",
    link="verification",
    formerly=("/email/proof",),
)
def verification_page(visitor: Visitor) -> Answer:
    """Show the form that verifies the email of an emailed link."""
    return _form(
        *Registration.current().open_link(
            visitor.links.get("verification"), visitor.cookies.get(BROWSER_COOKIE)
        )
    )


def _form(email: str, here: bool) -> Answer:
    if here:
        value = VerificationForm(email=email, action="POST /email/verification/here")
        return Answer(value, template="registration/verify_here.html")
    value = VerificationForm(email=email, action="POST /email/verification")
    return Answer(value, template="registration/verify.html")


@page(
    "POST /email/verification",
    accepts=Verification,
    returns={201: AccountCreated},
    errors=(
        WrongVerificationToken,
        LinkNotOpen,
        PasswordTooLong,
        MalformedEmail,
        RegistrationClosed,
    ),
    public=True,
    form_template="registration/verify.html",
    hashes=True,
)
def verify_email(form: Verification, caller: Caller, visitor: Visitor) -> Answer:
    """Create the account with the token of the email and the password. It starts no session."""
    user = Registration.current().complete(
        caller,
        form.verification_token or visitor.links.get("verification"),
        form.password,
        form.email,
    )
    return _created(user)


def _created(user: User) -> Answer:
    return Answer(
        AccountCreated(email=user.email),
        201,
        template="registration/done.html",
        spent_link="verification",
    )


@page(
    "POST /email/verification/here",
    accepts=VerificationHere,
    returns={201: AccountCreated},
    errors=(
        WrongVerificationToken,
        LinkNotOpen,
        PasswordRequired,
        MalformedEmail,
        RegistrationClosed,
        MFARequired,
    ),
    public=True,
    form_template="registration/verify.html",
)
def verify_email_here(form: VerificationHere, caller: Caller, visitor: Visitor) -> Answer:
    """Create the account in the browser that registered, without the password, and sign in."""
    return _signed_in(
        *Registration.current().complete_here(
            caller,
            form.verification_token or visitor.links.get("verification"),
            visitor.cookies.get(BROWSER_COOKIE),
            form.email,
            replaces=visitor.session,
        )
    )


def _signed_in(user: User, opened: OpenedSession | None) -> Answer:
    if opened is None:
        return _created(user)
    return Answer(
        AccountCreated(email=user.email),
        201,
        redirect_to="/profile",
        flash="account-created",
        session=opened.secret,
        device=opened.device,
        language=opened.language,
        cookies={BROWSER_COOKIE: None},
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
def resend_verification(form: ResendRequest, caller: Caller) -> Answer:
    """Send a new link to an email whose registration is pending."""
    Registration.current().resend(caller, form.email)
    return Answer(EmailSent(email=form.email), 202, template="registration/sent.html")


@page("GET /email/verified", returns={200: EmailVerified})
def email_verified(me: SignedIn) -> Answer:
    """Return when the email of the user was verified."""
    at = Registration.current().verified_at(me.user_id)
    return Answer(
        EmailVerified(email=me.email, verified_at=None if at is None else clock.written(at)),
        template="registration/email.html",
    )
