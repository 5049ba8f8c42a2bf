"""An application of someone else's, with a blueprint, classes of views and async views."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bienvenue import Auth, Bienvenue
from tests.conftest import EMAIL, KEY, PASSPHRASE
from tests.web.browser import HTML, forms

CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}
BROWSER = HTML | {"Sec-Fetch-Site": "same-origin"}
P = ParamSpec("P")
T = TypeVar("T")

MakeHost = Callable[..., Flask]


@pytest.fixture
def make_host(database: str, tmp_path: Path) -> Iterator[MakeHost]:
    """Make applications that have our pages under /account, with Bob's account."""
    made: list[Auth] = []

    def make(*, app: Flask | None = None, **given: Any) -> Flask:
        keys = tmp_path / "keys"
        keys.write_text(KEY)
        settings: dict[str, Any] = {"database_url": database, "secret_key_file": keys}
        settings |= {"bcrypt_cost": 4} | given
        app = app or Flask("theirs")
        made.append(Bienvenue(**settings).init_app(app, "/account"))
        if not made[1:]:
            made[0].register_user(EMAIL, PASSPHRASE)
        return app

    yield make
    for auth in made:
        auth.close()


def signed_in(app: Flask) -> FlaskClient:
    """A client that Bob signed in with."""
    client = app.test_client()
    assert client.post("/account/sessions", json=CREDENTIALS).status_code == 200
    return client


def plain(view: Callable[P, T]) -> Callable[P, T]:
    """Decorate as most decorators do, which know nothing of async views."""

    @wraps(view)
    def decorated(*args: P.args, **kwargs: P.kwargs) -> T:
        return view(*args, **kwargs)

    return decorated


def send(client: FlaskClient, page: str, **typed: str) -> TestResponse:
    """Fill in the form of a page and send it; see the page of what came of it."""
    form = forms(client.get(page, headers=HTML))[-1]
    answer = client.post(form.action, data=form.fields | typed, headers=BROWSER)
    if "/outcome/" in (answer.location or ""):
        return client.get(answer.location, headers=HTML)
    return answer
