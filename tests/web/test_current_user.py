"""Who is signed in, for the views and templates of a host application."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask, render_template_string

from bienvenue import current_user, form_token_required
from bienvenue.authentication import CODE
from bienvenue.host import templates
from bienvenue.host.current import ANONYMOUS, CurrentUser
from tests.conftest import EMAIL, Clock
from tests.web.browser import HTML, forms
from tests.web.hosts import BROWSER, CREDENTIALS, MakeHost, make_host, send, signed_in

__all__ = ["make_host"]


def showing(app: Flask, template: str) -> Flask:
    """Let an application show a template of its own at /show."""

    @app.get("/show")
    def show() -> str:
        return render_template_string(template)

    return app


NAMES = (
    "{{ current_user.is_authenticated }} {{ current_user.is_active }} "
    "{{ current_user.is_anonymous }} {{ current_user.fresh }} {{ current_user.get_id() }} "
    "{{ 'in' if current_user else 'out' }} {{ current_user.email }} "
    "{{ current_user.groups|sort|join }}"
)


def test_templates_know_who_is_signed_in(make_host: MakeHost) -> None:
    """By the names of Flask-Login, which the visitor has too."""
    app = showing(make_host(), NAMES)
    app.extensions["bienvenue"].auth.groups.add(CODE, EMAIL, "staff")
    uid = app.extensions["bienvenue"].auth.accounts.find(EMAIL).uid
    shown = signed_in(app).get("/show").text
    assert shown == f"True True False True {uid} in {EMAIL} staff"
    assert app.test_client().get("/show").text == "False False True False None out  "


def test_a_template_without_a_request_knows_of_no_one(make_host: MakeHost) -> None:
    """An email that a command of the application renders, for instance."""
    app = make_host()
    with app.app_context():
        assert render_template_string("{{ current_user.is_authenticated }}") == "False"
        assert not current_user
        assert current_user.get_id() is None
        assert repr(current_user) == "<AnonymousUser>"


def test_a_name_that_the_template_is_given_comes_first(make_host: MakeHost) -> None:
    """As with every name of a context processor."""
    app = make_host()

    @app.get("/show")
    def show() -> str:
        return render_template_string("{{ current_user }}", current_user="theirs")

    assert app.test_client().get("/show").text == "theirs"


def test_times_are_moments_and_fresh_is_a_boolean(make_host: MakeHost, moving_clock: Clock) -> None:
    """Aware and in UTC; a session is fresh for a quarter of an hour."""
    app = make_host()
    begun = datetime.fromtimestamp(moving_clock.time, UTC)
    seen: list[CurrentUser] = []

    @app.get("/look")
    def look() -> str:
        seen.append(current_user._get_current_object())  # type: ignore[attr-defined]  # of the proxy
        return str(current_user.fresh)

    client = signed_in(app)
    moving_clock.forward(899)
    assert client.get("/look").text == "True"
    moving_clock.forward(1)
    assert client.get("/look").text == "False"
    first, second = seen
    assert first.created_at == first.authenticated_at == first.user_created_at == begun
    assert first.last_seen_at == begun
    assert second.last_seen_at == begun + timedelta(seconds=899)
    assert first.expires_at == begun + timedelta(days=30)
    assert first.created_at.tzinfo is UTC
    assert first.amr == ("pwd",)
    assert first == second
    assert hash(first) == hash(second)
    assert first != ANONYMOUS
    assert repr(first) == f"<CurrentUser {first.user_uid}>"
    assert first.session_uid in str(client.get("/account/sessions").json)


def test_a_host_may_show_a_button_that_signs_out(make_host: MakeHost) -> None:
    """In its own navigation, in the language of the visitor; and nothing to a visitor."""
    nav = "{{ sign_out_form() }}|{{ sign_out_form('Bye & thanks', css_class='btn \"x') }}"
    app = showing(make_host(after_sign_out="/show"), nav)
    assert app.test_client().get("/show").text == "|"
    client = signed_in(app)
    shown = client.get("/show", headers={"Accept-Language": "fr"}).text
    assert "<button>Se déconnecter</button>" in shown
    assert '<button class="btn &#34;x">Bye &amp; thanks</button>' in shown
    form = forms(client.get("/show"))[0]
    # A browser that says nothing of where a form stands, as over plain HTTP.
    answer = client.post(form.action, data=form.fields, headers=HTML)
    assert (answer.status_code, answer.location) == (303, "/show")
    assert client.get("/show").text == "|"


@pytest.mark.parametrize(
    ("wanted", "reached"),
    [("/bye?now=1", "/bye?now=1"), ("//evil.example", "/show"), ("https://evil.example/", "/show")],
)
def test_the_button_may_lead_to_a_page_of_the_site(
    make_host: MakeHost, wanted: str, reached: str
) -> None:
    """Never to another site, whoever wrote the address."""
    app = showing(make_host(after_sign_out="/show"), f"{{{{ sign_out_form(next={wanted!r}) }}}}")
    client = signed_in(app)
    form = forms(client.get("/show"))[0]
    assert client.post(form.action, data=form.fields, headers=HTML).location == reached


def test_a_host_may_link_to_our_pages(make_host: MakeHost) -> None:
    """By a name or by the path, with a query; a name that is none is a mistake."""
    links = (
        "{{ account_url('profile') }} {{ account_url('sign_in', next='/a?b=c&d') }} "
        "{{ account_url('register') }} {{ account_url('devices') }} "
        "{{ account_url('/password') }} {{ account_url('notification_email') }}"
    )
    app = showing(make_host(), links)
    assert app.test_client().get("/show").text == (
        "/account/profile /account/sessions/new?next=%2Fa%3Fb%3Dc%26d /account/users/new "
        "/account/sessions /account/password /account/notification_email"
    )
    wrong = showing(make_host(), "{{ account_url('prfile') }}")
    wrong.testing = True
    with pytest.raises(LookupError, match="the service has no page 'prfile'"):
        wrong.test_client().get("/show")


def test_a_macro_without_a_context_has_the_names_too(make_host: MakeHost) -> None:
    """Navigation stands in macros, and an import takes no context along."""
    app = make_host()
    app.jinja_env.globals["nav"] = app.jinja_env.from_string(
        "{% macro nav() %}{{ account_url('profile') }}{% endmacro %}"
    ).module.nav  # type: ignore[attr-defined]  # a macro of the template
    showing(app, "{{ nav() }}")
    assert app.test_client().get("/show").text == "/account/profile"


def test_a_hosts_own_name_stays_its_own(make_host: MakeHost) -> None:
    """Whether it was there before ours or comes after; our own pages do not use it."""
    app = make_host()
    app.jinja_env.globals["form_token"] = lambda: "theirs"
    templates.add_names(app)
    client = showing(app, "{{ form_token() }}").test_client()
    assert client.get("/show").text == "theirs"
    assert send(client, "/account/sessions/new", **CREDENTIALS).status_code == 303


def with_form(app: Flask) -> Flask:
    """Add a form of the host's own, that only takes what its own page sent."""
    page = (
        "<form action='/book'><input name='form_token' value='{{ form_token() }}'></form>"
        "{{ form_token() }}"
    )
    showing(app, page)

    @app.route("/book", methods=["GET", "POST", "DELETE"])
    @form_token_required
    def book() -> str:
        return "kept"

    return app


@pytest.mark.parametrize("who", ["visitor", "user"])
def test_a_form_of_the_host_may_be_protected(make_host: MakeHost, who: str) -> None:
    """By the token of this browser, whether someone is signed in or not."""
    app = with_form(make_host())
    client = app.test_client() if who == "visitor" else signed_in(app)
    other = app.test_client() if who == "visitor" else signed_in(app)
    form = forms(client.get("/show"))[0]
    assert client.post("/book", data=form.fields).text == "kept"
    header = {"X-Form-Token": form.fields["form_token"]}
    assert client.delete("/book", headers=header).text == "kept"
    assert client.get("/book").text == "kept"
    # The token of another browser, of an attacker who has an account, say.
    theirs = forms(other.get("/show"))[0]
    for fields in ({}, {"form_token": ""}, {"form_token": "x"}, theirs.fields):
        refused = client.post("/book", data=fields, headers=BROWSER)
        assert refused.status_code == 403, fields
        assert "This page is out of date" in refused.text
    assert client.post("/book", json={}).get_json()["code"] == "cross_site"


def test_one_page_gives_a_browser_one_cookie_for_its_forms(make_host: MakeHost) -> None:
    """However many forms stand on it."""
    client = with_form(make_host()).test_client()
    answer = client.get("/show")
    assert len(answer.headers.getlist("Set-Cookie")) == 1
    assert client.get("/show").headers.getlist("Set-Cookie") == []
