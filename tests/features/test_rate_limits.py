"""rate_limits: exactly as many guesses as allowed, for accounts, networks, and at once."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bienvenue import clock
from bienvenue.authentication import CODE, Caller
from bienvenue.cli import main
from bienvenue.client_ip import network_of
from bienvenue.db import DatabaseUnavailable
from bienvenue.feature import Attempt
from bienvenue.features.rate_limits import (
    ALL,
    UNKNOWN_DEVICES,
    NoEmailOrIP,
    PasswordLocked,
    RateLimits,
    TooManyAttempts,
)
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features.hearing import Hearing
from tests.races import race

pytestmark = pytest.mark.statements

HOUR, DAY = 3600, 86400


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service with the limits of the house."""
    return make_service(rate_limit_account=10, rate_limit_network=100)


def sign_in(
    client: FlaskClient, password: str = "wrong", email: str = EMAIL, ip: str = "192.0.2.1"
) -> TestResponse:
    """Try to sign in from an ip."""
    return client.post(
        "/sessions",
        json={"email": email, "password": password},
        environ_base={"REMOTE_ADDR": ip},
    )


def guesses(service: Service, times: int, moving: Clock | None = None) -> list[int]:
    """Guess as unknown devices, each from its own network, and an hour apart if asked."""
    heard = []
    for number in range(times):
        ip = f"198.51.{number // 250}.{number % 250 + 1}"
        heard.append(sign_in(service.client(), ip=ip).status_code)
        if moving is not None:
            moving.forward(HOUR + 1)
    return heard


@pytest.mark.parametrize("email", [EMAIL, "nobody@example.com"])
def test_ten_guesses_and_then_one_waits(service: Service, moving_clock: Clock, email: str) -> None:
    """The rule is the same whether the email has an account or not."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    client = service.client()
    for _ in range(10):
        assert sign_in(client, email=email).status_code == 401
    refused = sign_in(client, email=email)
    assert refused.status_code == 429
    assert refused.json is not None
    assert refused.json["code"] == "too_many_attempts"
    assert refused.headers["Retry-After"] == "1"
    assert refused.headers["RateLimit"] == '"account";r=0;t=1'
    moving_clock.forward(1)
    assert sign_in(client, email=email).status_code == 401
    assert sign_in(client, email=email).headers["Retry-After"] == "2"


def test_the_wait_doubles_up_to_an_hour(service: Service, moving_clock: Clock) -> None:
    """2**(n-10) seconds after the n-th failure, never more than an hour."""
    attempt = Attempt("sign_in", EMAIL)
    waits = []
    for _ in range(26):
        service.auth.rate_limits.reserve(CODE, attempt)
        count = next(row for row in service.auth.rate_limits.find(EMAIL) if row.kind == "unknown")
        waits.append(max(0, round(count.blocked_until - clock.now())))
        moving_clock.forward(waits[-1])
    assert waits == [0] * 9 + [1 << n for n in range(12)] + [HOUR] * 5


def test_the_right_password_is_refused_too_while_one_waits(
    service: Service, moving_clock: Clock
) -> None:
    """Otherwise the wait would tell a guesser nothing had been guessed; the count clears after."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    guesses(service, 10)
    client = service.client()
    assert sign_in(client, PASSPHRASE).status_code == 429
    moving_clock.forward(1)
    assert sign_in(client, PASSPHRASE).status_code == 200
    assert guesses(service, 11) == [401] * 10 + [429]


@pytest.mark.usefixtures("moving_clock")
def test_guesses_at_once_are_admitted_as_ten_in_a_row(service: Service) -> None:
    """The failure is counted before the hash, in one statement."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    admitted = []

    def guess(_: int) -> None:
        for _ in range(5):
            try:
                service.auth.rate_limits.reserve(CODE, Attempt("sign_in", EMAIL))
            except TooManyAttempts:
                continue
            admitted.append(1)

    race(guess, 50)
    assert len(admitted) == 10


def test_below_the_limit_no_clock_refuses_anyone(service: Service, moving_clock: Clock) -> None:
    """Anyone who read the clock earlier, or has a slow one, is admitted as everybody else."""
    for _ in range(9):
        service.auth.rate_limits.reserve(CODE, Attempt("sign_in", EMAIL, "192.0.2.1"))
        moving_clock.forward(-1)
    assert [row.failures for row in service.auth.rate_limits.find("192.0.2.1")] == [9]


def test_people_of_one_network_sign_in_at_once(service: Service) -> None:
    """Each with the right password; no one waits for anyone else."""
    people = [f"person{number}@example.com" for number in range(12)]
    for email in people:
        service.auth.register_user(email, PASSPHRASE)

    def enter(number: int) -> int:
        return sign_in(service.client(), PASSPHRASE, people[number]).status_code

    assert race(enter, 12) == [200] * 12


def test_a_count_without_failure_for_a_day_begins_again(
    service: Service, moving_clock: Clock
) -> None:
    """A few mistakes a day are no one's attack."""
    assert guesses(service, 9) == [401] * 9
    moving_clock.forward(DAY + 1)
    assert guesses(service, 11) == [401] * 10 + [429]


def test_attackers_stop_at_ninety_and_the_owner_does_not(
    service: Service, moving_clock: Clock
) -> None:
    """However slowly they guess; the owner's device still gets in, and the lock stays."""
    owner = service.signed_in()
    owner.delete("/sessions")
    hearing = Hearing(service.auth)
    assert (
        guesses(service, UNKNOWN_DEVICES + 5, moving_clock) == [401] * UNKNOWN_DEVICES + [429] * 5
    )
    stranger = service.client()
    locked = sign_in(stranger, PASSPHRASE, ip="203.0.113.9")
    assert locked.json is not None
    assert (locked.status_code, locked.json["code"]) == (429, "password_locked")
    assert sign_in(owner, PASSPHRASE, ip="203.0.113.8").status_code == 200
    assert sign_in(stranger, PASSPHRASE, ip="203.0.113.7").status_code == 429
    assert service.auth.rate_limits.unlock(CODE, EMAIL) == EMAIL
    assert hearing.names.count("account.unlocked") == 1
    assert sign_in(stranger, PASSPHRASE, ip="203.0.113.6").status_code == 200


def test_a_hundred_in_all_and_the_password_works_nowhere(
    service: Service, moving_clock: Clock
) -> None:
    """NIST allows a hundred consecutive failures; then only an administrator helps."""
    owner = service.signed_in()
    owner.delete("/sessions")
    guesses(service, UNKNOWN_DEVICES, moving_clock)
    for number in range(ALL - UNKNOWN_DEVICES):
        assert sign_in(owner, ip=f"203.0.113.{number}").status_code == 401
        moving_clock.forward(HOUR + 1)
    assert sign_in(owner, PASSPHRASE, ip="203.0.114.1").status_code == 429
    service.auth.rate_limits.unlock(CODE, EMAIL)
    assert sign_in(owner, PASSPHRASE, ip="203.0.114.2").status_code == 200


def test_a_network_waits_after_a_hundred_failures(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """One password tried on many accounts is stopped by where it comes from."""
    service = make_service(rate_limit_account=10, rate_limit_network=5)
    service.auth.register_user(EMAIL, PASSPHRASE)
    for number in range(5):
        assert sign_in(service.client(), email=f"amy{number}@example.com").status_code == 401
    refused = sign_in(service.client(), email="amy9@example.com")
    assert refused.headers["RateLimit"] == '"network";r=0;t=1'
    assert sign_in(service.client(), email="amy9@example.com", ip="192.0.2.2").status_code == 401
    stranger = service.client()
    assert sign_in(stranger, PASSPHRASE).status_code == 429
    account = {"email": "new@example.org", "password": PASSPHRASE}
    assert stranger.post("/users", json=account).status_code == 201
    moving_clock.forward(1)
    assert sign_in(service.client(), PASSPHRASE).status_code == 200
    count = service.auth.rate_limits.find("192.0.2.1")[0]
    assert count.failures == 5, "a success gave back its own reservation and nothing more"


@pytest.mark.usefixtures("moving_clock")
def test_a_known_device_does_not_wait_for_its_neighbours(make_service: MakeService) -> None:
    """Nine colleagues mistype behind one ip, and the owner's browser gets in."""
    service = make_service(rate_limit_network=5)
    owner = service.signed_in()
    owner.delete("/sessions")
    for number in range(9):
        sign_in(service.client(), email=f"amy{number}@example.com", ip="192.0.2.1")
    assert sign_in(service.client(), PASSPHRASE, ip="192.0.2.1").status_code == 429
    assert sign_in(owner, PASSPHRASE, ip="192.0.2.1").status_code == 200


def test_time_lowers_the_count_of_a_network(make_service: MakeService, moving_clock: Clock) -> None:
    """By its limit a day, whether or not failures come meanwhile."""
    limits = make_service(rate_limit_network=10).auth.rate_limits
    for number in range(10):
        limits.reserve(CODE, Attempt("sign_in", f"amy{number}@example.com", "192.0.2.1"))
    with pytest.raises(TooManyAttempts):
        limits.check(CODE, Attempt("sign_in", EMAIL, "192.0.2.1"))
    for number in range(40):
        moving_clock.forward(DAY / 10)
        limits.reserve(CODE, Attempt("sign_in", f"bob{number}@example.com", "192.0.2.1"))
    moving_clock.forward(DAY / 2)
    limits.reserve(CODE, Attempt("sign_in", EMAIL, "192.0.2.1"))
    assert [row.failures for row in limits.find("192.0.2.1")] == [6]


def test_wider_networks_have_larger_limits(make_service: MakeService) -> None:
    """Each /64 of a /48 has its own failures, and together they have sixteen times as many."""
    limits = make_service(rate_limit_network=2).auth.rate_limits

    def admitted(subnet: str) -> int:
        for number in range(1, 100):
            ip = f"2001:db8:1:{subnet.format(number)}::7"
            try:
                limits.reserve(
                    CODE, Attempt("sign_in", f"amy{ip.replace(':', '-')}@example.com", ip)
                )
            except TooManyAttempts:
                return number - 1
        return 100

    assert admitted("{:x}") == 2 * 4, "a /56 of the /48"
    assert admitted("{:x}00") == 2 * (16 - 4), "the rest of the /48"
    limits.reserve(CODE, Attempt("sign_in", EMAIL, "2001:db8:2::7"))


@pytest.mark.usefixtures("moving_clock")
def test_requests_without_an_ip_are_one_network(make_service: MakeService) -> None:
    """As over a unix socket without a trusted proxy; code of this process is no network."""
    service = make_service(rate_limit_network=5)
    without = {"REMOTE_ADDR": ""}
    heard = [
        service.client()
        .post(
            "/sessions",
            json={"email": f"amy{number}@example.com", "password": "wrong"},
            environ_overrides=without,
        )
        .status_code
        for number in range(7)
    ]
    assert heard == [401] * 5 + [429] * 2
    assert not any(service.auth.valid_login(f"bob{n}@example.com", "wrong") for n in range(7))
    service.auth.register_user(EMAIL, PASSPHRASE)
    assert service.auth.valid_login(EMAIL, PASSPHRASE)


def test_a_clock_that_is_set_back_makes_no_one_wait(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """No wait is believed that is longer than the longest, of an account or of a network."""
    service = make_service(rate_limit_account=3, rate_limit_network=5)
    service.auth.register_user(EMAIL, PASSPHRASE)
    for _ in range(3):
        assert sign_in(service.client(), ip="192.0.2.1").status_code == 401
    for number in range(2):
        sign_in(service.client(), email=f"amy{number}@example.com", ip="192.0.2.1")
    assert sign_in(service.client(), PASSPHRASE, ip="192.0.2.1").status_code == 429
    moving_clock.forward(-DAY)
    assert sign_in(service.client(), PASSPHRASE, ip="192.0.2.1").status_code == 200


@pytest.mark.thorough
@pytest.mark.parametrize(("people", "mistakes"), [(60, 20), (300, 50)])
def test_an_office_behind_one_ip_signs_in_for_a_month(
    make_service: MakeService, moving_clock: Clock, people: int, mistakes: int
) -> None:
    """At most one right sign-in in a thousand is refused, though no browser is ever known.

    One sign-in every ten minutes, one in `mistakes` preceded by a mistyped one (report R4); the
    larger office signs in four times as often.
    """
    limits = make_service(rate_limit_account=10, rate_limit_network=100).auth.rate_limits
    refused = total = 0
    gap = 600 * 60 / people if people > 60 else 600
    for number in range(int(30 * DAY / gap / (5 if people > 60 else 1))):
        moving_clock.forward(gap)
        attempt = Attempt("sign_in", f"person{number % people}@example.com", "192.0.2.1")
        try:
            if number % mistakes == 0:
                limits.check(CODE, attempt)
                limits.reserve(CODE, attempt)
            total += 1
            limits.check(CODE, attempt)
            limits.reserve(CODE, attempt)
            limits.settle(attempt)
        except TooManyAttempts:
            refused += 1
    assert refused <= total / 1000, f"{refused} of {total}"


@pytest.mark.usefixtures("moving_clock")
def test_a_refused_attempt_counts_nothing(service: Service) -> None:
    """No one waits longer for having tried while waiting."""
    guesses(service, 10)
    before = [row.failures for row in service.auth.rate_limits.find(EMAIL)]
    assert guesses(service, 20) == [429] * 20
    assert [row.failures for row in service.auth.rate_limits.find(EMAIL)] == before


@pytest.mark.usefixtures("moving_clock")
def test_guessing_the_old_password_is_limited_too(service: Service) -> None:
    """A stolen session is no place to try passwords from."""
    thief = service.signed_in()
    change = {"old_password": "wrong", "new_password": "another passphrase, quite long"}
    heard = [thief.put("/password", json=change).status_code for _ in range(12)]
    assert heard == [403] * 10 + [429] * 2


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("2001:db8:1:2::7", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1%eth0", "2001:db8:1:2::/64"),
        ("", "unknown"),
        ("unix:", "unknown"),
    ],
)
def test_an_ip_counts_for_its_network(ip: str, network: str) -> None:
    """A subscriber of IPv6 has a /64 to choose from."""
    assert network_of(ip) == network


def test_sweeping_forgets_what_is_forgotten_and_keeps_locks(
    service: Service, moving_clock: Clock
) -> None:
    """Counts of a day ago go; failures in a row stay, but for a few of months ago."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    guesses(service, 12, moving_clock)
    sign_in(service.client(), email="nobody@example.com", ip="203.0.113.1")
    moving_clock.forward(DAY + 1)
    assert service.auth.rate_limits.sweep(clock.now(), 1) == 1
    service.auth.rate_limits.sweep(clock.now(), 1000)
    assert {row.kind for row in service.auth.rate_limits.busy()} == {"consecutive"}
    moving_clock.forward(100 * DAY)
    service.auth.rate_limits.sweep(clock.now(), 1000)
    assert [row.failures for row in service.auth.rate_limits.busy()] == [12]


def test_failures_of_an_email_without_an_account_are_forgotten_at_last(
    service: Service, moving_clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of an account stay for ever, or its password could be guessed a hundred times again."""
    limits, strangers = service.auth.rate_limits, [f"nobody{n}@example.com" for n in range(5)]
    monkeypatch.setattr("bienvenue.features.rate_limits.operations._PART", 2)
    service.auth.register_user(EMAIL, PASSPHRASE)
    for email in [EMAIL, *strangers]:
        for _ in range(10):
            limits.reserve(CODE, Attempt("sign_in", email))
    moving_clock.forward(90 * DAY - 2)
    while service.auth.sweep(clock.now()):
        pass
    assert {len(limits.find(email)) for email in [EMAIL, *strangers]} == {1}
    # Once a day, because every email is looked at.
    moving_clock.forward(DAY - 1)
    assert limits.sweep(clock.now(), 1000) == 0
    moving_clock.forward(1)
    assert limits.sweep(clock.now(), 1000) == 5
    assert {len(limits.find(email)) for email in strangers} == {0}
    assert [count.failures for count in limits.find(EMAIL)] == [10]


@pytest.mark.table(shown=3)
@pytest.mark.parametrize(
    "name", ["999.1.1.1", "bob", "192.0.2.1/33", "192.0.2.1/24", "", "1.2.3", "/", "2001:db8:::1"]
)
def test_what_is_no_email_and_no_ip_is_refused(service: Service, name: str) -> None:
    """It was taken for the network of connections without an ip, whose counts were cleared."""
    limits = service.auth.rate_limits
    limits.reserve(CODE, Attempt("sign_in", EMAIL, ""))
    for asked in (limits.find, limits.clear):
        with pytest.raises(NoEmailOrIP):
            asked(name)
    assert [count.failures for count in limits.find("unknown")] == [1]
    for command in ("show", "clear"):
        result = CliRunner().invoke(main, ["rate-limits", command, name], obj=service)
        assert result.exit_code == 1
        assert "Error: Name an email, an IP address or a network" in result.output


def test_every_count_is_found_by_what_the_list_calls_it(service: Service) -> None:
    """An ip, the network it counts for, the wider ones, and none."""
    limits = service.auth.rate_limits
    for ip in ("192.0.2.7", "2001:db8:1:2::7", ""):
        limits.reserve(CODE, Attempt("sign_in", EMAIL, ip))
    networks = {row.kind for row in limits.busy()} - {"consecutive", "unknown"}
    assert {"192.0.2.7/32", "2001:db8:1:2::/64", "2001:db8:1::/48"} <= networks
    for network in networks:
        assert [row.kind for row in limits.find(network)] == [network]
    assert len(limits.find("2001:db8:1:2::ffff")) == 3
    assert limits.clear("unknown") == 1
    assert limits.clear("192.0.2.0/32") == 0
    assert limits.clear("192.0.2.7/32") == 1


def test_the_table_names_no_email(service: Service) -> None:
    """What unknown devices type is not collected."""
    guesses(service, 3)
    for row in service.auth.rate_limits.busy():
        assert EMAIL.encode() not in row.key
        assert "@" not in row.kind


def test_a_store_that_fails_lets_no_one_in(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without counting there is no guessing: the right password waits too."""
    service.auth.register_user(EMAIL, PASSPHRASE)

    def fails(_limits: RateLimits, _caller: Caller, _attempt: Attempt) -> None:
        raise DatabaseUnavailable("the store is away")

    monkeypatch.setattr(RateLimits, "reserved", fails)
    refused = sign_in(service.client(), PASSPHRASE)
    assert refused.status_code == 503
    assert refused.headers["Retry-After"] == "5"
    assert not service.auth.sessions.list(service.auth.accounts.find(EMAIL).id)


@pytest.mark.usefixtures("moving_clock")
def test_someone_else_took_the_last_place(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was free when it was read and is taken when it is reserved is refused all the same."""
    limits = service.auth.rate_limits
    attempt = Attempt("sign_in", EMAIL)
    for _ in range(10):
        limits.reserve(CODE, attempt)
    monkeypatch.setattr(limits, "check", lambda _caller, _attempt: None)
    with pytest.raises(TooManyAttempts):
        limits.reserve(CODE, attempt)
    assert [row.failures for row in limits.find(EMAIL)] == [10, 10]


def test_a_lock_says_so_before_anything_is_counted(service: Service, moving_clock: Clock) -> None:
    """Reading is enough to refuse; a flood on a locked account writes nothing."""
    for _ in range(UNKNOWN_DEVICES):
        service.auth.rate_limits.reserve(CODE, Attempt("sign_in", EMAIL))
        moving_clock.forward(HOUR + 1)
    with pytest.raises(PasswordLocked):
        service.auth.rate_limits.check(CODE, Attempt("sign_in", EMAIL))
    service.auth.rate_limits.check(CODE, Attempt("sign_in", EMAIL, known=True))


@pytest.mark.usefixtures("moving_clock")
def test_the_commands_show_and_clear_counts(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an operator asks at three in the morning."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    keys = service.auth.settings.core.secret_key_file
    monkeypatch.setenv("BIENVENUE_DATABASE_URL", service.url)
    monkeypatch.setenv("BIENVENUE_SECRET_KEY_FILE", str(keys))

    def say(*arguments: str) -> str:
        done = CliRunner().invoke(main, arguments)
        assert done.exit_code == 0, done.output
        return done.output

    assert say("rate-limits", "show") == "no failures are counted\n"
    guesses(service, 10)
    shown = say("rate-limits", "show", EMAIL)
    assert [line.split()[0] for line in shown.splitlines()] == ["10", "10"]
    assert "waits until" in shown
    assert len(say("rate-limits", "show").splitlines()) == 12
    assert say("rate-limits", "show", "198.51.0.1").split()[-1] == "198.51.0.1/32"
    assert say("rate-limits", "clear", "198.51.0.1") == "cleared 1 counts\n"
    assert say("users", "unlock", EMAIL) == f"unlocked {EMAIL}\n"
    assert guesses(service, 1) == [401]
