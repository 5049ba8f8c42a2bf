"""account_closure in a browser: taking their data along, closing the account, and keeping it."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient

from bienvenue import clock, i18n
from bienvenue.authentication import CODE
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.features.closures import CREDENTIALS, GRACE, closed, link, reopen, sign_in, token_of
from tests.features.hearing import Hearing
from tests.features.password_resets import dump
from tests.web.browser import HTML, Browser

pytestmark = pytest.mark.usefixtures("bob")
A_WHILE = 15 * 60


def path_of(url: str) -> str:
    """Give what a browser asks the service of a link for."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def signed_in(service: Service) -> Browser:
    """Give a browser in which Bob is signed in."""
    browser = Browser(service)
    assert browser.sign_in(EMAIL, PASSPHRASE).status_code == 303
    return browser


# --- taking their data along --------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["text/html,*/*;q=0.8", "application/json", "*/*"])
def test_everything_is_one_file_for_browsers_and_programs(
    service: Service, moving_clock: Clock, accept: str
) -> None:
    """JSON under a name with the day; it is what the operator's command shows."""
    client = service.signed_in()
    hearing = Hearing(service.auth)
    answer = client.get("/export", headers={"Accept": accept})
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    day = clock.written(moving_clock.time)[:10]
    named = f'attachment; filename="account-{day}.json"'
    assert answer.headers["Content-Disposition"] == named
    assert answer.headers["Cache-Control"] == "no-store"
    user = service.auth.accounts.find(EMAIL)
    assert json.loads(answer.text) == service.auth.export(user.id)
    assert answer.get_json()["activity"][0]["event"] == "account.exported"
    event = hearing.only("account.exported")
    assert event.facts.keys() == {"session"}
    assert (event.caller.actor, event.caller.ip) == (f"user {user.id}", "127.0.0.1")


def test_a_browser_confirms_first_and_comes_back_to_the_file(
    service: Service, moving_clock: Clock
) -> None:
    """From the profile; a program hears `reauthentication_required`."""
    browser = signed_in(service)
    assert 'href="/export"' in browser.get("/profile").text
    moving_clock.forward(A_WHILE)
    refused = browser.client.get("/export")
    assert (refused.status_code, refused.get_json()["code"]) == (403, "reauthentication_required")
    led = browser.get("/export")
    assert (led.status_code, led.location) == (303, "/reauthentication?next=%2Fexport")
    on = browser.submit(str(led.location), "/reauthentication", password=PASSPHRASE)
    assert on.location == "/export"
    assert browser.get("/export").get_json()["email"] == EMAIL


def test_no_one_is_exported_who_is_not_signed_in_or_not_there(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deleted between the check and the reading: signed out, not an error."""
    assert service.client().get("/export").status_code == 401
    client = service.signed_in()
    user = service.auth.accounts.find(EMAIL)
    me = service.auth.sessions.list(user.id)[0]
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    checked = service.auth.sessions.check(cookie.value)
    assert checked is not None
    assert checked.session_uid == me.uid
    monkeypatch.setattr(service.auth.sessions, "check", lambda _secret: checked)
    service.auth.accounts.delete(CODE, EMAIL)
    assert client.get("/export").status_code == 401


# --- closing ------------------------------------------------------------------------------------


def test_a_person_closes_the_account_and_keeps_it_after_all(
    service: Service, moving_clock: Clock
) -> None:
    """From the profile to the page, the button, the email, and back."""
    browser = signed_in(service)
    assert 'href="/account/close"' in browser.get("/profile").text
    shown = browser.get("/account/close")
    until = clock.written(moving_clock.time + GRACE)
    assert (shown.status_code, until[:10] in shown.text) == (200, True)
    assert 'href="/export"' in shown.text
    done = browser.submit("/account/close", "/profile", _method="DELETE")
    assert (done.status_code, done.mimetype) == (200, "text/html")
    assert until[:10] in done.text
    assert browser.client.get_cookie("session_id") is None
    assert browser.get("/profile").location == "/sessions/new?next=%2Fprofile"
    refused = browser.sign_in(EMAIL, PASSPHRASE)
    assert refused.status_code == 403
    assert i18n.of("en").moment(until) in refused.text
    opened = browser.get(path_of(link(service)))
    assert (opened.status_code, opened.location) == (303, "/account/reopen")
    assert EMAIL in browser.get("/account/reopen").text
    kept = browser.submit("/account/reopen", "/account/reopen")
    assert (kept.status_code, "open again" in kept.text) == (200, True)
    assert browser.client.get_cookie("reopening_token") is None
    assert browser.client.get_cookie("session_id") is None
    assert browser.sign_in(EMAIL, PASSPHRASE).location == "/profile"


def test_a_browser_confirms_first_and_comes_back_to_the_page(
    service: Service, moving_clock: Clock
) -> None:
    """Before the page is shown; and nothing is closed by confirming."""
    browser = signed_in(service)
    form = browser.form("/account/close", "/profile", _method="DELETE")
    moving_clock.forward(A_WHILE)
    assert browser.get("/account/close").location == "/reauthentication?next=%2Faccount%2Fclose"
    assert browser.send(form).location == "/reauthentication?next=%2Fprofile"
    on = browser.submit(
        "/reauthentication?next=%2Faccount%2Fclose", "/reauthentication", password=PASSPHRASE
    )
    assert on.location == "/account/close"
    assert browser.get("/account/close").status_code == 200
    assert dump(service)["account_closures"] == []


def test_a_form_without_its_token_closes_nothing(service: Service) -> None:
    """Another site cannot send it."""
    browser = signed_in(service)
    form = browser.form("/account/close", "/profile", _method="DELETE")
    assert browser.send(form, form_token="x" * 43).status_code == 403
    assert browser.get("/profile").status_code == 200


# --- the link -----------------------------------------------------------------------------------


@pytest.mark.table
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_opening_the_link_changes_nothing(service: Service, method: str, accept: str) -> None:
    """A scanner of mail opens every link, as often as it likes."""
    token = closed(service)
    before = dump(service)
    client = service.client()
    for path in (path_of(link(service)), "/account/reopen") * 2:
        answer = client.open(path, method=method, headers={"Accept": accept})
        assert answer.status_code in {200, 303}
        assert token not in answer.text
        assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert dump(service) == before
    assert reopen(service, token).status_code == 200


def test_a_link_that_is_over_says_so(service: Service) -> None:
    """In a page and in JSON, on the way to the page and at its button."""
    browser = Browser(service)
    token = closed(service)
    browser.get(path_of(link(service)))
    form = browser.form("/account/reopen", "/account/reopen")
    reopen(service, token)
    for answer in (browser.get("/account/reopen"), browser.send(form)):
        assert (answer.status_code, "was already used" in answer.text) == (403, True)
    program = browser.client.get("/account/reopen")
    assert (program.status_code, program.get_json()["code"]) == (403, "wrong_reopening_token")


def test_a_program_hears_what_a_browser_sees(service: Service, moving_clock: Clock) -> None:
    """The pages are JSON for it."""
    until = clock.written(moving_clock.time + GRACE)
    client = service.signed_in()
    assert client.get("/account/close").json == {
        "email": EMAIL,
        "until": until,
        "action": "DELETE /profile",
    }
    closed(service)
    visitor = service.client()
    visitor.get(path_of(link(service)))
    assert visitor.get("/account/reopen").json == {
        "email": EMAIL,
        "until": until,
        "action": "POST /account/reopen",
    }
    assert visitor.post("/account/reopen", json={}).json == {
        "email": EMAIL,
        "message": "account open",
    }
    assert sign_in(service).status_code == 200


# --- inside another application -----------------------------------------------------------------


def test_the_link_leads_below_the_path_of_our_pages(mounted: FlaskClient, service: Service) -> None:
    """Where a host application put them."""
    mounted.post("/account/sessions", json=CREDENTIALS)
    assert mounted.delete("/account/profile").status_code == 202
    assert link(service).startswith("http://localhost:5000/account/account/reopen?token=")
    opened = mounted.get(path_of(link(service)), headers=HTML)
    assert (opened.status_code, opened.location) == (303, "/account/account/reopen")
    assert (
        'action="/account/account/reopen"' in mounted.get(str(opened.location), headers=HTML).text
    )
    assert reopen(service, token_of(service)).status_code == 200


@pytest.mark.parametrize("most", [2000, 0], ids=["after a redirect", "at once"])
def test_the_page_after_closing_offers_nothing_of_the_account(
    service: Service, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    """Every session ended, so there is no profile, no device and nothing to sign out of."""
    monkeypatch.setattr("bienvenue.web.outcomes.MOST", most)
    browser = signed_in(service)
    assert "Sign out" in browser.get("/account/close").text
    shown = browser.submit("/account/close", "/profile", _method="DELETE")
    if shown.status_code == 303:
        shown = browser.get(shown.location)
    assert "All devices were signed out" in shown.text
    for left in ("Profile", "Devices", "Activity", "Sign out"):
        assert f">{left}<" not in shown.text
