"""A mail server on loopback that keeps what it took, and fails the way it is told to."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any, cast

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

from tests.ports import free_port, wait_until

_LOOK = 0.01
"""Seconds between two looks of a conversation that stalls."""
_DYING = 0.02
"""Seconds that pass before a process that was killed is answered."""


class Mood(enum.Enum):
    """What the server does with a message."""

    TAKE = enum.auto()
    #: It refuses a message to this mailbox for good.
    REFUSE = enum.auto()
    #: It takes nothing from this sender.
    REFUSE_SENDER = enum.auto()
    #: It asks to come back later.
    DEFER = enum.auto()
    #: It has read the whole message and says nothing, until its mood changes.
    STALL = enum.auto()
    #: It breaks off in the middle of the message.
    DROP = enum.auto()


@dataclass(frozen=True)
class Taken:
    """A message that the server accepted, and the recipient of its envelope."""

    to: str
    message: EmailMessage

    @property
    def name(self) -> str:
        """Its Message-ID."""
        return str(self.message["Message-ID"])

    @property
    def text(self) -> str:
        """Its part of plain text."""
        part = self.message.get_body(("plain",))
        assert part is not None
        return str(part.get_content())


class MailServer:
    """The mailboxes behind the server, and its moods. Tests read them, conversations write them."""

    def __init__(self) -> None:
        """Begin with empty mailboxes on a free port."""
        self.port = free_port()
        self.took: list[Taken] = []
        self.mood = Mood.TAKE
        #: Conversations that stall at this moment.
        self.stalled = 0
        #: Seconds the server thinks about each message.
        self.slowness = 0.0
        #: Runs once, with the next message: just before the server would keep it, or just after.
        self.before: Callable[[], None] | None = None
        self.after: Callable[[], None] | None = None

    def to(self, email: str) -> list[Taken]:
        """Give the messages that were taken for one mailbox."""
        return [taken for taken in list(self.took) if taken.to == email]

    def wait_for(self, email: str, patience: float = 30.0) -> Taken:
        """Wait for the first message to a mailbox. Raises AssertionError when none comes."""
        assert wait_until(lambda: self.to(email) != [], patience), f"no message came to {email}"
        return self.to(email)[0]

    # --- what the library calls -----------------------------------------------------------------

    async def handle_MAIL(  # noqa: N802 (the library's name)
        self, _server: SMTP, _session: Session, envelope: Envelope, sender: str, _options: list[str]
    ) -> str:
        """Agree to a sender, or not."""
        if self.mood is Mood.REFUSE_SENDER:
            return "550 5.7.1 not a verified sender identity"
        envelope.mail_from = sender
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 (the library's name)
        self, _server: SMTP, _session: Session, envelope: Envelope, to: str, _options: list[str]
    ) -> str:
        """Agree to a mailbox, or not."""
        if self.mood is Mood.REFUSE:
            return f"550 5.1.1 <{to}>: no such mailbox"
        if self.mood is Mood.DEFER:
            return f"450 4.2.0 <{to}>: come back later"
        envelope.rcpt_tos.append(to)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 (the library's name)
        self, _server: SMTP, _session: Session, envelope: Envelope
    ) -> str:
        """Keep a message that was read in full."""
        await self._stall()
        await asyncio.sleep(self.slowness)
        before, self.before = self.before, None
        if before is not None:
            before()
            await asyncio.sleep(_DYING)
            return "451 4.3.0 the client is gone"
        content = cast("bytes", envelope.content)
        message = message_from_bytes(content, policy=policy.default)
        self.took.extend(Taken(to, message) for to in envelope.rcpt_tos)
        after, self.after = self.after, None
        if after is not None:
            after()
            await asyncio.sleep(_DYING)
        return "250 OK"

    async def _stall(self) -> None:
        self.stalled += 1
        try:
            while self.mood is Mood.STALL:  # noqa: ASYNC110 (tests set it from another thread)
                await asyncio.sleep(_LOOK)
        finally:
            self.stalled -= 1


class _Conversation(SMTP):
    """A conversation that can break off in the middle of a message."""

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802 (the library's name)
        if self.event_handler.mood is not Mood.DROP:
            await super().smtp_DATA(arg)
            return
        await self.push("354 go on")
        await self._reader.readline()
        cast("asyncio.Transport", self.transport).abort()


class _Controller(Controller):
    def factory(self) -> SMTP:
        return _Conversation(self.handler, **self.SMTP_kwargs)


@contextmanager
def running() -> Iterator[MailServer]:
    """Run a mail server until the block ends."""
    made = MailServer()
    controller: Any = _Controller(made, hostname="127.0.0.1", port=made.port)
    controller.start()
    try:
        yield made
    finally:
        controller.stop()
