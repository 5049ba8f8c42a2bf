"""openapi: the document is valid, whole, and says what pages really answer."""

from __future__ import annotations

import re
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from werkzeug.test import TestResponse

from bienvenue.app import all_pages
from bienvenue.authentication import CODE
from bienvenue.version import VERSION
from bienvenue.web.page import Form
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service

CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}

#: What `invalid_fields` says of each field; the document names them by that one code.


def document(service: Service) -> dict[str, Any]:
    """The document, as a program gets it."""
    answer = service.client().get("/openapi.json")
    assert (answer.status_code, answer.mimetype) == (200, "application/json")
    found: dict[str, Any] = answer.get_json()
    return found


def said(operation: dict[str, Any]) -> dict[int, set[str]]:
    """The codes of refusals that an operation says it may give, by status."""
    return {
        int(status): set(response["description"].partition(": ")[2].split(", ")) - {""}
        for status, response in operation["responses"].items()
    }


def test_the_document_is_valid_openapi(service: Service) -> None:
    """3.1, with the version of the service and its own URL."""
    found = document(service)
    OpenAPIV31SpecValidator(found).validate()
    assert found["openapi"].startswith("3.1.")
    assert found["info"]["version"] == VERSION
    assert found["servers"] == [{"url": "http://localhost:5000"}]


def test_every_page_is_in_it_and_nothing_else(service: Service) -> None:
    """Each with a name of its own, a summary, what it takes and every status it gives."""
    found = document(service)
    declared = {
        (re.sub(r"<(\w+)>", r"{\1}", page.path), page.method.lower()): page
        for page in all_pages(service.auth)
    }
    listed = {(path, method) for path, methods in found["paths"].items() for method in methods}
    assert listed == declared.keys()
    names = set()
    for (path, method), page in declared.items():
        operation = found["paths"][path][method]
        names.add(operation["operationId"])
        assert operation["summary"].endswith("."), path
        assert {str(status) for status in page.returns} <= operation["responses"].keys()
        assert ("requestBody" in operation) is (page.accepts is not Form)
        token = [] if page.scope is None else [{"access_token": [page.scope] * bool(page.scope)}]
        assert operation["security"] == ([] if page.public else [{"session": []}, *token])
        assert all(refusal.code in said(operation)[refusal.status] for refusal in page.errors)
    assert len(names) == len(declared)


def test_a_refusal_is_as_the_document_says(service: Service) -> None:
    """RFC 9457's `detail`, and `message` with the same text for the clients of the exercise."""
    problem = document(service)["components"]["schemas"]["Problem"]
    answer = service.client().post("/sessions", json={"email": 7}).get_json()
    assert set(problem["required"]) <= answer.keys() <= problem["properties"].keys()
    assert {"detail", "message"} <= set(problem["required"])
    assert answer["detail"] == answer["message"] == "This field must be text."


def test_passwords_are_marked_as_secret(service: Service) -> None:
    """Write-only, so that no client shows them; unknown fields are refused by the schema too."""
    schemas = document(service)["components"]["schemas"]
    for name, fields in [("RegistrationRequest", {"password"}), ("Credentials", {"password"})]:
        assert schemas[name]["additionalProperties"] is False
        for field in fields:
            assert schemas[name]["properties"][field]["writeOnly"] is True
            assert schemas[name]["properties"][field]["format"] == "password"


@pytest.mark.parametrize(
    ("settings", "name"),
    [
        ({}, "session_id"),
        ({"base_url": "https://login.example.org"}, "__Host-session_id"),
    ],
)
def test_the_cookie_is_named_as_it_is(
    make_service: MakeService, settings: dict[str, str], name: str
) -> None:
    """With the prefix of https."""
    service = make_service(**settings)
    base_url = service.auth.settings.base_url
    found = service.client().get("/openapi.json", base_url=base_url).get_json()
    assert found["components"]["securitySchemes"]["session"]["name"] == name


def refusals(service: Service) -> list[tuple[str, str, TestResponse]]:
    """Everything that a page of ours refuses, with the operation that did."""
    client, nobody = service.signed_in(), service.client()
    found: list[tuple[str, str, TestResponse]] = []

    def ask(method: str, path: str, listed: str = "", visitor: Any = client, **sent: Any) -> None:
        answer = visitor.open(path, method=method, **sent)
        assert answer.status_code >= 400, (method, path, sent)
        found.append((listed or path, method.lower(), answer))

    password = {"old_password": PASSPHRASE, "new_password": "onze grenouilles au soleil"}
    good = {"/users": ("POST", CREDENTIALS), "/sessions": ("POST", CREDENTIALS)}
    for path, (method, fields) in (good | {"/password": ("PUT", password)}).items():
        bodies: list[dict[str, Any]] = [
            {"data": b"{", "content_type": "application/json"},
            {"data": b"x", "content_type": "text/plain"},
            {"data": b" " * 70_000, "content_type": "application/json"},
            {"data": b"a=1&a=2", "content_type": "application/x-www-form-urlencoded"},
            {"json": {}},
            {"json": fields | {"x": "y"}},
            {"json": dict.fromkeys(fields, 7)},
            {"json": dict.fromkeys(fields, "")},
            {"json": dict.fromkeys(fields, "\0")},
            {"json": fields, "headers": {"Origin": "null"}},
            {"json": fields, "headers": {"Host": "evil.example"}},
        ]
        for bad in bodies:
            ask(method, path, **bad)
        for name in fields:
            for value in ("short", "x" * 5000, "passwordpassword", EMAIL):
                if name != "email" and not (value != "x" * 5000 and name == "password"):
                    ask(method, path, json=fields | {name: value})
    for wrong in ("short", "passwordpassword", "amy@example.com"):
        ask("POST", "/users", json={"email": "amy@example.com", "password": wrong})
        ask("POST", "/sessions", json=CREDENTIALS | {"password": wrong})
    for path in ("/users", "/sessions"):
        ask("POST", path, json=CREDENTIALS | {"email": "bob"})
    ask("POST", "/users", json=CREDENTIALS)
    ask("DELETE", "/sessions/x", "/sessions/{uid}")
    ask("DELETE", "/sessions/%00", "/sessions/{uid}")
    ask("DELETE", "/sessions?which=x", "/sessions")
    for method, path in [("GET", "/profile"), ("GET", "/sessions"), ("DELETE", "/sessions")]:
        ask(method, path, visitor=nobody)
    ask("PUT", "/password", visitor=nobody, json=password)
    service.auth.accounts.disable(CODE, EMAIL)
    ask("POST", "/sessions", visitor=nobody, json=CREDENTIALS)
    return found


def test_every_refusal_a_page_gives_is_in_the_document(service: Service) -> None:
    """Its status, and its code among those of that status."""
    paths = document(service)["paths"]
    codes = set()
    for path, method, answer in refusals(service):
        listed = said(paths[path][method])
        code = answer.get_json()["code"]
        codes.add(code)
        assert code in listed[answer.status_code], (path, method, code)
    assert len(codes) >= 18
