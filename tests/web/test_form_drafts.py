"""What was typed when the session had ended meanwhile is there again, once, and no password."""

from __future__ import annotations

import base64

import pytest
from werkzeug.test import TestResponse

from bienvenue.web import form_drafts
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.web.browser import HTML, Browser, Shown

NEW = "robert@example.com"
AMY = "amy@example.com"
DAY = 86400
OURS = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def browser(service: Service, moving_clock: Clock) -> Browser:  # noqa: ARG001 (it stands still)
    """Bob's browser, in which he is signed in."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    made = Browser(service)
    made.sign_in(EMAIL, PASSPHRASE)
    return made


def asking(browser: Browser) -> Shown:
    """Open the form of changing the email."""
    return browser.form("/email", "/email", _method="PUT")


def stale(form: Shown) -> Shown:
    """Give the form as one that its browser was shown before it signed in again."""
    _, _, owner = form.fields["form_token"].partition(".")
    return Shown(form.action, form.fields | {"form_token": f"x.{owner}"})


def send(browser: Browser, form: Shown, typed: str = NEW, **headers: str) -> TestResponse:
    """Send the form as a browser of today does."""
    said = HTML | OURS | headers
    return browser.client.post(form.action, data=form.fields | {"new_email": typed}, headers=said)


def held(browser: Browser) -> str | None:
    """What the browser keeps of what was typed."""
    cookie = browser.client.get_cookie("draft")
    return None if cookie is None else cookie.value


def shown(browser: Browser) -> str:
    """What stands in the form of changing the email now."""
    return asking(browser).fields["new_email"]


def test_a_session_that_ended_while_typing(browser: Browser, moving_clock: Clock) -> None:
    """The person signs in, is led back, and finds what they typed; the next visit is empty."""
    form = asking(browser)
    moving_clock.forward(40 * DAY)
    sent = send(browser, form)
    assert (sent.status_code, sent.location) == (303, "/sessions/new?next=%2Femail")
    back = browser.submit(sent.location, "/sessions", email=EMAIL, password=PASSPHRASE)
    assert back.location == "/email"
    assert shown(browser) == NEW
    assert held(browser) is None
    assert shown(browser) == ""


def test_a_session_that_is_too_old_for_it(browser: Browser, moving_clock: Clock) -> None:
    """The person types the password once more and goes on where they were."""
    moving_clock.forward(3600)
    form = asking(browser)
    sent = send(browser, form)
    assert sent.location == "/reauthentication?next=%2Femail"
    browser.submit(sent.location, "/reauthentication", password=PASSPHRASE)
    assert shown(browser) == NEW


def test_signed_out_in_another_tab(browser: Browser) -> None:
    """The form is older than who is signed in: nothing is done, and what was typed is kept."""
    form = asking(browser)
    browser.client.delete("/sessions")
    refused = send(browser, form)
    assert refused.status_code == 403
    assert "This page is out of date" in refused.text
    browser.sign_in(EMAIL, PASSPHRASE)
    assert shown(browser) == NEW


def test_another_person_who_signs_in_does_not_see_it(
    service: Service, browser: Browser, moving_clock: Clock
) -> None:
    """Whether the session ended by itself or in another tab; its own person finds it still."""
    service.auth.register_user(AMY, PASSPHRASE)
    for ends in (
        lambda: moving_clock.forward(40 * DAY),
        lambda: browser.client.delete("/sessions"),
    ):
        form = asking(browser)
        ends()
        send(browser, form)
        browser.sign_in(AMY, PASSPHRASE)
        assert shown(browser) == ""
        browser.sign_in(EMAIL, PASSPHRASE)
        assert shown(browser) == NEW


def test_a_form_says_its_owner_in_a_way_no_other_reads(service: Service, browser: Browser) -> None:
    """Not by the user's uid, and for a visitor not at all; it does not make a token valid."""
    token = asking(browser).fields["form_token"]
    mac, _, owner = token.partition(".")
    user = service.auth.accounts.find(EMAIL)
    assert user.uid not in base64.urlsafe_b64decode(owner).decode("latin-1")
    assert "." not in Browser(service).form("/users/new", "/users").fields["form_token"]
    refused = send(browser, Shown("/email", {"_method": "PUT", "form_token": f".{owner}"}))
    assert refused.status_code == 403
    assert send(browser, Shown("/email", {"_method": "PUT", "form_token": mac})).status_code == 303


def test_a_program_hears_that_its_form_is_out_of_date(browser: Browser) -> None:
    """With a code of its own, as no other site is suspected."""
    form = asking(browser)
    refused = send(browser, Shown(form.action, form.fields | {"form_token": "x"}), Accept="*/*")
    assert (refused.status_code, refused.get_json()["code"]) == (403, "out_of_date")


def test_signing_out_takes_it_away(browser: Browser) -> None:
    """Anyone who comes after at the same browser does not see it."""
    form = asking(browser)
    send(browser, stale(form))
    assert held(browser) is not None
    out = browser.form("/profile", "/sessions", _method="DELETE")
    browser.send(out)
    assert held(browser) is None


def test_nothing_is_kept_of_a_password(browser: Browser, moving_clock: Clock) -> None:
    """Nor is there a cookie for a form of passwords alone."""
    form = browser.form("/password", "/password")
    moving_clock.forward(40 * DAY)
    typed = {"old_password": PASSPHRASE, "new_password": "sept grenouilles sur un nuage"}
    sent = browser.client.post(form.action, data=form.fields | typed, headers=HTML | OURS)
    assert sent.location == "/sessions/new?next=%2Fpassword"
    assert held(browser) is None


def test_what_is_kept_says_nothing_and_ends(browser: Browser, moving_clock: Clock) -> None:
    """It is sealed, for ten minutes, and for its own form; what is broken is nothing."""
    form = asking(browser)
    send(browser, stale(form))
    cookie = str(held(browser))
    assert NEW.encode() not in base64.urlsafe_b64decode(cookie)
    assert (
        browser.form("/notification_email", "/notification_email").fields["notification_email"]
        == ""
    )
    for broken in (cookie[:-4], "é", "x" * 43, cookie[:40] + "AAAA" + cookie[44:], ""):
        browser.client.set_cookie("draft", broken)
        assert shown(browser) == "", broken
    moving_clock.forward(form_drafts.LIFETIME)
    browser.client.set_cookie("draft", cookie)
    assert shown(browser) == ""
    moving_clock.forward(-1)
    assert shown(browser) == NEW


def test_what_is_too_long_or_of_another_site_is_not_kept(browser: Browser) -> None:
    """Another site cannot put words into a form of ours."""
    form = asking(browser)
    old = stale(form)
    send(browser, old, "x" * form_drafts.MOST)
    assert held(browser) is None
    browser.client.delete("/sessions")
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {}):
        typed = old.fields | {"new_email": NEW}
        answer = browser.client.post(form.action, data=typed, headers=HTML | headers)
        assert answer.status_code == 403
        assert held(browser) is None, headers
