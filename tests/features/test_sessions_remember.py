"""Whether a browser keeps its session when it closes."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.http import parse_cookie
from werkzeug.test import TestResponse

from bienvenue import Auth
from tests.conftest import EMAIL, PASSPHRASE, Clock, MakeService, Service
from tests.web.browser import HTML, forms

DAY = 86400
CREDENTIALS = {"email": EMAIL, "password": PASSPHRASE}
BROWSER = HTML | {"Sec-Fetch-Site": "same-origin"}

pytestmark = pytest.mark.usefixtures("bob")


def cookie_of(answer: TestResponse) -> dict[str, str]:
    """Give the attributes of the session's cookie."""
    (found,) = [c for c in answer.headers.getlist("Set-Cookie") if c.startswith("session_id")]
    return {key.lower(): value for key, value in parse_cookie(found).items()}


def lives(auth: Auth) -> tuple[bool, float]:
    """Tell whether the one session is kept, and for how many seconds it lives at most."""
    (row,) = auth.sessions.list(auth.accounts.find(EMAIL).id)
    return row.remembered, row.expires_at - row.created_at


@pytest.fixture
def client(service: Service) -> FlaskClient:
    """A browser or program."""
    return service.client()


@pytest.mark.parametrize("ticked", [True, False])
def test_the_page_asks_and_the_session_is_as_the_person_says(
    service: Service, client: FlaskClient, ticked: bool
) -> None:
    """It is ticked unless the person takes that away; a refused form has the person's choice."""
    page = client.get("/sessions/new", headers=HTML)
    assert 'name="remember" value="yes" aria-describedby="remember-hint" checked>' in page.text
    form = forms(page)[0]
    if not ticked:
        # What a browser does with an empty checkbox.
        del form.fields["remember"]
    wrong = form.fields | {"email": EMAIL, "password": "a wrong one"}
    again = client.post(form.action, data=wrong, headers=BROWSER).text
    assert ("checked>" in again) is ticked
    answer = client.post(form.action, data=form.fields | CREDENTIALS, headers=BROWSER)
    assert answer.status_code == 303
    assert cookie_of(answer).get("max-age") == (str(30 * DAY) if ticked else None)
    assert lives(service.auth) == (ticked, 30 * DAY if ticked else DAY)


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ({"json": {}}, True),
        ({"json": {"remember": True}}, True),
        ({"json": {"remember": False}}, False),
        ({"json": {"remember": None}}, True),
        ({"data": {}}, True),
        ({"data": {"remember": "yes"}}, True),
        ({"data": {"remember": "no"}}, False),
        ({"data": {"choice": "remember", "remember": "yes"}}, True),
        ({"data": {"choice": "remember"}}, False),
    ],
)
def test_a_program_says_it_too(
    service: Service, client: FlaskClient, sent: dict[str, dict[str, Any]], kept: bool
) -> None:
    """A program that says nothing keeps its session, as the exercise's does."""
    medium, values = next(iter(sent.items()))
    answer = client.post("/sessions", **{medium: CREDENTIALS | values})
    assert ("max-age" in cookie_of(answer)) is kept
    assert lives(service.auth)[0] is kept


@pytest.mark.parametrize(
    "values", [{"remember": "maybe"}, {"remember": 2}, {"choice": "else"}, {"remember": []}]
)
def test_another_value_is_refused(client: FlaskClient, values: dict[str, Any]) -> None:
    """By its field."""
    refused = client.post("/sessions", json=CREDENTIALS | values)
    assert (refused.status_code, refused.get_json()["code"]) == (400, "wrong_value")
    assert refused.get_json()["field"] == next(iter(values))


def test_a_session_that_is_not_kept_ends_after_a_day(
    client: FlaskClient, moving_clock: Clock
) -> None:
    """Although the browser, which reopened its windows, still has the cookie and used it."""
    client.post("/sessions", json=CREDENTIALS | {"remember": False})
    moving_clock.forward(DAY - 1)
    assert client.get("/profile").status_code == 200
    moving_clock.forward(1)
    assert client.get("/profile").status_code == 401


def test_the_shorter_of_two_settings_holds(make_service: MakeService) -> None:
    """A day is not longer than the life of every session."""
    service = make_service(session_lifetime=3600)
    service.client().post("/sessions", json=CREDENTIALS | {"remember": False})
    assert lives(service.auth) == (False, 3600)
    service = make_service(session_browser_lifetime=60)
    service.client().post("/sessions", json=CREDENTIALS | {"remember": False})
    assert sorted(
        row.expires_at - row.created_at
        for row in service.auth.sessions.list(service.auth.accounts.find(EMAIL).id)
    ) == [60, 3600]


def test_a_setting_takes_the_question_off_the_page(make_service: MakeService) -> None:
    """Then every session of a browser is kept; a program may still say no."""
    service = make_service(remember="always")
    client = service.client()
    page = client.get("/sessions/new", headers=HTML)
    assert "Keep me signed in" not in page.text
    form = forms(page)[0]
    answer = client.post(form.action, data=form.fields | CREDENTIALS, headers=BROWSER)
    assert cookie_of(answer)["max-age"] == str(30 * DAY)
    again = client.post("/sessions", json=CREDENTIALS | {"remember": False})
    assert "max-age" not in cookie_of(again)


def test_the_choice_stays_with_the_session(service: Service, client: FlaskClient) -> None:
    """With a new secret after the password, after signing the others out, and a new password."""
    client.post("/sessions", json=CREDENTIALS | {"remember": False})
    before = lives(service.auth)
    confirmed = client.post("/reauthentication", json={"password": PASSPHRASE})
    assert "max-age" not in cookie_of(confirmed)
    others = client.delete("/sessions?which=others", headers=HTML)
    assert "max-age" not in cookie_of(others)
    changed = client.put(
        "/password",
        json={"old_password": PASSPHRASE, "new_password": "another one that is long enough"},
    )
    assert "max-age" not in cookie_of(changed)
    assert lives(service.auth) == before == (False, DAY)


def test_a_second_factor_comes_later_and_changes_nothing(make_service: MakeService) -> None:
    """The sign-in in progress has the choice."""
    service = make_service(extra_features="tests.features.toys:Codes")
    client = service.client()
    due = client.post("/sessions", json=CREDENTIALS | {"remember": False})
    assert due.get_json()["code"] == "mfa_required"
    answer = client.post("/code", json={"code": "123456"})
    assert "max-age" not in cookie_of(answer)
    assert lives(service.auth) == (False, DAY)


def test_the_page_asks_in_french(client: FlaskClient) -> None:
    """In the words of its language."""
    shown = client.get("/sessions/new", headers=HTML | {"Accept-Language": "fr"}).text
    assert "Rester connecté" in shown
    assert "Décochez cette case sur un appareil partagé." in shown
