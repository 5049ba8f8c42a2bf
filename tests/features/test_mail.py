"""mail: a letter for what happened, carried once, and nothing kept that opens anything."""

from __future__ import annotations

import json
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from bienvenue.feature import Event
from bienvenue.features.mail import Mail, Message, MessageState, NoSuchMessage, SendProblem, smtp
from bienvenue.features.mail.models import GIVE_UP, KEPT, LEASE
from bienvenue.user import table_of
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.hearing import Hearing

DAY = 86400
OTHER = "another passphrase, quite long"
LINK = "/reset_password?token=not-a-real-one"


class Post:
    """What was carried, and what goes wrong."""

    def __init__(self) -> None:
        """Begin with nothing, and nothing wrong."""
        self.letters: list[EmailMessage] = []
        self.problems: list[Exception] = []

    def carry(self, _settings: Any, letter: EmailMessage, sender: str, *_: Any) -> None:
        """Keep a letter, or fail as was asked for."""
        assert sender == "no-reply@example.org"
        if self.problems:
            raise self.problems.pop(0)
        self.letters.append(letter)


@pytest.fixture
def post(monkeypatch: pytest.MonkeyPatch) -> Post:
    """A post in place of a server."""
    made = Post()
    monkeypatch.setattr(smtp, "carry", made.carry)
    return made


@pytest.fixture
def sending(make_service: MakeService) -> Service:
    """A service with a server to send by."""
    return make_service(smtp_host="mail.example.org", mail_from="Us <no-reply@example.org>")


def written(service: Service, email: str = EMAIL, **given: Any) -> Message:
    """Write a letter and give its row."""
    with service.auth._db.transaction():
        told = service.auth.mail.write(
            given.pop("kind", "test"), email, given.pop("user_id", None), {"ip": ""}, **given
        )
    return service.auth.mail.find(told["message_uid"])


def text_of(letter: EmailMessage) -> str:
    """Give what a person reads."""
    part = letter.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def rows(service: Service) -> list[Any]:
    """Give every row of the outbox, whatever its state."""
    with service.auth._db.reading() as tx:
        return list(tx.execute(select(Message.__table__).order_by(Message.id)).all())


# --- writing ------------------------------------------------------------------------------------


def test_a_letter_exists_when_its_event_does(service: Service) -> None:
    """It is a row of the same transaction."""

    def fails() -> None:
        with service.auth._db.transaction():
            service.auth.mail.write("test", EMAIL, None, {})
            raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert rows(service) == []


def test_what_bears_a_token_is_sealed(service: Service) -> None:
    """No column shows it; the key ring opens it, for this purpose alone."""
    row = written(service, kind="password_reset", link=LINK, expires=4e9)
    (stored,) = rows(service)
    assert "not-a-real-one" not in repr(tuple(stored))
    assert row.sealed is not None
    assert service.auth.keys.decrypt("letter", row.sealed) == LINK.encode()
    letter = service.auth.mail.read(row.uid)
    html = letter.get_body(("html",))
    assert html is not None
    for part in (text_of(letter), html.get_content()):
        assert f"http://localhost:5000{LINK}" in part


def test_a_new_password_is_told(service: Service) -> None:
    """To the email of the account, with a part of text and one of HTML."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    opened = service.auth.sessions.sign_in(EMAIL, PASSPHRASE)
    me = service.auth.sessions.check(opened.secret)
    assert me is not None
    hearing = Hearing(service.auth)
    service.auth.passwords.change(me, PASSPHRASE, OTHER)
    (row,) = rows(service)
    assert (row.kind, row.email, row.user_id, row.sealed) == (
        "password_changed",
        EMAIL,
        user.id,
        None,
    )
    letter = service.auth.mail.read(row.uid)
    assert letter["Subject"] == "Your Bienvenue password was changed"
    assert (letter["To"], letter["Auto-Submitted"]) == (EMAIL, "auto-generated")
    assert [part.get_content_type() for part in letter.walk()] == [
        "multipart/alternative",
        "text/plain",
        "text/html",
    ]
    assert hearing.only("email.queued").facts == {
        "message": "password_changed",
        "message_uid": row.uid,
    }


def test_the_first_device_is_no_news_and_the_second_is(service: Service) -> None:
    """The letter names the device; at most ten such letters leave in an hour."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    sessions = service.auth.sessions
    first = sessions.sign_in(EMAIL, PASSPHRASE)
    sessions.sign_in(EMAIL, PASSPHRASE, device=first.device)
    assert rows(service) == []
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    sessions.sign_in(EMAIL, PASSPHRASE, ip="192.0.2.7", agent=firefox)
    (row,) = rows(service)
    text = text_of(service.auth.mail.read(row.uid))
    assert row.kind == "new_device"
    assert "Firefox" in text
    assert "192.0.2.7" in text
    for _ in range(11):
        sessions.sign_in(EMAIL, PASSPHRASE)
    assert len(rows(service)) == 10


def test_an_email_says_what_happened_where_and_what_to_do(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """Device, time and ip on one line, and whom to ask; the HTML part says the same."""
    service = make_service(support_email="help@example.org")
    auth = service.auth
    user = auth.register_user(EMAIL, PASSPHRASE)
    auth.sessions.sign_in(EMAIL, PASSPHRASE)
    firefox = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
    auth.sessions.sign_in(EMAIL, PASSPHRASE, ip="203.0.113.7", agent=firefox)
    row = next(row for row in rows(service) if row.kind == "new_device")
    letter = auth.mail.read(row.uid)
    paragraphs = [
        "Hi,",
        f"Someone signed in to your Bienvenue account {user.email} from a new device.",
        "Firefox on Linux · 15 January 2027, 08:00 UTC · 203.0.113.7",
        "If it was you, you don't need to do anything. If it wasn't, change your password now. "
        "That signs out all other devices:",
        "http://localhost:5000/password",
        "Questions? Contact support: help@example.org",
    ]
    assert text_of(letter) == "\n\n".join(paragraphs) + "\n"
    html = letter.get_body(("html",))
    assert html is not None
    assert paragraphs[2] in html.get_content()


def test_an_email_of_an_earlier_version_names_no_lifetime(service: Service) -> None:
    """Its facts do not say for how long its link works."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.password_reset.ask(EMAIL)
    (row,) = rows(service)
    assert "It works once, for 1 hour:" in text_of(service.auth.mail.read(row.uid))
    with service.auth._db.transaction() as tx:
        tx.execute(update(table_of(Message)).values(facts='{"ip": "", "language": "en"}'))
    assert "It works once, for a limited time:" in text_of(service.auth.mail.read(row.uid))


def test_nothing_of_a_visitor_makes_a_header(make_service: MakeService) -> None:
    """A name with a line break stays one line; HTML is escaped."""
    service = make_service(service_name="A <b>\r\nBcc: x@example.org")
    letter = service.auth.mail.read(written(service).uid)
    assert letter["Subject"] == "Test email from A <b>"
    assert "Bcc" not in letter.keys()  # noqa: SIM118 (a letter is no mapping)
    html = letter.get_body(("html",))
    assert html is not None
    assert "A &lt;b&gt;" in html.get_content()


def test_a_folder_of_templates_comes_first(make_service: MakeService, tmp_path: Path) -> None:
    """What it does not have is ours."""
    folder = tmp_path / "ours" / "bienvenue" / "mail"
    folder.mkdir(parents=True)
    (folder / "test.txt").write_text("Subject: Bonjour\nVoilà {{ email }}.\n", encoding="utf-8")
    service = make_service(templates=tmp_path / "ours")
    letter = service.auth.mail.read(written(service).uid)
    assert letter["Subject"] == "Bonjour"
    html = letter.get_body(("html",))
    assert html is not None
    assert f"Voilà {EMAIL}." in html.get_content()


# --- carrying -----------------------------------------------------------------------------------


def test_without_a_server_letters_stay(service: Service, post: Post) -> None:
    """Sealed, in the table, for whoever runs the service."""
    row = written(service)
    service.auth.work()
    assert (post.letters, service.auth.mail.find(row.uid).state) == ([], MessageState.WAITING)


def test_a_letter_leaves_once_and_its_link_is_erased(sending: Service, post: Post) -> None:
    """With the sender that was set, and a Message-ID of its own."""
    row = written(sending, kind="password_reset", link=LINK, expires=4e9)
    sending.auth.work()
    sending.auth.work()
    (letter,) = post.letters
    assert LINK in text_of(letter)
    assert (letter["From"], letter["To"]) == ("Us <no-reply@example.org>", EMAIL)
    assert letter["Message-ID"] == f"<{row.uid}@example.org>"
    found = sending.auth.mail.find(row.uid)
    assert (found.state, found.sealed, found.problem) == (MessageState.SENT, None, None)
    assert "[link removed]" in text_of(sending.auth.mail.read(row.uid))


def test_a_server_in_trouble_is_tried_later_and_later(
    sending: Service, post: Post, moving_clock: Clock
) -> None:
    """After half a minute, a minute, two; a round ends when three letters fail."""
    uids = [written(sending).uid for _ in range(5)]
    post.problems = [SendProblem("it is away") for _ in range(3)]
    sending.auth.work()
    assert len(post.letters) == 0
    tried = [row for row in rows(sending) if row.tries]
    assert [(row.problem, row.due - moving_clock.time) for row in tried] == [("it is away", 30)] * 3
    sending.auth.work()
    assert [letter["Message-ID"].split("@")[0][1:] for letter in post.letters] == uids[3:]
    moving_clock.forward(30)
    post.problems = [SendProblem("it is away")]
    sending.auth.work()
    assert sending.auth.mail.find(uids[0]).due == moving_clock.time + 60
    moving_clock.forward(60)
    sending.auth.work()
    assert len(post.letters) == 5
    assert {row.state for row in rows(sending)} == {MessageState.SENT}


@pytest.mark.parametrize("problem", ["refused", "two days"])
def test_a_letter_nobody_takes_is_given_up(
    sending: Service, post: Post, moving_clock: Clock, problem: str
) -> None:
    """At once when a server says never, after two days when none says anything."""
    hearing = Hearing(sending.auth)
    row = written(sending, kind="password_reset", link=LINK, expires=4e9)
    if problem == "two days":
        moving_clock.forward(GIVE_UP)
    post.problems = [SendProblem("no such mailbox: 550", permanent=problem == "refused")]
    sending.auth.work()
    found = sending.auth.mail.find(row.uid)
    assert (found.state, found.sealed, found.problem) == (
        MessageState.DEAD,
        None,
        "no such mailbox: 550",
    )
    assert hearing.only("email.failed").facts == {"message": "password_reset"}
    assert sending.auth.mail.undelivered() == 1
    sending.auth.mail.resend(row.uid)
    sending.auth.work()
    assert sending.auth.mail.find(row.uid).state == MessageState.SENT
    assert sending.auth.mail.undelivered() == 0


@pytest.mark.usefixtures("post")
def test_a_letter_that_cannot_be_made_waits_for_its_template(
    make_service: MakeService, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the others leave, and people read what can be read."""
    folder = tmp_path / "ours" / "bienvenue" / "mail"
    folder.mkdir(parents=True)
    (folder / "password_reset.txt").write_text("Subject: {{ nobody.knows }}\n")
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
    assert list(service.auth.mail.said([broken.uid, good.uid])) == [good.uid]


def test_a_claim_nobody_marked_ends(sending: Service, post: Post, moving_clock: Clock) -> None:
    """The letter leaves again under the same Message-ID; who was late changes nothing."""
    written(sending)
    mail = sending.auth.mail
    late = mail._claim()
    sending.auth.work()
    assert post.letters == []
    moving_clock.forward(LEASE)
    sending.auth.work()
    assert [letter["Message-ID"] for letter in post.letters] == [f"<{late.uid}@example.org>"]
    assert not mail._mark(late, state=MessageState.DEAD)
    heard = Hearing(sending.auth)
    mail._give_up(late, "whoever was late cannot carry it")
    assert "email.failed" not in heard.names
    assert mail.find(late.uid).state == MessageState.SENT


def test_what_is_over_does_not_leave(sending: Service, post: Post, moving_clock: Clock) -> None:
    """A link that works no more helps nobody; the sweep erases it."""
    row = written(sending, kind="password_reset", link=LINK, expires=moving_clock.time + 60)
    moving_clock.forward(60)
    assert "[link removed]" in text_of(sending.auth.mail.read(row.uid))
    sending.auth.work()
    assert post.letters == []
    sending.auth.sweep(moving_clock.time)
    found = sending.auth.mail.find(row.uid)
    assert (found.state, found.sealed) == (MessageState.WITHDRAWN, None)


# --- showing and erasing ------------------------------------------------------------------------


def test_letters_to_nobody_are_seen_by_nobody(service: Service, moving_clock: Clock) -> None:
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


def test_old_letters_are_swept(service: Service, moving_clock: Clock) -> None:
    """After thirty days, and the counts of who asked after one."""
    written(service)
    with service.auth._db.transaction():
        assert service.auth.mail.may_ask("test", EMAIL, 60, 5)
        assert not service.auth.mail.may_ask("test", EMAIL, 60, 5)
    assert service.auth.mail.sweep(moving_clock.time + KEPT - 1, 9) == 1
    assert service.auth.mail.sweep(moving_clock.time + KEPT, 9) == 1
    assert service.auth.mail.sweep(moving_clock.time + KEPT, 9) == 0


def test_an_account_takes_its_letters_along(service: Service) -> None:
    """Deleted, they go."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    written(service, kind="password_reset", user_id=user.id, link=LINK, expires=4e9)
    told = service.auth.mail.export(user.id)["emails"]
    assert [(one["to"], one["subject"], one["state"]) for one in told] == [
        (EMAIL, "Reset your Bienvenue password", "waiting")
    ]
    service.auth.accounts.delete(EMAIL)
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


def test_facts_of_an_account_that_is_gone_write_nothing(service: Service) -> None:
    """An event without a person is nobody's news."""
    service.auth.mail.on_event(Event("password.changed"))
    assert rows(service) == []


def test_a_link_sealed_by_a_retired_key_is_not_shown(service: Service) -> None:
    """The letter is, and says so."""
    row = written(service, kind="password_reset", link=LINK, expires=4e9)
    with service.auth._db.transaction() as tx:
        tx.change(update(Message).values(sealed=b"x" * 40))
    assert "[link removed]" in text_of(service.auth.mail.read(row.uid))


def test_only_what_was_written_can_be_told(service: Service) -> None:
    """What is no longer kept is left out."""
    row = written(service)
    assert list(service.auth.mail.said([row.uid, "gone"])) == [row.uid]
    assert json.loads(row.facts) == {"ip": "", "language": "en"}
    assert isinstance(service.auth.mail, Mail)
