"""Sends one message to a mail server by SMTP (RFC 5321), through aiosmtplib.

The encryption that is set is required: without STARTTLS (RFC 3207) or a trusted certificate nothing
is sent, and a password goes over TLS only (RFC 4954, RFC 8314). A server's reply may repeat the
recipient, so problems quote only its code and enhanced status (RFC 3463).
"""

import asyncio
import contextlib
import os
import re
import socket
import ssl
import time
from email import policy
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import getaddresses
from pathlib import Path
from typing import Any, Literal, cast

import aiosmtplib as smtp
from pydantic import Field, SecretStr, ValidationInfo, field_validator

from bienvenue.client_ip import address_of
from bienvenue.settings import PREFIX, Seconds, Section

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_GOODBYE = 2.0
"""Seconds to wait for the reply to QUIT, when the outcome of the message is known."""
_CODES = range(200, 600)
"""The reply codes of SMTP (RFC 5321 section 4.2.1)."""
_FOR_GOOD = range(500, 600)
_NO_SUCH_MAILBOX = frozenset({500, 501, 550, 551, 553})
"""Codes to RCPT that concern the recipient when no enhanced status says otherwise (RFC 5321 section
4.3.2). 552 is a full mailbox, 554 a policy; both may pass.
"""
_OF_THE_RECIPIENT = re.compile(r"5\.(1\.[^78]|1\.\d\d+|4\.[^5]|4\.\d\d+|6\.\d+)")
"""Enhanced statuses that no other time or setting changes: the recipient, the way to it, or the
content (RFC 3463, RFC 5248). 5.1.7 and 5.1.8 concern the sender, 5.4.5 the quota of the day.
"""
_OF_THE_MESSAGE = {
    smtp.SMTPSenderRefused: "the sender",
    smtp.SMTPRecipientRefused: "the recipient",
    smtp.SMTPDataError: "the message",
}
_REFUSED: dict[type[Exception], str] = {
    **_OF_THE_MESSAGE,
    smtp.SMTPConnectResponseError: "the connection",
    smtp.SMTPHeloError: "EHLO",
    smtp.SMTPAuthenticationError: "the user and the password",
}

# Every server accepts seven bits; eight of them need an extension (RFC 6152).
_SEVEN_BITS = policy.SMTP.clone(cte_type="7bit")
# An email that an SMTP command can hold unchanged; the library would rewrite any other.
_EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+")
_STATUS = re.compile(r"[245]\.[0-9]{1,3}\.[0-9]{1,3}(?!\S)")
_FULL_NAME = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


class MailSettings(Section):
    """How emails are sent."""

    smtp_host: str | None = Field(
        None,
        description="The mail server that sends emails, by name or IP. Without it emails stay "
        "in the outbox.",
    )
    smtp_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Its port. By default 587 with starttls, 465 with tls and 25 with none.",
    )
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="How the connection is encrypted: starttls, tls from the first byte, or none. "
        "The setting is a requirement: without it nothing is sent.",
    )
    smtp_user: str | None = Field(
        None,
        min_length=1,
        description="The user to authenticate as. It is sent over TLS only, or to a host of this "
        "machine.",
    )
    smtp_password: SecretStr | None = Field(
        None, validate_default=True, description="The password of that user."
    )
    smtp_ca_file: Path | None = Field(
        None,
        description="The certificate authorities to trust instead of the system's, as PEM, for a "
        "mail server with a certificate of your own.",
    )
    smtp_timeout: Seconds = Field(
        15, description="How long one step of the connection may wait for the mail server."
    )
    mail_from: str | None = Field(
        None,
        validate_default=True,
        description="The sender of emails: no-reply@example.org, or with a name, as "
        "Bienvenue <no-reply@example.org>. Required with smtp_host.",
    )

    mail_reply_to: str | None = Field(
        None,
        description="Where answers to emails go, as support@example.org. By default to the support "
        "email, if there is one.",
    )
    emails_network: int = Field(
        60,
        ge=1,
        le=100_000,
        description="Emails that one network can request in an hour; an IPv6 /56 four times, a /48 "
        "sixteen times as many.",
    )
    emails_service: int = Field(
        3000,
        ge=1,
        le=1_000_000,
        description="Emails that all visitors together can request in an hour.",
    )

    @property
    def on_this_machine(self) -> bool:
        """Whether the mail server runs on this machine, by its name or ip."""
        address = address_of(self.smtp_host or "")
        return self.smtp_host is not None and (
            self.smtp_host.lower() == "localhost" if address is None else address.is_loopback
        )

    @property
    def server(self) -> str:
        """The mail server as problems name it: `mail.example.org:587`, `[2001:db8::7]:25`."""
        host = str(self.smtp_host)
        return f"{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def port(self) -> int:
        """The port of the mail server, the usual one where none is set."""
        return self.smtp_port or _PORTS[self.smtp_security]

    @field_validator("smtp_host")
    @classmethod
    def _name_or_ip(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(r"[A-Za-z0-9._:-]+", value):
            raise ValueError("is the name or IP of a mail server, as mail.example.org")
        return value

    # Each validator reads the fields above its own, so that a problem names one setting. Those of
    # settings that are absent are not called.
    @field_validator("smtp_port", "smtp_security", "smtp_user", "smtp_ca_file", "smtp_timeout")
    @classmethod
    def _with_a_host(cls, value: Any, info: ValidationInfo) -> Any:
        if info.data.get("smtp_host", "") is None:
            raise ValueError(f"has no effect without {PREFIX}SMTP_HOST")
        return value

    @field_validator("smtp_password")
    @classmethod
    def _both_or_neither(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if "smtp_user" in info.data and (value is None) != (info.data["smtp_user"] is None):
            raise ValueError(f"is set together with {PREFIX}SMTP_USER, or neither is")
        if value is not None and not value.get_secret_value():
            raise ValueError("has at least 1 character")
        return value

    @field_validator("smtp_ca_file")
    @classmethod
    def _readable(cls, value: Path) -> Path:
        try:
            ssl.create_default_context(cafile=value)
        except OSError:
            raise ValueError("is a file of certificates as PEM, which cannot be read") from None
        return value

    @field_validator("mail_from")
    @classmethod
    def _one_email(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            if info.data.get("smtp_host") is not None:
                raise ValueError(f"is required with {PREFIX}SMTP_HOST")
            return None
        return _one_mailbox(value)

    @field_validator("mail_reply_to")
    @classmethod
    def _one_reply_to(cls, value: str | None) -> str | None:
        return None if value is None else _one_mailbox(value)


def _one_mailbox(value: str) -> str:
    """Return a text that is one email, with or without a name. Raises ValueError."""
    found = [email for _, email in getaddresses([value])]
    # The parser repairs its input: an email that does not stand in it literally is a guess.
    clear = value.isprintable() and len(found) == 1 and found[0] in value
    if not clear or not _EMAIL.fullmatch(found[0]):
        raise ValueError("is one email, as Bienvenue <no-reply@example.org>")
    return value


class SendProblem(Exception):
    """A message was not sent.

    The text may be stored and shown: it holds no password, no email and nothing of the message.
    `permanent` says that the server will never accept this message, `of_message` that the server
    may accept others.
    """

    def __init__(self, message: str, *, permanent: bool = False, of_message: bool = False) -> None:
        """Take what happened, whether another try is useless, and whether it concerns one message.

        A permanent problem concerns one message: the operator can end every other one.
        """
        super().__init__(message)
        self.permanent = permanent
        self.of_message = permanent or of_message


def send(
    settings: MailSettings, message: EmailMessage, sender: str, recipient: str, deadline: float
) -> str:
    """Send one message; when this returns, the mail server has accepted it.

    `sender` and `recipient` are the plain emails of the envelope (RFC 5321 section 2.3.1).
    `deadline` is in seconds from now and bounds all but the system's look-up of the host's name.
    Returns a line about the server: its TLS, and whether it took a password. A message whose
    acceptance was not heard counts as not sent, so it may arrive twice but is never lost. Raises
    SendProblem, permanent only where the recipient or the message is at fault: a sender that is not
    allowed, a policy and a quota are the operator's to mend.
    """
    if not _EMAIL.fullmatch(sender) or not _EMAIL.fullmatch(recipient):
        raise SendProblem("the sender or the recipient is no email", permanent=True)
    if settings.smtp_host is None:
        raise SendProblem("there is no mail server: smtp_host is not set")
    in_clear = settings.smtp_security == "none"
    if settings.smtp_user and in_clear and not settings.on_this_machine:
        raise SendProblem("a password is sent over TLS alone: smtp_security is none")
    try:
        content = message.as_bytes(policy=_SEVEN_BITS)
    except (MessageError, ValueError, LookupError):
        raise SendProblem("the message cannot be written for SMTP", permanent=True) from None
    server = smtp.SMTP(
        hostname=settings.smtp_host,
        port=settings.port,
        timeout=settings.smtp_timeout,
        use_tls=settings.smtp_security == "tls",
        start_tls=False,
        tls_context=None if in_clear else _tls(settings),
    )
    end = time.monotonic() + deadline
    try:
        return asyncio.run(_converse(settings, server, deadline, (sender, recipient, content)))
    except (smtp.SMTPException, OSError, UnicodeError) as error:
        late = time.monotonic() >= end
        what = f"was not done within {deadline:g} seconds" if late else _what(settings, error)
        permanent, of_message = _is_permanent(error), _concerns_one_message(error)
    # Outside the block: a traceback that shows the library's error shows the reply.
    raise SendProblem(f"{settings.server} {what}", permanent=permanent, of_message=of_message)


async def _converse(
    settings: MailSettings, server: smtp.SMTP, deadline: float, envelope: tuple[str, str, bytes]
) -> str:
    (sender, recipient, content), transport = envelope, None
    try:
        async with asyncio.timeout(deadline):
            await server.connect()
            transport = server.transport
            name = _name_of_ours(server.get_transport_info("sockname"))
            await server.ehlo(hostname=name)
            if settings.smtp_security == "starttls":
                await _start_tls(settings, server)
                transport = server.transport
                await server.ehlo(hostname=name)
            if settings.smtp_user is not None and settings.smtp_password is not None:
                password = settings.smtp_password.get_secret_value()
                await _authenticate(settings, server, settings.smtp_user, password)
            tls = server.get_transport_info("ssl_object")
            await server.mail(sender)
            await server.rcpt(recipient)
            await server.data(content)
    except TimeoutError:
        server.close()
        raise
    finally:
        with contextlib.suppress(smtp.SMTPException):
            await server.quit(timeout=min(settings.smtp_timeout, _GOODBYE))
        _abort(transport)
    speaks = "no TLS" if tls is None else tls.version().replace("TLSv", "TLS ")
    asked = "was given no password" if settings.smtp_user is None else "took the password"
    return f"{settings.server} speaks {speaks} and {asked}"


def _abort(transport: asyncio.BaseTransport | None) -> None:
    # The library closes, which waits until the server has read the rest and agreed to end TLS.
    if transport is not None:
        cast("asyncio.WriteTransport", transport).abort()


async def _start_tls(settings: MailSettings, server: smtp.SMTP) -> None:
    if not server.supports_extension("starttls"):
        raise SendProblem(f"{settings.server} offers no STARTTLS, and without it nothing is sent")
    try:
        await server.starttls()
    except smtp.SMTPServerDisconnected:
        raise SendProblem(f"{settings.server} did not agree on TLS: it hung up") from None


async def _authenticate(
    settings: MailSettings, server: smtp.SMTP, user: str, password: str
) -> None:
    # One attempt: the library's `login` tries each mechanism in turn, and servers count failures.
    if "plain" in server.server_auth_methods:
        await server.auth_plain(user, password)
    elif "login" in server.server_auth_methods:
        await server.auth_login(user, password)
    else:
        raise SendProblem(f"{settings.server} takes no password by AUTH PLAIN or LOGIN")


def _tls(settings: MailSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.smtp_ca_file)
    except OSError:
        raise SendProblem("smtp_ca_file cannot be read, or holds no PEM") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context


def _is_permanent(error: Exception) -> bool:
    """Return whether a reply says that this recipient never gets this message."""
    if not isinstance(error, smtp.SMTPRecipientRefused | smtp.SMTPDataError):
        return False
    status = _STATUS.match(error.message)
    if status:
        return error.code in _FOR_GOOD and bool(_OF_THE_RECIPIENT.fullmatch(status[0]))
    return isinstance(error, smtp.SMTPRecipientRefused) and error.code in _NO_SUCH_MAILBOX


def _concerns_one_message(error: Exception) -> bool:
    """Return whether a reply says nothing of other messages: it is about one mailbox."""
    if isinstance(error, smtp.SMTPDataError):
        return re.match(r"[45]\.[12]\.", error.message) is not None
    return isinstance(error, smtp.SMTPRecipientRefused)


def _what(settings: MailSettings, error: Exception) -> str:
    """Describe what ended a conversation; of the server's words only codes are quoted."""
    if isinstance(error, smtp.SMTPResponseException) and error.code in _CODES:
        status = _STATUS.match(error.message)
        enhanced = f" {status[0]}" if status else ""
        return f"refused {_REFUSED.get(type(error), 'STARTTLS')}: {error.code}{enhanced}"
    # The library wraps what happens while it connects, and keeps it as the cause.
    cause = error.__cause__ if type(error) is smtp.SMTPConnectError else error
    what = f"cannot be reached: {getattr(cause, 'strerror', None) or 'it is no host'}"
    match cause:
        case TimeoutError():
            what = f"was silent for {settings.smtp_timeout:g} s"
        case ssl.SSLCertVerificationError():
            what = f"has a certificate that is not trusted: {cause.verify_message}"
        case ssl.SSLError():
            what = f"did not agree on TLS: {cause.reason or 'no reason given'}"
        case smtp.SMTPException():
            what = "broke off the conversation, or speaks no SMTP"
        case OSError(errno=int(number)) if number > 0:
            what = f"cannot be reached: {os.strerror(number)}"
    return what


def _name_of_ours(address: tuple[str, int]) -> str:
    """Return the full name of this machine, or its ip as RFC 5321 section 4.1.3 writes it."""
    name = socket.gethostname()
    if _FULL_NAME.fullmatch(name):
        return name
    ip = address[0].partition("%")[0]
    return f"[IPv6:{ip}]" if ":" in ip else f"[{ip}]"
