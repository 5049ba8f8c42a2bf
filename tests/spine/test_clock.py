"""A clock that is set back: no stored time is believed further ahead than its own rule allows."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from bienvenue import clock
from bienvenue.authentication import CODE, Authentication
from bienvenue.feature import Event, Refusal
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService
from tests.features import links
from tests.web.browser import HTML, Browser, Shown

pytestmark = pytest.mark.statements

DAY = 86400
IP = {"REMOTE_ADDR": "192.0.2.7"}

#: Tells whether what was prepared is believed now.
Believed = Callable[[], bool]


class Timed(NamedTuple):
    """One thing with a time: what prepares it, and tells afterwards whether it is believed."""

    name: str
    prepare: Callable[[MakeService], Believed]


def succeeds(action: Callable[[], object]) -> bool:
    """Tell whether an action is not refused."""
    try:
        return action() is not None
    except Refusal:
        return False


def a_session(make_service: MakeService) -> Believed:
    """A cookie that opens the profile."""
    client = make_service().signed_in()
    return lambda: client.get("/profile").status_code == 200


def the_list_of_sessions(make_service: MakeService) -> Believed:
    """A row of the list of devices."""
    service = make_service()
    service.signed_in()
    user = service.auth.accounts.find(EMAIL)
    return lambda: bool(service.auth.sessions.list(user.id))


def freshness(make_service: MakeService) -> Believed:
    """A session that began a week ago, and whose password was confirmed just now."""
    service = make_service()
    client = service.signed_in()
    cookie = client.get_cookie("session_id")
    assert cookie is not None
    me = service.auth.sessions.check(cookie.value)
    assert me is not None
    older = me._replace(created_at=clock.now() - 7 * DAY)
    # As the service asks, and as a view of an application asks for less or more.
    fresh = service.auth.sessions.is_fresh
    return lambda: fresh(older) or fresh(older, 60.0) or fresh(older, DAY)


def a_known_device(make_service: MakeService) -> Believed:
    """A browser that signed in before."""
    service = make_service()
    cookie = service.signed_in().get_cookie("device_id")
    assert cookie is not None
    return lambda: service.auth.known_devices.knows(EMAIL, cookie.value)


def a_sign_in_in_progress(make_service: MakeService) -> Believed:
    """A first factor that was right."""
    auth = make_service().auth
    user = auth.register_user(EMAIL, PASSPHRASE)
    secret = auth.authentications.store(CODE, Authentication(user, ("pwd",)))
    return lambda: succeeds(lambda: auth.authentications.find(secret))


def a_draft(make_service: MakeService) -> Believed:
    """What was typed into a form that came too late."""
    service = make_service()
    service.auth.register_user(EMAIL, PASSPHRASE)
    browser = Browser(service)
    browser.sign_in(EMAIL, PASSPHRASE)
    form = browser.form("/email", "/email", _method="PUT")
    _, _, owner = form.fields["form_token"].partition(".")
    fields = form.fields | {"form_token": f"x.{owner}", "new_email": "robert@example.com"}
    browser.client.post(form.action, data=fields, headers=HTML | {"Sec-Fetch-Site": "same-origin"})
    kept = browser.client.get_cookie("draft")
    assert kept is not None

    def shown() -> bool:
        # Signed in as of now, so that only the time of the draft is in question.
        browser.client.post("/sessions", json={"email": EMAIL, "password": PASSPHRASE})
        browser.client.set_cookie("draft", kept.value)
        typed: Shown = browser.form("/email", "/email", _method="PUT")
        return typed.fields["new_email"] == "robert@example.com"

    return shown


def an_outcome(make_service: MakeService) -> Believed:
    """What came of a form."""
    browser = Browser(make_service())
    form = browser.form("/users/new", "/users")
    typed = form.fields | {"email": EMAIL, "password": PASSPHRASE}
    path = browser.client.post(form.action, data=typed, headers=HTML).location
    return lambda: browser.get(path).status_code == 200


def a_wait(make_service: MakeService) -> Believed:
    """A wait for strangers after too many wrong passwords."""
    service = make_service(rate_limit_account=1)
    service.auth.register_user(EMAIL, PASSPHRASE)
    wrong = {"email": EMAIL, "password": "not the passphrase of Bob"}
    service.client().post("/sessions", json=wrong, environ_base=IP)
    right = {"email": EMAIL, "password": PASSPHRASE}

    def waits() -> bool:
        answer = service.client().post("/sessions", json=right, environ_base=IP)
        return answer.status_code == 429

    return waits


def a_pause_between_emails(make_service: MakeService) -> Believed:
    """Two minutes after an email in which no other is sent."""
    service = make_service()
    service.auth.register_user(EMAIL, PASSPHRASE)

    def asked() -> int:
        service.client().post("/reset_password", json={"email": EMAIL}, environ_base=IP)
        return len([one for one in service.auth.mail.list() if one.kind == "password_reset"])

    before = asked()
    return lambda: asked() == before


def a_row_that_counts(make_service: MakeService) -> Believed:
    """The row of the audit log that counts the refusals of this minute, and is not sealed yet."""
    auth = make_service().auth
    auth.publish(Event(CODE, "rate_limit.reached", None, {"policy": "account"}, counted="key"))

    def waits() -> bool:
        auth.audit.seal()
        return auth.audit.backlog(clock.now() + 2 * DAY) == 1

    return waits


def a_link(kind: links.Kind) -> Callable[[MakeService], Believed]:
    """A link of an email."""

    def prepare(make_service: MakeService) -> Believed:
        case = kind.sent(make_service)
        registry = case.service.auth.registry
        links = [one for each in registry.features for one in each.links]
        mine = [one for one in links if one.digest == kind.purpose]
        tokens = case.service.auth.one_time_tokens
        return lambda: any(tokens.peek(one, case.token) is not None for one in mine)

    return prepare


THINGS = [
    Timed("a session", a_session),
    Timed("the list of sessions", the_list_of_sessions),
    Timed("freshness", freshness),
    Timed("a known device", a_known_device),
    Timed("a sign-in in progress", a_sign_in_in_progress),
    Timed("a draft", a_draft),
    Timed("an outcome", an_outcome),
    Timed("a wait", a_wait),
    Timed("a pause between emails", a_pause_between_emails),
    Timed("a row that counts", a_row_that_counts),
    *(Timed(f"the link of {kind.name}", a_link(kind)) for kind in links.KINDS),
]


@pytest.mark.parametrize("thing", THINGS, ids=lambda thing: thing.name)
def test_nothing_is_believed_that_lies_a_day_ahead(
    make_service: MakeService, moving_clock: Clock, thing: Timed
) -> None:
    """Two machines may differ by a second or so; a clock that was set back a day is another."""
    believed = thing.prepare(make_service)
    moving_clock.forward(-1)
    assert believed()
    moving_clock.forward(1 - DAY)
    assert not believed()


def test_an_old_session_that_was_used_later_than_now_stays(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """It began before; from now on it is idle since its use under the corrected clock."""
    auth = make_service(session_idle="2d").auth
    auth.register_user(EMAIL, PASSPHRASE)
    secret = auth.sessions.sign_in(CODE, EMAIL, PASSPHRASE).secret
    moving_clock.forward(1.9 * DAY)
    assert auth.sessions.check(secret)
    moving_clock.forward(-DAY)
    assert auth.sessions.check(secret)
    (row,) = auth.sessions.list(auth.accounts.find(EMAIL).id)
    assert row.last_seen_at == moving_clock.time
    moving_clock.forward(2 * DAY)
    assert auth.sessions.check(secret) is None


def test_when_the_clock_is_right_again_so_is_what_it_wrote(
    make_service: MakeService, moving_clock: Clock
) -> None:
    """A clock that was set back by mistake ends nothing, and the clean-up deletes nothing."""
    kind = next(kind for kind in links.KINDS if kind.name == "reset")
    case = kind.sent(make_service)
    client = case.service.signed_in()
    moving_clock.forward(-DAY)
    assert client.get("/profile").status_code == 401
    while case.service.auth.sweep(clock.now()):
        pass
    moving_clock.forward(DAY)
    assert client.get("/profile").status_code == 200
    assert case.look(case.token).status_code == 200
