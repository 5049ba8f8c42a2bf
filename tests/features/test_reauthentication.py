"""reauthentication: who must say once more who they are, and where they go on from there."""

from __future__ import annotations

import pytest

from bienvenue.authentication import CODE
from bienvenue.features.reauthentication import WrongPassword
from bienvenue.features.sessions import SignedIn
from bienvenue.web.refusals import NotSignedIn, ReauthenticationRequired
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.hearing import Hearing
from tests.races import race
from tests.web.browser import Browser

A_WHILE = 15 * 60
WRONG = "une autre phrase de passe"


def secret_of(service: Service) -> str:
    """Sign Bob in and give his session's secret."""
    cookie = service.signed_in().get_cookie("session_id")
    assert cookie is not None
    return cookie.value


def checked(service: Service, secret: str) -> SignedIn:
    """Give whose session a secret opens; it opens one."""
    me = service.auth.sessions.check(secret)
    assert me is not None
    return me


def test_a_session_is_fresh_for_a_while(service: Service, moving_clock: Clock) -> None:
    """It is what `GET /profile` says, and what is required."""
    secret = secret_of(service)
    moving_clock.forward(A_WHILE - 1)
    service.auth.reauthentication.require(checked(service, secret))
    moving_clock.forward(1)
    with pytest.raises(ReauthenticationRequired):
        service.auth.reauthentication.require(checked(service, secret))


def test_the_password_makes_it_fresh_under_a_new_secret(
    service: Service, moving_clock: Clock
) -> None:
    """The old secret is worth nothing from then on, and the session lives no longer for it."""
    client = service.signed_in()
    hearing = Hearing(service.auth)
    moving_clock.forward(A_WHILE)
    before = client.get("/profile").get_json()
    old = client.get_cookie("session_id")
    assert old is not None
    assert before["fresh"] is False
    answer = client.post("/reauthentication", json={"password": PASSPHRASE})
    assert (answer.status_code, answer.json) == (200, {"email": EMAIL, "message": "confirmed"})
    after = client.get("/profile").get_json()
    assert after["fresh"] is True
    assert [
        after["session"][name] == before["session"][name] for name in ("uid", "expires_at")
    ] == [
        True,
        True,
    ]
    new = client.get_cookie("session_id")
    assert new is not None
    assert service.auth.sessions.check(old.value) is None
    assert checked(service, new.value).session_uid == before["session"]["uid"]
    assert hearing.only("session.reauthenticated").facts["session"] == before["session"]["uid"]


def test_a_wrong_password_counts_as_one_of_a_sign_in(make_service: MakeService) -> None:
    """A borrowed browser is no place to guess: the limit is that of signing in."""
    service = make_service(rate_limit_account=3)
    client = service.signed_in()
    heard = [client.post("/reauthentication", json={"password": WRONG}) for _ in range(4)]
    assert [answer.status_code for answer in heard] == [403, 403, 403, 429]
    assert heard[0].get_json()["code"] == "wrong_password"
    assert heard[0].get_json()["field"] == "password"
    assert client.get("/profile").status_code == 200


def test_no_one_confirms_a_session_that_ended(service: Service) -> None:
    """Neither one signed out while the password was compared, nor one of a deleted account."""
    secret = secret_of(service)
    me = checked(service, secret)
    service.auth.sessions.end_all(CODE, me.user_id)
    with pytest.raises(NotSignedIn):
        service.auth.reauthentication.confirm(CODE, me, PASSPHRASE)
    service.auth.accounts.delete(CODE, EMAIL)
    with pytest.raises(WrongPassword):
        service.auth.reauthentication.confirm(CODE, me, PASSPHRASE)
    service.auth.register_user(EMAIL, PASSPHRASE)
    with pytest.raises(NotSignedIn):
        service.auth.reauthentication.confirm(CODE, me, PASSPHRASE)


def test_of_twenty_at_once_one_has_the_session(service: Service) -> None:
    """Each would end the other's secret; so one wins, and the others are signed out."""
    me = checked(service, secret_of(service))

    def confirm(_number: int) -> str | None:
        try:
            return service.auth.reauthentication.confirm(CODE, me, PASSPHRASE)
        except NotSignedIn:
            return None

    (won,) = [secret for secret in race(confirm, 20) if secret is not None]
    assert checked(service, won).session_uid == me.session_uid


def test_a_browser_goes_on_where_it_was(service: Service, moving_clock: Clock) -> None:
    """The page asks for the password, says a wrong one, and leads on to a page of ours."""
    browser = Browser(service)
    service.auth.register_user(EMAIL, PASSPHRASE)
    browser.submit("/sessions/new", "/sessions", email=EMAIL, password=PASSPHRASE)
    moving_clock.forward(A_WHILE)
    path = "/reauthentication?next=%2Fpassword"
    again = browser.submit(path, "/reauthentication", password=WRONG)
    assert again.status_code == 403
    assert "Wrong password." in again.text
    assert 'value="/password"' in again.text
    on = browser.submit(path, "/reauthentication", password=PASSPHRASE)
    assert (on.status_code, on.location) == (303, "/password")


ELSEWHERE = [
    "//evil.example",
    "https://evil.example/",
    "https:evil.example",
    "/\\evil.example",
    "\\\\evil.example",
    "/\t/evil.example",
    " /password",
    "/password/../..//evil.example",
    "/%2fevil.example",
    "javascript:alert(1)",
    "/password#",
    "/sessions/<uid>",
    "",
]


@pytest.mark.table(shown=4)
@pytest.mark.parametrize("elsewhere", ELSEWHERE)
def test_no_one_is_led_anywhere_else(service: Service, elsewhere: str) -> None:
    """Only a plain path of this site is followed."""
    browser = Browser(service)
    service.auth.register_user(EMAIL, PASSPHRASE)
    form = browser.form("/sessions/new", "/sessions")
    on = browser.send(form, email=EMAIL, password=PASSPHRASE, next=elsewhere)
    assert (on.status_code, on.location) == (303, "/profile")


def test_who_must_sign_in_goes_on_to_the_page_they_wanted(service: Service) -> None:
    """Also after a wrong password."""
    browser = Browser(service)
    service.auth.register_user(EMAIL, PASSPHRASE)
    sent = browser.get("/password")
    assert (sent.status_code, sent.location) == (303, "/sessions/new?next=%2Fpassword")
    wrong = browser.submit(str(sent.location), "/sessions", email=EMAIL, password=WRONG)
    assert wrong.status_code == 401
    assert 'value="/password"' in wrong.text
    on = browser.submit(str(sent.location), "/sessions", email=EMAIL, password=PASSPHRASE)
    assert (on.status_code, on.location) == (303, "/password")
