"""Closes accounts, reads the links that open them again, and lets time pass, for tests."""

from __future__ import annotations

import re

from flask.testing import FlaskClient
from sqlalchemy import inspect, text
from werkzeug.test import TestResponse

from bienvenue import clock
from tests.conftest import EMAIL, PASSPHRASE, Service
from tests.features.password_resets import messages, text_of

DAY = 86400
GRACE = 14 * DAY
CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}


def close(service: Service, client: FlaskClient | None = None) -> TestResponse:
    """Close Bob's account as he would with a program."""
    return (client or service.signed_in()).delete("/profile")


def link(service: Service, kind: str = "account_closed") -> str:
    """Give the link of the newest email of a kind."""
    (found,) = re.findall(r"https?://\S+\?token=\S+", text_of(service, messages(service, kind)[-1]))
    return str(found)


def token_of(service: Service, kind: str = "account_closed") -> str:
    """Give the token of that link."""
    return link(service, kind).partition("?token=")[2]


def closed(service: Service) -> str:
    """Close Bob's account and give the token that opens it again."""
    assert close(service).status_code == 202
    return token_of(service)


def reopen(service: Service, token: str | None) -> TestResponse:
    """Open an account again by a token, as a program."""
    return service.client().post("/account/reopen", json={"reopening_token": token})


def sign_in(service: Service) -> TestResponse:
    """Sign Bob in."""
    return service.client().post("/sessions", json=CREDENTIALS)


def sweep(service: Service) -> int:
    """Do what the clean-up does about accounts."""
    return service.auth.account_closure.sweep(clock.now(), 1000)


def rows_of(service: Service, user_id: int) -> dict[str, int]:
    """Count the rows of every table that bear a user's id, where there are any."""
    found = {}
    with service.auth._db.connect(writes=False) as connection:
        looked = inspect(connection)
        for table in looked.get_table_names():
            if "user_id" in {column["name"] for column in looked.get_columns(table)}:
                query = text(f'SELECT count(*) FROM "{table}" WHERE user_id = :id')
                if count := connection.execute(query, {"id": user_id}).scalar():
                    found[table] = count
    return found
