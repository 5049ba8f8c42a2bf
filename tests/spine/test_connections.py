"""connections: a deadline for reading, and a share of the connections for each network."""

from __future__ import annotations

import fcntl
import os
import resource
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bienvenue import connections
from bienvenue.client_ip import TrustedProxies
from bienvenue.connections import Connections
from tests.ports import wait_until

NONE = TrustedProxies()


class Server:
    """A server that accepts connections and reads nothing."""

    def __init__(self) -> None:
        """Listen on a port of this machine."""
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port: int = self.listening.getsockname()[1]
        self.opened: list[socket.socket] = []

    def pair(self, ip: str = "127.0.0.1") -> tuple[socket.socket, socket.socket]:
        """Connect from an ip of this machine; give the client's end and the server's."""
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.bind((ip, 0))
        client.connect(("127.0.0.1", self.port))
        accepted, _ = self.listening.accept()
        self.opened += [client, accepted]
        return client, accepted

    def close(self) -> None:
        """Close all of it."""
        for each in [*self.opened, self.listening]:
            each.close()


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of this test."""
    made = Server()
    yield made
    made.close()


def fill(accepted: socket.socket) -> None:
    """Send until the other side would have to read."""
    accepted.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            accepted.send(b"x" * 65536)


def failed(accepted: socket.socket) -> bool:
    """Tell whether the system ended a connection."""
    poll = select.poll()
    poll.register(accepted, select.POLLERR)
    return bool(poll.poll(0))


def cut(client: socket.socket) -> bool:
    """Tell whether the server ended a connection."""
    client.setblocking(False)
    try:
        return client.recv(1) == b""
    except BlockingIOError:
        return False


def test_a_client_that_takes_nothing_is_cut_and_others_are_not(server: Server) -> None:
    """Those of before the first look too; a pause in which nothing is to be sent is none."""
    before, reader = server.pair()[1], server.pair()
    Connections(server.port, 100, NONE, 0.5).look()
    after, quiet = server.pair()[1], server.pair()[1]
    for each in (before, after, reader[1]):
        fill(each)

    def over() -> bool:
        reader[0].recv(65536)
        return failed(before) and failed(after)

    assert wait_until(over)
    assert not failed(quiet)
    assert not failed(reader[1])


def test_one_network_has_half_of_the_connections(
    server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    """Of those beyond, the ones that were silent longest are cut, and other networks' are not."""
    look = Connections(server.port, 8, NONE, 10).look
    assert look() == 0
    neighbour = server.pair("127.0.0.2")[0]
    clients = [server.pair()[0] for _ in range(7)]
    threading.Event().wait(0.05)
    for speaks in clients[:3]:
        speaks.send(b"x")
    assert look() == 3
    assert [cut(client) for client in clients] == [False] * 3 + [True] * 3 + [False]
    assert not cut(neighbour)
    for _ in range(2):
        clients += [server.pair()[0]]
    look()
    assert caplog.messages == ["one network had more than 4 connections, its share"]


def test_a_network_of_ipv6_is_a_64(server: Server) -> None:
    """However many addresses of it connect."""
    look = Connections(server.port, 4, NONE, 10)
    names = [look._network(_Named(ip)) for ip in ("2001:db8::1", "2001:db8::2", "::ffff:192.0.2.1")]
    assert names == ["2001:db8::/64", "2001:db8::/64", "192.0.2.1/32"]


class _Named(socket.socket):
    """A connection of an ip that this machine does not have."""

    def __init__(self, ip: str) -> None:
        super().__init__()
        self._ip = ip
        self.close()

    def getpeername(self) -> tuple[str, int]:
        """Give the ip."""
        return self._ip, 1


def test_a_proxy_may_have_them_all(server: Server) -> None:
    """Its connections are those of many; and one that the client ended is no one's."""
    look = Connections(server.port, 4, TrustedProxies("127.0.0.1"), 10).look
    clients = [server.pair()[0] for _ in range(6)]
    assert look() == 0
    assert not any(map(cut, clients))
    gone, accepted = server.pair()
    accepted.shutdown(socket.SHUT_RDWR)
    gone.close()
    assert Connections(server.port, 4, NONE, 10).look() == 4


def test_while_connections_are_few_none_is_looked_at(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Once the socket that listens has the deadline."""
    watched = Connections(server.port, 1000, NONE, 10)
    watched.look()
    monkeypatch.setattr(watched, "_open", lambda: pytest.fail("looked"))
    assert watched.look() == 0


@pytest.mark.parametrize("late", [False, True], ids=["a file", "a file since just now"])
def test_the_locks_of_files_stay(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, late: bool
) -> None:
    """Closing any copy of a file's number would end them, and SQLite lives by them (fcntl(2))."""
    if late:
        # The number was that of a socket when it was looked at.
        monkeypatch.setattr(Path, "readlink", lambda _: Path("socket:[1]"))
    with (tmp_path / "database").open("w") as file:
        fcntl.lockf(file, fcntl.LOCK_EX)
        Connections(server.port, 10, NONE, 10).look()
        code = f"import fcntl; fcntl.lockf(open({file.name!r}, 'w'), fcntl.LOCK_EX | fcntl.LOCK_NB)"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert b"BlockingIOError" in ran.stderr


def test_it_looks_again_and_again(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a thread that ends with the process."""
    monkeypatch.setattr(connections, "_PAUSE", 0.01)
    looks: list[int] = []
    watched = Connections(server.port, 10, NONE, 10)

    def look() -> int:
        looks.append(1)
        if len(looks) == 3:
            # It rests here, and does not look on during every later test of this process.
            threading.Event().wait()
        return 0

    monkeypatch.setattr(watched, "look", look)
    watched.watch()
    assert wait_until(lambda: len(looks) == 3)


def test_a_number_that_is_given_back_meanwhile(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is passed over: what has it next is another connection."""
    monkeypatch.setattr(os, "dup", lambda _: (_ for _ in ()).throw(OSError))
    assert Connections(server.port, 2, NONE, 10).look() == 0


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((1024, 8192), (4096, 8192)),
        ((1024, 2048), (2048, 2048)),
        ((1024, resource.RLIM_INFINITY), (4096, resource.RLIM_INFINITY)),
        ((8192, 8192), (8192, 8192)),
        ((resource.RLIM_INFINITY,) * 2, (resource.RLIM_INFINITY,) * 2),
    ],
)
def test_there_is_a_number_for_every_connection(
    before: tuple[int, int], after: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As far as the system lets it."""
    limits = [before]
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits[-1])
    monkeypatch.setattr(resource, "setrlimit", lambda _, given: limits.append(given))
    connections.make_room()
    assert limits[-1] == after


def test_where_the_system_cannot(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is tried there."""
    assert connections.can_be_bounded()
    monkeypatch.setattr(connections, "_OWN", tmp_path / "none")
    assert not connections.can_be_bounded()
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    connections.make_room()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == limits


def test_no_number_of_a_file_is_copied_and_closed(tmp_path: Path) -> None:
    """It would drop the locks that SQLite holds on it, and a command would spoil the database."""
    copied: list[int] = []
    with (tmp_path / "bienvenue.db").open("w") as file, pytest.MonkeyPatch.context() as patch:
        real = os.dup

        def dup(number: int) -> int:
            copied.append(number)
            return real(number)

        patch.setattr(os, "dup", dup)
        Connections(1, 4, TrustedProxies(""), 30).look()
        assert file.fileno() not in copied
