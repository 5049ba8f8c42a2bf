"""Carries one letter to a mail server by SMTP (RFC 5321): encrypted and in time, or not at all.

What is asked for is required: without STARTTLS (RFC 3207) or a certificate that can be trusted
nothing is said, and a password goes over TLS alone (RFC 4954, RFC 8314). What a server answers may
repeat the recipient, so of an answer only its code and its enhanced status (RFC 3463) are told.
"""

import base64
import contextlib
import re
import smtplib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from email import policy
from email.errors import MessageError
from email.message import EmailMessage
from email.utils import getaddresses
from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr, ValidationInfo, field_validator

from bienvenue.client_ip import address_of
from bienvenue.settings import Seconds, Section

_PORTS = {"starttls": 587, "tls": 465, "none": 25}
_GOODBYE = 2
"""Seconds to wait for the answer to QUIT, when the letter is with the server already."""
_PROBE = 60
"""Seconds a probe takes at most: an operator waits for it."""
_REPLIES, _AGREED, _GO_ON = range(200, 600), range(200, 300), 334
"""The codes there are, those of a positive completion (RFC 5321 section 4.2.1) and one of AUTH."""
_NEVER = frozenset(range(500, 600)) - {530, 534, 535, 538}
"""Codes of a letter that no server of that name takes. The four left out ask for TLS or a password
(RFC 3207, RFC 4954), which the operator mends.
"""

# Every server carries seven bits; eight of them need an extension (RFC 6152).
_WRITTEN = policy.SMTP.clone(cte_type="7bit")
# What stands in a command as it is; the library would write to what it makes of anything else.
_EMAIL = re.compile(r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~.-]+@[A-Za-z0-9.-]+")
_STATUS = re.compile(rb"([245]\.\d{1,3}\.\d{1,3})(?:\s|$)")
_FULL_NAME = re.compile(r"[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)+")


class MailSettings(Section):
    """How letters leave the house."""

    smtp_host: str | None = Field(
        None,
        description="The mail server that sends emails, by name or IP. Without it emails stay "
        "in the outbox.",
        pattern=r"^[A-Za-z0-9._:-]+$",
    )
    smtp_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        description="Its port. By default 587 with starttls, 465 with tls and 25 with none.",
    )
    smtp_security: Literal["starttls", "tls", "none"] = Field(
        "starttls",
        description="How the conversation is encrypted: starttls, tls from the first byte, or "
        "none. What is asked for is required, never merely tried.",
    )
    smtp_user: str | None = Field(
        None,
        min_length=1,
        description="Who the mail server is told to be talking to. It goes over TLS, or to a host "
        "of this machine.",
    )
    smtp_password: SecretStr | None = Field(
        None, validate_default=True, description="The password of that user."
    )
    smtp_ca_file: Path | None = Field(
        None,
        description="The authorities to trust instead of those of the system, as PEM, for a mail "
        "server with a certificate of your own.",
    )
    smtp_timeout: Seconds = Field(
        15, description="How long the mail server may be silent within one step."
    )
    mail_from: str | None = Field(
        None,
        validate_default=True,
        description="The sender of emails: no-reply@example.org, or with a name, as "
        "Bienvenue <no-reply@example.org>. Required with smtp_host.",
    )

    @property
    def on_this_machine(self) -> bool:
        """Whether the mail server is one of this machine, by its name or ip."""
        return self.smtp_host is not None and _on_this_machine(self.smtp_host)

    @property
    def port(self) -> int:
        """The port of the mail server, the usual one where none is set."""
        return self.smtp_port or _PORTS[self.smtp_security]

    # Each checks against fields above it: a problem of the section as a whole would name none.
    @field_validator("smtp_password")
    @classmethod
    def _both_or_neither(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        if (value is None) != (info.data.get("smtp_user") is None):
            raise ValueError("smtp_user and smtp_password are set together or not at all")
        return value

    @field_validator("mail_from")
    @classmethod
    def _one_email(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is None:
            if info.data.get("smtp_host") is not None:
                raise ValueError("is required with smtp_host")
            return None
        found = [email for _, email in getaddresses([value])]
        # The parser mends what it reads: an email that is not there as it was typed is a guess.
        clear = value.isprintable() and len(found) == 1 and found[0] in value
        if not clear or not _EMAIL.fullmatch(found[0]):
            raise ValueError("is one email, as Bienvenue <no-reply@example.org>")
        return value


class SendProblem(Exception):
    """A letter was not carried.

    The message may be stored and shown: it holds no password, no email and nothing of the letter.
    `permanent` tells that the server will never take this letter, so trying again is of no use.
    """

    def __init__(self, message: str, *, permanent: bool = False) -> None:
        """Take what happened, and whether it will happen every time."""
        super().__init__(message)
        self.permanent = permanent


def carry(
    settings: MailSettings, letter: EmailMessage, sender: str, recipient: str, deadline: float
) -> None:
    """Hand one letter to the mail server; when this returns, the server has accepted it.

    `sender` and `recipient` are the plain emails of the envelope (RFC 5321 section 2.3.1).
    `deadline` is in seconds from now: what is not done then is cut, however slowly the server
    sends. Only the look-up of its name has the patience of the system instead. A letter whose
    acceptance was not heard is a problem too, so it may arrive twice but is never lost.
    Raises SendProblem, permanent after 5xx to MAIL, RCPT or DATA.
    """
    if not _EMAIL.fullmatch(sender) or not _EMAIL.fullmatch(recipient):
        raise SendProblem("the sender or the recipient is no email", permanent=True)
    try:
        content = letter.as_bytes(policy=_WRITTEN)
    except (MessageError, ValueError, LookupError):
        raise SendProblem("the letter cannot be written as SMTP needs it", permanent=True) from None
    with _conversation(settings, deadline) as server:
        server.expect("the sender", server.mail(sender), of_the_letter=True)
        server.expect("the recipient", server.rcpt(recipient), of_the_letter=True)
        try:
            reply = server.data(content)
        except smtplib.SMTPDataError as error:
            raise server.refused(
                "the letter", error.smtp_code, error.smtp_error, of_the_letter=True
            ) from None
        server.expect("the letter", reply, of_the_letter=True)


def probe(settings: MailSettings) -> str:
    """Greet the mail server as `carry` does, send nothing, and tell in a line what was found.

    It takes a minute at most. Raises SendProblem.
    """
    with _conversation(settings, _PROBE) as server:
        version = server.sock.version() if isinstance(server.sock, ssl.SSLSocket) else None
        tls = "no TLS" if version is None else version.replace("TLSv", "TLS ")
        asked = "was given no password" if settings.smtp_user is None else "took the password"
        return f"{server.name} speaks {tls} and {asked}"


@contextlib.contextmanager
def _conversation(settings: MailSettings, deadline: float) -> Iterator["_Server"]:
    """Hold a server that was greeted, encrypted and told who we are. Raises SendProblem."""
    host = settings.smtp_host
    if host is None:
        raise SendProblem("there is no mail server: smtp_host is not set")
    if settings.smtp_user and settings.smtp_security == "none" and not _on_this_machine(host):
        raise SendProblem("a password is sent over TLS alone: smtp_security is none")
    server = _Server(settings, host, deadline)
    try:
        server.meet()
        yield server
    except (OSError, UnicodeError) as error:
        raise server.broken(error) from None
    finally:
        server.leave()


class _Server(smtplib.SMTP):
    """One conversation with a mail server, which ends in time whatever the server does."""

    def __init__(self, settings: MailSettings, host: str, deadline: float) -> None:
        """Take whom to talk to and for how many seconds; nothing is connected yet."""
        # Without a name the library would ask the DNS for one, outside of every time limit.
        super().__init__(local_hostname="localhost", timeout=settings.smtp_timeout)
        self._settings = settings
        self._peer = host
        self._deadline = deadline
        self._end = time.monotonic() + deadline
        self._undo = contextlib.ExitStack()
        self.name = f"{f'[{host}]' if ':' in host else host}:{settings.port}"

    def meet(self) -> None:
        """Connect, greet, encrypt and authenticate. Raises SendProblem, OSError, UnicodeError."""
        security = self._settings.smtp_security
        sock = self._connect()
        if security == "tls":
            self._encrypt(sock)
        self.expect("the connection", self.getreply())
        self.expect("EHLO", self.ehlo())
        if security == "starttls":
            if not self.has_extn("starttls"):
                raise SendProblem(f"{self.name} offers no STARTTLS, and without it nothing is sent")
            self.expect("STARTTLS", self.docmd("STARTTLS"))
            self._encrypt(sock)
            self.expect("EHLO", self.ehlo())
        if self._settings.smtp_user is not None and self._settings.smtp_password is not None:
            self._authenticate(
                self._settings.smtp_user, self._settings.smtp_password.get_secret_value()
            )

    def getreply(self) -> tuple[int, bytes]:
        """Read a reply; one that is none ends the conversation, as a connection that breaks does.

        Raises SMTPServerDisconnected.
        """
        try:
            code, text = super().getreply()
        except smtplib.SMTPResponseException:
            # Its line was too long, and the library makes up a code that the server never said.
            code, text = -1, b""
        if code not in _REPLIES:
            self.close()
            raise smtplib.SMTPServerDisconnected
        return code, text

    def expect(self, what: str, reply: tuple[int, bytes], *, of_the_letter: bool = False) -> None:
        """Raise SendProblem unless the server agreed to something."""
        if reply[0] not in _AGREED:
            raise self.refused(what, *reply, of_the_letter=of_the_letter)

    def refused(
        self, what: str, code: int, text: bytes | str, *, of_the_letter: bool
    ) -> SendProblem:
        """Tell what the server refused, in figures of its own and words of ours."""
        status = _STATUS.match(text if isinstance(text, bytes) else text.encode())
        enhanced = f" {status[1].decode()}" if status else ""
        return SendProblem(
            f"{self.name} refused {what}: {code}{enhanced}",
            permanent=of_the_letter and code in _NEVER,
        )

    def broken(self, error: OSError | UnicodeError) -> SendProblem:
        """Tell why the conversation came to no end of its own."""
        # The library wraps what happened to the connection, and leaves it as the context.
        cause = error.__context__ if isinstance(error, smtplib.SMTPException) else error
        if time.monotonic() >= self._end:
            words = f"was not done within {self._deadline:g} seconds"
        elif isinstance(cause, TimeoutError):
            words = f"was silent for {self.timeout:g} s"
        elif isinstance(error, ssl.SSLCertVerificationError):
            words = f"has a certificate that is not trusted: {error.verify_message}"
        elif isinstance(error, ssl.SSLError):
            words = f"did not agree on TLS: {error.reason or 'no reason given'}"
        elif isinstance(error, smtplib.SMTPException):
            words = "broke off the conversation, or speaks no SMTP"
        else:
            words = f"cannot be reached: {getattr(error, 'strerror', None) or 'it is no host'}"
        return SendProblem(f"{self.name} {words}")

    def leave(self) -> None:
        """Say QUIT if anybody still listens, and close; it never fails."""
        with contextlib.suppress(OSError):
            if self.sock is not None:
                self.sock.settimeout(min(self.timeout, _GOODBYE))
            self.quit()
        self.close()
        self._undo.close()

    def _connect(self) -> socket.socket:
        problem: OSError = TimeoutError()
        ways = socket.getaddrinfo(self._peer, self._settings.port, type=socket.SOCK_STREAM)
        for *_, way in ways:
            left = self._end - time.monotonic()
            if left <= 0:
                break
            try:
                sock = socket.create_connection(
                    (str(way[0]), self._settings.port), min(self.timeout, left)
                )
            except OSError as error:
                problem = error
            else:
                self.sock = sock
                sock.settimeout(self.timeout)
                self.local_hostname = _name_of_ours(sock)
                self._cut_in_time(sock)
                return sock
        raise problem

    def _cut_in_time(self, sock: socket.socket) -> None:
        # TLS takes the connection over and leaves the first socket without it, even while it is
        # only shaking hands; a duplicate reaches the same connection at any time.
        wire = self._undo.enter_context(sock.dup())

        def cut() -> None:
            with contextlib.suppress(OSError):
                wire.shutdown(socket.SHUT_RDWR)

        timer = threading.Timer(max(0.0, self._end - time.monotonic()), cut)
        timer.daemon = True
        timer.start()
        self._undo.callback(timer.join)
        self._undo.callback(timer.cancel)

    def _encrypt(self, sock: socket.socket) -> None:
        try:
            context = ssl.create_default_context(cafile=self._settings.smtp_ca_file)
        except OSError:
            raise SendProblem("smtp_ca_file cannot be read, or holds no PEM") from None
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        self.sock = context.wrap_socket(sock, server_hostname=self._peer)
        # Whatever was read in clear and not yet looked at is forgotten (RFC 3207 section 4.2).
        self.file = None

    def _authenticate(self, user: str, password: str) -> None:
        # One attempt: the library would try each mechanism in turn, and servers count failures.
        offered = self.esmtp_features.get("auth", "").upper().split()
        if "PLAIN" in offered:
            reply = self.docmd("AUTH", "PLAIN " + _base64(f"\0{user}\0{password}"))
        elif "LOGIN" in offered:
            reply = self.docmd("AUTH", "LOGIN")
            for word in (user, password):
                if reply[0] == _GO_ON:
                    reply = self.docmd(_base64(word))
        else:
            raise SendProblem(f"{self.name} takes no password by AUTH PLAIN or LOGIN")
        self.expect("the user and the password", reply)


def _on_this_machine(host: str) -> bool:
    address = address_of(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def _name_of_ours(sock: socket.socket) -> str:
    """Give the full name of this machine, or its ip as RFC 5321 section 4.1.3 writes it."""
    name = socket.gethostname()
    if _FULL_NAME.fullmatch(name):
        return name
    ip = str(sock.getsockname()[0]).partition("%")[0]
    return f"[IPv6:{ip}]" if ":" in ip else f"[{ip}]"


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
