"""Names notification emails and verifies them, for tests."""

from __future__ import annotations

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.conftest import EMAIL, Service
from tests.features.closures import token_of

VERIFICATION = "notification_email_verification"
SECOND = "robert@elsewhere.example"


def name(client: FlaskClient, email: str = SECOND) -> TestResponse:
    """Name a notification email, as a program."""
    return client.put("/notification_email", json={"notification_email": email})


def asked(service: Service, client: FlaskClient | None = None, email: str = SECOND) -> str:
    """Name a notification email for Bob and give the token of the email there."""
    assert name(client or service.signed_in(), email).status_code == 202
    return token_of(service, VERIFICATION)


def verify(service: Service, token: str | None) -> TestResponse:
    """Verify a notification email by a token, as a program that is not signed in."""
    return service.client().post(
        "/notification_email/verification", json={"notification_email_token": token}
    )


def verified(service: Service, client: FlaskClient | None = None, email: str = SECOND) -> None:
    """Give Bob a notification email that counts."""
    assert verify(service, asked(service, client, email)).status_code == 200


def second_of(service: Service, email: str = EMAIL) -> str | None:
    """Give the verified notification email of an account."""
    return service.auth.notification_email.email_of(service.auth.accounts.find(email).id)


def told(service: Service, kind: str) -> list[str]:
    """Name the addresses to which emails of a kind went, sorted."""
    return sorted(one.email for one in service.auth.mail.list(1000) if one.kind == kind)
