"""foreign_hashes: what other systems store opens, costs what is known before, and hides itself.

The hashes in `foreign_hashes.json` were made by the systems themselves, at low costs where they
let one choose; each says which and of what version. Only Firebase's is from its documentation.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from bienvenue import foreign_hashes
from bienvenue.foreign_hashes import FAMILIES, UnreadableHash
from bienvenue.hashing import Hasher, Match

FILE = Path(__file__).parents[1] / "features" / "data" / "foreign_hashes.json"
MADE: list[dict[str, str]] = json.loads(FILE.read_text("utf-8"))
SALT = b"146585145368132386173505678016728509634"
KEYS = {"flask_security": SALT}
EIGHTY = "x" * 40 + "y" * 40
HANGUL = "\ud55c" * 25
DECOMPOSED = "cafe\u0301 cre\u0300me bru\u0302le\u0301e"


def stored(made: dict[str, str]) -> str:
    """What the database keeps once such a hash was brought along."""
    text = "flask_security" if made["system"].startswith("Flask-Security") else "typed"
    return f"{text}:{made['hash']}"


def passwords() -> Iterator[object]:
    """Yield all that was made; `make test` shows one password of each kind."""
    seen = set()
    for made in MADE:
        kind = (made["system"], made["kind"])
        yield pytest.param(made, marks=[pytest.mark.thorough] * (kind in seen))
        seen.add(kind)


def b64(raw: bytes) -> str:
    """Base64 without its padding."""
    return base64.b64encode(raw).decode().rstrip("=")


@pytest.fixture
def works(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """All that was computed from here on: units by family."""
    done: Counter[str] = Counter()

    def watch(where: Any, name: str, units: Callable[..., tuple[str, int]]) -> None:
        real = getattr(where, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            family, much = units(*args, **kwargs)
            done[family] += much
            return real(*args, **kwargs)

        monkeypatch.setattr(where, name, counted)

    def pbkdf2(
        digest: str, _: bytes, __: bytes, iterations: int, dklen: int | None = None
    ) -> tuple[str, int]:
        size = hashlib.new(digest).digest_size
        return f"pbkdf2-{digest}", iterations * -(-(dklen or size) // size)

    watch(bcrypt, "hashpw", lambda _, salt: ("bcrypt", 2 ** int(salt.split(b"$")[2])))
    watch(hashlib, "pbkdf2_hmac", pbkdf2)
    watch(hashlib, "scrypt", lambda *_, n, r, p, **__: ("scrypt", n * r * p))
    watch(foreign_hashes, "_argon2", lambda *a: ("argon2", a[4] * a[5]))
    watch(foreign_hashes, "_sha_crypt", lambda *a: (f"{a[0]}-crypt", a[3]))
    watch(foreign_hashes, "_md5", lambda *a: ("md5", a[2]))
    return done


@pytest.mark.parametrize(
    "made", list(passwords()), ids=lambda made: f"{made['system']} {made['kind']}"
)
def test_what_another_system_stored_opens_by_the_password_it_was_made_of(
    made: dict[str, str],
) -> None:
    """As it was typed, composed or not, of 80 characters or of 25 that take 75 bytes."""
    hasher, password = Hasher(4, KEYS), made["password"]
    assert hasher.verify(password, stored(made)) is Match.OUTDATED
    assert hasher.verify(f"!{password}", stored(made)) is Match.NO
    assert hasher.verify("", stored(made)) is Match.NO


def test_every_system_of_the_list_is_there() -> None:
    """And each hash is named as what it is."""
    named = {Hasher(4, KEYS).read(stored(made)).system for made in MADE}
    assert named == {
        "Better Auth",
        "Django bcrypt",
        "Django bcrypt_sha256",
        "Django pbkdf2_sha1",
        "Django pbkdf2_sha256",
        "Django scrypt",
        "Firebase",
        "LDAP SSHA",
        "LDAP SSHA256",
        "LDAP SSHA512",
        "Werkzeug pbkdf2",
        "Werkzeug scrypt",
        "argon2id",
        "bcrypt",
        "passlib bcrypt_sha256",
        "passlib pbkdf2",
        "passlib scrypt",
        "phpass",
        "sha256-crypt",
        "sha512-crypt",
    }


@pytest.mark.parametrize("digest", ["sha1", "sha256", "sha512"])
def test_pbkdf2_as_kratos_writes_it_opens(digest: str) -> None:
    """Written from its documentation; it may be longer than the digest, which is more work."""
    made = hashlib.pbkdf2_hmac(digest, b"a passphrase", b"a salt of 16 b..", 1000, 96)
    for size in (32, 96):
        whole = hashlib.pbkdf2_hmac(digest, b"a passphrase", b"a salt of 16 b..", 1000, size)
        assert whole == made[:size]
        text = f"$pbkdf2-{digest}$i=1000,l={size}${b64(b'a salt of 16 b..')}${b64(whole)}"
        found = foreign_hashes.read(text, "typed")
        assert found.matches("a passphrase")
        assert not found.matches("a passphrasf")
        assert found.units == 1000 * -(-size // hashlib.new(digest).digest_size)


def test_scrypt_as_kratos_writes_it_opens() -> None:
    """It writes N where passlib writes the exponent of two, under the same name."""
    made = hashlib.scrypt(b"a passphrase", salt=b"salty", n=1024, r=8, p=1, dklen=32)
    text = f"$scrypt$ln=1024,r=8,p=1${base64.b64encode(b'salty').decode()}${b64(made)}="
    found = foreign_hashes.read(text, "typed")
    assert (found.system, found.units) == ("Kratos scrypt", 1024 * 8)
    assert found.matches("a passphrase")


@pytest.mark.parametrize("kind", ["i", "d", "id"])
@pytest.mark.parametrize("version", [16, 19])
def test_every_argon2_opens(kind: str, version: int) -> None:
    """The first version of it wrote none."""
    low: Any = importlib.import_module("argon2.low_level")
    types = {"i": low.Type.I, "d": low.Type.D, "id": low.Type.ID}
    made = low.hash_secret_raw(b"a passphrase", b"saltsalt", 1, 64, 2, 32, types[kind], version)
    shown = "" if version == 16 else "$v=19"
    text = f"$argon2{kind}{shown}$m=64,t=1,p=2${b64(b'saltsalt')}${b64(made)}"
    assert foreign_hashes.read(text, "typed").matches("a passphrase")
    assert not foreign_hashes.read(text, "typed").matches("another")


# --- how a password is taken --------------------------------------------------------------------


@pytest.mark.parametrize("password", [EIGHTY, HANGUL, DECOMPOSED, "\u212bngstrom and 9 frogs"])
def test_a_bcrypt_that_cut_and_did_not_normalise_opens_by_its_mark(
    password: str, hash_costs: list[int]
) -> None:
    """One comparison an attempt; the same hash without the mark is ours, and fits nothing."""
    made = bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4)).decode()
    hash_costs.clear()
    assert Hasher(4).verify(password, f"typed:{made}") is Match.OUTDATED
    assert hash_costs == [4]
    assert Hasher(4).verify(password, made) is Match.NO
    assert Hasher(4).verify(f"x{password}", f"typed:{made}") is Match.NO


def test_a_mark_never_stands_on_a_hash_of_ours() -> None:
    """What we make has none, and one of ours that was cut would be another password's."""
    for password in ("x" * 72, "x" * 73):
        assert foreign_hashes.split(Hasher(4).hash(password).decode())[0] == "nfc"
    assert foreign_hashes.split("typed:$2b$04$x") == ("typed", "$2b$04$x")
    assert foreign_hashes.split("other:$2b$04$x") == ("nfc", "other:$2b$04$x")


@pytest.mark.parametrize(
    ("text", "same"), [("nfkc", "\u2460 caf\u00e9"), ("nfkd", "\u2460 caf\u00e9")]
)
def test_what_a_system_folded_is_folded(text: str, same: str) -> None:
    """Two spellings of one text are one password there, and so they are here."""
    folded = {"nfkc": "1 caf\u00e9", "nfkd": "1 cafe\u0301"}[text].encode()
    made = bcrypt.hashpw(folded, bcrypt.gensalt(4)).decode()
    for typed in (same, "1 caf\u00e9", "1 cafe\u0301"):
        assert Hasher(4).verify(typed, f"{text}:{made}") is Match.OUTDATED
    assert Hasher(4).verify("1 cafe", f"{text}:{made}") is Match.NO


def test_a_password_of_flask_security_needs_its_salt() -> None:
    """Without the setting the hash cannot be compared with, and says what is missing."""
    made = next(each for each in MADE if each["system"].startswith("Flask-Security"))
    with pytest.raises(UnreadableHash, match="BIENVENUE_FLASK_SECURITY_PASSWORD_SALT"):
        Hasher(4).read(stored(made))
    assert Hasher(4).verify(made["password"], stored(made)) is Match.NO
    wrong = Hasher(4, {"flask_security": b"another"})
    assert wrong.verify(made["password"], stored(made)) is Match.NO


# --- what it costs ------------------------------------------------------------------------------


def dearest() -> dict[str, int]:
    """The dearest of every family among the hashes of the list."""
    most: Counter[str] = Counter()
    for made in MADE:
        found = Hasher(4, KEYS).read(stored(made))
        if found.family is not None:
            most[found.family] = max(most[found.family], found.units)
    return dict(most)


def cheap() -> Iterator[dict[str, str]]:
    """One hash of every kind, the cheapest."""
    seen = set()
    for made in sorted(MADE, key=lambda made: Hasher(4, KEYS).read(stored(made)).units):
        found = Hasher(4, KEYS).read(stored(made))
        if found.system not in seen:
            seen.add(found.system)
            yield made


def of_every_kind() -> list[object]:
    """Every kind once; `make test` tries two, each of a family of its own."""
    few = {"Django pbkdf2_sha256", "argon2id"}
    return [
        pytest.param(
            made,
            id=f"{made['system']} {made['kind']}",
            marks=[pytest.mark.thorough] * (Hasher(4, KEYS).read(stored(made)).system not in few),
        )
        for made in cheap()
    ]


@pytest.mark.table
@pytest.mark.parametrize("made", of_every_kind())
def test_a_failure_costs_what_every_failure_costs(
    made: dict[str, str], works: Counter[str]
) -> None:
    """Of every kind, as for an account that is not there: the same units of every family."""
    most, hasher = dearest(), Hasher(6, KEYS)
    hasher.pretend("a passphrase", most)
    expected = dict(works)
    assert expected == most | {"bcrypt": 2**6}
    works.clear()
    assert hasher.verify("a passphrase", stored(made), most) is Match.NO
    assert dict(works) == expected
    works.clear()
    ours = Hasher(5).hash("another").decode()
    works.clear()
    assert hasher.verify("a passphrase", ours, most) is Match.NO
    assert dict(works) == expected


def test_a_hash_dearer_than_ours_raises_what_every_failure_costs(hash_costs: list[int]) -> None:
    """One of bcrypt at a higher cost is not told by its slowness."""
    made = bcrypt.hashpw(b"a passphrase", bcrypt.gensalt(6)).decode()
    for check in (
        lambda: Hasher(4).verify("another", f"typed:{made}", {"bcrypt": 2**6}),
        lambda: Hasher(4).pretend("another", {"bcrypt": 2**6}),
        lambda: Hasher(4).verify("another", "!", {"bcrypt": 2**6}),
    ):
        hash_costs.clear()
        check()
        assert sum(2**cost for cost in hash_costs) == 2**6


def test_what_a_table_says_is_bounded(works: Counter[str]) -> None:
    """However dear a row says a family is, no more than the bound is done; little is not done."""
    for family, most in (("pbkdf2-sha256", FAMILIES["pbkdf2-sha256"].most), ("md5", 2**19)):
        works.clear()
        Hasher(4).pretend("x", {family: 10**15})
        assert works[family] == most
    works.clear()
    Hasher(4).pretend("x", {"sha512-crypt": 999, "argon2": 7, "scrypt": 7})
    assert dict(works) == {"bcrypt": 2**4}


SALT_64, HASH_32 = "c2FsdHNhbHQ", b64(bytes(32))
HEX_64 = "00" * 64


@pytest.mark.parametrize(
    ("hashed", "why"),
    [
        ("$2b$15$" + "." * 53, "costs too much"),
        ("$2b$31$" + "." * 53, "costs too much"),
        ("bcrypt$$2b$15$" + "." * 53, "costs too much"),
        (f"pbkdf2:sha256:3000001$salt${'00' * 32}", "costs too much"),
        (f"pbkdf2:sha1:4000001$salt${'00' * 20}", "costs too much"),
        (f"pbkdf2:sha512:2000001$salt${HEX_64}", "costs too much"),
        (f"pbkdf2_sha256$9999999999$salt${HASH_32}", "costs too much"),
        (f"$pbkdf2-sha256$i=1,l=1000000000${SALT_64}${HASH_32}", "malformed"),
        (f"$pbkdf2-sha256$i=3000000,l=64${SALT_64}${b64(bytes(64))}", "costs too much"),
        (f"scrypt:262144:8:2$salt${HEX_64}", "costs too much"),
        (f"scrypt:524288:8:1$salt${HEX_64}", "memory"),
        (f"scrypt:2:1:9999999999$salt${HEX_64}", "memory"),
        (f"scrypt:2:9999999999:1$salt${HEX_64}", "memory"),
        (f"$scrypt$ln=31,r=8,p=1${SALT_64}${HASH_32}", "memory"),
        (f"$scrypt$ln=4294967296,r=8,p=1${SALT_64}${HASH_32}", "memory"),
        (f"$firescrypt$ln=99,r=8,p=1${SALT_64}${HASH_32}$Bw==${HASH_32}", "memory"),
        (f"$argon2id$v=19$m=262145,t=1,p=1${SALT_64}${HASH_32}", "memory"),
        (f"$argon2id$v=19$m=262144,t=5,p=1${SALT_64}${HASH_32}", "costs too much"),
        (f"$argon2id$v=19$m=64,t=9999999999,p=1${SALT_64}${HASH_32}", "costs too much"),
        ("$6$rounds=1000001$salt$" + "." * 86, "costs too much"),
        ("$5$rounds=999999999$salt$" + "." * 43, "costs too much"),
        ("x" * 513, "too long"),
        (f"pbkdf2:sha256:1000${'s' * 600}${'00' * 32}", "too long"),
    ],
)
def test_what_would_hold_a_processor_or_its_memory_is_refused_before_any_work(
    hashed: str, why: str, works: Counter[str]
) -> None:
    """At import, and when it stands in the database all the same: a failure as any other."""
    with pytest.raises(UnreadableHash, match=why) as caught:
        foreign_hashes.read(hashed, "typed")
    assert hashed not in str(caught.value)
    assert Hasher(5).verify("a passphrase", f"typed:{hashed}") is Match.NO
    assert dict(works) == {"bcrypt": 2**5}


@pytest.mark.parametrize(
    "hashed",
    [
        "",
        "plain text",
        "$2b$04$" + "." * 52,
        "$2b$03$" + "." * 53,
        "$2b$04$" + "." * 53 + "\n",
        "$bcrypt-sha256$2b,1$" + "." * 22 + "$" + "." * 31,
        "pbkdf2:md5:1000$salt$00",
        f"pbkdf2:sha256:0$salt${'00' * 32}",
        # Whoever lost the end of a hash would be opened by one password in so many.
        "pbkdf2:sha256:1000$salt$00",
        f"scrypt:1024:8:1$salt${'00' * 63}",
        f"scrypt:1024:8:1$salt${'0' * 127}",
        f"scrypt:1000:8:1$salt${HEX_64}",
        f"scrypt:1:8:1$salt${HEX_64}",
        f"scrypt:1024:0:1$salt${HEX_64}",
        f"scrypt:1024:8:0$salt${HEX_64}",
        f"scrypt$1024$salt$8$1${HASH_32}",
        f"pbkdf2_sha256$1000$salt${b64(bytes(31))}",
        f"$pbkdf2-sha256$1000${SALT_64}${b64(bytes(16))}",
        f"$pbkdf2-sha256$i=1000,l=8${SALT_64}${b64(bytes(8))}",
        f"$scrypt$ln=0,r=8,p=1${SALT_64}${HASH_32}",
        f"$scrypt$ln=10,r=8,p=1${SALT_64}${b64(bytes(16))}",
        f"$scrypt$ln=10,r=8,p=1$A${HASH_32}",
        f"{'0' * 32}:{'0' * 127}",
        f"$argon2id$v=19$m=64,t=0,p=1${SALT_64}${HASH_32}",
        f"$argon2id$v=19$m=7,t=1,p=1${SALT_64}${HASH_32}",
        f"$argon2id$v=19$m=1024,t=1,p=33${SALT_64}${HASH_32}",
        f"$argon2id$v=19$m=64,t=1,p=1${SALT_64}${b64(bytes(15))}",
        f"$argon2id$v=20$m=64,t=1,p=1${SALT_64}${HASH_32}",
        "$6$rounds=5000$salt$" + "." * 43,
        "$5$rounds=5000$salt$" + "." * 86,
        "$P$I" + "." * 30,
        "$P$B" + "." * 29,
        "{SSHA}" + b64(bytes(20)),
        "{SSHA384}" + b64(bytes(60)),
        "{SSHA}x",
        "!",
        "typed:typed:$2b$04$" + "." * 53,
    ],
)
def test_what_is_no_hash_is_refused(hashed: str, works: Counter[str]) -> None:
    """And a failure as any other where it is stored."""
    with pytest.raises(UnreadableHash, match=r"malformed|no known form"):
        foreign_hashes.read(hashed, "typed")
    assert Hasher(5).verify("a passphrase", f"typed:{hashed}") is Match.NO
    assert dict(works) == {"bcrypt": 2**5}


def test_a_salt_that_argon2_refuses_is_malformed(works: Counter[str]) -> None:
    """Its shape is right, and the library says no when it is computed."""
    short = f"$argon2id$v=19$m=64,t=1,p=1$c2FsdA${HASH_32}"
    assert Hasher(5).verify("a passphrase", f"typed:{short}") is Match.NO
    assert works["bcrypt"] == 2**5


@pytest.mark.parametrize(
    ("library", "hashed"),
    [
        ("argon2.low_level", f"$argon2id$v=19$m=64,t=1,p=1${SALT_64}${HASH_32}"),
        ("passlib.hash", "$6$rounds=5000$salt$" + "." * 86),
    ],
)
def test_a_hash_whose_library_is_not_installed_says_how_it_is(
    monkeypatch: pytest.MonkeyPatch, library: str, hashed: str
) -> None:
    """The account cannot sign in, and nothing breaks."""
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(UnreadableHash, match=r"needs pip install 'bienvenue\[import\]'"):
        foreign_hashes.read(hashed, "typed")
    assert Hasher(4).verify("a passphrase", f"typed:{hashed}") is Match.NO


def test_nothing_shows_a_hash(caplog: pytest.LogCaptureFixture) -> None:
    """Neither the value that was read nor what is logged of one that cannot be."""
    with caplog.at_level("DEBUG"):
        for made in MADE:
            assert made["hash"][-20:] not in repr(Hasher(4, KEYS).read(stored(made)))
            Hasher(4).verify("x", f"typed:{made['hash'][:-1]}")
    assert caplog.records
    assert not [made for made in MADE if made["hash"][10:30] in caplog.text]
