"""registration at the same moment: one account, one email, and nothing between two states."""

from __future__ import annotations

import pytest

from bienvenue.authentication import CODE
from bienvenue.features.registration import WrongVerificationToken
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.hearing import users
from tests.features.password_resets import messages, outstanding
from tests.features.registrations import OTHER, SMTP, newest, register, registered, resend, verify
from tests.races import race

pytestmark = pytest.mark.statements


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service that sends emails."""
    return make_service(**SMTP)


def test_twenty_who_all_compared_already_and_one_wins(service: Service) -> None:
    """The statement that spends decides, not what was read before it."""
    found = service.auth.registration._peek(registered(service))

    def make(_: int) -> bool:
        try:
            service.auth.registration._create_account(CODE, found, found)
        except WrongVerificationToken:
            return False
        return True

    assert race(make, 20).count(True) == 1
    assert users(service.auth) == 1


def test_two_registrations_of_one_email_verified_at_once(
    service: Service, moving_clock: Clock
) -> None:
    """One wins with its password, the other is over."""
    first = registered(service)
    moving_clock.forward(121)
    second = registered(service, password=OTHER)
    pairs = [(first, PASSPHRASE), (second, OTHER)]
    answers = race(lambda n: verify(service, *pairs[n]).status_code, 2)
    assert sorted(answers) == [201, 403]
    assert service.auth.valid_login(EMAIL, pairs[answers.index(201)][1])
    assert (users(service.auth), outstanding(service, "registration")) == (1, [])


def test_twenty_register_at_once_and_one_email_is_written(service: Service) -> None:
    """All hear the same; the one link works with its own password and the last of the others."""
    passwords = [f"{OTHER} {number}" for number in range(20)]
    assert race(lambda n: register(service, password=passwords[n]).status_code, 20) == [202] * 20
    assert len(messages(service, "registration")) == 1
    assert len(outstanding(service, "registration")) == 2
    token = newest(service)
    statuses = [verify(service, token, password).status_code for password in passwords]
    assert sorted(statuses) == [201] + [403] * 19


def test_many_ask_again_at_once_and_one_email_is_written(
    service: Service, moving_clock: Clock
) -> None:
    """The newest link works, and the first does not."""
    first = registered(service)
    moving_clock.forward(121)
    assert race(lambda _: resend(service).status_code, 19) == [202] * 19
    assert len(messages(service, "registration")) == 2
    assert verify(service, first).status_code == 403
    assert verify(service, newest(service)).status_code == 201


def test_a_verification_and_another_email_at_once(service: Service, moving_clock: Clock) -> None:
    """Either the account is made, or the new link makes it."""
    token = registered(service)
    moving_clock.forward(121)

    def act(number: int) -> int:
        return verify(service, token).status_code if number else resend(service).status_code

    _, proven = race(act, 2)
    if proven != 201:
        assert verify(service, newest(service)).status_code == 201
    assert users(service.auth) == 1


def test_a_verification_and_an_operator_at_once(service: Service) -> None:
    """One of them makes the account; the other hears that it is there, or that the link is over."""
    token = registered(service)

    def act(number: int) -> bool:
        if number:
            return verify(service, token).status_code == 201
        try:
            return service.auth.accounts.add_without_password(CODE, EMAIL) is not None
        except ValueError:
            return False

    assert race(act, 2).count(True) == 1
    assert users(service.auth) == 1
    assert verify(service, token).status_code == 403


def test_an_account_that_comes_while_its_email_is_written(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the search and the writing: the same answer, and nothing waits."""
    proof, write = service.auth.registration, service.auth.registration._write

    def late(*given: object, **named: object) -> str:
        message = write(*given, **named)  # type: ignore[arg-type]  # passed on as they come
        service.auth._db.add_user(EMAIL, "!")
        return message

    monkeypatch.setattr(proof, "_write", late)
    assert register(service).status_code == 202
    assert outstanding(service, "registration") == []
    assert verify(service, newest(service)).status_code == 403
