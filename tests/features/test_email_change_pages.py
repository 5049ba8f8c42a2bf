"""email_change in a browser: both links, the cookies they become, and the pages."""

from __future__ import annotations

import pytest
from flask.testing import FlaskClient

from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.email_changes import (
    NEW_EMAIL,
    ask,
    asked,
    change,
    link_of,
    restore,
    token_of,
    verify,
)
from tests.features.password_resets import NEW, dump, link, messages, put
from tests.features.test_password_reset_pages import path_of
from tests.web.browser import HTML, Browser

pytestmark = pytest.mark.usefixtures("bob")


def newest(service: Service, kind: str) -> str:
    """Give the path of the link in the newest email of a kind."""
    return path_of(link_of(service, messages(service, kind)[-1]))


def test_a_person_changes_the_email_in_a_browser(service: Service) -> None:
    """From the profile to the letter, to the button, and back to the profile."""
    browser = Browser(service)
    browser.sign_in(EMAIL, PASSPHRASE)
    assert 'href="/email"' in browser.get("/profile").text
    shown = browser.get("/email")
    assert EMAIL in shown.text
    assert 'autocomplete="email"' in shown.text
    wrong = browser.submit("/email", "/email", _method="PUT", new_email="bob@")
    assert (wrong.status_code, 'value="bob@"' in wrong.text) == (400, True)
    assert 'id="new_email-wrong"' in wrong.text
    sent = browser.submit("/email", "/email", _method="PUT", new_email=NEW_EMAIL)
    assert (sent.status_code, sent.mimetype) == (200, "text/html")
    assert NEW_EMAIL in sent.text
    opened = browser.get(newest(service, "new_email_verification"))
    assert (opened.status_code, opened.location) == (303, "/email/new")
    page = browser.get("/email/new")
    assert (page.status_code, NEW_EMAIL in page.text, EMAIL in page.text) == (200, True, True)
    done = browser.submit("/email/new", "/email/new")
    assert (done.status_code, done.location) == (303, "/profile")
    assert browser.client.get_cookie("email_change_token") is None
    assert NEW_EMAIL in browser.get("/profile").text
    assert "Your email was changed" in browser.get("/activity").text


def test_mail_that_opens_elsewhere_leads_by_way_of_signing_in(service: Service) -> None:
    """The link's token waits in its cookie; anyone who signs in is back at the button."""
    client = service.signed_in()
    asked(service, client)
    phone = Browser(service)
    assert phone.get(newest(service, "new_email_verification")).location == "/email/new"
    sent = phone.get("/email/new")
    assert (sent.status_code, sent.location) == (303, "/sessions/new?next=%2Femail%2Fnew")
    there = phone.submit(str(sent.location), "/sessions", email=EMAIL, password=PASSPHRASE)
    assert there.location == "/email/new"
    assert phone.submit("/email/new", "/email/new").location == "/profile"
    assert service.auth.accounts.find(NEW_EMAIL)
    assert client.get("/profile").status_code == 401


def test_a_browser_that_is_not_fresh_is_led_to_confirm(
    service: Service, moving_clock: Clock
) -> None:
    """And back to the form."""
    browser = Browser(service)
    browser.sign_in(EMAIL, PASSPHRASE)
    moving_clock.forward(15 * 60)
    sent = browser.submit("/email", "/email", _method="PUT", new_email=NEW_EMAIL)
    assert (sent.status_code, sent.location) == (303, "/reauthentication?next=%2Femail")
    on = browser.submit(str(sent.location), "/reauthentication", password=PASSPHRASE)
    assert on.location == "/email"
    sent = browser.submit("/email", "/email", _method="PUT", new_email=NEW_EMAIL)
    assert sent.status_code == 200


def test_the_owner_gets_everything_back_in_a_browser(service: Service) -> None:
    """From the email at the old address, signed out, to a new password."""
    change(service, service.signed_in())
    browser = Browser(service)
    opened = browser.get(newest(service, "email_changed"))
    assert (opened.status_code, opened.location) == (303, "/email/restore")
    page = browser.get("/email/restore")
    assert (page.status_code, EMAIL in page.text) == (200, True)
    done = browser.submit("/email/restore", "/email/restore")
    assert done.status_code == 200
    assert "sent an email to that address" in done.text
    assert browser.client.get_cookie("email_restore_token") is None
    assert browser.client.get_cookie("session_id") is None
    browser.get(path_of(link(service)))
    form = browser.form("/reset_password/new", "/reset_password", _method="PUT")
    assert browser.send(form, new_password=NEW).status_code == 200
    assert browser.sign_in(EMAIL, NEW).location == "/profile"


def test_dead_links_say_so(service: Service) -> None:
    """The page of a new email offers to ask again, that of the undo to write to the operator."""
    client = service.signed_in()
    token = asked(service, client)
    verify(client, token)
    back = token_of(service, "email_changed")
    browser = Browser(service)
    browser.sign_in(NEW_EMAIL, PASSPHRASE)
    browser.get(f"/email/new?token={token}")
    dead = browser.get("/email/new")
    assert (dead.status_code, "Get a new one" in dead.text) == (403, True)
    assert 'action="/email"' in dead.text
    form = browser.form("/email", "/email", _method="PUT")
    form.fields.pop("_method")
    form.fields.pop("new_email")
    form.action = "/email/new"
    assert browser.send(form).status_code == 403
    browser.get(f"/email/restore?token={back}")
    form = browser.form("/email/restore", "/email/restore")
    restore(service, back)
    assert browser.get("/email/restore").status_code == 403
    late = browser.send(form)
    assert (late.status_code, "Contact support" in late.text) == (403, True)


@pytest.mark.parametrize("purpose", ["email_change", "email_restore"])
@pytest.mark.parametrize("base_url", ["http://localhost:5000", "https://localhost"])
def test_a_link_becomes_a_cookie_of_ten_minutes(
    make_service: MakeService, base_url: str, purpose: str
) -> None:
    """303 to a path without the token, kept from scripts and from other sites."""
    service = make_service(base_url=base_url)
    path = {"email_change": "/email/new", "email_restore": "/email/restore"}[purpose]
    token = "x" * 43
    answer = service.client().get(f"{path}?token={token}", headers=HTML)
    assert (answer.status_code, answer.location, answer.data) == (303, path, b"")
    assert answer.headers["Cache-Control"] == "no-store"
    (written,) = answer.headers.getlist("Set-Cookie")
    value, *attributes = written.split("; ")
    https = base_url.startswith("https")
    assert value == f"{'__Host-' if https else ''}{purpose}_token={token}"
    kept = {part for part in attributes if not part.startswith("Expires=")}
    assert kept == {"Max-Age=600", "HttpOnly", "Path=/", "SameSite=Lax"} | (
        {"Secure"} if https else set()
    )


@pytest.mark.table
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_opening_a_link_changes_nothing(service: Service, method: str, accept: str) -> None:
    """A scanner opens both, as often as it likes, also in the person's own browser."""
    client = service.signed_in()
    back = change(service, client)
    token = asked(service, client, "third@example.net")
    before = dump(service)
    proof, taking_back = newest(service, "new_email_verification"), newest(service, "email_changed")
    for path in (proof, "/email/new", taking_back, "/email/restore") * 2:
        answer = client.open(path, method=method, headers={"Accept": accept})
        assert answer.status_code in {200, 303}
        assert token not in answer.text
        assert back not in answer.text
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert dump(service) == before
    assert verify(client, token).status_code == 200
    assert restore(service, back).status_code == 200


def test_a_broken_link_does_not_open_an_older_one(service: Service) -> None:
    """The cookie of a link opened before is taken away."""
    client = service.signed_in()
    change(service, client)
    browser = Browser(service)
    browser.get(newest(service, "email_changed"))
    assert browser.get("/email/restore").status_code == 200
    browser.get("/email/restore?token=x")
    assert browser.get("/email/restore").status_code == 403


def test_another_site_presses_no_button(service: Service) -> None:
    """Neither cookie is enough: a form needs its token, and comes from our own pages."""
    browser = Browser(service)
    browser.sign_in(EMAIL, PASSPHRASE)
    browser.submit("/email", "/email", _method="PUT", new_email=NEW_EMAIL)
    browser.get(newest(service, "new_email_verification"))
    evil = {"Origin": "https://evil.example"}
    for headers in ({}, evil):
        refused = browser.client.post("/email/new", data={}, headers=headers)
        assert (refused.status_code, refused.get_json()["code"]) == (403, "cross_site")
    asking = {"new_email": "eve@example.com", "_method": "PUT"}
    assert browser.client.post("/email", data=asking).status_code == 403
    browser.submit("/email/new", "/email/new")
    owner = Browser(service)
    owner.get(newest(service, "email_changed"))
    for headers in ({}, evil):
        refused = owner.client.post("/email/restore", data={}, headers=headers)
        assert (refused.status_code, refused.get_json()["code"]) == (403, "cross_site")
    assert service.auth.accounts.find(NEW_EMAIL)


def test_a_program_hears_where_to_go_on(service: Service) -> None:
    """The pages are JSON for it."""
    client = service.signed_in()
    assert client.get("/email").json == {"email": EMAIL, "action": "PUT /email"}
    asked(service, client)
    client.get(newest(service, "new_email_verification"))
    assert client.get("/email/new").json == {"email": NEW_EMAIL, "action": "POST /email/new"}
    assert client.post("/email/new", json={}).status_code == 200
    program = service.client()
    program.get(newest(service, "email_changed"))
    assert program.get("/email/restore").json == {"email": EMAIL, "action": "POST /email/restore"}
    assert program.post("/email/restore", json={}).json == {
        "email": EMAIL,
        "message": "Email restored",
    }


def test_a_refused_email_is_shown_again(service: Service) -> None:
    """With the reason at the field, for their own email too."""
    browser = Browser(service)
    browser.sign_in(EMAIL, PASSPHRASE)
    same = browser.submit("/email", "/email", _method="PUT", new_email=EMAIL)
    assert same.status_code == 422
    assert "This is already the email of your account." in same.text


# --- inside another application -----------------------------------------------------------------


def test_links_lead_below_the_path_of_our_pages(mounted: FlaskClient, service: Service) -> None:
    """Both, and that of the reset which the undo begins."""
    mounted.post("/account/sessions", json={"email": EMAIL, "password": PASSPHRASE})
    assert mounted.put("/account/email", json={"new_email": NEW_EMAIL}).status_code == 202
    path = newest(service, "new_email_verification")
    assert path.startswith("/account/email/new?token=")
    assert mounted.get(path, headers=HTML).location == "/account/email/new"
    assert mounted.post("/account/email/new", json={}).status_code == 200
    path = newest(service, "email_changed")
    assert path.startswith("/account/email/restore?token=")
    assert mounted.get(path, headers=HTML).location == "/account/email/restore"
    assert mounted.post("/account/email/restore", json={}).status_code == 200
    assert link(service).startswith("http://localhost:5000/account/reset_password?token=")
    assert put(service, link(service).partition("?token=")[2]).status_code == 200


def test_a_request_for_another_host_makes_no_link_to_it(service: Service) -> None:
    """Emails bear the configured base URL."""
    client = service.signed_in()
    assert client.put(
        "/email", json={"new_email": NEW_EMAIL}, headers={"Host": "evil.example"}
    ).status_code in {400, 421}
    assert messages(service, "new_email_verification") == []
    assert ask(client).status_code == 202
