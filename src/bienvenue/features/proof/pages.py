"""The pages of proving an email."""

from typing import TYPE_CHECKING, Literal

from pydantic import Field

from bienvenue import clock
from bienvenue.features.invitations import RegistrationClosed
from bienvenue.features.mail import LetterSent, TooManyLetters
from bienvenue.features.passwords import PasswordTooLong
from bienvenue.features.proof.operations import Proof, WrongProof
from bienvenue.fields import MalformedEmail
from bienvenue.web.door import AUTH
from bienvenue.web.page import Answer, Email, Form, Password, Reply, Visitor

if TYPE_CHECKING:
    from bienvenue.features.sessions import SignedIn

page = Proof.pages


class ProofForm(Reply):
    """Where an email is proven, and which."""

    email: str
    action: Literal["POST /email/proof"] = "POST /email/proof"


class Evidence(Form):
    """What proving takes; a browser keeps the token in a cookie."""

    password: Password
    email: Email | None = None
    proof_token: str | None = Field(
        None, repr=False, json_schema_extra={"format": "password", "writeOnly": True}
    )


class Begun(Reply):
    """What proving gives."""

    email: str
    message: Literal["user created"] = "user created"


class Again(Form):
    """What asking for another letter takes."""

    email: Email


class EmailProven(Reply):
    """One's email and since when it is proven (RFC 3339 in UTC), if it is."""

    email: str
    proven: str | None


@page(
    "GET /email/proof",
    gives={200: ProofForm},
    refuses=(WrongProof, RegistrationClosed),
    public=True,
    again="proof/again.html",
    link="proof",
)
def proof_page(visitor: Visitor) -> Answer:
    """The page of proving an email, for whoever opened the link."""
    email = AUTH.proof.email_of(visitor.links.get("proof"))
    return Answer(ProofForm(email=email), page="proof/prove.html")


@page(
    "POST /email/proof",
    takes=Evidence,
    gives={201: Begun},
    refuses=(WrongProof, PasswordTooLong, MalformedEmail, RegistrationClosed),
    public=True,
    again="proof/prove.html",
    hashes=True,
)
def prove_email(form: Evidence, visitor: Visitor) -> Answer:
    """Make the account, by the letter's token and the password; nobody is signed in by it."""
    user = AUTH.proof.complete(
        form.proof_token or visitor.links.get("proof"), form.password, form.email, visitor.ip
    )
    return Answer(Begun(email=user.email), 201, page="proof/done.html", spent="proof")


@page(
    "POST /email/proof/letter",
    takes=Again,
    gives={202: LetterSent},
    refuses=(MalformedEmail, TooManyLetters, RegistrationClosed),
    public=True,
    again="proof/again.html",
)
def send_proof_again(form: Again, visitor: Visitor) -> Answer:
    """Send another letter to whoever registered and did not prove the email yet."""
    AUTH.proof.again(form.email, visitor.ip, visitor.root)
    return Answer(LetterSent(email=form.email), 202, page="proof/sent.html")


@page("GET /email/proven", gives={200: EmailProven}, for_programs=True)
def email_proven(me: "SignedIn") -> Answer:
    """Say since when one's email is proven."""
    at = AUTH.proof.proven(me.user_id)
    return Answer(EmailProven(email=me.email, proven=None if at is None else clock.written(at)))
