"""Cookies that a feature of an application brings."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from flask import Flask
from flask.testing import FlaskClient

from bienvenue import Bienvenue, tokens
from bienvenue.feature import Feature
from bienvenue.settings import Section
from bienvenue.web import cookies
from bienvenue.web.page import Answer, Pages, Reply, Visitor
from tests.conftest import KEY

OURS = [
    value
    for name, value in vars(cookies).items()
    if name.isupper() and isinstance(value, str) and name != "LINK"
]


class Basket(Reply):
    """What a browser carries."""

    found: list[str]


class Baskets(Feature[Section]):
    """A feature with a cookie that a browser keeps for an hour."""

    name = "baskets"
    cookies: ClassVar = {"basket": 3600}
    pages: ClassVar[Pages] = Pages()


@Baskets.pages("GET /basket", returns={200: Basket}, public=True)
def shown(visitor: Visitor) -> Answer:
    """Show what is found."""
    return Answer(Basket(found=list(visitor.cookies.values())))


@Baskets.pages("POST /basket", returns={204: None}, public=True)
def taken() -> Answer:
    """Give the browser a new one."""
    return Answer(status=204, cookies={"basket": tokens.new()})


@Baskets.pages("DELETE /basket", returns={204: None}, public=True)
def left() -> Answer:
    """Take it away."""
    return Answer(status=204, cookies={"basket": None})


@pytest.fixture
def given(tmp_path: Path, database: str) -> dict[str, Any]:
    """Settings of a service."""
    (tmp_path / "keys").write_text(KEY)
    return {"database_url": database, "secret_key_file": tmp_path / "keys", "bcrypt_cost": 4}


@pytest.fixture(params=["http://localhost:5000", "https://login.example.org"])
def client(request: pytest.FixtureRequest, given: dict[str, Any]) -> Iterator[FlaskClient]:
    """A browser of an application with the feature, at a base URL."""
    app = Flask("theirs")
    extension = Bienvenue(**given, base_url=request.param)
    auth = extension.init_app(app, url_prefix="", features=[Baskets])
    # Where the client of Flask believes to be.
    scheme, _, host = request.param.partition("://")
    app.config |= {"PREFERRED_URL_SCHEME": scheme, "SERVER_NAME": host}
    yield app.test_client()
    auth.close()


def test_it_is_set_read_and_cleared(client: FlaskClient) -> None:
    """As the service's own: out of reach of scripts, and with the prefix of https."""
    assert client.get("/basket").get_json() == {"found": []}
    sent = client.post("/basket").headers["Set-Cookie"]
    name = sent.partition("=")[0]
    assert name in {"basket", "__Host-basket"}
    for part in ("HttpOnly", "SameSite=Lax", "Path=/", "Max-Age=3600"):
        assert part in sent
    assert ("Secure" in sent) == name.startswith("__Host-")
    (found,) = client.get("/basket").get_json()["found"]
    assert tokens.well_formed(found)
    assert "Max-Age=0" in client.delete("/basket").headers["Set-Cookie"]
    assert client.get("/basket").get_json() == {"found": []}
    nonsense = {"HTTP_COOKIE": f"{name}=nonsense"}
    assert client.get("/basket", environ_overrides=nonsense).get_json() == {"found": []}


@pytest.mark.parametrize("name", [*OURS, "email_token"])
def test_no_feature_takes_a_name_of_ours(given: dict[str, Any], name: str) -> None:
    """It would read, or replace, what is not its own."""

    class Thief(Baskets):
        name = "thief"
        cookies: ClassVar = {}

    Thief.cookies = {name: 60}
    with pytest.raises(ValueError, match=f"thief has a cookie with a name in use: '{name}'"):
        Bienvenue(**given).init_app(Flask("theirs"), features=[Thief])


def test_two_features_have_not_one_name(given: dict[str, Any]) -> None:
    """Each would read the other's."""

    class Others(Feature[Section]):
        name = "others"
        cookies: ClassVar = {"basket": 60}

    with pytest.raises(ValueError, match="others has a cookie with a name in use"):
        Bienvenue(**given).init_app(Flask("theirs"), features=[Baskets, Others])
