"""Identifiers: the first whose credential a request bears decides, whatever else it bears."""

from __future__ import annotations

import pytest

from bienvenue import tokens
from bienvenue.features.sessions import SignedIn
from bienvenue.web.cookies import token_in
from bienvenue.web.identity import CredentialHeaders, Identifiers, SessionCookie
from tests.conftest import Clock, Service
from tests.web.edge import ask, edge_of

TOKEN = "A" * 43
OTHER = "B" * 43


class Everybody:
    """An identifier that knows every request as one user."""

    def __init__(self, me: SignedIn | None) -> None:
        """Take the user, None for no one."""
        self.me = me
        self.touched = 0

    def credential(self, headers: CredentialHeaders) -> str | None:
        """Find one in any Cookie header."""
        return headers.cookie or None

    def look_up(self, credential: str) -> SignedIn | None:
        """Know everybody."""
        return self.me if credential else None

    def touch_is_due(self, me: SignedIn) -> bool:
        """Always."""
        return me is self.me

    def touch(self, me: SignedIn) -> None:
        """Count."""
        assert me is self.me
        self.touched += 1


def signed_in(service: Service) -> tuple[SignedIn, str]:
    """Sign in; give the session and its Cookie header."""
    cookie = service.signed_in().get_cookie("session_id")
    assert cookie is not None
    me = service.auth.sessions.check(cookie.value)
    assert me is not None
    return me, f"session_id={cookie.value}"


def test_the_first_credential_decides(service: Service) -> None:
    """Order counts; an identifier without a credential leaves the request to the next one."""
    me, header = signed_in(service)
    session = SessionCookie(service.auth.sessions, service.auth.settings)
    nobody, everybody = Everybody(None), Everybody(me)
    for ordered, sent, known in (
        ((session, nobody), header, True),
        ((nobody, session), header, False),
        ((session, everybody), "a=b", True),
        ((session, everybody), f"session_id={TOKEN}", False),
        ((session,), "a=b", False),
        ((), header, False),
    ):
        identifiers = Identifiers(*ordered)
        identity = identifiers.identify(identifiers.credential(CredentialHeaders(sent, "")))
        assert (identity is not None and identity.me.user_uid == me.user_uid) is known
    assert everybody.touched == 1


def test_no_repr_shows_a_credential(service: Service) -> None:
    """Neither of what a request bears nor of what was found by it."""
    _, header = signed_in(service)
    secret = header.partition("=")[2]
    identifiers = service.app.extensions["bienvenue"].identifiers
    credential = identifiers.credential(CredentialHeaders(header, ""))
    assert credential.look_up() is not None
    assert secret not in repr([credential, credential.look_up()])


@pytest.mark.parametrize("way", ["flask", "edge"])
def test_a_use_is_recorded_when_it_is_due(service: Service, moving_clock: Clock, way: str) -> None:
    """By both, and once a minute at most."""
    me, header = signed_in(service)

    def seen() -> float:
        (row,) = service.auth.sessions.list(me.user_id)
        return row.last_seen_at

    def use() -> None:
        if way == "edge":
            edge = edge_of(service)
            assert ask(edge, "GET", "/profile", (b"cookie", header.encode())).status == 200
            edge._checking.shutdown()
        else:
            client = service.app.test_client(use_cookies=False)
            assert client.get("/profile", headers={"Cookie": header}).status_code == 200

    begun = seen()
    moving_clock.forward(59)
    use()
    assert seen() == begun
    moving_clock.forward(2)
    use()
    assert seen() == begun + 61


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (f"session_id={TOKEN}", TOKEN),
        (f"a=1; session_id={TOKEN};b=2", TOKEN),
        (f"session_id={TOKEN}; session_id={TOKEN}", TOKEN),
        (f"session_id={TOKEN}; session_id={OTHER}", None),
        (f"session_id={TOKEN}; session_id=", None),
        (f"xsession_id={TOKEN}", None),
        (f'session_id="{TOKEN}"', None),
        (f"session_id={TOKEN[1:]}", None),
        ("session_id", None),
        ("", None),
    ],
)
def test_a_token_in_a_cookie_header(header: str, found: str | None) -> None:
    """One name, one value, one spelling."""
    assert token_in(header, "session_id") == found
    assert found is None or tokens.well_formed(found)


def test_the_headers_of_credentials_are_shown_nowhere() -> None:
    """An error reporter keeps what an object says of itself."""
    assert repr(CredentialHeaders("session_id=secret", "Bearer secret")) == "<CredentialHeaders>"
