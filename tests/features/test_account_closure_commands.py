"""leaving and second from the command line, and on a database that an earlier version wrote."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from bienvenue import DB, Auth, clock, schema
from bienvenue.authentication import CODE
from bienvenue.features import account_closure, accounts, notification_email
from bienvenue.settings import Settings
from tests.conftest import EMAIL, KEY, PASSPHRASE, Clock, Service
from tests.databases import KINDS, Databases
from tests.features.audits import run
from tests.features.closures import GRACE, sweep
from tests.features.notification_emails import SECOND, second_of, told, verified
from tests.house.source import PACKAGE
from tests.spine.test_schema import upgrade_to


@pytest.mark.usefixtures("bob")
def test_an_operator_closes_and_keeps(service: Service, moving_clock: Clock) -> None:
    """The list has the state; each command says what it did, or in a sentence why not."""
    until = clock.written(moving_clock.time + GRACE)
    closed = run(service, account_closure.commands.close_command, EMAIL)
    assert closed.output == f"closed {EMAIL}, which is deleted at {until}\n"
    assert "  closing   " in run(service, accounts.list_command).output
    again = run(service, account_closure.commands.close_command, EMAIL)
    assert isinstance(again.exception, account_closure.AccountNotOpen)
    assert (
        run(service, account_closure.commands.reopen_command, EMAIL).output == f"reopened {EMAIL}\n"
    )
    assert "  enabled   " in run(service, accounts.list_command).output
    kept = run(service, account_closure.commands.reopen_command, EMAIL)
    assert isinstance(kept.exception, account_closure.AccountNotClosed)
    service.auth.account_closure.close_for(CODE, EMAIL)
    service.auth.accounts.disable(CODE, EMAIL)
    assert "  disabled  " in run(service, accounts.list_command).output


@pytest.mark.usefixtures("bob")
def test_an_operator_sees_and_removes_a_notification_email(service: Service) -> None:
    """And both are told."""
    command = notification_email.commands.notification_email_command
    assert run(service, command, EMAIL).output == "no notification email\n"
    assert isinstance(
        run(service, command, EMAIL, "--remove").exception, notification_email.NoNotificationEmail
    )
    verified(service)
    assert run(service, command, EMAIL).output == f"{SECOND}\n"
    assert run(service, command, EMAIL, "--remove").output == f"removed {SECOND}\n"
    assert (second_of(service), told(service, "notification_email_removed")) == (
        None,
        [EMAIL, SECOND],
    )


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """The URL of a database without a table."""
    made = databases.fresh(request.param, migrated=False)
    yield made
    databases.drop(made)


def test_accounts_of_an_earlier_version_leave_as_new_ones_do(
    url: str, moving_clock: Clock, tmp_path: Path
) -> None:
    """Open accounts stay open, disabled ones disabled, and none is deleted."""
    db = DB(url)
    before = schema.versions()[schema.versions().index(_version_of("leaving")) - 1]
    upgrade_to(db, before)
    rows = [
        {"email": EMAIL, "uid": "1" * 36},
        {"email": "amy@example.com", "uid": "2" * 36},
    ]
    with db.transaction() as tx:
        written = "INSERT INTO users (email, hashed_password, uid, created)"
        tx.execute(text(f"{written} VALUES (:email, '!', :uid, 1.0)"), rows)
        tx.execute(text("UPDATE users SET disabled = 2.0 WHERE email LIKE 'amy%'"))
    schema.upgrade(db)
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    auth = Auth(db, Settings({}, database_url=url, secret_key_file=keys, bcrypt_cost=4))
    bob, amy = auth.accounts.find(EMAIL), auth.accounts.find("amy@example.com")
    assert auth.account_closure.sweep(moving_clock.time + 10 * GRACE, 10) == 0
    assert auth.export(bob.id)["notification_email"] is None
    assert auth.export(amy.id)["account_closure"] is None
    auth.account_closure.close_for(CODE, EMAIL)
    moving_clock.forward(GRACE)
    assert auth.account_closure.sweep(clock.now(), 10) == 1
    assert [(user.email, user.disabled_at) for user in auth.accounts.list()] == [
        ("amy@example.com", 2.0)
    ]
    auth.close()


def _version_of(name: str) -> str:
    (found,) = (PACKAGE / "migrations" / "versions").glob(f"*_{name}.py")
    return found.name.partition("_")[0]


def test_a_clean_up_after_the_grace_is_what_the_operator_runs(
    service: Service, moving_clock: Clock
) -> None:
    """`bienvenue sweep` and the work do the same; sweeping before does nothing."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.account_closure.close_for(CODE, EMAIL)
    assert sweep(service) == 0
    moving_clock.forward(GRACE)
    assert sweep(service) == 1
    assert run(service, accounts.list_command).output == ""
