"""Every path is closed unless it is on this list, which a change has to touch."""

from pathlib import Path

import pytest

from bienvenue import Auth
from bienvenue.app import all_pages
from bienvenue.db import DB
from bienvenue.settings import Settings
from bienvenue.web.page import Page

PUBLIC = {
    "GET /",
    "GET /healthz",
    "GET /readyz",
    "GET /openapi.json",
    # It asks for a credential itself, and refuses without one.
    "GET /verify",
    # It shows a browser what its own cookie holds, encrypted.
    "GET /bienvenue/outcome/<name>",
    "GET /users/new",
    "POST /users",
    "GET /sessions/new",
    "GET /preferences",
    "GET /email/verification",
    "POST /email/verification",
    "POST /email/verification/here",
    "POST /email/verification/resend",
    "PUT /preferences",
    # These ask for the key of the outbox instead of a session.
    "GET /outbox",
    "GET /outbox/<uid>",
    "POST /sessions",
    "GET /reset_password",
    "POST /reset_password",
    "GET /reset_password/new",
    "PUT /reset_password",
    "GET /account/reopen",
    "POST /account/reopen",
    "GET /notification_email/verification",
    "POST /notification_email/verification",
    "GET /email/restore",
    "POST /email/restore",
}


@pytest.fixture
def pages(tmp_path: Path) -> list[Page]:
    """Every page there is."""
    url = f"sqlite:///{tmp_path / 'empty.db'}"
    return all_pages(Auth(DB(url), Settings({}, database_url=url)))


def test_the_public_paths_are_these(pages: list[Page]) -> None:
    """Anyone who opens a path for everybody says so here too."""
    assert {f"{page.method} {page.path}" for page in pages if page.public} == PUBLIC


def test_every_page_has_a_sentence(pages: list[Page]) -> None:
    """The document of the paths is made of these."""
    for page in pages:
        assert page.summary.endswith("."), page.name


def test_every_page_has_a_name_of_its_own(pages: list[Page]) -> None:
    """Programs made from the document call operations by their names."""
    names = [page.name for page in pages]
    assert len(names) == len(set(names))
