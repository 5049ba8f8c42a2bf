"""The API reference is what the docstrings say now, and nothing in it is missing."""

from __future__ import annotations

import ast
from importlib import import_module
from pathlib import Path

import pytest

import bienvenue
from bienvenue.auth import FEATURES
from tools import reference
from tools.reference import REFERENCE, Reference, Source

MADE = Reference()
PAGES = MADE.pages()


@pytest.mark.parametrize("page", PAGES)
def test_the_pages_are_what_make_docs_writes(page: str) -> None:
    """After a change of a docstring or signature that stands in them, run `make docs`."""
    assert (REFERENCE / page).read_text("utf-8") == PAGES[page], "run `make docs`"


def test_nothing_of_it_is_missing() -> None:
    """Every public name, every feature, and a docstring for each."""
    assert MADE.warnings == []
    listed = {name for _, _, _, names in reference.APPLICATION for name in names}
    assert set(bienvenue.__all__) <= listed
    headings = [line for line in PAGES["operations.md"].splitlines() if line.startswith("## ")]
    assert headings == [f"## {feature.name}" for feature in FEATURES]


@pytest.mark.parametrize(
    ("where", "names"), [(where, names) for _, where, _, names in reference.APPLICATION]
)
def test_an_application_can_import_what_the_page_says(where: str, names: list[str]) -> None:
    """From the module that it names."""
    if where.startswith("bienvenue"):
        assert [name for name in names if not hasattr(import_module(where), name)] == []


SOURCE = '''\
class Shelf:
    """What is `**read**` of *all* <b>."""

    def __init__(self, size: int = 7) -> None:
        """Take a size."""

    @property
    def size(self) -> int:
        """How many."""

    def add(self, first_of_many_books_and_more: list[str], second: str, *, third: str = "long", number: int) -> None:
        pass

    def _own(self) -> None:
        pass

#: The one
#: shelf.
shelf = Shelf()
none = 7
'''  # noqa: E501 (a signature that needs several lines)


def test_what_is_written_of_a_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Signatures in the house's lines, text that no Markdown changes, and warnings."""
    (tmp_path / "shelf.py").write_text(SOURCE)
    made, source = Reference(), Source(tmp_path / "shelf.py")
    shown = "\n".join(made._entry(source, "Shelf", "from `shelf`", 2))
    assert "What is `**read**` of \\*all\\* &lt;b>." in shown
    assert "### Shelf\n\n```python\ndef Shelf(size: int=7) -> None\n```\n\nTake a size." in shown
    assert "```python\nsize: int\n```\n\nHow many." in shown
    assert (
        "def add(\n    first_of_many_books_and_more: list[str],\n    second: str,\n    *,\n"
        in shown
    )
    assert "_own" not in shown
    assert len(made.warnings) == 1
    assert "The one shelf." in "\n".join(made._entry(source, "shelf", "here", 2))
    assert list(made._entry(source, "gone", "here", 2)) == []
    list(made._entry(source, "none", "here", 2))
    assert [warning.rpartition(": ")[2] for warning in made.warnings] == [
        "add says nothing",
        "there is no gone",
        "none says nothing",
    ]
    monkeypatch.setattr(reference, "APPLICATION", [("", "bienvenue", "app.py", ["Nothing"])])
    with pytest.raises(SystemExit):
        reference.main()
    assert isinstance(source.body[0], ast.ClassDef)
