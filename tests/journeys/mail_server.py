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
    """What the server does with a letter."""

    TAKE = enum.auto()
    #: It will never take a letter to this mailbox.
    REFUSE = enum.auto()
    #: It asks to come back later.
    DEFER = enum.auto()
    #: It has heard the whole letter and says nothing, until its mood changes.
    STALL = enum.auto()
    #: It breaks off while the letter is being said.
    DROP = enum.auto()


@dataclass(frozen=True)
class Taken:
    """A letter that the server answered for, and to whom the envelope said it goes."""

    to: str
    letter: EmailMessage

    @property
    def name(self) -> str:
        """Its Message-ID."""
        return str(self.letter["Message-ID"])

    @property
    def text(self) -> str:
        """Its part of plain text."""
        part = self.letter.get_body(("plain",))
        assert part is not None
        return str(part.get_content())


class Post:
    """The mailboxes behind the server, and its moods. Tests read them, conversations write them."""

    def __init__(self) -> None:
        """Begin with empty mailboxes on a free port."""
        self.port = free_port()
        self.took: list[Taken] = []
        self.mood = Mood.TAKE
        #: Conversations that stall at this moment.
        self.stalled = 0
        #: Seconds the server thinks about each letter.
        self.slowness = 0.0
        #: Runs once, with the next letter: just before the server would keep it, or just after.
        self.before: Callable[[], None] | None = None
        self.after: Callable[[], None] | None = None

    def to(self, email: str) -> list[Taken]:
        """Give the letters that were taken for one mailbox."""
        return [taken for taken in list(self.took) if taken.to == email]

    def wait_for(self, email: str, patience: float = 30.0) -> Taken:
        """Wait for the first letter to a mailbox. Raises AssertionError when none comes."""
        assert wait_until(lambda: self.to(email) != [], patience), f"no letter came to {email}"
        return self.to(email)[0]

    # --- what the library calls -----------------------------------------------------------------

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
        """Keep a letter that was heard in full."""
        await self._stall()
        await asyncio.sleep(self.slowness)
        before, self.before = self.before, None
        if before is not None:
            before()
            await asyncio.sleep(_DYING)
            return "451 4.3.0 nobody hears this"
        content = cast("bytes", envelope.content)
        letter = message_from_bytes(content, policy=policy.default)
        self.took.extend(Taken(to, letter) for to in envelope.rcpt_tos)
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
    """A conversation that can break off in the middle of a letter."""

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
def post() -> Iterator[Post]:
    """Run a mail server until the block ends."""
    made = Post()
    controller: Any = _Controller(made, hostname="127.0.0.1", port=made.port)
    controller.start()
    try:
        yield made
    finally:
        controller.stop()
