"""The command line: every command, its errors, and what it never prints."""

from __future__ import annotations

import errno
import json
import os
import re
import runpy
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO
from unittest import mock

import click
import pytest
from click.testing import CliRunner, Result

from bienvenue import DB, Auth, clock, schema
from bienvenue.authentication import CODE
from bienvenue.cli import _group, main
from bienvenue.features.sessions import Session
from bienvenue.settings import Settings
from bienvenue.version import VERSION
from tests.conftest import EMAIL, KEY, PASSPHRASE, Service
from tests.features.hearing import rows
from tests.house.source import PACKAGE

Run = Callable[..., Result]


@pytest.fixture
def run(database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command on this test's database; its output is one text, its input what is typed."""
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    for name, value in {
        "DATABASE_URL": database,
        "SECRET_KEY_FILE": str(keys),
        "INSTANCE": str(tmp_path / "instance"),
        "BCRYPT_COST": "4",
    }.items():
        monkeypatch.setenv(f"BIENVENUE_{name}", value)

    def command(*words: str, typed: str | None = None) -> Result:
        result = CliRunner().invoke(main, words, input=typed)
        # A problem is a sentence with a status, never a traceback.
        assert result.exception is None or isinstance(result.exception, SystemExit), words
        return result

    return command


def refused(result: Result, says: str, code: int = 1) -> None:
    """Require an error of one sentence."""
    assert result.exit_code == code, result.output
    assert says in result.output
    assert "Traceback" not in result.output


def test_without_a_command_it_says_what_there_is(run: Run) -> None:
    """Every group and command with its line of help; -h is help too."""
    for words in (["--help"], ["-h"]):
        result = run(*words)
        assert result.exit_code == 0
        for name in ("serve", "db", "users", "openapi", "settings", "sweep"):
            assert f"\n  {name} " in result.output
    assert run("--version").output == f"{VERSION}\n"
    assert run("users", "--help").exit_code == 0
    refused(run("frobnicate"), "No such command", 2)


def test_the_package_can_be_run_as_a_module(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """`python -m bienvenue` is the same command line."""
    monkeypatch.setattr("sys.argv", ["anything", "--version"])
    with pytest.raises(SystemExit) as ended:
        # pytest has a loader of its own for packages with a plugin, which runs no module.
        runpy.run_path(str(PACKAGE / "__main__.py"), run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"{VERSION}\n"


def test_every_command_says_what_it_is_for() -> None:
    """The help of a command is its docstring."""

    def walk(group: click.Group) -> None:
        for command in group.commands.values():
            assert command.help, command.name
            if isinstance(command, click.Group):
                walk(command)

    walk(main)


def test_users_are_added_with_a_password_from_standard_input(run: Run, service: Service) -> None:
    """The line says who was made; the password is printed nowhere and opens the account."""
    result = run("users", "add", EMAIL.upper(), "--password-stdin", typed=PASSPHRASE + "\n")
    assert result.exit_code == 0
    uid = service.auth.accounts.find(EMAIL).uid
    assert result.output.split() == [uid, result.output.split()[1], "enabled", EMAIL]
    assert PASSPHRASE not in result.output
    assert service.auth.valid_login(EMAIL, PASSPHRASE)


def test_a_password_is_asked_for_twice_and_not_shown(run: Run, service: Service) -> None:
    """Two different ones are asked for again."""
    typed = f"{PASSPHRASE}\nanother\n{PASSPHRASE}\n{PASSPHRASE}\n"
    result = run("users", "add", EMAIL, typed=typed)
    assert result.exit_code == 0, result.output
    assert "do not match" in result.output
    assert PASSPHRASE not in result.output
    assert service.auth.valid_login(EMAIL, PASSPHRASE)


def test_no_one_types_a_password_and_nothing_is_made(run: Run, service: Service) -> None:
    """The end of input aborts."""
    refused(run("users", "add", EMAIL, typed=""), "Aborted!")
    assert list(service.auth.accounts.list()) == []


def test_users_are_added_without_a_password(run: Run, service: Service) -> None:
    """For an account that has another way in."""
    assert run("users", "add", EMAIL, "--no-password").exit_code == 0
    assert service.auth.accounts.find(EMAIL).hashed_password == "!"


def test_what_cannot_be_added_is_refused_in_a_sentence(run: Run) -> None:
    """The refusals of registering, with status 1."""
    run("users", "add", EMAIL, "--no-password")
    refused(run("users", "add", EMAIL, "--no-password"), f"User {EMAIL} already exists")
    refused(run("users", "add", "bob", "--no-password"), "Enter an email address")
    amy = ("users", "add", "amy@example.com", "--password-stdin")
    refused(run(*amy, typed="short\n"), "at least 15 characters")
    refused(run(*amy, typed="passwordpassword"), "common")
    refused(run("users", "add"), "Missing argument", 2)


def test_users_are_listed_oldest_first(run: Run) -> None:
    """A line each: uid, made, state, email."""
    for name in ("zoe", "amy"):
        run("users", "add", f"{name}@example.com", "--no-password")
    run("users", "disable", "amy@example.com")
    lines = [line.split() for line in run("users", "list").output.splitlines()]
    assert [line[2:] for line in lines] == [
        ["enabled", "zoe@example.com"],
        ["disabled", "amy@example.com"],
    ]


def test_a_user_is_shown_without_secrets(run: Run, service: Service) -> None:
    """By email or uid, as JSON."""
    service.signed_in()
    user = service.auth.accounts.find(EMAIL)
    for name in (EMAIL, user.uid):
        result = run("users", "show", name)
        shown = json.loads(result.output)
        assert (shown["uid"], shown["email"], len(shown["sessions"])) == (user.uid, EMAIL, 1)
        assert user.hashed_password not in result.output


def test_disabling_enabling_and_deleting(run: Run, service: Service) -> None:
    """Each says what it did; deleting asks first."""
    client = service.signed_in()
    assert run("users", "disable", EMAIL).output == f"disabled {EMAIL}\n"
    assert client.get("/profile").status_code == 401
    assert run("users", "enable", EMAIL).output == f"enabled {EMAIL}\n"
    assert service.auth.valid_login(EMAIL, PASSPHRASE)
    kept = run("users", "delete", EMAIL, typed="n\n")
    assert (kept.exit_code, "for good?" in kept.output) == (1, True)
    assert service.auth.accounts.find(EMAIL)
    assert run("users", "delete", EMAIL, typed="y\n").output.endswith(f"deleted {EMAIL}\n")
    service.auth.accounts.add_without_password(CODE, EMAIL)
    assert run("users", "delete", EMAIL, "--yes").output == f"deleted {EMAIL}\n"
    assert list(service.auth.accounts.list()) == []


@pytest.mark.parametrize("command", ["show", "disable", "enable", "delete", "sign-out"])
def test_no_one_is_no_one_to_every_command(run: Run, command: str) -> None:
    """With status 1."""
    refused(run("users", command, "eve@example.com"), "no account with this email or uid")


def test_signing_out_one_or_everybody(run: Run, service: Service) -> None:
    """Exactly one of the two is asked for."""
    bob, amy = service.signed_in(), service.signed_in("amy@example.com")
    assert run("users", "sign-out", EMAIL).output == f"signed out {EMAIL}\n"
    assert [client.get("/profile").status_code for client in (bob, amy)] == [401, 200]
    refused(run("users", "sign-out"), "name a user, or say --everybody", 2)
    refused(run("users", "sign-out", EMAIL, "--everybody"), "name a user", 2)
    assert run("users", "sign-out", "--everybody").output == "signed out 1 people\n"
    assert amy.get("/profile").status_code == 401


def test_sweeping_says_how_much(
    run: Run, service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Batch after batch until nothing is left."""
    service.signed_in()
    service.signed_in()
    assert run("sweep").output == "nothing is left to sweep\n"
    later = clock.now() + 40 * 86400
    monkeypatch.setattr(clock, "now", lambda: later)
    # Two sessions and the email about the second device.
    assert run("sweep").output == "swept 3 rows\nnothing is left to sweep\n"
    assert (rows(service.auth), Session.__tablename__) == (0, "sessions")


def test_the_schema_is_brought_up_and_named(run: Run) -> None:
    """Harmless twice."""
    newest = schema.newest()
    assert run("db", "upgrade").output == f"the database has version {newest}\n"
    version, where = run("db", "current").output.splitlines()
    assert version == f"{newest} (current; this program: {newest})"
    assert re.fullmatch(
        r"in .+, as the settings say, with the keys of .+, as the settings say", where
    )


@pytest.mark.parametrize("empty_database", ["sqlite", "postgresql"], indirect=True)
def test_an_empty_database_is_migrated_on_sqlite_and_refused_on_postgresql(
    run: Run, empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Several nodes may share PostgreSQL: there `db upgrade` decides when."""
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", empty_database)
    assert run("db", "current").output.startswith("none (empty;")
    listed = run("users", "list")
    if empty_database.startswith("sqlite"):
        assert (listed.exit_code, listed.output) == (0, "")
    else:
        refused(listed, "empty: run `bienvenue db upgrade`")
        assert run("db", "upgrade").exit_code == 0
        assert run("users", "list").exit_code == 0
    db = DB(empty_database)
    assert schema.state(db) is schema.State.CURRENT
    db.close()


def test_the_document_is_printed(run: Run) -> None:
    """Without asking the database."""
    result = run("openapi")
    assert result.exit_code == 0
    assert "/users" in json.loads(result.output)["paths"]


def test_every_setting_is_printed_and_no_secret(
    run: Run, monkeypatch: pytest.MonkeyPatch, database: str
) -> None:
    """Name, value and what it is for."""
    del database
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", "postgresql://bob:canary@db/x")
    monkeypatch.setenv("BIENVENUE_SESSION_IDLE", "1h")
    output = run("settings").output
    assert "BIENVENUE_SESSION_IDLE=3600\n" in output
    assert "BIENVENUE_BASE_URL=\n" in output
    assert "BIENVENUE_BCRYPT_COST=4\n" in output
    assert "canary" not in output


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("SESION_IDLE", "1h", "BIENVENUE_SESION_IDLE is no setting; did you mean"),
        ("BCRYPT_COST", "3", "BIENVENUE_BCRYPT_COST: "),
        ("DATABASE_URL", "nonsense", "BIENVENUE_DATABASE_URL: "),
        ("DATABASE_URL", "sqlite:////proc/nothing/x.db", "cannot open the database"),
        ("DATABASE_URL", "postgresql://127.0.0.1:9/x", "onnection"),
    ],
)
def test_a_problem_is_one_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, name: str, value: str, says: str
) -> None:
    """Of the settings, of the database, of the folder."""
    monkeypatch.setenv(f"BIENVENUE_{name}", value)
    refused(run("users", "list"), says)


def test_a_taken_port_is_named_with_a_way_out(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is migrated or made."""
    for name in ("HOST", "PORT"):
        monkeypatch.setenv(f"BIENVENUE_{name}", "")
        monkeypatch.delenv(f"BIENVENUE_{name}")
    for family, host in [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")]:
        with socket.socket(family) as taken:
            taken.bind((host, 0))
            taken.listen()
            port = taken.getsockname()[1]
            monkeypatch.setenv("BIENVENUE_HOST", host)
            result = run("serve", "--host", host, "--port", str(port))
        refused(result, f"cannot listen on {host} port {port}")
        assert f"--port {port + 1}" in result.output


def test_a_group_is_found_or_made_and_a_command_in_its_place_is_kept() -> None:
    """Features name their commands `group command`."""
    assert _group("users", "help", main) is main.commands["users"]
    assert _group("sweep", "help", main) is main


# --- where the output goes ----------------------------------------------------------------------


def started(
    *words: str,
    environment: Mapping[str, str] | None = None,
    stdout: int | IO[bytes] = subprocess.PIPE,
) -> subprocess.CompletedProcess[bytes]:
    """Run a command in a process of its own, as a shell does."""
    command = [sys.executable, "-m", "bienvenue", *words]
    return subprocess.run(
        command,
        check=False,
        stdout=stdout,
        stderr=subprocess.PIPE,
        env={**os.environ, **(environment or {})},
    )


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    "words",
    [
        ("users", "list"),
        pytest.param(("--help",), marks=pytest.mark.thorough),
        pytest.param(("settings",), marks=pytest.mark.thorough),
        pytest.param(("openapi",), marks=pytest.mark.thorough),
    ],
)
def test_an_output_that_is_full_is_one_sentence(database: str, words: tuple[str, ...]) -> None:
    """And Python does not try again at its end."""
    db = DB(database)
    Auth(db, Settings({"bcrypt_cost": "4"})).register_user(EMAIL, PASSPHRASE)
    db.close()
    with Path("/dev/full").open("wb") as full:
        result = started(*words, stdout=full)
    said = result.stderr.decode()
    assert (result.returncode, said) == (
        1,
        "Error: The output cannot be written: No space left on device.\n",
    )


@pytest.mark.usefixtures("run")
@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_a_terminal_that_cannot_show_it_is_told_in_one_sentence() -> None:
    """A name in Japanese, and a terminal of Western Europe."""
    name = {"BIENVENUE_SERVICE_NAME": "\u6771\u4eac"}
    western = {"PYTHONIOENCODING": "latin-1", "PYTHONUTF8": "0"}
    result = started("settings", environment=western | name)
    said = result.stderr.decode()
    assert result.returncode == 1
    assert said == (
        "Error: This terminal takes latin-1 only, and not all of the output: set PYTHONUTF8=1.\n"
    )
    assert started("settings", environment={"PYTHONUTF8": "1"} | name).returncode == 0


def test_other_troubles_of_a_file_are_not_called_those_of_the_output(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What no one expected keeps its traceback, which says where it is."""
    del run
    troubles = [
        OSError(errno.ENOSPC, "No space left on device", "/srv/file"),
        OSError(errno.EACCES, "Permission denied"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
    ]
    for trouble in troubles:
        monkeypatch.setattr("bienvenue.cli.Settings", mock.Mock(side_effect=trouble))
        result = CliRunner().invoke(main, ["settings"])
        assert result.exception is trouble


def test_a_byte_order_mark_is_no_part_of_a_password(run: Run, database: str) -> None:
    """Some editors put one before the text of a file."""
    assert (
        run("users", "add", EMAIL, "--password-stdin", typed=f"\ufeff{PASSPHRASE}\r\n").exit_code
        == 0
    )
    db = DB(database)
    assert Auth(db, Settings({"bcrypt_cost": "4"})).valid_login(EMAIL, PASSPHRASE)
    db.close()
