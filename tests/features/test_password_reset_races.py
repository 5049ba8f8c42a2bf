"""password_reset at the same moment: one email, one winner, and nothing between two states."""

from __future__ import annotations

import pytest

from bienvenue.authentication import CODE
from bienvenue.features.password_reset import WrongResetToken
from bienvenue.features.passwords import Passwords
from tests.conftest import EMAIL, PASSPHRASE, Service
from tests.features.password_resets import NEW, ask, asked, link, messages, outstanding, put
from tests.races import race

pytestmark = [pytest.mark.usefixtures("bob"), pytest.mark.statements]


def test_twenty_who_all_hashed_already_and_one_wins(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement that spends decides, not what was read before it."""
    token = asked(service)
    reset = service.auth.password_reset
    monkeypatch.setattr(Passwords, "hash", lambda _self, _caller, password: f"hash of {password}")

    def spend(number: int) -> str | None:
        try:
            reset._spend(CODE, token, EMAIL, f"hash {number}")
        except WrongResetToken:
            return None
        return f"hash {number}"

    won = [hashed for hashed in race(spend, 20) if hashed is not None]
    assert won == [service.auth.accounts.find(EMAIL).hashed_password]


def test_twenty_ask_at_once_and_one_email_is_written(service: Service) -> None:
    """All hear the same; the one link works."""
    assert race(lambda _: ask(service).status_code, 20) == [202] * 20
    assert len(messages(service)) == 1
    assert put(service, link(service).partition("?token=")[2]).status_code == 200


def test_of_many_tokens_made_at_once_one_is_outstanding(service: Service) -> None:
    """Code that asks twenty times at once holds one that works."""
    made = race(lambda _: service.auth.get_reset_password_token(EMAIL), 20)
    assert len(set(made)) == 20

    def works(token: str) -> bool:
        try:
            return service.auth.password_reset.email_of(token) == EMAIL
        except WrongResetToken:
            return False

    assert [works(token) for token in made].count(True) == 1
    assert len(outstanding(service, "password_reset")) == 1


def test_a_change_and_a_reset_at_once_leave_one_password(service: Service) -> None:
    """Whichever comes second finds that the account changed."""
    client = service.signed_in()
    token = asked(service)
    changed = "cinq grenouilles dans un arbre"
    sent = {"old_password": PASSPHRASE, "new_password": changed}

    def act(number: int) -> int:
        if number:
            return put(service, token).status_code
        return client.put("/password", json=sent).status_code

    change, reset = race(act, 2)
    assert (change == 200) != (reset == 200)
    assert service.auth.valid_login(EMAIL, changed if change == 200 else NEW)
    assert service.auth.accounts.find(EMAIL).reset_token is None


@pytest.mark.parametrize("happens", ["disable", "delete"])
def test_an_account_that_goes_while_its_email_is_written(
    service: Service, monkeypatch: pytest.MonkeyPatch, happens: str
) -> None:
    """Between the search and the writing: the same answer, and a link that opens nothing."""
    reset = service.auth.password_reset
    found = reset._owner(EMAIL)
    assert found is not None
    getattr(service.auth.accounts, happens)(CODE, EMAIL)
    monkeypatch.setattr(reset, "_owner", lambda _email: found)
    assert ask(service).status_code == 202
    assert service.client().get(link(service)).status_code == 303
    assert put(service, link(service).partition("?token=")[2]).status_code == 403
    if happens == "disable":
        service.auth.accounts.enable(CODE, EMAIL)
        assert put(service, link(service).partition("?token=")[2]).status_code == 403
