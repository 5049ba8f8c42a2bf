"""email_change at the same moment: one winner, and no one between two states."""

from __future__ import annotations

import pytest

from bienvenue.authentication import CODE
from bienvenue.feature import Refusal
from bienvenue.features.accounts import EmailTaken, NoSuchUser
from bienvenue.features.email_change.operations import _set
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.features.email_changes import (
    NEW_EMAIL,
    THIRD,
    asked,
    change,
    exists,
    me_of,
    restore,
    verify,
)
from tests.features.password_resets import NEW, dump, messages, outstanding, put
from tests.features.password_resets import asked as reset_asked
from tests.features.registrations import token_in
from tests.races import race

pytestmark = pytest.mark.statements

AMY = "amy@example.com"


def test_of_two_who_change_to_one_email_one_wins(service: Service, moving_clock: Clock) -> None:
    """The other hears what every dead token does, and keeps the email they had."""
    clients = [service.signed_in(f"{name}@example.com") for name in ("amy", "bob")]
    found = []
    for client in clients:
        # Two emails to one address are two minutes apart.
        moving_clock.forward(120)
        found.append(asked(service, client))
    answers = race(lambda number: verify(clients[number], found[number]), 2)
    assert sorted(answer.status_code for answer in answers) == [200, 403]
    emails = sorted(user.email for user in service.auth.accounts.list())
    assert emails in (["amy@example.com", NEW_EMAIL], ["bob@example.com", NEW_EMAIL])


def test_ten_ask_at_once_and_one_link_works(service: Service) -> None:
    """All of one account, each for another email; only the link to the last one changes it."""
    client = service.signed_in()
    me = me_of(service, client)
    race(lambda number: service.auth.email_change.request(CODE, me, f"s{number}@example.com"), 10)
    found = messages(service, "new_email_verification")
    assert len(found) == 10
    (last,) = outstanding(service, "email_change")
    tokens = {message.email: token_in(service, message) for message in found}
    (wanted,) = [email for email in tokens if repr(email) in last]
    for email in tokens.keys() - {wanted}:
        assert verify(client, tokens[email]).status_code == 403
    assert verify(client, tokens[wanted]).get_json()["email"] == wanted


@pytest.mark.table
@pytest.mark.parametrize("turn", range(3))
def test_a_change_and_a_reset_at_once(service: Service, turn: int) -> None:
    """Whichever comes second finds that the account changed; the other's token is dead."""
    del turn
    client = service.signed_in()
    proof, reset = asked(service, client), reset_asked(service)

    def act(number: int) -> int:
        return (verify(client, proof) if number else put(service, reset)).status_code

    changed = race(act, 2)
    assert changed in ([200, 401], [200, 403], [403, 200])
    email = EMAIL if changed[0] == 200 else NEW_EMAIL
    assert service.auth.valid_login(email, NEW if changed[0] == 200 else PASSPHRASE)
    assert (outstanding(service, "password_reset"), outstanding(service, "email_change")) == (
        [],
        [],
    )


@pytest.mark.table
@pytest.mark.parametrize("turn", range(3))
def test_registering_while_the_email_is_given_up(service: Service, turn: int) -> None:
    """No one slips in between the old owner and the reservation."""
    del turn
    client = service.signed_in()
    proof = asked(service, client)
    amy = service.signed_in(AMY)

    def act(number: int) -> object:
        if number == 0:
            return verify(client, proof).status_code
        try:
            if number == 1:
                return service.auth.email_change.set(CODE, AMY, EMAIL)
            return service.auth.accounts.add_without_password(CODE, EMAIL)
        except EmailTaken:
            return "taken"

    assert race(act, 8) == [200] + ["taken"] * 7
    assert not exists(service, EMAIL)
    assert amy.get("/profile").get_json()["email"] == AMY


@pytest.mark.table
@pytest.mark.parametrize("turn", range(3))
def test_registering_while_the_email_is_restored(service: Service, turn: int) -> None:
    """The owner gets it, no matter who else tries in the same moment."""
    del turn
    back = change(service, service.signed_in())

    def act(number: int) -> object:
        if number == 0:
            return restore(service, back).status_code
        try:
            return service.auth.accounts.add_without_password(CODE, EMAIL)
        except EmailTaken:
            return "taken"

    assert race(act, 8) == [200] + ["taken"] * 7
    assert [user.email for user in service.auth.accounts.list()] == [EMAIL]


def test_both_undos_of_two_changes_at_once(service: Service) -> None:
    """Whatever the order, the first email is restored, and no link is left."""
    client = service.signed_in()
    first = change(service, client, THIRD)
    second = change(service, client, NEW_EMAIL)
    answers = race(lambda n: restore(service, second if n else first).status_code, 2)
    assert answers in ([200, 200], [200, 403])
    assert exists(service, EMAIL)
    assert outstanding(service, "email_restore") == []


def test_the_thief_changes_on_while_the_owner_undoes(service: Service) -> None:
    """Either comes first; the owner has the email, and no one is signed in."""
    client = service.signed_in()
    back = change(service, client, THIRD)
    proof, me = asked(service, client), me_of(service, client)

    def act(number: int) -> str:
        try:
            if number:
                return service.auth.email_change.verify(CODE, me, proof).email
            return service.auth.email_change.restore(CODE, back)
        except Refusal as refusal:
            return refusal.code

    restored, changed = race(act, 2)
    assert restored == EMAIL
    assert changed in {NEW_EMAIL, "wrong_email_change_token", "not_signed_in"}
    assert [user.email for user in service.auth.accounts.list()] == [EMAIL]
    assert client.get("/profile").status_code == 401
    assert outstanding(service, "email_restore") == []


@pytest.mark.parametrize("happens", ["disable", "delete"])
def test_an_account_that_goes_while_its_token_is_spent(service: Service, happens: str) -> None:
    """Either comes first, and both end in one of the two states."""
    client = service.signed_in()
    proof, me = asked(service, client), me_of(service, client)
    uid = service.auth.accounts.find(EMAIL).uid

    def act(number: int) -> str:
        if number:
            getattr(service.auth.accounts, happens)(CODE, uid)
            return "gone"
        try:
            return service.auth.email_change.verify(CODE, me, proof).email
        except Refusal as refusal:
            return refusal.code

    proven, _ = race(act, 2)
    assert proven in {NEW_EMAIL, "wrong_email_change_token", "not_signed_in"}
    found = dump(service)
    assert outstanding(service, "email_change") == []
    if happens == "delete":
        assert (found["users"], outstanding(service, "email_restore")) == ([], [])
    else:
        assert len(outstanding(service, "email_restore")) == (proven == NEW_EMAIL)


def test_an_email_that_changed_meanwhile_is_not_changed_again(service: Service) -> None:
    """Anyone who read the account before finds that it has not the old email any more."""
    user = service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.email_change.set(CODE, EMAIL, "robert@example.com")
    with service.auth._db.transaction() as tx, pytest.raises(NoSuchUser):
        _set(tx, user.id, EMAIL, {"email": "eve@example.com"})
    assert service.auth.accounts.find("robert@example.com").id == user.id
