"""Sends octets to the service that no client would send, and reads all that comes back."""

from __future__ import annotations

import re
import socket
import time
from contextlib import suppress
from pathlib import Path

_MANY = 1000
#: Seconds; a busy machine answers late.
PATIENCE = 180

FORM = b"Content-Type: application/x-www-form-urlencoded\r\n"


def head(line: bytes, port: int, *fields: bytes) -> bytes:
    """Write the head of a request with the service's own name as its host."""
    lines = [line + b" HTTP/1.1", b"Host: localhost:%d" % port, *fields]
    return b"\r\n".join(lines) + b"\r\n\r\n"


def deaf(port: int) -> socket.socket:
    """Open a connection, ask for far more than fits on the way, and read nothing."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    connection.connect(("127.0.0.1", port))
    connection.setblocking(False)
    asked = head(b"GET /bienvenue/static/bienvenue.css", port) * _MANY
    with suppress(BlockingIOError):
        connection.send(asked)
    return connection


def exchange(port: int, sent: bytes, quiet: float = 1.0) -> bytes:
    """Send it all and give what comes until the service closes, or is quiet so long."""
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) as connection:
        connection.sendall(sent)
        first = connection.recv(65536)
        return first + read(connection, quiet) if first else b""


def taken(connection: socket.socket) -> bool:
    """Tell whether the server of this machine has read all that was sent here."""
    ends = [f":{end[1]:04X}" for end in (connection.getpeername(), connection.getsockname())]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        row = line.split()
        if [row[1][-5:], row[2][-5:]] == ends:
            # What no process has accepted belongs to no file.
            return row[4].endswith(":00000000") and row[9] != "0"
    return False


def read(connection: socket.socket, quiet: float) -> bytes:
    """Give what comes until the other side closes or says nothing for so many seconds."""
    connection.settimeout(quiet)
    heard = b""
    try:
        while piece := connection.recv(65536):
            heard += piece
    except (TimeoutError, ConnectionResetError):
        pass
    return heard


def closed_within(connection: socket.socket, seconds: float) -> bool:
    """Tell whether the other side closes in time; what it says meanwhile is dropped."""
    end = time.monotonic() + seconds
    try:
        while (left := end - time.monotonic()) > 0:
            connection.settimeout(left)
            if not connection.recv(65536):
                return True
    except TimeoutError:
        return False
    except ConnectionResetError:
        return True
    return False


def statuses(heard: bytes) -> list[int]:
    """Give the status of every answer in it."""
    return [int(found) for found in re.findall(rb"HTTP/1\.[01] (\d{3})", heard)]
