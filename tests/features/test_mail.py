"""mail: a message for what happened, sent once, and no link kept that works."""

from __future__ import annotations

import json
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from bienvenue import purposes
from bienvenue.authentication import CODE, Caller, Channel
from bienvenue.features.mail import (
    LinkGone,
    Mail,
    Message,
    MessageState,
    NoSuchMessage,
    SendProblem,
    smtp,
)
from bienvenue.features.mail.models import GIVE_UP, KEPT, LEASE
from bienvenue.settings import SettingsProblem
from bienvenue.user import table_of
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.hearing import Hearing

DAY = 86400
LINK = "/reset_password?token=not-a-real-one"


class MailServer:
    """In place of a mail server: what was sent to it, and how it fails next."""

    def __init__(self) -> None:
        """Begin with nothing, and nothing wrong."""
        self.messages: list[EmailMessage] = []
        self.problems: list[Exception] = []

    def send(self, _settings: Any, message: EmailMessage, sender: str, *_: Any) -> None:
        """Accept a message, or fail as the test says."""
        assert sender == "no-reply@example.org"
        if self.problems:
            raise self.problems.pop(0)
        self.messages.append(message)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> MailServer:
    """A mail server that is a list."""
    made = MailServer()
    monkeypatch.setattr(smtp, "send", made.send)
    return made


@pytest.fixture
def sending(make_service: MakeService) -> Service:
    """A service with a server to send by."""
    return make_service(smtp_host="mail.example.org", mail_from="Us <no-reply@example.org>")


def written(service: Service, email: str = EMAIL, **given: Any) -> Message:
    """Write a message and give its row."""
    with service.auth._db.transaction():
        told = service.auth.mail.write(
            given.pop("kind", "test"), email, given.pop("user_id", None), {"ip": ""}, **given
        )
    return service.auth.mail.find(told["message_uid"])


def text_of(message: EmailMessage) -> str:
    """Give what a person reads."""
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def rows(service: Service) -> list[Any]:
    """Give every row of the outbox, whatever its state."""
    with service.auth._db.reading() as tx:
        return list(tx.execute(select(Message.__table__).order_by(Message.id)).all())


# --- writing ------------------------------------------------------------------------------------


def test_a_message_exists_when_its_event_does(service: Service) -> None:
    """It is a row of the same transaction."""

    def fails() -> None:
        with service.auth._db.transaction():
            service.auth.mail.write("test", EMAIL, None, {})
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert rows(service) == []


def test_a_link_is_stored_encrypted(service: Service) -> None:
    """No column shows it; the key ring opens it, for this purpose alone."""
    row = written(service, kind="password_reset", link=LINK, expires=4e9)
    (stored,) = rows(service)
    assert "not-a-real-one" not in repr(tuple(stored))
    assert row.encrypted_link is not None
    assert service.auth.keys.decrypt(purposes.EMAILED_LINK, row.encrypted_link) == LINK.encode()
    message = service.auth.mail.read(row.uid)
    html = message.get_body(("html",))
    assert html is not None
    for part in (text_of(message), html.get_content()):
        assert f"http://localhost:5000{LINK}" in part


@pytest.mark.usefixtures("moving_clock")
def test_an_email_says_what_happened_where_and_what_to_do(make_service: MakeService) -> None:
    """Device, time and ip on one line, and whom to ask; the HTML part says the same."""
    service = make_service(support_email="help@example.org")
    auth = service.auth
    user = auth.register_user(EMAIL, PASSPHRASE)
    auth.sessions.sign_in(Caller("visitor", Channel.API, ip=""), EMAIL, PASSPHRASE)
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    auth.sessions.sign_in(
        Caller("visitor", Channel.API, ip="203.0.113.7", agent=firefox),
        EMAIL,
        PASSPHRASE,
    )
    row = next(row for row in rows(service) if row.kind == "new_device")
    mail = auth.mail.read(row.uid)
    paragraphs = [
        "Hi,",
        f"Someone signed in to your Bienvenue account {user.email} from a new device.",
        "Firefox on Linux · 15 January 2027, 08:00 UTC · 203.0.113.7",
        (
            "If it was you, you don't need to do anything. If it wasn't, change your password now."
            " That signs out all other devices:"
        ),
        "http://localhost:5000/password",
        "Questions? Contact support: help@example.org",
    ]
    assert text_of(mail) == "\n\n".join(paragraphs) + "\n"
    html = mail.get_body(("html",))
    assert html is not None
    assert paragraphs[2] in html.get_content()


def test_an_email_of_an_earlier_version_names_no_lifetime(service: Service) -> None:
    """Its facts do not say for how long its link works."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.password_reset.request(CODE, EMAIL)
    (row,) = (row for row in rows(service) if row.state != MessageState.VOID)
    assert "It works once, for 1 hour:" in text_of(service.auth.mail.read(row.uid))
    with service.auth._db.transaction() as tx:
        tx.execute(update(table_of(Message)).values(facts='{"ip": "", "language": "en"}'))
    assert "It works once, for a limited time:" in text_of(service.auth.mail.read(row.uid))


def test_nothing_of_a_visitor_makes_a_header(make_service: MakeService) -> None:
    """A name with a line break is refused at the start; HTML is escaped."""
    with pytest.raises(SettingsProblem, match="SERVICE_NAME"):
        make_service(service_name="A <b>\r\nBcc: x@example.org")
    service = make_service(service_name="A <b>")
    message = service.auth.mail.read(written(service).uid)
    assert message["Subject"] == "Test email from A <b>"
    assert "Bcc" not in message.keys()  # noqa: SIM118 (a message is no mapping)
    html = message.get_body(("html",))
    assert html is not None
    assert "A &lt;b&gt;" in html.get_content()


def test_a_folder_of_templates_comes_first(make_service: MakeService, tmp_path: Path) -> None:
    """What it does not have is ours."""
    folder = tmp_path / "ours" / "bienvenue" / "mail"
    folder.mkdir(parents=True)
    (folder / "test.txt").write_text("Subject: Bonjour\nVoilà {{ email }}.\n", encoding="utf-8")
    service = make_service(templates=tmp_path / "ours")
    message = service.auth.mail.read(written(service).uid)
    assert message["Subject"] == "Bonjour"
    html = message.get_body(("html",))
    assert html is not None
    assert f"Voilà {EMAIL}." in html.get_content()


# --- sending ------------------------------------------------------------------------------------


def test_without_a_server_messages_stay(service: Service, server: MailServer) -> None:
    """Encrypted, in the table, for the operator."""
    row = written(service)
    service.auth.work()
    assert (server.messages, service.auth.mail.find(row.uid).state) == ([], MessageState.WAITING)


def test_a_message_is_sent_once_and_its_link_is_erased(
    sending: Service, server: MailServer
) -> None:
    """With the sender that was set, and a Message-ID of its own."""
    row = written(sending, kind="password_reset", link=LINK, expires=4e9)
    sending.auth.work()
    sending.auth.work()
    (message,) = server.messages
    assert LINK in text_of(message)
    assert (message["From"], message["To"]) == ("Us <no-reply@example.org>", EMAIL)
    assert message["Message-ID"] == f"<{row.uid}@example.org>"
    found = sending.auth.mail.find(row.uid)
    assert (found.state, found.encrypted_link, found.problem) == (MessageState.SENT, None, None)
    assert "[link removed]" in text_of(sending.auth.mail.read(row.uid))


def test_a_server_in_trouble_is_tried_later_and_later(
    sending: Service, server: MailServer, moving_clock: Clock
) -> None:
    """After half a minute, a minute, two; a batch ends when three messages fail."""
    uids = [written(sending).uid for _ in range(5)]
    server.problems = [SendProblem("it is away") for _ in range(3)]
    sending.auth.work()
    assert len(server.messages) == 0
    tried = [row for row in rows(sending) if row.tries]
    assert [(row.problem, row.due_at - moving_clock.time) for row in tried] == [
        ("it is away", 30)
    ] * 3
    sending.auth.work()
    assert [message["Message-ID"].split("@")[0][1:] for message in server.messages] == uids[3:]
    moving_clock.forward(30)
    server.problems = [SendProblem("it is away")]
    sending.auth.work()
    assert sending.auth.mail.find(uids[0]).due_at == moving_clock.time + 60
    moving_clock.forward(60)
    sending.auth.work()
    assert len(server.messages) == 5
    assert {row.state for row in rows(sending)} == {MessageState.SENT}


@pytest.mark.parametrize("problem", ["refused", "two days"])
def test_a_message_no_server_accepts_is_given_up_with_its_link(
    sending: Service, server: MailServer, moving_clock: Clock, problem: str
) -> None:
    """At once when there is no such mailbox, else after two days; resent, it is what it was."""
    hearing = Hearing(sending.auth)
    row = written(sending, kind="password_reset", link=LINK, expires=4e9)
    if problem == "two days":
        moving_clock.forward(GIVE_UP)
    permanent = problem == "refused"
    server.problems = [SendProblem("no: 550", permanent=permanent, of_message=True)]
    sending.auth.work()
    found = sending.auth.mail.find(row.uid)
    assert (found.state, found.problem) == (MessageState.DEAD, "no: 550")
    assert hearing.only("email.failed").facts == {"message": "password_reset"}
    assert sending.auth.mail.undelivered() == 1
    sending.auth.mail.resend(row.uid)
    sending.auth.work()
    assert sending.auth.mail.find(row.uid).state == MessageState.SENT
    assert sending.auth.mail.undelivered() == 0
    assert LINK in text_of(server.messages[-1])


def test_a_server_that_refuses_its_sender_costs_no_link(
    sending: Service, server: MailServer, moving_clock: Clock
) -> None:
    """A message with a link waits while that works; one without, for two days."""
    user = sending.auth.register_user(EMAIL, PASSPHRASE)
    sending.auth.email_change.set(CODE, EMAIL, "new@example.org")
    notice = written(sending, user_id=user.id)
    undo = next(row for row in rows(sending) if row.kind == "email_changed")
    days = int((undo.expires_at - moving_clock.time) // DAY)
    for _ in range(days - 1):
        moving_clock.forward(DAY)
        server.problems = [SendProblem("refused the sender: 550 5.7.1") for _ in range(3)]
        sending.auth.work()
        sending.auth.sweep(moving_clock.time)
    assert sending.auth.mail.find(notice.uid).state == MessageState.DEAD
    waiting = sending.auth.mail.find(undo.uid)
    assert (waiting.state, waiting.problem) == (
        MessageState.WAITING,
        "refused the sender: 550 5.7.1",
    )
    assert sending.auth.mail.delayed() == (1, "refused the sender: 550 5.7.1")
    moving_clock.forward(3600)
    server.problems = []
    sending.auth.work()
    (message,) = server.messages
    link = next(line for line in text_of(message).splitlines() if "?token=" in line)
    token = link.partition("?token=")[2]
    assert sending.auth.email_change.restore(CODE, token) == EMAIL


def test_trouble_with_mailboxes_delays_no_other(sending: Service, server: MailServer) -> None:
    """Ten of them are full, or not there, before the eleventh is written to in the same batch."""
    for _ in range(10):
        written(sending)
    good = written(sending, "amy@example.org")
    server.problems = [
        SendProblem("refused the recipient", of_message=True, permanent=number % 2 == 0)
        for number in range(10)
    ]
    sending.auth.work()
    assert [message["To"] for message in server.messages] == ["amy@example.org"]
    assert sending.auth.mail.find(good.uid).state == MessageState.SENT


@pytest.mark.parametrize("gone", ["sent", "withdrawn", "expired", "spent", "undecipherable"])
def test_a_message_is_resent_whole_or_not_at_all(
    sending: Service, server: MailServer, moving_clock: Clock, gone: str
) -> None:
    """A link that does not work any more is not announced; nothing changes."""
    row = written(sending, kind="password_reset", link=LINK, expires=moving_clock.time + DAY)
    mail = sending.auth.mail
    if gone == "sent":
        sending.auth.work()
    elif gone == "withdrawn":
        assert mail.withdraw(row.uid) == 1
    elif gone == "expired":
        moving_clock.forward(DAY)
    elif gone == "spent":
        with sending.auth._db.transaction():
            mail.erase([row.uid])
    else:
        with sending.auth._db.transaction() as tx:
            tx.change(update(Message).values(encrypted_link=b"x" * 40))
    before, sent = rows(sending), len(server.messages)
    with pytest.raises(LinkGone):
        mail.resend(row.uid)
    assert rows(sending) == before
    sending.auth.work()
    assert len(server.messages) == sent


def test_a_link_that_cannot_be_decrypted_is_not_sent(sending: Service, server: MailServer) -> None:
    """The message is given up: the check-up says so."""
    row = written(sending, kind="password_reset", link=LINK, expires=4e9)
    with sending.auth._db.transaction() as tx:
        tx.change(update(Message).values(encrypted_link=b"x" * 40))
    sending.auth.work()
    assert server.messages == []
    assert sending.auth.mail.find(row.uid).state == MessageState.DEAD


def test_a_first_mail_server_gets_no_old_news(
    make_service: MakeService, server: MailServer, moving_clock: Clock
) -> None:
    """Old notices are withdrawn, fresh ones and working links are sent from the base URL of now."""
    without = make_service()
    old = written(without)
    link = written(without, kind="password_reset", link=LINK, expires=moving_clock.time + 9 * DAY)
    moving_clock.forward(GIVE_UP)
    fresh = written(without)
    without.auth.work()
    without.auth.sweep(moving_clock.time)
    assert {row.state for row in rows(without)} == {MessageState.WAITING}
    service = make_service(
        smtp_host="mail.example.org",
        mail_from="no-reply@example.org",
        base_url="https://login.example.org",
    )
    service.auth.work()
    service.auth.sweep(moving_clock.time)
    assert len(server.messages) == 2
    assert f"https://login.example.org{LINK}" in text_of(server.messages[0])
    found = service.auth.mail.find(old.uid)
    assert (found.state, found.problem) == (
        MessageState.WITHDRAWN,
        "it waited for two days without a mail server",
    )
    for uid in (link.uid, fresh.uid):
        assert service.auth.mail.find(uid).state == MessageState.SENT
    service.auth.mail.resend(old.uid)
    service.auth.work()
    assert len(server.messages) == 3


def test_the_operator_withdraws_what_was_not_sent(sending: Service, server: MailServer) -> None:
    """One message or all; what was sent stays as it is."""
    mail = sending.auth.mail
    sent = written(sending)
    sending.auth.work()
    first, second = (
        written(sending),
        written(sending, kind="password_reset", link=LINK, expires=4e9),
    )
    with pytest.raises(NoSuchMessage):
        mail.withdraw("no such name")
    assert [mail.withdraw(sent.uid), mail.withdraw(first.uid), mail.withdraw()] == [0, 1, 1]
    assert mail.find(second.uid).encrypted_link is None
    sending.auth.work()
    assert len(server.messages) == 1
    assert mail.undelivered() == 0


def test_the_only_message_with_a_link_is_kept_while_it_works(
    service: Service, moving_clock: Clock
) -> None:
    """A closed account can be reopened for ninety days; other messages go after thirty."""
    link = written(service, kind="password_reset", link=LINK, expires=moving_clock.time + 90 * DAY)
    written(service)
    assert service.auth.mail.sweep(moving_clock.time + KEPT, 9) == 1
    assert [row.uid for row in rows(service)] == [link.uid]
    assert service.auth.mail.sweep(moving_clock.time + 90 * DAY, 9) == 2


@pytest.mark.usefixtures("server")
def test_a_message_that_cannot_be_made_waits_for_its_template(
    make_service: MakeService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The others are sent, and people read what can be read."""
    folder = tmp_path / "ours" / "bienvenue" / "mail"
    folder.mkdir(parents=True)
    (folder / "password_reset.txt").write_text("Subject: {{ missing.name }}\n")
    service = make_service(
        smtp_host="mail.example.org", mail_from="no-reply@example.org", templates=tmp_path / "ours"
    )
    broken, good = written(service, kind="password_reset"), written(service)
    service.auth.work()
    found = service.auth.mail.find(broken.uid)
    assert (found.state, found.problem) == (
        MessageState.WAITING,
        "it cannot be made: UndefinedError",
    )
    assert service.auth.mail.find(good.uid).state == MessageState.SENT
    assert "cannot be made" in caplog.text
    assert list(service.auth.mail.texts([broken.uid, good.uid])) == [good.uid]


def test_a_worker_that_is_late_gives_nothing_up(
    sending: Service, server: MailServer, moving_clock: Clock
) -> None:
    """The message is sent again under the same Message-ID, and no event says otherwise."""
    written(sending)
    mail = sending.auth.mail
    late = mail._queue.claim()
    sending.auth.work()
    assert server.messages == []
    moving_clock.forward(LEASE)
    sending.auth.work()
    assert [message["Message-ID"] for message in server.messages] == [f"<{late.uid}@example.org>"]
    heard = Hearing(sending.auth)
    mail._failed(late, SendProblem("no such mailbox: 550", permanent=True))
    assert "email.failed" not in heard.names
    assert mail.find(late.uid).state == MessageState.SENT


def test_an_expired_link_is_not_sent(
    sending: Service, server: MailServer, moving_clock: Clock
) -> None:
    """The sweep erases it."""
    row = written(sending, kind="password_reset", link=LINK, expires=moving_clock.time + 60)
    moving_clock.forward(60)
    assert "[link removed]" in text_of(sending.auth.mail.read(row.uid))
    sending.auth.work()
    assert server.messages == []
    sending.auth.sweep(moving_clock.time)
    found = sending.auth.mail.find(row.uid)
    assert (found.state, found.encrypted_link) == (MessageState.WITHDRAWN, None)


# --- reading and erasing ------------------------------------------------------------------------


def test_messages_without_a_recipient_are_not_shown(service: Service, moving_clock: Clock) -> None:
    """They are swept at once."""
    with service.auth._db.transaction():
        told = service.auth.mail.write(
            "password_reset", "", None, {"ip": ""}, link=LINK, expires=4e9
        )
    assert service.auth.mail.list() == []
    with pytest.raises(NoSuchMessage):
        service.auth.mail.find(told["message_uid"])
    assert len(rows(service)) == 1
    service.auth.sweep(moving_clock.time)
    assert rows(service) == []


def test_old_messages_are_swept(service: Service, moving_clock: Clock) -> None:
    """After thirty days, and the counts of requests after one."""
    written(service)
    with service.auth._db.transaction():
        assert service.auth.mail.may_ask("test", EMAIL, 60, 5)
        assert not service.auth.mail.may_ask("test", EMAIL, 60, 5)
    assert service.auth.mail.sweep(moving_clock.time + KEPT - 1, 9) == 1
    assert service.auth.mail.sweep(moving_clock.time + KEPT, 9) == 1
    assert service.auth.mail.sweep(moving_clock.time + KEPT, 9) == 0


def test_an_account_takes_its_messages_along(service: Service) -> None:
    """Deleted, they go."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    written(service, kind="password_reset", user_id=user.id, link=LINK, expires=4e9)
    told = service.auth.mail.export(user.id)["emails"]
    assert [(one["to"], one["subject"], one["state"]) for one in told] == [
        (EMAIL, "Reset your Bienvenue password", "waiting")
    ]
    service.auth.accounts.delete(CODE, EMAIL)
    assert rows(service) == []


def test_people_see_what_was_written_to_them(service: Service) -> None:
    """In what happened to their account, without the link."""
    client = service.client()
    account = {"email": EMAIL, "password": PASSPHRASE}
    client.post("/users", json=account)
    client.post("/sessions", json=account)
    client.post("/reset_password", json={"email": EMAIL})
    found: Any = client.get("/activity").json
    (told,) = [one for one in found["activity"] if one["event"] == "password_reset.requested"]
    assert told["email"]["subject"] == "Reset your Bienvenue password"
    assert "[link removed]" in told["email"]["text"]
    page = client.get("/activity", headers={"Accept": "text/html"}).text
    assert "Reset your Bienvenue password" in page
    assert "token=" not in page


def test_a_link_encrypted_by_a_retired_key_is_not_shown(service: Service) -> None:
    """The message is, and says so."""
    row = written(service, kind="password_reset", link=LINK, expires=4e9)
    with service.auth._db.transaction() as tx:
        tx.change(update(Message).values(encrypted_link=b"x" * 40))
    assert "[link removed]" in text_of(service.auth.mail.read(row.uid))


def test_only_what_is_kept_has_a_text(service: Service) -> None:
    """A deleted message is left out."""
    row = written(service)
    assert list(service.auth.mail.texts([row.uid, "gone"])) == [row.uid]
    assert json.loads(row.facts) == {"ip": "", "language": "en"}
    assert isinstance(service.auth.mail, Mail)
