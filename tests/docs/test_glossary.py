"""The glossary has every feature, and names nothing that is gone."""

import re

import pytest

import bienvenue
from tests.docs.pages import TOP, Page
from tests.docs.test_documented import FEATURES, commands
from tests.house.source import MODULES

GLOSSARY = Page(TOP / "docs" / "glossary.md")
TABLES = re.findall(r"^## (.+)$\n((?:.*\n)*?)(?=^## |\Z)", GLOSSARY.text, re.MULTILINE)
ROWS = [
    (title, [cell.strip() for cell in line.strip("|").split(" | ")])
    for title, body in TABLES
    for line in re.findall(r"^\| (?!term|feature).+ \|$", body, re.MULTILINE)
]
#: Names of classes and functions of other projects, which the last column has too.
HERE = " ".join(" ".join(cells[:2]) for _, cells in ROWS)


def test_every_feature_is_in_the_glossary_and_no_other() -> None:
    """Under its name, with a link to its page."""
    listed = [cells[0] for title, cells in ROWS if title == "Features"]
    assert listed == [f"[`{name}`](features/{name}.md)" for name in sorted(FEATURES)]


@pytest.mark.parametrize(("title", "cells"), ROWS, ids=[cells[0] for _, cells in ROWS])
def test_every_term_has_a_meaning_and_a_source(title: str, cells: list[str]) -> None:
    """Three cells: the term, a sentence about it, and where the word comes from."""
    term, meaning, source = cells
    assert title
    assert term
    assert meaning[0].isupper()
    assert meaning.endswith((".", ":", "`."))
    assert source


@pytest.mark.parametrize("title", [title for title, _ in TABLES if title != "Features"])
def test_terms_are_in_alphabetical_order(title: str) -> None:
    """So that a reader finds one, and a term is explained once."""
    terms = [cells[0].strip("`").lower() for of, cells in ROWS if of == title]
    assert terms == sorted(set(terms))


def test_every_class_in_the_glossary_exists() -> None:
    """A class that was renamed is renamed here too."""
    named = set(re.findall(r"`([A-Z][a-z]\w+|[A-Z]{2,})`", HERE))
    source = "\n".join(module.path.read_text("utf-8") for module in MODULES)
    defined = set(re.findall(r"^class (\w+)", source, re.MULTILINE))
    assert {"User", "DB", "Auth", "Refusal"} <= named
    assert named - defined == set()


def test_every_public_class_is_in_the_glossary() -> None:
    """Of the names that an application imports, each class has its term."""
    public = [name for name in bienvenue.__all__ if isinstance(getattr(bienvenue, name), type)]
    assert public
    assert [name for name in public if f"`{name}`" not in HERE] == []


def test_everything_else_in_code_exists() -> None:
    """Commands, codes, tables, methods and paths, as they are in the source."""
    known = {f"bienvenue {name}" for name, _ in commands()} | set(FEATURES)
    source = "\n".join(module.path.read_text("utf-8") for module in MODULES)
    for name in set(re.findall(r"`([^`]+)`", HERE)) - known:
        path = TOP / name
        if "/" in name:
            assert path.exists(), name
        else:
            assert re.search(rf"\b{re.escape(name)}\b", source), name
