"""Looks into the audit log, and changes it behind the service's back, for tests."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from click import Command
from click.testing import CliRunner, Result
from sqlalchemy import select, text

from bienvenue import Auth
from bienvenue.features.audit import AuditRow, Entry, SealedBatch
from tests.conftest import Service


def names(auth: Auth) -> list[str]:
    """Name every event of the audit log, oldest first."""
    return [entry.name for entry in reversed(auth.audit.list(limit=None))]


def only(auth: Auth, name: str) -> Entry:
    """Give the one row of this name."""
    (found,) = [entry for entry in auth.audit.list(limit=None) if entry.name == name]
    return found


def stored(auth: Auth) -> Sequence[AuditRow]:
    """Give the rows as they stand in the table, by id."""
    with auth._db.reading() as tx:
        return tx.scalars(select(AuditRow).order_by(AuditRow.id)).all()


def sealed(auth: Auth) -> Sequence[SealedBatch]:
    """Give the seals in order."""
    with auth._db.reading() as tx:
        return tx.scalars(select(SealedBatch).order_by(SealedBatch.batch)).all()


def tamper(auth: Auth, statement: str, **values: Any) -> None:
    """Do what someone does who can write to the database and has no key."""
    with auth._db.transaction() as tx:
        tx.execute(text(statement), values)


@contextmanager
def tampered(auth: Auth, statement: str, **values: Any) -> Iterator[None]:
    """Do the same for the length of a block, so that one record serves many changes."""
    with suppress(_UndoneError), auth._db.transaction():
        tamper(auth, statement, **values)
        yield
        raise _UndoneError


class _UndoneError(Exception):
    """Takes a change back."""


def run(service: Service, command: Command, *arguments: str) -> Result:
    """Run a command on a service."""
    return CliRunner().invoke(command, list(arguments), obj=service)
