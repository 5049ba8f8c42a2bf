"""Renders messages: a template of plain text gives the subject, the text and the HTML part.

The first line of a template is the subject. The folder that `BIENVENUE_TEMPLATES` names may hold
other templates of the same names.
"""

import functools
import json
import re
from collections.abc import Callable, Iterable
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from jinja2 import (
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    StrictUndefined,
    select_autoescape,
)

from bienvenue import clock, i18n, user_agent
from bienvenue.settings import Settings

#: The values that are moments (RFC 3339) and are written for people.
_MOMENTS = ("at", "asked", "until")


class MessageText(NamedTuple):
    """Subject and text of a message, as a person reads them."""

    subject: str
    text: str


class StoredMessage(Protocol):
    """The columns of a message that its text is rendered from."""

    uid: str
    created_at: float
    kind: str
    email: str
    facts: str


class Renderer:
    """Renders the messages of one service."""

    def __init__(
        self,
        settings: Settings,
        sender: str | None,
        reply_to: str | None = None,
        folders: Callable[[], Iterable[Path]] = tuple,
    ) -> None:
        """Take the settings, the sender of messages and where answers to them go.

        Both are written as `Bienvenue <no-reply@example.org>`. Answers go to the support email by
        default (RFC 5322 section 3.6.2). `folders` gives the folders of templates of features once
        all features are open.
        """
        self._settings = settings
        self._folders = folders
        self._reply_to = reply_to or settings.core.support_email
        name, email = parseaddr(sender or "")
        self.sender = email or "no-reply@localhost"
        self._name = _one_line(name or settings.core.service_name)

    @functools.cached_property
    def _templates(self) -> Environment:
        overriding = self._settings.core.templates
        before = [] if overriding is None else [FileSystemLoader(overriding / "bienvenue")]
        ours = PackageLoader("bienvenue", "templates/bienvenue")
        after = [FileSystemLoader(folder / "bienvenue") for folder in self._folders()]
        return Environment(
            loader=ChoiceLoader([*before, ours, *after]),
            autoescape=select_autoescape(["html"]),
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )

    def text(self, row: StoredMessage, link: str | None) -> MessageText:
        """Return subject and text of a message; without a link the text says so."""
        template = self._templates.get_template(f"mail/{row.kind}.txt")
        values = self._values(row)
        spoken = i18n.of(values["language"])
        known = values.get("device", user_agent.UNKNOWN) != user_agent.UNKNOWN
        shown = spoken.plain("[link removed]") if link is None else self._url(link)
        if "device" in values:
            values["device"] = user_agent.in_language(values["device"], spoken)
        values |= {name: spoken.moment(values[name]) for name in _MOMENTS if values.get(name)}
        ip = values.get("ip", "")
        # What happened is followed by `Firefox on Linux · 9 November 2026, 20:09 UTC · 192.0.2.1`.
        device = values["device"] if "device" in values and (known or ip) else ""
        times = values.get("times", 1)
        many = spoken.plain("{times} times since our last email", times=times) if times > 1 else ""
        values["where"] = " · ".join(filter(None, [device, values["at"], ip, many]))
        lifetime = values.get("lifetime")
        duration = spoken.plain("a limited time") if lifetime is None else spoken.duration(lifetime)
        values["lifetime"] = duration
        rendered = template.render(values, _=spoken.plain, link=shown)
        subject, _, rest = rendered.partition("\n")
        if support := self._settings.core.support:
            rest += "\n\n" + spoken.plain("Questions? Contact support: {support}", support=support)
        return MessageText(_one_line(subject.removeprefix("Subject:")), _spaced(rest))

    def message(self, row: StoredMessage, link: str | None) -> EmailMessage:
        """Return a message as it is sent, with a part of text and a part of HTML (RFC 5322, 2046).

        Its Message-ID is the same however often it is made.
        """
        subject, text = self.text(row, link)
        values = self._values(row)
        message = EmailMessage()
        message["From"] = Address(self._name, addr_spec=self.sender)
        message["To"] = row.email
        if self._reply_to is not None:
            message["Reply-To"] = self._reply_to
        message["Subject"] = subject
        message["Date"] = format_datetime(clock.in_utc(row.created_at))
        message["Message-ID"] = f"<{row.uid}@{self.sender.rpartition('@')[2]}>"
        # Vacation responders do not answer it (RFC 3834).
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(text)
        paragraphs = [part.strip() for part in text.split("\n\n")]
        page = self._templates.get_template("mail/email.html")
        html = page.render(values, subject=subject, paragraphs=paragraphs)
        message.add_alternative(html, subtype="html")
        # Last: headers about content that are set earlier move to the first part.
        message["Content-Language"] = values["language"]
        return message

    def _values(self, row: StoredMessage) -> dict[str, Any]:
        facts: dict[str, Any] = json.loads(row.facts)
        before = {
            # The mount of our pages below the base URL; the oldest messages have none.
            "mount": "",
            "language": self._settings.core.language,
            # A notice to a notification email names the email of the account instead.
            "email": row.email,
        }
        return {
            **before,
            **facts,
            "at": clock.written(row.created_at),
            "service": self._settings.core.service_name,
            "base_url": self._settings.base_url,
        }

    def _url(self, link: str) -> str:
        return self._settings.base_url + link


def _spaced(text: str) -> str:
    """Separate the paragraphs of a text by one empty line."""
    return re.sub(r"\n{3,}", "\n\n", text.strip()) + "\n"


def _one_line(text: str) -> str:
    """Put a text on one line, for a header: a part of it may come from a request."""
    return " ".join(text.split())
