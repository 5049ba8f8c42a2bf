"""The edge of `bienvenue serve`: an ASGI application in front of the Flask one.

It reads a whole request body, within 64 KiB and a few seconds, before any thread works on the
request, so a stalled client holds nothing but a socket. It answers the session check of programs,
`GET /profile`, and that of proxies, `GET /verify`, without Flask. A request that hashes waits here
for its place in the hash queue, without a thread. Everything else runs in a bounded pool of
threads.

Under another WSGI server `bienvenue.wsgi:app` does the same operations without this file.
"""

import asyncio
import contextvars
import functools
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from flask import Flask, Request

from bienvenue import logs
from bienvenue.client_ip import network_of, visitor_ip
from bienvenue.db import DatabaseUnavailable
from bienvenue.feature import Refusal
from bienvenue.features.forward_auth import ForwardAuth
from bienvenue.features.sessions import SignedIn
from bienvenue.features.sessions.pages import Profile
from bienvenue.places import Places
from bienvenue.user import FULL_ACCESS
from bienvenue.web import responses
from bienvenue.web.bearer import InvalidToken, require_for_page
from bienvenue.web.body import LARGEST_BODY, BodyTooLarge
from bienvenue.web.dispatch import Dispatcher, NotSignedIn, as_refusal
from bienvenue.web.identity import Credential, CredentialHeaders, Identity
from bienvenue.wsgi_bridge import Answered, Headers, Scope, call, connection_ip, encoded, environ_of

DEADLINE = 10.0
"""Seconds a client has for sending its body."""

_CHECKING = 2
"""Threads for session checks on PostgreSQL, each with a connection of its own."""

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


class RequestTimeout(Refusal):
    """The body did not arrive within 10 seconds."""

    status = 408
    code = "request_timeout"
    message = "The body of this request took too long to arrive."


class AmbiguousRequest(Refusal):
    """Two readers could disagree where this request ends, or for which host it is."""

    status = 400
    code = "ambiguous_request"
    message = "This request is ambiguous."


class IncompleteBody(Refusal):
    """The client went away, or its chunks are malformed; the server does not tell which."""

    status = 400
    code = "incomplete_body"
    message = "The body of this request ended before it was complete."


class Edge:
    """The edge of one process."""

    def __init__(self, app: Flask, threads: int) -> None:
        """Take the Flask application and how many threads may run it at once."""
        self._app = app
        self._dispatcher: Dispatcher = app.extensions["bienvenue"]
        settings, auth = self._dispatcher.settings, self._dispatcher.auth
        self._threads = ThreadPoolExecutor(threads, "page")
        # Half of them to a network, rounded up, as in the hash queue.
        self._places = Places(threads, (threads + 1) // 2)
        # Threads of their own: a check must not wait behind pages that wait for their hash.
        self._checking = ThreadPoolExecutor(_CHECKING, "check")
        auth.passwords.wait_at_the_edge(settings.core.workers)
        # So must a page; and in the hash queue every network has its share already.
        self._hashing = ThreadPoolExecutor(auth.passwords.hash_queue.places, "hashing page")
        self._https = settings.https
        self._trusted = settings.trusted
        self._sessions = auth.sessions
        self._forward_auth = auth.use(ForwardAuth)
        self._hosts = self._dispatcher.hosts
        self._cors = self._dispatcher.cors
        self._identifiers = self._dispatcher.identifiers
        self._not_signed_in = self._refused(NotSignedIn())
        # A flood of guesses costs no response each.
        self._no_token = self._refused(InvalidToken())
        made = responses.as_json({}, 200)
        if self._cors.origins:
            made.vary.add("Origin")
        headers = responses.harden(made, https=self._https).headers
        del headers["Content-Length"]
        self._headers = encoded(headers)
        self._verified = encoded(responses.harden(responses.empty(204), https=self._https).headers)
        self._checks_inline = not settings.on_postgresql
        self._router = app.url_map.bind("")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] != "http":
            return
        head = _Head(scope["headers"])
        # An id that a trusted proxy made stays.
        believed = len(head.ids) == 1 and self._trusted.holds(connection_ip(scope))
        logs.name_request(head.ids[0].decode("latin-1") if believed else None)
        try:
            head.refuse_ambiguous(scope["http_version"])
            body = await _whole_body(receive) if head.has_body else b""
            own = None
            verifies = scope["path"] == "/verify"
            # A proxy may ask for scopes, which the page reads.
            asked = scope["path"] == "/profile" or (verifies and not scope["query_string"])
            if scope["method"] == "GET" and asked:
                own = await self._check(head, verifies=verifies)
            if own is None:
                answered = await self._through_flask(scope, head.fields, body)
            else:
                answered = _named(own)
        except Exception as error:  # noqa: BLE001 (everything becomes a refusal)
            answered = _named(self._refused(as_refusal(error)))
        await _send(send, *answered)

    async def _check(self, head: "_Head", *, verifies: bool) -> Answered | None:
        """Answer a session check, or return None for what only Flask can answer.

        It is that of programs, or that of proxies, which `verifies`: these name any host, and what
        a browser accepts.
        """
        # To a program that names our host, nothing but its credential matters; the script of
        # another site needs the headers of CORS. A proxy passes on what the browser sent it.
        other_site = bool(head.origins and self._cors.origins)
        if not verifies and (head.wants_page or other_site or not self._is_named(head)):
            return None
        not_signed_in = None if head.wants_page else self._not_signed_in
        credential = self._identifiers.credential(
            CredentialHeaders(head.cookie, head.authorization)
        )
        if credential is None:
            return not_signed_in
        look_up = functools.partial(self._look_up, credential, verifies=verifies)
        try:
            if self._checks_inline:
                # SQLite answers from memory in microseconds; handing over to a thread costs more.
                found = look_up()
            else:
                found = await asyncio.get_running_loop().run_in_executor(self._checking, look_up)
        except InvalidToken:
            return None if head.wants_page else self._no_token
        except DatabaseUnavailable as error:
            return self._refused(as_refusal(error))
        if found is None:
            return not_signed_in
        identity, answered = found
        if identity.touch_is_due():
            self._checking.submit(identity.touch)
        return answered

    def _is_named(self, head: "_Head") -> bool:
        return bool(head.hosts) and self._hosts.hold(head.host)

    def _look_up(
        self, credential: Credential, *, verifies: bool
    ) -> tuple[Identity, Answered] | None:
        """Return whose credential it is and the answer to its check.

        Raises DatabaseUnavailable and the refusals of access tokens.
        """
        identity = credential.look_up()
        if identity is None:
            return None
        if verifies:
            require_for_page(identity.me, FULL_ACCESS)
            named = encoded(self._forward_auth.headers_of(identity.me).items())
            return identity, (204, [*self._verified, *named], b"")
        fresh = self._sessions.is_fresh(identity.me)
        return identity, (200, self._headers, _profile(identity.me, fresh))

    def _refused(self, refusal: Refusal) -> Answered:
        response = responses.of_refusal(refusal)
        if self._cors.origins:
            response.vary.add("Origin")
        responses.harden(response, https=self._https)
        response.headers["Connection"] = "close"
        if refusal.retry_after is not None:
            response.headers["Retry-After"] = str(refusal.retry_after)
        for name, value in refusal.headers.items():
            response.headers[name] = value
        return response.status_code, encoded(response.headers), response.get_data()

    async def _through_flask(self, scope: Scope, headers: Headers, body: bytes) -> Answered:
        environ = environ_of(scope, headers, body) | {logs.KEY: logs.request_id()}
        forwarded = environ.get("HTTP_X_FORWARDED_FOR", "")
        network = network_of(visitor_ip(environ["REMOTE_ADDR"], forwarded, self._trusted))
        page = self._dispatcher.page_of(self._router, Request(environ), body)
        if page is not None and page.hashes:
            async with self._dispatcher.auth.passwords.hash_queue.place_at_the_edge(network):
                return await asyncio.wrap_future(self._run(self._hashing, environ))
        await self._places.enter(network)
        running = self._run(self._threads, environ)
        # Not when the client goes away: the thread is at it until then.
        running.add_done_callback(lambda _: self._places.leave(network))
        return await asyncio.wrap_future(running)

    def _run(self, threads: ThreadPoolExecutor, environ: dict[str, Any]) -> "Future[Answered]":
        return threads.submit(contextvars.copy_context().run, call, self._app, environ)


class _Head:
    """The headers that the edge reads, in one walk over them."""

    __slots__ = (
        "authorizations",
        "chunked",
        "cookies",
        "fields",
        "hosts",
        "ids",
        "lengths",
        "origins",
        "wants_page",
    )

    def __init__(self, sent: Iterable[tuple[bytes, bytes]]) -> None:
        """Read them, and drop names with underscores: WSGI would take these for hyphens (G13)."""
        self.fields: Headers = []
        self.hosts: list[bytes] = []
        self.cookies: list[bytes] = []
        self.authorizations: list[bytes] = []
        self.origins: list[bytes] = []
        self.ids: list[bytes] = []
        self.lengths = 0
        self.chunked = self.wants_page = False
        kept = {
            b"host": self.hosts,
            b"cookie": self.cookies,
            b"authorization": self.authorizations,
            b"origin": self.origins,
            b"x-request-id": self.ids,
        }
        for field in sent:
            name, value = field
            if name in kept:
                kept[name].append(value)
            elif name == b"accept":
                self.wants_page |= b"html" in value
            elif name == b"content-length":
                self.lengths += 1
            elif name == b"transfer-encoding":
                self.chunked = True
            elif b"_" in name:
                continue
            self.fields.append(field)

    @property
    def cookie(self) -> str:
        """The Cookie headers as one (RFC 9113 section 8.2.3), decoded as in WSGI."""
        return b"; ".join(self.cookies).decode("latin-1")

    @property
    def authorization(self) -> str:
        """The Authorization headers, joined as WSGI joins fields of one name."""
        return b",".join(self.authorizations).decode("latin-1")

    @property
    def host(self) -> str:
        """The first Host header, decoded as in WSGI."""
        return self.hosts[0].decode("latin-1")

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
    """Write a profile as Flask does; every request reads the row itself again."""
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


def _named(answered: Answered) -> Answered:
    """Write the id of the request on an answer that the edge itself gives."""
    status, headers, body = answered
    return status, [*headers, (b"x-request-id", logs.request_id().encode())], body


async def _send(send: Send, status: int, headers: Headers, body: bytes) -> None:
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
