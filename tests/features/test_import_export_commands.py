"""import_export from the command line: files, databases, progress, and what is left on the disk."""

from __future__ import annotations

import csv
import getpass
import importlib
import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bienvenue.authentication import CODE, operator
from bienvenue.features.import_export import UnreadableSource, commands
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.features import audits
from tests.features.audits import run
from tests.features.test_import_export import HASH, HEAD

BOB, AMY = f"{EMAIL},{HASH}\n", "amy@example.com,\n"


def imported(service: Service, *arguments: str | Path) -> Any:
    """Run the command of coming in."""
    return run(service, commands.import_command, *map(str, arguments))


def exported(service: Service, *arguments: str | Path) -> Any:
    """Run the command of going out."""
    return run(service, commands.export_command, *map(str, arguments))


def file_of(tmp_path: Path, name: str, content: str) -> Path:
    """Write a file."""
    file = tmp_path / name
    file.write_text(content, "utf-8", "surrogateescape")
    return file


def test_a_look_then_in_then_in_again(service: Service, tmp_path: Path) -> None:
    """Each says what became of the lines and what their hashes are; status 1 for a wrong line."""
    file = file_of(tmp_path, "people.csv", f"{HEAD}{BOB}{AMY}bob,\n")
    kinds = "        1  Werkzeug scrypt: opens\n        1  no password: opens by resetting it\n"
    look = imported(service, file, "--dry-run")
    assert look.stdout == (
        f"3 lines: 2 would be created, 0 unchanged, 1 refused\n{kinds}nothing was written\n"
    )
    assert (look.stderr, look.exit_code) == (
        "line 4: email is not an email, as name@example.org\n",
        1,
    )
    first = imported(service, file)
    assert first.stdout == f"3 lines: 2 created, 0 unchanged, 1 refused\n{kinds}"
    again = imported(service, file)
    assert again.stdout == f"3 lines: 0 created, 2 unchanged, 1 refused\n{kinds}"
    assert service.auth.valid_login(EMAIL, PASSPHRASE)


def test_every_person_is_named_when_asked(service: Service, tmp_path: Path) -> None:
    """And whom a refused line is of, where it says so; never a hash."""
    file = file_of(tmp_path, "people.csv", f"{HEAD}{BOB}{AMY}eve@example.com,{HASH}00\n")
    said = imported(service, file, "--each")
    assert said.stdout.splitlines()[:2] == [
        f"line 2: {EMAIL}: created; Werkzeug scrypt: opens",
        "line 3: amy@example.com: created; no password: opens by resetting it",
    ]
    assert said.stderr == "line 4: eve@example.com: password_hash is malformed\n"
    assert HASH[20:50] not in said.output


def test_a_hash_that_cannot_be_read_is_left_out_when_asked(
    service: Service, tmp_path: Path
) -> None:
    """The status is 0 then: nobody was left behind."""
    file = file_of(tmp_path, "people.csv", f"{HEAD}eve@example.com,{HASH}00\n")
    said = imported(service, file, "--without-unreadable")
    assert said.exit_code == 0
    assert "password_hash is malformed: left out, opens by resetting it" in said.stdout


def test_json_lines_and_columns_of_other_names(service: Service, tmp_path: Path) -> None:
    """By the name of the file, or as it is said."""
    line = {"Mail": EMAIL, "passwordHash": HASH, "shoes": 43}
    file = file_of(tmp_path, "people.export", f"{json.dumps(line)}\n")
    options = ("--rename", "Mail=email", "--rename", "passwordHash=password_hash")
    given = (*options, "--ignore", "shoes", "--set", "email_verified=yes", "--format", "jsonl")
    said = imported(service, file, *given)
    assert said.exit_code == 0, said.output
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.registration.verified_at(user.id) is not None
    wrong = imported(service, file, "--rename", "Mail", "--format", "jsonl")
    assert (wrong.exit_code, "is written as NAME=VALUE" in wrong.output) == (2, True)


def test_what_is_not_utf_8_is_a_line_that_is_wrong(service: Service, tmp_path: Path) -> None:
    """The lines around it are read."""
    file = tmp_path / "people.csv"
    file.write_bytes(HEAD.encode() + b"b\xf6b@example.com,\n" + AMY.encode())
    said = imported(service, file)
    assert said.stderr == "line 2: email holds a character that is none, or is not UTF-8\n"
    assert service.auth.accounts.find("amy@example.com")


def test_people_come_from_a_database(service: Service, tmp_path: Path) -> None:
    """By a URL without a password, or a file that holds one."""
    old = tmp_path / "a.db"
    sqlite: Any = importlib.import_module("sqlite3")
    with sqlite.connect(old) as connection:
        connection.execute("CREATE TABLE users (email TEXT, hashed_password BLOB)")
        connection.execute("INSERT INTO users VALUES (?, ?)", (EMAIL, HASH.encode()))
    connection.close()
    query = ("--query", "SELECT email, hashed_password AS password_hash FROM users")
    said = imported(service, f"sqlite:///{old}", *query)
    assert said.exit_code == 0, said.output
    url = file_of(tmp_path, "url", f"sqlite:///{old}\n")
    assert "1 unchanged" in imported(service, f"@{url}", *query).stdout


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("nowhere.csv",), "nowhere.csv: No such file or directory"),
        (("people",), "say with --format whether it is csv or jsonl"),
        (("people.csv", "--query", "SELECT 1"), "go together"),
        (("sqlite:///a.db",), "go together"),
        (("postgresql://bob:secret@host/name", "--query", "SELECT 1"), "stands in a file"),
        (("://name", "--query", "SELECT 1"), "no URL of a database"),
        (("@nowhere", "--query", "SELECT 1"), "nowhere holds no URL of a database"),
        ((".", "--format", "csv"), "Is a directory"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(
    service: Service, arguments: tuple[str, ...], why: str
) -> None:
    """In a sentence that holds no password of a database."""
    said = imported(service, *arguments)
    assert isinstance(said.exception, UnreadableSource | IsADirectoryError)
    assert why in str(said.exception)
    assert "secret" not in str(said.exception)


def test_it_says_how_far_it_is(service: Service, tmp_path: Path, moving_clock: Clock) -> None:
    """Every few seconds, on standard error, where no summary is cut by it."""
    file = file_of(tmp_path, "people.csv", HEAD + "".join(f"p{n}@example.com,\n" for n in range(3)))
    progress = commands._Progress(each=False)
    heard: list[Any] = []
    real = commands._Progress.hear

    def slow(self: Any, line: Any) -> None:
        moving_clock.forward(2)
        heard.append(line)
        real(self, line)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(commands._Progress, "hear", slow)
        said = imported(service, file)
    assert len(heard) == 3
    assert said.stderr == "3 lines so far\n"
    assert progress._lines == 0


def test_everybody_goes_out_into_a_file_of_its_owner(service: Service, tmp_path: Path) -> None:
    """As CSV or JSON lines, with hashes only when asked; it comes back in as it is."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.accounts.disable(CODE, EMAIL)
    for name in ("out.csv", "out.jsonl"):
        said = exported(service, tmp_path / name)
        assert said.output == f"1 accounts in {tmp_path / name}, without password hashes\n"
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        assert "$2b$" not in (tmp_path / name).read_text()
        assert "1 refused" in imported(service, tmp_path / name).output
    said = exported(service, tmp_path / "with.csv", "--with-hashes")
    assert said.output.endswith("with password hashes\n")
    (row,) = csv.DictReader((tmp_path / "with.csv").read_text().splitlines())
    assert row["password_hash"] == service.auth.accounts.find(EMAIL).hashed_password
    assert (row["email_verified"], row["notification_email"]) == ("false", "")
    service.auth.accounts.delete(CODE, EMAIL)
    assert "1 created" in imported(service, tmp_path / "with.csv").output
    assert not service.auth.valid_login(EMAIL, PASSPHRASE)
    service.auth.accounts.enable(CODE, EMAIL)
    assert service.auth.valid_login(EMAIL, PASSPHRASE)
    actors = {entry.facts["actor"] for entry in service.auth.audit.list()}
    assert actors == {operator().actor, "code"}


def test_standard_output_holds_nothing_else(service: Service) -> None:
    """So that it can be piped."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    said = exported(service, "-", "--format", "jsonl")
    assert json.loads(said.stdout)["email"] == EMAIL


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("there.csv", "there is a file of this name already"),
        ("nowhere/out.csv", "No such file or directory"),
        ("out", "say with --format"),
    ],
)
def test_where_nothing_can_be_written_is_refused(
    service: Service, tmp_path: Path, name: str, why: str
) -> None:
    """And nobody's account was read."""
    (tmp_path / "there.csv").write_text("mine")
    said = exported(service, tmp_path / name)
    assert isinstance(said.exception, UnreadableSource)
    assert why in str(said.exception)
    assert (tmp_path / "there.csv").read_text() == "mine"
    assert "users.exported" not in audits.names(service.auth)


def test_half_an_export_is_none(
    service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped in the middle it leaves no file, under no name."""
    service.auth.register_user(EMAIL, PASSPHRASE)

    def dies(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(service.auth.audit, "last", lambda *_: dies(None))
    exported(service, tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == []


@pytest.mark.parametrize("there", ["a name", "no name", "no such system"])
def test_the_operator_is_the_user_of_the_operating_system(
    monkeypatch: pytest.MonkeyPatch, there: str
) -> None:
    """Whatever the environment says; the number where nobody named it."""
    monkeypatch.setenv("LOGNAME", "somebody-else")
    pwd: Any = importlib.import_module("pwd")
    if there == "no name":
        monkeypatch.setattr(pwd, "getpwuid", lambda number: {"": ""}[str(number)])
        assert operator().actor == f"operator {os.getuid()}"
    elif there == "no such system":
        monkeypatch.setitem(sys.modules, "pwd", None)
        monkeypatch.delattr(os, "getuid")
        monkeypatch.setattr(getpass, "getuser", lambda: "amy")
        assert operator().actor == "operator amy"
    else:
        assert operator().actor == f"operator {pwd.getpwuid(os.getuid()).pw_name}"


def test_a_pipe_is_a_source_too(service: Service, tmp_path: Path) -> None:
    """As a program of its own, whose input ends."""
    environ = {
        **os.environ,
        "BIENVENUE_DATABASE_URL": service.url,
        "BIENVENUE_SECRET_KEY_FILE": str(tmp_path / "keys"),
        "BIENVENUE_INSTANCE": str(tmp_path / "instance"),
    }
    command = [sys.executable, "-m", "bienvenue", "users", "import", "-", "--format", "csv"]
    done = subprocess.run(
        command, input=f"{HEAD}{BOB}", env=environ, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("1 lines: 1 created")
    assert service.auth.accounts.find(EMAIL)
