"""A server on a socket that answers what a test says, and writes down what it was asked."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

Answer = bytes | Callable[[socket.socket], None]


def written(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Write an answer of HTTP/1.1."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    if status != 204:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([f"HTTP/1.1 {status} Some", *lines, "", ""]).encode() + body


def named(uid: str, groups: str = "") -> bytes:
    """Name a user, as the service does."""
    return written(
        204, Remote_User=uid, Remote_Email=f"{uid}@example.com", Remote_Groups=groups, Remote_Amr=""
    )


@dataclass
class Speaker:
    """What it was asked, and on how many connections."""

    answer: Callable[[bytes], Answer]
    listening: socket.socket
    context: ssl.SSLContext | None = None
    asked: list[bytes] = field(default_factory=list)
    connections: list[socket.socket] = field(default_factory=list)

    @property
    def url(self) -> str:
        """Where it listens."""
        scheme = "http" if self.context is None else "https"
        return f"{scheme}://localhost:{self.listening.getsockname()[1]}"

    def listen(self) -> None:
        """Take connections until the socket is closed."""
        with suppress(OSError):
            while True:
                connection, _ = self.listening.accept()
                if self.context is not None:
                    connection = self.context.wrap_socket(
                        connection, server_side=True, do_handshake_on_connect=False
                    )
                self.connections.append(connection)
                threading.Thread(target=self._speak, args=(connection,), daemon=True).start()

    def _speak(self, connection: socket.socket) -> None:
        heard = b""
        with suppress(OSError):
            while piece := connection.recv(65536):
                heard += piece
                while b"\r\n\r\n" in heard:
                    request, _, heard = heard.partition(b"\r\n\r\n")
                    self.asked.append(request)
                    answer = self.answer(request)
                    if callable(answer):
                        answer(connection)
                    else:
                        connection.sendall(answer)


@contextmanager
def speaking(
    answer: Callable[[bytes], Answer], context: ssl.SSLContext | None = None
) -> Iterator[Speaker]:
    """Answer until the block ends."""
    listening = socket.create_server(("127.0.0.1", 0))
    speaker = Speaker(answer, listening, context)
    threading.Thread(target=speaker.listen, daemon=True).start()
    try:
        yield speaker
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        for connection in speaker.connections:
            connection.close()
