"""An outbox on a database of its own, and what tests ask of it while workers send its messages."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import select, update

from bienvenue import DB, Auth
from bienvenue.authentication import CODE
from bienvenue.features.mail import Message, MessageState
from bienvenue.settings import Settings
from tests.conftest import PASSPHRASE
from tests.journeys.serving import Nursed, Process, ending, environment

SENDER = "no-reply@example.org"
PATIENCE = 60.0


@dataclass
class House:
    """A database, what its processes are told, and the operations in the process of the tests."""

    folder: Path
    settings: dict[str, str]
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        self.auth = self.opened(self.settings)

    def opened(self, settings: dict[str, str]) -> Auth:
        """Open the operations with settings."""
        given = {f"BIENVENUE_{name.upper()}": value for name, value in settings.items()}
        return Auth(DB(settings["database_url"]), Settings(given))

    def write(self) -> str:
        """Put a message to a mailbox of its own into the outbox; give that mailbox."""
        email = f"person{next(self.numbers)}@example.com"
        with self.auth._db.transaction():
            self.auth.mail.write("test", email, None, {})
        return email

    def reset_message(self, email: str) -> str:
        """Let the owner of a new account ask for a reset; give the name of the message."""
        self.auth.registration.create(CODE, email, PASSPHRASE)
        self.auth.password_reset.request(CODE, email)
        return self.auth.mail.list(1)[0].uid

    def send(self, by: dict[str, str]) -> None:
        """Send what is due in this process, with the settings of a mail server."""
        auth = self.opened(self.settings | by)
        auth.mail.work()
        auth.close()

    def time_passes(self) -> None:
        """End every claim and every pause, as time would do."""
        with self.auth._db.transaction() as tx:
            tx.change(
                update(Message).where(Message.state == MessageState.WAITING).values(due_at=0.0)
            )

    def messages(self) -> list[Message]:
        """Give every message as it is now."""
        with self.auth._db.reading() as tx:
            return list(tx.scalars(select(Message).order_by(Message.id)).all())

    def all_sent(self) -> bool:
        """Tell whether every message was sent."""
        states = {message.state for message in self.messages()}
        # Messages to no one only cost what others do.
        return states - {MessageState.VOID} == {MessageState.SENT}

    def environment(self, by: dict[str, str]) -> dict[str, str]:
        """Give the environment of a process that sends to a mail server."""
        return environment(self.folder, **self.settings, **by)

    @contextmanager
    def working(self, by: dict[str, str]) -> Iterator[Process]:
        """Run `bienvenue work` until the block ends, and see that it ends well if it still runs."""
        process = Nursed(self.folder, self.environment(by), self.folder / "work.log", "work")
        with ending(process):
            yield process
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                assert process.wait(PATIENCE) == 0


def to(port: int, timeout: int = 15) -> dict[str, str]:
    """Give the settings of a mail server on a port."""
    return {
        "smtp_host": "127.0.0.1",
        "smtp_port": str(port),
        "smtp_security": "none",
        "smtp_timeout": str(timeout),
        "mail_from": f"Bienvenue <{SENDER}>",
    }


def names(house: House) -> dict[str, str]:
    """Give the Message-ID of every message by its mailbox."""
    return {message.email: f"<{message.uid}@example.org>" for message in house.messages()}


def waiting(house: House) -> list[Message]:
    """Give the messages that wait."""
    return [message for message in house.messages() if message.state == MessageState.WAITING]
