"""The bridge from ASGI to WSGI: one buffered request in, one buffered response out (PEP 3333)."""

import io
import sys
from collections.abc import Iterable, MutableMapping
from typing import Any
from wsgiref.types import WSGIApplication

Scope = MutableMapping[str, Any]
Headers = list[tuple[bytes, bytes]]
Answered = tuple[int, Headers, bytes]
"""Status, headers with lower-case names, and body of a response."""


def connection_ip(scope: Scope) -> str:
    """Return the ip that opened the connection, "" over a unix socket."""
    client = scope.get("client")
    return client[0] if client else ""


def environ_of(scope: Scope, headers: Headers, body: bytes) -> dict[str, Any]:
    """Return the WSGI environment of a request whose whole body is here."""
    server = scope.get("server")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0] if server else "",
        "SERVER_PORT": str(server[1]) if server else "",
        "REMOTE_ADDR": connection_ip(scope),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope["scheme"],
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": True,
        "wsgi.run_once": False,
    }
    for raw, value in headers:
        name = raw.decode("latin-1").upper().replace("-", "_")
        if name in {"CONTENT_LENGTH", "TRANSFER_ENCODING"}:
            continue
        key = name if name == "CONTENT_TYPE" else f"HTTP_{name}"
        text = value.decode("latin-1")
        joint = "; " if name == "COOKIE" else ","
        environ[key] = f"{environ[key]}{joint}{text}" if key in environ else text
    return environ


def call(app: WSGIApplication, environ: dict[str, Any]) -> Answered:
    """Run a WSGI application for one request, and return its whole response.

    Raises what the application raises, and RuntimeError when it starts no response.
    """
    started: list[tuple[str, list[tuple[str, str]]]] = []
    pieces: list[bytes] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _error: object = None, /
    ) -> Any:
        # Nothing was sent yet, so a later status, that of an error, replaces an earlier one.
        started[:] = [(status, headers)]
        return pieces.append

    body = app(environ, start_response)
    try:
        pieces.extend(body)
    finally:
        if hasattr(body, "close"):
            body.close()
    if not started:
        raise RuntimeError("the application started no response")
    status, headers = started[0]
    return int(status[:3]), encoded(headers), b"".join(pieces)


def encoded(headers: Iterable[tuple[str, str]]) -> Headers:
    """Return headers as ASGI requires them: bytes, with lower-case names."""
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]
