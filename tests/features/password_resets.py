"""Asks for reset emails, reads their tokens and looks into every table, for tests."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from flask.testing import FlaskClient
from sqlalchemy import event, inspect, text
from werkzeug.test import TestResponse

from bienvenue.features.mail import Message
from tests.conftest import EMAIL, Service

NEW = "sept grenouilles sur un nuage"
IP = "192.0.2.1"


def column(service: Service) -> str | None:
    """Give Bob's column `reset_token`."""
    return service.auth.accounts.find(EMAIL).reset_token


def ask(service: Service, email: str = EMAIL, ip: str = IP) -> TestResponse:
    """Ask for an email as a program."""
    return service.client().post(
        "/reset_password", json={"email": email}, environ_base={"REMOTE_ADDR": ip}
    )


def messages(service: Service, kind: str = "password_reset") -> list[Message]:
    """Give the emails of a kind, oldest first."""
    return [message for message in reversed(service.auth.mail.list()) if message.kind == kind]


def text_of(service: Service, message: Message) -> str:
    """Give what an email says."""
    body = service.auth.mail.read(message.uid).get_body(("plain",))
    assert body is not None
    return str(body.get_content())


def link(service: Service) -> str:
    """Give the link of the newest reset email."""
    (found,) = re.findall(r"https?://\S+", text_of(service, messages(service)[-1]))
    return str(found)


def asked(service: Service, email: str = EMAIL) -> str:
    """Ask for an email and give the token of its link."""
    before = len(messages(service))
    assert ask(service, email).status_code == 202
    assert len(messages(service)) == before + 1
    return link(service).partition("?token=")[2]


def put(service: Service, token: str, password: str = NEW, email: str = EMAIL) -> TestResponse:
    """Set a password by a token, as a program."""
    sent = {"email": email, "reset_token": token, "new_password": password}
    return service.client().put("/reset_password", json=sent)


def dump(service: Service) -> dict[str, list[str]]:
    """Give every row of every table as text, bytes as themselves and in hexadecimal."""
    found = {}
    with service.auth._db.connect(writes=False) as connection:
        for table in inspect(connection).get_table_names():
            rows = connection.execute(text(f'SELECT * FROM "{table}"'))
            found[table] = sorted(" ".join(map(_written, row)) for row in rows)
    return found


def answered(client: FlaskClient, answer: TestResponse, email: str) -> tuple[object, ...]:
    """Give what an answer says, without the email that it repeats and what is made anew each time.

    A browser is redirected to the page that says it.
    """
    followed = answer
    if answer.status_code == 303:
        followed = client.get(str(answer.location), headers={"Accept": "text/html"})
    changing = {"X-Request-Id", "Content-Length", "Location", "Set-Cookie"}
    headers = [
        sorted((name, value) for name, value in each.headers if name not in changing)
        for each in (answer, followed)
    ]
    cookies = sorted(cookie.partition("=")[0] for cookie in answer.headers.getlist("Set-Cookie"))
    text = re.sub(r'name="form_token" value="[^"]+"', "", followed.text.replace(email, "…"))
    return answer.status_code, followed.status_code, headers, cookies, text


def outstanding(service: Service, purpose: str) -> list[str]:
    """Give the rows of the outstanding one-time tokens of a purpose, as `dump` does."""
    return [row for row in dump(service)["one_time_tokens"] if f" {purpose!r} " in row]


def _written(value: object) -> str:
    if isinstance(value, bytes | memoryview):
        return f"{bytes(value)!r} {bytes(value).hex()}"
    return repr(value)


@contextmanager
def statements(service: Service) -> Iterator[list[str]]:
    """Collect the SQL that runs in a block."""
    said: list[str] = []

    def hear(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        said.append(" ".join(statement.split()))

    engine = service.auth._db._engine
    event.listen(engine, "before_cursor_execute", hear)
    try:
        yield said
    finally:
        event.remove(engine, "before_cursor_execute", hear)


@contextmanager
def transactions(service: Service) -> Iterator[list[None]]:
    """Count the transactions that begin in a block."""
    begun: list[None] = []

    def hear(_connection: object) -> None:
        begun.append(None)

    engine = service.auth._db._engine
    event.listen(engine, "begin", hear)
    try:
        yield begun
    finally:
        event.remove(engine, "begin", hear)
