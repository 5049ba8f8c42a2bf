"""The front door of `bienvenue serve`: an ASGI application in front of the Flask one.

It reads a whole request body, within 64 KiB and a few seconds, before any thread is asked to do
anything, so stalled clients hold nothing but a socket. It answers the session check of programs,
`GET /profile`, without waking Flask. A request that hashes waits here for its place at the gate,
without a thread. Everything else runs in a bounded pool.

Under another WSGI server `bienvenue.wsgi:app` does the same operations without this file.
"""

import asyncio
import contextvars
import functools
import io
import sys
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from flask import Flask, Request
from werkzeug.test import run_wsgi_app

from bienvenue import logs, tokens
from bienvenue.client_ip import network_of, visitor_ip
from bienvenue.db import DatabaseUnavailable
from bienvenue.feature import Refusal
from bienvenue.features.sessions import SignedIn
from bienvenue.features.sessions.pages import Profile
from bienvenue.web import cookies, crosssite, responses
from bienvenue.web.body import LARGEST_BODY, BodyTooLarge
from bienvenue.web.dispatch import Dispatcher, NotSignedIn, as_refusal

DEADLINE = 10.0
"""Seconds a client has for sending its body."""

_CHECKING = 2
"""Threads for session checks on PostgreSQL, each with a connection of its own."""

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]
Answered = tuple[int, Headers, bytes]


class RequestTimeout(Refusal):
    """The body did not come within its time."""

    status = 408
    code = "request_timeout"
    message = "The body of this request took too long to arrive."


class AmbiguousRequest(Refusal):
    """Two readers could take where this request ends, or whom it is for, differently."""

    status = 400
    code = "ambiguous_request"
    message = "This request says two things at once."


class IncompleteBody(Refusal):
    """The client went away, or its chunks are malformed, which the server does not tell apart."""

    status = 400
    code = "incomplete_body"
    message = "The body of this request ended before it was complete."


class Edge:
    """One process's front door."""

    def __init__(self, app: Flask, threads: int) -> None:
        """Take the Flask application and how many threads may run it at once."""
        self._app = app
        self._door: Dispatcher = app.extensions["bienvenue"]
        self._threads = ThreadPoolExecutor(threads, "page")
        # Of their own, or a check would wait behind pages that wait for their hash.
        self._checking = ThreadPoolExecutor(_CHECKING, "check")
        self._door.auth.passwords.wait_at_the_edge(self._door.settings.core.workers)
        self._https = self._door.settings.https
        self._trusted = self._door.settings.trusted
        self._sessions = self._door.auth.sessions
        self._cookie = cookies.name_of(cookies.SESSION, self._door.settings).encode()
        self._hosts = {host.encode() for host in crosssite.hosts(self._door.settings)}
        self._stranger = _refused(NotSignedIn(), https=self._https)
        given = responses.harden(responses.as_json({}, 200), https=self._https).headers
        del given["Content-Length"]
        self._headers = _encoded(given)
        self._checks_inline = not self._door.settings.on_postgresql
        self._router = app.url_map.bind("")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            return
        head = _Head(scope["headers"])
        # An id that a trusted proxy made stays.
        believed = len(head.ids) == 1 and self._trusted.holds(_connection(scope))
        logs.name_request(head.ids[0].decode("latin-1") if believed else None)
        try:
            head.refuse_ambiguous(scope["http_version"])
            body = await _whole_body(receive) if head.has_body else b""
            own = None
            if scope["path"] == "/profile" and scope["method"] == "GET":
                own = await self._check(head)
            if own is None:
                answered = await self._through_flask(scope, head.fields, body)
            else:
                answered = _named(own)
        except Exception as error:  # noqa: BLE001 (everything becomes a refusal)
            answered = _named(_refused(as_refusal(error), https=self._https))
        await _send(send, *answered)

    async def _check(self, head: "_Head") -> Answered | None:
        """Answer a session check, or give None for what only Flask can answer."""
        # A program asks, by one of our names: then nothing but its cookie matters.
        if head.wants_page or not head.hosts or not self._is_ours(head.hosts[0]):
            return None
        if not any(self._cookie in value for value in head.cookies):
            return self._stranger
        secret = self._secret(head.cookies)
        if secret is None:
            return None
        try:
            if self._checks_inline:
                # SQLite answers from memory in microseconds; handing over to a thread costs more.
                me = self._sessions.look_up(secret)
            else:
                loop = asyncio.get_running_loop()
                me = await loop.run_in_executor(self._checking, self._sessions.look_up, secret)
        except DatabaseUnavailable as error:
            return _refused(as_refusal(error), https=self._https)
        if me is None:
            return self._stranger
        if self._sessions.touch_is_due(me):
            self._checking.submit(self._sessions.touch, me)
        return 200, self._headers, _profile(me, self._sessions.is_fresh(me))

    def _is_ours(self, host: bytes) -> bool:
        return host in self._hosts or host.rpartition(b":")[0] in self._hosts

    def _secret(self, sent: list[bytes]) -> str | None:
        """Give the one session secret of the Cookie headers, or None for anything less plain."""
        if len(sent) > 1:
            return None
        found: list[bytes] = []
        for pair in sent[0].split(b";"):
            name, _, value = pair.partition(b"=")
            # The whole name counts: any sibling host can set a cookie whose name ends like ours.
            if name.strip() == self._cookie:
                found.append(value)
        if len(found) != 1:
            return None
        secret = found[0].decode("latin-1").strip()
        return secret if tokens.well_formed(secret) else None

    async def _through_flask(self, scope: Scope, headers: Headers, body: bytes) -> Answered:
        environ = _environ(scope, headers, body)
        page = self._door.page_of(self._router, Request(environ), body)
        if page is not None and page.hashes:
            forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
            network = network_of(visitor_ip(environ["REMOTE_ADDR"], forwarded, self._trusted))
            async with self._door.auth.passwords.hash_queue.place_at_the_edge(network):
                return await self._run(environ)
        return await self._run(environ)

    async def _run(self, environ: dict[str, Any]) -> Answered:
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        return await loop.run_in_executor(self._threads, context.run, _call, self._app, environ)


class _Head:
    """What the edge reads of the headers, in one walk over them."""

    __slots__ = ("chunked", "cookies", "fields", "hosts", "ids", "lengths", "wants_page")

    def __init__(self, sent: Iterable[tuple[bytes, bytes]]) -> None:
        """Read them, and drop names with underscores: WSGI takes them for those with hyphens."""
        self.fields: Headers = []
        self.hosts: list[bytes] = []
        self.cookies: list[bytes] = []
        self.ids: list[bytes] = []
        self.lengths = 0
        self.chunked = self.wants_page = False
        for field in sent:
            name, value = field
            if name == b"host":
                self.hosts.append(value)
            elif name == b"cookie":
                self.cookies.append(value)
            elif name == b"accept":
                self.wants_page |= b"html" in value
            elif name == b"content-length":
                self.lengths += 1
            elif name == b"transfer-encoding":
                self.chunked = True
            elif name == b"x-request-id":
                self.ids.append(value)
            elif b"_" in name:
                continue
            self.fields.append(field)

    @property
    def has_body(self) -> bool:
        """Whether a body follows."""
        return self.chunked or self.lengths > 0

    def refuse_ambiguous(self, version: str) -> None:
        """Raise AmbiguousRequest for what RFC 9112 calls one (sections 3.2, 6.1 and 6.3)."""
        # The server writes an empty host where there is none.
        nameless = version == "1.1" and not any(self.hosts)
        if nameless or len(self.hosts) > 1 or self.lengths > 1 or (self.chunked and self.lengths):
            raise AmbiguousRequest


@functools.lru_cache(10_000)
def _profile(me: SignedIn, fresh: bool) -> bytes:
    """Write a profile as Flask does; the row itself is read anew for every request."""
    return responses.as_json(Profile.of(me, fresh=fresh).model_dump(mode="json"), 200).get_data()


async def _whole_body(receive: Receive) -> bytes:
    """Read the body. Raises BodyTooLarge, RequestTimeout or IncompleteBody."""
    pieces: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(DEADLINE):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise IncompleteBody
                pieces.append(message.get("body", b""))
                size += len(pieces[-1])
                more = message.get("more_body", False)
                if size > LARGEST_BODY:
                    raise BodyTooLarge
    except TimeoutError:
        raise RequestTimeout from None
    return b"".join(pieces)


def _connection(scope: Scope) -> str:
    """Give the ip of whoever connected, "" over a unix socket."""
    client = scope.get("client")
    return client[0] if client else ""


def _environ(scope: Scope, headers: Headers, body: bytes) -> dict[str, Any]:
    """Make the WSGI environment of a request whose body is here (PEP 3333)."""
    server = scope.get("server")
    environ: dict[str, Any] = {
        "REQUEST_METHOD": scope["method"],
        "SCRIPT_NAME": "",
        "PATH_INFO": scope["path"].encode().decode("latin-1"),
        "QUERY_STRING": scope["query_string"].decode("latin-1"),
        "SERVER_PROTOCOL": f"HTTP/{scope['http_version']}",
        "SERVER_NAME": server[0] if server else "",
        "SERVER_PORT": str(server[1]) if server else "",
        "REMOTE_ADDR": _connection(scope),
        logs.KEY: logs.request_id(),
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


def _call(app: Flask, environ: dict[str, Any]) -> Answered:
    """Run the WSGI application for one request."""
    pieces, status, headers = run_wsgi_app(app, environ, buffered=True)
    return int(status[:3]), _encoded(headers), b"".join(pieces)


def _refused(refusal: Refusal, *, https: bool) -> Answered:
    response = responses.harden(responses.of_refusal(refusal), https=https)
    response.headers["Connection"] = "close"
    if refusal.retry_after is not None:
        response.headers["Retry-After"] = str(refusal.retry_after)
    return response.status_code, _encoded(response.headers), response.get_data()


def _named(answered: Answered) -> Answered:
    """Write the id of the request on an answer of the edge's own; Flask writes it on its own."""
    status, headers, body = answered
    return status, [*headers, (b"x-request-id", logs.request_id().encode())], body


def _encoded(headers: Iterable[tuple[str, str]]) -> Headers:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers]


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
