"""Back to the page that was wanted, whichever way a browser signs in, in a host application."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, request
from werkzeug.test import TestResponse

from bienvenue import login_required, site_path
from bienvenue.settings import Settings, SettingsProblem
from tests.conftest import EMAIL, PASSPHRASE
from tests.web.browser import HTML, forms
from tests.web.hosts import BROWSER, CREDENTIALS, MakeHost, make_host, send

__all__ = ["make_host"]

SIGN_IN = "/account/sessions/new"


def with_shelf(app: Flask) -> Flask:
    """Add views that a browser wants."""

    @app.route("/shelf/<path:name>", methods=["GET", "POST"])
    @login_required
    def shelf(name: str) -> str:
        return f"{name} {request.query_string.decode()}"

    return app


def wanted_by(answer: TestResponse) -> str | None:
    """Give the page that a browser is to come back to, from the address of the sign-in page."""
    assert answer.status_code == 303
    parts = urlsplit(answer.location)
    assert parts.path.endswith(SIGN_IN)
    return parse_qs(parts.query).get("next", [None])[0]


@pytest.mark.table(shown=2)
@pytest.mark.parametrize(
    ("asked", "wanted"),
    [
        ("/shelf/3?page=2&q=a+b", "/shelf/3?page=2&q=a+b"),
        ("/shelf/caf%C3%A9%20noir?q=%C3%A9%26", "/shelf/caf%C3%A9%20noir?q=%C3%A9%26"),
        ("/shelf/3?", "/shelf/3"),
        ("/shelf/3?q=100%&r=<b>", "/shelf/3?q=100%25&r=%3Cb%3E"),
        ("/shelf/a;b=c,d:e@f", "/shelf/a;b=c,d:e@f"),
        ("/shelf/3?to=//evil.example", "/shelf/3?to=//evil.example"),
    ],
)
def test_a_browser_comes_back_to_the_page_it_wanted(
    make_host: MakeHost, asked: str, wanted: str
) -> None:
    """Its path and its query, whatever stands in them."""
    client = with_shelf(make_host()).test_client()
    sent = client.get(asked, headers=HTML)
    assert wanted_by(sent) == wanted
    back = send(client, sent.location, **CREDENTIALS)
    assert (back.status_code, back.location) == (303, wanted)
    assert client.get(wanted, headers=HTML).status_code == 200
    assert client.get_cookie("return_to") is None


@pytest.mark.parametrize("asked", ["/shelf/a//b", "/shelf/a%5Cb", "/shelf/" + "a" * 2001])
def test_a_path_that_a_browser_may_read_as_another_is_not_kept(
    make_host: MakeHost, asked: str
) -> None:
    """The browser signs in as if it had come by itself."""
    client = with_shelf(make_host()).test_client()
    sent = client.get(asked, headers=HTML)
    assert wanted_by(sent) is None
    assert send(client, sent.location, **CREDENTIALS).location == "/account/profile"


def test_the_mount_is_that_of_the_setting(make_host: MakeHost) -> None:
    """A path that a request brings leads nowhere."""
    client = with_shelf(make_host(mount="/books")).test_client()
    for mount in ("/books", "/~mallory"):
        brought: dict[str, Any] = {"environ_overrides": {"SCRIPT_NAME": mount}}
        sent = client.get("/shelf/3?page=2", headers=HTML, **brought)
        assert wanted_by(sent) == "/books/shelf/3?page=2"
    ours = client.get("/account/profile", headers=HTML, environ_overrides={"SCRIPT_NAME": "/books"})
    assert wanted_by(ours) == "/books/account/profile"


def test_a_page_of_ours_stays_under_the_path_of_the_request(make_host: MakeHost) -> None:
    """As its links do, for an operator who has not named the mount yet."""
    client = with_shelf(make_host()).test_client()
    mounted: dict[str, Any] = {"environ_overrides": {"SCRIPT_NAME": "/books"}}
    sent = CREDENTIALS | {"next": "/account/activity"}
    answer = client.post("/account/sessions", data=sent, headers=BROWSER, **mounted)
    assert answer.location == "/books/account/activity"


@pytest.mark.table(shown=2)
@pytest.mark.parametrize(
    ("referrer", "wanted"),
    [
        ("http://localhost:5000/shelf/3?page=2", "/shelf/3?page=2"),
        ("http://localhost/shelf/3", "/shelf/3"),
        ("http://evil.example/shelf/3", None),
        ("http://localhost//evil.example", None),
        ("http://localhost", None),
        ("http://[", None),
        (None, None),
    ],
)
def test_a_form_leads_back_to_the_page_it_was_on(
    make_host: MakeHost, referrer: str | None, wanted: str | None
) -> None:
    """A browser cannot send it again by itself."""
    client = with_shelf(make_host(after_sign_in="/shelf/mine")).test_client()
    headers = BROWSER | ({} if referrer is None else {"Referer": referrer})
    sent = client.post("/shelf/3", data={"title": "Emma"}, headers=headers)
    assert wanted_by(sent) == wanted
    assert send(client, sent.location, **CREDENTIALS).location == (wanted or "/shelf/mine")


def test_a_browser_comes_back_after_registering(make_host: MakeHost) -> None:
    """By the links of the pages: their addresses name no page, the browser keeps it."""
    client = with_shelf(make_host()).test_client()
    sent = client.get("/shelf/3?page=2", headers=HTML)
    assert "/account/users/new" in client.get(sent.location, headers=HTML).text
    typed = {"email": "rob@example.com", "password": PASSPHRASE}
    assert "Your account is ready" in send(client, "/account/users/new", **typed).text
    assert send(client, SIGN_IN, **typed).location == "/shelf/3?page=2"


def test_a_link_to_register_may_name_the_page_too(make_host: MakeHost) -> None:
    """As the navigation of a host application does."""
    client = with_shelf(make_host()).test_client()
    typed = {"email": "rob@example.com", "password": PASSPHRASE}
    send(client, "/account/users/new?next=/shelf/3", **typed)
    assert send(client, SIGN_IN, **typed).location == "/shelf/3"


def test_a_browser_comes_back_after_resetting_its_password(make_host: MakeHost) -> None:
    """Within the hour in which the link works."""
    app = with_shelf(make_host())
    client = app.test_client()
    sent = client.get("/shelf/3", headers=HTML)
    client.get(sent.location, headers=HTML)
    token = app.extensions["bienvenue"].auth.get_reset_password_token(EMAIL)
    new = "neuf grenouilles sous la pluie"
    client.get(f"/account/reset_password?token={token}", headers=HTML)
    done = send(client, "/account/reset_password/new", new_password=new)
    assert "Your password was reset" in done.text
    assert send(client, SIGN_IN, email=EMAIL, password=new).location == "/shelf/3"


def test_the_address_of_the_page_comes_before_what_the_browser_keeps(make_host: MakeHost) -> None:
    """Two tabs: each goes back to its own page. Signing out forgets both."""
    client = with_shelf(make_host()).test_client()
    first = client.get("/shelf/1", headers=HTML).location
    second = client.get("/shelf/2", headers=HTML).location
    form = forms(client.get(first, headers=HTML))[-1]
    client.get(second, headers=HTML)
    back = client.post(form.action, data=form.fields | CREDENTIALS, headers=BROWSER)
    assert back.location == "/shelf/1"
    client.get(f"{SIGN_IN}?next=/shelf/3", headers=HTML)
    out = client.delete("/account/sessions", headers=BROWSER)
    assert out.location == "/account/"
    assert client.get_cookie("return_to") is None


@pytest.mark.table(shown=2)
@pytest.mark.parametrize("kept", ["!", "=", "é", "L_c=", "Ly9ldmlsLmV4YW1wbGU="])
def test_a_cookie_that_names_no_page_leads_nowhere(make_host: MakeHost, kept: str) -> None:
    """Another host of the site may have set it: the last one is of //evil.example."""
    client = with_shelf(make_host()).test_client()
    client.set_cookie("return_to", kept)
    assert send(client, SIGN_IN, **CREDENTIALS).location == "/account/profile"


def test_a_program_is_told_and_kept_nothing(make_host: MakeHost) -> None:
    """401, and no cookie."""
    client = with_shelf(make_host()).test_client()
    assert client.get("/shelf/3").status_code == 401
    assert client.get(f"{SIGN_IN}?next=/shelf/3").get_json()["next"] == "/shelf/3"
    assert client.get_cookie("return_to") is None


def test_settings_say_where_people_go(make_host: MakeHost) -> None:
    """Below the mount; and arguments of `init_app` are settings too."""
    app = with_shelf(make_host(mount="/books", after_sign_in="/shelf/mine", after_sign_out="/"))
    client = app.test_client()
    assert send(client, SIGN_IN, **CREDENTIALS).location == "/books/shelf/mine"
    answer = client.delete("/account/sessions?which=all", headers=BROWSER)
    assert answer.location == "/books/"


def test_a_url_of_a_listed_origin_may_be_where_people_go(make_host: MakeHost) -> None:
    """With a path and a query."""
    home = "https://app.example.org/home?from=login"
    client = make_host(return_origins="https://app.example.org", after_sign_in=home).test_client()
    assert send(client, SIGN_IN, **CREDENTIALS).location == home


@pytest.mark.parametrize(
    "value",
    [
        "", "shelf", "//evil.example", "/\\evil.example", "javascript:alert(1)", "/a b", "/../x",
        "https://evil.example/", "https://app.example.org.evil.example/", "ftp://x.example/",
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["after_sign_in", "after_sign_out"])
def test_what_leads_elsewhere_is_no_such_setting(name: str, value: str) -> None:
    """A mistake is found at the start, not by the first visitor."""
    with pytest.raises(SettingsProblem, match=re.escape("is a path as /shelf, or a URL of")):
        Settings({}, return_origins="https://app.example.org", **{name: value})


@pytest.mark.parametrize(
    "path",
    [
        "", "shelf", "?x", "//", "//x", "/a//", "/\\x", "/%5Cx", "/%2F", "/%2fx", "/%00", "/%0D",
        "/%1f", "/%7F", "/.", "/..", "/a/../b", "/%2e%2E/b", "/.%2e", "/a/.", "/é", "/a b", "/#x",
        "/%", "/%zz", "/" + "a" * 2001,
    ],
)  # fmt: skip
def test_what_is_no_plain_path_of_a_site(path: str) -> None:
    """Whatever a browser, a proxy or a server behind it may read in another way."""
    assert not site_path.is_plain(path)


@pytest.mark.parametrize(
    "path", ["/", "/a", "/a/", "/a.b/..c/...", "/%20", "/%C3%A9", "/?x=//y/../z%2F%5C", "/a;b"]
)
def test_what_is_a_plain_path_of_a_site(path: str) -> None:
    """Everything else that a path and a query may hold."""
    assert site_path.is_plain(path)
