"""A feature that hears everything, for tests to look at."""

from __future__ import annotations

from sqlalchemy import func, select

from bienvenue import Auth, User
from bienvenue.feature import Event, Feature
from bienvenue.features.sessions import Session
from bienvenue.settings import Section


class Hearing(Feature[Section]):
    """Keeps every event: as it was heard in its transaction, and after that was committed."""

    name = "hearing"

    def __init__(self, auth: Auth) -> None:
        """Join the features of an Auth."""
        super().__init__(auth.registry, auth._db, Section())
        self.heard: list[Event] = []
        self.committed: list[Event] = []
        auth.registry.add(self)

    def on_event(self, event: Event) -> None:
        """Keep what is announced, committed or not."""
        self.heard.append(event)

    def after_commit(self, event: Event) -> None:
        """Keep what was committed."""
        self.committed.append(event)

    @property
    def names(self) -> list[str]:
        """The names of what was committed, in order."""
        return [event.name for event in self.committed]

    def only(self, name: str) -> Event:
        """Give the one event of this name."""
        (found,) = [event for event in self.committed if event.name == name]
        return found


def users(auth: Auth) -> int:
    """Count the accounts."""
    with auth._db.reading() as tx:
        return tx.scalar(select(func.count()).select_from(User)) or 0


def rows(auth: Auth) -> int:
    """Count the rows of sessions, dead or alive."""
    with auth._db.reading() as tx:
        return tx.scalar(select(func.count()).select_from(Session)) or 0
