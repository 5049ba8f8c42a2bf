"""The instruments the attacks rely on measure what they say they do, on every kind of target."""

from __future__ import annotations

import pytest

from tests.attacks import patch
from tests.attacks import target as target_module
from tests.attacks.attack import BROKEN, COURSE, load
from tests.attacks.builds import SERVICES, Builds
from tests.attacks.target import Target

pytestmark = pytest.mark.slow

EVERYWHERE = (COURSE, *SERVICES)


@pytest.fixture(params=EVERYWHERE)
def target(request: pytest.FixtureRequest, builds: Builds) -> Target:
    """Give each of the targets that attacks share."""
    return builds.shared(request.param)


def test_counts_hashes(target: Target) -> None:
    """One to make the account, one to compare, each at the cost of the target."""
    person = target.newcomer()
    before = len(target.hash_costs())
    made = person.visitor.post("/users", email=person.email, password=person.password)
    compared = person.try_password(person.password)
    cost = 8 if target.is_course else 4
    assert (made.rounds, compared.rounds) == (2**cost, 2**cost)
    assert target.hash_costs()[before:] == [cost, cost]


def test_keeps_cookies(target: Target) -> None:
    """In the jar of one visitor, and of no one else; signing out empties it."""
    browser = target.person().sign_in()
    assert browser.get("/profile").ok
    assert not target.get("/profile").ok
    assert set(browser.cookies) == {"session_id"} | (set() if target.is_course else {"device_id"})


def test_dump_has_every_table(target: Target) -> None:
    """And what is written behind the target's back is there."""
    person = target.person()
    target.execute("UPDATE users SET reset_token = 'x' WHERE email = :e", e=person.email)
    rows = {row["email"]: row for row in target.dump()["users"]}
    assert rows[person.email]["reset_token"] == "x"


def test_logs_are_kept(target: Target) -> None:
    """What the process wrote can be searched."""
    target.get("/profile?canary")
    assert "/profile?canary" in target.logs()


def test_moves_the_clock(builds: Builds) -> None:
    """Sessions end when their time is over, with no one waiting for it."""
    target = builds.shared("sqlite", {"session_lifetime": "1h"})
    browser = target.person().sign_in()
    target.clock_forward(3590)
    assert browser.get("/profile").ok
    target.clock_forward(20)
    assert browser.get("/profile").status == 401


def test_stops_the_clock(builds: Builds) -> None:
    """It stands, moves when it is told to, and goes on afterwards as if it had not stood."""
    target = builds.shared("sqlite", {"session_lifetime": "1h"})
    with target.clock_stopped():
        browser = target.person().sign_in()
        told = [target.person().sign_in().get("/profile").json["session"] for _ in range(2)]
        assert told[0]["created_at"] == told[1]["created_at"]
        target.clock_forward(3601)
        assert not browser.get("/profile").ok
    assert browser.get("/profile").ok


def test_attackers_have_ips(builds: Builds) -> None:
    """Each one its own, which the service sees."""
    target = builds.shared("sqlite")
    person = target.person()
    browser = target.stranger()
    person.try_password(person.password, browser)
    assert browser.get("/profile").json["session"]["ip"] == browser.ip != target.stranger().ip


def test_restarts_on_what_it_left(builds: Builds) -> None:
    """Killed and started again, it has the same accounts; a command reaches them too."""
    target = builds.shared("sqlite", {"session_lifetime": "1h"})
    person = target.person()
    target.stop(kill=True)
    target.start()
    person.sign_in()
    assert person.email in target.cli("users", "list").text


def test_serves_what_it_says(builds: Builds) -> None:
    """A broken build is the patched copy and not the package beside it."""
    broken = next(attack for attack in load() if attack.wins[0].startswith(BROKEN))
    with builds.open(broken.wins[0], broken) as target:
        assert target.served == target.folder / "src" / "bienvenue"
    assert builds.shared(COURSE).served == target_module.COURSE
    assert builds.shared("sqlite").served == patch.PACKAGE
