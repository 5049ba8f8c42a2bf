"""People who sign in without a pause, and somebody who asks who they are every 20 milliseconds."""

from __future__ import annotations

import socket
import statistics
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import bcrypt

from bench import servers
from bench.servers import PASSWORD, Server

CLIENTS = 32
EVERY = 0.02
"""Seconds between two questions of the probe, whether or not the last one was answered."""


@dataclass
class Storm:
    """What came of a storm."""

    seconds: float
    signed_in: float = 0.0
    heard: Counter[int] = field(default_factory=Counter)
    #: Milliseconds from when a question was due to its whole answer.
    waits: list[float] = field(default_factory=list)
    #: Questions that were not answered with the profile.
    unanswered: int = 0

    @property
    def each_second(self) -> float:
        """Sign-ins a second."""
        return self.signed_in / self.seconds

    def wait(self, percent: int) -> float:
        """Give the percentile of the waits in milliseconds."""
        if len(self.waits) < 2:
            return float("nan")
        return statistics.quantiles(self.waits, n=100)[percent - 1]


def bare(cost: int, threads: int, seconds: float) -> float:
    """Give how many comparisons a second so many threads make that do nothing else."""
    stored = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(cost))
    over = time.monotonic() + seconds

    def compare(_: int) -> tuple[int, float]:
        made = 0
        while time.monotonic() < over:
            bcrypt.checkpw(PASSWORD.encode(), stored)
            made += 1
        return made, time.monotonic()

    began = time.monotonic()
    with ThreadPoolExecutor(threads) as pool:
        told = list(pool.map(compare, range(threads)))
    return sum(made / (ended - began) for made, ended in told)


def rage(server: Server, seconds: float, *, clients: int = CLIENTS, probe: bool = True) -> Storm:
    """Sign in from as many ips as there are clients, and probe meanwhile.

    Each client finishes what it began, so no work of the server is counted as none.
    """
    storm = Storm(seconds)
    lock = threading.Lock()
    warm = 1.0
    begin = time.monotonic() + warm
    over = begin + seconds
    body = f"email={server.email}&password={PASSWORD.replace(' ', '+')}"

    def client(number: int) -> None:
        source = f"127.0.2.{number + 1}"
        while (began := time.monotonic()) < over:
            try:
                status = servers.ask(server.port, "POST", "/sessions", body, source).status
            except OSError:
                status = 0
            ended = time.monotonic()
            with lock:
                # What began before the time or ended after it counts by its share.
                inside = max(0.0, min(ended, over) - max(began, begin)) / (ended - began)
                storm.heard[status] += 1
                storm.signed_in += inside if status == 200 else 0.0

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    if probe:
        _probe(server, storm, begin, over)
    for thread in threads:
        thread.join()
    return storm


def _probe(server: Server, storm: Storm, begin: float, over: float) -> None:
    """Ask on a fresh connection each time it is due; late answers delay no question."""
    lock = threading.Lock()

    def ask(due: float) -> None:
        good = False
        try:
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
                connection.sendall(server.closing_check)
                heard = b""
                while piece := connection.recv(65536):
                    heard += piece
            good = heard.startswith(b"HTTP/1.1 200") and server.email.encode() in heard
        except OSError:
            pass
        with lock:
            storm.unanswered += not good
            storm.waits.append((time.monotonic() - due) * 1000)

    with ThreadPoolExecutor(64) as pool:
        due = begin
        while due < over:
            time.sleep(max(0.0, due - time.monotonic()))
            pool.submit(ask, due)
            due += EVERY
