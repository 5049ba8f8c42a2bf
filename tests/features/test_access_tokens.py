"""access_tokens: what a program may do with one, and what ends it."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import select, update
from werkzeug.test import TestResponse

from bienvenue import clock, normalize, token_format
from bienvenue.authentication import CODE, Authentication
from bienvenue.db import DatabaseUnavailable
from bienvenue.feature import Reason
from bienvenue.features.access_tokens import (
    AccessToken,
    AccessTokens,
    AddedToken,
    LifetimeTooLong,
    MalformedLifetime,
    MalformedServiceName,
    MalformedTokenName,
    NoSuchAccessToken,
    ScopesMissing,
    ServiceAccount,
    TooManyAccessTokens,
    UnknownScope,
)
from bienvenue.features.access_tokens.operations import USED_EVERY
from bienvenue.features.accounts import AccountDisabled
from bienvenue.features.mail import Message
from bienvenue.web.refusals import NotFound, NotSignedIn
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.password_resets import text_of
from tests.races import race
from tests.spine.test_cli import Run, refused, run
from tests.web.browser import HTML
from tests.web.edge import ask, edge_of

__all__ = ["run"]

DAY = 86400
OWN = {"Sec-Fetch-Site": "same-origin"}


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service whose application declares two scopes."""
    return make_service(access_token_scopes="read=Read your notes, write")


def added(service: Service, scopes: str = "read", **given: Any) -> AddedToken:
    """Make a token of Bob, who has an account from then on."""
    if EMAIL not in service.auth.accounts.taken([EMAIL], []):
        service.auth.register_user(EMAIL, PASSPHRASE)
    return service.auth.access_tokens.add_for(CODE, EMAIL, given.pop("name", "ci"), scopes, **given)


def ask_with(service: Service, secret: str, path: str = "/profile", **more: Any) -> TestResponse:
    """Send one request with a token and nothing else."""
    headers = {"Authorization": f"Bearer {secret}", **more.pop("headers", {})}
    client = service.app.test_client(use_cookies=False)
    return client.open(path, method=more.pop("method", "GET"), headers=headers, **more)


def problem_of(answer: TestResponse) -> tuple[int, str, str]:
    """Status, code and challenge of a refusal."""
    return answer.status_code, answer.get_json()["code"], answer.headers["WWW-Authenticate"]


def events(service: Service, email: str = EMAIL) -> list[tuple[str, dict[str, Any]]]:
    """What happened to the tokens of an account, oldest first."""
    user = service.auth.accounts.find(email)
    found = reversed(service.auth.audit.list(user.id, limit=None))
    return [(e.name, {**e.facts, **e.personal}) for e in found if "access_token" in e.name]


# --- the format ---------------------------------------------------------------------------------


def test_a_token_is_known_by_its_prefix_and_checksum() -> None:
    """A scanner finds it by a regular expression, and knows a typing mistake by the checksum."""
    made = {token_format.new() for _ in range(200)}
    assert len(made) == 200
    for token in made:
        assert re.fullmatch(r"bv_[0-9A-Za-z]{49}", token)
        assert token_format.well_formed(token)
        assert not token_format.well_formed(token[:-1] + ("0" if token[-1] != "0" else "1"))
        swapped = token[:3] + token[4] + token[3] + token[5:]
        assert swapped == token or not token_format.well_formed(swapped)
    for wrong in ("", "bv_", "A" * 52, "bv_" + "é" * 49, f"{token} ", f"{token}\n", token[:-1]):
        assert not token_format.well_formed(wrong)


def test_the_checksum_is_crc_32_in_base62() -> None:
    """As written down, so that another program can compute it (the check value of CRC-32)."""
    assert token_format.checksum("123456789") == "3jZRME"
    digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
    assert sum(digits.index(d) * 62**n for n, d in enumerate(reversed("3jZRME"))) == 0xCBF43926


# --- making one ---------------------------------------------------------------------------------


def test_a_person_makes_one_and_sees_it_once(service: Service) -> None:
    """By JSON: the secret is in the one answer and in no row, list, event or email."""
    client = service.signed_in()
    sent = {"name": " backup ", "scopes": "write read read", "lifetime": "30d"}
    answer = client.post("/access_tokens", json=sent, headers=OWN)
    assert answer.status_code == 201
    token = answer.get_json()
    secret = token.pop("access_token")
    uid, expires = token.pop("uid"), token.pop("expires_at")
    assert token == {"name": "backup", "scopes": ["read", "write"], "token_type": "Bearer"}
    (listed,) = client.get("/access_tokens").get_json()["access_tokens"]
    assert (listed["uid"], listed["expires_at"], listed["last_used_at"]) == (uid, expires, None)
    with service.auth._db.reading() as tx:
        (row,) = tx.scalars(select(AccessToken)).all()
        mails = [text_of(service, m) for m in tx.scalars(select(Message)).all()]
    assert row.digest == AccessTokens.digest(secret)
    assert 29.9 * DAY < row.expires_at - row.created_at <= 30 * DAY
    (mail,) = [text for text in mails if "access token" in text]
    assert "backup" in mail
    assert EMAIL in mail
    shown = json.dumps([events(service), client.get("/activity").get_json(), listed, mails])
    shown += repr([row, added(service)])
    assert secret not in shown
    assert secret[3:-6] not in shown
    assert "An access token was created." in shown
    assert events(service)[0][1]["token_name"] == "backup"


@pytest.mark.parametrize(
    ("given", "refusal"),
    [
        ({"name": ""}, MalformedTokenName),
        ({"name": " \t "}, MalformedTokenName),
        ({"name": "a\nb"}, MalformedTokenName),
        ({"name": "a" * 101}, MalformedTokenName),
        ({"name": "a\0"}, normalize.MalformedText),
        ({"scopes": ""}, ScopesMissing),
        ({"scopes": "  "}, ScopesMissing),
        ({"scopes": "read admin"}, UnknownScope),
        ({"scopes": "account:write"}, UnknownScope),
        ({"lifetime": "90"}, MalformedLifetime),
        ({"lifetime": "0d"}, MalformedLifetime),
        ({"lifetime": "-1d"}, MalformedLifetime),
        ({"lifetime": "367d"}, LifetimeTooLong),
    ],
)
def test_a_token_that_cannot_be_is_refused(
    service: Service, given: dict[str, str], refusal: type[Exception]
) -> None:
    """By every way of making one, and nothing is written; not even the account of a service."""
    tokens = service.auth.access_tokens
    service.auth.register_user(EMAIL, PASSPHRASE)
    wanted = {"name": "ci", "scopes": "read"} | given
    with pytest.raises(refusal):
        tokens.add_for(CODE, EMAIL, **wanted)
    with pytest.raises(refusal):
        tokens.add_for_service(CODE, "deploy", **wanted)
    assert tokens.all() == []
    assert not service.auth.accounts.taken([tokens.account_of("deploy")], [])


def test_the_longest_lifetime_is_said(service: Service) -> None:
    """In the unit that a form takes."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    with pytest.raises(LifetimeTooLong, match="366d"):
        service.auth.access_tokens.add_for(CODE, EMAIL, "ci", "read", "400d")


def test_full_access_needs_no_other_scope(service: Service) -> None:
    """And is written as one."""
    assert added(service, "write * read").scopes == ("*",)


def test_an_account_has_as_many_as_the_settings_say(make_service: MakeService) -> None:
    """Expired ones do not count; many requests at once do not slip under it."""
    service = make_service(access_token_cap=3, access_token_scopes="read")
    added(service)

    def one(number: int) -> str:
        try:
            return added(service, name=f"ci {number}").name
        except TooManyAccessTokens:
            return ""

    made = race(one, 8)
    assert sum(map(bool, made)) == 2
    assert len(service.auth.access_tokens.list(service.auth.accounts.find(EMAIL).id)) == 3


def test_a_user_makes_ten_an_hour(service: Service, moving_clock: Clock) -> None:
    """However many of them are revoked: each is a row of the audit log and an email."""
    client = service.signed_in()
    sent = {"name": "ci", "scopes": "read"}
    for _ in range(10):
        made = client.post("/access_tokens", json=sent, headers=OWN).get_json()
        assert client.delete(f"/access_tokens/{made['uid']}", headers=OWN).status_code == 204
    answer = client.post("/access_tokens", json=sent, headers=OWN)
    assert answer.get_json()["code"] == "too_many_new_tokens"
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "3600")
    moving_clock.forward(3601)
    client = service.signed_in()
    assert client.post("/access_tokens", json=sent, headers=OWN).status_code == 201


def test_a_form_has_a_box_for_each_scope(service: Service) -> None:
    """Without scripts; the page after it shows the token once, and a reload does not."""
    client = service.signed_in()
    page = client.get("/access_tokens/new", headers=HTML)
    for name in ("scope.read", "scope.write", "scope.account:read", "scope.*"):
        assert f'name="{name}"' in page.text
    assert "Read your notes" in page.text
    found = re.search(r'name="form_token" value="([^"]+)"', page.text)
    assert found is not None
    form = {"form_token": found[1], "name": "<b>ci</b>", "lifetime": f"{7 * DAY}s"}
    missing = client.post("/access_tokens", data=form, headers=HTML)
    assert missing.status_code == 422
    assert "Choose what the token may do." in missing.text
    assert "&lt;b&gt;ci" in missing.text
    made = client.post("/access_tokens", data=form | {"scope.read": "on"}, headers=HTML)
    assert made.status_code == 303
    shown = client.get(made.location, headers=HTML)
    (secret,) = re.findall(token_format.PATTERN, shown.text)
    assert ask_with(service, secret).get_json()["access_token"]["scopes"] == ["read"]
    again = client.get(made.location, headers=HTML)
    assert again.status_code == 303
    assert secret not in again.text
    listed = client.get("/access_tokens", headers=HTML).text
    assert "&lt;b&gt;ci" in listed
    assert secret not in listed


def test_making_one_needs_a_fresh_session(service: Service, moving_clock: Clock) -> None:
    """As whatever changes who may act for the account."""
    client = service.signed_in()
    moving_clock.forward(3600)
    for method, path in (("GET", "/access_tokens/new"), ("POST", "/access_tokens")):
        sent = {"name": "ci", "scopes": "read"} if method == "POST" else None
        answer = client.open(path, method=method, headers=OWN, json=sent)
        assert answer.get_json()["code"] == "reauthentication_required"
    assert client.get("/access_tokens").get_json() == {"access_tokens": []}


@pytest.mark.parametrize("how", ["password", "disabled", "deleted"])
def test_none_is_made_by_a_session_that_ended(service: Service, how: str) -> None:
    """Whatever happened between the check of the session and the row of the token."""
    cookie = service.signed_in().get_cookie("session_id")
    assert cookie is not None
    me = service.auth.sessions.check(cookie.value)
    assert me is not None
    if how == "password":
        service.auth.revoke(CODE, me.user_id, Reason.PASSWORD_CHANGED)
    else:
        getattr(service.auth.accounts, how.removesuffix("d"))(CODE, EMAIL)
    with pytest.raises(NotSignedIn):
        service.auth.access_tokens.add(CODE, me, "ci", "read")
    assert service.auth.access_tokens.all() == []


def test_none_is_made_by_a_session_that_ends_meanwhile(service: Service) -> None:
    """The check of the session was before; the statement asks again."""
    added(service)
    opened = service.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE)
    me = service.auth.sessions.check(opened.secret)
    assert me is not None
    service.auth.sessions.end(CODE, me)
    with pytest.raises(NotSignedIn):
        service.auth.access_tokens.add(CODE, me, "late", "read")


def test_a_token_makes_no_token(service: Service) -> None:
    """Neither over HTTP nor in the operation itself."""
    secret = added(service, "*").secret
    for method, path in (("POST", "/access_tokens"), ("GET", "/access_tokens/new")):
        answer = ask_with(service, secret, path, method=method)
        assert problem_of(answer)[:2] == (403, "session_required")
    me = service.auth.access_tokens.look_up(secret)
    assert me is not None
    with pytest.raises(NotSignedIn):
        service.auth.access_tokens.add(CODE, me, "more", "*")


@pytest.mark.parametrize("who", ["services", "off"])
def test_people_have_none_where_the_settings_say_so(make_service: MakeService, who: str) -> None:
    """Neither a page nor an entry in the menu; services may, until they may not."""
    service = make_service(access_tokens=who, access_token_scopes="read")
    client = service.signed_in()
    for method, path in (("GET", "/access_tokens"), ("GET", "/access_tokens/new")):
        assert client.open(path, method=method).status_code == 404
    sent = {"name": "ci", "scopes": "read"}
    assert client.post("/access_tokens", json=sent, headers=OWN).status_code == 404
    assert "/access_tokens" not in client.get("/profile", headers=HTML).text
    secret = service.auth.access_tokens.add_for_service(CODE, "deploy", "ci", "read").secret
    answer = ask_with(service, secret)
    if who == "services":
        assert answer.status_code == 200
    else:
        assert problem_of(answer) == (401, "not_signed_in", "Bearer")
        cookie = client.get_cookie("session_id")
        assert cookie is not None
        # An application may have bearer tokens of its own, beside our cookie.
        other = {"Cookie": f"session_id={cookie.value}"}
        assert ask_with(service, "a.b.c", headers=other).status_code == 200
    with pytest.raises(NotFound):
        service.auth.access_tokens.require_people()


# --- what a token may do ------------------------------------------------------------------------


def test_tokens_of_people_end_where_only_services_have_them(make_service: MakeService) -> None:
    """At the edge and behind it, and none is made by a command."""
    before = make_service(access_token_scopes="read")
    mine = added(before, "*").secret
    tokens = before.auth.access_tokens
    theirs = tokens.add_for_service(CODE, "backup", "ci", "*")
    service = make_service(access_token_scopes="read", access_tokens="services")
    header = (b"authorization", f"Bearer {mine}".encode())
    assert ask(edge_of(service), "GET", "/profile", header).status == 401
    assert ask_with(service, mine).status_code == 401
    assert ask_with(service, theirs.secret).status_code == 200
    with pytest.raises(NotFound):
        service.auth.access_tokens.add_for(CODE, EMAIL, "more", "*")
    assert service.auth.access_tokens.add_for(CODE, tokens.account_of("backup"), "more", "*")


def test_every_page_is_closed_to_tokens_unless_it_says_a_scope(service: Service) -> None:
    """A token reads, and changes nothing but itself; each scope opens what names it."""
    from bienvenue.app import all_pages  # noqa: PLC0415 (beside its one use)

    few, read, full = (added(service, scopes).secret for scopes in ("read", "account:read", "*"))
    opened = set()
    for page in all_pages(service.auth):
        if page.public:
            continue
        path = re.sub(r"<\w+>", "x", page.path)
        for secret in (few, read, full):
            answer = ask_with(service, secret, path, method=page.method)
            if page.scope is None:
                assert problem_of(answer)[:2] == (403, "session_required"), path
            elif secret is few and page.scope:
                status, code, challenge = problem_of(answer)
                assert (status, code) == (403, "insufficient_scope")
                assert challenge == 'Bearer error="insufficient_scope", scope="account:read"'
                assert answer.get_json()["scopes"] == ["account:read"]
            else:
                assert answer.status_code in {200, 404}, path
        if page.scope is not None:
            opened.add(f"{page.method} {page.path}")
    assert opened == {
        "GET /profile",
        "GET /sessions",
        "GET /activity",
        "GET /notification_email",
        "GET /access_tokens",
        "DELETE /access_tokens/<uid>",
    }


def test_the_profile_tells_a_program_what_its_token_is(service: Service) -> None:
    """And a browser nothing of a session that there is not; a token is never fresh."""
    token = added(service)
    profile = ask_with(service, token.secret).get_json()
    assert profile.keys() == {"email", "uid", "created_at", "access_token", "fresh"}
    assert profile["access_token"] == {
        "uid": token.uid,
        "name": "ci",
        "scopes": ["read"],
        "expires_at": clock.written(token.expires_at),
    }
    assert profile["fresh"] is False
    assert "access_token" not in service.signed_in().get("/profile").get_json()
    page = ask_with(service, token.secret, headers=HTML)
    assert page.status_code == 200
    assert "This device" not in page.text


def test_a_token_is_no_device_and_no_session(service: Service) -> None:
    """No row, no cookie, no notice of a new device, and nothing that asks for a password."""
    secret = added(service, "*").secret
    answer = ask_with(service, secret, headers={"User-Agent": "curl/8"})
    assert "Set-Cookie" not in answer.headers
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.sessions.list(user.id) == []
    names = {event.name for event in service.auth.audit.list(user.id, limit=None)}
    assert names == {"account.registered", "access_token.added", "email.queued"}
    assert ask_with(service, secret, "/sessions").get_json() == {"sessions": []}
    me = service.auth.access_tokens.look_up(secret)
    assert me is not None
    assert not service.auth.sessions.is_fresh(me)
    assert not service.auth.sessions.is_fresh(me, 10**12)
    assert me.token is not None
    assert secret not in repr(me)
    assert me.token.uid in repr(me)
    with pytest.raises(NotSignedIn):
        service.auth.sessions.rotate(me)


def test_a_public_page_takes_no_token(service: Service) -> None:
    """The token is no one there: a link in an email is opened by its reader."""
    secret = added(service, "*").secret
    assert ask_with(service, secret, "/").status_code == 200
    bad = ask_with(service, "no-token", "/sessions/new")
    assert bad.status_code == 200
    answer = ask_with(
        service, secret, "/notification_email/verification", method="POST", headers=OWN
    )
    assert answer.get_json()["code"] == "link_not_open"


# --- what is no token ---------------------------------------------------------------------------

WRONG: list[tuple[Callable[[str], dict[str, str]], int, str]] = [
    (lambda _: {}, 401, "not_signed_in"),
    (lambda t: {"Authorization": t}, 401, "not_signed_in"),
    (lambda t: {"Authorization": f"Token {t}"}, 401, "not_signed_in"),
    (lambda t: {"Authorization": f"Basic {t}"}, 401, "not_signed_in"),
    (lambda t: {"Authorization": f"Bearer{t}"}, 401, "not_signed_in"),
    (lambda t: {"Authorization": f"Bearer\t{t}"}, 401, "not_signed_in"),
    (lambda _: {"Authorization": "Bearer"}, 401, "invalid_token"),
    (lambda _: {"Authorization": "Bearer "}, 401, "invalid_token"),
    (lambda t: {"Authorization": f"Bearer {t[:-1]}"}, 401, "invalid_token"),
    (lambda t: {"Authorization": f"Bearer {t}x"}, 401, "invalid_token"),
    (lambda t: {"Authorization": f"Bearer {t[:-1]}{chr(ord(t[-1]) ^ 1)}"}, 401, "invalid_token"),
    (lambda t: {"Authorization": f"Bearer {t} {t}"}, 401, "invalid_token"),
    (lambda t: {"Authorization": f'Bearer "{t}"'}, 401, "invalid_token"),
    (lambda t: {"Authorization": f"Bearer {t}\xe9"}, 401, "invalid_token"),
    (lambda t: {"Authorization": f"Bearer {t.upper()}"}, 401, "invalid_token"),
    (lambda _: {"Authorization": f"Bearer {token_format.new()}"}, 401, "invalid_token"),
    (lambda t: {"Authorization": "Bearer " + t * 640}, 401, "invalid_token"),
    (lambda t: {"Authorization": f"Bearer {t},Bearer {t}"}, 400, "several_credentials"),
    (lambda t: {"Authorization": f"Basic eDp5, bearer {t}"}, 400, "several_credentials"),
    (
        lambda t: {"Authorization": f"Bearer {t}", "Cookie": "session_id=" + "A" * 43},
        400,
        "several_credentials",
    ),
]


@pytest.mark.parametrize("way", ["flask", "edge"])
def test_what_is_no_token_is_refused_alike(
    service: Service, way: str, caplog: pytest.LogCaptureFixture
) -> None:
    """By the dispatcher and by the edge, with the words of RFC 6750 and without the token."""
    token = added(service).secret
    edge = edge_of(service)
    caplog.set_level(logging.DEBUG)
    for made, status, code in WRONG:
        headers = made(token)
        if way == "edge":
            raw = [(k.lower().encode(), v.encode("latin-1")) for k, v in headers.items()]
            heard = ask(edge, "GET", "/profile", *raw)
            found = heard.status, json.loads(heard.body)["code"]
            challenge, told = heard.header("www-authenticate"), heard.body.decode()
        else:
            client = service.app.test_client(use_cookies=False)
            answer = client.get("/profile", headers=headers)
            found = answer.status_code, answer.get_json()["code"]
            challenge, told = answer.headers["WWW-Authenticate"], answer.text
        assert found == (status, code), headers
        error = {"not_signed_in": "", "several_credentials": ' error="invalid_request"'}
        assert challenge == "Bearer" + error.get(code, f' error="{code}"')
        assert token[3:-6] not in told + challenge
    assert token[3:-6] not in caplog.text


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer  "])
@pytest.mark.parametrize("way", ["flask", "edge"])
def test_the_scheme_is_in_capitals_or_not(service: Service, scheme: str, way: str) -> None:
    """RFC 9110 section 11.1; and one space or more stand behind it."""
    sent = f"{scheme} {added(service).secret}"
    if way == "edge":
        heard = ask(edge_of(service), "GET", "/profile", (b"authorization", sent.encode()))
        assert (heard.status, json.loads(heard.body)["email"]) == (200, EMAIL)
    else:
        client = service.app.test_client(use_cookies=False)
        assert client.get("/profile", headers={"Authorization": sent}).status_code == 200


def test_two_header_fields_are_several_credentials(service: Service) -> None:
    """However a server joins them."""
    value = f"Bearer {added(service).secret}".encode()
    heard = ask(edge_of(service), "GET", "/profile", *[(b"authorization", value)] * 2)
    assert (heard.status, json.loads(heard.body)["code"]) == (400, "several_credentials")


def test_a_token_in_the_address_or_the_body_is_not_read(service: Service) -> None:
    """Logs keep addresses."""
    secret = added(service, "*").secret
    client = service.app.test_client(use_cookies=False)
    for name in ("access_token", "token", "bearer"):
        assert client.get("/profile", query_string={name: secret}).status_code == 401
        heard = ask(edge_of(service), "GET", f"/profile?{name}={secret}")
        assert heard.status in {404, 401}
        answer = client.delete("/access_tokens/current", data={name: secret})
        assert answer.status_code == 401


def test_a_look_up_does_not_tell_how_much_of_a_token_is_right(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only digests of whole tokens are compared, in one statement, and answers are alike (L11)."""
    secret = added(service).secret
    asked: list[tuple[str, int]] = []
    quick = service.auth._db.fetch_row

    def counted(statement: str, values: Any) -> Any:
        asked.append((statement, len(values["digest"])))
        return quick(statement, values)

    monkeypatch.setattr(service.auth._db, "fetch_row", counted)
    met = set()
    for right in (3, 4, 20, 40, 45):
        body = secret[:right] + ("1" if secret[right] != "1" else "2") * (46 - right)
        answer = ask_with(service, body + token_format.checksum(body))
        headers = {name: value for name, value in answer.headers if name != "X-Request-Id"}
        met.add((answer.status_code, answer.text, str(headers)))
    assert len(met) == 1
    assert len(asked) == 5
    assert len({*asked}) == 1


@pytest.mark.parametrize("way", ["flask", "edge"])
def test_what_is_not_well_formed_costs_no_statement(
    service: Service, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    """A flood of guesses with a wrong checksum never reaches the database."""
    secret = added(service).secret
    monkeypatch.setattr(service.auth._db, "fetch_row", lambda *_: pytest.fail("asked the database"))
    wrong = f"Bearer {secret[:-1]}{'0' if secret[-1] != '0' else '1'}"
    if way == "edge":
        assert (
            ask(edge_of(service), "GET", "/profile", (b"authorization", wrong.encode())).status
            == 401
        )
    else:
        assert ask_with(service, wrong.partition(" ")[2]).status_code == 401


def test_a_token_needs_no_form_token_and_lends_itself_to_no_cookie(service: Service) -> None:
    """Another site cannot send it; beside a cookie, and where it is dead, nothing is skipped."""
    foreign = {"Sec-Fetch-Site": "cross-site", "Origin": "https://evil.example"}
    client = service.signed_in()
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    token = added(service)
    both = {**foreign, "Cookie": f"session_id={cookie.value}"}
    path = "/access_tokens/current"
    refused_as = ask_with(service, token.secret, path, method="DELETE", headers=both)
    assert refused_as.get_json()["code"] == "cross_site"
    dead = ask_with(service, token_format.new(), path, method="DELETE", headers=foreign)
    assert dead.get_json()["code"] == "cross_site"
    signing_in = ask_with(
        service,
        token.secret,
        "/sessions",
        method="POST",
        headers=foreign,
        json={"email": EMAIL, "password": PASSPHRASE},
    )
    assert signing_in.get_json()["code"] == "cross_site"
    done = ask_with(service, token.secret, path, method="DELETE", headers=foreign)
    assert done.status_code == 204
    assert ask_with(service, token.secret).status_code == 401


# --- its end ------------------------------------------------------------------------------------


def test_an_owner_revokes_a_token_and_no_other_user_does(service: Service) -> None:
    """By the page and by JSON; another account finds no such token."""
    client = service.signed_in()
    first, second = added(service), added(service)
    other = service.signed_in("eve@example.com")
    for uid in (first.uid, "current", "x", first.uid.upper()):
        answer = other.delete(f"/access_tokens/{uid}", headers=OWN)
        assert (answer.status_code, answer.get_json()["code"]) == (404, "no_such_access_token")
    assert other.get("/access_tokens").get_json() == {"access_tokens": []}
    assert client.delete(f"/access_tokens/{first.uid}", headers=OWN).status_code == 204
    assert ask_with(service, first.secret).status_code == 401
    assert ask_with(service, second.secret).status_code == 200
    again = client.delete(f"/access_tokens/{first.uid}", headers=OWN)
    assert again.get_json()["code"] == "no_such_access_token"
    page = client.get("/access_tokens", headers=HTML).text
    found = re.search(r'name="form_token" value="([^"]+)"', page)
    assert found is not None
    form = {"form_token": found[1], "_method": "DELETE"}
    gone = client.post(f"/access_tokens/{second.uid}", data=form, headers=HTML)
    assert (gone.status_code, gone.location) == (303, "/access_tokens")
    assert "The token was revoked." in client.get("/access_tokens", headers=HTML).text
    assert [name for name, _ in events(service)][-2:] == ["access_token.revoked"] * 2


def test_a_token_revokes_itself_and_no_other(service: Service) -> None:
    """So that a leaked one can be ended by a program that finds it."""
    first, second = added(service), added(service, "*")
    answer = ask_with(service, second.secret, f"/access_tokens/{first.uid}", method="DELETE")
    assert answer.get_json()["code"] == "no_such_access_token"
    for token, name in ((first, first.uid), (second, "current")):
        answer = ask_with(service, token.secret, f"/access_tokens/{name}", method="DELETE")
        assert answer.status_code == 204
        assert problem_of(ask_with(service, token.secret))[1] == "invalid_token"


def acts(service: Service) -> dict[str, Callable[[FlaskClient], object]]:
    """What ends the tokens of Bob, each by a client that is signed in."""

    def reset(_client: FlaskClient) -> None:
        token = service.auth.get_reset_password_token(EMAIL)
        service.auth.update_password(token, "douze hiboux dans la grange")

    def change(client: FlaskClient) -> None:
        sent = {"old_password": PASSPHRASE, "new_password": "douze hiboux dans la grange"}
        assert client.put("/password", json=sent, headers=OWN).status_code == 200

    return {
        "password changed": change,
        "password reset": reset,
        "account disabled": lambda _: service.auth.accounts.disable(CODE, EMAIL),
        "account closed": lambda client: client.delete("/profile", headers=OWN),
    }


@pytest.mark.parametrize(
    "act", ["password changed", "password reset", "account disabled", "account closed"]
)
@pytest.mark.parametrize("way", ["flask", "edge"])
def test_what_ends_sessions_ends_tokens(service: Service, act: str, way: str) -> None:
    """At once, at the edge too, which had seen the token before; and the log says why."""
    client = service.signed_in()
    token = added(service)
    edge = edge_of(service)

    def status() -> int:
        sent = f"Bearer {token.secret}"
        if way == "edge":
            return ask(edge, "GET", "/profile", (b"authorization", sent.encode())).status
        return ask_with(service, token.secret).status_code

    assert status() == 200
    acts(service)[act](client)
    assert status() == 401
    name, facts = events(service)[-1]
    assert (name, facts["reason"]) == ("access_tokens.revoked", act)
    service.auth.accounts.enable(CODE, EMAIL)
    assert status() == 401


def test_signing_out_ends_no_token(service: Service) -> None:
    """A token is no session: the page of tokens ends it."""
    client = service.signed_in()
    token = added(service)
    assert client.delete("/sessions?which=all", headers=OWN).status_code == 204
    assert ask_with(service, token.secret).status_code == 200


def test_a_deleted_account_leaves_none(service: Service) -> None:
    """No row stays."""
    token = added(service)
    service.auth.accounts.delete(CODE, EMAIL)
    assert ask_with(service, token.secret).status_code == 401
    assert service.auth.access_tokens.all() == []


def test_a_token_expires(service: Service, moving_clock: Clock) -> None:
    """It is a condition of the look-up; the sweep only makes room."""
    token = added(service, lifetime="7d")
    moving_clock.forward(7 * DAY - 5)
    assert ask_with(service, token.secret).status_code == 200
    moving_clock.forward(6)
    assert ask_with(service, token.secret).status_code == 401
    tokens = service.auth.access_tokens
    assert tokens.all() == []
    assert len(tokens.export(service.auth.accounts.find(EMAIL).id)["access_tokens"]) == 1
    assert tokens.sweep(clock.now(), 10) == 1
    assert tokens.sweep(clock.now(), 10) == 0


def test_a_lower_longest_lifetime_ends_older_tokens(
    service: Service, make_service: MakeService, moving_clock: Clock
) -> None:
    """The settings of now decide, and the default never is above the longest."""
    token = added(service, lifetime="366d")
    moving_clock.forward(8 * DAY)
    stricter = make_service(access_token_longest="7d", access_token_scopes="read")
    assert ask_with(service, token.secret).status_code == 200
    assert ask_with(stricter, token.secret).status_code == 401
    made = added(stricter)
    assert made.expires_at - clock.now() <= 7 * DAY
    assert stricter.auth.access_tokens.context()["token_lifetimes"] == [7 * DAY]


def test_a_token_of_tomorrow_is_not_believed(service: Service, moving_clock: Clock) -> None:
    """The clock was set back since, or the row was written by hand."""
    token = added(service)
    moving_clock.forward(-DAY)
    assert ask_with(service, token.secret).status_code == 401


def test_the_last_use_is_written_at_most_once_in_ten_minutes(
    service: Service, moving_clock: Clock
) -> None:
    """By one statement, which many requests at once run and one wins."""
    token = added(service)
    user_id = service.auth.accounts.find(EMAIL).id
    tokens = service.auth.access_tokens

    def used() -> float | None:
        return tokens.list(user_id)[0].last_used_at

    assert used() is None
    ask_with(service, token.secret)
    first = used()
    assert first is not None
    moving_clock.forward(USED_EVERY - 5)
    ask_with(service, token.secret)
    assert used() == first
    me = tokens.look_up(token.secret)
    assert me is not None
    tokens.touch(me)
    assert used() == first
    moving_clock.forward(10)
    edge = edge_of(service)
    ask(edge, "GET", "/profile", (b"authorization", f"Bearer {token.secret}".encode()))
    edge._checking.shutdown()
    assert used() == first + USED_EVERY + 5
    moving_clock.forward(-DAY)
    with service.auth._db.transaction() as tx:
        tx.change(update(AccessToken).values(created_at=0, last_used_at=clock.now() + DAY))
    stale = me._replace(last_seen_at=clock.now() + DAY)
    assert tokens.touch_is_due(stale)
    tokens.touch(stale)
    with service.auth._db.reading() as reading:
        assert reading.scalar(select(AccessToken.last_used_at)) == clock.now()


def test_a_use_is_not_recorded_while_the_database_takes_no_writes(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The request is answered all the same."""
    token = added(service)

    def read_only(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("read-only")

    monkeypatch.setattr(service.auth._db, "transaction", read_only)
    assert ask_with(service, token.secret).status_code == 200


def test_the_constant_values_are_kept_and_not_for_ever(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache is emptied when it is full; a token that goes meanwhile is none."""
    tokens = service.auth.access_tokens
    first, second = added(service), added(service)
    monkeypatch.setattr("bienvenue.db._MOST_ROWS", 1)
    for token in (first, second, first):
        assert tokens.look_up(token.secret) is not None
        assert len(tokens._lasting) == 1
    tokens._lasting.clear()
    asked = service.auth._db.fetch_row
    monkeypatch.setattr(
        service.auth._db, "fetch_row", lambda s, v: None if "scopes" in s else asked(s, v)
    )
    assert tokens.look_up(second.secret) is None
    assert tokens._lasting == {}


# --- services -----------------------------------------------------------------------------------


def test_a_service_has_an_account_that_signs_in_nowhere(service: Service) -> None:
    """It has tokens and groups; no password, email, session or reset (L05)."""
    tokens = service.auth.access_tokens
    token = tokens.add_for_service(CODE, "deploy", "ci", "read")
    assert token.account == "deploy@service.invalid"
    assert tokens.add_for_service(CODE, "deploy", "other", "read").account == token.account
    assert ask_with(service, token.secret).get_json()["email"] == token.account
    client = service.client()
    for path, sent in (
        ("/sessions", {"email": token.account, "password": PASSPHRASE}),
        ("/users", {"email": token.account, "password": PASSPHRASE}),
        ("/reset_password", {"email": token.account}),
    ):
        answer = client.post(path, json=sent)
        assert answer.get_json()["code"] == "malformed_email"
    assert service.auth.create_session(token.account) is None
    user = service.auth.accounts.find(token.account)
    with pytest.raises(ServiceAccount):
        service.auth.sessions.open(CODE, Authentication(user))
    service.auth.groups.add(CODE, token.account, "deployers")
    assert service.auth.groups.of(user.id) == {"deployers"}
    with service.auth._db.reading() as tx:
        assert tx.scalars(select(Message)).all() == []
    service.auth.accounts.disable(CODE, token.account)
    assert ask_with(service, token.secret).status_code == 401
    shut = service.auth.registry.sign_in_refusal(service.auth.accounts.find(token.account))
    assert isinstance(shut, AccountDisabled)


@pytest.mark.parametrize("name", ["", "A", "a b", "a@b", "-a", "a" * 41, "é", "a\n"])
def test_a_service_has_a_plain_name(service: Service, name: str) -> None:
    """It stands where an email does."""
    with pytest.raises(MalformedServiceName):
        service.auth.access_tokens.add_for_service(CODE, name, "ci", "read")


def test_two_first_tokens_make_one_account(service: Service) -> None:
    """Of one service, at the same time."""
    tokens = service.auth.access_tokens
    made = race(lambda n: tokens.add_for_service(CODE, "deploy", f"ci {n}", "read"), 6)
    assert {one.account for one in made} == {"deploy@service.invalid"}
    assert len(tokens.all("deploy@service.invalid")) == 6


# --- the command line ---------------------------------------------------------------------------


def test_the_commands(service: Service, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """They make, list and revoke; the token is printed once, and its owner is notified."""
    monkeypatch.setenv("BIENVENUE_ACCESS_TOKEN_SCOPES", "read, write")
    service.auth.register_user(EMAIL, PASSPHRASE)
    made = run(
        "tokens", "add", "--user", EMAIL, "--name", "ci", "--scope", "read", "--scope", "write"
    )
    assert made.exit_code == 0, made.output
    (secret,) = re.findall(token_format.PATTERN, made.stdout)
    assert made.stdout == f"{secret}\n"
    assert ask_with(service, secret).get_json()["access_token"]["scopes"] == ["read", "write"]
    full = run(
        "tokens", "add", "--service", "deploy", "--name", "ci", "--full-access", "--lifetime", "1h"
    )
    assert "of deploy@service.invalid, until " in full.stderr
    lines = run("tokens", "list").stdout.splitlines()
    assert [line.split("  ")[-3:] for line in lines] == [
        [EMAIL, "read,write", "ci"],
        ["deploy@service.invalid", "*", "ci"],
    ]
    assert "never used" in lines[1]
    assert run("tokens", "list", "--user", EMAIL).stdout.splitlines() == lines[:1]
    assert run("tokens", "list", "--service", "deploy").stdout.splitlines() == lines[1:]
    assert "service " in run("users", "list").stdout
    uid = lines[0].split()[0]
    assert run("tokens", "revoke", uid).stdout == "revoked ci\n"
    assert ask_with(service, secret).status_code == 401
    assert secret not in run("audit", "show").output
    refused(run("tokens", "revoke", uid), "doesn't exist")
    refused(run("tokens", "add", "--name", "ci", "--scope", "read"), "name a user or a service", 2)
    both = ("--user", EMAIL, "--service", "deploy")
    refused(run("tokens", "add", *both, "--name", "ci"), "name a user or a service", 2)
    refused(run("tokens", "list", *both), "not both", 2)
    refused(run("tokens", "add", "--user", EMAIL, "--name", "ci"), "Choose what")
    refused(run("tokens", "list", "--user", "nobody@example.com"), "no account")
    with pytest.raises(NoSuchAccessToken):
        service.auth.access_tokens.end_any(CODE, uid)


@pytest.mark.parametrize(
    "value",
    [
        "Read",
        "read,read",
        "account:more",
        "a b",
        "read=a\nb",
        "read=" + "x" * 101,
        "é",
        "*",
        ",".join(f"s{n}" for n in range(31)),
    ],
)
def test_a_scope_that_cannot_be_is_refused_at_start(value: str) -> None:
    """By the settings; what is right is said."""
    from bienvenue.settings import Settings, SettingsProblem  # noqa: PLC0415 (beside its one use)

    with pytest.raises(SettingsProblem, match="ACCESS_TOKEN_SCOPES"):
        Settings(access_token_scopes=value).of(AccessTokens.Settings)
