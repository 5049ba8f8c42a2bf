"""Links in mailboxes lead on: every link that the first version emailed opens its page today."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from bienvenue.app import all_pages
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.features.links import KINDS, Case, Kind
from tests.features.registrations import SMTP
from tests.web.browser import HTML

#: The path of each link in the emails of the first version (commit e7a344a).
FIRST = {
    "reset": "/reset_password",
    "verification": "/email/proof",
    "invitation": "/users/new",
    "email_change": "/email/new",
    "email_restore": "/email/undo",
    "notification_email": "/second_email/proof",
    "reopening": "/leaving/undo",
}
#: Pages without a token to which those emails led, and where each is today.
PLAIN = {
    "/second_email": "/notification_email",
    "/password": "/password",
    "/reset_password": "/reset_password",
}

Open = Callable[[Service], FlaskClient]

each = pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])


@pytest.fixture(params=["", "/account"], ids=["alone", "mounted"])
def prefix(request: pytest.FixtureRequest) -> str:
    """The path under which the application has our pages."""
    return str(request.param)


@pytest.fixture
def opened(prefix: str, mount: Callable[..., FlaskClient]) -> Open:
    """Give a browser on the service itself, or on a host application with the same database."""
    return lambda service: mount(**SMTP) if prefix else service.client()


def test_the_table_is_whole(service: Service) -> None:
    """Each kind of link is in it, and no page declares a former path beside it."""
    assert FIRST.keys() == {kind.name for kind in KINDS}
    declared = {path for page in all_pages(service.auth) for path in page.formerly}
    moved = {FIRST[kind.name] for kind in KINDS if FIRST[kind.name] != kind.link}
    assert declared == moved | {old for old, new in PLAIN.items() if old != new}


@pytest.mark.table(shown=2)
@each
def test_an_old_link_opens_its_page(
    make_service: MakeService, opened: Open, prefix: str, kind: Kind
) -> None:
    """Its token goes into the cookie of today and out of the URL; nothing is spent by that."""
    case: Case = kind.sent(make_service)
    client = opened(case.service)
    if kind.signed_in:
        client.post(f"{prefix}/sessions", json={"email": EMAIL, "password": PASSPHRASE})
    old = f"{prefix}{FIRST[kind.name]}?token={case.token}"
    for headers in (HTML, {}):
        answer = client.get(old, headers=headers)
        assert (answer.status_code, answer.location) == (303, f"{prefix}{kind.page}")
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert client.head(old, headers=headers).location == f"{prefix}{kind.page}"
    cookie = client.get_cookie(f"{kind.name}_token")
    assert cookie is not None
    assert cookie.value == case.token
    assert client.get(f"{prefix}{kind.page}", headers=HTML).status_code == 200
    assert case.spend(case.token).status_code in {200, 201}


@pytest.mark.table(shown=2)
@each
def test_an_old_link_that_was_cut_short(
    make_service: MakeService, opened: Open, prefix: str, kind: Kind
) -> None:
    """It opens the page without a token, and forgets that of an older link."""
    case = kind.sent(make_service)
    client = opened(case.service)
    old = f"{prefix}{FIRST[kind.name]}?token="
    client.get(f"{old}{case.token}")
    assert client.get(f"{old}{case.token[:-1]}").location == f"{prefix}{kind.page}"
    assert client.get_cookie(f"{kind.name}_token") is None


def test_a_former_path_is_nothing_but_a_redirect(
    make_service: MakeService, opened: Open, prefix: str
) -> None:
    """To anyone who opens it, by our name; it takes no form."""
    client = opened(make_service())
    for old, new in PLAIN.items() | {(FIRST[kind.name], kind.link) for kind in KINDS}:
        if old == new:
            continue
        for headers in (HTML, {}):
            answer = client.get(f"{prefix}{old}?utm_source=x", headers=headers)
            assert (answer.status_code, answer.location) == (303, f"{prefix}{new}")
        answer = client.post(f"{prefix}{old}", json={})
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")
        assert client.options(f"{prefix}{old}").headers["Allow"] == "GET, HEAD, OPTIONS"
        elsewhere = client.get(f"{prefix}{old}", headers={"Host": "elsewhere.example"})
        assert elsewhere.get_json()["code"] == "unknown_host"
