"""What came of a form stands on a page of its own: a reload sends no form, and says the same."""

from __future__ import annotations

import base64

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bienvenue.web import outcomes
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.links import KINDS, Kind
from tests.features.registrations import SMTP
from tests.web.browser import HTML, Browser, Shown

NEWCOMER = "newcomer@example.net"


def posted(browser: Browser, form: Shown, **typed: str) -> TestResponse:
    """Send a form, and give the answer to it alone."""
    return browser.client.post(form.action, data=form.fields | typed, headers=HTML)


def registered(browser: Browser) -> TestResponse:
    """Register through the page of it."""
    form = browser.form("/users/new", "/users")
    return posted(browser, form, email=NEWCOMER, password=PASSPHRASE)


@pytest.mark.parametrize("mailing", [{}, SMTP], ids=["at once", "by email"])
def test_a_reload_of_registering_says_the_same(
    make_service: MakeService, mailing: dict[str, object]
) -> None:
    """It was "There is already an account with this email" (pennersr/django-allauth#1731)."""
    service = make_service(**mailing)
    browser = Browser(service)
    answer = registered(browser)
    assert answer.status_code == 303
    first = browser.get(answer.location)
    assert first.status_code == 200
    assert NEWCOMER in first.text
    for _ in range(2):
        again = browser.get(answer.location)
        assert (again.status_code, "already" in again.text) == (200, False)
        assert again.text.partition("form_token")[0] == first.text.partition("form_token")[0]


@pytest.mark.table
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_reload_after_a_link_says_the_same(make_service: MakeService, kind: Kind) -> None:
    """It was "This link was already used", after it worked."""
    case = kind.sent(make_service)
    client = case.client if kind.signed_in else case.service.client()
    browser = Browser(case.service)
    browser.client = client
    client.get(f"{kind.link}?token={case.token}", headers=HTML)
    method, path, fields, _ = kind.spends
    form = browser.form(kind.page, path, **({"_method": method} if method != "POST" else {}))
    answer = posted(browser, form, **{name: str(value) for name, value in fields.items()})
    assert answer.status_code == 303, answer.text
    shown = [client.get(answer.location, headers=HTML) for _ in range(2)]
    assert [one.status_code for one in shown] == [200, 200]


def test_only_the_browser_that_sent_the_form_sees_it(service: Service) -> None:
    """For an hour; any other one, and a program, finds nothing there."""
    browser, other = Browser(service), Browser(service)
    path = registered(browser).location
    registered(other)
    for answer in (other.get(path), browser.get(f"{outcomes.PATH}/0"), Browser(service).get(path)):
        assert (answer.status_code, answer.location) == (303, "/")
    assert service.client().get(path).status_code == 404
    assert browser.client.get(path).get_json() == {"email": NEWCOMER, "message": "user created"}


def test_it_ends_and_says_nothing_to_who_reads_the_cookie(
    service: Service, moving_clock: Clock
) -> None:
    """After an hour a reload leads to the first page; a broken cookie does so at once."""
    browser = Browser(service)
    path = registered(browser).location
    cookie = browser.client.get_cookie("outcome")
    assert cookie is not None
    assert NEWCOMER.encode() not in base64.urlsafe_b64decode(cookie.value)
    for broken in (cookie.value[:-4], "é", "x" * 43, ""):
        browser.client.set_cookie("outcome", broken)
        assert browser.get(path).location == "/", broken
    browser.client.set_cookie("outcome", cookie.value)
    moving_clock.forward(outcomes.LIFETIME - 1)
    assert browser.get(path).status_code == 200
    moving_clock.forward(1)
    assert browser.get(path).location == "/"


def test_an_outcome_of_another_version_is_over(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its template may want other values after an upgrade."""
    browser = Browser(service)
    made = browser.submit("/users/new", "/users", email=EMAIL, password=PASSPHRASE)
    assert made.status_code == 200
    monkeypatch.setattr(outcomes, "VERSION", "9.9.9")
    assert browser.get(made.request.path).status_code == 303


def test_the_next_person_at_a_browser_does_not_see_it(service: Service) -> None:
    """Signing in deletes what came of the forms before, and so does signing out."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    browser = Browser(service)
    path = registered(browser).location
    browser.sign_in(EMAIL, PASSPHRASE)
    assert browser.client.get_cookie("outcome") is None
    assert browser.get(path).location == "/"
    form = browser.form("/email", "/email", _method="PUT")
    path = posted(browser, form, new_email=NEWCOMER).location
    assert browser.get(path).status_code == 200
    browser.send(browser.form("/profile", "/sessions", _method="DELETE"))
    assert browser.client.get_cookie("outcome") is None


def test_after_closing_the_account_no_page_leads_into_it(service: Service) -> None:
    """The page that says so is one of a browser that is signed out."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    browser = Browser(service)
    browser.sign_in(EMAIL, PASSPHRASE)
    closed = browser.submit("/account/close", "/profile", _method="DELETE")
    assert closed.status_code == 200
    assert EMAIL in closed.text
    assert "/activity" not in closed.text


def test_a_browser_without_cookies_and_an_answer_too_long_for_one(service: Service) -> None:
    """They get the page as the answer itself, as nothing could be kept for the next."""
    sent = {"email": NEWCOMER, "password": PASSPHRASE}
    answer = service.client().post("/users", data=sent, headers=HTML)
    assert (answer.status_code, NEWCOMER in answer.text) == (201, True)
    browser = Browser(service)
    form = browser.form("/reset_password", "/reset_password")
    answer = posted(browser, form, email=" " * outcomes.MOST + NEWCOMER)
    assert (answer.status_code, NEWCOMER in answer.text) == (202, True)


def test_below_a_path(mounted: FlaskClient) -> None:
    """The page of an outcome is where all others are."""
    mounted.get("/account/users/new", headers=HTML)
    sent = {"email": NEWCOMER, "password": PASSPHRASE}
    said = HTML | {"Sec-Fetch-Site": "same-origin"}
    answer = mounted.post("/account/users", data=sent, headers=said)
    assert answer.location.startswith("/account/bienvenue/outcome/")
    assert mounted.get(answer.location, headers=HTML).status_code == 200
