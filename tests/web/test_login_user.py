"""Signing in and out by code of a host application, which has a proof of its own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from flask import Flask, Response, redirect, render_template_string, request
from werkzeug.http import parse_cookie
from werkzeug.wrappers import Response as Redirect

from bienvenue import current_user, form_token_required, login_user, logout_user, return_to
from bienvenue import reauthentication_required as fresh_required
from bienvenue.authentication import CODE, Authentication
from bienvenue.db import DatabaseUnavailable
from bienvenue.host.templates import form_token
from tests.conftest import EMAIL, Clock
from tests.databases import Databases
from tests.features import audits
from tests.features.toys import Codes
from tests.web.browser import HTML
from tests.web.hosts import BROWSER, CREDENTIALS, MakeHost, make_host, send, signed_in

__all__ = ["make_host"]


def with_door(app: Flask, **how: Any) -> Flask:
    """Add views that sign Bob in by a proof of the host's own, and out."""

    @app.post("/in")
    def come() -> str:
        user = login_user(request.form.get("who", EMAIL), **how)
        return f"{user.email} {current_user.fresh}"

    @app.post("/out")
    def go() -> str:
        return f"{logout_user()} {bool(current_user)}"

    @app.post("/strict")
    @fresh_required(within=10**9)
    def strict() -> str:
        return "strict"

    @app.get("/who")
    def who() -> str:
        return current_user.email if current_user else "no one"

    return app


def cookie_of(answer: Any, name: str = "session_id") -> dict[str, str]:
    """Give the attributes of a cookie that an answer sets."""
    (found,) = [one for one in answer.headers.getlist("Set-Cookie") if one.startswith(name)]
    return {key.lower(): value for key, value in parse_cookie(found).items()}


def test_code_signs_a_user_in_for_the_rest_of_the_request_and_after_it(make_host: MakeHost) -> None:
    """The cookie is ours, so our pages know the user too; and out again."""
    app = with_door(make_host())
    client = app.test_client()
    came = client.post("/in")
    assert came.text == f"{EMAIL} True"
    assert cookie_of(came)["max-age"] == str(30 * 86400)
    assert client.get("/who").text == EMAIL
    assert client.get("/account/profile").get_json()["email"] == EMAIL
    assert client.post("/strict").text == "strict"
    assert client.post("/out").text == "True False"
    assert client.get("/who").text == "no one"
    assert client.post("/out").text == "False False"
    auth = app.extensions["bienvenue"].auth
    assert audits.only(auth, "session.opened").facts["actor"] == "code"
    assert "session.ended" in audits.names(auth)


@pytest.mark.parametrize("kind", ["User", "uid", "email", "get_id"])
def test_a_user_is_named_in_every_way(make_host: MakeHost, kind: str) -> None:
    """By our user, its uid or email, or an object of the application that knows one."""
    app = make_host()
    user = app.extensions["bienvenue"].auth.accounts.find(EMAIL)

    class Theirs:
        def get_id(self) -> str:
            return str(user.uid)

    given = {"User": user, "uid": user.uid, "email": EMAIL, "get_id": Theirs()}[kind]
    with app.test_request_context():
        assert login_user(given).user_uid == user.uid
        assert current_user.get_id() == user.uid


@pytest.mark.parametrize(
    ("query", "default", "reached"),
    [
        ("?next=/shelf/3%3Fpage%3D2", "/home", "/shelf/3?page=2"),
        ("", "/home", "/home"),
        ("", None, "/start"),
        ("?next=//evil.example", None, "/start"),
        ("?next=https://evil.example/", "/home", "/home"),
    ],
)
def test_code_leads_on_to_the_page_that_was_wanted(
    make_host: MakeHost, query: str, default: str | None, reached: str
) -> None:
    """Never to another site; a browser that wanted none goes where the application says."""
    app = make_host(after_sign_in="/start")

    @app.post("/in")
    def come() -> Redirect:
        login_user(EMAIL)
        return redirect(return_to(default))

    assert app.test_client().post(f"/in{query}").location == reached


def test_code_leads_on_to_the_page_at_which_a_guard_stopped_the_browser(
    make_host: MakeHost,
) -> None:
    """The browser keeps it since the sign-in page; without any page there is the profile."""
    app = make_host()

    @app.post("/in")
    def come() -> Redirect:
        login_user(EMAIL)
        return redirect(return_to())

    client = app.test_client()
    client.get("/account/sessions/new?next=/shelf", headers=HTML)
    assert client.post("/in").location == "/shelf"
    assert client.get_cookie("return_to") is None
    assert client.post("/in").location == "/account/profile"


def test_the_session_that_the_browser_had_ends(make_host: MakeHost) -> None:
    """One browser is one device."""
    app = with_door(make_host())
    client = signed_in(app)
    client.post("/in")
    assert len(client.get("/account/sessions").get_json()["sessions"]) == 1


def test_a_session_that_is_not_fresh_is_never_taken_for_fresh(
    make_host: MakeHost, moving_clock: Clock
) -> None:
    """Not for the shortest time that a guard names nor for the longest; a password makes it so."""
    app = with_door(make_host(), fresh=False)
    client = app.test_client()
    moving_clock.forward(1)
    assert client.post("/in").text == f"{EMAIL} False"
    assert client.post("/strict").get_json()["code"] == "reauthentication_required"
    page = "/account/reauthentication?next=/who"
    assert send(client, page, password=CREDENTIALS["password"]).location == "/who"
    assert client.post("/strict").text == "strict"


@pytest.mark.parametrize("duration", [3600, 3600.9, timedelta(hours=1)])
def test_a_session_may_last_less_than_usual(
    make_host: MakeHost, moving_clock: Clock, duration: float | timedelta
) -> None:
    """The cookie goes with it, and so does the row."""
    client = with_door(make_host(), duration=duration).test_client()
    assert cookie_of(client.post("/in"))["max-age"] == "3600"
    moving_clock.forward(3599)
    assert client.get("/who").text == EMAIL
    moving_clock.forward(1)
    assert client.get("/who").text == "no one"


def test_a_session_lasts_no_longer_than_the_setting_says(make_host: MakeHost) -> None:
    """Whatever code asks for."""
    client = with_door(make_host(), duration=timedelta(days=4000)).test_client()
    assert cookie_of(client.post("/in"))["max-age"] == str(30 * 86400)


def test_a_session_that_ends_with_the_browser_still_does_with_a_new_secret(
    make_host: MakeHost,
) -> None:
    """The password typed once more and signing the others out replace the secret only."""
    client = with_door(make_host(), remember=False).test_client()
    assert "max-age" not in cookie_of(client.post("/in"))
    typed = {"password": CREDENTIALS["password"]}
    again = client.post("/account/reauthentication", json=typed)
    assert "max-age" not in cookie_of(again)
    assert "max-age" not in cookie_of(client.delete("/account/sessions?which=others", headers=HTML))
    assert "max-age" in cookie_of(client.post("/account/sessions", json=CREDENTIALS))


@pytest.mark.parametrize(
    ("who", "status", "code"),
    [("nobody@example.com", 404, "no_such_user"), (EMAIL, 403, "account_disabled")],
)
def test_no_one_is_signed_in_who_may_not_be(
    make_host: MakeHost, who: str, status: int, code: str
) -> None:
    """The answer is ours, unless the view catches the refusal."""
    app = with_door(make_host())
    app.extensions["bienvenue"].auth.accounts.disable(CODE, EMAIL)
    client = app.test_client()
    refused = client.post("/in", data={"who": who})
    assert (refused.status_code, refused.get_json()["code"]) == (status, code)
    assert client.post("/in", data={"who": who}, headers=BROWSER).mimetype == "text/html"
    assert client.get_cookie("session_id") is None


def test_a_factor_that_is_missing_comes_first(make_host: MakeHost) -> None:
    """The browser goes to its page with the sign-in in progress, which keeps what was asked for."""
    client = with_door(make_host(features=[Codes]), remember=False).test_client()
    sent = client.post("/in", headers=BROWSER)
    assert (sent.status_code, sent.location) == (303, "/account/code")
    assert client.get("/who").text == "no one"
    opened = client.post("/account/code", json={"code": "123456"})
    assert opened.status_code == 200
    assert client.get("/who").text == EMAIL
    assert "max-age" not in cookie_of(opened)


def test_an_account_that_changes_each_time_is_not_signed_in(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read again three times, and then refused."""
    app = with_door(make_host())
    sessions = app.extensions["bienvenue"].auth.sessions
    opened: list[Authentication] = []
    monkeypatch.setattr(sessions, "open", lambda _, found, **__: opened.append(found))
    assert app.test_client().post("/in").get_json()["code"] == "wrong_credentials"
    assert len(opened) == 3


def test_forms_of_the_same_answer_belong_to_the_new_session(make_host: MakeHost) -> None:
    """And after signing out to no session at all."""
    app = with_door(make_host())

    @app.post("/in/form")
    def come_and_see() -> str:
        login_user(EMAIL)
        return render_template_string("{{ form_token() }}")

    @app.post("/out/form")
    def go_and_see() -> str:
        logout_user()
        return render_template_string("{{ form_token() }}")

    @app.post("/book")
    @form_token_required
    def book() -> str:
        return "kept"

    client = app.test_client()
    for path in ("/in/form", "/out/form"):
        token = client.post(path).text
        assert client.post("/book", data={"form_token": token}).text == "kept"


def test_a_database_that_goes_away_costs_no_one_the_session(
    make_host: MakeHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is open; the browser keeps its cookie for as long as a session may live."""
    app = make_host()

    def away(_: str) -> None:
        raise DatabaseUnavailable

    monkeypatch.setattr(app.extensions["bienvenue"].identity, "of_session", away)
    answer = app.test_client().post("/account/sessions", json=CREDENTIALS)
    assert (answer.status_code, cookie_of(answer)["max-age"]) == (200, str(30 * 86400))


def test_whom_one_application_signs_in_is_no_one_to_another(
    make_host: MakeHost, databases: Databases
) -> None:
    """One application may hand the environment of its request on to one that it contains."""
    url = databases.fresh("sqlite")
    outer, inner = with_door(make_host()), with_door(make_host(database_url=url))
    seen: list[str] = []

    @inner.get("/page")
    def page() -> str:
        return f"{bool(current_user)} {form_token()}"

    @outer.post("/both")
    def both() -> str:
        login_user(EMAIL)
        environ = request.environ | {"PATH_INFO": "/page", "REQUEST_METHOD": "GET"}
        seen.extend(Response.from_app(inner.wsgi_app, environ).get_data(True).split())
        return f"{bool(current_user)} {form_token()}"

    mine = outer.test_client().post("/both").text.split()
    assert [mine[0], seen[0]] == ["True", "False"]
    assert mine[1] != seen[1]
