"""Rows of an application that refer to a user keep the account, and nothing is lost."""

from __future__ import annotations

import logging

import pytest
from click.testing import CliRunner
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from bienvenue import clock
from bienvenue.authentication import CODE
from bienvenue.cli import main
from bienvenue.features.accounts import AccountReferenced, refuse_if_referred
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service

pytestmark = pytest.mark.statements

DAY = 86400
KEYS = {
    "checked at once": "",
    "restricting": "ON DELETE RESTRICT",
    "checked at the commit": "DEFERRABLE INITIALLY DEFERRED",
}


def refer(service: Service, email: str, key: str = "") -> None:
    """Create a table of an application, with one row that refers to a user."""
    uid = service.auth.accounts.find(email).uid
    with service.auth.registry.db.transaction() as tx:
        tx.execute(
            text(
                "CREATE TABLE IF NOT EXISTS notes"
                f" (user_uid VARCHAR(36) NOT NULL REFERENCES users (uid) {key})"
            )
        )
        tx.execute(text("INSERT INTO notes VALUES (:uid)"), {"uid": uid})


def let_go(service: Service) -> None:
    """Delete the rows of the application."""
    with service.auth.registry.db.transaction() as tx:
        tx.execute(text("DELETE FROM notes"))


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_an_account_that_is_referred_to_is_not_deleted(service: Service, key: str) -> None:
    """Its sessions and groups are as they were; no event says that it is gone."""
    client = service.signed_in()
    service.auth.groups.add(CODE, EMAIL, "staff")
    refer(service, EMAIL, key)
    with pytest.raises(AccountReferenced, match="still refer to this account") as refusal:
        service.auth.accounts.delete(CODE, EMAIL)
    assert (refusal.value.status, refusal.value.code) == (409, "account_referenced")
    assert client.get("/profile").status_code == 200
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.groups.of(user.id) == {"staff"}
    names = [row["event"] for row in service.auth.export(user.id)["activity"]]
    assert "account.deleted" not in names
    let_go(service)
    assert service.auth.accounts.delete(CODE, EMAIL).email == EMAIL
    assert client.get("/profile").status_code == 401


def test_the_command_says_so_with_its_status(service: Service) -> None:
    """In one sentence."""
    service.signed_in()
    refer(service, EMAIL)
    core = service.auth.settings.core
    environ = {
        "BIENVENUE_DATABASE_URL": service.url,
        "BIENVENUE_SECRET_KEY_FILE": str(core.secret_key_file),
        "BIENVENUE_INSTANCE": str(core.instance),
    }
    done = CliRunner().invoke(main, ["users", "delete", EMAIL, "--yes"], env=environ)
    assert (done.exit_code, done.output) == (1, f"Error: {AccountReferenced.message}\n")


@pytest.mark.parametrize("key", KEYS.values(), ids=KEYS)
def test_the_clean_up_says_so_and_goes_on_with_the_others(
    service: Service, key: str, moving_clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """It tries again a day later, so that such accounts never stand before the others."""
    auth = service.auth
    for email in (EMAIL, "amy@example.com"):
        auth.register_user(email, PASSPHRASE)
        auth.account_closure.close_for(CODE, email)
        moving_clock.forward(1)
    refer(service, EMAIL, key)
    bob = auth.accounts.find(EMAIL)
    moving_clock.forward(15 * DAY)
    with caplog.at_level(logging.WARNING, "bienvenue"):
        assert auth.account_closure.sweep(clock.now(), 1) == 0
        assert auth.account_closure.sweep(clock.now(), 1) == 1
    assert [user.email for user in auth.accounts.list()] == [EMAIL]
    assert [record.getMessage() for record in caplog.records] == [
        f"the closed account {bob.uid} cannot be deleted: {AccountReferenced.message}"
    ]
    assert auth.account_closure.sweep(clock.now(), 1) == 0
    let_go(service)
    moving_clock.forward(DAY)
    assert auth.account_closure.sweep(clock.now(), 1) == 1
    assert list(auth.accounts.list()) == []


def test_another_rule_of_the_database_is_not_taken_for_a_reference(service: Service) -> None:
    """An email that two accounts would have."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    with pytest.raises(IntegrityError), refuse_if_referred():
        service.auth.registry.db.add_user(EMAIL, "x")
