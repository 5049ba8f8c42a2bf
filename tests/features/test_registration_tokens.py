"""registration: what a token and a password are good for, and how wrong ones count."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bienvenue.authentication import CODE
from bienvenue.feature import Attempt
from bienvenue.features.rate_limits import UNKNOWN_DEVICES
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.hearing import Hearing, users
from tests.features.password_resets import dump, messages, outstanding
from tests.features.registrations import (
    OTHER,
    SMTP,
    heard,
    newest,
    register,
    registered,
    resend,
    verify,
)

pytestmark = pytest.mark.statements

DAY = 86400


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service that sends emails."""
    return make_service(**SMTP)


def _spend(service: Service, _clock: Clock, token: str) -> str:
    assert verify(service, token).status_code == 201
    return token


def _spend_and_delete(service: Service, clock: Clock, token: str) -> str:
    _spend(service, clock, token)
    service.auth.accounts.delete(CODE, EMAIL)
    return token


def _come_in_another_way(service: Service, _clock: Clock, token: str) -> str:
    service.auth.register_user(EMAIL, PASSPHRASE)
    return token


def _come_and_go(service: Service, clock: Clock, token: str) -> str:
    _come_in_another_way(service, clock, token)
    service.auth.accounts.delete(CODE, EMAIL)
    return token


def _come_unheard(service: Service, _clock: Clock, token: str) -> str:
    service.auth._db.add_user(EMAIL, "!")
    return token


def _lose_to_another(service: Service, moving: Clock, token: str) -> str:
    moving.forward(121)
    assert verify(service, registered(service, password=OTHER), OTHER).status_code == 201
    return token


def _withdraw(service: Service, _clock: Clock, token: str) -> str:
    service.auth.registration.withdraw(CODE, EMAIL)
    return token


@pytest.mark.parametrize(
    "happens",
    [
        _spend,
        _spend_and_delete,
        _come_in_another_way,
        _come_and_go,
        _come_unheard,
        _lose_to_another,
        _withdraw,
    ],
)
def test_a_token_that_makes_no_account(
    service: Service, moving_clock: Clock, happens: Callable[[Service, Clock, str], str]
) -> None:
    """One refusal for all of them, with the right password, and no account more."""
    token = happens(service, moving_clock, registered(service))
    before = dump(service)["users"]
    assert heard(verify(service, token)) == (403, "wrong_verification_token")
    assert dump(service)["users"] == before


def test_without_a_token_nothing_is_verified(service: Service, hash_costs: list[int]) -> None:
    """Neither a field nor a cookie, whatever else is right; and nothing is hashed."""
    registered(service)
    hash_costs.clear()
    sent = {"email": EMAIL, "password": PASSPHRASE}
    assert heard(service.client().post("/email/verification", json=sent)) == (
        403,
        "link_not_open",
    )
    assert (users(service.auth), hash_costs) == (0, [])


def test_a_token_belongs_to_its_email(service: Service) -> None:
    """With another's it is refused, and stays as it was."""
    token = registered(service)
    assert heard(verify(service, token, email="amy@example.com")) == (
        403,
        "wrong_verification_token",
    )
    assert heard(verify(service, token, email="amy")) == (400, "malformed_email")
    assert verify(service, token, email=EMAIL.title()).status_code == 201


def test_one_that_ends_while_its_password_is_compared(
    service: Service, moving_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The statement that spends it asks for its time again."""
    token = registered(service)
    moving_clock.forward(DAY - 1)
    fits = service.auth.passwords.fits

    def slow(*given: object) -> str | None:
        moving_clock.forward(1)
        return fits(*given)  # type: ignore[arg-type]  # as they come

    monkeypatch.setattr(service.auth.passwords, "fits", slow)
    assert heard(verify(service, token)) == (403, "wrong_verification_token")
    assert users(service.auth) == 0


# --- the password -------------------------------------------------------------------------------


def test_no_one_prepares_an_account_for_someone_else(service: Service) -> None:
    """The mailbox's owner lacks the password, who chose the password lacks the link."""
    hearing = Hearing(service.auth)
    token = registered(service)
    refused = verify(service, token, OTHER)
    assert heard(refused) == (403, "wrong_verification_token")
    assert refused.get_json()["field"] == "password"
    assert hearing.only("registration.refused").caller.ip == "127.0.0.1"
    assert users(service.auth) == 0
    assert heard(verify(service, "x" * 43)) == (403, "wrong_verification_token")
    assert verify(service, token).status_code == 201


@pytest.mark.parametrize("link", ["first", "second"])
def test_a_link_completes_any_registration_of_its_email(
    service: Service, moving_clock: Clock, link: str
) -> None:
    """With the password that is typed, which no other registration changes."""
    first = registered(service)
    moving_clock.forward(121)
    second = registered(service, password=OTHER)
    token = first if link == "first" else second
    assert heard(verify(service, token, "neither of both, for sure")) == (
        403,
        "wrong_verification_token",
    )
    assert verify(service, token, OTHER).status_code == 201
    assert service.auth.valid_login(EMAIL, OTHER)
    assert not service.auth.valid_login(EMAIL, PASSPHRASE)


@pytest.mark.usefixtures("moving_clock")
def test_a_registration_without_an_email_of_its_own_counts(service: Service) -> None:
    """The second password of a person, and the last one, with the one link that was sent."""
    token = registered(service)
    for number in range(3):
        assert register(service, password=f"{OTHER} {number}").status_code == 202
    assert len(messages(service, "registration")) == 1
    assert len(outstanding(service, "registration")) == 2
    assert heard(verify(service, token, f"{OTHER} 1")) == (403, "wrong_verification_token")
    assert verify(service, token, f"{OTHER} 2").status_code == 201
    assert outstanding(service, "registration") == []


def test_no_one_keeps_an_email_from_registering(service: Service, moving_clock: Clock) -> None:
    """An attacker who uses up every email of an hour pays for the victim's link."""
    for number in range(8):
        register(service, password=f"{OTHER} {number}", ip="203.0.113.9")
        moving_clock.forward(121)
    assert len(messages(service, "registration")) == 5
    assert register(service, ip="198.51.100.7").status_code == 202
    for number in range(3):
        register(service, password=f"{OTHER} again {number}", ip="203.0.113.9")
    assert len(messages(service, "registration")) == 5
    assert verify(service, newest(service)).status_code == 201
    assert service.auth.valid_login(EMAIL, PASSPHRASE)


def test_another_email_for_a_registration_that_waited(
    service: Service, moving_clock: Clock
) -> None:
    """Its link outlasts the next registration of the same network."""
    registered(service)
    register(service, password=OTHER)
    moving_clock.forward(121)
    resend(service)
    token = newest(service)
    register(service, password=f"{OTHER} 2")
    assert verify(service, token, f"{OTHER} 2").status_code == 201


def test_few_registrations_are_compared(
    service: Service, hash_costs: list[int], moving_clock: Clock
) -> None:
    """One of each network, the five newest, beside the one the link was sent for."""
    token = registered(service)
    for number in range(9):
        moving_clock.forward(1)
        register(service, password=f"{OTHER} {number}", ip=f"198.51.100.{number}")
    hash_costs.clear()
    verify(service, token, "neither of all, for sure")
    assert len(hash_costs) == 6


@pytest.mark.parametrize(
    ("password", "code"),
    [("x" * 4097, "password_too_long"), ("a\0b", "malformed_text"), ("", "empty_field")],
)
def test_what_can_be_no_password(service: Service, password: str, code: str) -> None:
    """It is refused before anything is looked up, so it says nothing of the token."""
    token = registered(service)
    answers = [verify(service, one, password) for one in (token, "x" * 43)]
    assert [answer.get_json()["code"] for answer in answers] == [code, code]
    assert verify(service, token).status_code == 201


def test_a_password_of_many_bytes_is_compared_whole(service: Service) -> None:
    """The hash by itself would read 72 of them."""
    long = "é" * 60
    token = registered(service, password=long + "1")
    assert heard(verify(service, token, long + "2")) == (403, "wrong_verification_token")
    assert verify(service, token, long + "1").status_code == 201


def test_a_wrong_password_costs_one_hash(service: Service, hash_costs: list[int]) -> None:
    """As the right one does."""
    token = registered(service)
    hash_costs.clear()
    verify(service, token, OTHER)
    verify(service, token)
    assert hash_costs == [4, 4]


# --- how wrong ones count -----------------------------------------------------------------------


def test_wrong_passwords_count_as_those_of_a_known_device(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """After ten each next one waits, the right one too; guesses at signing in count apart."""
    service = make_service(**SMTP, rate_limit_account=10)
    token = registered(service)
    for number in range(10):
        verify(service, token, f"{OTHER} {number}")
        service.client().post("/sessions", json={"email": EMAIL, "password": OTHER})
    refused = verify(service, token)
    assert heard(refused) == (429, "too_many_attempts")
    moving_clock.forward(int(refused.headers["Retry-After"]))
    assert verify(service, token).status_code == 201
    assert service.auth.rate_limits.find(EMAIL) == []


def test_another_email_forgets_no_wrong_password(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """Neither does registering once more."""
    service = make_service(**SMTP, rate_limit_account=3)
    for number in range(3):
        token = registered(service)
        moving_clock.forward(121)
        resend(service)
        token = newest(service)
        moving_clock.forward(1800)
        assert heard(verify(service, token, f"{OTHER} {number}")) == (
            403,
            "wrong_verification_token",
        )
    assert {count.failures for count in service.auth.rate_limits.find(EMAIL)} == {3}
    assert heard(verify(service, token)) == (429, "too_many_attempts")


def test_guesses_of_strangers_stop_no_link_and_lock_no_new_account(service: Service) -> None:
    """They belonged to no account."""
    token = registered(service)
    for _ in range(UNKNOWN_DEVICES):
        service.auth.rate_limits.reserve(CODE, Attempt("sign_in", EMAIL))
    assert verify(service, token).status_code == 201
    assert service.auth.rate_limits.find(EMAIL) == []
    assert service.auth.valid_login(EMAIL, PASSPHRASE)


def test_a_flood_of_registrations_of_one_email_keeps_few(service: Service) -> None:
    """Beyond the limit of emails a network has one, the newest."""
    for number in range(10):
        register(service, password=f"{OTHER} {number}")
    assert len(messages(service, "registration")) == 1
    assert len(outstanding(service, "registration")) == 2
