"""registration: the link signs in the browser that registered, and no other."""

from __future__ import annotations

from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from bienvenue import Bienvenue, tokens
from bienvenue.authentication import CODE
from bienvenue.features.registration import PendingRegistration
from bienvenue.features.registration.pages import Verification
from bienvenue.user import User
from bienvenue.web.page import Answer, Visitor
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features import toys
from tests.features.hearing import Hearing, users
from tests.features.password_resets import dump, messages, outstanding
from tests.features.registrations import (
    OTHER,
    SMTP,
    invited,
    link_in,
    newest,
    register,
    resend,
    token_in,
)
from tests.features.test_password_reset_pages import path_of
from tests.web.browser import Browser

pytestmark = pytest.mark.statements

AMY = "amy@example.com"
PATH, HERE = "/email/verification", "/email/verification/here"


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service that sends emails."""
    return make_service(**SMTP)


def registering(service: Service, email: str = EMAIL, password: str = PASSPHRASE) -> FlaskClient:
    """Register as a program that keeps its cookies."""
    client = service.client()
    answer = client.post("/users", json={"email": email, "password": password})
    assert answer.status_code == 202
    return client


def browsing(service: Service, email: str = EMAIL, password: str = PASSPHRASE) -> Browser:
    """Register in a browser."""
    browser = Browser(service)
    browser.submit("/users/new", "/users", email=email, password=password)
    return browser


def opened(service: Service, browser: Browser) -> Browser:
    """Open the link of the newest email in a browser."""
    link = link_in(service, messages(service, "registration")[-1])
    assert browser.get(path_of(link)).location == PATH
    return browser


# --- the browser that registered ----------------------------------------------------------------


def test_a_password_is_typed_once(service: Service, moving_clock: Clock) -> None:
    """From the form to the email to a button, and the person is signed in."""
    browser = browsing(service)
    registered_at = moving_clock.now()
    moving_clock.forward(5 * 60)
    opened(service, browser)
    page = browser.get(PATH)
    assert (page.status_code, EMAIL in page.text) == (200, True)
    assert 'type="password"' not in page.text
    hearing = Hearing(service.auth)
    done = browser.submit(PATH, HERE)
    assert (done.status_code, done.location) == (303, "/profile")
    profile = browser.get("/profile")
    assert EMAIL in profile.text
    assert "Your account is ready" in profile.text
    for cookie in ("registration", "verification_token"):
        assert browser.client.get_cookie(cookie) is None
    (session,) = service.auth.sessions.list(service.auth.accounts.find(EMAIL).id)
    # As fresh as the password, which was chosen five minutes ago.
    assert (session.amr, session.authenticated_at) == ("pwd", registered_at)
    assert hearing.names.count("account.registered") == hearing.names.count("session.opened") == 1
    assert messages(service, "new_device") == []
    assert outstanding(service, "registration") == []
    assert service.auth.valid_login(EMAIL, PASSPHRASE)
    assert browser.client.get_cookie("device_id") is not None


def test_a_program_that_keeps_its_cookies_is_signed_in_too(service: Service) -> None:
    """It hears that no password is needed, and sends none."""
    client = registering(service)
    client.get(f"{PATH}?token={newest(service)}")
    assert client.get(PATH).json == {
        "email": EMAIL,
        "action": "POST /email/verification/here",
    }
    done = client.post(HERE, json={})
    assert (done.status_code, done.json) == (201, {"email": EMAIL, "message": "user created"})
    assert client.get("/profile").get_json()["email"] == EMAIL
    assert messages(service, "registration")[-1].encrypted_link is None


def test_a_password_that_is_sent_signs_no_one_in(service: Service) -> None:
    """As in any other browser, and for the programs that always did."""
    client = registering(service)
    sent = {"verification_token": newest(service), "password": PASSPHRASE}
    assert client.post(PATH, json=sent).status_code == 201
    assert client.get("/profile").status_code == 401


def test_the_session_of_before_ends(service: Service) -> None:
    """As with any sign-in of a browser."""
    service.auth.register_user(AMY, PASSPHRASE)
    browser = Browser(service)
    browser.sign_in(AMY, PASSPHRASE)
    before = browser.client.get_cookie("session_id")
    assert before is not None
    browser.client.post("/users", json={"email": EMAIL, "password": PASSPHRASE})
    opened(service, browser).submit(PATH, HERE)
    assert EMAIL in browser.get("/profile").text
    assert service.auth.sessions.check(before.value) is None


def test_what_the_browser_registered_last_counts(service: Service) -> None:
    """The second one got no email of its own; the link of the first one completes it."""
    browser = browsing(service)
    browser.submit("/users/new", "/users", email=EMAIL, password=OTHER)
    assert len(messages(service, "registration")) == 1
    opened(service, browser).submit(PATH, HERE)
    assert EMAIL in browser.get("/profile").text
    assert service.auth.valid_login(EMAIL, OTHER)
    assert not service.auth.valid_login(EMAIL, PASSPHRASE)


def test_a_strangers_request_does_not_come_between(service: Service) -> None:
    """Theirs was emailed, and this one not; the link signs in the owner with their password."""
    register(service, EMAIL, OTHER, ip="198.51.100.9")
    browser = browsing(service)
    opened(service, browser).submit(PATH, HERE)
    assert EMAIL in browser.get("/profile").text
    assert service.auth.valid_login(EMAIL, PASSPHRASE)


def test_the_link_of_another_email_does_it_too(service: Service, moving_clock: Clock) -> None:
    """Which anyone may ask for."""
    browser = browsing(service)
    moving_clock.forward(121)
    resend(service)
    opened(service, browser).submit(PATH, HERE)
    assert EMAIL in browser.get("/profile").text


# --- any other browser --------------------------------------------------------------------------


def refused(service: Service, client: FlaskClient, token: str, status: int, code: str) -> None:
    """Send a token without a password, and require this refusal, by which nothing changes."""
    before = dump(service)
    answer = client.post(HERE, json={"verification_token": token})
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert client.get("/profile").status_code == 401
    assert dump(service) == before


def test_elsewhere_the_password_is_needed(service: Service) -> None:
    """The registration may be a stranger's, whose password the account would have."""
    registering(service)
    elsewhere = Browser(service)
    opened(service, elsewhere)
    assert 'type="password"' in elsewhere.get(PATH).text
    refused(service, elsewhere.client, newest(service), 403, "password_required")
    answer = elsewhere.client.post(HERE, json={"verification_token": newest(service)})
    assert answer.get_json()["field"] == "password"
    assert elsewhere.submit(PATH, PATH, password=PASSPHRASE).status_code == 200


def test_the_cookie_of_another_registration_is_none(service: Service) -> None:
    """Of another email, of this browser's earlier one, made up, and one that is a link."""
    other, token = registering(service, AMY, OTHER), ""
    registering(service)
    token = newest(service)
    refused(service, other, token, 403, "password_required")
    stranger = service.client()
    for cookie in ("x" * 43, token, "x"):
        stranger.set_cookie("registration", cookie)
        refused(service, stranger, token, 403, "password_required")


def test_an_attackers_registration_is_nothing_to_the_owner_of_the_mailbox(service: Service) -> None:
    """Who opens its link in their own browser: no account with the attacker's password is made."""
    attacker = registering(service, EMAIL, OTHER)
    owner = Browser(service)
    opened(service, owner)
    refused(service, owner.client, newest(service), 403, "password_required")
    refused(service, attacker, "x" * 43, 403, "wrong_verification_token")
    assert attacker.post(HERE, json={}).get_json()["code"] == "link_not_open"
    assert users(service.auth) == 0


def test_the_cookie_alone_opens_nothing(service: Service) -> None:
    """And neither with another email beside the token."""
    mine = registering(service)
    token = newest(service)
    answer = mine.post(HERE, json={"verification_token": token, "email": AMY})
    assert (answer.status_code, answer.get_json()["code"]) == (403, "wrong_verification_token")
    cookie = mine.get_cookie("registration")
    assert cookie is not None
    stranger = service.client()
    stranger.set_cookie("session_id", cookie.value)
    assert stranger.get("/profile").status_code == 401
    refused(service, mine, cookie.value, 403, "wrong_verification_token")


def test_a_registration_that_is_gone_asks_for_the_password(service: Service) -> None:
    """It ended between the page and its button; the page then has a field for it."""
    browser = browsing(service)
    opened(service, browser)
    form = browser.form(PATH, HERE)
    browser.client.delete_cookie("registration")
    again = browser.send(form)
    assert (again.status_code, 'type="password"' in again.text) == (403, True)
    assert "Enter the password you chose." in again.text
    assert EMAIL in again.text


def test_closing_registration_closes_this_way_too(make_service: MakeService) -> None:
    """With the cookie and a link of before."""
    before = make_service(**SMTP)
    client = registering(before)
    cookie = client.get_cookie("registration")
    assert cookie is not None
    closed = make_service(registration="closed", **SMTP).client()
    closed.set_cookie("registration", cookie.value)
    answer = closed.post(HERE, json={"verification_token": newest(before)})
    assert (answer.status_code, answer.get_json()["code"]) == (403, "registration_closed")


# --- the cookie ---------------------------------------------------------------------------------


@pytest.mark.table
@pytest.mark.parametrize("base_url", ["http://localhost:5000", "https://localhost"])
@pytest.mark.parametrize("email", [EMAIL, AMY])
def test_the_cookie_says_nothing_and_is_for_this_host(
    make_service: MakeService, base_url: str, email: str
) -> None:
    """A taken email gets one too; it lives as long as the link."""
    service = make_service(**SMTP, base_url=base_url, verification_lifetime="2h")
    service.auth.register_user(AMY, PASSPHRASE)
    (written,) = register(service, email).headers.getlist("Set-Cookie")
    value, *attributes = written.split("; ")
    https = base_url.startswith("https")
    name, _, token = value.partition("=")
    assert name == f"{'__Host-' if https else ''}registration"
    assert tokens.well_formed(token)
    assert {"Max-Age=7200", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(attributes)
    assert ("Secure" in attributes) == https
    assert "Domain" not in written
    kept = repr(dump(service))
    assert token not in kept
    stored = tokens.digest("registering browser", token).hex() in kept
    assert stored == (email == EMAIL)


def test_without_a_mail_server_and_with_an_invitation_there_is_none(
    make_service: MakeService,
) -> None:
    """The account is made at once."""
    answer = register(make_service())
    assert (answer.status_code, answer.headers.getlist("Set-Cookie")) == (201, [])
    service = make_service(registration="invited", **SMTP)
    answer = register(service, AMY, invitation=invited(service, AMY))
    assert (answer.status_code, "registration" in str(answer.headers)) == (201, False)


def test_no_repr_shows_the_secret() -> None:
    """Neither on its way in nor on its way out."""
    secret = tokens.new()
    passed = [
        PendingRegistration(secret),
        Answer(cookies={"registration": secret}),
        Visitor(None, None, cookies={"registration": secret}),
        Verification(password=secret),
    ]
    assert secret not in repr(passed)


def test_looking_changes_nothing(service: Service) -> None:
    """In this browser too, with its cookies."""
    browser = browsing(service)
    before = dump(service)
    for _ in range(2):
        opened(service, browser).get(PATH)
        browser.client.head(PATH)
    assert dump(service) == before


# --- what else can happen -----------------------------------------------------------------------


def test_another_factor_is_still_required(make_service: MakeService) -> None:
    """The account is made, and no session is opened before."""
    made, app = make_service(**SMTP), Flask("theirs")
    given: dict[str, Any] = {"database_url": made.url, "bcrypt_cost": 4, "url_prefix": ""} | SMTP
    Bienvenue(app, features=[toys.Codes], secret_key_file=made.auth.settings.key_file, **given)
    service = Service(app, app.extensions["bienvenue"].auth, made.url)
    client = registering(service)
    answer = client.post(HERE, json={"verification_token": newest(service)})
    assert (answer.status_code, answer.get_json()["code"]) == (401, "mfa_required")
    assert answer.get_json()["next"] == ["code"]
    assert client.get("/profile").status_code == 401
    assert client.post("/code", json={"code": "123456"}).status_code == 200
    assert client.get("/profile").get_json()["email"] == EMAIL
    service.auth.close()


def test_an_account_that_changes_in_the_same_moment_signs_in_by_itself(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when an administrator disables it: the page says that the account is there."""
    registration = service.auth.registration
    create = registration._create_account

    def changing(*given: Any) -> User:
        user = create(*given)
        service.auth._db.update_user(user.id, hashed_password="!")
        return user

    browser = browsing(service)
    opened(service, browser)
    monkeypatch.setattr(registration, "_create_account", changing)
    done = browser.submit(PATH, HERE)
    assert (done.status_code, 'href="/sessions/new"' in done.text) == (200, True)
    assert browser.client.get_cookie("session_id") is None


def test_a_clock_that_was_set_back_gives_no_longer_freshness(
    service: Service, moving_clock: Clock
) -> None:
    """The session was authenticated now at the latest."""
    client = registering(service)
    token = token_in(service, messages(service, "registration")[-1])
    moving_clock.forward(-1)
    assert client.post(HERE, json={"verification_token": token}).status_code == 201
    (session,) = service.auth.sessions.list(service.auth.accounts.find(EMAIL).id)
    assert session.authenticated_at == moving_clock.now()


def test_code_completes_a_registration_by_its_secret(service: Service) -> None:
    """It holds what a browser would."""
    made = service.auth.registration.register(CODE, EMAIL, PASSPHRASE)
    assert isinstance(made, PendingRegistration)
    user, session = service.auth.registration.complete_here(CODE, newest(service), made.browser)
    assert (user.email, session is not None) == (EMAIL, True)
