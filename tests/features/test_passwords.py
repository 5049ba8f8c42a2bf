"""passwords: the policy, verifying, re-hashing and changing."""

from __future__ import annotations

import pytest

from bienvenue.authentication import CODE
from bienvenue.features.accounts import AccountDisabled
from bienvenue.features.passwords import (
    LONGEST,
    PasswordCommon,
    PasswordOwnWords,
    PasswordTooLong,
    PasswordTooShort,
    WrongCredentials,
)
from bienvenue.features.sessions import SignedIn
from bienvenue.hashing import Hasher
from bienvenue.normalize import MalformedEmail, MalformedText
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.features.hearing import Hearing
from tests.races import race

NEW = "onze grenouilles au soleil"
CHANGE = {"old_password": PASSPHRASE, "new_password": NEW}


def me_of(service: Service, secret: str | None) -> SignedIn:
    """The person of a secret."""
    me = service.auth.sessions.check(secret)
    assert me is not None
    return me


def opened(service: Service) -> SignedIn:
    """Bob, registered and signed in."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    return me_of(service, service.auth.create_session(EMAIL))


@pytest.mark.parametrize(
    ("password", "refusal"),
    [
        ("", PasswordTooShort),
        ("fourteen chars", PasswordTooShort),
        # Fifteen code points as typed, fourteen characters in NFC.
        ("fourteen chare\u0301", PasswordTooShort),
        ("x" * (LONGEST + 1), PasswordTooLong),
        ("passwordpassword", PasswordCommon),
        ("PassWordPassWord", PasswordCommon),
        ("bob@example.com", PasswordOwnWords),
        ("Bienvenue Bienvenue!", PasswordOwnWords),
        ("localhost localhost", PasswordOwnWords),
        ("a passphrase with \0", MalformedText),
        ("a passphrase with \udfff", MalformedText),
    ],
)
def test_a_password_no_one_should_have_is_refused(
    service: Service, password: str, refusal: type[Exception]
) -> None:
    """Each with its own refusal, which names the field and says nothing of the password."""
    with pytest.raises(refusal) as caught:
        service.auth.passwords.check_policy(password, [EMAIL], "new_password")
    assert getattr(caught.value, "field", None) == "new_password"
    assert not password or password not in str(caught.value)


@pytest.mark.parametrize(
    "password",
    [
        "fifteen chars ab",
        "        a b c  ",
        "ééééééééééééééé!",
        "🐸🌧 frogs in the rain",
        "x1" * 2048,
    ],
)
def test_any_other_password_is_allowed(service: Service, password: str) -> None:
    """No rule about kinds of characters; spaces count; the bound is included."""
    assert service.auth.passwords.check_policy(password, [EMAIL]) == password
    service.auth.register_user(EMAIL, password)
    assert service.auth.valid_login(EMAIL, password)


def test_the_least_length_is_a_setting(make_service: MakeService) -> None:
    """8 is the least it can be, and the refusal says the number."""
    auth = make_service(password_min_length=8).auth
    assert auth.passwords.check_policy("gnu frog", [EMAIL]) == "gnu frog"
    with pytest.raises(PasswordTooShort, match="at least 8 characters"):
        auth.passwords.check_policy("gnufrog", [EMAIL])


def test_signing_in_checks_form_and_never_policy(service: Service) -> None:
    """An imported short password, and a common one, still open their accounts."""
    for email, password in [(EMAIL, "short"), ("amy@example.com", "passwordpassword")]:
        service.auth._db.add_user(email, Hasher(4).hash(password).decode())
        assert service.auth.sessions.sign_in(CODE, email, password).user.email == email


@pytest.mark.parametrize("length", [71, 72, 73, 4096])
def test_a_password_of_any_accepted_length_opens_and_no_other_does(
    service: Service, length: int
) -> None:
    """Every character counts, the last one too; end to end, over HTTP."""
    password = ("neuf grenouilles sous la pluie; " * 128)[: length - 1] + "!"
    client = service.client()
    assert client.post("/users", json={"email": EMAIL, "password": password}).status_code == 201
    wrong = {"email": EMAIL, "password": password[:-1] + "?"}
    assert client.post("/sessions", json=wrong).status_code == 401
    right = {"email": EMAIL, "password": password}
    assert client.post("/sessions", json=right).status_code == 200


@pytest.mark.parametrize(
    ("email", "password", "refusal"),
    [
        (EMAIL, "wrong", WrongCredentials),
        ("eve@example.com", PASSPHRASE, WrongCredentials),
        ("bob", PASSPHRASE, MalformedEmail),
        (EMAIL, "\0", MalformedText),
        (EMAIL, "x" * 4097, PasswordTooLong),
    ],
)
def test_a_wrong_verification_is_refused(
    service: Service, email: str, password: str, refusal: type[Exception]
) -> None:
    """And `valid_login` says False to each."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    with pytest.raises(refusal):
        service.auth.passwords.verify(CODE, email, password)
    assert service.auth.valid_login(email, password) is False


@pytest.mark.parametrize("stored", ["right", "unknown", "none", "disabled", "malformed"])
def test_every_refusal_costs_one_hash_of_the_configured_cost(
    make_service: MakeService, hash_costs: list[int], stored: str
) -> None:
    """Whether there is an account, a password, or a hash that can be read."""
    service = make_service(bcrypt_cost=5)
    user = service.auth.accounts.add_without_password(CODE, EMAIL)
    hashes = {"right": Hasher(5).hash(PASSPHRASE).decode(), "malformed": "$2b$05$too short"}
    service.auth._db.update_user(user.id, hashed_password=hashes.get(stored, "!"))
    if stored == "disabled":
        service.auth._db.update_user(user.id, hashed_password=hashes["right"])
        service.auth.accounts.disable(CODE, EMAIL)
    hearing = Hearing(service.auth)
    hash_costs.clear()
    with pytest.raises(WrongCredentials):
        service.auth.passwords.verify(
            CODE, "eve@example.com" if stored == "unknown" else EMAIL, "wrong password"
        )
    assert hash_costs == [5]
    expected = None if stored == "unknown" else user.id
    assert hearing.only("password.refused").user_id == expected


def test_only_the_right_password_learns_that_an_account_is_disabled(service: Service) -> None:
    """Others hear what they hear of any account."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.accounts.disable(CODE, EMAIL)
    with pytest.raises(WrongCredentials):
        service.auth.passwords.verify(CODE, EMAIL, "wrong password")
    with pytest.raises(AccountDisabled) as refusal:
        service.auth.passwords.verify(CODE, EMAIL, PASSPHRASE)
    assert (refusal.value.status, refusal.value.code) == (403, "account_disabled")


def test_an_outdated_hash_is_replaced_at_sign_in(make_service: MakeService) -> None:
    """A cost that was raised: the same password, a new hash, and the sessions stay."""
    old = make_service(bcrypt_cost=4)
    client = old.signed_in()
    raised = make_service(bcrypt_cost=5)
    hearing = Hearing(raised.auth)
    raised.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE)
    user = raised.auth.accounts.find(EMAIL)
    assert user.hashed_password.startswith("$2b$05$")
    assert hearing.only("password.rehashed").user_id == user.id
    assert "password.changed" not in hearing.names
    assert client.get("/profile").status_code == 200
    raised.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE)
    assert hearing.names.count("password.rehashed") == 1
    assert raised.auth.accounts.find(EMAIL).hashed_password == user.hashed_password


def test_a_higher_cost_than_the_configured_one_is_left_alone(make_service: MakeService) -> None:
    """Lowering the setting weakens no hash."""
    make_service(bcrypt_cost=5).auth.register_user(EMAIL, PASSPHRASE)
    lowered = make_service(bcrypt_cost=4)
    lowered.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE)
    assert lowered.auth.accounts.find(EMAIL).hashed_password.startswith("$2b$05$")


def test_two_sign_ins_that_both_replace_the_hash_both_get_a_session(
    make_service: MakeService,
) -> None:
    """The second finds another hash than it compared, and compares again."""
    make_service(bcrypt_cost=4).auth.register_user(EMAIL, PASSPHRASE)
    raised = make_service(bcrypt_cost=5)
    secrets = race(lambda _: raised.auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE).secret, 2)
    assert all(raised.auth.get_user_from_session_id(secret) for secret in secrets)
    assert raised.auth.accounts.find(EMAIL).hashed_password.startswith("$2b$05$")
