"""Every kind of emailed link, for the one contract that all of them keep.

A kind says how its link is come by, where it leads, how its token is spent as a program, and what a
token that is none hears.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.features.proving import SMTP, newest

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
    #: Whoever is signed in to the account, where spending the token takes that.
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
        """Make a service, and send a link of this kind to somebody of it."""
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
    service.auth.invitations.invite(NEWCOMER)


def _change_email(service: Service, client: FlaskClient) -> None:
    client.put("/email", json={"new_email": "robert@example.org"})
    token = newest(service, "email_proof")
    assert client.post("/email/new", json={"email_token": token}).status_code == 200


KINDS = [
    Kind(
        "reset",
        "reset",
        lambda service, _: service.client().post("/reset_password", json={"email": EMAIL}),
        "/reset_password",
        "/reset_password/new",
        ("PUT", "/reset_password", {"email": EMAIL, "new_password": NEW}, "reset_token"),
        "wrong_reset_token",
        3600,
        "reset_lifetime",
        "1d",
    ),
    Kind(
        "proof",
        "proof",
        _register,
        "/email/proof",
        "/email/proof",
        ("POST", "/email/proof", {"password": PASSPHRASE}, "proof_token"),
        "wrong_proof",
        DAY,
        "proof_lifetime",
        "7d",
        of_account=False,
        replaced=False,
    ),
    Kind(
        "invitation",
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
        "email",
        "email_proof",
        lambda _, client: client.put("/email", json={"new_email": "robert@example.org"}),
        "/email/new",
        "/email/new",
        ("POST", "/email/new", {}, "email_token"),
        "wrong_email_token",
        DAY,
        "email_lifetime",
        "7d",
        signed_in=True,
    ),
    Kind(
        "undo",
        "email_changed",
        _change_email,
        "/email/undo",
        "/email/undo",
        ("POST", "/email/undo", {}, "undo_token"),
        "wrong_undo_token",
        7 * DAY,
        "email_undo",
        "30d",
        of_account=False,
        replaced=False,
    ),
    Kind(
        "second",
        "second_email_proof",
        lambda _, client: client.put("/second_email", json={"second_email": "b@example.net"}),
        "/second_email/proof",
        "/second_email/proof",
        ("POST", "/second_email/proof", {}, "second_token"),
        "wrong_second_token",
        DAY,
        "second_lifetime",
        "7d",
    ),
    Kind(
        "leaving",
        "account_closing",
        lambda _, client: client.delete("/profile"),
        "/leaving/undo",
        "/leaving/undo",
        ("POST", "/leaving/undo", {}, "leaving_token"),
        "wrong_leaving_token",
        14 * DAY,
        "leaving_grace",
        "90d",
        replaced=False,
    ),
]
