"""keys and tokens: made once, kept from others, worth nothing for another purpose."""

from __future__ import annotations

import hashlib
import hmac
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bienvenue import key_file, tokens
from bienvenue.key_ring import KeyProblem, KeyRing
from tests.races import race


def test_twenty_threads_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    """The file is made whole, once, in a folder for its owner, and leaves no draft."""
    file = tmp_path / "instance" / "keys"
    rings = race(lambda _: key_file.read_or_make(file), 20)
    assert len({ring.mac("test", b"message") for ring in rings}) == 1
    assert list(file.parent.iterdir()) == [file]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert len(bytes.fromhex(file.read_text())) == 32


def test_a_key_that_is_there_is_read_and_not_made_again(tmp_path: Path) -> None:
    """A restart keeps what the last one signed."""
    first = key_file.read_or_make(tmp_path / "keys")
    before = (tmp_path / "keys").read_text()
    second = key_file.read_or_make(tmp_path / "keys")
    assert (tmp_path / "keys").read_text() == before
    assert second.verify("test", b"message", first.mac("test", b"message"))


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("", "too weak"),
        ("ab" * 31, "too weak"),
        ("ab" * 32 + "\n" + "cd" * 31, "too weak"),
        ("not hexadecimal", "cannot read"),
        ("a" * 63, "cannot read"),
        ("é" * 64, "cannot read"),
    ],
)
def test_a_weak_or_unreadable_key_file_is_refused(tmp_path: Path, content: str, says: str) -> None:
    """The problem names the file and shows nothing of what is in it."""
    file = tmp_path / "keys"
    file.write_text(content, "utf-8")
    with pytest.raises(KeyProblem, match=says) as problem:
        key_file.read(file)
    assert str(file) in str(problem.value)
    assert not content or content not in str(problem.value)


def test_a_missing_key_file_is_refused(tmp_path: Path) -> None:
    """A shared file is never made by a node: the others would not have it."""
    with pytest.raises(KeyProblem, match="cannot read the key file"):
        key_file.read(tmp_path / "nothing")


def test_a_key_bears_nothing_in_its_repr() -> None:
    """Not even as bytes."""
    assert repr(KeyRing([b"k" * 32, b"l" * 32])) == "<KeyRing of 2>"


def test_a_mac_is_bound_to_key_purpose_and_message() -> None:
    """Any other of the three, or a MAC with one bit changed, does not verify."""
    ring, other = KeyRing([b"k" * 32]), KeyRing([b"l" * 32])
    mac = ring.mac("form", b"message")
    assert ring.verify("form", b"message", mac)
    assert not ring.verify("mail", b"message", mac)
    assert not ring.verify("form", b"Message", mac)
    assert not other.verify("form", b"message", mac)
    assert not ring.verify("form", b"message", bytes([mac[0] ^ 1]) + mac[1:])
    assert not ring.verify("form", b"message", b"")


def test_keys_can_be_changed_one_after_the_other() -> None:
    """The newest signs; older ones still verify until they are taken out of the file."""
    old, new = b"k" * 32, b"l" * 32
    both = KeyRing([new, old])
    assert both.verify("form", b"x", KeyRing([old]).mac("form", b"x"))
    assert both.mac("form", b"x") == KeyRing([new]).mac("form", b"x")
    assert not KeyRing([new]).verify("form", b"x", KeyRing([old]).mac("form", b"x"))


def test_what_the_first_version_stored_is_read_as_it_wrote_it() -> None:
    """Its derivation, byte by byte: another one would make every stored value unknown."""
    key, message = b"k" * 32, b"message"

    def hmac_of(secret: bytes, text: bytes) -> bytes:
        return hmac.digest(secret, text, hashlib.sha256)

    ring = KeyRing([key])
    for purpose in ("audit", "letter", "form", "outbox page", "limit network", "letter proof"):
        own = hmac_of(key, f"bienvenue {purpose}".encode())
        assert ring.mac(purpose, message) == hmac_of(own, message)
        cipher = AESGCM(hmac_of(hmac_of(key, f"bienvenue seal {purpose}".encode()), b""))
        assert (
            ring.decrypt(purpose, b"n" * 12 + cipher.encrypt(b"n" * 12, message, None)) == message
        )


def test_a_new_purpose_has_a_key_by_hkdf() -> None:
    """RFC 5869, one key for MACs and another for ciphers."""
    key, message = b"k" * 32, b"message"

    def derived(use: str) -> bytes:
        return HKDF(SHA256(), 32, None, f"bienvenue {use}".encode()).derive(key)

    ring = KeyRing([key])
    mac = hmac.digest(derived("mac draft"), message, hashlib.sha256)
    assert ring.mac("draft", message) == mac
    encrypted = ring.encrypt("draft", message)
    cipher = AESGCM(derived("encrypt draft"))
    assert cipher.decrypt(encrypted[:12], encrypted[12:], None) == message


def test_what_is_encrypted_is_bound_to_key_and_purpose() -> None:
    """An older key decrypts until it is retired; too short a text is refused alike."""
    old, new = KeyRing([b"k" * 32]), KeyRing([b"l" * 32])
    encrypted = old.encrypt("draft", b"message")
    assert KeyRing([b"l" * 32, b"k" * 32]).decrypt("draft", encrypted) == b"message"
    for ring, purpose, text in (
        (new, "draft", encrypted),
        (old, "letter", encrypted),
        (old, "draft", encrypted[:-1]),
        (old, "draft", b"short"),
    ):
        with pytest.raises(KeyProblem, match="no key of the ring decrypts"):
            ring.decrypt(purpose, text)


def test_a_token_is_256_bits_no_one_guesses() -> None:
    """43 characters of base64url, never the same twice."""
    made = {tokens.new() for _ in range(1000)}
    assert len(made) == 1000
    assert all(tokens.well_formed(token) for token in made)


@pytest.mark.parametrize(
    "token", [None, "", "x" * 42, "x" * 44, "x" * 42 + "=", "x" * 42 + "\n", "é" * 43, "x" * 9999]
)
def test_what_has_not_the_shape_of_a_token_is_none(token: str | None) -> None:
    """Before anything is looked up."""
    assert not tokens.well_formed(token)


def test_a_digest_is_bound_to_its_purpose_and_its_text() -> None:
    """A token of one purpose is unknown for another; two spellings are two tokens."""
    token = "A" * 43
    assert len(tokens.digest("session", token)) == 32
    assert tokens.digest("session", token) == tokens.digest("session", token)
    assert tokens.digest("session", token) != tokens.digest("reset", token)
    assert tokens.digest("session", token) != tokens.digest("session", "A" * 42 + "B")
