"""password_reset in a browser: the link, the cookie it becomes, and the pages."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from flask.testing import FlaskClient

from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.features.password_resets import NEW, asked, dump, link, messages, put, text_of
from tests.web.browser import HTML, Browser

pytestmark = pytest.mark.usefixtures("bob")


def path_of(url: str) -> str:
    """Give what a browser asks the service of a link for."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def test_a_person_gets_back_in_in_a_browser(service: Service) -> None:
    """From the page of signing in to the letter, to the new password, and to signing in."""
    browser = Browser(service)
    assert 'href="/reset_password"' in browser.get("/sessions/new").text
    sent = browser.submit("/reset_password", "/reset_password", email=EMAIL)
    assert (sent.status_code, sent.mimetype) == (200, "text/html")
    assert "Check your email" in sent.text
    opened = browser.get(path_of(link(service)))
    assert (opened.status_code, opened.location) == (303, "/reset_password/new")
    shown = browser.get("/reset_password/new")
    assert (shown.status_code, EMAIL in shown.text) == (200, True)
    form = browser.form("/reset_password/new", "/reset_password", _method="PUT")
    assert form.fields.keys() == {"form_token", "_method", "email", "new_password"}
    assert form.fields["email"] == EMAIL
    assert 'autocomplete="username"' in shown.text
    assert 'autocomplete="new-password"' in shown.text
    short = browser.send(form, new_password="fourteen chars")
    assert (short.status_code, "fourteen chars" in short.text) == (422, False)
    assert "at least 15 characters" in short.text
    assert f'value="{EMAIL}"' in short.text
    done = browser.send(form, new_password=NEW)
    assert done.status_code == 200
    assert 'href="/sessions/new"' in done.text
    assert browser.client.get_cookie("reset_token") is None
    assert browser.client.get_cookie("session_id") is None
    assert browser.get("/profile").location == "/sessions/new?next=%2Fprofile"
    assert browser.sign_in(EMAIL, NEW).location == "/profile"


@pytest.mark.parametrize("base_url", ["http://localhost:5000", "https://localhost"])
def test_the_link_becomes_a_cookie_of_ten_minutes(make_service: MakeService, base_url: str) -> None:
    """303 without a body to a path without the token; no script reads the cookie."""
    service = make_service(base_url=base_url)
    token = asked(service)
    assert link(service).startswith(f"{base_url}/reset_password?token=")
    answer = service.client().get(path_of(link(service)), headers=HTML)
    assert (answer.status_code, answer.data) == (303, b"")
    assert answer.location == "/reset_password/new"
    assert answer.headers["Cache-Control"] == "no-store"
    (written,) = answer.headers.getlist("Set-Cookie")
    value, *attributes = written.split("; ")
    https = base_url.startswith("https")
    assert value == f"{'__Host-' if https else ''}reset_token={token}"
    kept = {part for part in attributes if not part.startswith("Expires=")}
    assert kept == {"Max-Age=600", "HttpOnly", "Path=/", "SameSite=Lax"} | (
        {"Secure"} if https else set()
    )


@pytest.mark.table
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_opening_a_link_changes_nothing(service: Service, method: str, accept: str) -> None:
    """A scanner of mail opens every link, as often as it likes, with its cookies too."""
    token = asked(service)
    before = dump(service)
    client = service.client()
    for path in (path_of(link(service)), "/reset_password/new") * 2:
        answer = client.open(path, method=method, headers={"Accept": accept})
        assert answer.status_code in {200, 303}
        assert token not in answer.text
    assert dump(service) == before
    assert put(service, token).status_code == 200


def test_no_page_shows_the_token(service: Service) -> None:
    """It stands in the email and in the cookie, and nowhere else."""
    browser = Browser(service)
    asking = browser.submit("/reset_password", "/reset_password", email=EMAIL)
    token = link(service).partition("?token=")[2]
    opened = browser.get(path_of(link(service)))
    seen = [
        asking,
        browser.get("/reset_password/new"),
        browser.submit(
            "/reset_password/new", "/reset_password", _method="PUT", new_password="fourteen chars"
        ),
        browser.submit("/reset_password/new", "/reset_password", _method="PUT", new_password=NEW),
    ]
    assert [answer.status_code for answer in seen] == [200, 200, 422, 200]
    assert [answer for answer in seen if token in f"{answer.text}{answer.headers}"] == []
    assert token not in f"{opened.text}{opened.location}"


def test_a_link_that_is_over_says_so_and_offers_another(service: Service) -> None:
    """The page of choosing a password is refused, with the form that asks for an email."""
    browser = Browser(service)
    used = asked(service)
    put(service, used)
    for path in ("/reset_password/new", f"/reset_password?token={used}", "/reset_password/new"):
        answer = browser.get(path)
    assert answer.status_code == 403
    assert "Get a new one" in answer.text
    assert 'action="/reset_password"' in answer.text
    program = browser.client.get("/reset_password/new")
    assert (program.status_code, program.get_json()["code"]) == (403, "wrong_reset_token")


def test_a_link_spent_meanwhile_is_refused_on_the_page(service: Service) -> None:
    """Someone else was first: the form is shown again and says what to do."""
    browser = Browser(service)
    token = asked(service)
    browser.get(path_of(link(service)))
    form = browser.form("/reset_password/new", "/reset_password", _method="PUT")
    put(service, token)
    late = browser.send(form, new_password="huit grenouilles sous un toit")
    assert late.status_code == 403
    assert "Get a new one" in late.text
    assert service.auth.valid_login(EMAIL, NEW)


@pytest.mark.table
@pytest.mark.parametrize("broken", ["", "x", "x" * 44, "%20"])
def test_a_broken_link_does_not_open_an_older_one(service: Service, broken: str) -> None:
    """The cookie of a link opened before is taken away."""
    asked(service)
    browser = Browser(service)
    browser.get(path_of(link(service)))
    assert browser.client.get_cookie("reset_token") is not None
    assert browser.get(f"/reset_password?token={broken}").status_code == 303
    assert browser.client.get_cookie("reset_token") is None
    assert browser.get("/reset_password/new").status_code == 403


def test_another_site_sets_no_password(service: Service) -> None:
    """The cookie alone is not enough: a form needs its token."""
    asked(service)
    browser = Browser(service)
    browser.get(path_of(link(service)))
    form = browser.form("/reset_password/new", "/reset_password", _method="PUT")
    form.fields.pop("form_token")
    assert browser.send(form, new_password=NEW).status_code == 403
    theirs = browser.client.put(
        "/reset_password",
        data={"email": EMAIL, "new_password": NEW},
        headers={"Origin": "https://evil.example"},
    )
    assert (theirs.status_code, theirs.get_json()["code"]) == (403, "cross_site")
    assert service.auth.valid_login(EMAIL, PASSPHRASE)


def test_a_network_that_asked_too_often_sees_the_form_again(service: Service) -> None:
    """With what was typed, and in how many seconds to come back."""
    browser = Browser(service)
    for number in range(20):
        browser.client.post("/reset_password", json={"email": f"person{number}@example.com"})
    refused = browser.submit("/reset_password", "/reset_password", email=EMAIL)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "3600")
    assert f'value="{EMAIL}"' in refused.text
    assert messages(service) == []


def test_a_program_hears_where_to_ask(service: Service) -> None:
    """The pages are JSON for it."""
    client = service.client()
    assert client.get("/reset_password").json == {"action": "POST /reset_password"}
    asked(service)
    client.get(path_of(link(service)))
    assert client.get("/reset_password/new").json == {
        "email": EMAIL,
        "action": "PUT /reset_password",
    }
    sent = {"email": EMAIL, "new_password": NEW}
    done = client.put("/reset_password", json=sent)
    assert done.json == {"email": EMAIL, "message": "Password updated"}


# --- inside another application -----------------------------------------------------------------


def test_a_link_leads_below_the_path_of_our_pages(mounted: FlaskClient, service: Service) -> None:
    """Where a host application put them; so does what the link answers."""
    answer = mounted.post("/account/reset_password", json={"email": EMAIL})
    assert answer.status_code == 202
    assert link(service).startswith("http://localhost:5000/account/reset_password?token=")
    opened = mounted.get(path_of(link(service)), headers=HTML)
    assert (opened.status_code, opened.location) == (303, "/account/reset_password/new")
    assert mounted.get("/account/reset_password/new").status_code == 200


def test_what_the_link_meets_tells_no_other_site_where_it_came_from(service: Service) -> None:
    """The answer to the link and the page it leads to; what came of it has no link's address."""
    browser = Browser(service)
    asked(service)
    seen = [
        browser.get(path_of(link(service))),
        browser.get("/reset_password/new"),
        browser.submit("/reset_password/new", "/reset_password", _method="PUT", new_password=NEW),
        service.client().get("/reset_password/new"),
    ]
    found = [answer.headers["Referrer-Policy"] for answer in seen]
    assert found == ["no-referrer", "no-referrer", "same-origin", "no-referrer"]
    assert browser.get("/sessions/new").headers["Referrer-Policy"] == "same-origin"


def test_a_notice_leads_below_the_path_of_our_pages_too(
    mounted: FlaskClient, service: Service
) -> None:
    """Not only the emails whose link someone asked for."""
    sent = {"email": EMAIL, "reset_token": asked(service), "new_password": NEW}
    assert mounted.put("/account/reset_password", json=sent).status_code == 200
    (told,) = messages(service, "password_was_reset")
    assert "http://localhost:5000/account/reset_password\n" in text_of(service, told)
