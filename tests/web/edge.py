"""Asks the edge as an ASGI server does, without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from bienvenue.edge import Edge
from tests.conftest import Service

FORM = (b"content-type", b"application/x-www-form-urlencoded")


@dataclass(frozen=True)
class Heard:
    """What the edge answered; names of headers in small letters."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes

    def header(self, name: str) -> str:
        """Give the one header of this name."""
        (found,) = [value for key, value in self.headers if key == name]
        return found


def edge_of(service: Service) -> Edge:
    """Give the edge of a service, whose threads are done before the service is closed.

    One that records the use of a token later would open a connection that nothing closes.
    """
    edge, close = Edge(service.app, 2), service.auth.close

    def closing() -> None:
        edge._checking.shutdown()
        close()

    service.auth.close = closing  # type: ignore[method-assign]  # the fixture calls it
    return edge


def ask(
    edge: Edge,
    method: str,
    path: str,
    *headers: tuple[bytes, bytes],
    body: bytes = b"",
    ip: str | None = "203.0.113.9",
    query: bytes = b"",
) -> Heard:
    """Send one request from an ip, or over a unix socket when None."""
    scope: dict[str, Any] = {
        "type": "http",
        "method": method,
        "path": path,
        "query_string": query,
        "http_version": "1.1",
        "scheme": "http",
        "client": None if ip is None else (ip, 40000),
        "server": ("127.0.0.1", 5000),
        "headers": [(b"host", b"localhost:5000"), *headers],
    }
    if body:
        scope["headers"] += [(b"content-length", str(len(body)).encode()), FORM]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.request", "body": body, "more_body": False}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(edge(scope, receive, send))
    given = [(name.decode(), value.decode()) for name, value in sent[0]["headers"]]
    return Heard(sent[0]["status"], given, sent[1]["body"])
