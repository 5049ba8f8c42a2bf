"""Messages sent to a real mail server, and to servers that do what none should."""

from __future__ import annotations

import socket
import ssl
import threading
import time
import traceback
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bienvenue.features.mail import smtp as module
from bienvenue.features.mail.smtp import MailSettings, SendProblem, send
from bienvenue.settings import Settings, SettingsProblem
from tests.conftest import MakeService
from tests.features.relays import (
    DEAF,
    PASSWORD,
    RESET,
    SENDER,
    SILENCE,
    USER,
    Authority,
    Puppet,
    Server,
    knowing,
    made,
    serving,
    to,
    with_,
)
from tests.ports import free_port

RECIPIENT = "amy.recipient@example.com"
SECRETS = (PASSWORD, RECIPIENT, "amy.recipient", "the body of the message")
MOMENT = 0.3
#: Seconds; less than a step may take otherwise, and more than a busy machine takes.
PATIENCE = 50
HELLO = [b"220 hello\r\n", b"250 hello\r\n"]
AGREED = [*HELLO, b"250 ok\r\n", b"250 ok\r\n"]
GO_ON = b"354 go on\r\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


def a_message(body: str = "the body of the message\n", subject: str = "Welcome") -> EmailMessage:
    """Write a message."""
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = SENDER, RECIPIENT, subject
    message.set_content(body)
    return message


def deliver(
    settings: MailSettings, message: EmailMessage | None = None, deadline: float = 10
) -> str:
    """Send a message to Amy."""
    return send(settings, message or a_message(), SENDER, RECIPIENT, deadline)


def problem_of(action: Callable[[], object], *, permanent: bool = False) -> str:
    """Give what an action says went wrong: it tells no secret and leaves no thread behind."""
    with pytest.raises(SendProblem) as caught:
        action()
    written = str(caught.value) + "".join(traceback.format_exception(caught.value))
    assert not [secret for secret in SECRETS if secret in written]
    assert not [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]
    assert caught.value.permanent is permanent
    assert str(caught.value).isprintable()
    return str(caught.value)


def problem(settings: MailSettings, *, permanent: bool = False, **given: Any) -> str:
    """Give what went wrong with a message to Amy."""
    return problem_of(lambda: deliver(settings, **given), permanent=permanent)


def test_a_message_arrives_as_it_was_written() -> None:
    """Lines that begin with a dot, long ones and messages beyond ASCII come out as they went in."""
    server, subject = Server(), "Grüße an alle, 你好, " + "sehr lang " * 20 + "."
    body = ".\n..two\nthe end\n.\n" + "long " * 400 + "\n\nGrüße, 你好\nFrom here\n"
    eight = a_message()
    eight.set_content(".été\n", cte="8bit")
    with serving(server) as settings:
        deliver(settings, a_message(body, subject))
        assert server.arrived()["Subject"] == subject
        assert server.arrived().get_content().replace("\r\n", "\n") == body
        deliver(settings, eight)
        assert server.arrived().get_content().splitlines() == [".été"]
    envelope = server.messages[0]
    assert (envelope.mail_from, envelope.rcpt_tos) == (SENDER, [RECIPIENT])


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_tls(security: str, authority: Authority) -> None:
    """A server whose authority is known takes the message; another authority or name ends it."""
    server = Server()
    how = {"tls_context" if security == "starttls" else "ssl_context": authority.context()}
    with serving(server, require_starttls=security == "starttls", **how) as clear:
        settings = with_(clear, smtp_security=security, smtp_ca_file=authority.file)
        found = deliver(settings)
        unknown = problem(with_(settings, smtp_ca_file=None))
        another = problem(with_(settings, smtp_host="localhost"))
    assert found == f"127.0.0.1:{settings.port} speaks TLS 1.3 and was given no password"
    assert "certificate that is not trusted: " in unknown
    assert "certificate that is not trusted: Hostname mismatch" in another
    assert len(server.messages) == 1


def test_old_tls_is_refused(authority: Authority) -> None:
    """What is older than TLS 1.2 is none (RFC 8996)."""
    context = authority.context()
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
    with pytest.warns(DeprecationWarning, match=r"TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with serving(Server(), tls_context=context) as clear:
        found = problem(with_(clear, smtp_security="starttls", smtp_ca_file=authority.file))
    assert "did not agree on TLS: " in found


def test_starttls_that_is_not_offered() -> None:
    """Nothing is sent in clear where TLS was asked for, also when it fails at the last moment."""
    server = Server()
    with serving(server) as clear:
        assert "offers no STARTTLS" in problem(with_(clear, smtp_security="starttls"))
    assert not server.messages
    puppet = Puppet([HELLO[0], b"250-hello\r\n250 STARTTLS\r\n", b"454 not now\r\n"])
    with puppet as clear:
        assert problem(with_(clear, smtp_security="starttls")).endswith("refused STARTTLS: 454")
    assert puppet.heard[1:] == [b"STARTTLS\r\n"]


def test_tls_where_there_is_none() -> None:
    """A server that speaks in clear first is not understood; authorities are to be readable."""
    with Puppet(HELLO[:1]) as clear:
        assert "did not agree on TLS: " in problem(with_(clear, smtp_security="tls"))
    found = problem(with_(to(25), smtp_security="tls", smtp_ca_file=Path(__file__)))
    assert found == "smtp_ca_file cannot be read, or holds no PEM"


@pytest.mark.parametrize("mechanism", ["PLAIN", "LOGIN"])
def test_authentication(mechanism: str, authority: Authority) -> None:
    """The right password is taken, by either mechanism; a wrong one is tried once."""
    server = Server()
    options = {
        "tls_context": authority.context(),
        "authenticator": server.login,
        "auth_required": True,
        "auth_exclude_mechanism": {"PLAIN", "LOGIN"} - {mechanism},
    }
    with serving(server, **options) as clear:
        settings = with_(clear, smtp_security="starttls", smtp_ca_file=authority.file)
        assert deliver(knowing(settings)).endswith(" speaks TLS 1.3 and took the password")
        assert server.mechanisms == [mechanism]
        wrong = problem(knowing(settings, "another password"))
        missing = problem(settings)
    assert server.mechanisms == [mechanism] * 2
    assert wrong.endswith("refused the user and the password: 535 5.7.8")
    assert missing.endswith("refused the sender: 530 5.7.0")
    assert len(server.messages) == 1


@pytest.mark.parametrize(
    ("says", "told"),
    [
        (HELLO, "takes no password by AUTH PLAIN or LOGIN"),
        ([HELLO[0], b"250-hello\r\n250 AUTH CRAM-MD5\r\n"], "takes no password by AUTH"),
        ([HELLO[0], b"250-hello\r\n250 AUTH LOGIN\r\n", b"504 5.5.4 no\r\n"], ": 504 5.5.4"),
    ],
)
def test_a_server_that_takes_no_password(says: list[bytes], told: str) -> None:
    """It is not taken for one that lets everybody in."""
    with Puppet(says) as clear:
        assert told in problem(knowing(clear))


@pytest.mark.parametrize("host", ["192.0.2.7", "mail.example.org", "2001:db8::7"])
def test_no_password_in_clear_to_another_machine(
    host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused before anything is connected; this machine may be told."""
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: pytest.fail("it was looked up"))
    found = problem(knowing(to(25, host)))
    assert found == "a password is sent over TLS alone: smtp_security is none"
    for ours in ("127.8.9.1", "::1", "localhost", "LOCALHOST"):
        assert to(25, ours).on_this_machine


#: What a server can be asked before it says no, and what it then refuses.
ASKED = {
    "the sender": HELLO,
    "the recipient": AGREED[:3],
    "DATA": AGREED,
    "the message": [*AGREED, GO_ON],
}


def refused(asked: str, answer: str, *, permanent: bool, of_message: bool) -> str:
    """Let a server refuse, and give what the problem says it said."""
    puppet = Puppet([*ASKED[asked], answer.encode() + b"\r\n", b"221 bye\r\n"])
    with puppet as settings, pytest.raises(SendProblem) as caught:
        deliver(settings)
    assert puppet.heard[-1] == b"QUIT\r\n"
    assert (caught.value.permanent, caught.value.of_message) == (permanent, of_message)
    assert not [secret for secret in SECRETS if secret in str(caught.value)]
    what = "the message" if asked == "DATA" else asked
    start = f"127.0.0.1:{settings.port} refused {what}: "
    assert str(caught.value).startswith(start)
    return str(caught.value).removeprefix(start)


@pytest.mark.parametrize("asked", ASKED)
@pytest.mark.parametrize(
    ("answer", "told", "permanent"),
    [
        (f"550 5.1.1 <{RECIPIENT}> is unknown\x1b[31m", "550 5.1.1", True),
        (f"552 {RECIPIENT} 5.2.2 is full", "552", False),
        ("450 4.2.1 later", "450 4.2.1", False),
        ("530 5.7.0 who are you?", "530 5.7.0", False),
        ("399 what?", "399", False),
    ],
)
def test_a_message_that_is_refused(asked: str, answer: str, told: str, permanent: bool) -> None:
    """Only a recipient is refused for ever; of the words nothing is repeated."""
    at_rcpt, at_mail = asked == "the recipient", asked == "the sender"
    of_mailbox = told in {"550 5.1.1", "450 4.2.1"}
    found = refused(
        asked,
        answer,
        permanent=permanent and not at_mail,
        of_message=at_rcpt or (of_mailbox and not at_mail),
    )
    assert found == told


@pytest.mark.parametrize(
    ("asked", "answer", "permanent"),
    [
        # The sender is the operator's: SES, Mailgun and Postfix say it so.
        ("the sender", "550 5.1.8 sender address rejected: domain not found", False),
        ("the sender", "550 5.7.1 not a verified sender identity", False),
        ("the sender", "553 sender address rejected: not owned by user", False),
        ("the message", "554 Message rejected: Email address is not verified.", False),
        ("the recipient", "550 5.1.7 sender address is malformed", False),
        ("the recipient", "550 5.1.8 sender has no mail server", False),
        # So are policy and quota.
        ("the recipient", "554 5.7.1 relay access denied", False),
        ("the recipient", "554 relay access denied", False),
        ("the recipient", "550 5.7.26 unauthenticated sender", False),
        ("the recipient", "550 5.4.5 daily sending quota exceeded", False),
        ("the message", "552 5.4.5 Daily user sending limit exceeded", False),
        ("the message", "550 5.7.1 looks like spam", False),
        ("the message", "552 too much mail", False),
        ("DATA", "503 5.5.1 no valid recipients", False),
        ("the recipient", "552 5.3.4 message size exceeds limit", False),
        # A mailbox may be emptied or opened.
        ("the recipient", "552 5.2.2 mailbox full", False),
        ("the recipient", "550 5.2.1 mailbox disabled", False),
        ("the recipient", "452 4.2.2 mailbox full", False),
        ("the recipient", "450 5.1.1 the code says later", False),
        # These mailboxes are not there, or never take this message.
        ("the recipient", "550 no such user", True),
        ("the recipient", "551 user not local", True),
        ("the recipient", "553 mailbox name not allowed", True),
        ("the recipient", "550 5.1.10 recipient not found", True),
        ("the recipient", "556 5.1.10 recipient address has null MX", True),
        ("the recipient", "550 5.4.1 recipient address rejected: access denied", True),
        ("the message", "550 5.1.1 no such user", True),
        ("the message", "554 5.6.0 message is malformed", True),
    ],
)
def test_whose_fault_a_refusal_is(asked: str, answer: str, permanent: bool) -> None:
    """What the operator or the owner of a mailbox can mend is tried again (RFC 3463)."""
    at_rcpt = asked == "the recipient"
    refused(asked, answer, permanent=permanent, of_message=at_rcpt or permanent)


@pytest.mark.parametrize("end", [GO_ON, RESET])
def test_a_server_that_hangs_up_within_the_email(end: bytes) -> None:
    """Whether it accepted the message is unknown, so the message is sent again."""
    with Puppet([*AGREED, end]) as settings:
        assert "broke off the conversation" in problem(settings)


@pytest.mark.parametrize("said", [[SILENCE], HELLO[:1], [*AGREED, SILENCE]])
def test_a_server_that_stalls(said: list[bytes]) -> None:
    """A step ends when its time is over."""
    began = time.monotonic()
    with Puppet([*said, SILENCE]) as settings:
        found = problem(with_(settings, smtp_timeout=MOMENT))
    assert found.endswith("was silent for 0.3 s")
    assert time.monotonic() - began < PATIENCE


@pytest.mark.parametrize("deadline", [MOMENT, 10])
def test_a_server_that_stalls_within_tls(authority: Authority, deadline: float) -> None:
    """Before its greeting, and with the message; its end of TLS is not waited for."""
    for said in ([], [*AGREED, GO_ON]):
        began = time.monotonic()
        with Puppet([*said, SILENCE], tls=authority.context()) as clear:
            settings = with_(clear, smtp_security="tls", smtp_ca_file=authority.file)
            found = problem(with_(settings, smtp_timeout=2 * MOMENT), deadline=deadline)
        assert time.monotonic() - began < PATIENCE
        assert found.endswith("was silent for 0.6 s" if deadline == 10 else "within 0.3 seconds")


def test_a_server_that_hangs_up_instead_of_tls() -> None:
    """It is told from one that hangs up later."""
    said = [HELLO[0], b"250-hello\r\n250 STARTTLS\r\n", b"220 go\r\n"]
    with Puppet([*said, RESET]) as clear:
        assert "did not agree on TLS" in problem(with_(clear, smtp_security="starttls"))


@pytest.mark.parametrize(
    ("says", "pause", "security"),
    [
        ([b"220 " + b"x" * 400], 0.02, "none"),
        ([*HELLO[:1], b"250-hello\r\n" * 40], 0.02, "none"),
        ([SILENCE], 0.0, "tls"),
        ([HELLO[0], b"250-hello\r\n250 STARTTLS\r\n", b"220 go\r\n", SILENCE], 0.0, "starttls"),
        ([*AGREED, GO_ON, SILENCE], 0.0, "none"),
        ([*AGREED, GO_ON, DEAF], 0.0, "none"),
    ],
)
def test_the_deadline(says: list[bytes], pause: float, security: str) -> None:
    """The whole is cut, whether the server drips, is silent within TLS or does not listen."""
    message, began = a_message(), time.monotonic()
    if DEAF in says:
        message.set_content("more than is on the way at once " * 50_000, cte="base64")
    with Puppet(says, pause) as settings:
        secure = with_(settings, smtp_security=security)
        found = problem(secure, message=message, deadline=MOMENT)
        assert MOMENT <= time.monotonic() - began < PATIENCE
    assert found.endswith("was not done within 0.3 seconds")


def test_a_file_of_authorities_is_read_at_the_start(
    make_service: MakeService, authority: Authority, tmp_path: Path
) -> None:
    """One that cannot be read is found then, and not at the first email."""
    given = {"smtp_host": "mail.example.org", "mail_from": "no-reply@example.org"}
    service = make_service(**given, smtp_ca_file=authority.file)
    assert service.auth.mail.settings.smtp_ca_file == authority.file
    with pytest.raises(SettingsProblem, match="SMTP_CA_FILE"):
        make_service(**given, smtp_ca_file=tmp_path / "nothing.pem")


def test_a_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """It does not listen, its name is unknown, there is no route to it, or no time is left."""
    port = free_port()
    assert problem(to(port)) == f"127.0.0.1:{port} cannot be reached: Connection refused"
    assert problem(to(port, "::1")).startswith(f"[::1]:{port} cannot be reached: ")
    assert problem(to(port, "a..b")) == f"a..b:{port} cannot be reached: it is no host"
    assert "was not done within 0 seconds" in problem(to(port), deadline=0)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [])
    nowhere = problem(to(port, "mail.example.org"))
    assert nowhere.startswith(f"mail.example.org:{port} cannot be reached: ")


def test_a_server_with_several_ips(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next is tried when one does not answer."""
    look_up, server = socket.getaddrinfo, Server()

    def looked_up(host: str, *given: Any, **named: Any) -> list[Any]:
        ips = ["127.0.0.9", "127.0.0.1"] if host == "mail.example.org" else [host]
        return [way for ip in ips for way in look_up(ip, *given, **named)]

    with serving(server) as settings:
        monkeypatch.setattr(socket, "getaddrinfo", looked_up)
        deliver(with_(settings, smtp_host="mail.example.org"))
    assert len(server.messages) == 1


@pytest.mark.parametrize("banner", [b"hello\r\n", b"999 what\r\n", b"220 " + b"x" * 9000, b"\r\n"])
def test_what_speaks_no_smtp(banner: bytes) -> None:
    """It is told from a refusal."""
    with Puppet([banner]) as settings:
        assert problem(settings).endswith("broke off the conversation, or speaks no SMTP")


@pytest.mark.parametrize("says", [[b"554 5.3.2 no\r\n"], [HELLO[0], b"502 5.5.1 no\r\n"]])
def test_a_server_that_lets_no_one_in(says: list[bytes]) -> None:
    """It may tomorrow: nothing was said of this message yet."""
    with Puppet(says) as settings:
        assert " refused " in problem(settings)


@pytest.mark.parametrize("goodbye", [b"500 no\r\n", b"what?\r\n", SILENCE, RESET])
def test_a_goodbye_that_fails(goodbye: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message is with the server, whatever it says to QUIT."""
    monkeypatch.setattr(module, "_GOODBYE", MOMENT)
    puppet = Puppet([*AGREED, GO_ON, b"250 taken\r\n", goodbye])
    with puppet as settings:
        deliver(settings)
    assert puppet.heard[-1] == b"QUIT\r\n"


@pytest.mark.parametrize(
    ("sender", "recipient"),
    [
        (SENDER, f"{RECIPIENT}\r\nRCPT TO:<other@example.com>"),
        ("Bienvenue <no-reply@example.org>", RECIPIENT),
        (SENDER, "amy(recipient)@example.com"),
        (SENDER, "amy,recipient@example.com"),
        (SENDER, "ämy@example.com"),
        (SENDER, "amy"),
        ("", RECIPIENT),
    ],
)
def test_what_is_no_email(sender: str, recipient: str) -> None:
    """No server is asked to accept a message there, and no other try is made."""
    problem_of(lambda: send(to(25), a_message(), sender, recipient, 10), permanent=True)


def test_what_cannot_be_sent_at_all() -> None:
    """A message that cannot be written never goes; without a server none does."""
    message = a_message()
    message.set_payload("é \udc80", None)
    message.replace_header("Content-Type", 'text/plain; charset="no-such"')
    assert "cannot be written" in problem(to(25), message=message, permanent=True)
    assert problem(made()) == "there is no mail server: smtp_host is not set"


@pytest.mark.parametrize(
    ("name", "told"), [("mail.example.org", "mail.example.org"), ("laptop", "[127.0.0.1]")]
)
def test_the_name_of_this_machine(name: str, told: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """EHLO says a full name or an ip, and asks no DNS (RFC 5321 section 4.1.1.1)."""
    monkeypatch.setattr(socket, "gethostname", lambda: name)
    puppet = Puppet([*AGREED, GO_ON, b"250 taken\r\n", b"221 bye\r\n"])
    with puppet as settings:
        assert deliver(settings) == (
            f"127.0.0.1:{settings.port} speaks no TLS and was given no password"
        )
    assert puppet.heard[0] == f"EHLO {told}\r\n".encode()
    assert puppet.heard[-1] == b"QUIT\r\n"


def test_an_address_of_version_six(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is written with its tag (RFC 5321 section 4.1.3)."""
    monkeypatch.setattr(socket, "gethostname", lambda: "laptop")
    assert module._name_of_ours(("fe80::1%eth0", 25)) == "[IPv6:fe80::1]"


SERVER = {"smtp_host": "smtp.example.org", "mail_from": "no-reply@example.org"}


def test_the_settings(tmp_path: Path) -> None:
    """The port follows from the security; the password may stand in a file."""
    (tmp_path / "password").write_text(PASSWORD)
    given = {"smtp_host": "smtp.example.org", "mail_from": "Bienvenue <no-reply@example.org>"}
    environ = {
        "BIENVENUE_SMTP_USER": USER,
        "BIENVENUE_SMTP_PASSWORD_FILE": str(tmp_path / "password"),
    }
    settings = Settings(environ, **given).of(MailSettings)
    assert settings.smtp_password == SecretStr(PASSWORD)
    assert (settings.port, settings.smtp_timeout) == (587, 15)
    assert made(**SERVER, smtp_security="tls").port == 465
    assert made(**SERVER, smtp_security="none").port == 25
    assert made(**SERVER, smtp_port=2525).port == 2525


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"smtp_host": "smtp.example.org"}, "MAIL_FROM"),
        ({"smtp_host": "smtp.example.org/", "mail_from": SENDER}, "SMTP_HOST"),
        ({**SERVER, "smtp_user": USER}, "SMTP_PASSWORD"),
        ({**SERVER, "smtp_user": USER, "smtp_password": ""}, "SMTP_PASSWORD"),
        ({**SERVER, "smtp_ca_file": __file__}, "SMTP_CA_FILE"),
        ({"smtp_user": USER, "smtp_password": PASSWORD}, "SMTP_USER"),
        ({"smtp_port": "25"}, "SMTP_PORT"),
        ({"smtp_security": "none"}, "SMTP_SECURITY"),
        ({"smtp_timeout": "5s"}, "SMTP_TIMEOUT"),
        ({"smtp_ca_file": __file__}, "SMTP_CA_FILE"),
        ({"smtp_password": PASSWORD}, "SMTP_PASSWORD"),
        ({"mail_from": "Bienvenue"}, "MAIL_FROM"),
        ({"mail_from": "Acme, Inc <no-reply@example.org>"}, "MAIL_FROM"),
        ({"mail_from": "a@example.org, b@example.org"}, "MAIL_FROM"),
        ({"mail_from": "no reply@example.org"}, "MAIL_FROM"),
        ({"mail_from": "Bienvenue\r\nBcc: x <no-reply@example.org>"}, "MAIL_FROM"),
    ],
)
def test_settings_that_have_no_sense(given: dict[str, str], named: str) -> None:
    """The problem names the variable, and never the password."""
    with pytest.raises(SettingsProblem, match=rf"\ABIENVENUE_{named}: [^;]*\Z") as caught:
        Settings({}, **given).of(MailSettings)
    assert PASSWORD not in str(caught.value)
