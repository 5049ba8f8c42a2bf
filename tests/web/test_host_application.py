"""The extension inside someone else's application, and pages a feature may declare."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Blueprint, Flask

from bienvenue import Bienvenue, create_app, current_user, login_required
from bienvenue import app as bienvenue_app
from bienvenue.authentication import Caller
from bienvenue.db import DB
from bienvenue.features.accounts import Accounts
from bienvenue.features.sessions import NoSuchSession
from bienvenue.key_ring import KeyProblem, KeyRing
from bienvenue.web.dispatch import Dispatcher
from bienvenue.web.page import Answer, Form, Pages, Reply
from bienvenue.web.responses import CONTENT_POLICY
from tests.conftest import EMAIL, KEY, PASSPHRASE, MakeService, Service
from tests.ports import free_port
from tests.web.browser import HTML

CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}
Host = Callable[..., Flask]


@pytest.fixture
def host(database: str, tmp_path: Path) -> Iterator[Host]:
    """Make applications of others that our extension joins."""
    made: list[Flask] = []

    def make(url_prefix: str = "", **settings: Any) -> Flask:
        keys = tmp_path / "keys"
        keys.write_text(KEY)
        app = Flask("theirs")
        given: dict[str, Any] = {
            "database_url": database,
            "secret_key_file": keys,
            "bcrypt_cost": 4,
        }
        extension = Bienvenue(**given | settings)
        extension.init_app(app, url_prefix)

        @app.get("/theirs")
        @login_required
        def theirs() -> str:
            return f"hello {current_user.email}"

        @app.get("/open")
        def anyone() -> str:
            return "somebody" if current_user else "nobody"

        @app.post("/hook")
        def hook() -> str:
            return "taken"

        made.append(app)
        return app

    yield make
    for app in made:
        app.extensions["bienvenue"].auth.close()


def test_views_of_the_host_know_who_is_signed_in(host: Host) -> None:
    """And a guarded one is closed to everybody else."""
    client = host().test_client()
    assert client.get("/open").text == "nobody"
    refused = client.get("/theirs")
    assert (refused.status_code, refused.get_json()["code"]) == (401, "not_signed_in")
    sent = client.get("/theirs", headers=HTML)
    assert (sent.status_code, sent.location) == (303, "/sessions/new?next=%2Ftheirs")
    client.post("/users", json=CREDENTIALS)
    client.post("/sessions", json=CREDENTIALS)
    assert client.get("/theirs").text == f"hello {EMAIL}"
    assert client.get("/open").text == "somebody"


def test_a_context_that_was_pushed_makes_no_one_someone_else(host: Host) -> None:
    """F14: what `flask.g` keeps is then everybody's, so a request keeps what is its own itself."""
    app = host()
    with app.app_context():
        alice, bob, nobody = (app.test_client() for _ in range(3))
        for client, email in ((alice, EMAIL), (bob, "rob@example.com")):
            client.post("/users", json=CREDENTIALS | {"email": email})
            client.post("/sessions", json=CREDENTIALS | {"email": email})
            assert client.get("/theirs").text == f"hello {email}"
        assert nobody.get("/theirs").status_code == 401
        assert nobody.get("/open").text == "nobody"
        assert alice.get("/theirs").text == f"hello {EMAIL}"
        alice.delete("/sessions")
        assert alice.get("/theirs").status_code == 401
        forms = [app.test_client() for _ in range(2)]
        for client in forms:
            client.get("/sessions/new", headers=HTML)
        cookies = [client.get_cookie("form_id") for client in forms]
        assert len({cookie.value for cookie in cookies if cookie}) == 2


def test_a_request_asks_for_its_session_once(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """However often a view asks; and what was found for one secret answers for no other."""
    app = host()
    client = app.test_client()
    client.post("/users", json=CREDENTIALS)
    client.post("/sessions", json=CREDENTIALS)
    sessions = app.extensions["bienvenue"].auth.sessions
    asked: list[object] = []
    look_up = sessions.look_up

    def watched(secret: str) -> object:
        asked.append(secret)
        return look_up(secret)

    monkeypatch.setattr(sessions, "look_up", watched)
    client.get("/theirs")
    assert len(asked) == 1
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    environ = {"HTTP_COOKIE": f"session_id={cookie.value}"}
    with app.test_request_context(environ_overrides=environ) as context:
        assert current_user.email == EMAIL
        context.request.environ["HTTP_COOKIE"] = "session_id=" + "x" * 43
        assert not current_user


def test_a_guarded_view_says_503_when_the_database_is_away(host: Host) -> None:
    """No one is let in, and no one is told to sign in."""
    app = host()
    client = app.test_client()
    client.post("/users", json=CREDENTIALS)
    client.post("/sessions", json=CREDENTIALS)
    auth = app.extensions["bienvenue"].auth
    auth.close()
    auth._db._engine = DB(f"postgresql://127.0.0.1:{free_port()}/x").engine
    answer = client.get("/theirs")
    assert (answer.status_code, answer.get_json()["code"]) == (503, "unavailable")


def test_what_is_the_hosts_is_left_alone(host: Host) -> None:
    """Headers, the limit of bodies and the rule for other sites touch our pages only."""
    client = host().test_client()
    big = client.post("/hook", data=b"x" * 100_000, headers={"Origin": "https://evil.example"})
    assert (big.status_code, big.text) == (200, "taken")
    assert "Content-Security-Policy" not in big.headers
    assert client.get("/nothing").mimetype == "text/html"
    ours = client.get("/profile")
    assert ours.headers["Content-Security-Policy"] == CONTENT_POLICY
    assert client.post("/users", data=b"x" * 100_000).status_code == 413
    assert client.open("/users", method="TRACE").status_code == 405


def test_our_pages_may_stand_under_a_path(host: Host) -> None:
    """Links, forms, redirects and the stylesheet follow."""
    client = host("/account").test_client()
    page = client.get("/account/users/new", headers=HTML)
    assert 'action="/account/users"' in page.text
    assert 'href="/account/' in page.text
    assert 'href="/users' not in page.text
    client.post("/account/users", json=CREDENTIALS)
    made = client.post("/account/sessions", json=CREDENTIALS)
    assert made.status_code == 200
    assert client.get("/account/profile").get_json()["email"] == EMAIL
    assert client.get("/profile").status_code == 404
    gone = host("/account").test_client().get("/account/profile", headers=HTML)
    assert gone.location == "/account/sessions/new?next=%2Faccount%2Fprofile"


def test_no_redirect_of_the_router_names_the_host_of_a_request(host: Host) -> None:
    """Where a path of ours has a slash too many, or the last one is missing."""
    app = host("/account")
    app.add_url_rule("/their/own/", "slash", lambda: "theirs")
    client = app.test_client()
    for path in ("//sessions/new", "/sessions//new", "/bienvenue//static/bienvenue.css", "/x//y"):
        answer = client.get(f"/account{path}", headers={"Host": "evil.example"})
        assert answer.status_code == 404, path
        assert answer.location is None
    missing = client.get("/account", headers={"Host": "evil.example"})
    assert (missing.status_code, missing.get_json()["code"]) == (400, "unknown_host")
    assert client.get("/account").get_json() == {"message": "Bienvenue"}
    assert client.get("/account/sessions/new/").status_code == 404
    # What is theirs stays as it was.
    assert client.get("/their//own/").status_code == client.get("/their/own").status_code == 308


def test_the_extension_joins_at_once_when_it_is_given_an_application(
    database: str, tmp_path: Path
) -> None:
    """`Bienvenue(app)`, as other extensions do."""
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    app = Flask("theirs")
    Bienvenue(app, database_url=database, secret_key_file=keys, bcrypt_cost=4)
    assert app.test_client().get("/account/").json == {"message": "Bienvenue"}
    assert app.test_client().get("/").status_code == 404
    app.extensions["bienvenue"].auth.close()


def test_postgresql_asks_for_a_shared_key_file() -> None:
    """Nodes with keys of their own would refuse each other's forms."""
    with pytest.raises(KeyProblem, match="BIENVENUE_SECRET_KEY_FILE"):
        create_app(database_url=f"postgresql://127.0.0.1:{free_port()}/x")


def test_sqlite_makes_its_keys_in_the_instance_folder(tmp_path: Path, database: str) -> None:
    """On the first start, when no file is named."""
    if database.startswith("sqlite"):
        app = create_app(database_url=database, instance=tmp_path / "here")
        assert (tmp_path / "here" / "keys").exists()
        app.extensions["bienvenue"].auth.close()


class Wanted(Form):
    """A query."""

    page: str = "1"


class Found(Reply):
    """What is found."""

    page: str
    agent: str


extra = Pages()


@extra("GET /search", query=Wanted, returns={200: Found}, public=True)
def search(query: Wanted, caller: Caller) -> Answer:
    """Find something."""
    assert Accounts.current()
    return Answer(Found(page=query.page, agent=caller.agent))


@extra("GET /search/<uid>", returns={200: Found}, errors=(NoSuchSession,))
def search_one(uid: str) -> Answer:
    """Find one."""
    return Answer(Found(page=uid, agent=""))


@extra("POST /search", returns={204: None}, public=True)
def nothing() -> Answer:
    """Do nothing."""
    return Answer(status=204, redirect_to="/search")


@pytest.fixture
def with_extra(make_service: MakeService, monkeypatch: pytest.MonkeyPatch) -> Flask:
    """A service with pages more."""
    real = bienvenue_app.all_pages
    monkeypatch.setattr(bienvenue_app, "all_pages", lambda auth: [*real(auth), *extra])
    return make_service().app


def test_a_page_may_read_the_query_of_a_link(with_extra: Flask) -> None:
    """Its own parameters; those a link gathered on its way are left alone."""
    client = with_extra.test_client()
    asked = client.get("/search?page=2&utm_source=x", headers={"User-Agent": "a test"})
    assert asked.json == {"page": "2", "agent": "a test"}
    assert client.get("/search").get_json()["page"] == "1"
    twice = client.get("/search?page=1&page=2")
    assert (twice.status_code, twice.get_json()["code"]) == (400, "duplicate_field")
    assert client.get("/search?page=%00").get_json()["code"] == "malformed_text"


def test_the_query_of_a_link_is_in_the_document(with_extra: Flask) -> None:
    """With the refusals that reading it may give."""
    found = with_extra.test_client().get("/openapi.json").get_json()["paths"]["/search"]["get"]
    (parameter,) = found["parameters"]
    assert (parameter["name"], parameter["in"], parameter["required"]) == ("page", "query", False)
    assert "duplicate_field" in found["responses"]["400"]["description"]


def test_a_page_is_closed_unless_it_says_public(with_extra: Flask) -> None:
    """Though its function never asks who it is."""
    client = with_extra.test_client()
    assert client.get("/search/7").status_code == 401
    client.post("/users", json=CREDENTIALS)
    client.post("/sessions", json=CREDENTIALS)
    assert client.get("/search/7").get_json()["page"] == "7"
    assert client.get("/search/%00").status_code == 400


def test_an_answer_without_a_value_is_empty_or_a_redirect(with_extra: Flask) -> None:
    """To a program and to a browser."""
    client = with_extra.test_client()
    answer = client.post("/search")
    assert (answer.status_code, answer.data) == (204, b"")
    assert "Content-Type" not in answer.headers
    answer = client.post("/search", headers=HTML)
    assert (answer.status_code, answer.location) == (303, "/search")


def test_a_value_without_a_template_is_shown_as_it_is(with_extra: Flask) -> None:
    """So every page has a page."""
    shown = with_extra.test_client().get("/search?page=<b>", headers=HTML)
    assert shown.mimetype == "text/html"
    assert "&lt;b&gt;" in shown.text
    assert "<b>" not in shown.text


def test_two_pages_of_one_path_and_method_are_a_mistake(service: Service) -> None:
    """One of them would never be reached."""
    dispatcher = Dispatcher(service.auth, service.auth.settings, KeyRing([b"k" * 32]))
    with pytest.raises(ValueError, match="GET /search is declared twice"):
        dispatcher.open(Blueprint("bienvenue", __name__), [*extra, *extra])
