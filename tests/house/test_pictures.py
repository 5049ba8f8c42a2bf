"""The pictures that README and docs show are of the pages as they are."""

from __future__ import annotations

import json
import re

import pytest

from tests.house.source import TOP
from tools import pictures

PAGES = [TOP / "README.md", *sorted((TOP / "docs").rglob("*.md"))]
PNG = b"\x89PNG\r\n\x1a\n"


def test_no_picture_is_stale() -> None:
    """Its page and its style are those of which it was taken."""
    taken = json.loads(pictures.DIGESTS.read_text("utf-8"))
    assert taken == pictures.digests(), "run `make pictures`"


def test_a_changed_page_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """A digest that is always the same would show nothing."""
    before = pictures.digests()
    monkeypatch.setenv("BIENVENUE_SERVICE_NAME", "Another")
    after = pictures.digests()
    assert all(before[name] != after[name] for name in before)


def test_every_picture_is_shown_and_every_shown_one_is_taken() -> None:
    """By the command that takes them; none lies about."""
    shown = {
        (page.parent / path).resolve()
        for page in PAGES
        for path in re.findall(r"!\[[^]]+\]\(([^)]+\.png)\)", page.read_text("utf-8"))
    }
    files = {pictures.FOLDER / f"{picture.name}.png" for picture in pictures.PICTURES}
    assert shown == files
    assert set(pictures.FOLDER.glob("*.png")) == files
    for file in files:
        assert file.read_bytes().startswith(PNG)
