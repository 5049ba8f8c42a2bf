"""The work that waits for no request: what a round does, and that nothing ends it but a stop."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import pytest

from bienvenue import clock, work
from bienvenue.authentication import CODE
from bienvenue.db import DatabaseUnavailable
from bienvenue.feature import Event
from bienvenue.features.accounts import NoSuchUser
from bienvenue.features.audit import Audit
from bienvenue.features.mail import Mail
from tests.conftest import EMAIL, PASSPHRASE, Clock, Service
from tests.features.hearing import Hearing
from tests.ports import wait_until


def ended() -> None:
    """Wait until the work that was told to stop has ended: it would open connections again."""
    (thread,) = [thread for thread in threading.enumerate() if thread.name == "work"]
    thread.join(180)
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


class Monotonic:
    """The seconds since the machine started, as a test moves them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Take the place of the real ones."""
        self.time = 1000.0
        monkeypatch.setattr(work, "time", self)

    def monotonic(self) -> float:
        """The seconds that passed."""
        return self.time


def test_a_clock_that_leaps_carries_the_clean_up_along_after_a_day(
    moving_clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its own time goes on meanwhile; a clock that is corrected by then changes nothing."""
    passed = Monotonic(monkeypatch)
    steady = work.SteadyTime(None)

    def go_on(seconds: float) -> None:
        passed.time += seconds
        moving_clock.forward(seconds)

    start = moving_clock.time
    go_on(60)
    assert steady.now() == start + 60
    moving_clock.forward(20 * 86400)
    assert steady.now() == start + 60
    go_on(3600)
    assert steady.now() == start + 3660
    moving_clock.forward(-20 * 86400)
    assert steady.now() == start + 3660
    moving_clock.forward(3600)
    assert steady.now() == moving_clock.time
    moving_clock.forward(3601)
    go_on(work.WAIT - 1)
    assert steady.now() < moving_clock.time
    go_on(work.WAIT - 1)
    assert steady.now() < moving_clock.time
    go_on(1)
    assert steady.now() == moving_clock.time
    assert [record.levelname for record in caplog.records] == ["WARNING", "WARNING"]
    assert caplog.messages[0].startswith("the clock is 480 h ahead of what this service knows")


def test_a_service_that_was_silent_before_it_starts_is_not_sure_of_its_clock(
    moving_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine may have started with a wrong clock; one that was used today was right."""
    passed = Monotonic(monkeypatch)
    now = moving_clock.time
    assert work.SteadyTime(now - work.SILENCE).now() == now
    assert work.SteadyTime(now + 60).now() == now
    silent = work.SteadyTime(now - work.SILENCE - 1)
    assert silent.now() == now - work.SILENCE - 1
    passed.time += work.WAIT
    assert silent.now() == now


def test_accounts_wait_when_the_clock_leapt(
    service: Service, moving_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was closed an hour ago is not deleted because the machine starts in another year."""
    monkeypatch.setattr(work, "EVERY", 0.01)
    monkeypatch.setattr(work, "SWEEP_EVERY", 0.01)
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.auth.account_closure.close_for(CODE, EMAIL)
    moving_clock.forward(365 * 86400)
    rounds: list[float] = []
    hearing = Hearing(service.auth)

    def sweep(now: float, _limit: int) -> int:
        rounds.append(now)
        return 0

    monkeypatch.setattr(hearing, "sweep", sweep)
    stop = work.beside(service.auth)
    assert wait_until(lambda: len(rounds) >= 3, 30)
    stop.set()
    ended()
    assert service.auth.accounts.find(EMAIL).disabled_at is not None
    assert max(rounds) < moving_clock.time - 364 * 86400
    service.auth.sweep(clock.now())
    with pytest.raises(NoSuchUser):
        service.auth.accounts.find(EMAIL)
