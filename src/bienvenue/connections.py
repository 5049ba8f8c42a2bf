"""Connections: no client holds one without progress, and no network holds them all.

The server accepts connections by itself and has deadlines for what clients send, none for what
they read. So each of its processes sets one where the system keeps it: data that the client does
not take in time ends the connection (RFC 5482). Besides, when connections become many, those of one
network beyond its half are cut, the longest silent first.

This needs Linux. Behind a proxy, both are the proxy's task.
"""

import importlib
import logging
import os
import socket
import stat
import struct
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

from bienvenue.client_ip import TrustedProxies, network_of

MOST = 1024
"""Connections that all processes of `bienvenue serve` accept together."""

_OWN = Path("/proc/self/fd")
_PAUSE = 0.5
_SILENCE = struct.Struct("=52xI")
"""Where `struct tcp_info` has the milliseconds since something was received."""

_log = logging.getLogger("bienvenue")


def can_be_bounded() -> bool:
    """Tell whether this system has what bounding connections takes."""
    return hasattr(socket, "TCP_USER_TIMEOUT") and _OWN.is_dir()


def make_room() -> None:
    """Let this process and those it starts have a file for each connection, twice over.

    Many systems begin with 1,024, which as many connections use up.
    """
    if can_be_bounded():
        resource = importlib.import_module("resource")
        least, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = 4 * MOST if most == resource.RLIM_INFINITY else min(4 * MOST, most)
        if resource.RLIM_INFINITY != least < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


class Connections:
    """The connections of one process to one port."""

    def __init__(self, port: int, most: int, trusted: TrustedProxies, deadline: float) -> None:
        """Take the port, how many connections the process accepts, and the proxies in front.

        The connections of a trusted proxy are those of many networks, and are not cut.
        `deadline` says for how many seconds a client may take nothing that was sent to it.
        """
        self._port = port
        self._each = max(1, most // 2)
        self._trusted = trusted
        self._deadline = int(deadline * 1000)
        self._listening = False
        self._logged = 0.0

    def watch(self) -> None:
        """Look at them twice a second, in a thread, while the process lives."""
        threading.Thread(target=self._watch, name="connections", daemon=True).start()

    def _watch(self) -> None:
        while True:
            self.look()
            time.sleep(_PAUSE)

    def look(self) -> int:
        """Give every connection its deadline, and cut those beyond a share; return how many."""
        # New connections have the deadline from the socket that listens.
        if self._listening and sum(1 for _ in _OWN.iterdir()) <= self._each:
            return 0
        networks: dict[str, list[socket.socket]] = defaultdict(list)
        with ExitStack() as opened:
            for each in self._open():
                opened.enter_context(each)
                each.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, self._deadline)
                if each.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                    self._listening = True
                elif network := self._network(each):
                    networks[network].append(each)
            return sum(map(self._cut, networks.values()))

    def _open(self) -> Iterator[socket.socket]:
        """Yield the sockets of this port, each under a number that is only ours.

        The server may close its number at any moment, and get the same one for a new connection.
        """
        for entry in list(_OWN.iterdir()):
            try:
                if not str(entry.readlink()).startswith("socket:"):
                    continue
                number = os.dup(int(entry.name))
            except OSError:
                continue
            if not stat.S_ISSOCK(os.fstat(number).st_mode):
                # The number was given to a file meanwhile. It stays open: closing it would end the
                # locks of this process on that file, which may be the database (fcntl(2)).
                continue
            found = socket.socket(fileno=number)
            inet = found.family in {socket.AF_INET, socket.AF_INET6}
            if inet and found.type == socket.SOCK_STREAM and found.getsockname()[1] == self._port:
                yield found
            else:
                found.close()

    def _network(self, connection: socket.socket) -> str:
        """Return the network that a connection counts for, "" for a proxy and one that ended."""
        try:
            ip = connection.getpeername()[0]
        except OSError:
            return ""
        return "" if self._trusted.holds(ip) else network_of(ip)

    def _cut(self, connections: list[socket.socket]) -> int:
        excess = len(connections) - self._each
        if excess <= 0:
            return 0
        for connection in sorted(connections, key=_silence, reverse=True)[:excess]:
            # With nothing left to send, it ends at once when the server closes it.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            # The client may have been quicker.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        if time.monotonic() >= self._logged:
            self._logged = time.monotonic() + 60
            _log.warning("one network had more than %s connections, its share", self._each)
        return excess


def _silence(connection: socket.socket) -> int:
    info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SILENCE.size)
    milliseconds: int = _SILENCE.unpack(info)[0]
    return milliseconds
