"""Headers of every kind of answer, methods, and how the service says that it lives."""

from __future__ import annotations

import re
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from bienvenue import DB, disk_space, schema
from bienvenue.app import all_pages
from bienvenue.web.responses import CONTENT_POLICY
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.ports import free_port
from tests.web.browser import HTML

CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}
HTTPS = "https://login.example.org"


def stylesheet(client: FlaskClient) -> str:
    """The path of the stylesheet, as a page names it."""
    found = re.search(r'href="([^"]+\.css)"', client.get("/", headers=HTML).text)
    assert found is not None
    return found[1]


def away() -> Engine:
    """The engine of a database that is not there."""
    return DB(f"postgresql://127.0.0.1:{free_port()}/x").engine


def answers(client: FlaskClient) -> dict[str, TestResponse]:
    """One answer of every kind."""
    return {
        "value": client.get("/"),
        "page": client.get("/", headers=HTML),
        "form page": client.get("/users/new", headers=HTML),
        "made": client.post("/users", json=CREDENTIALS),
        "refused": client.post("/users", json={}),
        "refused page": client.get("/nothing", headers=HTML),
        "signed in": client.post("/sessions", json=CREDENTIALS),
        "person": client.get("/profile"),
        "redirected": client.get("/password", headers=HTML),
        "not found": client.get("/nothing"),
        "wrong method": client.put("/users", json={}),
        "unrouted method": client.open("/users", method="TRACE"),
        "options": client.options("/users"),
        "cross-site": client.post("/sessions", json={}, headers={"Sec-Fetch-Site": "cross-site"}),
        "unknown host": client.get("/", headers={"Host": "evil.example"}),
        "too large": client.post("/users", data=b"x" * 70_000, content_type="application/json"),
        "health": client.get("/healthz"),
        "static": client.get("/bienvenue/static/bienvenue.css"),
        "brand": client.get("/bienvenue/brand.css"),
        "icon": client.get("/bienvenue/icon"),
        "no logo": client.get("/bienvenue/logo"),
        "well-known": client.get("/.well-known/change-password"),
        "missing static": client.get("/bienvenue/static/nothing.css"),
        "bad range": client.get(
            "/bienvenue/static/bienvenue.css", headers={"Range": "bytes=99999999-"}
        ),
        "signed out": client.delete("/sessions"),
    }


def test_every_answer_is_hardened(service: Service) -> None:
    """Errors too; and plain HTTP never promises HTTPS."""
    for kind, answer in answers(service.client()).items():
        headers = answer.headers
        assert answer.status_code < 500, kind
        assert headers.getlist("Content-Security-Policy") == [CONTENT_POLICY], kind
        assert headers["X-Content-Type-Options"] == "nosniff", kind
        assert headers["X-Frame-Options"] == "DENY", kind
        led = "no-referrer" if answer.request.path == "/users/new" else "same-origin"
        assert headers["Referrer-Policy"] == led, kind
        assert headers["Cross-Origin-Opener-Policy"] == "same-origin", kind
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin", kind
        assert headers["Permissions-Policy"] == "camera=(), geolocation=(), microphone=()", kind
        assert "Strict-Transport-Security" not in headers, kind
        assert "Clear-Site-Data" not in headers, kind
        if kind in {"brand", "icon", "static"}:
            assert headers["Cache-Control"] == "no-cache", kind
        else:
            assert headers["Cache-Control"] == "no-store", kind
            assert headers["Vary"] == "Accept, Accept-Language, Cookie", kind
        answer.close()


def test_the_content_policy_allows_our_files_alone_and_no_frame() -> None:
    """Nothing from elsewhere, nothing written into a page, and forms go here only."""
    rules = dict(rule.strip().partition(" ")[::2] for rule in CONTENT_POLICY.split(";"))
    assert rules["default-src"] == "'none'"
    assert (rules["frame-ancestors"], rules["base-uri"]) == ("'none'", "'none'")
    ours = ("script-src", "style-src", "img-src", "form-action")
    assert {rules.pop(name) for name in ours} == {"'self'"}
    assert set(rules.values()) == {"'none'"}


def test_https_is_promised_when_the_base_url_is_https(make_service: MakeService) -> None:
    """For a year, with the hosts below."""
    client = make_service(base_url=HTTPS).client()
    for path, status in [("/", 200), ("/profile", 401), ("/nothing", 404)]:
        answer = client.get(path, base_url=HTTPS)
        assert answer.status_code == status
        assert answer.headers["Strict-Transport-Security"] == "max-age=31536000; includeSubDomains"


def methods(service: Service) -> dict[str, set[str]]:
    """The methods every path answers, as its pages declare them."""
    found: dict[str, set[str]] = {}
    for page in all_pages(service.auth):
        found.setdefault(page.path.replace("<uid>", "x"), {"OPTIONS"}).add(page.method)
    return {path: {*all_, "HEAD"} if "GET" in all_ else all_ for path, all_ in found.items()}


def test_options_and_405_name_the_methods_of_every_path(service: Service) -> None:
    """Also for methods that no path has."""
    client = service.signed_in()
    for path, allowed in methods(service).items():
        options = client.options(path)
        assert (options.status_code, options.data) == (204, b"")
        assert set(options.headers["Allow"].split(", ")) == allowed, path
        wanted = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "BREW"}
        for method in wanted - allowed:
            sent: dict[str, Any] = {"json": {}} if method in {"POST", "PUT", "PATCH"} else {}
            answer = client.open(path, method=method, **sent)
            assert answer.status_code == 405, (method, path)
            assert set(answer.headers["Allow"].split(", ")) == allowed, (method, path)
            assert method == "HEAD" or answer.get_json()["code"] == "method_not_allowed"
    assert (
        service.client().post("/bienvenue/static/bienvenue.css").headers["Allow"]
        == "GET, HEAD, OPTIONS"
    )
    assert service.client().open("/nothing", method="TRACE").status_code == 404


def test_head_is_get_without_the_body(service: Service) -> None:
    """The same status and headers on every path that answers GET, in both responses."""
    client = service.signed_in()
    for path, allowed in methods(service).items():
        if "GET" not in allowed:
            continue
        for headers in ({}, HTML):
            get, head = client.get(path, headers=headers), client.head(path, headers=headers)
            assert (head.status_code, head.data) == (get.status_code, b""), path
            assert head.content_type == get.content_type
            # The export tells of the one before it.
            grows = path == "/export"
            assert grows or head.content_length == get.content_length


def test_a_path_with_more_slashes_is_no_path(service: Service) -> None:
    """Or one of a host we are not: a redirect would name whatever host the request named."""
    for path in ("/sessions//new", "//sessions", "/users/", "//evil.example/", "/profile/"):
        environ = {"PATH_INFO": path}
        headers = {"Host": "evil.example"}
        answer = service.client().get("/", headers=headers, environ_overrides=environ)
        assert answer.status_code in {400, 404}, path
        assert answer.location is None, path


ACCEPT: dict[str | None, bool] = {
    None: False,
    "*/*": False,
    "application/json": False,
    "application/problem+json": False,
    "text/*": False,
    "text/plain": False,
    "text/html": True,
    "application/xhtml+xml": True,
    HTML["Accept"]: True,
    "text/html;q=0.1": True,
    "text/html;q=0": False,
    "text/html, application/json": True,
    "text/html;q=0.8, application/json": False,
    "application/json;q=0.5, text/html;q=0.9": True,
    "text/html;q=nonsense": False,
    ";;;,\xff": False,
    "": False,
}


def test_the_medium_follows_the_header_accept(service: Service) -> None:
    """A browser names text/html; everything else is a program. For values and refusals."""
    for accept, page in ACCEPT.items():
        headers = {} if accept is None else {"Accept": accept}
        for path, kind in [("/", "application/json"), ("/nothing", "application/problem+json")]:
            answer = service.client().get(path, headers=headers)
            assert answer.mimetype == ("text/html" if page else kind), accept


def test_health_asks_no_database_and_readiness_does(service: Service) -> None:
    """The database is away: alive, not ready, and the answer says when to come back."""
    client = service.client()
    for path in ("/healthz", "/readyz"):
        for host in ("localhost", "10.0.0.7:5000", "anything.example"):
            assert client.get(path, headers={"Host": host}).json == {"status": "ok"}
    service.auth.close()
    service.auth._db._engine = away()
    assert client.get("/healthz").json == {"status": "ok"}
    ready = client.get("/readyz")
    assert (ready.status_code, ready.get_json()["code"]) == (503, "unavailable")
    assert ready.headers["Retry-After"] == "5"
    assert client.get("/").json == {"message": "Bienvenue"}


def test_a_service_whose_disk_is_full_is_not_ready(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every change would be 503; it is ready again once there is room."""
    client = service.client()
    monkeypatch.setattr(disk_space, "LEAST", 2**80)
    answer = client.get("/readyz")
    if "sqlite" in service.url:
        assert (answer.status_code, answer.get_json()["code"]) == (503, "disk_full")
        assert answer.headers["Retry-After"] == "5"
    else:
        assert answer.status_code == 200
    monkeypatch.setattr(disk_space, "LEAST", 0)
    assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("empty_database", ["sqlite", "postgresql"], indirect=True)
def test_a_service_on_another_schema_is_not_ready(
    make_service: MakeService, empty_database: str
) -> None:
    """Someone put back an older copy while it ran."""
    service = make_service()
    db = DB(empty_database)
    service.auth.close()
    service.auth._db._engine = db.engine
    answer = service.client().get("/readyz")
    assert (answer.status_code, answer.get_json()["code"]) == (503, "not_ready")
    assert answer.headers["Retry-After"] == "5"
    assert "bienvenue db upgrade" in answer.get_json()["message"]
    db.close()


def test_a_service_whose_database_was_migrated_further_is_ready(service: Service) -> None:
    """A fleet is being upgraded: this process goes on, and no new one of its version begins."""
    with service.auth._db.connect() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    assert service.client().get("/readyz").json == {"status": "ok"}
    assert service.signed_in().get("/profile").status_code == 200
    with pytest.raises(schema.MigratedFurther, match="a later version of the service"):
        service.auth.require_schema()


def test_pages_are_shown_though_the_database_is_away(service: Service) -> None:
    """The refusal is a page too, with the cookie of someone who was signed in."""
    client = service.signed_in()
    service.auth.close()
    service.auth._db._engine = away()
    for path, status in [("/profile", 503), ("/", 200), ("/sessions/new", 200)]:
        answer = client.get(path, headers=HTML)
        assert (answer.status_code, answer.mimetype) == (status, "text/html"), path
        assert "Sign out" not in answer.text
    assert client.get("/profile").headers["Retry-After"] == "5"


def test_a_mistake_of_ours_shows_nothing_of_itself(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """500 without a word of the error, which the log has whole."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("canary of the error")

    monkeypatch.setattr(service.auth.registration, "register", fail)
    for headers in ({}, HTML):
        answer = service.client().post("/users", json=CREDENTIALS, headers=headers)
        assert answer.status_code == 500
        assert "canary" not in answer.text
        assert answer.headers["Cache-Control"] == "no-store"
    assert "canary of the error" in caplog.text
    assert PASSPHRASE not in caplog.text
