"""account_closure: the deletion when the grace is over, and what is left of the person."""

from __future__ import annotations

from contextlib import suppress

import pytest

from bienvenue import clock
from bienvenue.authentication import CODE
from bienvenue.features.account_closure import AccountNotClosed, AccountNotOpen
from bienvenue.features.account_closure.operations import AT_ONCE
from bienvenue.features.accounts import NoSuchUser
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.features.audits import names
from tests.features.closures import (
    GRACE,
    close,
    closed,
    reopen,
    rows_of,
    sign_in,
    sweep,
)
from tests.features.hearing import Hearing, users
from tests.features.password_resets import asked, dump, messages, put
from tests.races import race

pytestmark = pytest.mark.statements

AGENT = "Mozilla/5.0 (canary-of-bob)"


def test_nothing_of_the_person_is_left_and_the_audit_log_still_verifies(
    service: Service, moving_clock: Clock
) -> None:
    """Sealed before, between and after; the rows of the audit log that stay name no one."""
    client = service.client()
    client.post("/users", json={"email": EMAIL, "password": PASSPHRASE})
    for _ in range(2):
        client.post(
            "/sessions",
            json={"email": EMAIL, "password": PASSPHRASE},
            headers={"User-Agent": AGENT},
            environ_base={"REMOTE_ADDR": "203.0.113.77"},
        )
    asked(service)
    user = service.auth.accounts.find(EMAIL)
    service.auth.audit.seal()
    assert close(service, client).status_code == 202
    service.auth.audit.seal()
    assert service.auth.audit.verify().problem is None
    before = rows_of(service, user.id)
    assert before.keys() == {"account_closures", "audit_log", "messages", "one_time_tokens"}
    hearing = Hearing(service.auth)
    moving_clock.forward(GRACE)
    assert sweep(service) == 1
    assert hearing.names == ["sessions.ended", "account.deleted"]
    assert hearing.only("account.deleted").user_id == user.id
    assert rows_of(service, user.id).keys() == {"audit_log"}
    left = repr(dump(service))
    for canary in (EMAIL, user.uid, AGENT, "203.0.113.77"):
        assert canary not in left
    service.auth.audit.seal()
    report = service.auth.audit.verify()
    assert (report.problem, report.unsealed) == (None, 0)
    assert names(service.auth).count("account.deleted") == 1
    assert sweep(service) == 0


def test_a_new_account_of_the_same_email_inherits_nothing(
    service: Service, moving_clock: Clock
) -> None:
    """Sessions, devices, tokens and the link of the old one are dead for it."""
    first = service.signed_in()
    device, session = first.get_cookie("device_id"), first.get_cookie("session_id")
    assert device is not None
    assert session is not None
    reset = asked(service)
    token = closed(service)
    old = service.auth.accounts.find(EMAIL)
    moving_clock.forward(GRACE)
    sweep(service)
    new = service.auth.register_user(EMAIL, "une autre phrase de passe")
    assert (new.id > old.id, new.uid != old.uid) == (True, True)
    assert first.get("/profile").status_code == 401
    assert service.auth.get_user_from_session_id(session.value) is None
    assert not service.auth.known_devices.knows(EMAIL, device.value)
    assert put(service, reset).status_code == 403
    assert reopen(service, token).status_code == 403
    exported = service.auth.export(new.id)
    assert [entry["event"] for entry in exported["activity"]] == ["account.registered"]
    assert (exported["account_closure"], exported["emails"], exported["sessions"]) == (None, [], [])
    assert not service.auth.valid_login(EMAIL, PASSPHRASE)
    moving_clock.forward(2 * GRACE)
    assert sweep(service) == 0
    assert users(service.auth) == 1


def test_only_what_is_due_goes_and_so_many_at_a_time(service: Service, moving_clock: Clock) -> None:
    """The one that waits longest first, each by itself."""
    emails = [f"person{number}@example.com" for number in range(4)]
    for email in emails:
        service.auth.accounts.add_without_password(CODE, email)
        service.auth.account_closure.close_for(CODE, email)
        moving_clock.forward(60)
    moving_clock.forward(GRACE - 120)
    assert [service.auth.account_closure.sweep(clock.now(), 2) for _ in range(3)] == [2, 1, 0]
    assert [user.email for user in service.auth.accounts.list()] == emails[3:]
    assert AT_ONCE >= 2


def test_the_clean_up_of_the_service_does_it(service: Service, moving_clock: Clock) -> None:
    """`Auth.sweep`, which the work and `bienvenue sweep` call."""
    closed(service)
    moving_clock.forward(GRACE)
    while service.auth.sweep(clock.now()):
        pass
    assert users(service.auth) == 0


def test_several_sweepers_at_once_delete_each_account_once(
    service: Service, moving_clock: Clock
) -> None:
    """On both databases, without an error."""
    for number in range(5):
        service.auth.accounts.add_without_password(CODE, f"person{number}@example.com")
        service.auth.account_closure.close_for(CODE, f"person{number}@example.com")
    hearing = Hearing(service.auth)
    moving_clock.forward(GRACE)
    assert sum(race(lambda _: sweep(service), 6)) == 5
    assert hearing.names.count("account.deleted") == 5
    assert users(service.auth) == 0


@pytest.mark.table
@pytest.mark.parametrize("number", range(3))
def test_of_undo_and_deletion_at_once_one_wins(
    service: Service, moving_clock: Clock, number: int
) -> None:
    """Either the account is open and whole, or it is gone."""
    del number
    token = closed(service)
    due = moving_clock.time + GRACE

    def act(which: int) -> bool:
        # Each reads the clock for itself: the sweeper's is ahead.
        if which % 2:
            return service.auth.account_closure.sweep(due, 10) == 1
        return reopen(service, token).status_code == 200

    won = race(act, 6)
    assert won.count(True) == 1
    if won.index(True) % 2:
        assert users(service.auth) == 0
    else:
        assert sign_in(service).status_code == 200
    assert dump(service)["account_closures"] == []


def test_twenty_undo_at_once_and_one_email_tells_of_it(service: Service) -> None:
    """One opens the account; the others hear that the link was used."""
    token = closed(service)
    answers = race(lambda _: reopen(service, token).status_code, 20)
    assert sorted(answers) == [200] + [403] * 19
    assert len(messages(service, "account_reopened")) == 1


def test_twenty_close_at_once_and_one_email_is_written(service: Service) -> None:
    """Its link is the one that works."""
    client = service.signed_in()
    cookie = client.get_cookie("session_id")
    assert cookie is not None

    def act(_number: int) -> int:
        mine = service.client()
        mine.set_cookie("session_id", cookie.value)
        # As a program, which has no form.
        return mine.delete("/profile").status_code

    assert sorted(race(act, 20)) == [202] + [401] * 19
    (_,) = messages(service, "account_closed")
    assert len(dump(service)["account_closures"]) == 1


@pytest.mark.table
@pytest.mark.parametrize("number", range(3))
def test_an_administrator_who_disables_in_the_same_moment_wins(
    service: Service, number: int
) -> None:
    """Whether the account was open, closing or just kept: afterwards it is disabled."""
    token = closed(service)
    if number == 2:
        reopen(service, token)

    def act(which: int) -> None:
        if which == 0:
            service.auth.accounts.disable(CODE, EMAIL)
        elif number == 2:
            # Another administrator may have been first.
            with suppress(AccountNotOpen):
                service.auth.account_closure.close_for(CODE, EMAIL)
        else:
            reopen(service, token)

    race(act, 4 if number < 2 else 2)
    assert sign_in(service).get_json()["code"] == "account_disabled"
    assert reopen(service, token).status_code == 403
    with pytest.raises(AccountNotClosed):
        service.auth.account_closure.reopen_for(CODE, EMAIL)


def test_two_who_delete_at_once_delete_once(service: Service) -> None:
    """The second hears that there is no one."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    hearing = Hearing(service.auth)

    def act(_number: int) -> bool:
        try:
            service.auth.accounts.delete(CODE, EMAIL)
        except NoSuchUser:
            return False
        return True

    assert race(act, 5).count(True) == 1
    assert hearing.names.count("account.deleted") == 1
