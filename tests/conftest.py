"""What every test may use: both databases, a service on each, the clock and the hash counter."""

import gc
import logging
import os
import secrets
import tempfile
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import bcrypt
import pytest
from flask import Flask
from flask.testing import FlaskClient

from bienvenue import Auth, Bienvenue, clock, create_app, logs
from bienvenue.authentication import Caller, operator
from bienvenue.web.dispatch import Dispatcher
from tests.compiled import share
from tests.databases import KINDS, Databases, in_memory
from tests.thorough import mark_tables, mark_twins
from tests.times import Times

PASSPHRASE = "une phrase de passe bien longue"
EMAIL = "bob@example.com"
#: The key of every service of this run; one that stands in a file would be refused as known.
KEY = secrets.token_hex(32)


def pytest_configure(config: pytest.Config) -> None:
    """Let the process that hears of every test add up what they take."""
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Times())


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Look for garbage after the tests are collected, and never again in what that left.

    Python would go through seven thousand tests and all modules again and again: a tenth of the
    processor's time of all tests.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.set_threshold(10_000, 10, 10)
        gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest, so that no process is left alone with it at the end.

    The tests of the browser come first and together, so that one process starts it once.
    """
    mark_tables(items)
    mark_twins(items)
    first = (
        "test_it_stops_at_any_moment",
        "test_the_owner_ends_in",
        "test_every_page",
        "test_it_prints_every_figure",
    )
    items.sort(
        key=lambda item: (
            not item.nodeid.startswith("tests/browser/"),
            not item.name.startswith(first),
        )
    )


@pytest.fixture(scope="session", autouse=True)
def shared_by_the_tests() -> Iterator[None]:
    """Let services share what each would compile for itself."""
    with pytest.MonkeyPatch.context() as patch:
        share(patch)
        yield


@pytest.fixture(scope="session")
def databases() -> Iterator[Databases]:
    """The maker of databases of this test process."""
    # Not below pytest's own folder: each run of pytest closes that to PostgreSQL's user again.
    with tempfile.TemporaryDirectory(dir=in_memory(), ignore_cleanup_errors=True) as folder:
        made = Databases(Path(folder))
        yield made
        made.close()


@pytest.fixture(params=KINDS)
def database(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """The URL of a fresh database at the newest schema: the test runs once on each kind."""
    url = databases.fresh(request.param)
    yield url
    databases.drop(url)


@pytest.fixture
def empty_database(request: pytest.FixtureRequest, databases: Databases) -> Iterator[str]:
    """The URL of a database without a table; parametrize it indirectly with a kind."""
    url = databases.fresh(request.param, migrated=False)
    yield url
    databases.drop(url)


@pytest.fixture(autouse=True)
def environment_of_the_tests() -> Iterator[None]:
    """Give back the environment, where a command of a test sets it for the processes it starts."""
    with mock.patch.dict(os.environ):
        yield


@pytest.fixture(autouse=True)
def log_of_the_tests() -> Iterator[None]:
    """Take away the log that `bienvenue serve` configures, where a test runs it in this process."""
    own = logging.getLogger(logs.LOGGER)
    level = own.level
    yield
    root = logging.getLogger()
    for handler in root.handlers[:]:
        if isinstance(handler.formatter, logs.Text | logs.Json):
            root.removeHandler(handler)
    own.setLevel(level)


@dataclass(frozen=True)
class Service:
    """A whole service on a fresh database."""

    app: Flask
    auth: Auth
    url: str
    #: Who runs the commands of this service.
    caller: Caller = field(default_factory=operator)

    def client(self) -> FlaskClient:
        """A browser or program of its own, with its own cookies."""
        return self.app.test_client()

    def signed_in(self, email: str = EMAIL, password: str = PASSPHRASE) -> FlaskClient:
        """A client that is signed in; the account is made when there is none."""
        client = self.client()
        client.post("/users", data={"email": email, "password": password})
        answer = client.post("/sessions", data={"email": email, "password": password})
        assert answer.status_code == 200, answer.text
        return client


MakeService = Callable[..., Service]


@pytest.fixture
def make_service(database: str, tmp_path: Path) -> Iterator[MakeService]:
    """Make services with settings by name, all on this test's database; bcrypt costs 4."""
    made: list[Service] = []

    def make(**settings: object) -> Service:
        keys = tmp_path / "keys"
        keys.write_text(KEY)
        given: dict[str, object] = {
            "database_url": database,
            "secret_key_file": keys,
            "instance": tmp_path / "instance",
            "bcrypt_cost": 4,
            # Races fire fifty sign-ins at once; only tests of the hash queue want it short.
            "hash_queue": 1000,
            # The same for the failures a race reserves; only tests of limits want them few.
            "rate_limit_account": 1000,
            "rate_limit_network": 100_000,
            # Tests of emails count up to it.
            "emails_network": 20,
        }
        app = create_app(**given | settings)
        app.testing = True
        dispatcher: Dispatcher = app.extensions["bienvenue"]
        made.append(Service(app, dispatcher.auth, database))
        return made[-1]

    yield make
    for service in made:
        service.auth.close()


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service with the settings of the house, on both databases."""
    return make_service()


@pytest.fixture
def bob(service: Service) -> None:
    """Bob has an account."""
    service.auth.register_user(EMAIL, PASSPHRASE)


@pytest.fixture
def mount(database: str, tmp_path: Path) -> Iterator[Callable[..., FlaskClient]]:
    """Make a client of an application that has our pages under /account, on this database."""
    made: list[Auth] = []

    def client(**settings: str) -> FlaskClient:
        keys = tmp_path / "keys"
        keys.write_text(KEY)
        given: dict[str, Any] = {"database_url": database, "secret_key_file": keys, **settings}
        app = Flask("theirs")
        made.append(Bienvenue(bcrypt_cost=4, **given).init_app(app, url_prefix="/account"))
        return app.test_client()

    yield client
    for auth in made:
        auth.close()


@pytest.fixture
def mounted(mount: Callable[..., FlaskClient]) -> FlaskClient:
    """A client of an application that has our pages under /account."""
    return mount()


class Clock:
    """The time as tests move it."""

    def __init__(self) -> None:
        """Begin at a fixed moment."""
        self.time = 1_800_000_000.0

    def now(self) -> float:
        """The time it is."""
        return self.time

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds


@pytest.fixture
def moving_clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Put a clock that only the test moves in the place of the real one."""
    made = Clock()
    monkeypatch.setattr(clock, "now", made.now)
    return made


@pytest.fixture
def hash_costs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The cost of every bcrypt computation from here on, in order."""
    costs: list[int] = []
    real = bcrypt.hashpw

    def counted(password: bytes, salt: bytes) -> bytes:
        costs.append(int(salt.split(b"$")[2]))
        return real(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", counted)
    return costs
