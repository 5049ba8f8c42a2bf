"""What bad input gets, on every page that reads any: a clear refusal, and nothing is lost."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from werkzeug.test import TestResponse

from bienvenue.app import all_pages
from bienvenue.web.page import Form, Page
from tests.conftest import EMAIL, PASSPHRASE, Service
from tests.features.hearing import rows, users
from tests.thorough import often

CANARY = "canary-9d27e1f0-it-is-secret"
MEDIA = ("json", "data")
PATHS = (
    "/users",
    "/sessions",
    "/password",
    "/reset_password",
    "/reauthentication",
    "/preferences",
    "/email/verification",
    "/email/verification/resend",
    "/notification_email",
    "/email",
    "/access_tokens",
)
#: Pages whose one field may be left out, because a browser has it in a cookie.
TOKENS = (
    "/account/reopen",
    "/notification_email/verification",
    "/email/new",
    "/email/restore",
    "/email/verification/here",
)
OWN = {"Sec-Fetch-Site": "same-origin"}
JSON, FORM = "application/json", "application/x-www-form-urlencoded"


@dataclass(frozen=True)
class Sent:
    """One bad body: what is sent of a page's first field, and what must be said of it."""

    body: Callable[[str, str], bytes]
    content_type: str | None
    status: int
    code: str
    #: Whether the refusal names the field.
    field: bool = False


def in_json(value: str) -> Callable[[str, str], bytes]:
    """A JSON object whose first field has this text for a value, and the second a canary."""
    return lambda field, other: f'{{"{field}": {value}, "{other}": "{CANARY}"}}'.encode()


def in_form(value: str | bytes) -> Callable[[str, str], bytes]:
    """Form fields, the first with this text for a value."""
    raw = value if isinstance(value, bytes) else value.encode()
    return lambda field, other: field.encode() + b"=" + raw + f"&{other}={CANARY}".encode()


def whole(body: bytes) -> Callable[[str, str], bytes]:
    """The same body whatever the fields."""
    return lambda _field, _other: body


BODIES: dict[str, Sent] = {
    "no body": Sent(whole(b""), None, 400, "missing_field", True),
    "no body, called JSON": Sent(whole(b""), JSON, 400, "missing_field", True),
    "empty object": Sent(whole(b"{}"), JSON, 400, "missing_field", True),
    "null": Sent(in_json("null"), JSON, 400, "wrong_type", True),
    "a number": Sent(in_json("7"), JSON, 400, "wrong_type", True),
    "a boolean": Sent(in_json("true"), JSON, 400, "wrong_type", True),
    "an array": Sent(in_json(f'["{CANARY}"]'), JSON, 400, "wrong_type", True),
    "an object": Sent(in_json(f'{{"a": "{CANARY}"}}'), JSON, 400, "wrong_type", True),
    "a lone surrogate": Sent(in_json(f'"{CANARY}\\ud800"'), JSON, 400, "malformed_text", True),
    "a surrogate in an array": Sent(in_json('["\\udfff"]'), JSON, 400, "wrong_type", True),
    "NUL": Sent(in_json(f'"{CANARY}\\u0000"'), JSON, 400, "malformed_text", True),
    "empty": Sent(in_json('""'), JSON, 400, "empty_field", True),
    "4000 digits": Sent(in_json("7" * 4000), JSON, 400, "wrong_type", True),
    "5000 digits": Sent(in_json("7" * 5000), JSON, 400, "malformed_body"),
    "1e999": Sent(in_json("1e999"), JSON, 400, "wrong_type", True),
    "NaN": Sent(in_json("NaN"), JSON, 400, "malformed_body"),
    "Infinity": Sent(in_json("-Infinity"), JSON, 400, "malformed_body"),
    "raw control character": Sent(in_json('"\n"'), JSON, 400, "malformed_body"),
    "trailing text": Sent(whole(b"{} {}"), JSON, 400, "malformed_body"),
    "cut short": Sent(whole(b'{"email": "' + CANARY.encode()), JSON, 400, "malformed_body"),
    "invalid UTF-8": Sent(in_json('"é"'), JSON, 400, "malformed_body"),
    "a byte order mark": Sent(whole(b"\xef\xbb\xbf{}"), JSON, 400, "malformed_body"),
    "UTF-16": Sent(whole("{}".encode("utf-16")), JSON, 400, "malformed_body"),
    "a list": Sent(whole(b"[]"), JSON, 400, "malformed_body"),
    "a string": Sent(whole(f'"{CANARY}"'.encode()), JSON, 400, "malformed_body"),
    "null alone": Sent(whole(b"null"), JSON, 400, "malformed_body"),
    "30,000 arrays": Sent(whole(b"[" * 30_000), JSON, 400, "malformed_body"),
    "30,000 arrays, closed": Sent(
        whole(b'{"a":' + b"[" * 30_000 + b"]" * 30_000 + b"}"), JSON, 400, "malformed_body"
    ),
    "10,000 objects": Sent(
        whole(b'{"a":' * 10_000 + b"1" + b"}" * 10_000), JSON, 400, "malformed_body"
    ),
    "100,000 arrays": Sent(whole(b"[" * 100_000), JSON, 413, "body_too_large"),
    "10 MB": Sent(whole(b"x" * 10_000_000), JSON, 413, "body_too_large"),
    "10 MB of form": Sent(whole(b"a=" + b"x" * 10_000_000), FORM, 413, "body_too_large"),
    "one byte too many": Sent(whole(b" " * (64 * 1024 + 1)), JSON, 413, "body_too_large"),
    "duplicate in JSON": Sent(
        lambda field, _: f'{{"{field}": "{CANARY}", "{field}": "{CANARY}"}}'.encode(),
        JSON,
        400,
        "duplicate_field",
        True,
    ),
    "duplicate in form": Sent(
        lambda field, _: f"{field}={CANARY}&{field}={CANARY}".encode(),
        FORM,
        400,
        "duplicate_field",
        True,
    ),
    "empty form": Sent(in_form(""), FORM, 400, "empty_field", True),
    "NUL in form": Sent(in_form("a%00b"), FORM, 400, "malformed_text", True),
    "raw NUL in form": Sent(in_form("a\0b"), FORM, 400, "malformed_text", True),
    "invalid UTF-8 in form": Sent(in_form(b"\xff"), FORM, 400, "malformed_body"),
    "encoded invalid UTF-8": Sent(in_form("%FF"), FORM, 400, "malformed_body"),
    "encoded surrogate": Sent(in_form("%ED%A0%80"), FORM, 400, "malformed_body"),
    "no equals sign": Sent(whole(CANARY.encode()), FORM, 400, "malformed_body"),
    "101 fields": Sent(
        whole(b"&".join(b"f%d=" % n for n in range(101))), FORM, 400, "malformed_body"
    ),
    "array by brackets": Sent(
        lambda field, _: f"{field}[]={CANARY}".encode(), FORM, 400, "missing_field", True
    ),
    "text": Sent(in_json('"x"'), "text/plain", 415, "unsupported_media_type"),
    "no content type": Sent(in_json('"x"'), None, 415, "unsupported_media_type"),
    "multipart": Sent(whole(b"--x--"), "multipart/form-data; boundary=x", 415, ""),
    "strange content type": Sent(in_json('"x"'), ";;=\x80", 415, "unsupported_media_type"),
    "problem+json": Sent(in_json('"x"'), "application/problem+json", 415, ""),
}


@pytest.fixture
def client(service: Service) -> Iterator[FlaskClient]:
    """Bob, signed in; after the test all is as it was before it."""
    client = service.signed_in()
    before = service.auth.accounts.find(EMAIL)
    yield client
    after = service.auth.accounts.find(EMAIL)
    assert (users(service.auth), rows(service.auth)) == (1, 1)
    assert (after.hashed_password, after.session_id) == (before.hashed_password, before.session_id)
    assert client.get("/profile").status_code == 200


def reading(service: Service) -> list[Page]:
    """Every page that takes fields in its body."""
    found = [page for page in all_pages(service.auth) if page.accepts is not Form]
    assert {page.path for page in found} == {*PATHS, *TOKENS}
    return found


def is_problem(answer: TestResponse, status: int, code: str, name: str = "") -> None:
    """Require a whole problem document that says nothing of what was sent."""
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json"), name
    assert answer.get_json().keys() >= {"type", "title", "status", "code", "message"}
    assert (answer.get_json()["status"], answer.get_json()["code"]) == (
        status,
        code or answer.get_json()["code"],
    )
    assert answer.get_json()["message"]
    assert CANARY not in answer.text
    assert CANARY not in str(answer.headers)


@pytest.mark.table(shown=3)
@pytest.mark.parametrize("path", PATHS)
def test_a_bad_body_is_refused_and_changes_nothing(
    service: Service, client: FlaskClient, path: str
) -> None:
    """On every page that reads a body: the status and code of the contract, and the field."""
    pages = [page for page in reading(service) if page.path == path]
    page = max(pages, key=lambda page: len(page.accepts.model_fields))
    visitor = service.client() if page.public else client
    for name, sent in BODIES.items():
        first, second = [*page.accepts.model_fields, "other"][:2]
        body = sent.body(first, second)
        if name == "invalid UTF-8":
            body = body.replace("é".encode(), b"\xe9")
        answer = visitor.open(
            path, method=page.method, data=body, content_type=sent.content_type, headers=OWN
        )
        is_problem(answer, sent.status, sent.code, name)
        if sent.field:
            assert answer.get_json()["field"] == first, name


def required(page: Page) -> list[str]:
    """Name the fields that a page cannot do without."""
    return [name for name, of in page.accepts.model_fields.items() if of.is_required()]


def test_an_unknown_field_is_refused_by_its_name(service: Service, client: FlaskClient) -> None:
    """In JSON and in forms; a long or strange name is repeated as far as it can be printed."""
    for page in reading(service):
        good = dict.fromkeys(required(page), CANARY)
        for name, shown in [("admin", "admin"), ("é" * 100, "?" * 64), ("a\0b", "a?b")]:
            bodies: list[dict[str, Any]] = [{kind: good | {name: CANARY}} for kind in MEDIA]
            for sent in bodies:
                answer = client.open(page.path, method=page.method, **sent)
                if "data" in sent and page.method == "POST":
                    # Anyone who is signed in sends the form token too.
                    is_problem(answer, 403, "cross_site")
                    answer = client.open(page.path, method=page.method, headers=OWN, **sent)
                assert answer.get_json()["field"] == shown
                assert CANARY not in answer.text
                assert answer.get_json()["code"] in {"unknown_field", "malformed_text"}


def test_a_name_that_is_half_a_surrogate_is_refused(service: Service, client: FlaskClient) -> None:
    """Alone, and as deep as it may stand."""
    for page in reading(service):
        for body in ('{"\\ud800": 1}', '{"email": {"\\ud800": "\\ud800"}}'):
            answer = client.open(page.path, method=page.method, data=body, content_type=JSON)
            assert (answer.status_code, answer.mimetype) == (400, "application/problem+json")


def test_every_wrong_field_is_listed(service: Service, client: FlaskClient) -> None:
    """All at once, each with its code and message; the first one leads."""
    for page in reading(service):
        answer = client.open(page.path, method=page.method, json={"x": 1, "y": 2})
        errors = answer.get_json()["errors"]
        assert [error["field"] for error in errors] == [*required(page), "x", "y"]
        assert errors[0] == {key: answer.get_json()[key] for key in ("code", "message", "field")}


@pytest.mark.parametrize(
    ("query", "code", "field"),
    [
        ("which=others&which=all", "duplicate_field", "which"),
        ("which=", "wrong_value", "which"),
        (f"which={CANARY}", "wrong_value", "which"),
        ("which=%00", "malformed_text", "which"),
        ("which=%FF", "malformed_body", None),
        ("wich=others", "unknown_field", "wich"),
        (CANARY, "malformed_body", None),
    ],
)
def test_a_bad_query_is_refused(
    client: FlaskClient, query: str, code: str, field: str | None
) -> None:
    """As a body would be; signing out of the wrong devices is no small thing."""
    answer = client.delete(f"/sessions?{query}")
    is_problem(answer, 400, code)
    assert answer.get_json().get("field") == field


def test_a_page_without_parameters_takes_none(service: Service, client: FlaskClient) -> None:
    """An unsafe page refuses them; a link may have gathered some on its way."""
    for page in reading(service):
        good = dict.fromkeys(required(page), PASSPHRASE)
        answer = client.open(f"{page.path}?x={CANARY}", method=page.method, json=good)
        is_problem(answer, 400, "unknown_field")
    assert client.get(f"/profile?utm_source={CANARY}&x=%FF").status_code == 200


def test_a_body_that_is_cut_short_is_refused(service: Service, client: FlaskClient) -> None:
    """Its length was said, and the connection ended before."""
    for page in reading(service):
        answer = client.open(
            page.path,
            method=page.method,
            data=b"{}",
            content_type=JSON,
            environ_overrides={"CONTENT_LENGTH": "500"},
        )
        is_problem(answer, 400, "malformed_body")


@pytest.mark.parametrize("length", ["", "abc", "-5", "0"])
def test_a_length_without_sense_is_no_body(client: FlaskClient, length: str) -> None:
    """What the server did not understand is not read."""
    environ = {"CONTENT_LENGTH": length}
    sent = json.dumps({"email": EMAIL, "password": CANARY})
    answer = client.post("/users", data=sent, content_type=JSON, environ_overrides=environ)
    is_problem(answer, 400, "missing_field")


def test_a_body_without_a_length_is_read_up_to_the_limit(client: FlaskClient) -> None:
    """Chunked: one byte more than the limit is refused and not cut."""
    environ = {"wsgi.input_terminated": True, "CONTENT_LENGTH": ""}
    for body, status in [(b" " * (64 * 1024 + 1), 413), (b" " * 64 * 1024, 400), (b"{}", 400)]:
        answer = client.put("/password", data=body, content_type=JSON, environ_overrides=environ)
        assert answer.status_code == status


MALFORMED_COOKIES = [
    "session_id=",
    "session_id",
    "session_id=x",
    "session_id=" + "x" * 8000,
    "session_id=" + "A" * 43,
    "session_id=\xff\xfe\x00",
    'session_id="\\"',
    "session_id=%00",
    ";;;===;",
    "=session_id",
    "session_id=" + "A" * 43 + "; session_id=" + "B" * 43,
]


def bearing(service: Service, cookie: str) -> FlaskClient:
    """A visitor who sends this as the header Cookie, as it is."""
    client = service.app.test_client(use_cookies=False)
    client.environ_base["HTTP_COOKIE"] = cookie
    return client


@pytest.mark.table(shown=3)
@pytest.mark.parametrize("cookie", MALFORMED_COOKIES)
def test_a_malformed_cookie_is_no_one(service: Service, cookie: str) -> None:
    """On every page: never a 500, and who must be signed in hears 401."""
    for page in all_pages(service.auth):
        path = page.path.replace("<uid>", "x")
        sent: dict[str, Any] = {"json": {}} if page.method in {"POST", "PUT"} else {}
        answer = bearing(service, cookie).open(path, method=page.method, **sent)
        assert answer.status_code < 500, page
        if not page.public:
            assert (answer.status_code, answer.get_json()["code"]) == (401, "not_signed_in")


def test_two_cookies_of_one_name_are_no_one_though_one_is_right(service: Service) -> None:
    """Another host under the same domain may have set the second one."""
    right = service.signed_in().get_cookie("session_id")
    assert right is not None
    for cookie in (f"session_id={right.value}; session_id={'B' * 43}", f"session_id={right.value}"):
        answer = bearing(service, cookie).get("/profile")
        assert answer.status_code == (401 if "B" * 43 in cookie else 200)


@pytest.mark.slow
@settings(
    max_examples=often(30, 100),
    derandomize=True,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    path=st.sampled_from(["/users", "/sessions"]),
    content_type=st.sampled_from([JSON, FORM]),
    body=st.binary(max_size=200)
    | st.text(max_size=100).map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=20),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["email", "password", "x", ""]), inner, max_size=3)
        ),
        max_leaves=5,
    ).map(lambda value: json.dumps(value).encode()),
)
def test_any_bytes_are_answered(
    service: Service, path: str, content_type: str, body: bytes
) -> None:
    """Whatever is sent: a refusal of the contract, never an error of ours."""
    answer = service.client().post(path, data=body, content_type=content_type)
    assert answer.status_code in {201, 400, 401, 403, 409, 413, 422}, answer.text
