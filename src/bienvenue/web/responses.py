"""The responses of HTTP: JSON, a page from a template, a redirect, a problem document.

Refusals are problem documents (RFC 9457) with a stable `code`, the `field`, the `detail`, and the
same text as `message`, which clients of the exercise read.
"""

import json
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any

from flask import Request, Response, current_app, request

from bienvenue import i18n, user_agent
from bienvenue.errors import Refusal
from bienvenue.i18n import Language
from bienvenue.web.page import Answer
from bienvenue.web.templates import Templates

_JSON = "application/json"
_PIECE = 65_536
_PROBLEM = "application/problem+json"
VARY = "Accept, Accept-Language, Cookie"

#: Only files of ours, no style or script within a page, no frame (ASVS 3.4.3, 3.4.6).
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": CONTENT_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_HSTS = "Strict-Transport-Security"
#: Headers that no application around our pages decides.
_OURS = (*_HEADERS, "Cache-Control")
#: Where the environment of a request keeps these headers of its response, and whose they are.
_KEPT = "bienvenue.kept_headers"


def wants_page(request: Request) -> bool:
    """Tell a browser, which names text/html, from a program, to which `*/*` is JSON."""
    accepts = request.accept_mimetypes
    named = [quality for kind, quality in accepts if kind in {"text/html", "application/xhtml+xml"}]
    return bool(named) and max(named) > 0 and max(named) >= accepts[_JSON] * _names_json(request)


def _names_json(request: Request) -> bool:
    return any(kind.endswith("json") for kind, _ in request.accept_mimetypes)


def as_json(value: Any, status: int, mimetype: str = _JSON) -> Response:
    """Write a value as one line of JSON."""
    return Response(json.dumps(value, ensure_ascii=False) + "\n", status, mimetype=mimetype)


def as_page(
    templates: Templates, template: str, status: int, language: Language, **values: Any
) -> Response:
    """Write a page from a template, which a host application may override."""
    text = templates.page(
        template,
        _=language.markup,
        device_name=lambda name: user_agent.in_language(name, language),
        ngettext=language.plural,
        date_of=language.date,
        moment_of=language.moment,
        duration_of=language.duration,
        readable=i18n.readable,
        language=language.code,
        **values,
    )
    response = Response(text, status, mimetype="text/html")
    response.headers["Content-Language"] = language.code
    return response


def as_redirect(path: str) -> Response:
    """Redirect a browser with 303. The path is one of ours, or checked by `redirects`."""
    return empty(303, Location=path)


def empty(status: int, **headers: str) -> Response:
    """Answer without a body."""
    response = Response(status=status, headers=headers)
    del response.headers["Content-Type"]
    return response


def problem(refusal: Refusal) -> dict[str, Any]:
    """Return the problem document of a refusal (RFC 9457 section 3)."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(refusal.status).phrase,
        "status": refusal.status,
        "code": refusal.code,
        "detail": refusal.message,
        "message": refusal.message,
    }
    if refusal.field is not None:
        document["field"] = refusal.field
    return document | refusal.extensions


def of_value(answer: Answer) -> Response:
    """Answer a program, and a browser with a file."""
    if answer.members is not None:
        pieces = _gathered(_pieces(answer.members))
        response = Response(pieces, answer.status, mimetype=_JSON)
    elif answer.value is None:
        return empty(answer.status)
    else:
        response = as_json(answer.value.model_dump(mode="json"), answer.status)
    if answer.filename is not None:
        response.headers["Content-Disposition"] = f'attachment; filename="{answer.filename}"'
    return response


def _pieces(members: Iterator[tuple[str, Any]]) -> Iterator[str]:
    """Write an object as JSON while its members are read."""
    before = "{"
    for name, value in members:
        yield f"{before}{_written(name)}: "
        if isinstance(value, Iterator):
            opening = "["
            for item in value:
                yield f"{opening}{_written(item)}"
                opening = ", "
            yield "]" if opening == ", " else "[]"
        else:
            yield _written(value)
        before = ", "
    yield "}\n"


def _written(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _gathered(pieces: Iterator[str]) -> Iterator[bytes]:
    """Join pieces to about 64 KiB: each is sent on its own."""
    waiting, size = list[bytes](), 0
    for piece in pieces:
        waiting.append(piece.encode())
        size += len(waiting[-1])
        if size >= _PIECE:
            yield b"".join(waiting)
            waiting, size = [], 0
    yield b"".join(waiting)


def of_refusal(refusal: Refusal) -> Response:
    """Refuse a program."""
    return as_json(problem(refusal), refusal.status, _PROBLEM)


def harden(response: Response, *, https: bool) -> Response:
    """Add the headers that every response has, errors too."""
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers.setdefault("Cache-Control", "no-store")
    if response.headers["Cache-Control"] == "no-store":
        # The answers of paths for other sites depend on which of them asks (`cors`).
        response.headers["Vary"] = f"{VARY}, Origin" if "Origin" in response.vary else VARY
    if https:
        response.headers[_HSTS] = "max-age=31536000; includeSubDomains"
    return response


def keep(response: Response) -> Response:
    """Let `restore` give a hardened response the headers that it has now."""
    headers = {name: response.headers[name] for name in _OURS}
    # An application may hand the environment of its request on to another one.
    request.environ[_KEPT] = current_app.extensions["bienvenue"], headers
    return response


def restore(response: Response) -> Response:
    """Give a response of ours its headers back, after the host application wrote its own.

    A second policy would hold beside ours, and one in its place might allow more or stop our files.
    What an application says of https holds for the whole host, so there its word counts.
    """
    service, ours = request.environ.get(_KEPT, (None, {}))
    if service is not current_app.extensions["bienvenue"]:
        return response
    headers = response.headers
    for name, value in ours.items():
        if name != "Cache-Control" or value == "no-store":
            headers[name] = value
    if ours["Cache-Control"] == "no-store":
        headers["Vary"] = ", ".join(dict.fromkeys([VARY, *headers.getlist("Vary")]))
    # It would report what our own policy forbids, and what it allows.
    headers.remove("Content-Security-Policy-Report-Only")
    promises = headers.getlist(_HSTS)
    if promises:
        headers[_HSTS] = promises[-1]
    return response
