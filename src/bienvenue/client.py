"""client: applications of any framework ask a running service whose request they have.

`WSGIMiddleware` and `ASGIMiddleware` stand in front of an application and ask `GET /verify` for
each request that bears a session cookie or an Authorization header. No answer is kept: a session
that ended is refused at the next request. It needs nothing but the standard library.
"""

import asyncio
import functools
import http.client
import json
import os
import re
import selectors
import ssl
import threading
import weakref
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit
from wsgiref.types import StartResponse, WSGIApplication

_COOKIES = {"session_id", "__Host-session_id", "__Secure-session_id"}
_REFUSED = {
    http.HTTPStatus.BAD_REQUEST,
    http.HTTPStatus.UNAUTHORIZED,
    http.HTTPStatus.FORBIDDEN,
}
_PROBLEM = "application/problem+json"
_RETRY_AFTER = 5
_LONGEST_ANSWER = 65_536
#: What a header may hold (RFC 9110 section 5.5), without line folding.
_SENDABLE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
#: How headers begin that claim to name the user, as those of a proxy do.
_CLAIMS = (
    "remote-",
    "x-remote-",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-auth-request-",
)

#: Where an environ or a scope has the user, None when no user is signed in.
USER = "bienvenue.user"

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGIApplication = Callable[[Scope, Receive, Send], Awaitable[None]]


class SignedInUser(NamedTuple):
    """The user of a request, as the service named it."""

    #: The public name of the account, a UUID that never changes.
    uid: str
    email: str
    groups: frozenset[str]
    #: The completed factors, as "pwd" (RFC 8176).
    amr: tuple[str, ...]
    #: The scopes of the access token; `*` is full access, and what a session has.
    scopes: frozenset[str]

    def allows(self, scope: str) -> bool:
        """Tell whether the user, or the program that acts for them, has a scope."""
        return not self.scopes.isdisjoint({scope, "*"})


class ServiceAway(Exception):
    """The service gave no answer that says who the user is; nothing may be assumed."""

    def __init__(self, reason: str, retry_after: int = _RETRY_AFTER) -> None:
        """Take the reason, without an address or a secret, and the seconds to wait."""
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Client:
    """Asks one service, over kept connections that threads share."""

    def __init__(
        self,
        url: str,
        *,
        connections: int = 10,
        timeout: float = 5.0,
        scopes: Iterable[str] = (),
        context: ssl.SSLContext | None = None,
    ) -> None:
        """Take the URL under which the pages of the service are, as https://login.example.org.

        At most `connections` requests ask at once; another waits for `timeout` seconds, as each
        step of asking does. An access token needs full access, or one of `scopes`: those that the
        application checks with `allows`. `context` verifies the service over https, by default with
        the certificates of the system. Raises ValueError for a URL that is none.
        """
        self.connections = connections
        self.timeout = timeout
        self._begin()
        parts = urlsplit(url)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise ValueError("the URL of the service is http or https, without a user name")
        self._host, self._port = parts.hostname, parts.port
        self._context = context
        if parts.scheme == "https" and context is None:
            self._context = ssl.create_default_context()
        self._https = parts.scheme == "https"
        self._url = url.rstrip("/")
        wanted = urlencode({"scope": " ".join(scopes)}) if scopes else ""
        self._path = f"{parts.path.rstrip('/')}/verify{wanted and '?'}{wanted}"
        _clients.add(self)

    def _begin(self) -> None:
        self._free = threading.BoundedSemaphore(self.connections)
        self._kept: deque[http.client.HTTPConnection] = deque()

    def forget_inherited(self) -> None:
        """Forget, in a forked process, the connections of its parent: their answers are not ours.

        The parent goes on to use them, so they are not closed.
        """
        _inherited.extend(self._kept)
        self._begin()

    def close(self) -> None:
        """Close the kept connections; the next request opens new ones."""
        while self._kept:
            self._kept.popleft().close()

    __del__ = close

    def sign_in_url(self, return_to: str) -> str:
        """Return where a browser signs in and comes back from to `return_to`, a whole URL.

        The service lists its origin in BIENVENUE_RETURN_ORIGINS.
        """
        return f"{self._url}/sessions/new?{urlencode({'next': return_to})}"

    def user(self, cookie: str = "", authorization: str = "") -> SignedInUser | None:
        """Return the user whose credential these headers bear, or None; ask without any cache.

        Of the cookies only that of the session is sent, and the Authorization header as it came.
        Raises ServiceAway.
        """
        sent = {"Accept": "application/json"}
        session = [pair for pair in cookie.split(";") if _name(pair) in _COOKIES]
        if session:
            sent["Cookie"] = "; ".join(pair.strip(" \t") for pair in session)
        if authorization:
            sent["Authorization"] = authorization
        if len(sent) == 1 or not all(map(_SENDABLE.fullmatch, sent.values())):
            # What HTTP cannot express is no credential.
            return None
        with self._place():
            return _understood(*self._ask(sent))

    def _ask(self, headers: dict[str, str]) -> tuple[int, http.client.HTTPMessage, bytes]:
        try:
            kept = self._usable()
            if kept is not None:
                try:
                    return self._asked(kept, headers)
                except (ConnectionError, ssl.SSLEOFError):
                    # The service closes what is idle; asking again changes nothing there.
                    pass
            return self._asked(self._opened(), headers)
        except TimeoutError:
            reason = "the sign-in service took too long to answer"
        except http.client.HTTPException:
            reason = "the sign-in service gave an answer that is no HTTP"
        except ssl.SSLError:
            reason = "the sign-in service did not show a valid certificate"
        except OSError:
            reason = "the sign-in service cannot be reached"
        raise ServiceAway(reason)

    @contextmanager
    def _place(self) -> Iterator[None]:
        free = self._free
        if not free.acquire(timeout=self.timeout):
            raise _crowded()
        try:
            yield
        finally:
            free.release()

    def _usable(self) -> http.client.HTTPConnection | None:
        """Return a kept connection, the one used last; close those that ended meanwhile."""
        while True:
            try:
                kept = self._kept.pop()
            except IndexError:
                return None
            # What can be read before anything was asked is the end, or no answer to us.
            if kept.sock is not None and not _readable(kept.sock):
                return kept
            kept.close()

    def _opened(self) -> http.client.HTTPConnection:
        if self._https:
            return http.client.HTTPSConnection(
                self._host, self._port, timeout=self.timeout, context=self._context
            )
        return http.client.HTTPConnection(self._host, self._port, timeout=self.timeout)

    def _asked(
        self, connection: http.client.HTTPConnection, headers: dict[str, str]
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Ask on a connection, and keep it only when its answer was read to the end."""
        whole = False
        try:
            connection.request("GET", self._path, headers=headers)
            answer = connection.getresponse()
            body = answer.read(_LONGEST_ANSWER)
            whole = answer.isclosed()
        finally:
            if whole and connection.sock is not None:
                self._kept.append(connection)
            else:
                connection.close()
        return answer.status, answer.headers, body


def _crowded() -> ServiceAway:
    return ServiceAway("too many requests wait for the sign-in service", 1)


def _name(pair: str) -> str:
    return pair.partition("=")[0].strip(" \t")


def _readable(sock: Any) -> bool:
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))


def _understood(status: int, headers: http.client.HTTPMessage, body: bytes) -> SignedInUser | None:
    """Return the user that an answer names, None when the service refuses the credential."""
    uid = headers.get("Remote-User")
    if status == http.HTTPStatus.NO_CONTENT and uid:
        return SignedInUser(
            uid,
            headers.get("Remote-Email", ""),
            frozenset(filter(None, headers.get("Remote-Groups", "").split(","))),
            tuple(filter(None, headers.get("Remote-Amr", "").split(","))),
            frozenset(filter(None, headers.get("Remote-Scopes", "").split(","))),
        )
    code = _code(headers, body)
    if code is not None and status in _REFUSED:
        return None
    waited = headers.get("Retry-After", "")
    after = int(waited) if re.fullmatch("[0-9]{1,4}", waited) else _RETRY_AFTER
    raise ServiceAway(
        f"the sign-in service answered {status}" + (f" ({code})" if code else ""),
        after,
    )


def _code(headers: http.client.HTTPMessage, body: bytes) -> str | None:
    """Return the code of a refusal of the service; None for what another server answered."""
    if headers.get_content_type() != _PROBLEM:
        return None
    try:
        code = json.loads(body)["code"]
    except (ValueError, KeyError, TypeError):
        return None
    return code if isinstance(code, str) and code.replace("_", "").isalnum() else None


_clients: "weakref.WeakSet[Client]" = weakref.WeakSet()
#: Connections of a parent process, kept so that nothing closes them.
_inherited: list[object] = []


def _after_fork() -> None:
    for client in list(_clients):
        client.forget_inherited()


# Where processes do not fork, there is no such function.
getattr(os, "register_at_fork", dict)(after_in_child=_after_fork)


# --- what the visitor hears while the service is away ------------------------------------------


def _away(error: ServiceAway, accept: str) -> tuple[list[tuple[str, str]], bytes]:
    """Return headers and body of 503: text for a browser, a problem document (RFC 9457) else."""
    if "html" in accept:
        kind = "text/plain; charset=utf-8"
        body = "Signing in does not work right now. Try again in a moment.\n"
    else:
        kind = _PROBLEM
        problem = {
            "type": "about:blank",
            "title": http.HTTPStatus.SERVICE_UNAVAILABLE.phrase,
            "status": http.HTTPStatus.SERVICE_UNAVAILABLE.value,
            "code": "sign_in_unavailable",
            "detail": f"{error.reason[0].upper()}{error.reason[1:]}.",
        }
        body = json.dumps(problem) + "\n"
    headers = {
        "Content-Type": kind,
        "Content-Length": str(len(body)),
        "Retry-After": str(error.retry_after),
        "Cache-Control": "no-store",
    }
    return list(headers.items()), body.encode()


def _claims(name: str) -> bool:
    """Tell whether a header claims to name the user, as a proxy does; `name` is in lower case.

    An underscore counts as a hyphen: WSGI and Django do not tell them apart.
    """
    return name.replace("_", "-").startswith(_CLAIMS)


# --- WSGI ---------------------------------------------------------------------------------------


class WSGIMiddleware:
    """Puts the user into the environ: `bienvenue.user`, and its uid as `REMOTE_USER`."""

    def __init__(self, app: WSGIApplication, client: Client) -> None:
        """Take the application and a client, which other applications may share."""
        self._app = app
        self._client = client

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Ask whose request it is, and hand it on; 503 while the service is away (PEP 3333)."""
        for name in [name for name in environ if _claims_in_environ(name)]:
            del environ[name]
        cookie, authorization = (
            environ.get(name, "") for name in ("HTTP_COOKIE", "HTTP_AUTHORIZATION")
        )
        try:
            user = self._client.user(cookie, authorization)
        except ServiceAway as error:
            headers, body = _away(error, environ.get("HTTP_ACCEPT", ""))
            start_response("503 Service Unavailable", headers)
            return [body]
        environ[USER] = user
        if user is not None:
            environ["REMOTE_USER"] = user.uid
        return self._app(environ, start_response)


def _claims_in_environ(name: str) -> bool:
    # REMOTE_ADDR and its like are of the connection; only a header begins with HTTP_.
    header = name.removeprefix("HTTP_").lower() if name.startswith("HTTP_") else ""
    return name in {"REMOTE_USER", USER} or _claims(header)


# --- ASGI ---------------------------------------------------------------------------------------


class ASGIMiddleware:
    """Puts the user into the scope: `scope["bienvenue.user"]`, in requests and websockets."""

    def __init__(self, app: ASGIApplication, client: Client) -> None:
        """Take the application and a client; it asks in threads of its own."""
        self._app = app
        self._client = client
        self._threads = ThreadPoolExecutor(client.connections, "bienvenue-client")
        self._places = asyncio.Semaphore(client.connections)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Ask whose request it is, without blocking the loop, and hand it on (ASGI 3)."""
        if scope["type"] not in {"http", "websocket"}:
            await self._app(scope, receive, send)
            return
        headers = [
            (name, value)
            for name, value in scope["headers"]
            if not _claims(name.decode("latin-1").lower())
        ]
        try:
            user = await self._user(headers)
        except ServiceAway as error:
            await _refuse(error, scope, headers, receive, send)
            return
        await self._app({**scope, "headers": headers, USER: user}, receive, send)

    async def _user(self, headers: list[tuple[bytes, bytes]]) -> SignedInUser | None:
        cookie = _joined(headers, b"cookie", "; ")
        authorization = _joined(headers, b"authorization", ",")
        if not (cookie or authorization):
            return None
        try:
            async with asyncio.timeout(self._client.timeout):
                await self._places.acquire()
        except TimeoutError:
            raise _crowded() from None
        asking = functools.partial(self._client.user, cookie, authorization)
        asked = asyncio.get_running_loop().run_in_executor(self._threads, asking)
        # Not when the visitor goes away: the thread is at it until it has an answer.
        asked.add_done_callback(self._over)
        return await asyncio.shield(asked)

    def _over(self, asked: "asyncio.Future[SignedInUser | None]") -> None:
        self._places.release()
        # Read, so that no one is told of an error for which no visitor waits any more.
        with suppress(asyncio.CancelledError):
            asked.exception()


def _joined(headers: list[tuple[bytes, bytes]], name: bytes, joint: str) -> str:
    return joint.join(value.decode("latin-1") for key, value in headers if key.lower() == name)


async def _refuse(
    error: ServiceAway,
    scope: Scope,
    headers: list[tuple[bytes, bytes]],
    receive: Receive,
    send: Send,
) -> None:
    if scope["type"] == "websocket":
        # Closed before it was accepted, the handshake is refused with 403 (ASGI websocket).
        await receive()
        await send({"type": "websocket.close", "code": 1013, "reason": error.reason})
        return
    named, body = _away(error, _joined(headers, b"accept", ","))
    sent = [(name.lower().encode(), value.encode()) for name, value in named]
    await send({"type": "http.response.start", "status": 503, "headers": sent})
    await send({"type": "http.response.body", "body": body})
