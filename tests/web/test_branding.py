"""What a company puts on the pages: colour, logo, links, templates; and every page has its own."""

from __future__ import annotations

import itertools
import re
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bienvenue.accent import DARK, EDGE, LIGHT, TEXT, contrast, shades, usable_accent
from bienvenue.app import all_pages
from bienvenue.authentication import CODE
from bienvenue.settings import Settings, SettingsProblem
from tests.conftest import EMAIL, PASSPHRASE, MakeService, Service
from tests.features.registrations import newest
from tests.house.source import PACKAGE
from tests.web.browser import HTML, Browser

CSS = (PACKAGE / "static" / "bienvenue.css").read_text("utf-8")
SIGN = b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 24 24"/>'
WORDS = b'<svg xmlns="http://www.w3.org/2000/svg" width="240px" height="48"></svg>'
ONE_DATABASE = pytest.mark.parametrize("database", ["sqlite"], indirect=True)


def png(width: int, height: int) -> bytes:
    """Give the beginning of a PNG of this size."""
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", width, height) + b"\x08"


def colours() -> st.SearchStrategy[str]:
    """Give colours as one writes them."""
    return st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


@given(colours())
def test_whatever_the_colour_all_can_be_read(accent: str) -> None:
    """Or it is refused. Text has 4.5 : 1 on all it stands on, edges have 3 : 1."""
    try:
        usable_accent(accent)
    except ValueError:
        assert contrast(accent, "#ffffff") < 1.3
        return
    for made, scheme in zip(shades(accent), (LIGHT, DARK), strict=True):
        for below in (*scheme, made.tint):
            assert contrast(made.text, below) >= TEXT
        for face in (made.fill, made.hover):
            assert contrast(made.on, face) >= TEXT
        assert contrast(made.edge, scheme[1]) >= EDGE


def test_a_good_colour_is_left_as_it_is() -> None:
    """Our own, on light pages and on dark ones."""
    accent = str(Settings({}).core.accent)
    for made in shades(accent):
        assert (made.fill, made.on, made.edge) == (accent, "#ffffff", accent)
    black, on_dark = shades("#000000")
    assert (black.fill, black.on) == ("#000000", "#ffffff")
    assert contrast(on_dark.fill, DARK[1]) >= TEXT


def variables(block: str) -> dict[str, str]:
    """Read the variables of a block of CSS."""
    return dict(re.findall(r"(--[\w-]+): ([^;]+);", block))


def test_the_stylesheet_and_the_shades_know_the_same_grounds() -> None:
    """And what is dark by choice is dark as by the device."""
    light, device, chosen = (
        variables(part[: part.index("}")])
        for part in (
            CSS[CSS.index(":root {") :],
            CSS[CSS.index(':root:not([data-theme="light"])') :],
            CSS[CSS.index(':root[data-theme="dark"]') :],
        )
    )
    assert (light["--ground"], light["--panel"]) == LIGHT
    assert (device["--ground"], device["--panel"]) == DARK
    assert device == chosen
    # Text of ours, on what it stands on.
    for scheme in (light, light | device):
        for text, below in itertools.product(("--ink", "--soft"), ("--ground", "--panel")):
            assert contrast(scheme[text], scheme[below]) >= TEXT
        for below in ("--ground", "--panel", "--wrong-ground"):
            assert contrast(scheme["--wrong"], scheme[below]) >= TEXT
        assert contrast(scheme["--field"], scheme["--panel"]) >= EDGE


@pytest.mark.parametrize(
    ("setting", "value", "why"),
    [
        ("accent", "red", "six hexadecimal digits"),
        ("accent", "#fff", "six hexadecimal digits"),
        ("accent", "#fffff0;} body{", "six hexadecimal digits"),
        ("accent", "#ffffff", "near to white"),
        ("accent", "#F4F4F2", "near to white"),
        ("support_email", "support", "an email address"),
        ("support_email", "a@b?bcc=eve@example.net", "an email address"),
        ("support_email", "@example.org", "an email address"),
        ("support_url", "javascript:alert(1)", "http or https"),
        ("footer", "Privacy", "a list as"),
        ("footer", "=https://example.org", "a list as"),
        ("footer", "Privacy=javascript:alert(1)", "http or https"),
        ("footer", "Privacy=//example.org", "http or https"),
        ("footer", "Privacy=https://", "http or https"),
        ("footer", "Privacy=https://[x", "http or https"),
        ("footer", "A=https://example.org, B=data:text/html", "http or https"),
    ],
)
def test_what_cannot_be_used_is_refused_at_start(setting: str, value: str, why: str) -> None:
    """With the name of the variable and the reason."""
    with pytest.raises(SettingsProblem, match=f"BIENVENUE_{setting.upper()}: .*{why}"):
        Settings({f"BIENVENUE_{setting.upper()}": value})


@ONE_DATABASE
@pytest.mark.parametrize(
    ("data", "why"),
    [
        (None, "cannot be read: No such file"),
        (b"GIF89a", "SVG or PNG"),
        (b"\x89PNG\r\n\x1a\n", "SVG or PNG"),
        (b"<svg>" + b" " * 262_144, "at most 256 KiB"),
    ],
)
def test_a_logo_that_is_none_is_refused_at_start(
    make_service: MakeService, tmp_path: Path, data: bytes | None, why: str
) -> None:
    """Not shown broken on every page."""
    path = tmp_path / "logo"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(SettingsProblem, match=f"BIENVENUE_LOGO: .*{why}"):
        make_service(logo=path)


@ONE_DATABASE
@pytest.mark.parametrize(
    ("data", "kind", "tag"),
    [
        (SIGN, "image/svg+xml", 'alt="" height="32" width="32"'),
        (WORDS, "image/svg+xml", 'alt="Acme" height="32" width="160"'),
        (b"<svg width='100%' height='10'>", "image/svg+xml", 'alt="Acme" height="32">'),
        (b"<svg width='1.1.1' height='10'>", "image/svg+xml", 'alt="Acme" height="32">'),
        (png(64, 64), "image/png", 'alt="" height="32" width="32"'),
        (png(200, 50), "image/png", 'alt="Acme" height="32" width="128"'),
    ],
)
def test_the_logo_is_served_and_keeps_its_place(
    make_service: MakeService, tmp_path: Path, data: bytes, kind: str, tag: str
) -> None:
    """With its type, which no one guesses; a sign has the name beside it, a word is the name."""
    path = tmp_path / "logo"
    path.write_bytes(data)
    client = make_service(logo=path, service_name="Acme").client()
    answer = client.get("/bienvenue/logo")
    assert (answer.data, answer.mimetype) == (data, kind)
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    again = client.get("/bienvenue/logo", headers={"If-None-Match": answer.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    shown = client.get("/", headers=HTML).text
    assert f'src="/bienvenue/logo" {tag}' in shown
    assert ("<span>Acme</span>" in shown) == ('alt=""' in tag)
    icon = client.get("/bienvenue/icon")
    assert (icon.data == data) == ('alt=""' in tag)


@ONE_DATABASE
def test_colour_and_links_are_on_every_page(make_service: MakeService) -> None:
    """A page has neither of them written into it, but for the links."""
    service = make_service(
        accent="#FFE600",
        footer="Privacy & more=https://example.org/p?a=1%2C2, Terms=http://example.org/t",
        service_name='<b>"Acme',
    )
    client = service.client()
    sheet = client.get("/bienvenue/brand.css")
    assert sheet.mimetype == "text/css"
    assert "--accent: #ffe600; --on-accent: #000000;" in sheet.text
    shown = client.get("/nothing", headers=HTML).text
    assert '<a href="https://example.org/p?a=1%2C2">Privacy &amp; more</a>' in shown
    assert '<a href="http://example.org/t">Terms</a>' in shown
    assert "ffe600" not in shown
    icon = client.get("/bienvenue/icon")
    assert (icon.mimetype, "&lt;" in icon.text) == ("image/svg+xml", True)
    assert client.get("/bienvenue/logo").status_code == 404


@ONE_DATABASE
@pytest.mark.parametrize(
    ("settings", "link"),
    [
        ({}, None),
        ({"support_email": "help@example.org"}, "mailto:help@example.org"),
        (
            {"support_email": "help@example.org", "support_url": "https://example.org/help?a&b"},
            "https://example.org/help?a&amp;b",
        ),
    ],
)
def test_every_page_leads_to_support(
    make_service: MakeService, settings: dict[str, object], link: str | None
) -> None:
    """Where a setting names it: the page of support before its email address."""
    shown = make_service(**settings).client().get("/nothing", headers=HTML).text
    assert (f'<a href="{link}">Contact support</a>' in shown) is (link is not None)
    assert ("Contact support" in shown) is (link is not None)


@ONE_DATABASE
def test_a_folder_of_templates_comes_first(make_service: MakeService, tmp_path: Path) -> None:
    """A page, the frame of all pages, and what is added to the style sheet."""
    own = tmp_path / "own" / "bienvenue"
    own.mkdir(parents=True)
    (own / "welcome.html").write_text(
        '{% extends "bienvenue/layout.html" %}{% block main %}<h1>Chez nous</h1>{% endblock %}'
    )
    (own / "brand.css").write_text('{% include "bienvenue/accent.css" %}main { border: 0; }')
    client = make_service(templates=tmp_path / "own").client()
    shown = client.get("/", headers=HTML).text
    assert "<h1>Chez nous</h1>" in shown
    assert '<header class="top">' in shown
    sheet = client.get("/bienvenue/brand.css").text
    assert "--accent: #3d63dd" in sheet
    assert sheet.endswith("main { border: 0; }")
    (own / "layout.html").write_text("<title>all ours</title>{% block main %}{% endblock %}")
    client = make_service(templates=tmp_path / "own").client()
    assert client.get("/sessions/new", headers=HTML).text.startswith("<title>all ours</title>")


def test_every_page_that_a_browser_can_open_has_a_page_of_its_own(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No one is shown a value field by field; what is for programs is the same for everybody."""
    shown: list[str] = []
    rendering = service.app.extensions["bienvenue"].rendering
    show: Callable[..., object] = rendering.template

    def noted(template: str, *rest: object, **values: object) -> object:
        shown.append(template)
        return show(template, *rest, **values)

    monkeypatch.setattr(rendering, "template", noted)
    client = service.signed_in()
    for page in all_pages(service.auth):
        if page.method == "GET":
            answer = client.get(page.path.replace("<uid>", "x"), headers=HTML)
            # What is downloaded is a file for both.
            programs = page.json_only or page.path == "/export"
            if answer.status_code == 204:
                # It tells a proxy who asks, by its headers alone.
                continue
            assert (answer.mimetype == "application/json") == programs, page.path
    assert "sessions/profile.html" in shown
    assert "value.html" not in shown


#: What is a file by its nature, and the same for everybody.
FILES = {
    "/bienvenue/brand.css",
    "/bienvenue/icon",
    "/bienvenue/logo",
    "/bienvenue/static/<path:filename>",
    "/export",
    "/openapi.json",
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW")


@pytest.mark.table
@pytest.mark.parametrize("signed_in", [False, True])
def test_no_path_shows_a_browser_what_is_for_programs(service: Service, signed_in: bool) -> None:
    """Every path there is and none, with every method: a page, a redirect, or nothing."""
    service.auth.register_user(EMAIL, PASSPHRASE)
    rules = {rule.rule for rule in service.app.url_map.iter_rules()}
    assert rules > FILES
    headers = HTML | {"Sec-Fetch-Site": "same-origin"}
    for rule in [*sorted(rules - FILES), "/nothing/of/this/name"]:
        path = re.sub(r"<[^>]+>", "x", rule)
        for method in METHODS:
            client = service.client()
            if signed_in:
                client.set_cookie("session_id", str(service.auth.create_session(EMAIL)))
            answer = client.open(path, method=method, headers=headers)
            nothing = answer.status_code in {204, 303}
            assert nothing or answer.mimetype == "text/html", (method, path, answer.status_code)
            assert answer.status_code < 500, (method, path)
            if service.auth.accounts.find(EMAIL).disabled_at is not None:
                service.auth.account_closure.reopen_for(CODE, EMAIL)


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_a_probe_of_a_browser_asks_no_one_who_is_signed_in(
    service: Service, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """And a program gets what it got."""
    client = service.signed_in()
    monkeypatch.setattr(service.auth.sessions, "check", None)
    monkeypatch.setattr(service.auth.sessions, "look_up", None)
    answer = client.get(path, headers=HTML | {"Host": "10.0.0.7"})
    assert (answer.status_code, answer.mimetype) == (200, "text/html")
    assert "The service is running." in answer.text
    assert client.get(path).get_json() == {"status": "ok"}


def test_since_when_an_email_is_verified_is_a_page_too(service: Service) -> None:
    """It was raw JSON in a browser."""
    client = service.signed_in()
    shown = client.get("/email/verified", headers=HTML)
    assert EMAIL in shown.text
    assert "Not yet" in shown.text
    client.post("/reset_password", json={"email": EMAIL})
    sent = {"email": EMAIL, "reset_token": newest(service, "password_reset")}
    client.put("/reset_password", json=sent | {"new_password": "sept grenouilles sur un nuage"})
    client.post("/sessions", json={"email": EMAIL, "password": "sept grenouilles sur un nuage"})
    shown = client.get("/email/verified", headers=HTML)
    assert "<time" in shown.text
    assert client.get("/email/verified").get_json()["verified_at"] is not None


def test_a_password_manager_is_led_to_where_passwords_are_changed(service: Service) -> None:
    """Whether it asks as a browser or as a program, and who is signed in."""
    for headers in ({}, HTML):
        asked = service.client().get("/.well-known/change-password", headers=headers)
        assert (asked.status_code, asked.location) == (303, "/sessions/new?next=%2Fpassword")
        asked = service.signed_in().get("/.well-known/change-password", headers=headers)
        assert (asked.status_code, asked.location) == (303, "/password")
    assert service.client().get("/.well-known/nothing-of-this-name").status_code == 404


def test_what_was_done_is_told_once(service: Service) -> None:
    """On the page after the redirect; a name that no template knows tells nothing."""
    service.signed_in()
    browser = Browser(service)
    browser.sign_in("bob@example.com", "une phrase de passe bien longue")
    browser.submit("/sessions", "/sessions", _method="DELETE")
    assert "You've signed out." in browser.get("/").text
    assert "You've signed out." not in browser.get("/").text
    browser.client.set_cookie("flash", "call-this-number")
    answer = browser.get("/")
    assert "call-this-number" not in answer.text
    assert browser.client.get_cookie("flash") is None


def test_a_form_that_is_out_of_date_says_where_there_is_a_new_one(service: Service) -> None:
    """And a token from before signing in counts for nothing after it."""
    service.signed_in()
    browser = Browser(service)
    early = browser.form("/sessions/new", "/sessions").fields["form_token"]
    browser.sign_in("bob@example.com", "une phrase de passe bien longue")
    form = browser.form("/password", "/password")
    form.fields["form_token"] = early
    refused = browser.send(form, old_password="x", new_password="y")
    assert refused.status_code == 403
    assert 'href="/password"' in refused.text
    assert browser.client.get("/profile").status_code == 200


def test_a_spent_link_is_not_opened_again(service: Service) -> None:
    """It would say the same: the page says so and leads to the beginning."""
    browser = Browser(service)
    for path in ("/email/restore", "/notification_email/verification", "/account/reopen"):
        told = browser.get(path)
        assert told.status_code == 403
        assert "link in the email" in told.text, path
        assert "Reload the page" not in told.text, path
        assert 'class="button" href="/"' in told.text
