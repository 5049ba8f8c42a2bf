"""Two processes, one service: what one of them knows the other knows, on both databases."""

import os
import secrets
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.conftest import EMAIL, PASSPHRASE
from tests.databases import KINDS, Databases
from tests.journeys.serving import Program, Served, command, serving
from tests.ports import wait_until
from tests.races import race

pytestmark = pytest.mark.slow

OTHER = "another passphrase, quite long"


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """A database without a table."""
    made = databases.fresh(request.param, migrated=False)
    yield made
    databases.drop(made)


@pytest.fixture
def settings(url: str, tmp_path: Path) -> dict[str, str]:
    """What two nodes share."""
    keys = tmp_path / "keys"
    keys.write_text(secrets.token_hex(32))
    return {"database_url": url, "secret_key_file": str(keys)}


@contextmanager
def two_processes(kind: str, databases: Databases, folder: Path) -> Iterator[Served]:
    """Serve with two processes on a new database."""
    keys = folder / "keys"
    keys.write_text(secrets.token_hex(32))
    made = databases.fresh(kind)
    settings = {"database_url": made, "secret_key_file": str(keys)}
    with serving(folder, "--workers", "2", **settings) as running:
        yield running
    databases.drop(made)


@pytest.fixture(scope="module", params=KINDS)
def shared(
    request: pytest.FixtureRequest, databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """The service with two processes, for all tests that leave it running."""
    with two_processes(request.param, databases, tmp_path_factory.mktemp("shared")) as running:
        yield running


@pytest.fixture(params=KINDS)
def served(
    request: pytest.FixtureRequest, databases: Databases, tmp_path: Path
) -> Iterator[Served]:
    """The service with two processes, for one test."""
    with two_processes(request.param, databases, tmp_path) as running:
        yield running


def test_the_journey_of_the_readme(shared: Served) -> None:
    """Register, wrong password, sign in, profile, devices, sign out."""
    bob = shared.program()
    account = {"email": EMAIL, "password": PASSPHRASE}
    made = bob.ask("POST", "/users", account)
    assert (made.status, made.json) == (201, {"email": EMAIL, "message": "user created"})
    assert bob.ask("POST", "/sessions", account | {"password": "wrong"}).status == 401
    assert bob.ask("POST", "/sessions", account).json == {"email": EMAIL, "message": "logged in"}
    assert bob.ask("GET", "/profile").json["email"] == EMAIL
    devices = bob.ask("GET", "/sessions").json["sessions"]
    assert [device["current"] for device in devices] == [True]
    changed = bob.ask("PUT", "/password", {"old_password": PASSPHRASE, "new_password": OTHER})
    assert changed.json == {"email": EMAIL, "message": "Password updated"}
    stolen = dict(bob.cookies)
    assert bob.ask("DELETE", "/sessions").status == 204
    assert bob.ask("GET", "/profile").status == 401
    assert Program(shared.port, stolen).ask("GET", "/profile").status == 401


def test_what_one_process_ends_no_process_knows(shared: Served) -> None:
    """A session that is over is over at the next request, wherever that request lands."""
    bob = shared.program()
    account = {"email": "carol@example.com", "password": PASSPHRASE}
    bob.ask("POST", "/users", account)
    bob.ask("POST", "/sessions", account)
    copies = [Program(shared.port, dict(bob.cookies)) for _ in range(50)]
    assert {copy.ask("GET", "/profile").status for copy in copies} == {200}
    assert bob.ask("DELETE", "/sessions?which=all").status == 204
    assert {copy.ask("GET", "/profile").status for copy in copies} == {401}


def test_fifty_registrations_at_once_make_one_account(shared: Served) -> None:
    """Two processes agree on who was first; anyone who hears 503 comes back, as it says."""
    account = {"email": "amy@example.com", "password": PASSPHRASE}

    def register(_: int) -> int:
        for _ in range(30):
            heard = shared.program().ask("POST", "/users", account)
            if heard.status != 503:
                break
            time.sleep(int(dict(heard.headers)["retry-after"]))
        return heard.status

    assert sorted(race(register)) == [201] + [409] * 49


def test_a_killed_process_comes_back(served: Served) -> None:
    """The service heals by itself, and a session outlives the process that opened it."""
    bob = served.program()
    account = {"email": EMAIL, "password": PASSPHRASE}
    bob.ask("POST", "/users", account)
    bob.ask("POST", "/sessions", account)
    before = served.workers()
    assert len(before) == 2
    for worker in before:
        os.kill(worker, signal.SIGKILL)

    def back() -> bool:
        try:
            return bob.ask("GET", "/profile").status == 200
        except OSError:
            return False

    assert wait_until(back, 60)
    assert not set(before) & set(served.workers())


def test_it_stops_when_asked(served: Served) -> None:
    """SIGTERM ends every process of it, cleanly."""
    workers = served.workers()
    assert served.stop() == 0
    assert wait_until(lambda: not any(Path(f"/proc/{worker}").exists() for worker in workers), 10)


def test_serve_upgrades_sqlite_and_asks_for_it_on_postgresql(
    settings: dict[str, str], tmp_path: Path
) -> None:
    """A file of their own is migrated without a word; a shared database never is."""
    if settings["database_url"].startswith("sqlite"):
        with serving(tmp_path, **settings) as running:
            assert running.program().ask("GET", "/readyz").status == 200
        return
    refused = pytest.raises(AssertionError, match="run `bienvenue db upgrade`")
    with refused, serving(tmp_path, **settings):
        pass


def test_a_taken_port_is_named(shared: Served, settings: dict[str, str], tmp_path: Path) -> None:
    """Anyone who starts it twice reads which port it is and how to choose another."""
    said = command(tmp_path, "serve", "--port", str(shared.port), **settings)
    assert said.returncode == 1
    assert f"port {shared.port}" in said.stderr
    assert f"PORT={shared.port + 1}" in said.stderr


def test_both_names_of_this_machine_answer(shared: Served) -> None:
    """People write localhost, programs 127.0.0.1."""
    for name in ("localhost", "127.0.0.1"):
        said = subprocess.run(
            ["curl", "-sf", f"http://{name}:{shared.port}/"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert said.stdout == '{"message": "Bienvenue"}\n'
