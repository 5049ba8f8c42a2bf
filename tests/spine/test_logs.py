"""logs: the id of a request on every answer and record, and nothing in a record that leaks."""

from __future__ import annotations

import io
import json
import logging
import logging.config
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from flask import Flask

from bienvenue import Bienvenue, logs
from bienvenue.features.sessions import Sessions
from bienvenue.hash_queue import HashQueue
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.web.edge import ask, edge_of

RANDOM = re.compile(r"[0-9a-f]{32}")
PROXY = "10.0.0.1"
FORGED = "2026-11-21T08:00:00.000Z ERROR"


@contextmanager
def log(style: str, level: str = "info") -> Iterator[io.StringIO]:
    """Give what the log writes, configured as `bienvenue serve` does."""
    written = io.StringIO()
    configured = logs.configuration(style, level)
    configured["handlers"][logs.LOGGER]["stream"] = written
    before = logging.getLogger().handlers[:]
    logging.config.dictConfig(configured)
    try:
        yield written
    finally:
        logging.getLogger().handlers[:] = before


def records(written: io.StringIO) -> list[dict[str, object]]:
    """Read a log of JSON."""
    return [json.loads(line) for line in written.getvalue().splitlines()]


# --- the id of a request ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/"),
        ("GET", "/profile"),
        ("GET", "/nowhere"),
        ("DELETE", "/"),
        ("GET", "/static/bienvenue.css"),
        ("POST", "/sessions"),
        ("OPTIONS", "/users"),
    ],
)
def test_every_answer_bears_an_id_of_its_own(service: Service, method: str, path: str) -> None:
    """Also a 404, a 405 and a 401, from Flask and from the edge."""
    edge = edge_of(service)
    flask = [service.client().open(path, method=method).headers.getlist(logs.HEADER) for _ in "ab"]
    edges = [[ask(edge, method, path).header("x-request-id")] for _ in "ab"]
    ids = [name for names in [*flask, *edges] for name in names]
    assert len(set(ids)) == 4
    assert all(RANDOM.fullmatch(name) for name in ids)


def test_the_edge_names_what_it_refuses_and_what_it_answers(service: Service) -> None:
    """An ambiguous request, a body too large, and a session check that never reaches Flask."""
    edge = edge_of(service)
    twice = ask(edge, "GET", "/", (b"host", b"localhost:5000"))
    large = ask(edge, "POST", "/users", body=b"x" * 70_000)
    assert (twice.status, large.status) == (400, 413)
    cookie = service.signed_in().get_cookie("session_id")
    assert cookie is not None
    known = ask(edge, "GET", "/profile", (b"cookie", f"session_id={cookie.value}".encode()))
    assert known.status == 200
    names = {answer.header("x-request-id") for answer in (twice, large, known)}
    assert len(names) == 3


@pytest.mark.parametrize(
    ("given", "believed"),
    [
        ("abc-123_X.y", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("", False),
        ("a b", False),
        ("a,b", False),
        ("é", False),
        ("a\u2028b", False),
    ],
)
def test_an_id_is_believed_from_trusted_proxies_only(
    make_service: MakeService, given: str, believed: bool
) -> None:
    """And only when it is one."""
    service = make_service(trusted_proxies=PROXY)
    edge = edge_of(service)
    raw = given.encode("utf-8")
    for ip in (PROXY, "::ffff:10.0.0.1", "203.0.113.9"):
        wanted = believed and ip != "203.0.113.9"
        if given.isascii():
            heard = service.client().get(
                "/", headers={logs.HEADER: given}, environ_overrides={"REMOTE_ADDR": ip}
            )
            assert (heard.headers[logs.HEADER] == given) is wanted
        for path in ("/", "/profile"):
            answer = ask(edge, "GET", path, (b"x-request-id", raw), ip=ip)
            assert (answer.header("x-request-id") == given) is wanted
    twice = ask(edge, "GET", "/", (b"x-request-id", raw), (b"x-request-id", raw), ip=PROXY)
    assert RANDOM.fullmatch(twice.header("x-request-id"))


@pytest.mark.parametrize("through_edge", [False, True])
def test_records_of_a_request_bear_its_id(
    service: Service, monkeypatch: pytest.MonkeyPatch, through_edge: bool
) -> None:
    """In the thread that answers, and in the one that hashes; outside of it there is none."""

    def speaking(*_: object) -> None:
        logging.getLogger("bienvenue").warning("in the thread that hashes")

    monkeypatch.setattr("bienvenue.hashing.Hasher.pretend", speaking)
    form = {"email": "nobody@example.com", "password": "wrong"}
    with log("json") as written:
        if through_edge:
            body = b"email=nobody@example.com&password=wrong"
            name = ask(edge_of(service), "POST", "/sessions", body=body).header("x-request-id")
        else:
            name = service.client().post("/sessions", data=form).headers[logs.HEADER]
        logging.getLogger("bienvenue").warning("outside")
    assert [record["request_id"] for record in records(written)] == [name, None]


def test_processes_that_part_make_other_ids() -> None:
    """A server that loads the application before it forks has as many sources as processes."""
    state = logs._random.getstate()
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.write(write, logs.name_request().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 32).decode() != logs.name_request()
    assert logs._random.getstate() != state
    for end in (read, write):
        os.close(end)


def test_the_hashing_thread_keeps_no_id() -> None:
    """It serves one request after the other."""
    queue = HashQueue(1, 1)
    name = logs.name_request()
    assert queue.run(logs.request_id) == name
    logs.end_request()
    assert queue.run(logs.request_id) == ""


def test_in_a_host_application_only_our_paths_bear_one(
    service: Service, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And nothing of its log is configured."""

    def forbidden(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr(logging.config, "dictConfig", forbidden)
    handlers = logging.getLogger().handlers[:]
    app = Flask("host")
    app.add_url_rule("/own", view_func=lambda: "own")
    keys = service.auth.settings.core.secret_key_file
    auth = Bienvenue(database_url=database, secret_key_file=keys).init_app(app, "/account")
    assert logs.HEADER not in app.test_client().get("/own").headers
    assert logs.HEADER in app.test_client().get("/account/profile").headers
    assert logging.getLogger().handlers == handlers
    assert not logging.getLogger("bienvenue").handlers
    auth.close()


# --- what a record holds ------------------------------------------------------------------------


@pytest.mark.parametrize("through_edge", [False, True])
@pytest.mark.parametrize("style", ["text", "json"])
def test_an_unexpected_error_is_one_record_without_what_was_sent(
    service: Service, monkeypatch: pytest.MonkeyPatch, style: str, through_edge: bool
) -> None:
    """Where it came from and its kind are there; its words, which repeat secrets, are not."""

    def fails(*_: object, **__: object) -> None:
        try:
            dict[str, str]()[PASSPHRASE]
        except KeyError as error:
            raise RuntimeError(f"{EMAIL} {PASSPHRASE}\n{FORGED}") from error

    monkeypatch.setattr("bienvenue.features.passwords.Passwords.authenticate", fails)
    with log(style, "debug") as written:
        if through_edge:
            body = f"email={EMAIL}&password={PASSPHRASE}".encode()
            answer = ask(edge_of(service), "POST", "/sessions", body=body)
            status, name = answer.status, answer.header("x-request-id")
        else:
            form = {"email": EMAIL, "password": PASSPHRASE}
            heard = service.client().post("/sessions", data=form)
            status, name = heard.status_code, heard.headers[logs.HEADER]
    text = written.getvalue()
    assert status == 500
    assert text.count("a request failed") == text.count(name) == 1
    assert "RuntimeError" in text
    assert "KeyError" in text
    assert "in fails" in text
    assert EMAIL not in text
    assert PASSPHRASE not in text
    assert FORGED not in text
    if style == "json":
        (record,) = records(written)
        assert record["level"] == "error"
        assert isinstance(record["traceback"], list)


def test_a_mistake_of_the_edge_itself_is_answered_and_logged(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last resort: 500 with an id, and the process lives."""

    def fails(*_: object) -> None:
        raise ValueError(PASSPHRASE)

    monkeypatch.setattr(Sessions, "look_up", fails)
    with log("json") as written:
        cookie = (b"cookie", b"session_id=" + b"x" * 43)
        answer = ask(edge_of(service), "GET", "/profile", cookie)
    assert answer.status == 500
    assert b"ValueError" not in answer.body
    (record,) = records(written)
    assert record["request_id"] == answer.header("x-request-id")
    assert PASSPHRASE not in written.getvalue()


def test_without_our_format_a_traceback_is_as_silent(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under another server, or in a host application, handlers are others': the logger scrubs."""

    def fails(*_: object, **__: object) -> None:
        raise RuntimeError(PASSPHRASE)

    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logging.getLogger().addHandler(handler)
    monkeypatch.setattr("bienvenue.features.passwords.Passwords.authenticate", fails)
    service.client().post("/sessions", data={"email": EMAIL, "password": PASSPHRASE})
    logging.getLogger().removeHandler(handler)
    assert "builtins.RuntimeError" in written.getvalue()
    assert "in fails" in written.getvalue()
    assert PASSPHRASE not in written.getvalue()


EVIL = "one\r\ntwo\x1b[2J\u2028three\x00\x85\u202efour\x0b"


def test_no_one_begins_a_line_of_the_log() -> None:
    """CR, LF, ESC, NUL, U+2028 and directions of writing are escaped, also in a library's words."""
    with log("text") as written:
        logging.getLogger("bienvenue").warning("said %s", EVIL)
        logging.getLogger("of.a.library").error("said %s", EVIL)
    lines = written.getvalue().split("\n")
    assert len(lines) == 3
    for line in lines[:2]:
        assert line.isprintable()
        assert r"said one\r\ntwo\x1b[2J\u2028three\x00\x85\u202efour" in line
        assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ [\w.]+ -: said", line)
    with log("json") as written:
        logging.getLogger("bienvenue").warning("said %s", EVIL)
    assert written.getvalue().isascii()
    (record,) = records(written)
    assert record["message"] == f"said {EVIL}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(record["time"]))
    assert (record["level"], record["logger"]) == ("warning", "bienvenue")


def test_a_traceback_of_a_library_is_scrubbed_too() -> None:
    """Every line of it is indented, so that none looks like a record."""
    with log("text") as written:
        try:
            Path(EMAIL).read_text()
        except OSError:
            logging.getLogger("of.a.library").exception("it broke")
    head, *rest = written.getvalue().splitlines()
    assert head.endswith("ERROR of.a.library -: it broke")
    assert all(line.startswith("    ") for line in rest)
    assert rest[-1] == "    builtins.FileNotFoundError (errno 2)"
    assert EMAIL not in written.getvalue()


def test_levels_are_ours_and_libraries_keep_to_warnings() -> None:
    """SQLAlchemy writes down rows at its lower levels."""
    with log("json", "debug") as written:
        logging.getLogger("bienvenue.anything").debug("ours")
        logging.getLogger("sqlalchemy.engine.Engine").info("a row")
        logging.getLogger("of.a.library").warning("theirs")
    assert [record["message"] for record in records(written)] == ["ours", "theirs"]
    with log("json", "error") as written:
        logging.getLogger("bienvenue").warning("not this")
    assert not written.getvalue()


def test_a_child_draws_other_ids_than_its_parent() -> None:
    """Where processes fork, the generator of ids is seeded again in each."""
    code = (
        "import os\n"
        "from bienvenue import logs\n"
        "read, write = os.pipe()\n"
        "if os.fork() == 0:\n"
        "    os.write(write, logs.name_request().encode()); os._exit(0)\n"
        "os.wait(); print(logs.name_request() == os.read(read, 100).decode())\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "False\n"), ran.stderr


def test_where_no_process_forks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The module loads there too."""
    monkeypatch.delattr(os, "register_at_fork")
    logger = logging.getLogger(logs.LOGGER)
    monkeypatch.setattr(logger, "filters", list(logger.filters))
    assert runpy.run_path(str(logs.__file__))["LOGGER"] == logs.LOGGER
