"""Ports of this machine: a free one, and whether someone answers there."""

from __future__ import annotations

import fcntl
import os
import random
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

#: Below what systems give to outgoing connections, which would take a port between two looks.
_RANGE = range(12_000, 30_000)
#: The ports this process has been given: they stay its own until it ends.
_held: list[IO[bytes]] = []


def free_port() -> int:
    """Return a port of this machine that no one listens on and no other test process is given."""
    folder = Path(tempfile.gettempdir(), f"ports-of-tests-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    while True:
        port = random.choice(_RANGE)
        lock = (folder / str(port)).open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(("0.0.0.0", port))
        except OSError:
            lock.close()
            continue
        _held.append(lock)
        return port


def answers(port: int) -> bool:
    """Say whether someone listens on this port."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def held(port: int) -> int:
    """Count the connections that a server on this port of this machine holds."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(row[1].endswith(f":{port:04X}") and row[3] == "01" for row in rows)


def wait_until(condition: Callable[[], bool], patience: float = 180.0) -> bool:
    """Return True as soon as the condition holds, or False when the patience has run out."""
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.05)
    return True
