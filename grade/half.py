"""A subject of the cases: the course, a learner's files, or the service.

The names are those of the exercise. Cases ask it for a `DB`, an `Auth` or an app on an empty
database, call them, and say what they expect.
"""

from __future__ import annotations

import abc
import contextlib
import json
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, NoReturn

from grade import seen
from grade.seen import Client, Log, Place, Unmet, Watched, text_of

if TYPE_CHECKING:
    from flask.testing import FlaskClient
    from werkzeug.test import TestResponse

#: Long enough for the service, short enough for bcrypt, and on no list of common passwords.
GOOD_PASSWORD = "neuf grenouilles sous la pluie"
UUID = r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"

#: The statuses of the exercise; each may be any of several.
STATUS: Mapping[str, Collection[int]] = {
    "registered": {200, 201},
    "taken": {400},
    "logged_in": {200},
    "wrong_login": {401},
    "logged_out": {301, 302, 303, 307, 308},
    "not_logged_in": {403},
}


class Half(abc.ABC):
    """The names of the exercise in one place, and the few things in which the places differ."""

    name: str
    log: Log
    good_password = GOOD_PASSWORD
    status: Mapping[str, Collection[int]] = STATUS
    #: What the session id that a visitor holds looks like, as a regular expression.
    session_id = UUID
    #: Whether the column ``session_id`` is that session id, and ``reset_token`` that token; None
    #: where a repair may keep them in another way, or in another table.
    secrets_are_stored: bool | None = True

    @property
    def is_mended(self) -> bool:
        """Whether it may differ from the sheet where a chapter's repair has to."""
        return self.secrets_are_stored is None

    # --- what each place makes in its own way ---------------------------------------------------

    @property
    @abc.abstractmethod
    def User(self) -> type[Any]:  # noqa: N802 (the name of the exercise)
        """The model."""

    @property
    @abc.abstractmethod
    def DB(self) -> type[Any]:  # noqa: N802 (the name of the exercise)
        """The class of the database."""

    @abc.abstractmethod
    def make_db(self) -> Any:
        """Make a DB on a new database."""

    @abc.abstractmethod
    def make_auth(self) -> Any:
        """Make an Auth on a new database."""

    @abc.abstractmethod
    def make_client(self) -> FlaskClient:
        """Make a test client of a new app on a new database."""

    @abc.abstractmethod
    def hash_password(self, password: str) -> Any:
        """Call `_hash_password` at the cost it has there."""

    @abc.abstractmethod
    def generate_uuid(self) -> Any:
        """Call `_generate_uuid`."""

    @abc.abstractmethod
    def query(self, statement: str, values: Mapping[str, object]) -> list[dict[str, Any]]:
        """Run a statement on the newest database behind the back of the code that is tried."""

    def replaced(
        self, module: str, name: str, value: object
    ) -> contextlib.AbstractContextManager[Any]:
        """Put something in the place of a name of one of the four files, while a block runs."""
        raise NotImplementedError(f"{self.name}: {module}.{name} cannot be replaced by {value}")

    def attribute(self, module: str, name: str) -> Any:
        """Give what a name in one of the files stands for. Raises Unmet where it is missing."""
        raise NotImplementedError(f"{self.name}: {module}.{name}")

    def served(self) -> contextlib.AbstractContextManager[str]:
        """Serve the app on loopback while a block runs, and give its URL."""
        raise NotImplementedError(self.name)

    def tour(self, base_url: str) -> None:
        """Go through the whole exercise at this URL. Raises AssertionError at a wrong answer."""
        raise NotImplementedError(f"{self.name}: {base_url}")

    def look(self, call: str, file: str, name: str) -> None:
        """Say what is looked at, where nothing is called, and where it stands."""
        self.log.call, self.log.got = call, ""
        self.log.place = self.place_of(file, name)

    def place_of(self, file: str, name: str) -> Place | None:  # noqa: ARG002 (only files have it)
        """Give the line at which a name is given its value, the last of the file if nowhere."""
        return None

    def route_of(self, call: str) -> Place | None:  # noqa: ARG002 (as above)
        """Give the line that routes the path of a request that ran none of their functions."""
        return None

    # --- what cases say -------------------------------------------------------------------------

    def db(self) -> Any:
        """Give a DB on an empty database, whose calls are written down."""
        return Watched(self.log, "db", self.make_db())

    def auth(self) -> Any:
        """Give an Auth on an empty database, whose calls are written down."""
        return Watched(self.log, "auth", self.make_auth())

    def client(self) -> Client:
        """Give a visitor of a new app on an empty database."""
        return Client(self.log, self.make_client())

    def rows(self) -> list[dict[str, Any]]:
        """Give every row of the table, in the order of ids."""
        return self.query("SELECT * FROM users ORDER BY id", {})

    def row(self, email: str) -> dict[str, Any]:
        """Give the one row of this email. Raises Unmet unless there is one."""
        found = [row for row in self.rows() if row["email"] == email]
        if len(found) != 1:
            raise Unmet(self.log.call, f"a row: {email}", f"{len(found)} rows", self.log.place)
        return found[0]

    def put_behind_its_back(self, user_id: int, column: str, value: str) -> None:
        """Write one value of a row without the code that is tried."""
        statement = f"UPDATE users SET {column} = :value WHERE id = :id"
        self.query(statement, {"value": value, "id": user_id})

    def expect(self, got: object, expected: object, of: str = "") -> None:
        """Raise Unmet unless this came; `of` says what of the last call it is, as ``.email``."""
        same = got is expected if expected in (None, True, False) else got == expected
        if not same:
            self.fail(text_of(expected), text_of(got), of)

    def expect_a(self, got: object, kind: type, of: str = "") -> None:
        """Raise Unmet unless it is of this type."""
        if not isinstance(got, kind):
            self.fail(kind.__name__, f"{text_of(got)} ({type(got).__name__})", of)

    def user(self, got: Any) -> Any:
        """Give back what is a User. Raises Unmet for anything else."""
        self.expect_a(got, self.User)
        return got

    def expect_that(self, holds: object, expected: str, got: str, of: str = "") -> None:
        """Raise Unmet, with these words, unless it holds."""
        if not holds:
            self.fail(expected, got, of)

    def expect_stored(self, stored: object, made: object) -> None:
        """Raise Unmet unless a secret stands in its column as it does here."""
        if self.secrets_are_stored is not None:
            said = ", and whether the row holds it"
            self.expect(stored == made, self.secrets_are_stored, said)

    def answers(
        self, reply: TestResponse, statuses: Collection[int] | int, body: object = None
    ) -> None:
        """Raise Unmet unless a reply has one of these statuses, and this JSON if it is given."""
        wanted = {statuses} if isinstance(statuses, int) else set(statuses)
        right = reply.status_code in wanted
        if body is not None:
            right = right and reply.is_json and reply.get_json(silent=True) == body
        if not right:
            said = " ".join([str(min(wanted)), *([] if body is None else [text_of_json(body)])])
            self.fail(said, self.log.got or seen.reply_text(reply))

    def raises(
        self,
        kind: type[Exception],
        message: str | None = None,
        *,
        but_not: type[Exception] | None = None,
    ) -> contextlib.AbstractContextManager[None]:
        """Run a block that is to raise this exception, with exactly this message if it is given."""
        return seen.raising(self.log, kind, message, but_not)

    def fail(self, expected: str, got: str, of: str = "", place: Place | None = None) -> NoReturn:
        """Raise Unmet for the last call."""
        raise Unmet(f"{self.log.call}{of}", expected, got, place or self.log.place)


def text_of_json(body: object) -> str:
    """Write JSON as an answer holds it."""
    return json.dumps(body, ensure_ascii=False)
