"""A target: the course, the service or a broken build, serving HTTP in a process of its own."""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import MetaData, NullPool, create_engine, select, text

from tests.attacks import harness, patch
from tests.attacks.attack import How
from tests.attacks.client import Reply, Visitor
from tests.attacks.nursery import Child, Cradle
from tests.ports import wait_until

COURSE = Path(__file__).parents[2] / "course"
PASSPHRASE = "neuf grenouilles sous la pluie"
START, STOP = 60.0, 20.0
#: What no attack but those on limits should meet; an attack's own settings come after.
OUT_OF_REACH = {"rate_limit_account": "1000", "rate_limit_network": "100000", "hash_queue": "1000"}

_numbers = itertools.count(1)
_ips = itertools.count(1)


class TargetFails(Exception):
    """The target did not start, or a step that is no part of an attack went wrong."""


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    text: str


class Target:
    """A running target and everything an attacker, or a judge of the attack, may ask of it."""

    def __init__(
        self,
        name: str,
        folder: Path,
        database: str,
        settings: Mapping[str, str] | None = None,
        path: Path | None = None,
        *,
        how: How = "alone",
        exercise: Path = COURSE,
    ) -> None:
        """Take its name, a folder of its own, the URL of its database and the service's settings.

        `path` comes before all others, as a broken build must. `exercise` is the folder of the four
        files that the target "course" serves. Nothing runs before `start`.
        """
        self.how = how
        self.exercise = exercise
        self.name = name
        self.folder = folder
        self.database = database
        self.settings = dict(settings or {})
        self.path = path
        self.port = 0
        #: The folder of the code that answers.
        self.served = Path()
        self._process: Child | None = None
        #: What was read of the hashes so far: every request of an attack looks at them twice.
        self._costs: list[int] = []
        self._rounds = self._seen = 0
        self._reading = threading.Lock()
        self._nodes: dict[tuple[tuple[str, str], ...], Target] = {}

    @property
    def is_course(self) -> bool:
        """Whether it is the exercise, which has no settings and no commands."""
        return self.name == "course"

    @property
    def is_foreign(self) -> bool:
        """Whether it is the exercise of a learner, which may do anything."""
        return self.is_course and self.exercise != COURSE

    def _opened(self) -> str | None:
        """Give the URL of the SQLite file that a learner's program has made, whatever its name."""
        for file in sorted(self.folder.rglob("*")):
            if file.is_file():
                with file.open("rb") as opened:
                    if opened.read(15) == b"SQLite format 3":
                        return f"sqlite:///{file}"
        return None

    # --- its life -------------------------------------------------------------------------------

    def start(self) -> None:
        """Start it, or start it again on what it left behind."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in ("hashes", "log", "effort"):
            (self.folder / file).touch()
        clock = self.folder / "clock"
        if not clock.exists():
            clock.write_text("0")
        key = self.folder / "keys"
        if not key.exists():
            key.write_text(os.urandom(32).hex())
        (self.folder / "port").unlink(missing_ok=True)
        course = str(self.exercise) if self.is_course else ""
        log = self.folder / "log"
        if self.how == "shipped":
            child = self._child(harness.ship, self.folder, log=log, session=True)
        else:
            how = self.how
            foreign = self.is_foreign
            child = self._child(harness.serve, self.folder, course, how, log=log, session=foreign)
        self._process = child
        port = self.folder / "port"
        wait_until(lambda: port.exists() or child.ended, START)
        if not port.exists():
            self.stop(kill=True)
            raise TargetFails(f"{self.name} did not start:\n{self.logs()}")
        number, served = port.read_text().splitlines()
        self.port, self.served = int(number), Path(served)
        if self.is_foreign:
            self.database = self._opened() or self.database

    def stop(self, *, kill: bool = False) -> None:
        """Stop it and its other nodes; `kill` gives it no moment to finish anything."""
        for node in self._nodes.values():
            node.stop()
        self._nodes.clear()
        child, self._process = self._process, None
        if child is None:
            return
        if self.is_foreign:
            with contextlib.suppress(OSError):
                os.killpg(child.number, signal.SIGKILL)
        if kill:
            child.kill()
        child.wait(STOP)

    def node(self, **settings: str) -> Target:
        """Give another process of the same service, on the same database, with other settings."""
        wanted = tuple(sorted(settings.items()))
        if wanted not in self._nodes:
            folder = self.folder / f"node{len(self._nodes) + 1}"
            own = self.settings | settings
            made = Target(self.name, folder, self.database, own, self.path, how=self.how)
            folder.mkdir()
            for file in ("keys", "clock"):
                (folder / file).write_text((self.folder / file).read_text())
            made.start()
            self._nodes[wanted] = made
        return self._nodes[wanted]

    def _child(
        self, function: Callable[..., None], *arguments: object, log: Path, session: bool = False
    ) -> Child:
        # The course's own folder is put in front by the harness.
        path = None if self.is_course else self.path or patch.PACKAGE.parent
        cradle = Cradle(self.folder, path, self._environment(), log, session=session)
        return Child(cradle, function, *arguments)

    def _environment(self) -> dict[str, str]:
        mine = self.path is None and not self.is_course
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("BIENVENUE_")
            # What is measured is the service as it stands, neither the course nor a patched copy.
            and (mine or not name.startswith(("COVERAGE_", "COV_")))
        }
        if self.is_course:
            return inherited
        core = {
            "instance": str(self.folder / "instance"),
            "database_url": self.database,
            "secret_key_file": str(self.folder / "keys"),
            "bcrypt_cost": "4",
        }
        settings = core | OUT_OF_REACH | self.settings
        return inherited | {f"BIENVENUE_{name.upper()}": value for name, value in settings.items()}

    # --- from outside ---------------------------------------------------------------------------

    def visitor(self, **headers: str) -> Visitor:
        """Give a browser or program with no cookies yet; headers by name, as User_Agent."""
        return Visitor(self, headers={name.replace("_", "-"): v for name, v in headers.items()})

    def stranger(self, **headers: str) -> Visitor:
        """Give a visitor with an ip that no one came from yet."""
        number = next(_ips)
        visitor = self.visitor(**headers)
        visitor.ip = f"127.1.{number // 250}.{number % 250 + 1}"
        return visitor

    def request(self, method: str, path: str, **sent: Any) -> Reply:
        """Send one request of someone new; `Visitor.request` says what can be sent."""
        return self.visitor().request(method, path, **sent)

    def get(self, path: str) -> Reply:
        """Ask for a path as someone new."""
        return self.visitor().get(path)

    def post(self, path: str, **form: str) -> Reply:
        """Send form fields as someone new."""
        return self.visitor().post(path, **form)

    def newcomer(self, password: str = PASSPHRASE) -> Person:
        """Give a person with an email no one used yet, and no account."""
        return Person(self, f"person{os.getpid()}x{next(_numbers):05}@example.org", password)

    def person(self, password: str = PASSPHRASE) -> Person:
        """Give a person who has an account."""
        return self.newcomer(password).register()

    # --- from inside: the operator, the thief of the database, the judge ------------------------

    def cli(self, *arguments: str, stdin: str = "") -> Said:
        """Run a command of the service, as its operator does."""
        return self._run(harness.command, *arguments, stdin=stdin)

    def work(self) -> None:
        """Do once what `bienvenue work` does every minute, as sealing the audit log."""
        done = self._run(harness.work)
        if done.code:
            raise TargetFails(f"the work failed:\n{done.text}")

    def _run(self, function: Callable[..., None], *arguments: str, stdin: str = "") -> Said:
        log = self.folder / f"said{next(_numbers)}"
        child = self._child(function, *arguments, log=log)
        child.tell(stdin)
        code = child.wait(START)
        return Said(code, log.read_text("utf-8", "replace"))

    def hash_costs(self) -> list[int]:
        """Give the cost of every bcrypt computation so far, in order."""
        with self._reading:
            self._read_on()
            return self._costs.copy()

    def rounds(self) -> int:
        """Give what hashing has cost so far: rounds of bcrypt, and units of PBKDF2 and scrypt."""
        with self._reading:
            self._read_on()
            return self._rounds

    def _read_on(self) -> None:
        with (self.folder / "hashes").open("rb") as file:
            file.seek(self._seen)
            lines = file.read()
        self._seen += len(lines)
        costs = [int(line) for line in lines.split() if not line.startswith(b"+")]
        self._costs += costs
        self._rounds += sum(2**cost for cost in costs)
        # What else was computed for a password: units of PBKDF2 and scrypt.
        self._rounds += sum(int(line) for line in lines.split() if line.startswith(b"+"))

    def effort(self) -> float:
        """Give the seconds of a processor that the request answered last took of its own thread."""
        return float((self.folder / "effort").read_text().split()[-1])

    def clock_forward(self, seconds: float) -> None:
        """Let time pass for this target."""
        said = (self.folder / "clock").read_text()
        stopped = "=" * said.startswith("=")
        self._set_clock(f"{stopped}{float(said.removeprefix('=')) + seconds}")

    @contextlib.contextmanager
    def clock_stopped(self) -> Iterator[None]:
        """Let no time pass while the block runs, so that what follows a wait can be counted."""
        said = (self.folder / "clock").read_text()
        self._set_clock(f"={time.time() + float(said)}")
        try:
            yield
        finally:
            self._set_clock(said)

    def _set_clock(self, said: str) -> None:
        clock = self.folder / "clock"
        draft = clock.with_name("clock.draft")
        draft.write_text(said)
        draft.rename(clock)

    def logs(self) -> str:
        """Give everything it wrote to standard output and error."""
        return (self.folder / "log").read_text("utf-8", "replace")

    def dump(self) -> dict[str, list[dict[str, Any]]]:
        """Give every row of every table, as anyone who steals the database has them."""
        with self._database() as connection:
            tables = MetaData()
            tables.reflect(connection)
            return {
                table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
                for table in tables.sorted_tables
            }

    def execute(self, statement: str, **values: object) -> list[dict[str, Any]]:
        """Run one statement behind the target's back, and give the rows if it has any."""
        with self._database() as connection:
            done = connection.execute(text(statement), values)
            return [dict(row) for row in done.mappings()] if done.returns_rows else []

    @contextlib.contextmanager
    def _database(self) -> Iterator[Any]:
        engine = create_engine(self.database, poolclass=NullPool)
        with engine.begin() as connection:
            yield connection


@dataclass
class Person:
    """Someone with an email and a password."""

    target: Target
    email: str
    password: str
    visitor: Visitor = field(init=False)

    def __post_init__(self) -> None:
        """Give them a browser."""
        self.visitor = self.target.visitor()

    def register(self) -> Person:
        """Make the account. Raises TargetFails: a set-up that fails is no refused attack."""
        reply = self.visitor.post("/users", email=self.email, password=self.password)
        if not reply.ok:
            raise TargetFails(f"registering answered {reply.status}: {reply.text}")
        return self

    def sign_in(self, password: str | None = None) -> Visitor:
        """Give a browser of theirs that has just signed in. Raises TargetFails."""
        browser = self.target.visitor()
        reply = self.try_password(self.password if password is None else password, browser)
        if not reply.ok:
            raise TargetFails(f"signing in answered {reply.status}: {reply.text}")
        return browser

    def try_password(self, password: str, browser: Visitor | None = None) -> Reply:
        """Try to sign in as this person."""
        who = browser or self.target.visitor()
        return who.post("/sessions", email=self.email, password=password)
