"""CORS: which other sites may read what, and that no one else learns of it (G07)."""

from __future__ import annotations

import json

import pytest

from bienvenue.app import all_pages
from bienvenue.authentication import CODE
from bienvenue.settings import Settings, SettingsProblem
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.web.edge import ask, edge_of

APP = "https://app.example.org"
STRANGERS = (
    "https://evil.example",
    "null",
    "https://app.example.org.evil.example",
    "https://evilapp.example.org",
    "http://app.example.org",
    "https://app.example.org:8443",
    "https://APP.example.org",
    "https://app.example.org/",
    "*",
    "",
)


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service that lets the scripts of two origins use its API."""
    return make_service(cors_origins=f"{APP}, http://localhost:3000")


def cors_of(headers: list[tuple[str, str]]) -> dict[str, str]:
    """The headers of CORS of an answer."""
    found = {name.lower(): value for name, value in headers}
    return {name: value for name, value in found.items() if name.startswith("access-control-")}


def test_a_script_of_a_listed_origin_reads_what_a_token_opens(service: Service) -> None:
    """Refusals too; the answer names that origin, and never allows credentials."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    secret = service.auth.access_tokens.add_for(CODE, EMAIL, "app", "account:read").secret
    client = service.app.test_client(use_cookies=False)
    for origin in (APP, "http://localhost:3000"):
        for sent, status in (({"Authorization": f"Bearer {secret}"}, 200), ({}, 401)):
            for path in ("/profile", "/sessions", "/access_tokens"):
                answer = client.get(path, headers={"Origin": origin, **sent})
                assert answer.status_code == status
                assert cors_of([*answer.headers]) == {
                    "access-control-allow-origin": origin,
                    "access-control-expose-headers": "Retry-After, WWW-Authenticate, X-Request-Id",
                }
                assert "Origin" in answer.vary
    foreign = {"Origin": APP, "Sec-Fetch-Site": "cross-site"}
    sent = foreign | {"Authorization": f"Bearer {secret}"}
    assert client.delete("/access_tokens/current", headers=sent).status_code == 204


def test_a_preflight_says_what_may_be_sent(service: Service) -> None:
    """The methods that take a token, and two headers; no cookie and no credential."""
    client = service.client()
    asked = {"Origin": APP, "Access-Control-Request-Method": "DELETE"}
    answer = client.options("/access_tokens/x", headers=asked)
    assert answer.status_code == 204
    assert cors_of([*answer.headers]) == {
        "access-control-allow-origin": APP,
        "access-control-allow-methods": "DELETE",
        "access-control-allow-headers": "Authorization, Content-Type",
        "access-control-max-age": "600",
    }
    assert (
        "POST"
        not in client.options("/access_tokens", headers=asked).headers[
            "Access-Control-Allow-Methods"
        ]
    )


def test_no_other_origin_gets_a_header(service: Service) -> None:
    """Not one that looks alike, and none is repeated; caches are told that it depends."""
    client = service.client()
    for origin in STRANGERS:
        for method in ("GET", "OPTIONS"):
            answer = client.open("/profile", method=method, headers={"Origin": origin})
            assert cors_of([*answer.headers]) == {}, origin
            assert "Origin" in answer.vary


def test_a_page_that_takes_no_token_is_read_by_no_other_site(service: Service) -> None:
    """Whoever asks: every page but those that name a scope."""
    client = service.client()
    opened = {page.path for page in all_pages(service.auth) if page.scope is not None}
    for page in all_pages(service.auth):
        if page.path not in opened:
            path = page.path.replace("<", "").replace(">", "")
            for method in (page.method, "OPTIONS"):
                answer = client.open(path, method=method, headers={"Origin": APP})
                assert cors_of([*answer.headers]) == {}, path


@pytest.mark.parametrize("way", ["flask", "edge"])
def test_without_the_setting_there_is_no_cors(make_service: MakeService, way: str) -> None:
    """No header, and nothing depends on the origin."""
    service = make_service()
    if way == "edge":
        heard = ask(edge_of(service), "GET", "/profile", (b"origin", APP.encode()))
        headers = heard.headers
    else:
        headers = [*service.client().get("/profile", headers={"Origin": APP}).headers]
    assert cors_of(headers) == {}
    assert "Origin" not in {name.lower(): value for name, value in headers}["vary"]


def test_the_edge_answers_as_the_pages_do(service: Service) -> None:
    """With the headers for a listed origin, and the same `Vary` for all."""
    edge = edge_of(service)
    told = ask(edge, "GET", "/profile", (b"origin", APP.encode()))
    assert json.loads(told.body)["code"] == "not_signed_in"
    assert told.header("access-control-allow-origin") == APP
    for headers in ([(b"origin", b"null")], [], [(b"authorization", b"Bearer x")]):
        heard = ask(edge, "GET", "/profile", *headers)
        assert heard.status == 401
        assert cors_of(heard.headers) == {}
        assert "Origin" in heard.header("vary")


@pytest.mark.parametrize(
    "value", ["*", "https://*.example.org", "null", "app.example.org", f"{APP}/x"]
)
def test_an_origin_that_is_none_is_refused_at_start(value: str) -> None:
    """A star and a pattern would let any site in."""
    with pytest.raises(SettingsProblem, match="CORS_ORIGINS"):
        Settings(cors_origins=value)
