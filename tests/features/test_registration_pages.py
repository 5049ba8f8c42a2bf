"""registration in a browser: the page after registering, the link, and the button."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.hearing import users
from tests.features.password_resets import dump, messages
from tests.features.registrations import OTHER, SMTP, link_in, registered, verify
from tests.features.test_password_reset_pages import path_of
from tests.web.browser import HTML, Browser, forms


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service that sends emails."""
    return make_service(**SMTP)


def link(service: Service) -> str:
    """Give the path of the newest email's link."""
    return path_of(link_in(service, messages(service, "registration")[-1]))


def test_a_person_opens_the_link_in_another_browser(service: Service) -> None:
    """From the form to the letter, to the password, and to signing in."""
    browser = Browser(service)
    sent = browser.submit("/users/new", "/users", email=EMAIL, password=PASSPHRASE)
    assert (sent.status_code, sent.mimetype) == (200, "text/html")
    assert "Check your email" in sent.text
    assert PASSPHRASE not in sent.text
    browser = Browser(service)
    opened = browser.get(link(service))
    assert (opened.status_code, opened.location) == (303, "/email/verification")
    shown = browser.get("/email/verification")
    assert (shown.status_code, EMAIL in shown.text) == (200, True)
    assert 'autocomplete="username"' in shown.text
    assert 'autocomplete="current-password"' in shown.text
    form = browser.form("/email/verification", "/email/verification")
    assert form.fields.keys() == {"form_token", "email", "password"}
    assert form.fields["email"] == EMAIL
    wrong = browser.send(form, password=OTHER)
    assert (wrong.status_code, OTHER in wrong.text) == (403, False)
    assert f'value="{EMAIL}"' in wrong.text
    assert "Wrong password, or the link has expired." in wrong.text
    done = browser.send(form, password=PASSPHRASE)
    assert done.status_code == 200
    assert 'href="/sessions/new"' in done.text
    assert browser.client.get_cookie("verification_token") is None
    assert browser.client.get_cookie("session_id") is None
    assert browser.sign_in(EMAIL, PASSPHRASE).location == "/profile"


def test_the_page_after_registering_sends_another_email(
    service: Service, moving_clock: Clock
) -> None:
    """By its button, and shows itself again."""
    browser = Browser(service)
    form = browser.form("/users/new", "/users")
    sent = browser.send(form, email=EMAIL, password=PASSPHRASE)
    assert 'action="/email/verification/resend"' in sent.text
    moving_clock.forward(121)
    again = next(form for form in forms(sent) if form.action == "/email/verification/resend")
    more = browser.send(again)
    assert (more.status_code, "Check your email" in more.text) == (200, True)
    assert len(messages(service, "registration")) == 2


@pytest.mark.parametrize("base_url", ["http://localhost:5000", "https://localhost"])
def test_the_link_becomes_a_cookie_of_ten_minutes(make_service: MakeService, base_url: str) -> None:
    """303 without a body to the path without the token; no script reads the cookie."""
    service = make_service(**SMTP, base_url=base_url)
    token = registered(service)
    answer = service.client().get(link(service), headers=HTML)
    assert (answer.status_code, answer.data, answer.location) == (303, b"", "/email/verification")
    assert answer.headers["Cache-Control"] == "no-store"
    (written,) = answer.headers.getlist("Set-Cookie")
    value, *attributes = written.split("; ")
    https = base_url.startswith("https")
    assert value == f"{'__Host-' if https else ''}verification_token={token}"
    assert {"Max-Age=600", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(attributes)


@pytest.mark.table
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_opening_a_link_changes_nothing(service: Service, method: str, accept: str) -> None:
    """A scanner of mail opens every link, as often as it likes, with its cookies too."""
    token = registered(service)
    before = dump(service)
    client = service.client()
    for path in (link(service), "/email/verification") * 2:
        answer = client.open(path, method=method, headers={"Accept": accept})
        assert answer.status_code in {200, 303}
        assert token not in answer.text
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert dump(service) == before
    assert verify(service, token).status_code == 201


def test_a_link_that_is_over_offers_another_email(service: Service) -> None:
    """The page has the form that asks for one; a program hears the code."""
    browser = Browser(service)
    verify(service, registered(service))
    browser.get(f"/email/verification?token={'x' * 43}")
    answer = browser.get("/email/verification")
    assert answer.status_code == 403
    assert "Create your account again" in answer.text
    assert 'action="/email/verification/resend"' in answer.text
    program = browser.client.get("/email/verification")
    assert (program.status_code, program.get_json()["code"]) == (403, "wrong_verification_token")


def test_a_broken_link_does_not_open_an_older_one(service: Service) -> None:
    """The cookie of a link opened before is taken away."""
    registered(service)
    browser = Browser(service)
    browser.get(link(service))
    assert browser.client.get_cookie("verification_token") is not None
    assert browser.get("/email/verification?token=x").status_code == 303
    assert browser.client.get_cookie("verification_token") is None
    assert browser.get("/email/verification").status_code == 403


def test_another_site_proves_nothing(service: Service) -> None:
    """The cookie alone is not enough: a form needs its token."""
    registered(service)
    browser = Browser(service)
    browser.get(link(service))
    form = browser.form("/email/verification", "/email/verification")
    form.fields.pop("form_token")
    assert browser.send(form, password=PASSPHRASE).status_code == 403
    theirs = browser.client.post(
        "/email/verification",
        json={"password": PASSPHRASE},
        headers={"Origin": "https://evil.example"},
    )
    assert (theirs.status_code, theirs.get_json()["code"]) == (403, "cross_site")
    assert users(service.auth) == 0


def test_what_is_refused_shows_the_form_and_promises_no_email(service: Service) -> None:
    """A malformed email, and a network that asked too often."""
    browser = Browser(service)
    form = browser.form("/email/verification", "/email/verification/resend")
    bad = browser.send(form, email="bob")
    assert bad.status_code == 400
    assert "sent an email" not in bad.text
    assert 'value="bob"' in bad.text
    for number in range(20):
        browser.client.post("/email/verification/resend", json={"email": f"p{number}@example.com"})
    many = browser.send(form, email=EMAIL)
    assert (many.status_code, many.headers["Retry-After"]) == (429, "3600")
    assert "sent an email" not in many.text
    full = browser.submit("/users/new", "/users", email=EMAIL, password=PASSPHRASE)
    assert full.status_code == 429
    assert f'value="{EMAIL}"' in full.text


def test_a_program_hears_where_to_verify(service: Service) -> None:
    """The pages are JSON for it, and the cookie serves it too."""
    client = service.client()
    registered(service)
    client.get(link(service))
    assert client.get("/email/verification").json == {
        "email": EMAIL,
        "action": "POST /email/verification",
    }
    done = client.post("/email/verification", json={"password": PASSPHRASE})
    assert done.json == {"email": EMAIL, "message": "user created"}


# --- inside another application -----------------------------------------------------------------


@pytest.fixture
def mounted(mount: Callable[..., FlaskClient]) -> FlaskClient:
    """A client of an application that has our pages under a path, and a mail server."""
    return mount(smtp_host=SMTP["smtp_host"], mail_from=SMTP["mail_from"])


def test_links_lead_below_the_path_of_our_pages(mounted: FlaskClient, service: Service) -> None:
    """Of the verification email, of the email to an owner, and what a link answers."""
    for email in (EMAIL, "amy@example.com"):
        if email != EMAIL:
            service.auth.register_user(email, PASSPHRASE)
        sent = {"email": email, "password": PASSPHRASE}
        assert mounted.post("/account/users", json=sent).status_code == 202
    base = "http://localhost:5000/account"
    (owner,) = messages(service, "already_registered")
    assert link_in(service, owner) == f"{base}/reset_password"
    (message,) = messages(service, "registration")
    assert link_in(service, message).startswith(f"{base}/email/verification?token=")
    opened = mounted.get(path_of(link_in(service, message)), headers=HTML)
    assert (opened.status_code, opened.location) == (303, "/account/email/verification")
    done = mounted.post("/account/email/verification", json={"password": PASSPHRASE})
    assert done.status_code == 201
