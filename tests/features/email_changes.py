"""Asks for another email, reads the links of emails and follows them, for tests."""

from __future__ import annotations

import re

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bienvenue.features.mail import Message
from bienvenue.features.sessions import SignedIn
from tests.conftest import EMAIL, Service
from tests.features.password_resets import messages, text_of

NEW_EMAIL = "robert@example.org"
THIRD = "thief@example.net"
DAY = 86400
WEEK = 7 * DAY


def me_of(service: Service, client: FlaskClient) -> SignedIn:
    """Give whose session a client has; it has one."""
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    me = service.auth.sessions.check(cookie.value)
    assert me is not None
    return me


def ask(client: FlaskClient, new: str = NEW_EMAIL, ip: str = "192.0.2.1") -> TestResponse:
    """Ask for another email as a program."""
    return client.put("/email", json={"new_email": new}, environ_base={"REMOTE_ADDR": ip})


def link_of(service: Service, message: Message) -> str:
    """Give the link of an email."""
    (found,) = re.findall(r"https?://\S+", text_of(service, message))
    return str(found)


def token_of(service: Service, kind: str) -> str:
    """Give the token of the newest email of a kind."""
    return link_of(service, messages(service, kind)[-1]).partition("?token=")[2]


def asked(service: Service, client: FlaskClient, new: str = NEW_EMAIL) -> str:
    """Ask for another email and give the token of the email to it."""
    before = len(messages(service, "new_email_verification"))
    answer = ask(client, new)
    assert answer.status_code == 202, answer.text
    assert len(messages(service, "new_email_verification")) == before + 1
    return token_of(service, "new_email_verification")


def verify(client: FlaskClient, token: str | None) -> TestResponse:
    """Spend the token of a new email as a program."""
    return client.post("/email/new", json={} if token is None else {"email_change_token": token})


def restore(service: Service, token: str | None) -> TestResponse:
    """Spend the token of an old email as a program that no one is signed in to."""
    sent = {} if token is None else {"email_restore_token": token}
    return service.client().post("/email/restore", json=sent)


def change(service: Service, client: FlaskClient, new: str = NEW_EMAIL) -> str:
    """Change the email, and give the token of the email to the old one."""
    answer = verify(client, asked(service, client, new))
    assert (answer.status_code, answer.json) == (200, {"email": new, "message": "Email updated"})
    return token_of(service, "email_changed")


def exists(service: Service, email: str) -> bool:
    """Tell whether there is an account of an email."""
    return any(user.email == email for user in service.auth.accounts.list())


def reserved(service: Service, email: str = EMAIL) -> bool:
    """Tell whether someone who registers an email hears that it is taken."""
    answer = service.client().post("/users", json={"email": email, "password": "x" * 14 + " long"})
    assert answer.status_code in {201, 409}, answer.text
    return answer.status_code == 409
