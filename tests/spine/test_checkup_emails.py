"""checkup: findings on emails that are not sent, cross a network in clear, or failed."""

from __future__ import annotations

import pytest
from sqlalchemy import update

from bienvenue import checkup
from bienvenue.checkup import CheckupContext
from bienvenue.db import DatabaseUnavailable
from bienvenue.features.mail import Message, MessageState
from tests.conftest import EMAIL, MakeService, Service

SENDING = {"smtp_host": "mail.example.org", "mail_from": "us@example.org"}
CODES = ("BV024", "BV025", "BV026", "BV027")


def found(service: Service) -> list[str]:
    """Give the findings on emails."""
    around = CheckupContext(service.auth, service.auth._db)
    return [one.code for one in checkup.run(around).findings if one.code in CODES]


@pytest.mark.parametrize(
    ("settings", "codes"),
    [
        (SENDING, []),
        (SENDING | {"smtp_security": "tls"}, []),
        (SENDING | {"smtp_security": "none"}, ["BV024"]),
        (SENDING | {"smtp_security": "none", "smtp_host": "127.0.0.1"}, []),
        ({}, []),
        ({"base_url": "https://login.example.org"}, ["BV025"]),
        (SENDING | {"base_url": "https://login.example.org"}, []),
    ],
)
def test_how_emails_are_sent(
    make_service: MakeService, settings: dict[str, str], codes: list[str]
) -> None:
    """In clear only to this machine, and somehow where the public is served."""
    assert found(make_service(**settings)) == codes


def test_emails_that_were_given_up(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until they are sent after all, or deleted."""
    with service.auth._db.transaction() as tx:
        service.auth.mail.write("test", EMAIL, None, {})
        tx.change(update(Message).values(state=MessageState.DEAD))
    assert found(service) == ["BV026"]
    with service.auth._db.transaction() as tx:
        tx.change(update(Message).values(state=MessageState.SENT))
    assert found(service) == []

    def away() -> int:
        raise DatabaseUnavailable

    monkeypatch.setattr(service.auth.mail, "undelivered", away)
    assert found(service) == []


def test_emails_that_wait_after_a_failed_try(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the mail server takes them."""
    with service.auth._db.transaction() as tx:
        service.auth.mail.write("test", EMAIL, None, {})
        tx.change(update(Message).values(problem="refused the sender: 550 5.7.1"))
    assert found(service) == ["BV027"]
    with service.auth._db.transaction() as tx:
        tx.change(update(Message).values(state=MessageState.SENT))
    assert found(service) == []

    def away() -> tuple[int, str]:
        raise DatabaseUnavailable

    monkeypatch.setattr(service.auth.mail, "delayed", away)
    assert found(service) == []
