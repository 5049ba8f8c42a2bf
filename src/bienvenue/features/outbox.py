"""outbox: reading letters in a browser, for as long as no server carries them.

Whoever runs the service opens it by a link with a key, which `bienvenue serve` prints to its
terminal and `bienvenue outbox open` prints again. Coming from this machine proves nothing: behind a
proxy everybody does. A key works on the day it was made and on the next.
"""

import base64
import hmac
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any, ClassVar

import click

from bienvenue import clock, purposes
from bienvenue.feature import Feature, Refusal
from bienvenue.features.mail import Message, NoSuchMessage
from bienvenue.features.mail.commands import outbox as group
from bienvenue.settings import Section
from bienvenue.web.dispatch import AUTH, NotFound
from bienvenue.web.page import Answer, Pages, Reply, Visitor

DAY = 86400

# --- words --------------------------------------------------------------------------------------


class OutboxClosed(Refusal):
    """The key of the outbox is missing, wrong, or of another day."""

    status = 403
    code = "outbox_closed"
    message = "Run `bienvenue outbox open` where the service runs, and open the link it prints."


class MessagesAreSent(Exception):
    """A server carries the letters, so nobody reads them here."""


# --- operations ---------------------------------------------------------------------------------


class Outbox(Feature[Section]):
    """The operations of reading letters in a browser."""

    name = "outbox"
    pages: ClassVar[Pages] = Pages()

    def link(self) -> str:
        """Give the link that opens the outbox, today and tomorrow. Raises MessagesAreSent."""
        if self._auth.mail.leaves:
            raise MessagesAreSent
        return f"{self._auth.settings.base_url}{self._auth.mount}/outbox?token={self._key(0)}"

    def list(self, key: str | None) -> Sequence[Message]:
        """Give the newest letters. Raises OutboxClosed, and NotFound where letters leave."""
        self._require(key)
        return self._auth.mail.list()

    def read(self, key: str | None, uid: str) -> tuple[Message, EmailMessage, str]:
        """Give a letter, how it is read, and what its links begin with.

        Raises as `list` does, and NoSuchMessage.
        """
        self._require(key)
        mail = self._auth.mail
        return mail.find(uid), mail.read(uid), f"{self._auth.settings.base_url}/"

    def _require(self, key: str | None) -> None:
        if self._auth.mail.leaves:
            raise NotFound
        if not any(hmac.compare_digest(self._key(days), key or "") for days in (0, 1)):
            raise OutboxClosed

    def _key(self, days_ago: int) -> str:
        """Make the key of a day: 256 bits that only the key file gives."""
        day = int(clock.now()) // DAY - days_ago
        mac = self._auth.keys.lasting_mac(purposes.OUTBOX_PAGE, str(day).encode())
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")


# --- pages --------------------------------------------------------------------------------------

page = Outbox.pages


class MessageLine(Reply):
    """One letter of the list. `at` is RFC 3339 in UTC."""

    uid: str
    at: str
    to: str
    about: str
    state: str

    @classmethod
    def of(cls, letter: Message) -> "MessageLine":
        """Describe a row of the outbox."""
        return cls(
            uid=letter.uid,
            at=clock.written(letter.at),
            to=letter.email,
            about=letter.kind,
            state=letter.state,
        )


class Messages(Reply):
    """The newest letters, newest first."""

    letters: list[MessageLine]


class MessageShown(Reply):
    """One letter, as its reader sees it; `links` are those it bears, alone in a paragraph."""

    uid: str
    at: str
    to: str
    subject: str
    text: str
    links: list[str]

    @classmethod
    def of(cls, letter: Message, written: EmailMessage, base: str) -> "MessageShown":
        """Describe a letter; its links are those that lead to us."""
        part = written.get_body(("plain",))
        text = "" if part is None else str(part.get_content())
        paragraphs = [one.strip() for one in text.split("\n\n")]
        return cls(
            uid=letter.uid,
            at=clock.written(letter.at),
            to=letter.email,
            subject=str(written["Subject"]),
            text=text,
            links=[one for one in paragraphs if one.startswith(base) and " " not in one],
        )


@page(
    "GET /outbox",
    returns={200: Messages},
    errors=(OutboxClosed, NotFound),
    public=True,
    link="outbox",
)
def outbox_page(visitor: Visitor) -> Answer:
    """List the letters that stay here, for whoever runs the service."""
    found = AUTH.outbox.list(visitor.links.get("outbox"))
    return Answer(
        Messages(letters=[MessageLine.of(row) for row in found]), template="outbox/list.html"
    )


@page(
    "GET /outbox/<uid>",
    returns={200: MessageShown},
    errors=(OutboxClosed, NotFound, NoSuchMessage),
    public=True,
)
def outbox_letter(uid: str, visitor: Visitor) -> Answer:
    """Show one letter in full, with its link while that works."""
    shown = MessageShown.of(*AUTH.outbox.read(visitor.links.get("outbox"), uid))
    return Answer(shown, template="outbox/email.html")


# --- commands -----------------------------------------------------------------------------------


@group.command("open")
@click.pass_obj
def open_command(service: Any) -> None:
    """Print the link that opens the outbox in a browser, today and tomorrow."""
    try:
        click.echo(service.auth.outbox.link())
    except MessagesAreSent:
        raise click.ClickException(
            "emails are sent by SMTP: `bienvenue outbox` lists them with their state"
        ) from None
