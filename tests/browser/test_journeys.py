"""What people do, and do wrong, with a keyboard, without scripts, in two tabs, twice."""

from __future__ import annotations

import re
from datetime import datetime

import pytest
from playwright.sync_api import Page, Request, expect

from bienvenue.authentication import CODE
from bienvenue.features.account_closure import AccountClosed
from tests.browser.conftest import NewPage
from tests.browser.site import PLAIN_HOST, SEND, Site, fill, heading, send, serving
from tests.browser.walk import BY_EMAIL
from tests.conftest import EMAIL, PASSPHRASE, MakeService
from tests.features.password_resets import messages
from tests.features.registrations import link_in

OTHER = "robert@example.com"
NEW = "sept grenouilles sur un nuage"

pytestmark = pytest.mark.slow


def register(site: Site, page: Page) -> None:
    """Make Bob's account through its page."""
    site.open(page, "/users/new")
    fill(page, email=EMAIL, password=PASSPHRASE)
    send(page)


def enter(page: Page) -> None:
    """Press Enter, and wait for where it leads."""
    with page.expect_navigation():
        page.keyboard.press("Enter")


def press(page: Page, name: str) -> None:
    """Continue with Tab to what has this name, seeing where one is, and press it."""
    for _ in range(25):
        page.keyboard.press("Tab")
        style, text = page.evaluate(
            "[getComputedStyle(document.activeElement).outlineStyle, "
            "document.activeElement.innerText.trim()]"
        )
        assert style != "none", f"one does not see that {text!r} has the focus"
        if text == name:
            enter(page)
            return
    raise AssertionError(f"nothing here is called {name}")


def write(page: Page, field: str, text: str) -> None:
    """Write into the field that has the focus, which is this one."""
    expect(page.locator(field)).to_be_focused()
    page.keyboard.type(text)


@pytest.mark.thorough
def test_plain_http_under_a_name(make_service: MakeService, page: Page) -> None:
    """There Chromium hides where a form stands that an emailed link opens; it works all the same.

    rails/rails#30658: `Origin: null` and no Sec-Fetch-Site, from a page with no-referrer.
    """
    with serving(make_service, host=PLAIN_HOST) as site:
        asked: list[Request] = []
        page.on("request", lambda one: asked.append(one))  # noqa: PLW0108 (Playwright marks it)
        register(site, page)
        site.open(page, "/reset_password")
        fill(page, email=EMAIL)
        send(page)
        site.sign_in(page)
        expect(page.locator("h1")).to_have_text("Profile")
        sent = [one.headers for one in asked if one.method == "POST"]
        assert [headers["origin"] for headers in sent] == ["null", "null", site.url]
        assert not any("sec-fetch-site" in headers for headers in sent)
        user = site.service.auth.accounts.find(EMAIL)
        assert "password_reset.requested" in [
            row.name for row in site.service.auth.audit.list(user.id)
        ]


def test_a_person_with_a_keyboard_alone(site: Site, page: Page) -> None:
    """Register, sign in, change the password and sign out; errors have the focus and are told."""
    page.goto(site.url)
    press(page, "Create an account")
    write(page, "#email", EMAIL)
    page.keyboard.press("Tab")
    write(page, "#password", "trop court")
    enter(page)
    password = page.locator("#password")
    expect(password).to_have_attribute("aria-invalid", "true")
    expect(password).to_have_accessible_description(re.compile("Use at least 15 characters"))
    write(page, "#password", PASSPHRASE)
    press(page, "Create account")
    press(page, "Sign in")
    write(page, "#email", EMAIL)
    page.keyboard.press("Tab")
    write(page, "#password", "ce ne sont pas les mots")
    enter(page)
    expect(password).to_have_accessible_description(re.compile("Wrong email or password"))
    write(page, "#password", PASSPHRASE)
    enter(page)
    expect(page.locator("h1")).to_have_text("Profile")
    press(page, "Skip to content")
    press(page, "Change password")
    expect(page.locator("h1")).to_have_text("Change your password")
    press(page, "Skip to content")
    page.keyboard.press("Tab")
    write(page, "#old_password", PASSPHRASE)
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    write(page, "#new_password", NEW)
    enter(page)
    expect(page.locator(".note")).to_contain_text("Password changed")
    page.reload()
    expect(page.locator(".note")).to_have_count(0)
    press(page, "Sign out")
    expect(page.locator(".note")).to_have_text("You've signed out.")
    assert site.service.auth.valid_login(EMAIL, NEW)


def test_a_person_without_scripts(site: Site, new_page: NewPage) -> None:
    """The same pages, forms and words; nothing is there that would do nothing."""
    page = new_page(java_script_enabled=False)
    register(site, page)
    site.sign_in(page, path="/sessions/new?next=/password")
    assert heading(page) == "Change your password"
    assert page.locator(".reveal:visible").count() == 0
    assert page.locator(".meter:visible").count() == 0
    fill(page, old_password=PASSPHRASE, new_password=NEW)
    send(page)
    assert page.locator(".note").inner_text().startswith("Password changed")
    page.click("text=Sign out")
    page.wait_for_selector("text=You've signed out.")


def test_scripts_show_the_password_and_count(site: Site, page: Page) -> None:
    """And the password is hidden again before it leaves."""
    site.open(page, "/users/new")
    fill(page, email=EMAIL)
    meter = page.locator(".meter")
    for typed, said in [
        ("quatorze lettr", "1 more character needed."),
        ("e\u0301" * 13, "2 more characters needed."),
        ("🐸" * 15, "Long enough."),
        ("", ""),
    ]:
        fill(page, password=typed)
        expect(meter).to_have_text(said)
    fill(page, password="trop court")
    reveal = page.get_by_role("button", name="Show Password")
    reveal.click()
    expect(page.locator("#password")).to_have_attribute("type", "text")
    expect(page.get_by_text("Password shown.")).to_have_count(1)
    expect(page.get_by_role("button", name="Hide Password")).to_be_visible()
    with page.expect_request(lambda request: request.method == "POST"):
        page.click(SEND)
    expect(page.locator("#password")).to_have_attribute("type", "password")


def test_pressing_twice_does_it_once(site: Site, page: Page) -> None:
    """A double click makes one account and asks once."""
    asked: list[str] = []
    page.on("request", lambda one: asked.append(one.url) if one.method == "POST" else None)
    site.open(page, "/users/new")
    fill(page, email=EMAIL, password=PASSPHRASE)
    page.locator(SEND).dblclick()
    page.wait_for_selector("text=Your account is ready")
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("locale", "shown"),
    [
        ("en-GB", "{day} {month} {year} at {hour}:{minute}"),
        pytest.param("en", "{day} {month} {year} at {hour}:{minute}", marks=pytest.mark.thorough),
        pytest.param(
            "en-US",
            "{month} {day}, {year} at {half}:{minute} {noon}",
            marks=pytest.mark.thorough,
        ),
    ],
)
def test_times_are_written_as_in_the_country_of_the_reader(
    site: Site, new_page: NewPage, locale: str, shown: str
) -> None:
    """Day, month and year in Britain, and for English of no country as in emails."""
    site.service.auth.register_user(EMAIL, PASSPHRASE)
    page = new_page(locale=locale, timezone_id="UTC")
    site.sign_in(page)
    site.open(page, "/sessions")
    time = page.locator("main time").first
    at = datetime.fromisoformat(str(time.get_attribute("datetime")))
    expected = shown.format(
        day=at.day,
        month=at.strftime("%B"),
        year=at.year,
        hour=at.strftime("%H"),
        minute=at.strftime("%M"),
        half=at.hour % 12 or 12,
        noon=at.strftime("%p"),
    )
    # Some versions put a narrow space before AM.
    assert " ".join(time.inner_text().split()) == expected


@pytest.mark.thorough
def test_going_back_shows_nothing_of_someone_who_left(site: Site, page: Page) -> None:
    """And a form one goes back to can be sent again."""
    register(site, page)
    site.sign_in(page, "ce ne sont pas les mots")
    page.go_back()
    fill(page, email=EMAIL, password=PASSPHRASE)
    send(page)
    assert heading(page) == "Profile"
    site.open(page, "/activity")
    page.click("text=Sign out")
    page.wait_for_selector("text=You've signed out.")
    page.go_back()
    page.wait_for_selector("h1:has-text('Sign in')")
    assert EMAIL not in page.content()


@pytest.mark.thorough
def test_two_tabs(site: Site, page: Page) -> None:
    """What one tab changed, the other is told with what to do, and nothing is done by half."""
    register(site, page)
    site.sign_in(page)
    other = page.context.new_page()
    site.open(other, "/password")
    fill(other, old_password=PASSPHRASE, new_password=NEW)
    page.click("text=Sign out")
    page.wait_for_selector("text=You've signed out.")
    other.click(SEND)
    other.wait_for_selector("text=This page is out of date")
    other.click("text=Reload the page")
    other.wait_for_selector("h1:has-text('Sign in')")
    fill(other, email=EMAIL, password=PASSPHRASE)
    send(other)
    assert heading(other) == "Change your password"
    assert site.service.auth.valid_login(EMAIL, PASSPHRASE)
    fill(other, old_password=PASSPHRASE, new_password=NEW)
    send(other)
    site.open(page, "/sessions")
    assert heading(page) == "Where you're signed in"


@pytest.mark.thorough
def test_a_password_manager_finds_its_way(site: Site, page: Page) -> None:
    """The fields are named for it, and the page of changing the password is where it looks."""
    register(site, page)
    site.open(page, "/.well-known/change-password")
    assert page.url.endswith("/sessions/new?next=%2Fpassword")
    tokens = page.locator("input[autocomplete]").evaluate_all("all => all.map(o => o.autocomplete)")
    assert tokens == ["username", "current-password"]
    fill(page, email=EMAIL, password=PASSPHRASE)
    send(page)
    assert heading(page) == "Change your password"
    tokens = page.locator("input[autocomplete]").evaluate_all("all => all.map(o => o.autocomplete)")
    assert tokens == ["username", "current-password", "new-password"]
    assert page.locator("[autocomplete=username]").input_value() == EMAIL
    site.open(page, "/.well-known/change-password")
    assert page.url.endswith("/password")


def link(site: Site, page: Page, about: str) -> None:
    """Open the newest email about something in the outbox, and its link."""
    page.goto(site.service.auth.outbox.link())
    page.locator("main li a", has_text=re.compile(f"^{about}$")).first.click()
    page.click("main a[href*='token=']")


def test_from_registering_to_closing(site: Site, page: Page) -> None:
    """A whole life: register, another email, close, change their mind, close for good."""
    register(site, page)
    site.sign_in(page)
    page.click("text=Change email")
    fill(page, new_email=OTHER)
    send(page)
    link(site, page, "Verify a new email")
    page.click("text=Change email")
    page.wait_for_selector("h1:has-text('Profile')")
    expect(page.locator("dl")).to_contain_text(OTHER)
    for mind_changes in (True, False):
        site.open(page, "/account/close")
        page.click("main button:text-is('Close account')")
        page.wait_for_selector("h1:has-text('Your account is closed')")
        site.open(page, "/profile")
        assert heading(page) == "Sign in"
        fill(page, email=OTHER, password=PASSPHRASE)
        send(page)
        expect(page.locator("[role=alert]")).to_be_visible()
        if mind_changes:
            link(site, page, "Account closed")
            page.click("text=Reopen account")
            page.wait_for_selector("h1:has-text('Your account is open again')")
            site.open(page, "/sessions/new")
            fill(page, email=OTHER, password=PASSPHRASE)
            send(page)
            assert heading(page) == "Profile"
    with pytest.raises(AccountClosed):
        site.service.auth.sessions.sign_in(CODE, OTHER, PASSPHRASE)


@pytest.mark.parametrize("scripts", [True, False])
def test_a_password_is_typed_once(
    make_service: MakeService, new_page: NewPage, scripts: bool
) -> None:
    """The link signs in the browser that registered; another one asks for the password."""
    with serving(make_service, **BY_EMAIL) as site:
        page, phone = (new_page(java_script_enabled=scripts) for _ in range(2))
        register(site, page)
        expect(page.locator("h1")).to_have_text("Check your email")
        emailed = link_in(site.service, messages(site.service, "registration")[-1])
        phone.goto(emailed)
        expect(phone.locator("#password")).to_be_visible()
        page.goto(emailed)
        expect(page.locator("main")).to_contain_text(f"Create the account {EMAIL}?")
        expect(page.locator("#password")).to_have_count(0)
        page.click("main button:text-is('Create account')")
        expect(page.locator("h1")).to_have_text("Profile")
        expect(page.locator(".note")).to_contain_text("Your account is ready")
        fill(phone, password=PASSPHRASE)
        send(phone)
        expect(phone.locator("main")).to_contain_text("expired")


@pytest.mark.thorough
def test_what_was_typed_outlives_the_session(site: Site, page: Page) -> None:
    """Signed out in another tab while typing: sign in, and go on with what stands there."""
    register(site, page)
    site.sign_in(page)
    typing = page.context.new_page()
    site.open(typing, "/email")
    fill(typing, new_email=OTHER)
    page.click("text=Sign out")
    page.wait_for_selector("text=You've signed out.")
    typing.click(SEND)
    typing.wait_for_selector("text=This page is out of date")
    typing.click("text=Reload the page")
    typing.wait_for_selector("h1:has-text('Sign in')")
    fill(typing, email=EMAIL, password=PASSPHRASE)
    send(typing)
    assert heading(typing) == "Change email"
    assert typing.input_value("#new_email") == OTHER
    send(typing)
    assert heading(typing) == "Check your email"


@pytest.mark.thorough
def test_going_on_to_an_application_that_is_named(make_service: MakeService, page: Page) -> None:
    """A form's answer leads there: the policy of its page lets the browser follow."""
    with serving(make_service) as theirs:
        origin = theirs.url
        with serving(make_service, return_origins=origin) as ours:
            ours.service.auth.register_user(EMAIL, PASSPHRASE)
            ours.sign_in(page, path=f"/sessions/new?next={origin}/preferences")
            assert page.url == f"{origin}/preferences"
