"""The edge: its session check says what the page of Flask says, and what it says by itself."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import importlib
import itertools
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from flask.testing import FlaskClient

from bienvenue import Auth, connections, tokens, work, wsgi_bridge
from bienvenue import edge as module
from bienvenue.authentication import CODE
from bienvenue.db import DatabaseUnavailable
from bienvenue.edge import Edge
from bienvenue.hash_queue import Busy, HashQueue
from tests.conftest import KEY, PASSPHRASE, Clock, Service
from tests.ports import wait_until
from tests.web.edge import Heard, ask, edge_of

Headers = list[tuple[str, str]]

#: What is sent beside the cookie of someone who is signed in, by what it is.
CASES: dict[str, Callable[[str], Headers]] = {
    "signed in": lambda secret: [("Cookie", f"session_id={secret}")],
    "among others": lambda secret: [("Cookie", f"a=1; session_id={secret}; b=2")],
    "a program's accept": lambda secret: [
        ("Cookie", f"session_id={secret}"),
        ("Accept", "application/json"),
    ],
    "a browser": lambda secret: [("Cookie", f"session_id={secret}"), ("Accept", "text/html")],
    "no cookie": lambda _: [],
    "an empty one": lambda _: [("Cookie", "session_id=")],
    "another's name": lambda secret: [("Cookie", f"xsession_id={secret}")],
    "twice": lambda secret: [("Cookie", f"session_id={secret}; session_id={secret}")],
    "twice, once wrong": lambda secret: [("Cookie", f"session_id=no; session_id={secret}")],
    "shortened": lambda secret: [("Cookie", f"session_id={secret[:-1]}")],
    "turned round": lambda secret: [("Cookie", f"session_id={secret[::-1]}")],
    "with a quote": lambda secret: [("Cookie", f'session_id="{secret}"')],
    "with spaces": lambda secret: [("Cookie", f" session_id = {secret} ")],
    "in capitals": lambda secret: [("Cookie", f"SESSION_ID={secret}")],
    "not of ASCII": lambda _: [("Cookie", "session_id=\u00e9\u00e9")],
}


def without_flask(edge: Edge, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Write down the paths that reach Flask."""
    reached: list[str] = []
    through = edge._through_flask

    async def watched(*given: Any) -> Any:
        reached.append(given[0]["path"])
        return await through(*given)

    monkeypatch.setattr(edge, "_through_flask", watched)
    return reached


def by_the_edge(edge: Edge, headers: Headers, method: str = "GET") -> Heard:
    """Ask the edge for the profile."""
    return ask(edge, method, "/profile", *((k.lower().encode(), v.encode()) for k, v in headers))


def by_flask(client: FlaskClient, headers: Headers, method: str = "GET") -> Heard:
    """Ask Flask for the profile, by the same name and from the same ip."""
    answer = client.open(
        "/profile",
        method=method,
        headers=[("Host", "localhost:5000"), *headers],
        environ_overrides={"REMOTE_ADDR": "203.0.113.9"},
    )
    return Heard(answer.status_code, [(k.lower(), v) for k, v in answer.headers], answer.get_data())


def told(heard: Heard) -> tuple[int, list[tuple[str, str]], bytes]:
    """All of an answer but the id of its request and what only ends its connection."""
    left = {"x-request-id", "connection", "content-length"}
    return heard.status, sorted(h for h in heard.headers if h[0] not in left), heard.body


@pytest.mark.usefixtures("moving_clock")
def test_both_say_the_same(service: Service) -> None:
    """Decision 14: two ways to a profile, one answer: status, headers and body."""
    cookie = service.signed_in().get_cookie("session_id")
    assert cookie is not None
    edge, client = edge_of(service), service.app.test_client(use_cookies=False)
    seen = set()
    for case, method in itertools.product(CASES, ["GET", "HEAD"]):
        headers = CASES[case](cookie.value)
        mine = by_the_edge(edge, headers, method)
        assert told(mine) == told(by_flask(client, headers, method)), (case, method)
        assert len([name for name, _ in mine.headers if name == "x-request-id"]) == 1
        seen.add(mine.status)
    assert seen == {200, 401}


def test_the_plain_ones_never_wake_flask(
    service: Service, monkeypatch: pytest.MonkeyPatch, moving_clock: Clock
) -> None:
    """Else the comparison would compare Flask with itself; and what is ended is seen at once."""
    client = service.signed_in()
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    edge = edge_of(service)
    reached = without_flask(edge, monkeypatch)
    headers = [("Cookie", f"session_id={cookie.value}")]
    assert by_the_edge(edge, headers).status == 200
    moving_clock.forward(61)
    assert by_the_edge(edge, headers).status == 200
    assert client.delete("/sessions").status_code == 204
    assert by_the_edge(edge, headers).status == 401
    assert by_the_edge(edge, []).status == 401
    assert reached == []
    by_the_edge(edge, [*headers, ("Accept", "text/html")])
    assert reached == ["/profile"]


def test_cookies_in_two_headers_are_one_list(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """HTTP/2 sends them so, and a proxy may pass them on (RFC 9113 section 8.2.3)."""
    cookie = service.signed_in().get_cookie("session_id")
    assert cookie is not None
    edge = edge_of(service)
    reached = without_flask(edge, monkeypatch)
    ours = ("Cookie", f"session_id={cookie.value}")
    assert by_the_edge(edge, [("Cookie", "a=1"), ours]).status == 200
    other = ("Cookie", f"session_id={cookie.value[::-1]}")
    assert by_the_edge(edge, [ours, other]).status == 401
    assert reached == []


# --- who waits for a place at the queue ----------------------------------------------------------


#: How a request is sent, and whether it hashes: so it waits at the edge, or it does not wait.
HASHES: dict[str, tuple[str, str, bytes, bool]] = {
    "a sign-in": ("POST", "/sessions", b"email=a@example.com&password=x", True),
    "in small letters": ("post", "/sessions", b"email=a@example.com&password=x", True),
    "with a second slash": ("POST", "//sessions", b"email=a@example.com&password=x", True),
    "a text that is no field": ("POST", "/sessions", b"password=_method=DELETE", True),
    "signing out by a form": ("POST", "/sessions", b"_method=DELETE&form_token=x", False),
    "spelt otherwise": ("POST", "/sessions", b"_m%65thod=DELETE&form_token=x", False),
    "two methods": ("POST", "/sessions", b"_method=DELETE&_method=DELETE", True),
    "no form that can be read": ("POST", "/sessions", b"\xff", True),
    "a changed password": ("PUT", "/password", b"old_password=x&new_password=y", True),
    "changed by a form": ("POST", "/password", b"_method=PUT&form_token=x", True),
    "no such method there": ("POST", "/password", b"old_password=x", False),
    "asking for a reset": ("POST", "/reset_password", b"email=a@example.com", False),
    "spending it": ("PUT", "/reset_password", b"new_password=x", True),
    "a page": ("GET", "/sessions/new", b"", False),
    "no page": ("POST", "/nothing", b"email=a@example.com", False),
    "a file": ("POST", "/bienvenue/static/bienvenue.css", b"", False),
}


@pytest.mark.table(shown=6)
@pytest.mark.parametrize("case", HASHES)
def test_what_hashes_is_what_the_router_says(
    service: Service, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """C07: no spelling of path, method or body waits for its place in a thread of pages."""
    method, path, body, hashes = HASHES[case]
    edge, waited = edge_of(service), []
    queue = service.auth.passwords.hash_queue
    place = queue.place_at_the_edge

    def watched(network: str) -> Any:
        waited.append(network)
        return place(network)

    monkeypatch.setattr(queue, "place_at_the_edge", watched)
    ask(edge, method, path, body=body)
    assert waited == ["203.0.113.9/32"] * hashes


def test_behind_an_edge_no_one_waits_in_a_thread(service: Service) -> None:
    """C07: what finds no place at once is Busy, should the edge ever not know that it hashes."""
    edge_of(service)
    queue = service.auth.passwords.hash_queue
    with contextlib.ExitStack() as held:
        for number in range(queue.places):
            held.enter_context(contextvars.Context().run(_place, queue, f"network {number}"))
        with pytest.raises(Busy):
            service.auth.passwords.hash(CODE, PASSPHRASE)
    assert service.auth.passwords.hash(CODE, PASSPHRASE)


def _place(queue: HashQueue, network: str) -> contextlib.ExitStack:
    """Take a place as another request does: each has a context of its own."""
    context = contextvars.copy_context()
    stack = contextlib.ExitStack()
    place = queue.place(network)
    context.run(place.__enter__)
    stack.callback(context.run, place.__exit__, None, None, None)
    return stack


class Stalled:
    """Pages of one ip that end when the test says so; those of others are as ever."""

    def __init__(self, edge: Edge, monkeypatch: pytest.MonkeyPatch) -> None:
        """Stall the pages of 192.0.2.1, and of connections without an ip."""
        self.edge = edge
        self.inside: list[str] = []
        self.over = threading.Event()

        def call(app: Any, environ: dict[str, Any]) -> Any:
            if environ["REMOTE_ADDR"] in {"", "192.0.2.1"}:
                self.inside.append(environ["REMOTE_ADDR"])
                self.over.wait(60)
            return wsgi_bridge.call(app, environ)

        monkeypatch.setattr("bienvenue.edge.call", call)

    async def hold(self, threads: int) -> None:
        """Wait until they hold so many threads."""
        held = asyncio.to_thread(wait_until, lambda: len(self.inside) == threads)
        assert await held

    async def status(self, ip: str | None, method: str = "GET", path: str = "/healthz") -> int:
        """Ask for a page, and give its status."""
        sent: list[Any] = []
        scope = {
            "type": "http",
            "method": method,
            "path": path,
            "query_string": b"",
            "http_version": "1.1",
            "scheme": "http",
            "client": None if ip is None else (ip, 1),
            "headers": [(b"host", b"localhost:5000")],
        }

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> dict[str, Any]:
            raise AssertionError("there is no body")

        await self.edge(scope, receive, send)
        return int(sent[0]["status"])


@pytest.mark.parametrize("ip", ["192.0.2.1", None], ids=["an ip", "no ip"])
def test_one_network_leaves_threads_to_others(
    service: Service, monkeypatch: pytest.MonkeyPatch, ip: str | None
) -> None:
    """Whatever its pages wait for: it holds half of the threads, and the rest of it waits."""
    stalled = Stalled(Edge(service.app, 4), monkeypatch)

    async def run() -> None:
        crowd = [asyncio.create_task(stalled.status(ip)) for _ in range(6)]
        await stalled.hold(2)
        for other in ("198.51.100.1", "2001:db8::1", "198.51.100.1"):
            assert await asyncio.wait_for(stalled.status(other), 60) == 200
        assert len(stalled.inside) == 2
        assert not any(one.done() for one in crowd)
        stalled.over.set()
        assert await asyncio.wait_for(asyncio.gather(*crowd), 60) == [200] * 6

    asyncio.run(run())


def test_who_goes_away_gives_a_thread_back_when_it_is_free(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a client that goes away again and again would hold them all."""
    stalled = Stalled(Edge(service.app, 4), monkeypatch)

    async def run() -> None:
        crowd = [asyncio.create_task(stalled.status("192.0.2.1")) for _ in range(4)]
        await stalled.hold(2)
        for gone in crowd:
            gone.cancel()
        assert {type(one) for one in await asyncio.gather(*crowd, return_exceptions=True)} == {
            asyncio.CancelledError
        }
        again = asyncio.create_task(stalled.status("192.0.2.1"))
        assert await stalled.status("198.51.100.1") == 200
        assert len(stalled.inside) == 2
        stalled.over.set()
        assert await asyncio.wait_for(again, 60) == 200

    asyncio.run(run())
    assert len(stalled.inside) == 3


def test_pages_do_not_wait_for_those_that_hash(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have threads of their own, one for each place in the hash queue."""
    stalled = Stalled(Edge(service.app, 1), monkeypatch)

    async def run() -> None:
        crowd = [asyncio.create_task(stalled.status("192.0.2.1", "POST", "/users")) for _ in "ab"]
        await stalled.hold(2)
        assert await asyncio.wait_for(stalled.status("198.51.100.1"), 60) == 200
        stalled.over.set()
        assert await asyncio.wait_for(asyncio.gather(*crowd), 60) == [400, 400]

    asyncio.run(run())


# --- what it says by itself ---------------------------------------------------------------------


def messages(edge: Edge, *received: dict[str, Any], **scope: Any) -> list[dict[str, Any]]:
    """Send a registration whose body comes in these messages and then not at all."""
    sent: list[dict[str, Any]] = []
    left = list(received)

    async def receive() -> dict[str, Any]:
        if left:
            return left.pop(0)
        await asyncio.sleep(60)
        raise AssertionError("it waited for ever")

    async def send(message: object) -> None:
        assert isinstance(message, dict)
        sent.append(message)

    asked: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/users",
        "query_string": b"",
        "http_version": "1.1",
        "scheme": "http",
        "client": ("203.0.113.9", 40000),
        "server": ("127.0.0.1", 5000),
        "headers": [(b"host", b"localhost:5000"), (b"content-length", b"4")],
    }
    asyncio.run(edge(asked | scope, receive, send))
    return sent


def piece(body: bytes, *, more: bool = True) -> dict[str, Any]:
    """Give one message of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_that_does_not_come(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """It hears 408 after its time, and 400 when it ends too early."""
    monkeypatch.setattr(module, "DEADLINE", 0.05)
    edge = edge_of(service)
    answered = messages(edge, piece(b"em"))
    assert answered[0]["status"] == 408
    assert b"request_timeout" in bytes(answered[1]["body"])
    ended = messages(edge, piece(b"em"), {"type": "http.disconnect"})
    assert ended[0]["status"] == 400
    assert b"incomplete_body" in bytes(ended[1]["body"])
    assert messages(edge, type="websocket") == []


def test_a_body_without_end(service: Service) -> None:
    """It hears 413 once it is too long, whatever length it said."""
    answered = messages(edge_of(service), *[piece(b"x" * 40_000)] * 2)
    assert answered[0]["status"] == 413


@pytest.mark.parametrize(
    "headers",
    [
        [(b"host", b"localhost:5000"), (b"host", b"elsewhere.example")],
        [(b"host", b"")],
        [],
        [(b"host", b"localhost:5000"), (b"content-length", b"4"), (b"content-length", b"5")],
        [
            (b"host", b"localhost:5000"),
            (b"content-length", b"4"),
            (b"transfer-encoding", b"chunked"),
        ],
    ],
)
def test_a_request_that_says_two_things(
    service: Service, headers: list[tuple[bytes, bytes]]
) -> None:
    """It hears 400 before its body is read."""
    answered = messages(edge_of(service), headers=headers)
    assert answered[0]["status"] == 400
    assert b"ambiguous_request" in bytes(answered[1]["body"])


def test_a_body_in_two_pieces_reaches_the_page(service: Service) -> None:
    """Over a unix socket too, where no one has an ip."""
    body = b"email=amy@example.com&password=neuf+grenouilles+sous+la+pluie"
    headers = [
        (b"host", b"localhost:5000"),
        (b"transfer-encoding", b"chunked"),
        (b"content-type", b"application/x-www-form-urlencoded"),
    ]
    pieces = [piece(body[:9]), piece(body[9:], more=False)]
    answered = messages(edge_of(service), *pieces, headers=headers, client=None, server=None)
    assert answered[0]["status"] == 201


#: Host headers, and whether they name a service at http://localhost:5000.
HOSTS: dict[bytes, bool] = {
    b"localhost:5000": True,
    b"localhost": True,
    b"LOCALHOST:1": True,
    b"127.0.0.1:5000": True,
    b"[::1]:5000": True,
    b"localhost:": True,
    b"localhost.": True,
    b"localhost.:5000": True,
    b"[0:0:0:0:0:0:0:1]:1": True,
    b"elsewhere.example": False,
    b"localhost:0": False,
    b"localhost:x": False,
    b"localhost:99999": False,
    b"localhost:123456": False,
    b"localhost:+1": False,
    b"localhost:5000:5000": False,
    b"localhost:\xb2": False,
    b"::1": False,
    b"::1:5200": False,
    b"localhost/x": False,
    b"localhost#": False,
    b"localhost?": False,
    b"localhost\\x": False,
    b"localhost;": False,
    b"localhost,localhost": False,
    b"local\thost": False,
    b" localhost": False,
    b"localhost ": False,
    b"localhost\n": False,
    b"localhost..": False,
    b"localhost.evil.example": False,
    b"%6cocalhost": False,
    b"http://localhost": False,
    b"me@localhost": False,
    b"localhost@elsewhere.example": False,
    b"[::1": False,
    b"[::1%25lo]": False,
    b"[::g]": False,
    b"[.]": False,
    b"[localhost]": False,
    b"\xe9": False,
    b"localhost\xe9": False,
}


@pytest.mark.table(shown=6)
@pytest.mark.parametrize("host", HOSTS)
def test_both_read_a_host_alike(service: Service, host: bytes) -> None:
    """A page under the name of another site would be a page of that site."""
    cookie = service.signed_in().get_cookie("session_id")
    assert cookie is not None
    session = f"session_id={cookie.value}"
    headers = [(b"host", host), (b"cookie", session.encode())]
    edge = edge_of(service)
    answered = messages(edge, method="GET", path="/profile", headers=headers)
    assert edge._hosts.hold(host.decode("latin-1")) is HOSTS[host]
    assert answered[0]["status"] == (200 if HOSTS[host] else 400)
    assert (b"unknown_host" in bytes(answered[1]["body"])) is not HOSTS[host]
    environ = {"HTTP_HOST": host.decode("latin-1"), "HTTP_COOKIE": session}
    by_flask = service.app.test_client(use_cookies=False).get("/profile", environ_overrides=environ)
    assert by_flask.status_code == answered[0]["status"]


def test_a_check_while_the_database_is_away(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It hears 503 with Retry-After."""

    def away(_: str) -> None:
        raise DatabaseUnavailable("away")

    edge = edge_of(service)
    monkeypatch.setattr(service.auth.sessions, "look_up", away)
    heard = by_the_edge(edge, [("Cookie", f"session_id={tokens.new()}")])
    assert heard.status == 503
    assert heard.header("retry-after")


@pytest.mark.parametrize("where", ["port", "socket"])
def test_the_application_that_is_served(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """`bienvenue.asgi:app` is the edge, made from the environment, with the work beside it.

    The connections of a port are watched; those of a socket are its proxy's.
    """
    watch = mock.Mock()
    monkeypatch.setattr(connections.Connections, "watch", watch)
    if where == "socket":
        monkeypatch.setenv("BIENVENUE_UNIX_SOCKET", str(tmp_path / "socket"))
    working: list[object] = []
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", service.url)
    (tmp_path / "keys").write_text(KEY)
    monkeypatch.setenv("BIENVENUE_SECRET_KEY_FILE", str(tmp_path / "keys"))
    monkeypatch.setattr(work, "beside", working.append)
    monkeypatch.delitem(sys.modules, "bienvenue.asgi", raising=False)
    asgi = importlib.import_module("bienvenue.asgi")
    assert ask(asgi.app, "GET", "/healthz").status == 200
    _ends_with_its_parent(asgi, monkeypatch)
    (auth,) = working
    assert isinstance(auth, Auth)
    assert watch.called == (where == "port" and connections.can_be_bounded())
    monkeypatch.delitem(sys.modules, "bienvenue.asgi")
    auth.close()


def _ends_with_its_parent(asgi: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    """Asked to stop first, ended by itself when it does not; left alone where no one made it."""
    parent = SimpleNamespace(join=lambda: None)
    ended = threading.Event()
    done: list[object] = []
    monkeypatch.setattr("os.kill", lambda *what: done.append(what))
    # Other threads of this process sleep too.
    monkeypatch.setattr(asgi, "time", SimpleNamespace(sleep=done.append))

    def leave(code: int) -> None:
        done.append(code)
        ended.set()

    monkeypatch.setattr("os._exit", leave)
    monkeypatch.setattr("multiprocessing.parent_process", lambda: None)
    asgi.end_with_parent()
    monkeypatch.setattr("multiprocessing.parent_process", lambda: parent)
    asgi.end_with_parent()
    assert ended.wait(120)
    monkeypatch.undo()
    assert done == [(os.getpid(), signal.SIGTERM), 20, 1]
