"""The bridge from ASGI to WSGI: what PEP 3333 lets an application do, and that it is closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bienvenue import wsgi_bridge

PLAIN = [("Content-Type", "text/plain"), ("X-Name", "caf\u00e9")]


class Body:
    """A body that notes whether it was closed."""

    def __init__(self, *pieces: bytes, fails: bool = False) -> None:
        """Take its pieces, and whether it fails after them."""
        self.pieces = pieces
        self.fails = fails
        self.closed = False

    def __iter__(self) -> Iterator[bytes]:
        """Give the pieces."""
        yield from self.pieces
        if self.fails:
            raise OSError("no more")

    def close(self) -> None:
        """Note it."""
        self.closed = True


def test_a_response_is_read_whole_and_its_body_closed() -> None:
    """What `write` was given comes before the pieces of the body."""
    body = Body(b"two ", b"three")

    def app(_environ: Any, start: Any) -> Body:
        start("200 OK", PLAIN)(b"one ")
        return body

    status, headers, said = wsgi_bridge.call(app, {})
    assert (status, said, body.closed) == (200, b"one two three", True)
    assert headers == [(b"content-type", b"text/plain"), (b"x-name", b"caf\xe9")]


def test_an_error_replaces_the_response_it_interrupts() -> None:
    """Nothing was sent yet."""

    def app(_environ: Any, start: Any) -> list[bytes]:
        start("200 OK", PLAIN)
        start("500 Internal Server Error", [], (OSError, OSError(), None))
        return [b"sorry"]

    assert wsgi_bridge.call(app, {}) == (500, [], b"sorry")


def test_a_body_that_fails_is_closed() -> None:
    """The error goes on to the edge, which refuses."""
    body = Body(b"one", fails=True)

    def app(_environ: Any, start: Any) -> Body:
        start("200 OK", PLAIN)
        return body

    with pytest.raises(OSError, match="no more"):
        wsgi_bridge.call(app, {})
    assert body.closed


def test_a_response_that_is_never_started() -> None:
    """An application that answers nothing is a mistake."""
    with pytest.raises(RuntimeError, match="no response"):
        wsgi_bridge.call(lambda _environ, _start: [], {})


def test_an_environment() -> None:
    """Names, lists of headers, the length that was read, and no unix socket's ip."""
    scope = {
        "method": "POST",
        "path": "/caf\u00e9",
        "query_string": b"a=1",
        "http_version": "1.1",
        "scheme": "https",
        "client": None,
    }
    headers = [
        (b"cookie", b"a=1"),
        (b"cookie", b"b=2"),
        (b"x-forwarded-for", b"1.1.1.1"),
        (b"x-forwarded-for", b"2.2.2.2"),
        (b"content-type", b"text/plain"),
        (b"content-length", b"9"),
        (b"transfer-encoding", b"chunked"),
    ]
    environ = wsgi_bridge.environ_of(scope, headers, b"abc")
    assert environ["wsgi.input"].read() == b"abc"
    assert {name: value for name, value in environ.items() if "wsgi." not in name} == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "",
        "PATH_INFO": "/caf\u00c3\u00a9",
        "QUERY_STRING": "a=1",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "",
        "SERVER_PORT": "",
        "REMOTE_ADDR": "",
        "CONTENT_LENGTH": "3",
        "CONTENT_TYPE": "text/plain",
        "HTTP_COOKIE": "a=1; b=2",
        "HTTP_X_FORWARDED_FOR": "1.1.1.1,2.2.2.2",
    }
