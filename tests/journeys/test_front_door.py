"""What the server that is shipped makes of octets that two readers could read differently.

Nothing here touches the database, so one service on SQLite stands for both.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bienvenue.connections import MOST
from bienvenue.edge import DEADLINE
from tests.conftest import EMAIL, PASSPHRASE
from tests.journeys.raw import FORM, closed_within, deaf, exchange, head, read, statuses
from tests.journeys.serving import Served, serving
from tests.ports import held, wait_until
from tests.races import race

pytestmark = pytest.mark.slow

STALLED, DEAF = 60, 10


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """One service for all of this file, which trusts a proxy on this machine."""
    folder = tmp_path_factory.mktemp("door")
    with serving(folder, trusted_proxies="127.0.0.1") as running:
        yield running


def hidden(port: int) -> bytes:
    """The request that is smuggled: the service answers it with 200 if it ever sees it."""
    return head(b"GET /healthz", port)


def test_two_honest_requests_are_both_answered(served: Served) -> None:
    """So the tests below would see the answer to a second one."""
    assert statuses(exchange(served.port, hidden(served.port) * 2)) == [200, 200]


def test_no_second_request_hides_in_a_body(served: Served) -> None:
    """Both framings in both orders, disguised, repeated and malformed: the second is never heard.

    RFC 9112 section 6.3 and 11.2.
    """
    port = served.port
    second = hidden(port)
    ended = b"0\r\n\r\n" + second
    inside = b"%x\r\n" % len(second) + second + b"\r\n0\r\n\r\n"
    long, short = b"Content-Length: %d" % len(ended), b"Content-Length: 4"
    chunked = b"Transfer-Encoding: chunked"
    cases = [
        ((long, chunked), ended),
        ((chunked, long), ended),
        ((short, chunked), inside),
        ((chunked, short), inside),
        *(
            ((long, b"Transfer-Encoding" + disguise), ended)
            for disguise in (
                b" : chunked",
                b": xchunked",
                b": chunked, identity",
                b": identity, chunked",
                b":\tchunked",
                b": \x0bchunked",
                b": Chunked",
                b': "chunked"',
                b": chunked, chunked",
                b"\r\n : chunked",
                b": chunked\r\nTransfer-Encoding: identity",
            )
        ),
        *(
            ((b"Content-Length: " + length,), b"a=bc" + second)
            for length in (
                b"4\r\nContent-Length: %d" % (4 + len(second)),
                b"%d\r\nContent-Length: 4" % (4 + len(second)),
                b"4, 4",
                b"+4",
                b"-1",
                b"0x4",
                b"4 4",
                b"\x0b4",
                b"99999999999999999999",
                b"",
            )
        ),
    ]

    def heard(number: int) -> list[int]:
        fields, body = cases[number]
        return statuses(exchange(port, head(b"POST /sessions", port, FORM[:-2], *fields) + body))

    answers = race(heard, len(cases))
    told = [
        (fields, answer)
        for (fields, _), answer in zip(cases, answers, strict=True)
        if 200 in answer
    ]
    assert told == []
    assert all(len(answer) <= 1 for answer in answers)


@pytest.mark.parametrize(
    "fields",
    [
        (b"Host: localhost:1", b"Host: evil.example"),
        (b"Host: localhost:1", b"Host: localhost:1"),
        (),
    ],
    ids=["two", "the same twice", "none"],
)
def test_one_host_is_named(served: Served, fields: tuple[bytes, ...]) -> None:
    """RFC 9112 section 3.2: anything else is answered 400."""
    sent = b"\r\n".join((b"GET /healthz HTTP/1.1", *fields)) + b"\r\n\r\n"
    assert statuses(exchange(served.port, sent)) == [400]


@pytest.mark.parametrize("named", [b"evil.example", b"localhost"])
def test_only_the_host_header_says_which_host_is_meant(served: Served, named: bytes) -> None:
    """The server drops the host of an absolute target, so the pages see what the edge sees."""
    for path in (b"/profile", b"/sessions"):
        line = b"GET http://" + named + path + b" HTTP/1.1\r\n"
        ours, theirs = (
            exchange(served.port, line + b"Host: " + host + b"\r\nConnection: close\r\n\r\n")
            for host in (b"localhost", b"evil.example")
        )
        assert (statuses(ours), statuses(theirs)) == ([401], [400])
        assert b"unknown_host" in theirs


def test_names_with_underscores_are_dropped(served: Served) -> None:
    """Or they would pass for the header with hyphens that only a proxy may set."""
    honest = exchange(
        served.port, head(b"GET /healthz", served.port, b"X-Request-Id: by-the-proxy")
    )
    forged = exchange(
        served.port, head(b"GET /healthz", served.port, b"X_Request_Id: by-the-proxy")
    )
    assert statuses(honest) == statuses(forged) == [200]
    assert b"by-the-proxy" in honest
    assert b"by-the-proxy" not in forged


def test_bare_line_feeds_are_as_security_says(served: Served) -> None:
    """The parser takes them in a head, where no body hides, and not between chunks."""
    port = served.port
    bare = hidden(port).replace(b"\r\n", b"\n")
    assert statuses(exchange(port, bare)) == [200]
    chunks = head(b"POST /sessions", port, FORM[:-2], b"Transfer-Encoding: chunked")
    answer = statuses(exchange(port, chunks + b"4\na=bc\n0\n\n" + hidden(port)))
    assert 200 not in answer
    text = (Path(__file__).parents[2] / "SECURITY.md").read_text("utf-8")
    assert "bare line feed" in text


@pytest.mark.parametrize(
    "field", [b"X: " + b"a" * 200_000, b"\r\n".join(b"X%d: a" % n for n in range(3000))]
)
def test_an_endless_head_is_refused(served: Served, field: bytes) -> None:
    """In one field or in thousands."""
    assert set(statuses(exchange(served.port, head(b"GET /healthz", served.port, field)))) <= {
        400,
        431,
    }
    assert statuses(exchange(served.port, hidden(served.port))) == [200]


def test_who_stalls_delays_no_one(served: Served) -> None:
    """Sixty that never end their head, sixty that never end their body, and some that never read.

    People go on signing in while all of them wait; then those with half a body hear 408, and all
    are closed (RFC 9110 section 15.5.9), the last ones without a word.
    """
    port = served.port
    account = {"email": EMAIL, "password": PASSPHRASE}
    served.program().ask("POST", "/users", account)
    half_head = head(b"GET /healthz", port)[:-2]
    half_body = head(b"POST /sessions", port, FORM[:-2], b"Content-Length: 40") + b"email="
    with ExitStack() as stack:
        readers = [stack.enter_context(deaf(port)) for _ in range(DEAF)]
        stalled = {
            sent: [
                stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=180))
                for _ in range(STALLED)
            ]
            for sent in (half_head, half_body)
        }
        for sent, connections in stalled.items():
            for connection in connections:
                connection.sendall(sent)
        for _ in range(5):
            bob = served.program()
            assert bob.ask("POST", "/sessions", account).status == 200
            assert bob.ask("GET", "/profile").status == 200
            assert bob.ask("GET", "/sessions").status == 200
        everybody = [one for connections in stalled.values() for one in connections]
        assert select.select(everybody, [], [], 0)[0] == []  # all of them wait still
        bodies = [read(connection, 2 * DEADLINE) for connection in stalled[half_body]]
        heads = [read(connection, 2 * DEADLINE) for connection in stalled[half_head]]
        assert wait_until(lambda: held(port) == 0, 3 * DEADLINE)
        for reader in readers:
            # What was on its way by then is all there is.
            assert closed_within(reader, DEADLINE)
    assert [statuses(heard) for heard in bodies] == [[408]] * STALLED
    assert {tuple(statuses(heard)) for heard in heads} <= {(), (408,)}


def test_one_network_leaves_connections_to_others(tmp_path: Path) -> None:
    """More silent ones of one ip than there is room for are cut before the head's deadline."""
    with serving(tmp_path) as served, ExitStack() as stack:
        silent = [stack.enter_context(socket.socket()) for _ in range(MOST + DEAF)]
        for connection in silent:
            connection.setblocking(False)
            connection.connect_ex(("127.0.0.1", served.port))
        other = stack.enter_context(
            socket.create_connection(
                ("127.0.0.1", served.port), timeout=60, source_address=("127.0.0.2", 0)
            )
        )
        other.sendall(head(b"GET /healthz", served.port))
        assert statuses(other.recv(65536)) == [200]
        ended = select.poll()
        for connection in silent:
            ended.register(connection, select.POLLIN)
        # The deadline would have ended all of them.
        assert 0 < len(ended.poll(0)) <= len(silent) - MOST // 2
        assert served.stop() == 0
    assert "one network had more than 512 connections" in served.log.read_text()
