"""Mail servers for tests: a real one, and one that says and does what a test tells it to."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import struct
import threading
import time
import warnings
from collections.abc import Iterator
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any, BinaryIO

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Sink
from aiosmtpd.smtp import SMTP, AuthResult, Envelope
from pydantic import SecretStr

from bienvenue.features.mail.smtp import MailSettings
from tests.ports import free_port

SENDER = "no-reply@example.org"
USER, PASSWORD = "relay-user", "a pässword of the relay"
#: What a puppet does instead of answering: it says no more, hears no more, or breaks off.
SILENCE, DEAF, RESET = b"<silence>", b"<deaf>", b"<reset>"


def made(**given: object) -> MailSettings:
    """Validate settings."""
    return MailSettings.model_validate(given)


def with_(settings: MailSettings, **changes: object) -> MailSettings:
    """Change settings, also to what validation refuses."""
    return settings.model_copy(update=changes)


def to(port: int, host: str = "127.0.0.1") -> MailSettings:
    """Give the settings of a server that is spoken to in clear."""
    return made(
        smtp_host=host, smtp_port=port, smtp_security="none", smtp_timeout=60, mail_from=SENDER
    )


def knowing(settings: MailSettings, password: str = PASSWORD) -> MailSettings:
    """Add the user and a password."""
    return with_(settings, smtp_user=USER, smtp_password=SecretStr(password))


class Server(Sink):
    """A real mail server, which keeps the messages and the mechanisms of AUTH."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Envelope] = []
        self.mechanisms: list[str] = []

    async def handle_DATA(self, *given: Any) -> str:  # noqa: N802 (the name the server calls)
        self.messages.append(given[-1])
        return "250 OK"

    def arrived(self) -> EmailMessage:
        """Read the last message, which any server accepts: ASCII, in lines under 1000 octets."""
        content = self.messages[-1].content
        assert isinstance(content, bytes)
        assert content.isascii()
        assert max(len(line) for line in content.split(b"\r\n")) < 999
        return message_from_bytes(content, policy=policy.default)

    def login(self, *given: Any) -> AuthResult:
        """Take the right user with the right password."""
        *_, mechanism, data = given
        self.mechanisms.append(mechanism)
        right = (data.login, data.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=right, handled=False)


class Authority:
    """An authority of our own, and what a server shows for it."""

    def __init__(self, folder: Path) -> None:
        self._ca = trustme.CA()
        self.file = folder / "authority.pem"
        self._ca.cert_pem.write_to_path(str(self.file))

    def context(self) -> ssl.SSLContext:
        """Give what a server that is only known by its ip speaks TLS with."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._ca.issue_cert("127.0.0.1").configure_cert(context)
        return context


class Relay(Controller):
    """What runs a real mail server, and leaves no connection behind when it stops."""

    def __init__(self, server: Server, **options: Any) -> None:
        super().__init__(server, hostname="127.0.0.1", port=free_port(), **options)
        self._visits: list[SMTP] = []

    def factory(self) -> SMTP:
        self._visits.append(SMTP(self.handler, **self.SMTP_kwargs))
        return self._visits[-1]

    def stop(self, no_assert: bool = False) -> None:
        asyncio.run_coroutine_threadsafe(self._hang_up(), self.loop).result(60)
        super().stop(no_assert)

    async def _hang_up(self) -> None:
        for visit in self._visits:
            lines: tuple[Any, ...] = (visit.transport, visit._original_transport)
            for line in lines:
                if line is not None:
                    line.abort()
        await asyncio.sleep(0.01)


@contextlib.contextmanager
def serving(server: Server, **options: Any) -> Iterator[MailSettings]:
    """Run a real mail server; give the settings that reach it in clear."""
    relay = Relay(server, **options)
    relay.start()
    try:
        yield to(relay.port)
    finally:
        relay.stop()


class Puppet:
    """A server that says one thing after each line it hears, and hangs up when all is said."""

    def __init__(
        self, says: list[bytes], pause: float = 0.0, tls: ssl.SSLContext | None = None
    ) -> None:
        """Take what it says, the seconds between two of its bytes, and TLS from the first byte."""
        self._says, self._pause, self._tls = says, pause, tls
        self.heard: list[bytes] = []

    def __enter__(self) -> MailSettings:
        self._door = socket.create_server(("127.0.0.1", free_port()))
        self._door.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._door.settimeout(60)
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()
        return to(self._door.getsockname()[1])

    def __exit__(self, *_: object) -> None:
        self._thread.join(5)
        if self._thread.is_alive():
            # A handshake that is given up leaves its transport to the garbage collector (asyncio).
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ResourceWarning)
                gc.collect()
        self._thread.join(60)
        self._door.close()
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        visitor, _ = self._door.accept()
        visitor.settimeout(60)
        if self._tls is not None:
            visitor = self._tls.wrap_socket(visitor, server_side=True)
        with visitor, visitor.makefile("rb") as lines, contextlib.suppress(OSError):
            for number, words in enumerate(self._says):
                if number and words != DEAF:
                    self.heard.append(self._heard(lines, after=self._says[number - 1]))
                if words == RESET:
                    # Without lingering the end of a connection is a reset.
                    visitor.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    return
                if words == SILENCE:
                    lines.read()
                elif words == DEAF:
                    time.sleep(0.6)
                else:
                    self._say(visitor, words)
            visitor.shutdown(socket.SHUT_WR)
            # What was not read would turn the end of the conversation into a reset.
            lines.read()

    def _heard(self, lines: BinaryIO, after: bytes) -> bytes:
        """Read a command, or after 354 the whole message."""
        line = lines.readline()
        while after.startswith(b"354") and line not in {b".\r\n", b""}:
            line = lines.readline()
        return line

    def _say(self, visitor: socket.socket, words: bytes) -> None:
        for part in [bytes([byte]) for byte in words] if self._pause else [words]:
            visitor.sendall(part)
            time.sleep(self._pause)
