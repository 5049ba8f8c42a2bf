"""Asks one question over and over on kept connections, and counts the answers.

A load generator in Python costs about as much as the fastest server here, and both share the
machine: so rates are for comparison within one run, never by themselves.
"""

from __future__ import annotations

import multiprocessing
import select
import socket
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection

PROCESSES, CONNECTIONS = 2, 8
"""Processes that ask, and connections of each."""


@dataclass(frozen=True)
class Rate:
    """What came of asking for a while."""

    answers: int
    #: Answers that were not the one expected.
    others: int
    seconds: float

    @property
    def each_second(self) -> float:
        """Good answers a second."""
        return self.answers / self.seconds


def first_answer(port: int, request: bytes) -> bytes:
    """Ask once and give the whole answer."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(request)
        heard = b""
        while b"\r\n\r\n" not in heard:
            heard += connection.recv(65536)
        head, _, body = heard.partition(b"\r\n\r\n")
        length = next(
            int(line.partition(b":")[2])
            for line in head.lower().split(b"\r\n")
            if line.startswith(b"content-length")
        )
        while len(body) < length:
            body += connection.recv(65536)
    return head + b"\r\n\r\n" + body


def measure(port: int, request: bytes, seconds: float) -> Rate:
    """Ask from several processes at once. Every answer must look like the first one."""
    size = len(first_answer(port, request))
    context = multiprocessing.get_context("spawn")
    ends = []
    for _ in range(PROCESSES):
        mine, theirs = context.Pipe()
        process = context.Process(target=_ask, args=(port, request, size, theirs))
        process.start()
        theirs.close()
        ends.append((process, mine))
    for _, end in ends:
        end.recv()  # it is connected
    for _, end in ends:
        end.send(seconds)
    told = [end.recv() for _, end in ends]
    for process, _ in ends:
        process.join()
    return Rate(sum(good for good, _ in told), sum(other for _, other in told), seconds)


def _ask(port: int, request: bytes, size: int, end: Connection) -> None:
    """Be one process that asks: tell when connected, hear for how long, tell what was counted."""
    connections = {}
    poll = select.epoll()
    for _ in range(CONNECTIONS):
        made = socket.create_connection(("127.0.0.1", port))
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connections[made.fileno()] = made
        poll.register(made.fileno(), select.EPOLLIN)
    end.send("connected")
    seconds = end.recv()
    for connection in connections.values():
        connection.sendall(request)
    left = dict.fromkeys(connections, size)
    begun_well = dict.fromkeys(connections, False)
    good = other = 0
    over = time.monotonic() + seconds
    while time.monotonic() < over:
        for number, _ in poll.poll(1):
            connection = connections[number]
            piece = connection.recv(65536)
            if left[number] == size:
                begun_well[number] = piece.startswith(b"HTTP/1.1 200")
            left[number] -= len(piece)
            if left[number] == 0 and begun_well[number]:
                good += 1
                left[number] = size
                connection.send(request)
            elif left[number] <= 0 or not piece:
                # Another answer than the one expected; what follows it cannot be told apart.
                other += 1
                poll.unregister(number)
    for connection in connections.values():
        connection.close()
    end.send((good, other))
