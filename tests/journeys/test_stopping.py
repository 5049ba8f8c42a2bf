"""How the service ends: when it is told to, at any moment, and when its first process is killed."""

from __future__ import annotations

import os
import random
import signal
import socket
import time
from pathlib import Path

import pytest

from tests.conftest import EMAIL, PASSPHRASE
from tests.journeys.raw import FORM, PATIENCE, head, read, statuses, taken
from tests.journeys.serving import answers, serving
from tests.journeys.stops import gone, stop_often, stop_once
from tests.ports import answers as listens
from tests.ports import wait_until

pytestmark = pytest.mark.slow

SOON = 15.0
"""Seconds within which it has ended; what does not end by itself is killed after twenty."""


def test_a_request_in_flight_is_answered_first(tmp_path: Path) -> None:
    """Half of its body is there when the service is asked to stop; idle connections are closed."""
    with serving(tmp_path) as served:
        account = {"email": EMAIL, "password": PASSPHRASE}
        assert served.program().ask("POST", "/users", account).status == 201
        workers = served.workers()
        form = f"email={EMAIL}&password={PASSPHRASE.replace(' ', '+')}".encode()
        fields = (FORM[:-2], b"Content-Length: %d" % len(form))
        begun = head(b"POST /sessions", served.port, *fields) + form[:10]
        idle = [socket.create_connection(("127.0.0.1", served.port)) for _ in range(3)]
        for connection in idle:
            connection.sendall(head(b"GET /healthz", served.port))
            connection.settimeout(PATIENCE)
            assert statuses(connection.recv(65536)) == [200]
        with socket.create_connection(("127.0.0.1", served.port)) as connection:
            connection.sendall(begun)
            assert wait_until(lambda: taken(connection))
            served.process.send_signal(signal.SIGTERM)
            assert wait_until(lambda: not listens(served.port))
            connection.sendall(form[10:])
            assert statuses(read(connection, SOON)) == [200]
        assert served.process.wait(SOON) == 0
        for connection in idle:
            assert read(connection, 1) == b""
            connection.close()
        assert gone(workers)


@pytest.mark.parametrize("moment", [0.2, 0.7, 1.6])
def test_it_stops_while_it_is_still_starting(tmp_path: Path, moment: float) -> None:
    """Whatever it was about to do; nothing of it stays."""
    assert stop_once(tmp_path, moment, 2, SOON) < SOON


@pytest.mark.thorough
def test_it_stops_at_any_moment() -> None:
    """A hundred at random; `make stops` does a thousand."""
    assert len(stop_often(100, random.randrange(10**6))) == 100


@pytest.mark.thorough
def test_who_stalls_does_not_keep_it(tmp_path: Path) -> None:
    """Bodies and heads that never end have their deadline, and no more."""
    with serving(tmp_path) as served:
        half_head = head(b"GET /healthz", served.port)[:-2]
        half_body = head(b"POST /sessions", served.port, FORM[:-2], b"Content-Length: 40")
        stalled = []
        for sent in (half_head, half_body):
            stalled.append(socket.create_connection(("127.0.0.1", served.port)))
            stalled[-1].sendall(sent)
        time.sleep(0.5)
        assert served.stop(SOON) == 0
        for connection in stalled:
            connection.close()


def test_no_orphan_stays(tmp_path: Path) -> None:
    """The processes that serve end when the first one is killed, and free the port."""
    with serving(tmp_path, "--workers", "2") as served:
        workers = served.workers()
        assert len(workers) == 2
        os.kill(served.process.pid, signal.SIGKILL)
        served.process.wait()
        assert wait_until(lambda: gone(workers), SOON)
        assert not listens(served.port)
    with serving(tmp_path) as again:
        assert answers(again)
