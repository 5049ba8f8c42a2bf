"""What an access token opens in an application's own views. `mypy --strict` checks these too."""

from __future__ import annotations

from typing import ClassVar

import pytest
from flask import Blueprint, Flask
from flask.typing import ResponseReturnValue
from flask.views import MethodView
from werkzeug.test import TestResponse

from bienvenue import (
    Auth,
    current_user,
    form_token_required,
    groups_required,
    login_required,
    login_user,
    logout_user,
    reauthentication_required,
    scopes_required,
)
from bienvenue.authentication import CODE
from bienvenue.features.access_tokens import ServiceAccount
from tests.conftest import EMAIL
from tests.web.browser import HTML
from tests.web.hosts import MakeHost, make_host, signed_in

__all__ = ["make_host"]


def add_classes(app: Flask) -> None:
    """Add classes of views: scopes on a method, guards on the class or within a method."""

    class Outer(MethodView):
        decorators: ClassVar = [login_required]

        @scopes_required("read")
        def get(self) -> ResponseReturnValue:
            return current_user.email

        def post(self) -> ResponseReturnValue:
            return current_user.email

    app.add_url_rule("/class", view_func=Outer.as_view("outer"))


def add_blueprints(app: Flask) -> None:
    """Add blueprints that are closed as a whole, one by scopes and one without."""
    asks = Blueprint("asks", __name__, url_prefix="/asks")
    bare = Blueprint("bare", __name__, url_prefix="/bare")

    @asks.before_request
    @scopes_required("read")
    def with_scopes() -> None:
        """Close every view."""

    @bare.before_request
    @login_required
    def without() -> None:
        """Close every view."""

    @asks.get("/plain")
    @login_required
    def plain() -> str:
        return current_user.email

    @bare.get("/named")
    @scopes_required("read")
    def named() -> str:
        return current_user.email

    @bare.get("/unnamed")
    def unnamed() -> str:
        return current_user.email

    app.register_blueprint(asks)
    app.register_blueprint(bare)


def add_views(app: Flask) -> None:
    """Add one view of every kind."""
    add_open(app)
    add_guarded(app)
    add_nested(app)
    add_classes(app)
    add_blueprints(app)


def add_open(app: Flask) -> None:
    """Add views without a guard."""

    @app.get("/open")
    def seen() -> dict[str, object]:
        scopes = current_user.scopes
        return {
            "user": bool(current_user),
            "scopes": None if scopes is None else sorted(scopes),
            "token": current_user.token_uid,
            "service": current_user.is_service,
            "read": current_user.has_scopes("read"),
            "full": current_user.has_scopes(),
        }

    @app.post("/out")
    def out() -> str:
        return str(logout_user())


def add_guarded(app: Flask) -> None:
    """Add views with one guard each."""

    @app.get("/login")
    @login_required
    def login() -> str:
        return current_user.email

    @app.get("/read")
    @scopes_required("read")
    def read() -> str:
        return current_user.email

    @app.get("/later")
    @login_required(scopes="read")
    async def later() -> str:
        return current_user.email

    @app.get("/both")
    @login_required(scopes=["read", "write"])
    def both() -> str:
        return current_user.email

    @app.get("/staff")
    @groups_required("staff")
    def staff() -> str:
        return current_user.email

    @app.get("/fresh")
    @reauthentication_required
    def fresh() -> str:
        return current_user.email


def add_nested(app: Flask) -> None:
    """Add views with several guards, in any order."""

    @app.get("/inside")
    @login_required
    @groups_required("staff")
    @scopes_required("read")
    def inside() -> str:
        return current_user.email

    @app.get("/outside")
    @scopes_required("read")
    @groups_required("staff")
    @login_required
    def outside() -> str:
        return current_user.email

    @app.post("/form")
    @scopes_required("write")
    @form_token_required
    def form() -> str:
        return current_user.email

    @app.get("/fresh-read")
    @scopes_required("read")
    @reauthentication_required
    def fresh_read() -> str:
        return current_user.email


@pytest.fixture
def app(make_host: MakeHost) -> Flask:
    """An application with two scopes; Bob is in its staff."""
    made = make_host(access_token_scopes="read, write")
    add_views(made)
    auth_of(made).groups.add(CODE, EMAIL, "staff")
    return made


def auth_of(app: Flask) -> Auth:
    """The service of an application."""
    found: Auth = app.extensions["bienvenue"].auth
    return found


def token(app: Flask, scopes: str) -> str:
    """A new token of Bob."""
    return auth_of(app).access_tokens.add_for(CODE, EMAIL, "ci", scopes).secret


def send(app: Flask, secret: str, path: str, method: str = "GET", **headers: str) -> TestResponse:
    """Send a request with a token and no cookie."""
    client = app.test_client(use_cookies=False)
    sent = {"Authorization": f"Bearer {secret}", **headers}
    return client.open(path, method=method, headers=sent)


def outcome(answer: TestResponse) -> str:
    """The email of the user, or the code of the refusal."""
    return answer.text if answer.status_code == 200 else answer.get_json()["code"]


LACKS, NO_TOKEN = "insufficient_scope", "session_required"
#: For each view: what a token of read, of write, of both, and of full access meets.
VIEWS = {
    "/login": (LACKS, LACKS, LACKS, EMAIL),
    "/read": (EMAIL, LACKS, EMAIL, EMAIL),
    "/later": (EMAIL, LACKS, EMAIL, EMAIL),
    "/both": (LACKS, LACKS, EMAIL, EMAIL),
    "/inside": (EMAIL, LACKS, EMAIL, EMAIL),
    "/outside": (EMAIL, LACKS, EMAIL, EMAIL),
    "/staff": (LACKS, LACKS, LACKS, EMAIL),
    "POST /form": (LACKS, EMAIL, EMAIL, EMAIL),
    "/fresh": (NO_TOKEN,) * 4,
    "/fresh-read": (NO_TOKEN, LACKS, NO_TOKEN, NO_TOKEN),
    "/class": (EMAIL, LACKS, EMAIL, EMAIL),
    "POST /class": (LACKS, LACKS, LACKS, EMAIL),
    "/asks/plain": (EMAIL, LACKS, EMAIL, EMAIL),
    "/bare/named": (EMAIL, LACKS, EMAIL, EMAIL),
    "/bare/unnamed": (LACKS, LACKS, LACKS, EMAIL),
}


def test_a_view_takes_the_tokens_of_its_scopes(app: Flask) -> None:
    """Guards nest in any order; a view that names no scope takes full access only."""
    secrets = [token(app, scopes) for scopes in ("read", "write", "read write", "*")]
    met = {
        view: tuple(
            outcome(send(app, secret, view.split()[-1], view.split()[0] if " " in view else "GET"))
            for secret in secrets
        )
        for view in VIEWS
    }
    assert met == VIEWS


def test_a_session_is_limited_by_no_scope(app: Flask) -> None:
    """It is the user themselves."""
    client = signed_in(app)
    for view in VIEWS:
        if view.startswith("/"):
            assert client.get(view).text == EMAIL, view
    assert client.post("/class").text == EMAIL
    shown = client.get("/open").get_json()
    assert shown == {
        "user": True,
        "scopes": None,
        "token": None,
        "service": False,
        "read": True,
        "full": True,
    }


def test_a_refusal_names_the_scopes_that_are_enough(app: Flask) -> None:
    """In the challenge and in the document (RFC 6750 section 3.1); a browser sees a page."""
    secret = token(app, "read")
    answer = send(app, secret, "/both")
    assert answer.headers["WWW-Authenticate"] == (
        'Bearer error="insufficient_scope", scope="read write"'
    )
    assert answer.get_json()["scopes"] == ["read", "write"]
    bare = send(app, secret, "/login")
    assert bare.headers["WWW-Authenticate"] == 'Bearer error="insufficient_scope"'
    assert bare.get_json()["scopes"] == []
    page = send(app, secret, "/both", **HTML)
    assert page.status_code == 403
    assert "have access" in page.text


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        ({}, "not_signed_in"),
        ({"Authorization": "Bearer no-token"}, "invalid_token"),
        ({"Authorization": "Bearer a,Bearer b"}, "several_credentials"),
        ({"Authorization": "Bearer a", "Cookie": "session_id=" + "A" * 43}, "several_credentials"),
    ],
)
def test_guards_refuse_as_the_pages_do(app: Flask, sent: dict[str, str], code: str) -> None:
    """An unguarded view sees no user, and is no error."""
    client = app.test_client(use_cookies=False)
    for path in ("/login", "/read", "/staff", "/asks/plain", "/account/profile"):
        answer = client.get(path, headers=sent)
        assert (answer.get_json()["code"], path) == (code, path)
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    assert client.get("/fresh", headers=sent).get_json()["code"] == code
    shown = client.get("/open", headers=sent).get_json()
    assert shown == {
        "user": False,
        "scopes": [],
        "token": None,
        "service": False,
        "read": False,
        "full": False,
    }


def test_a_form_token_is_needed_where_no_token_is_live(app: Flask) -> None:
    """A header that looks like a bearer skips nothing."""
    client = app.test_client(use_cookies=False)

    @app.post("/visitors")
    @form_token_required
    def visitors() -> str:
        return "done"

    for sent in ({}, {"Authorization": "Bearer no-token"}):
        answer = client.post("/visitors", headers=sent)
        assert answer.get_json()["code"] == "cross_site"
    assert send(app, token(app, "read"), "/visitors", "POST").text == "done"


def test_a_program_does_not_sign_out(app: Flask) -> None:
    """Its token lives on, and so do the sessions of the user."""
    client = signed_in(app)
    secret = token(app, "*")
    assert send(app, secret, "/out", "POST").text == "False"
    assert send(app, secret, "/login").text == EMAIL
    assert client.get("/login").text == EMAIL


def test_a_service_is_a_user_with_groups(app: Flask) -> None:
    """By its token, and by no session that code could open."""
    auth = auth_of(app)
    made = auth.access_tokens.add_for_service(CODE, "deploy", "ci", "read")
    assert outcome(send(app, made.secret, "/inside")) == "group_required"
    auth.groups.add(CODE, made.account, "staff")
    assert outcome(send(app, made.secret, "/inside")) == made.account
    shown = send(app, made.secret, "/open").get_json()
    assert (shown["service"], shown["token"], shown["scopes"]) == (True, made.uid, ["read"])
    with app.test_request_context(), pytest.raises(ServiceAccount):
        login_user(made.account)


def test_a_scope_must_be_named() -> None:
    """When the view is declared."""
    with pytest.raises(TypeError, match="scopes_required"):
        scopes_required()


def test_a_guard_of_the_whole_application_asks_of_paths_without_a_view_too(app: Flask) -> None:
    """An application may answer them all the same, as one does whose pages a script makes."""

    @app.before_request
    @login_required
    def close() -> None:
        """Close everything."""

    @app.errorhandler(404)
    def page(_error: Exception) -> ResponseReturnValue:
        return current_user.email, 200

    assert outcome(send(app, token(app, "read"), "/nowhere")) == LACKS
    assert outcome(send(app, token(app, "*"), "/nowhere")) == EMAIL
