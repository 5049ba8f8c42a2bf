"""The OpenAPI 3.1 document, made from the same declarations that route and check requests."""

import re
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from bienvenue.feature import Refusal
from bienvenue.normalize import MalformedText
from bienvenue.settings import Settings
from bienvenue.version import VERSION
from bienvenue.web import bearer, body, cookies, crosssite, dispatch
from bienvenue.web.page import Form, Page

_REF = "#/components/schemas/{model}"
_READS_BODY = (
    body.MalformedBody,
    body.InvalidFields,
    body.DuplicateField,
    MalformedText,
    body.BodyTooLarge,
    body.UnsupportedMediaType,
)


def document(pages: Iterable[Page], settings: Settings, mount: str = "") -> dict[str, Any]:
    """Return the document of these pages, which are mounted under the path `mount`."""
    pages = list(pages)
    paths: dict[str, dict[str, Any]] = {}
    for page in pages:
        path = re.sub(r"<(\w+)>", r"{\1}", page.path)
        paths.setdefault(path, {})[page.method.lower()] = _operation(page)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": settings.core.service_name,
            "version": VERSION,
            "description": "Registers people, signs them in and out and knows who they are.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": servers(settings, mount),
        "paths": paths,
        "components": {
            "schemas": {"Problem": _PROBLEM} | _schemas(pages),
            "securitySchemes": {
                "session": {
                    "type": "apiKey",
                    "in": "cookie",
                    "name": cookies.name_of(cookies.SESSION, settings),
                },
                "access_token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An access token, bv_ and 49 characters of base62.",
                },
            },
        },
    }


def servers(settings: Settings, mount: str) -> list[dict[str, str]]:
    """Return where the service is, for pages that are mounted under the path `mount`."""
    return [{"url": settings.base_url + mount}]


def _schemas(pages: list[Page]) -> dict[str, Any]:
    models: list[type[BaseModel]] = []
    for page in pages:
        models += [page.accepts, *(reply for reply in page.returns.values() if reply)]
    unique = [(model, "validation") for model in dict.fromkeys(models) if model is not Form]
    _, made = models_json_schema(unique, ref_template=_REF)  # type: ignore[arg-type]  # a literal
    return dict(sorted(made["$defs"].items()))


def _operation(page: Page) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": page.name,
        "summary": page.summary,
        "parameters": [*_in_path(page), *_in_query(page)],
        "security": _security(page),
        "responses": _responses(page),
    }
    if page.accepts is not Form:
        schema = {"$ref": _REF.format(model=page.accepts.__name__)}
        operation["requestBody"] = {
            "required": True,
            "content": {kind: {"schema": schema} for kind in (body.JSON, body.FORM)},
        }
    return operation


def _security(page: Page) -> list[dict[str, list[str]]]:
    """Return what may bear a request: a session, or a token of the scope of the page."""
    if page.public:
        return []
    session: dict[str, list[str]] = {"session": []}
    scopes = [page.scope] if page.scope else []
    return [session] if page.scope is None else [session, {"access_token": scopes}]


def _in_path(page: Page) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"<(\w+)>", page.path)
    ]


def _in_query(page: Page) -> list[dict[str, Any]]:
    found = page.query.model_json_schema()
    token = {"name": "token", "in": "query", "required": False, "schema": {"type": "string"}}
    return [token] * (page.link is not None) + [
        {
            "name": name,
            "in": "query",
            "required": name in found.get("required", ()),
            "schema": schema,
        }
        for name, schema in found["properties"].items()
    ]


def _responses(page: Page) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, reply in page.returns.items():
        responses[str(status)] = {"description": HTTPStatus(status).phrase}
        if reply is not None:
            schema = {"$ref": _REF.format(model=reply.__name__)}
            responses[str(status)]["content"] = {body.JSON: {"schema": schema}}
    if page.link is not None:
        responses["303"] = {"description": "See Other: an emailed link, now without its token"}
    for status, refusals in sorted(_refusals(page).items()):
        responses[str(status)] = {
            "description": HTTPStatus(status).phrase + ": " + ", ".join(refusals),
            "content": {
                "application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}
            },
        }
    return responses


def _refusals(page: Page) -> dict[int, list[str]]:
    # A feature may say an error of another more exactly, as that a disabled account is closed.
    named = [kind for error in page.errors for kind in (error, *error.__subclasses__())]
    found: list[type[Refusal]] = [*dict.fromkeys(named), *dispatch.EVERYWHERE]
    if not page.public or page.scope is not None:
        found += [dispatch.NotSignedIn, bearer.InvalidToken, bearer.SeveralCredentials]
        found += [bearer.SessionRequired] if page.scope is None else []
        found += [bearer.InsufficientScope] if page.scope else []
    if page.method != "GET":
        found += [*_READS_BODY, crosssite.CrossSite, crosssite.OutOfDate]
    elif page.query is not Form or page.link is not None:
        found += [body.MalformedBody, body.InvalidFields, body.DuplicateField, MalformedText]
    codes: dict[int, list[str]] = {}
    for refusal in dict.fromkeys(found):
        codes.setdefault(refusal.status, []).extend(getattr(refusal, "codes", (refusal.code,)))
    return codes


_PROBLEM = {
    "title": "Problem",
    "description": "A refusal (RFC 9457). `code` is stable; `detail`, and `message` with the same "
    "text, are for people.",
    "type": "object",
    "required": ["type", "title", "status", "code", "detail", "message"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "message": {"type": "string"},
        "field": {"type": "string"},
        "errors": {"type": "array", "items": {"type": "object"}},
        "next": {"type": "array", "items": {"type": "string"}},
    },
}
