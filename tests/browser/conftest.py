"""One browser for the tests of this folder, and a page in a context of its own for each."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.site import SIZE, Site, launch, serving
from tests.conftest import MakeService

NewPage = Callable[..., Page]


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium, started once; it ends before other tests, which run event loops of their own."""
    with sync_playwright() as playwright:
        started = launch(playwright)
        yield started
        started.close()


@pytest.fixture
def new_page(browser: Browser) -> Iterator[NewPage]:
    """Open windows that know nothing of each other; the options are those of a context."""
    opened: list[Page] = []

    def new(**options: Any) -> Page:
        context = browser.new_context(**{"viewport": SIZE, "reduced_motion": "reduce"} | options)
        context.set_default_timeout(60_000)
        opened.append(context.new_page())
        return opened[-1]

    yield new
    for page in opened:
        page.context.close()


@pytest.fixture
def page(new_page: NewPage) -> Page:
    """A window."""
    return new_page()


@pytest.fixture
def site(make_service: MakeService) -> Iterator[Site]:
    """A service with the settings of the tests, on both databases."""
    with serving(make_service) as served:
        yield served
