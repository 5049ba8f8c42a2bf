"""email_change: what the link to the old email undoes besides the email, and what it leaves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from sqlalchemy import update

from bienvenue import clock, i18n
from bienvenue.authentication import CODE
from bienvenue.features.account_closure.models import ClosedAccount
from bienvenue.features.notification_email.models import NotificationEmail
from bienvenue.user import table_of
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features import closures, email_changes, notification_emails
from tests.features.audits import run
from tests.features.closures import DAY, GRACE, reopen, sweep
from tests.features.email_changes import NEW_EMAIL, THIRD, WEEK, change, exists, restore, token_of
from tests.features.hearing import Hearing
from tests.features.notification_emails import SECOND, second_of, told, verified
from tests.features.password_resets import (
    NEW,
    dump,
    messages,
    outstanding,
    put,
    text_of,
)
from tests.features.password_resets import ask as ask_reset
from tests.races import race
from tests.thorough import often

pytestmark = pytest.mark.statements

THIEFS = "thief@note.example"
STOLEN = "cinq grenouilles dans un arbre"
CLOSED = "account_closed_restorable"


def aged(service: Service, by: float = 30 * DAY) -> None:
    """Let the notification emails have been verified so many seconds ago."""
    column = table_of(NotificationEmail).c.verified_at
    with service.auth._db.transaction() as tx:
        tx.change(update(NotificationEmail).values(verified_at=column - by))


def stolen(service: Service) -> str:
    """Let a thief change the email and close the account; give the token in the first mailbox."""
    thief = service.signed_in()
    back = change(service, thief)
    assert closures.close(service, thief).status_code == 202
    return back


def owner_is_in(service: Service) -> None:
    """The reset email that came by itself lets the owner choose a password and sign in."""
    assert put(service, token_of(service, "password_reset")).status_code == 200
    client = service.signed_in(EMAIL, NEW)
    assert client.get("/profile").get_json()["email"] == EMAIL


# --- a closed account ---------------------------------------------------------------------------


def test_the_link_opens_an_account_that_a_thief_closed(
    service: Service, moving_clock: Clock
) -> None:
    """The owner is in, nothing deletes the account, and the thief's link reopens nothing."""
    back = stolen(service)
    reopening = closures.token_of(service)
    hearing = Hearing(service.auth)
    assert restore(service, back).get_json() == {"email": EMAIL, "message": "Email restored"}
    assert hearing.only("account.reopened").caller.ip == "127.0.0.1"
    assert hearing.names.index("account.reopened") < hearing.names.index("email.restored")
    assert (outstanding(service, "reopening"), dump(service)["account_closures"]) == ([], [])
    assert reopen(service, reopening).status_code == 403
    assert told(service, "account_reopened") == [EMAIL]
    assert "password_reset" in {one.kind for one in service.auth.mail.list()}
    owner_is_in(service)
    moving_clock.forward(100 * DAY)
    assert sweep(service) == 0
    assert exists(service, EMAIL)


def test_the_closing_is_told_at_every_email_that_can_be_restored(
    service: Service, moving_clock: Clock
) -> None:
    """Each without a link, and with the time until which its earlier link works."""
    thief = service.signed_in()
    back = change(service, thief)
    moving_clock.forward(121)
    change(service, thief, THIRD)
    until = {EMAIL: moving_clock.time - 121 + WEEK, NEW_EMAIL: moving_clock.time + WEEK}
    assert closures.close(service, thief).status_code == 202
    assert told(service, CLOSED) == sorted(until)
    for message in messages(service, CLOSED):
        said = text_of(service, message)
        assert message.encrypted_link is None
        assert "?token=" not in said
        assert f"had the email {message.email}" in said
        assert i18n.of("en").moment(clock.written(until[message.email])) in said
    assert told(service, "account_closed") == [THIRD]
    assert restore(service, back).status_code == 200


def test_an_account_without_an_earlier_email_is_told_of_once(service: Service) -> None:
    """The closing of any other account writes the emails it always wrote."""
    closures.closed(service)
    assert [one.kind for one in service.auth.mail.list()] == ["account_closed"]


def test_an_account_is_not_deleted_while_its_email_can_be_restored(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """The grace period is a day and the link works a week: the page and the answers say a week."""
    service = make_service(closure_grace="1d")
    thief = service.signed_in()
    back = change(service, thief)
    until = clock.written(moving_clock.time + WEEK)
    assert thief.get("/account/close").get_json()["until"] == until
    assert closures.close(service, thief).get_json()["until"] == until
    (message,) = messages(service, "account_closed")
    assert message.expires_at == moving_clock.time + WEEK
    user = service.auth.accounts.find(NEW_EMAIL)
    assert service.auth.export(user.id)["account_closure"]["delete_at"] == until
    moving_clock.forward(WEEK - 1)
    assert sweep(service) == 0
    assert service.auth.account_closure.peek(closures.token_of(service)) == (NEW_EMAIL, until)
    assert restore(service, back).status_code == 200
    owner_is_in(service)


def test_after_the_last_link_the_account_is_deleted(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """At the same second; a longer grace period counts as before."""
    service = make_service(closure_grace="1d")
    back = stolen(service)
    moving_clock.forward(WEEK)
    assert restore(service, back).status_code == 403
    assert sweep(service) == 1
    assert not exists(service, NEW_EMAIL)
    longer = make_service()
    thief = longer.signed_in()
    change(longer, thief)
    until = clock.written(moving_clock.time + GRACE)
    assert closures.close(longer, thief).get_json()["until"] == until


def test_the_clean_up_looks_for_the_link_itself(service: Service, moving_clock: Clock) -> None:
    """Whatever time of deletion stands in the row."""
    back = stolen(service)
    with service.auth._db.transaction() as tx:
        tx.change(update(ClosedAccount).values(delete_at=moving_clock.time))
    assert sweep(service) == 0
    assert restore(service, back).status_code == 200
    owner_is_in(service)


def test_what_an_administrator_disabled_stays_disabled_and_is_not_deleted(
    service: Service, moving_clock: Clock
) -> None:
    """The closing of the thief is undone all the same; once enabled, the owner asks for a link."""
    back = stolen(service)
    service.auth.accounts.disable(CODE, NEW_EMAIL)
    hearing = Hearing(service.auth)
    assert restore(service, back).status_code == 200
    assert "account.reopened" not in hearing.names
    assert messages(service) == []
    assert dump(service)["account_closures"] == []
    moving_clock.forward(100 * DAY)
    assert sweep(service) == 0
    assert service.auth.accounts.find(EMAIL).disabled_at is not None
    service.auth.accounts.enable(CODE, EMAIL)
    ask_reset(service)
    owner_is_in(service)


def test_a_closed_account_whose_email_an_administrator_changes_can_be_reopened(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """Its new email gets the link, and the account stays for as long as the old email's works."""
    service = make_service(closure_grace="1d")
    first = closures.closed(service)
    run(service, service.auth.email_change.commands[0], EMAIL, NEW_EMAIL)
    assert reopen(service, first).status_code == 403
    (message,) = messages(service, "account_still_closed")
    assert (message.email, message.expires_at) == (NEW_EMAIL, moving_clock.time + WEEK)
    moving_clock.forward(WEEK - 1)
    assert sweep(service) == 0
    assert reopen(service, closures.token_of(service, "account_still_closed")).status_code == 200
    client = service.signed_in(NEW_EMAIL)
    assert closures.close(service, client).status_code == 202
    assert restore(service, token_of(service, "email_changed")).status_code == 200
    owner_is_in(service)


def test_a_change_by_an_administrator_does_not_shorten_the_grace_period(
    service: Service, moving_clock: Clock
) -> None:
    """Nor does it open a link where an administrator disabled the closed account."""
    closures.closed(service)
    until = moving_clock.time + GRACE
    service.auth.email_change.set(CODE, EMAIL, NEW_EMAIL)
    (message,) = messages(service, "account_still_closed")
    assert message.expires_at == until
    service.auth.accounts.disable(CODE, NEW_EMAIL)
    service.auth.email_change.set(CODE, NEW_EMAIL, THIRD)
    assert len(messages(service, "account_still_closed")) == 1
    assert outstanding(service, "reopening") == []


# --- the notification email ---------------------------------------------------------------------


def test_a_notification_email_of_the_thief_goes_and_hears_nothing_of_it(service: Service) -> None:
    """The owner hears; what still waited for its verification is over."""
    thief = service.signed_in()
    back = change(service, thief)
    verified(service, thief, THIEFS)
    waiting = notification_emails.asked(service, thief, "another@note.example")
    before = [one.uid for one in service.auth.mail.list(1000) if one.email == THIEFS]
    assert restore(service, back).status_code == 200
    assert second_of(service) is None
    assert notification_emails.verify(service, waiting).status_code == 403
    assert told(service, "notification_email_removed") == [EMAIL]
    (notice,) = messages(service, "notification_email_removed")
    assert THIEFS in text_of(service, notice)
    owner_is_in(service)
    assert [one.uid for one in service.auth.mail.list(1000) if one.email == THIEFS] == before
    assert told(service, "email_restored") == []


def test_a_notification_email_from_before_the_change_stays(service: Service) -> None:
    """It was told of the change and is told of the restored email; the owner is asked to look."""
    verified(service)
    aged(service)
    back = change(service, service.signed_in())
    (changed,) = messages(service, "email_changed_notice")
    assert (changed.email, changed.encrypted_link) == (SECOND, None)
    for part in (EMAIL, NEW_EMAIL, f"inbox of {EMAIL}"):
        assert part in text_of(service, changed)
    assert restore(service, back).status_code == 200
    assert second_of(service) == SECOND
    assert told(service, "email_restored") == sorted([EMAIL, SECOND])
    for message in messages(service, "email_restored"):
        assert f"still go to {SECOND}" in text_of(service, message)
        assert "http://localhost:5000/notification_email" in text_of(service, message)
    assert told(service, "notification_email_removed") == []
    owner_is_in(service)


@pytest.mark.table
@pytest.mark.parametrize(("before", "stays"), [(WEEK - 60, False), (WEEK + 60, True)])
def test_a_notification_email_that_is_newer_than_a_thief_may_be_goes(
    service: Service, before: float, stays: bool
) -> None:
    """A thief was in before the change; so long is believed as a restore link works."""
    thief = service.signed_in()
    verified(service, thief, THIEFS)
    aged(service, before)
    back = change(service, thief)
    assert restore(service, back).status_code == 200
    assert second_of(service) == (THIEFS if stays else None)
    assert told(service, "email_restored") == ([EMAIL, THIEFS] if stays else [])
    removed = [one.email for one in service.auth.mail.list() if one.kind.endswith("email_removed")]
    assert removed == ([] if stays else [EMAIL])
    owner_is_in(service)


@pytest.mark.table
@pytest.mark.parametrize("acts", ["replaces", "removes"])
def test_a_notification_email_that_a_thief_took_away_is_back(service: Service, acts: str) -> None:
    """With the time it was verified; both of the owner's addresses are told."""
    verified(service)
    aged(service)
    user_id = service.auth.accounts.find(EMAIL).id
    since = service.auth.notification_email.of(user_id).since
    thief = service.signed_in()
    back = change(service, thief)
    export = service.auth.export(user_id)["former_emails"]
    assert [row["notification_email"] for row in export] == [SECOND]
    assert closures.close(service, thief).status_code == 202
    reopen(service, closures.token_of(service))
    thief = service.signed_in(NEW_EMAIL)
    if acts == "replaces":
        verified(service, thief, THIEFS)
    else:
        assert thief.delete("/notification_email").status_code == 204
    added = told(service, "notification_email_added")
    assert restore(service, back).status_code == 200
    assert service.auth.notification_email.of(user_id)[:2] == (SECOND, since)
    assert told(service, "notification_email_added") == sorted([*added, EMAIL, SECOND])
    owner_is_in(service)
    assert told(service, "password_was_reset") == sorted([EMAIL, SECOND])


def test_the_first_mailbox_as_notification_email_is_not_kept(service: Service) -> None:
    """A thief who names the owner's first email has made it a second address of the account."""
    thief = service.signed_in()
    back = change(service, thief)
    verified(service, thief, EMAIL)
    assert restore(service, back).status_code == 200
    assert second_of(service) is None
    owner_is_in(service)


def test_the_address_that_the_email_changes_to_hears_once(service: Service) -> None:
    """The notification email becomes the email: its reader verified the change there."""
    verified(service)
    change(service, service.signed_in(), SECOND)
    assert told(service, "email_changed_notice") == []


def test_a_change_without_a_link_says_where_to_turn(service: Service) -> None:
    """An administrator changed the email for good."""
    verified(service)
    service.auth.email_change.set(CODE, EMAIL, NEW_EMAIL, restorable=False)
    (notice,) = messages(service, "email_changed_notice")
    assert notice.email == SECOND
    assert "contact support" in text_of(service, notice)


# --- several changes, and several at once -------------------------------------------------------


@pytest.mark.table
@pytest.mark.parametrize("later_first", [True, False])
def test_the_links_of_two_changes_each_undo_what_came_after(
    service: Service, moving_clock: Clock, later_first: bool
) -> None:
    """From a to b to c, another notification email at each, then closed; in either order."""
    notified = {EMAIL: SECOND, NEW_EMAIL: None}
    thief = service.signed_in()
    verified(service, thief, SECOND)
    aged(service)
    first = change(service, thief)
    verified(service, thief, THIEFS)
    moving_clock.forward(121)
    second = change(service, thief, THIRD)
    assert thief.delete("/notification_email").status_code == 204
    assert closures.close(service, thief).status_code == 202
    if later_first:
        assert restore(service, second).get_json()["email"] == NEW_EMAIL
        assert second_of(service, NEW_EMAIL) == notified[NEW_EMAIL]
        assert service.auth.accounts.find(NEW_EMAIL).disabled_at is None
    assert restore(service, first).get_json()["email"] == EMAIL
    assert second_of(service) == notified[EMAIL]
    assert restore(service, second).status_code == 403
    owner_is_in(service)


@pytest.mark.table(shown=5)
@pytest.mark.parametrize("turn", range(often(1, 5)))
@pytest.mark.parametrize(
    "act",
    [
        "close",
        "reopen",
        "verify",
        "delete",
        "disable",
        "change email",
        "change password",
        "reset",
        "sign in",
        "remove",
    ],
)
def test_what_a_thief_does_in_the_same_moment_is_undone_or_refused(
    make_service: MakeService, moving_clock: Clock, act: str, turn: int
) -> None:
    """Whatever the thief, the clean-up or an administrator does while the owner restores."""
    del turn
    service = make_service(closure_grace="1d")
    thief = service.signed_in()
    back = change(service, thief)
    waiting = notification_emails.asked(service, thief, THIEFS)
    pending = email_changes.asked(service, thief, THIRD)
    ask_reset(service, NEW_EMAIL)
    reset, comes_in = token_of(service, "password_reset"), service.client()
    changed = {"old_password": PASSPHRASE, "new_password": STOLEN}
    if act in {"reopen", "delete"}:
        assert closures.close(service, thief).status_code == 202

    uid = service.auth.accounts.find(NEW_EMAIL).uid
    reopening = closures.token_of(service) if messages(service, "account_closed") else ""
    # The clock of the sweeper is ahead, though not beyond the end of the link.
    others: dict[str, Callable[[], object]] = {
        "close": lambda: closures.close(service, thief),
        "reopen": lambda: reopen(service, reopening),
        "verify": lambda: notification_emails.verify(service, waiting),
        "delete": lambda: service.auth.account_closure.sweep(moving_clock.time + WEEK - 1, 10),
        "disable": lambda: service.auth.accounts.disable(CODE, uid),
        "change email": lambda: email_changes.verify(thief, pending),
        "change password": lambda: thief.put("/password", json=changed),
        "reset": lambda: put(service, reset, STOLEN, NEW_EMAIL),
        "sign in": lambda: comes_in.post(
            "/sessions", json={"email": NEW_EMAIL, "password": PASSPHRASE}
        ),
        "remove": lambda: thief.delete("/notification_email"),
    }

    def acts(which: int) -> int:
        if which:
            others[act]()
            return 0
        return restore(service, back).status_code

    assert race(acts, 2)[0] == 200
    assert second_of(service) is None
    assert dump(service)["account_closures"] == []
    for client in (thief, comes_in):
        assert client.get("/profile").status_code == 401
    for password in (PASSPHRASE, STOLEN):
        assert not service.auth.valid_login(EMAIL, password)
    assert email_changes.verify(thief, pending).status_code in {401, 403}
    assert put(service, reset, STOLEN, EMAIL).status_code == 403
    assert (outstanding(service, "email_change"), outstanding(service, "email_restore")) == ([], [])
    assert (service.auth.accounts.find(EMAIL).disabled_at is not None) == (act == "disable")
    if act == "disable":
        service.auth.accounts.enable(CODE, EMAIL)
        ask_reset(service)
    owner_is_in(service)


def test_two_links_at_once_end_at_the_first_email(service: Service, moving_clock: Clock) -> None:
    """The one of the earlier change always works, and the other one before it or never."""
    verified(service)
    aged(service)
    thief = service.signed_in()
    first = change(service, thief)
    verified(service, thief, THIEFS)
    moving_clock.forward(121)
    second = change(service, thief, THIRD)
    assert closures.close(service, thief).status_code == 202
    answers = race(lambda which: restore(service, (first, second)[which]).status_code, 2)
    assert (answers[0], answers[1] in {200, 403}) == (200, True)
    assert (second_of(service), outstanding(service, "email_restore")) == (SECOND, [])
    assert dump(service)["account_closures"] == []
    owner_is_in(service)


@pytest.mark.parametrize("turn", range(often(1, 5)))
def test_of_the_last_link_and_the_deletion_at_once_one_wins(
    service: Service, moving_clock: Clock, turn: int
) -> None:
    """The clock of the process that sweeps is ahead: the account is the owner's, or gone."""
    del turn
    back = stolen(service)
    due = moving_clock.time + GRACE
    moving_clock.forward(WEEK - 1)

    def act(which: int) -> bool:
        if which:
            return service.auth.account_closure.sweep(due, 10) == 1
        return restore(service, back).status_code == 200

    restored, deleted = race(act, 2)
    assert restored != deleted
    if restored:
        owner_is_in(service)
    else:
        assert not exists(service, EMAIL)
        assert not exists(service, NEW_EMAIL)


def test_a_session_of_the_thief_and_the_password_are_over(service: Service) -> None:
    """Also a device that was known, and a session that was opened while the account was stolen."""
    back = stolen(service)
    reopen(service, closures.token_of(service))
    thief = service.signed_in(NEW_EMAIL)
    device = thief.get_cookie("device_id")
    assert device is not None
    assert restore(service, back).status_code == 200
    assert thief.get("/profile").status_code == 401
    assert not service.auth.known_devices.knows(EMAIL, device.value)
    assert not service.auth.valid_login(EMAIL, PASSPHRASE)
