"""checkup: every finding is made to happen, and a good configuration has none."""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner
from sqlalchemy import text

from bienvenue import DB, Auth, checkup, clock, schema, serve, version
from bienvenue.authentication import CODE
from bienvenue.checkup import CHECKS, CheckupContext, CheckupProblem, Finding, Severity, checks
from bienvenue.cli import main
from bienvenue.db import DatabaseUnavailable
from bienvenue.feature import Event, Feature
from bienvenue.finding import Check
from bienvenue.hashing import Hasher
from bienvenue.settings import Section, Settings
from tests.conftest import KEY
from tests.databases import Databases
from tests.house.source import TOP

#: Looks at a service with these settings and gives what is found, by number.
Look = Callable[..., dict[str, Finding]]


@pytest.fixture
def look(database: str, tmp_path: Path) -> Iterator[Look]:
    """A service that is all right, on both databases, but for what a test makes of it."""
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    keys.chmod(0o600)
    opened = [DB(database)]
    if opened[0].file is not None:
        opened[0].file.chmod(0o600)

    def looked(*, debug: bool = False, slow: bool = False, **settings: Any) -> dict[str, Finding]:
        given: dict[str, Any] = {
            "database_url": database,
            "secret_key_file": keys,
            "instance": tmp_path,
        }
        given |= {"smtp_host": "mail.example.org", "mail_from": "us@example.org"}
        made = Settings({}, **given | settings)
        db = DB(made.database_url)
        opened.append(db)
        around = CheckupContext(Auth(db, made), db, debug=debug)
        return {found.code: found for found in checkup.run(around, slow=slow).findings}

    yield looked
    for db in opened:
        db.close()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody of this machine can reach, and that no other test closes."""
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def test_nothing_is_found_in_a_good_configuration(look: Look) -> None:
    """The default on their own machine, and a public one behind a trusted proxy."""
    assert look() == {}
    public = {"base_url": "https://login.example.org", "trusted_proxies": "127.0.0.1"}
    assert look(**public) == {}


SETTINGS: list[tuple[str, dict[str, Any]]] = [
    ("BV004", {"host": "0.0.0.0", "base_url": "http://login.example.org"}),
    ("BV005", {"host": "::", "base_url": "http://localhost:5000"}),
    ("BV005", {"base_url": "http://login.example.org", "trusted_proxies": "::1"}),
    ("BV006", {"host": "192.0.2.1", "base_url": "https://login.example.org"}),
    ("BV007", {"debug": True}),
    ("BV008", {"base_url": "https://login.example.org"}),
    ("BV008", {"unix_socket": "/run/bienvenue.sock", "host": "0.0.0.0"}),
    ("BV009", {"trusted_proxies": "0.0.0.0/0"}),
    ("BV009", {"trusted_proxies": "10.0.0.0/8, ::/1, 8000::/1"}),
    ("BV015", {"bcrypt_cost": 9}),
    (
        "BV017",
        {
            "base_url": "https://login.example.org",
            "trusted_proxies": "127.0.0.1",
            "cookie_domain": "example.org",
        },
    ),
    ("BV018", {"password_min_length": 14}),
    ("BV019", {"session_lifetime": "31d"}),
]


@pytest.mark.parametrize(("code", "settings"), SETTINGS)
def test_a_setting_that_should_not_be_so(look: Look, code: str, settings: dict[str, Any]) -> None:
    """Exactly its own finding, and nothing else."""
    assert list(look(**settings)) == [code]


def test_what_is_well(look: Look) -> None:
    """Loopback however it is written; TLS of its own, which needs no proxy."""
    tls = {"tls_certificate_file": "/etc/x.pem"}
    # There is no such certificate, and nothing else is wrong.
    assert list(look(host="0.0.0.0", base_url="https://login.example.org", **tls)) == ["BV029"]
    assert list(look(**tls)) == ["BV029"]
    assert look(host="::1", base_url="http://[::1]:5000") == {}
    assert look(host="127.0.0.2", base_url="http://127.0.0.1") == {}


@pytest.mark.parametrize(
    "content", [None, "", "00" * 32, "ab" * 32, "abc", "7b2fd97c2c40a7d8e15b9063f4"]
)
def test_a_key_that_is_missing_or_weak(look: Look, tmp_path: Path, content: str | None) -> None:
    """The sentence has nothing of the key."""
    file = tmp_path / "other"
    if content is not None:
        file.write_text(content)
        file.chmod(0o600)
    found = look(secret_key_file=file)
    assert list(found) == ["BV001"]
    assert not content or content not in found["BV001"].message


def test_a_key_file_of_ones_own_need_not_be_there_yet(look: Look, database: str) -> None:
    """It is made on the first start; on PostgreSQL nodes share one, so it has to be named."""
    assert list(look(secret_key_file=None)) == ([] if "sqlite" in database else ["BV001"])


@pytest.mark.parametrize(("of", "code"), [("secret", "BV002"), ("tls", "BV023")])
def test_a_key_file_others_can_read(look: Look, open_folder: Path, of: str, code: str) -> None:
    """A group that was given it may read and not write; others may do neither."""
    file = open_folder / f"{of}-keys"
    file.write_text(KEY)
    for mode in (0o600, 0o640):
        file.chmod(mode)
        assert code not in look(**{f"{of}_key_file": file})
    for mode in (0o660, 0o604, 0o602):
        file.chmod(mode)
        assert code in look(**{f"{of}_key_file": file})


def test_in_a_closed_folder_no_one_reaches_the_file(look: Look, tmp_path: Path) -> None:
    """What counts is whether others get there."""
    (file := tmp_path / "closed" / "keys").parent.mkdir(mode=0o700)
    file.write_text(KEY)
    file.chmod(0o644)
    assert look(secret_key_file=file) == {}


def sqlite(tmp_path: Path, db: DB) -> Path:
    """Give a file like that of a database, to change."""
    file = tmp_path / "own.db"
    if db.file is None:
        made = DB(f"sqlite:///{file}")
        made.make_room()
        schema.upgrade(made)
        made.close()
    else:
        shutil.copy(db.file, file)
    return file


@pytest.mark.parametrize("end", ["", "-wal"])
def test_a_database_file_others_can_read(
    look: Look, database: str, open_folder: Path, end: str
) -> None:
    """The log of SQLite holds rows too."""
    file = sqlite(open_folder, DB(database))
    log = file.with_name(f"{file.name}-wal")
    log.touch()
    for each in (file, log):
        each.chmod(0o644 if each.name.endswith(f"db{end}") else 0o600)
    assert list(look(database_url=f"sqlite:///{file}")) == ["BV003"]


def set_version(database: str, value: str | None) -> None:
    """Pretend that another version wrote the database, or that it is not ours."""
    db = DB(database)
    with db.connect() as connection:
        if value is None:
            connection.execute(text(f"DROP TABLE {schema.VERSION_TABLE}"))
        else:
            connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '{value}'"))
    db.close()


@pytest.mark.parametrize(("value", "code"), [("0001", "BV010"), ("9999", "BV011"), (None, "BV011")])
def test_a_database_of_another_version(
    look: Look, database: str, value: str | None, code: str
) -> None:
    """Behind, ahead, foreign."""
    set_version(database, value)
    assert list(look()) == [code]


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_a_database_without_tables(look: Look, databases: Any, kind: str) -> None:
    """It is the same as one of an earlier version."""
    url = databases.fresh(kind, migrated=False)
    if kind == "sqlite":
        file = DB(url).file
        assert file is not None
        file.touch()
        file.chmod(0o600)
    assert list(look(database_url=url)) == ["BV010"]
    databases.drop(url)


def test_a_database_that_cannot_answer(look: Look, tmp_path: Path) -> None:
    """No server, no database: the sentence says why and shows no password."""
    away = look(database_url="postgresql://me:hunter2@127.0.0.1:1/nothing")
    assert list(away) == ["BV012"]
    assert "hunter2" not in away["BV012"].message
    assert "\n" not in away["BV012"].message
    file = tmp_path / "no.db"
    file.write_text("this is no database, and it is long enough to be read as one" * 20)
    file.chmod(0o600)
    assert list(look(database_url=f"sqlite:///{file}")) == ["BV012"]


def test_no_database_yet(look: Look, tmp_path: Path) -> None:
    """Looking makes none."""
    file = tmp_path / "later" / "bienvenue.db"
    assert list(look(database_url=f"sqlite:///{file}")) == ["BV013"]
    assert not file.parent.exists()


@pytest.mark.parametrize("apart", [-3600, -70, 0, 50, 70])
def test_a_clock_far_from_the_databases(
    look: Look, monkeypatch: pytest.MonkeyPatch, apart: float
) -> None:
    """More than a minute, in either direction."""
    real = clock.now
    monkeypatch.setattr(clock, "now", lambda: real() + apart)
    assert list(look()) == (["BV014"] if abs(apart) > 60 else [])


def test_a_record_that_no_one_seals(look: Look, database: str, tmp_path: Path) -> None:
    """Ten minutes after a row was written, not before, and no more once it has its seal."""
    given = {"database_url": database, "secret_key_file": tmp_path / "keys"}
    db = DB(database)
    auth = Auth(db, Settings({}, **given))
    auth.publish(Event(CODE, "password.refused", None, {"ip": "192.0.2.7"}))
    assert not look()
    with db.connect() as connection:
        connection.execute(text("UPDATE audit_log SET at = at - 601"))
    assert look()["BV022"].message.endswith("minutes: 1.")
    auth.work()
    assert not look()
    db.close()


def test_a_clock_before_this_version(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a battery was changed."""
    monkeypatch.setattr(clock, "now", lambda: version.EARLIEST - 1.0)
    assert "2024-12-31T23:59:59Z" in look()["BV014"].message


def test_a_database_that_goes_away_between_two_checks(
    look: Look, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock cannot be compared then, and that is no finding of its own."""

    def away(*_: object, **__: object) -> None:
        raise DatabaseUnavailable("away")

    monkeypatch.setattr(schema, "state", lambda _: schema.State.CURRENT)
    monkeypatch.setattr(DB, "connect", away)
    assert look() == {}


@pytest.mark.parametrize(("took", "found"), [(0.04, True), (0.25, False), (1.1, True)])
def test_the_speed_of_a_hash(
    look: Look, monkeypatch: pytest.MonkeyPatch, took: float, found: bool
) -> None:
    """Measured only when asked."""
    now = 0.0

    def hashing(*_: object) -> None:
        nonlocal now
        now += took

    monkeypatch.setattr(Hasher, "pretend", hashing)
    monkeypatch.setattr(checks, "time", SimpleNamespace(perf_counter=lambda: now))
    assert list(look(slow=True)) == (["BV016"] if found else [])
    assert now == took
    look()
    assert now == took


def test_little_room(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk stops the service."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10 * 2**20))
    found = look()
    assert list(found) == ["BV020"]
    assert "10 MiB" in found["BV020"].message


def test_a_full_disk(look: Look, database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Is an error where SQLite is on it; PostgreSQL has a disk of its own."""
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    assert list(look()) == (["BV028"] if "sqlite" in database else ["BV020"])


@pytest.mark.parametrize("which", ["certificate", "key", "both"])
def test_tls_that_cannot_be_used(look: Look, tmp_path: Path, which: str) -> None:
    """One of the two alone, or files that are none; a path, which may be a key, is not shown."""
    named = ("certificate", "key") if which == "both" else (which,)
    found = look(**{f"tls_{name}_file": tmp_path / "nothing" for name in named})
    assert list(found) == ["BV029"]
    assert "nothing" not in found["BV029"].message


def test_sqlite_on_a_network_file_system(
    look: Look, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mount that is nearest counts, and the last of two in one place."""
    folder = tmp_path / "with space"
    folder.mkdir()
    file = sqlite(folder, DB(database))
    file.chmod(0o600)
    url = f"sqlite:///{file}"
    escaped = str(folder).replace(" ", "\\040")
    mounts = tmp_path / "mounts"
    monkeypatch.setattr(checks, "_MOUNTS", mounts)
    assert look(database_url=url) == {}
    mounts.write_text("root / ext4 rw 0 0\n")
    assert look(database_url=url) == {}
    mounts.write_text(f"root / nfs rw 0 0\nx {escaped} nfs4 rw 0 0\ny {escaped} ext4 rw 0 0\n")
    assert look(database_url=url) == {}
    mounts.write_text(f"root / ext4 rw 0 0\nserver:/x {escaped} nfs4 rw 0 0\n")
    assert list(look(database_url=url)) == ["BV021"]


def test_a_pooler_in_front_of_the_database(
    databases: Databases, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It makes up the number of a session's process, which is how it is known."""
    url = databases.fresh("postgresql")
    assert look(database_url=url) == {}
    monkeypatch.setattr("psycopg.ConnectionInfo.backend_pid", 7)
    assert list(look(database_url=url)) == ["BV030"]
    assert look(database_url=f"sqlite:///{sqlite(tmp_path, DB(url))}") == {}
    databases.drop(url)


def test_connections_that_nothing_bounds(look: Look, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the system cannot, and no proxy does it."""
    public = {"host": "0.0.0.0", "base_url": "http://localhost:5000"}
    assert list(look(**public)) == ["BV005"]
    monkeypatch.setattr("bienvenue.connections.can_be_bounded", lambda: False)
    assert list(look(**public)) == ["BV005", "BV031"]
    assert look() == {}
    assert "BV031" not in look(**public, trusted_proxies="192.0.2.1")


# --- the whole ----------------------------------------------------------------------------------


def test_every_number_is_documented_in_the_words_of_the_code() -> None:
    """In order, once, with how bad it is and what to do; and no other number is."""
    page = (TOP / "docs" / "guide" / "checkup.md").read_text("utf-8")
    rows = re.findall(r"^\| `(BV\d{3})` \| (\w+) \| .+ \| (.+) \|$", page, re.MULTILINE)
    assert rows == [(check.code, check.severity.value, check.remedy) for check in CHECKS]
    assert [check.code for check in CHECKS] == [f"BV{n:03}" for n in range(1, len(CHECKS) + 1)]


def test_every_number_is_made_to_happen_here() -> None:
    """A check that nothing can fail checks nothing."""
    here = "".join(file.read_text("utf-8") for file in Path(__file__).parent.glob("test_check*.py"))
    assert [check.code for check in CHECKS if f'"{check.code}"' not in here] == []


class Shop(Feature[Section]):
    """A feature of an application, with checks of its own."""

    name = "shop"
    shut: ClassVar = "the shop is shut"
    checks = (
        Check("shop01", Severity.ERROR, "Open it.", lambda shop: shop.shut),
        Check("shop02", Severity.NOTE, "Count again.", lambda _: "Nothing is left.", slow=True),
        Check("shop03", Severity.NOTE, "Nothing to do.", lambda _: None),
    )


def test_a_feature_of_an_application_brings_checks(database: str, tmp_path: Path) -> None:
    """They come behind those of the service, and an error of theirs refuses the start."""
    (tmp_path / "keys").write_text(KEY)
    made = Settings({}, database_url=database, secret_key_file=tmp_path / "keys")
    auth = Auth(settings=made, features=[Shop])
    result = checkup.run(CheckupContext(auth, auth._db), slow=True)
    assert result.findings[-2:] == [
        Finding("shop01", Severity.ERROR, "the shop is shut", "Open it."),
        Finding("shop02", Severity.NOTE, "Nothing is left.", "Count again."),
    ]
    assert result.checks == len(CHECKS) + 3
    assert list(result.lines())[-1].endswith(f" found in {len(CHECKS) + 3} checks")
    quick = checkup.run(CheckupContext(auth, auth._db))
    assert quick.findings[-1].code == "shop01"
    with pytest.raises(CheckupProblem, match="shop01 the shop is shut Open it"):
        checkup.refuse_errors(quick)
    auth.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder to run commands in, without settings."""
    for name in [name for name in os.environ if name.startswith("BIENVENUE_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(checks, "FASTEST", 0.0)
    monkeypatch.setattr(checks, "SLOWEST", 60.0)
    return tmp_path


def test_the_command_says_a_line_even_when_it_finds_nothing(folder: Path) -> None:
    """And changes nothing, as long as there is nothing."""
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 0
    assert "BV013 note" in result.output
    assert f"1 note found in {len(CHECKS)} checks" in result.output
    assert list(folder.iterdir()) == []
    assert CliRunner().invoke(main, ["db", "upgrade"]).exit_code == 0
    result = CliRunner().invoke(main, ["check"])
    assert (result.exit_code, result.output) == (0, f"nothing found in {len(CHECKS)} checks\n")


@pytest.mark.usefixtures("folder")
def test_the_command_counts_and_fails_on_errors_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """For people, and for programs."""
    monkeypatch.setenv("BIENVENUE_PASSWORD_MIN_LENGTH", "8")
    monkeypatch.setenv("BIENVENUE_SESSION_LIFETIME", "60d")
    CliRunner().invoke(main, ["db", "upgrade"])
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 0
    assert f"2 warnings found in {len(CHECKS)} checks" in result.output
    monkeypatch.setenv("BIENVENUE_BCRYPT_COST", "4")
    monkeypatch.setenv("FLASK_DEBUG", "1")
    result = CliRunner().invoke(main, ["check"])
    assert result.exit_code == 1
    assert f"2 errors, 2 warnings found in {len(CHECKS)} checks" in result.output
    told = CliRunner().invoke(main, ["check", "--json"])
    assert told.exit_code == 1
    document = json.loads(told.output)
    assert document["checks"] == len(CHECKS)
    codes = [found["code"] for found in document["findings"]]
    assert codes == ["BV007", "BV015", "BV018", "BV019"]
    assert set(document["findings"][0]) == {"code", "severity", "message", "remedy"}


def finding(severity: Severity) -> Finding:
    """Give a finding."""
    return Finding("BV999", severity, "It is so.", "Do this.")


def test_serve_refuses_errors_and_logs_the_rest(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Unless it is told to serve despite them."""
    found = [finding(Severity.WARNING), finding(Severity.NOTE)]
    around: Any = None
    monkeypatch.setattr(checkup, "run", lambda _: checkup.Result(found, len(found)))
    with caplog.at_level("INFO", "bienvenue"):
        serve._check_up(around, despite_errors=False)
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
        found.append(finding(Severity.ERROR))
        with pytest.raises(CheckupProblem, match=r"BV999 It is so\. Do this\.\n.*despite-errors"):
            serve._check_up(around, despite_errors=False)
        serve._check_up(around, despite_errors=True)
        assert caplog.records[-1].levelname == "ERROR"
