"""hashing: the two forms of bcrypt, foreign hashes, and what a failure costs."""

from __future__ import annotations

import importlib
from typing import Any

import bcrypt
import pytest

from bienvenue.hashing import Hasher, Match

PASSWORD = "neuf grenouilles sous la pluie"
LONG = "neuf grenouilles sous la pluie; " * 3

bcrypt_sha256: Any = importlib.import_module("passlib.hash").bcrypt_sha256


@pytest.mark.parametrize(
    ("password", "form"),
    [
        ("x" * 71, b"$2b$04$"),
        ("x" * 72, b"$2b$04$"),
        ("x" * 73, b"$bcrypt-sha256$v=2,t=2b,r=4$"),
        ("é" * 36, b"$2b$04$"),
        ("é" * 36 + "x", b"$bcrypt-sha256$v=2,t=2b,r=4$"),
        ("🐸" * 18, b"$2b$04$"),
        ("🐸" * 19, b"$bcrypt-sha256$v=2,t=2b,r=4$"),
        # 73 bytes as typed, 72 in NFC.
        ("x" * 70 + "e\u0301", b"$2b$04$"),
    ],
)
def test_the_form_depends_on_the_bytes(password: str, form: bytes) -> None:
    """72 bytes go in as they are, one more takes the other form; both verify, to the last."""
    hashed = Hasher(4).hash(password)
    assert hashed.startswith(form)
    assert Hasher(4).verify(password, hashed.decode()) is Match.YES
    assert Hasher(4).verify(password[:-1] + "!", hashed.decode()) is Match.NO
    assert Hasher(4).verify(password + "!", hashed.decode()) is Match.NO


def test_one_passphrase_typed_on_two_keyboards_is_one_password() -> None:
    """Composed and decomposed are the same; compatibility forms are not."""
    hashed = Hasher(4).hash("café crème brûlée").decode()
    assert Hasher(4).verify("cafe\u0301 cre\u0300me bru\u0302le\u0301e", hashed) is Match.YES
    assert Hasher(4).verify("cafe creme brulee", hashed) is Match.NO
    ligature = Hasher(4).hash("ﬁfteen letters").decode()
    assert Hasher(4).verify("fifteen letters", ligature) is Match.NO


def test_hashes_are_salted() -> None:
    """The same password twice is two hashes, in both forms."""
    for password in (PASSWORD, LONG):
        assert Hasher(4).hash(password) != Hasher(4).hash(password)


@pytest.mark.parametrize("prefix", ["2a", "2b", "2x", "2y"])
def test_bcrypt_of_other_systems_verifies(prefix: str) -> None:
    """The older names of the same algorithm."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    renamed = f"${prefix}{hashed[3:]}"
    assert Hasher(4).verify(PASSWORD, renamed) is Match.YES
    assert Hasher(4).verify(PASSWORD + "!", renamed) is Match.NO


def test_the_long_form_is_the_published_one() -> None:
    """What we write libpass reads, and the other way round."""
    ours = Hasher(4).hash(LONG).decode()
    assert bcrypt_sha256.verify(LONG, ours)
    assert not bcrypt_sha256.verify(LONG + "!", ours)
    theirs = bcrypt_sha256.using(rounds=4).hash(LONG)
    assert Hasher(4).verify(LONG, theirs) is Match.YES
    assert Hasher(4).verify(LONG + "!", theirs) is Match.NO
    short = bcrypt_sha256.using(rounds=4).hash(PASSWORD)
    assert Hasher(4).verify(PASSWORD, short) is Match.YES


@pytest.mark.parametrize(
    ("module", "options"),
    [
        ("argon2", {"rounds": 1, "memory_cost": 64, "parallelism": 1}),
        ("scrypt", {"rounds": 4}),
        ("pbkdf2_sha256", {"rounds": 10}),
        ("pbkdf2_sha512", {"rounds": 10}),
        ("django_pbkdf2_sha256", {"rounds": 10}),
    ],
)
def test_foreign_hashes_verify_and_are_outdated(
    module: str, options: dict[str, int], hash_costs: list[int]
) -> None:
    """So the next sign-in replaces them; a wrong password costs a hash of ours as well."""
    algorithm: Any = getattr(importlib.import_module("passlib.hash"), module)
    stored = algorithm.using(**options).hash(PASSWORD)
    hash_costs.clear()
    assert Hasher(4).verify(PASSWORD, stored) is Match.OUTDATED
    assert hash_costs == []
    assert Hasher(4).verify(PASSWORD + "!", stored) is Match.NO
    assert hash_costs == [4]


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "!",
        "x",
        PASSWORD,
        "$2b$04$",
        "$2b$04$" + "." * 52,
        "$2b$04$" + "." * 54,
        "$2b$04$" + "." * 52 + "é",
        "$2b$04$" + "é" * 53,
        "$2b$xx$" + "." * 53,
        # Right in shape, and bcrypt refuses it: a cost of 0, and one it would take days for.
        "$2b$00$" + "." * 53,
        "$2b$31$" + "." * 53,
        "$2b$17$" + "." * 53,
        "$2b$99$" + "." * 53,
        "$bcrypt-sha256$v=2,t=2b,r=4$" + "." * 22 + "$" + "." * 30,
        "$bcrypt-sha256$v=2,t=2b,r=0$" + "." * 22 + "$" + "." * 31,
        "$bcrypt-sha256$v=2,t=2b,r=31$" + "." * 22 + "$" + "." * 31,
        "$bcrypt-sha256$v=1,t=2b,r=4$" + "." * 22 + "$" + "." * 31,
        "$argon2id$v=19$m=64,t=1,p=1$",
        "$argon2id$v=19$m=64,t=1,p=1$!!!!$????",
        "$pbkdf2-sha256$10$x",
        "$scrypt$ln=99,r=8,p=1$aaaa$bbbb",
        "pbkdf2_sha256$notanumber$salt$hash",
        "\0" * 60,
    ],
)
def test_a_malformed_hash_matches_nothing_at_the_usual_cost(
    stored: str, hash_costs: list[int]
) -> None:
    """Whatever stands there: no error, one computation of the configured cost, for both forms."""
    assert Hasher(5).verify(PASSWORD, stored) is Match.NO
    assert [cost for cost in hash_costs if cost >= 4] == [5]
    hash_costs.clear()
    assert Hasher(5).verify(LONG, stored) is Match.NO
    assert [cost for cost in hash_costs if cost >= 4] == [5]


@pytest.mark.table(shown=3)
@pytest.mark.parametrize("old", [4, 5, 6, 7, 8])
@pytest.mark.parametrize("password", [PASSWORD, LONG])
def test_a_failure_at_an_old_cost_costs_what_one_costs_today(
    old: int, password: str, hash_costs: list[int]
) -> None:
    """2**c is topped up to exactly 2**C, so that the cost does not show an account's age."""
    stored = Hasher(old).hash(password).decode()
    hash_costs.clear()
    assert Hasher(8).verify(password + "!", stored) is Match.NO
    assert sum(2**cost for cost in hash_costs) == 2**8
    assert hash_costs[0] == old


def test_a_password_too_long_for_a_stored_plain_hash_costs_the_same(hash_costs: list[int]) -> None:
    """Bcrypt would refuse it, or other versions cut it; it is another password in any case."""
    stored = bcrypt.hashpw(b"x" * 72, bcrypt.gensalt(4)).decode()
    hash_costs.clear()
    assert Hasher(6).verify("x" * 73, stored) is Match.NO
    assert sum(2**cost for cost in hash_costs) == 2**6


@pytest.mark.parametrize(
    ("stored", "configured", "match"),
    [(4, 5, Match.OUTDATED), (5, 5, Match.YES), (6, 5, Match.YES)],
)
@pytest.mark.parametrize("password", [PASSWORD, LONG])
def test_only_a_lower_cost_is_outdated(
    stored: int, configured: int, match: Match, password: str
) -> None:
    """A higher one is left alone."""
    assert Hasher(configured).verify(password, Hasher(stored).hash(password).decode()) is match


@pytest.mark.parametrize("cost", [3, 17, 0, -1])
def test_a_cost_that_makes_no_sense_is_refused(cost: int) -> None:
    """Too cheap to protect, too dear to answer."""
    with pytest.raises(ValueError, match="from 4 to 16"):
        Hasher(cost)


@pytest.mark.parametrize("password", [PASSWORD, LONG])
def test_pretending_costs_one_hash(password: str, hash_costs: list[int]) -> None:
    """For an account that is not there, in either form."""
    Hasher(6).pretend(password)
    assert hash_costs == [6]


def test_a_lone_surrogate_cannot_be_hashed() -> None:
    """The fields refuse it before; here it must not become another password."""
    with pytest.raises(UnicodeEncodeError):
        Hasher(4).hash("\ud800" * 20)
