"""former_system: who comes from another system, and what no one can do by it."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from bienvenue import Bienvenue
from bienvenue.authentication import CODE
from bienvenue.features import former_system
from bienvenue.features.accounts import AccountDisabled
from bienvenue.features.former_system import FormerSystem, FormerSystemSettings
from bienvenue.features.passwords import WrongCredentials
from bienvenue.features.rate_limits import TooManyAttempts
from bienvenue.settings import Settings, SettingsProblem
from tests.conftest import EMAIL, KEY, PASSPHRASE, Clock, MakeService, Service
from tests.ports import wait_until
from tests.races import race

UNTIL = "2126-01-01"
PASSWORD = "court"  # shorter than our policy: it was theirs


class Former:
    """The former system: what it is asked, and what it answers."""

    def __init__(self) -> None:
        """Know Bob, and answer at once."""
        self.asked: list[tuple[str, str]] = []
        self.answer: Any = True
        self.waits = threading.Event()
        self.waits.set()

    def __call__(self, email: str, password: str) -> Any:
        """Answer for one email and password."""
        self.asked.append((email, password))
        self.waits.wait(60)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer if (email, password) == (EMAIL, PASSWORD) else False


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses of refused sign-ins, which take no time here."""
    pauses: list[float] = []
    monkeypatch.setattr(former_system, "_sleep", pauses.append)
    return pauses


@pytest.fixture
def former() -> Iterator[Former]:
    """A former system, which no test leaves waiting."""
    made = Former()
    yield made
    made.waits.set()


Begin = Callable[..., Service]


@pytest.fixture
def begin(make_service: MakeService, former: Former, slept: list[float]) -> Begin:
    """Make services beside the former system."""
    assert slept == []

    def made(**settings: object) -> Service:
        service = make_service(former_system_until=UNTIL, **settings)
        service.auth.former_system.ask_with(former)
        return service

    return made


def sign_in(service: Service, email: str = EMAIL, password: str = PASSWORD) -> Any:
    """Sign in as a program does."""
    return service.client().post("/sessions", json={"email": email, "password": password})


def names(service: Service) -> list[str]:
    """What the audit log has, oldest first."""
    return [each.name for each in reversed(service.auth.audit.list(None, limit=None))]


def test_a_user_becomes_ours_at_the_first_yes(begin: Begin, former: Former) -> None:
    """With a hash of our own; told by email, logged, and not asked about again."""
    service = begin()
    assert sign_in(service, "Bob@Example.com").get_json() == {
        "email": EMAIL,
        "message": "logged in",
    }
    assert former.asked == [(EMAIL, PASSWORD)]
    user = service.auth.accounts.find(EMAIL)
    assert user.hashed_password.startswith("$2b$04$")
    assert [name for name in names(service) if name.startswith(("account.", "session."))] == [
        "account.imported",
        "account.moved",
        "session.opened",
    ]
    (message,) = service.auth.mail.list(10)
    assert (message.kind, message.email) == ("account_moved", EMAIL)
    written = service.auth.mail.read(message.uid)
    assert written["Subject"] == "Your Bienvenue account was moved"
    assert "with the same password" in written.as_string().replace("=\n", "")
    assert service.auth.export(user.id)["imported"]["imported_at"]
    assert sign_in(service).status_code == 200
    assert sign_in(service, password="another").status_code == 401
    assert former.asked == [(EMAIL, PASSWORD)]


def test_it_may_tell_what_it_knows(begin: Begin, former: Former) -> None:
    """The fields of an import; the email is verified if it says so, and groups are there."""
    former.answer = {"groups": "staff,editors", "email_verified": True, "created_at": "2020-05-01"}
    service = begin()
    assert sign_in(service).status_code == 200
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.groups.of(user.id) == {"staff", "editors"}
    assert user.created_at == 1588291200
    assert service.auth.registration.export_users([user.id])[user.id]["email_verified"]
    assert former.asked == [(EMAIL, PASSWORD)]


def test_an_empty_mapping_is_a_yes_and_a_disabled_user_is_told(
    begin: Begin, former: Former
) -> None:
    """As every disabled account: only to who knows the password."""
    former.answer = {}
    assert sign_in(begin()).status_code == 200
    former.answer = {"disabled": True, "groups": None}
    service = begin()
    service.auth.accounts.delete(CODE, EMAIL)
    with pytest.raises(AccountDisabled):
        service.auth.passwords.verify(CODE, EMAIL, PASSWORD)
    assert sign_in(service).get_json()["code"] == "account_disabled"
    assert len(former.asked) == 2


NO: dict[str, Any] = {
    "no": False,
    "nothing": None,
    "away": OSError("PASSWORD of bob is court"),
    "another kind": 1,
    "a text": "yes",
    "an unknown field": {"shoe_size": 44},
    "a hash": {"password_hash": "$2b$04$abcdefghijklmnopqrstuu4oJmjYQujvQeGVQXES9zvOx9c3ZJv5C"},
    "another's email": {"email": "eve@example.com"},
    "no moment": {"created_at": "yesterday of court"},
}


@pytest.mark.parametrize("case", NO)
def test_any_other_answer_is_no(
    begin: Begin,
    former: Former,
    slept: list[float],
    case: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The words and the pause of an account that is not there; nothing is made, nothing leaks."""
    former.answer = NO[case]
    service = begin()
    with caplog.at_level(logging.DEBUG):
        mine, nobodys = sign_in(service), sign_in(service, "nobody@example.com")
    assert mine.status_code == nobodys.status_code == 401
    assert mine.get_json() == nobodys.get_json()
    assert mine.get_json()["code"] == "wrong_credentials"
    assert list(service.auth.accounts.emails()) == []
    assert len(former.asked) == len(slept) == 2
    unanswered = [name for name in names(service) if name == "former_system.unanswered"]
    assert len(unanswered) == (case not in {"no", "nothing"})
    assert PASSWORD not in caplog.text


def test_an_answer_that_comes_late_is_none(
    begin: Begin, former: Former, slept: list[float]
) -> None:
    """The sign-in is refused in time, what runs on holds its place, and its yes changes nothing."""
    former.waits.clear()
    service = begin(former_system_at_once=1)
    begun = time.monotonic()
    assert sign_in(service).status_code == 401
    assert time.monotonic() - begun >= 1
    assert len(slept) == 1
    # No place is free, so it is not asked: a system that hangs gets no more than one question.
    assert sign_in(service, "ann@example.com").status_code == 401
    assert former.asked == [(EMAIL, PASSWORD)]
    former.waits.set()
    assert wait_until(lambda: service.auth.former_system._free._value == 1)
    assert list(service.auth.accounts.emails()) == []
    assert sign_in(service).status_code == 200
    reasons = [
        str(each.facts["reason"])
        for each in service.auth.audit.list(None, limit=None)
        if each.name == "former_system.unanswered"
    ]
    assert sorted(reasons) == ["at once", "late"]


def test_refusals_pause_alike_whoever_is_refused(begin: Begin, slept: list[float]) -> None:
    """With an account of ours, with one there, and with none: to the end of the time it has."""
    service = begin(former_system_time="2s")
    service.auth.register_user("ann@example.com", PASSPHRASE)
    for email in ("ann@example.com", EMAIL, "nobody@example.com"):
        assert sign_in(service, email, "a wrong one").status_code == 401
    assert len(slept) == 3
    assert all(1 < pause <= 2.25 for pause in slept)
    assert sign_in(service, "ann@example.com", PASSPHRASE).status_code == 200
    assert sign_in(service).status_code == 200
    assert len(slept) == 3


def test_a_refusal_really_waits(make_service: MakeService, former: Former) -> None:
    """What the other tests only write down: as long with an account as without one."""
    service = make_service(former_system_until=UNTIL)
    service.auth.former_system.ask_with(former)
    service.auth.register_user("ann@example.com", PASSPHRASE)
    for email in ("ann@example.com", "nobody@example.com"):
        begun = time.monotonic()
        assert sign_in(service, email, "a wrong one").status_code == 401
        assert time.monotonic() - begun >= 1.25


def test_no_account_of_ours_is_touched(begin: Begin, former: Former) -> None:
    """Neither one with another password nor one without any, nor one that is kept for its owner."""
    service = begin()
    service.auth.register_user(EMAIL, PASSPHRASE)
    before = service.auth.accounts.find(EMAIL).hashed_password
    assert sign_in(service).status_code == 401
    assert service.auth.accounts.find(EMAIL).hashed_password == before
    service.auth.accounts.delete(CODE, EMAIL)
    service.auth.accounts.add_without_password(CODE, EMAIL)
    assert sign_in(service).status_code == 401
    assert former.asked == []


def test_an_account_made_meanwhile_is_compared_with(
    begin: Begin, former: Former, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stays as it is, and opens only by its own password."""
    service = begin()
    move = FormerSystem._move
    for password, status in ((PASSPHRASE, 401), (PASSWORD, 200)):

        def meanwhile(feature: FormerSystem, *given: Any, own: str = password) -> None:
            hashed = service.auth.passwords.hash(CODE, own)
            service.auth.accounts.add(CODE, EMAIL, hashed)
            move(feature, *given)

        monkeypatch.setattr(FormerSystem, "_move", meanwhile)
        assert sign_in(service).status_code == status
        service.auth.accounts.delete(CODE, EMAIL)
    assert len(former.asked) == 2


def test_an_email_that_is_reserved_makes_no_account(
    begin: Begin, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It belongs to an account that was changed from it, whose owner may take it back."""
    service = begin()
    tokens = service.auth.one_time_tokens
    monkeypatch.setattr(tokens, "all_reserved", set)
    assert sign_in(service).status_code == 401
    assert list(service.auth.accounts.emails()) == []


def test_at_the_same_moment_one_account_is_made(begin: Begin, former: Former) -> None:
    """All who gave the right password are let in."""
    service = begin(former_system_at_once=20)
    answers = race(lambda _: int(sign_in(service).status_code), 8)
    assert answers == [200] * 8
    assert list(service.auth.accounts.emails()) == [EMAIL]
    assert len(former.asked) <= 8


# --- bounded ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("moving_clock")
def test_our_limits_come_before_it(begin: Begin, former: Former) -> None:
    """No one guesses there by us faster than here: ten, and then each waits."""
    service = begin(rate_limit_account=10, former_system_rate=1000)
    for number in range(20):
        answer = sign_in(service, EMAIL, f"guess {number}")
        if answer.status_code == 429:
            break
    assert answer.status_code == 429
    assert len(former.asked) == 10
    with pytest.raises(TooManyAttempts):
        service.auth.passwords.verify(CODE, EMAIL, PASSWORD)
    assert len(former.asked) == len(set(former.asked)) == 10


def test_a_minute_has_so_many_questions(
    begin: Begin, former: Former, moving_clock: Clock, slept: list[float]
) -> None:
    """In all processes together; half of them for a network; and as many in the next one."""
    first, second = (begin(former_system_rate=6) for _ in range(2))

    def guess(service: Service, number: int, ip: str) -> int:
        sent = {"email": f"person{number}@example.com", "password": "a guess"}
        environ = {"REMOTE_ADDR": ip}
        return service.client().post("/sessions", json=sent, environ_overrides=environ).status_code

    for number in range(10):
        assert guess((first, second)[number % 2], number, "203.0.113.1") == 401
    assert len(former.asked) == 3
    for number in range(10):
        assert guess((first, second)[number % 2], number, f"198.51.100.{number}") == 401
    assert len(former.asked) == 6
    assert len(slept) == 20
    assert {email for email, _ in former.asked} >= {"person0@example.com"}
    moving_clock.forward(60)
    assert guess(first, 99, "203.0.113.1") == 401
    assert len(former.asked) == 7
    (event,) = {name for name in names(first) if "unanswered" in name}
    assert event == "former_system.unanswered"


def test_from_its_day_on_it_is_not_asked(
    make_service: MakeService, former: Former, slept: list[float], moving_clock: Clock
) -> None:
    """Nor does a refusal pause then."""
    service = make_service(former_system_until="2027-01-16")
    service.auth.former_system.ask_with(former)
    moving_clock.time = 1_800_057_599.0  # a second before that day
    assert sign_in(service, password="a guess").status_code == 401
    assert (len(former.asked), len(slept)) == (1, 1)
    moving_clock.forward(1)
    assert sign_in(service).status_code == 401
    assert (len(former.asked), len(slept)) == (1, 1)


def test_without_one_nothing_changes(service: Service, slept: list[float]) -> None:
    """No pause, no question."""
    assert sign_in(service).status_code == 401
    assert slept == []
    with pytest.raises(WrongCredentials):
        service.auth.passwords.verify(CODE, EMAIL, PASSWORD)


# --- how it is named ----------------------------------------------------------------------------


def bobs_friend(email: str, password: str) -> bool:
    """Know Bob."""
    return (email, password) == (EMAIL, PASSWORD)


def test_a_setting_names_the_function(make_service: MakeService) -> None:
    """As every process reads it."""
    given = {"former_system": f"{__name__}:bobs_friend", "former_system_until": UNTIL}
    assert sign_in(make_service(**given)).status_code == 200


def test_an_application_gives_it(database: str, former: Former, tmp_path: Path) -> None:
    """By name, beside the settings."""
    app = Flask("theirs")
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    made = Bienvenue(
        app,
        former=former,
        former_system_until=UNTIL,
        database_url=database,
        secret_key_file=keys,
        instance=tmp_path / "instance",
        bcrypt_cost=4,
    )
    sent = {"email": EMAIL, "password": PASSWORD}
    assert app.test_client().post("/account/sessions", json=sent).status_code == 200
    assert made is not None
    app.extensions["bienvenue"].auth.close()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"former_system": f"{__name__}:bobs_friend"}, "FORMER_SYSTEM_UNTIL"),
        ({"former_system": "no.such:thing", "former_system_until": UNTIL}, "can be imported"),
        (
            {"former_system": f"{__name__}:UNTIL", "former_system_until": UNTIL},
            "is the name of a function",
        ),
    ],
)
def test_a_wrong_one_is_said_at_start(
    make_service: MakeService, given: dict[str, str], said: str
) -> None:
    """And not at the first sign-in."""
    with pytest.raises(SettingsProblem, match=said):
        make_service(**given)


@pytest.mark.parametrize("day", ["tomorrow", "2027-02-30", "2027-01-31T00:00:00Z", ""])
def test_a_day_is_written_as_one(day: str) -> None:
    """The form is said, and not what was set."""
    with pytest.raises(SettingsProblem, match="is a day, as 2027-01-31"):
        Settings({"BIENVENUE_FORMER_SYSTEM_UNTIL": day}).of(FormerSystemSettings)
