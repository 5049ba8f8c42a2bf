"""Habits of a host: what it does to every response, text and request stops at our pages.

The stand-ins do what Flask-Talisman 1.1, Flask-Babel 4.0 and werkzeug's ProxyFix do in an
application; each test shows that our pages do not notice, and that the host does not notice us.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask, Response, redirect, render_template_string, request
from jinja2 import DictLoader
from jinja2.ext import InternationalizationExtension
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response as AnyResponse

from bienvenue import login_required
from bienvenue.web.responses import CONTENT_POLICY, VARY
from tests.conftest import EMAIL
from tests.web.browser import HTML
from tests.web.hosts import CREDENTIALS, MakeHost, make_host, signed_in

__all__ = ["make_host"]

pytestmark = pytest.mark.parametrize("database", ["sqlite"], indirect=True)
#: The headers of an application that allows much, and one thing that our pages need it forbids.
THEIRS = {
    "Content-Security-Policy": "default-src 'self' 'unsafe-inline' https://cdn.example; img-src *",
    "X-Frame-Options": "SAMEORIGIN",
    "X-Content-Type-Options": "sniff",
    "Referrer-Policy": "unsafe-url",
    "Permissions-Policy": "camera=(self)",
    "Cross-Origin-Opener-Policy": "unsafe-none",
    "Cross-Origin-Resource-Policy": "cross-origin",
    "Cache-Control": "public, max-age=600",
    "Vary": "Origin",
}
REPORT = "Content-Security-Policy-Report-Only"


def set_all(headers: Any) -> None:
    """Write the headers in the place of what is there, as Flask-Talisman."""
    for name, value in THEIRS.items():
        headers[name] = value


def add_all(headers: Any) -> None:
    """Write them beside what is there, as a careless function."""
    for name, value in THEIRS.items():
        headers.add(name, value)


def set_missing(headers: Any) -> None:
    """Write those that are missing."""
    for name, value in THEIRS.items():
        headers.setdefault(name, value)


def protecting(app: Flask, write: Callable[[Any], None], *, before: bool, join: Any) -> None:
    """Let the host write its headers on every response, registered before or after our pages."""

    def protect(response: Response) -> Response:
        write(response.headers)
        response.headers.add(REPORT, "default-src 'none'")
        response.headers["X-Shop"] = "open"
        return response

    if before:
        app.after_request(protect)
    join()
    if not before:
        app.after_request(protect)


@pytest.mark.parametrize("before", [True, False])
@pytest.mark.parametrize("write", [set_all, add_all, set_missing])
def test_headers_of_the_host_stay_on_its_pages_and_ours_on_ours(
    make_host: MakeHost, write: Callable[[Any], None], before: bool
) -> None:
    """One policy each: ours is not weakened, and no page is kept by a cache; the rest stays."""
    app = Flask("theirs")
    protecting(app, write, before=before, join=lambda: make_host(app=app))

    def shelf() -> str:
        return "theirs"

    app.add_url_rule("/shelf", "shelf", view_func=shelf)
    app.add_url_rule("/guarded", "guarded", view_func=login_required(shelf))
    client = signed_in(app)
    for path in ("/account/profile", "/account/users/new", "/account/bienvenue/static/none.css"):
        headers = client.get(path, headers=HTML).headers
        for name in THEIRS:
            assert len(headers.getlist(name)) == 1, (path, name)
        assert headers["Content-Security-Policy"] == CONTENT_POLICY
        assert headers["X-Frame-Options"] == "DENY"
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] in {"same-origin", "no-referrer"}
        assert headers["Permissions-Policy"].startswith("camera=()")
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert headers["Cache-Control"] == "no-store"
        assert set(VARY.split(", ")) <= set(headers["Vary"].split(", "))
        assert REPORT not in headers
        assert headers["X-Shop"] == "open"
    assert client.get("/account/users/new").headers["Referrer-Policy"] == "no-referrer"
    own = client.get("/shelf").headers
    assert {name: own[name] for name in THEIRS} == THEIRS
    assert own[REPORT] == "default-src 'none'"
    # A refusal of ours in the place of a view of the host is a page of ours.
    refused = app.test_client().get("/guarded", headers={"Accept": "application/json"})
    assert refused.status_code == 401
    assert refused.headers.getlist("Cache-Control") == ["no-store"]
    assert refused.headers.getlist("Content-Security-Policy") == [CONTENT_POLICY]
    assert client.get("/guarded").headers["X-Frame-Options"] == "SAMEORIGIN"


def test_a_stylesheet_of_ours_may_be_kept_as_the_host_says(make_host: MakeHost) -> None:
    """It is no secret; the policy is ours all the same."""
    app = Flask("theirs")
    protecting(app, set_all, before=True, join=lambda: make_host(app=app))
    answer = app.test_client().get("/account/bienvenue/static/bienvenue.css")
    assert answer.headers["Cache-Control"] == "public, max-age=600"
    assert answer.headers["Content-Security-Policy"] == CONTENT_POLICY
    answer.close()


@pytest.mark.parametrize("theirs", [None, "max-age=60", "max-age=300; preload"])
def test_what_is_promised_of_https_is_the_word_of_the_host(
    make_host: MakeHost, theirs: str | None
) -> None:
    """It holds for all of its pages: two of them would contradict each other (RFC 6797, 8.1)."""
    app = make_host(base_url="https://shop.example")
    if theirs is not None:
        app.after_request(
            lambda made: made.headers.add("Strict-Transport-Security", theirs) or made
        )
    answer = app.test_client().get("/account/users/new", base_url="https://shop.example")
    expected = [theirs or "max-age=31536000; includeSubDomains"]
    assert answer.headers.getlist("Strict-Transport-Security") == expected


def test_what_the_host_answers_in_our_place_has_its_own_headers(make_host: MakeHost) -> None:
    """Such as a page that says that the shop is closed, at every path."""
    app = Flask("theirs")
    app.before_request(lambda: ("closed", 503) if "closed" in request.args else None)
    protecting(app, set_all, before=True, join=lambda: make_host(app=app))
    answer = app.test_client().get("/account/users/new?closed", headers=HTML)
    assert (answer.status_code, answer.text) == (503, "closed")
    assert {name: answer.headers[name] for name in THEIRS} == THEIRS


def test_a_redirect_of_the_host_to_https_meets_our_pages_too(make_host: MakeHost) -> None:
    """And over https they answer."""
    app = Flask("theirs")

    def force() -> AnyResponse | None:
        return None if request.is_secure else redirect(request.url.replace("http://", "https://"))

    app.before_request(force)
    make_host(app=app, base_url="https://localhost")
    client = app.test_client()
    assert client.get("/account/users/new").location == "https://localhost/account/users/new"
    assert client.get("/account/users/new", base_url="https://localhost").status_code == 200


class Translations:
    """The texts of the host in one language."""

    def __init__(self, language: str) -> None:
        self._language = language

    def gettext(self, text: str) -> str:
        """Translate into it."""
        return f"{text} [{self._language}]"

    ugettext = gettext

    def ngettext(self, one: str, many: str, number: int) -> str:
        """Translate a number of things."""
        return self.gettext(one if number == 1 else many)

    ungettext = ngettext


def babel(app: Flask) -> None:
    """Do what Flask-Babel does: translate every template by the choice of its own cookie."""
    app.jinja_env.add_extension(InternationalizationExtension)

    def chosen() -> Translations:
        return Translations(request.cookies.get("language", "de"))

    app.jinja_env.install_gettext_callables(  # type: ignore[attr-defined]  # what the extension adds
        lambda text: chosen().ugettext(text),
        lambda one, many, number: chosen().ungettext(one, many, number),
        newstyle=True,
    )
    app.jinja_env.globals["get_locale"] = lambda: request.cookies.get("language", "de")


@pytest.mark.parametrize("before", [True, False])
def test_the_texts_of_the_host_are_its_own_and_ours_are_ours(
    make_host: MakeHost, before: bool
) -> None:
    """Though both call the function `_`; a layout of the host speaks for the host."""
    app = Flask("theirs")
    app.jinja_loader = DictLoader(
        {
            "bienvenue/layout.html": '<nav>{{ gettext("Sign in") }} {{ get_locale() }}</nav>'
            "{% block main %}{% endblock %}"
        }
    )
    if before:
        babel(app)
    make_host(app=app)
    if not before:
        babel(app)
    app.add_url_rule("/own", view_func=lambda: render_template_string("{{ _('Sign in') }}"))
    client = app.test_client()
    client.set_cookie("language", "pt")
    french = HTML | {"Accept-Language": "fr"}
    assert client.get("/own").text == "Sign in [pt]"
    page = client.get("/account/sessions/new", headers=french).text
    assert page.startswith("<nav>Sign in [pt] pt</nav>")
    assert "Se connecter" in page
    assert "[pt]" not in page.removeprefix("<nav>Sign in [pt]")
    assert client.get("/own").text == "Sign in [pt]"


def test_the_ip_that_proxy_fix_found_is_the_one_that_counts(
    make_host: MakeHost, caplog: pytest.LogCaptureFixture
) -> None:
    """For us and for the host; path and host of the headers lead no link elsewhere."""
    app = make_host(trusted_proxies="")
    app.wsgi_app = ProxyFix(  # type: ignore[method-assign]  # as its own docs say
        app.wsgi_app, x_for=1, x_proto=1, x_host=1, x_port=1, x_prefix=1
    )
    app.add_url_rule("/own", view_func=lambda: f"{request.remote_addr} {request.script_root}")
    client = app.test_client()
    sent = {
        "X-Forwarded-For": "192.0.2.9, 198.51.100.7",
        "X-Forwarded-Prefix": "/~mallory",
        "X-Forwarded-Host": "localhost",
        "X-Forwarded-Port": "5000",
    }
    assert client.get("/own", headers=sent).text == "198.51.100.7 /~mallory"
    client.post("/account/sessions", json=CREDENTIALS, headers=sent)
    (device,) = client.get("/account/sessions", headers=sent).get_json()["sessions"]
    assert device["ip"] == "198.51.100.7"
    client.post("/account/reset_password", json={"email": EMAIL}, headers=sent)
    mail = app.extensions["bienvenue"].auth.mail
    (message,) = [each for each in mail.list() if each.kind == "password_reset"]
    text = str(mail.read(message.uid).get_body(("plain",)).get_content())
    assert "http://localhost:5000/account/reset_password?token=" in text
    # The prefix of the header is no path of the setting: that is said, and no false alarm besides.
    assert "BIENVENUE_MOUNT" in caplog.text
    assert "BIENVENUE_TRUSTED_PROXIES" not in caplog.text
    elsewhere = client.get("/account/", headers=sent | {"X-Forwarded-Host": "evil.example"})
    assert (elsewhere.status_code, elsewhere.get_json()["code"]) == (400, "unknown_host")
