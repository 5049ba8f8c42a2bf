"""outbox: reading emails in a browser, while no mail server is configured.

The operator opens it by a link with a key, which `bienvenue serve` prints to its terminal and
`bienvenue outbox open` prints again. The address of a request grants nothing: behind a proxy every
request comes from this machine. A key works on the day it is made and on the next (UTC).
"""

import base64
import hmac
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any, ClassVar

import click

from bienvenue import clock, purposes
from bienvenue.feature import Feature, Refusal, needs
from bienvenue.features.mail import Mail, Message, NoSuchMessage
from bienvenue.features.mail.commands import outbox as group
from bienvenue.settings import Section
from bienvenue.web.page import Answer, Pages, Reply, Visitor
from bienvenue.web.refusals import NotFound

DAY = 86400

# --- words --------------------------------------------------------------------------------------


class OutboxClosed(Refusal):
    """The key of the outbox is missing, wrong, or of another day."""

    status = 403
    code = "outbox_closed"
    message = "Run `bienvenue outbox open` where the service runs, and open the link it prints."


class MessagesAreSent(Exception):
    """A mail server is configured, so emails are not read here."""


# --- operations ---------------------------------------------------------------------------------


class Outbox(Feature[Section]):
    """The operations of reading emails in a browser."""

    name = "outbox"
    _mail = needs(Mail)
    pages: ClassVar[Pages] = Pages()

    def link(self) -> str:
        """Return the link that opens the outbox, today and tomorrow. Raises MessagesAreSent."""
        if self._mail.sends_mail:
            raise MessagesAreSent
        return (
            f"{self._registry.settings.base_url}{self._registry.mount}/outbox?token={self._key(0)}"
        )

    def list(self, key: str | None) -> Sequence[Message]:
        """Return the newest messages. Raises OutboxClosed, and NotFound where emails are sent."""
        self._require(key)
        return self._mail.list()

    def read(self, key: str | None, uid: str) -> tuple[Message, EmailMessage, str]:
        """Return a message, its rendering, and the base URL of its links.

        Raises as `list` does, and NoSuchMessage.
        """
        self._require(key)
        mail = self._mail
        return mail.find(uid), mail.read(uid), f"{self._registry.settings.base_url}/"

    def _require(self, key: str | None) -> None:
        if self._mail.sends_mail:
            raise NotFound
        if not any(hmac.compare_digest(self._key(days), key or "") for days in (0, 1)):
            raise OutboxClosed

    def _key(self, days_ago: int) -> str:
        """Make the key of a day: 256 bits derived from the key file."""
        day = int(clock.now()) // DAY - days_ago
        mac = self._registry.keys.lasting_mac(purposes.OUTBOX_PAGE, str(day).encode())
        return base64.urlsafe_b64encode(mac).decode().rstrip("=")


# --- pages --------------------------------------------------------------------------------------

page = Outbox.pages


class MessageLine(Reply):
    """One message of the list. `at` is RFC 3339 in UTC."""

    uid: str
    at: str
    to: str
    about: str
    state: str

    @classmethod
    def of(cls, message: Message) -> "MessageLine":
        """Describe a row of the outbox."""
        return cls(
            uid=message.uid,
            at=clock.written(message.created_at),
            to=message.email,
            about=message.kind,
            state=message.state,
        )


class Messages(Reply):
    """The newest messages, newest first."""

    messages: list[MessageLine]


class MessageShown(Reply):
    """One message as its recipient sees it; `links` are those alone in a paragraph."""

    uid: str
    at: str
    to: str
    subject: str
    text: str
    links: list[str]

    @classmethod
    def of(cls, message: Message, rendered: EmailMessage, base: str) -> "MessageShown":
        """Describe a message; its links are those that lead to this service."""
        part = rendered.get_body(("plain",))
        text = "" if part is None else str(part.get_content())
        paragraphs = [one.strip() for one in text.split("\n\n")]
        return cls(
            uid=message.uid,
            at=clock.written(message.created_at),
            to=message.email,
            subject=str(rendered["Subject"]),
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
    """List the emails that stay here, for the operator."""
    found = Outbox.current().list(visitor.links.get("outbox"))
    return Answer(
        Messages(messages=[MessageLine.of(row) for row in found]), template="outbox/list.html"
    )


@page(
    "GET /outbox/<uid>",
    returns={200: MessageShown},
    errors=(OutboxClosed, NotFound, NoSuchMessage),
    public=True,
)
def outbox_message(uid: str, visitor: Visitor) -> Answer:
    """Show one email in full, with its link while that works."""
    shown = MessageShown.of(*Outbox.current().read(visitor.links.get("outbox"), uid))
    return Answer(shown, template="outbox/email.html")


# --- commands -----------------------------------------------------------------------------------


@group.command("open")
@click.pass_obj
def open_command(service: Any) -> None:
    """Print the link that opens the outbox in a browser, today and tomorrow."""
    try:
        click.echo(service.auth.use(Outbox).link())
    except MessagesAreSent:
        raise click.ClickException(
            "emails are sent by SMTP: `bienvenue outbox` lists them with their state"
        ) from None
