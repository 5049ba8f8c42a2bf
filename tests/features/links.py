"""Every kind of emailed link, for the one contract that all of them keep.

A kind says how its link is come by, where it leads, how its token is spent as a program, and what a
token that is none hears.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bienvenue import purposes
from bienvenue.authentication import CODE
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.features.registrations import SMTP, newest

DAY = 86400
NEWCOMER = "newcomer@example.net"
NEW = "sept grenouilles sur un nuage"
Sent = dict[str, object]


@dataclass
class Case:
    """A link of one kind that was sent, and who is there to open it."""

    kind: Kind
    service: Service
    token: str
    #: Anyone who is signed in to the account, where spending the token takes that.
    client: FlaskClient

    def spend(self, token: object) -> TestResponse:
        """Spend a token as a program."""
        method, path, form, field_ = self.kind.spends
        client = self.client if self.kind.signed_in else self.service.client()
        return client.open(path, method=method, json=form | {field_: token})

    def look(self, token: str) -> TestResponse:
        """Open the page that the link leads to, as a browser that followed it."""
        client = self.client if self.kind.signed_in else self.service.client()
        client.set_cookie(f"{self.kind.name}_token", token)
        try:
            return client.get(self.kind.page)
        finally:
            client.delete_cookie(f"{self.kind.name}_token")

    def follow(self, token: str) -> TestResponse:
        """Open the link itself."""
        return self.service.client().get(f"{self.kind.link}?token={token}")

    def code(self, answer: TestResponse) -> tuple[int, str]:
        """Give status and code of a refusal."""
        return answer.status_code, answer.get_json()["code"]


@dataclass(frozen=True)
class Kind:
    """One kind of emailed link."""

    name: str
    #: What the digest of its token is bound to.
    purpose: str
    #: The kind of the email that bears it.
    email: str
    #: Sends one for this service and client.
    send: Callable[[Service, FlaskClient], object]
    #: The path of the link, and that of its page.
    link: str
    page: str
    #: Method and path at which its token is spent, what is sent beside it, and its field.
    spends: tuple[str, str, Sent, str]
    #: What a token that is none hears, with 403.
    refused: str
    #: How long it works, in seconds, by which setting, and the longest that may be set.
    lifetime: int
    setting: str
    longest: str
    #: Whether it is the account's: what happens to the account ends it.
    of_account: bool = True
    #: Whether sending another one ends it.
    replaced: bool = True
    signed_in: bool = False
    settings: Mapping[str, object] = field(default_factory=dict)

    def sent(self, make_service: MakeService, **settings: object) -> Case:
        """Make a service, and send a link of this kind to someone of it."""
        service = make_service(**SMTP | dict(self.settings) | settings)
        service.auth.register_user(EMAIL, PASSPHRASE)
        client = service.client()
        self.sign_in(client)
        self.send(service, client)
        return Case(self, service, newest(service, self.email), client)

    def sign_in(self, client: FlaskClient) -> None:
        """Sign in to the account."""
        answer = client.post("/sessions", json={"email": EMAIL, "password": PASSPHRASE})
        assert answer.status_code == 200, answer.text


def _register(service: Service, _: FlaskClient) -> None:
    service.client().post("/users", json={"email": NEWCOMER, "password": PASSPHRASE})


def _invite(service: Service, _: FlaskClient) -> None:
    service.auth.invitations.invite(CODE, NEWCOMER)


def _change_email(service: Service, client: FlaskClient) -> None:
    client.put("/email", json={"new_email": "robert@example.org"})
    token = newest(service, "new_email_verification")
    assert client.post("/email/new", json={"email_change_token": token}).status_code == 200


KINDS = [
    Kind(
        "reset",
        purposes.PASSWORD_RESET,
        "password_reset",
        lambda service, _: service.client().post("/reset_password", json={"email": EMAIL}),
        "/reset_password",
        "/reset_password/new",
        ("PUT", "/reset_password", {"email": EMAIL, "new_password": NEW}, "reset_token"),
        "wrong_reset_token",
        3600,
        "password_reset_lifetime",
        "1d",
    ),
    Kind(
        "verification",
        purposes.VERIFICATION,
        "registration",
        _register,
        "/email/verification",
        "/email/verification",
        ("POST", "/email/verification", {"password": PASSPHRASE}, "verification_token"),
        "wrong_verification_token",
        DAY,
        "verification_lifetime",
        "7d",
        of_account=False,
        replaced=False,
    ),
    Kind(
        "invitation",
        purposes.INVITATION,
        "invitation",
        _invite,
        "/users/new",
        "/users/new",
        ("POST", "/users", {"email": NEWCOMER, "password": PASSPHRASE}, "invitation"),
        "wrong_invitation",
        7 * DAY,
        "invitation_lifetime",
        "90d",
        of_account=False,
        settings={"registration": "invited"},
    ),
    Kind(
        "email_change",
        purposes.EMAIL_CHANGE,
        "new_email_verification",
        lambda _, client: client.put("/email", json={"new_email": "robert@example.org"}),
        "/email/new",
        "/email/new",
        ("POST", "/email/new", {}, "email_change_token"),
        "wrong_email_change_token",
        DAY,
        "email_change_lifetime",
        "7d",
        signed_in=True,
    ),
    Kind(
        "email_restore",
        purposes.EMAIL_RESTORE,
        "email_changed",
        _change_email,
        "/email/restore",
        "/email/restore",
        ("POST", "/email/restore", {}, "email_restore_token"),
        "wrong_email_restore_token",
        7 * DAY,
        "email_restore_lifetime",
        "30d",
        of_account=False,
        replaced=False,
    ),
    Kind(
        "notification_email",
        purposes.NOTIFICATION_EMAIL,
        "notification_email_verification",
        lambda _, client: client.put(
            "/notification_email", json={"notification_email": "b@example.net"}
        ),
        "/notification_email/verification",
        "/notification_email/verification",
        ("POST", "/notification_email/verification", {}, "notification_email_token"),
        "wrong_notification_email_token",
        DAY,
        "notification_email_lifetime",
        "7d",
    ),
    Kind(
        "reopening",
        purposes.REOPENING,
        "account_closed",
        lambda _, client: client.delete("/profile"),
        "/account/reopen",
        "/account/reopen",
        ("POST", "/account/reopen", {}, "reopening_token"),
        "wrong_reopening_token",
        14 * DAY,
        "closure_grace",
        "90d",
        replaced=False,
    ),
]
