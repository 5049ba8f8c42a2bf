"""Where someone may ask to go on, when the operator named origins besides our own pages."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from bienvenue.settings import Settings, SettingsProblem
from bienvenue.web import redirects
from tests.attacks.g_return import APP, ELSEWHERE, NEARLY, SCRIPTS
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.web.browser import Browser, Shown

OTHER = "http://localhost:8080"
#: What a content policy would read as a pattern, or as the end of one of its rules.
PATTERNS = (
    "https://*.example.org",
    "https://a;script-src",
    "https://a b",
    'https://a"b',
    "https://a'b",
)
NAMED = f"{APP}/, {OTHER}"


@pytest.fixture
def service(make_service: MakeService) -> Service:
    """A service whose people may go on to two applications."""
    made = make_service(return_origins=NAMED)
    made.auth.register_user(EMAIL, PASSPHRASE)
    return made


def led(service: Service, wanted: str) -> str:
    """Sign in by a form that says where to go on; give where that leads."""
    form = Shown("/sessions", {"email": EMAIL, "password": PASSPHRASE})
    answer = Browser(service).send(form, next=wanted)
    assert answer.status_code == 303, wanted
    return str(answer.location)


@pytest.mark.table(shown=2)
@pytest.mark.parametrize(
    "wanted", [APP, APP + "/", APP + "/a/b?c=d&e=%20f", APP + "?x=1", OTHER + "/~a;b"]
)
def test_someone_goes_on_to_an_application_that_is_named(service: Service, wanted: str) -> None:
    """By the link that says so, from signing in and from typing the password once more."""
    browser = Browser(service)
    path = f"/sessions/new?next={quote(wanted)}"
    assert browser.submit(path, "/sessions", email=EMAIL, password=PASSPHRASE).location == wanted
    path = f"/reauthentication?next={quote(wanted)}"
    assert browser.submit(path, "/reauthentication", password=PASSPHRASE).location == wanted


@pytest.mark.table(shown=2)
@pytest.mark.parametrize("wanted", ["//evil.example", *NEARLY[:4], SCRIPTS[0]])
def test_nowhere_else(service: Service, wanted: str) -> None:
    """Whatever is no plain URL below an origin of the list leads to the profile."""
    assert led(service, wanted) == "/profile"


def test_no_spelling_leads_elsewhere() -> None:
    """What a browser might read as another site, a script or no URL at all."""
    for wanted in (*ELSEWHERE, *SCRIPTS, *NEARLY):
        assert redirects.to_origin(wanted, [APP, OTHER]) is None, wanted


def test_by_default_only_our_own_pages(make_service: MakeService) -> None:
    """No one is sent to an application that the operator did not name."""
    service = make_service()
    service.auth.register_user(EMAIL, PASSPHRASE)
    assert led(service, APP + "/") == "/profile"
    assert led(service, "/activity") == "/activity"


def test_the_pages_tell_the_browser_that_their_forms_may_lead_there(service: Service) -> None:
    """A browser follows a form's answer to the origins of its page's policy alone."""
    policy = Browser(service).get("/sessions/new").headers["Content-Security-Policy"]
    assert f"form-action 'self' {APP} {OTHER}; " in policy
    assert "default-src 'none'" in policy


@pytest.mark.parametrize(
    "value", ["app.example.org", f"{APP}/path", "ftp://x.example", "*", "a,b", *PATTERNS]
)
def test_an_origin_is_an_origin(value: str) -> None:
    """A path, a name without a scheme and a pattern are refused at start."""
    with pytest.raises(SettingsProblem, match="BIENVENUE_RETURN_ORIGINS"):
        Settings({}, return_origins=value)


def test_no_origin_is_a_beginning_of_another() -> None:
    """The list is compared whole: a longer name or another port is another origin."""
    assert redirects.to_origin(APP + ":8443/", [APP]) is None
    assert redirects.to_origin(APP + ":8443/", [APP, APP + ":8443"]) == APP + ":8443/"
    assert redirects.to_origin(None, [APP]) is None
