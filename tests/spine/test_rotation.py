"""keys: a new one, an old one, and everybody who uses them at that moment."""

from __future__ import annotations

import hashlib
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bienvenue import key_file, logs
from bienvenue.cli import main
from bienvenue.key_ring import KeyProblem, KeyRing
from tests.conftest import Service
from tests.races import race
from tests.web.browser import Browser, forms

Run = Callable[..., Result]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A key file with one key."""
    made = tmp_path / "keys"
    key_file.read_or_make(made)
    return made


@pytest.fixture
def run(file: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The command line of a service with this key file."""
    monkeypatch.setenv("BIENVENUE_SECRET_KEY_FILE", str(file))
    monkeypatch.setenv("BIENVENUE_INSTANCE", str(file.parent / "instance"))
    return lambda *arguments: CliRunner().invoke(main, arguments)


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a process look at the file whenever it needs a key."""
    monkeypatch.setattr(key_file, "CHECK_EVERY", 0.0)


def names(file: Path) -> list[str]:
    """Give the fingerprints of a file."""
    return key_file.read(file).fingerprints()


def test_the_newest_signs_and_older_ones_verify_until_retired(file: Path) -> None:
    """The three steps of changing a key."""
    old = KeyRing([bytes.fromhex(file.read_text())])
    signed = old.mac("form", b"x")
    fingerprint = key_file.rotate(file)
    both = key_file.read(file)
    assert both.fingerprints() == [fingerprint, *old.fingerprints()]
    assert both.verify("form", b"x", signed)
    assert both.mac("form", b"x") != signed
    assert both.lasting_mac("limit", b"x") == old.mac("limit", b"x")
    key_file.retire(file, old.fingerprints()[0], 0)
    assert not key_file.read(file).verify("form", b"x", signed)
    assert names(file) == [fingerprint]


@pytest.mark.usefixtures("at_once")
def test_a_running_process_sees_the_change(file: Path) -> None:
    """No restart: the next use of a key has the new ones."""
    running = key_file.read(file)
    signed = running.mac("form", b"x")
    (old,) = running.fingerprints()
    new = key_file.rotate(file)
    assert running.fingerprints() == [new, old]
    assert running.verify("form", b"x", signed)
    key_file.retire(file, old, 0)
    assert not running.verify("form", b"x", signed)


def test_it_looks_once_a_second_at_most(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A key costs no look at the disk."""
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    running = key_file.read(file)
    new = key_file.rotate(file)
    now += 0.9
    assert new not in running.fingerprints()
    now += 0.2
    assert new in running.fingerprints()


@pytest.mark.usefixtures("at_once")
@pytest.mark.parametrize("broken", ["", "00" * 32, "not a key", None])
def test_a_file_that_goes_bad_keeps_the_keys_before(
    file: Path, broken: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """The service goes on, says so once, and takes the file when it is good again."""
    running = key_file.read(file)
    before = running.fingerprints()
    good = file.read_text()
    file.unlink() if broken is None else file.write_text(broken)
    assert [running.fingerprints(), running.fingerprints()] == [before, before]
    assert caplog.text.count("The keys read before stay in use") == 1
    file.write_text(f"{secrets.token_hex(32)}\n{good}")
    assert running.fingerprints()[1:] == before


def test_twenty_rotations_at_once_lose_no_key(file: Path) -> None:
    """Each waits for the others; the file is whole at every moment."""
    first = names(file)
    made = race(lambda _: key_file.rotate(file), 20)
    assert len(set(made)) == 20
    assert sorted(names(file)) == sorted([*made, *first])
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize("mode", [0o600, 0o640])
def test_rights_owner_and_links_stay(file: Path, mode: int) -> None:
    """Anyone who could read it still can, no one else, and a link still leads to it."""
    file.chmod(mode)
    link = file.with_name("link")
    link.symlink_to(file)
    key_file.rotate(link)
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == mode
    assert file.stat().st_uid == os.geteuid()
    assert len(names(file)) == 2


def test_a_write_that_fails_changes_nothing(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk leaves the old file and no draft."""
    before = file.read_text()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(KeyProblem, match=r"cannot change the key file .*No space left"):
        key_file.rotate(file)
    assert file.read_text() == before
    assert list(file.parent.iterdir()) == [file]


@pytest.mark.parametrize(
    "key",
    [
        bytes(32),
        b"\xff" * 32,
        b"\xab" * 32,
        b"\xde\xad\xbe\xef" * 8,
        bytes.fromhex("0123456789abcdef" * 4),
        bytes(range(32)),
        bytes(range(200, 168, -1)),
        b"a secret sentence, in hexadecimal",
        hashlib.sha256(b"secret").digest(),
        hashlib.sha256(b"changeme\n").digest(),
        hashlib.sha256(b"").digest(),
    ],
)
def test_a_key_that_could_be_guessed_is_refused(file: Path, key: bytes) -> None:
    """M09: patterns, text, digests of words; as the newest and as an older one, with a sentence."""
    good = file.read_text()
    for content in (key.hex(), good + key.hex()):
        file.write_text(content)
        with pytest.raises(KeyProblem, match=r"too weak: a key .*keys new FILE") as problem:
            key_file.read(file)
        assert key.hex() not in str(problem.value)


def test_no_random_key_is_called_weak() -> None:
    """Ten thousand of them."""
    assert not [key for _ in range(10_000) if key_file._weakness(key := secrets.token_bytes(32))]


# --- commands -----------------------------------------------------------------------------------


def test_the_commands_show_fingerprints_and_never_a_key(run: Run, file: Path) -> None:
    """List, rotate, retire."""
    run("db", "upgrade")
    (old,) = names(file)
    assert run("keys", "list").output == f"{old}  signs and verifies\n"
    new = run("keys", "rotate").output.split()[0]
    assert run("keys", "rotate").exit_code == 0
    listed = run("keys", "list").output
    assert [line[:12] for line in listed.splitlines()] == names(file)
    assert listed.splitlines()[1] == f"{new}  verifies until it is retired"
    assert run("keys", "retire", old).output == f"{old} is retired\n"
    assert old not in names(file)
    said = listed + run("keys", "list").output + run("settings").output
    assert not [key for key in file.read_text().split() if key in said or key[:12] in said]


def test_the_newest_or_only_key_is_not_retired(run: Run, file: Path) -> None:
    """Nor is one that is not there; each with a sentence and status 1."""
    run("db", "upgrade")
    (only,) = names(file)
    for fingerprint, says in ((only, "newest key"), ("0" * 12, "has no such key")):
        refused = run("keys", "retire", fingerprint)
        assert refused.exit_code == 1
        assert says in refused.output
        assert "keys " in refused.output
    assert names(file) == [only]


def test_a_key_file_is_made_once(run: Run, tmp_path: Path) -> None:
    """For its owner only, with one good key that nothing shows, and never in another's place."""
    made = tmp_path / "shared" / "keys"
    said = run("keys", "new", str(made))
    (name,) = names(made)
    assert (said.exit_code, said.output) == (0, f"{name} is the key of {made}\n")
    assert stat.S_IMODE(made.stat().st_mode) == 0o600
    before = made.read_text()
    assert before.strip() not in said.output
    refused = run("keys", "new", str(made))
    assert (refused.exit_code, made.read_text()) == (1, before)
    assert "exists already: `bienvenue keys rotate` adds a key to it" in refused.output
    assert list(made.parent.iterdir()) == [made]
    (blocked := tmp_path / "file").write_text("")
    assert (
        f"cannot make the key file {blocked}/keys" in run("keys", "new", f"{blocked}/keys").output
    )


def test_twenty_commands_that_make_it_at_once_make_one(tmp_path: Path) -> None:
    """One of them, and the others hear that it is there."""

    def make(_: int) -> str | None:
        try:
            return key_file.new(tmp_path / "keys")
        except KeyProblem:
            return None

    made = [name for name in race(make, 20) if name is not None]
    assert made == names(tmp_path / "keys")


def test_a_write_that_fails_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the key file nor a draft of it."""

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(KeyProblem, match=r"cannot make the key file .*No space left"):
        key_file.new(tmp_path / "keys")
    assert list(tmp_path.iterdir()) == []


def test_a_retired_key_stays_in_the_file_for_old_batches_only(file: Path) -> None:
    """It verifies batches up to its retirement; it signs, verifies and decrypts nothing else."""
    old = key_file.read(file)
    mac, encrypted = old.mac("audit", b"x"), old.encrypt("draft", b"x")
    (name,) = old.fingerprints()
    new = key_file.rotate(file)
    key_file.retire(file, name, 12)
    ring = key_file.read(file)
    assert (ring.fingerprints(), ring.retired()) == ([new], [(name, 12)])
    assert [ring.verify_batch("audit", number, b"x", mac) for number in (1, 12, 13)] == [
        True,
        True,
        False,
    ]
    assert not ring.verify_batch("audit", 1, b"y", mac)
    assert not ring.verify("audit", b"x", mac)
    with pytest.raises(KeyProblem, match="no key of the ring decrypts"):
        ring.decrypt("draft", encrypted)
    assert ring.lasting_mac("limit", b"x") == ring.mac("limit", b"x")
    with pytest.raises(KeyProblem, match="is retired already"):
        key_file.retire(file, name, 99)
    third = key_file.rotate(file)
    key_file.retire(file, new, 20)
    ring = key_file.read(file)
    assert (ring.fingerprints(), ring.retired()) == ([third], [(new, 20), (name, 12)])


@pytest.mark.parametrize(
    "line",
    ["retired after batch 12", "{} retired", "{} retired after batch 0", "{} # old", "{} {}"],
)
def test_a_line_of_another_form_is_refused(file: Path, line: str) -> None:
    """Or a key that was to be retired would go on signing."""
    good = file.read_text()
    other = secrets.token_hex(32)
    file.write_text(good + line.format(other, other) + "\n")
    with pytest.raises(KeyProblem, match="a line is no key") as problem:
        key_file.read(file)
    assert other[:8] not in str(problem.value)


def test_a_file_of_retired_keys_alone_has_no_key(file: Path) -> None:
    """Nothing signs."""
    file.write_text(f"{secrets.token_hex(32)} retired after batch 3\n")
    with pytest.raises(KeyProblem, match="holds no key"):
        key_file.read(file)


def test_a_key_is_retired_where_its_database_is(
    run: Run, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another folder there would be no batch to keep it for, and it would be lost."""
    (old,) = names(file)
    run("keys", "rotate")
    before = file.read_text()
    refused = run("keys", "retire", old)
    assert (refused.exit_code, file.read_text()) == (1, before)
    assert "run this where you run the service" in refused.output
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nothing")
    assert run("keys", "retire", old).exit_code == 1
    assert file.read_text() == before


def test_without_a_key_file_the_commands_say_so(run: Run, file: Path) -> None:
    """They make none: it would not be the one the service uses. A path may be a pasted key."""
    run("db", "upgrade")
    file.unlink()
    for arguments in (("list",), ("rotate",), ("retire", "0" * 12)):
        refused = run("keys", *arguments)
        assert refused.exit_code == 1
        assert "the key file: No such file" in refused.output
        assert "`bienvenue keys new FILE` makes a good one" in refused.output
        assert str(file) not in refused.output
    assert not file.exists()


# --- a service whose key changes ----------------------------------------------------------------


@pytest.mark.usefixtures("at_once")
def test_a_form_survives_a_rotation_and_not_a_retirement(service: Service) -> None:
    """On both databases, while the service runs."""
    service.signed_in()
    file = service.auth.settings.core.secret_key_file
    assert file is not None
    browser = Browser(service)
    (old,) = names(file)

    def shown() -> dict[str, str]:
        page = browser.get("/sessions/new")
        found = [form for form in forms(page) if form.action == "/sessions"]
        return found[0].fields | {"email": "nobody@example.com", "password": "wrong"}

    before = shown()
    key_file.rotate(file)
    assert browser.client.post("/sessions", data=before).status_code == 401
    key_file.retire(file, old, 0)
    assert browser.client.post("/sessions", data=before).status_code == 403
    assert browser.client.post("/sessions", data=shown()).status_code == 401
    assert logs.request_id() == ""


# --- corners ------------------------------------------------------------------------------------


def test_a_ring_takes_no_short_key() -> None:
    """Nor none at all."""
    for made in ([], [secrets.token_bytes(31)]):
        with pytest.raises(KeyProblem, match="fewer than 32 bytes"):
            KeyRing(made)


def test_a_key_of_emails_is_weak() -> None:
    """Thirty-two printable characters were typed by someone."""
    assert key_file._weakness(b"correct horse battery staple 123") == "a key is text"


def test_a_file_of_another_owner_stays_theirs(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An administrator rotates the key of the service's user."""
    given: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
    monkeypatch.setattr(os, "fchown", lambda _, uid, gid: given.append((uid, gid)))
    key_file.rotate(file)
    assert given == [(file.stat().st_uid, file.stat().st_gid)]
