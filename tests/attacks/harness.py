"""Runs inside the process of a target: serves the course or the service, and watches it.

Nothing of the service is imported here, so that the path decides which one it is. The folder of
the target holds what passes between the two processes: `clock` (seconds to add to the time, or "="
and the time at which it stands), `hashes` (one line a bcrypt computation, its cost), and `port`
(with the folder of what is served), written once the target listens. It ends with its standard
input, so that no target outlives the tests.
"""

from __future__ import annotations

import hashlib
import importlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

COURSE_COST = 8
"""What the course hashes at here: quick, and slow enough that hashing is most of a request."""


def move_clock(file: Path) -> None:
    """Add to the time what the file says, or stop it there, for everybody in this process."""
    real = time.time

    def told() -> float:
        said = file.read_text()
        return float(said[1:]) if said.startswith("=") else real() + float(said)

    time.time = told


def watch_bcrypt(file: Path, *, cheap: bool) -> None:
    """Write down the cost of every bcrypt computation; `cheap` lowers the library's own default.

    The course hashes at that default and has no setting for it.
    """
    bcrypt: Any = importlib.import_module("bcrypt")
    log = os.open(file, os.O_WRONLY | os.O_APPEND)

    def watched(real: Callable[[bytes, bytes], Any]) -> Callable[[bytes, bytes], Any]:
        def run(password: bytes, salt: bytes) -> Any:
            made = real(password, salt)
            # What bcrypt refuses costs nothing and is not written down.
            os.write(log, b"%d\n" % int(salt.split(b"$")[2]))
            return made

        return run

    bcrypt.hashpw = watched(bcrypt.hashpw)
    bcrypt.checkpw = watched(bcrypt.checkpw)
    watch_hashlib(log)
    if cheap:
        gensalt = bcrypt.gensalt
        bcrypt.gensalt = lambda rounds=COURSE_COST, prefix=b"2b": gensalt(rounds, prefix)


def watch_hashlib(log: int) -> None:
    """Write down what passwords of other systems cost: a plus and how many units."""
    library: Any = hashlib
    pbkdf2, scrypt = library.pbkdf2_hmac, library.scrypt

    def watched_pbkdf2(*given: Any, **named: Any) -> Any:
        os.write(log, b"+%d\n" % given[3])
        return pbkdf2(*given, **named)

    def watched_scrypt(*given: Any, **named: Any) -> Any:
        os.write(log, b"+%d\n" % (named["n"] * named["r"] * named["p"]))
        return scrypt(*given, **named)

    library.pbkdf2_hmac, library.scrypt = watched_pbkdf2, watched_scrypt


def ail(file: Path) -> None:
    """Begin every transaction on SQLite with the pragmas of the file: read-only, or full."""
    sqlalchemy = importlib.import_module("sqlalchemy")

    def begin(connection: Any) -> None:
        for line in file.read_text().splitlines() if file.exists() else ():
            connection.exec_driver_sql(f"PRAGMA {line}")

    sqlalchemy.event.listen(sqlalchemy.Engine, "begin", begin)


def application(course: str = "", how: str = "alone") -> Any:
    """Make the application, from what lies first on the path."""
    if course:
        return importlib.import_module("grade.learner").application_of(Path(course))
    if how == "host":
        return _host()
    if how == "library":
        return _library()
    return importlib.import_module("bienvenue.app").create_app()


def _host() -> Any:
    """Make an application of someone else's, which has our pages and a guarded view of its own."""
    bienvenue: Any = importlib.import_module("bienvenue")
    app = importlib.import_module("flask").Flask("theirs")
    bienvenue.Bienvenue(app, url_prefix="")

    def shelf() -> dict[str, str]:
        return {"shelf of": bienvenue.current_user.email}

    app.add_url_rule("/shelf", view_func=bienvenue.login_required(shelf))
    flask = importlib.import_module("flask")
    app.add_url_rule("/go_on", "go_on", lambda: flask.redirect(bienvenue.return_to("/shelf")))
    app.root_path = str(Path(bienvenue.__file__).parent)
    return app


def _library() -> Any:
    """Make an application that moved from Flask-Login, whose users say what their email is."""
    flask: Any = importlib.import_module("flask")
    theirs: Any = importlib.import_module("bienvenue.compat.flask_login")
    app = flask.Flask("library")
    app.secret_key = "theirs"
    manager = theirs.LoginManager(app, url_prefix="")
    app.extensions["bienvenue"].auth.upgrade()
    readers: dict[str, Any] = {}
    manager.user_loader(readers.get)

    def join() -> dict[str, Any]:
        reader = theirs.UserMixin()
        reader.id, reader.email = len(readers) + 1, flask.request.form["email"]
        readers[reader.get_id()] = reader
        return {"joined": theirs.login_user(reader)}

    app.add_url_rule("/join", "join", join, methods=["POST"])
    return app


def measure(app: Any, file: Path) -> None:
    """Write down how much of a processor the thread of each request took, a line each.

    Whatever else the machine does is not among it.
    """
    log, inner = os.open(file, os.O_WRONLY | os.O_APPEND), app.wsgi_app

    def measured(environ: Any, start: Any) -> Any:
        begun = time.thread_time()
        try:
            return inner(environ, start)
        finally:
            os.write(log, b"%.6f\n" % (time.thread_time() - begun))

    app.wsgi_app = measured


def keep_serving(file: Path) -> None:
    """Go on in a child, and in a new one whenever it is killed, as under a supervisor.

    The file names the child. Anyone who returns from here is one; the parent ends with its child.
    """
    # Made once here and closed, so that a child finds loaded whatever making one loads.
    application().extensions["bienvenue"].auth.close()
    importlib.import_module("werkzeug.serving")
    while child := os.fork():
        draft = file.with_name("child.draft")
        draft.write_text(str(child))
        draft.rename(file)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code >= 0:
            sys.exit(code)


def serve(folder: Path, course: str, how: str) -> None:
    """Serve the course of that folder, or the service, until standard input ends."""
    move_clock(folder / "clock")
    watch_bcrypt(folder / "hashes", cheap=bool(course))
    if course:
        importlib.import_module("grade.confine").while_serving(folder)
    ail(folder / "pragmas")
    if (folder / "debug").exists():
        logging.basicConfig(level=logging.DEBUG)
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    port = listener.getsockname()[1]
    os.environ["BIENVENUE_PORT"] = str(port)
    if (folder / "supervised").exists():
        keep_serving(folder / "child")
    app = application(course, how)
    measure(app, folder / "effort")
    serving = importlib.import_module("werkzeug.serving")
    threaded = how != "host"
    server = serving.make_server("127.0.0.1", port, app, threaded=threaded, fd=listener.fileno())

    def run() -> None:
        if not threaded:
            app.app_context().push()
        server.serve_forever()

    _listens(folder, port, app.root_path)
    threading.Thread(target=run, daemon=True).start()
    sys.stdin.read()


def ship(folder: Path) -> None:
    """Serve as `bienvenue serve` does, with its edge, until standard input ends."""
    move_clock(folder / "clock")
    watch_bcrypt(folder / "hashes", cheap=False)
    serve: Any = importlib.import_module("bienvenue.serve")
    ports: Any = importlib.import_module("tests.ports")
    port = ports.free_port()

    def watch() -> None:
        ports.wait_until(lambda: ports.answers(port))
        _listens(folder, port, str(Path(serve.__file__).parent))
        # Not by way of `sys.stdin`, which a process that is forked meanwhile would find locked.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()
    serve.run({"port": port}, despite_errors=True)


def _listens(folder: Path, port: int, served: str) -> None:
    draft = folder / "port.draft"
    draft.write_text(f"{port}\n{served}")
    draft.rename(folder / "port")


def command(*arguments: str) -> None:
    """Run a command of the service."""
    importlib.import_module("bienvenue.cli").main(arguments, "bienvenue")


def work() -> None:
    """Do once what `bienvenue work` does every minute."""
    application().extensions["bienvenue"].auth.work()
