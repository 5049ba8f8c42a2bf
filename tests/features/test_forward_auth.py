"""forward_auth: who is signed in, as a proxy or another application asks; Flask and edge alike."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

import pytest

from bienvenue.authentication import CODE
from bienvenue.db import DatabaseUnavailable
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.web.edge import Heard, ask, edge_of
from tests.web.test_edge import told, without_flask

BROWSER = {"Accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}
SHELF = "https://shelf.example.org"


def secret_of(service: Service) -> str:
    """Sign in; give the Cookie header."""
    cookie = service.signed_in().get_cookie("session_id")
    assert cookie is not None
    return f"session_id={cookie.value}"


def by_flask(service: Service, headers: Mapping[str, str]) -> Heard:
    """Ask without the edge, as under another server."""
    answer = service.app.test_client(use_cookies=False).get(
        "/verify",
        headers=[("Host", headers.get("Host", "localhost:5000")), *headers.items()],
        environ_overrides={"REMOTE_ADDR": "203.0.113.9"},
    )
    return Heard(answer.status_code, [(k.lower(), v) for k, v in answer.headers], answer.get_data())


def by_edge(service: Service, headers: Mapping[str, str]) -> Heard:
    """Ask the edge."""
    return ask(
        edge_of(service),
        "GET",
        "/verify",
        *((name.lower().encode(), value.encode()) for name, value in headers.items()),
    )


def caddys(url: str, method: str = "GET") -> dict[str, str]:
    """Describe a request as Caddy and Traefik do."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    return {
        "X-Forwarded-Method": method,
        "X-Forwarded-Proto": scheme,
        "X-Forwarded-Host": host,
        "X-Forwarded-Uri": f"{slash}{path}",
    }


def nginxs(url: str, method: str = "GET") -> dict[str, str]:
    """Describe a request as nginx does by the configuration of the guide."""
    return {"X-Original-URL": url, "X-Original-Method": method}


def test_both_name_the_user_and_read_what_is_true_now(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """204 with the public name, the email, the groups and the factors; and 401 once it is over."""
    cookie = {"Cookie": secret_of(service)}
    user = service.auth.accounts.find(EMAIL)
    named = {
        "remote-user": user.uid,
        "remote-email": EMAIL,
        "remote-groups": "",
        "remote-amr": "pwd",
        "remote-scopes": "*",
        "cache-control": "no-store",
    }
    for groups in ((), ("staff", "Editors")):
        for group in groups:
            service.auth.groups.add(CODE, EMAIL, group)
        named["remote-groups"] = ",".join(sorted(groups))
        for sent in (cookie, cookie | BROWSER, cookie | {"Host": "shelf.example.org"}):
            heard = by_flask(service, sent)
            assert (heard.status, heard.body) == (204, b"")
            assert {name: heard.header(name) for name in named} == named
    edge = edge_of(service)
    reached = without_flask(edge, monkeypatch)
    bare = [(b"cookie", cookie["Cookie"].encode()), (b"accept", b"text/html")]
    assert told(ask(edge, "GET", "/verify", *bare)) == told(by_flask(service, cookie | BROWSER))
    assert told(ask(edge, "GET", "/verify")) == told(by_flask(service, {}))
    service.auth.accounts.disable(CODE, EMAIL)
    for heard in (ask(edge, "GET", "/verify", bare[0]), by_flask(service, cookie)):
        assert (heard.status, heard.header("content-type")) == (401, "application/problem+json")
        assert not [name for name, _ in heard.headers if name.startswith("remote-")]
    assert reached == []


def test_a_proxy_may_keep_the_host_of_the_application(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Caddy does so; the other check, whose answer pages may read, wants ours (decision 12)."""
    edge, cookie = edge_of(service), (b"cookie", secret_of(service).encode())
    monkeypatch.setattr(edge._hosts, "hold", lambda _: False)
    assert ask(edge, "GET", "/verify", cookie).status == 204
    assert ask(edge, "GET", "/profile", cookie).status == 400


@pytest.mark.parametrize(
    ("asked", "back"),
    [
        (
            f"{SHELF}/books?page=2&of=3",
            "https%3A%2F%2Fshelf.example.org%2Fbooks%3Fpage%3D2%26of%3D3",
        ),
        ("http://localhost:5000/shelf?a=b", "%2Fshelf%3Fa%3Db"),
        ("https://evil.example/", None),
        (f"{SHELF}.evil.example/", None),
        (f"{SHELF}@evil.example/", None),
        ("http://localhost:5000//evil.example", None),
        ("http://localhost:50001/", None),
        ("://", None),
        ("javascript:alert(1)", None),
    ],
)
def test_a_browser_is_led_to_signing_in(
    make_service: MakeService, asked: str, back: str | None
) -> None:
    """And back to what it wanted, if that is of this site or of a listed origin."""
    service = make_service(return_origins=SHELF)
    query = "" if back is None else f"?next={back}"
    url = f"http://localhost:5000/sessions/new{query}"
    for way in (by_flask, by_edge):
        heard = way(service, BROWSER | caddys(asked))
        assert (heard.status, heard.header("location"), heard.body) == (303, url, b"")
        # nginx takes no 303 here, and reads where to go from the refusal.
        heard = way(service, BROWSER | nginxs(asked))
        assert (heard.status, heard.header("location")) == (401, url)
        posted = way(service, BROWSER | caddys(asked, "POST"))
        assert posted.header("location") == "http://localhost:5000/sessions/new"


def test_a_program_and_a_browser_without_a_proxy_are_refused(service: Service) -> None:
    """A redirect would be success to a program; and this page is none to come back to."""
    for way in (by_flask, by_edge):
        for sent in ({}, caddys(f"{SHELF}/"), nginxs(f"{SHELF}/"), BROWSER):
            heard = way(service, sent)
            assert heard.status == 401
            assert "location" not in dict(heard.headers)


def test_a_service_at_a_path_leads_there(make_service: MakeService) -> None:
    """The path of the settings counts."""
    service = make_service(mount="/auth")
    heard = by_flask(service, BROWSER | caddys("http://localhost:5000/shelf"))
    assert heard.header("location") == "http://localhost:5000/auth/sessions/new?next=%2Fshelf"


def test_without_a_database_nobody_is_let_in(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """503 with Retry-After when the groups cannot be read: one without them would be wrong."""
    cookie = {"Cookie": secret_of(service)}

    def away(_: int) -> list[str]:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(service.auth.groups, "committed", away)
    for way in (by_flask, by_edge):
        heard = way(service, cookie)
        assert (heard.status, heard.header("retry-after")) == (503, "5")
        assert "remote-user" not in dict(heard.headers)


@pytest.mark.parametrize("way", [by_flask, by_edge])
def test_a_token_needs_full_access(
    make_service: MakeService, way: Callable[[Service, Mapping[str, str]], Heard]
) -> None:
    """What stands behind the proxy knows no scopes; what is no token is refused as elsewhere."""
    service = make_service(access_token_scopes="read", cors_origins=SHELF)
    cookie = secret_of(service)
    tokens = service.auth.access_tokens
    few = tokens.add_for(CODE, EMAIL, "few", "read account:read").secret
    full = tokens.add_for(CODE, EMAIL, "full", "*").secret
    heard = way(service, {"Authorization": f"Bearer {full}", "Origin": SHELF})
    assert (heard.status, heard.header("remote-email"), heard.header("remote-amr")) == (
        204,
        EMAIL,
        "",
    )
    assert not [name for name, _ in heard.headers if name.startswith("access-control")]
    for sent, status, code in (
        ({"Authorization": f"Bearer {few}"}, 403, "insufficient_scope"),
        ({"Authorization": "Bearer x"}, 401, "invalid_token"),
        ({"Authorization": f"Bearer {full}", "Cookie": cookie}, 400, "several_credentials"),
        ({"Authorization": "Basic eDp5"}, 401, "not_signed_in"),
    ):
        refused = way(service, sent)
        assert (refused.status, json.loads(refused.body)["code"]) == (status, code)
        assert refused.header("www-authenticate").startswith("Bearer")


@pytest.mark.parametrize("way", [by_flask, by_edge])
def test_a_token_opens_only_what_it_is_for(
    make_service: MakeService, way: Callable[[Service, Mapping[str, str]], Heard]
) -> None:
    """Without a scope that the proxy asks for, a token of few would pass for a session."""
    service = make_service(access_token_scopes="read=Read your notes, write")
    service.auth.register_user(EMAIL, PASSPHRASE)
    few, full = (
        service.auth.access_tokens.add_for(CODE, EMAIL, scopes, scopes).secret
        for scopes in ("read", "*")
    )
    heard = way(service, {"Authorization": f"Bearer {full}"})
    assert (heard.status, heard.header("remote-scopes")) == (204, "*")
    for sent in ({}, BROWSER, caddys(f"{SHELF}/")):
        heard = way(service, {"Authorization": f"Bearer {few}", **sent})
        assert heard.status == 403
        assert "insufficient_scope" in heard.header("www-authenticate")
        assert "remote-user" not in dict(heard.headers)
    heard = way(service, {"Authorization": f"Bearer {few}x"})
    assert heard.status == 401
    assert "invalid_token" in heard.header("www-authenticate")
    both = {"Authorization": f"Bearer {few}", "Cookie": secret_of(service)}
    assert way(service, both).status == 400
    client = service.app.test_client(use_cookies=False)
    for query, status in (("read", 204), ("write read", 204), ("write", 403), ("", 403)):
        answer = client.get(
            "/verify", query_string={"scope": query}, headers={"Authorization": f"Bearer {few}"}
        )
        assert answer.status_code == status, query
        assert answer.headers.get("Remote-Scopes") == ("read" if status == 204 else None)


@pytest.mark.parametrize("scope", ["\u20ac", 'a", Basic realm="x', "\x7f"])
def test_a_scope_that_cannot_be_one_is_not_repeated(make_service: MakeService, scope: str) -> None:
    """A header takes few characters, and a quotation mark would end it."""
    service = make_service(access_token_scopes="read")
    service.auth.register_user(EMAIL, PASSPHRASE)
    few = service.auth.access_tokens.add_for(CODE, EMAIL, "few", "read").secret
    header = (b"authorization", f"Bearer {few}".encode())
    query = urlencode({"scope": scope}).encode()
    answer = ask(edge_of(service), "GET", "/verify", header, query=query)
    assert answer.status == 403
    named = answer.header("www-authenticate")
    words = " ".join(word for word in scope.split() if word.isascii() and word.isprintable())
    asked = " ".join(word for word in words.split() if '"' not in word)
    assert named == 'Bearer error="insufficient_scope"' + (f', scope="{asked}"' if asked else "")


def test_the_edge_leaves_scopes_to_the_page(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads no query; the page does, and refuses one that it does not know by ignoring it."""
    edge = edge_of(service)
    reached = without_flask(edge, monkeypatch)
    cookie = (b"cookie", secret_of(service).encode())
    assert ask(edge, "GET", "/verify", cookie, query=b"scope=read").status == 204
    assert reached == ["/verify"]
