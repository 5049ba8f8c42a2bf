"""A fleet upgrades: two versions on one database, of which the later one has migrated it.

The earlier version is this one, and the later one is this one with a next migration, which does to
every table all that docs/guide/operating.md allows. `make upgrades FROM=COMMIT` takes the version
of a commit for the earlier one, and this one for the later.
"""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from bienvenue import schema
from tests.conftest import EMAIL, PASSPHRASE
from tests.databases import KINDS, Databases
from tests.house.source import TOP
from tests.journeys.serving import COMMAND, Program, Served, answers, environment, launched
from tests.ports import free_port

pytestmark = [pytest.mark.slow, pytest.mark.thorough]

OTHER = "rob@example.com"
ACCOUNT = {"email": EMAIL, "password": PASSPHRASE}
NEXT = f"{int(schema.newest()) + 1:04}"
#: All that a release may do to tables that the release before uses.
EXPANDS = f"""\
import sqlalchemy as sa
from alembic import op

revision, down_revision = "{NEXT}", "{schema.newest()}"


def upgrade():
    op.create_table(
        "later_things",
        sa.Column("id", sa.Integer(), primary_key=True),
        sa.Column("user_id", sa.Integer(), sa.ForeignKey("users.id"), nullable=False),
    )
    for table in sa.inspect(op.get_bind()).get_table_names():
        if table == "bienvenue_alembic_version":
            continue
        op.add_column(table, sa.Column("later_note", sa.Text()))
        op.add_column(
            table, sa.Column("later_count", sa.Integer(), server_default="7", nullable=False)
        )
        op.create_index(f"ix_{{table}}_later_count", table, ["later_count"])
"""


@pytest.fixture
def sources(tmp_path: Path) -> tuple[Path, Path]:
    """The folders of both versions, earlier and later."""
    given = os.environ.get("EARLIER_SOURCE")
    if given:
        return Path(given).absolute(), TOP / "src"
    later = tmp_path / "later"
    shutil.copytree(TOP / "src", later, ignore=shutil.ignore_patterns("__pycache__"))
    (later / "bienvenue" / "migrations" / "versions" / f"{NEXT}_later.py").write_text(EXPANDS)
    return TOP / "src", later


class Fleet:
    """Processes of both versions on one database, with the same keys."""

    def __init__(self, folder: Path, url: str, opened: ExitStack) -> None:
        self._folder, self._opened = folder, opened
        self._settings = {"database_url": url, "secret_key_file": str(folder / "keys")}
        (folder / "keys").write_text(secrets.token_hex(32))
        (folder / "keys").chmod(0o600)

    def run(self, source: Path, *words: str, status: int = 0) -> str:
        """Run a command of a version and give what it prints."""
        environ = environment(self._folder, **self._settings) | {"PYTHONPATH": str(source)}
        done = subprocess.run(
            [*COMMAND, *words],
            cwd=self._folder,
            env=environ,
            check=False,
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == status, done.stderr
        return done.stdout + done.stderr

    def serve(self, source: Path) -> Served:
        """Serve with a version until the test ends."""
        port, folder = free_port(), self._folder / f"at-{secrets.token_hex(4)}"
        folder.mkdir()
        command = [*COMMAND, "serve", "--despite-errors", "--port", str(port)]
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", str(source))
            served = self._opened.enter_context(launched(command, port, folder, **self._settings))
        served.wait_for(lambda: answers(served))
        return served


@pytest.fixture
def fleet(request: pytest.FixtureRequest, databases: Databases, tmp_path: Path) -> Iterator[Fleet]:
    """A fleet on a database of the kind."""
    url = databases.fresh(request.param, migrated=False)
    with ExitStack() as opened:
        opened.callback(databases.drop, url)
        yield Fleet(tmp_path, url, opened)


def knows(program: Program, email: str) -> bool:
    """Tell whether a session is the user's, in the page and in the check of proxies."""
    profile = program.ask("GET", "/profile")
    return profile.status == 200 and profile.json["email"] == email


def register_and_sign_in(served: Served, email: str) -> Program:
    """Make an account and open a session."""
    program = served.program()
    account = ACCOUNT | {"email": email}
    assert program.ask("POST", "/users", account).status == 201
    assert program.ask("POST", "/sessions", account).status == 200
    return program


@pytest.mark.parametrize("fleet", KINDS, indirect=True)
def test_the_earlier_version_goes_on_when_the_later_one_has_migrated(
    fleet: Fleet, sources: tuple[Path, Path]
) -> None:
    """It registers, signs in, checks, changes and signs out; either knows the other's sessions."""
    earlier, later = sources
    before = fleet.run(earlier, "db", "upgrade")
    old = fleet.serve(earlier)
    alice = register_and_sign_in(old, EMAIL)
    after = fleet.run(later, "db", "upgrade")
    # A release may bring no migration.
    assert after != before or "EARLIER_SOURCE" in os.environ
    # A session and its check outlive the migration, on connections of before.
    assert knows(alice, EMAIL)
    assert old.program().ask("GET", "/readyz").status == 200
    new = fleet.serve(later)
    assert new.program().ask("GET", "/readyz").status == 200
    rob = register_and_sign_in(old, OTHER)
    eve = register_and_sign_in(new, "eve@example.com")
    for program in (alice, rob, eve):
        email = program.ask("GET", "/profile").json["email"]
        assert knows(Program(new.port, dict(program.cookies)), email)
        assert knows(Program(old.port, dict(program.cookies)), email)
    changed = {"old_password": PASSPHRASE, "new_password": "a better one than before"}
    for program, served, email in ((rob, new, OTHER), (eve, old, "eve@example.com")):
        assert program.ask("PUT", "/password", changed).status == 200
        again = {"email": email, "password": changed["new_password"]}
        assert served.program().ask("POST", "/sessions", again).status == 200
    assert old.program().ask("POST", "/sessions", ACCOUNT | {"password": "wrong"}).status == 401
    assert old.program().ask("POST", "/reset_password", {"email": EMAIL}).status == 202
    assert rob.ask("DELETE", "/sessions?which=all").status == 204
    assert not knows(Program(new.port, dict(rob.cookies)), OTHER)
    listed = fleet.run(later, "users", "list")
    assert all(email in listed for email in (EMAIL, OTHER, "eve@example.com"))
    verified = fleet.run(later, "audit", "verify")
    assert "broken" not in verified
    for served in (old, new):
        assert served.stop() == 0
        assert "Traceback" not in served.log.read_text()


@pytest.mark.parametrize("fleet", KINDS, indirect=True)
def test_an_earlier_version_does_not_start_on_what_a_later_one_wrote(
    fleet: Fleet, sources: tuple[Path, Path]
) -> None:
    """What was running goes on; what starts says which program it needs."""
    earlier, later = sources
    fleet.run(later, "db", "upgrade")
    assert "a later version of the service" in fleet.run(earlier, "users", "list", status=1)
