"""What an application hears of its users, by signals after the commit."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import blinker
import pytest
from flask import Flask, current_app

from bienvenue import Auth, Bienvenue, signals
from bienvenue.authentication import CODE
from bienvenue.registry import Event
from tests.conftest import EMAIL, KEY, PASSPHRASE, Service

NEW = "rob@example.com"
OTHER = "une autre phrase de passe bien longue"
NAMED = {
    name: signal for name, signal in vars(signals).items() if isinstance(signal, blinker.Signal)
}

Heard = list[tuple[str, object, dict[str, Any]]]


@pytest.fixture
def app(database: str, tmp_path: Path) -> Iterator[Flask]:
    """An application with the service."""
    (tmp_path / "keys").write_text(KEY)
    app = Flask("theirs")
    given: dict[str, Any] = {"database_url": database, "secret_key_file": tmp_path / "keys"}
    Bienvenue(app, "", bcrypt_cost=4, **given)
    yield app
    app.extensions["bienvenue"].auth.close()


def auth_of(app: Flask) -> Auth:
    """The operations of an application."""
    found = app.extensions["bienvenue"].auth
    assert isinstance(found, Auth)
    return found


@pytest.fixture
def heard(app: Flask) -> Iterator[Heard]:
    """Every signal that the application sends, with its sender and its values."""
    found: Heard = []

    def keep(name: str) -> Callable[..., None]:
        return lambda sender, **values: found.append((name, sender, values))

    with ExitStack() as stack:
        for name, signal in NAMED.items():
            stack.enter_context(signal.connected_to(keep(name), app))
        yield found


def names(heard: Heard) -> list[str]:
    """The names of what was heard, which is then forgotten."""
    found = [name for name, _, _ in heard]
    heard.clear()
    return found


def test_each_signal_is_sent_when_its_thing_happens(app: Flask, heard: Heard) -> None:
    """From an account's first day to its last, by requests and by code."""
    auth, client = auth_of(app), app.test_client()
    client.post("/users", json={"email": EMAIL, "password": PASSPHRASE})
    user = auth.accounts.find(EMAIL)
    values: dict[str, Any] = {"user": user.uid, "email": EMAIL, "event": "account.registered"}
    assert heard == [("user_registered", app, values)]
    heard.clear()
    client.post("/sessions", json={"email": EMAIL, "password": PASSPHRASE})
    ((name, _, values),) = heard
    session = client.get("/profile").get_json()["session"]["uid"]
    assert (name, values["session"], values["user"]) == ("user_signed_in", session, user.uid)
    heard.clear()
    client.delete("/sessions")
    ((name, _, values),) = heard
    assert (name, values["session"], values["reason"]) == (
        "user_signed_out",
        session,
        "signed out",
    )
    heard.clear()
    auth.email_change.set(CODE, EMAIL, NEW)
    (changed,) = [values for name, _, values in heard if name == "email_changed"]
    assert changed == {
        "user": user.uid,
        "email": NEW,
        "old": EMAIL,
        "new": NEW,
        "event": "email.assigned",
    }
    heard.clear()
    auth.update_password(auth.get_reset_password_token(NEW), OTHER)
    assert "password_changed" in names(heard)
    client.post("/sessions", json={"email": NEW, "password": OTHER})
    heard.clear()
    assert client.delete("/profile").status_code == 202
    (closed,) = [values for name, _, values in heard if name == "account_closed"]
    assert closed["until"].endswith("Z")
    heard.clear()
    auth.accounts.delete(CODE, NEW)
    assert heard == [
        ("account_deleted", app, {"user": user.uid, "event": "account.deleted"}),
    ]


def test_every_signal_belongs_to_events_that_exist(app: Flask) -> None:
    """And each of the eight is sent for one at least."""
    declared = auth_of(app).registry.events
    assert set(signals.SIGNALS) <= set(declared)
    sent = [signal for signal, _ in signals.SIGNALS.values()]
    assert all(any(signal is one for one in sent) for signal in NAMED.values())
    assert len(NAMED) == 8


def test_nothing_is_sent_of_what_is_rolled_back(app: Flask, heard: Heard) -> None:
    """A signal is news, and news is true."""
    auth = auth_of(app)
    user = auth.register_user(EMAIL, PASSPHRASE)
    heard.clear()
    with suppress(RuntimeError), auth._db.transaction():
        auth.publish(Event(CODE, "email.verified", user.id))
        raise RuntimeError
    assert heard == []
    auth.publish(Event(CODE, "email.verified", user.id))
    assert names(heard) == ["email_verified"]
    auth.publish(Event(CODE, "password.rehashed", user.id))
    assert heard == []


def test_a_receiver_that_raises_stops_neither_the_request_nor_the_next_one(
    app: Flask, heard: Heard, caplog: pytest.LogCaptureFixture
) -> None:
    """It is logged, and the account is there."""

    def fails(_sender: object, **_values: object) -> None:
        raise RuntimeError("no such table: people")

    with signals.user_registered.connected_to(fails, app):
        answer = app.test_client().post("/users", json={"email": EMAIL, "password": PASSPHRASE})
    assert answer.status_code == 201
    assert "a receiver of the signal user-registered failed" in caplog.text
    assert names(heard) == ["user_registered"]
    assert auth_of(app).accounts.find(EMAIL)


def test_a_receiver_runs_in_the_request_and_may_be_async(
    app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So it may use what the application's own views use; Flask runs the coroutine."""
    found: list[str] = []

    async def asynchronous(sender: Flask, user: str, **_facts: object) -> None:
        assert current_app.name == sender.name
        found.append(user)

    monkeypatch.setattr(app, "async_to_sync", _finished)
    with signals.user_registered.connected_to(asynchronous, app):
        app.test_client().post("/users", json={"email": EMAIL, "password": PASSPHRASE})
    assert found == [auth_of(app).accounts.find(EMAIL).uid]


def _finished(receiver: Callable[..., Any]) -> Callable[..., None]:
    """Run a coroutine that waits for nothing to its end, as asgiref does for Flask."""

    def run(*args: Any, **values: Any) -> None:
        with pytest.raises(StopIteration):
            receiver(*args, **values).send(None)

    return run


def test_a_service_by_itself_is_the_sender(service: Service) -> None:
    """Of an application or of an Auth: a receiver of one hears nothing of another."""
    found: list[object] = []

    def keep(sender: object, **_facts: object) -> None:
        found.append(sender)

    alone = Auth(settings=service.auth.settings)
    with signals.user_registered.connected_to(keep, alone):
        service.auth.register_user(EMAIL, PASSPHRASE)
        assert found == []
        alone.register_user(NEW, PASSPHRASE)
        assert found == [alone]
        with signals.user_registered.muted():
            alone.register_user("third@example.com", PASSPHRASE)
        assert found == [alone]
    alone.close()
