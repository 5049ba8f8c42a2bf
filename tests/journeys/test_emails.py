"""Messages are sent by real workers to a real mail server, however either of them fails."""

from __future__ import annotations

import random
import secrets
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bienvenue import queue
from bienvenue.features.mail import MessageState
from tests.attacks.nursery import Child, Cradle
from tests.conftest import PASSPHRASE
from tests.databases import KINDS, Databases
from tests.journeys.mail_server import MailServer, Mood, running
from tests.journeys.outbox import PATIENCE, SENDER, House, names, to, waiting
from tests.journeys.sending import send
from tests.journeys.serving import KILLS, Heard, Program, command, serving
from tests.ports import free_port, wait_until

pytestmark = pytest.mark.slow
_MOST_WAITING = 30
_AT_ONCE = 5.0
"""Seconds within which everything is answered that waits for no mail server."""


@pytest.fixture(params=KINDS)
def house(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[House]:
    """A house on each kind of database."""
    url = databases.fresh(request.param)
    keys = tmp_path / "keys"
    keys.write_text(secrets.token_hex(32))
    made = House(
        tmp_path,
        {
            "database_url": url,
            "secret_key_file": str(keys),
            "instance": str(tmp_path / "instance"),
            "bcrypt_cost": "4",
        },
    )
    yield made
    made.auth.close()
    databases.drop(url)


@pytest.fixture
def server() -> Iterator[MailServer]:
    """A mail server."""
    with running() as made:
        yield made


# --- several workers ----------------------------------------------------------------------------


def test_three_workers_send_each_message_once(house: House, server: MailServer) -> None:
    """They send three messages at one time, and none of them twice."""
    emails = [house.write() for _ in range(60)]
    by = to(server.port)
    server.mood = Mood.STALL
    with house.working(by), house.working(by), house.working(by):
        assert wait_until(lambda: server.stalled == 3, PATIENCE)
        server.mood = Mood.TAKE
        assert wait_until(house.all_sent, PATIENCE)
    assert sorted(taken.to for taken in server.took) == sorted(emails)
    assert names(house) == {taken.to: taken.name for taken in server.took}
    assert len({taken.name for taken in server.took}) == 60
    assert {message.tries for message in house.messages()} == {1}


# --- workers that are killed --------------------------------------------------------------------


class Writer:
    """Writes messages all the time, until it is told to stop."""

    def __init__(self, house: House) -> None:
        """Begin."""
        self.emails: list[str] = []
        self._house = house
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def _write(self) -> None:
        while not self._over.wait(0.1):
            # A slow machine is not to leave more than the last worker can send in its time.
            if len(waiting(self._house)) < _MOST_WAITING:
                self.emails.append(self._house.write())

    def stop(self) -> None:
        """Write no more."""
        self._over.set()
        self._thread.join()


def killed_while_it_sends(house: House, server: MailServer, kill: int) -> None:
    """Let a worker send messages and kill it: at random, or around a message it just sent."""
    cradle = Cradle(house.folder, None, house.environment(to(server.port)), house.folder / "log")
    already = len(server.took)
    child = Child(cradle, send)
    if kill % 3 == 0:
        server.after = child.kill
    elif kill % 3 == 1:
        server.before = child.kill
    else:
        assert wait_until(lambda: len(server.took) > already, PATIENCE)
        time.sleep(random.uniform(0, 0.05))
        child.kill()
    assert wait_until(lambda: child.ended, PATIENCE), (house.folder / "log").read_text()
    assert child.wait(PATIENCE) == -signal.SIGKILL


def worker_killed(house: House, server: MailServer) -> None:
    """Kill `bienvenue work` with a message that the server has just accepted."""
    with house.working(to(server.port)) as worker:
        server.after = worker.kill
        assert worker.wait(PATIENCE) == -signal.SIGKILL


def test_no_kill_loses_a_message(house: House, server: MailServer) -> None:
    """Twenty workers are killed; what came twice came under the same Message-ID."""
    server.slowness = 0.005
    writer = Writer(house)
    try:
        for kill in range(KILLS):
            house.time_passes()
            if kill % 10 == 9:
                worker_killed(house, server)
            else:
                killed_while_it_sends(house, server, kill)
    finally:
        writer.stop()
    house.time_passes()
    with house.working(to(server.port)):
        assert wait_until(house.all_sent, PATIENCE)
    named = names(house)
    assert sorted(named) == sorted(writer.emails)
    came = [taken.to for taken in server.took]
    assert set(came) == set(writer.emails)
    assert {(taken.to, taken.name) for taken in server.took} == set(named.items())
    # A worker that was killed after the server accepted its message made it come again.
    certain = len([kill for kill in range(KILLS) if kill % 3 == 0 or kill % 10 == 9])
    assert certain <= len(came) - len(named) <= KILLS


# --- servers that fail --------------------------------------------------------------------------


def within_time(program: Program, path: str, form: dict[str, str]) -> Heard:
    """Ask and be answered at once."""
    begun = time.monotonic()
    heard = program.ask("POST", path, form)
    assert time.monotonic() - begun < _AT_ONCE
    return heard


def test_a_server_that_stalls_delays_no_one(house: House, server: MailServer) -> None:
    """Answers are what they were, and the messages are sent once it recovers."""
    people = [f"{name}@example.com" for name in ("ann", "bob", "carol")]
    with serving(house.folder, **house.settings, **to(server.port, timeout=1)) as served:

        def answers(email: str) -> list[tuple[int, str]]:
            account = {"email": email, "password": PASSPHRASE}
            wrong = account | {"password": "not that one"}
            heard = [
                within_time(served.program(), "/reset_password", {"email": email}),
                within_time(served.program(), "/sessions", account),
                within_time(served.program(), "/sessions", wrong),
            ]
            return [(one.status, one.body.replace(email, "")) for one in heard]

        for email in people:
            house.auth.register_user(email, PASSPHRASE)
        usual = answers(people[0])
        assert [status for status, _ in usual] == [202, 200, 401]
        server.wait_for(people[0])
        server.mood = Mood.STALL
        assert answers(people[1]) == usual
        assert wait_until(lambda: server.stalled > 0, PATIENCE)
        assert answers(people[2]) == usual
        assert wait_until(lambda: all(stands.problem for stands in waiting(house)), PATIENCE)
        problems = {stands.problem for stands in waiting(house)}
        assert problems == {f"127.0.0.1:{server.port} was silent for 1 s"}
        server.mood = Mood.TAKE
        house.time_passes()
        for email in people[1:]:
            assert "/reset_password?token=" in server.wait_for(email).text
        assert wait_until(house.all_sent, PATIENCE)
        assert served.stop() == 0


def test_a_dead_server_leaves_messages_waiting(house: House) -> None:
    """The operator sees which, and why."""
    email = house.write()
    dead = to(free_port())
    house.send(dead)
    listed = command(house.folder, "outbox", "list", **house.settings, **dead)
    message = house.messages()[0]
    assert (listed.returncode, listed.stderr) == (0, "")
    assert listed.stdout.startswith(message.uid)
    assert f"  waiting    test                {email}  (127.0.0.1:" in listed.stdout
    assert "cannot be reached: Connection refused)" in listed.stdout
    assert message.due_at > time.time() + 20


@pytest.mark.parametrize("mood", [Mood.DROP, Mood.DEFER])
def test_a_message_outlives_a_conversation_that_failed(
    house: House, server: MailServer, mood: Mood
) -> None:
    """It is sent when the server is well, and each pause is longer than the one before."""
    email = house.write()
    server.mood = mood
    pauses = []
    for _ in range(3):
        house.time_passes()
        house.send(to(server.port))
        pauses.append(house.messages()[0].due_at - time.time())
    assert 20 < pauses[0] <= 30 < pauses[1] <= 60 < pauses[2] <= 120
    assert (house.messages()[0].state, server.took) == (MessageState.WAITING, [])
    server.mood = Mood.TAKE
    house.send(to(server.port))
    assert server.took == []
    house.time_passes()
    house.send(to(server.port))
    assert [taken.to for taken in server.took] == [email]
    assert house.all_sent()


def test_a_message_that_is_refused_is_dead_until_it_is_sent_again(
    house: House, server: MailServer
) -> None:
    """The audit log says so, and it is sent again only when the operator resends it."""
    email, by = house.write(), to(server.port)
    server.mood = Mood.REFUSE
    house.send(by)
    house.time_passes()
    house.send(by)
    message = house.messages()[0]
    assert (message.state, message.tries) == (MessageState.DEAD, 1)
    assert message.problem == f"127.0.0.1:{server.port} refused the recipient: 550 5.1.1"
    shown = command(house.folder, "audit", "show", **house.settings)
    assert shown.stdout.count("email.failed") == 1
    server.mood = Mood.TAKE
    again = command(house.folder, "outbox", "resend", message.uid, **house.settings, **by)
    assert again.stdout == f"{message.uid} to {email} is sent within seconds\n"
    house.send(by)
    assert [taken.name for taken in server.to(email)] == [names(house)[email]]
    assert house.all_sent()


def test_a_batch_ends_while_messages_are_left(
    house: House, server: MailServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker with many messages still stops when it is told to."""
    monkeypatch.setattr(queue, "BATCH", 0.2)
    server.slowness = 0.05
    emails = [house.write() for _ in range(20)]
    house.send(to(server.port))
    assert 0 < len(server.took) < len(emails)
    assert {message.tries for message in waiting(house)} == {0}


def test_a_message_that_cannot_be_made_holds_up_no_other(house: House, server: MailServer) -> None:
    """A template of the operator fails in a way of its own."""
    folder = house.folder / "templates" / "bienvenue" / "mail"
    folder.mkdir(parents=True)
    (folder / "test.txt").write_text("Subject: {{ 1 + service }}")
    house.write()
    house.reset_message("fay@example.com")
    house.send(to(server.port) | {"templates": str(house.folder / "templates")})
    assert [taken.to for taken in server.took] == ["fay@example.com"]
    assert [message.problem for message in waiting(house)] == ["it cannot be made: TypeError"]
    assert waiting(house)[0].due_at < time.time() + 31


# --- commands -----------------------------------------------------------------------------------


def test_a_message_whose_link_is_gone_is_not_resent(house: House, server: MailServer) -> None:
    """The command says why; a message without a link is resent as it was, with its own time."""
    uid = house.reset_message("dora@example.com")
    email, by = house.write(), to(server.port)
    house.send(by)
    first = server.wait_for(email)
    again = command(house.folder, "outbox", "resend", uid, **house.settings, **by)
    assert (again.returncode, again.stdout) == (1, "")
    assert again.stderr == (
        "Error: The link of this email was sent, used or replaced, or has expired. Request a new "
        "email.\n"
    )
    house.auth.mail.resend(house.messages()[-1].uid)
    house.send(by)
    assert [taken.name for taken in server.to(email)] == [first.name] * 2
    assert {taken.message["Date"] for taken in server.to(email)} == {first.message["Date"]}
    assert len(server.to("dora@example.com")) == 1
    assert house.all_sent()


def test_a_sender_that_is_refused_is_said_until_it_is_mended(
    house: House, server: MailServer
) -> None:
    """The check-up gives the reason, and no link is lost."""
    house.reset_message("dora@example.com")
    by = to(server.port)
    server.mood = Mood.REFUSE_SENDER
    house.send(by)
    said = command(house.folder, "check", **house.settings, **by)
    assert (
        "BV027 warning: Emails that wait after a failed try: 1. The latest reason: "
        f"127.0.0.1:{server.port} refused the sender: 550 5.7.1."
    ) in said.stdout + said.stderr
    server.mood = Mood.TAKE
    house.time_passes()
    house.send(by)
    assert "/reset_password?token=" in server.wait_for("dora@example.com").text


def test_withdrawing(house: House, server: MailServer) -> None:
    """One email or all; no name and no --all is a mistake."""
    words = ("outbox", "withdraw")
    uid = house.reset_message("dora@example.com")
    house.write()
    both = command(house.folder, *words, uid, "--all", **house.settings)
    none = command(house.folder, *words, **house.settings)
    assert (both.returncode, none.returncode) == (2, 2)
    assert "name one email, or say --all" in none.stderr
    assert command(house.folder, *words, uid, **house.settings).stdout == "withdrew 1 emails\n"
    assert command(house.folder, *words, "--all", **house.settings).stdout == "withdrew 1 emails\n"
    house.send(to(server.port))
    assert server.took == []


def test_the_outbox_shows_the_link_until_a_server_has_it(house: House, server: MailServer) -> None:
    """Without a mail server the operator reads it; afterwards it is erased."""
    empty = command(house.folder, "outbox", **house.settings)
    assert (empty.returncode, empty.stdout) == (0, "no emails are stored\n")
    uid = house.reset_message("eve@example.com")
    house.send({})
    for words in (["outbox"], ["outbox", "list"]):
        listed = command(house.folder, *words, **house.settings)
        assert listed.stdout.startswith(uid)
        assert "waiting    password_reset" in listed.stdout
        assert "token" not in listed.stdout
    shown = command(house.folder, "outbox", "show", uid, **house.settings).stdout
    assert "To: eve@example.com\n" in shown
    assert "/reset_password?token=" in shown
    by = to(server.port)
    house.send(by)
    link = next(line for line in shown.splitlines() if "?token=" in line)
    assert link in server.wait_for("eve@example.com").text
    later = command(house.folder, "outbox", "show", uid, **house.settings, **by).stdout
    assert "[link removed]" in later
    assert "token=" not in later
    unregistered = command(house.folder, "outbox", "show", "nobody", **house.settings)
    assert (unregistered.returncode, unregistered.stdout) == (1, "")
    assert unregistered.stderr == "Error: There is no email with this name.\n"


def test_a_test_email(house: House, server: MailServer) -> None:
    """It describes the mail server, or says why the message was not sent."""
    words = ("outbox", "test", "me@example.org")
    sent = command(house.folder, *words, **house.settings, **to(server.port))
    assert (sent.returncode, sent.stderr) == (0, "")
    assert sent.stdout.splitlines() == [
        f"127.0.0.1:{server.port} speaks no TLS and was given no password",
        "it accepted an email to me@example.org; check whether it arrives",
    ]
    assert server.wait_for("me@example.org").message["From"] == f"Bienvenue <{SENDER}>"
    assert house.messages() == []
    for settings, why in (
        ({}, "no SMTP server is configured: set BIENVENUE_SMTP_HOST"),
        (to(dead := free_port()), f"127.0.0.1:{dead} cannot be reached: Connection refused"),
    ):
        failed = command(house.folder, *words, **house.settings, **settings)
        assert (failed.returncode, failed.stdout) == (1, "")
        assert failed.stderr == f"Error: {why}\n"
