"""Registers, reads the letters of registering and proves emails, for tests."""

from __future__ import annotations

import re

from werkzeug.test import TestResponse

from bienvenue.features.mail import Message
from tests.conftest import EMAIL, PASSPHRASE, Service
from tests.features.password_resets import IP, letters, text_of

#: A server that nobody asks: letters are written as if they left.
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


def link_in(service: Service, letter: Message) -> str:
    """Give the link of a letter."""
    (found,) = re.findall(r"https?://\S+", text_of(service, letter))
    return str(found)


def token_in(service: Service, letter: Message) -> str:
    """Give the token of the link of a letter."""
    return link_in(service, letter).partition("?token=")[2]


def newest(service: Service, kind: str = "registration") -> str:
    """Give the token of the newest letter of a kind."""
    return token_in(service, letters(service, kind)[-1])


def registered(service: Service, email: str = EMAIL, password: str = PASSPHRASE) -> str:
    """Register and give the token of the letter."""
    before = len(letters(service, "registration"))
    assert register(service, email, password).status_code == 202
    assert len(letters(service, "registration")) == before + 1
    return newest(service)


def verify(service: Service, token: str, password: str = PASSPHRASE, **more: str) -> TestResponse:
    """Prove an email as a program."""
    sent = {"verification_token": token, "password": password} | more
    return service.client().post("/email/verification", json=sent)


def invited(service: Service, email: str = EMAIL) -> str:
    """Invite somebody and give the token of the letter."""
    service.auth.invitations.invite(email)
    return newest(service, "invitation")


def heard(answer: TestResponse) -> tuple[int, str]:
    """Give status and code of a refusal."""
    return answer.status_code, answer.get_json()["code"]
