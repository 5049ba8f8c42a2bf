"""The work that waits for no request: what a round does, and that nothing ends it but a stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from bienvenue import work
from bienvenue.authentication import CODE
from bienvenue.db import DatabaseUnavailable
from bienvenue.feature import Event
from bienvenue.features.audit import Audit
from bienvenue.features.mail import Mail
from tests.conftest import Service
from tests.features.hearing import Hearing
from tests.ports import wait_until


def ended() -> None:
    """Wait until the work that was told to stop has ended: it would open connections again."""
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "work"]
    thread.join(30)
    assert not thread.is_alive()


def test_the_work_seals_and_sweeps_until_it_is_stopped(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a thread of its own; the sweep comes back until nothing is left."""
    monkeypatch.setattr(work, "EVERY", 0.01)
    swept = [2, 1, 0]
    hearing = Hearing(service.auth)
    monkeypatch.setattr(hearing, "sweep", lambda _now, _limit: swept.pop(0) if swept else 0)
    stop = work.beside(service.auth)
    for n in range(3):
        service.auth.publish(Event(CODE, "password.changed", n))
    assert wait_until(lambda: service.auth.audit.verify().rows == 3 and not swept, 30)
    stop.set()
    ended()


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (DatabaseUnavailable("locked"), "the work of audit waits for its next round: locked"),
        (RuntimeError("a mistake"), "a round of the work of audit failed"),
    ],
)
def test_a_round_that_fails_is_not_the_last(
    service: Service,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    said: str,
) -> None:
    """It is logged, and the next round comes."""
    monkeypatch.setattr(work, "EVERY", 0.01)
    stop = threading.Event()
    rounds: list[Callable[[], None]] = [stop.set]

    def fails_once() -> None:
        if not rounds:
            stop.set()
            return
        rounds.pop()
        raise error

    monkeypatch.setattr(Audit, "work", lambda _self: fails_once())
    caplog.set_level(logging.WARNING, "bienvenue")
    work.run(service.auth, stop)
    assert rounds == []
    assert caplog.messages == [said]


def test_what_waits_for_a_mail_server_keeps_no_seal_waiting(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An email waits for as long as it likes, and the audit log is sealed meanwhile."""
    monkeypatch.setattr(work, "EVERY", 0.01)
    left = threading.Event()
    monkeypatch.setattr(Mail, "work", lambda _self: left.wait(60))
    service.auth.publish(Event(CODE, "password.changed", 1))
    stop = work.beside(service.auth)
    try:
        assert wait_until(lambda: service.auth.audit.verify().rows == 1, 30)
        assert not left.is_set()
    finally:
        stop.set()
        left.set()
        ended()
