"""Requests of other sites, form tokens, hosts, and the cookies they turn on."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bienvenue import tokens
from bienvenue.app import all_pages
from bienvenue.key_ring import KeyRing
from bienvenue.settings import Settings
from bienvenue.web import crosssite
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.web.browser import HTML, Browser, forms

CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}
OURS = "http://localhost:5000"
HTTPS = "https://login.example.org"


def visitor(service: Service, kind: str) -> FlaskClient:
    """Someone without a cookie, signed in, or only with the cookie of a form."""
    if kind == "signed in":
        return service.signed_in()
    client = service.client()
    if kind == "form cookie":
        client.get("/sessions/new", headers=HTML)
        assert client.get_cookie("form_id")
    return client


def token_of(client: FlaskClient) -> str:
    """The form token of a page this visitor is shown; it sets the cookie it is bound to."""
    return forms(client.get("/users/new", headers=HTML))[-1].fields["form_token"]


def post(client: FlaskClient, medium: str, headers: dict[str, str]) -> int:
    """Sign in as a page somewhere would make a browser do it; give the status."""
    if medium == "json":
        return client.post("/sessions", json=CREDENTIALS, headers=headers).status_code
    token = {"form_token": token_of(client)} if medium == "form with token" else {}
    return client.post("/sessions", data=CREDENTIALS | token, headers=headers).status_code


NULL = {"Origin": "null"}
SAID: list[tuple[dict[str, str], bool]] = [
    ({"Sec-Fetch-Site": "same-origin"}, True),
    ({"Sec-Fetch-Site": "none"}, True),
    ({"Sec-Fetch-Site": "same-site"}, False),
    ({"Sec-Fetch-Site": "cross-site"}, False),
    ({"Sec-Fetch-Site": ""}, False),
    ({"Sec-Fetch-Site": "nonsense"}, False),
    ({"Sec-Fetch-Site": "same-origin", "Origin": "null"}, True),
    ({"Sec-Fetch-Site": "cross-site", "Origin": OURS}, False),
    ({"Origin": OURS}, True),
    ({"Origin": "http://127.0.0.1:5000"}, True),
    ({"Origin": "http://[::1]:5000"}, True),
    ({"Origin": "null"}, False),
    ({"Origin": ""}, False),
    ({"Origin": "http://evil.example"}, False),
    ({"Origin": "https://localhost:5000"}, False),
    ({"Origin": "http://localhost:5001"}, False),
    ({"Origin": "http://localhost"}, False),
    ({"Origin": "http://localhost:5000.evil.example"}, False),
    ({"Origin": "http://localhost:5000/"}, False),
]


@pytest.mark.table
@pytest.mark.slow
@pytest.mark.parametrize("kind", ["no cookie", "signed in"])
def test_what_a_browser_says_decides(service: Service, kind: str) -> None:
    """Sec-Fetch-Site first, then Origin; a token changes nothing unless that is `null`."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    for headers, passes in SAID:
        for medium in ("json", "form", "form with token"):
            client = visitor(service, kind)
            found = post(client, medium, headers)
            # A null origin alone says nothing, so a token is needed, and JSON bears none.
            right = passes or (headers == NULL and medium == "form with token")
            assert found == (200 if right else 403), (headers, medium)


#: Pages with a form that carry no-referrer, because the link of an email opens them.
LINKED = {
    "/users/new": ("/users", {"email": "new@example.org", "password": PASSPHRASE}),
    "/reset_password": ("/reset_password", {"email": EMAIL}),
}


@pytest.mark.parametrize("host", [OURS, "http://login.firma.example:5105"])
def test_a_form_of_ours_works_where_a_browser_hides_where_it_came_from(
    make_service: MakeService, host: str
) -> None:
    """Over plain http Chromium sends `Origin: null` and no Sec-Fetch-Site with these forms."""
    service = make_service(base_url=host)
    for page, (action, typed) in LINKED.items():
        browser = Browser(service, host)
        answer = browser.get(page)
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        form = next(form for form in forms(answer) if form.action == action)
        for token, right in ((form.fields["form_token"], True), ("", False), ("x", False)):
            sent = browser.send(form, NULL, **typed, form_token=token)
            assert (sent.status_code < 400) is right, (page, sent.text)


def test_a_method_is_tunnelled_where_a_browser_hides_where_it_came_from(service: Service) -> None:
    """So do forms that stand for PUT and DELETE, on a host's page with no-referrer as well."""
    browser = Browser(service)
    service.auth.register_user(EMAIL, PASSPHRASE)
    assert browser.sign_in(EMAIL, PASSPHRASE).status_code == 303
    out = browser.form("/profile", "/sessions", _method="DELETE")
    assert browser.send(out, NULL, form_token="").status_code == 403
    assert browser.get("/profile").status_code == 200
    assert browser.send(out, NULL).status_code == 303
    assert browser.get("/profile").status_code == 303


UNSAID = [
    ("no cookie", "json", 200),
    ("no cookie", "form", 200),
    ("no cookie", "form with token", 200),
    ("signed in", "json", 200),
    ("signed in", "form", 403),
    ("signed in", "form with token", 200),
    ("form cookie", "json", 200),
    ("form cookie", "form", 403),
    ("form cookie", "form with token", 200),
]


def test_a_form_with_a_cookie_of_ours_and_no_header_needs_the_token(service: Service) -> None:
    """With neither header it is no browser, or one so old that a form may come from anywhere."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    for kind, medium, status in UNSAID:
        assert post(visitor(service, kind), medium, {}) == status, (kind, medium)


def test_every_unsafe_page_refuses_other_sites(service: Service) -> None:
    """Generated from the pages: no one can forget one. Nothing happens to who is signed in."""
    client = service.signed_in()
    unsafe = [page for page in all_pages(service.auth) if page.method not in crosssite.SAFE]
    assert len(unsafe) >= 5
    for page in unsafe:
        path = page.path.replace("<uid>", "x")
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}):
            for medium in ("json", "data"):
                sent: dict[str, Any] = {medium: {}, "headers": headers}
                answer = client.open(path, method=page.method, **sent)
                assert (answer.status_code, answer.get_json()["code"]) == (403, "cross_site"), page
    assert client.get("/profile").status_code == 200


def test_safe_methods_are_for_every_site(service: Service) -> None:
    """A link from elsewhere leads here."""
    for method in ("GET", "HEAD", "OPTIONS"):
        answer = service.client().open("/", method=method, headers={"Sec-Fetch-Site": "cross-site"})
        assert answer.status_code < 300


def test_a_form_token_is_bound_to_the_cookie_it_was_shown_with(service: Service) -> None:
    """Another visitor's, one of before signing in, a broken one: none of them counts."""
    one, other = Browser(service), Browser(service)
    service.auth.register_user(EMAIL, PASSPHRASE)
    mine, theirs = (browser.form("/sessions/new", "/sessions") for browser in (one, other))
    sent = {"email": EMAIL, "password": PASSPHRASE}
    for token in (theirs.fields["form_token"], "", "x", "é" * 9, mine.fields["form_token"][:-4]):
        assert one.send(mine, **sent, form_token=token).status_code == 403, token
    assert one.send(mine, **sent).status_code == 303
    one.client.delete_cookie("form_id")
    out = one.form("/profile", "/sessions", _method="DELETE")
    assert one.send(out, form_token=mine.fields["form_token"]).status_code == 403
    assert one.send(out).status_code == 303


def test_two_pages_open_at_once_both_work(service: Service) -> None:
    """The cookie of forms is made once, so the first page's token is still right."""
    browser = Browser(service)
    first = browser.form("/users/new", "/users")
    browser.get("/sessions/new")
    answer = browser.send(first, email=EMAIL, password=PASSPHRASE)
    assert answer.status_code == 200


def tunnelled(service: Service, **fields: str) -> TestResponse:
    """Sign out by a form, with these fields in place of the usual ones."""
    client = service.signed_in()
    usual = {"_method": "DELETE", "form_token": token_of(client)}
    headers = {"Sec-Fetch-Site": "same-origin"}
    return client.post("/sessions", data=usual | fields, headers=headers)


TUNNELLED: list[tuple[dict[str, str], int]] = [
    ({}, 204),
    ({"form_token": "x"}, 403),
    ({"form_token": ""}, 403),
    ({"_method": "GET"}, 403),
    ({"_method": "delete"}, 403),
    ({"_method": "TRACE"}, 403),
    ({"_method": ""}, 403),
    ({"_method": "PATCH"}, 405),
    ({"x": "y"}, 400),
]


def test_a_method_is_tunnelled_only_with_a_valid_token(service: Service) -> None:
    """The browser says that it is us; the method still needs the token."""
    for fields, status in TUNNELLED:
        assert tunnelled(service, **fields).status_code == status, fields


def test_json_tunnels_no_method(service: Service) -> None:
    """There `_method` is a field no one knows; a program can say DELETE."""
    client = service.signed_in()
    answer = client.post("/sessions", json=CREDENTIALS | {"_method": "DELETE"})
    assert (answer.status_code, answer.get_json()["field"]) == (400, "_method")
    assert client.put("/password", data={"_method": "DELETE"}).get_json()["code"] == "missing_field"


HOSTS = [
    (OURS, "localhost:5000", True),
    (OURS, "127.0.0.1:5000", True),
    (OURS, "[::1]:5000", True),
    (OURS, "LOCALHOST", True),
    (OURS, "evil.example", False),
    (OURS, "localhost.evil.example", False),
    (OURS, "localhost@evil.example", False),
    (OURS, "", False),
    (OURS, "[::1", False),
    (HTTPS, "login.example.org", True),
    (HTTPS, "login.example.org:443", True),
    (HTTPS, "login.example.org.", True),
    (HTTPS, "LOGIN.example.org.:443", True),
    (HTTPS, "login.example.org..", False),
    (HTTPS, "localhost", False),
    (HTTPS, "example.org", False),
]


def test_only_our_own_host_is_answered(make_service: MakeService) -> None:
    """Else a page of another name that resolves to our ip would be of the same site."""
    clients = {url: make_service(base_url=url).client() for url in (OURS, HTTPS)}
    for base_url, host, known in HOSTS:
        for path in ("/", "/users/new", "/profile"):
            answer = clients[base_url].get(path, headers={"Host": host})
            assert (answer.get_json().get("code") != "unknown_host") is known, (base_url, host)
            assert known or answer.status_code == 400
        # The router itself refuses what can be no name.
        status = 400 if ".." in host else 200
        assert clients[base_url].get("/healthz", headers={"Host": host}).status_code == status


@pytest.mark.parametrize(
    ("settings", "name", "attributes", "form"),
    [
        ({}, "session_id", {"HttpOnly", "Path=/", "SameSite=Lax"}, "form_id"),
        (
            {"base_url": HTTPS},
            "__Host-session_id",
            {"HttpOnly", "Path=/", "SameSite=Lax", "Secure"},
            "__Host-form_id",
        ),
        (
            {"base_url": HTTPS, "cookie_domain": "example.org"},
            "__Secure-session_id",
            {"HttpOnly", "Path=/", "SameSite=Lax", "Secure", "Domain=example.org"},
            "__Host-form_id",
        ),
    ],
)
def test_cookies_have_the_names_and_attributes_of_the_contract(
    make_service: MakeService, settings: dict[str, str], name: str, attributes: set[str], form: str
) -> None:
    """Set at sign-in, read afterwards, taken away at sign-out, with the same attributes."""
    service = make_service(**settings)
    base = service.auth.settings.base_url
    service.auth.register_user(EMAIL, PASSPHRASE)
    client = service.client()
    page = client.get("/sessions/new", headers=HTML, base_url=base)
    set_form = page.headers["Set-Cookie"].split("; ")
    assert set_form[0].startswith(f"{form}=")
    assert set(set_form[1:]) == attributes - {"Domain=example.org"}
    answer = client.post("/sessions", json=CREDENTIALS, base_url=base)
    sent = answer.headers.getlist("Set-Cookie")
    (cookie,) = [one for one in sent if "session_id" in one]
    (device,) = [one for one in sent if "device_id" in one]
    assert device.startswith(form.replace("form", "device"))
    assert attributes - {"Domain=example.org"} <= set(device.split("; "))
    first, *rest = cookie.split("; ")
    assert (first.partition("=")[0], tokens.well_formed(first.partition("=")[2])) == (name, True)
    kept = {part for part in rest if not part.startswith(("Max-Age", "Expires"))}
    assert kept == attributes
    assert client.get("/profile", base_url=base).status_code == 200
    gone = client.delete("/sessions", base_url=base).headers["Set-Cookie"].split("; ")
    assert gone[0] == f"{name}="
    assert {"Max-Age=0"} | attributes <= set(gone)


def test_a_cookie_of_the_wrong_name_is_not_read(make_service: MakeService) -> None:
    """A name without the prefix could have been set over plain HTTP."""
    service = make_service(base_url=HTTPS)
    service.auth.register_user(EMAIL, PASSPHRASE)
    secret = service.auth.create_session(EMAIL)
    for name, status in [("session_id", 401), ("__Secure-session_id", 401)]:
        client = service.app.test_client(use_cookies=False)
        answer = client.get("/profile", base_url=HTTPS, headers={"Cookie": f"{name}={secret}"})
        assert answer.status_code == status


def test_origins_and_hosts_of_other_base_urls() -> None:
    """With a port, without one, and of version 6."""
    whole = {"https://login.example.org", "https://login.example.org."}
    for url, origins in [
        ("https://login.example.org", whole),
        ("https://login.example.org.", whole),
        ("https://login.example.org:8443", {f"{origin}:8443" for origin in whole}),
        ("http://[fd00::1]:5000", {"http://[fd00::1]:5000"}),
    ]:
        assert crosssite._origins(Settings({}, base_url=url)) == origins
        host = url.partition("://")[2]
        assert crosssite.Hosts(Settings({}, base_url=url)).hold(host)


def test_a_token_must_be_text_made_by_our_key() -> None:
    """Anything else is no token, and no error."""
    ring, other = KeyRing([b"k" * 32]), KeyRing([b"l" * 32])
    cookie = tokens.new()
    right = crosssite.form_token(ring, cookie)
    assert crosssite.valid(ring, right, [tokens.new(), cookie])
    assert not crosssite.valid(ring, right, [])
    assert not crosssite.valid(other, right, [cookie])
    mac = base64.urlsafe_b64decode(right)
    flipped = base64.urlsafe_b64encode(bytes([mac[0] ^ 1]) + mac[1:]).decode()
    for wrong in (None, 7, [right], "", "é", flipped, cookie):
        assert not crosssite.valid(ring, wrong, [cookie]), wrong
