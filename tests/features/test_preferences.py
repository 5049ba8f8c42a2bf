"""preferences: who reads which language, and what is remembered of it."""

from __future__ import annotations

from typing import Any

import pytest
from flask.testing import FlaskClient

from bienvenue import i18n
from bienvenue.authentication import CODE
from bienvenue.settings import SettingsProblem
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.features.password_resets import ask, messages, text_of
from tests.web.browser import HTML, Browser
from tools.pictures import LAPTOP

FRENCH = HTML | {"Accept-Language": "fr-CA, fr;q=0.9, en;q=0.8"}
TITLE = {"en": "Language and appearance", "fr": "Langue et apparence"}


def shown(service: Service, accept: str) -> str:
    """Give the language of a page for a browser that names some."""
    answer = service.client().get("/preferences", headers=HTML | {"Accept-Language": accept})
    (found,) = [code for code, title in TITLE.items() if title in answer.text]
    assert f'<html lang="{found}">' in answer.text
    assert answer.headers["Content-Language"] == found
    assert "Accept-Language" in answer.headers["Vary"]
    return found


@pytest.mark.parametrize(
    ("accept", "spoken"),
    [
        ("fr", "fr"),
        ("fr-CA, fr;q=0.9, en;q=0.8", "fr"),
        ("en-GB, fr;q=0.5", "en"),
        ("tlh, fr;q=0.1", "fr"),
        ("tlh", "en"),
        ("*", "en"),
        ("", "en"),
        (";;q=,,%", "en"),
    ],
)
def test_a_browser_names_its_languages(service: Service, accept: str, spoken: str) -> None:
    """The first that is spoken here; none is the setting's."""
    assert shown(service, accept) == spoken


def test_the_setting_is_for_anyone_who_names_none(make_service: MakeService) -> None:
    """And only for them; a language no one speaks is refused at the start."""
    service = make_service(language="fr")
    assert (shown(service, ""), shown(service, "tlh"), shown(service, "en")) == ("fr", "fr", "en")
    with pytest.raises(SettingsProblem, match=r"BIENVENUE_LANGUAGE: .*en, fr"):
        make_service(language="tlh")


def test_a_choice_is_remembered_without_a_session(service: Service) -> None:
    """It comes before what the browser names; so does the appearance."""
    browser = Browser(service)
    on = browser.submit(
        "/preferences?next=%2Fsessions%2Fnew",
        "/preferences",
        _method="PUT",
        language="fr",
        theme="dark",
    )
    assert (on.status_code, on.location) == (303, "/sessions/new")
    page = browser.client.get("/preferences", headers=HTML | {"Accept-Language": "en"})
    assert TITLE["fr"] in page.text
    assert '<html lang="fr" data-theme="dark">' in page.text
    for name in ("bienvenue_language", "bienvenue_theme"):
        cookie = browser.client.get_cookie(name)
        assert cookie is not None
        assert cookie.http_only


@pytest.mark.parametrize("kept", ["tlh", "<b>", "fr" * 20, ""])
def test_a_cookie_that_was_changed_chooses_nothing(service: Service, kept: str) -> None:
    """What is no language here is as if it were not there."""
    client = service.client()
    client.set_cookie("bienvenue_language", kept)
    client.set_cookie("bienvenue_theme", kept)
    page = client.get("/preferences", headers=FRENCH)
    assert '<html lang="fr">' in page.text


def test_an_account_keeps_its_language_for_the_next_browser_and_for_emails(
    service: Service,
) -> None:
    """Chosen in one browser, it is there in another; emails are written in it."""
    client = service.signed_in()
    answer = client.put("/preferences", json={"language": "fr"})
    assert answer.get_json() == {"language": "fr", "theme": None}
    browser = Browser(service)
    browser.sign_in(EMAIL, PASSPHRASE)
    assert TITLE["fr"] in browser.get("/preferences").text
    user = service.auth.accounts.find(EMAIL)
    assert service.auth.export(user.id)["language"] == "fr"
    ask(service)
    (message,) = messages(service)
    assert service.auth.mail.read(message.uid)["Content-Language"] == "fr"
    client.put("/preferences", json={"language": "en"})
    assert service.auth.preferences.language_of(user.id) == "en"
    service.auth.accounts.delete(CODE, EMAIL)
    assert service.auth.preferences.language_of(user.id) is None


def test_an_attacker_keeps_nothing_in_the_database(service: Service) -> None:
    """No one is signed in: only the cookie knows."""
    client = service.client()
    assert client.put("/preferences", json={"language": "fr"}).status_code == 200
    bob = service.auth.register_user(EMAIL, PASSPHRASE)
    assert service.auth.preferences.language_of(bob.id) is None


def test_an_email_for_someone_who_chose_none_is_in_the_language_they_ask_in(
    service: Service,
) -> None:
    """In that of the request; written by a command, in the setting's."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    service.client().post("/reset_password", json={"email": EMAIL}, headers=FRENCH)
    (message,) = messages(service)
    assert service.auth.mail.read(message.uid)["Content-Language"] == "fr"
    assert text_of(service, message)
    assert i18n.current() is None


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        ({"language": "tlh"}, 422, "unknown_choice"),
        ({"language": "fr", "theme": "pink"}, 422, "unknown_choice"),
        ({"theme": "dark"}, 400, "missing_field"),
        ({"language": 7}, 400, "wrong_type"),
        ({"language": "fr", "colour": "dark"}, 400, "unknown_field"),
    ],
)
def test_what_no_one_speaks_is_refused(
    service: Service, sent: dict[str, object], status: int, code: str
) -> None:
    """With the field, in English for programs whatever they name."""
    answer = service.client().put(
        "/preferences", json=sent, headers={"Accept-Language": "fr", "Accept": "*/*"}
    )
    assert (answer.status_code, answer.get_json()["code"]) == (status, code)
    assert answer.get_json()["message"].startswith(
        ("This isn't", "This field", "This request has no")
    )


def test_a_refusal_on_a_page_is_in_the_language_of_the_page(service: Service) -> None:
    """With its values; in JSON it stays English."""
    sent = {"email": EMAIL, "password": "quatorze carac"}
    page = service.client().post("/users", data=sent, headers=FRENCH)
    assert "Utilisez au moins 15 caractères." in page.text
    json = service.client().post("/users", json=sent, headers={"Accept-Language": "fr"})
    assert json.get_json()["message"] == "Use at least 15 characters."


@pytest.mark.parametrize(
    ("agent", "name", "said"),
    [
        (LAPTOP, "Firefox on Linux", "Firefox sous Linux"),
        ("", "Unknown device", "Appareil inconnu"),
        ("curl/8.0", "curl", "curl"),
    ],
)
def test_a_device_is_named_in_the_language_of_its_reader(
    service: Service, agent: str, name: str, said: str
) -> None:
    """On pages and in the email about it; programs are given the name as it is."""
    service.signed_in()
    client = service.client()
    french = {"Accept-Language": "fr", "User-Agent": agent}
    client.post("/sessions", json={"email": EMAIL, "password": PASSPHRASE}, headers=french)
    (listed,) = [one for one in _devices(client, french) if one["current"]]
    assert listed["device"] == name
    for path in ("/sessions", "/profile", "/activity"):
        assert said in client.get(path, headers=HTML | french).text, path
    assert f"\n\n{said} · " in text_of(service, messages(service, "new_device")[-1])


def _devices(client: FlaskClient, headers: dict[str, str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = client.get("/sessions", headers=headers).get_json()["sessions"]
    return found
