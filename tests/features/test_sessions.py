"""sessions: signing in and out, devices, and every way a session ends."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from bienvenue import User, tokens
from bienvenue.authentication import CODE, Authentication, Caller, Channel, Factor
from bienvenue.feature import Feature
from bienvenue.features.email_change.operations import ChangedEmail
from bienvenue.features.passwords import Passwords, WrongCredentials
from bienvenue.features.sessions import MFARequired, NoSuchSession, OpenedSession, SignedIn
from bienvenue.hashing import Hasher, Match
from bienvenue.settings import Section
from bienvenue.web.refusals import NotSignedIn
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.features.email_changes import change, me_of
from tests.features.hearing import Hearing, rows
from tests.features.password_resets import statements, transactions
from tests.web.browser import Browser

CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}
FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def signed_in(service: Service, replaces: str | None = None) -> tuple[OpenedSession, SignedIn]:
    """Sign Bob in, as the sign-in and as the check see it."""
    if not service.auth.valid_login(EMAIL, PASSPHRASE):
        service.auth.register_user(EMAIL, PASSPHRASE)
    opened = service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE, replaces=replaces)
    me = service.auth.sessions.check(opened.secret)
    assert me is not None
    return opened, me


def test_signing_in_opens_a_session_and_says_so(service: Service) -> None:
    """The secret is a token, the table keeps its digest, the event names the device."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    hearing = Hearing(service.auth)
    opened = service.auth.sessions.sign_in(
        Caller("visitor", Channel.API, ip="192.0.2.7", agent="curl/8"),
        EMAIL,
        PASSPHRASE,
    )
    me = service.auth.sessions.check(opened.secret)
    assert me is not None
    assert (me.email, me.ip, me.agent, me.amr) == (EMAIL, "192.0.2.7", "curl/8", "pwd")
    assert me.digest == tokens.digest("session", opened.secret)
    assert me.generation == service.auth.accounts.find(EMAIL).session_id
    event = hearing.only("session.opened")
    where = {"ip": "192.0.2.7", "agent": "curl/8", "device": "curl"}
    assert (event.facts, event.caller.origin) == ({"session": me.session_uid}, where)
    assert opened.secret not in repr([event, me, opened])
    assert str(me.digest) not in repr(me)


@pytest.mark.parametrize("medium", ["json", "data"])
def test_a_program_signs_in_by_json_or_form(service: Service, medium: str) -> None:
    """The body is the exercise's, and the cookie is the secret."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    client = service.client()
    answer = client.post("/sessions", **{medium: CREDENTIALS})
    assert (answer.status_code, answer.json) == (200, {"email": EMAIL, "message": "logged in"})
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    assert service.auth.get_user_from_session_id(cookie.value) is not None
    assert client.get("/sessions/new").json == {"next": None, "action": "POST /sessions"}


def test_a_person_signs_in_and_out_in_a_browser(service: Service) -> None:
    """Refused with the form shown again, then in, round every page, and out."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    browser = Browser(service)
    assert (browser.get("/profile").status_code, browser.get("/profile").location) == (
        303,
        "/sessions/new?next=%2Fprofile",
    )
    refused = browser.sign_in(EMAIL, "a wrong password")
    assert refused.status_code == 401
    assert "Wrong email or password." in refused.text
    assert f'value="{EMAIL}"' in refused.text
    assert "a wrong password" not in refused.text
    done = browser.sign_in(EMAIL, PASSPHRASE)
    assert (done.status_code, done.location) == (303, "/profile")
    for path in ("/", "/profile", "/sessions", "/password"):
        shown = browser.get(path)
        assert (shown.status_code, shown.mimetype) == (200, "text/html")
        assert "Sign out" in shown.text
    out = browser.submit("/", "/sessions", _method="DELETE")
    assert (out.status_code, out.location) == (303, "/")
    assert browser.client.get_cookie("session_id") is None
    assert "Sign out" not in browser.get("/").text


def test_devices_are_listed_and_ended_in_a_browser(service: Service) -> None:
    """Each has a button; another's ends and I stay, mine ends and I am out."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    one, other = Browser(service), Browser(service)
    one.sign_in(EMAIL, PASSPHRASE)
    other.sign_in(EMAIL, PASSPHRASE)
    mine, theirs = (
        browser.client.get("/profile").get_json()["session"]["uid"] for browser in (one, other)
    )
    ended = one.submit("/sessions", f"/sessions/{theirs}", _method="DELETE")
    assert (ended.status_code, ended.location) == (303, "/sessions")
    assert other.client.get("/profile").status_code == 401
    other.sign_in(EMAIL, PASSPHRASE)
    others = one.submit("/sessions", "/sessions?which=others", _method="DELETE")
    assert (others.status_code, others.location) == (303, "/sessions")
    assert other.client.get("/profile").status_code == 401
    gone = one.submit("/sessions", f"/sessions/{mine}", _method="DELETE")
    assert (gone.status_code, gone.location) == (303, "/")
    assert one.client.get_cookie("session_id") is None


def test_signing_out_everywhere_ends_all_in_a_browser(service: Service) -> None:
    """The asking one too, and its cookie is taken away."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    one, other = Browser(service), Browser(service)
    one.sign_in(EMAIL, PASSPHRASE)
    other.sign_in(EMAIL, PASSPHRASE)
    done = one.submit("/sessions", "/sessions?which=all", _method="DELETE")
    assert (done.status_code, done.location) == (303, "/")
    assert one.client.get_cookie("session_id") is None
    assert other.client.get("/profile").status_code == 401


def test_signing_in_again_in_the_same_browser_replaces_its_session(service: Service) -> None:
    """A secret someone planted or kept is dead after the sign-in; other devices live on."""
    client, other = service.signed_in(), service.signed_in()
    before = client.get_cookie("session_id")
    hearing = Hearing(service.auth)
    assert client.post("/sessions", json=CREDENTIALS).status_code == 200
    assert before is not None
    assert service.auth.get_user_from_session_id(before.value) is None
    assert hearing.only("session.ended").facts["reason"] == "signed in again"
    assert other.get("/profile").status_code == 200


def test_which_sessions_end(service: Service) -> None:
    """The asking one by default, `others`, or `all`; anything else is refused."""
    clients = [service.signed_in() for _ in range(4)]

    def alive() -> list[int]:
        return [n for n, c in enumerate(clients) if c.get("/profile").status_code == 200]

    hearing = Hearing(service.auth)
    assert clients[3].delete("/sessions").status_code == 204
    assert alive() == [0, 1, 2]
    assert hearing.only("session.ended").facts["reason"] == "signed out"
    wrong = clients[0].delete("/sessions?which=mine")
    assert (wrong.status_code, wrong.get_json()["code"]) == (400, "wrong_value")
    assert alive() == [0, 1, 2]
    answer = clients[0].delete("/sessions?which=others")
    (cookie,) = answer.headers.getlist("Set-Cookie")
    assert answer.status_code == 204
    assert cookie.startswith("session_id=")
    assert alive() == [0]
    assert clients[0].delete("/sessions?which=all").status_code == 204
    assert (alive(), rows(service.auth)) == ([], 0)
    assert [
        event.facts["reason"] for event in hearing.committed if event.name == "sessions.ended"
    ] == [
        "signed out elsewhere",
        "signed out everywhere",
    ]


def test_a_copy_of_the_cookie_ends_with_the_other_sessions(
    service: Service, moving_clock: Clock
) -> None:
    """A new secret after signing out all others and after a new email; no fresher than before."""
    client = service.signed_in()
    before = me_of(service, client)
    moving_clock.forward(60)
    for end in (
        lambda: client.delete("/sessions?which=others"),
        lambda: change(service, client),
    ):
        copy, cookie = service.client(), client.get_cookie("session_id")
        assert cookie is not None
        copy.set_cookie("session_id", cookie.value)
        assert copy.get("/profile").status_code == 200
        end()
        assert copy.get("/profile").status_code == 401
        after = me_of(service, client)
        assert after.session_uid == before.session_uid
        assert after.authenticated_at == before.authenticated_at


def test_a_session_that_ended_does_not_end_the_others(service: Service) -> None:
    """It is refused, and the others stay."""
    other = service.signed_in()
    client = service.signed_in()
    me = me_of(service, client)
    assert client.delete("/sessions").status_code == 204
    with pytest.raises(NotSignedIn):
        service.auth.sessions.end_others(CODE, me)
    assert other.get("/profile").status_code == 200


def test_a_changed_email_shows_no_secret() -> None:
    """The secret of the session is for the cookie alone."""
    assert repr(ChangedEmail("a@example.com", "secret")) == "<ChangedEmail a@example.com>"


def test_signing_out_twice_is_401_the_second_time(service: Service) -> None:
    """The operation itself is harmless; the page has no one to sign out."""
    client = service.signed_in()
    assert client.delete("/sessions").status_code == 204
    assert client.delete("/sessions").status_code == 401
    _, me = signed_in(service)
    hearing = Hearing(service.auth)
    service.auth.sessions.end(CODE, me)
    service.auth.sessions.end(CODE, me)
    assert hearing.names == ["session.ended"]


def test_no_one_ends_the_session_of_another(service: Service) -> None:
    """Another's uid hears the same 404 as none."""
    bob, amy = service.signed_in(), service.signed_in("amy@example.com")
    theirs = amy.get("/profile").get_json()["session"]["uid"]
    for uid in (theirs, "no-such-uid", "%ED%A0%80"):
        answer = bob.delete(f"/sessions/{uid}")
        assert (answer.status_code, answer.get_json()["code"]) == (404, "no_such_session")
    assert bob.delete("/sessions/%00").status_code == 400
    assert amy.get("/profile").status_code == 200
    _, me = signed_in(service)
    with pytest.raises(NoSuchSession):
        service.auth.sessions.end_one(CODE, me, theirs)


def test_one_session_ends_by_its_uid(service: Service) -> None:
    """Mine takes its cookie along; another of mine does not."""
    one, other = service.signed_in(), service.signed_in()
    theirs = other.get("/profile").get_json()["session"]["uid"]
    answer = one.delete(f"/sessions/{theirs}")
    assert (answer.status_code, answer.headers.getlist("Set-Cookie")) == (204, [])
    assert other.get("/profile").status_code == 401
    mine = one.get("/profile").get_json()["session"]["uid"]
    assert one.delete(f"/sessions/{mine}").status_code == 204
    assert one.get_cookie("session_id") is None


def test_devices_have_names_and_the_one_that_asks_is_marked(service: Service) -> None:
    """The names come from the browsers; nothing secret is listed."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    clients = {}
    for agent in (FIREFOX, "curl/8", "call-me/3"):
        clients[agent] = service.client()
        clients[agent].post("/sessions", json=CREDENTIALS, headers={"User-Agent": agent})
    listed = clients[FIREFOX].get("/sessions").get_json()["sessions"]
    names = {device["device"]: device["current"] for device in listed}
    assert names == {
        "Firefox on Linux": True,
        "curl": False,
        "Unknown device": False,
    }
    for device in listed:
        assert device.keys() == {
            "uid",
            "device",
            "ip",
            "created_at",
            "last_seen_at",
            "expires_at",
            "current",
        }


def test_what_a_browser_says_of_itself_is_kept_within_bounds(service: Service) -> None:
    """NUL is no text for PostgreSQL, and a header may be longer than the column."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    client = service.client()
    agent = {"HTTP_USER_AGENT": "a\0b" + "c" * 5000}
    answer = client.post("/sessions", json=CREDENTIALS, environ_overrides=agent)
    assert answer.status_code == 200
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.sessions.list(user.id)[0].agent == "ab" + "c" * 509


def test_a_secret_that_could_be_none_asks_nothing_of_the_database(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the shape of a token is looked up."""
    monkeypatch.setattr(service.auth._db, "reading", None)
    for secret in (None, "", "x", "x" * 42, "x" * 44, "é" * 43, "x" * 42 + "\n"):
        assert service.auth.sessions.check(secret) is None


def test_the_email_of_a_session_may_be_unknown(service: Service) -> None:
    """`create_session` of no one, or of no email, is None."""
    for email in ("eve@example.com", "eve", "eve\0@example.com"):
        assert service.auth.create_session(email) is None


class Second(Feature[Section]):
    """Asks for a second verification of everybody."""

    name = "second"

    def required_factors(self, authentication: Authentication) -> Sequence[Factor]:
        """Ask for a code whatever was shown."""
        assert (authentication.user.email, authentication.amr) == (EMAIL, ("pwd",))
        return [Factor("code", "/code")]


def test_a_second_factor_that_is_due_gives_no_session(service: Service) -> None:
    """401 with what is next, no cookie, and no row."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.registry.add(Second(service.auth.registry, service.auth._db, Section()))
    with pytest.raises(MFARequired):
        service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE)
    answer = service.client().post("/sessions", json=CREDENTIALS)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "mfa_required")
    assert answer.get_json()["next"] == ["code"]
    assert [one.partition("=")[0] for one in answer.headers.getlist("Set-Cookie")] == [
        "authentication"
    ]
    assert (rows(service.auth), service.auth.sessions.list(user.id)) == (0, [])


@pytest.mark.parametrize("changes", [1, 99])
def test_a_hash_that_changes_between_comparison_and_opening_gives_no_session_by_the_old_one(
    service: Service, monkeypatch: pytest.MonkeyPatch, changes: int
) -> None:
    """It is compared again: a re-hash of the same password passes, endless changes do not."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    real, left = Passwords.compare, [changes]

    def compare(self: Passwords, found: User | None, password: str, dearest: Any) -> Match:
        match = real(self, found, password, dearest)
        if left[0]:
            left[0] -= 1
            again = Hasher(4).hash(PASSPHRASE).decode()
            service.auth._db.update_user(user.id, hashed_password=again)
        return match

    monkeypatch.setattr(Passwords, "compare", compare)
    if changes == 1:
        assert service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE).user.id == user.id
    else:
        with pytest.raises(WrongCredentials):
            service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE)
        assert (rows(service.auth), left) == (0, [96])


def test_a_password_changed_between_comparison_and_opening_gives_no_session(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Anyone who knew the old password only is too late."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    real = Passwords.compare

    def compare(self: Passwords, found: User | None, password: str, dearest: Any) -> Match:
        match = real(self, found, password, dearest)
        other = Hasher(4).hash("another password").decode()
        service.auth._db.update_user(user.id, hashed_password=other)
        return match

    monkeypatch.setattr(Passwords, "compare", compare)
    with pytest.raises(WrongCredentials):
        service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE)
    assert rows(service.auth) == 0


@pytest.mark.statements
def test_a_known_device_signs_in_with_twelve_statements(service: Service) -> None:
    """And in three transactions: what is read before, the count of the attempt, the session."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    browser = service.client()
    for _ in range(2):
        browser.delete_cookie("session_id")
        with statements(service) as said, transactions(service) as begun:
            assert browser.post("/sessions", json=CREDENTIALS).status_code == 200
    settings = ("BEGIN", "PRAGMA", "SET LOCAL")
    assert len([one for one in said if not one.startswith(settings)]) <= 12
    assert len(begun) == 3
