"""Loads the four files of the exercise from a folder, as they are.

They keep their flat names while they are loaded, so two sets never mix, and each database lies in
a folder of its own. What would stop them is taken out of the way: a call of ``app.run`` that no
``if`` guards, and the cost of bcrypt, except where a task asks for it.
"""

from __future__ import annotations

import ast
import contextlib
import importlib
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from types import ModuleType
from typing import Any, Self, cast
from unittest.mock import patch

import bcrypt
import flask
import sqlalchemy
from flask.testing import FlaskClient
from sqlalchemy import NullPool, create_engine, event, text
from werkzeug.routing import RequestRedirect
from werkzeug.serving import make_server

from grade.half import STATUS, Half
from grade.seen import Log, Missing, Place, Unmet
from grade.sheet import COURSE

#: The names under which the files import each other.
FLAT = ("user", "db", "auth", "app")
#: What hashing costs where a task does not ask for the cost: the least that bcrypt takes.
CHEAP = 4
#: Seconds to wait for a lock that their code keeps.
LOCKED = 1.0


class Learner(Half):
    """The files of one folder; used as a context, which puts everything back at its end."""

    name = "learner"

    def __init__(
        self,
        folder: Path,
        scratch: Path,
        *,
        calling: Callable[[str], None] | None = None,
        step: bool = False,
        mended: bool = False,
    ) -> None:
        """Take the folder of the files, and an empty one below which databases are made.

        `mended` files may differ from the sheet where a chapter's repair has to.
        """
        self.secrets_are_stored = None if mended else True
        self.folder, self.scratch = folder.resolve(), scratch
        rows = self._rows_if_any if step else None
        self.log = Log(self.folder, calling=calling, rows=rows)
        self._numbers = count()
        self._engines: list[sqlalchemy.Engine] = []
        self._loaded: dict[str, ModuleType] = {}
        self._gensalt = bcrypt.gensalt
        self._stack = contextlib.ExitStack()

    # --- its life -------------------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Begin: from here on the files can be loaded."""
        enter = self._stack.enter_context
        enter(contextlib.chdir(self.scratch))
        enter(patch.object(bcrypt, "gensalt", lambda *_, **__: self._gensalt(CHEAP)))
        enter(patch.object(flask.Flask, "run", lambda *_, **__: None))
        enter(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        event.listen(sqlalchemy.Engine, "engine_connect", self._connected)
        self._stack.callback(event.remove, sqlalchemy.Engine, "engine_connect", self._connected)
        enter(patch.object(sys, "dont_write_bytecode", new=True))
        enter(self._path())
        return self

    def __exit__(self, *_: object) -> None:
        """Close the databases, forget the files, and put back what was there before."""
        self.fresh()
        self._stack.close()

    @contextlib.contextmanager
    def _path(self) -> Iterator[None]:
        elsewhere = {name: sys.modules.pop(name) for name in FLAT if name in sys.modules}
        sys.path.insert(0, str(self.folder))
        try:
            yield
        finally:
            sys.path.remove(str(self.folder))
            sys.modules.update(elsewhere)

    def fresh(self) -> None:
        """Forget everything loaded and opened so far: the next case begins on an empty database."""
        for engine in self._engines:
            engine.dispose()
        self._engines.clear()
        self._loaded.clear()
        for name, module in list(sys.modules.items()):
            file = getattr(module, "__file__", None) or ""
            if name in FLAT or file.startswith(f"{self.folder}{os.sep}"):
                del sys.modules[name]
        importlib.invalidate_caches()

    def _connected(self, connection: sqlalchemy.Connection) -> None:
        if connection.engine not in self._engines:
            self._engines.append(connection.engine)

    def _new_folder(self) -> None:
        made = self.scratch / str(next(self._numbers))
        made.mkdir()
        os.chdir(made)

    # --- the files ------------------------------------------------------------------------------

    def module(self, name: str) -> ModuleType:
        """Load one of the files. Raises Unmet, with the line, where that fails."""
        if name not in self._loaded:
            if not (self.folder / f"{name}.py").is_file():
                raise Missing(f"import {name}", f"{name}.py", f"no {name}.py in the folder")
            if name not in sys.modules:
                self._new_folder()
            # Looking at a name of a file is no call of a case: what was called last stays said.
            with self.log.aside():
                self._loaded[name] = self.log.run(f"import {name}", importlib.import_module, name)
        return self._loaded[name]

    def attribute(self, module: str, name: str) -> Any:
        """Give what a name of one of the files stands for. Raises Unmet where it is missing."""
        found = getattr(self.module(module), name, None)
        if found is None:
            place = self.place_of(f"{module}.py", name)
            raise Missing(f"{module}.{name}", name, f"{module}.py has no {name}", place)
        return found

    def replaced(
        self, module: str, name: str, value: object
    ) -> contextlib.AbstractContextManager[Any]:
        """Put something in the place of a name of one of the files, while a block runs."""
        return patch.object(self.module(module), name, value, create=True)

    def route_of(self, call: str) -> Place | None:
        """Give the first line of app.py that names the path of a request, or None."""
        path = call.partition(" ")[2].partition(" ")[0].partition("?")[0]
        try:
            lines = (self.folder / "app.py").read_text("utf-8").splitlines()
        except (OSError, ValueError):
            return None
        named = (n for n, line in enumerate(lines, 1) if f'"{path}"' in line or f"'{path}'" in line)
        number = next(named, None) if path.startswith("/") else None
        return None if number is None else Place("app.py", number)

    def place_of(self, file: str, name: str) -> Place | None:
        """Give the line at which a name is defined; the last line of the file if nowhere."""
        try:
            source = (self.folder / file).read_text("utf-8")
            tree = ast.parse(source)
        except (OSError, ValueError, SyntaxError):
            return None
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                if node.name == name:
                    return Place(file, node.lineno, name)
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any(isinstance(each, ast.Name) and each.id == name for each in targets):
                    return Place(file, node.lineno)
        return Place(file, max(1, len(source.splitlines())))

    # --- the names of the exercise --------------------------------------------------------------

    @property
    def User(self) -> type[Any]:  # noqa: N802 (the name of the exercise)
        """The model."""
        return cast("type[Any]", self.attribute("user", "User"))

    @property
    def DB(self) -> type[Any]:  # noqa: N802 (the name of the exercise)
        """The class of the database."""
        return cast("type[Any]", self.attribute("db", "DB"))

    def make_db(self) -> Any:
        """Make a DB on a new database."""
        made = self.DB
        self._new_folder()
        return self.log.run("DB()", made)

    def make_auth(self) -> Any:
        """Make an Auth on a new database."""
        made = self.attribute("auth", "Auth")
        self._new_folder()
        return self.log.run("Auth()", made)

    def application(self) -> flask.Flask:
        """Load app.py again, and give its Flask application."""
        self.fresh()
        made = flask_of(self.module("app"))
        if made is None:
            place = self.place_of("app.py", "app")
            raise Missing("app.app", "a Flask app", "app.py has no Flask app", place)
        take_slashes(made)
        return made

    def make_client(self) -> FlaskClient:
        """Make a visitor of a new app on a new database."""
        return self.application().test_client()

    def hash_password(self, password: str) -> Any:
        """Call `_hash_password` at the cost it has there."""
        function = self.attribute("auth", "_hash_password")
        with patch.object(bcrypt, "gensalt", self._gensalt):
            return self.log.run(f"_hash_password({password!r})", function, password)

    def generate_uuid(self) -> Any:
        """Call `_generate_uuid`."""
        return self.log.run("_generate_uuid()", self.attribute("auth", "_generate_uuid"))

    def query(self, statement: str, values: Mapping[str, object]) -> list[dict[str, Any]]:
        """Run a statement on the newest database, on a connection of its own."""
        if not self._engines:
            raise Unmet(self.log.call, "a database", "no database was opened", self.log.place)
        engine = self._engines[-1]
        if engine.url.database not in {None, "", ":memory:"}:
            engine = create_engine(engine.url, poolclass=NullPool, connect_args={"timeout": LOCKED})
        with self._unheard(), engine.begin() as connection:
            done = connection.execute(text(statement), dict(values))
            return [dict(row) for row in done.mappings()] if done.returns_rows else []

    @contextlib.contextmanager
    def _unheard(self) -> Iterator[None]:
        known = list(self._engines)
        try:
            yield
        finally:
            self._engines[:] = known

    def _rows_if_any(self) -> list[dict[str, Any]]:
        try:
            return self.rows()
        except (Unmet, sqlalchemy.exc.SQLAlchemyError):
            return []

    # --- over HTTP ------------------------------------------------------------------------------

    @contextlib.contextmanager
    def served(self) -> Iterator[str]:
        """Serve the app on loopback, at a port that is free, and give its URL."""
        server = make_server("127.0.0.1", 0, self.application(), threaded=True)
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.port}"
        finally:
            server.shutdown()
            serving.join()
            server.server_close()

    def tour(self, base_url: str) -> None:
        """Run the course's main.py against this URL."""
        source = (COURSE / "main.py").read_text("utf-8")
        names: dict[str, Any] = {"__name__": "tour"}
        exec(compile(source, str(COURSE / "main.py"), "exec"), names)
        names["BASE_URL"] = base_url
        names["expect"] = _lenient(names["expect"])
        if self.is_mended:
            # Its second half is for an app that gives the token to everyone who asks.
            names["reset_password_token"] = self._token_of
        names["main"]()

    def _token_of(self, email: str) -> Any:
        return self.attribute("app", "AUTH").get_reset_password_token(email)


def _lenient(expect: Callable[..., None]) -> Callable[..., None]:
    """Let the tour take every status that a task takes, as 201 where it says 200."""

    def expected(answer: Any, status: int, body: object = None) -> None:
        alike = next((one for one in STATUS.values() if status in one), {status})
        expect(answer, answer.status if answer.status in alike else status, body)

    return expected


def flask_of(module: ModuleType) -> flask.Flask | None:
    """Give the Flask application of a module, whatever its name, or None."""
    named = getattr(module, "app", None)
    found = [named, *vars(module).values()]
    return next((one for one in found if isinstance(one, flask.Flask)), None)


def application_of(folder: Path) -> flask.Flask:
    """Load the application of a folder in a process that serves nothing else."""
    sys.path.insert(0, str(folder))
    warnings.simplefilter("ignore")
    with patch.object(flask.Flask, "run", lambda *_, **__: None):
        made = flask_of(importlib.import_module("app"))
    if made is None:
        raise LookupError("app.py has no Flask application")
    take_slashes(made)
    return made


def take_slashes(app: flask.Flask) -> None:
    """Let a route that was written with a slash at its end answer without it too.

    Flask redirects there, and a test client or `curl` without `-L` does not follow.
    """
    inner = app.wsgi_app

    def asked(environ: Any, start: Any) -> Any:
        try:
            app.url_map.bind_to_environ(environ).match()
        except RequestRedirect:
            environ["PATH_INFO"] += "/"
        except Exception:
            pass
        return inner(environ, start)

    app.wsgi_app = asked  # type: ignore[method-assign,assignment]  # as Flask's documentation does
