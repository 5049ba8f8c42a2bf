"""Every page in every state: for people who see, who do not, who zoom, who choose their colours."""

from __future__ import annotations

import re
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from bienvenue.app import all_pages
from bienvenue.i18n import SOURCE, all_languages
from tests.browser.conftest import NewPage
from tests.browser.site import Site, serving
from tests.browser.walk import WALKS
from tests.conftest import MakeService
from tests.databases import Databases
from tests.thorough import THOROUGH

#: Pictures of the states, for anyone who looks at them after a run; git ignores the folder.
SHOTS = Path(__file__).parents[2] / "build" / "pages"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
#: What axe need not tell, and not fetch: it has the style sheets from the page.
SHORT = {"resultTypes": ["violations"], "preload": False}
#: 1280 pixels at 400 %, as WCAG 2.2 has it (1.4.10).
ZOOMED = 320
#: The spacing that a person may ask for without losing anything (1.4.12).
SPACED = (
    "* { line-height: 1.5 !important; letter-spacing: 0.12em !important; "
    "word-spacing: 0.16em !important; } p { margin-bottom: 2em !important; }"
)

#: The states that are looked at with them: each kind of page once.
ADAPTED = {"register-short", "sign-in-wrong", "devices", "profile", "refused-404"}
_RULES = Axe().axe_script
_ASK = "wanted => axe.run(wanted)"
_ADOPT = (
    "text => { const sheet = new CSSStyleSheet(); sheet.replaceSync(text); "
    "document.adoptedStyleSheets = [sheet]; }"
)
# A browser draws the edge of a checkbox itself, in the colours of the person.
_WITHOUT_EDGE = (
    "[...document.querySelectorAll('main input:not([type=hidden], [type=checkbox], .apart), "
    "main .button, "
    "main button:not(.reveal)')].filter(one => getComputedStyle(one).borderStyle !== 'solid')"
    ".map(one => one.outerHTML)"
)
#: Scripts have run and their changes are drawn: the second frame comes after the first is shown.
_DRAWN = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
_MOVING = (
    "[...document.querySelectorAll('*')].filter(one => "
    "getComputedStyle(one).transitionDuration !== '0s').map(one => one.outerHTML)"
)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.parametrize("database", ["sqlite"], indirect=True),
]


def violations(page: Page, code: str, state: str) -> list[str]:
    """Give what axe finds on a page; on one in English, what it finds in the dark, too."""
    # Colours are the same in every language, and only they are others in the dark.
    coloured = code == SOURCE
    rules = {"color-contrast": {"enabled": coloured}}
    if not THOROUGH:
        page.evaluate(_RULES)
    wanted = {"runOnly": {"type": "tag", "values": RULES}, "rules": rules, **SHORT}
    looks = [("light", page.evaluate(_ASK, wanted))]
    if coloured and (THOROUGH or state in ADAPTED):
        page.emulate_media(color_scheme="dark")
        wanted = {"runOnly": {"type": "rule", "values": ["color-contrast"]}, **SHORT}
        looks.append(("dark", page.evaluate(_ASK, wanted)))
        page.emulate_media(color_scheme="light")
    return [
        f"{scheme}, {one['id']}: {node['html'][:120]}"
        for scheme, found in looks
        for one in found["violations"]
        for node in one["nodes"]
    ]


def overflow(page: Page) -> int:
    """Give by how many pixels a page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - innerWidth"))


def narrow(page: Page, state: str, shots: Path) -> list[str]:
    """Give what is wrong at 400 %, and with the spacing and the colours that some people need."""
    page.set_viewport_size({"width": ZOOMED, "height": 640})
    wrong = [f"{overflow(page)} px too wide"] * (overflow(page) > 0)
    if state in ADAPTED:
        page.emulate_media(forced_colors="active", contrast="more")
        page.evaluate(_ADOPT, SPACED)
        wrong += [f"{overflow(page)} px too wide when spaced"] * (overflow(page) > 0)
        wrong += [f"no edge: {one}" for one in page.evaluate(_WITHOUT_EDGE)]
        wrong += [f"moves: {one}" for one in page.evaluate(_MOVING)]
        if THOROUGH:
            page.screenshot(path=shots / f"{state}-forced-colours.png", full_page=True)
        page.evaluate(_ADOPT, "")
        page.emulate_media(forced_colors="none", contrast="no-preference")
    page.set_viewport_size({"width": 1280, "height": 800})
    return wrong


@pytest.mark.parametrize(
    "code",
    [pytest.param(c, marks=[pytest.mark.thorough] * (c != SOURCE)) for c in all_languages()],
)
def test_every_page_can_be_used_by_everybody(
    make_service: MakeService, databases: Databases, new_page: NewPage, code: str
) -> None:
    """Axe finds nothing, light and dark; 400 % needs no scrolling sideways; all comes from here.

    And the walk has met every page there is.
    """
    page = new_page(locale=code)
    # Where every page is asked, each brings the rules along: half a megabyte is not sent for each.
    if THOROUGH:
        page.context.add_init_script(_RULES)
    shots = SHOTS / code
    asked: list[str] = []
    said: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    shots.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[str]] = {}
    looked: set[str] = set()
    with ExitStack() as stack:
        walks = []
        for walk, settings in WALKS.items():
            url = databases.fresh("sqlite")
            served = serving(make_service, code, database_url=url, **settings)
            walks.append((walk, stack.enter_context(served)))
        sites = [site for _, site in walks]
        for state in chain.from_iterable(walk(site, page) for walk, site in walks):
            if THOROUGH:
                page.screenshot(path=shots / f"{state}.png")
            path = urlsplit(page.url).path
            # `make test` looks at each page once, `make check` in every state.
            asks = THOROUGH or path not in looked or state in ADAPTED
            looked.add(path)
            found[state] = []
            if asks:
                found[state] += violations(page, code, state) + narrow(page, state, shots)
            said_in = page.evaluate("document.documentElement.lang")
            assert said_in == code, f"{state} is in {said_in}"
        paths = {
            one.path
            for one in all_pages(sites[0].service.auth)
            if one.method == "GET" and not one.any_host and not one.json_only
            # What is downloaded is no page.
            if one.path != "/export"
        }
    assert {state: wrong for state, wrong in found.items() if wrong} == {}
    assert found.keys() >= ADAPTED
    ours = tuple(site.url for site in sites)
    assert {url for url in asked if not url.startswith(ours)} == set()
    # A browser says so itself when a page is refused.
    assert [text for text in said if "status of" not in text] == []
    met = {urlsplit(url).path for url in asked}
    unmet = {
        path
        for path in paths
        if not any(re.fullmatch(re.sub(r"<\w+>", "[^/]+", path), one) for one in met)
    }
    assert unmet == set(), "lead tests/browser/walk.py past these pages"


def test_nothing_moves_once_it_is_shown(site: Site, page: Page) -> None:
    """Scripts write into places that are kept for them."""
    watch = (
        "window.moved = 0; new PerformanceObserver(list => list.getEntries().forEach("
        "entry => { window.moved += entry.value })).observe({type: 'layout-shift', buffered: true})"
    )
    page.context.add_init_script(watch)
    for path in ("/users/new", "/sessions/new"):
        site.open(page, path)
        page.evaluate(_DRAWN)
        page.type("#password", "quinze lettres!")
        page.evaluate(_DRAWN)
        assert page.evaluate("window.moved") == 0, path
