"""client: a running service is asked for each request, and nothing else is believed."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, MutableMapping
from pathlib import Path
from typing import Any
from wsgiref.types import StartResponse

import pytest
import trustme

from bienvenue.client import (
    USER,
    ASGIMiddleware,
    Client,
    ServiceAway,
    SignedInUser,
    WSGIMiddleware,
    _after_fork,
    _readable,
)
from tests.conftest import EMAIL, PASSPHRASE
from tests.journeys.serving import Program, command, serving
from tests.ports import free_port, wait_until
from tests.web.speaker import Answer, named, speaking, written

COOKIE = f"session_id={'A' * 43}"
ANN = SignedInUser("ann", "ann@example.com", frozenset(), (), frozenset())
PROBLEM = "application/problem+json"


def refusal(status: int, code: str, **headers: str) -> bytes:
    """Refuse, as the service does."""
    body = json.dumps({"code": code}).encode()
    return written(status, body, Content_Type=PROBLEM, **headers)


def echo(request: bytes) -> bytes:
    """Name as the user what stands in the session cookie."""
    return named(request.partition(b"session_id=")[2].split(b"\r\n")[0].decode())


def by_wsgi(client: Client, **environ: str) -> tuple[str, dict[str, str], Any]:
    """Ask an application behind the middleware; give its status, headers and environ or body."""
    seen: list[dict[str, Any]] = []
    started: list[tuple[str, list[tuple[str, str]]]] = []

    def app(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        seen.append(environ)
        start_response("200 OK", [])
        return [b"shelf"]

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> Any:
        started.append((status, headers))

    body = b"".join(WSGIMiddleware(app, client)(dict(environ), start_response))
    (status, headers) = started[0]
    return status, dict(headers), seen[0] if seen else body


class Asgi:
    """An application behind the middleware, and what it was handed."""

    def __init__(self, client: Client) -> None:
        """Put the middleware in front of it."""
        self.scopes: list[MutableMapping[str, Any]] = []
        self.sent: list[MutableMapping[str, Any]] = []
        self.middleware = ASGIMiddleware(self._app, client)

    async def _app(self, scope: Any, _receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def ask(self, *headers: tuple[str, str], kind: str = "http") -> None:
        """Send one request, or open a websocket."""

        async def receive() -> MutableMapping[str, Any]:
            return {"type": "websocket.connect"}

        async def send(message: MutableMapping[str, Any]) -> None:
            self.sent.append(message)

        sent = [(name.encode(), value.encode("latin-1")) for name, value in headers]
        await self.middleware({"type": kind, "headers": sent}, receive, send)


# --- what is sent, and what is understood --------------------------------------------------------


def test_only_credentials_are_sent() -> None:
    """The cookie of the session, whatever its prefix, and Authorization as it came."""
    with speaking(lambda _: named("ann", "staff,editors")) as service:
        client = Client(f"{service.url}/auth/")
        cookies = (
            f"theirs=secret; {COOKIE}; __Host-session_id=b ;__Secure-session_id=c; session_idx=d"
        )
        user = client.user(cookies, "Bearer  x")
        assert user == ANN._replace(groups=frozenset({"staff", "editors"}))
        client.user(authorization="Basic YTpi")
        first, second = (request.decode().split("\r\n") for request in service.asked)
    assert first[0] == "GET /auth/verify HTTP/1.1"
    assert f"Cookie: {COOKIE}; __Host-session_id=b; __Secure-session_id=c" in first
    assert "Authorization: Bearer  x" in first
    assert "Authorization: Basic YTpi" in second
    assert not [line for line in second if line.startswith("Cookie")]


@pytest.mark.parametrize(
    ("cookie", "authorization"),
    [
        ("", ""),
        ("theirs=1", ""),
        ("xsession_id=a", ""),
        ("session_id=a\r\nRemote-User: eve", ""),
        ("session_id=a\r\n b", ""),
        ("session_id=\u20ac", ""),
        ("", "Bearer a\nb"),
        ("", "Bearer a\0"),
    ],
)
def test_without_a_credential_nothing_is_asked(cookie: str, authorization: str) -> None:
    """So visitors cost nothing, and what HTTP cannot carry reaches no one."""
    with speaking(echo) as service:
        assert Client(service.url).user(cookie, authorization) is None
        assert service.connections == []


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_refused_credential_is_nobodys(status: int) -> None:
    """A session that is over, a token that is malformed, or one that may not do this."""
    with speaking(lambda _: refusal(status, "not_signed_in")) as service:
        assert Client(service.url).user(COOKIE) is None


ANSWERS = {
    "the database is away": (
        refusal(503, "unavailable", Retry_After="7"),
        "the sign-in service answered 503 (unavailable)",
        7,
    ),
    "its proxy is alone": (written(502), "the sign-in service answered 502", 5),
    "another server refuses": (
        written(400, b"<html>", Content_Type="text/html"),
        "the sign-in service answered 400",
        5,
    ),
    "a redirect": (
        written(303, Location="/sessions/new"),
        "the sign-in service answered 303",
        5,
    ),
    "204 without a name": (written(204), "the sign-in service answered 204", 5),
    "200 with a name": (
        written(200, Remote_User="eve"),
        "the sign-in service answered 200",
        5,
    ),
    "no JSON": (
        written(401, b"{", Content_Type=PROBLEM),
        "the sign-in service answered 401",
        5,
    ),
    "a list": (
        written(401, b"[]", Content_Type=PROBLEM),
        "the sign-in service answered 401",
        5,
    ),
    "no code": (
        written(401, b'{"code": 1}', Content_Type=PROBLEM),
        "the sign-in service answered 401",
        5,
    ),
    "a code that is a text": (
        written(503, b'{"code": "see http://a"}', Content_Type=PROBLEM, Retry_After="soon"),
        "the sign-in service answered 503",
        5,
    ),
    "a wait of years": (
        written(503, Retry_After="99999999999"),
        "the sign-in service answered 503",
        5,
    ),
    "no HTTP": (b"SSH-2.0\r\n\r\n", "the sign-in service gave an answer that is no HTTP", 5),
    "a header without end": (
        b"HTTP/1.1 204 No\r\nA: " + b"a" * 100_000,
        "the sign-in service gave an answer that is no HTTP",
        5,
    ),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_any_other_answer_says_nothing(case: str) -> None:
    """503 with the reason and when to try again, never a guess."""
    answer, reason, after = ANSWERS[case]
    with speaking(lambda _: answer) as service, pytest.raises(ServiceAway) as raised:
        Client(service.url).user(COOKIE)
    assert (raised.value.reason, raised.value.retry_after) == (reason, after)


def test_one_who_is_away_or_silent_is_so() -> None:
    """No port, or no answer within the time."""
    with pytest.raises(ServiceAway, match="cannot be reached"):
        Client(f"http://127.0.0.1:{free_port()}").user(COOKIE)
    with (
        speaking(lambda _: lambda _: None) as service,
        pytest.raises(ServiceAway, match="took too long"),
    ):
        Client(service.url, timeout=0.2).user(COOKIE)


def test_a_silent_service_is_not_asked_twice_on_a_kept_connection() -> None:
    """Else each visitor would wait twice as long as the time that was set."""
    answers: list[Answer] = [named("ann"), lambda _: None]
    with speaking(lambda _: answers.pop(0)) as service:
        client = Client(service.url, timeout=0.2)
        assert client.user(COOKIE) == ANN
        with pytest.raises(ServiceAway, match="took too long"):
            client.user(COOKIE)
        assert (len(service.asked), len(service.connections)) == (2, 1)


@pytest.mark.parametrize("url", ["", "login.example.org", "ftp://a", "http://", "http://a:b@c"])
def test_a_url_is_one_of_http(url: str) -> None:
    """Said at start, and not at the first request."""
    with pytest.raises(ValueError, match="http or https"):
        Client(url)


def test_a_browser_is_sent_to_signing_in_and_back() -> None:
    """The page of the service, with the whole URL to return to."""
    url = Client("https://login.example.org/auth/").sign_in_url("https://shelf.example.org/a?b=c&d")
    back = "https%3A%2F%2Fshelf.example.org%2Fa%3Fb%3Dc%26d"
    assert url == f"https://login.example.org/auth/sessions/new?next={back}"


def test_a_token_of_few_scopes_is_known_where_they_are_asked_for(tmp_path: Path) -> None:
    """To an application that names none it would be as good as a session, so it is no one there."""
    with serving(tmp_path, access_token_scopes="read=Read your notes, write") as served:
        program, url = served.program(), f"http://localhost:{served.port}"
        cookie = _signed_in(program)
        made = command(
            tmp_path,
            *("tokens", "add", "--user", EMAIL, "--name", "ci", "--scope", "read"),
            access_token_scopes="read=Read your notes, write",
        )
        bearer = f"Bearer {next(word for word in made.stdout.split() if word.startswith('bv_'))}"
        assert Client(url).user(authorization=bearer) is None
        assert Client(url, scopes=["write"]).user(authorization=bearer) is None
        user = Client(url, scopes=["write", "read"]).user(authorization=bearer)
        assert user is not None
        assert (user.email, user.scopes) == (EMAIL, frozenset({"read"}))
        assert (user.allows("read"), user.allows("write")) == (True, False)
        assert Client(url, scopes=["read"]).user(cookie, bearer) is None
        assert Client(url).user(authorization=bearer + "x") is None


def test_https_is_verified() -> None:
    """By the given authority; another's certificate says that the service is not it."""
    ours, another = trustme.CA(), trustme.CA()
    serving, trusting, doubting = (ssl.create_default_context() for _ in range(3))
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    ours.issue_cert("localhost").configure_cert(serving)
    ours.configure_trust(trusting)
    another.configure_trust(doubting)
    with speaking(lambda _: named("ann"), serving) as service:
        client = Client(service.url, context=trusting)
        assert [client.user(COOKIE) for _ in range(3)] == [ANN] * 3
        client.close()
        for context in (doubting, None):
            with pytest.raises(ServiceAway, match="valid certificate"):
                Client(service.url, context=context).user(COOKIE)


# --- connections ----------------------------------------------------------------------------------


def test_connections_are_kept_and_opened_again() -> None:
    """One serves all requests that follow each other; one that ended is replaced unseen."""
    with speaking(echo) as service:
        client = Client(service.url)
        for number in range(20):
            user = client.user(f"session_id={number}")
            assert user is not None
            assert user.uid == str(number)
        assert len(service.connections) == 1
        service.connections[0].shutdown(socket.SHUT_RDWR)
        assert client.user("session_id=again") is not None
        assert len(service.connections) == 2
        client.close()
        assert client.user("session_id=again") is not None
        assert len(service.connections) == 3


def test_a_connection_that_ends_with_the_request_is_replaced() -> None:
    """The service may close it in the very moment in which it is asked; once, and not for ever."""

    def end(connection: socket.socket) -> None:
        connection.shutdown(socket.SHUT_RDWR)

    answers: list[Answer] = [named("ann"), end, named("ann"), end, end]
    with speaking(lambda _: answers.pop(0)) as service:
        client = Client(service.url)
        assert [client.user(COOKIE), client.user(COOKIE)] == [ANN, ANN]
        with pytest.raises(ServiceAway):
            client.user(COOKIE)
        assert answers == []


def test_an_answer_to_nothing_is_nobodys() -> None:
    """What lies on a kept connection before a request would name its user wrongly."""
    answers = [named("ann"), named("bob")]
    with speaking(lambda _: answers.pop(0)) as service:
        client = Client(service.url)
        assert client.user(COOKIE) == ANN
        service.connections[0].sendall(named("eve"))
        (kept,) = client._kept
        assert wait_until(lambda: _readable(kept.sock))
        user = client.user(COOKIE)
        assert user is not None
        assert user.uid == "bob"
        assert len(service.connections) == 2


def test_a_connection_whose_answer_was_not_read_is_not_kept() -> None:
    """Its rest would be the answer to the next request."""
    long = written(503, b"x" * 100_000)
    answers = [long, named("ann")]
    with speaking(lambda _: answers.pop(0)) as service:
        client = Client(service.url)
        with pytest.raises(ServiceAway):
            client.user(COOKIE)
        assert client.user(COOKIE) == ANN
        assert len(service.connections) == 2


def test_no_answer_reaches_another_request() -> None:
    """Eight threads over three connections, each with its own session."""
    wrong: list[str] = []
    with speaking(echo) as service:
        client = Client(service.url, connections=3, timeout=30)

        def ask(name: str) -> None:
            for number in range(100):
                user = client.user(f"session_id={name}{number}")
                if user is None or user.uid != f"{name}{number}":
                    wrong.append(f"{name}{number}: {user}")

        threads = [threading.Thread(target=ask, args=(name,)) for name in "abcdefgh"]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert wrong == []
        assert len(service.connections) <= 3
        assert len(service.asked) == 800


def test_a_forked_process_has_its_own_connections() -> None:
    """Two processes on one would read each other's answers."""
    with speaking(echo) as service:
        client = Client(service.url)
        assert client.user("session_id=parent") is not None
        child = os.fork()
        if child == 0:  # pragma: no cover (another process)
            user = client.user("session_id=child")
            os._exit(0 if user is not None and user.uid == "child" else 1)
        _, status = os.waitpid(child, 0)
        assert os.waitstatus_to_exitcode(status) == 0
        user = client.user("session_id=parent")
        assert user is not None
        assert user.uid == "parent"
        assert len(service.connections) == 2


def test_what_a_process_inherits_stays_open() -> None:
    """Its parent goes on to use it: closing it would end the parent's connection over TLS."""
    with speaking(echo) as service:
        client = Client(service.url)
        assert client.user("session_id=parent") is not None
        (inherited,) = client._kept
        _after_fork()
        assert inherited.sock is not None
        assert not client._kept
        assert client.user("session_id=child") is not None
        assert len(service.connections) == 2
        inherited.close()


def test_a_crowd_waits_and_is_told() -> None:
    """At most so many requests ask at once; another waits for its time and hears 503."""
    over = threading.Event()

    def slow(connection: socket.socket) -> None:
        over.wait(30)
        connection.sendall(named("ann"))

    with speaking(lambda _: slow) as service:
        client = Client(service.url, connections=1, timeout=30)
        found: list[SignedInUser | None] = []
        thread = threading.Thread(target=lambda: found.append(client.user(COOKIE)))
        thread.start()
        assert wait_until(lambda: len(service.asked) == 1)
        client.timeout = 0.1
        with pytest.raises(ServiceAway, match="too many requests") as raised:
            client.user(COOKIE)
        assert raised.value.retry_after == 1
        over.set()
        thread.join()
        assert found == [ANN]


# --- WSGI -----------------------------------------------------------------------------------------

FORGED = (
    "HTTP_REMOTE_USER",
    "HTTP_REMOTE_EMAIL",
    "HTTP_REMOTE_GROUPS",
    "HTTP_REMOTE_AMR",
    "HTTP_X_REMOTE_USER",
    "HTTP_X_FORWARDED_USER",
    "HTTP_X_FORWARDED_EMAIL",
    "HTTP_X_FORWARDED_GROUPS",
    "REMOTE_USER",
    USER,
)


def test_a_wsgi_application_is_told_who_it_is() -> None:
    """And no header that claims it reaches the application, with or without a session."""
    forged = dict.fromkeys(FORGED, "eve")
    kept = {"REMOTE_ADDR": "192.0.2.1", "HTTP_HOST": "a", "HTTP_X_FORWARDED_FOR": "b"}
    with speaking(lambda _: named("ann")) as service:
        client = Client(service.url)
        status, _, seen = by_wsgi(client, HTTP_COOKIE=COOKIE, **forged, **kept)
        assert status == "200 OK"
        assert seen == {**kept, "HTTP_COOKIE": COOKIE, USER: ANN, "REMOTE_USER": "ann"}
        _, _, seen = by_wsgi(client, **forged, **kept)
        assert seen == {**kept, USER: None}


def test_while_the_service_is_away_the_application_is_not_asked() -> None:
    """503 with Retry-After: a problem for a program, a sentence for a person."""
    client = Client(f"http://127.0.0.1:{free_port()}")
    status, headers, body = by_wsgi(client, HTTP_COOKIE=COOKIE)
    assert (status, headers["Retry-After"], headers["Cache-Control"]) == (
        "503 Service Unavailable",
        "5",
        "no-store",
    )
    assert headers["Content-Type"] == PROBLEM
    assert json.loads(body)["code"] == "sign_in_unavailable"
    assert json.loads(body)["detail"] == "The sign-in service cannot be reached."
    status, headers, body = by_wsgi(client, HTTP_COOKIE=COOKIE, HTTP_ACCEPT="text/html")
    assert (status[:3], headers["Content-Type"]) == ("503", "text/plain; charset=utf-8")
    assert body == b"Signing in does not work right now. Try again in a moment.\n"
    assert int(headers["Content-Length"]) == len(body)
    status, _, seen = by_wsgi(client)
    assert (status, seen[USER]) == ("200 OK", None)


# --- ASGI -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["http", "websocket"])
def test_an_asgi_application_is_told_who_it_is(kind: str) -> None:
    """In requests and websockets, with cookies from several headers (RFC 9113 section 8.2.3)."""
    with speaking(lambda _: named("ann")) as service:
        app = Asgi(Client(service.url))
        forged = [(name, "eve") for name in ("remote-user", "Remote_Email", "x-remote-groups")]
        sent = [("cookie", "a=1"), ("Cookie", COOKIE), ("authorization", "Bearer b")]

        async def run() -> None:
            await app.ask(*sent, *forged, kind=kind)
            await app.ask(*forged, kind=kind)
            await app.ask(("remote-user", "kept"), kind="lifespan")

        asyncio.run(run())
        known, unknown, lifespan = app.scopes
        assert known[USER] == ANN
        assert known["headers"] == [(a.encode(), b.encode()) for a, b in sent]
        assert (unknown[USER], unknown["headers"]) == (None, [])
        assert USER not in lifespan
        (request,) = service.asked
        assert f"Cookie: {COOKIE}\r\n".encode() in request
        assert b"Authorization: Bearer b" in request


def test_an_asgi_application_is_not_asked_while_the_service_is_away() -> None:
    """503 for a request; a websocket is refused before it opens."""
    app = Asgi(Client(f"http://127.0.0.1:{free_port()}"))
    asyncio.run(app.ask(("cookie", COOKIE), ("accept", "application/json")))
    start, body = app.sent
    assert start["status"] == 503
    assert dict(start["headers"])[b"retry-after"] == b"5"
    assert json.loads(body["body"])["status"] == 503
    app.sent.clear()
    asyncio.run(app.ask(("cookie", COOKIE), kind="websocket"))
    (closed,) = app.sent
    assert (closed["type"], closed["code"]) == ("websocket.close", 1013)
    assert app.scopes == []


def test_asking_does_not_block_the_loop() -> None:
    """While the service is slow, others are answered; a crowd hears 503; visitors may go away."""
    over = threading.Event()

    def slow(connection: socket.socket) -> None:
        over.wait(30)
        connection.sendall(refusal(503, "unavailable"))

    with speaking(lambda _: slow) as service:
        client = Client(service.url, connections=1, timeout=0.5)
        app = Asgi(client)

        async def run() -> None:
            client.timeout = 30
            waiting = asyncio.create_task(app.ask(("cookie", COOKIE)))
            assert await asyncio.to_thread(wait_until, lambda: len(service.asked) == 1)
            await app.ask()
            assert [scope[USER] for scope in app.scopes] == [None]
            client.timeout = 0.1
            await app.ask(("cookie", COOKIE))
            assert app.sent[-2]["status"] == 503
            # The thread still has its place when the visitor is gone.
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            await app.ask(("cookie", COOKIE))
            assert app.sent[-2]["status"] == 503
            assert len(service.asked) == 1
            over.set()
            client.timeout = 30
            await app.ask(("cookie", COOKIE))
            assert len(service.asked) == 2

        asyncio.run(run())


# --- a service that runs --------------------------------------------------------------------------


def _signed_in(program: Program) -> str:
    form = {"email": EMAIL, "password": PASSPHRASE}
    program.ask("POST", "/users", form)
    assert program.ask("POST", "/sessions", form).status == 200
    return f"session_id={program.cookies['session_id']}"


def _ended(program: Program, _folder: Path) -> None:
    assert program.ask("DELETE", "/sessions").status == 204


def _disabled(_program: Program, folder: Path) -> None:
    assert command(folder, "users", "disable", EMAIL).returncode == 0


@pytest.mark.parametrize("way", [_ended, _disabled])
def test_what_ended_is_refused_at_the_next_request(
    tmp_path: Path, way: Callable[[Program, Path], None]
) -> None:
    """By a page of the service or by its command: no answer is kept, whatever was said before."""
    with serving(tmp_path) as served:
        program, client = served.program(), Client(f"http://localhost:{served.port}")
        cookie = _signed_in(program)
        assert command(tmp_path, "users", "groups", "add", EMAIL, "staff").returncode == 0
        for _ in range(20):
            user = client.user(cookie)
            assert user is not None
            assert user[1:] == (EMAIL, frozenset({"staff"}), ("pwd",), frozenset("*"))
            assert user.allows("read")
        assert command(tmp_path, "users", "groups", "remove", EMAIL, "staff").returncode == 0
        user = client.user(cookie)
        assert user is not None
        assert user.groups == frozenset()
        way(program, tmp_path)
        assert client.user(cookie) is None
        assert client.user("session_id=" + "A" * 43) is None
        assert served.stop() == 0
        with pytest.raises(ServiceAway, match="cannot be reached"):
            client.user(cookie)
