"""Registers, reads the emails of registering and verifies emails, for tests."""

from __future__ import annotations

import re

from werkzeug.test import TestResponse

from bienvenue.authentication import CODE
from bienvenue.features.mail import Message
from tests.conftest import EMAIL, PASSPHRASE, Service
from tests.features.password_resets import IP, messages, text_of

#: A server that no one asks: emails are written as if they left.
SMTP = {"smtp_host": "mail.example.org", "mail_from": "no-reply@example.org"}
OTHER = "huit hérissons dans un hamac"


def register(
    service: Service,
    email: str = EMAIL,
    password: str = PASSPHRASE,
    ip: str = IP,
    **more: str,
) -> TestResponse:
    """Register as a program."""
    sent = {"email": email, "password": password} | more
    return service.client().post("/users", json=sent, environ_base={"REMOTE_ADDR": ip})


def resend(service: Service, email: str = EMAIL, ip: str = IP) -> TestResponse:
    """Ask for another email as a program."""
    return service.client().post(
        "/email/verification/resend", json={"email": email}, environ_base={"REMOTE_ADDR": ip}
    )


def link_in(service: Service, message: Message) -> str:
    """Give the link of an email."""
    (found,) = re.findall(r"https?://\S+", text_of(service, message))
    return str(found)


def token_in(service: Service, message: Message) -> str:
    """Give the token of the link of an email."""
    return link_in(service, message).partition("?token=")[2]


def newest(service: Service, kind: str = "registration") -> str:
    """Give the token of the newest email of a kind."""
    return token_in(service, messages(service, kind)[-1])


def registered(service: Service, email: str = EMAIL, password: str = PASSPHRASE) -> str:
    """Register and give the token of the email."""
    before = len(messages(service, "registration"))
    assert register(service, email, password).status_code == 202
    assert len(messages(service, "registration")) == before + 1
    return newest(service)


def verify(service: Service, token: str, password: str = PASSPHRASE, **more: str) -> TestResponse:
    """Verify an email as a program."""
    sent = {"verification_token": token, "password": password} | more
    return service.client().post("/email/verification", json=sent)


def invited(service: Service, email: str = EMAIL) -> str:
    """Invite someone and give the token of the email."""
    service.auth.invitations.invite(CODE, email)
    return newest(service, "invitation")


def heard(answer: TestResponse) -> tuple[int, str]:
    """Give status and code of a refusal."""
    return answer.status_code, answer.get_json()["code"]
