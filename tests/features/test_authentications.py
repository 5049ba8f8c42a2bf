"""Signing in is a value: what was verified, what is still required, and one way into a session."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from bienvenue import Bienvenue, clock
from bienvenue.authentication import CODE, Authentication, Caller, Channel, Factor
from bienvenue.feature import Reason
from bienvenue.features.accounts import AccountDisabled
from bienvenue.features.authentications import NoSignInInProgress
from bienvenue.features.sessions.errors import MFARequired
from bienvenue.hashing import Hasher
from bienvenue.settings import Settings
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.features import toys
from tests.features.audits import names, only
from tests.features.hearing import rows
from tests.races import race
from tests.web.browser import HTML
from tests.web.edge import ask, edge_of

CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}
TOYS = (toys.Codes, toys.Badges, toys.Bearers, toys.Pager)


WithToys = Callable[..., Service]


@pytest.fixture
def with_toys(make_service: MakeService) -> Iterator[WithToys]:
    """Make the service of an application that has some of the toys; close it afterwards."""
    made: list[Service] = []

    def make(*kinds: type[Any], bcrypt_cost: int = 4) -> Service:
        database, app = make_service(), Flask("theirs")
        keys = database.auth.settings.key_file
        Bienvenue(
            app,
            url_prefix="",
            features=kinds,
            database_url=database.url,
            secret_key_file=keys,
            bcrypt_cost=bcrypt_cost,
        )
        auth = app.extensions["bienvenue"].auth
        auth.register_user(EMAIL, PASSPHRASE)
        made.append(Service(app, auth, database.url))
        return made[-1]

    toys.Pager.shown.clear()
    yield make
    for service in made:
        service.auth.close()


@pytest.fixture
def service(with_toys: WithToys) -> Service:
    """A service inside an application that has the four toys."""
    return with_toys(*TOYS)


def begun(service: Service, **headers: str) -> FlaskClient:
    """A browser that showed the right password, and nothing else."""
    client = service.client()
    answer = client.post("/sessions", json=CREDENTIALS, headers=headers)
    assert (answer.status_code, answer.get_json()["code"]) == (401, "mfa_required")
    return client


def kept(service: Service) -> int:
    """Count the sign-ins in progress."""
    user = service.auth.accounts.find(EMAIL)
    return len(service.auth.export(user.id)["sign_ins_in_progress"])


def test_a_factor_is_a_feature(service: Service) -> None:
    """The password keeps the sign-in, the code completes it; both stand in the session."""
    client = begun(service)
    assert (rows(service.auth), kept(service)) == (0, 1)
    assert client.get("/profile").status_code == 401
    assert client.get_cookie("session_id") is None
    assert client.post("/code", json={"code": "654321"}).get_json()["code"] == "wrong_code"
    opened = client.post("/code", json={"code": "123456"})
    assert (opened.status_code, opened.get_json()["email"]) == (200, EMAIL)
    assert client.get_cookie("authentication") is None
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    me = service.auth.sessions.check(cookie.value)
    assert me is not None
    assert me.amr == "pwd otp"
    assert (rows(service.auth), kept(service)) == (1, 0)
    assert names(service.auth)[1:] == [
        "mfa.required",
        "session.opened",
        "device.first_seen",
    ]
    assert not service.auth.rate_limits.find(EMAIL)


def test_a_failure_counts_until_nothing_is_required_any_more(service: Service) -> None:
    """Who knows the password and no code is not told to try on without end."""
    begun(service)
    assert [count.failures for count in service.auth.rate_limits.find(EMAIL)] == [1, 1]


def test_a_browser_is_led_to_the_page_of_the_factor_and_on(service: Service) -> None:
    """And afterwards to where it wanted to go."""
    client = service.client()
    form = {**CREDENTIALS, "next": "/password"}
    same = {**HTML, "Sec-Fetch-Site": "same-origin"}
    answer = client.post("/sessions", data=form, headers=same)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/code")
    (cookie,) = [one for one in answer.headers.getlist("Set-Cookie") if "authentication=" in one]
    assert "HttpOnly" in cookie
    assert "Max-Age=600" in cookie
    answer = client.post("/code", data={"code": "123456"}, headers=same)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/password")


def test_it_is_over_after_ten_minutes(service: Service, moving_clock: Clock) -> None:
    """However often a code was tried meanwhile."""
    client = begun(service)
    moving_clock.forward(599)
    assert client.post("/code", json={"code": "1"}).status_code == 403
    moving_clock.forward(2)
    refused = client.post("/code", json={"code": "123456"})
    assert (refused.status_code, refused.get_json()["code"]) == (401, "no_sign_in_in_progress")
    assert service.auth.authentications.sweep(clock.now(), 10) == 1
    assert kept(service) == 0


@pytest.mark.parametrize("what", ["revoke", "disable", "password"])
def test_what_ends_sessions_ends_it(service: Service, what: str) -> None:
    """An account that changed is signed in to from the beginning."""
    client = begun(service)
    user = service.auth.accounts.find(EMAIL)
    if what == "revoke":
        service.auth.revoke(CODE, user.id, Reason.PASSWORD_CHANGED)
    elif what == "disable":
        service.auth.accounts.disable(CODE, EMAIL)
    else:
        other = service.auth.get_reset_password_token(EMAIL)
        service.auth.update_password(other, "neuf grenouilles sous la pluie")
    assert client.post("/code", json={"code": "123456"}).status_code == 401
    assert rows(service.auth) == 0


@pytest.mark.statements
def test_of_fifty_at_once_one_opens_a_session(service: Service) -> None:
    """One conditional statement spends it."""
    auth = service.auth
    user = auth.accounts.find(EMAIL)
    with pytest.raises(MFARequired) as raised:
        auth.sessions.open(CODE, Authentication(user, ("pwd",)))
    secret = raised.value.authentication
    assert secret is not None
    assert secret not in repr(raised.value)

    def complete(_number: int) -> bool:
        try:
            found = auth.authentications.find(secret).completed("otp")
            return auth.sessions.open(CODE, found) is not None
        except NoSignInInProgress:
            return False

    assert sum(race(complete, 50)) == 1
    assert rows(auth) == 1


def test_a_further_factor_gives_a_new_secret(with_toys: WithToys) -> None:
    """The first one is over then, and the ten minutes go on."""

    class More(toys.Codes):
        """Requires one after the other."""

        name = "more"

        def required_factors(self, authentication: Authentication) -> Any:
            """Require two more."""
            return [Factor(w, f"/{w}") for w in ("otp", "hwk") if w not in authentication.amr]

    service = with_toys(More)
    auth = service.auth
    with pytest.raises(MFARequired) as first:
        auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE)
    assert first.value.extensions == {"next": ["otp", "hwk"]}
    found = auth.authentications.find(first.value.authentication)
    with pytest.raises(MFARequired) as second:
        auth.sessions.open(CODE, found.completed("otp"))
    assert second.value.extensions == {"next": ["hwk"]}
    with pytest.raises(NoSignInInProgress):
        auth.sessions.open(CODE, found.completed("otp"))
    with pytest.raises(NoSignInInProgress):
        auth.authentications.find(first.value.authentication)
    found = auth.authentications.find(second.value.authentication)
    assert auth.sessions.open(CODE, found.completed("hwk")) is not None
    with pytest.raises(NoSignInInProgress):
        auth.sessions.open(CODE, found.completed("hwk"))
    assert auth.sessions.list(found.user.id)[0].amr == "pwd otp hwk"


def test_an_outdated_hash_is_replaced_though_a_factor_is_required(with_toys: WithToys) -> None:
    """The password was right; what the rest of the sign-in brings changes nothing of that."""
    service = with_toys(toys.Codes, bcrypt_cost=5)
    user = service.auth.accounts.find(EMAIL)
    old = Hasher(4).hash(PASSPHRASE).decode()
    service.auth._db.update_user(user.id, hashed_password=old)
    client = begun(service)
    assert service.auth.accounts.find(EMAIL).hashed_password.startswith("$2b$05$")
    assert client.post("/code", json={"code": "123456"}).status_code == 200


@pytest.mark.parametrize("secret", [None, "", "x", "x" * 43, "\u00e9" * 43])
def test_a_secret_of_nothing_finds_nothing(service: Service, secret: str | None) -> None:
    """It is looked up by its digest, if it is a token at all."""
    with pytest.raises(NoSignInInProgress):
        service.auth.authentications.find(secret)


def test_it_opens_no_other_page(service: Service) -> None:
    """Its secret is no session, and a session is no sign-in in progress."""
    client = begun(service)
    secret = client.get_cookie("authentication")
    assert secret is not None
    client.set_cookie("session_id", secret.value)
    for path in ("/profile", "/sessions", "/password", "/activity"):
        assert client.get(path).status_code == 401
    assert client.post("/reauthentication", json={"password": PASSPHRASE}).status_code == 401


def test_a_way_in_is_a_feature(with_toys: WithToys) -> None:
    """It verifies in its own manner, and the session is like every other."""
    service = with_toys(toys.Badges)
    user = service.auth.accounts.find(EMAIL)
    client = service.client()
    assert client.post("/badge", json={"badge": user.uid}).status_code == 200
    assert client.get("/profile").get_json()["email"] == EMAIL
    assert service.auth.sessions.list(user.id)[0].amr == "hwk"
    service.auth.accounts.disable(CODE, EMAIL)
    refused = service.client().post("/badge", json={"badge": user.uid})
    assert (refused.status_code, refused.get_json()["code"]) == (403, AccountDisabled.code)


def test_a_way_in_meets_the_factors_that_are_required(service: Service) -> None:
    """Whatever was verified first."""
    user = service.auth.accounts.find(EMAIL)
    client = service.client()
    refused = client.post("/badge", json={"badge": user.uid})
    assert refused.get_json()["code"] == "mfa_required"
    assert client.post("/code", json={"code": "123456"}).status_code == 200
    assert service.auth.sessions.list(user.id)[0].amr == "hwk otp"


def test_code_states_the_factors_that_it_saw(service: Service) -> None:
    """`create_session` saw none, and is told so."""
    with pytest.raises(MFARequired):
        service.auth.create_session(EMAIL)
    user = service.auth.accounts.find(EMAIL)
    opened = service.auth.sessions.open(CODE, Authentication(user, ("pwd", "otp")))
    assert opened is not None
    assert service.auth.get_user_from_session_id(opened.secret) is not None


@pytest.mark.parametrize("way", ["flask", "edge"])
def test_an_identifier_is_a_feature(with_toys: WithToys, way: str) -> None:
    """The edge and Flask ask the same ones, in the same order."""
    service = with_toys(toys.Bearers)
    opened = service.auth.create_session(EMAIL)
    assert opened is not None
    for secret, status in ((opened, 200), ("x" * 43, 401)):
        if way == "edge":
            header = (b"authorization", f"Session {secret}".encode())
            answered = ask(edge_of(service), "GET", "/profile", header).status
        else:
            headers = {"Authorization": f"Session {secret}"}
            answered = service.client().get("/profile", headers=headers).status_code
        assert answered == status


def test_a_channel_is_a_feature(service: Service) -> None:
    """It is told what owners are notified of, and who did it."""
    me = service.auth.sessions.open(
        CODE, Authentication(service.auth.accounts.find(EMAIL), ("pwd", "otp"))
    )
    assert me is not None
    signed_in = service.auth.sessions.check(me.secret)
    assert signed_in is not None
    caller = Caller(f"user {signed_in.user_id}", Channel.API, "192.0.2.7")
    service.auth.password_change.change(caller, signed_in, PASSPHRASE, "neuf grenouilles en hiver")
    assert toys.Pager.shown == [(signed_in.user_id, "password.changed", caller.actor)]
    entry = only(service.auth, "password.changed")
    assert (entry.facts["actor"], entry.facts["channel"]) == (caller.actor, "API")
    assert entry.personal["ip"] == "192.0.2.7"


@pytest.mark.parametrize("toy", TOYS)
def test_a_toy_is_small(toy: type[Any]) -> None:
    """At most 40 lines each, and no line of the product."""
    source = Path(inspect.getfile(toy)).read_text("utf-8")
    parts = source.split("\n# --- ")[1:]
    assert len(parts) == len(TOYS)
    (mine,) = [part for part in parts if f"class {toy.__name__}(" in part]
    assert len([line for line in mine.splitlines()[1:] if line.strip()]) <= 40


def test_settings_are_computed_once() -> None:
    """Every cookie of every request asks for them."""
    settings = Settings({})
    assert "https" not in vars(settings)
    assert settings.https is False
    assert vars(settings)["https"] is False
