"""keys and tokens: made once, kept from others, worth nothing for another purpose."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bienvenue import keys, tokens
from bienvenue.keys import KeyProblem, KeyRing
from tests.races import race


def test_twenty_threads_that_start_at_once_agree_on_one_key(tmp_path: Path) -> None:
    """The file is made whole, once, in a folder for its owner, and leaves no draft."""
    file = tmp_path / "instance" / "keys"
    rings = race(lambda _: keys.read_or_make(file), 20)
    assert len({ring.mac("test", b"message") for ring in rings}) == 1
    assert list(file.parent.iterdir()) == [file]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert len(bytes.fromhex(file.read_text())) == 32


def test_a_key_that_is_there_is_read_and_not_made_anew(tmp_path: Path) -> None:
    """A restart keeps what the last one signed."""
    first = keys.read_or_make(tmp_path / "keys")
    before = (tmp_path / "keys").read_text()
    second = keys.read_or_make(tmp_path / "keys")
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
        keys.read(file)
    assert str(file) in str(problem.value)
    assert not content or content not in str(problem.value)


def test_a_missing_key_file_is_refused(tmp_path: Path) -> None:
    """A shared file is never made by a node: the others would not have it."""
    with pytest.raises(KeyProblem, match="cannot read the key file"):
        keys.read(tmp_path / "nothing")


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


def test_a_token_is_256_bits_nobody_guesses() -> None:
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
