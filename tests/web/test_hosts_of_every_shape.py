"""Hosts of every shape: whatever answers inside whatever, nobody is ever someone else (F14)."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import secrets
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import greenlet
import pytest
from flask import Flask, copy_current_request_context, request, stream_with_context
from flask.testing import FlaskClient
from flask.typing import ResponseReturnValue

from bienvenue import Bienvenue, current_user, i18n, logs
from bienvenue.auth import Auth
from tests.conftest import EMAIL, PASSPHRASE
from tests.databases import Databases
from tests.journeys.serving import Program, launched
from tests.ports import free_port

OTHER = "rob@example.com"
HOST = """\
import sys
from flask import Flask
from bienvenue import Bienvenue, current_user
app = Flask(__name__)
Bienvenue(app, url_prefix="")
app.app_context().push()

@app.get("/who")
def who():
    return {"email": current_user.email if current_user else None}
"""


def known() -> bool:
    """Tell whether someone is signed in."""
    return bool(current_user)


def who() -> str:
    """Give the email of whom a view acts for."""
    return current_user.email if known() else "nobody"


@pytest.fixture
def make_host(databases: Databases, tmp_path: Path) -> Iterator[Callable[[], Flask]]:
    """Make applications of others, each with accounts of its own."""
    with contextlib.ExitStack() as made:

        def make() -> Flask:
            url = databases.fresh("sqlite")
            made.callback(databases.drop, url)
            keys = tmp_path / f"keys-{secrets.token_hex(4)}"
            keys.write_text(secrets.token_hex(32))
            app = Flask("theirs")
            extension = Bienvenue(
                url_prefix="", database_url=url, secret_key_file=keys, bcrypt_cost=4
            )
            made.callback(extension.init_app(app).close)
            app.get("/who")(who)
            return app

        yield make


def signed_in(app: Flask, email: str = EMAIL) -> FlaskClient:
    """Give a client of a new account."""
    client = app.test_client()
    account = {"email": email, "password": PASSPHRASE}
    client.post("/users", json=account)
    assert client.post("/sessions", json=account).status_code == 200
    return client


def test_a_request_inside_a_request(make_host: Callable[[], Flask]) -> None:
    """A view asks its own application as someone else, and stays who it was, with its own id."""
    app = make_host()
    seen: list[str] = []

    @app.get("/around")
    def around() -> str:
        dispatcher = app.extensions["bienvenue"]
        dispatcher.name_request()
        own = logs.request_id()
        seen.append(who())
        seen.extend(client.get("/who").text for client in (bob, nobody, alice))
        bob.get("/profile")
        seen.append(who())
        assert logs.request_id() == own
        dispatcher.end_request()
        return "done"

    alice, bob, nobody = signed_in(app), signed_in(app, OTHER), app.test_client()
    assert alice.get("/around").text == "done"
    assert seen == [EMAIL, OTHER, "nobody", EMAIL, EMAIL]
    assert nobody.get("/around").text == "done"
    assert seen[5:] == ["nobody", OTHER, "nobody", EMAIL, "nobody"]
    assert logs.request_id() == ""


def test_two_applications_in_one_process(make_host: Callable[[], Flask]) -> None:
    """The cookie of one says nothing to the other, in turn and one inside the other."""
    first, second = make_host(), make_host()

    @first.get("/through")
    def through() -> str:
        inner = second.test_client().get("/who", headers={"Cookie": request.headers["Cookie"]})
        with second.test_request_context(headers={"Cookie": request.headers["Cookie"]}):
            assert not known()
        return f"{who()} {inner.text} {bob.get('/who').text} {who()}"

    alice, bob = signed_in(first), signed_in(second, OTHER)
    cookie = alice.get_cookie("session_id")
    assert cookie is not None
    stranger = second.test_client()
    stranger.set_cookie("session_id", cookie.value)
    assert stranger.get("/who").text == "nobody"

    assert alice.get("/through").text == f"{EMAIL} nobody {OTHER} {EMAIL}"


def test_one_environment_for_two_applications(make_host: Callable[[], Flask]) -> None:
    """A mounted application is asked with the very environment that the first one has read."""
    first, second = make_host(), make_host()

    @first.get("/handed-on")
    def handed_on() -> str:
        assert who() == EMAIL
        with second.request_context(request.environ):
            assert not known()
        return who()

    alice = signed_in(first)
    assert alice.get("/handed-on").text == EMAIL


def test_greenlets_of_one_thread(make_host: Callable[[], Flask]) -> None:
    """Two requests in turn in one thread, as gevent's workers answer them."""
    app = make_host()
    main = greenlet.getcurrent()
    seen: list[tuple[str, str]] = []

    @app.get("/slow/<name>")
    def slow(name: str) -> str:
        for _ in range(3):
            seen.append((name, who()))
            main.switch()
        return who()

    alice, bob = signed_in(app), signed_in(app, OTHER)
    answers: dict[str, str] = {}
    clients = {"alice": alice, "bob": bob, "nobody": app.test_client()}
    asking = [
        greenlet.greenlet(
            lambda name=name, client=client: answers.update(
                {name: client.get(f"/slow/{name}").text}
            )
        )
        for name, client in clients.items()
    ]
    for _ in range(4):
        for one in asking:
            one.switch()
    expected = {"alice": EMAIL, "bob": OTHER, "nobody": "nobody"}
    assert answers == expected
    assert [name for name, _ in seen] == ["alice", "bob", "nobody"] * 3
    assert all(expected[name] == found for name, found in seen)


def test_threads_that_a_view_starts(make_host: Callable[[], Flask]) -> None:
    """They are nobody, or whom the view hands on; a kept thread remembers nobody."""
    app = make_host()
    with ThreadPoolExecutor(1) as kept:

        @app.get("/threads")
        def threads() -> list[str]:
            found = [kept.submit(lambda: str(known())).result()]
            found.append(kept.submit(copy_current_request_context(who)).result())
            found.append(kept.submit(contextvars.copy_context().run, who).result())
            own: list[str] = []
            started = threading.Thread(
                target=copy_current_request_context(lambda: own.append(who()))
            )
            started.start()
            started.join()
            return [*found, *own]

        alice, bob = signed_in(app), signed_in(app, OTHER)
        for client, email in ((alice, EMAIL), (bob, OTHER), (app.test_client(), "nobody")):
            assert client.get("/threads").get_json() == ["False", email, email, email]
        assert kept.submit(known).result() is False
        assert kept.submit(logs.request_id).result() == ""


def test_async_views(make_host: Callable[[], Flask]) -> None:
    """Their tasks, and the threads of their event loop, act for the one who asks."""
    app = make_host()

    async def later() -> str:
        await asyncio.sleep(0.01)
        return who()

    @app.get("/async")
    async def asked() -> list[str]:
        found = await asyncio.gather(later(), asyncio.create_task(later()), asyncio.to_thread(who))
        return [who(), *found, who()]

    clients = {EMAIL: signed_in(app), OTHER: signed_in(app, OTHER), "nobody": app.test_client()}
    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            heard = pool.map(lambda client: client.get("/async").get_json(), clients.values())
            assert list(heard) == [[email] * 5 for email in clients]


def test_many_threads_answer_at_once(make_host: Callable[[], Flask]) -> None:
    """Each of them knows who asks, however they cross."""
    app = make_host()
    meet = threading.Barrier(4)

    @app.get("/meet")
    def met() -> str:
        before = who()
        meet.wait(180)
        return f"{before} {who()}"

    emails = [f"person{number}@example.com" for number in range(3)]
    clients = [*(signed_in(app, email) for email in emails), app.test_client()]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            heard = list(pool.map(lambda client: client.get("/meet").text, clients))
            assert heard == [f"{name} {name}" for name in [*emails, "nobody"]]


@pytest.mark.parametrize("ending", ["answers", "raises", "streams", "is kept open"])
def test_nothing_outlives_its_request(make_host: Callable[[], Flask], ending: str) -> None:
    """Under an application context that was pushed at import, however the request ends."""
    app = make_host()

    @app.get("/ends")
    def ends() -> ResponseReturnValue:
        assert who() == EMAIL
        if ending == "raises":
            raise KeyError(ending)
        if ending == "streams":
            return stream_with_context(who() for _ in range(2))
        return "done"

    alice = signed_in(app)
    with app.app_context():
        if ending == "is kept open":
            with alice:
                alice.get("/ends")
                assert who() == EMAIL
        else:
            app.testing = app.config["PROPAGATE_EXCEPTIONS"] = False
            answer = alice.get("/ends")
            assert answer.text == EMAIL * 2 if ending == "streams" else answer.status_code
        assert app.test_client().get("/who").text == "nobody"
        assert not known()
        assert (logs.request_id(), i18n.current()) == ("", None)
        auth: Auth = app.extensions["bienvenue"].auth
        assert auth._db._current.get() is None


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sync", pytest.param("gthread", marks=pytest.mark.thorough)])
def test_gunicorn_with_a_context_that_was_pushed(
    databases: Databases, tmp_path: Path, kind: str
) -> None:
    """The host of the finding: one process whose threads all have its context, or none."""
    (tmp_path / "host.py").write_text(HOST)
    (tmp_path / "keys").write_text(secrets.token_hex(32))
    port, url = free_port(), databases.fresh("sqlite")
    wanted = [sys.executable, "-m", "gunicorn", "host:app", "--worker-class", kind]
    wanted += ["--threads", "3", "--bind", f"127.0.0.1:{port}"][0 if kind == "gthread" else 2 :]
    settings = {"database_url": url, "secret_key_file": str(tmp_path / "keys"), "port": str(port)}
    with launched(wanted, port, tmp_path, **settings) as served:
        served.wait_for(lambda: served.program().ask("GET", "/healthz").status == 200)
        people: dict[str | None, Program] = {None: served.program()}
        for email in (EMAIL, OTHER):
            account = {"email": email, "password": PASSPHRASE}
            people[email] = served.program()
            assert people[email].ask("POST", "/users", account).status == 201
            assert people[email].ask("POST", "/sessions", account).status == 200
        for _ in range(5):
            for person, program in people.items():
                assert program.ask("GET", "/who").json == {"email": person}
        assert people[None].ask("GET", "/profile").status == 401
    databases.drop(url)
